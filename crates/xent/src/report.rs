//! The results of a pass over a batch, and their totals over several batches.

use core::ops::AddAssign;

use xent_core::reduction::Policy;
use xent_core::{BatchCounts, RunningSum};

use crate::Error;

/// The results of a pass over a batch, or their total over several batches.
///
/// Reports can be added: `epoch += report` gives the report of all batches together, as if they were one. Its mean
/// is the sum of all losses divided by the sum of the means' divisors, so batches count according to their sizes,
/// weights and ignored labels. (A mean of means would not.)
///
#[cfg_attr(
    feature = "alloc",
    doc = r"
```
use xent::{Report, SoftmaxCrossEntropy};

let loss = SoftmaxCrossEntropy::new().with_class_weights([1.0, 3.0])?.with_ignore_index(-1);
let (x, labels) = ([2.0, 1.0, 0.0, 3.0, 1.0, 1.5_f32], [0_i64, 1, -1]);
let mut grad = [0.0; 6];
let whole = loss.train((&x, 2), &labels, &mut grad)?;

let mut epoch = Report::default();
epoch += loss.train((&x[..2], 2), &labels[..1], &mut grad[..2])?;
epoch += loss.train((&x[2..], 2), &labels[1..], &mut grad[2..])?;
assert!((epoch.loss - whole.loss).abs() < 1e-15);
assert_eq!((epoch.accuracy(), epoch.correct, epoch.rows), (1.0, Some(2), 3));
# Ok::<(), xent::Error>(())
```
"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The reduced loss: the mean or the sum. With [`Reduction::None`](crate::Reduction::None), which keeps a loss
    /// for each row, their sum. Zero for a total without batches.
    pub loss: f64,
    /// The mean by [`MeanOver`](crate::MeanOver), whatever the reduction: e to it is the perplexity. `None` for a
    /// mean over nothing.
    pub mean_loss: Option<f64>,
    /// The number of rows.
    pub rows: usize,
    /// The number of rows that are not ignored and have a target, whatever their weight.
    pub valid_rows: usize,
    /// The divisor of the sum of the losses: one without a mean.
    pub denominator: f64,
    /// The number of rows that are not ignored and whose predicted class is their label, if [`Pass::predicted`] or
    /// [`Pass::count_correct`] asked for it and the loss is a softmax with labels. Otherwise `None`, and also for a
    /// total if a part has none. Sample weights do not matter. A row with NaN is right if its first NaN is at its
    /// label, as it is predicted to be of that class.
    ///
    /// [`Pass::predicted`]: crate::Pass::predicted
    /// [`Pass::count_correct`]: crate::Pass::count_correct
    pub correct: Option<usize>,
    /// The rows whose logits have no softmax (or whose elements have no loss), to help find the cause.
    pub not_finite: NotFinite,
    /// The number of probabilities that count and were clamped: those of labels below 1e-20
    /// ([`MultinomialLogistic`](crate::MultinomialLogistic)), and those whose logarithm would be below -100
    /// ([`LogisticLoss`](crate::LogisticLoss)).
    pub clamped: usize,
    /// The parts that it was computed from; none for a total without batches.
    policy: Option<Policy>,
    counts: BatchCounts,
    sum: RunningSum,
    /// The weights of the right rows, and of all rows that are not ignored.
    right: RunningSum,
    judged: RunningSum,
}

/// Rows that are not ignored and have a logit that is NaN or `+inf`, or no finite one. Rows with some `-inf`, which
/// are masked classes, do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotFinite {
    /// The number of such rows.
    pub rows: usize,
    /// The first such row; in a total, counted from the first row of the first batch.
    pub first: Option<usize>,
}

impl Report {
    /// The report of a batch with this sum of losses.
    pub(crate) fn of(policy: Policy, counts: BatchCounts, sum: f64) -> Self {
        let mut report = Self { policy: Some(policy), counts, ..Self::default() };
        report.sum += sum;
        report.reduce(policy, sum);
        report
    }

    fn reduce(&mut self, policy: Policy, sum: f64) {
        self.rows = self.counts.rows;
        self.valid_rows = self.counts.valid_rows;
        if let Some(division) = policy.division(&self.counts) {
            self.loss = division.loss(sum).unwrap_or(sum);
            self.mean_loss = division.mean(sum);
            self.denominator = division.divisor();
        }
    }

    /// Fills in the number of right rows, their weights, and the weights of all rows.
    pub(crate) fn judge(&mut self, correct: usize, [right, all]: [f64; 2]) {
        self.correct = Some(correct);
        self.right += right;
        self.judged += all;
    }

    /// The share of rows whose predicted class is their label, each row with its sample weight: `Σ v [right] / Σ v`
    /// over the rows that are not ignored. NaN if [`correct`](Self::correct) is `None` (for sigmoid losses, dense
    /// targets, and in a sum with a report without that count), or if the sum of the weights is not positive.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let all = self.judged.total();
        if self.correct.is_some() && all > 0.0 { self.right.total() / all } else { f64::NAN }
    }

    /// Adds the report of another batch, whose rows follow: like `+=`, but without a panic.
    ///
    /// # Errors
    /// [`Error::MixedReductions`] if their [`Policy`] differs; nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let (Some(policy), Some(of_other)) = (self.policy, other.policy) else {
            if self.policy.is_none() {
                *self = *other;
            }
            return Ok(());
        };
        if policy != of_other {
            return Err(Error::MixedReductions);
        }
        let first = other.not_finite.first.map(|row| self.rows + row);
        self.not_finite.first = self.not_finite.first.or(first);
        self.not_finite.rows += other.not_finite.rows;
        self.clamped += other.clamped;
        self.correct = self.correct.zip(other.correct).map(|(a, b)| a + b);
        self.right += other.right;
        self.judged += other.judged;
        self.sum += other.sum;
        self.counts += other.counts;
        self.reduce(policy, self.sum.total());
        Ok(())
    }
}

/// The total of a batch and those before it.
///
/// # Panics
/// If their reductions (their [`Policy`]) differ, since the total would be neither a mean nor a sum;
/// [`merge`](Report::merge) returns an error instead.
impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        if let Err(error) = self.merge(&other) {
            panic!("{error}");
        }
    }
}
