//! The formats of the computation and of the outputs.

use approx::assert_relative_eq;
use half::{bf16, f16};
use npyz::{Deserialize, FixedSizeBytes};

use crate::folder::Folder;

/// Inputs of every loss: logits, and probabilities.
const X: [f32; 6] = [0.3, 0.1, 0.7, 0.9, 0.2, 0.6];

/// Every loss with its targets.
const LOSSES: [&str; 11] = [
    "softmax --targets y.npy",
    "softmax --targets t.npy",
    "softmax-focal --targets y.npy",
    "multilabel-softmax --targets t.npy",
    "distillation --targets t.npy",
    "sigmoid --targets hot.npy",
    "sigmoid-focal --targets hot.npy",
    "multilabel-soft-margin --targets hot.npy",
    "logistic --targets hot.npy",
    "nll --targets y.npy",
    "multinomial-logistic --targets y.npy",
];

/// The targets.
fn targets() -> Folder {
    let folder = Folder::new();
    folder.save("y.npy", &[2], &[0_i64, 2]);
    folder.save("t.npy", &[2, 3], &[0.1_f32, 0.9, 0.3, 0.2, 0.0, 0.7]);
    folder.save("hot.npy", &[2, 3], &[1_u8, 0, 0, 0, 1, 1]);
    folder
}

/// The outputs of an evaluation: the losses and the gradient.
fn written(folder: &Folder, options: &str) -> [Vec<u8>; 2] {
    let outputs = "--reduction none --loss-out l.npy --grad-out g.npy";
    folder.json(&format!("eval --loss {options} {outputs}"));
    ["l.npy", "g.npy"].map(|name| std::fs::read(folder.path(name)).expect("a file"))
}

/// The Hessian that an evaluation writes.
fn hessian(folder: &Folder, input: &str) -> Vec<u8> {
    let loss = "eval --loss softmax --targets y.npy";
    folder.json(&format!("{loss} --input {input} --hessian-out h.npy"));
    std::fs::read(folder.path("h.npy")).expect("a file")
}

#[test]
fn an_f64_input_is_computed_in_f64() {
    let folder = Folder::new();
    // e^-700 is zero in f32, which would make the second row a tie.
    let (far, near) = ((-700.0_f64).exp(), 1e-12);
    folder.save("x.npy", &[2, 2], &[700.0, 0.0, near, 0.0]);
    folder.save("y.npy", &[2], &[0_u8, 0]);
    written(&folder, "softmax --input x.npy --targets y.npy --hessian-out h.npy");
    let half = near / 4.0;
    for (name, shape, expected) in [
        ("l.npy", &[2][..], &[far, std::f64::consts::LN_2 - near / 2.0][..]),
        ("g.npy", &[2, 2], &[-far, far, half - 0.5, 0.5 - half]),
        ("h.npy", &[2, 2], &[far, far, 0.25, 0.25]),
    ] {
        let (found_shape, found) = folder.load::<f64>(name);
        assert_eq!(found_shape, shape, "{name}");
        for (found, &expected) in found.into_iter().zip(expected) {
            assert_relative_eq!(found, expected, max_relative = 1e-15);
        }
    }
    folder.save("x.npy", &[1, 2], &[700.0, 0.0]);
    folder.save("y.npy", &[1], &[0_u8]);
    let report = folder.json("eval --loss softmax --input x.npy --targets y.npy");
    assert_relative_eq!(report["loss"].as_f64().expect("a number"), far, max_relative = 1e-15);
}

#[test]
fn targets_and_weights_of_an_f64_input_are_f64() {
    let folder = Folder::new();
    let (x, targets) = ([0.1, 0.2, 0.3, 0.4], [0.1, 0.9, 0.7, 0.3]);
    let (classes, samples) = ([0.1, 1.1], [0.7, 1.3]);
    folder.save("x.npy", &[2, 2], &x);
    folder.save("t.npy", &[2, 2], &targets);
    folder.save("c.npy", &[2], &classes);
    folder.save("s.npy", &[2], &samples);
    let report = folder.json(
        "eval --loss softmax --input x.npy --targets t.npy --class-weights c.npy \
         --sample-weights s.npy",
    );
    let loss = xent::SoftmaxCrossEntropy::new().with_class_weights(classes).expect("weights");
    let logits = xent::Logits::new(&x, 2).expect("whole rows");
    let pass = xent::Pass::new().sample_weights(&samples);
    let expected = loss.evaluate(logits, xent::Targets::dense(&targets), pass).expect("valid");
    let found = report["loss"].as_f64().expect("a number");
    assert_relative_eq!(found, expected.loss, max_relative = 1e-15);
}

/// Compares a 16-bit format, by its type in a file, with f32 inputs of the same values.
fn holds_for<T: Deserialize>(
    descr: &str,
    from_f32: fn(f32) -> u16,
    to_f32: fn(u16) -> f32,
    bits: fn(T) -> u16,
) {
    let folder = targets();
    let x = X.map(from_f32);
    let bytes: Vec<u8> = x.into_iter().flat_map(u16::to_le_bytes).collect();
    folder.save("held.npy", &[2, 3], &x.map(to_f32));
    folder.save_bytes("x.npy", descr, &[2, 3], &bytes);
    assert_eq!(hessian(&folder, "x.npy"), hessian(&folder, "held.npy"));
    for loss in LOSSES {
        let expected = written(&folder, &format!("{loss} --input held.npy"));
        let (_, grad) = folder.load::<f32>("g.npy");
        let unrounded = written(&folder, &format!("{loss} --input x.npy --grad-format f32"));
        assert_eq!(unrounded, expected, "{descr} {loss}");
        let [losses, _] = written(&folder, &format!("{loss} --input x.npy"));
        assert_eq!(losses, expected[0], "{descr} {loss}");
        let (shape, rounded) = folder.load::<T>("g.npy");
        assert_eq!(shape, [2, 3]);
        let rounded: Vec<u16> = rounded.into_iter().map(bits).collect();
        let expected: Vec<u16> = grad.into_iter().map(from_f32).collect();
        assert_eq!(rounded, expected, "{descr} {loss}");
    }
}

#[test]
fn sixteen_bits_have_the_losses_of_their_f32_and_its_gradient_rounded() {
    holds_for(
        "<V2",
        |number| bf16::from_f32(number).to_bits(),
        |bits| bf16::from_bits(bits).to_f32(),
        |FixedSizeBytes(bytes): FixedSizeBytes<2>| u16::from_le_bytes(bytes),
    );
    holds_for(
        "<f2",
        |number| f16::from_f32(number).to_bits(),
        |bits| f16::from_bits(bits).to_f32(),
        f16::to_bits,
    );
}

#[test]
fn the_gradient_of_f32_is_f32() {
    let folder = targets();
    folder.save("x.npy", &[2, 3], &X);
    let [same, f32] = ["input", "f32"].map(|format| {
        let options = format!("softmax --targets y.npy --grad-format {format}");
        written(&folder, &format!("{options} --input x.npy"))
    });
    assert_eq!(same, f32);
    assert_eq!(folder.load::<f32>("g.npy").0, [2, 3]);
}

#[test]
fn the_gradient_of_f64_is_not_rounded_to_f32() {
    let folder = targets();
    folder.save("x.npy", &[2, 3], &X.map(f64::from));
    let eval = "eval --loss softmax --input x.npy --targets y.npy --grad-out g.npy";
    let words = ["--grad-format f32", "at most 32 bits", "found f64"];
    folder.refused(&format!("{eval} --grad-format f32"), &words);
}

#[test]
fn the_report_names_the_format() {
    let folder = targets();
    for (descr, size, format) in
        [("<V2", 2, "bf16"), ("<f2", 2, "f16"), ("<f4", 4, "f32"), ("<f8", 8, "f64")]
    {
        folder.save_bytes("x.npy", descr, &[2, 3], &vec![0; 6 * size]);
        let eval = "eval --loss softmax --input x.npy --targets y.npy";
        assert_eq!(folder.json(eval)["format"], format, "{descr}");
        let outcome = folder.run(eval);
        assert!(outcome.stdout.contains(&format!("format      {format}\n")), "{}", outcome.stdout);
    }
}
