//! The arrays of a case, in one format.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use xent::{Error, Labels, Logits, LogitsMut, Targets};

use crate::format::{Format, largest};
use crate::input::{
    Axis, BadLabel, BadOffsets, Case, DenseKind, Fault, IntegerName, KindChoice, Numbers, Odd,
    ShapeChoice, Slice, Spread, WeightKind, Weights,
};
use crate::losses::LossName;

/// The most logits, so that an execution is short.
const MOST: usize = 1 << 13;

/// The layout of a batch's rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) outer: usize,
    pub(crate) classes: usize,
    pub(crate) inner: usize,
    pub(crate) stride: usize,
}

impl Layout {
    fn new(choice: ShapeChoice) -> Self {
        let classes = choice.classes.count();
        let rows = (usize::from(choice.rows) % 71).min((MOST / classes).max(2));
        let plain = Self { outer: rows, classes, inner: 1, stride: classes };
        match choice.axis {
            Axis::Last => plain,
            Axis::Strided(gap) => Self { stride: classes + usize::from(gap) % 9, ..plain },
            Axis::Inner(inner) => {
                let inner = (usize::from(inner) % 70 + 1).min(rows.max(1));
                Self { outer: rows / inner, classes, inner, stride: classes * inner }
            }
        }
    }

    pub(crate) fn rows(self) -> usize {
        self.outer * self.inner
    }

    pub(crate) fn elements(self) -> usize {
        self.rows() * self.classes
    }

    /// The length of the logits.
    pub(crate) fn span(self) -> usize {
        match self.outer {
            0 => 0,
            outer => (outer - 1) * self.stride + self.classes * self.inner,
        }
    }

    /// The index of a class of a row in an array without a stride.
    pub(crate) fn place(self, row: usize, class: usize) -> usize {
        (row / self.inner * self.classes + class) * self.inner + row % self.inner
    }

    /// Its index among the logits.
    pub(crate) fn logit_place(self, row: usize, class: usize) -> usize {
        row / self.inner * self.stride + class * self.inner + row % self.inner
    }

    pub(crate) fn logits<E: Format>(self, values: &[E]) -> Result<Logits<'_, E>, Error> {
        let Self { outer, classes, inner, stride } = self;
        match inner {
            1 if stride == classes => Logits::with_shape(values, outer, classes),
            1 => Logits::with_stride(values, outer, classes, stride),
            _ => Logits::with_columns(values, outer, classes, inner),
        }
    }

    pub(crate) fn logits_mut<E: Format>(self, values: &mut [E]) -> Result<LogitsMut<'_, E>, Error> {
        let Self { outer, classes, inner, stride } = self;
        match inner {
            1 if stride == classes => LogitsMut::with_shape(values, outer, classes),
            1 => LogitsMut::with_stride(values, outer, classes, stride),
            _ => LogitsMut::with_columns(values, outer, classes, inner),
        }
    }
}

/// Integers of some type.
#[derive(Clone, Debug)]
pub(crate) enum Integers {
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    Usize(Vec<usize>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
}

macro_rules! integers {
    ($($variant:ident),*) => {
        impl Integers {
            /// Truncated to the type.
            #[allow(trivial_numeric_casts, reason = "one of the types is that of the values")]
            fn new(integer: IntegerName, values: &[i64]) -> Self {
                match integer {
                    $(IntegerName::$variant => {
                        Self::$variant(values.iter().map(|&value| value as _).collect())
                    })*
                }
            }

            pub(crate) fn values(&self) -> Vec<i128> {
                match self {
                    $(Self::$variant(values) => values.iter().map(|&v| v as i128).collect(),)*
                }
            }

            fn labels(&self) -> Labels<'_> {
                match self {
                    $(Self::$variant(values) => values.as_slice().into(),)*
                }
            }

            fn resize(&mut self, length: usize) {
                match self {
                    $(Self::$variant(values) => values.resize(length, 0),)*
                }
            }
        }
    };
}
integers!(U8, U16, U32, U64, Usize, I8, I16, I32, I64);

/// Targets of any kind.
#[derive(Clone, Debug)]
pub(crate) enum Given<F> {
    Index(Integers),
    Dense(Vec<F>),
    MultiHot(Integers),
    Positives(Vec<usize>, Integers),
    Teacher(Vec<F>),
}

impl<F> Given<F> {
    pub(crate) fn targets(&self) -> Targets<'_, F> {
        match self {
            Self::Index(labels) => Targets::Index(labels.labels()),
            Self::Dense(values) => Targets::dense(values),
            Self::MultiHot(labels) => Targets::MultiHot(labels.labels()),
            Self::Positives(offsets, classes) => {
                Targets::Positives { offsets, classes: classes.labels() }
            }
            Self::Teacher(values) => Targets::teacher(values),
        }
    }
}

/// All inputs. Optional arrays are empty if not given.
#[derive(Clone, Debug)]
pub(crate) struct Batch<E: Format> {
    pub(crate) layout: Layout,
    pub(crate) logits: Vec<E>,
    pub(crate) given: Given<E::Float>,
    pub(crate) class_weights: Vec<E::Float>,
    pub(crate) pos_weight: Vec<E::Float>,
    pub(crate) sample_weights: Vec<E::Float>,
    pub(crate) upstream: Vec<E::Float>,
    pub(crate) scale: f64,
    pub(crate) fault: Option<Fault>,
}

impl<E: Format> Batch<E>
where
    E::Float: Format<Float = E::Float>,
{
    pub(crate) fn new(case: &Case, loss: LossName) -> Self {
        let layout = Layout::new(case.shape);
        let Layout { classes, .. } = layout;
        let rows = layout.rows();
        let mut logits = vec![E::nearest(f64::NAN); layout.span()];
        let values: Vec<E> = numbers(&case.logits, rows, classes);
        for row in 0..rows {
            for class in 0..classes {
                let value = values[row * classes + class];
                logits[layout.logit_place(row, class)] = of_domain(loss, value);
            }
        }
        let weights = |of: &Option<Weights>, count: usize| match of {
            Some(weights) => factors::<E::Float>(weights, count),
            None => Vec::new(),
        };
        let has_pos_weight = loss.is_of_elements();
        let losses = if loss.has_losses_of_elements() { layout.elements() } else { rows };
        let upstream = match &case.row_weights.upstream {
            Some(upstream) => numbers(upstream, 1, losses),
            None => Vec::new(),
        };
        let mut batch = Self {
            layout,
            logits,
            given: given::<E>(case, loss, layout),
            class_weights: weights(&case.options.class_weights, classes),
            pos_weight: if has_pos_weight {
                weights(&case.options.pos_weight, classes)
            } else {
                Vec::new()
            },
            sample_weights: weights(&case.row_weights.sample, rows),
            upstream,
            scale: case.row_weights.scale.map_or(1.0, |scale| scale.within(0.125, 64.0)),
            fault: None,
        };
        if let Some(fault) = case.fault {
            batch.spoil(fault, has_pos_weight);
        }
        batch
    }

    /// Makes a slice shorter or longer; slices that are written are changed where they are created.
    fn spoil(&mut self, fault: Fault, has_pos_weight: bool) {
        self.fault = Some(fault);
        let number = E::float(0.5);
        let change = |slice: &mut Vec<E::Float>| {
            slice.resize(fault.length.instead_of(slice.len()), number);
        };
        match fault.of {
            Slice::Logits => {
                let length = fault.length.instead_of(self.logits.len());
                self.logits.resize(length, E::nearest(0.5));
            }
            Slice::Targets => match &mut self.given {
                Given::Index(labels) | Given::MultiHot(labels) | Given::Positives(_, labels) => {
                    labels.resize(fault.length.instead_of(labels.values().len()));
                }
                Given::Dense(values) | Given::Teacher(values) => change(values),
            },
            Slice::Offsets => {
                if let Given::Positives(offsets, _) = &mut self.given {
                    let last = offsets.last().copied().unwrap_or_default();
                    offsets.resize(fault.length.instead_of(offsets.len()), last);
                }
            }
            Slice::ClassWeights => change(&mut self.class_weights),
            Slice::PosWeight if has_pos_weight => change(&mut self.pos_weight),
            Slice::SampleWeights => change(&mut self.sample_weights),
            Slice::Upstream => change(&mut self.upstream),
            Slice::PosWeight
            | Slice::Gradient
            | Slice::Losses
            | Slice::LogSumExp
            | Slice::Predicted
            | Slice::Hessian => {}
        }
    }

    /// The length of a slice that is written.
    pub(crate) fn length_of(&self, slice: Slice, length: usize) -> usize {
        match self.fault {
            Some(fault) if fault.of == slice => fault.length.instead_of(length),
            _ => length,
        }
    }

    /// The logits of a row.
    pub(crate) fn row(&self, row: usize) -> Vec<f64> {
        let place = |class| self.layout.logit_place(row, class);
        (0..self.layout.classes).map(|class| self.logits[place(class)].wide()).collect()
    }
}

/// A probability if the loss takes probabilities: mostly in [0, 1].
fn of_domain<E: Format>(loss: LossName, value: E) -> E {
    let x = value.wide();
    match loss {
        LossName::LogisticLoss | LossName::MultinomialLogistic
            if x.abs() > 1.0 && x.abs() < 1e3 =>
        {
            E::nearest(1.0 / x.abs())
        }
        LossName::LogisticLoss | LossName::MultinomialLogistic if x.abs() < 1.0 => {
            E::nearest(x.abs())
        }
        LossName::NegativeLogLikelihood if x.is_finite() => E::nearest(-x.abs()),
        _ => value,
    }
}

fn odd<E: Format>(odd: Odd) -> E {
    match odd {
        Odd::Infinity => E::nearest(f64::INFINITY),
        Odd::NegInfinity => E::nearest(f64::NEG_INFINITY),
        Odd::Nan => E::nearest(f64::NAN),
        Odd::Zero => E::nearest(0.0),
        Odd::NegZero => E::nearest(-0.0),
        Odd::Subnormal(bits) => {
            E::from_bits(u64::from(bits) % (1 << (E::STORED.digits - 1)).min(1 << 16))
        }
        Odd::Largest => E::nearest(largest(E::STORED)),
        Odd::Least => E::nearest(-largest(E::STORED)),
        Odd::Mask => E::nearest(f64::max(-1e30, -largest(E::STORED))),
        Odd::Small(value) => E::nearest(f64::from(value) / 8.0),
        Odd::Any(bits) => E::from_bits(bits),
    }
}

/// Rows of numbers, one after the other.
fn numbers<E: Format>(of: &Numbers, rows: usize, classes: usize) -> Vec<E> {
    let mut rng = SmallRng::seed_from_u64(of.seed.into());
    // Close enough to a normal distribution, except for its tails.
    let normal = |rng: &mut SmallRng| (0..6).map(|_| rng.random::<f64>()).sum::<f64>() - 3.0;
    let mut values = Vec::with_capacity(rows * classes);
    for _ in 0..rows {
        let one = rng.random_range(0..classes.max(1));
        let offset = if rng.random_ratio(1, 8) { 200.0 * normal(&mut rng) } else { 0.0 };
        for class in 0..classes {
            let value = match of.spread {
                Spread::Equal => E::nearest(offset),
                Spread::Tenth => E::nearest(offset + 0.1 * normal(&mut rng)),
                Spread::Unit => E::nearest(offset + normal(&mut rng)),
                Spread::Ten => E::nearest(offset + 10.0 * normal(&mut rng)),
                Spread::Hundred => E::nearest(100.0 * normal(&mut rng)),
                Spread::Confident if class == one => E::nearest(40.0),
                Spread::Masked(mask) if class % 3 == one % 3 => odd(mask),
                Spread::Confident | Spread::Masked(_) => E::nearest(normal(&mut rng)),
                Spread::AnyBits => E::from_bits(rng.random()),
            };
            values.push(value);
        }
    }
    for &(place, number) in &of.odd {
        let length = values.len();
        if let Some(value) = values.get_mut(usize::from(place) % length.max(1)) {
            *value = odd(number);
        }
    }
    values
}

/// Factors that are not negative, except for a rare one.
fn factors<F: Format>(of: &Weights, count: usize) -> Vec<F> {
    let mut rng = SmallRng::seed_from_u64(of.seed.into());
    let mut values: Vec<F> = (0..count)
        .map(|_| {
            F::nearest(match of.kind {
                WeightKind::Ones => 1.0,
                WeightKind::Counts => f64::from(rng.random_range(0..4_u8)),
                WeightKind::Shares => rng.random(),
                WeightKind::Wide => 2.0_f64.powf(rng.random_range(-8.0..8.0)),
                WeightKind::Zeros => 0.0,
            })
        })
        .collect();
    if let Some((place, number)) = of.odd
        && count > 0
    {
        values[usize::from(place) % count] = odd(number);
    }
    values
}

fn dense<F: Format>(case: &Case, layout: Layout) -> Vec<F> {
    let Layout { classes, .. } = layout;
    let choice = &case.targets;
    let mut rng = SmallRng::seed_from_u64(choice.seed.into());
    let mut values = vec![F::nearest(0.0); layout.elements()];
    let given: Vec<F> = match choice.dense {
        DenseKind::Numbers => numbers(&choice.numbers, layout.rows(), classes),
        _ => Vec::new(),
    };
    for row in 0..layout.rows() {
        for class in 0..classes {
            let value = match choice.dense {
                DenseKind::Binary => F::nearest(f64::from(rng.random_range(0..2_u8))),
                DenseKind::Shares => F::nearest(rng.random()),
                DenseKind::Sparse if rng.random_ratio(1, 8) => {
                    F::nearest(rng.random_range(0.0..3.0))
                }
                DenseKind::Distribution => F::nearest(2.0 * rng.random::<f64>() / classes as f64),
                DenseKind::Sparse | DenseKind::Zeros => F::nearest(0.0),
                DenseKind::Numbers => given[row * classes + class],
            };
            values[layout.place(row, class)] = value;
        }
    }
    // A number put into any array by hand.
    if let Some(&(place, number)) = choice.numbers.odd.first()
        && rng.random_ratio(1, 4)
        && !values.is_empty()
    {
        let length = values.len();
        values[usize::from(place) % length] = odd(number);
    }
    values
}

fn given<E: Format>(case: &Case, loss: LossName, layout: Layout) -> Given<E::Float>
where
    E::Float: Format,
{
    let Layout { classes, .. } = layout;
    let rows = layout.rows();
    let choice = &case.targets;
    let mut rng = SmallRng::seed_from_u64(choice.seed.into());
    let ignored = case.options.ignore.map_or(0, |ignored| ignored.value());
    let often = if case.options.ignore.is_some() { choice.ignored % 101 } else { 0 };
    let mut integers = |count: usize, below: usize| {
        let mut values: Vec<i64> = (0..count)
            .map(|_| {
                let ignored_here = rng.random_range(0..100) < often;
                let label = rng.random_range(0..below) as i64;
                if ignored_here { ignored } else { label }
            })
            .collect();
        if let Some((place, bad)) = choice.bad
            && count > 0
        {
            values[usize::from(place) % count] = match bad {
                BadLabel::Classes => below as i64,
                BadLabel::Negative => -1,
                BadLabel::Any(value) => value,
            };
        }
        values
    };
    match kind(choice.kind, loss, classes) {
        Kind::Index => {
            let below = if loss.is_of_elements() { 2 } else { classes };
            // From the classes that the type can represent.
            let most = match choice.integer {
                IntegerName::I8 => 128,
                IntegerName::U8 => 256,
                _ => usize::MAX,
            };
            Given::Index(Integers::new(choice.integer, &integers(rows, below.min(most))))
        }
        Kind::MultiHot => {
            Given::MultiHot(Integers::new(choice.integer, &integers(layout.elements(), 2)))
        }
        Kind::Dense => Given::Dense(dense(case, layout)),
        Kind::Teacher => {
            let values: Vec<E::Float> = numbers(&choice.numbers, rows, classes);
            let mut teacher = values.clone();
            for row in 0..rows {
                for class in 0..classes {
                    teacher[layout.place(row, class)] = values[row * classes + class];
                }
            }
            Given::Teacher(teacher)
        }
        Kind::Positives => {
            let most = if matches!(choice.integer, IntegerName::I8) { 128 } else { 256 };
            let labels = integers(rows * 2, classes.min(most));
            let mut lengths = SmallRng::seed_from_u64(u64::from(choice.seed) + 1);
            let mut offsets = vec![0];
            let mut end = 0;
            for _ in 0..rows {
                end = (end + lengths.random_range(0..4)).min(labels.len());
                offsets.push(end);
            }
            match choice.offsets {
                Some(BadOffsets::First) => offsets[0] = 1,
                Some(BadOffsets::Falling) => {
                    let middle = offsets.len() / 2;
                    offsets[middle] = usize::MAX;
                }
                Some(BadOffsets::Last) => *offsets.last_mut().expect("a first offset") += 1,
                None => {}
            }
            Given::Positives(offsets, Integers::new(choice.integer, &labels[..end]))
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Index,
    Dense,
    MultiHot,
    Positives,
    Teacher,
}

fn kind(choice: KindChoice, loss: LossName, classes: usize) -> Kind {
    let kinds = match loss {
        LossName::SoftmaxCrossEntropy => [Kind::Index, Kind::Dense, Kind::Index],
        LossName::MultiLabelSoftmax => [Kind::Dense; 3],
        LossName::Distillation => [Kind::Teacher; 3],
        LossName::NegativeLogLikelihood | LossName::MultinomialLogistic => [Kind::Index; 3],
        _ if classes == 1 => [Kind::Dense, Kind::Index, Kind::Positives],
        _ => [Kind::Dense, Kind::MultiHot, Kind::Positives],
    };
    match choice {
        KindChoice::First => kinds[0],
        KindChoice::Second => kinds[1],
        KindChoice::Third => kinds[2],
        KindChoice::Any(n) => match n % 16 {
            0 => Kind::Index,
            1 => Kind::Dense,
            2 => Kind::MultiHot,
            3 => Kind::Positives,
            4 => Kind::Teacher,
            n => kinds[usize::from(n) % 3],
        },
    }
}
