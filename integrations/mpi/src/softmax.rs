//! A batch whose classes are cut over ranks.

use std::ops::Range;

use mpi::traits::Communicator;
use xent_core::{
    Buffers, Element, Float, Labels, NotFiniteRows, RowWeights, SoftmaxOptions, SoftmaxShard,
};
use xent_rayon::Threads;

use crate::agree::{
    Agreement, Call, agree, hash, hash_floats, hash_labels, hash_options, rank_of, size_of_comm,
};
use crate::error::Error;
use crate::exchange::Exchange;
use crate::pass::{Pass, Report, check_buffers};
use crate::setup::{Setup, set_up};

/// The softmax cross-entropy of rows whose classes are cut over the ranks of a communicator: each rank has the logits of
/// neighbouring classes of every row, and gets the gradient by these. Labels are indices among all classes; labels,
/// options and weights are the same on every rank.
///
/// All methods are collective: every rank calls them, in the same order. What they return is the same everywhere, errors
/// included.
///
/// ```no_run
/// use xent_core::SoftmaxOptions;
/// use xent_mpi::ShardedSoftmax;
///
/// let (universe, _) = mpi::initialize_with_threading(mpi::Threading::Funneled).unwrap();
/// let world = universe.world();
/// let loss = ShardedSoftmax::new(&world, 128_256, SoftmaxOptions::default());
///
/// // Two rows, of which this rank has the classes `loss.shard()`.
/// let logits = vec![0.5_f32; 2 * loss.shard().len()];
/// let mut gradient = vec![0.0; logits.len()];
/// let value = loss.loss_and_gradient(&logits, &[17_i64, 99_999], &mut gradient)?;
/// assert!((value - 128_256_f64.ln()).abs() < 1e-6);
/// # Ok::<(), xent_mpi::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct ShardedSoftmax<'c, 'a, F = f32> {
    setup: Setup<'c, 'a, F>,
}

/// Logits of a chunk of rows on a rank and thread, between two ranks: two chunks fit into a second-level cache, the one
/// whose sums are on their way and the next.
const CHUNK: usize = 1 << 17;

impl<'c, 'a, F: Float> ShardedSoftmax<'c, 'a, F> {
    /// The mean over the rows, with these options. Classes are cut [evenly](crate::even_shards).
    /// A rank may have none.
    #[must_use]
    pub fn new(comm: &'c dyn Communicator, classes: usize, options: SoftmaxOptions<'a, F>) -> Self {
        Self { setup: Setup::new(comm, classes, options) }
    }

    set_up!();

    /// The reduced loss of logits of shape `(rows, classes of this rank)`.
    ///
    /// # Errors
    /// On every rank the same: [`Error::Input`] if a slice has the wrong length or a label or option is invalid on one
    /// of them, [`Error::Disagree`] if ranks were called with different arguments, [`Error::NothingValid`] if the
    /// policy makes that an error.
    pub fn loss<'l, E: Element<Float = F>>(
        &self,
        logits: &[E],
        labels: impl Into<Labels<'l>>,
    ) -> Result<f64, Error> {
        Ok(self.evaluate(Buffers::loss(logits), labels, Pass::default())?.loss)
    }

    /// The reduced loss; the gradient by the logits of this rank is written.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn loss_and_gradient<'l, E: Element<Float = F>>(
        &self,
        logits: &[E],
        labels: impl Into<Labels<'l>>,
        gradient: &mut [E],
    ) -> Result<f64, Error> {
        Ok(self.evaluate(Buffers::gradient(logits, gradient), labels, Pass::default())?.loss)
    }

    /// The loss, and everything else that the pass asks for. The gradient is written, added, or overwrites the logits,
    /// as the buffers say.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn evaluate<'l, E: Element<Float = F>>(
        &self,
        mut buffers: Buffers<'_, E>,
        labels: impl Into<Labels<'l>>,
        mut pass: Pass<'_, F>,
    ) -> Result<Report, Error> {
        let setup = &self.setup;
        let (labels, rank) = (labels.into(), rank_of(setup.comm));
        let sample_weights = pass.sample_weights;
        let shard = self.checked(&buffers, labels, sample_weights).and_then(|shard| {
            pass.check(rank, labels.len())?;
            Ok(shard)
        });
        let width = setup.width();
        let wants_gradient = !is_loss(&mut buffers);
        let call = shard.clone().map(|_| Call {
            call: hash(&("softmax", wants_gradient, pass.wanted(), setup.messages)),
            format: hash(E::NAME),
            rows: labels.len(),
            classes: setup.classes,
            options: hash_options(&setup.options, setup.policy),
            labels: hash_labels(&labels),
            weights: hash(&(hash_floats(sample_weights), pass.scale.to_bits())),
            shard: self.shard(),
            chunk: self.chunk().div_ceil(width.max(1)),
            ..Call::default()
        });
        let Agreement { shards, chunk } = agree(setup.comm, call)?;
        let shard = shard?;
        let counts = shard.counts();
        let division = setup.policy.division(&counts).ok_or(Error::NothingValid)?;
        let shard = shard.with_scale(division.scale(pass.scale));

        let mut exchange = Exchange::new(setup.comm, setup.level, setup.messages, shard, &shards)?;
        let (rows, chunk) = (labels.len(), exchange.chunk(chunk.min(labels.len().max(1))));
        let chunk_at = |first: usize| first.min(rows)..(first + chunk).min(rows);
        let logits_of = |rows: &Range<usize>| rows.start * width..rows.end * width;
        let (not_finite, mut losses) = (NotFiniteRows::new(), vec![0.0; rows]);
        let (mut sums, mut next_sums) = (vec![], vec![]);
        let first = chunk_at(0);
        exchange.sums(&first, &buffers.logits()[logits_of(&first)], &mut sums)?;
        for start in (0..rows).step_by(chunk) {
            let (of_chunk, next) = (chunk_at(start), chunk_at(start + chunk));
            let logits = buffers.logits();
            exchange.run(&of_chunk, &sums, |exchange| {
                exchange.sums(&next, &logits[logits_of(&next)], &mut next_sums)
            })?;
            std::mem::swap(&mut sums, &mut next_sums);
            for (rows, total) in exchange.totals(&of_chunk)? {
                let outputs = pass.outputs(rows.clone(), &not_finite);
                let of_rows = &mut losses[rows.clone()];
                let message = |error: xent_core::Error| Error::Message(error.to_string());
                shard.finish(rows.clone(), total, of_rows, outputs).map_err(message)?;
                if wants_gradient {
                    let at = rows.start * width;
                    let of_rows = buffers.part([at; 2], rows.len() * width);
                    shard.gradient(&Threads, setup.level, rows, total, of_rows).map_err(message)?;
                }
            }
        }
        let sum = shard.sum(&losses).map_err(|error| Error::input(rank, &error))?;
        Ok(Report {
            loss: division.loss(sum).unwrap_or(sum),
            sum,
            policy: setup.policy,
            counts,
            not_finite: (not_finite.count(), not_finite.first()),
            bytes_sent: exchange.bytes,
        })
    }

    /// The logits of a chunk: more of them for more messages, which each cost as much as some thousand logits.
    fn chunk(&self) -> usize {
        let messages = self.setup.messages.count(size_of_comm(self.setup.comm));
        CHUNK * rayon::current_num_threads() * messages.div_ceil(2).max(1)
    }

    /// What can be checked on this rank alone.
    fn checked<'s, E: Element<Float = F>>(
        &'s self,
        buffers: &Buffers<'_, E>,
        labels: Labels<'s>,
        sample_weights: &'s [F],
    ) -> Result<SoftmaxShard<'s, F>, Error> {
        let weights = RowWeights { sample_weights, ..RowWeights::default() };
        let checked = self.setup.checked(labels.len(), labels, weights)?;
        let (rank, expected) = (rank_of(self.setup.comm), labels.len() * self.setup.width());
        check_buffers(rank, expected, buffers)?;
        Ok(checked)
    }
}

/// Whether no gradient is wanted.
fn is_loss<E: Element>(buffers: &mut Buffers<'_, E>) -> bool {
    matches!(buffers.logits_and_gradient().1, xent_core::Gradient::None)
}
