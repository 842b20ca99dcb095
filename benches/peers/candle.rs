//! [candle](https://docs.rs/candle-core): tensors with a backward pass, one operation after
//! another.

use candle_core::{Device, Result, Tensor, Var};
use candle_nn::{loss, ops};

use super::{answer_of_mean, shape};
use crate::{Answer, Case, Contestant};

const NAME: &str = "candle";
const REASON: &str = "shapes that agree";

/// `loss::cross_entropy` and its backward pass.
pub fn softmax(case: &Case) -> Contestant<'_> {
    let labels = Tensor::new(case.labels.as_slice(), &Device::Cpu).expect(REASON);
    loss_and_grad(case, case.rows, move |x| loss::cross_entropy(x, &labels))
}

/// `loss::binary_cross_entropy_with_logit` and its backward pass.
pub fn sigmoid(case: &Case) -> Contestant<'_> {
    let targets = Tensor::from_slice(&case.targets, &shape(case), &Device::Cpu).expect(REASON);
    loss_and_grad(case, case.logits.len(), move |x| {
        loss::binary_cross_entropy_with_logit(x, &targets)
    })
}

/// `Tensor::log_sum_exp`.
pub fn log_sum_exp(case: &Case) -> Contestant<'_> {
    forward(case, |x| x.log_sum_exp(1))
}

/// `ops::log_softmax`.
pub fn log_softmax(case: &Case) -> Contestant<'_> {
    forward(case, |x| ops::log_softmax(x, 1))
}

fn loss_and_grad<'a>(
    case: &Case,
    losses: usize,
    mean: impl Fn(&Tensor) -> Result<Tensor> + 'a,
) -> Contestant<'a> {
    let x = Var::from_slice(&case.logits, &shape(case), &Device::Cpu).expect(REASON);
    let run = move |_: &mut Vec<f32>| {
        let mean = mean(&x)?;
        let gradient = mean.backward()?.remove(&x);
        Result::Ok((mean.to_scalar()?, gradient))
    };
    Contestant::new(NAME, run, move |made, _| {
        let (mean, gradient) = made.expect(REASON);
        answer_of_mean(losses, mean, to_vec(&gradient.expect("a gradient of its variable")))
    })
}

fn forward<'a>(case: &Case, function: impl Fn(&Tensor) -> Result<Tensor> + 'a) -> Contestant<'a> {
    let x = Tensor::from_slice(&case.logits, &shape(case), &Device::Cpu).expect(REASON);
    let run = move |_: &mut Vec<f32>| function(&x);
    Contestant::new(NAME, run, |made, _| Answer::of(&to_vec(&made.expect(REASON))))
}

fn to_vec(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).expect("numbers of 32 bits")
}
