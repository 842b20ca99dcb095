//! Rows that may have to be converted, tile by tile.

use super::window::{Opened, Window};
use crate::buffers::Buffers;
use crate::element::Element;
use crate::hessian::Curvature;
use crate::kernel::logit_map::LogitMap;
use crate::kernel::softmax::{Place, RowSource, Settled};
use crate::kernel::sum::TILE;
use crate::kernel::targets::Targets;
use crate::level::Level;

/// The logits of a row that are converted tile by tile.
#[derive(Clone, Copy)]
pub(super) struct Converted<'a, E> {
    pub(super) x: &'a [E],
    pub(super) length: usize,
    /// From a class to the next.
    pub(super) step: usize,
}

impl<'a, E: Element> Converted<'a, E> {
    /// A row, or a part of it, whose classes are neighbours.
    pub(super) fn row(x: &'a [E]) -> Self {
        Self { x, length: x.len(), step: 1 }
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
        let mut buffers = Buffers::Loss(self.x);
        E::with_scratch(|scratch| {
            for tile in (0..self.length).step_by(TILE) {
                let length = TILE.min(self.length - tile);
                let window = classes(length, [tile * self.step; 2], self.step);
                let Opened::Loss(cells) = buffers.open(level, window, scratch) else { return };
                if !to(tile, cells.logits()) {
                    return;
                }
            }
        });
    }
}

/// So many classes of a row, with that step from one to the next.
fn classes(count: usize, at: [usize; 2], step: usize) -> Window {
    if step == 1 {
        Window::of(at, count)
    } else {
        Window { rows: count, length: 1, at, strides: [step; 2], slack: 0 }
    }
}

/// The gradient of neighbouring classes, and second derivatives if they are wanted, tile by tile.
pub(super) fn put_row<E: Element, T: Targets<E::Float>, Z: LogitMap>(
    level: Level,
    settled: &Settled<E::Float, T, Z>,
    buffers: &mut Buffers<'_, E>,
    first: usize,
    second: (&mut [E::Float], Curvature),
) {
    put_classes(level, settled, buffers, (first, buffers.len()), ([0, 0], 1), second);
}

/// So many classes from one on, whose first is in a place, with that step from one to the next.
pub(super) fn put_classes<E: Element, T: Targets<E::Float>, Z: LogitMap>(
    level: Level,
    settled: &Settled<E::Float, T, Z>,
    buffers: &mut Buffers<'_, E>,
    (first, count): (usize, usize),
    (at, step): ([usize; 2], usize),
    (hessian, curvature): (&mut [E::Float], Curvature),
) {
    E::with_scratch(|scratch| {
        for tile in (0..count).step_by(TILE) {
            let length = TILE.min(count - tile);
            let window = classes(length, at.map(|at| at + tile * step), step);
            let hessian = hessian.get_mut(tile..tile + length).unwrap_or(&mut []);
            let first = first + tile;
            match buffers.open(level, window, scratch) {
                Opened::Loss(cells) => {
                    settled.put(level, Place { cells, hessian, curvature }, first, false, false);
                }
                Opened::Write(cells) => {
                    settled.put(level, Place { cells, hessian, curvature }, first, false, false);
                }
                Opened::Add(cells) => {
                    settled.put(level, Place { cells, hessian, curvature }, first, false, false);
                }
            }
            buffers.close(level, window, scratch);
        }
    });
}
