//! Arrays in `.safetensors` files.

use half::{bf16, f16};
use safetensors::Dtype;

use crate::folder::Folder;

const X: [f32; 6] = [2.1, 1.3, 3e-7, -0.7, 3.3, -1.9];

fn bytes_of<const N: usize>(bytes: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    bytes.into_iter().flatten().collect()
}

/// The bits of the loss.
fn loss(folder: &Folder, input: &str, targets: &str) -> u64 {
    let report = folder.json(&format!("eval --loss softmax --input {input} --targets {targets}"));
    report["loss"].as_f64().expect("a number").to_bits()
}

fn refused(folder: &Folder, input: &str, words: &[&str]) {
    folder.refused(
        &format!("eval --loss softmax --input {input} --targets y.npy --grad-out g.npy"),
        words,
    );
}

/// The logits as `x.npy`, the labels as `y.npy`, and both in `m.safetensors` with a third tensor.
fn both() -> Folder {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3], &X);
    folder.save("y.npy", &[2], &[0_i64, 2]);
    let logits = bytes_of(X.map(f32::to_le_bytes));
    let labels = bytes_of([0_i64, 2].map(i64::to_le_bytes));
    folder.save_tensors(
        "m.safetensors",
        &[
            ("logits", Dtype::F32, &[2, 3], &logits),
            ("other", Dtype::F16, &[1], &[0, 0]),
            ("labels", Dtype::I64, &[2], &labels),
        ],
    );
    folder
}

#[test]
fn a_tensor_is_chosen_by_its_name() {
    let folder = both();
    let expected = loss(&folder, "x.npy", "y.npy");
    assert_eq!(loss(&folder, "m.safetensors:logits", "m.safetensors:labels"), expected);
    assert_eq!(loss(&folder, "./m.safetensors:logits", "y.npy"), expected);
    let logits = bytes_of(X.map(f32::to_le_bytes));
    for name in ["model.head:logits.0", ":", "b.safetensors:x", "a/b", ""] {
        let tensors: [(_, _, &[usize], &[u8]); 2] =
            [(name, Dtype::F32, &[2, 3], &logits), ("none", Dtype::F32, &[], &[0; 4])];
        folder.save_tensors("n.safetensors", &tensors);
        assert_eq!(loss(&folder, &format!("n.safetensors:{name}"), "y.npy"), expected, "{name}");
    }
}

#[test]
fn the_only_tensor_needs_no_name() {
    let folder = both();
    let logits = bytes_of(X.map(f32::to_le_bytes));
    folder.save_tensors("one.safetensors", &[("it", Dtype::F32, &[2, 3], &logits)]);
    let expected = loss(&folder, "x.npy", "y.npy");
    assert_eq!(loss(&folder, "one.safetensors", "y.npy"), expected);
    assert_eq!(loss(&folder, "one.safetensors:it", "y.npy"), expected);
}

#[test]
fn every_format_but_f64_has_the_loss_of_the_f32_that_it_holds() {
    let folder = both();
    let halves = X.map(f16::from_f32);
    let brains = X.map(bf16::from_f32);
    for (dtype, bytes, held) in [
        (Dtype::F32, bytes_of(X.map(f32::to_le_bytes)), X),
        (Dtype::F16, bytes_of(halves.map(f16::to_le_bytes)), halves.map(f16::to_f32)),
        (Dtype::BF16, bytes_of(brains.map(bf16::to_le_bytes)), brains.map(bf16::to_f32)),
    ] {
        folder.save("held.npy", &[2, 3], &held);
        folder.save_tensors("f.safetensors", &[("x", dtype, &[2, 3], &bytes)]);
        let expected = loss(&folder, "held.npy", "y.npy");
        assert_eq!(loss(&folder, "f.safetensors", "y.npy"), expected, "{dtype}");
    }
}

#[test]
fn targets_of_integers_are_the_floats_that_they_are() {
    let folder = both();
    let (numbers, bools) = ([2_u8, 1, 0, 7, 3, 1], [1_u8, 0, 0, 1, 1, 0]);
    let [two, four, eight] = [2, 4, 8].map(|size| {
        let of_size =
            |number: &u8| (0..size).map(|byte| if byte == 0 { *number } else { 0 }).collect();
        numbers.iter().flat_map::<Vec<u8>, _>(of_size).collect::<Vec<u8>>()
    });
    for (dtype, bytes, held) in [
        (Dtype::U8, &numbers[..], numbers),
        (Dtype::I8, &numbers, numbers),
        (Dtype::U16, &two, numbers),
        (Dtype::I16, &two, numbers),
        (Dtype::U32, &four, numbers),
        (Dtype::I32, &four, numbers),
        (Dtype::U64, &eight, numbers),
        (Dtype::I64, &eight, numbers),
        (Dtype::BOOL, &bools, bools),
    ] {
        folder.save("held.npy", &[2, 3], &held.map(f32::from));
        folder.save_tensors("t.safetensors", &[("t", dtype, &[2, 3], bytes)]);
        let expected = loss(&folder, "x.npy", "held.npy");
        assert_eq!(loss(&folder, "x.npy", "t.safetensors"), expected, "{dtype}");
    }
}

#[test]
fn a_tensor_of_f64_has_the_loss_of_its_npy_file() {
    let folder = both();
    let numbers = X.map(|x| 0.1 * f64::from(x));
    folder.save("x.npy", &[2, 3], &numbers);
    let bytes = bytes_of(numbers.map(f64::to_le_bytes));
    folder.save_tensors("f.safetensors", &[("x", Dtype::F64, &[2, 3], &bytes)]);
    let expected = loss(&folder, "x.npy", "y.npy");
    assert_eq!(loss(&folder, "f.safetensors", "y.npy"), expected);
}

#[test]
fn logits_of_bf16_and_their_labels_may_be_in_one_file() {
    let folder = both();
    let brains = X.map(bf16::from_f32);
    let logits = bytes_of(brains.map(bf16::to_le_bytes));
    let labels = bytes_of([0_i64, 2].map(i64::to_le_bytes));
    folder.save_bytes("x.npy", "<V2", &[2, 3], &logits);
    folder.save_tensors(
        "b.safetensors",
        &[("logits", Dtype::BF16, &[2, 3], &logits), ("labels", Dtype::I64, &[2], &labels)],
    );
    let run = |input: &str, targets: &str| {
        let input = format!("--input {input} --targets {targets}");
        let report = folder.json(&format!("eval --loss softmax {input} --grad-out g.npy"));
        (report["loss"].clone(), std::fs::read(folder.path("g.npy")).expect("a gradient"))
    };
    let expected = run("x.npy", "y.npy");
    assert_eq!(run("b.safetensors:logits", "b.safetensors:labels"), expected);
}

#[test]
fn a_file_that_is_there_is_what_was_meant() {
    let folder = both();
    let expected = loss(&folder, "x.npy", "y.npy");
    std::fs::copy(folder.path("x.npy"), folder.path("m.safetensors:other")).expect("a file");
    assert_eq!(loss(&folder, "m.safetensors:other", "y.npy"), expected);
    std::fs::create_dir(folder.path("m.safetensors:1")).expect("a folder");
    let inner = "m.safetensors:1/n.safetensors";
    std::fs::copy(folder.path("m.safetensors"), folder.path(inner)).expect("a file");
    assert_eq!(loss(&folder, &format!("{inner}:logits"), "y.npy"), expected);
}

#[test]
fn a_name_that_is_none_is_answered_with_those_there_are() {
    let folder = both();
    let names = r#"there are "labels", "logits", "other""#;
    refused(&folder, "m.safetensors:logit", &["m.safetensors:logit:", "no tensor", names]);
    refused(&folder, "m.safetensors", &["m.safetensors:", "file.safetensors:name", names]);
    refused(&folder, "m.safetensors:", &["no tensor", names]);
    refused(&folder, "none.safetensors:x", &["none.safetensors:x", "No such file"]);
    folder.save_tensors("empty.safetensors", &[]);
    refused(&folder, "empty.safetensors", &["there are none"]);
    let many: Vec<String> = (10..25).map(|name| name.to_string()).collect();
    let tensors: Vec<(&str, Dtype, &[usize], &[u8])> =
        many.iter().map(|name| (&name[..], Dtype::U8, &[1][..], &[0][..])).collect();
    folder.save_tensors("many.safetensors", &tensors);
    refused(&folder, "many.safetensors", &[r#""10", "11""#, r#""19" and 5 more"#]);
    let long = "ä".repeat(1000);
    let tensors: [(&str, _, &[usize], &[u8]); 1] = [(&long, Dtype::U8, &[1], &[0])];
    folder.save_tensors("long.safetensors", &tensors);
    refused(&folder, "long.safetensors:x", &[&format!(r#"there is "{}"..."#, "ä".repeat(80))]);
    let tensors: [(_, _, &[usize], &[u8]); 1] = [("a\n\u{1b}[31m", Dtype::U8, &[1], &[0])];
    folder.save_tensors("odd.safetensors", &tensors);
    refused(&folder, "odd.safetensors:x", &[r#"there is "a\n\u{1b}[31m""#]);
}

#[test]
fn bad_files_are_one_line_that_names_them() {
    let folder = both();
    let whole = std::fs::read(folder.path("m.safetensors")).expect("a file");
    let data = 6 * 4 + 2 + 2 * 8;
    let save = |name: &str, bytes: &[u8]| std::fs::write(folder.path(name), bytes).expect("a file");
    save("cut.safetensors", &whole[..whole.len() - 5]);
    let words = ["cut.safetensors:logits:", "expected 42 bytes", "found 37"];
    refused(&folder, "cut.safetensors:logits", &words);
    save("more.safetensors", &[&whole[..], b"more"].concat());
    refused(&folder, "more.safetensors:logits", &["expected 42 bytes", "found 46"]);
    save("header.safetensors", &whole[..whole.len() - data - 1]);
    let words = ["header.safetensors:", "not a .safetensors file", "a header of"];
    refused(&folder, "header.safetensors", &words);
    save("far.safetensors", &[&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    let words = ["not a .safetensors file", "a header of 18446744073709551615 bytes", "2 in the"];
    refused(&folder, "far.safetensors", &words);
    save("seven.safetensors", &[0; 7]);
    refused(&folder, "seven.safetensors", &["seven.safetensors", "not a .safetensors file"]);
    save("text.safetensors", &[&4_u64.to_le_bytes()[..], b"text"].concat());
    refused(&folder, "text.safetensors", &["text.safetensors", "not a .safetensors file"]);
    std::fs::copy(folder.path("x.npy"), folder.path("npy.safetensors")).expect("a file");
    refused(&folder, "npy.safetensors", &["npy.safetensors", "not a .safetensors file"]);
    std::fs::copy(folder.path("m.safetensors"), folder.path("tensors.npy")).expect("a file");
    refused(&folder, "tensors.npy", &["tensors.npy", "not a .npy file"]);
    let large = std::fs::File::create(folder.path("large.safetensors")).expect("a file");
    std::io::Write::write_all(&mut &large, &100_000_001_u64.to_le_bytes()).expect("a prefix");
    large.set_len(100_000_009).expect("a file with a hole");
    refused(&folder, "large.safetensors", &["100000001 bytes", "at most 100000000"]);
}

#[test]
fn headers_that_do_not_fit_together_are_refused() {
    let folder = both();
    for (header, word) in [
        // Four bytes instead of five; a gap; an overlap; in reverse order; too large for any
        // machine.
        (r#"{"x":{"dtype":"U8","shape":[5],"data_offsets":[0,4]}}"#, "shape"),
        (r#"{"x":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}"#, "offset"),
        (
            r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
               "y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
            "offset",
        ),
        (r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}"#, "offset"),
        (
            r#"{"x":{"dtype":"U8","shape":[4294967296,4294967296,2],"data_offsets":[0,4]}}"#,
            "overflow",
        ),
        (
            r#"{"x":{"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]},
               "y":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#,
            "too large",
        ),
        (r#"{"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#, "expected 8 bytes"),
        (r#"{"x":{"dtype":"F7","shape":[4],"data_offsets":[0,4]}}"#, "F7"),
        (r#"{"x":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}"#, "-4"),
    ] {
        let length = (header.len() as u64).to_le_bytes();
        let file = [&length[..], header.as_bytes(), &[0; 4]].concat();
        std::fs::write(folder.path("h.safetensors"), file).expect("a file");
        refused(&folder, "h.safetensors:x", &["h.safetensors:x: ", word]);
    }
}

#[test]
fn tensors_that_do_not_go_together_are_refused() {
    let folder = both();
    for (dtype, size) in [(Dtype::F8_E4M3, 1), (Dtype::C64, 8)] {
        let numbers = vec![0; 6 * size];
        folder.save_tensors("f.safetensors", &[("x", dtype, &[2, 3], &numbers)]);
        let words = ["f.safetensors:x", &dtype.to_string(), "expected f64, f32, f16, bf16"];
        refused(&folder, "f.safetensors:x", &words);
    }
    let run = |targets: &str, words: &[&str]| {
        folder.refused(
            &format!("eval --loss softmax --input m.safetensors:logits --targets {targets}"),
            words,
        );
    };
    run("m.safetensors:other", &["m.safetensors:other:", "[2]", "[2, 3]", "shape [1]"]);
    folder.save("three.npy", &[3], &[0_u8; 3]);
    run("three.npy", &["three.npy", "[2]", "[3]"]);
    let bad = bytes_of([0_i64, 3].map(i64::to_le_bytes));
    folder.save_tensors("bad.safetensors", &[("y", Dtype::I64, &[2], &bad)]);
    run("bad.safetensors:y", &["bad.safetensors:y:", "row 1 has 3", "expected 0..3"]);
}

#[test]
fn a_file_of_tensors_is_not_written_over() {
    let folder = both();
    let before = std::fs::read(folder.path("m.safetensors")).expect("a file");
    let run = |output: &str, words: &[&str]| {
        folder.refused(
            &format!(
                "eval --loss softmax --input m.safetensors:logits --targets y.npy \
                 --grad-out {output}"
            ),
            words,
        );
    };
    run("m.safetensors", &["m.safetensors", ".npy file"]);
    run("m.safetensors:grad", &["m.safetensors:grad", ".npy file"]);
    #[cfg(unix)]
    {
        let link = folder.path("g.npy");
        std::os::unix::fs::symlink(folder.path("m.safetensors"), link).expect("a link");
        run("g.npy", &["g.npy", "the output is an input"]);
    }
    assert_eq!(std::fs::read(folder.path("m.safetensors")).expect("a file"), before);
}
