//! The factors of a block of rows whose labels may be ignored, or that have weights.

use super::block::{ROWS, RowBlock};
use crate::dispatch::{Kernel, entries};
use crate::simd::{Compute, Simd};

/// Fills in which rows are live, and the factors of their losses and gradients.
pub(crate) struct RowFactors<'a, F> {
    pub(crate) block: &'a mut RowBlock<F>,
    /// The number of rows of the block; the values of the others do not matter.
    pub(crate) rows: usize,
    /// Whether rows with a negative label are ignored.
    pub(crate) ignores: bool,
    /// One for each row from the first of the block on; ones if empty.
    pub(crate) sample_weights: &'a [F],
    pub(crate) upstream: &'a [F],
    /// A factor of all gradients.
    pub(crate) scale: f64,
    /// The temperature of a teacher; one without a teacher.
    pub(crate) temperature: f64,
    /// Whether the weight of the label is a factor of the loss.
    pub(crate) is_label_all: bool,
}

impl<F: Compute> Kernel for RowFactors<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self {
            block,
            rows,
            ignores,
            sample_weights,
            upstream,
            scale,
            temperature,
            is_label_all,
        } = self;
        let (zero, one) = (F::default(), F::from_count(1));
        block.live = [one; ROWS];
        if ignores {
            // Whole arrays, without a remainder loop: the labels of other rows do not matter.
            for (live, label) in block.live.iter_mut().zip(&mut block.labels) {
                let is_ignored = *label < zero;
                // Any class: it has no effect.
                *live = if is_ignored { zero } else { one };
                *label = if is_ignored { zero } else { *label };
            }
        }
        let weights = of_block(sample_weights, one);
        let upstream = of_block(upstream, one);
        for row in 0..ROWS {
            let live = if weights[row] == zero { zero } else { block.live[row] };
            let factor = if live == zero { 0.0 } else { weights[row].to_f64() };
            // A label of weight zero gives zero, whatever the other factors.
            let none = is_label_all & (block.label_weights[row] == F::default());
            let upstream = if none { 1.0 } else { upstream[row].to_f64() };
            let gradient = factor * scale * upstream * temperature;
            let gradient = if live == zero { 0.0 } else { gradient };
            block.live[row] = live;
            block.loss_factors[row] = F::from_f64(factor * (temperature * temperature));
            block.gradient_factors[row] = gradient;
            block.gradient_factors_rounded[row] = F::from_f64(gradient);
        }
        let of_rows = block.live.iter().take(rows.min(ROWS));
        block.all_live = of_rows.fold(true, |all, &live| all & (live == one));
    }

    entries!();
}

/// The first numbers of a slice, as many as a block has rows.
#[inline(always)]
fn of_block<F: Compute>(from: &[F], fill: F) -> [F; ROWS] {
    if let Some(whole) = from.first_chunk() {
        return *whole;
    }
    let mut all = [fill; ROWS];
    for (to, &from) in all.iter_mut().zip(from) {
        *to = from;
    }
    all
}
