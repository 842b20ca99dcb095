//! How batches are split: the tree affects the bits of a sum, and the parts must add up to the
//! whole.

use xent_core::{
    Batch, Buffers, Gradient, Labels, Level, LikelihoodBatch, LikelihoodInput, LogSumExpBatch,
    MultiLabel, Outputs, RowWeights, Shape, SigmoidBatch, SigmoidOptions, SigmoidTargets,
    SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};

/// Rows (or blocks) and the number of them in a chunk of 2^15 elements, rounded down.
const LEAVES: [(usize, usize, usize); 7] = [
    (1, 1, 32_768),
    (10, 1, 3276),
    (3, 7, 1560),
    (7, 3, 1560),
    (32_768, 1, 1),
    (40_000, 1, 1),
    (21, 4096, 1),
];

#[test]
fn a_chunk_has_as_many_rows_as_fit() {
    for (classes, inner, expected) in LEAVES {
        let shape = Shape::columns(3, classes, inner).expect("small");
        let x = vec![0.0_f32; shape.elements()];
        let labels = vec![0_u8; shape.row_count()];
        let labels = Labels::from(&labels[..]);
        let of = |batch: &dyn Fn() -> (usize, usize)| {
            assert_eq!(batch(), (3, expected), "{classes} x {inner}");
        };
        let parts = |batch: &SoftmaxBatch<'_>| (batch.parts(), batch.parts_per_chunk());
        of(&|| {
            let (targets, options) = (SoftmaxTargets::Index(labels), SoftmaxOptions::default());
            let batch = SoftmaxBatch::with_options(Buffers::loss(&x), shape, targets, options);
            parts(&batch.expect("valid"))
        });
        of(&|| {
            let (targets, options) = (SigmoidTargets::Dense(&x), SigmoidOptions::default());
            let batch = SigmoidBatch::with_options(Buffers::loss(&x), shape, targets, options);
            let batch = batch.expect("valid");
            (batch.parts(), batch.parts_per_chunk())
        });
        of(&|| {
            let input = LikelihoodInput::LogProbabilities;
            let batch = LikelihoodBatch::new(Buffers::loss(&x), shape, labels, input);
            let batch = batch.expect("valid");
            (batch.parts(), batch.parts_per_chunk())
        });
        of(&|| {
            let mut out = vec![0.0; shape.row_count()];
            let batch = LogSumExpBatch::new(&x, shape, &mut out).expect("valid");
            (batch.parts(), batch.parts_per_chunk())
        });
    }
}

#[test]
fn only_a_long_row_of_labels_alone_is_cut_in_pieces() {
    for (classes, inner, expected) in [
        (4096, 1, 1),
        (32_768, 1, 1),
        (65_535, 1, 1),
        (65_536, 1, 2),
        (98_309, 1, 3),
        (65_536, 2, 1),
    ] {
        let shape = Shape::columns(1, classes, inner).expect("small");
        let x = vec![0.0_f32; shape.elements()];
        let labels = vec![0_u8; inner];
        let index = SoftmaxTargets::Index(Labels::from(&labels[..]));
        let plain = SoftmaxOptions::default();
        let pieces = |targets, options, outputs| {
            SoftmaxBatch::with_options(Buffers::loss(&x), shape, targets, options)
                .and_then(|batch| batch.with_outputs(outputs))
                .expect("valid")
                .pieces_per_chunk()
        };
        let none = Outputs::default;
        assert_eq!(pieces(index, plain, none()), expected, "{classes} x {inner}");
        let weighted = SoftmaxOptions { class_weights: &x, ..plain };
        assert!(inner > 1 || pieces(index, weighted, none()) == expected);
        let smoothed = SoftmaxOptions { label_smoothing: 0.1, ..plain };
        assert_eq!(pieces(index, smoothed, none()), 1);
        assert_eq!(pieces(index, SoftmaxOptions { soft_cap: 5.0, ..plain }, none()), 1);
        assert_eq!(pieces(SoftmaxTargets::Dense(&x), plain, none()), 1);
        let mut predicted = vec![0; inner];
        let with_class = Outputs { predicted: &mut predicted, ..none() };
        assert_eq!(pieces(index, plain, with_class), expected);
        let mut hessian = vec![0.0; x.len()];
        let with_hessian = Outputs { hessian: &mut hessian, ..none() };
        assert_eq!(pieces(index, plain, with_hessian), expected);
        let mut out = vec![0.0; inner];
        let sums = LogSumExpBatch::new(&x, shape, &mut out).expect("valid");
        assert_eq!(sums.pieces_per_chunk(), expected);
    }
}

#[test]
fn halves_are_whole_leaves() {
    let x = vec![0.0_f32; 10 * 3276 * 5 + 10];
    let labels = vec![0_u8; x.len() / 10];
    let batch = |rows: usize| {
        let targets = SoftmaxTargets::Index(Labels::from(&labels[..rows]));
        SoftmaxBatch::new(Buffers::loss(&x[..10 * rows]), 10, targets).expect("valid")
    };
    for (rows, first) in [(3277, 3276), (2 * 3276, 3276), (2 * 3276 + 1, 3276), (4 * 3276, 6552)] {
        let (a, b) = batch(rows).halves().expect("more than a chunk");
        assert_eq!((a.parts(), b.parts()), (first, rows - first));
    }
    for rows in [0, 1, 3276] {
        assert!(batch(rows).halves().is_err());
    }
}

const ROWS: usize = 5;

/// Numbers without a pattern.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let spread = |i: u32| i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8;
    (0..count as u32).map(|i| spread(i) as f32 / 4e6 - 2.0).collect()
}

/// The results of a batch: its sum, losses, gradient and Hessian.
type Given = (f64, Vec<u32>, Vec<u32>, Vec<u32>);

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// The places for the results.
struct Room {
    losses: Vec<f32>,
    gradient: Vec<f32>,
    hessian: Vec<f32>,
}

impl Room {
    fn new(losses: usize, gradient: usize, hessian: usize) -> Self {
        Self {
            losses: vec![9.0; losses],
            gradient: vec![0.5; gradient],
            hessian: vec![9.0; hessian],
        }
    }

    fn given(self, sum: f64) -> Given {
        (sum, bits(&self.losses), bits(&self.gradient), bits(&self.hessian))
    }
}

/// A batch that is split anywhere has the same results as the whole; `run` passes it on.
fn holds_wherever_it_is_cut(what: &str, run: impl Fn(Option<usize>) -> Given) {
    let whole = run(None);
    for cut in 0..=ROWS {
        let parts = run(Some(cut));
        assert!(
            (parts.0 - whole.0).abs() <= 1e-12 * whole.0.abs().max(1.0),
            "{what}: sum at {cut}"
        );
        assert!(parts.1 == whole.1, "{what}: losses, cut at {cut}");
        assert!(parts.2 == whole.2, "{what}: gradient, cut at {cut}");
        assert!(parts.3 == whole.3, "{what}: Hessian, cut at {cut}");
    }
}

fn run_cut<B: Batch>(batch: B, cut: Option<usize>) -> f64 {
    let level = Level::detect();
    match cut {
        None => batch.run(level),
        Some(cut) => {
            let parts = batch.parts();
            let (a, b) = batch.split_at(cut);
            assert_eq!((a.parts(), b.parts()), (cut, parts - cut));
            a.run(level) + b.run(level)
        }
    }
}

fn buffers<'a>(mode: usize, x: &'a [f32], room: &'a mut [f32]) -> Buffers<'a> {
    match mode {
        0 => Buffers::gradient(x, room),
        1 => Buffers::accumulate(x, room),
        2 => Buffers::new(x, Gradient::WriteWide(room)),
        3 => Buffers::new(x, Gradient::AddWide(room)),
        4 => {
            room.copy_from_slice(x);
            Buffers::in_place(room)
        }
        _ => Buffers::loss(x),
    }
}

/// Blocks with a gap between them, in the logits and in the gradient.
fn shapes() -> [(Shape, usize, usize); 3] {
    [(3, 1), (40, 1), (3, 4)].map(|(classes, inner)| {
        let block = classes * inner;
        let shape = Shape::columns(ROWS, classes, inner);
        let shape = shape.and_then(|shape| shape.with_strides(block + 3, block + 3));
        let length = (ROWS - 1) * (block + 3) + block;
        (shape.expect("valid"), length, block)
    })
}

#[test]
fn a_softmax_batch_may_be_cut_anywhere() {
    for (shape, length, block) in shapes() {
        let (rows, classes) = (shape.row_count(), shape.classes());
        let x = numbers(length, 1);
        let dense: Vec<f32> = numbers(ROWS * block, 2).iter().map(|q| q.abs()).collect();
        let labels: Vec<u16> = (0..rows).map(|row| (row % classes) as u16).collect();
        let (samples, upstream) = (numbers(rows, 3), numbers(rows, 4));
        let samples: Vec<f32> = samples.iter().map(|w| w.abs()).collect();
        let weights = RowWeights { scale: 0.5, sample_weights: &samples, upstream: &upstream };
        for (name, targets) in [
            ("labels", SoftmaxTargets::Index(Labels::from(&labels[..]))),
            ("dense", SoftmaxTargets::Dense(&dense)),
            ("multi-label", SoftmaxTargets::MultiLabel(&dense, MultiLabel::Exact)),
            ("teacher", SoftmaxTargets::Teacher(&dense, 2.0)),
        ] {
            for mode in 0..6 {
                for hessian in [0, ROWS * block] {
                    let what = format!("{name} of {classes}, mode {mode}");
                    holds_wherever_it_is_cut(&what, |cut| {
                        let mut room = Room::new(rows, length, hessian);
                        let outputs = Outputs {
                            losses: &mut room.losses,
                            hessian: &mut room.hessian,
                            ..Outputs::default()
                        };
                        let buffers = buffers(mode, &x, &mut room.gradient);
                        let options = SoftmaxOptions::default();
                        let batch = SoftmaxBatch::with_options(buffers, shape, targets, options)
                            .and_then(|batch| batch.with_weights(weights))
                            .and_then(|batch| batch.with_outputs(outputs));
                        let sum = run_cut(batch.expect("valid"), cut);
                        room.given(sum)
                    });
                }
            }
        }
    }
}

#[test]
fn a_sigmoid_batch_may_be_cut_anywhere() {
    for (shape, length, block) in shapes() {
        let (rows, classes) = (shape.row_count(), shape.classes());
        let x = numbers(length, 5);
        let dense: Vec<f32> =
            numbers(ROWS * block, 6).iter().map(|y| y.abs() / 8.0 % 1.0).collect();
        let hot: Vec<u8> = dense.iter().map(|&y| u8::from(y > 0.5)).collect();
        let offsets: Vec<usize> = (0..=rows).collect();
        let positives: Vec<u8> = (0..rows).map(|row| (row % classes) as u8).collect();
        let samples: Vec<f32> = numbers(rows, 7).iter().map(|w| w.abs()).collect();
        let positives = Labels::from(&positives[..]);
        for (name, targets) in [
            ("dense", SigmoidTargets::Dense(&dense)),
            ("multi-hot", SigmoidTargets::MultiHot(Labels::from(&hot[..]))),
            ("positives", SigmoidTargets::Positives { offsets: &offsets, classes: positives }),
        ] {
            for mean_over_classes in [false, true] {
                let losses = if mean_over_classes { rows } else { ROWS * block };
                let upstream = numbers(losses, 8);
                for mode in 0..6 {
                    let what = format!("{name} of {classes}, mode {mode}, {mean_over_classes}");
                    holds_wherever_it_is_cut(&what, |cut| {
                        let mut room = Room::new(losses, length, ROWS * block);
                        let weights = RowWeights {
                            scale: 0.5,
                            sample_weights: &samples,
                            upstream: &upstream,
                        };
                        let outputs = Outputs {
                            losses: &mut room.losses,
                            hessian: &mut room.hessian,
                            ..Outputs::default()
                        };
                        let options = SigmoidOptions { mean_over_classes, ..Default::default() };
                        let buffers = buffers(mode, &x, &mut room.gradient);
                        let batch = SigmoidBatch::with_options(buffers, shape, targets, options)
                            .and_then(|batch| batch.with_weights(weights))
                            .and_then(|batch| batch.with_outputs(outputs));
                        let sum = run_cut(batch.expect("valid"), cut);
                        room.given(sum)
                    });
                }
            }
        }
    }
}

#[test]
fn a_likelihood_batch_may_be_cut_anywhere() {
    for (shape, length, _) in shapes() {
        let (rows, classes) = (shape.row_count(), shape.classes());
        let x = numbers(length, 9);
        let labels: Vec<u16> = (0..rows).map(|row| (row % classes) as u16).collect();
        let samples: Vec<f32> = numbers(rows, 7).iter().map(|w| w.abs()).collect();
        let upstream = numbers(rows, 8);
        for mode in 0..6 {
            holds_wherever_it_is_cut(&format!("{classes}, mode {mode}"), |cut| {
                let mut room = Room::new(rows, length, 0);
                let weights =
                    RowWeights { scale: 0.5, sample_weights: &samples, upstream: &upstream };
                let outputs = Outputs { losses: &mut room.losses, ..Outputs::default() };
                let buffers = buffers(mode, &x, &mut room.gradient);
                let input = LikelihoodInput::LogProbabilities;
                let batch = LikelihoodBatch::new(buffers, shape, Labels::from(&labels[..]), input)
                    .and_then(|batch| batch.with_weights(weights))
                    .and_then(|batch| batch.with_outputs(outputs));
                let sum = run_cut(batch.expect("valid"), cut);
                room.given(sum)
            });
        }
    }
}

#[test]
fn a_batch_of_log_sum_exp_may_be_cut_anywhere() {
    for (shape, length, _) in shapes() {
        let x = numbers(length, 10);
        holds_wherever_it_is_cut("log-sum-exp", |cut| {
            let mut room = Room::new(shape.row_count(), 0, 0);
            let batch = LogSumExpBatch::new(&x, shape, &mut room.losses).expect("valid");
            let sum = run_cut(batch, cut);
            room.given(sum)
        });
    }
}
