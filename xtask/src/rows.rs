//! The rows and targets that the functions are tried on.

use std::f32::consts::TAU;

use rand::Rng;
use rand::rngs::StdRng;

const INF: f32 = f32::INFINITY;

/// Rows of equal length, each with a word for what it is.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    /// Logits in a row.
    pub(crate) classes: usize,
    /// What each row is.
    pub(crate) kinds: Vec<&'static str>,
    /// The logits, row after row.
    pub(crate) logits: Vec<f32>,
}

impl Rows {
    fn new(classes: usize) -> Self {
        Self { classes, kinds: Vec::new(), logits: Vec::new() }
    }

    fn push(&mut self, kind: &'static str, logit: impl FnMut(usize) -> f32) {
        self.kinds.push(kind);
        self.logits.extend((0..self.classes).map(logit));
    }

    /// The rows, one by one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.logits.chunks_exact(self.classes)
    }

    /// Names one logit.
    pub(crate) fn place(&self, row: usize, class: usize) -> String {
        let (classes, kind) = (self.classes, self.kinds[row]);
        format!("row {row} ({kind}) of {classes} classes, class {class}")
    }
}

/// A sample of the standard normal distribution (G. Box and M. Muller, 1958).
fn normal(rng: &mut StdRng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (TAU * rng.random::<f32>()).cos()
}

/// Rows of normal logits of each scale: more than a block of rows where these are short.
pub(crate) fn random(classes: usize, rng: &mut StdRng) -> Rows {
    let mut rows = Rows::new(classes);
    for _ in 0..(256 / classes).clamp(1, 20) {
        for (kind, scale) in [
            ("normal × 0.1", 0.1),
            ("normal × 1", 1.0),
            ("normal × 3", 3.0),
            ("normal × 20", 20.0),
            ("normal × 60", 60.0),
        ] {
            rows.push(kind, |_| scale * normal(rng));
        }
    }
    rows
}

/// Rows of any bits at all, NaN and infinities left out: few of them have two likely classes, but
/// the elementwise functions see everything.
pub(crate) fn any_bits(classes: usize, rng: &mut StdRng) -> Rows {
    let mut rows = Rows::new(classes);
    rows.push("any bits", |_| {
        loop {
            let x = f32::from_bits(rng.random());
            if x.is_finite() {
                break x;
            }
        }
    });
    rows
}

/// One row of each kind that needs care: of finite logits, with infinities, and without an answer.
/// The rows without one are a batch of their own, as a batch's sum can say nothing about the others.
pub(crate) fn edge(classes: usize, rng: &mut StdRng) -> [Rows; 3] {
    [finite(classes, rng), infinite(classes, rng), undefined(classes, rng)]
}

fn finite(classes: usize, rng: &mut StdRng) -> Rows {
    let mut rows = Rows::new(classes);
    // A class anywhere, so that vector bodies and tails both see the odd one.
    let one = rng.random_range(0..classes);
    let at_one = |odd: f32, rest: f32| move |class| if class == one { odd } else { rest };

    rows.push("all equal", |_| 3.25);
    rows.push("both zeros", |class| if class % 2 == 0 { 0.0 } else { -0.0 });
    rows.push("one huge", at_one(1e4, 0.0));
    rows.push("one very low", at_one(-1e4, 0.0));
    rows.push("confident", |class| if class == one { 57.5 } else { rng.random_range(-1.0..1.0) });
    rows.push("confident, wide", |class| if class == one { 80.0 } else { 9.0 * normal(rng) });
    // Distances on both sides of where an exponential is subnormal, and where it is zero.
    rows.push("to the least float", |class| {
        if class == one { 0.0 } else { rng.random_range(-106.0..-84.0) }
    });
    rows.push("far from zero", |_| 1e6 + normal(rng));
    rows.push("-1e30 masks", masked(-1e30, rng));
    rows.push("f32::MIN masks", masked(f32::MIN, rng));
    rows.push("all -1e30", |_| -1e30);
    rows.push("all f32::MIN", |_| f32::MIN);
    rows.push("subnormals", |_| f32::from_bits(rng.random_range(0..0x80_0000)));
    rows.push("±f32::MAX", |class| if class % 2 == 0 { f32::MAX } else { f32::MIN });
    rows
}

fn infinite(classes: usize, rng: &mut StdRng) -> Rows {
    let mut rows = Rows::new(classes);
    let one = rng.random_range(0..classes);
    rows.push("-inf masks", masked(-INF, rng));
    rows.push("all masked but one", |class| if class == one { 2.5 } else { -INF });
    rows.push("one +inf", |class| if class == one { INF } else { normal(rng) });
    rows.push("+inf and -inf", |class| if class == one { INF } else { -INF });
    rows.push("an ordinary row", |_| normal(rng));
    rows
}

fn undefined(classes: usize, rng: &mut StdRng) -> Rows {
    let mut rows = Rows::new(classes);
    let one = rng.random_range(0..classes);
    rows.push("one NaN", |class| if class == one { f32::NAN } else { normal(rng) });
    rows.push("NaN and +inf", |class| if class == one { f32::NAN } else { INF });
    rows.push("all NaN", |_| f32::NAN);
    rows.push("an ordinary row", |_| normal(rng));
    rows.push("all +inf", |_| INF);
    rows.push("all -inf", |_| -INF);
    rows
}

/// Normal logits, every third of them masked (and never the first).
fn masked(mask: f32, rng: &mut StdRng) -> impl FnMut(usize) -> f32 {
    move |class| if class % 3 == 1 { mask } else { normal(rng) }
}

/// The index of the first largest logit; 0 where there is none.
fn argmax(row: &[f32]) -> usize {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter().position(|&x| x == max).unwrap_or_default()
}

/// A random label for each row, and the label that each row expects.
pub(crate) fn labels(rows: &Rows, rng: &mut StdRng) -> [Vec<u32>; 2] {
    let index = |class: usize| u32::try_from(class).expect("fewer classes than u32 has numbers");
    let random = rows.iter().map(|_| index(rng.random_range(0..rows.classes))).collect();
    [random, rows.iter().map(|row| index(argmax(row))).collect()]
}

/// Dense targets: distributions, one-hot rows at a random class and at the largest logit, and
/// a few weights that do not sum to one.
pub(crate) fn dense(rows: &Rows, rng: &mut StdRng) -> [Vec<f32>; 4] {
    let classes = rows.classes;
    let mut distributions = Vec::with_capacity(rows.logits.len());
    let mut sparse = vec![0.0; rows.logits.len()];
    for weights in sparse.chunks_exact_mut(classes) {
        let raw: Vec<f32> = (0..classes).map(|_| rng.random()).collect();
        let sum: f32 = raw.iter().sum();
        distributions.extend(raw.iter().map(|q| q / sum));
        for _ in 0..rng.random_range(1..=4) {
            weights[rng.random_range(0..classes)] = rng.random_range(0.0..3.0);
        }
    }
    let [random, largest] = labels(rows, rng).map(|labels| {
        let mut q = vec![0.0; rows.logits.len()];
        for (weights, label) in q.chunks_exact_mut(classes).zip(labels) {
            weights[label as usize] = 1.0;
        }
        q
    });
    [distributions, random, largest, sparse]
}
