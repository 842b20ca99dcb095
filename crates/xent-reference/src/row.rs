//! The parts of a row that every softmax loss needs: its maximum, the distances from it, and sums
//! of exponentials that leave the maximum out.

use crate::sum::{sum, sums_of_the_others};

/// A row with a softmax: one maximum or several equal finite ones, and no NaN.
pub(crate) struct Row {
    /// `m = max x`, possibly +∞ and never -∞. Not divided by the temperature.
    pub(crate) max: f64,
    /// `d_c = (m - x_c)/τ ≥ 0`; 0 where `x_c = m`, also for m = +∞.
    pub(crate) distance: Vec<f64>,
    /// `e^-d_c`, in 0..=1.
    pub(crate) exp: Vec<f64>,
    /// R, the sum of all of `exp` except the first maximum's 1.
    others: f64,
}

/// Why a row has no softmax.
pub(crate) enum Undefined {
    Nan,
    TwoInfinities,
    AllMasked,
}

impl Row {
    pub(crate) fn new(x: &[f64]) -> Result<Self, Undefined> {
        Self::tempered(x, 1.0)
    }

    /// The row of x/τ, for a temperature τ > 0.
    pub(crate) fn tempered(x: &[f64], temperature: f64) -> Result<Self, Undefined> {
        let first = first_maximum(x)?;
        let max = x[first];
        let (distance, exp): (Vec<f64>, Vec<f64>) =
            x.iter().map(|&v| distance_and_exp(max, v, temperature)).unzip();
        let others = sum(exp.iter().enumerate().filter(|&(c, _)| c != first).map(|(_, &e)| e));
        Ok(Self { max, distance, exp, others })
    }

    /// `S = Σ e^-d_c ≥ 1`.
    pub(crate) fn total(&self) -> f64 {
        1.0 + self.others
    }

    /// ln S, accurate when it is tiny.
    pub(crate) fn ln_total(&self) -> f64 {
        self.others.ln_1p()
    }

    /// `-s_c = -ln p_c = d_c + ln S`, a sum of non-negative terms.
    pub(crate) fn surprise(&self, c: usize) -> f64 {
        self.distance[c] + self.ln_total()
    }

    /// `p_c = e^-d_c/S`.
    pub(crate) fn probabilities(&self) -> Vec<f64> {
        self.exp.iter().map(|e| e / self.total()).collect()
    }

    /// `1 - p_c`, as the sum of the other classes' p.
    pub(crate) fn complements(&self) -> Vec<f64> {
        let others = sums_of_the_others(&self.exp);
        let exp = self.exp.iter().zip(others);
        // At p = 0 it is exactly 1, but the others' computed sum may be off by a bit.
        exp.map(|(&e, o)| if e == 0.0 { 1.0 } else { o / self.total() }).collect()
    }

    /// `Σ_c p_c·d_c`, with 0·∞ = 0.
    pub(crate) fn mean_distance(&self) -> f64 {
        let terms = self.exp.iter().zip(&self.distance);
        sum(terms.map(|(&e, &d)| crate::times(e, d))) / self.total()
    }
}

/// The index of the (first) maximum of a row, if the row has a softmax.
pub(crate) fn first_maximum(x: &[f64]) -> Result<usize, Undefined> {
    if x.iter().any(|v| v.is_nan()) {
        return Err(Undefined::Nan);
    }
    if x.iter().filter(|&&v| v == f64::INFINITY).count() > 1 {
        return Err(Undefined::TwoInfinities);
    }
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let first = x.iter().position(|&v| v == max && v != f64::NEG_INFINITY);
    first.ok_or(Undefined::AllMasked)
}

/// (max - v)/τ and e^-((max - v)/τ).
///
/// The rounding error of the difference may be half a unit of `max`, and becomes a *relative* error
/// of the exponential. So it is computed exactly (D. Knuth, TAOCP vol. 2, section 4.2.2, theorem
/// B), together with the remainder of the division, and applied as e^-(d+δ) = e^-d·(1-δ).
fn distance_and_exp(max: f64, v: f64, temperature: f64) -> (f64, f64) {
    if v == max {
        return (0.0, 1.0);
    }
    let difference = max - v;
    let d = difference / temperature;
    if d.is_infinite() {
        return (d, 0.0);
    }
    let v_rounded = difference - max;
    let lost = (max - (difference - v_rounded)) - (v + v_rounded);
    let remainder = (-d).mul_add(temperature, difference);
    let delta = (lost + remainder) / temperature;
    let e = (-d).exp();
    (d, e - e * delta)
}

#[cfg(test)]
#[expect(clippy::excessive_precision, reason = "digits of the exact answer, not of a double")]
mod tests {
    use super::*;
    use crate::test::assert_close;

    #[test]
    fn the_rounding_of_a_distance_does_not_reach_the_exponential() {
        // From 50-digit arithmetic on these two doubles. Their difference is not a double, and the
        // exponential of the rounded difference is 5.7e-15 off.
        let want = 5.724_557_235_467_643_796_055_583e-56;
        let (d, e) = distance_and_exp(127.3, 0.1, 1.0);
        assert_close(e, want, 2.3e-16);
        assert!(((-d).exp() - want).abs() > 5e-15 * want);
    }

    #[test]
    fn nor_does_the_rounding_of_a_division() {
        // e^-(1000/3), from 50-digit arithmetic.
        let want = 1.718_591_656_056_231_540_366_265_707e-145;
        let (d, e) = distance_and_exp(1000.0, 0.0, 3.0);
        assert_close(e, want, 4.4e-16);
        assert!(((-d).exp() - want).abs() > 5e-15 * want);
    }
}
