//! The evaluation of a classifier row by row, in a few words of memory.

use core::ops::AddAssign;

use crate::error::Error;
use crate::kernel::sum::ExactSum;
use crate::losses::{Float, RowEvaluation, evaluate_row};

/// The mean loss and the accuracy of rows that come one after the other: for firmware, which has neither the
/// whole batch nor a place for gradients.
///
/// Losses are added up in the format of the logits, with compensation: the mean of a million rows is as exact as
/// that of ten. A row that is not finite makes the mean infinite or NaN, as in a batch;
/// [`not_finite`](Self::not_finite) counts such rows, [`first_not_finite`](Self::first_not_finite) says where to
/// look. (The mean is infinite, too, if the label of a finite row is a class of `-inf`.) For rows that have no part in
/// it (padding, say) call nothing.
///
/// ```
/// use xent_core::Evaluation;
///
/// let (logits, labels) = ([2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32], [0, 2]);
/// let mut evaluation = Evaluation::new();
/// for (row, &label) in logits.chunks_exact(3).zip(&labels) {
///     evaluation.add_row(row, label)?;
/// }
/// assert!((evaluation.mean() - 1.7512646).abs() < 1e-6);
/// assert_eq!((evaluation.accuracy(), evaluation.correct(), evaluation.rows()), (0.5, 1, 2));
/// # Ok::<(), xent_core::Error>(())
/// ```
///
/// For the mean of the finite rows and the number of the others, two of them:
///
/// ```
/// use xent_core::{Evaluation, evaluate_row};
///
/// let (mut all, mut finite) = (Evaluation::new(), Evaluation::new());
/// for logits in [[0.0, 0.0_f32], [f32::NAN, 0.0]] {
///     let row = evaluate_row(&logits, 1)?;
///     all.add(&row);
///     if row.is_finite {
///         finite.add(&row);
///     }
/// }
/// assert_eq!((finite.mean(), all.not_finite()), (core::f32::consts::LN_2, 1));
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation<F = f32> {
    sum: ExactSum<F>,
    rows: usize,
    correct: usize,
    not_finite: usize,
    first_not_finite: Option<usize>,
}

impl<F: Float> Evaluation<F> {
    /// Of no rows yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row of at most 32 logits with its label, and returns what it says.
    ///
    /// # Errors
    /// As [`evaluate_row`]; nothing is added then.
    pub fn add_row(&mut self, logits: &[F], label: usize) -> Result<RowEvaluation<F>, Error> {
        let row = evaluate_row(logits, label)?;
        self.add(&row);
        Ok(row)
    }

    /// Adds a row that [`evaluate_row`] has looked at.
    pub fn add(&mut self, row: &RowEvaluation<F>) {
        self.sum += row.loss;
        self.correct += usize::from(row.is_right);
        if !row.is_finite {
            self.not_finite += 1;
            self.first_not_finite = self.first_not_finite.or(Some(self.rows));
        }
        self.rows += 1;
    }

    /// The mean of the losses, in nats; NaN without rows. Within 2 ULP of the mean of the losses as they were
    /// added (for fewer than 2^24 rows of f32).
    #[must_use]
    pub fn mean(&self) -> F {
        self.sum.total() / F::from_count(self.rows)
    }

    /// The share of the rows whose predicted class is their label; NaN without rows. A row that is not finite is right
    /// if its first NaN or, without one, its first `+inf` is at its label.
    #[must_use]
    pub fn accuracy(&self) -> F {
        F::from_count(self.correct) / F::from_count(self.rows)
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many of them have their label predicted.
    #[must_use]
    pub fn correct(&self) -> usize {
        self.correct
    }

    /// How many have no softmax: with a logit that is NaN or `+inf`, or with no finite one.
    #[must_use]
    pub fn not_finite(&self) -> usize {
        self.not_finite
    }

    /// The first of these, counted from zero in the order in which rows were added.
    #[must_use]
    pub fn first_not_finite(&self) -> Option<usize> {
        self.first_not_finite
    }
}

/// Of rows that follow: what is added comes after what is there.
impl<F: Float> AddAssign for Evaluation<F> {
    fn add_assign(&mut self, other: Self) {
        self.sum += other.sum;
        let first = other.first_not_finite.map(|row| self.rows + row);
        self.first_not_finite = self.first_not_finite.or(first);
        self.rows += other.rows;
        self.correct += other.correct;
        self.not_finite += other.not_finite;
    }
}
