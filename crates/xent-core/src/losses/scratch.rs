//! Buffers in the format of the computation: in place, or a scratch buffer for as many elements as fit.

use super::buffers::{Buffers, Gradient};
use super::format::{Element, Float};
use super::quantisation::Quantisation;
use crate::dispatch::Kernel;
use crate::kernel::row_buffers::{GradMode, RowBuffers};
use crate::kernel::soft_cap::{Cap, Uncap, UncapSecond};
use crate::kernel::sum::TILE;
use crate::level::Level;

/// Rows of elements of the same length, with a place for the logits and the gradient each: `[logits, gradient]`.
#[derive(Clone, Copy)]
pub(crate) struct TileRange {
    pub(super) rows: usize,
    pub(super) length: usize,
    /// The start of the first row.
    pub(super) at: [usize; 2],
    /// From a row to the next.
    pub(super) strides: [usize; 2],
    /// Unused elements that follow the last row in the scratch buffer, for loads of four that run over.
    pub(super) slack: usize,
}

impl TileRange {
    /// Contiguous elements.
    pub(super) fn of(at: [usize; 2], length: usize) -> Self {
        Self { rows: 1, length, at, strides: [length; 2], slack: 0 }
    }

    pub(crate) fn is_of_neighbours(self) -> bool {
        self.rows == 1
    }

    /// The ranges of the rows; `SIDE` 0 for the logits, 1 for the gradient.
    fn places<const SIDE: usize>(self) -> impl Iterator<Item = core::ops::Range<usize>> {
        (0..self.rows).map(move |row| {
            let start = self.at[SIDE] + row * self.strides[SIDE];
            start..start + self.length
        })
    }

    /// Converts the logits, one row after the other.
    fn widen<E: Element>(
        self,
        level: Level,
        quantisation: Option<Quantisation>,
        x: &[E],
        into: &mut [E::Float],
    ) {
        for (place, into) in self.places::<0>().zip(into.chunks_mut(self.length)) {
            E::widen(level, quantisation, x.get(place).unwrap_or(&[]), into);
        }
    }
}

/// Scratch buffer for elements that cannot be used in place; empty if all can.
pub(crate) struct Scratch<'r, F> {
    pub(super) cells: &'r mut [F],
    /// The derivatives of capped logits.
    pub(super) derivatives: &'r mut [F],
    /// The soft cap of the logits, in their precision; zero for none.
    pub(super) cap: f64,
    /// Whether the gradient by capped logits is needed, even if no gradient is wanted.
    pub(super) second: bool,
    /// Whether a gradient that needs no conversion goes past the caches, so that logits are not converted to its
    /// place.
    pub(super) stream: bool,
}

impl<F: Float> Scratch<'_, F> {
    /// Scratch buffer for logits of a format: with a cap for any format, otherwise only for formats that must be
    /// converted.
    pub(crate) fn with<E: Element<Float = F>, R>(
        (cap, second): (f64, bool),
        run: impl FnOnce(&mut Scratch<'_, F>) -> R,
    ) -> R {
        let with = |cells, derivatives| {
            run(&mut Scratch { cells, derivatives, cap, second, stream: false })
        };
        if cap != 0.0 {
            with(&mut TileBuffer::new().0, &mut TileBuffer::new().0)
        } else if E::IS_FLOAT {
            with(&mut [], &mut [])
        } else {
            with(&mut TileBuffer::new().0, &mut [])
        }
    }
}

/// Scratch buffer for a tile. Aligned, so that none of its registers straddles two cache lines.
#[repr(align(64))]
pub(super) struct TileBuffer<F>(pub(super) [F; TILE + SLACK]);

/// Spare elements besides those of a tile.
const SLACK: usize = 16;

impl<F: Float> TileBuffer<F> {
    pub(super) fn new() -> Self {
        Self([F::default(); _])
    }
}

impl<F: Float> Buffers<'_, F> {
    /// All elements, in place. With separate strides, the gradient's length differs from the logits'.
    pub(crate) fn all(&mut self) -> RowBuffers<'_, F> {
        let (logits, gradient) = self.logits_and_gradient();
        row_buffers(logits, gradient)
    }

    /// Contiguous elements, in place: from `[logits, gradient]` on.
    pub(crate) fn direct(
        &mut self,
        [x_at, gradient_at]: [usize; 2],
        length: usize,
    ) -> RowBuffers<'_, F> {
        let (logits, gradient) = self.logits_and_gradient();
        let logits = logits.map(|x| part(x, x_at, length));
        let at = |g| part_mut(g, gradient_at, length);
        row_buffers(
            logits,
            match gradient {
                Gradient::None => Gradient::None,
                Gradient::Write(g) | Gradient::WriteWide(g) => Gradient::Write(at(g)),
                Gradient::Add(g) | Gradient::AddWide(g) => Gradient::Add(at(g)),
            },
        )
    }
}

fn row_buffers<'b, F: Float>(
    logits: Option<&'b [F]>,
    gradient: Gradient<'b, F>,
) -> RowBuffers<'b, F> {
    match (logits, gradient) {
        (Some(x), Gradient::Write(g) | Gradient::WriteWide(g)) => RowBuffers::write(x, g),
        (Some(x), Gradient::Add(g) | Gradient::AddWide(g)) => RowBuffers::add(x, g),
        (None, Gradient::Write(both)) => RowBuffers::in_place(both),
        (x, _) => RowBuffers::loss(x.unwrap_or(&[])),
    }
}

impl<E: Element> Buffers<'_, E> {
    /// The elements of a range: in place if they are contiguous and need no conversion or cap, otherwise in the
    /// scratch buffer, one row after the other. Must be [`close`](Self::close)d afterwards.
    pub(super) fn open<'b>(
        &'b mut self,
        level: Level,
        range: TileRange,
        scratch: &'b mut Scratch<'_, E::Float>,
    ) -> RowBuffers<'b, E::Float> {
        if scratch.cap == 0.0 && range.is_of_neighbours() && E::IS_FLOAT {
            return E::direct(self, range.at, range.length);
        }
        let length = range.rows * range.length;
        let of_loss =
            matches!(self.gradient, Gradient::None) && !(scratch.cap != 0.0 && scratch.second);
        let cells = part_mut(scratch.cells, 0, length + range.slack);
        if range.is_of_neighbours() && E::IS_FLOAT {
            let direct = E::direct(self, range.at, range.length);
            Cap {
                logits: Some(direct.logits()),
                capped: part_mut(cells, 0, length),
                derivatives: part_mut(scratch.derivatives, 0, length),
                cap: scratch.cap,
            }
            .at(level);
            return if of_loss { RowBuffers::loss(cells) } else { RowBuffers::in_place(cells) };
        }
        let quantisation = self.quantisation;
        let cells = match self.logits_and_gradient() {
            // There is enough space where the gradient goes.
            (Some(x), Gradient::WriteWide(g)) if range.is_of_neighbours() => {
                let g = part_mut(g, range.at[1], range.length);
                if scratch.stream {
                    range.widen(level, quantisation, x, cells);
                    return RowBuffers::write(cells, g);
                }
                range.widen(level, quantisation, x, g);
                g
            }
            (Some(x), _) => {
                range.widen(level, quantisation, x, cells);
                cells
            }
            (None, gradient) => {
                if let Gradient::Write(both) = gradient {
                    range.widen(level, quantisation, both, cells);
                }
                cells
            }
        };
        if scratch.cap != 0.0 {
            let (capped, cap) = (part_mut(&mut *cells, 0, length), scratch.cap);
            let derivatives = part_mut(scratch.derivatives, 0, length);
            Cap { logits: None, capped, derivatives, cap }.at(level);
        }
        if of_loss { RowBuffers::loss(cells) } else { RowBuffers::in_place(cells) }
    }

    /// The second derivatives of an opened range, by its logits instead of the capped logits.
    pub(super) fn uncap_second(
        &mut self,
        level: Level,
        range: TileRange,
        scratch: &Scratch<'_, E::Float>,
        (hessian, floor): (&mut [E::Float], f64),
    ) {
        if scratch.cap == 0.0 || hessian.is_empty() {
            return;
        }
        let mut logits = TileBuffer::new();
        let logits = &mut logits.0[..range.rows * range.length];
        range.widen(level, self.quantisation, self.logits(), logits);
        let gradient = match &self.gradient {
            Gradient::WriteWide(g) if range.is_of_neighbours() && !E::IS_FLOAT => {
                part(g, range.at[1], range.length)
            }
            _ => part(scratch.cells, 0, logits.len()),
        };
        UncapSecond { hessian, gradient, logits, cap: scratch.cap, floor }.at(level);
    }

    /// Writes the results of an opened range to their places, rounded once.
    pub(super) fn close(
        &mut self,
        level: Level,
        range: TileRange,
        scratch: &mut Scratch<'_, E::Float>,
    ) {
        if scratch.cap == 0.0 && range.is_of_neighbours() && E::IS_FLOAT {
            return;
        }
        let length = range.rows * range.length;
        let uncap = |gradient: &mut [E::Float], derivatives: &[E::Float]| {
            if !derivatives.is_empty() {
                Uncap { gradient, derivatives, into: None }.at(level);
            }
        };
        let derivatives = &scratch.derivatives[..length.min(scratch.derivatives.len())];
        let cells = part_mut(scratch.cells, 0, length);
        if range.is_of_neighbours() && E::IS_FLOAT {
            let mut direct = E::direct(self, range.at, range.length);
            if direct.mode() != GradMode::None {
                let mode = direct.mode();
                let into = Some((direct.gradient_mut(), mode));
                Uncap { gradient: cells, derivatives, into }.at(level);
            }
            return;
        }
        match &mut self.gradient {
            Gradient::None => return,
            Gradient::WriteWide(g) if range.is_of_neighbours() => {
                uncap(part_mut(g, range.at[1], range.length), derivatives);
                return;
            }
            _ => uncap(cells, derivatives),
        }
        let rows = range.places::<1>().zip(cells.chunks_mut(range.length));
        match &mut self.gradient {
            Gradient::None => {}
            Gradient::Write(g) => {
                for (place, from) in rows {
                    E::narrow(level, from, g.get_mut(place).unwrap_or(&mut []));
                }
            }
            Gradient::Add(g) => {
                for (place, from) in rows {
                    let there = g.get_mut(place).unwrap_or(&mut []);
                    for (value, there) in from.iter_mut().zip(&*there) {
                        *value = there.to_float() + *value;
                    }
                    E::narrow(level, from, there);
                }
            }
            Gradient::WriteWide(g) => {
                for (place, from) in rows {
                    g.get_mut(place).unwrap_or(&mut []).copy_from_slice(from);
                }
            }
            Gradient::AddWide(g) => {
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
