//! The tree by which the sums of a row's tiles are merged.

use core::ops::Range;

use super::row_sums::RowSums;

/// Enough for 2^32 tiles with any first tile: two runs of each length.
const NODES: usize = 64;

/// The sums of neighbouring tiles, merged as far as the tree of the whole row allows.
///
/// Merging rounds, so its order affects the result. Two runs of `2^h` tiles are merged only if they
/// form a run that starts at a multiple of `2^(h + 1)` tiles of the row. So the sums of a run
/// depend only on its own tiles, not on the parts in which a row was seen. The runs left at the end
/// of the row, longer ones before shorter ones, are merged from its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TileTree {
    /// Runs one after the other, each with the `h` of its length.
    runs: [Option<(u32, RowSums)>; NODES],
    count: usize,
    /// The tile after the last.
    end: usize,
}

impl TileTree {
    /// No tiles so far; the next one is the tile `start` of its row.
    #[inline(always)]
    pub(crate) fn new(start: usize) -> Self {
        Self { runs: [None; NODES], count: 0, end: start }
    }

    /// The same as a new one.
    pub(crate) fn restart(&mut self, start: usize) {
        (self.count, self.end) = (0, start);
    }

    /// Adds the next tile.
    #[inline(always)]
    pub(crate) fn push(&mut self, tile: RowSums) {
        self.push_run(0, tile);
    }

    /// Adds the runs that follow.
    pub(crate) fn append(&mut self, later: &Self) {
        for (height, sums) in later.runs() {
            self.push_run(height, sums);
        }
    }

    /// The runs, one after the other, each with the `h` of its length.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u32, RowSums)> {
        self.runs.iter().take(self.count).flatten().copied()
    }

    /// All tiles merged.
    #[inline(always)]
    pub(crate) fn total(&self) -> Option<RowSums> {
        let mut total: Option<RowSums> = None;
        for &(_, run) in self.runs.iter().take(self.count).flatten().rev() {
            total = Some(total.map_or(run, |later| run.merge(later)));
        }
        total
    }

    /// Adds a run of `2^height` tiles that follows.
    #[inline(always)]
    pub(crate) fn push_run(&mut self, mut height: u32, mut run: RowSums) {
        self.end += 1 << height;
        while let Some(Some((h, before))) = self.runs.get(self.count.wrapping_sub(1))
            && *h == height
            && self.end.trailing_zeros() > height
        {
            run = before.merge(run);
            height += 1;
            self.count -= 1;
        }
        if let Some(place) = self.runs.get_mut(self.count) {
            *place = Some((height, run));
            self.count += 1;
        }
    }
}

/// The lengths, as their `h`, of the runs that the tree leaves of some tiles.
pub(crate) fn heights(tiles: Range<usize>) -> impl Iterator<Item = u32> {
    let mut at = tiles.start;
    core::iter::from_fn(move || {
        let left = tiles.end.checked_sub(at).filter(|left| *left > 0)?;
        let height = at.trailing_zeros().min(left.ilog2());
        at += 1 << height;
        Some(height)
    })
}
