//! Forms of input: memory orders, axes of length one, archives, pipes, and labels of any type.

use approx::assert_relative_eq;
use npyz::{AutoSerialize, Deserialize};
use zip::CompressionMethod;

use crate::folder::Folder;

const X: [f32; 12] = [2.0, 1.0, 0.5, 0.0, 3.0, -1.0, 0.25, -2.0, 1.5, 0.0, 0.75, 1.25];

fn loss(folder: &Folder, options: &str) -> f64 {
    folder.json(&format!("eval --loss {options}"))["loss"].as_f64().expect("a number")
}

/// The losses of rows of three classes, by their formula.
fn cross_entropies(labels: [usize; 4]) -> Vec<f64> {
    X.chunks(3)
        .zip(labels)
        .map(|(row, label)| {
            let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            sum.ln() - f64::from(row[label])
        })
        .collect()
}

/// Runs with every array row-major, then with some of them column-major.
fn same_in_both_orders<T>(shape: &[u64], targets: &[u64], options: &str, y: &[T])
where
    T: AutoSerialize + Copy,
{
    let folder = Folder::new();
    let count = shape.iter().product::<u64>() as usize;
    let x: Vec<f32> = (0..count).map(|i| (i * 7 % 23) as f32 / 4.0).collect();
    folder.save("x.npy", shape, &x);
    folder.save_columns("xf.npy", shape, &x);
    folder.save("y.npy", targets, y);
    folder.save_columns("yf.npy", targets, y);
    let run = |input: &str, targets: &str| {
        let outputs = "--grad-out g.npy --reduction none --loss-out l.npy";
        let files = format!("{options} --input {input} --targets {targets}");
        folder.json(&format!("eval --loss {files} {outputs}"));
        let [l, g] = ["l.npy", "g.npy"].map(|name| row_major(&folder, name));
        (loss(&folder, &files), l, g)
    };
    let options = options.to_owned();
    let expected = run("x.npy", "y.npy");
    for (input, targets) in [("xf.npy", "y.npy"), ("x.npy", "yf.npy"), ("xf.npy", "yf.npy")] {
        let found = run(input, targets);
        assert_relative_eq!(found.0, expected.0, max_relative = 1e-6);
        assert_eq!(found.1, expected.1, "{options}: losses of {input}, {targets}");
        assert_eq!(found.2.0, expected.2.0, "{options}: shape of {input}, {targets}");
        for (found, expected) in found.2.1.iter().zip(&expected.2.1) {
            assert_relative_eq!(found, expected, max_relative = 1e-5, epsilon = 1e-9);
        }
    }
}

/// An array's shape, and its numbers in row-major order, whichever order the file has.
fn row_major(folder: &Folder, name: &str) -> (Vec<u64>, Vec<f32>) {
    let bytes = std::fs::read(folder.path(name)).expect("a file");
    let file = npyz::NpyFile::new(&bytes[..]).expect("a header");
    let (shape, order) = (file.shape().to_vec(), file.order());
    let numbers: Vec<f32> = into_vec(file);
    if order == npyz::Order::C {
        return (shape, numbers);
    }
    let place = |number: usize| {
        let (mut left, mut index) = (number as u64, vec![0; shape.len()]);
        for axis in (0..shape.len()).rev() {
            index[axis] = left % shape[axis];
            left /= shape[axis];
        }
        let columns = shape.iter().zip(index).rev();
        columns.fold(0, |place, (&length, index)| place * length + index) as usize
    };
    let turned = (0..numbers.len()).map(|number| numbers[place(number)]).collect();
    (shape, turned)
}

fn into_vec<T: Deserialize>(file: npyz::NpyFile<&[u8]>) -> Vec<T> {
    file.into_vec().expect("the numbers")
}

#[test]
fn column_major_logits_and_targets_are_those_of_row_major_files() {
    same_in_both_orders(&[4, 3], &[4], "softmax", &[0_i64, 2, 1, 0]);
    same_in_both_orders(&[4, 3], &[4, 3], "softmax", &X.map(f32::abs));
    same_in_both_orders(&[3, 4], &[4], "softmax --class-axis 0", &[0_i64, 2, 1, 0]);
    same_in_both_orders(&[4, 3], &[4, 3], "distillation", &X);
    let hot = X.map(|x| u8::from(x > 0.5));
    same_in_both_orders(&[4, 3], &[4, 3], "sigmoid", &hot);
    same_in_both_orders(&[2, 3, 2], &[2, 3, 2], "sigmoid", &hot);
    same_in_both_orders(&[4, 3], &[4, 3], "multilabel-soft-margin", &hot);
    let labels: Vec<u8> = (0..12).map(|i| i % 3).collect();
    same_in_both_orders(&[2, 3, 2, 3], &[2, 2, 3], "softmax --class-axis 1", &labels);
    same_in_both_orders(&[2, 6, 3], &[2, 6], "softmax", &labels);
    same_in_both_orders(&[12, 1, 3], &[12, 1], "softmax", &labels);
}

#[test]
fn column_major_arrays_longer_than_a_part_are_read() {
    let labels: Vec<u8> = (0..100_000).map(|row| (row % 50) as u8).collect();
    let folder = Folder::new();
    let x: Vec<f32> = (0..100_000 * 50).map(|i| (i * 7 % 101) as f32 / 10.0).collect();
    folder.save("x.npy", &[100_000, 50], &x);
    folder.save_columns("xf.npy", &[100_000, 50], &x);
    folder.save_columns("cube.npy", &[100, 1000, 50], &x);
    folder.save("y.npy", &[100_000], &labels);
    folder.save_columns("yf.npy", &[100, 1000], &labels);
    let expected = loss(&folder, "softmax --input x.npy --targets y.npy");
    let columns = loss(&folder, "softmax --input xf.npy --targets y.npy");
    let cube = loss(&folder, "softmax --input cube.npy --targets yf.npy");
    assert_relative_eq!(columns, expected, max_relative = 1e-6);
    assert_relative_eq!(cube, expected, max_relative = 1e-12);
}

#[test]
fn column_major_sixteen_bits_of_many_classes_have_all_targets() {
    let folder = Folder::new();
    let (rows, classes) = (3_u64, 5000_u64);
    // As bf16, alternating bytes of 0.5 and 1.0.
    let half = |i: u64| if i.is_multiple_of(3) { [0x80, 0x3f] } else { [0, 0x3f] };
    let numbers: Vec<u8> = (0..rows * classes).flat_map(half).collect();
    let columns: Vec<u8> = (0..classes)
        .flat_map(|class| (0..rows).flat_map(move |row| half(row * classes + class)))
        .collect();
    folder.save_bytes("x.npy", "<V2", &[rows, classes], &numbers);
    folder.save_bytes("xt.npy", "<V2", &[classes, rows], &columns);
    // The same bytes, with the axes and the order of the column-major array.
    let bytes = std::fs::read(folder.path("xt.npy")).expect("a file");
    let header = bytes.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
    let text =
        format!("{{'descr': '<V2', 'fortran_order': True, 'shape': ({rows},{classes},), }}\n");
    let length = (text.len() as u16).to_le_bytes();
    let file = [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), &bytes[header..]].concat();
    std::fs::write(folder.path("xf.npy"), file).expect("a file");
    let targets = vec![1.0_f32 / classes as f32; (rows * classes) as usize];
    folder.save_columns("t.npy", &[rows, classes], &targets);
    let [expected, found] = ["x.npy", "xf.npy"].map(|input| {
        loss(&folder, &format!("softmax --input {input} --targets t.npy --hessian-out h.npy"))
    });
    assert_relative_eq!(found, expected, max_relative = 1e-6);
}

#[test]
fn column_major_weights_go_with_their_rows() {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 2, 3], &X);
    folder.save("y.npy", &[2, 2], &[0_u8, 2, 1, 0]);
    folder.save_columns("v.npy", &[2, 2], &[1.0_f32, 2.0, 3.0, 4.0]);
    let found = loss(
        &folder,
        "softmax --input x.npy --targets y.npy --sample-weights v.npy --reduction sum",
    );
    let losses = cross_entropies([0, 2, 1, 0]);
    let expected: f64 = losses.iter().zip([1.0, 2.0, 3.0, 4.0]).map(|(l, v)| l * v).sum();
    assert_relative_eq!(found, expected, max_relative = 1e-6);
}

#[test]
fn compare_reads_either_order() {
    let folder = Folder::new();
    folder.save("a.npy", &[4, 3], &X);
    folder.save_columns("b.npy", &[4, 3], &X);
    folder.save("y.npy", &[4], &[0_u8, 2, 1, 0]);
    for (reference, candidate) in [("a.npy", "b.npy"), ("b.npy", "a.npy"), ("b.npy", "b.npy")] {
        let report = folder.json(&format!(
            "compare --reference {reference} --candidate {candidate} --targets y.npy --max-ulp 0"
        ));
        assert_eq!(report["same_bits"], true);
        let mean = cross_entropies([0, 2, 1, 0]).iter().sum::<f64>() / 4.0;
        for name in ["reference_loss", "candidate_loss"] {
            let loss = report[name].as_f64().expect("a number");
            assert_relative_eq!(loss, mean, max_relative = 1e-6);
        }
    }
}

#[test]
fn an_axis_of_one_element_is_no_ambiguity_of_labels() {
    let folder = Folder::new();
    folder.save("x.npy", &[4, 3], &X);
    let mean = cross_entropies([0, 2, 1, 0]).iter().sum::<f64>() / 4.0;
    for shape in [&[4][..], &[4, 1], &[1, 4], &[1, 4, 1]] {
        folder.save("y.npy", shape, &[0_i64, 2, 1, 0]);
        let found = loss(&folder, "softmax --input x.npy --targets y.npy");
        assert_relative_eq!(found, mean, max_relative = 1e-6);
    }
    // (N, H, W, C) and (N, C, H, W).
    folder.save("x.npy", &[2, 1, 2, 3], &X);
    folder.save("y.npy", &[2, 1, 2, 1], &[0_u8, 2, 1, 0]);
    let found = loss(&folder, "softmax --input x.npy --targets y.npy");
    assert_relative_eq!(found, mean, max_relative = 1e-6);
    let planes: Vec<f32> = (0..12).map(|i| X[(i / 6) * 6 + i % 2 * 3 + i / 2 % 3]).collect();
    folder.save("x.npy", &[2, 3, 1, 2], &planes);
    folder.save("y.npy", &[2, 1, 1, 2], &[0_u8, 2, 1, 0]);
    let found = loss(&folder, "softmax --input x.npy --targets y.npy --class-axis 1");
    assert_relative_eq!(found, mean, max_relative = 1e-6);
}

#[test]
fn whole_floats_are_labels_and_others_are_refused() {
    let folder = Folder::new();
    folder.save("x.npy", &[4, 3], &X);
    let losses = cross_entropies([0, 2, 1, 0]);
    folder.save("y.npy", &[4], &[0.0_f64, 2.0, -1.0, 0.0]);
    let found = loss(&folder, "softmax --input x.npy --targets y.npy --ignore-index -1");
    assert_relative_eq!(found, (losses[0] + losses[1] + losses[3]) / 3.0, max_relative = 1e-6);
    folder.save("y.npy", &[4, 1], &[0.0_f32, 2.0, 1.0, 0.0]);
    let found = loss(&folder, "softmax --input x.npy --targets y.npy");
    assert_relative_eq!(found, losses.iter().sum::<f64>() / 4.0, max_relative = 1e-6);
    for (label, shown) in [(1.5, "1.5"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        folder.save("y.npy", &[4], &[0.0, 2.0, 1.0, label]);
        let words = ["y.npy", "row 3", shown, "whole number"];
        folder.refused("eval --loss softmax --input x.npy --targets y.npy", &words);
    }
    folder.save("y.npy", &[4], &[0.0_f32, 2.0, 3.0, 0.0]);
    let words = ["y.npy", "row 2 has 3", "0..3"];
    folder.refused("eval --loss softmax --input x.npy --targets y.npy", &words);
}

#[test]
fn binary_logits_and_targets_may_each_have_a_class_axis_or_none() {
    let folder = Folder::new();
    let (x, y) = ([0.5_f32, -1.0, 2.0], [1.0_f64, 0.0, 1.0]);
    let term = |x: f64, y: f64| x.exp().ln_1p() - x * y;
    let mean = x.iter().zip(y).map(|(&x, y)| term(f64::from(x), y)).sum::<f64>() / 3.0;
    for inputs in [&[3][..], &[3, 1]] {
        folder.save("x.npy", inputs, &x);
        for targets in [&[3][..], &[3, 1], &[1, 3]] {
            folder.save("f.npy", targets, &y.map(|y| y as f32));
            folder.save("i.npy", targets, &y.map(|y| y as u8));
            for name in ["f.npy", "i.npy"] {
                let found = loss(&folder, &format!("sigmoid --input x.npy --targets {name}"));
                assert_relative_eq!(found, mean, max_relative = 1e-6);
            }
        }
    }
}

#[test]
fn a_mask_of_floats_may_have_an_ignored_value() {
    let folder = Folder::new();
    let x = [0.5_f32, -1.0, 2.0, 0.25];
    folder.save("x.npy", &[4, 1], &x);
    let term = |x: f32, y: f64| f64::from(x).exp().ln_1p() - f64::from(x) * y;
    let mean = (term(0.5, 1.0) + term(2.0, 0.0) + term(0.25, 1.0)) / 3.0;
    for ignored in [255.0_f32, -1.0] {
        folder.save("y.npy", &[4], &[1.0, ignored, 0.0, 1.0]);
        let options = format!("sigmoid --input x.npy --targets y.npy --ignore-index {ignored}");
        assert_relative_eq!(loss(&folder, &options), mean, max_relative = 1e-6);
    }
    folder.save("y.npy", &[4], &[1.0_f32, 255.0, 0.5, 1.0]);
    folder.refused(
        "eval --loss sigmoid --input x.npy --targets y.npy --ignore-index 255",
        &["y.npy", "element 2 has 0.5", "whole number"],
    );
}

#[test]
fn one_positive_weight_is_for_all_classes() {
    let folder = Folder::new();
    folder.save("x.npy", &[1, 3], &[0.5_f32, -1.0, 2.0]);
    folder.save("y.npy", &[1, 3], &[1_u8, 0, 1]);
    folder.save("one.npy", &[1], &[3.0_f32]);
    folder.save("scalar.npy", &[], &[3.0_f32]);
    let softplus = |x: f64| x.exp().ln_1p();
    let expected = (3.0 * softplus(-0.5) + softplus(-1.0) + 3.0 * softplus(-2.0)) / 3.0;
    for name in ["one.npy", "scalar.npy"] {
        let options = format!("sigmoid --input x.npy --targets y.npy --pos-weight {name}");
        assert_relative_eq!(loss(&folder, &options), expected, max_relative = 1e-6);
    }
    folder.save("two.npy", &[2], &[3.0_f32; 2]);
    folder.refused(
        "eval --loss sigmoid --input x.npy --targets y.npy --pos-weight two.npy",
        &["two.npy", "3 positive weights", "found 2"],
    );
}

fn save_pair(folder: &Folder) {
    folder.save("x.npy", &[4, 3], &X);
    folder.save("y.npy", &[4], &[0_i64, 2, 1, 0]);
}

#[test]
fn a_member_of_an_archive_is_chosen_by_its_name() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let folder = Folder::new();
        save_pair(&folder);
        let expected = loss(&folder, "softmax --input x.npy --targets y.npy");
        folder.save_npz("b.npz", &["x.npy", "y.npy"], method);
        for targets in ["b.npz:y", "b.npz:y.npy"] {
            let options = format!("softmax --input b.npz:x --targets {targets}");
            assert_eq!(loss(&folder, &options), expected);
        }
        let names = r#"there are "x", "y""#;
        let run = |input: &str, words: &[&str]| {
            folder
                .refused(&format!("eval --loss softmax --input {input} --targets b.npz:y"), words);
        };
        run("b.npz:z", &["b.npz:z:", "no array of that name", names]);
        run("b.npz", &["b.npz:", "file.npz:name", names]);
        run("none.npz:x", &["none.npz:x", "No such file"]);
        let report = folder.json("compare --reference b.npz:x --candidate b.npz:x --max-ulp 0");
        assert_eq!(report["within"], true);
        folder.refused(
            "eval --loss softmax --input b.npz:x --targets b.npz:y --grad-out b.npz",
            &["b.npz", ".npy file"],
        );
    }
}

#[test]
fn the_only_member_needs_no_name_and_may_be_column_major() {
    let folder = Folder::new();
    save_pair(&folder);
    let expected = loss(&folder, "softmax --input x.npy --targets y.npy");
    folder.save_columns("x.npy", &[4, 3], &X);
    folder.save_npz("x.npz", &["x.npy"], CompressionMethod::Deflated);
    let found = loss(&folder, "softmax --input x.npz --targets y.npy");
    assert_relative_eq!(found, expected, max_relative = 1e-12);
}

#[test]
fn an_archive_whose_checksum_is_wrong_is_refused() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let folder = Folder::new();
        save_pair(&folder);
        folder.save_npz("x.npz", &["x.npy"], method);
        let mut bytes = std::fs::read(folder.path("x.npz")).expect("a file");
        // The last bytes of the member precede the central directory; the very last contains unused bits.
        let directory = bytes.windows(4).position(|four| four == b"PK\x01\x02").expect("one");
        bytes[directory - 5] ^= 0x10;
        std::fs::write(folder.path("x.npz"), &bytes).expect("a file");
        let eval = "eval --loss softmax --input x.npz --targets y.npy --grad-out g.npy";
        folder.refused(eval, &["x.npz", "its array \"x\""]);
        std::fs::write(folder.path("x.npz"), &bytes[..directory]).expect("a file");
        folder.refused(eval, &["x.npz", "not a .npz file"]);
    }
}

#[test]
fn standard_input_is_read_once_in_any_format() {
    let folder = Folder::new();
    save_pair(&folder);
    let expected = loss(&folder, "softmax --input x.npy --targets y.npy");
    let read = |name: &str| std::fs::read(folder.path(name)).expect("a file");
    let (x, y) = (read("x.npy"), read("y.npy"));
    let bytes: Vec<u8> = X.iter().flat_map(|x| x.to_le_bytes()).collect();
    folder.save_tensors("x.safetensors", &[("it", safetensors::Dtype::F32, &[4, 3], &bytes)]);
    let tensors = read("x.safetensors");
    folder.save_npz("x.npz", &["x.npy"], CompressionMethod::Deflated);
    let archive = read("x.npz");
    let run = |input: &[u8], files: &str| {
        let outcome = folder.run_with(input, &format!("eval --loss softmax {files} --json"));
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        assert_eq!(report["loss"].as_f64(), Some(expected), "{files}");
    };
    for (input, name) in
        [(&x, "-"), (&tensors, "-"), (&tensors, "-:it"), (&archive, "-"), (&archive, "-:x")]
    {
        run(input, &format!("--input {name} --targets y.npy"));
    }
    folder.save("x.npy", &[4, 3], &X);
    // Targets are read twice.
    run(&y, "--input x.npy --targets -");
    let outcome = folder.run_with(&x, "eval --loss softmax --input - --targets -");
    outcome.is_refused(&["standard input", "once"]);
    let outcome =
        folder.run_with(&x[..x.len() - 1], "eval --loss softmax --input - --targets y.npy");
    outcome.is_refused(&["standard input", "expected 48 bytes", "found 47"]);
    let outcome = folder.run_with(b"", "eval --loss softmax --input - --targets y.npy");
    outcome.is_refused(&["standard input", "empty"]);
    let outcome =
        folder.run_with(&y, "compare --reference x.npy --candidate x.npy --targets - --json");
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(report["reference_loss"].as_f64(), Some(expected), "{}", outcome.stderr);
    assert_eq!(report["candidate_loss"].as_f64(), Some(expected));
    folder.refused(
        "eval --loss softmax --input x.npy --targets y.npy --grad-out -",
        &["-", "only an input"],
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read() {
    let folder = Folder::new();
    save_pair(&folder);
    let expected = loss(&folder, "softmax --input x.npy --targets y.npy");
    let mut shell = folder.other("bash");
    let script = r#""$0" eval --loss softmax --input <(cat x.npy) --targets <(cat y.npy) --json"#;
    let output = shell.args(["-c", script, env!("CARGO_BIN_EXE_xent")]).output();
    let outcome = crate::folder::Outcome::of(output.expect("a shell"));
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(report["loss"].as_f64(), Some(expected), "{}", outcome.stderr);
    let script = r#"mkfifo p; cat x.npy > p & exec "$0" compare --reference x.npy --candidate p --max-ulp 0"#;
    let mut shell = folder.other("bash");
    let output = shell.args(["-c", script, env!("CARGO_BIN_EXE_xent")]).output();
    let outcome = crate::folder::Outcome::of(output.expect("a shell"));
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
}

#[test]
fn threads_are_those_of_the_environment_unless_they_are_given() {
    let folder = Folder::new();
    save_pair(&folder);
    for (options, expected) in [("", 3), ("--threads 2", 2)] {
        let eval = format!("eval --loss softmax --input x.npy --targets y.npy --json {options}");
        let output = folder.program(&eval).env("RAYON_NUM_THREADS", "3").output();
        let outcome = crate::folder::Outcome::of(output.expect("the program runs"));
        let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        assert_eq!(report["threads"], expected);
    }
}
