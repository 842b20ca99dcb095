//! The fused losses, as batches.

use crate::batch::{Batch, LEAF};
use crate::buffers::{Buffers, Labels};
use crate::dispatch::Kernel;
use crate::error::{Error, check_length};
use crate::kernel::memory::{InPlace, LossOnly, Memory, OutOfPlace};
use crate::kernel::targets::{Dense, Index, Targets};
use crate::kernel::{narrow, sigmoid, softmax};
use crate::level::Level;
use crate::simd::Simd;

/// What the softmax of each row is compared with.
#[derive(Clone, Copy, Debug)]
pub enum SoftmaxTargets<'a> {
    /// The index of the one right class of each row.
    Index(Labels<'a>),
    /// A non-negative weight for every class of every row, as long as the logits. The weights of a
    /// row need not sum to one.
    Dense(&'a [f32]),
}

/// Softmax cross-entropy of a batch of rows, with its gradient.
///
/// For logits `x` and target weights `q` (one-hot for an index) the loss of a row is
/// `Σ q_c (ln Σ e^x - x_c)` and its gradient `(Σ q) softmax(x)_c - q_c`. Both are within 4 ULP,
/// plus one for each unit of distance between `x_c` and the row's maximum, whose exponential's
/// argument was itself rounded; also where a confident row's loss is as small as 1e-40.
///
/// A row with NaN has NaN for its loss and gradient. A logit of `-inf` is a class that is absent:
/// its gradient is exactly zero. A single `+inf` has all of the probability. No row affects another.
///
/// ```
/// use xent_core::{Batch, Buffers, Level, SoftmaxBatch, SoftmaxTargets};
///
/// let logits = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
/// let mut gradient = [0.0; 6];
/// let sum = SoftmaxBatch::new(
///     Buffers::Gradient(&logits, &mut gradient),
///     3,
///     SoftmaxTargets::Index((&[0_u8, 1]).into()),
/// )?
/// .run(Level::detect());
/// assert!((sum - (0.407606 + 0.094923)).abs() < 1e-5);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SoftmaxBatch<'a> {
    buffers: Buffers<'a>,
    classes: usize,
    targets: SoftmaxTargets<'a>,
    scale: f64,
    losses: &'a mut [f32],
}

impl<'a> SoftmaxBatch<'a> {
    /// Checks all lengths and labels; nothing can go wrong afterwards.
    ///
    /// # Errors
    /// [`Error::ZeroClasses`], [`Error::Ragged`], [`Error::Length`] or [`Error::Label`].
    pub fn new(
        buffers: Buffers<'a>,
        classes: usize,
        targets: SoftmaxTargets<'a>,
    ) -> Result<Self, Error> {
        if classes == 0 {
            return Err(Error::ZeroClasses);
        }
        let found = buffers.len();
        if !found.is_multiple_of(classes) {
            return Err(Error::Ragged { found, classes });
        }
        buffers.check()?;
        match &targets {
            SoftmaxTargets::Index(labels) => {
                check_length("labels", found / classes, labels.len())?;
                labels.check(classes)?;
            }
            SoftmaxTargets::Dense(weights) => check_length("targets", found, weights.len())?,
        }
        Ok(Self { buffers, classes, targets, scale: 1.0, losses: &mut [] })
    }

    /// Multiplies the gradient (not the loss): by one over the rows for a mean.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// Also writes the loss of every row.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one place for each row.
    pub fn with_losses(mut self, losses: &'a mut [f32]) -> Result<Self, Error> {
        check_length("losses", self.rows(), losses.len())?;
        self.losses = losses;
        Ok(self)
    }
}

impl Batch for SoftmaxBatch<'_> {
    fn rows(&self) -> usize {
        self.buffers.len() / self.classes
    }

    fn rows_per_leaf(&self) -> usize {
        (LEAF / self.classes).max(1)
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let Self { buffers, classes, targets, scale, losses } = self;
        let (buffers_a, buffers_b) = buffers.split_at(row * classes);
        let (targets_a, targets_b) = match targets {
            SoftmaxTargets::Index(labels) => {
                let (a, b) = labels.split_at(row);
                (SoftmaxTargets::Index(a), SoftmaxTargets::Index(b))
            }
            SoftmaxTargets::Dense(weights) => {
                let (a, b) = weights.split_at(row * classes);
                (SoftmaxTargets::Dense(a), SoftmaxTargets::Dense(b))
            }
        };
        let (losses_a, losses_b) = losses.split_at_mut(row.min(losses.len()));
        (
            Self { buffers: buffers_a, classes, targets: targets_a, scale, losses: losses_a },
            Self { buffers: buffers_b, classes, targets: targets_b, scale, losses: losses_b },
        )
    }

    fn run_leaf(self, level: Level) -> f64 {
        level.run(self)
    }
}

impl Kernel for SoftmaxBatch<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Self { buffers, classes, targets, scale, losses } = self;
        let rest = Rest { classes, targets, scale, losses };
        match buffers {
            Buffers::Loss(x) => rest.rows(simd, LossOnly(x)),
            Buffers::Gradient(x, gradient) => rest.rows(simd, OutOfPlace(x, gradient)),
            Buffers::InPlace(x) => rest.rows(simd, InPlace(x)),
        }
    }
}

/// A softmax batch without its buffers.
struct Rest<'a> {
    classes: usize,
    targets: SoftmaxTargets<'a>,
    scale: f64,
    losses: &'a mut [f32],
}

impl Rest<'_> {
    #[inline(always)]
    fn rows<S: Simd, M: Memory>(self, simd: S, memory: M) -> f64 {
        let classes = self.classes;
        match self.targets {
            SoftmaxTargets::Index(labels) => {
                self.rows_of(simd, memory, |row| Index { class: labels.class(row) })
            }
            SoftmaxTargets::Dense(weights) => self.rows_of(simd, memory, |row| {
                let start = row * classes;
                Dense { weights: weights.get(start..start + classes).unwrap_or(&[]) }
            }),
        }
    }

    /// The one place that chooses how the rows are computed: by the number of classes alone, so
    /// that a row has the same bits alone and in a batch.
    #[inline(always)]
    fn rows_of<S: Simd, M: Memory, T: Targets>(
        self,
        simd: S,
        mut memory: M,
        targets: impl Fn(usize) -> T,
    ) -> f64 {
        let block = if self.classes <= narrow::CLASSES { narrow::ROWS } else { 1 };
        let mut sum = 0.0;
        let mut first = 0;
        while !memory.logits().is_empty() {
            let rows = memory.take_front(block * self.classes);
            let count = rows.logits().len() / self.classes;
            let mut losses = [0.0; narrow::ROWS];
            if block == 1 {
                losses[0] = softmax::row::<S::F32, _, _>(simd, rows, targets(first), self.scale);
            } else {
                let targets = |row| targets(first + row);
                let (classes, scale) = (self.classes, self.scale);
                narrow::block::<S::F32, _, _>(simd, rows, classes, targets, scale, &mut losses);
            }
            for (row, &loss) in losses.iter().enumerate().take(count) {
                if let Some(place) = self.losses.get_mut(first + row) {
                    *place = loss as f32;
                }
                sum += loss;
            }
            first += count;
        }
        sum
    }
}

/// Sigmoid (binary) cross-entropy of independent logits, with its gradient.
///
/// For a logit `x` and a target `y` in [0, 1] the loss is `softplus(x) - x y` and the gradient
/// `σ(x) - y`, computed so that neither overflows nor cancels. The elements are the batch's rows.
///
/// ```
/// use xent_core::{Batch, Buffers, Level, SigmoidBatch};
///
/// let mut logits = [0.0, 100.0, -100.0_f32];
/// let sum = SigmoidBatch::new(Buffers::InPlace(&mut logits), &[1.0, 1.0, 1.0])?
///     .run(Level::detect());
/// assert!((sum - (core::f64::consts::LN_2 + 100.0)).abs() < 1e-5);
/// assert_eq!(logits, [-0.5, -3.783506e-44, -1.0]);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SigmoidBatch<'a> {
    buffers: Buffers<'a>,
    targets: &'a [f32],
    scale: f32,
    losses: &'a mut [f32],
}

impl<'a> SigmoidBatch<'a> {
    /// Checks all lengths; nothing can go wrong afterwards.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn new(buffers: Buffers<'a>, targets: &'a [f32]) -> Result<Self, Error> {
        buffers.check()?;
        check_length("targets", buffers.len(), targets.len())?;
        Ok(Self { buffers, targets, scale: 1.0, losses: &mut [] })
    }

    /// Multiplies the gradient (not the loss): by one over the elements for a mean.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.scale = scale as f32;
        self
    }

    /// Also writes the loss of every element.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one place for each element.
    pub fn with_losses(mut self, losses: &'a mut [f32]) -> Result<Self, Error> {
        check_length("losses", self.rows(), losses.len())?;
        self.losses = losses;
        Ok(self)
    }
}

impl Batch for SigmoidBatch<'_> {
    fn rows(&self) -> usize {
        self.buffers.len()
    }

    fn rows_per_leaf(&self) -> usize {
        LEAF
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let Self { buffers, targets, scale, losses } = self;
        let (buffers_a, buffers_b) = buffers.split_at(row);
        let (targets_a, targets_b) = targets.split_at(row);
        let (losses_a, losses_b) = losses.split_at_mut(row.min(losses.len()));
        (
            Self { buffers: buffers_a, targets: targets_a, scale, losses: losses_a },
            Self { buffers: buffers_b, targets: targets_b, scale, losses: losses_b },
        )
    }

    fn run_leaf(self, level: Level) -> f64 {
        level.run(self)
    }
}

impl Kernel for SigmoidBatch<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Self { buffers, targets, scale, losses } = self;
        match buffers {
            Buffers::Loss(x) => {
                sigmoid::elements::<S::F32, _>(simd, LossOnly(x), targets, losses, scale)
            }
            Buffers::Gradient(x, gradient) => {
                let memory = OutOfPlace(x, gradient);
                sigmoid::elements::<S::F32, _>(simd, memory, targets, losses, scale)
            }
            Buffers::InPlace(x) => {
                sigmoid::elements::<S::F32, _>(simd, InPlace(x), targets, losses, scale)
            }
        }
    }
}
