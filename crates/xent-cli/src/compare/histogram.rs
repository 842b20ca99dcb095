//! How large the differences are where no scale says what a step is.

/// The values of the exponent's bits of an f64.
const EXPONENTS: usize = 1 << 11;
/// The exponent whose bits are zero, which is that of numbers below the normal ones.
const SMALLEST: i32 = -1023;

/// Elements by the power of two that their absolute difference reaches.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    /// Elements that do not differ.
    pub(super) same: usize,
    by_exponent: Box<[usize; EXPONENTS]>,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { same: 0, by_exponent: Box::new([0; EXPONENTS]) }
    }

    /// Examines an element; it counts if both sides are finite.
    pub(super) fn look(&mut self, a: f64, b: f64) {
        if !a.is_finite() || !b.is_finite() {
            return;
        }
        let distance = (a - b).abs();
        if distance == 0.0 {
            self.same += 1;
        } else {
            self.by_exponent[(distance.to_bits() >> 52) as usize] += 1;
        }
    }

    /// Exponents `e` with the number of elements of 2^e to 2^(e + 1), from the first to the last that has any.
    pub(super) fn bins(&self) -> Vec<(i32, usize)> {
        let counts = || (SMALLEST..).zip(self.by_exponent.iter().copied());
        let has_any = |bin: &(i32, usize)| bin.1 > 0;
        let (Some((first, _)), Some((last, _))) =
            (counts().find(has_any), counts().filter(has_any).last())
        else {
            return Vec::new();
        };
        counts().filter(|(exponent, _)| (first..=last).contains(exponent)).collect()
    }
}
