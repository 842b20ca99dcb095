//! What users of other libraries ran into: a test for each thread.

use approx::assert_relative_eq;
use xent::{
    Hessian, Level, Logits, NothingValid, Pass, Reduction, Shape, SigmoidCrossEntropy,
    SoftmaxCrossEntropy, Targets,
};
use xent_reference::softmax::{cross_entropy, log_sum_exp};
use xent_reference::targets::smoothed;

use crate::support::{numbers, wide};

const LN_2: f64 = std::f64::consts::LN_2;

/// huggingface/candle#2561: NaN for large logits in binary cross-entropy with logits.
#[test]
fn candle_2561_large_logits_of_a_sigmoid() {
    for level in Level::available() {
        let loss = SigmoidCrossEntropy::new().with_level(level).with_reduction(Reduction::Sum);
        let x = [1e4, -1e4, 1e38, -1e38];
        let value = loss.loss(Logits::new(&x[..2], 1).unwrap(), Targets::dense(&[1.0, 1.0]));
        assert_eq!(value, Ok(1e4));
        let value = loss.loss(Logits::new(&x, 1).unwrap(), Targets::dense(&[1.0, 0.0, 1.0, 0.0]));
        assert_eq!(value, Ok(0.0));
    }
}

/// tracel-ai/burn#5568: padded rows counted in the mean.
#[test]
fn burn_5568_padding_is_not_in_the_mean() {
    let x = [1.0, 1.0, 9.0, -9.0, 5.0, 2.0];
    let loss = SoftmaxCrossEntropy::new().with_ignore_index(1);
    let value = loss.loss(Logits::new(&x, 2).unwrap(), Targets::index(&[0_i32, 1, 1])).unwrap();
    assert_relative_eq!(value, LN_2, max_relative = 1e-7);
}

/// pytorch/pytorch#70348 and #116349: a batch whose labels are all ignored is NaN.
#[test]
fn pytorch_70348_and_116349_all_labels_ignored() {
    let x = [1.0, 2.0, 3.0, 4.0];
    let targets = Targets::index(&[-100_i64; 2]);
    let loss = SoftmaxCrossEntropy::new().with_ignore_index(-100);
    let mut grad = [7.0; 4];
    assert_eq!(loss.loss_and_grad(Logits::new(&x, 2).unwrap(), targets, &mut grad), Ok(0.0));
    assert_eq!(grad, [0.0; 4]);
    let nan = loss.with_nothing_valid(NothingValid::Nan);
    assert!(nan.loss(Logits::new(&x, 2).unwrap(), targets).unwrap().is_nan());
}

/// pytorch/pytorch#85791 and ml-explore/mlx#4520: a reduction in a small format overflows, or loses
/// the small losses after a large one.
#[test]
fn pytorch_85791_and_mlx_4520_many_small_losses() {
    // More rows than f16 has numbers for; and after 2^24 an f32 sum would stand still.
    let rows = 200_000;
    let mut x = [0.0_f32, 0.0].repeat(rows);
    x[..2].copy_from_slice(&[-3e7, 0.0]);
    let loss = SoftmaxCrossEntropy::new().with_reduction(Reduction::Sum);
    let labels = vec![0_u8; rows];
    let sum = loss.loss(Logits::new(&x, 2).unwrap(), Targets::index(&labels)).unwrap();
    assert_relative_eq!(sum, 3e7 + (rows - 1) as f64 * LN_2, max_relative = 1e-8);
}

/// Dao-AILab/flash-attention#1930: NaN where a whole tile is masked.
#[test]
fn flash_attention_1930_a_tile_of_masks() {
    let mut x = vec![f32::NEG_INFINITY; 5 * 4096];
    (x[10_000], x[20_000]) = (1.0, 1.0);
    for level in Level::available() {
        let loss = SoftmaxCrossEntropy::new().with_level(level);
        let logits = Logits::new(&x, x.len()).unwrap();
        let value = loss.loss(logits, Targets::index(&[20_000_u32])).unwrap();
        assert_relative_eq!(value, LN_2, max_relative = 1e-7);
    }
}

/// linkedin/Liger-Kernel#968: with reduction none, the upstream gradient of a row was dropped.
#[test]
fn liger_968_upstream_of_each_row() {
    let loss = SoftmaxCrossEntropy::new().with_reduction(Reduction::None);
    let mut grad = [0.0; 4];
    let pass = Pass::new().upstream(&[3.0, -2.0]).grad(&mut grad);
    let logits = Logits::new(&[1.0, 1.0, 1.0, 1.0], 2).unwrap();
    loss.evaluate(logits, Targets::index(&[0_u8, 0]), pass).unwrap();
    assert_eq!(grad, [-1.5, 1.5, 1.0, -1.0]);
}

/// pytorch/pytorch#111484: silently wrong beyond 2^32 elements. Places are computed in `usize`; what that has
/// no number for is refused.
#[test]
fn pytorch_111484_more_than_2_to_32_elements() {
    let shapes = [
        (Shape::rows(1 << 20, 128_256), (1 << 20, 128_256)),
        (Shape::columns(1 << 10, 50_000, 1 << 12), (1 << 22, 50_000)),
    ];
    for (shape, (rows, classes)) in shapes {
        let Ok(elements) = usize::try_from(rows * classes) else {
            assert!(shape.is_err(), "{rows} rows of {classes}");
            continue;
        };
        let shape = shape.unwrap();
        assert_eq!(shape.elements(), elements);
        let last = [rows, classes].map(|count: u64| usize::try_from(count - 1).unwrap());
        assert_eq!(shape.place(last[0], last[1]), elements - 1);
    }
    assert!(Shape::rows(usize::MAX / 2, 3).is_err());
}

/// rust-ml/linfa, multinomial logistic regression: a log-sum-exp with one maximum for all rows.
#[test]
fn linfa_logistic_each_row_has_its_own_maximum() {
    let x = [1000.0, 1001.0, -1000.0, -1001.0];
    let mut lse = [0.0; 2];
    let pass = Pass::new().log_sum_exp(&mut lse);
    let logits = Logits::new(&x, 2).unwrap();
    SoftmaxCrossEntropy::new().evaluate(logits, Targets::index(&[0_u8, 1]), pass).unwrap();
    for (lse, row) in lse.iter().zip(x.chunks(2)) {
        assert_relative_eq!(f64::from(*lse), log_sum_exp(&wide(row)), max_relative = 1e-7);
    }
}

/// google-deepmind/optax#896: 0 · (-inf) in a masked class without weight.
#[test]
fn optax_896_no_weight_on_a_masked_class() {
    let x = [0.0, f32::NEG_INFINITY, 0.0];
    for level in Level::available() {
        let loss = SoftmaxCrossEntropy::new().with_level(level);
        let logits = Logits::new(&x, 3).unwrap();
        let value = loss.loss(logits, Targets::dense(&[0.5, 0.0, 0.5])).unwrap();
        assert_relative_eq!(value, LN_2, max_relative = 1e-7);
    }
}

/// pytorch/pytorch#104776 and #73205: smoothing, weights and an ignored label together.
#[test]
fn pytorch_104776_and_73205_smoothing_with_weights_and_ignored_labels() {
    for classes in [4, 50] {
        let x = numbers(3 * classes, 2, 4.0);
        let w: Vec<f32> = (0..classes).map(|class| 0.25 + class as f32).collect();
        let loss = SoftmaxCrossEntropy::new()
            .with_class_weights(&w)
            .unwrap()
            .with_label_smoothing(0.2)
            .unwrap()
            .with_ignore_index(1);
        let labels = [2_i64, 1, 3];
        let row = |row: usize| {
            let q = smoothed(classes, labels[row] as usize, 0.2, Some(&wide(&w)));
            cross_entropy(&wide(&x[row * classes..][..classes]), &q).loss
        };
        let want = (row(0) + row(2)) / f64::from(w[2] + w[3]);
        let logits = Logits::new(&x, classes).unwrap();
        let got = loss.loss(logits, Targets::index(&labels)).unwrap();
        assert_relative_eq!(got, want, max_relative = 1e-6);
    }
}

/// dmlc/xgboost#10258: the Hessian of multi-class boosting.
#[test]
fn xgboost_10258_the_hessian_of_many_classes() {
    let mut h = [0.0; 3];
    let pass = Pass::new().hessian(&mut h, Hessian::XgBoost);
    let loss = SoftmaxCrossEntropy::new().with_reduction(Reduction::Sum);
    let logits = Logits::new(&[0.0, 0.0, -100.0], 3).unwrap();
    loss.evaluate(logits, Targets::index(&[0_u8]), pass).unwrap();
    assert_eq!(h[..2], [0.5, 0.5]);
    assert_eq!(h[2], 1e-16);
}
