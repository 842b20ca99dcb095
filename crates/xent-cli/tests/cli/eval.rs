//! `xent eval`: its numbers, its files, and the input that it refuses.

use crate::folder::Folder;
use approx::assert_relative_eq;
use npyz::{AutoSerialize, Deserialize};

/// The held-out digits of the example, with the logits of its network, and the same as f64.
fn digits() -> Folder {
    let folder = Folder::new();
    for name in ["digits-logits.npy", "digits-labels.npy"] {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
        std::fs::copy(format!("{data}{name}"), folder.path(name)).expect("the data");
    }
    let (shape, logits) = folder.load::<f32>("digits-logits.npy");
    let wide: Vec<f64> = logits.into_iter().map(f64::from).collect();
    folder.save("wide.npy", &shape, &wide);
    let weights: Vec<f32> = (1..=10).map(|class| class as f32 / 4.0).collect();
    folder.save("weights.npy", &[10], &weights);
    let (_, labels) = folder.load::<u8>("digits-labels.npy");
    let one_hot: Vec<f32> = labels
        .iter()
        .flat_map(|&label| (0..10).map(move |class| f32::from(u8::from(class == label))))
        .collect();
    folder.save("one-hot.npy", &[360, 10], &one_hot);
    folder
}

/// The results of PyTorch 2.15 in f64 for the same file: the value, and the sum of the absolute
/// gradient by the logits.
#[test]
fn the_digits_have_the_numbers_of_pytorch() {
    let index = "--targets digits-labels.npy";
    let dense = "--targets one-hot.npy";
    let weights = "--class-weights weights.npy";
    for (options, value, gradient) in [
        (format!("softmax {index}"), 7.371_745_763_305_927e-2, 5.926_051_979_087_583e-2),
        (
            format!("softmax {index} --reduction sum"),
            2.653_828_474_790_134e1,
            2.133_378_712_471_53e1,
        ),
        (
            format!("softmax {index} --label-smoothing 0.1"),
            1.910_553_193_812_886_8,
            2.199_733_776_257_174_5e-1,
        ),
        (
            format!("softmax {index} {weights}"),
            1.022_509_649_751_454_6e-1,
            7.409_271_329_807_932e-2,
        ),
        (
            format!("softmax {index} {weights} --label-smoothing 0.1 --ignore-index 3"),
            1.894_826_523_421_820_7,
            2.296_940_225_405_954_6e-1,
        ),
        (format!("softmax {dense}"), 7.371_745_763_305_927e-2, 5.926_051_979_087_583e-2),
        (format!("sigmoid {dense}"), 1.553_787_673_012_866_4, 3.508_276_001_687_863_4e-1),
        (
            format!("sigmoid {dense} --pos-weight weights.npy"),
            1.553_871_265_215_240_7,
            3.509_058_727_691_110_6e-1,
        ),
        (
            format!("multilabel-soft-margin {dense}"),
            1.553_787_673_012_866_8,
            3.508_276_001_687_863_4e-1,
        ),
    ] {
        let folder = digits();
        let run = |input: &str| {
            let outputs = "--grad-out g.npy --loss-out l.npy";
            let report = folder.json(&format!("eval --loss {options} --input {input} {outputs}"));
            let (shape, loss) = folder.load::<f64>("l.npy");
            assert_eq!((shape.len(), Some(loss[0])), (0, report["loss"].as_f64()), "{options}");
            loss[0]
        };
        assert_relative_eq!(run("digits-logits.npy"), value, max_relative = 2e-7);
        let (shape, grad) = folder.load::<f32>("g.npy");
        assert_eq!(shape, [360, 10]);
        let sum: f64 = grad.iter().map(|g| f64::from(g.abs())).sum();
        assert_relative_eq!(sum, gradient, max_relative = 1e-6);
        assert_relative_eq!(run("wide.npy"), value, max_relative = 1e-14);
        let (shape, grad) = folder.load::<f64>("g.npy");
        assert_eq!(shape, [360, 10]);
        let sum: f64 = grad.iter().map(|g| g.abs()).sum();
        assert_relative_eq!(sum, gradient, max_relative = 1e-14);
    }
}

#[test]
fn the_report_says_what_a_program_needs() {
    let folder = digits();
    let arguments = "eval --loss softmax --input digits-logits.npy --targets digits-labels.npy";
    let report = folder.json(&format!("{arguments} --threads 2 --level portable"));
    assert_eq!(report["rows"], 360);
    assert_eq!(report["valid_rows"], 360);
    assert_eq!(report["classes"], 10);
    assert_eq!(report["threads"], 2);
    assert_eq!(report["level"], "portable");
    assert_relative_eq!(report["accuracy"].as_f64().unwrap(), 352.0 / 360.0);
    let loss = report["loss"].as_f64().unwrap();
    assert_relative_eq!(report["perplexity"].as_f64().unwrap(), loss.exp(), max_relative = 1e-12);
    assert!(report["seconds"].as_f64().unwrap() >= 0.0);
    let readable = folder.run(arguments);
    assert!(readable.stdout.contains("accuracy    0.9778"), "{}", readable.stdout);
    let unreduced = folder.json(&format!("{arguments} --reduction none"));
    assert!(unreduced["loss"].is_null());
}

/// Two rows of three classes, in one format.
fn small_of<T: AutoSerialize + Copy + From<f32>>() -> Folder {
    let folder = Folder::new();
    let save = |name: &str, numbers: [f32; 6]| folder.save(name, &[2, 3], &numbers.map(T::from));
    save("x.npy", [2.0, 1.0, 0.0, 0.0, 3.0, -1.0]);
    save("t.npy", [1.0, 1.0, 0.0, 0.0, 0.0, 2.0]);
    save("p.npy", [0.5, 0.25, 0.25, 0.125, 0.125, 0.75]);
    save("lp.npy", [-0.5, -1.0, -2.0, -0.25, -3.0, -4.0]);
    folder.save("y.npy", &[2], &[0_i64, 2]);
    folder.save("hot.npy", &[2, 3], &[1_u8, 1, 0, 0, 0, 1]);
    folder
}

fn small() -> Folder {
    small_of::<f32>()
}

fn loss(folder: &Folder, options: &str) -> f64 {
    folder.json(&format!("eval --loss {options}"))["loss"].as_f64().expect("a number")
}

/// ln Σ e^x of the first and the second row.
const LSE: [f64; 2] = [2.407_605_964_444_380_5, 3.065_883_903_757_429];

#[test]
fn every_loss_has_the_value_of_its_formula() {
    let (singles, doubles) = (small_of::<f32>(), small_of::<f64>());
    let ce = [LSE[0] - 2.0, LSE[1] + 1.0];
    let softplus = |x: f64| x.exp().ln_1p();
    let sigmoids: f64 = [-2.0, -1.0, 0.0, 0.0, 3.0, 1.0].into_iter().map(softplus).sum();
    let focal = |ce: f64| (1.0 - (-ce).exp()).powi(2) * ce;
    let multi = [((LSE[0] - 2.0) + (LSE[0] - 1.0)) / 2.0, 2.0 * (LSE[1] + 1.0)];
    for (options, expected) in [
        ("softmax --input x.npy --targets y.npy", (ce[0] + ce[1]) / 2.0),
        ("softmax --input x.npy --targets t.npy", multi[0] + multi[1] / 2.0),
        ("softmax-focal --input x.npy --targets y.npy", (focal(ce[0]) + focal(ce[1])) / 2.0),
        ("multilabel-softmax --input x.npy --targets t.npy", (multi[0] + multi[1]) / 2.0),
        ("sigmoid --input x.npy --targets hot.npy", sigmoids / 6.0),
        ("multilabel-soft-margin --input x.npy --targets hot.npy", sigmoids / 6.0),
        ("distillation --input x.npy --targets x.npy --temperature 4", 0.0),
        ("nll --input lp.npy --targets y.npy", 2.25),
        ("multinomial-logistic --input p.npy --targets y.npy", -(0.5 * 0.75_f64).ln() / 2.0),
        (
            "logistic --input p.npy --targets hot.npy --reduction sum",
            -(0.5 * 0.25 * 0.75 * 0.875 * 0.875 * 0.75_f64).ln(),
        ),
        (
            "softmax --input x.npy --targets y.npy --z-loss 0.5 --reduction sum",
            ce[0] + ce[1] + 0.5 * (LSE[0] * LSE[0] + LSE[1] * LSE[1]),
        ),
        ("softmax --input x.npy --targets y.npy --ignore-index 2", ce[0]),
        (
            "softmax --input x.npy --targets y.npy --ignore-index 2 --mean-over all-rows",
            ce[0] / 2.0,
        ),
    ] {
        for (folder, max_relative) in [(&singles, 1e-6), (&doubles, 1e-14)] {
            let found = loss(folder, options);
            assert_relative_eq!(found, expected, max_relative = max_relative, epsilon = 1e-15);
        }
    }
}

#[test]
fn options_change_what_they_say() {
    let folder = small();
    folder.save("v.npy", &[2], &[3.0_f32, 0.0]);
    let plain = "softmax --input x.npy --targets y.npy --reduction sum";
    let first = LSE[0] - 2.0;
    let weighted = loss(&folder, &format!("{plain} --sample-weights v.npy"));
    assert_relative_eq!(weighted, 3.0 * first, max_relative = 1e-6);
    let capped = loss(&folder, &format!("{plain} --soft-cap 1000000"));
    assert_relative_eq!(capped, loss(&folder, plain), max_relative = 1e-6);
    let focal = "sigmoid-focal --input x.npy --targets hot.npy --reduction sum";
    let half = loss(&folder, &format!("{focal} --alpha 0.5"));
    assert_relative_eq!(half, loss(&folder, focal) / 2.0, max_relative = 1e-6);
    let exact = "multilabel-softmax --input x.npy --targets t.npy --grad-out";
    loss(&folder, &format!("{exact} exact.npy"));
    loss(&folder, &format!("{exact} caffe.npy --gradient caffe"));
    let row = |name| folder.load::<f32>(name).1;
    assert_eq!(row("exact.npy")[..3], row("caffe.npy")[..3]);
    assert_relative_eq!(row("exact.npy")[4], 2.0 * row("caffe.npy")[4], max_relative = 1e-6);
}

#[test]
fn the_class_axis_may_be_anywhere() {
    let folder = small();
    folder.save("columns.npy", &[3, 2], &[2.0_f32, 0.0, 1.0, 3.0, 0.0, -1.0]);
    folder.save("image.npy", &[1, 3, 1, 2], &[2.0_f32, 0.0, 1.0, 3.0, 0.0, -1.0]);
    folder.save("mask.npy", &[1, 1, 2], &[0_u8, 2]);
    let rows = loss(&folder, "softmax --input x.npy --targets y.npy");
    for options in [
        "softmax --input columns.npy --targets y.npy --class-axis 0",
        "softmax --input image.npy --targets mask.npy --class-axis 1",
        "softmax --input image.npy --targets mask.npy --class-axis -3",
    ] {
        assert_relative_eq!(loss(&folder, options), rows, max_relative = 1e-6);
    }
}

#[test]
fn the_losses_of_rows_and_elements_have_their_shapes() {
    let folder = small();
    let unreduced = "--reduction none --loss-out l.npy";
    folder.json(&format!("eval --loss softmax --input x.npy --targets y.npy {unreduced}"));
    let (shape, losses) = folder.load::<f32>("l.npy");
    assert_eq!(shape, [2]);
    assert_relative_eq!(f64::from(losses[1]), LSE[1] + 1.0, max_relative = 1e-6);
    folder.json(&format!("eval --loss sigmoid --input x.npy --targets hot.npy {unreduced}"));
    assert_eq!(folder.load::<f32>("l.npy").0, [2, 3]);
    folder.json(&format!(
        "eval --loss multilabel-soft-margin --input x.npy --targets hot.npy {unreduced}"
    ));
    assert_eq!(folder.load::<f32>("l.npy").0, [2]);
}

#[test]
fn the_hessian_has_the_convention_that_was_asked_for() {
    let folder = small();
    for (convention, factor) in [("exact", 1.0), ("xgboost", 2.0), ("lightgbm", 1.5)] {
        folder.json(&format!(
            "eval --loss softmax --input x.npy --targets y.npy --reduction sum \
             --hessian-out h.npy --hessian {convention}"
        ));
        let (shape, h) = folder.load::<f32>("h.npy");
        let p = (2.0 - LSE[0]).exp();
        assert_eq!(shape, [2, 3]);
        assert_relative_eq!(f64::from(h[0]), factor * p * (1.0 - p), max_relative = 1e-6);
    }
}

#[test]
fn a_mean_has_no_hessian_of_a_boosting_library() {
    let folder = small();
    let eval = "eval --loss softmax --input x.npy --targets y.npy --hessian-out h.npy --hessian";
    for convention in ["xgboost", "lightgbm"] {
        folder.refused(&format!("{eval} {convention}"), &["boosting", "--reduction sum"]);
    }
    folder.json(&format!("{eval} exact"));
}

#[test]
fn the_hessian_of_the_focal_loss_is_exact_with_a_floor_if_asked_for() {
    let folder = Folder::new();
    let x = [2.0, 1.0, 0.5, -3.0, 0.25, 1.5];
    folder.save("x.npy", &[2, 3], &x);
    folder.save("y.npy", &[2], &[0_u8, 0]);
    let focal = |row: &[f64]| {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        let p = row[0].exp() / sum;
        -(1.0 - p).powi(2) * p.ln()
    };
    let eval = "eval --loss softmax-focal --input x.npy --targets y.npy --reduction sum";
    folder.json(&format!("{eval} --hessian-out h.npy"));
    let exact = folder.load::<f64>("h.npy").1;
    folder.json(&format!("{eval} --hessian-out h.npy --hessian-floor 1e-3"));
    let floored = folder.load::<f64>("h.npy").1;
    assert!(exact.iter().any(|h| *h < 0.0), "{exact:?}");
    for (place, (exact, floored)) in exact.into_iter().zip(floored).enumerate() {
        let step = 1e-4;
        let at = |by: f64| {
            let mut row = x[place / 3 * 3..][..3].to_vec();
            row[place % 3] += by;
            focal(&row)
        };
        let difference = (at(step) - 2.0 * at(0.0) + at(-step)) / (step * step);
        assert_relative_eq!(exact, difference, max_relative = 1e-5, epsilon = 1e-6);
        assert_eq!(floored, exact.max(1e-3));
    }
}

#[test]
fn one_logit_a_row_needs_no_class_axis() {
    let folder = Folder::new();
    folder.save("x.npy", &[3], &[0.0_f32, 50.0, -50.0]);
    folder.save("y.npy", &[3], &[1_u8, 1, 0]);
    let value = loss(&folder, "sigmoid --input x.npy --targets y.npy --reduction sum");
    assert_relative_eq!(value, std::f64::consts::LN_2, max_relative = 1e-6);
}

/// Rows of fifty classes, evaluated by the program in parts and by the library at once.
fn holds_for_parts<E>(rows: u64)
where
    E: xent::Float + AutoSerialize + Deserialize,
{
    let folder = Folder::new();
    let x: Vec<E> = (0..rows * 50).map(|i| E::from((i * 7 % 101) as f32 / 10.0)).collect();
    let y: Vec<i32> = (0..rows as i32).map(|row| row % 50).collect();
    folder.save("x.npy", &[rows, 50], &x);
    folder.save("y.npy", &[rows], &y);
    let report = folder.json("eval --loss softmax --input x.npy --targets y.npy --grad-out g.npy");
    let mut grad = vec![E::default(); x.len()];
    let value = xent::SoftmaxCrossEntropy::new()
        .loss_and_grad(
            xent::Logits::new(&x, 50).expect("whole rows"),
            xent::Targets::index(&y),
            &mut grad,
        )
        .expect("valid");
    assert_relative_eq!(report["loss"].as_f64().unwrap(), value, max_relative = 1e-12);
    assert_eq!(folder.load::<E>("g.npy").1, grad);
}

#[test]
fn a_file_longer_than_a_part_is_read_in_parts() {
    holds_for_parts::<f32>(100_000);
    holds_for_parts::<f64>(50_000);
}

#[test]
fn bad_files_are_one_line_that_names_them() {
    let folder = small();
    let eval = |input: &str, targets: &str| {
        format!("eval --loss softmax --input {input} --targets {targets} --grad-out g.npy")
    };
    folder.refused(&eval("none.npy", "y.npy"), &["none.npy", "No such file"]);
    std::fs::write(folder.path("text.npy"), "hello").expect("a file");
    folder.refused(&eval("text.npy", "y.npy"), &["text.npy", "not a .npy file"]);
    let whole = std::fs::read(folder.path("x.npy")).expect("a file");
    std::fs::write(folder.path("cut.npy"), &whole[..whole.len() - 5]).expect("a file");
    folder.refused(&eval("cut.npy", "y.npy"), &["cut.npy", "expected 24 bytes", "found 19"]);
    std::fs::write(folder.path("more.npy"), [&whole[..], b"more"].concat()).expect("a file");
    folder.refused(&eval("more.npy", "y.npy"), &["more.npy", "expected 24 bytes", "found 28"]);
    folder.save("three.npy", &[3], &[0_u8; 3]);
    folder.refused(&eval("x.npy", "three.npy"), &["three.npy", "[2]", "[3]"]);
    folder.save("bad.npy", &[2], &[0_i64, 3]);
    folder.refused(&eval("x.npy", "bad.npy"), &["bad.npy", "row 1 has 3", "expected 0..3"]);
    folder.refused(&eval("x.npy", "x.npy --class-weights y.npy"), &["y.npy", "3 class weights"]);
    folder.save("p.npy", &[1, 2], &[0.5_f32, 1.5]);
    folder.save("pt.npy", &[1, 2], &[0.0_f32, 1.0]);
    folder.refused(
        "eval --loss logistic --input p.npy --targets pt.npy --grad-out g.npy",
        &["p.npy", "element 1", "1.5"],
    );
    folder.save("empty.npy", &[2, 0], &[0.0_f32; 0]);
    folder.refused(&eval("empty.npy", "y.npy"), &["empty.npy", "no classes"]);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let folder = small();
    let plain = "--input x.npy --targets y.npy";
    for (options, words) in [
        ("--loss softmax --gamma 2", ["softmax", "--gamma"]),
        ("--loss nll --label-smoothing 0.1", ["nll", "--label-smoothing"]),
        ("--loss softmax --pos-weight x.npy", ["softmax", "--pos-weight"]),
        ("--loss softmax --label-smoothing 2", ["label smoothing", "0 to 1"]),
        ("--loss softmax --level sse9", ["sse9", "portable"]),
        ("--loss softmax --class-axis 2", ["x.npy", "class axis 2"]),
        ("--loss softmax --threads 0", ["--threads", "one"]),
        ("--loss softmax --grad-out x.npy", ["x.npy", "input"]),
        ("--loss softmax --grad-out g.npy --loss-out g.npy", ["g.npy", "another output"]),
        ("--loss distillation --temperature 0", ["temperature", "positive"]),
        (
            "--loss softmax --hessian-out h.npy --hessian xgboost",
            ["--hessian xgboost", "--reduction sum"],
        ),
        (
            "--loss softmax-focal --reduction sum --hessian-out h.npy --hessian xgboost",
            ["Hessian", "plain"],
        ),
    ] {
        // Two spellings of a path are recognised as the same only if the file exists.
        if options.contains("another") {
            folder.save("g.npy", &[1], &[0.0_f32]);
        }
        folder.refused(&format!("eval {plain} {options}"), &words);
    }
    let usage = folder.run("eval --loss unknown --input x.npy --targets y.npy");
    assert_eq!(usage.status, Some(2));
}

#[test]
fn what_was_there_stays_where_a_run_fails() {
    let folder = small();
    folder.save("g.npy", &[1], &[7.0_f32]);
    folder.save("bad.npy", &[2], &[0_i64, -1]);
    folder.refused(
        "eval --loss softmax --input x.npy --targets bad.npy --grad-out g.npy",
        &["bad.npy", "row 1 has -1"],
    );
    assert_eq!(folder.load::<f32>("g.npy").1, [7.0]);
}
