//! Sums whose error does not grow with the number of terms.
//!
//! Source: A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen",
//! ZAMM 54 (1974), the "improved Kahan-Babuška algorithm".

/// A running sum that keeps the rounding errors of its additions in a second number.
///
/// For n terms the error is about one rounding of the result plus `n·2⁻¹⁰⁶·Σ|x_i|`. NaN and
/// infinite terms give the same result as a plain sum.
///
/// ```
/// use xent_reference::sum::Neumaier;
///
/// let sum: Neumaier = [1.0, 1e100, 1.0, -1e100].into_iter().collect();
/// assert_eq!(sum.value(), 2.0);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Neumaier {
    sum: f64,
    lost: f64,
}

impl Neumaier {
    /// Adds one term.
    pub fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        self.lost += if self.sum.abs() >= term.abs() {
            (self.sum - sum) + term
        } else {
            (term - sum) + self.sum
        };
        self.sum = sum;
    }

    /// The sum so far, 0 without terms.
    pub fn value(self) -> f64 {
        // Around an infinity the lost part is inf - inf, which means nothing.
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }

    /// The sum of the terms of both.
    fn joined(mut self, other: Self) -> Self {
        self.add(other.sum);
        self.lost += other.lost;
        self
    }
}

impl Extend<f64> for Neumaier {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, terms: I) {
        terms.into_iter().for_each(|term| self.add(term));
    }
}

impl FromIterator<f64> for Neumaier {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        sum.extend(terms);
        sum
    }
}

/// `Σ_i x_i`, compensated; 0 for no terms.
pub fn sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    terms.into_iter().collect::<Neumaier>().value()
}

/// For each index c the sum of all *other* terms, `Σ_{i≠c} x_i`. As long as `terms`.
///
/// Each is the sum of the terms before c and the terms after it. Nothing is subtracted, so for
/// non-negative terms every result is accurate to its last bits, where `total - x_c` would lose
/// them all if one term dominates.
///
/// ```
/// use xent_reference::sum::sums_of_the_others;
///
/// assert_eq!(sums_of_the_others(&[1.0, 1e-30, 1e-30]), [2e-30, 1.0, 1.0]);
/// ```
pub fn sums_of_the_others(terms: &[f64]) -> Vec<f64> {
    let mut before = Neumaier::default();
    let mut prefixes = Vec::with_capacity(terms.len());
    for &term in terms {
        prefixes.push(before);
        before.add(term);
    }
    let mut after = Neumaier::default();
    let mut others = vec![0.0; terms.len()];
    for c in (0..terms.len()).rev() {
        others[c] = prefixes[c].joined(after).value();
        after.add(terms[c]);
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sum_keeps_its_last_bits() {
        // 1 + 2^20 halves of an ulp: plain addition loses every one of them.
        let tiny = f64::EPSILON / 2.0;
        let terms = core::iter::once(1.0).chain(core::iter::repeat_n(tiny, 1 << 20));
        assert_eq!(sum(terms.clone()), 1.0 + tiny * f64::from(1 << 20));
        assert_eq!(terms.fold(0.0, |a, b| a + b), 1.0);
    }

    #[test]
    fn what_is_not_finite_is_summed_as_ieee_does() {
        assert_eq!(sum([1.0, f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(sum([f64::NEG_INFINITY, 1e300, 1.0]), f64::NEG_INFINITY);
        assert!(sum([f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(sum([1.0, f64::NAN, 1.0]).is_nan());
    }

    #[test]
    fn an_empty_sum_is_zero() {
        assert_eq!(sum([]), 0.0);
        assert!(sums_of_the_others(&[]).is_empty());
        assert_eq!(sums_of_the_others(&[7.0]), [0.0]);
    }

    #[test]
    fn the_sum_of_the_others_never_sees_the_term_left_out() {
        let others = sums_of_the_others(&[1e-200, 1e200, 3e-200]);
        assert_eq!(others, [1e200, 4e-200, 1e200]);
    }
}
