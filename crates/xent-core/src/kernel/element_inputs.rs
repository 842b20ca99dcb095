//! The targets and factors of a strip's elements, gathered from those of elements, classes and rows.

use super::element_targets::{HOT, IGNORED};
use super::elements::Inputs;
use crate::simd::Compute;
use crate::simd::{STRIP, from};

/// The longest run of equal factors that is written at once.
const RUN: usize = 16;

/// Factors of elements, by their index. The elements form lines of `classes × inner`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Factors<'a, F> {
    /// No factors: all ones.
    Ones,
    /// Element `e` has factor `e / line * length + e % length`.
    Pieces { values: &'a [F], length: usize, line: usize },
    /// Element `e` has factor `e / length % count`.
    Runs { values: &'a [F], length: usize, count: usize },
    /// Element `e` has factor `e % period`; another strip follows the last of them.
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

    /// A factor for each class. If lines are short, `scratch` takes a strip of them.
    pub(crate) fn of_classes(
        values: &'a [F],
        [classes, inner]: [usize; 2],
        scratch: &'a mut CycleScratch<F>,
    ) -> Self {
        if values.is_empty() {
            return Self::Ones;
        }
        let period = classes * inner;
        if period <= STRIP {
            for (at, place) in scratch.0[..period].iter_mut().enumerate() {
                *place = values.get(at / inner).copied().unwrap_or_default();
            }
            for at in period..period + STRIP {
                scratch.0[at] = scratch.0[at - period];
            }
            return Self::Cycle { values: &scratch.0, period };
        }
        if inner == 1 {
            return Self::Pieces { values, length: classes, line: usize::MAX };
        }
        Self::Runs { values, length: inner, count: classes }
    }

    /// The factors of `count` elements from `first` on, at most a strip; `None` for ones.
    #[inline(always)]
    fn of<'s>(
        &self,
        first: usize,
        count: usize,
        scratch: &'s mut FactorScratch<F>,
    ) -> Option<&'s [F]>
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
                    for (place, value) in scratch.0[done..done + piece].iter_mut().zip(values) {
                        *place = *value;
                    }
                    done += piece;
                }
                Some(&scratch.0[..count])
            }
            Self::Runs { values, length, count: numbers } => {
                let (mut number, mut left) = (first / length % numbers, length - first % length);
                let mut done = 0;
                while done < count {
                    let value = values.get(number).copied().unwrap_or_default();
                    let end = count.min(done + left);
                    // Past the end of the run, where the next one starts.
                    while done < end {
                        scratch.0[done..done + RUN].copy_from_slice(&[value; RUN]);
                        done += RUN;
                    }
                    (done, left, number) = (end, length, number + 1);
                    if number == numbers {
                        number = 0;
                    }
                }
                Some(&scratch.0[..count])
            }
        }
    }
}

/// Space for a cycle of factors, and another strip.
#[derive(Debug)]
pub(crate) struct CycleScratch<F>([F; 2 * STRIP]);

impl<F: Compute> CycleScratch<F> {
    pub(crate) fn new() -> Self {
        Self([F::default(); _])
    }
}

/// Space for the factors of a strip, and for the end of the last run.
#[derive(Debug)]
struct FactorScratch<F>([F; STRIP + RUN]);

impl<F: Compute> FactorScratch<F> {
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

/// The targets and factors of the elements of a tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TileInputs<'a, F> {
    pub(crate) targets: ElementTargets<'a, F>,
    /// `ε`: the target is `(1 - ε) y + ε / 2`.
    pub(crate) smoothing: f64,
    /// Whether some elements may be ignored.
    pub(crate) ignores: bool,
    /// The index of the first element of the tile.
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

/// Space for the inputs of a strip.
#[derive(Debug)]
pub(crate) struct StripScratch<F> {
    ones: FactorScratch<F>,
    targets: FactorScratch<F>,
    of_class: FactorScratch<F>,
    of_row: FactorScratch<F>,
    weights: FactorScratch<F>,
    positive: FactorScratch<F>,
    upstream: FactorScratch<F>,
}

impl<F: Compute> StripScratch<F> {
    pub(crate) fn new() -> Self {
        Self {
            ones: FactorScratch([F::from_count(1); _]),
            targets: FactorScratch::new(),
            of_class: FactorScratch::new(),
            of_row: FactorScratch::new(),
            weights: FactorScratch::new(),
            positive: FactorScratch::new(),
            upstream: FactorScratch::new(),
        }
    }
}

impl<F: Compute> TileInputs<'_, F> {
    /// The inputs of `count` elements from `at` on in the tile, at most a strip.
    #[inline(always)]
    pub(crate) fn of<'s>(
        &'s self,
        at: usize,
        count: usize,
        scratch: &'s mut StripScratch<F>,
    ) -> Inputs<'s, F> {
        let first = self.first + at;
        let AllFactors { of_class, of_row, positive, upstream } = &self.factors;
        let class = of_class.of(first, count, &mut scratch.of_class);
        let row = of_row.of(first, count, &mut scratch.of_row);
        let ones = &scratch.ones.0[..count];
        Inputs {
            targets: self.targets_in(at, count, &mut scratch.targets),
            positive: positive.of(first, count, &mut scratch.positive).unwrap_or(ones),
            weights: self.weights(at, count, [class, row], &mut scratch.weights).unwrap_or(ones),
            upstream: upstream.of(first, count, &mut scratch.upstream).unwrap_or(ones),
        }
    }

    /// Only their targets.
    #[inline(always)]
    pub(crate) fn targets<'s>(
        &'s self,
        at: usize,
        count: usize,
        scratch: &'s mut StripScratch<F>,
    ) -> &'s [F] {
        self.targets_in(at, count, &mut scratch.targets)
    }

    #[inline(always)]
    fn targets_in<'s>(
        &'s self,
        at: usize,
        count: usize,
        scratch: &'s mut FactorScratch<F>,
    ) -> &'s [F] {
        let (unsmoothed, smoothing_per_class) = (1.0 - self.smoothing, 0.5 * self.smoothing);
        let smoothed = |y: f64| F::from_f64(y * unsmoothed + smoothing_per_class);
        let scratch = &mut scratch.0[..count];
        match self.targets {
            ElementTargets::Numbers(values) => {
                let values = from(values, at).get(..count).unwrap_or(&[]);
                if self.smoothing == 0.0 {
                    return values;
                }
                for (place, value) in scratch.iter_mut().zip(values) {
                    *place = smoothed(value.to_f64());
                }
            }
            ElementTargets::Bytes(bytes) => {
                let (cold, hot) = (smoothed(0.0), smoothed(1.0));
                for (place, byte) in scratch.iter_mut().zip(from(bytes, at)) {
                    *place = if byte & HOT == 0 { cold } else { hot };
                }
            }
        }
        scratch
    }

    /// The product of the factors of the loss; zero for ignored elements.
    #[inline(always)]
    fn weights<'s>(
        &self,
        at: usize,
        count: usize,
        factors: [Option<&'s [F]>; 2],
        scratch: &'s mut FactorScratch<F>,
    ) -> Option<&'s [F]> {
        let scratch = &mut scratch.0[..count];
        match factors {
            [factor, None] | [None, factor] if !self.ignores => return factor,
            [Some(a), Some(b)] => {
                for ((place, a), b) in scratch.iter_mut().zip(a).zip(b) {
                    *place = *a * *b;
                }
            }
            [Some(factor), None] | [None, Some(factor)] => {
                for (place, factor) in scratch.iter_mut().zip(factor) {
                    *place = *factor;
                }
            }
            [None, None] => scratch.fill(F::from_count(1)),
        }
        if let ElementTargets::Bytes(bytes) = self.targets
            && self.ignores
        {
            let zero = F::default();
            for (place, byte) in scratch.iter_mut().zip(from(bytes, at)) {
                *place = if byte & IGNORED == 0 { *place } else { zero };
            }
        }
        Some(scratch)
    }
}
