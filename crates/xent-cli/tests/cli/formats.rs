//! The number formats of `.npy` files.

use half::{bf16, f16};

use crate::folder::Folder;

/// Two rows of three classes, which only f64 represents exactly; one is so small that it is
/// subnormal in f16.
const X: [f64; 6] = [2.1, 1.3, 3e-7, -0.7, 3.3, -1.9];

/// The bytes of all numbers, and in the other byte order.
macro_rules! bytes {
    ($numbers:expr) => {{
        let numbers = $numbers;
        let little: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let big: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        (little, big)
    }};
}

/// The loss, and the bits of the gradient before it is rounded to the input's format.
fn outcome(folder: &Folder, input: &str, targets: &str) -> (f64, Vec<u32>) {
    let report = folder.json(&format!(
        "eval --loss softmax --input {input} --targets {targets} --grad-out g.npy --grad-format f32"
    ));
    let (_, grad) = folder.load::<f32>("g.npy");
    (report["loss"].as_f64().expect("a number"), grad.into_iter().map(f32::to_bits).collect())
}

#[test]
fn every_format_but_f64_has_the_loss_of_the_f32_that_it_holds() {
    let folder = Folder::new();
    folder.save("y.npy", &[2], &[0_i64, 2]);
    let singles = X.map(|x| x as f32);
    let halves = singles.map(f16::from_f32);
    let brains = singles.map(bf16::from_f32);
    for (descrs, (little, big), held) in [
        (["<f4", ">f4"], bytes!(singles), singles),
        (["<f2", ">f2"], bytes!(halves), halves.map(f16::to_f32)),
        (["<V2", ">V2"], bytes!(brains), brains.map(bf16::to_f32)),
        (["|V2", ">V2"], bytes!(brains), brains.map(bf16::to_f32)),
    ] {
        folder.save("held.npy", &[2, 3], &held);
        let expected = outcome(&folder, "held.npy", "y.npy");
        for (descr, bytes) in descrs.into_iter().zip([little, big]) {
            folder.save_bytes("x.npy", descr, &[2, 3], &bytes);
            assert_eq!(outcome(&folder, "x.npy", "y.npy"), expected, "{descr}");
        }
    }
}

#[test]
fn targets_of_integers_are_the_floats_that_they_are() {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3], &X);
    let numbers = [2_i8, 1, 0, 7, 3, 1];
    let bools = [1_i8, 0, 0, 1, 1, 0];
    for (descrs, (little, big), held) in [
        (["|i1", "|u1"], bytes!(numbers), numbers),
        (["<i2", ">i2"], bytes!(numbers.map(i16::from)), numbers),
        (["<u2", ">u2"], bytes!(numbers.map(i16::from)), numbers),
        (["<i4", ">i4"], bytes!(numbers.map(i32::from)), numbers),
        (["<u4", ">u4"], bytes!(numbers.map(i32::from)), numbers),
        (["<i8", ">i8"], bytes!(numbers.map(i64::from)), numbers),
        (["<u8", ">u8"], bytes!(numbers.map(i64::from)), numbers),
        (["|b1", "|b1"], bytes!(bools), bools),
    ] {
        folder.save("held.npy", &[2, 3], &held.map(f64::from));
        let run = |targets: &str| {
            let eval = format!("eval --loss softmax --input x.npy --targets {targets}");
            folder.json(&eval)["loss"].clone()
        };
        let expected = run("held.npy");
        for (descr, bytes) in descrs.into_iter().zip([little, big]) {
            folder.save_bytes("t.npy", descr, &[2, 3], &bytes);
            assert_eq!(run("t.npy"), expected, "{descr}");
        }
    }
}

#[test]
fn an_f64_may_have_either_order() {
    let folder = Folder::new();
    folder.save("y.npy", &[2], &[0_i64, 2]);
    let (little, big) = bytes!(X);
    let [little, big] = [("<f8", little), (">f8", big)].map(|(descr, bytes)| {
        folder.save_bytes("x.npy", descr, &[2, 3], &bytes);
        folder.json("eval --loss softmax --input x.npy --targets y.npy --grad-out g.npy");
        folder.load::<f64>("g.npy").1
    });
    assert_eq!(little, big);
}

#[test]
fn labels_and_weights_may_have_any_format() {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3], &X.map(|x| x as f32));
    folder.save("y.npy", &[2], &[0_i64, 1]);
    folder.save("w.npy", &[3], &[0.5_f32, 2.0, 1.0]);
    let expected = outcome(&folder, "x.npy", "y.npy --class-weights w.npy");
    let weights = [0.5, 2.0, 1.0].map(bf16::from_f32);
    folder.save_bytes("weights.npy", "<V2", &[3], &bytes!(weights).0);
    for (descr, labels) in [
        ("|b1", vec![0, 1]),
        ("|u1", vec![0, 1]),
        ("<u2", vec![0, 0, 1, 0]),
        (">i2", vec![0, 0, 0, 1]),
        (">u4", vec![0, 0, 0, 0, 0, 0, 0, 1]),
        (">i8", bytes!([0_i64, 1]).1),
    ] {
        folder.save_bytes("labels.npy", descr, &[2], &labels);
        let found = outcome(&folder, "x.npy", "labels.npy --class-weights weights.npy");
        assert_eq!(found, expected, "{descr}");
    }
}

#[test]
fn a_file_of_halves_is_read_in_parts() {
    let rows = 30_001;
    let numbers: Vec<f16> = (0..rows * 3).map(|i| f16::from_f32((i * 7 % 101) as f32)).collect();
    let held: Vec<f32> = numbers.iter().map(|number| number.to_f32()).collect();
    let labels: Vec<u8> = (0..rows).map(|row| (row % 3) as u8).collect();
    let folder = Folder::new();
    let shape = [rows, 3];
    folder.save("held.npy", &shape, &held);
    folder.save_bytes("x.npy", ">f2", &shape, &bytes!(numbers).1);
    folder.save("y.npy", &[rows], &labels);
    let expected = outcome(&folder, "held.npy", "y.npy");
    assert_eq!(outcome(&folder, "x.npy", "y.npy"), expected);
}

#[test]
fn outputs_of_different_formats_are_compared() {
    let folder = Folder::new();
    let brains = X.map(bf16::from_f64);
    folder.save("held.npy", &[2, 3], &brains.map(bf16::to_f32));
    folder.save("x.npy", &[2, 3], &X);
    folder.save_bytes("brains.npy", "<V2", &[2, 3], &bytes!(brains).0);
    let report = folder.json("compare --reference held.npy --candidate brains.npy --max-ulp 0");
    assert_eq!(report["same_bits"], true);
    let run = |most: &str| {
        folder.run(&format!("compare --reference x.npy --candidate brains.npy --max-abs {most}"))
    };
    assert_eq!((run("0.01").status, run("0.001").status), (Some(0), Some(1)));
}

#[test]
fn a_shape_that_no_machine_holds_is_refused() {
    let folder = Folder::new();
    folder.save("y.npy", &[1], &[0_u8]);
    // An overflow in the product of the other axes must be seen even before a zero.
    for shape in [[1 << 40, 0, 1 << 40], [1 << 40, 1 << 40, 0], [1 << 40, 1 << 40, 2]] {
        folder.save_bytes("x.npy", "<f4", &shape, &[]);
        let words = ["x.npy", "too large for this machine"];
        folder.refused("eval --loss softmax --input x.npy --targets y.npy", &words);
    }
}

/// An allocation of that many classes must not be tried for rows that do not exist.
#[test]
fn no_rows_of_very_many_classes_need_no_memory() {
    let folder = Folder::new();
    folder.save_bytes("x.npy", "<f4", &[0, 1 << 60], &[]);
    folder.save::<i64>("y.npy", &[0], &[]);
    let report = folder.json("eval --loss softmax --input x.npy --targets y.npy --grad-out g.npy");
    assert_eq!((report["loss"].as_f64(), report["rows"].as_u64()), (Some(0.0), Some(0)));
}

/// A `.npy` file of version 2 with this header, or a part of it.
fn with_header(length: u32, header: &str) -> Vec<u8> {
    [b"\x93NUMPY\x02\x00", &length.to_le_bytes()[..], header.as_bytes()].concat()
}

/// Each bracket doubles the parser's time: forty would take hours.
#[test]
fn a_header_of_nested_brackets_is_refused_at_once() {
    let folder = Folder::new();
    folder.save("y.npy", &[1], &[0_u8]);
    for (open, close) in [("[", "]"), ("(", ",)"), ("{", "}")] {
        let header = format!("{}1{}\n", open.repeat(60), close.repeat(60));
        let bytes = with_header(u32::try_from(header.len()).expect("a short header"), &header);
        std::fs::write(folder.path("x.npy"), bytes).expect("a file");
        folder.refused("eval --loss softmax --input x.npy --targets y.npy", &["x.npy", "brackets"]);
    }
}

/// That much memory, up to 4 GiB, must not be allocated before the file is read.
#[test]
fn a_header_longer_than_its_file_is_refused() {
    let folder = Folder::new();
    folder.save("y.npy", &[1], &[0_u8]);
    std::fs::write(folder.path("x.npy"), with_header(u32::MAX, "{")).expect("a file");
    let words = ["x.npy", "a header of 4294967295 bytes, but only 1 in the file"];
    folder.refused("eval --loss softmax --input x.npy --targets y.npy", &words);
    std::fs::write(folder.path("x.npy"), with_header(1 << 17, &" ".repeat(1 << 17)))
        .expect("a file");
    let words = ["x.npy", "expected at most 65535"];
    folder.refused("eval --loss softmax --input x.npy --targets y.npy", &words);
}

#[test]
fn numbers_of_other_types_are_refused() {
    let folder = Folder::new();
    folder.save("y.npy", &[1], &[0_u8]);
    folder.save("z.npy", &[1, 2], &[0.5_f32, 1.5]);
    let eval = "eval --loss softmax --grad-out g.npy";
    for (descr, size) in
        [("<c8", 8), ("|V1", 1), ("|V4", 4), ("<U1", 4), ("|S2", 2), ("<f16", 16), ("<m8[s]", 8)]
    {
        folder.save_bytes("x.npy", descr, &[1, 2], &vec![0; 2 * size]);
        let words = ["x.npy", descr, "expected f64, f32, f16, bf16"];
        folder.refused(&format!("{eval} --input x.npy --targets y.npy"), &words);
    }
    for (descr, label, word) in [
        ("<u8", &u64::MAX.to_le_bytes()[..], "is too large"),
        ("|b1", &[2], "expected a bool, 0 or 1, found 2"),
        ("<f2", &[0, 0x3e], "row 0 has 1.5: expected a whole number"),
        ("<V2", &[0xc0, 0x3f], "row 0 has 1.5: expected a whole number"),
        ("<V2", &[0xc0, 0x7f], "row 0 has NaN: expected a whole number"),
        ("<f4", &f32::INFINITY.to_le_bytes(), "row 0 has inf: expected a whole number"),
    ] {
        folder.save_bytes("l.npy", descr, &[1], label);
        folder.refused(&format!("{eval} --input z.npy --targets l.npy"), &["l.npy", word]);
    }
    folder.save_bytes("short.npy", "<V2", &[1, 2], &[0; 3]);
    let words = ["short.npy", "expected 4 bytes", "found 3"];
    folder.refused(&format!("{eval} --input short.npy --targets y.npy"), &words);
}
