//! Accuracy, perplexity, divisors, presets and tolerances, checked by formulas written here.

use approx::assert_relative_eq;
use serde_json::{Value, json};

use crate::folder::Folder;

fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn loss(folder: &Folder, options: &str) -> f64 {
    number(&folder.json(&format!("eval --loss {options}")), "loss")
}

/// ln Σ e^x minus the logit of the label.
fn cross_entropy(row: &[f64], label: usize) -> f64 {
    row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[label]
}

#[test]
fn accuracy_with_sample_weights_is_their_share() {
    let folder = Folder::new();
    let x = [5.0_f32, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5.0, 5.0, 0.0, 0.0];
    folder.save("x.npy", &[4, 3], &x);
    let run = |labels: [i64; 4], weights: [f32; 4], options: &str| {
        folder.save("y.npy", &[4], &labels);
        folder.save("v.npy", &[4], &weights);
        let eval = "eval --loss softmax --input x.npy --targets y.npy --sample-weights v.npy";
        folder.json(&format!("{eval} {options}"))
    };
    let report = run([0, 1, 2, 0], [1.0, 0.0, 0.0, 0.0], "");
    assert_eq!(report["accuracy"], 1.0);
    let report = run([0, 2, 2, 1], [1.0, 2.0, 4.0, 8.0], "");
    assert_relative_eq!(number(&report, "accuracy"), 5.0 / 15.0);
    let report = run([0, 2, 2, 1], [1.0, 2.0, 4.0, 8.0], "--ignore-index 1");
    assert_relative_eq!(number(&report, "accuracy"), 5.0 / 7.0);
    let report = run([0, 1, 2, 0], [0.0; 4], "");
    assert!(report["accuracy"].is_null());
}

#[test]
fn perplexity_is_e_to_the_mean_for_every_reduction() {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3], &[2.0, 1.0, 0.0, 0.0, 3.0, 0.0]);
    folder.save("y.npy", &[2], &[0_u8, 1]);
    for reduction in ["mean", "sum", "none"] {
        let report = folder.json(&format!(
            "eval --loss softmax --input x.npy --targets y.npy --reduction {reduction}"
        ));
        let mean = (cross_entropy(&[2.0, 1.0, 0.0], 0) + cross_entropy(&[0.0, 3.0, 0.0], 1)) / 2.0;
        assert_relative_eq!(number(&report, "perplexity"), mean.exp(), max_relative = 1e-12);
    }
}

#[test]
fn perplexity_is_null_where_the_losses_are_not_cross_entropies_of_labels() {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3], &[2.0, 1.0, 0.0, 0.0, 3.0, 0.0]);
    folder.save("y.npy", &[2], &[0_u8, 1]);
    folder.save("t.npy", &[2, 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    folder.save("w.npy", &[3], &[1.0, 2.0, 1.0]);
    folder.save("v.npy", &[2], &[1.0, 2.0]);
    for options in [
        "softmax --targets y.npy --class-weights w.npy",
        "softmax --targets y.npy --sample-weights v.npy",
        "softmax --targets y.npy --label-smoothing 0.1",
        "softmax --targets y.npy --z-loss 0.1",
        "softmax --targets t.npy",
        "softmax-focal --targets y.npy",
        "sigmoid --targets t.npy",
    ] {
        let report = folder.json(&format!("eval --input x.npy --loss {options}"));
        assert!(report["perplexity"].is_null(), "{options}: {report}");
    }
    assert!(folder.run("eval --help").stdout.contains("left out (null in JSON)"));
}

#[test]
fn a_sample_weight_of_zero_stays_in_the_divisor() {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 1], &[2.0_f32, 0.0]);
    folder.save("t.npy", &[2, 1], &[1.0_f32, 1.0]);
    for weight in [0.0, 1e-30] {
        folder.save("v.npy", &[2], &[weight, 1.0_f32]);
        let found = loss(&folder, "sigmoid --input x.npy --targets t.npy --sample-weights v.npy");
        assert_relative_eq!(found, 2_f64.ln() / 2.0, max_relative = 1e-6);
    }
    folder.save("x.npy", &[2, 2], &[2.0_f32, 0.0, 0.0, 1.0]);
    folder.save("y.npy", &[2], &[1_u8, 0]);
    folder.save("t.npy", &[2, 2], &[0.0_f32, 1.0, 1.0, 0.0]);
    folder.save("v.npy", &[2], &[0.0_f32, 1.0]);
    for targets in ["y.npy", "t.npy"] {
        let found = loss(
            &folder,
            &format!("softmax --input x.npy --targets {targets} --sample-weights v.npy"),
        );
        assert_relative_eq!(found, cross_entropy(&[0.0, 1.0], 0) / 2.0, max_relative = 1e-6);
    }
}

#[test]
fn the_label_among_the_k_largest_is_counted() {
    let folder = Folder::new();
    folder.save(
        "x.npy",
        &[3, 4],
        &[4.0, 3.0, 2.0, 1.0, 1.0, 1.0, 0.0, 2.0, 0.0, f64::NAN, 9.0, 1.0],
    );
    folder.save("y.npy", &[3], &[2_u8, 1, 2]);
    // The ranks of the labels, from zero: 2; 2, because the first of equals precedes it; 1.
    for (k, right) in [(1, 0.0), (2, 1.0), (3, 3.0), (4, 3.0), (9, 3.0)] {
        let eval = "eval --loss softmax --input x.npy --targets y.npy";
        let report = folder.json(&format!("{eval} --top-k {k}"));
        assert_eq!(report["top_k"], k);
        assert_relative_eq!(number(&report, "top_k_accuracy"), right / 3.0);
    }
    folder.save("t.npy", &[3, 4], &[0.25; 12]);
    folder.refused(
        "eval --loss softmax --input x.npy --targets t.npy --top-k 5",
        &["--top-k", "labels"],
    );
    let zero = folder.run("eval --loss softmax --input x.npy --targets y.npy --top-k 0");
    assert_eq!(zero.status, Some(2));
}

#[test]
fn binary_accuracy_is_by_sign_or_half() {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 2], &[0.5_f32, -0.5, 0.0, f32::NAN]);
    folder.save("p.npy", &[2, 2], &[0.75_f32, 0.25, 0.5, 0.1]);
    folder.save("y.npy", &[2, 2], &[1_u8, 1, 1, 0]);
    folder.save("v.npy", &[2], &[1.0_f32, 3.0]);
    let accuracy = |options: &str| {
        number(&folder.json(&format!("eval --targets y.npy --loss {options}")), "binary_accuracy")
    };
    assert_eq!(accuracy("sigmoid --input x.npy"), 0.5);
    assert_eq!(accuracy("logistic --input p.npy"), 0.75);
    assert_eq!(accuracy("logistic --input p.npy --sample-weights v.npy"), 7.0 / 8.0);
    assert_relative_eq!(accuracy("logistic --input p.npy --ignore-index 0"), 2.0 / 3.0);
    let text = folder.run("eval --loss logistic --input p.npy --targets y.npy").stdout;
    assert!(text.contains("accuracy    0.7500 of the elements"), "{text}");
}

#[test]
fn rows_that_are_not_finite_are_counted_and_the_first_named() {
    let folder = Folder::new();
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let x = [1.0, 0.0, nan, 0.0, 0.0, inf, -inf, -inf, -inf, 0.0];
    folder.save("x.npy", &[5, 2], &x);
    folder.save("y.npy", &[5], &[0_u8, 1, 0, 0, 1]);
    let eval = "eval --loss softmax --input x.npy --targets y.npy";
    let report = folder.json(eval);
    assert_eq!(report["not_finite_rows"], 3);
    assert_eq!(report["first_not_finite_row"], 1);
    assert!(folder.run(eval).stdout.contains("not finite  3 rows, the first is row 1"));
    folder.save("x.npy", &[1, 3], &[nan, 1.0, 0.0]);
    folder.save("y.npy", &[1], &[1_u8]);
    // NumPy and PyTorch predict the first NaN.
    assert_eq!(folder.json(eval)["accuracy"], 0.0);
}

#[test]
fn probabilities_at_the_clamp_are_counted() {
    let folder = Folder::new();
    folder.save("p.npy", &[3, 2], &[0.0_f32, 1.0, 0.5, 0.5, 1e-30, 1.0]);
    folder.save("y.npy", &[3], &[0_u8, 0, 0]);
    let report = folder.json("eval --loss multinomial-logistic --input p.npy --targets y.npy");
    assert_eq!(report["clamped"], 2);
    let expected = (2.0 * 20.0 * 10_f64.ln() + 2_f64.ln()) / 3.0;
    assert_relative_eq!(number(&report, "loss"), expected, max_relative = 1e-6);
    folder.save("y.npy", &[3, 2], &[1_u8, 1, 1, 0, 0, 0]);
    let report = folder.json("eval --loss logistic --input p.npy --targets y.npy");
    assert_eq!(report["clamped"], 2);
    let expected = (100.0 + 0.0 + 2.0 * 2_f64.ln() + 0.0 + 100.0) / 6.0;
    assert_relative_eq!(number(&report, "loss"), expected, max_relative = 1e-6);
}

#[test]
fn a_mean_over_nothing_is_what_was_asked_for() {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3], &[2.0_f32, 1.0, 0.0, 0.0, 3.0, -1.0]);
    folder.save("y.npy", &[2], &[1_u8, 1]);
    let eval = "eval --loss softmax --input x.npy --targets y.npy --ignore-index 1";
    for zero in
        ["", "--nothing-valid zero", "--preset keras", "--preset pytorch --nothing-valid zero"]
    {
        assert_eq!(folder.json(&format!("{eval} {zero}"))["loss"], 0.0, "{zero}");
    }
    for nan in ["--nothing-valid nan", "--preset pytorch", "--preset onnx"] {
        let outcome = folder.run(&format!("{eval} {nan}"));
        assert!(outcome.stdout.starts_with("loss        NaN\n"), "{nan}: {}", outcome.stdout);
    }
    for error in ["--nothing-valid error", "--preset sklearn"] {
        folder.refused(&format!("{eval} {error} --grad-out g.npy"), &["nothing to take a mean of"]);
    }
}

#[test]
fn a_part_in_which_all_is_ignored_is_no_mean_over_nothing() {
    let folder = Folder::new();
    let rows = 100_000_u64;
    folder.save("x.npy", &[rows, 50], &vec![0.0_f32; rows as usize * 50]);
    let mut labels = vec![-1_i8; rows as usize];
    labels[0] = 3;
    folder.save("y.npy", &[rows], &labels);
    let eval = "softmax --input x.npy --targets y.npy --ignore-index -1 --nothing-valid error";
    assert_relative_eq!(loss(&folder, eval), 50_f64.ln(), max_relative = 1e-6);
}

/// Three rows of two classes, the last one ignored in some cases; class weights 1 and 3.
#[test]
fn a_preset_has_the_divisor_of_its_library() {
    let folder = Folder::new();
    let x = [2.0, 1.0, 0.0, 3.0, 0.5, 0.25];
    folder.save("x.npy", &[3, 2], &x);
    folder.save("w.npy", &[2], &[1.0, 3.0]);
    let l: Vec<f64> =
        x.chunks(2).zip([0, 1, 0]).map(|(row, label)| cross_entropy(row, label)).collect();
    for (preset, labels, ignore, expected) in [
        ("pytorch", [0, 1, -100], "", (l[0] + l[1]) / 2.0),
        ("pytorch", [0, 1, -100], "--class-weights w.npy", (l[0] + 3.0 * l[1]) / 4.0),
        ("keras", [0, 1, -1], "--ignore-index -1", (l[0] + l[1]) / 2.0),
        ("onnx", [0, 1, -1], "--ignore-index -1", (l[0] + l[1]) / 2.0),
        ("caffe", [0, 1, -1], "--ignore-index -1", (l[0] + l[1]) / 2.0),
        // Printed by paddle 3.3: a negative label counts in the divisor all the same.
        ("paddle", [0, 1, -100], "", (l[0] + l[1]) / 3.0),
        ("candle", [0, 1, 0], "", (l[0] + l[1] + l[2]) / 3.0),
        ("burn", [0, 1, 0], "", (l[0] + l[1] + l[2]) / 3.0),
        ("sklearn", [0, 1, 0], "", (l[0] + l[1] + l[2]) / 3.0),
        ("keras", [0, 1, 0], "--mean-over all-rows", (l[0] + l[1] + l[2]) / 3.0),
        ("keras", [0, 1, 0], "--reduction sum", l[0] + l[1] + l[2]),
    ] {
        folder.save("y.npy", &[3], &labels.map(i64::from));
        let options = format!("softmax --input x.npy --targets y.npy --preset {preset} {ignore}");
        assert_relative_eq!(loss(&folder, &options), expected, max_relative = 1e-12);
    }
    folder.save("y.npy", &[3], &[0_i64, 1, 0]);
    for preset in ["tensorflow", "optax", "mlx"] {
        let eval = format!("eval --loss softmax --input x.npy --targets y.npy --preset {preset}");
        assert!(folder.json(&eval)["loss"].is_null(), "{preset}");
        folder.json(&format!("{eval} --loss-out l.npy"));
        for (found, expected) in folder.load::<f64>("l.npy").1.into_iter().zip(&l) {
            assert_relative_eq!(found, *expected, max_relative = 1e-12);
        }
    }
    folder.save("v.npy", &[3], &[1.0, 2.0, 0.0]);
    let options = "--input x.npy --targets y.npy --sample-weights v.npy";
    let found = loss(&folder, &format!("softmax {options} --preset keras"));
    assert_relative_eq!(found, (l[0] + 2.0 * l[1]) / 3.0, max_relative = 1e-12);
    let found = loss(&folder, &format!("softmax {options} --preset sklearn"));
    assert_relative_eq!(found, (l[0] + 2.0 * l[1]) / 3.0, max_relative = 1e-12);
}

fn pair(a: &[f32], b: &[f32], shape: &[u64]) -> Folder {
    let folder = Folder::new();
    folder.save("a.npy", shape, a);
    folder.save("b.npy", shape, b);
    folder
}

const COMPARE: &str = "compare --reference a.npy --candidate b.npy";

#[test]
fn tolerances_are_those_of_allclose() {
    let a = [100.0_f32, 1.0, 0.0, -10.0];
    let b = [101.0_f32, 1.0 + 1.0 / 64.0, 1.0 / 128.0, -10.0];
    let folder = pair(&a, &b, &[2, 2]);
    for (abs, rel) in [
        (None, Some(0.02)),
        (None, Some(0.009)),
        (Some(1.0), None),
        (Some(0.01), Some(0.01)),
        (Some(0.0), Some(0.02)),
        (Some(0.008), Some(0.01)),
        (Some(0.0078), Some(0.01)),
    ] {
        let over = a.iter().zip(b).filter(|(a, b)| {
            let (a, b) = (f64::from(**a), f64::from(*b));
            (b - a).abs() > abs.unwrap_or(0.0) + rel.unwrap_or(0.0) * a.abs()
        });
        let over = over.count();
        let options = [("--max-abs", abs), ("--max-rel", rel)]
            .map(|(name, value)| value.map_or(String::new(), |value| format!("{name} {value}")));
        let outcome = folder.run(&format!("{COMPARE} --json {}", options.join(" ")));
        let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        assert_eq!(report["over"], over, "{options:?}");
        assert_eq!(number(&report, "over_share"), over as f64 / 4.0);
        assert_eq!(outcome.status, Some(i32::from(over > 0)), "{options:?}");
    }
    let text = folder.run(&format!("{COMPARE} --max-rel 0.001")).stdout;
    assert!(text.contains("too far     3 elements (75.0000 %)"), "{text}");
    // A tolerance in ULP applies as well.
    assert_eq!(folder.run(&format!("{COMPARE} --max-abs 2 --max-ulp 1")).status, Some(1));
}

#[test]
fn nothing_is_near_to_what_is_not_finite() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for (a, b, status) in
        [(inf, inf, 0), (nan, nan, 0), (inf, 1.0, 1), (1.0, inf, 1), (inf, -inf, 1), (nan, 1.0, 1)]
    {
        let folder = pair(&[a, 0.0], &[b, 0.0], &[1, 2]);
        let outcome = folder.run(&format!("{COMPARE} --max-rel 1 --max-abs 1"));
        assert_eq!(outcome.status, Some(status), "{b} instead of {a}");
    }
}

#[test]
fn without_a_tolerance_nothing_is_demanded() {
    let folder = pair(&[1.0, 2.0], &[5.0, 2.0], &[1, 2]);
    let outcome = folder.run(COMPARE);
    assert_eq!(outcome.status, Some(0));
    for words in ["no tolerance given", "--max-rel", "predicted   differently in 1 row: 0\n"] {
        assert!(outcome.stdout.contains(words), "{}", outcome.stdout);
    }
    let report = folder.json(COMPARE);
    assert!(report["within"].is_null() && report["over"].is_null());
    let same = folder.run("compare --reference a.npy --candidate a.npy").stdout;
    assert!(same.contains("predicted   the same in all rows"), "{same}");
    assert!(!same.contains("[]"), "{same}");
}

#[test]
fn sigmoid_losses_predict_by_sign() {
    // The largest element of each row stays the same; a sign changes in the first row and in the
    // last.
    let a = [3.0_f32, 0.5, 2.0, -1.0, 1.0, 0.0];
    let b = [3.0_f32, -0.5, 2.5, -2.0, 1.0, -0.0];
    let folder = pair(&a, &b, &[3, 2]);
    for loss in ["sigmoid", "sigmoid-focal", "multilabel-soft-margin"] {
        let report = folder.json(&format!("{COMPARE} --loss {loss}"));
        assert_eq!(report["changed_rows"], 1);
        assert_eq!(report["first_changed_rows"], json!([0]));
    }
    assert_eq!(folder.json(COMPARE)["changed_rows"], 0);
    let folder = pair(&[0.75, 0.25, 0.6], &[0.75, 0.5, 0.7], &[3, 1]);
    assert_eq!(folder.json(&format!("{COMPARE} --loss logistic"))["changed_rows"], 1);
}

#[test]
fn padding_is_not_compared() {
    let a = [3.0_f32, 0.5, 2.0, -1.0, 1.0, 0.0];
    let b = [3.0_f32, 0.5, -70.0, 70.0, 1.0, 0.0];
    let folder = pair(&a, &b, &[3, 2]);
    folder.save("y.npy", &[3], &[0_i64, -100, 1]);
    folder.save("v.npy", &[3], &[1.0_f32, 0.0, 2.0]);
    folder.save("w.npy", &[2], &[1.0_f32, 3.0]);
    assert_eq!(folder.run(&format!("{COMPARE} --max-ulp 0")).status, Some(1));
    let row =
        |i: usize, label| cross_entropy(&[f64::from(a[2 * i]), f64::from(a[2 * i + 1])], label);
    for (options, expected) in [
        ("", (row(0, 0) + row(2, 1)) / 2.0),
        ("--class-weights w.npy", (row(0, 0) + 3.0 * row(2, 1)) / 4.0),
        ("--sample-weights v.npy", (row(0, 0) + 2.0 * row(2, 1)) / 2.0),
    ] {
        let options = format!("--targets y.npy --ignore-index -100 --max-ulp 0 {options}");
        let report = folder.json(&format!("{COMPARE} {options}"));
        assert_eq!((&report["compared"], &report["changed_rows"]), (&json!(4), &json!(0)));
        for name in ["reference_loss", "candidate_loss"] {
            assert_relative_eq!(number(&report, name), expected, max_relative = 1e-6);
        }
    }
    let report = folder.json(&format!("{COMPARE} --sample-weights v.npy --max-ulp 0"));
    assert_eq!(report["within"], true);
    // With sigmoid losses, single elements.
    folder.save("y.npy", &[3, 2], &[1_i64, 0, -1, -1, 1, 0]);
    let options = "--loss sigmoid --targets y.npy --ignore-index -1 --max-ulp 0";
    let report = folder.json(&format!("{COMPARE} {options}"));
    assert_eq!((&report["compared"], &report["changed_rows"]), (&json!(4), &json!(0)));
}
