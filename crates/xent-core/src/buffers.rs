//! The slices that a loss works on.

use crate::error::{Error, check_length};

/// The logits, row after row, and what is to be done with their gradient.
#[derive(Debug)]
pub enum Buffers<'a> {
    /// Only the loss is wanted.
    Loss(&'a [f32]),
    /// The gradient is written to a slice as long as the logits.
    Gradient(&'a [f32], &'a mut [f32]),
    /// The gradient takes the place of the logits.
    InPlace(&'a mut [f32]),
}

impl Buffers<'_> {
    /// How many logits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Loss(x) | Self::Gradient(x, _) => x.len(),
            Self::InPlace(x) => x.len(),
        }
    }

    /// Whether there are no logits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Gradient(x, gradient) => check_length("gradient", x.len(), gradient.len()),
            Self::Loss(_) | Self::InPlace(_) => Ok(()),
        }
    }

    pub(crate) fn split_at(self, middle: usize) -> (Self, Self) {
        match self {
            Self::Loss(x) => {
                let (a, b) = x.split_at(middle);
                (Self::Loss(a), Self::Loss(b))
            }
            Self::Gradient(x, gradient) => {
                let (a, b) = x.split_at(middle);
                let (ga, gb) = gradient.split_at_mut(middle);
                (Self::Gradient(a, ga), Self::Gradient(b, gb))
            }
            Self::InPlace(x) => {
                let (a, b) = x.split_at_mut(middle);
                (Self::InPlace(a), Self::InPlace(b))
            }
        }
    }
}

/// The class index of every row, of any usual integer type.
///
/// ```
/// use xent_core::Labels;
///
/// let labels = Labels::from(&[2_i64, 0, 1][..]);
/// assert_eq!(labels.len(), 3);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Labels<'a> {
    /// Labels of eight bits.
    U8(&'a [u8]),
    /// Labels of sixteen bits.
    U16(&'a [u16]),
    /// Labels of thirty-two bits.
    U32(&'a [u32]),
    /// Labels of sixty-four bits.
    U64(&'a [u64]),
    /// Labels of pointer size.
    Usize(&'a [usize]),
    /// Signed labels of thirty-two bits.
    I32(&'a [i32]),
    /// Signed labels of sixty-four bits.
    I64(&'a [i64]),
}

macro_rules! labels {
    ($($variant:ident($integer:ty)),*) => {
        $(
            impl<'a> From<&'a [$integer]> for Labels<'a> {
                fn from(labels: &'a [$integer]) -> Self {
                    Self::$variant(labels)
                }
            }

            impl<'a, const N: usize> From<&'a [$integer; N]> for Labels<'a> {
                fn from(labels: &'a [$integer; N]) -> Self {
                    Self::$variant(labels)
                }
            }
        )*

        impl Labels<'_> {
            /// How many labels there are.
            #[must_use]
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$variant(labels) => labels.len(),)*
                }
            }

            /// The class of a row; past the end, or not an index at all, is no class.
            pub(crate) fn class(&self, row: usize) -> usize {
                match self {
                    $(Self::$variant(labels) => labels
                        .get(row)
                        .and_then(|&label| usize::try_from(label).ok())
                        .unwrap_or(usize::MAX),)*
                }
            }

            pub(crate) fn check(&self, classes: usize) -> Result<(), Error> {
                let inside = |class: Result<usize, _>| class.is_ok_and(|class| class < classes);
                match self {
                    $(Self::$variant(labels) => {
                        // A flag over all labels is quicker than an early return.
                        let all = labels.iter().fold(true, |all, &label| {
                            all & inside(usize::try_from(label).map_err(|_| ()))
                        });
                        if all {
                            return Ok(());
                        }
                        let bad = |&label: &$integer| !inside(usize::try_from(label).map_err(|_| ()));
                        let row = labels.iter().position(bad).unwrap_or_default();
                        Err(Error::Label { row, label: labels[row] as i128, classes })
                    })*
                }
            }

            pub(crate) fn split_at(self, middle: usize) -> (Self, Self) {
                match self {
                    $(Self::$variant(labels) => {
                        let (a, b) = labels.split_at(middle);
                        (Self::$variant(a), Self::$variant(b))
                    })*
                }
            }
        }
    };
}
labels!(U8(u8), U16(u16), U32(u32), U64(u64), Usize(usize), I32(i32), I64(i64));

impl Labels<'_> {
    /// Whether there are no labels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
