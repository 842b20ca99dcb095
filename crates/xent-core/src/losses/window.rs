//! Buffers in what is computed in: where they are, or in a room as much at a time as that can hold.

use super::buffers::Buffers;
use super::format::{Element, Float};
use crate::dispatch::Kernel;
use crate::kernel::row_buffers::{GradMode, RowBuffers};
use crate::kernel::soft_cap::{Cap, Uncap, UncapSecond};
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
    /// Cells that follow the last row in the room, of no meaning: what is read in fours runs over.
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

/// Where cells are that are not computed with as they are; empty where all are.
pub(crate) struct Room<'r, F> {
    pub(super) cells: &'r mut [F],
    /// The derivatives of capped logits.
    pub(super) derivatives: &'r mut [F],
    /// The soft cap of the logits, as exact as they are; zero for none.
    pub(super) cap: f64,
    /// Whether the gradient by capped logits is needed, though no gradient may be wanted.
    pub(super) second: bool,
}

impl<F: Float> Room<'_, F> {
    /// A room for logits of a format: with a cap, of any; otherwise, of those that are not what is computed
    /// in.
    pub(crate) fn with<E: Element<Float = F>, R>(
        (cap, second): (f64, bool),
        run: impl FnOnce(&mut Room<'_, F>) -> R,
    ) -> R {
        if cap != 0.0 {
            let (mut cells, mut derivatives) = (Cells::new(), Cells::new());
            run(&mut Room { cells: &mut cells.0, derivatives: &mut derivatives.0, cap, second })
        } else if E::IS_FLOAT {
            run(&mut Room { cells: &mut [], derivatives: &mut [], cap, second })
        } else {
            run(&mut Room { cells: &mut Cells::new().0, derivatives: &mut [], cap, second })
        }
    }
}

/// Room for a tile. Aligned, so that no register of it is in two lines of the cache.
#[repr(align(64))]
pub(super) struct Cells<F>(pub(super) [F; TILE + SLACK]);

/// Cells that there is room for beside those of a tile.
const SLACK: usize = 16;

impl<F: Float> Cells<F> {
    pub(super) fn new() -> Self {
        Self([F::default(); _])
    }
}

impl<F: Float> Buffers<'_, F> {
    /// All cells, where they are. With strides of their own, the gradient is not as long as the logits.
    pub(crate) fn all(&mut self) -> RowBuffers<'_, F> {
        match self {
            Self::Loss(x) => RowBuffers::loss(x),
            Self::InPlace(x) => RowBuffers::in_place(x),
            Self::Gradient(x, g) | Self::WideGradient(x, g) => RowBuffers::write(x, g),
            Self::Accumulate(x, g) | Self::WideAccumulate(x, g) => RowBuffers::add(x, g),
        }
    }

    /// The cells of neighbours, where they are: from `[logits, gradient]` on.
    pub(crate) fn direct(
        &mut self,
        [x_at, gradient_at]: [usize; 2],
        length: usize,
    ) -> RowBuffers<'_, F> {
        let logits = |x| part(x, x_at, length);
        let gradient = |g| part_mut(g, gradient_at, length);
        match self {
            Self::Loss(x) => RowBuffers::loss(logits(x)),
            Self::InPlace(x) => RowBuffers::in_place(gradient(x)),
            Self::Gradient(x, g) | Self::WideGradient(x, g) => {
                RowBuffers::write(logits(x), gradient(g))
            }
            Self::Accumulate(x, g) | Self::WideAccumulate(x, g) => {
                RowBuffers::add(logits(x), gradient(g))
            }
        }
    }
}

impl<E: Element> Buffers<'_, E> {
    /// The cells of a window: where they are if they are neighbours, need not be converted and are not
    /// capped, otherwise in the room, one row after the other. To be [`close`](Self::close)d afterwards.
    pub(super) fn open<'b>(
        &'b mut self,
        level: Level,
        window: Window,
        room: &'b mut Room<'_, E::Float>,
    ) -> RowBuffers<'b, E::Float> {
        if room.cap == 0.0 && window.is_of_neighbours() && E::IS_FLOAT {
            return E::direct(self, window.at, window.length);
        }
        let length = window.rows * window.length;
        let of_loss = matches!(self, Self::Loss(_)) && !(room.cap != 0.0 && room.second);
        let cells = part_mut(room.cells, 0, length + window.slack);
        if window.is_of_neighbours() && E::IS_FLOAT {
            let direct = E::direct(self, window.at, window.length);
            Cap {
                logits: Some(direct.logits()),
                capped: part_mut(cells, 0, length),
                derivatives: part_mut(room.derivatives, 0, length),
                cap: room.cap,
            }
            .at(level);
            return if of_loss { RowBuffers::loss(cells) } else { RowBuffers::in_place(cells) };
        }
        let cells = match self {
            // Where the gradient goes there is room enough.
            Self::WideGradient(x, g) if window.is_of_neighbours() => {
                let g = part_mut(g, window.at[1], window.length);
                window.widen(level, x, g);
                g
            }
            Self::Loss(x)
            | Self::Gradient(x, _)
            | Self::Accumulate(x, _)
            | Self::WideGradient(x, _)
            | Self::WideAccumulate(x, _) => {
                window.widen(level, x, cells);
                cells
            }
            Self::InPlace(x) => {
                window.widen(level, x, cells);
                cells
            }
        };
        if room.cap != 0.0 {
            let (capped, cap) = (part_mut(&mut *cells, 0, length), room.cap);
            let derivatives = part_mut(room.derivatives, 0, length);
            Cap { logits: None, capped, derivatives, cap }.at(level);
        }
        if of_loss { RowBuffers::loss(cells) } else { RowBuffers::in_place(cells) }
    }

    /// Second derivatives of a window that was opened, by its logits instead of what the cap has made of them.
    pub(super) fn uncap_second(
        &mut self,
        level: Level,
        window: Window,
        room: &Room<'_, E::Float>,
        (hessian, floor): (&mut [E::Float], f64),
    ) {
        if room.cap == 0.0 || hessian.is_empty() {
            return;
        }
        let mut logits = Cells::new();
        let logits = &mut logits.0[..window.rows * window.length];
        window.widen(level, self.logits(), logits);
        let gradient = match self {
            Self::WideGradient(_, g) if window.is_of_neighbours() && !E::IS_FLOAT => {
                part(g, window.at[1], window.length)
            }
            _ => part(room.cells, 0, logits.len()),
        };
        UncapSecond { hessian, gradient, logits, cap: room.cap, floor }.at(level);
    }

    /// What has become of the cells of a window that was opened goes where it belongs, rounded once.
    pub(super) fn close(&mut self, level: Level, window: Window, room: &mut Room<'_, E::Float>) {
        if room.cap == 0.0 && window.is_of_neighbours() && E::IS_FLOAT {
            return;
        }
        let length = window.rows * window.length;
        let uncap = |gradient: &mut [E::Float], derivatives: &[E::Float]| {
            if !derivatives.is_empty() {
                Uncap { gradient, derivatives, into: None }.at(level);
            }
        };
        let derivatives = &room.derivatives[..length.min(room.derivatives.len())];
        let cells = part_mut(room.cells, 0, length);
        if window.is_of_neighbours() && E::IS_FLOAT {
            let mut direct = E::direct(self, window.at, window.length);
            if direct.mode() != GradMode::None {
                let mode = direct.mode();
                let into = Some((direct.gradient_mut(), mode));
                Uncap { gradient: cells, derivatives, into }.at(level);
            }
            return;
        }
        match self {
            Self::Loss(_) => return,
            Self::WideGradient(_, g) if window.is_of_neighbours() => {
                uncap(part_mut(g, window.at[1], window.length), derivatives);
                return;
            }
            _ => uncap(cells, derivatives),
        }
        let rows = window.places::<1>().zip(cells.chunks_mut(window.length));
        match self {
            Self::Loss(_) => {}
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
