//! The sums over neighbouring tiles of a row, with what the tree of tiles cannot hold.

use super::degenerate_row::Extremes;
use super::format::Element;
use super::scratch_tiles::Converted;
use crate::kernel::long_row::{RowSource, TileState, tile_sums};
use crate::kernel::row_sums::RowSums;
use crate::kernel::row_targets::RowTargets;
use crate::kernel::sum::TILE;
use crate::kernel::tile_tree::TileTree;
use crate::level::Level;
use crate::simd::Compute;

/// The sums of neighbouring tiles of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartSums {
    pub(super) tree: TileTree,
    /// Logits of `+inf`, whose tiles are masked in the tree.
    pub(super) infinite: usize,
    pub(super) first_infinite: Option<usize>,
    pub(super) any_nan: bool,
}

impl PartSums {
    /// No tiles so far; the next one is the tile `start` of its row.
    pub(super) fn new(start: usize) -> Self {
        Self { tree: TileTree::new(start), infinite: 0, first_infinite: None, any_nan: false }
    }

    /// The same as a new one, without clearing what will be overwritten.
    pub(super) fn restart(&mut self, start: usize) {
        self.tree.restart(start);
        self.infinite = 0;
        self.first_infinite = None;
        self.any_nan = false;
    }

    /// Adds the tiles of some logits, whose first class is `first`.
    pub(super) fn add<E: Element>(
        &mut self,
        level: Level,
        logits: Converted<'_, E>,
        first: usize,
        targets: &RowTargets<'_, E::Float>,
        largest_class: bool,
        state: &mut TileState<'_, E::Float>,
    ) {
        let of_label = |classes: core::ops::Range<usize>| match targets {
            RowTargets::Label { class, .. } if classes.contains(class) => Some(*class),
            _ => None,
        };
        logits.tiles(level, &mut |at, tile| {
            let of_tile = tile_sums(level, tile, first + at, targets, (1.0, largest_class), state);
            let sums = of_tile.unwrap_or_else(|| {
                let is_infinite = |x: &E::Float| *x == E::Float::INFINITY;
                self.infinite += tile.iter().filter(|x| is_infinite(x)).count();
                if let Some(place) = tile.iter().position(is_infinite) {
                    self.first_infinite.get_or_insert(first + at + place);
                }
                self.any_nan |= tile.iter().any(|x| x.is_nan());
                RowSums::masked(of_label(first + at..first + at + tile.len()), 0.0, 1.0)
            });
            let of_pivot = sums.pivot.map_or(0.0, |pivot| pivot.logit);
            self.any_nan |= of_tile.is_some() && (sums.others.is_nan() || of_pivot.is_nan());
            self.tree.push(sums);
            true
        });
    }

    /// Adds the tiles that follow.
    pub(super) fn append(&mut self, later: &Self) {
        self.infinite += later.infinite;
        self.first_infinite = self.first_infinite.or(later.first_infinite);
        self.any_nan |= later.any_nan;
        self.tree.append(&later.tree);
    }

    /// The sums of all tiles, if they are those of a row that the equation holds for.
    pub(super) fn finite(&self) -> Option<RowSums> {
        let sums = self.tree.total()?;
        (self.infinite == 0 && !self.any_nan && sums.max.is_finite()).then_some(sums)
    }

    /// What is known of a row without arithmetic. The class of the first NaN is not.
    pub(super) fn extremes(&self) -> Extremes {
        let total = self.tree.total();
        let largest = total.map_or(0, |sums| sums.largest_class);
        let max = total.map_or(f64::NEG_INFINITY, |sums| sums.max);
        let argmax = self.first_infinite.unwrap_or(largest);
        Extremes {
            max: if self.infinite > 0 { f64::INFINITY } else { max },
            argmax,
            predicted: argmax,
            infinite: self.infinite,
            any_nan: self.any_nan,
        }
    }
}

/// Parts of a row start at multiples of a tile.
pub(super) fn is_cut(class: usize) -> bool {
    class.is_multiple_of(TILE)
}
