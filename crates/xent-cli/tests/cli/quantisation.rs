//! The scale and the zero point from a TensorFlow Lite model: one that `LiteRT` ran, and models written with the library
//! of the format.

use std::ffi::OsString;
use std::fs;

use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, WIPOffset};
use xent_reference::devices::{DIGITS_MODEL, digits};

use crate::folder::Folder;

const F32: i8 = 0;
const I32: i8 = 2;
const U8: i8 = 3;
const I16: i8 = 7;
const I8: i8 = 9;
const I4: i8 = 17;

const EVAL: &str = "eval --loss softmax --input x.bin:i8:2x3 --targets y.npy";

/// A tensor of a model.
struct Tensor<'a> {
    name: &'a str,
    kind: i8,
    /// None without the table of quantisation.
    quantisation: Option<(&'a [f32], &'a [i64])>,
}

fn logits() -> Tensor<'static> {
    Tensor { name: "logits", kind: I8, quantisation: Some((&[0.125], &[-4])) }
}

/// The place of a field in the table of fields.
fn field(number: u16) -> u16 {
    4 + 2 * number
}

/// A model with one graph, whose outputs are the tensors of these numbers.
fn model(tensors: &[Tensor<'_>], outputs: &[i32]) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let tensors: Vec<WIPOffset<TableFinishedWIPOffset>> = tensors
        .iter()
        .map(|tensor| {
            let quantisation = tensor.quantisation.map(|(scales, zero_points)| {
                let scales = builder.create_vector(scales);
                let zero_points = builder.create_vector(zero_points);
                let start = builder.start_table();
                builder.push_slot_always(field(2), scales);
                builder.push_slot_always(field(3), zero_points);
                builder.end_table(start)
            });
            let name = builder.create_string(tensor.name);
            let start = builder.start_table();
            builder.push_slot(field(1), tensor.kind, 0_i8);
            builder.push_slot_always(field(3), name);
            if let Some(quantisation) = quantisation {
                builder.push_slot_always(field(4), quantisation);
            }
            builder.end_table(start)
        })
        .collect();
    let tensors = builder.create_vector(&tensors);
    let outputs = builder.create_vector(outputs);
    let start = builder.start_table();
    builder.push_slot_always(field(0), tensors);
    builder.push_slot_always(field(2), outputs);
    let graph = builder.end_table(start);
    let graphs = builder.create_vector(&[graph]);
    let start = builder.start_table();
    builder.push_slot(field(0), 3_u32, 0);
    builder.push_slot_always(field(2), graphs);
    let root = builder.end_table(start);
    builder.finish(root, Some("TFL3"));
    builder.finished_data().to_vec()
}

/// Integers of every type with two rows, and labels.
fn folder() -> Folder {
    let folder = Folder::new();
    fs::write(folder.path("x.bin"), [5, 250, 1, 17, 3, 128]).expect("integers");
    folder.save("y.npy", &[2], &[0_i64, 2]);
    folder
}

fn put(folder: &Folder, name: &str, bytes: &[u8]) {
    fs::write(folder.path(name), bytes).expect("a model");
}

/// Expects exactly this line.
fn says(folder: &Folder, arguments: &str, line: &str) {
    let outcome = folder.run(arguments);
    assert_eq!(
        (outcome.status, outcome.stderr),
        (Some(2), format!("xent: {line}\n")),
        "{arguments}"
    );
}

/// What a run says about the integers.
fn found(folder: &Folder, arguments: &str) -> (f64, i64) {
    let json = folder.json(arguments);
    let number = |name: &str| json["quantisation"][name].as_f64().expect("a number");
    (number("scale"), number("zero_point") as i64)
}

#[test]
fn the_scale_of_a_model_is_that_which_its_runtime_applies() {
    let (folder, digits) = (Folder::new(), digits());
    let rows = digits.labels.len() as u64;
    folder.save("device.npy", &[rows, 10], digits.litert.logits.as_flattened());
    folder.save("desk.npy", &[rows, 10], digits.litert.dequantised.as_flattened());
    folder.save("y.npy", &[rows], &digits.labels);
    put(&folder, "digits.tflite", DIGITS_MODEL);
    let eval = "eval --loss softmax --targets y.npy --input";
    let of_desk = folder.json(&format!("{eval} desk.npy"));
    let of_device = folder.json(&format!("{eval} device.npy --quantisation digits.tflite"));
    // The desk's numbers are what the runtime made of the integers.
    assert_eq!(of_device["loss"], of_desk["loss"]);
    assert!(of_device["loss"].is_number());
    let scale: f64 = digits.scale.to_string().parse().expect("a number");
    let said = serde_json::json!({ "scale": scale, "zero_point": digits.zero_point });
    assert_eq!(of_device["quantisation"], said);
    assert!(of_desk["quantisation"].is_null());
    let text = folder.run(&format!("{eval} device.npy --quantisation digits.tflite")).stdout;
    let line = format!("integers    scale {}, zero point {}\n", digits.scale, digits.zero_point);
    assert!(text.contains(&line), "{text}");

    let compare = "compare --reference desk.npy --candidate device.npy --max-lsb 0";
    let json = folder.json(&format!("{compare} --candidate-quantisation digits.tflite"));
    assert_eq!(json["quantisation"], serde_json::json!({ "reference": null, "candidate": said }));
    assert_eq!(json["within"], true);
    let both = "compare --reference device.npy --reference-quantisation digits.tflite --candidate device.npy \
                --candidate-quantisation digits.tflite";
    assert_eq!(folder.json(both)["quantisation"]["reference"], said);
    let other_spelling = "--reference-quantization digits.tflite --candidate desk.npy";
    folder.json(&format!("compare --reference device.npy {other_spelling}"));
    folder.json(&format!("{eval} device.npy --quantization digits.tflite"));
}

#[test]
fn an_output_is_chosen_by_its_name_or_its_number() {
    let folder = folder();
    let tensor = |name, scale, zero_point| Tensor {
        name,
        kind: I8,
        quantisation: Some((scale, zero_point)),
    };
    let tensors = [
        tensor("hidden", &[0.5], &[9]),
        tensor("boxes:0", &[0.25], &[1]),
        tensor("classes", &[0.75], &[2]),
        tensor("1", &[2.0], &[3]),
    ];
    put(&folder, "m.tflite", &model(&tensors, &[2, 1]));
    for (name, scale) in [
        ("0", (0.75, 2)),
        ("classes", (0.75, 2)),
        ("boxes:0", (0.25, 1)),
        // A name counts before a number.
        ("1", (2.0, 3)),
        // What the last operator gets, if that was dumped.
        ("hidden", (0.5, 9)),
    ] {
        assert_eq!(
            found(&folder, &format!("{EVAL} --quantisation m.tflite:{name}")),
            scale,
            "{name}"
        );
    }
    let outputs = "they are 0: \"classes\" (i8), 1: \"boxes:0\" (i8)";
    says(
        &folder,
        &format!("{EVAL} --quantisation m.tflite"),
        &format!(
            "m.tflite: the model has several outputs: choose one by its name or its number, as in m.tflite:0; {outputs}"
        ),
    );
    for name in ["2", "class", "-1", ""] {
        folder.refused(
            &format!("{EVAL} --quantisation m.tflite:{name}"),
            &[&format!("no tensor {name:?}"), "0: \"classes\" (i8)"],
        );
    }
    // Through a pipe, which has no name.
    let outcome =
        folder.run_with(&model(&[logits()], &[0]), &format!("{EVAL} --quantisation - --json"));
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("\"quantisation\":{\"scale\":0.125,\"zero_point\":-4}"));
}

#[test]
fn a_model_without_one_scale_is_refused() {
    let folder = folder();
    let cases: [(Tensor<'_>, &str); 11] = [
        (
            Tensor { kind: F32, quantisation: None, ..logits() },
            "the tensor \"logits\" has no scale, since it is f32: if integers were dumped, choose their tensor by its \
             name, as in m.tflite:name",
        ),
        (
            Tensor { quantisation: None, ..logits() },
            "the tensor \"logits\" is i8 without a scale: give its scale and its zero point as options",
        ),
        (
            Tensor { quantisation: Some((&[], &[])), ..logits() },
            "the tensor \"logits\" is i8 without a scale: give its scale and its zero point as options",
        ),
        (
            Tensor { quantisation: Some((&[0.5, 0.25, 0.125], &[0, 0, 0])), ..logits() },
            "the tensor \"logits\" has 3 scales, one for each channel: expected one for the whole tensor",
        ),
        (
            Tensor { quantisation: Some((&[0.5], &[])), ..logits() },
            "the tensor \"logits\" has 0 zero points for one scale",
        ),
        (
            Tensor { quantisation: Some((&[0.5], &[1 << 40])), ..logits() },
            "the tensor \"logits\" has the zero point 1099511627776: expected one of its integers, -128 to 127",
        ),
        (
            Tensor { kind: U8, quantisation: Some((&[0.5], &[-1])), ..logits() },
            "the tensor \"logits\" has the zero point -1: expected one of its integers, 0 to 255",
        ),
        (
            Tensor { kind: I32, ..logits() },
            "the tensor \"logits\" is i32: expected integers of 4, 8 or 16 bits",
        ),
        (
            Tensor { quantisation: Some((&[f32::NAN], &[0])), ..logits() },
            "the tensor \"logits\": scale: expected a positive number of at most 5e33",
        ),
        (
            Tensor { kind: 18, ..logits() },
            "the tensor \"logits\" has no scale, since it is bf16: if integers were dumped, choose their tensor by its \
             name, as in m.tflite:name",
        ),
        (
            Tensor { kind: 99, ..logits() },
            "the tensor \"logits\" has no scale, since it is type 99: if integers were dumped, choose their tensor by \
             its name, as in m.tflite:name",
        ),
    ];
    for (tensor, reason) in cases {
        put(&folder, "m.tflite", &model(&[tensor], &[0]));
        says(&folder, &format!("{EVAL} --quantisation m.tflite"), &format!("m.tflite: {reason}"));
    }
    put(&folder, "m.tflite", &model(&[logits()], &[]));
    folder.refused(&format!("{EVAL} --quantisation m.tflite"), &["the model has no output"]);
    put(&folder, "m.tflite", &model(&[logits()], &[7]));
    folder.refused(&format!("{EVAL} --quantisation m.tflite"), &["no tensor of that number"]);
}

#[test]
fn integers_of_another_type_are_another_tensors() {
    let folder = folder();
    let long = [5_i16, -6, 1, 17, 3, -128].map(i16::to_le_bytes).concat();
    fs::write(folder.path("long.bin"), &long).expect("integers");
    fs::write(folder.path("x.csv"), "5,-6,1\n17,3,-128\n").expect("integers");
    put(&folder, "m.tflite", &model(&[logits()], &[0]));
    let eval = |input: &str| {
        format!("eval --loss softmax --input {input} --targets y.npy --quantisation m.tflite")
    };
    let loss = |input: &str| folder.json(&eval(input))["loss"].clone();
    assert!(loss("x.bin:i8:2x3").is_number());
    // Wider integers hold those of the tensor.
    assert_eq!(loss("long.bin:i16:2x3"), loss("x.bin:i8:2x3"));
    assert_eq!(loss("x.csv"), loss("x.bin:i8:2x3"));
    says(
        &folder,
        &eval("x.bin:u8:2x3"),
        "x.bin:u8:2x3: its integers are from 0 to 255, but those of the tensor in m.tflite from -128 to 127",
    );
    folder.save("f.npy", &[2, 3], &[0.5_f32; 6]);
    folder.refused(&eval("f.npy"), &["f.npy", "a scale is for integers"]);
    let unsigned = Tensor { kind: U8, quantisation: Some((&[0.5], &[128])), ..logits() };
    put(&folder, "m.tflite", &model(&[unsigned], &[0]));
    folder.refused(&eval("x.bin:i8:2x3"), &["from -128 to 127", "from 0 to 255"]);
    assert!(loss("x.bin:u8:2x3").is_number());
    let wide = Tensor { kind: I16, quantisation: Some((&[0.5], &[0])), ..logits() };
    put(&folder, "m.tflite", &model(&[wide], &[0]));
    folder.refused(&eval("x.bin:i8:2x3"), &["from -32768 to 32767"]);
    assert!(loss("long.bin:i16:2x3").is_number());
    let packed = Tensor { kind: I4, quantisation: Some((&[0.5], &[-3])), ..logits() };
    put(&folder, "m.tflite", &model(&[packed], &[0]));
    assert!(loss("x.bin:i8:2x3").is_number());
    fs::write(folder.path("x4.bin"), [0x25, 0x81, 0x37]).expect("integers");
    fs::write(folder.path("x8.bin"), [5_i8, 2, 1, -8, 7, 3].map(i8::cast_unsigned))
        .expect("integers");
    assert_eq!(loss("x4.bin:i4:2x3"), loss("x8.bin:i8:2x3"));
    put(&folder, "m.tflite", &model(&[logits()], &[0]));
    folder.refused(&eval("x4.bin:i4:2x3"), &["from -8 to 7", "from -128 to 127"]);
    folder.save("sums.npy", &[2, 3], &[5_i32, -6, 1, 17, 3, -128]);
    folder.refused(&eval("sums.npy"), &["sums.npy", "integers of 4, 8 or 16 bits"]);
}

#[test]
fn what_is_no_model_is_refused() {
    let folder = folder();
    put(&folder, "m.tflite", &model(&[logits()], &[0]));
    for other in ["y.npy", "x.bin"] {
        says(
            &folder,
            &format!("{EVAL} --quantisation {other}"),
            &format!(
                "{other}: not a TensorFlow Lite model: expected TFL3 at its bytes 4 to 7, as in a .tflite file"
            ),
        );
    }
    folder.refused(&format!("{EVAL} --quantisation none.tflite"), &["none.tflite", "No such file"]);
    folder.refused(
        "eval --loss softmax --input m.tflite --targets y.npy",
        &["m.tflite", "a TensorFlow Lite model", "--quantisation"],
    );
    folder.refused("eval --loss softmax --input x.bin:i8:2x3 --targets y.npy", &["--quantisation"]);
}

#[test]
fn a_scale_is_given_once() {
    let folder = folder();
    put(&folder, "m.tflite", &model(&[logits()], &[0]));
    let compare = "compare --reference x.bin:i8:2x3 --candidate x.bin:i8:2x3 --reference-scale 1";
    for (arguments, option) in [
        (format!("{EVAL} --quantisation m.tflite --scale 0.5"), "--scale"),
        (format!("{EVAL} --quantisation m.tflite --zero-point 3"), "--zero-point"),
        (format!("{EVAL} --quantisation m.tflite --zero-point 0"), "--zero-point"),
        (format!("{compare} --reference-quantisation m.tflite"), "--reference-scale"),
        (
            format!("{compare} --candidate-quantisation m.tflite --candidate-zero-point 1"),
            "--candidate-zero-point",
        ),
    ] {
        let outcome = folder.run(&arguments);
        assert_eq!(outcome.status, Some(2), "{arguments}");
        assert!(outcome.stderr.contains("cannot be used with"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(option), "{}", outcome.stderr);
    }
    let outcome = folder.run(&format!("{EVAL} --quantisation m.tflite --loss-out m.tflite"));
    outcome.is_refused(&["m.tflite", "the output is an input"]);
    assert_eq!(fs::read(folder.path("m.tflite")).expect("it"), model(&[logits()], &[0]));
}

/// Runs inside this program, which is faster: the loss, or why there is none.
fn loss(folder: &Folder, model: &[u8]) -> Result<Vec<u8>, String> {
    put(folder, "m.tflite", model);
    let words = "xent eval --threads 1 --loss softmax";
    let files = [
        ("--input", "x.bin:i8:2x3"),
        ("--targets", "y.npy"),
        ("--quantisation", "m.tflite"),
        ("--loss-out", "loss.npy"),
    ];
    let words = words.split(' ').map(OsString::from);
    let files =
        files.into_iter().flat_map(|(option, name)| [option.into(), folder.path(name).into()]);
    xent_cli::evaluate(words.chain(files))?;
    Ok(fs::read(folder.path("loss.npy")).expect("the loss"))
}

#[test]
fn a_model_that_is_cut_off_never_has_another_scale() {
    let folder = folder();
    let outputs = [Tensor { name: "boxes", ..logits() }, logits()];
    for model in [DIGITS_MODEL.to_vec(), model(&[logits()], &[0]), model(&outputs, &[1])] {
        let whole = loss(&folder, &model).expect("the model");
        let mut refused = 0;
        for length in 0..model.len() {
            match loss(&folder, &model[..length]) {
                Ok(found) => assert_eq!(found, whole, "{length} bytes"),
                Err(reason) => {
                    let what = if length < 8 { "not a TensorFlow Lite model" } else { "cut off" };
                    assert!(reason.contains(what), "{length} bytes: {reason}");
                    assert_eq!(reason.lines().count(), 1);
                    refused += 1;
                }
            }
        }
        // The weights alone may be missing.
        assert!(refused > 100, "{refused}");
    }
}

#[test]
fn a_damaged_model_is_refused_or_has_a_scale() {
    let folder = folder();
    let whole = model(&[logits()], &[0]);
    let mut refused = 0;
    for byte in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1 << bit;
            if let Err(reason) = loss(&folder, &damaged) {
                assert_eq!(reason.lines().count(), 1, "{reason}");
                assert!(reason.contains("m.tflite"), "{reason}");
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
