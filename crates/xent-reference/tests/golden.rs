//! The answers of PyTorch to the same questions; `golden/README.md` says what is in the files.
//!
//! Reductions, class weights, smoothing, ignored rows and `pos_weight` are spelled out here, from
//! the definitions, around the row functions of the crate.

use serde::Deserialize;
use xent_reference::{sigmoid, softmax, targets};

/// How far an answer may be from the peer's, relative to the answer.
const TOLERANCE: f64 = 1e-12;

/// The peer computes in f64 too, but as ln(1 + R), p - y and the like, so where an answer is
/// nearly 0 the peer's has lost digits (some are 0 where the exact one is 1e-18). That is allowed
/// for, and no more: this many times 2^-52 of the numbers that the *peer* subtracts.
const PEER_ROUNDINGS: f64 = 1.0;

#[derive(Deserialize)]
struct Case {
    id: String,
    peer: String,
    shape: [usize; 2],
    input: Vec<f64>,
    targets: Targets,
    options: Options,
    value: Vec<f64>,
    grad: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", content = "values", rename_all = "lowercase")]
enum Targets {
    Index(Vec<i64>),
    Dense(Vec<f64>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    class_weights: Option<Vec<f64>>,
    #[serde(default)]
    label_smoothing: f64,
    ignore_index: Option<i64>,
    pos_weight: Option<Vec<f64>>,
    reduction: Reduction,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reduction {
    None,
    Sum,
    Mean,
}

/// A number the crate computed, and the size of the terms the peer subtracts to get it.
#[derive(Clone, Copy, Default)]
struct Number {
    value: f64,
    terms: f64,
}

impl Number {
    fn times(self, factor: f64) -> Self {
        Self { value: factor * self.value, terms: factor * self.terms }
    }

    fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, terms: self.terms + other.terms }
    }
}

/// What the crate says before the reduction: a loss a row (or an element), a gradient an element.
#[derive(Default)]
struct Answer {
    losses: Vec<Number>,
    grad: Vec<Number>,
    mean_divisor: f64,
}

impl Answer {
    /// The peer takes ln(1 + R), which has an absolute error of one rounding of 1, Q times.
    fn push_row(&mut self, x: &[f64], q: &[f64]) {
        let row = softmax::cross_entropy(x, q);
        self.losses.push(Number { value: row.loss, terms: q.iter().sum() });
        let numbers = row.grad.iter().zip(&row.scale);
        self.grad.extend(numbers.map(|(&value, &terms)| Number { value, terms }));
    }
}

impl Case {
    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        assert_eq!(self.input.len(), self.shape[0] * self.shape[1], "{}", self.id);
        self.input.chunks_exact(self.shape[1])
    }

    fn class_weight(&self, c: usize) -> f64 {
        self.options.class_weights.as_ref().map_or(1.0, |weights| weights[c])
    }

    fn index(&self) -> &[i64] {
        match &self.targets {
            Targets::Index(labels) => labels,
            Targets::Dense(_) => panic!("{}: dense targets", self.id),
        }
    }

    fn dense(&self) -> &[f64] {
        match &self.targets {
            Targets::Dense(values) => values,
            Targets::Index(_) => panic!("{}: index targets", self.id),
        }
    }
}

/// `loss = (1-ε)·w_y(-s_y) + (ε/C)·Σ w_c(-s_c)`; a mean divides by the `w_y` of rows not ignored.
fn softmax_index(case: &Case) -> Answer {
    let classes = case.shape[1];
    let mut answer = Answer::default();
    for (x, &label) in case.rows().zip(case.index()) {
        if Some(label) == case.options.ignore_index {
            answer.losses.push(Number::default());
            answer.grad.extend(vec![Number::default(); classes]);
            continue;
        }
        let y = usize::try_from(label).expect("a label that is not ignored");
        let weights = case.options.class_weights.as_deref();
        let q = targets::smoothed(classes, y, case.options.label_smoothing, weights);
        answer.push_row(x, &q);
        answer.mean_divisor += case.class_weight(y);
    }
    answer
}

/// t' = (1-ε)t + ε/C, q = w·t'; a mean divides by N.
fn softmax_dense(case: &Case) -> Answer {
    let [rows, classes] = case.shape;
    let epsilon = case.options.label_smoothing;
    let mut answer = Answer { mean_divisor: rows as f64, ..Answer::default() };
    for (x, t) in case.rows().zip(case.dense().chunks_exact(classes)) {
        let smoothed = t.iter().map(|t| (1.0 - epsilon) * t + epsilon / classes as f64);
        let q: Vec<f64> = smoothed.enumerate().map(|(c, t)| case.class_weight(c) * t).collect();
        answer.push_row(x, &q);
    }
    answer
}

/// The class weight multiplies the element; a mean divides by N·C.
fn sigmoid_dense(case: &Case) -> Answer {
    let classes = case.shape[1];
    let mut answer = Answer { mean_divisor: case.input.len() as f64, ..Answer::default() };
    for (i, (&x, &y)) in case.input.iter().zip(case.dense()).enumerate() {
        let c = i % classes;
        let pos_weight = case.options.pos_weight.as_ref().map_or(1.0, |weights| weights[c]);
        let (loss, gradient) = sigmoid::cross_entropy(x, y, pos_weight);
        // The peer's formulas: (1-y)·x + a·softplus(-x), and a·σ(x) - y·q.
        let a = 1.0 + (pos_weight - 1.0) * y;
        let loss_terms = (1.0 - y) * x.abs() + a * sigmoid::softplus(-x);
        let grad_terms = a * sigmoid::sigmoid(x) + y * pos_weight;
        let weight = case.class_weight(c);
        answer.losses.push(Number { value: loss, terms: loss_terms }.times(weight));
        answer.grad.push(Number { value: gradient, terms: grad_terms }.times(weight));
    }
    answer
}

/// Compares one case; counts the numbers compared and those that needed [`PEER_ROUNDINGS`].
fn compare(case: &Case, answer: &Answer, counts: &mut [usize; 2]) {
    let scale = match case.options.reduction {
        Reduction::Mean => 1.0 / answer.mean_divisor,
        Reduction::None | Reduction::Sum => 1.0,
    };
    let losses = match case.options.reduction {
        Reduction::None => answer.losses.clone(),
        Reduction::Sum | Reduction::Mean => {
            vec![answer.losses.iter().copied().fold(Number::default(), Number::plus)]
        }
    };
    let pairs = [("loss", &losses, &case.value), ("gradient", &answer.grad, &case.grad)];
    for (what, ours, theirs) in pairs {
        assert_eq!(ours.len(), theirs.len(), "{}: how many numbers of {what}", case.id);
        for (i, (number, &want)) in ours.iter().zip(theirs).enumerate() {
            let Number { value: got, terms } = number.times(scale);
            let error = (got - want).abs();
            let strict = TOLERANCE * want.abs();
            let allowed = strict + PEER_ROUNDINGS * f64::EPSILON * terms;
            assert!(
                error <= allowed,
                "{} of {}: {what} {i} is {got:e}, the peer's {want:e}, {error:e} apart",
                case.id,
                case.peer
            );
            counts[0] += 1;
            counts[1] += usize::from(error > strict);
        }
    }
}

fn run(file: &str, expected: usize, answer: fn(&Case) -> Answer) {
    let path = format!("{}/tests/golden/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the golden file is beside this test");
    let cases: Vec<Case> = serde_json::from_str(&text).expect("the golden file is a list of cases");
    let mut counts = [0; 2];
    for case in &cases {
        compare(case, &answer(case), &mut counts);
    }
    let [numbers, lenient] = counts;
    println!(
        "{file}: {} cases ran, {numbers} numbers, {} of them within {TOLERANCE:e} of the peer's \
         and {lenient} within the peer's own rounding",
        cases.len(),
        numbers - lenient
    );
    assert_eq!(cases.len(), expected, "every case of {file} runs");
}

#[test]
fn softmax_of_an_index_target_agrees_with_the_peer() {
    run("softmax_index", 73, softmax_index);
}

#[test]
fn softmax_of_a_dense_target_agrees_with_the_peer() {
    run("softmax_dense", 74, softmax_dense);
}

#[test]
fn sigmoid_of_a_dense_target_agrees_with_the_peer() {
    run("sigmoid_dense", 72, sigmoid_dense);
}
