//! The sums of a chunk of rows on their way to totals.

use std::ops::Range;

use mpi::datatype::{Partition, PartitionMut};
use mpi::traits::{Communicator, CommunicatorCollectives};
use xent_core::{Element, Float, Level, SoftmaxShard};
use xent_rayon::Threads;

use crate::agree::{rank_of, size_of_comm};
use crate::error::Error;
use crate::messages::Places;

/// How the sums of rows become totals. Results do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Messages {
    /// By the number of ranks: [`Gather`](Self::Gather) up to 8, [`Scatter`](Self::Scatter) for more.
    #[default]
    Auto,
    /// Each rank sends its sums to all, and each merges them all: one message to each, of `rows × bytes of a row`.
    Gather,
    /// Each rank gets the sums of some of the rows from all, merges these, and sends their totals to all: two messages
    /// to each rank, of `rows / ranks × bytes of a row`.
    Scatter,
}

impl Messages {
    /// The messages that a rank sends for a chunk of rows.
    pub(crate) fn count(self, ranks: usize) -> usize {
        let others = ranks - 1;
        if self.scatters(ranks) { 2 * others } else { others }
    }

    fn scatters(self, ranks: usize) -> bool {
        match self {
            Self::Auto => ranks > 8,
            Self::Gather => false,
            Self::Scatter => true,
        }
    }
}

/// Some rows, and the bytes of their total.
pub(crate) type Total<'t> = (Range<usize>, &'t [u8]);

/// The shards of all ranks, and the memory for their messages.
pub(crate) struct Exchange<'c, 'a, F> {
    comm: &'c dyn Communicator,
    level: Level,
    shards: Vec<SoftmaxShard<'a, F>>,
    mine: usize,
    scatters: bool,
    received: Vec<u8>,
    total: Vec<u8>,
    totals: Vec<u8>,
    /// The bytes that this rank has sent.
    pub(crate) bytes: u64,
}

impl<'c, 'a, F: Float> Exchange<'c, 'a, F> {
    pub(crate) fn new(
        comm: &'c dyn Communicator,
        level: Level,
        messages: Messages,
        shard: SoftmaxShard<'a, F>,
        shards: &[Range<usize>],
    ) -> Result<Self, Error> {
        let shards: Result<Vec<_>, _> =
            shards.iter().map(|classes| shard.of_classes(classes.clone())).collect();
        let mine = rank_of(comm);
        Ok(Self {
            comm,
            level,
            shards: shards.map_err(|error| Error::input(mine, &error))?,
            mine,
            scatters: messages.scatters(size_of_comm(comm)),
            received: vec![],
            total: vec![],
            totals: vec![],
            bytes: 0,
        })
    }

    /// Rows that are sent together: at least one for each rank that merges some.
    pub(crate) fn chunk(&self, wanted: usize) -> usize {
        if self.scatters { wanted.next_multiple_of(self.shards.len()) } else { wanted }
    }

    /// The rows of each total: those that each rank merges.
    pub(crate) fn parts(&self, rows: &Range<usize>) -> Vec<Range<usize>> {
        let parts = if self.scatters { self.shards.len() } else { 1 };
        let start = |part: usize| rows.start + rows.len() * part / parts;
        (0..parts).map(|part| start(part)..start(part + 1)).collect()
    }

    /// Writes the sums of some rows as they are sent.
    pub(crate) fn sums<E: Element<Float = F>>(
        &self,
        rows: &Range<usize>,
        logits: &[E],
        into: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let shard = &self.shards[self.mine];
        let width = shard.classes().len();
        let parts = self.parts(rows);
        let length = parts.iter().map(|rows| shard.len_of_sums(rows.len())).sum();
        into.clear();
        into.resize(length, 0);
        let mut bytes = &mut into[..];
        for part in parts {
            let (of_part, rest) = bytes.split_at_mut(shard.len_of_sums(part.len()));
            let at = (part.start - rows.start) * width;
            let logits = &logits[at..at + part.len() * width];
            shard
                .sums(&Threads, self.level, part, logits, of_part)
                .map_err(|error| Error::input(self.mine, &error))?;
            bytes = rest;
        }
        Ok(())
    }

    /// Sends the sums of some rows, and makes totals of what comes from all ranks, for [`totals`](Self::totals).
    /// `meanwhile` runs while messages are on their way.
    pub(crate) fn run(
        &mut self,
        rows: &Range<usize>,
        sums: &[u8],
        meanwhile: impl FnOnce(&Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let parts = self.parts(rows);
        let merged = parts[if self.scatters { self.mine } else { 0 }].clone();
        let lengths = self.shards.iter().map(|shard| shard.len_of_sums(merged.len()));
        let from = Places::of(lengths)?;
        let mut received = std::mem::take(&mut self.received);
        received.resize(from.length, 0);
        let shard = self.shards[self.mine];
        let to = Places::of(parts.iter().map(|rows| shard.len_of_sums(rows.len())))?;
        let sent = Partition::new(sums, &to.counts[..], &to.starts[..]);
        let mut into = PartitionMut::new(&mut received[..], &from.counts[..], &from.starts[..]);
        let result = mpi::request::scope(|scope| {
            let request = if self.scatters {
                self.comm.immediate_all_to_all_varcount_into(scope, &sent, &mut into)
            } else {
                self.comm.immediate_all_gather_varcount_into(scope, sums, &mut into)
            };
            let result = meanwhile(self);
            request.wait_without_status();
            result
        });
        let ranks = self.shards.len() as u64;
        self.bytes +=
            if self.scatters { sums.len() as u64 } else { (ranks - 1) * sums.len() as u64 };
        let length = shard.len_of_total(merged.len());
        self.total.clear();
        self.total.resize(length, 0);
        let of_merge = shard.merge(merged, from.split(&received), &mut self.total);
        self.received = received;
        if self.scatters {
            // If it could not be merged, the total is none, which all ranks find when they read it.
            let of_all = self.places_of_totals(rows)?;
            self.totals.resize(of_all.length, 0);
            let mut into = PartitionMut::new(&mut self.totals[..], of_all.counts, of_all.starts);
            self.comm.all_gather_varcount_into(&self.total[..], &mut into);
            self.bytes += (ranks - 1) * length as u64;
        } else {
            of_merge.map_err(|error| Error::Message(error.to_string()))?;
        }
        result
    }

    /// The totals of the rows of the last run, and their rows.
    pub(crate) fn totals(&self, rows: &Range<usize>) -> Result<Vec<Total<'_>>, Error> {
        let parts = self.parts(rows);
        if !self.scatters {
            return Ok(parts.into_iter().zip([&self.total[..]]).collect());
        }
        let places = self.places_of_totals(rows)?;
        Ok(parts.into_iter().zip(places.split(&self.totals)).collect())
    }

    fn places_of_totals(&self, rows: &Range<usize>) -> Result<Places, Error> {
        let shard = &self.shards[self.mine];
        Places::of(self.parts(rows).iter().map(|rows| shard.len_of_total(rows.len())))
    }
}
