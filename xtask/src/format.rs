//! The formats that are checked, and the oracle numbers that judge them.

use std::ops::Mul;

use half::{bf16, f16};
use xent_core::Element;
use xent_reference::exact::{self, Exact};
use xent_reference::ulp::{Format, error_at_f64};

/// A format of logits.
pub(crate) trait Checked: Element {
    /// The oracle number with enough digits to judge it.
    type Real: Real;

    /// The format itself.
    const STORED: Format;
    /// The format of [`Element::Float`].
    const COMPUTED: Format;

    /// The number with these bits, taken from the lowest.
    fn from_bits(bits: u64) -> Self;

    /// Its bits.
    fn bits(self) -> u64;

    /// The nearest number in the format of the computation.
    fn float(value: f64) -> Self::Float;

    /// The number of this format nearest to the nearest one in the format of the computation.
    fn nearest(value: f64) -> Self {
        Self::from_float(Self::float(value))
    }

    /// The same number.
    fn wide(self) -> f64 {
        self.to_float().into()
    }
}

macro_rules! checked {
    ($($element:ident($bits:ty): $stored:ident in $computed:ident, judged by $real:ty;)*) => {
        $(
            #[allow(trivial_numeric_casts, reason = "f64 is converted to itself")]
            impl Checked for $element {
                type Real = $real;

                const STORED: Format = Format::$stored;
                const COMPUTED: Format = Format::$computed;

                fn from_bits(bits: u64) -> Self {
                    Self::from_bits(bits as $bits)
                }

                fn bits(self) -> u64 {
                    self.to_bits().into()
                }

                fn float(value: f64) -> Self::Float {
                    value as Self::Float
                }
            }
        )*
    };
}
checked! {
    f32(u32): F32 in F32, judged by f64;
    f64(u64): F64 in F64, judged by Exact;
    bf16(u16): BF16 in F32, judged by f64;
    f16(u16): F16 in F32, judged by f64;
}

/// The names of all formats, in the order of the tables.
pub(crate) const FORMATS: [&str; 4] = [f32::NAME, f64::NAME, bf16::NAME, f16::NAME];

/// A number of the oracle: `f64`, or [`Exact`] to judge `f64` itself. The functions are those of
/// `xent_reference` and of its module `exact`.
pub(crate) trait Real:
    Copy + PartialEq + From<f64> + Mul<f64, Output = Self> + Send + Sync
{
    fn to_f64(self) -> f64;

    /// [`Format::error_at`].
    fn error(self, format: Format, got: f64, scale: f64) -> f64;

    fn sum(terms: impl Iterator<Item = Self>) -> Self;

    fn exp(x: f64) -> Self;

    fn ln(x: f64) -> Self;

    fn ln_1p(x: f64) -> Self;

    fn sigmoid(x: f64) -> Self;

    fn log_sum_exp(x: &[f64]) -> Self;

    fn softmax(x: &[f64]) -> Vec<Self>;

    fn log_softmax(x: &[f64]) -> Vec<Self>;

    fn softmax_cross_entropy(x: &[f64], q: &[f64]) -> SoftmaxAnswer<Self>;

    /// The loss, and its derivative by `x`.
    fn sigmoid_cross_entropy(x: f64, y: f64) -> (Self, Self);
}

/// The result for a row.
pub(crate) struct SoftmaxAnswer<R> {
    pub(crate) loss: R,
    pub(crate) grad: Vec<R>,
    /// The larger of the two terms whose difference is the gradient.
    pub(crate) scale: Vec<f64>,
}

/// The functions of an oracle, which are in modules of the same names.
macro_rules! functions {
    ($($oracle:ident)::+) => {
        fn sigmoid(x: f64) -> Self {
            $($oracle)::+::sigmoid::sigmoid(x)
        }

        fn log_sum_exp(x: &[f64]) -> Self {
            $($oracle)::+::softmax::log_sum_exp(x)
        }

        fn softmax(x: &[f64]) -> Vec<Self> {
            $($oracle)::+::softmax::softmax(x)
        }

        fn log_softmax(x: &[f64]) -> Vec<Self> {
            $($oracle)::+::softmax::log_softmax(x)
        }

        fn softmax_cross_entropy(x: &[f64], q: &[f64]) -> SoftmaxAnswer<Self> {
            let answer = $($oracle)::+::softmax::cross_entropy(x, q);
            SoftmaxAnswer { loss: answer.loss, grad: answer.grad, scale: answer.scale }
        }

        fn sigmoid_cross_entropy(x: f64, y: f64) -> (Self, Self) {
            $($oracle)::+::sigmoid::cross_entropy(x, y, 1.0)
        }
    };
}

impl Real for f64 {
    fn to_f64(self) -> f64 {
        self
    }

    fn error(self, format: Format, got: f64, scale: f64) -> f64 {
        format.error_at(got, self, scale)
    }

    fn sum(terms: impl Iterator<Item = Self>) -> Self {
        xent_reference::sum::sum(terms)
    }

    fn exp(x: f64) -> Self {
        x.exp()
    }

    fn ln(x: f64) -> Self {
        x.ln()
    }

    fn ln_1p(x: f64) -> Self {
        x.ln_1p()
    }

    functions!(xent_reference);
}

impl Real for Exact {
    fn to_f64(self) -> f64 {
        self.to_f64()
    }

    fn error(self, format: Format, got: f64, scale: f64) -> f64 {
        assert_eq!(format, Format::F64, "an f64 judges narrower formats");
        error_at_f64(got, self, scale)
    }

    fn sum(terms: impl Iterator<Item = Self>) -> Self {
        terms.sum()
    }

    fn exp(x: f64) -> Self {
        exact::exp(x)
    }

    fn ln(x: f64) -> Self {
        exact::ln(x)
    }

    fn ln_1p(x: f64) -> Self {
        exact::ln_1p(x)
    }

    functions!(exact);
}
