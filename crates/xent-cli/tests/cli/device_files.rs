//! Files of devices: raw numbers, tables of text, JSON lines, arrays of C.

use std::fmt::Write as _;

use half::{bf16, f16};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::folder::{Folder, Outcome};

const X: [f32; 6] = [2.1, 1.3, 3e-7, -0.7, 3.3, -1.9];

fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3], &X);
    folder.save("y.npy", &[2], &[0_i64, 2]);
    folder
}

fn put(folder: &Folder, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(folder.path(name), text).expect("a file");
}

/// The losses of the rows, byte by byte: those of `nll` are the inputs at the labels.
fn losses(folder: &Folder, options: &str) -> Vec<u8> {
    let outputs = "--reduction none --loss-out losses.npy";
    let outcome = folder.run(&format!("eval --loss {options} {outputs}"));
    assert_eq!(outcome.status, Some(0), "{options}: {}", outcome.stderr);
    let losses = std::fs::read(folder.path("losses.npy")).expect("the losses");
    std::fs::remove_file(folder.path("losses.npy")).expect("the losses");
    losses
}

/// Expects that the input has the numbers of `x.npy`.
fn is_x(folder: &Folder, input: &str) {
    for targets in [[0_i64, 2], [1, 0], [2, 1]] {
        folder.save("t.npy", &[2], &targets);
        let of = |input: &str| losses(folder, &format!("nll --input {input} --targets t.npy"));
        assert_eq!(of(input), of("x.npy"), "{input}");
    }
}

/// Expects exactly this line, and no new file.
fn says(folder: &Folder, files: &str, line: &str) {
    let before = folder.files();
    let outcome = folder.run(&format!("eval --loss softmax {files} --grad-out g.npy"));
    let expected = (Some(2), format!("xent: {line}\n"));
    assert_eq!((outcome.status, outcome.stderr), expected, "{files}");
    assert_eq!(folder.files(), before, "a file was left behind");
}

/// [`says`] for a text that is read as logits.
fn says_of(folder: &Folder, name: &str, text: &str, member: &str, reason: &str) {
    put(folder, name, text);
    let input = format!("{name}{member}");
    says(folder, &format!("--input {input} --targets y.npy"), &format!("{input}: {reason}"));
}

fn bytes_of<const N: usize>(bytes: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    bytes.into_iter().flatten().collect()
}

#[test]
fn raw_numbers_of_every_type_are_those_of_a_npy_file() {
    let folder = folder();
    macro_rules! floats {
        ($($name:literal $descr:literal $convert:expr;)*) => {$(
            let numbers = X.map($convert);
            folder.save_bytes("x.npy", $descr, &[2, 3], &bytes_of(numbers.map(|x| x.to_le_bytes())));
            put(&folder, "x.bin", bytes_of(numbers.map(|x| x.to_le_bytes())));
            is_x(&folder, concat!("x.bin:", $name, ":2x3"));
            put(&folder, "x.bin", bytes_of(numbers.map(|x| x.to_be_bytes())));
            is_x(&folder, concat!("x.bin:", $name, "be:2x3"));
        )*};
    }
    floats! {
        "f16" "<f2" f16::from_f32;
        "bf16" "<V2" bf16::from_f32;
        "f32" "<f4" |x| x;
        "f64" "<f8" |x| 0.1 * f64::from(x);
    }
    folder.save("x.npy", &[2, 3], &X);
    let of = |targets: &str| losses(&folder, &format!("softmax --input x.npy --targets {targets}"));
    macro_rules! integers {
        ($($integer:ident)*) => {$(
            let numbers = [2, 1, 0, 7, 3, 1_i32].map(|number| $integer::try_from(number).expect("a small number"));
            folder.save("t.npy", &[2, 3], &numbers);
            let name = stringify!($integer);
            put(&folder, "t", bytes_of(numbers.map($integer::to_le_bytes)));
            assert_eq!(of(&format!("t:{name}:2x3")), of("t.npy"), "{name}");
            if $integer::BITS > 8 {
                put(&folder, "t", bytes_of(numbers.map($integer::to_be_bytes)));
                assert_eq!(of(&format!("t:{name}be:2x3")), of("t.npy"), "{name}, big-endian");
            }
        )*};
    }
    integers! { i8 u8 i16 u16 i32 u32 i64 u64 }
    folder.save("t.npy", &[2, 3], &[1_u8, 0, 0, 1, 1, 0]);
    put(&folder, "t.raw", [1, 0, 0, 1, 1, 0]);
    assert_eq!(of("t.raw:bool:2x3"), of("t.npy"));
}

#[test]
fn raw_numbers_may_have_any_number_of_axes_and_come_through_a_pipe() {
    let folder = folder();
    put(&folder, "x.bin", bytes_of(X.map(f32::to_le_bytes)));
    for shape in ["2x3", "1x2x3", "2x1x3"] {
        folder.save("s.npy", &[1, 2], &[0_u8, 2]);
        let run = |input: &str| {
            folder.json(&format!("eval --loss softmax --input {input} --targets s.npy"))
        };
        assert_eq!(run(&format!("x.bin:f32:{shape}"))["loss"], run("x.npy")["loss"], "{shape}");
    }
    put(&folder, "y.bin", [0, 2]);
    put(&folder, "w.bin", bytes_of([0.5_f32, 2.0].map(f32::to_be_bytes)));
    folder.save("w.npy", &[2], &[0.5_f32, 2.0]);
    let of = |files: &str| losses(&folder, &format!("softmax --input {files}"));
    assert_eq!(
        of("x.bin:f32:2x3 --targets y.bin:u8:2 --sample-weights w.bin:f32be:2"),
        of("x.npy --targets y.npy --sample-weights w.npy")
    );
    let input = bytes_of(X.map(f32::to_le_bytes));
    let run = |input: &[u8], name: &str| {
        folder
            .run_with(input, &format!("eval --loss softmax --input {name} --targets y.npy --json"))
    };
    let loss = |outcome: Outcome| -> serde_json::Value {
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        serde_json::from_str::<serde_json::Value>(&outcome.stdout).expect("JSON")["loss"].clone()
    };
    let expected = folder.json("eval --loss softmax --input x.npy --targets y.npy")["loss"].clone();
    assert_eq!(loss(run(&input, "-:f32:2x3")), expected);
    assert_eq!(loss(run(b"2.1,1.3,3e-7\n-0.7,3.3,-1.9\n", "-:csv")), expected);
    assert_eq!(loss(run(b"9,2.1,1.3,3e-7\n9,-0.7,3.3,-1.9\n", "-:csv:2-4")), expected);
    assert_eq!(loss(run(b"[2.1,1.3,3e-7]\n[-0.7,3.3,-1.9]\n", "-:jsonl")), expected);
    assert_eq!(loss(run(b"float x[2][3]={2.1f,1.3f,3e-7f,-.7f,3.3f,-1.9f};", "-:h:x")), expected);
    run(&input[1..], "-:f32:2x3").is_refused(&["expected 24 bytes for shape [2, 3], found 23"]);
}

#[test]
fn raw_numbers_that_do_not_fit_their_shape_are_refused() {
    let folder = folder();
    let says = |name: &str, reason: &str| {
        says(&folder, &format!("--input {name} --targets y.npy"), &format!("{name}: {reason}"));
    };
    put(&folder, "x.bin", [0; 36]);
    says(
        "x.bin:f32:2x3",
        "expected 24 bytes for shape [2, 3], found 36, which are 3 whole rows: the first length would be 3",
    );
    put(&folder, "x.bin", [0; 35]);
    says(
        "x.bin:f32:2x3",
        "expected 24 bytes for shape [2, 3], found 35, which are 2 rows and 11 bytes",
    );
    says(
        "x.bin:i8:0x3",
        "expected 0 bytes for shape [0, 3], found 35, which are 11 rows and 2 bytes",
    );
    says("x.bin:i8:2x0", "expected 0 bytes for shape [2, 0], found 35");
    // Half a byte is no byte less.
    says(
        "x.bin:i4:22x3",
        "expected 33 bytes for shape [22, 3], found 35, which are 23 whole rows: the first length would be 23",
    );
    says(
        "x.bin:i4:2x4",
        "expected 4 bytes for shape [2, 4], found 35, which are 17 rows and 1 bytes",
    );
    let types = "raw numbers: expected a type and a shape, as in file.bin:i8:360x10; types are bool, u8, u16, u32, \
                 u64, i4, i8, i16, i32, i64, f16, bf16, f32 or f64, and with more than a byte big-endian ones, as i16be";
    for member in [
        "int8:2x3", "i8be:2x3", "i4be:2x3", "i8", "i8:", "i8:2x", "i8:-2x3", "i8:2*3", ":2x3",
        "i8:2x3:", "f8:2",
    ] {
        says(&format!("x.bin:{member}"), types);
    }
    says("none.bin:i8:2x3", "No such file or directory (os error 2)");
    let huge =
        folder.run("eval --loss softmax --input x.bin:i8:4294967296x4294967296x2 --targets y.npy");
    huge.is_refused(&["x.bin:i8:4294967296x4294967296x2: ", "too large"]);
}

/// Two in a byte, the first in its low half: by arithmetic.
fn packed(integers: &[i8]) -> Vec<u8> {
    let half = |integer: &i8| i32::from(*integer).rem_euclid(16);
    let byte = |pair: &[i8]| half(&pair[0]) + 16 * pair.get(1).map_or(9, half);
    integers.chunks(2).map(|pair| u8::try_from(byte(pair)).expect("a byte")).collect()
}

#[test]
fn integers_of_four_bits_are_two_in_a_byte() {
    let folder = folder();
    // More than are read at a time; with odd rows some begin within a byte.
    for (rows, classes) in [(1, 1), (3, 5), (4, 4), (4099, 3), (3, 4097), (1, 8191)] {
        let of = |i: usize| (i * 7 % 31 % 16) as i8 - 8;
        let integers: Vec<i8> = (0..rows * classes).map(of).collect();
        let labels: Vec<i8> = (0..rows).map(|row| (row % classes % 7) as i8).collect();
        put(&folder, "x8.bin", integers.iter().map(|q| q.cast_unsigned()).collect::<Vec<_>>());
        put(&folder, "x4.bin", packed(&integers));
        put(&folder, "y8.bin", labels.iter().map(|q| q.cast_unsigned()).collect::<Vec<_>>());
        put(&folder, "y4.bin", packed(&labels));
        let of = |bits| {
            let files = format!(
                "--input x{bits}.bin:i{bits}:{rows}x{classes} --targets y{bits}.bin:i{bits}:{rows}"
            );
            losses(&folder, &format!("softmax {files} --scale 0.3 --zero-point -2"))
        };
        assert_eq!(of(4), of(8), "{rows} x {classes}");
    }
    let options = |zero_point| format!("--targets y.npy --scale 0.3 --zero-point {zero_point}");
    put(&folder, "x.bin", packed(&[1, -8, 7, 0, 3, -1]));
    let outcome = folder.run_with(
        &packed(&[1, -8, 7, 0, 3, -1]),
        &format!("eval --loss softmax --input -:i4:2x3 {} --json", options(7)),
    );
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    says(
        &folder,
        &format!("--input x.bin:i4:2x3 {}", options(8)),
        "x.bin:i4:2x3: expected a zero point from -8 to 7, its integers; found 8",
    );
    // Of a text, each in its own field; the type says which zero points there are.
    put(&folder, "x.csv", "1,-8,7\n0,3,-1\n");
    let of = |input| losses(&folder, &format!("softmax --input {input} {}", options(-8)));
    assert_eq!(of("x.csv:i4"), of("x.bin:i4:2x3"));
    says_of(
        &folder,
        "x.csv",
        "1,-8,8\n0,3,-1\n",
        ":i4",
        "line 1, column 3: expected a whole number from -8 to 7, found \"8\"",
    );
}

#[test]
fn tables_have_the_usual_separators_headers_and_comments() {
    let folder = folder();
    for text in [
        "2.1,1.3,3e-7\n-0.7,3.3,-1.9\n",
        "2.1,1.3,3e-7\r\n-0.7,3.3,-1.9",
        "2.1;1.3;3e-7\n-0.7;3.3;-1.9\n",
        "2.1\t1.3\t3e-7\n-0.7\t3.3\t-1.9\n",
        "  2.1  1.3   3e-7\n -0.7 3.3 -1.9  \n",
        "2.1, 1.3 , 3e-7\n-0.7,+3.3,\"-1.9\"\n",
        "\u{feff}a,b,c\n2.1,1.3,3e-7\n-0.7,3.3,-1.9\n",
        "# from the device\n\n\"class 0\",\"class, 1\",class 2\n2.1,1.3,.0000003\n  # the second\n-.7,3.30,-1.9\n\n",
        "\"a b\" c d\n2.1 1.3 3e-7\n-0.7 3.3 -1.9\n",
        // Of loops that print a separator after every number.
        "2.1,1.3,3e-7,\r\n-0.7,3.3,-1.9,\r\n",
        "a;b;c;\n2.1;1.3;3e-7;\n-0.7;3.3;-1.9;\n",
    ] {
        for name in ["x.csv", "x.tsv", "x.txt"] {
            put(&folder, name, text);
            is_x(&folder, name);
        }
    }
}

#[test]
fn columns_are_chosen_by_name_and_by_number() {
    let folder = folder();
    let of = |files: &str| losses(&folder, &format!("softmax --input {files}"));
    let expected = of("x.npy --targets y.npy");
    for (text, label) in [
        ("index,label,a,b,c\n0,0,2.1,1.3,3e-7\n1,2,-0.7,3.3,-1.9\n", "label"),
        ("image,y,a,b,c\none.png,0,2.1,1.3,3e-7\ntwo.png,2,-0.7,3.3,-1.9\n", "y"),
        ("a.png,0,2.1,1.3,3e-7\nb.png,2,-0.7,3.3,-1.9\n", "2"),
        (",y,a,b,c\n0,0,2.1,1.3,3e-7\n1,2,-0.7,3.3,-1.9\n", "y"),
    ] {
        put(&folder, "log.csv", text);
        assert_eq!(of(&format!("log.csv:3-5 --targets log.csv:{label}")), expected, "{text}");
        assert_eq!(of(&format!("x.npy --targets log.csv:{label}")), expected, "{text}");
        assert_eq!(of("x.npy --targets log.csv:2"), expected, "{text}");
        assert_eq!(of("x.npy --targets log.csv:2-2:u8"), expected, "{text}");
    }
    // As pandas writes a table with an index: numbers between names are names.
    put(&folder, "log.csv", ",0,1,2\n0,2.1,1.3,3e-7\n1,-0.7,3.3,-1.9\n");
    folder.save("four.npy", &[2, 4], &[0.0_f32, 2.1, 1.3, 3e-7, 1.0, -0.7, 3.3, -1.9]);
    assert_eq!(of("log.csv --targets y.npy"), of("four.npy --targets y.npy"));
    put(&folder, "w.txt", "0.5\n2\n");
    folder.save("w.npy", &[2], &[0.5_f32, 2.0]);
    let weighted = |weights: &str| of(&format!("x.npy --targets y.npy --sample-weights {weights}"));
    assert_eq!(weighted("w.txt"), weighted("w.npy"));
}

#[test]
fn numbers_of_a_table_are_integers_or_f32_unless_a_type_is_named() {
    let folder = folder();
    let format = |input: &str, options: &str| {
        let report =
            folder.json(&format!("eval --loss softmax --input {input} --targets y.npy {options}"));
        (report["format"].clone(), report["loss"].clone())
    };
    put(&folder, "x.csv", "2.1,1.3,3e-7\n-0.7,3.3,-1.9\n");
    assert_eq!(format("x.csv", ""), format("x.npy", ""));
    folder.save("wide.npy", &[2, 3], &[2.1, 1.3, 3e-7, -0.7, 3.3, -1.9]);
    assert_eq!(format("x.csv:f64", ""), format("wide.npy", ""));
    assert_eq!(format("x.csv:1-3:f64", ""), format("wide.npy", ""));
    // Whole numbers, and then others.
    put(&folder, "x.csv", "16777217,-0\n3,4\n1,0.5\n");
    folder.save("f.npy", &[3, 2], &[16_777_217_i32 as f32, -0.0, 3.0, 4.0, 1.0, 0.5]);
    folder.save("y3.npy", &[3], &[1_u8, 0, 1]);
    let of = |input: &str| losses(&folder, &format!("nll --input {input} --targets y3.npy"));
    assert_eq!(of("x.csv"), of("f.npy"));
    for (text, numbers) in [
        ("-128,127,5\n0,1,-2\n", [-128, 127, 5, 0, 1, -2]),
        ("0,65535,5\n0,1,2\n", [0, 65535, 5, 0, 1, 2]),
    ] {
        put(&folder, "q.csv", text);
        let scaled = numbers.map(|number| 0.125 * (number - 3) as f32);
        folder.save("f.npy", &[2, 3], &scaled);
        assert_eq!(format("q.csv", "--scale 0.125 --zero-point 3"), format("f.npy", ""), "{text}");
        folder.save("f.npy", &[2, 3], &numbers.map(|number| number as f32));
        assert_eq!(format("q.csv:f32", ""), format("f.npy", ""), "{text}");
    }
    says(
        &folder,
        "--input q.csv --targets y.npy",
        "q.csv: expected floats, found integers: if a quantised model gave them out, give the scale and the zero \
         point of its output (--scale and --zero-point, or --quantisation model.tflite; in compare \
         --reference-scale, --candidate-scale and so on); if they are floats without decimals, name their type, as in file.csv:f32 or file.csv:2-11:f32",
    );
    says(
        &folder,
        "--input q.csv:u16 --targets y.npy --scale 1 --zero-point -1",
        "q.csv:u16: expected a zero point from 0 to 65535, its integers; found -1",
    );
}

#[test]
fn errors_in_tables_name_line_and_column() {
    let folder = folder();
    let says =
        |text: &str, member: &str, reason: &str| says_of(&folder, "log.csv", text, member, reason);
    says("1,2,3\n\n# two\n4,5\n", "", "line 4: 2 columns: expected 3, as in line 1");
    says("a,b,c\n1,2,3\n4,5,6,7\n", ":2", "line 3: 4 columns: expected 3, as in line 1");
    says("1.5,2,3\n4,x5,6\n", "", "line 2, column 2: expected a number, found \"x5\"");
    says(
        "a,b,c\r\n1.5,2,3\r\n4,,6\r\n",
        "",
        "line 3, column 2 (\"b\"): expected a number, found nothing",
    );
    says(
        "a,b,c\n1.5,2,3\n4,5,0x1F\n",
        ":c",
        "line 3, column 3 (\"c\"): expected a number, found \"0x1F\"",
    );
    says("1,5;2,5;3\n", ":1-2", "it has no rows of numbers");
    says(
        "1.5;2;3\n4,5;2;1\n",
        "",
        "line 2, column 1: expected a number, found \"4,5\": write decimals with a point",
    );
    // A mistake in the first line is no header.
    says("1.5,2,x\n4,5,6\n", "", "line 1, column 3: expected a number, found \"x\"");
    says("a,b\n1,2\n", ":c", "line 1: no column is named \"c\": there are \"a\", \"b\"");
    says("a,a\n1,2\n", ":a", "line 1: several columns are named \"a\": give a number");
    says("1,2,3\n", ":2-11", "line 1: column 11 is missing: there are 3");
    says("1,2,3\n", ":4", "line 1: column 4 is missing: there are 3");
    let order = "expected numbers from 1, the smaller one first, as in file.csv:2-11";
    says("1,2,3\n", ":0", &format!("columns 0: {order}"));
    says("1,2,3\n", ":3-2", &format!("columns 3-2: {order}"));
    says("", "", "it has no rows of numbers");
    says("# nothing\n\na,b,c\n", "", "it has no rows of numbers");
    says("a,\"b\n1,2\n", "", "line 1: a quotation mark is missing");
    says(
        "0,1,2\n1.5,2.5,0\n",
        "",
        "line 1: its numbers are 0, 1, 2 and so on, which may be names of columns: delete this line, or put a line \
         of names above it",
    );
    says(
        "1,2,3\n4,5,300\n",
        ":u8",
        "line 2, column 3: expected a whole number from 0 to 255, found \"300\"",
    );
    says(
        "1,2,3\n4,5,6.0\n",
        ":i8",
        "line 2, column 3: expected a whole number from -128 to 127, found \"6.0\"",
    );
    says("1.5,1e39,1\n", "", "line 1, column 2: \"1e39\" is too large for f32: read it as f64");
    says("1.5,1e399,1\n", ":f64", "line 1, column 2: \"1e399\" is too large for f64");
    says(
        "1.5,1,1\n",
        ":bf16",
        "a text is not read as bf16: expected f32, f64 or a type of integers",
    );
    let long = "9x".repeat(30);
    let start = &long[..40];
    says(
        &format!("1.5,2\n1,{long}\n"),
        "",
        &format!("line 2, column 2: expected a number, found \"{start}\"..."),
    );
    put(&folder, "log.csv", b"\xff\xfe1\x00,\x002\x00\n\0");
    let line = "log.csv: it is UTF-16: save it as UTF-8, or as ASCII";
    self::says(&folder, "--input log.csv --targets y.npy", line);
    put(&folder, "log.csv", b"1,2\n3,\xff\n");
    let line = "log.csv: line 2, column 2: expected a number, found \"\u{fffd}\"";
    self::says(&folder, "--input log.csv --targets y.npy", line);
    // Of all files alike: targets and weights too.
    put(&folder, "log.csv", "label\n0\ntwo\n");
    let line = "log.csv:label: line 3, column 1 (\"label\"): expected a number, found \"two\"";
    self::says(&folder, "--input x.npy --targets log.csv:label", line);
    self::says(&folder, "--input x.npy --targets y.npy --sample-weights log.csv:label", line);
}

#[test]
fn json_lines_are_arrays_or_objects_with_one() {
    let folder = folder();
    for (text, input) in [
        ("[2.1, 1.3, 3e-7]\n[-0.7, 3.3, -1.9]\n", "x.jsonl"),
        ("[2.1,1.3,0.0000003]\r\n\n [ -0.7 , 3.30 , -19E-1 ] ", "x.jsonl"),
        (
            "{\"y\": 0, \"x\": [2.1, 1.3, 3e-7]}\n{\"x\": [-0.7, 3.3, -1.9], \"name\": \"[,\"}\n",
            "x.jsonl:x",
        ),
    ] {
        put(&folder, "x.jsonl", text);
        is_x(&folder, input);
        std::fs::rename(folder.path("x.jsonl"), folder.path("x.ndjson")).expect("a file");
        is_x(&folder, &input.replace("jsonl", "ndjson"));
    }
    put(&folder, "y.jsonl", "{\"a\": 0, \"b:c\": [0]}\n{\"a\": 2, \"b:c\": [2]}\n");
    let of = |files: &str| losses(&folder, &format!("softmax --input x.npy --targets {files}"));
    for key in ["a", "b:c", "a:u8"] {
        assert_eq!(of(&format!("y.jsonl:{key}")), of("y.npy"), "{key}");
    }
    put(&folder, "y.jsonl", "0\n2\n");
    assert_eq!(of("y.jsonl"), of("y.npy"));
}

#[test]
fn errors_in_json_lines_name_line_and_element() {
    let folder = folder();
    let says =
        |text: &str, member: &str, reason: &str| says_of(&folder, "x.jsonl", text, member, reason);
    says("[1.5,2,3]\n\n[4,5]\n", "", "line 3: 2 numbers: expected 3, as in line 1");
    says("[1.5,2,3]\n[4,null,6]\n", "", "line 2: element 2: expected a number, found \"null\"");
    says("[1.5,2,3]\n[4,[5],6]\n", "", "line 2: element 2: expected a number, found \"[5]\"");
    says(
        "[1.5,2,3]\n[4,\"5\",6]\n",
        "",
        "line 2: element 2: expected a number, found \"\\\"5\\\"\"",
    );
    says(
        "[1.5,2,3]\n[4,NaN,6]\n",
        "",
        "line 2: no JSON, expected value at character 4: JSON has no NaN and no Infinity; save the array with numpy.save",
    );
    says(
        "[1.5,-Infinity,3]\n",
        "",
        "line 1: no JSON, invalid number at character 7: JSON has no NaN and no Infinity; save the array with numpy.save",
    );
    says("[1.5,2\n", "", "line 1: no JSON, EOF while parsing a list at character 6");
    says(
        "{\"a\": [1.5], \"b\": 2}\n",
        "",
        "line 1: expected a key of the objects, as in file.jsonl:key: there are \"a\", \"b\"",
    );
    says("{\"a\": [1.5], \"b\": 2}\n", ":c", "line 1: no key \"c\": there are \"a\", \"b\"");
    says("{\"a\": [1.5,2]}\n{\"b\": 2}\n", ":a", "line 2: no key \"a\": there is \"b\"");
    says("[1.5,2]\n", ":a", "line 1: expected an object, found \"[1.5,2]\"");
    says("\n\n", "", "it has no rows of numbers");
    says("[1.5,2,1e39]\n", "", "line 1: element 3: \"1e39\" is too large for f32: read it as f64");
}

#[test]
fn arrays_of_c_are_read_as_a_compiler_reads_them() {
    let folder = folder();
    for text in [
        "const float x[2][3] = { {2.1f, 1.3f, 3e-7f}, {-0.7f, 3.3f, -1.9f} };",
        "#include <stdint.h>\n#define N 3 /* the\nclasses[] = { */\nstatic const float x[][N] __attribute__((aligned(16))) =\n\
         {\n  { 2.1F, 1.3f, 3e-7f, }, // {\n  { -.7f /* } */, +3.3f, (-1.9f) },\n};\n",
        "extern \"C\" { alignas(16) constexpr float x [ 2 ] [ 3 ]\r\n{2.1f,1.3f,3e-7f,-0.7f,3.3f,-1.9f}; }\n",
        "int f(int a[3]) { char s[] = \"{\"; a[0] = '{'; return a[1]; }\nstruct { int a; } s = { .a = 1 };\n\
         int8_t other[] = { 1 };\nnamespace n { float x[] = {{2.1f,1.3f,3e-7f},{-0.7f,3.3f,-1.9f}}; }",
    ] {
        put(&folder, "x.h", text);
        is_x(&folder, "x.h:x");
        is_x(&folder, "x.h:x:2x3");
        std::fs::rename(folder.path("x.h"), folder.path("x.cpp")).expect("a file");
        is_x(&folder, "x.cpp:x");
    }
    put(&folder, "x.h", "float x[6] = { 2.1f, 1.3f, 3e-7f, -0.7f, 3.3f, -1.9f };");
    is_x(&folder, "x.h:2x3");
    // Without the suffix it is a double first.
    put(&folder, "x.h", "double x[2][3] = { 2.1, 1.3L, 3e-7, -0.7, 3, -19e-1 };");
    folder.save("x.npy", &[2, 3], &[2.1, 1.3, 3e-7, -0.7, 3.0, -1.9]);
    is_x(&folder, "x.h");
    put(&folder, "x.h", "float x[2][3] = { NAN, -INFINITY, 1'000.5, 0x10, -0, 010 };");
    folder.save("x.npy", &[2, 3], &[f32::NAN, f32::NEG_INFINITY, 1000.5, 16.0, 0.0, 8.0]);
    is_x(&folder, "x.h");
    for (kind, values, expected) in [
        ("int8_t", "-128, 127, 0x7f, 0x80, 0xFFu, 0b11", [-128, 127, 127, -128, -1, 3]),
        ("signed char", "0, -0x1, 010, 1'0, 1ul, +2", [0, -1, 8, 10, 1, 2]),
        ("unsigned char", "0, 255, 0xff, 1, 2, 3", [0, 255, 255, 1, 2, 3]),
        ("std::uint8_t", "0, 255, 0xff, 1, 2, 3", [0, 255, 255, 1, 2, 3]),
        ("int16_t", "0x8000, 32767, -32768, 1, 2, 3", [-32768, 32767, -32768, 1, 2, 3]),
        ("unsigned short", "65535, 0, 1, 2, 3, 4", [65535, 0, 1, 2, 3, 4]),
    ] {
        put(&folder, "q.h", format!("static {kind} const q[2][3] = {{ {values} }};"));
        folder.save("x.npy", &[2, 3], &expected.map(|number| number as f32));
        let of = |input: &str| losses(&folder, &format!("softmax --input {input} --targets y.npy"));
        assert_eq!(of("q.h:q --scale 1"), of("x.npy"), "{kind}");
    }
    let targets = |kind: &str| {
        put(&folder, "y.h", format!("{kind} y[] = {{ 0, 2 }};"));
        losses(&folder, "softmax --input x.npy --targets y.h:y")
    };
    let expected = losses(&folder, "softmax --input x.npy --targets y.npy");
    for kind in [
        "int",
        "unsigned",
        "int32_t",
        "uint32_t",
        "long",
        "unsigned long long",
        "uint64_t",
        "short",
    ] {
        assert_eq!(targets(kind), expected, "{kind}");
    }
}

#[test]
fn errors_in_c_name_array_and_line() {
    let folder = folder();
    let says =
        |text: &str, member: &str, reason: &str| says_of(&folder, "x.h", text, member, reason);
    says(
        "int8_t a[] = {1};\nfloat b[] = {2};",
        "",
        "expected the name of an array, as in file.h:name: there are \"a\", \"b\"",
    );
    says(
        "int8_t a[] = {1};\nextern float b[2];",
        ":b",
        "no array \"b\" with values: there is \"a\"",
    );
    says(
        "int main(void) {}",
        "",
        "it has no array with values, as in const int8_t logits[] = { 1, -2 };",
    );
    says("float a[] = {1};\n\nfloat a[] = {2};", ":a", "line 3: another array \"a\": delete one");
    says(
        "float x[2][3] = {1,2,3,4,5};",
        "",
        "its array \"x\": expected 6 numbers for shape [2, 3], found 5",
    );
    says(
        "float x[][3] = {1,2,3,4,5};",
        "",
        "its array \"x\": expected 3 numbers for shape [1, 3], found 5",
    );
    says(
        "float x[6] = {1,2,3,4,5,6};",
        ":x:2x4",
        "its array \"x\": expected 8 numbers for shape [2, 4], found 6",
    );
    says(
        "float x[] = {{1,2},\n{3}};",
        "",
        "its array \"x\": line 2: 1 in braces: expected 2, as in those before",
    );
    says(
        "float x[] = {{1,2}, 3};",
        "",
        "its array \"x\": line 1: a number next to braces: expected braces around all",
    );
    says(
        "float x[] = {1,\n2",
        "",
        "its array \"x\": line 2: expected a comma or a brace, found the end of the file",
    );
    says(
        "float x[] = {1 2};",
        "",
        "its array \"x\": line 1: expected a comma or a brace, found \"2\"",
    );
    says("float x[] = {1,,2};", "", "its array \"x\": line 1: expected a number, found \",\"");
    says("float x[] = {1, N};", "", "its array \"x\": line 1: expected a number, found \"N\"");
    says("float x[] = {[1] = 2};", "", "its array \"x\": line 1: expected a number, found \"[\"");
    says("float x[] = {\"1\"};", "", "its array \"x\": line 1: expected a number, found a text");
    says(
        "float x[] = {1, 0x1p3};",
        "",
        "its array \"x\": line 1: \"0x1p3\": write a hexadecimal float in decimals",
    );
    says(
        "float x[] = {1, 1e39f};",
        "",
        "its array \"x\": line 1: \"1e39f\" is too large for float",
    );
    says(
        "int8_t x[] = {1, 128};",
        "",
        "its array \"x\": line 1: expected a whole number from -128 to 127, found \"128\"",
    );
    says(
        "uint8_t x[] = {-1};",
        "",
        "its array \"x\": line 1: expected a whole number from 0 to 255, found \"-1\"",
    );
    says(
        "int8_t x[] = {1.5};",
        "",
        "its array \"x\": line 1: expected a whole number from -128 to 127, found \"1.5\"",
    );
    says(
        "char x[] = {1};",
        "",
        "its array \"x\": char has a sign on some machines only: write signed char or unsigned char",
    );
    says(
        "struct p x[] = {1};",
        "",
        "its array \"x\": its type \"struct p\" is unknown: expected int8_t, uint8_t, int16_t, int32_t, float, double \
         or another type of C",
    );
    says("float x[] = {1 /* one };", "", "its array \"x\": line 1: a comment without an end");
    says("int x[", "", "line 1: a bracket without an end");
    says("int y[] = { 1,", ":x", "line 1: a brace without an end");
}

#[test]
fn outputs_do_not_get_the_names_of_these_files() {
    let folder = folder();
    for output in [
        "g.csv",
        "g.tsv",
        "g.txt",
        "g.jsonl",
        "g.ndjson",
        "g.h",
        "g.c",
        "g.bin",
        "g.csv:label",
        "g.bin:i8:2x3",
        "g:f32:2x3",
        "g.h:x:2x3",
    ] {
        let run = format!("eval --loss softmax --input x.npy --targets y.npy --grad-out {output}");
        folder.refused(&run, &[output, "the output is a .npy file: choose another name"]);
    }
    // A file that is there is what was meant.
    put(&folder, "x.bin:i8:2x3", std::fs::read(folder.path("x.npy")).expect("a file"));
    put(&folder, "x.bin", [0]);
    is_x(&folder, "x.bin:i8:2x3");
}

#[test]
fn both_outputs_that_are_compared_may_be_such_files() {
    let folder = folder();
    put(&folder, "device.bin", [2_i8, -3, 127, -128, 0, 5].map(i8::to_le_bytes).concat());
    put(&folder, "log.csv", "row,a,b,c\n0,2,-3,127\n1,-128,0,5\n");
    put(&folder, "log.jsonl", "[2,-3,127]\n[-128,0,5]\n");
    put(&folder, "out.h", "const int8_t out[2][3] = { {2, -3, 0x7f}, {0x80, 0, 5} };");
    let scale = "--reference-scale 0.5 --reference-zero-point 1 --candidate-scale 0.5 --candidate-zero-point 1";
    for candidate in ["log.csv:2-4", "log.jsonl", "out.h:out", "log.csv:2-4:i8"] {
        let files = format!("--reference device.bin:i8:2x3 --candidate {candidate}");
        let outcome = folder.run(&format!("compare {files} {scale} --max-ulp 0"));
        assert_eq!(outcome.status, Some(0), "{candidate}: {}", outcome.stderr);
    }
}

/// A number as a device might print it.
fn printed(number: f32, way: usize) -> String {
    match way % 3 {
        0 => format!("{number}"),
        1 => format!("{number:e}"),
        _ => format!("{number:.9e}"),
    }
}

/// Rows of numbers in every form: the name of each input.
fn save_in_every_form(
    folder: &Folder,
    kind: &str,
    columns: usize,
    numbers: &[String],
    c: &[String],
) -> Vec<String> {
    let rows = numbers.len() / columns;
    let lines = |separator: &str, begin: &str, end: &str, numbers: &[String]| {
        numbers.chunks(columns).fold(String::new(), |mut text, row| {
            writeln!(text, "{begin}{}{end}", row.join(separator)).expect("memory");
            text
        })
    };
    let (kind, last) =
        (if kind == "f32" { "float".to_owned() } else { format!("{kind}_t") }, columns + 1);
    put(folder, "a.csv", lines(", ", "7.5, ", "", numbers));
    put(
        folder,
        "b.csv",
        format!("{}\n{}", vec!["a"; columns].join(";"), lines(";", "", "", numbers)),
    );
    put(folder, "c.txt", lines("  ", " ", "\r", numbers));
    put(folder, "d.jsonl", lines(",", "[", "]", numbers));
    put(folder, "e.jsonl", lines(",", "{\"x\": [", "]}", numbers));
    put(folder, "f.h", format!("const {kind} x[] = {{\n{}}};", lines(", ", "{", "},", c)));
    put(
        folder,
        "g.h",
        format!("const {kind} x[{}] = {{\n{}}};", rows * columns, lines(",\n", "", ",", c)),
    );
    ["b.csv", "c.txt", "d.jsonl", "e.jsonl:x", "f.h:x"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("a.csv:2-{last}"), format!("g.h:x:{rows}x{columns}")])
        .collect()
}

/// Runs `nll`, whose losses are the inputs at the labels, over every form and the `.npy` file.
fn agree(folder: &Folder, inputs: Vec<String>, columns: usize, options: &str) {
    let of =
        |input: &str| losses(folder, &format!("nll --input {input} --targets y.npy {options}"));
    for shift in 0..columns {
        let (_, labels) = folder.load::<i64>("y.npy");
        let labels: Vec<i64> =
            labels.iter().map(|label| (label + shift as i64) % columns as i64).collect();
        folder.save("y.npy", &[labels.len() as u64], &labels);
        let expected = of("x.npy");
        for input in &inputs {
            assert!(of(input) == expected, "{input}");
        }
    }
}

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: 8, failure_persistence: None, ..Config::default() })
}

#[test]
fn random_floats_are_the_same_bits_in_every_form() {
    let floats =
        prop::collection::vec(any::<f32>().prop_filter("finite", |x| x.is_finite()), 2..40);
    runner()
        .run(&(floats, 2..4_usize, 0..3_usize), |(mut numbers, columns, way)| {
            let rows = numbers.len().div_ceil(columns);
            // So that not all are whole numbers.
            numbers.resize(rows * columns, 0.5);
            numbers[0] = 0.25;
            let folder = Folder::new();
            folder.save("x.npy", &[rows as u64, columns as u64], &numbers);
            folder.save("y.npy", &[rows as u64], &vec![0_i64; rows]);
            let texts: Vec<String> = numbers.iter().map(|number| printed(*number, way)).collect();
            let suffixed: Vec<String> =
                numbers.iter().map(|number| format!("{number:e}f")).collect();
            let mut inputs = save_in_every_form(&folder, "f32", columns, &texts, &suffixed);
            for (name, bytes) in [
                ("f32", bytes_of(numbers.iter().map(|number| number.to_le_bytes()))),
                ("f32be", bytes_of(numbers.iter().map(|number| number.to_be_bytes()))),
            ] {
                put(&folder, name, bytes);
                inputs.push(format!("{name}:{name}:{rows}x{columns}"));
            }
            agree(&folder, inputs, columns, "");
            Ok(())
        })
        .expect("the same bits");
}

#[test]
fn random_integers_are_the_same_in_every_form() {
    macro_rules! integers {
        ($($integer:ident $descr:literal)*) => {$(
            runner()
                .run(&(prop::collection::vec(any::<$integer>(), 2..40), 2..4_usize), |(mut numbers, columns)| {
                    let rows = numbers.len().div_ceil(columns);
                    numbers.resize(rows * columns, 1);
                    let folder = Folder::new();
                    let bytes = bytes_of(numbers.iter().map(|number| number.to_le_bytes()));
                    folder.save_bytes("x.npy", $descr, &[rows as u64, columns as u64], &bytes);
                    folder.save("y.npy", &[rows as u64], &vec![0_i64; rows]);
                    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                    let hex: Vec<String> = numbers.iter().map(|number| format!("0x{number:x}")).collect();
                    let name = stringify!($integer);
                    let c_name = if $integer::MIN == 0 {
                        name.replace('u', "uint")
                    } else {
                        name.replace('i', "int")
                    };
                    let mut inputs = save_in_every_form(&folder, &c_name, columns, &texts, &hex);
                    put(&folder, "raw", bytes);
                    inputs.push(format!("raw:{name}:{rows}x{columns}"));
                    put(&folder, "big", bytes_of(numbers.iter().map(|number| number.to_be_bytes())));
                    if $integer::BITS > 8 {
                        inputs.push(format!("big:{name}be:{rows}x{columns}"));
                    }
                    agree(&folder, inputs, columns, "--scale 0.5 --zero-point 7");
                    Ok(())
                })
                .expect("the same numbers");
        )*};
    }
    integers! { i8 "|i1" u8 "|u1" i16 "<i2" u16 "<u2" }
}
