//! What the elements of a panel are compared with, gathered from what is given for elements, classes and
//! rows.

use super::element_targets::{HOT, IGNORED};
use super::elements::Inputs;
use crate::simd::Compute;
use crate::simd::{PANEL, from};

/// The most that a run of equal factors is written in at once.
const RUN: usize = 16;

/// Factors of elements, by their numbers. The elements are lines of `classes × inner`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Factors<'a, F> {
    /// No factors: ones.
    Ones,
    /// Element `e` has number `e / line * length + e % length`.
    Pieces { values: &'a [F], length: usize, line: usize },
    /// Element `e` has number `e / length % count`.
    Runs { values: &'a [F], length: usize, count: usize },
    /// Element `e` has number `e % period`; a panel more follows the last of them.
    Cycle { values: &'a [F], period: usize },
}

impl<'a, F: Compute> Factors<'a, F> {
    /// A factor for each element.
    pub(crate) fn of_elements(values: &'a [F]) -> Self {
        if values.is_empty() {
            return Self::Ones;
        }
        Self::Pieces { values, length: usize::MAX, line: usize::MAX }
    }

    /// A factor for each row.
    pub(crate) fn of_rows(values: &'a [F], [classes, inner]: [usize; 2]) -> Self {
        if values.is_empty() {
            return Self::Ones;
        }
        if classes == 1 {
            return Self::of_elements(values);
        }
        if inner == 1 {
            return Self::Runs { values, length: classes, count: usize::MAX };
        }
        Self::Pieces { values, length: inner, line: classes * inner }
    }

    /// A factor for each class. Where lines are short `room` takes a panel of them.
    pub(crate) fn of_classes(
        values: &'a [F],
        [classes, inner]: [usize; 2],
        room: &'a mut CycleRoom<F>,
    ) -> Self {
        if values.is_empty() {
            return Self::Ones;
        }
        let period = classes * inner;
        if period <= PANEL {
            for (at, place) in room.0[..period].iter_mut().enumerate() {
                *place = values.get(at / inner).copied().unwrap_or_default();
            }
            for at in period..period + PANEL {
                room.0[at] = room.0[at - period];
            }
            return Self::Cycle { values: &room.0, period };
        }
        if inner == 1 {
            return Self::Pieces { values, length: classes, line: usize::MAX };
        }
        Self::Runs { values, length: inner, count: classes }
    }

    /// The factors of `count` elements from `first` on, at most a panel; `None` for ones.
    #[inline(always)]
    fn of<'s>(&self, first: usize, count: usize, room: &'s mut Room<F>) -> Option<&'s [F]>
    where
        'a: 's,
    {
        match *self {
            Self::Ones => None,
            Self::Cycle { values, period } => {
                Some(values.get(first % period..).and_then(|v| v.get(..count)).unwrap_or(&[]))
            }
            Self::Pieces { values, length, line } => {
                let place = |at: usize| (at / line * length + at % length, length - at % length);
                let (start, left) = place(first);
                if left >= count {
                    return Some(from(values, start).get(..count).unwrap_or(&[]));
                }
                let mut done = 0;
                while done < count {
                    let (start, left) = place(first + done);
                    let piece = left.min(count - done);
                    let values = from(values, start);
                    for (place, value) in room.0[done..done + piece].iter_mut().zip(values) {
                        *place = *value;
                    }
                    done += piece;
                }
                Some(&room.0[..count])
            }
            Self::Runs { values, length, count: numbers } => {
                let (mut number, mut left) = (first / length % numbers, length - first % length);
                let mut done = 0;
                while done < count {
                    let value = values.get(number).copied().unwrap_or_default();
                    let end = count.min(done + left);
                    // Over the end of the run, where the next one begins.
                    while done < end {
                        room.0[done..done + RUN].copy_from_slice(&[value; RUN]);
                        done += RUN;
                    }
                    (done, left, number) = (end, length, number + 1);
                    if number == numbers {
                        number = 0;
                    }
                }
                Some(&room.0[..count])
            }
        }
    }
}

/// Room for a cycle of factors, and a panel more.
#[derive(Debug)]
pub(crate) struct CycleRoom<F>([F; 2 * PANEL]);

impl<F: Compute> CycleRoom<F> {
    pub(crate) fn new() -> Self {
        Self([F::default(); _])
    }
}

/// Room for the factors of a panel, and for the end of the last run.
#[derive(Debug)]
struct Room<F>([F; PANEL + RUN]);

impl<F: Compute> Room<F> {
    fn new() -> Self {
        Self([F::default(); _])
    }
}

/// The targets of the elements of a tile.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ElementTargets<'a, F> {
    /// A number for each.
    Numbers(&'a [F]),
    /// Bits for each: [`HOT`], [`IGNORED`].
    Bytes(&'a [u8]),
}

/// What the elements of a tile are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TileInputs<'a, F> {
    pub(crate) targets: ElementTargets<'a, F>,
    /// `ε`: the target is `(1 - ε) y + ε / 2`.
    pub(crate) smoothing: f64,
    /// Whether some elements may be ignored.
    pub(crate) ignores: bool,
    /// The number of the first element of the tile.
    pub(crate) first: usize,
    pub(crate) factors: AllFactors<'a, F>,
}

/// The factors of all elements of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AllFactors<'a, F> {
    /// Of the loss.
    pub(crate) of_class: Factors<'a, F>,
    /// Of the loss.
    pub(crate) of_row: Factors<'a, F>,
    /// Of the positive part of the loss.
    pub(crate) positive: Factors<'a, F>,
    /// Of the gradient.
    pub(crate) upstream: Factors<'a, F>,
}

impl<F> AllFactors<'_, F> {
    pub(crate) fn ones() -> Self {
        let [of_class, of_row] = [Factors::Ones, Factors::Ones];
        let [positive, upstream] = [Factors::Ones, Factors::Ones];
        Self { of_class, of_row, positive, upstream }
    }
}

/// Room for what the elements of a panel are compared with.
#[derive(Debug)]
pub(crate) struct PanelRoom<F> {
    ones: Room<F>,
    targets: Room<F>,
    of_class: Room<F>,
    of_row: Room<F>,
    weights: Room<F>,
    positive: Room<F>,
    upstream: Room<F>,
}

impl<F: Compute> PanelRoom<F> {
    pub(crate) fn new() -> Self {
        Self {
            ones: Room([F::from_count(1); _]),
            targets: Room::new(),
            of_class: Room::new(),
            of_row: Room::new(),
            weights: Room::new(),
            positive: Room::new(),
            upstream: Room::new(),
        }
    }
}

impl<F: Compute> TileInputs<'_, F> {
    /// Those of `count` elements from `at` on in the tile, at most a panel.
    #[inline(always)]
    pub(crate) fn of<'s>(
        &'s self,
        at: usize,
        count: usize,
        room: &'s mut PanelRoom<F>,
    ) -> Inputs<'s, F> {
        let first = self.first + at;
        let AllFactors { of_class, of_row, positive, upstream } = &self.factors;
        let class = of_class.of(first, count, &mut room.of_class);
        let row = of_row.of(first, count, &mut room.of_row);
        let ones = &room.ones.0[..count];
        Inputs {
            targets: self.targets_in(at, count, &mut room.targets),
            positive: positive.of(first, count, &mut room.positive).unwrap_or(ones),
            weights: self.weights(at, count, [class, row], &mut room.weights).unwrap_or(ones),
            upstream: upstream.of(first, count, &mut room.upstream).unwrap_or(ones),
        }
    }

    /// Their targets alone.
    #[inline(always)]
    pub(crate) fn targets<'s>(
        &'s self,
        at: usize,
        count: usize,
        room: &'s mut PanelRoom<F>,
    ) -> &'s [F] {
        self.targets_in(at, count, &mut room.targets)
    }

    #[inline(always)]
    fn targets_in<'s>(&'s self, at: usize, count: usize, room: &'s mut Room<F>) -> &'s [F] {
        let (keep, even) = (1.0 - self.smoothing, 0.5 * self.smoothing);
        let smoothed = |y: f64| F::from_f64(y * keep + even);
        let room = &mut room.0[..count];
        match self.targets {
            ElementTargets::Numbers(values) => {
                let values = from(values, at).get(..count).unwrap_or(&[]);
                if self.smoothing == 0.0 {
                    return values;
                }
                for (place, value) in room.iter_mut().zip(values) {
                    *place = smoothed(value.to_f64());
                }
            }
            ElementTargets::Bytes(bytes) => {
                let (cold, hot) = (smoothed(0.0), smoothed(1.0));
                for (place, byte) in room.iter_mut().zip(from(bytes, at)) {
                    *place = if byte & HOT == 0 { cold } else { hot };
                }
            }
        }
        room
    }

    /// The product of the factors of the loss; zero for what is ignored.
    #[inline(always)]
    fn weights<'s>(
        &self,
        at: usize,
        count: usize,
        factors: [Option<&'s [F]>; 2],
        room: &'s mut Room<F>,
    ) -> Option<&'s [F]> {
        let room = &mut room.0[..count];
        match factors {
            [factor, None] | [None, factor] if !self.ignores => return factor,
            [Some(a), Some(b)] => {
                for ((place, a), b) in room.iter_mut().zip(a).zip(b) {
                    *place = *a * *b;
                }
            }
            [Some(factor), None] | [None, Some(factor)] => {
                for (place, factor) in room.iter_mut().zip(factor) {
                    *place = *factor;
                }
            }
            [None, None] => room.fill(F::from_count(1)),
        }
        if let ElementTargets::Bytes(bytes) = self.targets
            && self.ignores
        {
            let zero = F::default();
            for (place, byte) in room.iter_mut().zip(from(bytes, at)) {
                *place = if byte & IGNORED == 0 { *place } else { zero };
            }
        }
        Some(room)
    }
}
