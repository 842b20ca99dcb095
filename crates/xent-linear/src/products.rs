//! The three products of a layer, and the conversion of what goes into them.

use core::ops::Range;

use rayon::prelude::*;
use xent_core::{Level, widen};

use crate::plan::{fit, quantum};
use crate::product::{Matrix, MatrixMut, Product, TERMS, multiply};
use crate::{Error, Layer, Number};

/// The products of a layer for some of its rows, on the threads of the current rayon pool: for those who bring the loss
/// that comes between them.
///
/// [`LinearCrossEntropy`](crate::LinearCrossEntropy) is made of them, and so is a layer whose classes are in several
/// processes (the crate `xent-mpi`): its results have the bits of the whole layer, if each process has neighbouring
/// classes from a multiple of 256 on, the gradient by the inputs goes from one to the next and is added to, and rows
/// come in multiples of the [quantum](Self::quantum) of all classes.
///
/// Matrices are slices of rows: one of `(rows, hidden)` with the elements from the start of one row to the next, others
/// contiguous.
///
/// ```
/// use xent_core::Level;
/// use xent_linear::{Layer, Products};
///
/// // Two rows of two inputs; three classes.
/// let (x, w) = ([1.0, 0.0, 0.0, 1.0_f32], [2.0, 0.0, 0.0, 3.0, 1.0, 1.0]);
/// let products = Products::new(Layer::new(&x, &w, 2)?, Level::detect());
/// let (mut logits, mut dx, mut scratch) = ([0.0; 6], [0.0; 4], vec![]);
/// products.logits((&x, 2), &mut logits, &mut scratch)?;
/// assert_eq!(logits, [2.0, 0.0, 1.0, 0.0, 3.0, 1.0]);
/// products.input_gradient(&logits, (&mut dx, 2), false, &mut scratch)?;
/// assert_eq!(dx, [5.0, 1.0, 1.0, 10.0]);
/// # Ok::<(), xent_linear::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Products<'a, E: Number = f32> {
    layer: Layer<'a, E>,
    level: Level,
    /// Classes whose weights are converted together: a multiple of the terms of a chain, or all. Zero if they are not
    /// converted.
    tile: usize,
}

/// The bytes of converted weights, about.
const TILE_BYTES: usize = 4 << 20;

impl<'a, E: Number> Products<'a, E> {
    /// Those of a layer. The level is for conversions; the product of matrices chooses its own.
    #[must_use]
    pub fn new(layer: Layer<'a, E>, level: Level) -> Self {
        let size = size_of::<E::Float>();
        let tile = (TILE_BYTES / (layer.hidden * size) / TERMS).max(1) * TERMS;
        let converts = E::as_floats(layer.weights).is_none();
        Self { layer, level, tile: if converts { tile.min(layer.classes) } else { 0 } }
    }

    /// The rows whose terms of the gradient by the weights are in one chain of multiply-adds, for that many classes in
    /// all: chunks of rows are multiples of it, but for the last.
    #[must_use]
    pub fn quantum(&self, classes: usize) -> usize {
        quantum(classes, size_of::<E::Float>())
    }

    /// The numbers that converted weights take.
    pub(crate) fn scratch(&self) -> usize {
        self.tile * self.layer.hidden
    }

    /// The number of inputs of a row.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.layer.hidden
    }

    /// The inputs of some rows, one after the other, in the format of the computation.
    ///
    /// # Errors
    /// None for rows of the layer.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn inputs_of(&self, rows: &[usize]) -> Result<Vec<E::Float>, Error> {
        let mut inputs = vec![E::Float::default(); rows.len() * self.layer.hidden];
        self.gather(rows, &mut inputs)?;
        Ok(inputs)
    }

    pub(crate) fn gather(&self, rows: &[usize], into: &mut [E::Float]) -> Result<(), Error> {
        let Layer { inputs, hidden, input_stride, .. } = self.layer;
        for (row, place) in rows.iter().zip(into.chunks_exact_mut(hidden)) {
            let start = row * input_stride;
            widen(self.level, &inputs[start..start + hidden], place)?;
        }
        Ok(())
    }

    /// `X Wᵀ + b`, for some rows of `X`: as many as there are rows of logits.
    ///
    /// # Errors
    /// None for the shapes of the layer.
    ///
    /// # Panics
    /// If the slices have fewer elements than that.
    pub fn logits(
        &self,
        (inputs, stride): (&[E::Float], usize),
        logits: &mut [E::Float],
        scratch: &mut Vec<E::Float>,
    ) -> Result<(), Error> {
        let Layer { classes, hidden, weight_stride, bias, .. } = self.layer;
        let (rows, has_bias) = (logits.len() / classes, !bias.is_empty());
        let inputs = Matrix::new(inputs, rows, hidden, stride);
        if has_bias && rows > 0 {
            let (first, others) = logits.split_at_mut(classes);
            widen(self.level, bias, first)?;
            others.par_chunks_exact_mut(classes).for_each(|row| row.copy_from_slice(first));
        }
        if let Some(weights) = E::as_floats(self.layer.weights) {
            let weights = Matrix::new(weights, classes, hidden, weight_stride);
            let logits = MatrixMut::new(logits, rows, classes, classes);
            multiply(inputs, weights.transposed(), logits, has_bias);
            return Ok(());
        }
        for range in self.tiles() {
            let of_tile = MatrixMut::new(&mut logits[range.start..], rows, range.len(), classes);
            multiply(inputs, self.weights(range, scratch)?.transposed(), of_tile, has_bias);
        }
        Ok(())
    }

    /// The gradient by the inputs, from that by the logits: written, or added to what is there.
    ///
    /// # Errors
    /// None for the shapes of the layer.
    ///
    /// # Panics
    /// If the slices have fewer elements than that.
    pub fn input_gradient(
        &self,
        of_logits: &[E::Float],
        (into, stride): (&mut [E::Float], usize),
        mut adds: bool,
        scratch: &mut Vec<E::Float>,
    ) -> Result<(), Error> {
        let Layer { classes, hidden, weight_stride, .. } = self.layer;
        let rows = of_logits.len() / classes;
        let of_logits = Matrix::new(of_logits, rows, classes, classes);
        if let Some(weights) = E::as_floats(self.layer.weights) {
            let weights = Matrix::new(weights, classes, hidden, weight_stride);
            multiply(of_logits, weights, MatrixMut::new(into, rows, hidden, stride), adds);
            return Ok(());
        }
        for range in self.tiles() {
            let of_tile = of_logits.columns_of(range.clone());
            let weights = self.weights(range, scratch)?;
            multiply(of_tile, weights, MatrixMut::new(&mut *into, rows, hidden, stride), adds);
            adds = true;
        }
        Ok(())
    }

    /// The gradient by the weights, in their shape and with their stride, from that by the logits of some rows and the
    /// inputs of these: written, or added to what is there, a quantum of rows at a time.
    ///
    /// # Panics
    /// If the slices have fewer elements than that.
    pub fn weight_gradient(
        &self,
        of_logits: &[E::Float],
        (inputs, stride): (&[E::Float], usize),
        quantum: usize,
        into: &mut [E::Float],
        mut adds: bool,
    ) {
        let Layer { classes, hidden, weight_stride, .. } = self.layer;
        let rows = of_logits.len() / classes;
        let of_logits = Matrix::new(of_logits, rows, classes, classes);
        let inputs = Matrix::new(inputs, rows, hidden, stride);
        // A quantum has its own chain of multiply-adds; 256 rows are what the product takes for one anyway.
        for start in (0..rows).step_by(quantum) {
            let of_quantum = start..(start + quantum).min(rows);
            let into = MatrixMut::new(&mut *into, classes, hidden, weight_stride);
            let (a, b) = (of_logits.rows_of(of_quantum.clone()), inputs.rows_of(of_quantum));
            multiply(a.transposed(), b, into, adds);
            adds = true;
        }
    }

    /// Adds the gradient by the logits of some rows to sums of its columns, the gradient by the bias: in f64, so that
    /// the order does not matter much; row after row, so that it does not depend on chunks.
    ///
    /// # Panics
    /// If there is not a sum for each class.
    pub fn bias_gradient(&self, of_logits: &[E::Float], sums: &mut [f64]) {
        const COLUMNS: usize = 512;
        let classes = self.layer.classes;
        sums[..classes].par_chunks_mut(COLUMNS).enumerate().for_each(|(index, sums)| {
            let first = index * COLUMNS;
            for row in of_logits.chunks_exact(classes) {
                for (sum, &value) in sums.iter_mut().zip(&row[first..]) {
                    let value: f64 = value.into();
                    *sum += value;
                }
            }
        });
    }

    /// A sum of [`bias_gradient`](Self::bias_gradient), rounded to the format of the gradient.
    #[must_use]
    pub fn rounded(sum: f64) -> E::Float {
        <E::Float as Product>::rounded(sum)
    }

    /// The classes whose weights are converted together. All but the last tile are whole chains of the product over
    /// classes, so that the gradient of the inputs is the one without tiles.
    fn tiles(&self) -> impl Iterator<Item = Range<usize>> {
        let (classes, tile) = (self.layer.classes, self.tile);
        (0..classes).step_by(tile.max(1)).map(move |start| start..(start + tile).min(classes))
    }

    /// Converted weights of some classes.
    fn weights<'t>(
        &self,
        range: Range<usize>,
        scratch: &'t mut Vec<E::Float>,
    ) -> Result<Matrix<'t, E::Float>, Error> {
        let hidden = self.layer.hidden;
        fit(scratch, self.scratch(), E::Float::default());
        let places = scratch[..range.len() * hidden].par_chunks_exact_mut(hidden).with_min_len(16);
        places.zip(range.clone()).try_for_each(|(place, class)| {
            widen(self.level, self.layer.weights_of(class), place)
        })?;
        Ok(Matrix::new(scratch, range.len(), hidden, hidden))
    }
}
