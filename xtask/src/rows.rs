//! The rows and targets that the functions are tested on.

use std::f64::consts::{LN_2, TAU};

use rand::Rng;
use rand::rngs::StdRng;
use xent_reference::ulp::Format;

use crate::format::Checked;

const INF: f64 = f64::INFINITY;

/// Rows of equal length, each with a name for its kind.
#[derive(Clone, Debug)]
pub(crate) struct Rows<E> {
    /// Logits in a row.
    pub(crate) classes: usize,
    /// The kind of each row.
    pub(crate) kinds: Vec<&'static str>,
    /// The logits, row after row.
    pub(crate) logits: Vec<E>,
}

impl<E: Checked> Rows<E> {
    fn new(classes: usize) -> Self {
        Self { classes, kinds: Vec::new(), logits: Vec::new() }
    }

    /// Adds a row of numbers that are rounded to the format.
    fn push(&mut self, kind: &'static str, logit: impl FnMut(usize) -> f64) {
        self.kinds.push(kind);
        self.logits.extend((0..self.classes).map(logit).map(E::nearest));
    }

    /// The rows, one by one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[E]> {
        self.logits.chunks_exact(self.classes)
    }

    /// Names one logit.
    pub(crate) fn place(&self, row: usize, class: usize) -> String {
        let (classes, kind) = (self.classes, self.kinds[row]);
        format!("row {row} ({kind}) of {classes} classes, class {class}")
    }
}

/// A sample of the standard normal distribution (G. Box and M. Muller, 1958).
fn normal(rng: &mut StdRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}

/// Rows of normal logits of each scale; if rows are short, more than a block of them.
pub(crate) fn random<E: Checked>(classes: usize, rng: &mut StdRng) -> Rows<E> {
    let mut rows = Rows::new(classes);
    for _ in 0..(256 / classes).clamp(1, 20) {
        for (kind, scale) in [
            ("normal × 0.1", 0.1),
            ("normal × 1", 1.0),
            ("normal × 3", 3.0),
            ("normal × 20", 20.0),
            // The exponentials of the largest distances are about the smallest number.
            ("normal, wide", least_exponent(E::COMPUTED) / 1.5),
        ] {
            rows.push(kind, |_| scale * normal(rng));
        }
    }
    rows
}

/// One row of normal logits.
pub(crate) fn of_spread<E: Checked>(classes: usize, spread: f64, rng: &mut StdRng) -> Rows<E> {
    let mut rows = Rows::new(classes);
    rows.push("searched", |_| spread * normal(rng));
    rows
}

/// The distance at which the exponential is the smallest normal number of a format: 87 for `f32`,
/// 708 for `f64`.
fn least_exponent(format: Format) -> f64 {
    LN_2 * f64::from(-format.min_exponent)
}

/// The largest number of a format.
fn largest(format: Format) -> f64 {
    let top = 2.0_f64.powi(format.max_exponent);
    // Its top binade ends beyond the largest `f64`.
    top + (top - format.spacing(top))
}

/// Rows of random bits, without NaN and infinities. Few of them have two likely classes, but the
/// elementwise functions are tested on everything.
pub(crate) fn any_bits<E: Checked>(classes: usize, rng: &mut StdRng) -> Rows<E> {
    let mut rows = Rows::new(classes);
    rows.push("any bits", |_| {
        loop {
            let x = E::from_bits(rng.random()).wide();
            if x.is_finite() {
                break x;
            }
        }
    });
    rows
}

/// One row of each kind that needs care: with finite logits, with infinities, and without a result.
/// Rows without a result form a batch of their own, because the sum of their batch says nothing
/// about the others.
pub(crate) fn edge<E: Checked>(classes: usize, rng: &mut StdRng) -> [Rows<E>; 3] {
    [finite(classes, rng), infinite(classes, rng), undefined(classes, rng)]
}

fn finite<E: Checked>(classes: usize, rng: &mut StdRng) -> Rows<E> {
    let mut rows = Rows::new(classes);
    // Any class, so that both vector bodies and tails meet the unusual one.
    let one = rng.random_range(0..classes);
    let at_one = |odd: f64, rest: f64| move |class| if class == one { odd } else { rest };

    rows.push("all equal", |_| 3.25);
    rows.push("both zeros", |class| if class % 2 == 0 { 0.0 } else { -0.0 });
    rows.push("one huge", at_one(1e4, 0.0));
    rows.push("one very low", at_one(-1e4, 0.0));
    rows.push("confident", |class| if class == one { 57.5 } else { rng.random_range(-1.0..1.0) });
    let certain = 0.9 * least_exponent(E::COMPUTED);
    rows.push("confident, wide", |class| if class == one { certain } else { 9.0 * normal(rng) });
    // Distances on both sides of where an exponential becomes subnormal, and of where it becomes
    // zero.
    let normal_from = -least_exponent(E::COMPUTED);
    let zero_from = normal_from - LN_2 * f64::from(E::COMPUTED.digits);
    rows.push("to the least float", |class| {
        if class == one { 0.0 } else { rng.random_range(zero_from - 2.0..normal_from + 3.0) }
    });
    let max = largest(E::STORED);
    let (far, mask) = (f64::min(1e6, max / 2.0), f64::max(-1e30, -max));
    rows.push("far from zero", |_| far + normal(rng));
    rows.push("-1e30 masks", masked(mask, rng));
    rows.push("MIN masks", masked(-max, rng));
    rows.push("all -1e30", |_| mask);
    rows.push("all MIN", |_| -max);
    let least_normal = 1_u64 << (E::STORED.digits - 1);
    rows.push("subnormals", |_| E::from_bits(rng.random_range(0..least_normal)).wide());
    rows.push("±MAX", |class| if class % 2 == 0 { max } else { -max });
    rows
}

fn infinite<E: Checked>(classes: usize, rng: &mut StdRng) -> Rows<E> {
    let mut rows = Rows::new(classes);
    let one = rng.random_range(0..classes);
    rows.push("-inf masks", masked(-INF, rng));
    rows.push("all masked but one", |class| if class == one { 2.5 } else { -INF });
    rows.push("one +inf", |class| if class == one { INF } else { normal(rng) });
    rows.push("+inf and -inf", |class| if class == one { INF } else { -INF });
    rows.push("an ordinary row", |_| normal(rng));
    rows
}

fn undefined<E: Checked>(classes: usize, rng: &mut StdRng) -> Rows<E> {
    let mut rows = Rows::new(classes);
    let one = rng.random_range(0..classes);
    rows.push("one NaN", |class| if class == one { f64::NAN } else { normal(rng) });
    rows.push("NaN and +inf", |class| if class == one { f64::NAN } else { INF });
    rows.push("all NaN", |_| f64::NAN);
    rows.push("an ordinary row", |_| normal(rng));
    rows.push("all +inf", |_| INF);
    rows.push("all -inf", |_| -INF);
    rows
}

/// Normal logits, every third one masked (but never the first).
fn masked(mask: f64, rng: &mut StdRng) -> impl FnMut(usize) -> f64 {
    move |class| if class % 3 == 1 { mask } else { normal(rng) }
}

/// The index of the first largest logit; 0 if there is none.
fn argmax<E: Checked>(row: &[E]) -> usize {
    let max = row.iter().map(|x| x.wide()).fold(-INF, f64::max);
    row.iter().position(|x| x.wide() == max).unwrap_or_default()
}

/// A random label for each row, and the most likely label of each row.
pub(crate) fn labels<E: Checked>(rows: &Rows<E>, rng: &mut StdRng) -> [Vec<u32>; 2] {
    let index = |class: usize| u32::try_from(class).expect("fewer classes than u32 has numbers");
    let random = rows.iter().map(|_| index(rng.random_range(0..rows.classes))).collect();
    [random, rows.iter().map(|row| index(argmax(row))).collect()]
}

/// Dense targets: distributions, one-hot rows at a random class and at the largest logit, and some
/// weights that do not sum to one.
pub(crate) fn dense<E: Checked>(rows: &Rows<E>, rng: &mut StdRng) -> [Vec<E::Float>; 4] {
    let classes = rows.classes;
    let mut distributions = Vec::with_capacity(rows.logits.len());
    let zeros = vec![E::float(0.0); rows.logits.len()];
    let mut sparse = zeros.clone();
    for weights in sparse.chunks_exact_mut(classes) {
        let raw: Vec<f64> = (0..classes).map(|_| rng.random()).collect();
        let sum: f64 = raw.iter().sum();
        distributions.extend(raw.iter().map(|q| E::float(q / sum)));
        for _ in 0..rng.random_range(1..=4) {
            weights[rng.random_range(0..classes)] = E::float(rng.random_range(0.0..3.0));
        }
    }
    let [random, largest] = labels(rows, rng).map(|labels| {
        let mut q = zeros.clone();
        for (weights, label) in q.chunks_exact_mut(classes).zip(labels) {
            weights[label as usize] = E::float(1.0);
        }
        q
    });
    [distributions, random, largest, sparse]
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use rand::SeedableRng;

    use super::*;

    fn are_what_they_are_called<E: Checked>() {
        let [finite, infinite, undefined] = edge::<E>(7, &mut StdRng::seed_from_u64(0));
        assert!(finite.logits.iter().all(|x| x.wide().is_finite()), "{}", E::NAME);
        assert!(infinite.iter().all(|row| row.iter().any(|x| x.wide() > -INF)));
        assert!(undefined.logits.iter().any(|x| x.wide().is_nan()));
        let row = |kind| {
            let index = finite.kinds.iter().position(|&k| k == kind).expect("a kind of row");
            &finite.logits[index * 7..][..7]
        };
        assert!(row("subnormals").iter().all(|x| x.wide() < 2.0_f64.powi(E::STORED.min_exponent)));
        let [max, min, ..] = row("±MAX") else { panic!("seven classes") };
        assert!(max.wide().is_finite() && E::from_bits(max.bits() + 1).wide() == INF);
        assert_eq!(min.wide(), -max.wide());
    }

    #[test]
    fn the_edge_rows_of_every_format_are_what_they_are_called() {
        are_what_they_are_called::<f32>();
        are_what_they_are_called::<f64>();
        are_what_they_are_called::<bf16>();
        are_what_they_are_called::<f16>();
    }
}
