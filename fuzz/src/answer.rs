//! An exact result, and the allowed error of another.

use xent_reference::ulp::Format;

use crate::format::largest;

/// A result of the reference with its tolerance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) value: f64,
    /// NaN if nothing is promised, because options or targets overflow on the way.
    pub(crate) allowed: f64,
}

impl Answer {
    /// Nothing is promised.
    pub(crate) const ANYTHING: Self = Self { value: 0.0, allowed: f64::NAN };
    pub(crate) const ZERO: Self = Self::exact(0.0);

    pub(crate) const fn exact(value: f64) -> Self {
        Self { value, allowed: 0.0 }
    }

    pub(crate) fn is_anything(self) -> bool {
        self.allowed.is_nan()
    }

    /// Both added.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, allowed: self.allowed + other.allowed }
    }

    /// The same with this much more tolerance, if it is a number.
    pub(crate) fn widened(self, more: f64) -> Self {
        let more = if self.value.is_finite() { more } else { 0.0 };
        Self { allowed: self.allowed + more, ..self }
    }

    /// Whether a result in this format is within the tolerance; `computed` is the format that it
    /// was rounded from.
    pub(crate) fn admits(self, got: f64, computed: Format, stored: Format) -> bool {
        if self.is_anything() {
            return true;
        }
        if self.value.is_nan() || got.is_nan() {
            return self.value.is_nan() && got.is_nan();
        }
        if self.value.is_infinite() {
            return got == self.value;
        }
        // In most cases this check is enough.
        if (got - self.value).abs() <= self.allowed {
            return true;
        }
        let rounded = computed != stored;
        let half = if rounded { 0.5 * stored.spacing(self.value) } else { 0.0 };
        // In the next binade the spacing is twice as large.
        let allowed = self.allowed + half * (1.0 + 1e-9) + if rounded { self.allowed } else { 0.0 };
        if got.is_infinite() {
            let beyond = self.value.abs() + allowed >= largest(stored);
            return beyond && (got > 0.0) == (self.value > 0.0);
        }
        let value = self.value.clamp(-largest(stored), largest(stored));
        (got - value).abs() <= allowed
    }
}

/// Tolerances in ULP of the format of the computation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    pub(crate) format: Format,
    /// The error of the reference itself, which is an `f64`.
    own: f64,
}

impl Tolerance {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, own: if format == Format::F64 { 16.0 } else { 0.0 } }
    }

    /// A number with an error of that many ULP, at its own size or that of a larger term.
    pub(crate) fn near(self, value: f64, scale: f64, ulp: f64) -> Answer {
        let size = value.abs().max(scale.abs());
        let allowed = if size == 0.0 && self.own == 0.0 || !size.is_finite() {
            0.0
        } else {
            (ulp + self.own) * self.format.spacing(size) + 64.0 * self.format.spacing(0.0)
        };
        Answer { value, allowed }
    }

    /// The answer times a factor, whose product is rounded.
    pub(crate) fn times(self, answer: Answer, factor: f64) -> Answer {
        let Answer { value, allowed } = answer;
        let product = value * factor;
        // The product may be finite again, but one of its factors was not.
        if factor == 0.0 && !value.is_finite() || factor != 1.0 && self.overflows(value) {
            return Answer::ANYTHING;
        }
        let rounding = if product.is_finite() && product != 0.0 {
            2.0 * self.format.spacing(product) + 64.0 * self.format.spacing(0.0)
        } else {
            0.0
        };
        Answer { value: product, allowed: allowed * factor.abs() + rounding }
    }

    /// From here on numbers have all their digits.
    pub(crate) fn least_normal(self) -> f64 {
        2.0_f64.powi(self.format.min_exponent)
    }

    /// Beyond this an exponential is zero.
    pub(crate) fn vanishing(self) -> f64 {
        f64::from(self.format.digits - self.format.min_exponent) * std::f64::consts::LN_2
    }

    /// Whether a term may overflow the format of the computation.
    pub(crate) fn overflows(self, term: f64) -> bool {
        term.is_finite() && term.abs() > largest(self.format) / 8.0
    }
}
