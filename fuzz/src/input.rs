//! Turns the bytes of an input into a batch with everything that a caller may choose.
//!
//! Long arrays are generated from a seed, a range, and a few numbers set by hand, so that inputs stay short
//! whatever the shape.

use arbitrary::{Arbitrary, Result, Unstructured};

/// A batch and a call.
#[derive(Arbitrary, Debug)]
pub(crate) struct Case {
    pub(crate) format: FormatName,
    pub(crate) shape: ShapeChoice,
    pub(crate) options: Options,
    pub(crate) outputs: OutputChoice,
    pub(crate) logits: Numbers,
    pub(crate) targets: TargetChoice,
    pub(crate) row_weights: RowWeightChoice,
    #[arbitrary(with = rarely)]
    pub(crate) fault: Option<Fault>,
}

/// One time in eight.
fn rarely<'a, T: Arbitrary<'a>>(u: &mut Unstructured<'a>) -> Result<Option<T>> {
    if u.ratio(1, 8)? { T::arbitrary(u).map(Some) } else { Ok(None) }
}

/// At most as many as a person would set by hand.
fn some<'a, T: Arbitrary<'a>>(u: &mut Unstructured<'a>) -> Result<Vec<T>> {
    let count = u.int_in_range(0..=12)?;
    (0..count).map(|_| T::arbitrary(u)).collect()
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum FormatName {
    F32,
    F64,
    Bf16,
    F16,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct ShapeChoice {
    pub(crate) classes: Classes,
    pub(crate) rows: u8,
    pub(crate) axis: Axis,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Classes {
    Few(u8),
    Some(u8),
    /// Ends of tiles.
    Edge(u8),
}

impl Classes {
    pub(crate) fn count(self) -> usize {
        const EDGES: [usize; 8] = [4096, 4097, 4095, 8193, 4098, 8192, 5000, 12289];
        match self {
            Self::Few(n) => usize::from(n) % 34 + 1,
            Self::Some(n) => usize::from(n) % 200 + 1,
            // One in four is worth its time.
            Self::Edge(n) if n % 4 == 0 => EDGES[usize::from(n / 4) % EDGES.len()],
            Self::Edge(n) => usize::from(n) % 66 + 1,
        }
    }
}

/// The layout of the rows' classes.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Axis {
    Last,
    /// With this many elements between the rows.
    Strided(u8),
    /// Not the last axis: rows in blocks of this many.
    Inner(u8),
}

/// An option's value: a sensible one, or any number.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Setting {
    Usual(u16),
    Least,
    Most,
    Wild(f64),
}

impl Setting {
    /// Between two numbers, unless it is wild.
    pub(crate) fn within(self, least: f64, most: f64) -> f64 {
        match self {
            Self::Usual(share) => least + (most - least) * f64::from(share) / 65535.0,
            Self::Least => least,
            Self::Most => most,
            Self::Wild(value) => value,
        }
    }
}

#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct Options {
    pub(crate) reduction: ReductionName,
    pub(crate) mean_over: MeanOverName,
    pub(crate) nothing_valid: NothingValidName,
    pub(crate) class_weights: Option<Weights>,
    pub(crate) pos_weight: Option<Weights>,
    pub(crate) smoothing: Option<Setting>,
    pub(crate) ignore: Option<Ignored>,
    #[arbitrary(with = rarely)]
    pub(crate) gamma: Option<Setting>,
    #[arbitrary(with = rarely)]
    pub(crate) alpha: Option<Setting>,
    #[arbitrary(with = rarely)]
    pub(crate) z_loss: Option<Setting>,
    #[arbitrary(with = rarely)]
    pub(crate) soft_cap: Option<Setting>,
    pub(crate) temperature: Setting,
    #[arbitrary(with = rarely)]
    pub(crate) caffe: Option<()>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum ReductionName {
    None,
    Sum,
    Mean,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum MeanOverName {
    PyTorch,
    ValidRows,
    AllRows,
    Weights,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum NothingValidName {
    Zero,
    Nan,
    Error,
}

/// An ignored label.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Ignored {
    Usual,
    Class(u8),
    Any(i64),
}

impl Ignored {
    pub(crate) fn value(self) -> i64 {
        match self {
            Self::Usual => -100,
            Self::Class(class) => class.into(),
            Self::Any(value) => value,
        }
    }
}

/// Numbers of an array.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) seed: u32,
    pub(crate) spread: Spread,
    #[arbitrary(with = some)]
    pub(crate) odd: Vec<(u16, Odd)>,
}

/// The range of numbers.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Spread {
    Equal,
    Tenth,
    Unit,
    Ten,
    Hundred,
    /// A large number in each row.
    Confident,
    /// A third of the classes with this number.
    Masked(Odd),
    /// All bits random.
    AnyBits,
}

/// A number that deserves a test of its own.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Odd {
    Infinity,
    NegInfinity,
    Nan,
    Zero,
    NegZero,
    Subnormal(u16),
    Largest,
    Least,
    Mask,
    Small(i8),
    Any(u64),
}

/// Factors that should not be negative.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct Weights {
    pub(crate) seed: u32,
    pub(crate) kind: WeightKind,
    #[arbitrary(with = rarely)]
    pub(crate) odd: Option<(u16, Odd)>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum WeightKind {
    Ones,
    /// 0, 1, 2 or 3.
    Counts,
    /// Up to one.
    Shares,
    /// From 2^-8 to 2^8.
    Wide,
    Zeros,
}

/// The values in the place of targets.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct TargetChoice {
    pub(crate) kind: KindChoice,
    pub(crate) integer: IntegerName,
    pub(crate) seed: u32,
    pub(crate) numbers: Numbers,
    pub(crate) dense: DenseKind,
    /// How many rows of a hundred have the ignored label.
    pub(crate) ignored: u8,
    #[arbitrary(with = rarely)]
    pub(crate) bad: Option<(u16, BadLabel)>,
    #[arbitrary(with = rarely)]
    pub(crate) offsets: Option<BadOffsets>,
}

/// Which of the loss's kinds of targets.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum KindChoice {
    First,
    Second,
    Third,
    /// Perhaps one that the loss does not have.
    Any(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum IntegerName {
    U8,
    U16,
    U32,
    U64,
    Usize,
    I8,
    I16,
    I32,
    I64,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum DenseKind {
    Binary,
    Shares,
    Sparse,
    Distribution,
    Zeros,
    /// In the order of the numbers.
    Numbers,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum BadLabel {
    Classes,
    Negative,
    Any(i64),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum BadOffsets {
    First,
    Falling,
    Last,
}

/// Factors of rows.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct RowWeightChoice {
    pub(crate) sample: Option<Weights>,
    #[arbitrary(with = rarely)]
    pub(crate) upstream: Option<Numbers>,
    pub(crate) scale: Option<Setting>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct OutputChoice {
    pub(crate) losses: bool,
    #[arbitrary(with = asked)]
    pub(crate) log_sum_exp: bool,
    #[arbitrary(with = asked)]
    pub(crate) predicted: bool,
    #[arbitrary(with = rarely)]
    pub(crate) hessian: Option<HessianName>,
    /// Losses without such outputs are asked for them all the same.
    #[arbitrary(with = rarely)]
    pub(crate) impossible: Option<()>,
}

/// One time in four.
fn asked(u: &mut Unstructured<'_>) -> Result<bool> {
    u.ratio(1, 4)
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum HessianName {
    Exact,
    XgBoost,
    LightGbm,
}

/// A slice with the wrong length.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) of: Slice,
    pub(crate) length: Length,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    Logits,
    Gradient,
    Targets,
    Offsets,
    ClassWeights,
    PosWeight,
    SampleWeights,
    Upstream,
    Losses,
    LogSumExp,
    Predicted,
    Hessian,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Length {
    Shorter,
    Longer,
    Empty,
    Of(u8),
}

impl Length {
    pub(crate) fn instead_of(self, length: usize) -> usize {
        match self {
            Self::Shorter => length.saturating_sub(1),
            Self::Longer => length + 1,
            Self::Empty => 0,
            Self::Of(other) => other.into(),
        }
    }
}
