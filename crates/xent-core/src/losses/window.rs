//! Buffers in what is computed in: where they are, or in scratch as much at a time as that has room for.

use crate::buffers::Buffers;
use crate::element::{Element, Float};
use crate::kernel::cells::{ADD, Cells, LOSS, WRITE};
#[cfg(feature = "half")]
use crate::kernel::sum::TILE;
use crate::level::Level;

/// Rows of cells of the same length, of which the logits and the gradient each have a place:
/// `[logits, gradient]`.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(super) rows: usize,
    pub(super) length: usize,
    /// Where the first row begins.
    pub(super) at: [usize; 2],
    /// From a row to the next.
    pub(super) strides: [usize; 2],
    /// Cells that follow the last row in scratch, of no meaning: what is read in fours runs over.
    pub(super) slack: usize,
}

impl Window {
    /// Neighbouring cells.
    pub(super) fn of(at: [usize; 2], length: usize) -> Self {
        Self { rows: 1, length, at, strides: [length; 2], slack: 0 }
    }

    pub(crate) fn is_of_neighbours(self) -> bool {
        self.rows == 1
    }

    /// Where the rows are; `SIDE` 0 has the logits, 1 the gradient.
    fn places<const SIDE: usize>(self) -> impl Iterator<Item = core::ops::Range<usize>> {
        (0..self.rows).map(move |row| {
            let start = self.at[SIDE] + row * self.strides[SIDE];
            start..start + self.length
        })
    }

    /// Converts the logits, one row after the other.
    fn widen<E: Element>(self, level: Level, x: &[E], into: &mut [E::Float]) {
        for (place, into) in self.places::<0>().zip(into.chunks_mut(self.length)) {
            E::widen(level, x.get(place).unwrap_or(&[]), into);
        }
    }
}

/// Room for a tile. Aligned, so that no register of it is in two lines of the cache.
#[cfg(feature = "half")]
#[repr(align(64))]
pub(crate) struct Scratch<F>(pub(crate) [F; TILE + SLACK]);

/// Cells that there is room for beside those of a tile.
#[cfg(feature = "half")]
const SLACK: usize = 16;

#[cfg(feature = "half")]
impl<F: Float> Scratch<F> {
    pub(crate) fn new() -> Self {
        Self([F::default(); _])
    }
}

/// The cells of a window, by what becomes of the gradient.
pub(crate) enum Opened<'a, F> {
    Loss(Cells<'a, F, LOSS>),
    Write(Cells<'a, F, WRITE>),
    Add(Cells<'a, F, ADD>),
}

impl<F: Float> Buffers<'_, F> {
    /// The cells of a window of neighbours, where they are.
    pub(crate) fn direct(&mut self, window: Window) -> Opened<'_, F> {
        let [x_at, gradient_at] = window.at;
        let logits = |x| part(x, x_at, window.length);
        let gradient = |g| part_mut(g, gradient_at, window.length);
        match self {
            Self::Loss(x) => Opened::Loss(Cells::loss(logits(x))),
            Self::InPlace(x) => Opened::Write(Cells::in_place(gradient(x))),
            Self::Gradient(x, g) | Self::WideGradient(x, g) => {
                Opened::Write(Cells::beside(logits(x), gradient(g)))
            }
            Self::Accumulate(x, g) | Self::WideAccumulate(x, g) => {
                Opened::Add(Cells::beside(logits(x), gradient(g)))
            }
        }
    }
}

impl<E: Element> Buffers<'_, E> {
    /// The cells of a window: where they are if they are neighbours and need not be converted, otherwise
    /// in scratch, one row after the other. To be [`close`](Self::close)d afterwards.
    pub(super) fn open<'b>(
        &'b mut self,
        level: Level,
        window: Window,
        scratch: &'b mut [E::Float],
    ) -> Opened<'b, E::Float> {
        E::open(self, level, window, scratch)
    }

    /// The cells of a window, in scratch.
    pub(crate) fn converted<'b>(
        &'b mut self,
        level: Level,
        window: Window,
        scratch: &'b mut [E::Float],
    ) -> Opened<'b, E::Float> {
        let scratch = part_mut(scratch, 0, window.rows * window.length + window.slack);
        match self {
            Self::WideGradient(x, g) if window.is_of_neighbours() => {
                let g = part_mut(g, window.at[1], window.length);
                window.widen(level, x, g);
                Opened::Write(Cells::in_place(g))
            }
            Self::Loss(x) => {
                window.widen(level, x, scratch);
                Opened::Loss(Cells::loss(scratch))
            }
            Self::InPlace(x) => {
                window.widen(level, x, scratch);
                Opened::Write(Cells::in_place(scratch))
            }
            Self::Gradient(x, _)
            | Self::Accumulate(x, _)
            | Self::WideGradient(x, _)
            | Self::WideAccumulate(x, _) => {
                window.widen(level, x, scratch);
                Opened::Write(Cells::in_place(scratch))
            }
        }
    }

    /// What has become of the scratch of a window that was opened goes where it belongs, rounded once.
    pub(super) fn close(&mut self, level: Level, window: Window, scratch: &mut [E::Float]) {
        if E::IS_FLOAT && window.is_of_neighbours() {
            return;
        }
        let rows = window.places::<1>().zip(scratch.chunks_mut(window.length));
        match self {
            Self::Loss(_) => {}
            Self::WideGradient(..) if window.is_of_neighbours() => {}
            Self::Gradient(_, g) | Self::InPlace(g) => {
                for (place, from) in rows {
                    E::narrow(level, from, g.get_mut(place).unwrap_or(&mut []));
                }
            }
            Self::Accumulate(_, g) => {
                for (place, from) in rows {
                    let there = g.get_mut(place).unwrap_or(&mut []);
                    for (value, there) in from.iter_mut().zip(&*there) {
                        *value = there.to_float() + *value;
                    }
                    E::narrow(level, from, there);
                }
            }
            Self::WideGradient(_, g) => {
                for (place, from) in rows {
                    g.get_mut(place).unwrap_or(&mut []).copy_from_slice(from);
                }
            }
            Self::WideAccumulate(_, g) => {
                for (place, from) in rows {
                    for (there, value) in g.get_mut(place).unwrap_or(&mut []).iter_mut().zip(from) {
                        *there = *there + *value;
                    }
                }
            }
        }
    }
}

fn part<T>(slice: &[T], at: usize, length: usize) -> &[T] {
    slice.get(at..at + length).unwrap_or(&[])
}

fn part_mut<T>(slice: &mut [T], at: usize, length: usize) -> &mut [T] {
    slice.get_mut(at..at + length).unwrap_or(&mut [])
}
