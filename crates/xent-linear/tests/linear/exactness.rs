//! Losses and gradients against f64, for all options: within the bound of the product plus that of the loss.

use proptest::prelude::*;
use xent_core::reduction::{Policy, Reduction};
use xent_core::{SoftmaxOptions, SoftmaxTargets};
use xent_linear::{Layer, LinearCrossEntropy, LinearPass, Workspace};

use crate::layer::{Numbers, numbers};

/// The options of a row in f64.
#[derive(Clone, Copy, Debug)]
struct Options {
    gamma: f64,
    z_loss: f64,
    /// Infinite for none.
    cap: f64,
}

/// The loss of a row and its gradient by the logits: `q` are the weights of the targets, `label` the class of a focal
/// loss.
fn row(logits: &[f64], q: &[f64], label: Option<usize>, options: Options) -> (f64, Vec<f64>) {
    let Options { gamma, z_loss, cap } = options;
    let capped = |x: f64| if cap.is_finite() { cap * (x / cap).tanh() } else { x };
    let y: Vec<f64> = logits.iter().map(|x| capped(*x)).collect();
    let max = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lse = max + y.iter().map(|y| (y - max).exp()).sum::<f64>().ln();
    let p: Vec<f64> = y.iter().map(|y| (y - lse).exp()).collect();
    let of_all: f64 = q.iter().sum();
    let (mut loss, mut gradient): (f64, Vec<f64>) = match label {
        Some(label) if gamma > 0.0 => {
            let (p_y, weight) = (p[label], q[label]);
            let others = 1.0 - p_y;
            // d/dp of -(1 - p)^γ ln p, times dp/dy = p_y ([c = label] - p_c).
            let slope = gamma * others.powf(gamma - 1.0) * p_y.ln() - others.powf(gamma) / p_y;
            let gradient = (0..p.len()).map(|c| {
                let of_label = if c == label { 1.0 } else { 0.0 };
                weight * slope * p_y * (of_label - p[c])
            });
            (-weight * others.powf(gamma) * p_y.ln(), gradient.collect())
        }
        _ => {
            let loss = q.iter().zip(&y).filter(|(q, _)| **q != 0.0).map(|(q, y)| q * (lse - y));
            (loss.sum(), p.iter().zip(q).map(|(p, q)| of_all * p - q).collect())
        }
    };
    loss += z_loss * lse * lse;
    for ((g, p), x) in gradient.iter_mut().zip(&p).zip(logits) {
        *g += 2.0 * z_loss * lse * p;
        if cap.is_finite() {
            *g *= 1.0 - (x / cap).tanh().powi(2);
        }
    }
    (loss, gradient)
}

/// How far a sum of products in f32 may be from the exact one, as a share of the sum of its absolute terms: a chain of
/// at most 256 roundings, and one for each chain.
fn product_bound(terms: usize) -> f64 {
    (terms.min(256) + terms.div_ceil(256) + 1) as f64 * f64::from(f32::EPSILON) / 2.0
}

#[derive(Clone, Debug)]
struct Case {
    numbers: Numbers,
    labels: Vec<u16>,
    dense: Option<Vec<f32>>,
    class_weights: Vec<f32>,
    sample_weights: Vec<f32>,
    smoothing: f64,
    options: Options,
    reduction: Reduction,
}

fn cases() -> impl Strategy<Value = Case> {
    let shape = (1..30_usize, prop_oneof![1..40_usize, Just(520)], 2..70_usize);
    let options = (
        proptest::sample::select(vec![0.0, 0.2]),
        proptest::sample::select(vec![0.0, 0.0, 1.5]),
        proptest::sample::select(vec![0.0, 1e-2]),
        proptest::sample::select(vec![f64::INFINITY, 4.0]),
    );
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (shape, options, flags, any::<u64>()).prop_map(
        |((rows, hidden, classes), (smoothing, gamma, z_loss, cap), flags, seed)| {
            let (dense, classy, sampled, mean) = flags;
            let seed = seed >> 8;
            let positive = |seed: u64, count: usize| -> Vec<f32> {
                numbers(seed, count).iter().map(|x| x.abs() + 0.05).collect()
            };
            let gamma = if dense { 0.0 } else { gamma };
            Case {
                numbers: Numbers::new(seed, rows, hidden, classes),
                labels: (0..rows)
                    .map(|row| ((row * 31 + seed as usize) % classes) as u16)
                    .collect(),
                dense: dense.then(|| positive(seed + 9, rows * classes)),
                class_weights: if classy { positive(seed + 10, classes) } else { vec![] },
                sample_weights: if sampled { numbers(seed + 11, rows) } else { vec![] },
                smoothing: if gamma > 0.0 { 0.0 } else { smoothing },
                options: Options { gamma, z_loss, cap },
                reduction: if mean { Reduction::Mean } else { Reduction::Sum },
            }
        },
    )
}

fn check(case: &Case) {
    let numbers = &case.numbers;
    let (rows, classes, hidden) = (numbers.rows(), numbers.classes(), numbers.hidden);
    let Options { gamma, z_loss, cap } = case.options;
    let x = |row: usize, input: usize| f64::from(numbers.inputs[row * hidden + input]);
    let w = |class: usize, input: usize| f64::from(numbers.weights[class * hidden + input]);

    // In f64, with the error that each gradient of a logit may have.
    let mut sum = 0.0;
    let mut loss_error = 0.0;
    let (mut of_logits, mut errors) = (vec![], vec![]);
    let of_class = |class: usize| case.class_weights.get(class).map_or(1.0, |w| f64::from(*w));
    let mut divisor = 0.0;
    for index in 0..rows {
        let label = usize::from(case.labels[index]);
        let target = |class: usize| match &case.dense {
            Some(dense) => f64::from(dense[index * classes + class]),
            None => f64::from(u8::from(class == label)),
        };
        let q: Vec<f64> = (0..classes)
            .map(|class| {
                let smooth = case.smoothing / classes as f64;
                of_class(class) * ((1.0 - case.smoothing) * target(class) + smooth)
            })
            .collect();
        divisor += if case.dense.is_some() { 1.0 } else { of_class(label) };
        let terms = |class: usize| (0..hidden).map(move |input| x(index, input) * w(class, input));
        let bias = |class: usize| f64::from(numbers.bias[class]);
        let logits: Vec<f64> = (0..classes).map(|c| bias(c) + terms(c).sum::<f64>()).collect();
        let size = |class: usize| bias(class).abs() + terms(class).map(f64::abs).sum::<f64>();
        let off = (0..classes).map(size).fold(0.0, f64::max) * product_bound(hidden + 1);
        let weight = case.sample_weights.get(index).map_or(1.0, |w| f64::from(*w));
        let (loss, gradient) =
            row(&logits, &q, case.dense.is_none().then_some(label), case.options);
        sum += weight * loss;
        let (all, largest) = (q.iter().sum::<f64>(), q.iter().copied().fold(0.0, f64::max));
        // What an error of the logits becomes, and the loss's own 16 units.
        let steep = (1.0 + gamma).powi(2) * (1.0 + 2.0 * z_loss * (1.0 + loss.abs() + 20.0));
        let unit = f64::from(f32::EPSILON);
        let relative = 4.0 * steep * (2.0 * off + 16.0 * unit);
        loss_error += weight.abs() * (2.0 * all * off * steep + 16.0 * unit * (loss.abs() + all));
        let cap_slope = if cap.is_finite() { 1.0 + 2.0 * off / cap } else { 1.0 };
        for g in &gradient {
            of_logits.push(weight * g);
            errors.push(
                weight.abs()
                    * relative
                    * cap_slope
                    * (g.abs() + (all + z_loss) / classes as f64 + largest * relative),
            );
        }
        // The label's own gradient, and dense ones, are differences of q and Q p.
        for class in 0..classes {
            errors[index * classes + class] +=
                weight.abs() * relative * (q[class] + all * (g_p(&logits, class, cap)));
        }
    }
    let scale = if case.reduction == Reduction::Mean { 1.0 / divisor } else { 1.0 };

    let options = SoftmaxOptions {
        class_weights: &case.class_weights,
        label_smoothing: case.smoothing,
        focal_gamma: gamma,
        z_loss,
        soft_cap: if cap.is_finite() { cap } else { 0.0 },
        ..SoftmaxOptions::default()
    };
    let policy = Policy { reduction: case.reduction, ..Policy::default() };
    let loss = LinearCrossEntropy::new(options).unwrap().with_policy(policy);
    let targets = match &case.dense {
        Some(dense) => SoftmaxTargets::Dense(dense),
        None => SoftmaxTargets::from(&case.labels[..]),
    };
    let mut of_inputs = vec![0.0; rows * hidden];
    let mut of_weights = vec![0.0; classes * hidden];
    let mut of_bias = vec![0.0; classes];
    let pass = LinearPass::new()
        .grad_inputs(&mut of_inputs)
        .grad_weights(&mut of_weights)
        .grad_bias(&mut of_bias)
        .sample_weights(&case.sample_weights);
    let report = loss.evaluate(numbers.layer(), targets, pass, &mut Workspace::new()).unwrap();

    let within = |name: &str, found: f64, expected: f64, error: f64| {
        assert!((found - expected).abs() <= error, "{name}: {found}, {expected}, within {error}");
    };
    within("loss", report.loss, scale * sum, scale.abs() * loss_error);
    let g = |row: usize, class: usize| scale * of_logits[row * classes + class];
    let e = |row: usize, class: usize| scale.abs() * errors[row * classes + class];
    for row in 0..rows {
        for input in 0..hidden {
            let expected: f64 = (0..classes).map(|c| g(row, c) * w(c, input)).sum();
            let bound = product_bound(classes);
            let error = |c: usize| w(c, input).abs() * (g(row, c).abs() * bound + e(row, c));
            let found = f64::from(of_inputs[row * hidden + input]);
            within("inputs", found, expected, (0..classes).map(error).sum());
        }
    }
    for class in 0..classes {
        for input in 0..hidden {
            let expected: f64 = (0..rows).map(|r| g(r, class) * x(r, input)).sum();
            let bound = product_bound(rows);
            let error = |r: usize| x(r, input).abs() * (g(r, class).abs() * bound + e(r, class));
            let found = f64::from(of_weights[class * hidden + input]);
            within("weights", found, expected, (0..rows).map(error).sum());
        }
        let expected: f64 = (0..rows).map(|r| g(r, class)).sum();
        let error: f64 = (0..rows).map(|r| e(r, class) + g(r, class).abs() * 1e-7).sum();
        within("bias", f64::from(of_bias[class]), expected, error);
    }
}

/// The probability of a class.
fn g_p(logits: &[f64], class: usize, cap: f64) -> f64 {
    let capped = |x: f64| if cap.is_finite() { cap * (x / cap).tanh() } else { x };
    let all: f64 = logits.iter().map(|x| (capped(*x) - capped(logits[class])).exp()).sum();
    1.0 / all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn losses_and_gradients_are_within_the_bound(case in cases()) {
        check(&case);
    }
}

#[cfg(feature = "f64")]
#[test]
fn a_layer_of_f64_is_as_exact_as_f64() {
    let numbers = Numbers::new(2, 9, 30, 12);
    let wide = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    let (inputs, weights, bias) =
        (wide(&numbers.inputs), wide(&numbers.weights), wide(&numbers.bias));
    let layer = Layer::new(&inputs, &weights, 30).unwrap().with_bias(&bias).unwrap();
    let labels: Vec<u8> = (0..9).map(|row| row % 12).collect();
    let (mut dx, mut dw) = (vec![0.0; inputs.len()], vec![0.0; weights.len()]);
    let loss = LinearCrossEntropy::default();
    let value = loss.loss_and_grads(layer, &labels[..], &mut dx, &mut dw, &mut []).unwrap();

    let plain = Options { gamma: 0.0, z_loss: 0.0, cap: f64::INFINITY };
    let mut sum = 0.0;
    let mut of_inputs = vec![0.0; inputs.len()];
    let mut of_weights = vec![0.0; weights.len()];
    for r in 0..9 {
        let x = &inputs[r * 30..(r + 1) * 30];
        let logits: Vec<f64> = (0..12)
            .map(|c| {
                bias[c]
                    + weights[c * 30..(c + 1) * 30].iter().zip(x).map(|(w, x)| w * x).sum::<f64>()
            })
            .collect();
        let label = usize::from(labels[r]);
        let q: Vec<f64> = (0..12).map(|c| f64::from(u8::from(c == label))).collect();
        let (loss, gradient) = row(&logits, &q, Some(label), plain);
        sum += loss / 9.0;
        for (c, g) in gradient.iter().enumerate() {
            for i in 0..30 {
                of_inputs[r * 30 + i] += g / 9.0 * weights[c * 30 + i];
                of_weights[c * 30 + i] += g / 9.0 * x[i];
            }
        }
    }
    assert!((value - sum).abs() < 1e-14);
    for (found, expected) in [(dx, of_inputs), (dw, of_weights)] {
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-14, "{found} {expected}");
        }
    }
}
