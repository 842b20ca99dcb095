//! The model: four embeddings side by side, a hidden layer, and the layer to all tokens.

use std::error::Error;

use ndarray::{Array2, ArrayView2, Axis, s};
use rand::Rng;
use rand::rngs::SmallRng;
use xent::linear::{Layer, LinearPass, LinearReport, Workspace};
use xent::{Pass, Report, SoftmaxCrossEntropy};

use crate::text::{Batch, CONTEXT};

const EMBEDDING: usize = 64;
const HIDDEN: usize = 256;

/// Numbers with what Adam remembers of their gradients (D. Kingma and J. Ba, "Adam", 2015).
struct Parameters {
    values: Array2<f32>,
    grad: Array2<f32>,
    mean: Array2<f32>,
    square: Array2<f32>,
}

impl Parameters {
    fn new(rows: usize, columns: usize, size: f32, rng: &mut SmallRng) -> Self {
        let zeros = Array2::zeros((rows, columns));
        let values = Array2::from_shape_fn((rows, columns), |_| size * rng.random_range(-1.0..1.0));
        Self { values, grad: zeros.clone(), mean: zeros.clone(), square: zeros }
    }

    fn update(&mut self, step: i32) {
        let (rate, kept) = (2e-3, [0.9_f32, 0.99]);
        let [mean, square] = kept.map(|kept| 1.0 / (1.0 - kept.powi(step)));
        let numbers = self.values.iter_mut().zip(&self.grad);
        for ((value, g), (m, v)) in numbers.zip(self.mean.iter_mut().zip(&mut self.square)) {
            *m += (1.0 - kept[0]) * (g - *m);
            *v += (1.0 - kept[1]) * (g * g - *v);
            *value -= rate * *m * mean / ((*v * square).sqrt() + 1e-8);
        }
    }
}

/// How the last layer is computed.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// With its loss, without the logits in memory.
    Fused,
    /// The logits, the loss of these, and two more products.
    Plain,
}

pub(crate) struct Model {
    loss: SoftmaxCrossEntropy<'static>,
    embeddings: Parameters,
    hidden: Parameters,
    weights: Parameters,
    bias: Parameters,
    workspace: Workspace,
    steps: i32,
}

impl Model {
    pub(crate) fn new(tokens: usize, rng: &mut SmallRng) -> Self {
        let inputs = CONTEXT * EMBEDDING;
        Self {
            loss: SoftmaxCrossEntropy::new(),
            embeddings: Parameters::new(tokens, EMBEDDING, 0.3, rng),
            hidden: Parameters::new(inputs, HIDDEN, (3.0 / inputs as f32).sqrt(), rng),
            weights: Parameters::new(tokens, HIDDEN, 0.02, rng),
            bias: Parameters::new(1, tokens, 0.0, rng),
            workspace: Workspace::new(),
            steps: 0,
        }
    }

    /// The embeddings of each row side by side, and the hidden units.
    fn forward(&self, batch: &Batch) -> [Array2<f32>; 2] {
        let mut inputs = Array2::zeros((batch.labels.len(), CONTEXT * EMBEDDING));
        for (mut row, context) in inputs.outer_iter_mut().zip(&batch.contexts) {
            for (at, &token) in context.iter().enumerate() {
                let place = at * EMBEDDING..(at + 1) * EMBEDDING;
                row.slice_mut(s![place]).assign(&self.embeddings.values.row(token as usize));
            }
        }
        let units = inputs.dot(&self.hidden.values).mapv_into(f32::tanh);
        [inputs, units]
    }

    /// A step down the gradient of a batch.
    pub(crate) fn step(&mut self, batch: &Batch, way: Way) -> Result<Report, Box<dyn Error>> {
        let [inputs, units] = self.forward(batch);
        let mut of_units = Array2::zeros(units.dim());
        let report = match way {
            Way::Fused => self.fused(&units, batch, 0.0, &mut of_units)?.into(),
            Way::Plain => self.plain(&units, batch, &mut of_units)?,
        };
        // Through tanh, the hidden layer and the embeddings.
        of_units.zip_mut_with(&units, |g, unit| *g *= 1.0 - unit * unit);
        self.hidden.grad = inputs.t().dot(&of_units);
        let of_inputs = of_units.dot(&self.hidden.values.t());
        self.embeddings.grad.fill(0.0);
        for (row, context) in of_inputs.outer_iter().zip(&batch.contexts) {
            for (at, &token) in context.iter().enumerate() {
                let mut place = self.embeddings.grad.row_mut(token as usize);
                place += &row.slice(s![at * EMBEDDING..(at + 1) * EMBEDDING]);
            }
        }
        self.steps += 1;
        for parameters in
            [&mut self.embeddings, &mut self.hidden, &mut self.weights, &mut self.bias]
        {
            parameters.update(self.steps);
        }
        Ok(report)
    }

    /// Loss and gradients of the last layer alone.
    pub(crate) fn last_layer(
        &mut self,
        batch: &Batch,
        epsilon: f64,
    ) -> Result<LinearReport, Box<dyn Error>> {
        let [_, units] = self.forward(batch);
        let mut of_units = Array2::zeros(units.dim());
        self.fused(&units, batch, epsilon, &mut of_units)
    }

    fn fused(
        &mut self,
        units: &Array2<f32>,
        batch: &Batch,
        epsilon: f64,
        of_units: &mut Array2<f32>,
    ) -> Result<LinearReport, Box<dyn Error>> {
        let layer = Layer::new(slice(units.view())?, slice(self.weights.values.view())?, HIDDEN)?;
        let layer = layer.with_bias(slice(self.bias.values.view())?)?;
        let pass = LinearPass::new()
            .grad_inputs(slice_mut(of_units)?)
            .grad_weights(slice_mut(&mut self.weights.grad)?)
            .grad_bias(slice_mut(&mut self.bias.grad)?);
        let loss = self.loss.linear()?.with_gradient_filter(epsilon)?;
        Ok(loss.evaluate(layer, &batch.labels[..], pass, &mut self.workspace)?)
    }

    fn plain(
        &mut self,
        units: &Array2<f32>,
        batch: &Batch,
        of_units: &mut Array2<f32>,
    ) -> Result<Report, Box<dyn Error>> {
        let logits = units.dot(&self.weights.values.t()) + &self.bias.values;
        let mut grad = Array2::zeros(logits.dim());
        let classes = logits.ncols();
        let pass = Pass::new().grad(slice_mut(&mut grad)?);
        let report = self.loss.evaluate((slice(logits.view())?, classes), &batch.labels, pass)?;
        self.weights.grad = grad.t().dot(units);
        self.bias.grad = grad.sum_axis(Axis(0)).insert_axis(Axis(0));
        *of_units = grad.dot(&self.weights.values);
        Ok(report)
    }

    /// The mean loss of tokens.
    pub(crate) fn evaluate(&mut self, batch: &Batch) -> Result<Report, Box<dyn Error>> {
        let mut total = Report::default();
        let rows: Vec<usize> = (0..batch.labels.len()).collect();
        for rows in rows.chunks(crate::BATCH) {
            let batch = batch.select(rows);
            let [_, units] = self.forward(&batch);
            let layer =
                Layer::new(slice(units.view())?, slice(self.weights.values.view())?, HIDDEN)?;
            let layer = layer.with_bias(slice(self.bias.values.view())?)?;
            let loss = self.loss.linear()?;
            let pass = LinearPass::new();
            let report = loss.evaluate(layer, &batch.labels[..], pass, &mut self.workspace)?;
            total += Report::from(report);
        }
        Ok(total)
    }
}

fn slice(array: ArrayView2<'_, f32>) -> Result<&[f32], &'static str> {
    array.to_slice().ok_or("an array that is not contiguous")
}

fn slice_mut(array: &mut Array2<f32>) -> Result<&mut [f32], &'static str> {
    array.as_slice_mut().ok_or("an array that is not contiguous")
}
