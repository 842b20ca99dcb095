//! Sums whose error does not grow with their length.

use core::ops::{Add, AddAssign, Sub};

use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, Lanes, in_lanes};

/// Elements that one [`CompensatedSum`] takes before it is folded.
pub(crate) const TILE: usize = 4096;

/// Non-negative terms, summed by accumulator, with the rounding errors of the additions.
///
/// The compensation is T. J. Dekker's `Fast2Sum` ("A floating-point technique for extending the
/// available precision", 1971). It is exact while the sum is the larger operand. A larger term
/// costs one rounding, which can only happen as often as the sum doubles.
#[derive(Clone, Copy)]
pub(crate) struct CompensatedSum<V: Lanes> {
    high: V::Accumulators,
    low: V::Accumulators,
}

impl<V: Lanes> CompensatedSum<V> {
    #[inline(always)]
    pub(crate) fn new(token: V::Token) -> Self {
        let zero = V::of(token, 0.0).accumulators();
        Self { high: zero, low: zero }
    }

    /// Adds one term to each accumulator of a register: the four of a strip, as a tree.
    #[inline(always)]
    pub(crate) fn add(&mut self, register: usize, [a, b, c, d]: [V; 4]) {
        self.add_one(register, (a + b) + (c + d));
    }

    /// The sum of one term for each accumulator.
    #[inline(always)]
    pub(crate) fn of(token: V::Token, terms: V::Accumulators) -> Self {
        Self { high: terms, ..Self::new(token) }
    }

    /// Adds one term to each accumulator.
    #[inline(always)]
    pub(crate) fn add_all(&mut self, terms: V::Accumulators) {
        for (register, &terms) in terms.as_ref().iter().enumerate() {
            self.add_one(register, terms);
        }
    }

    #[inline(always)]
    fn add_one(&mut self, register: usize, terms: V) {
        let high = &mut self.high.as_mut()[register];
        let low = &mut self.low.as_mut()[register];
        let sum = *high + terms;
        *low = *low + (terms - (sum - *high));
        *high = sum;
    }

    /// The sums of the accumulators, added until they fit one register, and their rounding errors.
    #[inline(always)]
    pub(crate) fn folded(mut self) -> (V, V) {
        let (high, low) = (self.high.as_mut(), self.low.as_mut());
        let mut width = high.len();
        while width > 1 {
            width /= 2;
            for i in 0..width {
                let sum = two_sum((high[i], low[i]), (high[i + width], low[i + width]));
                (high[i], low[i]) = sum;
            }
        }
        (high[0], low[0])
    }

    /// The sum of all accumulators.
    #[inline(always)]
    pub(crate) fn total(self) -> f64 {
        let (high, low) = self.parts();
        let [high, low] = [high, low].map(Compute::to_f64);
        // Once the sum is infinite, its rounding error is NaN.
        if high.is_finite() { high + low } else { high }
    }

    /// The sum of all accumulators, and its rounding error.
    #[inline(always)]
    pub(crate) fn parts(self) -> (V::Scalar, V::Scalar) {
        let zero = V::Scalar::default();
        let (mut highs, mut lows) = ([zero; ACCUMULATORS], [zero; ACCUMULATORS]);
        let (high, low) = self.folded();
        high.store(&mut highs);
        low.store(&mut lows);
        let mut width = V::LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                let sum = two_sum((highs[i], lows[i]), (highs[i + width], lows[i + width]));
                (highs[i], lows[i]) = sum;
            }
        }
        (highs[0], lows[0])
    }
}

/// Losses of rows, summed by accumulator: row `i` belongs to accumulator `i % 32`.
#[derive(Clone, Copy)]
pub(crate) struct LossSum([f64; ACCUMULATORS]);

impl LossSum {
    pub(crate) fn new() -> Self {
        Self([0.0; ACCUMULATORS])
    }

    /// Adds the losses of at most that many rows.
    #[inline(always)]
    pub(crate) fn add<F: Compute>(&mut self, losses: &[F]) {
        for (sum, &loss) in self.0.iter_mut().zip(losses) {
            *sum += loss.to_f64();
        }
    }

    /// The sum of all accumulators, always by the same tree.
    pub(crate) fn total(mut self) -> f64 {
        let mut width = ACCUMULATORS;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                self.0[i] += self.0[i + width];
            }
        }
        self.0[0]
    }
}

/// The sum of two sums with their rounding errors (D. Knuth, "The Art of Computer Programming",
/// volume 2, section 4.2.2, theorem B): exact, whichever is larger.
#[inline(always)]
pub(crate) fn two_sum<T: Copy + Add<Output = T> + Sub<Output = T>>(a: (T, T), b: (T, T)) -> (T, T) {
    let sum = a.0 + b.0;
    let of_b = sum - a.0;
    let lost = (a.0 - (sum - of_b)) + (b.0 - of_b);
    (sum, lost + (a.1 + b.1))
}

/// A sum whose error hardly grows with its length: what each addition loses is kept beside it, so that it has
/// twice the digits of its format until [`total`](Self::total) rounds it. What is infinite or NaN stays that.
///
/// ```
/// use xent_core::RunningSum;
///
/// let mut sum = RunningSum::default();
/// (0..10_000).for_each(|_| sum += 0.1_f32);
/// assert_eq!(sum.total(), 1000.0);
/// assert_ne!((0..10_000).map(|_| 0.1_f32).sum::<f32>(), 1000.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExactSum<T = f64> {
    sum: T,
    lost: T,
}

impl<T: Copy + Default + PartialEq + Add<Output = T> + Sub<Output = T>> ExactSum<T> {
    /// Adds a term; what is lost grows until it loses digits itself, which millions of terms of f64 do not make
    /// felt.
    pub(crate) fn add(&mut self, term: T) {
        (self.sum, self.lost) = two_sum((self.sum, self.lost), (term, T::default()));
    }

    /// The sum of some.
    pub(crate) fn of<const N: usize>(sums: [Self; N]) -> Self {
        sums.into_iter().fold(Self::default(), |a, b| {
            let (sum, lost) = two_sum((a.sum, a.lost), (b.sum, b.lost));
            Self { sum, lost }
        })
    }

    /// The sum, rounded to its format.
    #[must_use]
    pub fn total(self) -> T {
        // Once the sum is infinite, what it lost is not a number.
        if self.is_finite() { self.sum + self.lost } else { self.sum }
    }

    #[allow(clippy::eq_op, reason = "zero for all numbers but infinities and NaN")]
    fn is_finite(self) -> bool {
        self.sum - self.sum == T::default()
    }

    /// Leaves no more beside the sum than it cannot hold.
    fn normalize(&mut self) {
        let sum = self.total();
        self.lost = self.lost - (sum - self.sum);
        self.sum = sum;
    }
}

impl<T: Copy + Default + PartialEq + Add<Output = T> + Sub<Output = T>> AddAssign<T>
    for ExactSum<T>
{
    fn add_assign(&mut self, term: T) {
        self.add(term);
        self.normalize();
    }
}

/// Of two parts of what is added up.
impl<T: Copy + Default + PartialEq + Add<Output = T> + Sub<Output = T>> AddAssign for ExactSum<T> {
    fn add_assign(&mut self, other: Self) {
        *self = Self::of([*self, other]);
        self.normalize();
    }
}

/// The [`ExactSum`] of all terms.
pub(crate) fn sum_of(terms: impl Iterator<Item = f64>) -> f64 {
    let mut sum = ExactSum::default();
    terms.for_each(|term| sum.add(term));
    sum.total()
}

/// The sums of as many rows as there are lanes, a row in each, and their rounding errors, from the
/// [`CompensatedSum::folded`] of each row. Together with the folding it is always the same tree.
#[inline(always)]
pub(crate) fn totals<V: Lanes>(rows: &mut [(V, V)]) -> (V, V) {
    in_lanes::<V, _>(rows, sum_of_halves)
}

#[inline(always)]
fn sum_of_halves<V: Lanes>(a: (V, V), b: (V, V), width: usize) -> (V, V) {
    let (high, low) = (V::halves(a.0, b.0, width), V::halves(a.1, b.1, width));
    two_sum((high.0, low.0), (high.1, low.1))
}
