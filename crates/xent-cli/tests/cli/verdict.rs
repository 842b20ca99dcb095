//! Tolerances of devices and the report of `xent compare`, compared with plain formulas.

use approx::assert_relative_eq;
use serde_json::{Value, json};

use crate::causes::Random;
use crate::folder::Folder;

const COMPARE: &str = "compare --reference a.npy --candidate b.npy";

fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("{name}: {}", report[name]))
}

fn status(folder: &Folder, options: &str) -> Option<i32> {
    folder.run(&format!("{COMPARE} {options}")).status
}

/// Two devices' integers, of ten classes.
fn devices() -> (Folder, Vec<i8>, Vec<i8>, Vec<u8>) {
    let mut random = Random::new(31);
    let a: Vec<i8> =
        (0..400).map(|_| (30.0 * random.normal()).clamp(-120.0, 120.0) as i8).collect();
    let b: Vec<i8> =
        a.iter().map(|q| q + [0, 0, 0, 1, -1, 4][(6.0 * random.next()) as usize]).collect();
    let labels: Vec<u8> = (0..40).map(|_| (10.0 * random.next()) as u8).collect();
    let folder = Folder::new();
    folder.save("a.npy", &[40, 10], &a);
    folder.save("b.npy", &[40, 10], &b);
    folder.save("y.npy", &[40], &labels);
    (folder, a, b, labels)
}

const SCALES: &str =
    "--reference-scale 0.1 --reference-zero-point 3 --candidate-scale 0.1 --candidate-zero-point 3";

#[test]
fn integers_of_one_scale_differ_by_whole_steps() {
    let (folder, a, b, _) = devices();
    let steps: Vec<i32> = a.iter().zip(&b).map(|(a, b)| i32::from(*b) - i32::from(*a)).collect();
    let most = steps.iter().map(|step| step.abs()).max().expect("steps");
    assert_eq!(most, 4);
    let report = folder.json(&format!("{COMPARE} {SCALES}"));
    assert_eq!(report["worst_lsb"]["distance"], 4.0);
    let sum: i32 = steps.iter().map(|step| step.abs()).sum();
    assert_relative_eq!(number(&report, "mean_lsb"), f64::from(sum) / 400.0, max_relative = 1e-14);
    let count = |lsb: i32| steps.iter().filter(|step| **step == lsb).count();
    let bins: Vec<Value> =
        [-1, 0, 1, 4].map(|lsb| json!({ "lsb": lsb, "elements": count(lsb) })).into();
    assert_eq!(report["lsb_histogram"], json!(bins));
    let text = folder.run(&format!("{COMPARE} {SCALES}")).stdout;
    let share = |count: usize| count as f64 / 4.0;
    for line in [
        "integers    of the candidate: scale 0.1, zero point 3\n",
        "\nworst, LSB  4 (element ",
        &format!(
            "in LSB      {:.4} % at 0, {:.4} % one off, {:.4} % further\n",
            share(count(0)),
            share(count(1) + count(-1)),
            share(count(4))
        ),
    ] {
        assert!(text.contains(line), "{text}");
    }
    // ULP of such numbers say nothing, unless they were asked for.
    assert!(!text.contains("worst, ULP"), "{text}");
    assert!(folder.run(&format!("{COMPARE} {SCALES} --max-ulp 1")).stdout.contains("worst, ULP"));
    // The scale 0.1 is no f32, and the differences are still whole.
    assert_eq!(status(&folder, &format!("{SCALES} --max-lsb 4")), Some(0));
    assert_eq!(status(&folder, &format!("{SCALES} --max-lsb 3.999")), Some(1));
    let over = folder.run(&format!("{COMPARE} {SCALES} --max-lsb 1 --json"));
    let report: Value = serde_json::from_str(&over.stdout).expect("JSON");
    assert_eq!(report["over"], count(4));
    assert_eq!(report["exceeded"], json!(["--max-lsb"]));
    let scale = json!({ "scale": 0.1, "zero_point": 3 });
    assert_eq!(report["quantisation"], json!({ "reference": scale, "candidate": scale }));
}

#[test]
fn a_reference_of_floats_or_of_another_scale_is_counted_in_steps_of_the_candidate() {
    let folder = Folder::new();
    let x = [0.3_f32, -1.26, 2.0, 0.0];
    folder.save("a.npy", &[1, 4], &x);
    folder.save("b.npy", &[1, 4], &[3_i16, -5, 7, 2]);
    let scale = 0.25_f32;
    let report =
        folder.json(&format!("{COMPARE} --candidate-scale {scale} --candidate-zero-point 2"));
    // Steps from the zero point: 1, -7, 5, 0.
    let steps = [1.0, -7.0, 5.0, 0.0];
    let off: Vec<f64> =
        x.iter().zip(steps).map(|(x, step)| (step - f64::from(*x) / 0.25).abs()).collect();
    assert_relative_eq!(
        number(&report, "mean_lsb"),
        off.iter().sum::<f64>() / 4.0,
        max_relative = 1e-14
    );
    assert_eq!(report["worst_lsb"]["element"], 2);
    assert_relative_eq!(report["worst_lsb"]["distance"].as_f64().unwrap(), 3.0);
    folder.save("a.npy", &[1, 4], &[1_u8, 2, 3, 4]);
    let report = folder.json(&format!(
        "{COMPARE} --reference-scale 0.5 --candidate-scale {scale} --candidate-zero-point 2"
    ));
    // 2, 4, 6, 8 steps of the candidate.
    assert_eq!(report["worst_lsb"]["distance"], 11.0);
    assert_eq!(report["quantisation"]["reference"], json!({ "scale": 0.5, "zero_point": 0 }));
}

#[test]
fn steps_need_a_scale() {
    let folder = Folder::new();
    folder.save("a.npy", &[1, 2], &[0.5_f32, 1.0]);
    folder.save("b.npy", &[1, 2], &[0.5_f32, 1.0]);
    folder.refused(&format!("{COMPARE} --max-lsb 1"), &["--max-lsb", "--candidate-scale"]);
    let report = folder.json(COMPARE);
    for name in ["worst_lsb", "mean_lsb", "lsb_histogram"] {
        assert!(report[name].is_null(), "{name}");
    }
}

fn log_sum_exp(row: &[f64]) -> f64 {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + row.iter().map(|x| (x - most).exp()).sum::<f64>().ln()
}

#[test]
fn the_loss_may_differ_by_that_much() {
    let (folder, a, b, labels) = devices();
    let mean = |q: &[i8]| {
        let rows = q.chunks(10).zip(&labels);
        let losses = rows.map(|(row, label)| {
            let x: Vec<f64> = row.iter().map(|q| f64::from((f32::from(*q) - 3.0) * 0.1)).collect();
            log_sum_exp(&x) - x[usize::from(*label)]
        });
        losses.sum::<f64>() / 40.0
    };
    let report = folder.json(&format!("{COMPARE} {SCALES} --targets y.npy"));
    for (name, q) in [("reference_loss", &a), ("candidate_loss", &b)] {
        assert_relative_eq!(number(&report, name), mean(q), max_relative = 1e-6);
    }
    let by = (mean(&a) - mean(&b)).abs();
    assert!(by > 1e-3, "{by}");
    let options = format!("{SCALES} --targets y.npy --max-loss-difference");
    assert_eq!(status(&folder, &format!("{options} {}", by * 1.01)), Some(0));
    let outside = folder.run(&format!("{COMPARE} {options} {}", by * 0.99));
    assert_eq!(outside.status, Some(1));
    assert!(
        outside.stdout.contains("OUTSIDE the tolerance: --max-loss-difference"),
        "{}",
        outside.stdout
    );
    // Without a tolerance of elements none is too far.
    assert!(!outside.stdout.contains("too far"), "{}", outside.stdout);
    folder.refused(&format!("{COMPARE} {SCALES} --max-loss-difference 1"), &["--targets"]);
}

#[test]
fn accuracies_of_both_are_reported() {
    let (folder, a, b, labels) = devices();
    let accuracy = |q: &[i8], k: usize| {
        let right = q.chunks(10).zip(&labels).filter(|(row, label)| {
            let label = usize::from(**label);
            // Of equals the first is larger.
            let above = (0..10).filter(|&class| {
                row[class] > row[label] || (row[class] == row[label] && class < label)
            });
            above.count() < k
        });
        right.count() as f64 / 40.0
    };
    let options = format!("{COMPARE} {SCALES} --targets y.npy --top-k 3");
    let report = folder.json(&options);
    for (side, q) in [("reference", &a), ("candidate", &b)] {
        assert_relative_eq!(number(&report, &format!("{side}_accuracy")), accuracy(q, 1));
        assert_relative_eq!(number(&report, &format!("{side}_top_k_accuracy")), accuracy(q, 3));
    }
    let text = folder.run(&options).stdout;
    let line = format!("top 3       {:.4} instead of {:.4}\n", accuracy(&b, 3), accuracy(&a, 3));
    assert!(text.contains(&line), "{text}");
    folder.refused(&format!("{COMPARE} {SCALES} --top-k 3"), &["--top-k", "--targets"]);
}

/// Rows of three classes, of which some are predicted differently: 0 as 1 in four rows, 2 as 0 in two, 1 as 2 in
/// one; 200 in all.
fn changed() -> Folder {
    let one_hot = |class: usize| {
        let mut row = [0.0_f32; 3];
        row[class] = 1.0;
        row
    };
    let changes = [(0, 1), (2, 0), (0, 1), (1, 2), (0, 1), (2, 0), (0, 1)];
    let pair = |row: usize| {
        changes
            .get(row / 10)
            .filter(|_| row.is_multiple_of(10))
            .copied()
            .unwrap_or((row % 3, row % 3))
    };
    let side = |of: fn((usize, usize)) -> usize| -> Vec<f32> {
        (0..200).flat_map(|row| one_hot(of(pair(row)))).collect()
    };
    let folder = Folder::new();
    folder.save("a.npy", &[200, 3], &side(|(from, _)| from));
    folder.save("b.npy", &[200, 3], &side(|(_, to)| to));
    folder
}

#[test]
fn changes_of_the_prediction_are_counted_by_class() {
    let folder = changed();
    let report = folder.json(COMPARE);
    assert_eq!(
        report["changes"],
        json!([
            { "from": 0, "to": 1, "rows": 4 },
            { "from": 2, "to": 0, "rows": 2 },
            { "from": 1, "to": 2, "rows": 1 },
        ])
    );
    assert_eq!(report["changed_rows"], 7);
    assert_eq!(report["first_changed_rows"], json!([0, 10, 20, 30, 40, 50, 60]));
    assert_eq!(number(&report, "agreement"), 193.0 / 200.0);
    let text = folder.run(COMPARE).stdout;
    for line in
        ["changed     class 0 became 1 in 4 rows\n", "changed     class 1 became 2 in 1 row\n"]
    {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn a_number_of_rows_or_a_share_of_them_may_change() {
    // Seven of 200 rows: 3.5 %.
    let folder = changed();
    for (most, expected) in [
        ("7", 0),
        ("6", 1),
        ("0", 1),
        ("1", 1),
        ("200", 0),
        ("3.5%", 0),
        ("3.49%", 1),
        ("0%", 1),
        ("100%", 0),
        ("0.035", 0),
        ("0.0349", 1),
        ("3.5e-2", 0),
        ("1.0", 0),
        ("0.0", 1),
    ] {
        let outcome = folder.run(&format!("{COMPARE} --max-changed {most}"));
        assert_eq!(outcome.status, Some(expected), "{most}: {}", outcome.stdout);
        let verdict = if expected == 0 {
            "\nwithin the tolerance"
        } else {
            "OUTSIDE the tolerance: --max-changed"
        };
        assert!(outcome.stdout.contains(verdict), "{most}: {}", outcome.stdout);
    }
    for wrong in ["-1", "-0.5", "1.5", "101%", "-1%", "nan", "inf", "x", "%", "1e3", "0x1"] {
        folder.refused(
            &format!("{COMPARE} --max-changed {wrong}"),
            &["--max-changed", "0.5%", wrong],
        );
    }
    // A share of the rows that are compared.
    let mut weights = [0.0_f32; 200];
    weights[..20].fill(1.0);
    folder.save("v.npy", &[200], &weights);
    assert_eq!(status(&folder, "--sample-weights v.npy --max-changed 0.1"), Some(0));
    assert_eq!(status(&folder, "--sample-weights v.npy --max-changed 0.0999"), Some(1));
}

#[test]
fn every_tolerance_must_hold() {
    let (folder, ..) = devices();
    let run = |options: &str| {
        let outcome = folder.run(&format!("{COMPARE} {SCALES} --json {options}"));
        let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        assert_eq!(outcome.status, Some(i32::from(report["within"] == false)));
        report["exceeded"].clone()
    };
    assert_eq!(run("--max-lsb 4 --max-abs 1 --max-changed 100%"), json!([]));
    assert_eq!(run("--max-lsb 4 --max-abs 0.3 --max-changed 100%"), json!(["--max-abs"]));
    assert_eq!(
        run("--max-lsb 2 --max-abs 0.3 --max-ulp 1"),
        json!(["--max-ulp", "--max-abs", "--max-lsb"])
    );
    assert_eq!(run("--max-abs 0.1 --max-rel 0"), json!(["--max-abs and --max-rel"]));
}

#[test]
fn tolerances_that_are_no_tolerances_are_refused() {
    let (folder, ..) = devices();
    for (option, value) in [
        ("--max-lsb", "-1"),
        ("--max-lsb", "nan"),
        ("--max-loss-difference", "-0.5"),
        ("--max-loss-difference", "NaN"),
    ] {
        folder.refused(
            &format!("{COMPARE} {SCALES} --targets y.npy {option} {value}"),
            &[option, "not negative"],
        );
    }
}

#[test]
fn the_mean_error_and_the_noise_are_those_of_the_formulas() {
    let mut random = Random::new(32);
    let a: Vec<f32> = (0..300).map(|_| (3.0 * random.normal()) as f32).collect();
    let b: Vec<f32> = a.iter().map(|x| x + (0.01 * random.normal()) as f32).collect();
    let folder = Folder::new();
    folder.save("a.npy", &[30, 10], &a);
    folder.save("b.npy", &[30, 10], &b);
    let pairs: Vec<(f64, f64)> =
        a.iter().zip(&b).map(|(a, b)| (f64::from(*a), f64::from(*b))).collect();
    let report = folder.json(COMPARE);
    let sum: f64 = pairs.iter().map(|(a, b)| (a - b).abs()).sum();
    assert_relative_eq!(number(&report, "mean_abs"), sum / 300.0, max_relative = 1e-12);
    let signal: f64 = pairs.iter().map(|(a, _)| a * a).sum();
    let noise: f64 = pairs.iter().map(|(a, b)| (a - b) * (a - b)).sum();
    assert_relative_eq!(
        number(&report, "sqnr_db"),
        10.0 * (signal / noise).log10(),
        max_relative = 1e-12
    );
    // Without noise there is no ratio.
    assert!(folder.json("compare --reference a.npy --candidate a.npy")["sqnr_db"].is_null());
}

/// The divergence, from the probabilities of both.
fn kl(a: &[f64], b: &[f64]) -> f64 {
    let (of_a, of_b) = (log_sum_exp(a), log_sum_exp(b));
    a.iter().zip(b).map(|(a, b)| (a - of_a).exp() * ((a - of_a) - (b - of_b))).sum()
}

#[test]
fn the_worst_rows_are_those_of_the_largest_divergence() {
    let mut random = Random::new(33);
    let shape = [30, 5, 2];
    let a: Vec<f32> = (0..300).map(|_| (2.0 * random.normal()) as f32).collect();
    let b: Vec<f32> = a.iter().map(|x| x + (0.3 * random.normal()) as f32).collect();
    let folder = Folder::new();
    folder.save("a.npy", &shape, &a);
    folder.save("b.npy", &shape, &b);
    // The classes are on the second axis.
    let row = |x: &[f32], row: usize| -> Vec<f64> {
        (0..5).map(|class| f64::from(x[row / 2 * 10 + class * 2 + row % 2])).collect()
    };
    let mut expected: Vec<(f64, usize)> =
        (0..60).map(|i| (kl(&row(&a, i), &row(&b, i)), i)).collect();
    let mean = expected.iter().map(|(kl, _)| kl).sum::<f64>() / 60.0;
    expected.sort_by(|x, y| y.0.total_cmp(&x.0));
    let report = folder.json(&format!("{COMPARE} --class-axis 1"));
    assert_relative_eq!(number(&report, "mean_kl"), mean, max_relative = 1e-10);
    assert_eq!((&report["worst_rows_by"], &report["infinite_kl_rows"]), (&json!("kl"), &json!(0)));
    let worst = report["worst_rows"].as_array().expect("rows");
    assert_eq!(worst.len(), 10);
    for (found, (kl, i)) in worst.iter().zip(&expected) {
        assert_eq!(found["row"], *i);
        assert_relative_eq!(number(found, "kl"), *kl, max_relative = 1e-9);
        assert_eq!(found["reference"], json!(row(&a, *i)));
        assert_eq!(found["candidate"], json!(row(&b, *i)));
        assert!(found["classes"].is_null());
    }
    let text = folder.run(&format!("{COMPARE} --class-axis 1")).stdout;
    assert_eq!(text.matches("worst row ").count(), 10, "{text}");
    // They are of little interest where all is well.
    let text = folder.run(&format!("{COMPARE} --class-axis 1 --max-abs 9")).stdout;
    assert!(!text.contains("worst row "), "{text}");
}

#[test]
fn without_a_softmax_the_worst_rows_are_those_of_the_largest_difference() {
    let mut random = Random::new(34);
    let a: Vec<f32> = (0..60).map(|_| random.normal() as f32).collect();
    let b: Vec<f32> = a.iter().map(|x| x + random.normal() as f32).collect();
    let folder = Folder::new();
    folder.save("a.npy", &[20, 3], &a);
    folder.save("b.npy", &[20, 3], &b);
    let largest = |row: usize| {
        (3 * row..3 * row + 3)
            .map(|i| (f64::from(a[i]) - f64::from(b[i])).abs())
            .fold(0.0, f64::max)
    };
    let mut expected: Vec<usize> = (0..20).collect();
    expected.sort_by(|x, y| largest(*y).total_cmp(&largest(*x)));
    let report = folder.json(&format!("{COMPARE} --loss sigmoid"));
    assert_eq!(report["worst_rows_by"], "abs");
    assert!(report["mean_kl"].is_null() && report["infinite_kl_rows"].is_null());
    for (found, row) in report["worst_rows"].as_array().expect("rows").iter().zip(expected) {
        assert_eq!((&found["row"], &found["kl"]), (&json!(row), &Value::Null));
        assert_eq!(number(found, "largest_abs"), largest(row));
    }
}

#[test]
fn long_rows_are_shortened_to_the_classes_that_differ_most() {
    let folder = Folder::new();
    for (classes, is_whole) in [(4096_usize, true), (4097, false)] {
        let a = vec![0.0_f32; classes];
        let mut b = a.clone();
        let moved: Vec<usize> = (0..12).map(|i| 300 * i + 7).collect();
        for (i, class) in moved.iter().enumerate() {
            b[*class] = 1.0 + i as f32;
        }
        folder.save("a.npy", &[1, classes as u64], &a);
        folder.save("b.npy", &[1, classes as u64], &b);
        let report = folder.json(COMPARE);
        let row = &report["worst_rows"][0];
        if is_whole {
            assert!(row["classes"].is_null());
            assert_eq!(row["candidate"], json!(b));
        } else {
            assert_eq!(row["classes"], json!(moved[2..]));
            assert_eq!(row["candidate"], json!((3..13).map(|x| x as f32).collect::<Vec<_>>()));
        }
        let text = folder.run(COMPARE).stdout;
        assert!(text.contains("3307: 12\n") && !text.contains("  7: "), "{text}");
    }
}

#[test]
fn rows_that_are_not_finite_are_the_worst() {
    let folder = Folder::new();
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    folder.save("a.npy", &[4, 2], &[1.0_f32, 2.0, 0.0, 0.5, nan, 1.0, -inf, 1.0]);
    folder.save("b.npy", &[4, 2], &[1.0_f32, 2.5, nan, 0.5, nan, 1.0, -inf, 1.0]);
    let report = folder.json(COMPARE);
    assert_eq!(report["infinite_kl_rows"], 1);
    assert_eq!(report["not_finite"], 1);
    assert_eq!(
        (&report["worst_rows"][0]["row"], &report["worst_rows"][1]["row"]),
        (&json!(1), &json!(0))
    );
    // Over rows 0 and 3.
    let expected = kl(&[1.0, 2.0], &[1.0, 2.5]) / 2.0;
    assert_relative_eq!(number(&report, "mean_kl"), expected, max_relative = 1e-12);
    let text = folder.run(COMPARE).stdout;
    assert!(text.contains("infinite in 1 rows"), "{text}");
}

#[test]
fn nothing_is_not_within_a_tolerance() {
    let folder = Folder::new();
    folder.save("a.npy", &[2, 3], &[0.5_f32; 6]);
    folder.save("b.npy", &[2, 3], &[0.25_f32; 6]);
    folder.save("y.npy", &[2], &[-100_i64; 2]);
    folder.save("v.npy", &[2], &[0.0_f32; 2]);
    folder.save("t.npy", &[2, 3], &[-1_i64; 6]);
    for options in [
        "--targets y.npy --ignore-index -100",
        "--sample-weights v.npy",
        "--loss sigmoid --targets t.npy --ignore-index -1",
    ] {
        for tolerance in ["", "--max-abs 1", "--max-changed 0"] {
            folder.refused(
                &format!("{COMPARE} {options} {tolerance}"),
                &["nothing was compared", "6 elements"],
            );
        }
    }
}

#[test]
fn axes_of_length_one_do_not_matter() {
    let folder = Folder::new();
    let (a, b) = ([0.5_f32, -1.0, 2.0, 0.25, 0.0, 1.0], [0.5_f32, -1.0, 2.5, 0.25, 0.0, 1.0]);
    let one: &[u64] = &[6];
    for shape in [one, &[6, 1], &[1, 6], &[6, 1, 1]] {
        folder.save("a.npy", &[6], &a);
        folder.save("b.npy", shape, &b);
        for (loss, target, targets) in
            [("softmax", &[1][..], &[2_u8][..]), ("sigmoid", &[6], &[0, 1, 1, 0, 1, 0])]
        {
            let target: Vec<u64> = target.iter().map(|length| *length as u64).collect();
            folder.save("y.npy", &target, targets);
            let report = folder.json(&format!("{COMPARE} --loss {loss} --targets y.npy"));
            assert_eq!(report["worst_abs"]["element"], 2, "{shape:?} {loss}");
            // The candidate has the loss that it has in the reference's shape.
            folder.save("same.npy", &[6], &b);
            let same = folder.json(&format!(
                "compare --reference same.npy --candidate same.npy --loss {loss} --targets y.npy"
            ));
            assert_eq!(report["candidate_loss"], same["reference_loss"], "{shape:?} {loss}");
        }
    }
    // Column-major, and the other way round.
    folder.save("a.npy", &[2, 3], &a);
    folder.save_columns("b.npy", &[2, 1, 3], &b);
    folder.save("y.npy", &[2], &[0_u8, 2]);
    let report = folder.json(&format!("{COMPARE} --targets y.npy"));
    assert_eq!((&report["worst_abs"]["element"], &report["rows"]), (&json!(2), &json!(2)));
    folder.save("b.npy", &[3, 2], &b);
    folder.refused(COMPARE, &["b.npy", "[2, 3]", "[3, 2]"]);
}
