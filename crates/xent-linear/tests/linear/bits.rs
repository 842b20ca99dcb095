//! The bits of the loss of the logits that the product makes, however the call is cut.

use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use xent_core::reduction::{MeanOver, NothingValid, Policy, Reduction};
use xent_core::{
    Batch, Buffers, Level, MultiLabel, Outputs, RowWeights, Shape, SoftmaxBatch, SoftmaxOptions,
    SoftmaxTargets,
};
use xent_linear::{Layer, LinearCrossEntropy, LinearPass, LinearReport, Workspace};

use crate::layer::{Numbers, numbers, sum_of_products};

/// What a loss is computed with.
#[derive(Clone, Debug, Default)]
struct Setup {
    labels: Vec<i64>,
    dense: Vec<f32>,
    class_weights: Vec<f32>,
    sample_weights: Vec<f32>,
    upstream: Vec<f32>,
    kind: Kind,
    smoothing: f64,
    gamma: f64,
    z_loss: f64,
    soft_cap: f64,
    ignore: Option<i64>,
    policy: Policy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Kind {
    #[default]
    Labels,
    Dense,
    MultiLabel,
    Teacher,
}

impl Setup {
    fn targets(&self) -> SoftmaxTargets<'_> {
        match self.kind {
            Kind::Labels => SoftmaxTargets::Index(self.labels[..].into()),
            Kind::Dense => SoftmaxTargets::Dense(&self.dense),
            Kind::MultiLabel => SoftmaxTargets::MultiLabel(&self.dense, MultiLabel::Exact),
            Kind::Teacher => SoftmaxTargets::Teacher(&self.dense, 2.0),
        }
    }

    fn options(&self) -> SoftmaxOptions<'_> {
        SoftmaxOptions {
            class_weights: &self.class_weights,
            label_smoothing: self.smoothing,
            ignore_index: self.ignore,
            focal_gamma: self.gamma,
            z_loss: self.z_loss,
            soft_cap: self.soft_cap,
            empty_is_nan: self.policy.nothing_valid == NothingValid::Nan,
        }
    }

    fn loss(&self) -> LinearCrossEntropy<'_> {
        LinearCrossEntropy::new(self.options()).unwrap().with_policy(self.policy)
    }
}

fn setups(rows: usize, classes: usize) -> impl Strategy<Value = Setup> {
    let kinds = [Kind::Labels, Kind::Labels, Kind::Dense, Kind::MultiLabel, Kind::Teacher];
    let kind = proptest::sample::select(kinds.to_vec());
    let labels = proptest::collection::vec(-1..classes as i64, rows);
    let policies = (
        proptest::sample::select(vec![Reduction::Mean, Reduction::Sum, Reduction::None]),
        proptest::sample::select(vec![MeanOver::PyTorch, MeanOver::AllRows, MeanOver::Weights]),
    );
    let weights = (any::<bool>(), any::<bool>(), any::<bool>(), any::<u64>());
    let options = (
        proptest::sample::select(vec![0.0, 0.1]),
        proptest::sample::select(vec![0.0, 0.0, 2.0]),
        proptest::sample::select(vec![0.0, 1e-2]),
        proptest::sample::select(vec![0.0, 0.0, 3.0]),
    );
    (kind, labels, policies, weights, options).prop_map(
        move |(kind, labels, (reduction, mean_over), (classy, sampled, up, seed), options)| {
            let (mut smoothing, mut gamma, mut z_loss, mut soft_cap) = options;
            if kind != Kind::Labels {
                gamma = 0.0;
            }
            if gamma > 0.0 {
                smoothing = 0.0;
            }
            if kind == Kind::Teacher {
                (smoothing, z_loss, soft_cap) = (0.0, 0.0, 0.0);
            }
            let seed = seed >> 8;
            let positive = |count: usize, seed: u64| -> Vec<f32> {
                numbers(seed, count).iter().map(|x| x.abs() + 0.1).collect()
            };
            // Some of them are zero: labels that are not there, rows that are not computed.
            let some = |count: usize, seed: u64| -> Vec<f32> {
                numbers(seed, count)
                    .iter()
                    .map(|x| if *x < -0.3 { 0.0 } else { *x + 0.3 })
                    .collect()
            };
            let upstream = up && reduction == Reduction::None;
            Setup {
                labels,
                dense: if kind == Kind::Labels { vec![] } else { some(rows * classes, seed) },
                class_weights: if classy { positive(classes, seed + 3) } else { vec![] },
                sample_weights: if sampled { some(rows, seed + 4) } else { vec![] },
                upstream: if upstream { numbers(seed + 5, rows) } else { vec![] },
                kind,
                smoothing,
                gamma,
                z_loss,
                soft_cap,
                ignore: (kind == Kind::Labels).then_some(-1),
                policy: Policy { reduction, mean_over, nothing_valid: NothingValid::Zero },
            }
        },
    )
}

/// Everything that a call writes.
#[derive(Clone, Debug, PartialEq)]
struct Results {
    loss: u64,
    sum: u64,
    correct: Option<usize>,
    losses: Vec<u32>,
    log_sum_exp: Vec<u32>,
    predicted: Vec<u32>,
    of_inputs: Vec<u32>,
    of_weights: Vec<u32>,
    of_bias: Vec<u32>,
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    // A zero may have either sign: a sum of none, or of products.
    numbers.iter().map(|x| if *x == 0.0 { 0 } else { x.to_bits() }).collect()
}

/// The call, with all outputs. `rows_too` asks for what is computed of ignored rows, too.
fn fused(
    numbers: &Numbers,
    setup: &Setup,
    rows_too: bool,
    workspace: &mut Workspace,
) -> (Results, LinearReport) {
    let (rows, classes) = (numbers.rows(), numbers.classes());
    let (mut losses, mut log_sum_exp, mut predicted) =
        (vec![7.0; rows], vec![0.0; rows], vec![0; rows]);
    let mut of_inputs = vec![7.0; numbers.inputs.len()];
    let mut of_weights = vec![7.0; numbers.weights.len()];
    let mut of_bias = vec![7.0; classes];
    let mut pass = LinearPass::new()
        .grad_inputs(&mut of_inputs)
        .grad_weights(&mut of_weights)
        .grad_bias(&mut of_bias)
        .losses(&mut losses)
        .sample_weights(&setup.sample_weights)
        .upstream(&setup.upstream)
        .count_correct();
    if rows_too {
        pass = pass.log_sum_exp(&mut log_sum_exp).predicted(&mut predicted);
    }
    let report = setup.loss().evaluate(numbers.layer(), setup.targets(), pass, workspace).unwrap();
    let results = Results {
        loss: report.loss.to_bits(),
        sum: report.sum.to_bits(),
        correct: report.correct,
        losses: bits(&losses),
        log_sum_exp: bits(&log_sum_exp),
        predicted,
        of_inputs: bits(&of_inputs),
        of_weights: bits(&of_weights),
        of_bias: bits(&of_bias),
    };
    (results, report)
}

/// The same from the core's loss of the logits, and sums of products by a scalar loop.
fn apart(numbers: &Numbers, setup: &Setup) -> Results {
    let (rows, classes, hidden) = (numbers.rows(), numbers.classes(), numbers.hidden);
    let logits = numbers.logits();
    let mut gradient = vec![0.0; logits.len()];
    let (mut losses, mut log_sum_exp, mut predicted) =
        (vec![0.0; rows], vec![0.0; rows], vec![0; rows]);
    let shape = Shape::rows(rows, classes).unwrap();
    let buffers = Buffers::gradient(&logits, &mut gradient);
    let batch =
        SoftmaxBatch::with_options(buffers, shape, setup.targets(), setup.options()).unwrap();
    let weights =
        RowWeights { scale: 1.0, sample_weights: &setup.sample_weights, upstream: &setup.upstream };
    let batch = batch.with_weights(weights).unwrap();
    let division = setup.policy.division(&batch.counts()).unwrap();
    let outputs = Outputs {
        losses: &mut losses,
        log_sum_exp: &mut log_sum_exp,
        predicted: &mut predicted,
        ..Outputs::default()
    };
    let scale = division.scale(1.0);
    let sum = batch.with_outputs(outputs).unwrap().with_scale(scale).run(Level::detect());
    let labels = setup.kind == Kind::Labels;
    let correct = labels.then(|| {
        let right = setup.labels.iter().zip(&predicted);
        right.filter(|(label, class)| **label == i64::from(**class)).count()
    });

    // Ignored rows are in no sum.
    let live = |row: &usize| {
        let weight = setup.sample_weights.get(*row).is_none_or(|weight| *weight != 0.0);
        weight && !(labels && setup.labels[*row] == -1)
    };
    let live: Vec<usize> = (0..rows).filter(live).collect();
    let at = |row: usize, class: usize| gradient[row * classes + class];
    let of_inputs = (0..rows * hidden).map(|element| {
        let (row, input) = (element / hidden, element % hidden);
        if !live.contains(&row) {
            return 0.0;
        }
        let weight = |class: usize| numbers.weights[class * hidden + input];
        sum_of_products(0.0, 0..classes, |class| at(row, class), weight)
    });
    let of_weights = (0..classes * hidden).map(|element| {
        let (class, input) = (element / hidden, element % hidden);
        let x = |term: usize| numbers.inputs[live[term] * hidden + input];
        sum_of_products(0.0, 0..live.len(), |term| at(live[term], class), x)
    });
    let of_bias = (0..classes)
        .map(|class| live.iter().map(|row| f64::from(at(*row, class))).sum::<f64>() as f32);
    Results {
        loss: division.loss(sum).unwrap_or(sum).to_bits(),
        sum: sum.to_bits(),
        correct,
        losses: bits(&losses),
        log_sum_exp: bits(&log_sum_exp),
        predicted,
        of_inputs: bits(&of_inputs.collect::<Vec<_>>()),
        of_weights: bits(&of_weights.collect::<Vec<_>>()),
        of_bias: bits(&of_bias.collect::<Vec<_>>()),
    }
}

fn in_threads<R: Send>(threads: usize, run: impl FnOnce() -> R + Send) -> R {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

fn check(numbers: &Numbers, setup: &Setup) {
    let expected = apart(numbers, setup);
    let (found, _) = fused(numbers, setup, true, &mut Workspace::new());
    assert!(found == expected, "all rows: {:?}", first_difference(&found, &expected));
    // Without what is wanted of all rows, ignored rows are left out.
    let expected = Results {
        log_sum_exp: vec![0; numbers.rows()],
        predicted: vec![0; numbers.rows()],
        ..expected
    };
    let (found, _) = fused(numbers, setup, false, &mut Workspace::new());
    assert!(found == expected, "live rows: {:?}", first_difference(&found, &expected));
}

fn first_difference(a: &Results, b: &Results) -> String {
    let differ = |name: &str, a: &[u32], b: &[u32]| {
        let at = (0..a.len()).find(|&at| a[at] != b[at])?;
        Some(format!("{name}[{at}] {:x} {:x}; ", a[at], b[at]))
    };
    let mut text = format!("loss {:x} {:x}; {:?} {:?}; ", a.loss, b.loss, a.correct, b.correct);
    let all = [
        differ("losses", &a.losses, &b.losses),
        differ("log_sum_exp", &a.log_sum_exp, &b.log_sum_exp),
        differ("predicted", &a.predicted, &b.predicted),
        differ("of_inputs", &a.of_inputs, &b.of_inputs),
        differ("of_weights", &a.of_weights, &b.of_weights),
        differ("of_bias", &a.of_bias, &b.of_bias),
    ];
    text.extend(all.into_iter().flatten());
    text
}

fn shapes() -> impl Strategy<Value = (usize, usize, usize)> {
    let classes = prop_oneof![1..33_usize, 33..80_usize, Just(300), Just(700)];
    (1..40_usize, prop_oneof![1..20_usize, Just(300)], classes)
}

proptest! {
    // A failure has thousands of numbers: it is not kept in a file.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn it_has_the_bits_of_the_loss_of_the_products_logits(
        ((numbers, setup), _) in shapes().prop_flat_map(|(rows, hidden, classes)| {
            let layers = any::<u64>().prop_map(move |seed| Numbers::new(seed >> 8, rows, hidden, classes));
            ((layers, setups(rows, classes)), Just(()))
        }),
    ) {
        check(&numbers, &setup);
    }
}

#[test]
fn a_row_of_weight_zero_is_judged_although_it_is_in_no_product() {
    // Right rows are counted whatever their weight, so the class of such a row is wanted.
    let numbers = Numbers::new(4, 3, 5, 7);
    let logits = numbers.logits();
    let largest = |row: usize| {
        let row = &logits[row * 7..(row + 1) * 7];
        (0..7).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as i64
    };
    let labels = (0..3).map(largest).collect();
    let setup = Setup { labels, sample_weights: vec![1.0, 0.0, 2.0], ..Setup::default() };
    let (results, report) = fused(&numbers, &setup, false, &mut Workspace::new());
    assert_eq!((results.correct, report.weights_of_correct), (Some(3), [3.0, 3.0]));
}

#[test]
fn more_rows_than_a_chain_have_them_too() {
    // 256 rows are one chain of the gradient of the weights; every third row is ignored.
    let (rows, classes) = (600, 40);
    let numbers = Numbers::new(3, rows, 24, classes);
    let labels: Vec<i64> =
        (0..rows as i64).map(|row| if row % 3 == 0 { -1 } else { row * 7 % 40 }).collect();
    for ignore in [None, Some(-1)] {
        let labels: Vec<i64> =
            labels.iter().map(|l| if ignore.is_some() { *l } else { (*l).max(0) }).collect();
        check(&numbers, &Setup { labels, ignore, ..Setup::default() });
    }
}

#[test]
fn a_row_of_more_than_a_tile_has_them_too() {
    let (rows, classes) = (5, 9000);
    let numbers = Numbers::new(5, rows, 8, classes);
    let labels = vec![0, 8999, -1, 5000, 17];
    check(&numbers, &Setup { labels, ignore: Some(-1), ..Setup::default() });
}

/// A layer of two chunks or more in a small workspace.
fn large() -> (Numbers, Setup) {
    let (rows, classes) = (1500, 700);
    let labels =
        (0..rows as i64).map(|row| if row % 5 == 1 { -1 } else { row * 11 % 700 }).collect();
    let setup = Setup { labels, ignore: Some(-1), smoothing: 0.1, ..Setup::default() };
    (Numbers::new(9, rows, 48, classes), setup)
}

#[test]
fn threads_and_workspaces_change_no_bit() {
    let (numbers, setup) = large();
    let (expected, _) = in_threads(1, || fused(&numbers, &setup, false, &mut Workspace::new()));
    for threads in [1, 2, 3, 7] {
        for megabytes in [1, 3, 40] {
            let mut workspace = Workspace::with_limit(megabytes << 20);
            let (found, _) = in_threads(threads, || fused(&numbers, &setup, false, &mut workspace));
            assert!(
                found == expected,
                "{threads} threads, {megabytes} MiB: {}",
                first_difference(&found, &expected)
            );
            assert!(workspace.bytes() <= megabytes << 20, "{} bytes", workspace.bytes());
        }
    }
}

#[test]
fn a_kept_workspace_changes_no_bit() {
    let (numbers, setup) = large();
    let (expected, _) = fused(&numbers, &setup, false, &mut Workspace::new());
    let mut workspace = Workspace::new();
    let other = Numbers::new(1, 30, 100, 50);
    let of_other = Setup { labels: vec![3; 30], ..Setup::default() };
    for _ in 0..2 {
        fused(&other, &of_other, true, &mut workspace);
        let (found, _) = fused(&numbers, &setup, false, &mut workspace);
        assert!(found == expected, "{}", first_difference(&found, &expected));
    }
}

#[test]
fn levels_with_fma_change_no_bit() {
    let (numbers, setup) = large();
    let run = |level| {
        let mut grad = vec![0.0; numbers.weights.len()];
        let pass = LinearPass::new().grad_weights(&mut grad);
        let loss = setup.loss().with_level(level);
        let mut workspace = Workspace::new();
        let report = loss.evaluate(numbers.layer(), setup.targets(), pass, &mut workspace).unwrap();
        (report.loss.to_bits(), bits(&grad))
    };
    let best = run(Level::detect());
    for level in Level::available().filter(|level| level.has_fma()) {
        assert!(run(level) == best, "{level:?}");
    }
}

#[test]
fn strides_change_no_bit_and_gaps_are_not_written() {
    let (rows, hidden, classes) = (300, 20, 50);
    let numbers = Numbers::new(11, rows, hidden, classes);
    let labels: Vec<i64> =
        (0..rows as i64).map(|row| if row % 4 == 0 { -1 } else { row % 50 }).collect();
    let setup = Setup { labels, ignore: Some(-1), ..Setup::default() };
    let (expected, _) = fused(&numbers, &setup, false, &mut Workspace::new());

    let spread = |values: &[f32], stride: usize| -> Vec<f32> {
        let rows = values.chunks(hidden);
        rows.flat_map(|row| row.iter().copied().chain(vec![f32::NAN; stride - hidden])).collect()
    };
    let (inputs, weights) = (spread(&numbers.inputs, 23), spread(&numbers.weights, 31));
    let layer = Layer::with_strides((&inputs, rows, 23), (&weights, classes, 31), hidden).unwrap();
    let layer = layer.with_bias(&numbers.bias).unwrap();
    for epsilon in [0.0, 1e-30] {
        let (mut of_inputs, mut of_weights) = (vec![7.0; inputs.len()], vec![7.0; weights.len()]);
        let pass = LinearPass::new().grad_inputs(&mut of_inputs).grad_weights(&mut of_weights);
        let loss = setup.loss().with_gradient_filter(epsilon).unwrap();
        let report = loss.evaluate(layer, setup.targets(), pass, &mut Workspace::new()).unwrap();
        assert_eq!(report.loss.to_bits(), expected.loss);
        for (grad, stride, whole) in
            [(&of_inputs, 23, &expected.of_inputs), (&of_weights, 31, &expected.of_weights)]
        {
            for (row, whole) in grad.chunks(stride).zip(whole.chunks(hidden)) {
                assert!(row[hidden..].iter().all(|gap| *gap == 7.0));
                if epsilon == 0.0 {
                    assert_eq!(bits(&row[..hidden]), whole);
                }
            }
        }
    }
}

#[test]
fn gradients_that_are_left_out_change_no_bit_of_the_others() {
    let (numbers, setup) = large();
    let (all, _) = fused(&numbers, &setup, false, &mut Workspace::new());
    let evaluate = |pass: LinearPass<'_>| {
        let mut workspace = Workspace::new();
        let report = setup.loss().evaluate(numbers.layer(), setup.targets(), pass, &mut workspace);
        report.unwrap().loss.to_bits()
    };
    let mut grad = vec![0.0; numbers.inputs.len()];
    assert_eq!(evaluate(LinearPass::new().grad_inputs(&mut grad)), all.loss);
    assert!(bits(&grad) == all.of_inputs);
    let mut grad = vec![0.0; numbers.weights.len()];
    assert_eq!(evaluate(LinearPass::new().grad_weights(&mut grad)), all.loss);
    assert!(bits(&grad) == all.of_weights);
    let mut grad = vec![0.0; numbers.bias.len()];
    assert_eq!(evaluate(LinearPass::new().grad_bias(&mut grad)), all.loss);
    assert!(bits(&grad) == all.of_bias);
    assert_eq!(evaluate(LinearPass::new()), all.loss);
}

#[test]
fn accumulated_gradients_are_added() {
    let (numbers, setup) = large();
    // Powers of two far above, so that what is added is rounded to multiples of an ULP.
    let start = 4096.0_f32;
    let mut of_inputs = vec![start; numbers.inputs.len()];
    let mut of_weights = vec![start; numbers.weights.len()];
    let mut of_bias = vec![start; numbers.bias.len()];
    let pass = LinearPass::new()
        .accumulate_grad_inputs(&mut of_inputs)
        .accumulate_grad_weights(&mut of_weights)
        .accumulate_grad_bias(&mut of_bias);
    let mut workspace = Workspace::new();
    setup.loss().evaluate(numbers.layer(), setup.targets(), pass, &mut workspace).unwrap();
    let (written, _) = fused(&numbers, &setup, false, &mut Workspace::new());
    let all = [
        (of_inputs, written.of_inputs, 3),
        (of_weights, written.of_weights, 5),
        (of_bias, written.of_bias, 1),
    ];
    for (added, written, roundings) in all {
        for (added, written) in added.iter().zip(written) {
            let expected = start + f32::from_bits(written);
            let unit = start * f32::EPSILON;
            assert!((added - expected).abs() <= unit * roundings as f32, "{added} {expected}");
        }
    }
}

#[cfg(feature = "half")]
#[test]
fn sixteen_bits_have_the_bits_of_the_same_numbers_in_f32() {
    use half::bf16;

    let (mut numbers, setup) = large();
    let narrow = |values: &mut Vec<f32>| -> Vec<bf16> {
        let narrowed: Vec<bf16> = values.iter().map(|x| bf16::from_f32(*x)).collect();
        *values = narrowed.iter().map(|x| x.to_f32()).collect();
        narrowed
    };
    let inputs = narrow(&mut numbers.inputs);
    let weights = narrow(&mut numbers.weights);
    let bias = narrow(&mut numbers.bias);
    let (expected, _) = fused(&numbers, &setup, false, &mut Workspace::new());
    let layer = Layer::new(&inputs, &weights, numbers.hidden).unwrap().with_bias(&bias).unwrap();
    let mut of_inputs = vec![0.0; inputs.len()];
    let mut of_weights = vec![0.0; weights.len()];
    let pass = LinearPass::new().grad_inputs(&mut of_inputs).grad_weights(&mut of_weights);
    let report =
        setup.loss().evaluate(layer, setup.targets(), pass, &mut Workspace::new()).unwrap();
    assert_eq!(report.loss.to_bits(), expected.loss);
    assert!(bits(&of_inputs) == expected.of_inputs && bits(&of_weights) == expected.of_weights);
}
