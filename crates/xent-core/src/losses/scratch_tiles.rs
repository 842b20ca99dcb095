//! Rows that are longer than the scratch buffer, tile by tile: converted or capped logits.

use super::buffers::{Buffers, Gradient};
use super::format::Element;
use super::quantisation::Quantisation;
use super::scratch::{Scratch, TileBuffer, TileRange};
use crate::kernel::long_row::{FinishedRow, RowOutput, RowSource, TileState};
use crate::kernel::sum::TILE;
use crate::level::Level;

/// The logits of a row.
#[derive(Clone, Copy)]
pub(super) struct Converted<'a, E> {
    pub(super) x: &'a [E],
    pub(super) quantisation: Option<Quantisation>,
    pub(super) length: usize,
    /// From a class to the next.
    pub(super) step: usize,
    /// The soft cap; zero for none.
    pub(super) cap: f64,
}

impl<'a, E: Element> Converted<'a, E> {
    /// A row, or a part of it, whose classes are contiguous.
    pub(super) fn row(x: &'a [E]) -> Self {
        Self { x, quantisation: None, length: x.len(), step: 1, cap: 0.0 }
    }
}

impl<E: Element> RowSource<E::Float> for Converted<'_, E> {
    fn len(self) -> usize {
        self.length
    }

    fn split_at(self, at: usize) -> (Self, Self) {
        let (a, b) = self.x.split_at((at * self.step).min(self.x.len()));
        (Self { x: a, length: at, ..self }, Self { x: b, length: self.length - at, ..self })
    }

    fn tiles(self, level: Level, to: &mut dyn FnMut(usize, &[E::Float]) -> bool) {
        let mut buffers = Buffers::loss(self.x);
        buffers.quantisation = self.quantisation;
        Scratch::with::<E, _>((self.cap, false), |scratch| {
            for tile in (0..self.length).step_by(TILE) {
                let length = TILE.min(self.length - tile);
                let range = classes(length, [tile * self.step; 2], self.step);
                if !to(tile, buffers.open(level, range, scratch).logits()) {
                    return;
                }
            }
        });
    }
}

/// Classes of a row with a step from one to the next.
fn classes(count: usize, at: [usize; 2], step: usize) -> TileRange {
    if step == 1 {
        TileRange::of(at, count)
    } else {
        TileRange { rows: count, length: 1, at, strides: [step; 2], slack: 0 }
    }
}

/// The place of classes of a row: the first class, their number, the index of the first (`[logits,
/// gradient]`) and the step to the next; and whether the gradient goes past the caches where it can.
#[derive(Clone, Copy)]
pub(super) struct Classes {
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) at: [usize; 2],
    pub(super) step: usize,
    pub(super) stream: bool,
}

/// Writes the gradient of classes of a row and, if wanted, their second derivatives, tile by tile. These have the
/// step of the classes, starting with the first.
pub(super) fn put_classes<E: Element>(
    level: Level,
    finished: &FinishedRow<'_, E::Float>,
    buffers: &mut Buffers<'_, E>,
    of: Classes,
    (hessian, cap, floor): (&mut [E::Float], f64, f64),
    state: &mut TileState<'_, E::Float>,
) {
    if matches!(buffers.gradient, Gradient::None) && hessian.is_empty() {
        return;
    }
    Scratch::with::<E, _>((cap, !hessian.is_empty()), |scratch| {
        scratch.stream = of.stream && cap == 0.0;
        let mut put = |tile: usize, length: usize, hessian: &mut [E::Float]| {
            let range = classes(length, of.at.map(|at| at + tile * of.step), of.step);
            let cells = buffers.open(level, range, scratch);
            let place = RowOutput { buffers: cells, hessian: &mut *hessian };
            finished.put(level, place, of.first + tile, of.stream, state);
            buffers.uncap_second(level, range, scratch, (hessian, floor));
            buffers.close(level, range, scratch);
        };
        for tile in (0..of.count).step_by(TILE) {
            let length = TILE.min(of.count - tile);
            if of.step == 1 || hessian.is_empty() {
                put(tile, length, hessian.get_mut(tile..tile + length).unwrap_or(&mut []));
                continue;
            }
            let mut of_tile = TileBuffer::new();
            let of_tile = &mut of_tile.0[..length];
            put(tile, length, of_tile);
            let places = hessian.iter_mut().skip(tile * of.step).step_by(of.step);
            places.zip(of_tile).for_each(|(place, h)| *place = *h);
        }
    });
}
