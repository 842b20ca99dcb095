//! Nonsense is refused: values out of range, integers as logits, meaningless options, ambiguous axes.

use crate::folder::Folder;

/// Logits, probabilities and labels of two rows of three.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3], &[2.0_f32, 1.0, 0.0, 0.0, 3.0, -1.0]);
    folder.save("p.npy", &[2, 3], &[0.5_f32, 0.25, 0.25, 0.125, 0.125, 0.75]);
    folder.save("y.npy", &[2], &[0_i64, 2]);
    folder.save("hot.npy", &[2, 3], &[1.0_f32, 0.0, 0.0, 0.0, 1.0, 1.0]);
    folder
}

#[test]
fn values_out_of_range_are_refused_by_file_element_and_remedy() {
    let folder = folder();
    for (loss, input) in [
        ("sigmoid", "x.npy"),
        ("sigmoid-focal", "x.npy"),
        ("multilabel-soft-margin", "x.npy"),
        ("logistic", "p.npy"),
    ] {
        for (value, shown, remedy) in [
            (2.0_f32, "2", "0 to 1"),
            (255.0, "255", "255"),
            (-1.0, "-1", "missing"),
            (f32::NAN, "NaN", "finite"),
        ] {
            folder.save("t.npy", &[2, 3], &[1.0, 0.0, 0.0, 0.0, value, 1.0]);
            let eval = format!("eval --loss {loss} --input {input} --targets t.npy");
            let words = ["t.npy", "element 4", shown, remedy];
            folder.refused(&format!("{eval} --grad-out g.npy"), &words);
        }
    }
    for value in [-0.5, f32::NAN, f32::INFINITY] {
        folder.save("t.npy", &[2, 3], &[1.0, 0.0, 0.0, 0.0, value, 1.0]);
        for loss in ["softmax", "multilabel-softmax"] {
            folder.refused(
                &format!("eval --loss {loss} --input x.npy --targets t.npy --grad-out g.npy"),
                &["t.npy", "element 4", &value.to_string()],
            );
        }
        folder.save("w.npy", &[3], &[1.0, 1.0, value]);
        folder.refused(
            "eval --loss softmax --input x.npy --targets y.npy --class-weights w.npy",
            &["w.npy", "2", &value.to_string()],
        );
    }
    for value in [f32::NAN, f32::INFINITY] {
        folder.save("v.npy", &[2], &[1.0, value]);
        folder.refused(
            "eval --loss softmax --input x.npy --targets y.npy --sample-weights v.npy",
            &["v.npy", "1", &value.to_string()],
        );
    }
    for value in [f32::NAN, -0.1, 1.5] {
        folder.save("q.npy", &[2, 3], &[0.5, 0.5, 0.5, 0.5, value, 0.5]);
        folder.refused(
            "eval --loss logistic --input q.npy --targets hot.npy --grad-out g.npy",
            &["q.npy", "element 4", &value.to_string()],
        );
    }
}

#[test]
fn the_element_of_a_later_part_is_counted_from_the_first_of_the_file() {
    let folder = Folder::new();
    let rows = 100_000_u64;
    folder.save("x.npy", &[rows, 50], &vec![0.0_f32; rows as usize * 50]);
    let mut targets = vec![0.0_f32; rows as usize * 50];
    let last = targets.len() - 3;
    targets[last] = 255.0;
    folder.save("t.npy", &[rows, 50], &targets);
    folder.refused(
        "eval --loss sigmoid --input x.npy --targets t.npy --grad-out g.npy",
        &["t.npy", &format!("element {last}"), "255"],
    );
}

#[test]
fn the_element_of_a_column_major_file_is_counted_as_numpy_counts_it() {
    let folder = Folder::new();
    folder.save_columns("p.npy", &[2, 3], &[0.5_f32, 0.5, 0.5, 0.5, 1.5, 0.5]);
    folder.save_columns("t.npy", &[2, 3], &[1.0_f32, 0.0, 0.0, 0.0, 1.0, 2.0]);
    folder.save("y.npy", &[2, 3], &[1_u8, 0, 0, 0, 1, 0]);
    folder.save_columns("x.npy", &[2, 3], &[0.0_f32; 6]);
    folder.refused("eval --loss logistic --input p.npy --targets y.npy", &["p.npy", "element 4"]);
    folder.refused("eval --loss sigmoid --input x.npy --targets t.npy", &["t.npy", "element 5"]);
    folder.save_columns("y.npy", &[2, 3], &[1_u8, 0, 0, 0, 1, 0]);
    folder.refused("eval --loss logistic --input p.npy --targets y.npy", &["p.npy", "element 4"]);
}

#[test]
fn probabilities_are_judged_only_where_they_count() {
    let folder = Folder::new();
    folder.save("p.npy", &[2, 2], &[0.5_f32, f32::NAN, 0.25, 7.0]);
    folder.save("y.npy", &[2, 2], &[1_i64, -1, 0, -1]);
    let eval = "eval --loss logistic --input p.npy --targets y.npy --ignore-index -1";
    let loss = folder.json(eval)["loss"].as_f64().expect("a number");
    let expected = -(0.5_f64.ln() + 0.75_f64.ln()) / 2.0;
    approx::assert_relative_eq!(loss, expected, max_relative = 1e-6);
}

#[test]
fn integers_are_no_logits() {
    let folder = folder();
    for (descr, size) in [
        ("|i1", 1),
        ("|u1", 1),
        ("|b1", 1),
        ("<i2", 2),
        ("<u2", 2),
        ("<i4", 4),
        ("<u4", 4),
        ("<i8", 8),
        ("<u8", 8),
    ] {
        folder.save_bytes("q.npy", descr, &[2, 3], &vec![0; 6 * size]);
        for arguments in [
            "eval --loss softmax --input q.npy --targets y.npy --grad-out g.npy",
            "eval --loss sigmoid --input q.npy --targets hot.npy",
            "compare --reference x.npy --candidate q.npy",
        ] {
            folder.refused(arguments, &["q.npy", "integers", "scale"]);
        }
    }
    folder.save("teacher.npy", &[2, 3], &[0_i8; 6]);
    folder.refused(
        "eval --loss distillation --input x.npy --targets teacher.npy",
        &["teacher.npy", "floats", "integers"],
    );
}

#[test]
fn an_ignored_label_without_labels_is_refused_but_not_that_of_a_preset() {
    let folder = folder();
    let eval = "eval --loss softmax --input x.npy --targets hot.npy";
    let words = ["--ignore-index", "sample weight of zero"];
    folder.refused(&format!("{eval} --ignore-index -100"), &words);
    folder.refused(&format!("{eval} --preset pytorch --ignore-index -100"), &words);
    folder.refused(
        "compare --reference x.npy --candidate x.npy --targets hot.npy --ignore-index 0",
        &words,
    );
    assert!(folder.json(&format!("{eval} --preset pytorch"))["loss"].is_number());
}

#[test]
fn a_class_axis_that_the_shapes_leave_open_has_to_be_given() {
    let folder = Folder::new();
    let numbers: Vec<f32> = (0..16).map(|i| i as f32 / 8.0).collect();
    folder.save("x.npy", &[2, 2, 2, 2], &numbers);
    folder.save("y.npy", &[2, 2, 2], &[0_u8, 1, 1, 0, 1, 0, 0, 1]);
    let eval = "eval --loss softmax --input x.npy --targets y.npy";
    folder.refused(eval, &["y.npy", "--class-axis 1", "--class-axis 3"]);
    folder.refused(
        "compare --reference x.npy --candidate x.npy --targets y.npy",
        &["y.npy", "--class-axis 1", "--class-axis 3"],
    );
    // The losses along this axis, by exp and sum.
    for (axis, step) in [(1, 4), (3, 1)] {
        let mut sum = 0.0;
        let labels = [0, 1, 1, 0, 1, 0, 0, 1];
        for (row, label) in labels.into_iter().enumerate() {
            let first = row / step * step * 2 + row % step;
            let [a, b] = [first, first + step].map(|place| f64::from(numbers[place]));
            sum += (a.exp() + b.exp()).ln() - [a, b][label];
        }
        let report = folder.json(&format!("{eval} --class-axis {axis}"));
        assert_eq!(report["class_axis"], axis);
        let loss = report["loss"].as_f64().expect("a number");
        approx::assert_relative_eq!(loss, sum / 8.0, max_relative = 1e-6);
    }
}

#[test]
fn the_class_axis_that_was_taken_is_said_where_another_would_fit() {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 2], &[1.0_f32, 0.0, 0.5, 2.0]);
    folder.save("y.npy", &[2], &[0_u8, 1]);
    let eval = "eval --loss softmax --input x.npy --targets y.npy";
    let report = folder.json(eval);
    assert_eq!((&report["class_axis"], &report["other_class_axes"][0]), (&1.into(), &0.into()));
    let outcome = folder.run(eval);
    assert!(outcome.stderr.contains("axis 1") && outcome.stderr.contains("--class-axis"));
    assert_eq!(folder.run(&format!("{eval} --class-axis 1")).stderr, "");
    folder.save("b.npy", &[2], &[1.0_f32, 0.0]);
    let report = folder.json("eval --loss sigmoid --input b.npy --targets y.npy");
    assert!(report["class_axis"].is_null());
    // One-hot images have the shape of their logits, whichever axis is the class axis.
    folder.save("x.npy", &[1, 3, 2, 2], &[0.5_f32; 12]);
    folder.save("t.npy", &[1, 3, 2, 2], &[0.25_f32; 12]);
    let report = folder.json("eval --loss softmax --input x.npy --targets t.npy");
    assert_eq!(report["class_axis"], 3);
    assert_eq!(report["other_class_axes"], serde_json::json!([1, 2]));
}
