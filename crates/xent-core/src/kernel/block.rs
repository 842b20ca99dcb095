//! A block of rows: what differs from row to row, what a kernel finds, and the arithmetic that a row needs
//! once, for all rows of the block side by side.

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

/// What differs from row to row, and what becomes of it.
pub(crate) struct RowBlock<F> {
    /// The class of the label, as a number; of no class if negative.
    pub(crate) labels: OfRows<F>,
    /// The weight of the label.
    pub(crate) label_weights: OfRows<F>,
    /// What dense targets are multiplied with.
    pub(crate) target_scales: OfRows<F>,
    pub(crate) loss_factors: OfRows<F>,
    pub(crate) gradient_factors: [f64; ROWS],
    /// The same, rounded.
    pub(crate) gradient_factors_rounded: OfRows<F>,
    /// One for a row with a loss; zero for one whose gradient is zero whatever its logits.
    pub(crate) live: OfRows<F>,
    /// Whether all of them are.
    pub(crate) all_live: bool,
    /// Zero for a row that no kernel handles, whatever its logits; one for the others.
    pub(crate) regular: OfRows<F>,
    /// The largest of the logits of a teacher; and what their exponentials add up to without it, with what
    /// the sum lost.
    pub(crate) teacher_max: OfRows<F>,
    pub(crate) teacher_others: [OfRows<F>; 2],

    /// One where the largest logit is finite, and the row regular; the kernel leaves the logits of the
    /// other rows as they are.
    pub(crate) finite: OfRows<F>,
    pub(crate) max: OfRows<F>,
    /// The first class with that logit, as a number.
    pub(crate) largest_class: OfRows<F>,
    pub(crate) loss: OfRows<F>,
    pub(crate) log_sum_exp: OfRows<F>,
    /// `S`, in the unit of the exponentials.
    pub(crate) sum: OfRows<F>,
    /// `Σ q_c`.
    pub(crate) all_weights: OfRows<F>,
    /// `gradient_c = probability e_c - weight q_c`, but for the pivot, whose gradient is given.
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
            sum: ones,
            all_weights: zeros,
            probability: zeros,
            weight: zeros,
            pivot_gradient: zeros,
        }
    }

    /// Whether the kernel has finished all of the first rows.
    #[inline(always)]
    pub(crate) fn all_finite(&self, rows: usize) -> bool {
        let one = F::from_count(1);
        // Without an early exit: a few comparisons of registers.
        self.finite.iter().take(rows).fold(true, |all, &finite| all & (finite == one))
    }

    /// Whether some of the first rows have NaN: among their logits, or for their loss.
    #[inline(always)]
    pub(crate) fn some_nan(&self, rows: usize) -> bool {
        let pairs = self.sum.iter().zip(&self.loss).take(rows);
        pairs.fold(false, |some, (sum, loss)| some | sum.is_nan() | loss.is_nan())
    }

    /// The coefficients of rows that are compared with labels: from their largest logit, how far the
    /// label's is below it, its exponential, and the sum of the others.
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

    /// Keeps the results of a register of rows.
    #[inline(always)]
    pub(crate) fn put<V: Vector<Scalar = F>>(&mut self, at: usize, coefficients: &Coefficients<V>) {
        coefficients.loss.store(from_mut(&mut self.loss, at));
        coefficients.log_sum_exp.store(from_mut(&mut self.log_sum_exp, at));
        coefficients.sum.store(from_mut(&mut self.sum, at));
    }
}

/// What the rows of a block add up to, with what each sum lost.
pub(crate) struct BlockSums<F> {
    pub(crate) others: [OfRows<F>; 2],
    pub(crate) pivot_weight: OfRows<F>,
    pub(crate) weights: [OfRows<F>; 2],
    pub(crate) gradient_pivot_weight: OfRows<F>,
    pub(crate) gradient_weights: [OfRows<F>; 2],
    /// Two finite logits may be further apart than the largest float: half of the distances.
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

/// A sum with what it lost, times a power of two.
#[inline(always)]
fn in_full<F: Compute>([high, low]: &[OfRows<F>; 2], factor: f64) -> [f64; ROWS] {
    let mut all = [0.0; ROWS];
    for ((all, high), low) in all.iter_mut().zip(high).zip(low) {
        let (high, low) = (high.to_f64(), low.to_f64());
        // Once the sum is infinite, what it lost is not a number.
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

/// The arithmetic that rows with a weight for every class need once. What a difference is made of has no
/// digits to spare: it is done in f64.
pub(crate) struct FinishSoft<'a, F> {
    pub(crate) block: &'a mut RowBlock<F>,
    pub(crate) sums: &'a BlockSums<F>,
    /// The unit of distances.
    pub(crate) unit: f64,
    pub(crate) z_loss: f64,
    /// Whether the gradient is made of other weights than the loss.
    pub(crate) own_gradient_weights: bool,
    /// Whether the weights were made of a teacher's logits.
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

/// Who brings the rows of a kernel block by block, and takes what is known of them.
pub(crate) trait RowSupply<F: Compute> {
    /// Fills in the blocks of the rows from `first` on, and makes their targets ready.
    fn fill(&mut self, blocks: &mut [RowBlock<F>], first: usize, rows: usize);

    /// What the rows that have been filled in last are compared with.
    fn targets(&self) -> BlockTargets<'_, F>;

    /// Takes the results of these rows, if all are wanted or one of them is not
    /// [`finite`](RowBlock::finite): then its gradient has not been written, and its loss is to be filled
    /// in.
    fn finish(
        &mut self,
        blocks: &mut [RowBlock<F>],
        first: usize,
        rows: usize,
        buffers: &mut RowBuffers<'_, F>,
    );

    /// The place of second derivatives, where the logits are without a stride.
    fn hessian(&mut self) -> &mut [F] {
        &mut []
    }

    /// Puts the second derivatives of rows that have been finished; the exponentials are in the place of the
    /// gradient if they are `stored`.
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

/// What the rows of a block are compared with.
#[derive(Clone, Copy)]
pub(crate) enum BlockTargets<'a, F> {
    /// The label of each row; the pivot.
    Labels,
    /// Nothing: the class of the largest logit is the pivot.
    Nothing,
    /// A weight for every class; the class of the largest logit is the pivot.
    Soft(SoftTargets<'a, F>),
    /// What such weights are to be made of.
    Raw(RawTargets<'a, F>),
}

/// Weights for all classes of some rows. As a kernel needs them: with a stride of zero all rows have the
/// same.
#[derive(Clone, Copy)]
pub(crate) struct SoftTargets<'a, F> {
    /// `q_c`.
    pub(crate) weights: &'a [F],
    pub(crate) stride: usize,
    /// Logits of a teacher, which the weights were made of; none if empty.
    pub(crate) teacher: &'a [F],
    pub(crate) teacher_stride: usize,
    /// What the gradient has in place of any weight but zero, if that is something else: the
    /// [`target_scales`](RowBlock::target_scales).
    pub(crate) own_gradient: bool,
}

/// What the weights of all classes are made of, for all rows of a kernel.
#[derive(Clone, Copy)]
pub(crate) struct RawTargets<'a, F> {
    /// Dense targets or the logits of a teacher, where the logits are; none if empty.
    pub(crate) dense: &'a [F],
    /// What each class has beside them.
    pub(crate) smoothing_per_class: F,
    /// A factor for each class; ones if empty.
    pub(crate) class_weights: &'a [F],
    /// Whether the label has its weight beside all of that.
    pub(crate) labels: bool,
    /// Whether the targets are the logits of a teacher.
    pub(crate) is_teacher: bool,
    /// Whether dense targets are divided by the number of those of a row that are not zero.
    pub(crate) multi_label: Option<SharedLabels>,
    /// As [`SoftTargets::own_gradient`].
    pub(crate) own_gradient: bool,
}

/// How the labels of a row share its weight.
#[derive(Clone, Copy)]
pub(crate) struct SharedLabels {
    /// What they share.
    pub(crate) all: f64,
    /// Whether a row without a label is NaN instead of zero.
    pub(crate) empty_is_nan: bool,
}

impl<F: Compute> RowBlock<F> {
    /// Fills in the scales of the targets of rows from the number of labels that each has.
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

    /// Rows without a label have no loss, or NaN for it.
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
            if !labels.empty_is_nan {
                self.live[row] = F::default();
                self.all_live = false;
            }
        }
    }
}
