//! Values and gradients against those of candle's own operations in f64, for random shapes, formats, layouts and options.

use std::fmt;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::ops::log_softmax;
use proptest::prelude::*;
use xent_candle::xent::{
    Distillation, LogisticLoss, MultiLabelSoftMargin, MultiLabelSoftmax, MultinomialLogistic,
    NegativeLogLikelihood, Reduction, SigmoidCrossEntropy, SoftmaxCrossEntropy,
};
use xent_candle::{LossExt, linear_cross_entropy};

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
    /// Three axes.
    Cube,
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
    numbers: Vec<f32>,
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
        Just(Lay::Tail),
        Just(Lay::Cube)
    ];
    let dtype =
        prop_oneof![Just(DType::F32), Just(DType::F64), Just(DType::BF16), Just(DType::F16)];
    let labels = prop_oneof![Just(DType::U8), Just(DType::U32), Just(DType::I64)];
    let reduction = prop_oneof![Just(Reduction::Mean), Just(Reduction::Sum), Just(Reduction::None)];
    // With few digits, so that it is exact in every format.
    let factor =
        prop_oneof![Just(1.0), Just(0.5), (1..12_u8).prop_map(|eighths| f64::from(eighths) / 8.0)];
    (1..12_usize, 1..50_usize, lay, dtype, labels, reduction, factor, 0..1_u64 << 40).prop_map(
        |(rows, classes, lay, dtype, label_dtype, reduction, factor, seed)| {
            // Numbers from -5 to 5.
            let mut state = seed;
            let numbers = (0..4 * (rows + 2) * (classes + 3)).map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1_u32 << 24) as f32 * 10.0 - 5.0
            });
            let numbers = numbers.collect();
            Case { rows, classes, lay, dtype, label_dtype, reduction, factor, numbers }
        },
    )
}

/// How far results may be from those of candle in f64.
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

const CPU: Device = Device::Cpu;

impl Case {
    /// The array that logits are a view of.
    fn var(&self) -> Result<Var> {
        let (rows, classes) = (self.rows, self.classes);
        let shape = match self.lay {
            Lay::Contiguous | Lay::Cube => (rows, classes),
            Lay::Transposed => (classes, rows),
            Lay::Narrow => (rows, classes + 3),
            Lay::Tail => (rows + 2, classes),
        };
        let numbers = Tensor::from_slice(&self.numbers[..shape.0 * shape.1], shape, &CPU)?;
        Var::from_tensor(&numbers.to_dtype(self.dtype)?)
    }

    fn view(&self, array: &Tensor) -> Result<Tensor> {
        match self.lay {
            Lay::Contiguous => Ok(array.clone()),
            Lay::Transposed => array.t(),
            Lay::Narrow => array.narrow(1, 2, self.classes),
            Lay::Tail => array.narrow(0, 2, self.rows),
            Lay::Cube => array.reshape((self.rows, 1, self.classes)),
        }
    }

    fn is_f64(&self) -> bool {
        self.dtype == DType::F64
    }

    /// Numbers that are not the logits.
    fn others(&self) -> &[f32] {
        &self.numbers[self.numbers.len() / 2..]
    }

    /// Numbers from 0 to 1 of the logits' shape; exact in every format.
    fn unit(&self) -> Result<Tensor> {
        let values = self.others()[..self.rows * self.classes].iter();
        let values: Vec<f32> = values.map(|x| ((x + 5.0) * 1.6).floor() / 16.0).collect();
        self.shaped(Tensor::from_vec(values, (self.rows, self.classes), &CPU)?)
    }

    fn shaped(&self, matrix: Tensor) -> Result<Tensor> {
        match self.lay {
            Lay::Cube => matrix.reshape((self.rows, 1, self.classes)),
            _ => Ok(matrix),
        }
    }

    fn label_values(&self) -> Vec<usize> {
        let of_rows = self.others()[..self.rows].iter();
        of_rows
            .map(|x| (((x + 5.0) / 10.0) * self.classes as f32) as usize % self.classes)
            .collect()
    }

    fn labels(&self) -> Result<Tensor> {
        let labels: Vec<i64> = self.label_values().iter().map(|&label| label as i64).collect();
        let labels = Tensor::from_vec(labels, self.rows, &CPU)?.to_dtype(self.label_dtype)?;
        match self.lay {
            Lay::Cube => labels.reshape((self.rows, 1)),
            _ => Ok(labels),
        }
    }

    /// A one at each label, f64.
    fn one_hot(&self) -> Result<Tensor> {
        let mut values = vec![0.0; self.rows * self.classes];
        for (row, label) in self.label_values().into_iter().enumerate() {
            values[row * self.classes + label] = 1.0;
        }
        self.shaped(Tensor::from_vec(values, (self.rows, self.classes), &CPU)?)
    }

    /// Positive weights of classes, exact in f32.
    fn weights(&self) -> Vec<f32> {
        self.others()[..self.classes].iter().map(|x| ((x + 6.0) * 8.0).floor() / 16.0).collect()
    }

    /// Compares the loss with that of candle's operations, which have a loss for each row or element of the logits in
    /// f64, before they are reduced, and the divisor of the mean.
    fn compare(
        &self,
        ours: impl Fn(&Tensor) -> Result<Tensor>,
        theirs: impl Fn(&Tensor) -> Result<(Tensor, f64)>,
    ) -> std::result::Result<(), TestCaseError> {
        self.compare_from(&self.var().unwrap(), |array| self.view(array), SOFTMAX, ours, theirs)
    }

    fn compare_from(
        &self,
        var: &Var,
        view: impl Fn(&Tensor) -> Result<Tensor>,
        slack: Slack,
        ours: impl Fn(&Tensor) -> Result<Tensor>,
        theirs: impl Fn(&Tensor) -> Result<(Tensor, f64)>,
    ) -> std::result::Result<(), TestCaseError> {
        let run = || {
            let loss = ours(&view(var)?)?;
            let expected = theirs(&view(var)?.to_dtype(DType::F64)?)?;
            let expected = match self.reduction {
                Reduction::Mean => (expected.0.sum_all()? / expected.1)?,
                Reduction::Sum => expected.0.sum_all()?,
                Reduction::None => expected.0,
            };
            assert_eq!(loss.dims(), expected.dims());
            // Another upstream gradient for every loss.
            let mut upstream = vec![self.factor; loss.elem_count()];
            for (place, factor) in upstream.iter_mut().enumerate() {
                *factor *= 1.0 + (place % 3) as f64 / 4.0;
            }
            let gradient = |of: &Tensor| {
                let upstream =
                    Tensor::from_slice(&upstream, of.shape(), &CPU)?.to_dtype(of.dtype())?;
                let grads = (of * upstream)?.sum_all()?.backward()?;
                grads.get(var).unwrap().to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()
            };
            let values = |of: &Tensor| of.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
            Ok::<_, candle_core::Error>([
                (values(&loss)?, values(&expected)?, loss.dtype()),
                (gradient(&loss)?, gradient(&expected)?, self.dtype),
            ])
        };
        let computed = if self.is_f64() { f64::EPSILON } else { f32::EPSILON.into() };
        for (ours, theirs, format) in run().unwrap() {
            prop_assert_eq!(ours.len(), theirs.len());
            let largest = theirs.iter().fold(slack.floor, |most: f64, x| most.max(x.abs()));
            for (a, b) in ours.iter().zip(&theirs) {
                // Both are rounded to the format, perhaps to neighbours.
                let of_format = match format {
                    DType::BF16 => (2.0_f64.powi(-7) * b.abs()).max(1e-38),
                    DType::F16 => (2.0_f64.powi(-10) * b.abs()).max(2.0_f64.powi(-24)),
                    _ => 0.0,
                };
                // What candle loses in f64, where its terms cancel.
                let of_candle = 256.0 * f64::EPSILON * largest.max(1.0);
                let bound = slack.ulps * computed * largest + of_format + of_candle;
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

/// A loss that computes in the float that the logits need: `$body` with `F` as that float.
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

/// Weights in the float of the loss.
trait Cast {
    fn cast(weights: &[f32]) -> Vec<Self>
    where
        Self: Sized;
}
impl Cast for f32 {
    fn cast(weights: &[f32]) -> Vec<f32> {
        weights.to_vec()
    }
}
impl Cast for f64 {
    fn cast(weights: &[f32]) -> Vec<f64> {
        weights.iter().map(|&x| x.into()).collect()
    }
}

/// `ln σ(x)` of logits that are not far from zero.
fn log_sigmoid(x: &Tensor) -> Result<Tensor> {
    candle_nn::ops::sigmoid(x)?.log()
}

fn cross_entropy_of(x: &Tensor, targets: &Tensor) -> Result<Tensor> {
    (targets * log_softmax(x, D::Minus1)?)?.sum(D::Minus1)?.neg()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plain_losses_are_those_of_candle_nn(case in cases()) {
        // What candle's functions take.
        let lay = if matches!(case.lay, Lay::Cube) { Lay::Contiguous } else { case.lay };
        let case = Case { lay, reduction: Reduction::Mean, ..case };
        let (labels, unit) = (case.labels().unwrap(), case.unit().unwrap());
        case.compare(|x| xent_candle::cross_entropy(x, &labels), |x| Ok((candle_nn::loss::cross_entropy(x, &labels)?, 1.0)))?;
        case.compare(
            |x| xent_candle::binary_cross_entropy_with_logit(x, &unit),
            |x| Ok((candle_nn::loss::binary_cross_entropy_with_logit(x, &unit.to_dtype(DType::F64)?)?, 1.0)),
        )?;
        case.compare(|x| xent_candle::nll(x, &labels), |x| Ok((candle_nn::loss::nll(&x.contiguous()?, &labels)?, 1.0)))?;
    }

    #[test]
    fn softmax_with_options(case in cases(), weighted: bool, smoothing in prop_oneof![Just(0.0), Just(0.125)], ignores: bool) {
        let (labels, weights) = (case.labels().unwrap(), case.weights());
        // The label of the first row is ignored.
        let ignored = case.label_values()[0];
        let is_valid: Vec<f64> = case.label_values().iter().map(|&label| f64::from(!ignores || label != ignored)).collect();
        let ours = |x: &Tensor| in_float!(case, F => {
            let mut loss = SoftmaxCrossEntropy::<F>::new().with_label_smoothing(smoothing).unwrap().with_reduction(case.reduction);
            if weighted {
                loss = loss.with_class_weights(F::cast(&weights)).unwrap();
            }
            if ignores {
                loss = loss.with_ignore_index(ignored as i64);
            }
            loss.forward(x, &labels)
        });
        let theirs = |x: &Tensor| {
            let of_labels = case.one_hot()?;
            let mut targets = ((&of_labels * (1.0 - smoothing))? + smoothing / case.classes as f64)?;
            let mut of_rows = Tensor::ones(of_labels.dims()[..of_labels.rank() - 1].to_vec(), DType::F64, &CPU)?;
            if weighted {
                let weights = Tensor::new(&weights[..], &CPU)?.to_dtype(DType::F64)?;
                targets = targets.broadcast_mul(&weights)?;
                of_rows = of_labels.broadcast_mul(&weights)?.sum(D::Minus1)?;
            }
            let is_valid = Tensor::new(&is_valid[..], &CPU)?.reshape(of_rows.shape())?;
            let divisor = (of_rows * &is_valid)?.sum_all()?.to_scalar::<f64>()?;
            let losses = (cross_entropy_of(x, &targets)? * is_valid)?;
            // A mean over nothing is zero.
            Ok((losses, if divisor == 0.0 { 1.0 } else { divisor }))
        };
        case.compare(ours, theirs)?;
    }

    #[test]
    fn focal_z_loss_and_soft_cap(case in cases(), focal: bool, z: bool, cap: bool) {
        let labels = case.labels().unwrap();
        let ours = |x: &Tensor| in_float!(case, F => {
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
            loss.forward(x, &labels)
        });
        let theirs = |x: &Tensor| {
            let x = if cap { ((x / 4.0)?.tanh()? * 4.0)? } else { x.clone() };
            let log_p = (case.one_hot()? * log_softmax(&x, D::Minus1)?)?.sum(D::Minus1)?;
            let mut losses = log_p.neg()?;
            if focal {
                losses = (losses * log_p.exp()?.affine(-1.0, 1.0)?.sqr()?)?;
            }
            if z {
                losses = (losses + (x.log_sum_exp(D::Minus1)?.sqr()? * 0.125)?)?;
            }
            Ok((losses, case.rows as f64))
        };
        case.compare(ours, theirs)?;
    }

    #[test]
    fn dense_targets_distillation_and_many_labels(case in cases()) {
        let unit = case.unit().unwrap();
        let of_f64 = unit.to_dtype(DType::F64).unwrap();
        let rows = case.rows as f64;
        case.compare(
            |x| in_float!(case, F => SoftmaxCrossEntropy::<F>::new().with_reduction(case.reduction).forward(x, &unit)),
            |x| Ok((cross_entropy_of(x, &of_f64)?, rows)),
        )?;
        case.compare_from(
            &case.var().unwrap(),
            |array| case.view(array),
            DIVERGENCE,
            |x| in_float!(case, F => Distillation::<F>::new(2.0).unwrap().with_reduction(case.reduction).forward(x, &(&unit * 6.0)?)),
            |x| {
                let log_q = log_softmax(&(&of_f64 * 3.0)?, D::Minus1)?;
                let log_p = log_softmax(&(x / 2.0)?, D::Minus1)?;
                Ok(((log_q.exp()? * (log_q - log_p)?)?.sum(D::Minus1)?.affine(4.0, 0.0)?, rows))
            },
        )?;
        // At least one label in each row.
        let labels = of_f64.ge(0.5).unwrap().to_dtype(DType::F64).unwrap().maximum(&case.one_hot().unwrap()).unwrap();
        case.compare(
            |x| in_float!(case, F => MultiLabelSoftmax::<F>::new().with_reduction(case.reduction).forward(x, &labels)),
            |x| Ok(((cross_entropy_of(x, &labels)? / labels.sum(D::Minus1)?)?, rows)),
        )?;
        let integers = labels.to_dtype(case.label_dtype).unwrap();
        case.compare(
            |x| in_float!(case, F => MultiLabelSoftMargin::<F>::new().with_reduction(case.reduction).forward(x, &integers)),
            |x| {
                let of_ones = (&labels * log_sigmoid(x)?)?;
                let of_zeros = (labels.affine(-1.0, 1.0)? * log_sigmoid(&x.neg()?)?)?;
                Ok(((of_ones + of_zeros)?.mean(D::Minus1)?.neg()?, rows))
            },
        )?;
    }

    #[test]
    fn sigmoid_with_options(case in cases(), weighted: bool, positive: bool, smooth: bool, focal: bool) {
        let (unit, weights) = (case.unit().unwrap(), case.weights());
        let epsilon = if smooth { 0.25 } else { 0.0 };
        let ours = |x: &Tensor| in_float!(case, F => {
            let mut loss = SigmoidCrossEntropy::<F>::new().with_reduction(case.reduction).with_label_smoothing(epsilon).unwrap();
            if weighted {
                loss = loss.with_class_weights(F::cast(&weights)).unwrap();
            }
            if positive {
                loss = loss.with_pos_weight(vec![2.5]).unwrap();
            }
            if focal {
                loss = loss.with_focal(2.0, Some(0.25)).unwrap();
            }
            loss.forward(x, &unit)
        });
        let theirs = |x: &Tensor| {
            let y = unit.to_dtype(DType::F64)?.affine(1.0 - epsilon, epsilon / 2.0)?;
            let not_y = y.affine(-1.0, 1.0)?;
            let positive = if positive { 2.5 } else { 1.0 };
            let of_ones = ((&y * log_sigmoid(x)?)? * -positive)?;
            let mut losses = (of_ones - (&not_y * log_sigmoid(&x.neg()?)?)?)?;
            if focal {
                let p = candle_nn::ops::sigmoid(x)?;
                let wrong = ((&p * &not_y)? + (p.affine(-1.0, 1.0)? * &y)?)?;
                losses = ((losses * wrong.sqr()?)? * y.affine(0.25 - 0.75, 0.75)?)?;
            }
            if weighted {
                losses = losses.broadcast_mul(&Tensor::new(&weights[..], &CPU)?.to_dtype(DType::F64)?)?;
            }
            Ok((losses, (case.rows * case.classes) as f64))
        };
        case.compare(ours, theirs)?;
    }

    #[test]
    fn losses_of_probabilities(case in cases()) {
        let (labels, unit) = (case.labels().unwrap(), case.unit().unwrap());
        // Probabilities from 1/32 to 31/32, in the format of the logits.
        let array = (case.var().unwrap().to_dtype(DType::F64).unwrap().abs().unwrap() * 6.0).unwrap().floor().unwrap();
        let array = array.affine(1.0 / 32.0, 1.0 / 32.0).unwrap().to_dtype(case.dtype).unwrap();
        let var = Var::from_tensor(&array).unwrap();
        let rows = case.rows as f64;
        case.compare_from(
            &var,
            |array| case.view(array),
            SOFTMAX,
            |p| in_float!(case, F => MultinomialLogistic::<F>::new().with_reduction(case.reduction).forward(p, &labels)),
            |p| Ok(((case.one_hot()? * p.log()?)?.sum(D::Minus1)?.neg()?, rows)),
        )?;
        case.compare_from(
            &var,
            |array| case.view(array),
            SOFTMAX,
            |p| in_float!(case, F => NegativeLogLikelihood::<F>::new().with_reduction(case.reduction).forward(&p.neg()?, &labels)),
            |p| Ok(((case.one_hot()? * p)?.sum(D::Minus1)?, rows)),
        )?;
        case.compare_from(
            &var,
            |array| case.view(array),
            SOFTMAX,
            |p| in_float!(case, F => LogisticLoss::<F>::new().with_reduction(case.reduction).forward(p, &unit)),
            |p| {
                let y = unit.to_dtype(DType::F64)?;
                let losses = ((&y * p.log()?)? + (y.affine(-1.0, 1.0)? * p.affine(-1.0, 1.0)?.log()?)?)?;
                Ok((losses.neg()?, rows * case.classes as f64))
            },
        )?;
    }

    #[test]
    fn a_layer_and_its_loss(case in cases(), hidden in 1..20_usize, biased: bool, smoothing in prop_oneof![Just(0.0), Just(0.125)]) {
        let labels = case.labels().unwrap();
        let number = |place: usize| case.numbers[place % case.numbers.len()] / 4.0;
        let array = |shape: &[usize], first: usize| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|place| number(first + place)).collect();
            Var::from_tensor(&Tensor::from_vec(values, shape, &CPU)?.to_dtype(case.dtype)?)
        };
        let of_rows = labels.dims().iter().chain([&hidden]).copied().collect::<Vec<_>>();
        let inputs = array(&of_rows, 0).unwrap();
        // The weight is a view, too.
        let weight = array(&[hidden, case.classes], 7).unwrap();
        let bias = array(&[case.classes], 13).unwrap();
        for var in [&inputs, &weight, &bias] {
            let is = |other: &Var| var.id() == other.id();
            if is(&bias) && !biased {
                continue;
            }
            let ours = |x: &Tensor| in_float!(case, F => {
                let loss = SoftmaxCrossEntropy::<F>::new().with_label_smoothing(smoothing).unwrap().with_reduction(case.reduction);
                // The others are not tracked.
                let part = |of: &Var| if is(of) { x.clone() } else { of.as_detached_tensor() };
                linear_cross_entropy(&loss, &part(&inputs), &part(&weight).t()?, biased.then(|| part(&bias)).as_ref(), &labels)
            });
            let theirs = |x: &Tensor| {
                let part = |of: &Var| if is(of) { Ok(x.clone()) } else { of.to_dtype(DType::F64) };
                let matrix = part(&inputs)?.reshape(((), hidden))?;
                let mut logits = matrix.matmul(&part(&weight)?)?;
                if biased {
                    logits = logits.broadcast_add(&part(&bias)?)?;
                }
                let targets = (case.one_hot()?.reshape(logits.shape())? * (1.0 - smoothing))?;
                let targets = (targets + smoothing / case.classes as f64)?;
                Ok((cross_entropy_of(&logits, &targets)?.reshape(labels.shape())?, case.rows as f64))
            };
            case.compare_from(var, |array| Ok(array.clone()), LAYER, ours, theirs)?;
        }
    }
}
