//! Fully connected layers with ReLU between them.

use rand::Rng;

use crate::data::CLASSES;

const LEARNING_RATE: f32 = 0.1;
const MOMENTUM: f32 = 0.9;

/// One layer: `out = input · weights + bias`.
struct Layer {
    inputs: usize,
    outputs: usize,
    /// Row after row, one row an input; the bias is the last.
    weights: Vec<f32>,
    velocity: Vec<f32>,
    /// What the layer gave for the last batch.
    activations: Vec<f32>,
}

impl Layer {
    /// Weights uniform in ±√(6 / inputs) (K. He et al., "Delving deep into rectifiers", 2015).
    fn new(inputs: usize, outputs: usize, rng: &mut impl Rng) -> Self {
        let limit = (6.0 / inputs as f32).sqrt();
        let mut weights: Vec<f32> =
            (0..inputs * outputs).map(|_| rng.random_range(-limit..limit)).collect();
        weights.resize((inputs + 1) * outputs, 0.0);
        let velocity = vec![0.0; weights.len()];
        Self { inputs, outputs, weights, velocity, activations: Vec::new() }
    }

    fn forward(&mut self, input: &[f32]) {
        let (weights, bias) = self.weights.split_at(self.inputs * self.outputs);
        self.activations.clear();
        for input in input.chunks_exact(self.inputs) {
            let start = self.activations.len();
            self.activations.extend_from_slice(bias);
            let out = &mut self.activations[start..];
            for (&x, weights) in input.iter().zip(weights.chunks_exact(self.outputs)) {
                for (out, weight) in out.iter_mut().zip(weights) {
                    *out += x * weight;
                }
            }
        }
    }

    /// The gradient by the input, from the gradient by the output.
    fn backward(&self, grad: &[f32]) -> Vec<f32> {
        let weights = &self.weights[..self.inputs * self.outputs];
        grad.chunks_exact(self.outputs)
            .flat_map(|grad| {
                weights
                    .chunks_exact(self.outputs)
                    .map(move |weights| grad.iter().zip(weights).map(|(g, w)| g * w).sum::<f32>())
            })
            .collect()
    }

    /// One step down the gradient by the weights.
    fn step(&mut self, input: &[f32], grad: &[f32]) {
        let mut by_weight = vec![0.0; self.weights.len()];
        let bias = self.inputs * self.outputs;
        for (input, grad) in input.chunks_exact(self.inputs).zip(grad.chunks_exact(self.outputs)) {
            let (weights, bias) = by_weight.split_at_mut(bias);
            for (&x, by_weight) in input.iter().zip(weights.chunks_exact_mut(self.outputs)) {
                for (by_weight, g) in by_weight.iter_mut().zip(grad) {
                    *by_weight += x * g;
                }
            }
            for (bias, g) in bias.iter_mut().zip(grad) {
                *bias += g;
            }
        }
        for ((weight, velocity), g) in
            self.weights.iter_mut().zip(&mut self.velocity).zip(&by_weight)
        {
            *velocity = MOMENTUM * *velocity - LEARNING_RATE * g;
            *weight += *velocity;
        }
    }
}

/// A stack of layers; with one layer, softmax regression.
pub(crate) struct Network {
    layers: Vec<Layer>,
}

impl Network {
    /// Layers between these widths.
    pub(crate) fn new(widths: &[usize], rng: &mut impl Rng) -> Self {
        let layers = widths.windows(2).map(|pair| Layer::new(pair[0], pair[1], rng)).collect();
        Self { layers }
    }

    /// The weights of each layer, row after row, the bias last; and how many outputs it has.
    pub(crate) fn layers(&self) -> impl Iterator<Item = (&[f32], usize)> {
        self.layers.iter().map(|layer| (&layer.weights[..], layer.outputs))
    }

    /// The logits of a batch of images, row after row.
    pub(crate) fn forward(&mut self, images: &[f32]) -> &[f32] {
        let last = self.layers.len() - 1;
        for index in 0..=last {
            let (before, rest) = self.layers.split_at_mut(index);
            rest[0].forward(before.last().map_or(images, |layer| &layer.activations));
            if index < last {
                rest[0].activations.iter_mut().for_each(|x| *x = x.max(0.0));
            }
        }
        &self.layers[last].activations
    }

    /// One step down the gradient, given that by the logits of the last batch.
    pub(crate) fn step(&mut self, images: &[f32], grad: &[f32]) {
        let mut grad = grad.to_vec();
        for index in (0..self.layers.len()).rev() {
            let (before, rest) = self.layers.split_at_mut(index);
            let Some(previous) = before.last() else {
                return rest[0].step(images, &grad);
            };
            let mut by_input = rest[0].backward(&grad);
            rest[0].step(&previous.activations, &grad);
            for (g, &x) in by_input.iter_mut().zip(&previous.activations) {
                if x == 0.0 {
                    *g = 0.0;
                }
            }
            grad = by_input;
        }
    }

    /// The class of the largest logit of every image.
    pub(crate) fn predict(&mut self, images: &[f32]) -> Vec<u8> {
        let largest = |row: &[f32]| {
            (0..CLASSES as u8).max_by(|&a, &b| row[usize::from(a)].total_cmp(&row[usize::from(b)]))
        };
        self.forward(images).chunks_exact(CLASSES).filter_map(largest).collect()
    }
}
