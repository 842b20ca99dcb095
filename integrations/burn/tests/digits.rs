//! A network for handwritten digits learns as well with these losses as with burn's.

use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};

const TRAINED: usize = 260;

#[derive(Module, Debug)]
struct Network {
    hidden: Linear,
    out: Linear,
}

impl Network {
    /// The same for every loss.
    fn start(device: &Device) -> Self {
        let layer = |inputs: usize, outputs: usize, first: usize| {
            let values: Vec<f32> =
                (0..inputs * outputs).map(|i| ((first + i) as f32 * 12.9898).sin() * 0.2).collect();
            let weight = Tensor::from_data(TensorData::new(values, [inputs, outputs]), device);
            let layer = LinearConfig::new(inputs, outputs).with_bias(false).init(device);
            Linear { weight: Param::from_tensor(weight), ..layer }
        };
        Self { hidden: layer(digits_net::PIXELS, 32, 0), out: layer(32, digits_net::CLASSES, 7777) }
    }

    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        self.out.forward(relu(self.hidden.forward(images)))
    }
}

/// Digits of the network's set, by their numbers.
#[derive(Clone)]
struct Digits;

impl Batcher<usize, (Tensor<2>, Tensor<1, Int>)> for Digits {
    fn batch(&self, digits: Vec<usize>, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        let pixels: Vec<f32> = digits
            .iter()
            .flat_map(|&digit| digits_net::image(digit).map(|pixel| f32::from(pixel) / 16.0))
            .collect();
        let labels: Vec<i32> =
            digits.iter().map(|&digit| digits_net::label(digit) as i32).collect();
        let images = TensorData::new(pixels, [digits.len(), digits_net::PIXELS]);
        let labels = TensorData::new(labels, [digits.len()]);
        (Tensor::from_data(images, device), Tensor::from_data(labels, device))
    }
}

/// Right digits among those that it was not trained with, and the mean loss of the last epoch.
fn train(loss: impl Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>) -> (usize, f32) {
    let device = Device::flex().autodiff();
    let mut network = Network::start(&device);
    let mut optimizer = AdamConfig::new().init();
    let batches = DataLoaderBuilder::new(Digits)
        .batch_size(65)
        .shuffle(7)
        .set_device(device.clone())
        .build(InMemDataset::new((0..TRAINED).collect()));
    let mut last = f32::NAN;
    for _ in 0..30 {
        let mut losses = Vec::new();
        for batch in batches.iter() {
            let (images, labels) = batch.unwrap();
            let value = loss(network.forward(images), labels);
            losses.push(value.clone().into_scalar::<f32>());
            let grads = GradientsParams::from_grads(value.backward(), &network);
            network = optimizer.step(0.01, network, grads);
        }
        assert_eq!(losses.len(), TRAINED / 65);
        last = losses.iter().sum::<f32>() / losses.len() as f32;
    }
    let (images, labels) = Digits.batch((TRAINED..digits_net::COUNT).collect(), &device);
    let is_right = network.forward(images).argmax(1).reshape([-1]).equal(labels);
    (is_right.int().sum().into_scalar::<i64>() as usize, last)
}

#[test]
fn as_many_digits_are_right_as_with_burns_loss() {
    let device = Device::flex().autodiff();
    let theirs = burn::nn::loss::CrossEntropyLossConfig::new().init(&device);
    let ours = xent_burn::CrossEntropyLossConfig::new().init(&device);
    let (theirs, their_loss) = train(|logits, labels| theirs.forward(logits, labels));
    let (ours, our_loss) = train(|logits, labels| ours.forward(logits, labels));
    // One digit may tip over by a rounding error.
    assert!(
        ours.abs_diff(theirs) <= 1 && ours >= 85,
        "{ours} digits of 100 are right, with burn's loss {theirs}"
    );
    assert!(
        (our_loss - their_loss).abs() < 0.02 * their_loss,
        "{our_loss}, with burn's loss {their_loss}"
    );
}
