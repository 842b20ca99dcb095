//! A batch whose rows are cut over ranks.

use mpi::traits::{Communicator, Equivalence};
use xent_core::reduction::Policy;
use xent_core::{
    Buffers, Float, Labels, Level, NotFiniteRows, RowWeights, SoftmaxOptions, SoftmaxRows,
    SoftmaxTargets,
};
use xent_rayon::Threads;

use crate::agree::{Call, agree, hash, hash_options, rank_of};
use crate::error::{Error, What};
use crate::messages::{gather, refused};
use crate::pass::{Pass, Report, check_buffers};

/// The softmax cross-entropy of a batch whose rows are cut over the ranks of a communicator: each rank has all logits of
/// some rows, any number, with their labels and weights. The mean is that of all rows, and so is the divisor of every
/// rank's gradient; ranks need not have equally many.
///
/// Each rank gets the labels and weights of all rows (8 bytes a row, and as many for weights), so that sums are added in
/// the order of one process, and their losses afterwards (8 bytes a row).
///
/// All methods are collective: every rank calls them, in the same order. What they return is the same everywhere, errors
/// included.
///
/// ```no_run
/// use xent_core::SoftmaxOptions;
/// use xent_mpi::DataParallel;
///
/// let (universe, _) = mpi::initialize_with_threading(mpi::Threading::Funneled).unwrap();
/// let world = universe.world();
/// let loss = DataParallel::new(&world, 10, SoftmaxOptions::default());
///
/// // Two rows of this rank.
/// let (logits, mut gradient) = ([0.5_f32; 20], [0.0; 20]);
/// let value = loss.loss_and_gradient(&logits, &[3_u8, 9], &mut gradient)?;
/// assert!((value - 10_f64.ln()).abs() < 1e-6); // of the rows of all ranks
/// # Ok::<(), xent_mpi::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct DataParallel<'c, 'a, F = f32> {
    comm: &'c dyn Communicator,
    classes: usize,
    options: SoftmaxOptions<'a, F>,
    policy: Policy,
    level: Level,
}

impl<'c, 'a, F: Float + Equivalence> DataParallel<'c, 'a, F> {
    /// The mean over the rows of all ranks, with these options.
    #[must_use]
    pub fn new(comm: &'c dyn Communicator, classes: usize, options: SoftmaxOptions<'a, F>) -> Self {
        Self { comm, classes, options, policy: Policy::default(), level: Level::detect() }
    }

    /// Sets how the losses of the rows are reduced.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Uses this level instead of the best one.
    #[must_use]
    pub fn with_level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The reduced loss of the rows of all ranks, of which this one has `logits` of shape `(rows, classes)`.
    ///
    /// # Errors
    /// On every rank the same: [`Error::Input`] if a slice has the wrong length or a label or option is invalid on one
    /// of them (the row of a label counts those of the ranks before), [`Error::Disagree`] if ranks were called with
    /// different options, [`Error::NothingValid`] if the policy makes that an error.
    pub fn loss<'l>(&self, logits: &[F], labels: impl Into<Labels<'l>>) -> Result<f64, Error> {
        Ok(self.evaluate(Buffers::loss(logits), labels, Pass::default())?.loss)
    }

    /// The reduced loss; the gradient by the logits of this rank is written.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn loss_and_gradient<'l>(
        &self,
        logits: &[F],
        labels: impl Into<Labels<'l>>,
        gradient: &mut [F],
    ) -> Result<f64, Error> {
        Ok(self.evaluate(Buffers::gradient(logits, gradient), labels, Pass::default())?.loss)
    }

    /// The loss, and everything else that the pass asks for, of the rows of this rank. The report is that of all ranks.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn evaluate<'l>(
        &self,
        buffers: Buffers<'_, F>,
        labels: impl Into<Labels<'l>>,
        mut pass: Pass<'_, F>,
    ) -> Result<Report, Error> {
        let (labels, rank) = (labels.into(), rank_of(self.comm));
        let of_rank: Option<Vec<i64>> = (0..labels.len()).map(|row| labels.get(row)).collect();
        let call = self.checked(&buffers, &labels, of_rank.is_some(), &pass).map(|()| Call {
            call: hash("data parallel"),
            format: hash(F::NAME),
            // Every rank has all classes: none is cut.
            hidden: self.classes,
            options: hash_options(&self.options, self.policy),
            weights: pass.scale.to_bits(),
            ..Call::default()
        });
        agree(self.comm, call)?;
        let (all_labels, lengths) = gather(self.comm, &of_rank.unwrap_or_default(), 0)?;
        let (all_weights, weights_of) = gather(self.comm, pass.sample_weights, F::default())?;
        if !all_weights.is_empty()
            && let Some(rank) = weights_of.iter().zip(&lengths).position(|(a, b)| a != b)
        {
            return Err(Error::Disagree { what: What::Weights, rank });
        }
        // What is wrong with these is found by every rank.
        let first: usize = lengths[..rank].iter().sum();
        let rank_of_row = |row: usize| {
            let mut ends = lengths.iter().scan(0, |end, length| {
                *end += length;
                Some(*end)
            });
            ends.position(|end| row < end).unwrap_or_default()
        };
        let input = |error: xent_core::Error| {
            let row = match error {
                xent_core::Error::Label { row, .. } => row,
                xent_core::Error::Value { row: Some(row), .. } => row,
                xent_core::Error::Value { element, .. } => element,
                _ => 0,
            };
            Error::input(rank_of_row(row), &error)
        };
        let targets = SoftmaxTargets::Index((&all_labels[..]).into());
        let all = all_labels.len();
        let rows = SoftmaxRows::checked_on(&Threads, all, self.classes, targets, self.options)
            .map_err(input)?;
        let weights = RowWeights { sample_weights: &all_weights, ..RowWeights::default() };
        let rows = rows.with_weights(weights).map_err(input)?;
        let counts = rows.counts();
        let division = self.policy.division(&counts).ok_or(Error::NothingValid)?;
        let rows = rows.with_scale(division.scale(pass.scale));

        let not_finite = NotFiniteRows::new();
        let mut losses = vec![0.0; labels.len()];
        let outputs = pass.outputs(0..labels.len(), &not_finite);
        rows.run(&Threads, self.level, first, buffers, &mut losses, outputs).map_err(input)?;
        let (all_losses, _) = gather(self.comm, &losses, 0.0)?;
        let of_rank =
            [not_finite.count() as u64, not_finite.first().map_or(u64::MAX, |row| row as u64)];
        let (of_ranks, _) = gather(self.comm, &of_rank, 0)?;
        let count = of_ranks.iter().step_by(2).sum::<u64>() as usize;
        let first = of_ranks.iter().skip(1).step_by(2).min().filter(|first| **first != u64::MAX);
        let sum = rows.sum(&all_losses).map_err(input)?;
        let bytes = 8 + if all_weights.is_empty() { 0 } else { size_of::<F>() } + 8;
        Ok(Report {
            loss: division.loss(sum).unwrap_or(sum),
            sum,
            policy: self.policy,
            counts,
            not_finite: (count, first.map(|first| *first as usize)),
            bytes_sent: (bytes * labels.len() * (lengths.len() - 1)) as u64,
        })
    }

    /// What can be checked on this rank alone.
    fn checked(
        &self,
        buffers: &Buffers<'_, F>,
        labels: &Labels<'_>,
        fit: bool,
        pass: &Pass<'_, F>,
    ) -> Result<(), Error> {
        let (rank, rows) = (rank_of(self.comm), labels.len());
        self.options.check().map_err(|error| Error::input(rank, &error))?;
        if !fit {
            return Err(refused(rank, "labels: one is larger than any class"));
        }
        let expected = rows * self.classes;
        check_buffers(rank, expected, buffers)?;
        let weights = pass.sample_weights.len();
        if weights != 0 && weights != rows {
            return Err(Error::shape(rank, "sample weights", rows, weights));
        }
        pass.check(rank, rows)
    }
}
