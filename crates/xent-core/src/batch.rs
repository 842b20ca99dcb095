//! Batches: problems that can be cut in two, solved separately and added up.

use crate::level::Level;

/// Elements that a chunk of the tree holds at most (one row, if a row has more).
pub(crate) const CHUNK: usize = 1 << 15;

/// Who solves two halves of a problem: one after the other, or on two threads.
pub trait ForkJoin: Sync {
    /// Runs both, each once, and returns when both are done.
    fn join(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send));
}

/// A problem over independent rows.
///
/// A batch is halved until a half has few enough elements, whatever runs it: the tree depends on
/// the batch's shape alone. That is why a run on one thread and a run on many add the same numbers
/// in the same order, and return the same bits.
pub trait Batch: Sized + Send {
    /// How many parts it can be cut into: its rows, elements or blocks.
    fn parts(&self) -> usize;

    /// How many of its parts a chunk of the tree holds at most; at least one.
    fn parts_per_chunk(&self) -> usize;

    /// The first `part` parts, and the others.
    fn split_at(self, part: usize) -> (Self, Self);

    /// Solves the whole batch with one kernel call: the sum of the losses of its rows.
    fn run_chunk(self, level: Level) -> f64;

    /// Into how many pieces of about a chunk's work a chunk can be cut, for
    /// [`run_chunk_in_pieces`](Self::run_chunk_in_pieces): more than one only if it is a single long row.
    fn pieces_per_chunk(&self) -> usize {
        1
    }

    /// [`run_chunk`](Self::run_chunk), cut inside its row: the same bits.
    fn run_chunk_in_pieces(self, level: Level, _: &dyn ForkJoin) -> f64 {
        self.run_chunk(level)
    }

    /// The two halves to solve separately.
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
