//! [burn](https://docs.rs/burn): tensors with automatic differentiation, on its backend `Flex`.

use burn_autodiff::Autodiff;
use burn_flex::{Flex, FlexDevice};
use burn_nn::loss::{BinaryCrossEntropyLossConfig, CrossEntropyLossConfig};
use burn_tensor::backend::Backend;
use burn_tensor::{Int, Tensor, TensorData, activation};

use super::{answer_of_mean, shape};
use crate::{Answer, Case, Contestant};

type Tracked = Autodiff<Flex>;

const NAME: &str = "burn";
const DEVICE: FlexDevice = FlexDevice;

/// `CrossEntropyLoss` and its backward pass.
pub fn softmax(case: &Case) -> Contestant<'_> {
    let loss = CrossEntropyLossConfig::new().init(&DEVICE);
    let labels = Tensor::<Tracked, 1, Int>::from_data(case.labels.as_slice(), &DEVICE);
    loss_and_grad(case, case.rows, move |x| loss.forward(x, labels.clone()))
}

/// `BinaryCrossEntropyLoss` of logits, which takes integer targets, and its backward pass.
pub fn sigmoid(case: &Case) -> Contestant<'_> {
    let loss = BinaryCrossEntropyLossConfig::new().with_logits(true).init(&DEVICE);
    let targets = matrix::<Tracked>(case, &case.targets).int();
    loss_and_grad(case, case.logits.len(), move |x| loss.forward(x, targets.clone()))
}

/// `activation::log_softmax`, without differentiation.
pub fn log_softmax(case: &Case) -> Contestant<'_> {
    let x = matrix::<Flex>(case, &case.logits);
    let run = move |_: &mut Vec<f32>| activation::log_softmax(x.clone(), 1);
    Contestant::new(NAME, run, |made, _| Answer::of(&to_vec(made)))
}

fn loss_and_grad<'a>(
    case: &Case,
    losses: usize,
    mean: impl Fn(Tensor<Tracked, 2>) -> Tensor<Tracked, 1> + 'a,
) -> Contestant<'a> {
    let x = matrix::<Tracked>(case, &case.logits).require_grad();
    let run = move |_: &mut Vec<f32>| {
        let mean = mean(x.clone());
        let gradient = x.grad_remove(&mut mean.backward());
        (mean.into_scalar(), gradient)
    };
    Contestant::new(NAME, run, move |(mean, gradient), _| {
        answer_of_mean(losses, mean, to_vec(gradient.expect("a gradient of what requires one")))
    })
}

fn matrix<B: Backend<Device = FlexDevice>>(case: &Case, elements: &[f32]) -> Tensor<B, 2> {
    Tensor::from_data(TensorData::new(elements.to_vec(), shape(case)), &DEVICE)
}

fn to_vec(tensor: Tensor<Flex, 2>) -> Vec<f32> {
    tensor.into_data().to_vec().expect("numbers of 32 bits")
}
