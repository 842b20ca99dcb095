//! The sigmoid cross-entropy and the functions of slices keep their bounds at every level.

use approx::assert_relative_eq;
use proptest::prelude::*;
use xent_core::{Batch, Buffers, Error, Level, SigmoidBatch};
use xent_reference::softmax;
use xent_reference::ulp::{error_at_f32, error_f32, spacing_f32};

/// The losses and the gradients of all elements.
fn solve(level: Level, x: &[f32], y: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut losses, mut gradient) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    SigmoidBatch::new(Buffers::gradient(x, &mut gradient), y)
        .and_then(|batch| batch.with_losses(&mut losses))
        .expect("equal lengths")
        .run(level);
    (losses, gradient)
}

#[test]
fn sigmoid_limits_are_those_of_the_formula() {
    const INF: f32 = f32::INFINITY;
    for level in Level::available() {
        let (losses, gradient) =
            solve(level, &[INF, INF, -INF, -INF, f32::MAX], &[1.0, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(losses, [0.0, INF, INF, 0.0, 0.0], "{level}");
        assert_eq!(gradient, [0.0, 1.0, -1.0, 0.0, 0.0], "{level}");
        let (losses, gradient) = solve(level, &[f32::NAN, 0.0], &[1.0, 1.0]);
        assert!(losses[0].is_nan() && gradient[0].is_nan(), "{level}");
        assert_eq!((losses[1], gradient[1]), (core::f32::consts::LN_2, -0.5), "{level}");
    }
}

#[test]
fn sigmoid_batch_refuses_other_lengths() {
    let mut gradient = [3.0; 2];
    assert_eq!(
        SigmoidBatch::new(Buffers::gradient(&[0.0; 2], &mut gradient), &[0.0; 3]).unwrap_err(),
        Error::Length { of: "targets", expected: 2, found: 3 }
    );
    assert_eq!(gradient, [3.0; 2]);
}

#[test]
fn the_sum_of_a_million_losses_does_not_drift() {
    let x = vec![0.3; 1_000_003];
    let y = vec![1.0; 1_000_003];
    let (exact, _) = xent_reference::sigmoid::cross_entropy(f64::from(0.3_f32), 1.0, 1.0);
    for level in Level::available() {
        let sum = SigmoidBatch::new(Buffers::loss(&x), &y).expect("equal lengths").run(level);
        assert_relative_eq!(sum, exact * 1_000_003.0, max_relative = 1e-7);
    }
}

#[test]
fn a_sum_of_infinite_or_very_large_losses_is_infinite() {
    for level in Level::available() {
        for x in [f32::INFINITY, f32::MAX] {
            let x = vec![x; 300];
            let sum = SigmoidBatch::new(Buffers::loss(&x), &[0.0; 300]).expect("equal lengths");
            assert_eq!(sum.run(level), f64::INFINITY, "{level}");
        }
    }
}

#[test]
fn functions_of_a_slice_refuse_other_lengths() {
    let level = Level::detect();
    let refused = Err(Error::Length { of: "output", expected: 2, found: 1 });
    for function in [
        xent_core::exp,
        xent_core::ln,
        xent_core::log1p,
        xent_core::sigmoid,
        xent_core::softmax,
        xent_core::log_softmax,
    ] {
        assert_eq!(function(level, &[0.0; 2], &mut [0.0]), refused);
    }
}

#[test]
fn functions_of_an_empty_slice_have_a_value() {
    for level in Level::available() {
        assert_eq!(xent_core::max::<f32>(level, &[]), f32::NEG_INFINITY);
        assert_eq!(xent_core::log_sum_exp::<f32>(level, &[]), f32::NEG_INFINITY);
        assert_eq!(xent_core::softmax::<f32>(level, &[], &mut []), Ok(()));
    }
}

#[test]
fn max_finds_nan_and_infinities() {
    for level in Level::available() {
        for length in 1..200 {
            let mut x = vec![-1.0; length];
            x[length / 2] = 2.0;
            assert_eq!(xent_core::max(level, &x), 2.0);
            x[length - 1] = f32::NAN;
            assert!(xent_core::max(level, &x).is_nan());
        }
    }
}

fn any_float() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits)
}

proptest! {
    #[test]
    fn elements_are_within_the_bound(
        elements in prop::collection::vec((-110.0_f32..110.0, 0.0_f32..=1.0, any::<bool>()), 1..300),
    ) {
        let x: Vec<f32> = elements.iter().map(|e| e.0).collect();
        let y: Vec<f32> = elements.iter().map(|e| if e.2 { e.1.round() } else { e.1 }).collect();
        for level in Level::available() {
            let (losses, gradient) = solve(level, &x, &y);
            for i in 0..x.len() {
                let (x, y) = (f64::from(x[i]), f64::from(y[i]));
                let (loss, grad) = xent_reference::sigmoid::cross_entropy(x, y, 1.0);
                let error = error_f32(losses[i], loss);
                prop_assert!(error <= 4.0, "{level}: loss of {x}, {y} is {error} ULP off");
                // The two terms of a soft target's gradient may cancel, so the error is relative to the larger.
                let positive = xent_reference::sigmoid::sigmoid(x);
                let negative = xent_reference::sigmoid::sigmoid(-x);
                let scale = ((1.0 - y) * positive).max(y * negative);
                let error = error_at_f32(gradient[i], grad, scale);
                prop_assert!(error <= 5.0, "{level}: gradient of {x}, {y} is {error} ULP off");
            }
        }
    }

    #[test]
    fn probabilities_of_a_row_are_within_the_bound(x in prop::collection::vec(-60.0_f32..60.0, 1..300)) {
        let wide: Vec<f64> = x.iter().map(|&x| x.into()).collect();
        let answer = softmax::cross_entropy(&wide, &vec![0.0; x.len()]);
        let (p, s, lse) =
            (softmax::softmax(&wide), softmax::log_softmax(&wide), softmax::log_sum_exp(&wide));
        let others = softmax::mean_distance_of_others(&wide);
        let mut out = vec![0.0; x.len()];
        for level in Level::available() {
            let got = xent_core::log_sum_exp(level, &x);
            let scale = answer.max.abs().max(lse - answer.max);
            prop_assert!(error_at_f32(got, lse, scale) <= 4.0 + answer.mean_distance);
            xent_core::softmax(level, &x, &mut out).expect("equal lengths");
            for (class, &got) in out.iter().enumerate() {
                let bound = 4.0 + (answer.max - wide[class]) + answer.mean_distance;
                let error = error_f32(got, p[class]);
                prop_assert!(error <= bound, "{level}: probability {got} is {error} ULP off");
            }
            xent_core::log_softmax(level, &x, &mut out).expect("equal lengths");
            for (class, &got) in out.iter().enumerate() {
                let bound = 4.0 + (answer.max - wide[class]) + others;
                let error = error_f32(got, s[class]);
                prop_assert!(error <= bound, "{level}: logarithm {got} is {error} ULP off");
            }
        }
    }

    #[test]
    fn functions_of_any_float_are_within_their_bounds(x in prop::collection::vec(any_float(), 1..100)) {
        let mut out = vec![0.0; x.len()];
        for level in Level::available() {
            let check = |out: &[f32], exact: fn(f64) -> f64, bound: f64| {
                for (&x, &got) in x.iter().zip(out) {
                    let exact = exact(x.into());
                    // A subnormal result is rounded once more.
                    let rounded = spacing_f32(exact) < 1.5e-45;
                    let error = error_f32(got, exact);
                    prop_assert!(error <= bound + f64::from(u8::from(rounded)), "{level}: {x:e} {error}");
                }
                Ok(())
            };
            xent_core::exp(level, &x, &mut out).expect("equal lengths");
            check(&out, f64::exp, if level.has_fma() { 1.0 } else { 1.2 })?;
            xent_core::ln(level, &x, &mut out).expect("equal lengths");
            check(&out, f64::ln, 2.0)?;
            xent_core::log1p(level, &x, &mut out).expect("equal lengths");
            check(&out, f64::ln_1p, 2.0)?;
            xent_core::sigmoid(level, &x, &mut out).expect("equal lengths");
            check(&out, |x| 1.0 / (1.0 + (-x).exp()), 4.0)?;
        }
    }

    #[test]
    fn all_levels_with_fma_return_the_same_bits(x in prop::collection::vec(any_float(), 1..300)) {
        let solve_all = |level| {
            let y: Vec<f32> = (0..x.len()).map(|i| i as f32 / x.len() as f32).collect();
            let (losses, gradient) = solve(level, &x, &y);
            let mut all = vec![losses, gradient];
            for function in [
                xent_core::exp,
                xent_core::ln,
                xent_core::log1p,
                xent_core::sigmoid,
                xent_core::softmax,
                xent_core::log_softmax,
            ] {
                let mut out = vec![0.0; x.len()];
                function(level, &x, &mut out).expect("equal lengths");
                all.push(out);
            }
            all.push(vec![xent_core::max(level, &x), xent_core::log_sum_exp(level, &x)]);
            // The sign and payload of a NaN may differ.
            let bits = |x: f32| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
            all.concat().into_iter().map(bits).collect::<Vec<_>>()
        };
        let mut levels = Level::available().filter(|level| level.has_fma());
        if let Some(first) = levels.next() {
            let first = solve_all(first);
            for level in levels {
                prop_assert_eq!(&solve_all(level), &first);
            }
        }
    }
}

#[test]
fn logit_is_the_inverse_of_sigmoid() {
    assert_eq!(xent_core::logit(0.0), f64::NEG_INFINITY);
    assert_eq!(xent_core::logit(1.0), f64::INFINITY);
    for refused in [-1e-300, 1.0 + f64::EPSILON, f64::NAN] {
        assert!(xent_core::logit(refused).is_nan());
    }
    for i in 1..1000 {
        let p = f64::from(i) / 1000.0;
        let of_p = xent_core::logit(p);
        // As odds, for which std's logarithm takes another path.
        let expected = (p / (1.0 - p)).ln();
        assert!(
            (of_p - expected).abs() <= 4.0 * f64::EPSILON * expected.abs().max(1.0),
            "{p}: {of_p}"
        );
        let back = 1.0 / (1.0 + (-of_p).exp());
        assert!((back - p).abs() <= 1e-15, "{p}: {back}");
    }
    // Below the normal numbers.
    assert!((xent_core::logit(5e-324) - 5e-324_f64.ln()).abs() < 1e-12);
}
