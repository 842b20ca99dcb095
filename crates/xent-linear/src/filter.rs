//! Blocks of the gradient of the logits that are left out: those of a row and [`CLASSES`] classes that are all smaller
//! than ε times the row's factor (E. Wijmans et al., "Cut your losses in large-vocabulary language models", 2024).

use core::ops::Range;

use rayon::prelude::*;
use xent_core::widen;

use crate::pass::{LinearPass, place};
use crate::plan::{Plan, fit};
use crate::product::{Matrix, MatrixMut, Product, TERMS, multiply};
use crate::task::{Task, row_of};
use crate::{Error, Number};

/// The classes of a block: what the product takes for one chain of multiply-adds.
pub(crate) const CLASSES: usize = TERMS;

/// The memory of the filter, for a quantum of rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers<F> {
    /// What the gradient of a class adds up to over the rows, by which classes are ordered.
    sums: Vec<f64>,
    /// The classes, the largest first; and the block of each.
    order: Vec<u32>,
    block_of: Vec<u32>,
    /// For each row and block, whether it is kept.
    keeps: Vec<bool>,
    /// The rows that keep a block.
    rows: Vec<usize>,
    /// Of these rows and the classes of a block: the gradient of the logits, the inputs, and what is added to their
    /// gradient.
    gradient: Vec<F>,
    inputs: Vec<F>,
    of_inputs: Vec<F>,
    /// The weights of the classes of a block, and what is added to their gradient.
    weights: Vec<F>,
    of_weights: Vec<F>,
}

impl<F: Product> Buffers<F> {
    pub(crate) fn bytes(&self) -> usize {
        let Self { sums, order, block_of, keeps, rows, gradient, .. } = self;
        let floats = [gradient, &self.inputs, &self.of_inputs, &self.weights, &self.of_weights];
        let floats: usize = floats.iter().map(|of| size_of::<F>() * of.capacity()).sum();
        let classes = 8 * sums.capacity() + 4 * (order.capacity() + block_of.capacity());
        floats + classes + keeps.capacity() + size_of::<usize>() * rows.capacity()
    }

    pub(crate) fn reserve(&mut self, plan: &Plan) {
        let Plan { classes, hidden, .. } = *plan;
        let rows = plan.quantum.min(plan.rows);
        let of_block = CLASSES.min(classes);
        let zero = F::default();
        fit(&mut self.sums, classes, 0.0);
        fit(&mut self.order, classes, 0);
        fit(&mut self.block_of, classes, 0);
        fit(&mut self.keeps, rows * classes.div_ceil(CLASSES), false);
        self.rows.clear();
        self.rows.reserve_exact(rows);
        fit(&mut self.gradient, rows * of_block, zero);
        fit(&mut self.inputs, rows * hidden, zero);
        fit(&mut self.of_inputs, rows * hidden, zero);
        fit(&mut self.weights, of_block * hidden, zero);
        fit(&mut self.of_weights, of_block * hidden, zero);
    }
}

/// The bytes that the filter takes.
pub(crate) fn bytes(plan: &Plan) -> usize {
    let Plan { classes, hidden, size, .. } = *plan;
    let (rows, of_block) = (plan.quantum.min(plan.rows), CLASSES.min(classes));
    let floats = rows * of_block + 2 * (rows + of_block) * hidden;
    floats * size + classes * 16 + rows * (classes.div_ceil(CLASSES) + size_of::<usize>())
}

/// How many blocks there were, and how many were left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) all: usize,
    pub(crate) left_out: usize,
}

impl Blocks {
    pub(crate) fn share_left_out(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.left_out as f64 / self.all as f64 }
    }
}

/// A quantum of rows: their numbers, the gradient of their logits, and their inputs.
pub(crate) struct Quantum<'q, F> {
    pub(crate) rows: &'q [usize],
    pub(crate) gradient: &'q [F],
    pub(crate) inputs: Matrix<'q, F>,
}

/// Adds the gradients of the kept blocks of a quantum to those by inputs and weights.
pub(crate) fn add_gradients<E: Number>(
    task: &Task<'_, E>,
    epsilon: f64,
    quantum: &Quantum<'_, E::Float>,
    pass: &mut LinearPass<'_, E::Float>,
    buffers: &mut Buffers<E::Float>,
) -> Result<Blocks, Error> {
    let classes = task.layer.classes;
    let of_quantum = quantum.rows.len();
    let blocks = classes.div_ceil(CLASSES);
    order_classes(task, quantum, buffers);
    choose_blocks(task, epsilon, quantum, buffers);

    for block in 0..blocks {
        let in_order = block * CLASSES..((block + 1) * CLASSES).min(classes);
        buffers.rows.clear();
        let keeps = &buffers.keeps[..of_quantum * blocks];
        buffers.rows.extend((0..of_quantum).filter(|row| keeps[row * blocks + block]));
        if !buffers.rows.is_empty() {
            add_block(task, in_order, quantum, pass, buffers)?;
        }
    }
    add_labels(task, quantum, pass, buffers)?;

    let all = of_quantum * blocks;
    let left_out = buffers.keeps[..all].iter().filter(|keeps| !**keeps).count();
    Ok(Blocks { all, left_out })
}

/// Orders the classes by the sum of what their rows have, so that those with little of it share blocks.
fn order_classes<E: Number>(
    task: &Task<'_, E>,
    quantum: &Quantum<'_, E::Float>,
    buffers: &mut Buffers<E::Float>,
) {
    const COLUMNS: usize = 512;
    let classes = task.layer.classes;
    let sums = &mut buffers.sums[..classes];
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(index, sums)| {
        sums.fill(0.0);
        for (row, gradient) in quantum.rows.iter().zip(quantum.gradient.chunks_exact(classes)) {
            let factor = task.rows.gradient_factor(*row);
            let inverse = if factor == 0.0 { 0.0 } else { 1.0 / factor };
            for (sum, &value) in sums.iter_mut().zip(&gradient[index * COLUMNS..]) {
                let value: f64 = value.into();
                // What a label has is negative, and says nothing about the class.
                *sum += (value * inverse).max(0.0);
            }
        }
    });
    let sums = &*sums;
    let order = &mut buffers.order[..classes];
    order.iter_mut().zip(0..).for_each(|(place, class)| *place = class);
    order.par_sort_unstable_by(|&a, &b| {
        sums[b as usize].total_cmp(&sums[a as usize]).then(a.cmp(&b))
    });
    for (position, &class) in order.iter().enumerate() {
        buffers.block_of[class as usize] = (position / CLASSES) as u32;
    }
}

/// Finds the blocks that are kept: those with an element that is not small, but for the label's.
fn choose_blocks<E: Number>(
    task: &Task<'_, E>,
    epsilon: f64,
    quantum: &Quantum<'_, E::Float>,
    buffers: &mut Buffers<E::Float>,
) {
    let classes = task.layer.classes;
    let blocks = classes.div_ceil(CLASSES);
    let order = &buffers.order[..classes];
    let of_rows = buffers.keeps[..quantum.rows.len() * blocks].par_chunks_exact_mut(blocks);
    let rows = of_rows.zip(quantum.rows).zip(quantum.gradient.par_chunks_exact(classes));
    rows.for_each(|((keeps, &row), gradient)| {
        let least = epsilon * task.rows.gradient_factor(row).abs();
        let label = task.rows.label(row);
        for (keeps, classes) in keeps.iter_mut().zip(order.chunks(CLASSES)) {
            *keeps = classes.iter().any(|&class| {
                let class = class as usize;
                let value: f64 = gradient[class].into();
                (value.abs() >= least || value.is_nan()) && Some(class) != label
            });
        }
    });
}

/// Adds what a block and its rows have.
fn add_block<E: Number>(
    task: &Task<'_, E>,
    in_order: Range<usize>,
    quantum: &Quantum<'_, E::Float>,
    pass: &mut LinearPass<'_, E::Float>,
    buffers: &mut Buffers<E::Float>,
) -> Result<(), Error> {
    let layer = &task.layer;
    let (hidden, classes) = (layer.hidden, layer.classes);
    let Buffers { order, rows, gradient, inputs, of_inputs, weights, of_weights, .. } = buffers;
    let of_block = &order[in_order];
    let (width, height) = (of_block.len(), rows.len());

    let gradient = &mut gradient[..height * width];
    gradient.par_chunks_exact_mut(width).zip(&*rows).with_min_len(16).for_each(|(places, row)| {
        let of_row = &quantum.gradient[row * classes..(row + 1) * classes];
        for (place, class) in places.iter_mut().zip(of_block) {
            *place = of_row[*class as usize];
        }
    });
    let gradient = Matrix::new(&*gradient, height, width, width);

    if let Some((grad, _)) = place(&mut pass.of_weights) {
        let inputs = if height == quantum.rows.len() {
            quantum.inputs
        } else {
            for (place, &row) in inputs.chunks_exact_mut(hidden).zip(&*rows) {
                place.copy_from_slice(quantum.inputs.row(row));
            }
            Matrix::new(&*inputs, height, hidden, hidden)
        };
        let into = MatrixMut::new(&mut *of_weights, width, hidden, hidden);
        multiply(gradient.transposed(), inputs, into, false);
        for (added, &class) in of_weights.chunks_exact(hidden).zip(of_block) {
            add(row_of(grad, class as usize, layer.weight_stride, hidden), added);
        }
    }
    if let Some((grad, _)) = place(&mut pass.of_inputs) {
        let places = weights[..width * hidden].par_chunks_exact_mut(hidden).zip(of_block);
        places.with_min_len(16).try_for_each(|(place, &class)| {
            widen(task.level, layer.weights_of(class as usize), place)
        })?;
        let weights = Matrix::new(&*weights, width, hidden, hidden);
        multiply(gradient, weights, MatrixMut::new(&mut *of_inputs, height, hidden, hidden), false);
        for (added, &row) in of_inputs.chunks_exact(hidden).zip(&*rows) {
            add(row_of(grad, quantum.rows[row], layer.input_stride, hidden), added);
        }
    }
    Ok(())
}

/// Adds what labels have whose blocks their rows do not keep.
fn add_labels<E: Number>(
    task: &Task<'_, E>,
    quantum: &Quantum<'_, E::Float>,
    pass: &mut LinearPass<'_, E::Float>,
    buffers: &mut Buffers<E::Float>,
) -> Result<(), Error> {
    let layer = &task.layer;
    let (hidden, classes) = (layer.hidden, layer.classes);
    let blocks = classes.div_ceil(CLASSES);
    for (index, &row) in quantum.rows.iter().enumerate() {
        let Some(label) = task.rows.label(row) else { continue };
        if buffers.keeps[index * blocks + buffers.block_of[label] as usize] {
            continue;
        }
        let factor = quantum.gradient[index * classes + label];
        if let Some((grad, _)) = place(&mut pass.of_weights) {
            let into = row_of(grad, label, layer.weight_stride, hidden);
            add_multiple(into, factor, quantum.inputs.row(index));
        }
        if let Some((grad, _)) = place(&mut pass.of_inputs) {
            let weights = &mut buffers.weights[..hidden];
            widen(task.level, layer.weights_of(label), weights)?;
            add_multiple(row_of(grad, row, layer.input_stride, hidden), factor, weights);
        }
    }
    Ok(())
}

fn add<F: Product>(into: &mut [F], added: &[F]) {
    for (place, &added) in into.iter_mut().zip(added) {
        *place = *place + added;
    }
}

fn add_multiple<F: Product>(into: &mut [F], factor: F, of: &[F]) {
    for (place, &of) in into.iter_mut().zip(of) {
        *place = *place + factor * of;
    }
}
