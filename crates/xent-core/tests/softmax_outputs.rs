//! Outputs never change a bit of a softmax loss and its gradient.

use proptest::prelude::*;
use proptest::sample::select;
use xent_core::{
    Batch, Buffers, Element, Hessian, Labels, Level, MultiLabel, Outputs, RowWeights, Shape,
    SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};
use xent_reference::hessian;

/// Numbers in [0, 1), reproducible.
struct Units(u64);

impl Units {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / f64::from(1 << 24)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() * end as f64) as usize
    }
}

/// The nearest number in the format of the computation.
fn float<E: Element>(value: f64) -> E::Float {
    let high = value as f32;
    let low = (value - f64::from(high)) as f32;
    if value.is_finite() { E::Float::from(high) + E::Float::from(low) } else { high.into() }
}

/// The nearest logit.
fn logit<E: Element>(value: f64) -> E {
    E::from_float(float::<E>(value))
}

fn number<E: Element>(value: E) -> f64 {
    value.to_float().into()
}

/// The bits of numbers; all NaNs have the same.
fn bits<E: Element>(values: &[E]) -> Vec<u64> {
    let of = |value: f64| if value.is_nan() { u64::MAX } else { value.to_bits() };
    values.iter().map(|&value| of(number(value))).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Index8,
    Index64,
    Dense,
    Multi(MultiLabel),
    Teacher(f64),
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Index8,
        Self::Index64,
        Self::Dense,
        Self::Multi(MultiLabel::Exact),
        Self::Multi(MultiLabel::Caffe),
        Self::Teacher(1.0),
        Self::Teacher(2.5),
    ];

    fn is_index(self) -> bool {
        matches!(self, Self::Index8 | Self::Index64)
    }
}

/// A batch that owns its inputs.
#[derive(Clone, Debug)]
struct Owned<E: Element> {
    /// Blocks of rows, classes, rows of a block.
    dims: [usize; 3],
    /// From one block to the next: `[logits, gradient]`.
    strides: [usize; 2],
    x: Vec<E>,
    kind: Kind,
    labels8: Vec<u8>,
    labels64: Vec<i64>,
    dense: Vec<E::Float>,
    class_weights: Vec<E::Float>,
    options: SoftmaxOptions<'static, E::Float>,
    scale: f64,
    sample_weights: Vec<E::Float>,
    upstream: Vec<E::Float>,
    convention: Hessian,
}

/// The wanted outputs: losses, log-sum-exp, predicted classes, Hessian.
type Asked = [bool; 4];

const NOTHING: Asked = [false; 4];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Gradient {
    None,
    Write,
    InPlace,
    Add,
    Wide,
    WideAdd,
}

impl Gradient {
    const ALL: [Self; 6] =
        [Self::None, Self::Write, Self::InPlace, Self::Add, Self::Wide, Self::WideAdd];
}

/// The values in the places of the gradient before.
const BEFORE: f64 = 0.25;

/// The results of a batch; empty if not asked for.
#[derive(Clone, Debug)]
struct Answer<E: Element> {
    sum: f64,
    losses: Vec<E::Float>,
    log_sum_exp: Vec<E::Float>,
    predicted: Vec<u32>,
    hessian: Vec<E::Float>,
    /// Without a stride.
    gradient: Vec<E>,
    wide: Vec<E::Float>,
}

impl<E: Element> Answer<E> {
    fn sum_bits(&self) -> Vec<u64> {
        bits(&[self.sum])
    }

    fn gradient_bits(&self) -> Vec<u64> {
        [bits(&self.gradient), bits(&self.wide)].concat()
    }

    /// In the order of the outputs.
    fn beside(&self) -> [Vec<u64>; 4] {
        let predicted = self.predicted.iter().map(|&class| u64::from(class)).collect();
        [bits(&self.losses), bits(&self.log_sum_exp), predicted, bits(&self.hessian)]
    }
}

impl<E: Element> Owned<E> {
    /// Rows with labels, without options.
    fn plain(dims: [usize; 3], x: &[f64], labels: &[i64]) -> Self {
        let stride = dims[1] * dims[2];
        Self {
            dims,
            strides: [stride; 2],
            x: x.iter().map(|&x| logit(x)).collect(),
            kind: Kind::Index64,
            labels8: Vec::new(),
            labels64: labels.to_vec(),
            dense: Vec::new(),
            class_weights: Vec::new(),
            options: SoftmaxOptions::default(),
            scale: 1.0,
            sample_weights: Vec::new(),
            upstream: Vec::new(),
            convention: Hessian::Exact,
        }
    }

    fn rows(&self) -> usize {
        self.dims[0] * self.dims[2]
    }

    fn shape(&self) -> Shape {
        let [outer, classes, inner] = self.dims;
        let [logits, gradient] = self.strides;
        Shape::columns(outer, classes, inner)
            .and_then(|shape| shape.with_strides(logits, gradient))
            .expect("small")
    }

    fn targets(&self) -> SoftmaxTargets<'_, E::Float> {
        match self.kind {
            Kind::Index8 => SoftmaxTargets::Index(Labels::from(&self.labels8[..])),
            Kind::Index64 => SoftmaxTargets::Index(Labels::from(&self.labels64[..])),
            Kind::Dense => SoftmaxTargets::Dense(&self.dense),
            Kind::Multi(gradient) => SoftmaxTargets::MultiLabel(&self.dense, gradient),
            Kind::Teacher(temperature) => SoftmaxTargets::Teacher(&self.dense, temperature),
        }
    }

    fn has_hessian(&self) -> bool {
        let SoftmaxOptions { focal_gamma, soft_cap, z_loss, .. } = self.options;
        [focal_gamma, soft_cap, z_loss] == [0.0; 3]
            && (self.dims[1] > 1 || self.convention != Hessian::LightGbm)
    }

    fn everything(&self) -> Asked {
        [true, true, true, self.has_hessian()]
    }

    /// All combinations of outputs.
    fn choices(&self) -> impl Iterator<Item = Asked> {
        let count = if self.has_hessian() { 16 } else { 8 };
        (0..count).map(|bits| [0, 1, 2, 3].map(|bit| bits >> bit & 1 == 1))
    }

    /// The index in a slice with a stride, from one without.
    fn strided(&self, place: usize, stride: usize) -> usize {
        let block = self.dims[1] * self.dims[2];
        place / block * stride + place % block
    }

    /// The same row as a batch of its own.
    fn row(&self, row: usize) -> Self {
        let classes = self.dims[1];
        let shape = self.shape();
        let of_row = row..row + 1;
        let one = |all: &[E::Float]| all.get(of_row.clone()).unwrap_or(&[]).to_vec();
        let dense = |class| self.dense.get(shape.place(row, class)).copied();
        Self {
            dims: [1, classes, 1],
            strides: [classes; 2],
            x: (0..classes).map(|class| self.x[shape.logit_place(row, class)]).collect(),
            labels8: self.labels8.get(of_row.clone()).unwrap_or(&[]).to_vec(),
            labels64: self.labels64.get(of_row.clone()).unwrap_or(&[]).to_vec(),
            dense: (0..classes).filter_map(dense).collect(),
            sample_weights: one(&self.sample_weights),
            upstream: one(&self.upstream),
            ..self.clone()
        }
    }

    fn run(&self, level: Level, gradient: Gradient, asked: Asked) -> Answer<E> {
        let shape = self.shape();
        let elements = shape.elements();
        let [x_stride, mut g_stride] = self.strides;
        let g_length = if elements == 0 { 0 } else { self.strided(elements - 1, g_stride) + 1 };
        let zero = E::Float::default();
        let rows_if = |wanted: bool| if wanted { self.rows() } else { 0 };
        let mut losses = vec![zero; rows_if(asked[0])];
        let mut log_sum_exp = vec![zero; rows_if(asked[1])];
        let mut predicted = vec![u32::MAX; rows_if(asked[2])];
        let mut second = vec![zero; if asked[3] { elements } else { 0 }];
        let outputs = Outputs {
            losses: &mut losses,
            log_sum_exp: &mut log_sum_exp,
            predicted: &mut predicted,
            hessian: &mut second,
            convention: self.convention,
            ..Outputs::default()
        };
        let weights = RowWeights {
            scale: self.scale,
            sample_weights: &self.sample_weights,
            upstream: &self.upstream,
        };
        let options = SoftmaxOptions { class_weights: &self.class_weights, ..self.options };
        let mut g = Vec::new();
        let mut wide = Vec::new();
        let buffers = match gradient {
            Gradient::None => Buffers::loss(&self.x),
            Gradient::Write | Gradient::Add => {
                g = vec![logit::<E>(BEFORE); g_length];
                if gradient == Gradient::Write {
                    Buffers::gradient(&self.x, &mut g)
                } else {
                    Buffers::accumulate(&self.x, &mut g)
                }
            }
            Gradient::InPlace => {
                g = self.x.clone();
                g_stride = x_stride;
                Buffers::in_place(&mut g)
            }
            Gradient::Wide | Gradient::WideAdd => {
                wide = vec![float::<E>(BEFORE); g_length];
                if gradient == Gradient::Wide {
                    Buffers::new(&self.x, xent_core::Gradient::WriteWide(&mut wide))
                } else {
                    Buffers::new(&self.x, xent_core::Gradient::AddWide(&mut wide))
                }
            }
        };
        let sum = SoftmaxBatch::with_options(buffers, shape, self.targets(), options)
            .and_then(|batch| batch.with_weights(weights)?.with_outputs(outputs))
            .unwrap_or_else(|error| panic!("{:?}, {:?}: {error}", self.kind, self.options))
            .run(level);
        let before = |place: usize| match gradient {
            Gradient::InPlace => number(self.x[place]),
            _ => BEFORE,
        };
        Answer {
            sum,
            losses,
            log_sum_exp,
            predicted,
            hessian: second,
            gradient: self.without_gaps(&g, g_stride, before),
            wide: self.without_gaps(&wide, g_stride, before),
        }
    }

    /// The gradients without the gaps between the blocks, which must be unchanged.
    fn without_gaps<T: Element>(
        &self,
        g: &[T],
        stride: usize,
        before: impl Fn(usize) -> f64,
    ) -> Vec<T> {
        let block = self.dims[1] * self.dims[2];
        for (place, &g) in g.iter().enumerate().filter(|(place, _)| place % stride >= block) {
            let (found, before) = (number(g), before(place));
            assert!(found == before || found.is_nan() && before.is_nan(), "gap at {place}");
        }
        g.iter().enumerate().filter(|(place, _)| place % stride < block).map(|(_, &g)| g).collect()
    }

    /// Whether no output changes a bit of anything else, at any level.
    fn hold(&self) -> Result<(), String> {
        let mut with_fma = None;
        for level in Level::available() {
            let all = self.run(level, Gradient::Write, self.everything());
            let of_all = [all.sum_bits(), all.gradient_bits()].into_iter().chain(all.beside());
            let of_all: Vec<_> = of_all.collect();
            if level.has_fma() && *with_fma.get_or_insert_with(|| of_all.clone()) != of_all {
                return Err(format!("{level}: other bits than at another level"));
            }
            for gradient in Gradient::ALL {
                self.hold_with(level, gradient, &all)
                    .map_err(|what| format!("{level}, gradient {gradient:?}: {what}"))?;
            }
        }
        Ok(())
    }

    fn hold_with(&self, level: Level, gradient: Gradient, all: &Answer<E>) -> Result<(), String> {
        let plain = self.run(level, gradient, NOTHING);
        if plain.sum_bits() != all.sum_bits() {
            return Err(format!("the sum is {}, not {}", plain.sum, all.sum));
        }
        let written = match gradient {
            Gradient::Write | Gradient::InPlace => bits(&plain.gradient),
            Gradient::Wide => {
                bits(&plain.wide.iter().map(|&g| E::from_float(g)).collect::<Vec<_>>())
            }
            Gradient::None | Gradient::Add | Gradient::WideAdd => Vec::new(),
        };
        let of_all = bits(&all.gradient);
        if !written.is_empty() && written != of_all {
            return Err(format!("the gradient {}", first_difference(&written, &of_all)));
        }
        for asked in self.choices() {
            let some = self.run(level, gradient, asked);
            if some.sum_bits() != plain.sum_bits() {
                return Err(format!("{asked:?}: the sum is {}, not {}", some.sum, plain.sum));
            }
            let (found, wanted) = (some.gradient_bits(), plain.gradient_bits());
            if found != wanted {
                return Err(format!(
                    "{asked:?}: the gradient {}",
                    first_difference(&found, &wanted)
                ));
            }
            let names = ["losses", "log-sum-exp", "predicted classes", "Hessian"];
            for ((found, wanted), name) in some.beside().iter().zip(&all.beside()).zip(names) {
                if !found.is_empty() && found != wanted {
                    return Err(format!("{asked:?}: {name} {}", first_difference(found, wanted)));
                }
            }
        }
        Ok(())
    }

    fn check(&self) {
        if let Err(what) = self.hold() {
            panic!("{:?} of {:?}: {what}", self.kind, self.dims);
        }
    }
}

fn first_difference(found: &[u64], wanted: &[u64]) -> String {
    let at = found.iter().zip(wanted).position(|(found, wanted)| found != wanted);
    let at = at.unwrap_or_default();
    let of = |all: &[u64]| all.get(at).map(|&bits| f64::from_bits(bits));
    format!("at {at} is {:?}, not {:?}", of(found), of(wanted))
}

/// A loss, without its elements.
#[derive(Clone, Debug)]
struct Case {
    dims: [usize; 3],
    gaps: [usize; 2],
    kind: Kind,
    /// The largest absolute value of logits.
    spread: f64,
    /// Whether some rows have logits that are not finite, and some classes are absent.
    odd: bool,
    masked: bool,
    class_weights: bool,
    sample_weights: bool,
    upstream: bool,
    scale: f64,
    ignores: bool,
    empty_is_nan: bool,
    smoothing: f64,
    focal: f64,
    z_loss: f64,
    cap: f64,
    convention: Hessian,
    seed: u64,
}

/// Many rows of few classes, few rows of many.
fn dims() -> impl Strategy<Value = [usize; 3]> {
    let classes = prop_oneof![
        4 => 1..131_usize,
        4 => select(vec![2_usize, 3, 10, 32, 33, 64, 100, 128, 129]),
        1 => select(vec![1000_usize, 4096, 4097, 9000]),
    ];
    let rows = classes.prop_flat_map(|classes| {
        let most = (4000 / classes).clamp(2, 300);
        (1..=most).prop_map(move |rows| [rows, classes, 1])
    });
    let columns = prop_oneof![
        9 => [1..4_usize, 2..41_usize, 2..70_usize],
        1 => [1..2_usize, 300..301_usize, 2..70_usize],
    ];
    prop_oneof![2 => rows, 1 => columns]
}

fn case() -> impl Strategy<Value = Case> {
    let rare = |value: f64| prop_oneof![3 => Just(0.0), 1 => Just(value)];
    let gap = || prop_oneof![Just(0_usize), 1..9_usize];
    let spread = select(vec![0.0, 1.0, 20.0, 200.0]);
    let scale = select(vec![1.0, 0.3, 0.125]);
    let focal = prop_oneof![4 => Just(0.0), 1 => select(vec![0.5, 1.0, 2.0, 3.5])];
    let numbers = (spread, scale, rare(0.1), focal, rare(1e-2), rare(15.0));
    let convention = select(vec![Hessian::Exact, Hessian::XgBoost, Hessian::LightGbm]);
    let of = (dims(), [gap(), gap()], select(Kind::ALL.to_vec()), convention);
    (of, numbers, any::<[bool; 7]>(), any::<u64>()).prop_map(|(of, numbers, flags, seed)| {
        let (dims, gaps, kind, convention) = of;
        let (spread, scale, smoothing, focal, z_loss, cap) = numbers;
        let [odd, masked, class_weights, sample_weights, upstream, ignores, empty_is_nan] = flags;
        // Not all options are valid for all targets.
        let index = kind.is_index();
        let teacher = matches!(kind, Kind::Teacher(_));
        let caffe = kind == Kind::Multi(MultiLabel::Caffe);
        let focal = if index { focal } else { 0.0 };
        let unless = |refused: bool, value: f64| if refused { 0.0 } else { value };
        Case {
            dims,
            gaps,
            kind,
            spread,
            odd,
            masked,
            class_weights: class_weights && !caffe,
            sample_weights,
            upstream,
            scale,
            ignores: ignores && index,
            empty_is_nan,
            smoothing: unless(teacher || caffe || focal != 0.0, smoothing),
            focal,
            z_loss: unless(teacher, z_loss),
            cap: unless(teacher, cap),
            convention,
            seed,
        }
    })
}

/// Logits, indexed without a stride; some rows are not finite.
fn logits(units: &mut Units, case: &Case) -> Vec<f64> {
    let [outer, classes, inner] = case.dims;
    let shape = Shape::columns(outer, classes, inner).expect("small");
    let mut x: Vec<f64> =
        (0..shape.elements()).map(|_| case.spread * (2.0 * units.next() - 1.0)).collect();
    if case.masked {
        for x in &mut x {
            if units.next() < 0.3 {
                *x = f64::NEG_INFINITY;
            }
        }
    }
    for row in 0..shape.row_count() {
        if !case.odd || units.next() > 0.15 {
            continue;
        }
        let mut put = |value| x[shape.place(row, units.below(classes))] = value;
        match row % 5 {
            0 => put(f64::NAN),
            1 => put(f64::INFINITY),
            2 => (0..2).for_each(|_| put(f64::INFINITY)),
            3 => [f64::INFINITY, f64::NAN].into_iter().for_each(put),
            _ => (0..classes).for_each(|class| x[shape.place(row, class)] = f64::NEG_INFINITY),
        }
    }
    x
}

impl Case {
    fn build<E: Element>(&self) -> Owned<E> {
        let mut units = Units(self.seed);
        let [outer, classes, inner] = self.dims;
        let block = classes * inner;
        let rows = outer * inner;
        let strides = self.gaps.map(|gap| block + gap);
        let values = logits(&mut units, self);
        // Gaps between the rows are not read.
        let mut x = vec![logit::<E>(f64::NAN); (outer - 1) * strides[0] + block];
        for (part, values) in values.chunks(block).enumerate() {
            for (place, &value) in x[part * strides[0]..].iter_mut().zip(values) {
                *place = logit(value);
            }
        }
        let labels: Vec<Option<usize>> = (0..rows)
            .map(|_| {
                let label = units.below(classes.min(255));
                (!self.ignores || units.next() > 0.2).then_some(label)
            })
            .collect();
        let dense: Vec<f64> = match self.kind {
            Kind::Teacher(_) => {
                let mut teacher = logits(&mut units, self);
                // For some classes the teacher's logits equal the student's.
                for (teacher, &x) in teacher.iter_mut().zip(&values) {
                    if units.next() < 0.2 {
                        *teacher = x;
                    }
                }
                teacher
            }
            _ => {
                let share = units.next();
                let mut number = || if units.next() < share { 2.0 * units.next() } else { 0.0 };
                values.iter().map(|_| number()).collect()
            }
        };
        let floats = |values: Vec<f64>| values.into_iter().map(float::<E>).collect::<Vec<_>>();
        let mut some = |wanted: bool, count: usize| {
            let count = if wanted { count } else { 0 };
            let mut number = || if units.next() < 0.1 { 0.0 } else { 2.0 * units.next() };
            floats((0..count).map(|_| number()).collect())
        };
        Owned {
            dims: self.dims,
            strides,
            x,
            kind: self.kind,
            labels8: labels.iter().map(|label| label.map_or(255, |label| label as u8)).collect(),
            labels64: labels.iter().map(|label| label.map_or(-100, |y| y as i64)).collect(),
            dense: floats(dense),
            class_weights: some(self.class_weights, classes),
            sample_weights: some(self.sample_weights, rows),
            upstream: some(self.upstream, rows),
            options: SoftmaxOptions {
                class_weights: &[],
                label_smoothing: self.smoothing,
                ignore_index: self.ignores.then_some(if self.kind == Kind::Index8 {
                    255
                } else {
                    -100
                }),
                focal_gamma: self.focal,
                z_loss: self.z_loss,
                soft_cap: self.cap,
                empty_is_nan: self.empty_is_nan,
            },
            scale: self.scale,
            convention: self.convention,
        }
    }

    fn hold<E: Element>(&self) -> Result<(), TestCaseError> {
        self.build::<E>().hold().map_err(TestCaseError::fail)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_output_changes_a_bit_of_another_f32(case in case()) {
        case.hold::<f32>()?;
    }

    #[test]
    fn no_output_changes_a_bit_of_another_f64(case in case()) {
        case.hold::<f64>()?;
    }
}

#[cfg(feature = "half")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_output_changes_a_bit_of_another_bf16(case in case()) {
        case.hold::<half::bf16>()?;
    }

    #[test]
    fn no_output_changes_a_bit_of_another_f16(case in case()) {
        case.hold::<half::f16>()?;
    }
}

/// Shapes for every kernel: rows of few classes, of a group, of several tiles, and columns.
const SHAPES: [[usize; 3]; 15] = [
    [300, 2, 1],
    [150, 3, 1],
    [140, 10, 1],
    [70, 32, 1],
    [40, 33, 1],
    [33, 64, 1],
    [20, 129, 1],
    [5, 1000, 1],
    [3, 4096, 1],
    [3, 4097, 1],
    [2, 9000, 1],
    [3, 2, 70],
    [2, 10, 33],
    [2, 40, 33],
    [1, 300, 20],
];

/// Logits without a pattern, at most `width` from zero; labels; and targets, about a third of which are not zero.
fn batch<E: Element>(dims: [usize; 3], width: f64, kind: Kind) -> Owned<E> {
    let [outer, classes, inner] = dims;
    let mut units = Units(classes as u64);
    let mut numbers = |scale: f64, share: f64| -> Vec<f64> {
        let mut number = || scale * (2.0 * units.next() - 1.0);
        let mut some = || if number().abs() < share * scale { number() } else { 0.0 };
        (0..outer * classes * inner).map(|_| some()).collect()
    };
    let (x, teacher, dense) = (numbers(width, 1.0), numbers(width, 1.0), numbers(1.0, 0.3));
    let labels: Vec<i64> = (0..outer * inner).map(|row| (row * 7 % classes) as i64).collect();
    let dense = match kind {
        Kind::Teacher(_) => teacher,
        _ => dense.iter().map(|t| t.abs()).collect(),
    };
    Owned {
        kind,
        labels8: labels.iter().map(|&label| (label % 255) as u8).collect(),
        dense: dense.into_iter().map(float::<E>).collect(),
        ..Owned::plain(dims, &x, &labels)
    }
}

impl<E: Element> Owned<E> {
    /// The results for a row, with all outputs: loss, log-sum-exp, predicted class, Hessian, gradient.
    fn of_row(&self, answer: &Answer<E>, row: usize) -> Vec<u64> {
        let shape = self.shape();
        let [losses, log_sum_exp, predicted, hessian] = answer.beside();
        let places = (0..self.dims[1]).map(|class| shape.place(row, class));
        let gradient = bits(&answer.gradient);
        let of_classes = [hessian, gradient];
        let of_classes = of_classes.iter().filter(|all| !all.is_empty());
        let of_classes = of_classes.flat_map(|all| places.clone().map(|place| all[place]));
        [losses[row], log_sum_exp[row], predicted[row]].into_iter().chain(of_classes).collect()
    }
}

/// Compares a batch with one that differs in some rows only: those must have no loss and no gradient, and the other
/// results of their logits; all other rows must be the same.
fn rows_are_skipped<E: Element>(whole: &Owned<E>, some: &Owned<E>, skipped: &[usize]) {
    some.check();
    let classes = some.dims[1];
    for level in Level::available() {
        let [of_whole, of_some] =
            [whole, some].map(|batch| batch.run(level, Gradient::Write, batch.everything()));
        for row in 0..some.rows() {
            let what = || format!("{level}, {:?} of {:?}, row {row}", some.kind, some.dims);
            let (wanted, found) = (whole.of_row(&of_whole, row), some.of_row(&of_some, row));
            if !skipped.contains(&row) {
                assert_eq!(found, wanted, "{}", what());
                continue;
            }
            assert_eq!(found[0], 0, "loss of {}", what());
            assert!(found[3..].iter().all(|&bits| bits == 0), "derivatives of {}", what());
            assert_eq!(found.len(), 3 + 2 * classes);
            assert_eq!(found[2], wanted[2], "predicted class of {}", what());
            let [found, wanted] = [found, wanted].map(|row| f64::from_bits(row[1]));
            assert!((found - wanted).abs() <= 1e-6 * wanted.abs().max(1.0), "{}", what());
        }
    }
}

#[test]
fn one_ignored_row_of_many_leaves_the_others_as_they_are() {
    for dims in SHAPES {
        for kind in [Kind::Index8, Kind::Index64] {
            let whole = batch::<f32>(dims, 10.0, kind);
            for row in [0, whole.rows() / 2, whole.rows() - 1] {
                let mut some = whole.clone();
                (some.labels8[row], some.labels64[row]) = (255, -100);
                some.options.ignore_index = Some(if kind == Kind::Index8 { 255 } else { -100 });
                rows_are_skipped(&whole, &some, &[row]);
            }
        }
    }
}

#[test]
fn one_row_without_a_weight_leaves_the_others_as_they_are() {
    for dims in SHAPES {
        for kind in Kind::ALL {
            let mut whole = batch::<f32>(dims, 10.0, kind);
            whole.dense[0] = 1.0;
            let row = whole.rows() / 2;
            let mut some = whole.clone();
            whole.sample_weights = vec![0.75; whole.rows()];
            some.sample_weights = whole.sample_weights.clone();
            some.sample_weights[row] = 0.0;
            rows_are_skipped(&whole, &some, &[row]);
        }
    }
}

#[test]
fn rows_without_labels_leave_the_others_as_they_are() {
    for dims in SHAPES {
        for gradient in [MultiLabel::Exact, MultiLabel::Caffe] {
            let mut whole = batch::<f32>(dims, 10.0, Kind::Multi(gradient));
            let shape = whole.shape();
            for row in 0..whole.rows() {
                whole.dense[shape.place(row, row % dims[1])] = 1.0;
            }
            let skipped: Vec<usize> = (1..whole.rows()).step_by(3).collect();
            let mut some = whole.clone();
            for &row in &skipped {
                for class in 0..dims[1] {
                    // A zero of either sign is not a label.
                    let zero = if class % 2 == 0 { 0.0 } else { -0.0 };
                    some.dense[shape.place(row, class)] = zero;
                }
            }
            rows_are_skipped(&whole, &some, &skipped);

            let mut with_nan = some.clone();
            with_nan.options.empty_is_nan = true;
            with_nan.check();
            for level in Level::available() {
                let [zeros, nans] = [&some, &with_nan]
                    .map(|batch| batch.run(level, Gradient::Write, batch.everything()));
                assert!(nans.sum.is_nan());
                for row in 0..some.rows() {
                    let (zeros, nans) = (some.of_row(&zeros, row), some.of_row(&nans, row));
                    if !skipped.contains(&row) {
                        assert_eq!(zeros, nans, "{level}, {dims:?}, row {row}");
                        continue;
                    }
                    let of_targets = nans[..1].iter().chain(&nans[3..]);
                    let all_nan = of_targets.copied().all(|bits| bits == u64::MAX);
                    assert!(all_nan, "{level}, {gradient:?}, {dims:?}, row {row}: {nans:?}");
                    assert_eq!(zeros[1..3], nans[1..3], "{level}, {dims:?}, row {row}");
                }
            }
        }
    }
}

/// A convention, and its formula.
type Formula = (Hessian, fn(&[f64], f64) -> Vec<f64>);

const FORMULAS: [Formula; 3] = [
    (Hessian::Exact, hessian::exact),
    (Hessian::XgBoost, hessian::xgboost),
    (Hessian::LightGbm, hessian::lightgbm),
];

fn confident_rows_have_exact_second_derivatives<E: Element>(tolerance: f64) {
    for dims in SHAPES {
        let [outer, classes, inner] = dims;
        let shape = Shape::columns(outer, classes, inner).expect("small");
        for distance in [20.0, 50.0, 80.0] {
            // Differences of these are exact in any format.
            let mut x = vec![0.0; shape.elements()];
            let mut labels = Vec::new();
            for row in 0..shape.row_count() {
                let largest = row % classes;
                for class in (0..classes).filter(|&class| class != largest) {
                    x[shape.place(row, class)] = -(distance + (class % 4) as f64 / 8.0);
                }
                labels.push(((largest + 1) % classes) as i64);
            }
            for ((convention, formula), smoothing) in
                FORMULAS.into_iter().flat_map(|of| [(of, 0.0), (of, 0.25)])
            {
                let mut batch = Owned::<E>::plain(dims, &x, &labels);
                batch.scale = 0.5;
                batch.convention = convention;
                batch.options.label_smoothing = smoothing;
                let wanted: Vec<Vec<f64>> = (0..shape.row_count())
                    .map(|row| {
                        let x: Vec<f64> = (0..classes).map(|c| x[shape.place(row, c)]).collect();
                        formula(&x, 0.5)
                    })
                    .collect();
                for level in Level::available() {
                    for gradient in Gradient::ALL {
                        let answer = batch.run(level, gradient, batch.everything());
                        for (row, wanted) in wanted.iter().enumerate() {
                            for (class, wanted) in wanted.iter().enumerate() {
                                let found = number(answer.hessian[shape.place(row, class)]);
                                let close = (found - wanted).abs() <= tolerance * wanted;
                                assert!(
                                    close,
                                    "{level}, {gradient:?}, {convention:?}, {smoothing}, {dims:?}, \
                                     {distance}: {found} {wanted} at {class} of {row}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_largest_class_that_is_not_the_label_keeps_its_second_derivative_f32() {
    confident_rows_have_exact_second_derivatives::<f32>(1e-5);
}

#[test]
fn the_largest_class_that_is_not_the_label_keeps_its_second_derivative_f64() {
    confident_rows_have_exact_second_derivatives::<f64>(1e-12);
}

#[test]
fn equal_logits_predict_the_first_class() {
    for dims in SHAPES {
        for kind in Kind::ALL {
            let mut batch = batch::<f32>(dims, 0.0, kind);
            batch.x.fill(3.5);
            batch.check();
            for level in Level::available() {
                let answer = batch.run(level, Gradient::Write, batch.everything());
                assert!(answer.predicted.iter().all(|&class| class == 0), "{level}, {dims:?}");
                if !kind.is_index() {
                    continue;
                }
                let loss = (dims[1] as f64).ln();
                for found in answer.losses {
                    let close = (f64::from(found) - loss).abs() <= 1e-6 * loss;
                    assert!(close, "{level}, {dims:?}: {found} {loss}");
                }
            }
        }
    }
}

#[test]
fn a_row_of_any_batch_has_the_bits_that_it_has_alone() {
    for dims in SHAPES.into_iter().filter(|dims| dims[2] == 1) {
        for kind in Kind::ALL {
            let batch = batch::<f32>(dims, 20.0, kind);
            batch.check();
            for level in Level::available() {
                let together = batch.run(level, Gradient::Write, batch.everything());
                for row in (0..batch.rows()).rev().step_by(4) {
                    let alone = batch.row(row);
                    let found = alone.run(level, Gradient::Write, alone.everything());
                    assert_eq!(
                        alone.of_row(&found, 0),
                        batch.of_row(&together, row),
                        "{level}, {kind:?}, {dims:?}, row {row}"
                    );
                }
            }
        }
    }
}

/// Logits that differ and become equal under a cap.
fn predicted_classes_are_of_the_logits<E: Element>() {
    for dims in SHAPES {
        let [outer, classes, inner] = dims;
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let mut x = vec![0.0; shape.elements()];
        let mut largest = Vec::new();
        for row in 0..shape.row_count() {
            for class in 0..classes {
                x[shape.place(row, class)] = 20.0 + ((class * 31 + row) % 100) as f64;
            }
            // Not the first of equals.
            largest.push(classes - 1 - row % classes.div_ceil(2));
            x[shape.place(row, largest[row])] = 200.0;
        }
        for (kind, gap) in [(Kind::Index64, 0), (Kind::Index64, 3), (Kind::Dense, 0)] {
            let mut batch = batch::<E>(dims, 1.0, kind);
            batch.strides = [classes * inner + gap; 2];
            batch.x = vec![logit(f64::NAN); (outer - 1) * batch.strides[0] + classes * inner];
            for (place, &x) in x.iter().enumerate() {
                let at = batch.strided(place, batch.strides[0]);
                batch.x[at] = logit(x);
            }
            batch.options.soft_cap = 1.0;
            batch.check();
            let level = Level::detect();
            let answer = batch.run(level, Gradient::InPlace, batch.everything());
            let found: Vec<usize> = answer.predicted.iter().map(|&class| class as usize).collect();
            assert_eq!(found, largest, "{dims:?}");
        }
    }
}

#[test]
fn predicted_classes_are_those_before_a_cap_f32() {
    predicted_classes_are_of_the_logits::<f32>();
}

#[test]
fn predicted_classes_are_those_before_a_cap_f64() {
    predicted_classes_are_of_the_logits::<f64>();
}

#[cfg(feature = "half")]
#[test]
fn predicted_classes_are_those_before_a_cap_bf16() {
    predicted_classes_are_of_the_logits::<half::bf16>();
}

/// Some classes are absent in both. In a row of several tiles, each with its own maximum, a rounding error may
/// remain.
fn students_that_equal_their_teachers_lose_nothing<E: Element>(rounding: f64) {
    for classes in [5, 40, 200, 5000] {
        for [outer, inner] in [[1, 1], [3, 1], [35, 1], [1, 35]] {
            // Converted columns of that many classes do not support a teacher.
            if classes == 5000 && inner != 1 {
                continue;
            }
            for (temperature, width) in [(1.0, 3.0), (2.5, 3.0), (0.7, 30.0), (2.5, 100.0)] {
                let dims = [outer, classes, inner];
                let mut batch = batch::<E>(dims, width, Kind::Teacher(temperature));
                for masked in [false, true] {
                    if masked {
                        batch.x.iter_mut().step_by(3).for_each(|x| *x = logit(f64::NEG_INFINITY));
                    }
                    batch.dense = batch.x.iter().map(|x| x.to_float()).collect();
                    for level in Level::available() {
                        for gradient in [Gradient::None, Gradient::Write] {
                            let answer = batch.run(level, gradient, [true; 4]);
                            let what = || format!("{level}, {dims:?}, {temperature}, {width}");
                            let most = if classes > 4096 { rounding } else { 0.0 };
                            for loss in answer.losses.iter().map(|&loss| number(loss)) {
                                assert!(loss.abs() <= most, "{}: {loss}", what());
                            }
                            assert!(answer.sum.abs() <= most * outer as f64, "{}", what());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_student_that_equals_its_teacher_loses_nothing_f32() {
    students_that_equal_their_teachers_lose_nothing::<f32>(1e-6);
}

#[test]
fn a_student_that_equals_its_teacher_loses_nothing_f64() {
    students_that_equal_their_teachers_lose_nothing::<f64>(1e-14);
}

#[cfg(feature = "half")]
#[test]
fn a_student_that_equals_its_teacher_loses_nothing_bf16() {
    students_that_equal_their_teachers_lose_nothing::<half::bf16>(1e-6);
}

/// The gradient of that many logits is written past the caches, unless it is in place.
#[test]
fn no_output_changes_a_bit_of_a_large_batch() {
    for (dims, kind) in [([14_000, 300, 1], Kind::Index64), ([1030, 4100, 1], Kind::Dense)] {
        let batch = batch::<f32>(dims, 10.0, kind);
        for level in Level::available() {
            let plain = batch.run(level, Gradient::InPlace, NOTHING);
            for asked in [NOTHING, [false, false, false, true], [true; 4]] {
                let found = batch.run(level, Gradient::Write, asked);
                assert_eq!(found.sum.to_bits(), plain.sum.to_bits(), "{level}, {dims:?}");
                let mut both = found.gradient.iter().zip(&plain.gradient);
                assert!(both.all(|(a, b)| a.to_bits() == b.to_bits()), "{level}, {dims:?}");
            }
        }
    }
}
