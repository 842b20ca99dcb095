//! Values and gradients against those of burn's own operations in f64, for random shapes, formats, layouts and options.

use std::fmt;

use burn::tensor::activation::{log_sigmoid, log_softmax, sigmoid};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use xent_burn::xent::{
    Distillation, MultiLabelSoftMargin, MultiLabelSoftmax, NegativeLogLikelihood, Reduction,
    SigmoidCrossEntropy, SoftmaxCrossEntropy,
};
use xent_burn::{
    BinaryCrossEntropyLossConfig, CrossEntropyLossConfig, LossExt, linear_cross_entropy,
};

/// How the logits lie in memory: views of one array.
#[derive(Clone, Copy, Debug)]
enum Lay {
    Contiguous,
    /// The classes are the first axis of the array.
    Transposed,
    /// Some columns of wider rows.
    Narrow,
    /// Some rows, which are contiguous but do not start where the array does.
    Tail,
}

/// A batch of `rows × classes` logits in some format and layout, with numbers for what else a loss needs.
#[derive(Clone)]
struct Case {
    rows: usize,
    classes: usize,
    lay: Lay,
    dtype: DType,
    label_dtype: DType,
    reduction: Reduction,
    /// The upstream gradient.
    factor: f64,
    numbers: Vec<f64>,
}

/// Without its numbers.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, classes, lay, dtype, label_dtype, reduction, factor, .. } = self;
        write!(
            f,
            "{rows} x {classes}, {lay:?}, {dtype:?}, labels of {label_dtype:?}, {reduction:?} times {factor}"
        )
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let lay = prop_oneof![
        Just(Lay::Contiguous),
        Just(Lay::Transposed),
        Just(Lay::Narrow),
        Just(Lay::Tail)
    ];
    let dtype =
        prop_oneof![Just(DType::F32), Just(DType::F64), Just(DType::BF16), Just(DType::F16)];
    let labels = prop_oneof![Just(DType::U8), Just(DType::I32), Just(DType::I64)];
    let reduction = prop_oneof![Just(Reduction::Mean), Just(Reduction::Sum), Just(Reduction::None)];
    let factor =
        prop_oneof![Just(1.0), Just(0.5), (1..12_u8).prop_map(|eighths| f64::from(eighths) / 8.0)];
    (1..12_usize, 1..50_usize, lay, dtype, labels, reduction, factor, 0..1_u64 << 40).prop_map(
        |(rows, classes, lay, dtype, label_dtype, reduction, factor, seed)| {
            // Numbers from -5 to 5 that every format has.
            let mut state = seed;
            let numbers = (0..4 * (rows + 2) * (classes + 3)).map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                ((state >> 56) as f64 - 128.0) * 5.0 / 160.0
            });
            let numbers = numbers.collect();
            Case { rows, classes, lay, dtype, label_dtype, reduction, factor, numbers }
        },
    )
}

/// How far results may be from those of burn in f64.
#[derive(Clone, Copy)]
struct Slack {
    /// Units in the last place of f32 (for logits of f64 of that) of the largest result.
    ulps: f64,
    /// The least that counts as the largest.
    floor: f64,
}

/// 4 ULP and one for each unit of distance between logits, here up to 10; one for the upstream gradient, one for weights.
const SOFTMAX: Slack = Slack { ulps: 16.0, floor: 0.0 };
/// A divergence is a difference of cross-entropies, up to 4 · 5 here.
const DIVERGENCE: Slack = Slack { ulps: 16.0, floor: 20.0 };
/// Sums of up to 20 products on the way to the logits, and of up to 50 on the way back.
const LAYER: Slack = Slack { ulps: 100.0, floor: 0.5 };

fn device() -> Device {
    Device::flex().autodiff()
}

fn array<const D: usize>(
    values: &[f64],
    shape: [usize; D],
    dtype: DType,
    device: &Device,
) -> Tensor<D> {
    let count = shape.iter().product();
    Tensor::from_data(TensorData::new(values[..count].to_vec(), shape), (device, dtype))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_to_vec().unwrap()
}

impl Case {
    /// The array that logits are a view of.
    fn array(&self, dtype: DType) -> Tensor<2> {
        let (rows, classes) = (self.rows, self.classes);
        let shape = match self.lay {
            Lay::Contiguous => [rows, classes],
            Lay::Transposed => [classes, rows],
            Lay::Narrow => [rows, classes + 3],
            Lay::Tail => [rows + 2, classes],
        };
        array(&self.numbers, shape, dtype, &device()).require_grad()
    }

    fn view(&self, array: Tensor<2>) -> Tensor<2> {
        match self.lay {
            Lay::Contiguous => array,
            Lay::Transposed => array.transpose(),
            Lay::Narrow => array.narrow(1, 2, self.classes),
            Lay::Tail => array.narrow(0, 2, self.rows),
        }
    }

    fn is_f64(&self) -> bool {
        self.dtype == DType::F64
    }

    /// Numbers that are not the logits.
    fn others(&self) -> &[f64] {
        &self.numbers[self.numbers.len() / 2..]
    }

    /// Numbers from 0 to 1 of the logits' shape.
    fn unit(&self) -> Tensor<2> {
        let values: Vec<f64> =
            self.others().iter().map(|x| ((x + 5.0) * 1.6).floor() / 16.0).collect();
        array(&values, [self.rows, self.classes], DType::F64, &device())
    }

    fn label_values(&self) -> Vec<i64> {
        let of_rows = self.others()[..self.rows].iter();
        of_rows.map(|x| (((x + 5.0) * 1000.0) as usize % self.classes) as i64).collect()
    }

    fn labels(&self) -> Tensor<1, Int> {
        Tensor::from_data(
            TensorData::new(self.label_values(), [self.rows]),
            (&device(), self.label_dtype),
        )
    }

    /// A one at each label, f64.
    fn one_hot(&self) -> Tensor<2> {
        let mut values = vec![0.0; self.rows * self.classes];
        for (row, label) in self.label_values().into_iter().enumerate() {
            values[row * self.classes + label as usize] = 1.0;
        }
        array(&values, [self.rows, self.classes], DType::F64, &device())
    }

    /// Positive weights of classes.
    fn weights(&self) -> Vec<f32> {
        self.others()[..self.classes]
            .iter()
            .map(|x| ((x + 6.0) * 8.0).floor() as f32 / 16.0)
            .collect()
    }

    /// Compares the loss with that of burn's operations, which have a loss for each row or element of the logits in
    /// f64, before they are reduced, and the divisor of the mean.
    fn compare<const D: usize>(
        &self,
        slack: Slack,
        ours: impl Fn(Tensor<2>) -> Tensor<1>,
        theirs: impl Fn(Tensor<2>) -> (Tensor<D>, f64),
    ) -> Result<(), TestCaseError> {
        self.compare_from(
            self.array(self.dtype),
            self.array(DType::F64),
            |array| self.view(array),
            slack,
            ours,
            theirs,
        )
    }

    fn compare_from<const D: usize>(
        &self,
        our_array: Tensor<2>,
        their_array: Tensor<2>,
        view: impl Fn(Tensor<2>) -> Tensor<2>,
        slack: Slack,
        ours: impl Fn(Tensor<2>) -> Tensor<1>,
        theirs: impl Fn(Tensor<2>) -> (Tensor<D>, f64),
    ) -> Result<(), TestCaseError> {
        let loss = ours(view(our_array.clone()));
        prop_assert_eq!(loss.dtype(), if self.is_f64() { DType::F64 } else { DType::F32 });
        let (losses, divisor) = theirs(view(their_array.clone()));
        let expected: Tensor<1> = match self.reduction {
            // Not a division, whose way back rounds the reciprocal to f32 (burn 0.22.1).
            Reduction::Mean => losses.sum() * (1.0 / divisor),
            Reduction::Sum => losses.sum(),
            Reduction::None => losses.reshape([-1]),
        };
        prop_assert_eq!(loss.dims(), expected.dims());
        // Another upstream gradient for every loss.
        let count = loss.dims()[0];
        let upstream: Vec<f64> =
            (0..count).map(|place| self.factor * (1.0 + (place % 3) as f64 / 4.0)).collect();
        let gradient = |of: Tensor<1>, array: &Tensor<2>| {
            let upstream = self::array(&upstream, [count], of.dtype(), &device());
            let gradient = array.grad(&(of * upstream).sum().backward()).unwrap();
            assert_eq!(gradient.dtype(), array.dtype());
            values(gradient)
        };
        let results = [
            (values(loss.clone()), values(expected.clone()), DType::F32),
            (gradient(loss, &our_array), gradient(expected, &their_array), self.dtype),
        ];
        let computed = if self.is_f64() { f64::EPSILON } else { f32::EPSILON.into() };
        for (ours, theirs, format) in results {
            prop_assert_eq!(ours.len(), theirs.len());
            let largest = theirs.iter().fold(slack.floor, |most: f64, x| most.max(x.abs()));
            for (a, b) in ours.iter().zip(&theirs) {
                // Ours are rounded to the format.
                let of_format = match format {
                    DType::BF16 => (2.0_f64.powi(-8) * b.abs()).max(1e-38),
                    DType::F16 => (2.0_f64.powi(-11) * b.abs()).max(2.0_f64.powi(-24)),
                    _ => 0.0,
                };
                // What burn loses in f64, where its terms cancel.
                let of_burn = 256.0 * f64::EPSILON * largest.max(1.0);
                let bound = slack.ulps * computed * largest + of_format + of_burn;
                prop_assert!(
                    (a - b).abs() <= bound,
                    "{a} against {b}: {:e} over {bound:e}",
                    (a - b).abs()
                );
            }
        }
        Ok(())
    }
}

/// `$body` with `$float` as the float that computes the loss.
macro_rules! in_float {
    ($case:expr, $float:ident => $body:expr) => {
        if $case.is_f64() {
            type $float = f64;
            $body
        } else {
            type $float = f32;
            $body
        }
    };
}

fn cross_entropy_of(x: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
    (targets * log_softmax(x, 1)).sum_dim(1).neg()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cross_entropy_is_burns(case in cases(), weighted: bool, smoothing in prop_oneof![Just(None), Just(Some(0.125))], padded in 0..3_usize) {
        // Up to two labels do not count, but some do.
        let labels = case.label_values();
        let mut pads: Vec<usize> = labels.iter().take(padded).map(|&label| label as usize).collect();
        if labels.iter().all(|&label| pads.contains(&(label as usize))) {
            pads.clear();
        }
        let case = Case { reduction: Reduction::Mean, ..case };
        let (pads, weights) = (Some(pads).filter(|pads| !pads.is_empty()), weighted.then(|| case.weights()));
        let ours = CrossEntropyLossConfig::new()
            .with_pad_tokens(pads.clone())
            .with_weights(weights.clone())
            .with_smoothing(smoothing)
            .init(&device());
        // In f32, by its own loss, whose softmax errs more.
        let theirs = burn::nn::loss::CrossEntropyLossConfig::new()
            .with_pad_tokens(pads.clone())
            .with_weights(weights.clone())
            .with_smoothing(smoothing)
            .init(&device());
        let x = case.view(case.array(DType::F32));
        let (of_ours, of_theirs) = (ours.forward(x.clone(), case.labels()), theirs.forward(x, case.labels()));
        let (of_ours, of_theirs) = (values(of_ours)[0], values(of_theirs)[0]);
        prop_assert!((of_ours - of_theirs).abs() <= 1e-5 * of_theirs.abs().max(0.1), "{of_ours} against burn's {of_theirs}");

        // In every format, by its operations in f64: with smoothing or weights its loss is for f32 alone.
        case.compare(SOFTMAX, |x| ours.forward(x, case.labels()), |x| {
            let smoothing: f64 = smoothing.unwrap_or(0.0).into();
            let weights: Vec<f64> = match &weights {
                Some(weights) => weights.iter().map(|&weight| weight.into()).collect(),
                None => vec![1.0; case.classes],
            };
            let of_labels = case.label_values().into_iter().map(|label| {
                let counts = pads.as_ref().is_none_or(|pads| !pads.contains(&(label as usize)));
                (if counts { 1.0 } else { 0.0 }, weights[label as usize])
            });
            let (counts, of_labels): (Vec<f64>, Vec<f64>) = of_labels.unzip();
            let divisor = counts.iter().zip(&of_labels).map(|(counts, weight)| counts * weight).sum();
            let counts = array(&counts, [case.rows, 1], DType::F64, &device());
            let weights = array(&weights, [1, case.classes], DType::F64, &device());
            let targets = case.one_hot() * (1.0 - smoothing) + smoothing / case.classes as f64;
            (cross_entropy_of(x, targets * weights) * counts, divisor)
        })?;
    }

    #[test]
    fn binary_cross_entropy_is_burns(case in cases(), weighted: bool, smoothing in prop_oneof![Just(None), Just(Some(0.125))]) {
        let case = Case { reduction: Reduction::Mean, ..case };
        let targets = case.unit().greater_equal_elem(0.5).int();
        let weights = weighted.then(|| case.weights());
        let ours = BinaryCrossEntropyLossConfig::new().with_logits(true).with_weights(weights.clone()).with_smoothing(smoothing).init(&device());
        // In f32, by its own loss.
        let theirs = burn::nn::loss::BinaryCrossEntropyLossConfig::new().with_logits(true).with_weights(weights.clone()).with_smoothing(smoothing).init(&device());
        let x = case.view(case.array(DType::F32));
        let (of_ours, of_theirs) = (ours.forward(x.clone(), targets.clone()), theirs.forward(x, targets.clone()));
        let (of_ours, of_theirs) = (values(of_ours)[0], values(of_theirs)[0]);
        prop_assert!((of_ours - of_theirs).abs() <= 1e-5 * of_theirs.abs().max(0.1), "{of_ours} against burn's {of_theirs}");

        // In every format, by its operations in f64.
        case.compare(SOFTMAX, |x| ours.forward(x, targets.clone()), |x| {
            let y = targets.clone().float().cast(DType::F64);
            let y = match smoothing {
                Some(epsilon) => y * (1.0 - f64::from(epsilon)) + f64::from(epsilon) / case.classes as f64,
                None => y,
            };
            let losses = (y.neg() + 1.0) * x.clone() - log_sigmoid(x);
            let losses = match &weights {
                Some(weights) => {
                    let weights: Vec<f64> = weights.iter().map(|&weight| weight.into()).collect();
                    losses * array(&weights, [1, case.classes], DType::F64, &device())
                }
                None => losses,
            };
            (losses, (case.rows * case.classes) as f64)
        })?;
    }

    #[test]
    fn focal_z_loss_and_soft_cap(case in cases(), focal: bool, z: bool, cap: bool) {
        case.compare(SOFTMAX, |x| in_float!(case, F => {
            let mut loss = SoftmaxCrossEntropy::<F>::new().with_reduction(case.reduction);
            if focal {
                loss = loss.with_focal_gamma(2.0).unwrap();
            }
            if z {
                loss = loss.with_z_loss(0.125).unwrap();
            }
            if cap {
                loss = loss.with_soft_cap(4.0).unwrap();
            }
            loss.forward(x, case.labels())
        }), |x| {
            let x = if cap { (x / 4.0).tanh() * 4.0 } else { x };
            let log_p = (case.one_hot() * log_softmax(x.clone(), 1)).sum_dim(1);
            let mut losses = log_p.clone().neg();
            if focal {
                losses = losses * (log_p.exp().neg() + 1.0).square();
            }
            if z {
                losses = losses + x.exp().sum_dim(1).log().square() * 0.125;
            }
            (losses, case.rows as f64)
        })?;
    }

    #[test]
    fn dense_targets_distillation_and_many_labels(case in cases()) {
        let (unit, rows) = (case.unit(), case.rows as f64);
        case.compare(
            SOFTMAX,
            |x| in_float!(case, F => SoftmaxCrossEntropy::<F>::new().with_reduction(case.reduction).forward(x, unit.clone())),
            |x| (cross_entropy_of(x, unit.clone()), rows),
        )?;
        case.compare(
            DIVERGENCE,
            |x| in_float!(case, F => Distillation::<F>::new(2.0).unwrap().with_reduction(case.reduction).forward(x, unit.clone() * 6.0)),
            |x| {
                let log_q = log_softmax(unit.clone() * 3.0, 1);
                let log_p = log_softmax(x / 2.0, 1);
                ((log_q.clone().exp() * (log_q - log_p)).sum_dim(1) * 4.0, rows)
            },
        )?;
        let labels = unit.clone().greater_equal_elem(0.5).float().cast(DType::F64).max_pair(case.one_hot());
        case.compare(
            SOFTMAX,
            |x| in_float!(case, F => MultiLabelSoftmax::<F>::new().with_reduction(case.reduction).forward(x, labels.clone())),
            |x| (cross_entropy_of(x, labels.clone()) / labels.clone().sum_dim(1), rows),
        )?;
        case.compare(
            SOFTMAX,
            |x| in_float!(case, F => MultiLabelSoftMargin::<F>::new().with_reduction(case.reduction).forward(x, labels.clone().int())),
            |x| {
                let of_ones = labels.clone() * log_sigmoid(x.clone());
                let of_zeros = (labels.clone().neg() + 1.0) * log_sigmoid(x.neg());
                ((of_ones + of_zeros).mean_dim(1).neg(), rows)
            },
        )?;
        case.compare(
            SOFTMAX,
            |x| in_float!(case, F => NegativeLogLikelihood::<F>::new().with_reduction(case.reduction).forward(x, case.labels())),
            |x| ((case.one_hot() * x).sum_dim(1).neg(), rows),
        )?;
    }

    #[test]
    fn sigmoid_focal_and_positive_weights(case in cases(), positive: bool, focal: bool) {
        let unit = case.unit();
        case.compare(SOFTMAX, |x| in_float!(case, F => {
            let mut loss = SigmoidCrossEntropy::<F>::new().with_reduction(case.reduction);
            if positive {
                loss = loss.with_pos_weight(vec![2.5]).unwrap();
            }
            if focal {
                loss = loss.with_focal(2.0, Some(0.25)).unwrap();
            }
            loss.forward(x, unit.clone())
        }), |x| {
            let (y, not_y) = (unit.clone(), unit.clone().neg() + 1.0);
            let positive = if positive { 2.5 } else { 1.0 };
            let of_ones = y.clone() * log_sigmoid(x.clone()) * positive;
            let mut losses = (of_ones + not_y.clone() * log_sigmoid(x.clone().neg())).neg();
            if focal {
                let p = sigmoid(x);
                let wrong = p.clone() * not_y + (p.neg() + 1.0) * y.clone();
                losses = losses * wrong.square() * (y * (0.25 - 0.75) + 0.75);
            }
            (losses, (case.rows * case.classes) as f64)
        })?;
    }

    #[test]
    fn a_layer_and_its_loss(case in cases(), hidden in 1..20_usize, biased: bool, part in 0..3_usize) {
        let reduction = if matches!(case.reduction, Reduction::None) { Reduction::Sum } else { case.reduction };
        let case = Case { reduction, ..case };
        let numbers: Vec<f64> = case.numbers.iter().cycle().take(50 * 64).map(|x| x / 4.0).collect();
        let plain = Device::flex();
        let shapes = [[case.rows, hidden], [hidden, case.classes], [1, case.classes]];
        let biased = biased || part == 2;
        // The part whose gradient is compared is tracked; the others are not.
        let tracked = |dtype| array(&numbers[7 * part..], shapes[part], dtype, &device()).require_grad();
        let parts = |x: &Tensor<2>, dtype, device: &Device| {
            [0, 1, 2].map(|at| if at == part { x.clone() } else { array(&numbers[7 * at..], shapes[at], dtype, device) })
        };
        case.compare_from(tracked(case.dtype), tracked(DType::F64), |array| array, LAYER, |x| in_float!(case, F => {
            let [inputs, weight, bias] = parts(&x, case.dtype, &plain);
            let bias = biased.then(|| bias.reshape([case.classes]));
            let loss = SoftmaxCrossEntropy::<F>::new().with_reduction(case.reduction);
            linear_cross_entropy(&loss, inputs, weight.transpose(), bias, case.labels())
        }), |x| {
            let [inputs, weight, bias] = parts(&x, DType::F64, &device());
            let logits = inputs.matmul(weight);
            let logits = if biased { logits + bias } else { logits };
            (cross_entropy_of(logits, case.one_hot()), case.rows as f64)
        })?;
    }
}
