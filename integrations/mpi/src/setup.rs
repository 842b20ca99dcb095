//! What the losses of cut classes have in common: the communicator, the classes, and how they are computed.

use std::ops::Range;

use mpi::traits::Communicator;
use xent_core::reduction::Policy;
use xent_core::{Float, Labels, Level, RowWeights, SoftmaxOptions, SoftmaxShard};
use xent_rayon::Threads;

use crate::agree::{rank_of, size_of_comm};
use crate::cut::even_shards;
use crate::error::Error;
use crate::exchange::Messages;

/// A loss of rows whose classes are cut over ranks.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'c, 'a, F> {
    pub(crate) comm: &'c dyn Communicator,
    pub(crate) classes: usize,
    /// The classes of this rank.
    pub(crate) first: usize,
    pub(crate) end: usize,
    pub(crate) options: SoftmaxOptions<'a, F>,
    pub(crate) policy: Policy,
    pub(crate) level: Level,
    pub(crate) messages: Messages,
}

impl<'c, 'a, F: Float> Setup<'c, 'a, F> {
    pub(crate) fn new(
        comm: &'c dyn Communicator,
        classes: usize,
        options: SoftmaxOptions<'a, F>,
    ) -> Self {
        let shard = even_shards(classes, size_of_comm(comm)).swap_remove(rank_of(comm));
        Self {
            comm,
            classes,
            first: shard.start,
            end: shard.end,
            options,
            policy: Policy::default(),
            level: Level::detect(),
            messages: Messages::default(),
        }
    }

    pub(crate) fn shard(&self) -> Range<usize> {
        self.first..self.end
    }

    /// The number of classes of this rank; none if it has asked for what is no shard.
    pub(crate) fn width(&self) -> usize {
        self.shard().len()
    }

    /// The shard of this rank, with its labels and weights checked.
    pub(crate) fn checked<'s>(
        &'s self,
        rows: usize,
        labels: Labels<'s>,
        weights: RowWeights<'s, F>,
    ) -> Result<SoftmaxShard<'s, F>, Error> {
        SoftmaxShard::checked_on(&Threads, rows, self.classes, self.shard(), labels, self.options)
            .and_then(|shard| shard.with_weights(weights))
            .map_err(|error| Error::input(rank_of(self.comm), &error))
    }
}

/// The public methods that set it, for a loss with a field `setup`.
macro_rules! set_up {
    () => {
        /// Gives this rank other classes. Those of all ranks follow each other, and start at multiples of
        /// [`SoftmaxShard::TILE`](xent_core::SoftmaxShard::TILE).
        #[must_use]
        pub fn with_shard(mut self, shard: std::ops::Range<usize>) -> Self {
            (self.setup.first, self.setup.end) = (shard.start, shard.end);
            self
        }

        /// Sets how the losses of the rows are reduced.
        #[must_use]
        pub fn with_policy(mut self, policy: xent_core::reduction::Policy) -> Self {
            self.setup.policy = policy;
            self
        }

        /// Uses this level for the loss instead of the best one.
        #[must_use]
        pub fn with_level(mut self, level: xent_core::Level) -> Self {
            self.setup.level = level;
            self
        }

        /// Sets how ranks send each other what they know of rows.
        #[must_use]
        pub fn with_messages(mut self, messages: crate::Messages) -> Self {
            self.setup.messages = messages;
            self
        }

        /// The classes of this rank.
        #[must_use]
        pub fn shard(&self) -> std::ops::Range<usize> {
            self.setup.shard()
        }
    };
}
pub(crate) use set_up;
