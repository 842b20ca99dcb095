//! Batches: problems that can be split in two, solved separately and added up.

use core::ops::Range;

use crate::error::Error;
use crate::level::Level;

/// The most elements in a chunk of the tree (one row, if a row has more).
pub(crate) const CHUNK: usize = 1 << 15;

/// Runs the two halves of a problem: one after the other, or on two threads.
pub trait ForkJoin: Sync {
    /// Runs each of them once, and returns when both are done.
    fn join(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send));
}

/// Runs both on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct InTurn;

impl ForkJoin for InTurn {
    fn join(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        first();
        second();
    }
}

/// Sums the counts of pieces of a range, which may run on several threads. The error is that of the first piece
/// that has one, whichever thread found it first.
pub(crate) fn count_in_pieces(
    join: &dyn ForkJoin,
    range: Range<usize>,
    piece: usize,
    count: &(dyn Fn(Range<usize>) -> Result<usize, Error> + Sync),
) -> Result<usize, Error> {
    let pieces = range.len().div_ceil(piece);
    if pieces <= 1 {
        return count(range);
    }
    let middle = range.start + pieces / 2 * piece;
    let (mut first, mut second) = (Ok(0), Ok(0));
    // The start comes last, so that it is in the caches when the loss starts.
    join.join(&mut || second = count_in_pieces(join, middle..range.end, piece, count), &mut || {
        first = count_in_pieces(join, range.start..middle, piece, count);
    });
    Ok(first? + second?)
}

/// A problem over independent rows.
///
/// A batch is halved until each half has few enough elements, whatever runs it: the tree depends only on the
/// batch's shape. So a run on one thread and a run on many add the same numbers in the same order, and return the
/// same bits.
pub trait Batch: Sized + Send {
    /// The number of parts it can be split into: its rows, elements or blocks.
    fn parts(&self) -> usize;

    /// The most parts in a chunk of the tree; at least one.
    fn parts_per_chunk(&self) -> usize;

    /// Splits off the first `part` parts.
    fn split_at(self, part: usize) -> (Self, Self);

    /// Solves the whole batch with one kernel call: the sum of the losses of its rows.
    fn run_chunk(self, level: Level) -> f64;

    /// The number of pieces, each about as much work as a chunk, that a chunk can be split into for
    /// [`run_chunk_in_pieces`](Self::run_chunk_in_pieces): more than one only if it is a single long row.
    fn pieces_per_chunk(&self) -> usize {
        1
    }

    /// [`run_chunk`](Self::run_chunk), split within its row: the same bits.
    fn run_chunk_in_pieces(self, level: Level, _: &dyn ForkJoin) -> f64 {
        self.run_chunk(level)
    }

    /// The two halves, to be solved separately.
    ///
    /// # Errors
    /// The batch itself, if it is a chunk.
    fn halves(self) -> Result<(Self, Self), Self> {
        let chunks = self.parts().div_ceil(self.parts_per_chunk());
        if chunks <= 1 {
            return Err(self);
        }
        let middle = chunks / 2 * self.parts_per_chunk();
        Ok(self.split_at(middle))
    }

    /// Solves the batch on this thread: the sum of the losses of its rows.
    fn run(self, level: Level) -> f64 {
        match self.halves() {
            Ok((first, second)) => first.run(level) + second.run(level),
            Err(chunk) => chunk.run_chunk(level),
        }
    }
}
