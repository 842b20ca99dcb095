//! A block of rows: the values that differ from row to row, a kernel's results, and the arithmetic that a row needs
//! once, done for all rows of the block in parallel.

use super::coefficients::{
    Coefficients, Factors, LabelSums, Number, SoftSums, Terms, label_coefficients,
    soft_coefficients,
};
use super::row_buffers::RowBuffers;
use crate::dispatch::{Kernel, entries};
use crate::simd::Compute;
use crate::simd::{Simd, Vector, from, from_mut};

/// Rows of a block.
pub(crate) const ROWS: usize = 32;

/// Numbers of the rows of a block.
pub(crate) type OfRows<F> = [F; ROWS];

/// The values that differ from row to row, and the results.
pub(crate) struct RowBlock<F> {
    /// The class number of the label; negative if it is not a class.
    pub(crate) labels: OfRows<F>,
    /// The weight of the label.
    pub(crate) label_weights: OfRows<F>,
    /// The factor of dense targets.
    pub(crate) target_scales: OfRows<F>,
    pub(crate) loss_factors: OfRows<F>,
    pub(crate) gradient_factors: [f64; ROWS],
    /// The factor of the gradient, rounded.
    pub(crate) gradient_factors_rounded: OfRows<F>,
    /// One for a row with a loss; zero for a row whose gradient is zero whatever its logits.
    pub(crate) live: OfRows<F>,
    /// Whether all rows are live, and none is without labels.
    pub(crate) all_live: bool,
    /// Zero for a row that no kernel computes, whatever its logits; one for the others.
    pub(crate) regular: OfRows<F>,
    /// The largest of a teacher's logits; and the sum of their exponentials without it, with its rounding error.
    pub(crate) teacher_max: OfRows<F>,
    pub(crate) teacher_others: [OfRows<F>; 2],

    /// One if the largest logit is finite and the row regular; the kernel leaves the logits of other rows
    /// unchanged.
    pub(crate) finite: OfRows<F>,
    pub(crate) max: OfRows<F>,
    /// The number of the first class with that logit.
    pub(crate) largest_class: OfRows<F>,
    pub(crate) loss: OfRows<F>,
    pub(crate) log_sum_exp: OfRows<F>,
    /// The exponential of the label's logit; of rows with labels only.
    pub(crate) label_exp: OfRows<F>,
    /// `S`, in the unit of the exponentials.
    pub(crate) sum: OfRows<F>,
    /// `Σ q_c`.
    pub(crate) all_weights: OfRows<F>,
    /// `gradient_c = probability e_c - weight q_c`, except for the pivot, whose derivative is given.
    pub(crate) probability: OfRows<F>,
    pub(crate) weight: OfRows<F>,
    pub(crate) pivot_gradient: OfRows<F>,
}

impl<F: Compute> RowBlock<F> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        let (zeros, ones) = ([F::default(); ROWS], [F::from_count(1); ROWS]);
        Self {
            labels: [-F::from_count(1); ROWS],
            label_weights: ones,
            target_scales: ones,
            loss_factors: ones,
            gradient_factors: [1.0; ROWS],
            gradient_factors_rounded: ones,
            live: ones,
            all_live: true,
            regular: ones,
            teacher_max: zeros,
            teacher_others: [zeros; 2],
            finite: ones,
            max: zeros,
            largest_class: zeros,
            loss: zeros,
            log_sum_exp: zeros,
            label_exp: zeros,
            sum: ones,
            all_weights: zeros,
            probability: zeros,
            weight: zeros,
            pivot_gradient: zeros,
        }
    }

    /// Whether the kernel has computed all of the first rows.
    #[inline(always)]
    pub(crate) fn all_finite(&self, rows: usize) -> bool {
        let one = F::from_count(1);
        // Without an early exit: it is only a few comparisons of registers.
        self.finite.iter().take(rows).fold(true, |all, &finite| all & (finite == one))
    }

    /// Whether one of the first rows has NaN: among its logits, or as its loss.
    #[inline(always)]
    pub(crate) fn some_nan(&self, rows: usize) -> bool {
        let pairs = self.sum.iter().zip(&self.loss).take(rows);
        pairs.fold(false, |some, (sum, loss)| some | sum.is_nan() | loss.is_nan())
    }

    /// The coefficients of rows with labels: from their largest logit, the distance of the label's logit below it,
    /// its exponential, and the sum of the others.
    #[inline(always)]
    pub(crate) fn finish_labels<V: Vector<Scalar = F>>(
        &self,
        token: V::Token,
        at: usize,
        max: V,
        [label_distance, label_exp, others]: [V; 3],
        terms: Terms,
    ) -> Coefficients<V> {
        let zero = V::of(token, 0.0);
        let label_weight = V::load(token, from(&self.label_weights, at), zero);
        let factors = Factors {
            loss: V::load(token, from(&self.loss_factors, at), zero),
            gradient: V::load(token, from(&self.gradient_factors_rounded, at), zero),
        };
        let sums = LabelSums { max, label_distance, label_exp, others, label_weight };
        label_coefficients(token, sums, terms, factors)
    }

    /// Stores the results of a register of rows.
    #[inline(always)]
    pub(crate) fn put<V: Vector<Scalar = F>>(&mut self, at: usize, coefficients: &Coefficients<V>) {
        coefficients.loss.store(from_mut(&mut self.loss, at));
        coefficients.log_sum_exp.store(from_mut(&mut self.log_sum_exp, at));
        coefficients.sum.store(from_mut(&mut self.sum, at));
    }
}

/// The sums of a block's rows, each with its rounding error.
pub(crate) struct BlockSums<F> {
    pub(crate) others: [OfRows<F>; 2],
    pub(crate) pivot_weight: OfRows<F>,
    pub(crate) weights: [OfRows<F>; 2],
    pub(crate) gradient_pivot_weight: OfRows<F>,
    pub(crate) gradient_weights: [OfRows<F>; 2],
    /// Two finite logits may be further apart than the largest float, so these are half distances.
    pub(crate) half_distances: [OfRows<F>; 2],
}

impl<F: Compute> BlockSums<F> {
    pub(crate) fn new() -> Self {
        let zeros = [F::default(); ROWS];
        Self {
            others: [zeros; 2],
            pivot_weight: zeros,
            weights: [zeros; 2],
            gradient_pivot_weight: zeros,
            gradient_weights: [zeros; 2],
            half_distances: [zeros; 2],
        }
    }
}

/// A sum with its rounding error, times a power of two.
#[inline(always)]
fn in_full<F: Compute>([high, low]: &[OfRows<F>; 2], factor: f64) -> [f64; ROWS] {
    let mut all = [0.0; ROWS];
    for ((all, high), low) in all.iter_mut().zip(high).zip(low) {
        let (high, low) = (high.to_f64(), low.to_f64());
        // Once the sum is infinite, its rounding error is NaN.
        *all = if high.is_finite() { high + low } else { high } * factor;
    }
    all
}

#[inline(always)]
fn wide<F: Compute>(numbers: &OfRows<F>, factor: f64) -> [f64; ROWS] {
    let mut all = [0.0; ROWS];
    for (all, number) in all.iter_mut().zip(numbers) {
        *all = number.to_f64() * factor;
    }
    all
}

#[inline(always)]
fn narrow<F: Compute>(numbers: &[f64; ROWS], factor: f64, into: &mut OfRows<F>) {
    for (into, number) in into.iter_mut().zip(numbers) {
        *into = F::from_f64(number * factor);
    }
}

/// The arithmetic that rows with a weight for every class need once. It is done in f64, because the terms of a
/// difference must not lose digits.
pub(crate) struct FinishSoft<'a, F> {
    pub(crate) block: &'a mut RowBlock<F>,
    pub(crate) sums: &'a BlockSums<F>,
    /// The unit of distances.
    pub(crate) unit: f64,
    pub(crate) z_loss: f64,
    /// Whether the gradient uses other weights than the loss.
    pub(crate) own_gradient_weights: bool,
    /// Whether the weights come from a teacher's logits.
    pub(crate) has_teacher: bool,
}

impl<F: Compute> Kernel for FinishSoft<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { block, sums, unit, z_loss, own_gradient_weights, has_teacher } = self;
        let zero = S::F64::of(simd, 0.0);
        let max = wide(&block.max, unit);
        let others = in_full(&sums.others, F::UNSCALE);
        let pivot_weight = wide(&sums.pivot_weight, 1.0);
        let weights = in_full(&sums.weights, 1.0);
        let (of_gradient, pivot_of_gradient) = if own_gradient_weights {
            (in_full(&sums.gradient_weights, 1.0), wide(&sums.gradient_pivot_weight, 1.0))
        } else {
            (weights, pivot_weight)
        };
        let distances = in_full(&sums.half_distances, 2.0);
        let teacher = in_full(&block.teacher_others, F::UNSCALE);
        let loss_factors = wide(&block.loss_factors, 1.0);
        let mut results = [[0.0; ROWS]; 7];
        for at in (0..ROWS).step_by(S::F64::LANES) {
            let mut target_ln_sum = zero;
            if has_teacher {
                let others = S::F64::load(simd, from(&teacher, at), zero);
                target_ln_sum = Number::ln_1p(simd, others);
            }
            let sums = SoftSums {
                max: S::F64::load(simd, from(&max, at), zero),
                others: S::F64::load(simd, from(&others, at), zero),
                pivot_weight: S::F64::load(simd, from(&pivot_weight, at), zero),
                weights: S::F64::load(simd, from(&weights, at), zero),
                gradient_pivot_weight: S::F64::load(simd, from(&pivot_of_gradient, at), zero),
                gradient_weights: S::F64::load(simd, from(&of_gradient, at), zero),
                distances: S::F64::load(simd, from(&distances, at), zero),
                target_ln_sum,
            };
            let factors = Factors {
                loss: S::F64::load(simd, from(&loss_factors, at), zero),
                gradient: S::F64::load(simd, from(&block.gradient_factors, at), zero),
            };
            let coefficients = soft_coefficients(simd, sums, z_loss, factors);
            coefficients.loss.store(from_mut(&mut results[0], at));
            coefficients.log_sum_exp.store(from_mut(&mut results[1], at));
            coefficients.sum.store(from_mut(&mut results[2], at));
            coefficients.probability.store(from_mut(&mut results[3], at));
            coefficients.weight.store(from_mut(&mut results[4], at));
            coefficients.pivot.store(from_mut(&mut results[5], at));
            (sums.weights + sums.pivot_weight).store(from_mut(&mut results[6], at));
        }
        let [loss, log_sum_exp, sum, probability, weight, pivot, all] = &results;
        narrow(loss, 1.0, &mut block.loss);
        narrow(log_sum_exp, 1.0, &mut block.log_sum_exp);
        narrow(sum, F::SCALE, &mut block.sum);
        narrow(probability, F::UNSCALE, &mut block.probability);
        narrow(weight, 1.0, &mut block.weight);
        narrow(pivot, 1.0, &mut block.pivot_gradient);
        narrow(all, 1.0, &mut block.all_weights);
    }

    entries!();
}

/// Supplies a kernel with rows, block by block, and takes their results.
pub(crate) trait RowSupply<F: Compute> {
    /// Fills in the blocks of the rows from `first` on, and prepares their targets.
    fn fill(&mut self, blocks: &mut [RowBlock<F>], first: usize, rows: usize);

    /// The targets of the rows that were filled in last.
    fn targets(&self) -> BlockTargets<'_, F>;

    /// Takes the results of these rows, if all are wanted or one row is not [`finite`](RowBlock::finite): then its
    /// gradient has not been written, and its loss must be filled in.
    fn finish(
        &mut self,
        blocks: &mut [RowBlock<F>],
        first: usize,
        rows: usize,
        buffers: &mut RowBuffers<'_, F>,
    );

    /// The place of second derivatives, in the order of the logits without a stride.
    fn hessian(&mut self) -> &mut [F] {
        &mut []
    }

    /// Writes the second derivatives of computed rows; with `stored`, the exponentials are in the place of the
    /// gradient.
    fn put_second(
        &mut self,
        _finished: (&RowBlock<F>, &BlockSums<F>),
        _first: usize,
        _rows: usize,
        _buffers: &RowBuffers<'_, F>,
        _kept: bool,
    ) {
    }
}

/// The targets of the rows of a block.
#[derive(Clone, Copy)]
pub(crate) enum BlockTargets<'a, F> {
    /// The label of each row; the pivot.
    Labels,
    /// None: the class of the largest logit is the pivot.
    Nothing,
    /// A weight for every class; the class of the largest logit is the pivot.
    Soft(SoftTargets<'a, F>),
    /// The sources of such weights.
    Raw(RawTargets<'a, F>),
}

/// Weights of all classes for some rows, in the form that kernels need. With a stride of zero, all rows have the
/// same.
#[derive(Clone, Copy)]
pub(crate) struct SoftTargets<'a, F> {
    /// `q_c`.
    pub(crate) weights: &'a [F],
    pub(crate) stride: usize,
    /// Logits of a teacher that the weights come from; empty if there are none.
    pub(crate) teacher: &'a [F],
    pub(crate) teacher_stride: usize,
    /// For another gradient: its target for every weight that is not zero, the
    /// [`target_scales`](RowBlock::target_scales).
    pub(crate) own_gradient: bool,
}

/// The sources of the weights of all classes, for all rows of a kernel.
#[derive(Clone, Copy)]
pub(crate) struct RawTargets<'a, F> {
    /// Dense targets or the logits of a teacher, in the order of the logits; empty if there are none.
    pub(crate) dense: &'a [F],
    /// The additional weight of each class.
    pub(crate) smoothing_per_class: F,
    /// A factor for each class; ones if empty.
    pub(crate) class_weights: &'a [F],
    /// Whether the label has an additional weight.
    pub(crate) labels: bool,
    /// Whether the targets are the logits of a teacher.
    pub(crate) is_teacher: bool,
    /// Whether dense targets are divided by the number of those in the row that are not zero.
    pub(crate) multi_label: Option<SharedLabels>,
    /// As [`SoftTargets::own_gradient`].
    pub(crate) own_gradient: bool,
}

/// How the labels of a row share its weight.
#[derive(Clone, Copy)]
pub(crate) struct SharedLabels {
    /// The weight that they share.
    pub(crate) all: f64,
    /// Whether a row without a label is NaN instead of zero.
    pub(crate) empty_is_nan: bool,
}

impl<F: Compute> RowBlock<F> {
    /// Fills in the target scales of rows, from the number of labels of each.
    #[inline(always)]
    pub(crate) fn share_labels(&mut self, at: usize, counts: &[F], labels: SharedLabels) {
        let mut some_empty = false;
        for (scale, &count) in from_mut(&mut self.target_scales, at).iter_mut().zip(counts) {
            *scale = F::from_f64(labels.all / count.to_f64());
            some_empty |= count == F::default();
        }
        if some_empty {
            self.without_labels(at, counts, labels);
        }
    }

    /// Rows without a label have no loss, or NaN as their loss.
    #[cold]
    #[inline(never)]
    fn without_labels(&mut self, at: usize, counts: &[F], labels: SharedLabels) {
        for (row, &count) in (at..).zip(counts).take(ROWS - at) {
            if count != F::default() || self.live[row] == F::default() {
                continue;
            }
            let value = if labels.empty_is_nan { f64::NAN } else { 0.0 };
            self.target_scales[row] = F::default();
            self.loss_factors[row] = F::from_f64(value);
            self.gradient_factors[row] = value;
            self.gradient_factors_rounded[row] = F::from_f64(value);
            self.all_live = false;
            if !labels.empty_is_nan {
                self.live[row] = F::default();
            }
        }
    }
}
