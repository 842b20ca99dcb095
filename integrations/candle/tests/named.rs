//! Where candle surprises, and what is refused.

use candle_core::{DType, Device, Result, Tensor, Var};
use xent_candle::xent::{
    Distillation, NothingValid, Reduction, SigmoidCrossEntropy, SoftmaxCrossEntropy,
};
use xent_candle::{LossExt, linear_cross_entropy};

const CPU: Device = Device::Cpu;

fn scalar(tensor: &Tensor) -> f32 {
    tensor.to_scalar().unwrap()
}

fn grads(loss: &Tensor, var: &Var) -> Vec<f32> {
    let of_var = loss.backward().unwrap().get(var).unwrap().flatten_all().unwrap();
    of_var.to_dtype(DType::F32).unwrap().to_vec1().unwrap()
}

#[test]
fn binary_cross_entropy_of_large_logits_is_infinite_in_candle() -> Result<()> {
    for x in [17.0_f32, 30.0, 100.0, 1e30] {
        let (logit, target) = (Var::new(&[x], &CPU)?, Tensor::new(&[0.0_f32], &CPU)?);
        let theirs = scalar(&candle_nn::loss::binary_cross_entropy_with_logit(&logit, &target)?);
        assert!(!theirs.is_finite(), "candle has {theirs} at {x}");
        let ours = xent_candle::binary_cross_entropy_with_logit(&logit, &target)?;
        assert_eq!((scalar(&ours), grads(&ours, &logit)), (x, vec![1.0]));
    }
    Ok(())
}

#[test]
fn a_label_of_u32_max_is_no_class() -> Result<()> {
    let logits = Var::new(&[[1.0_f32, 0.0], [0.0, 0.0]], &CPU)?;
    let labels = Tensor::new(&[0, u32::MAX], &CPU)?;
    // candle's `gather` has zero there, and the row stays in the divisor.
    let theirs = scalar(&candle_nn::loss::cross_entropy(&logits, &labels)?);
    assert!((theirs - 0.313_261_7 / 2.0).abs() < 1e-6, "candle has {theirs}");

    let error = xent_candle::cross_entropy(&logits, &labels).unwrap_err().to_string();
    assert!(error.contains("label out of range: row 1 has 4294967295, expected 0..2"), "{error}");
    let ignoring = SoftmaxCrossEntropy::<f32>::new().with_ignore_index(u32::MAX.into());
    let loss = ignoring.forward(&logits, &labels)?;
    assert!((scalar(&loss) - 0.313_261_7).abs() < 1e-6);
    assert_eq!(grads(&loss, &logits)[2..], [0.0; 2]);
    Ok(())
}

#[test]
fn log_probabilities_need_not_be_contiguous() -> Result<()> {
    let log_p = Tensor::new(&[[-0.5_f32, -2.0], [-1.5, -0.25]], &CPU)?.t()?;
    let labels = Tensor::new(&[0_u32, 1], &CPU)?;
    assert!(candle_nn::loss::nll(&log_p, &labels).is_err());
    assert_eq!(scalar(&xent_candle::nll(&log_p, &labels)?), 0.375);
    Ok(())
}

#[test]
fn labels_of_every_integer_type_are_checked() -> Result<()> {
    let logits = Tensor::zeros((2, 3), DType::F32, &CPU)?;
    for dtype in [DType::U8, DType::U32, DType::I16, DType::I32, DType::I64] {
        let labels = |second: i64| Tensor::new(&[0, second], &CPU)?.to_dtype(dtype);
        let loss = xent_candle::cross_entropy(&logits, &labels(2)?)?;
        assert!((scalar(&loss) - 3.0_f32.ln()).abs() < 1e-6);
        let error = xent_candle::cross_entropy(&logits, &labels(3)?).unwrap_err().to_string();
        assert!(error.contains("row 1 has 3, expected 0..3"), "{dtype:?}: {error}");
    }
    let negative = Tensor::new(&[0_i64, -100], &CPU)?;
    let error = xent_candle::cross_entropy(&logits, &negative).unwrap_err().to_string();
    assert!(error.contains("row 1 has -100"), "{error}");
    Ok(())
}

#[test]
fn a_gradient_is_given_twice() -> Result<()> {
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let logits =
            Var::from_tensor(&Tensor::new(&[[1.0_f32, 0.0, -2.0]], &CPU)?.to_dtype(dtype)?)?;
        let labels = Tensor::new(&[1_u32], &CPU)?;
        let loss = xent_candle::cross_entropy(&logits, &labels)?;
        let doubled = (&loss * 2.0)?;
        let first = grads(&loss, &logits);
        assert!(first[1] < -0.5, "{first:?}");
        assert_eq!(first, grads(&loss, &logits), "{dtype:?}");
        let twice: Vec<f32> = first.iter().map(|x| 2.0 * x).collect();
        // The second time it is computed, with the factor.
        assert_eq!(grads(&doubled, &logits), twice, "{dtype:?}");
    }
    Ok(())
}

#[test]
fn the_scale_of_a_loss_comes_before_its_gradient_is_rounded_to_sixteen_bits() -> Result<()> {
    // A gradient of 2^-26 is zero in f16; 2^16 times as much is not.
    let rows = 1 << 14;
    let logits = Var::from_tensor(&Tensor::zeros((rows, 4096), DType::F16, &CPU)?)?;
    let labels = Tensor::zeros(rows, DType::U32, &CPU)?;
    let loss = SoftmaxCrossEntropy::<f32>::new().forward(&logits, &labels)?;
    let scaled = (loss * 65536.0)?;
    let of_logits =
        scaled.backward()?.get(&logits).unwrap().narrow(1, 1, 1)?.to_dtype(DType::F32)?;
    // 65536 / 16384 / 4096, exactly.
    assert_eq!(scalar(&of_logits.max_all()?), 4.0 / 4096.0);
    assert_eq!(scalar(&of_logits.min_all()?), 4.0 / 4096.0);
    Ok(())
}

#[test]
fn no_gradient_flows_to_targets() -> Result<()> {
    let student = Var::new(&[[1.0_f32, 0.0]], &CPU)?;
    let teacher = Var::new(&[[0.0_f32, 2.0]], &CPU)?;
    let loss =
        Distillation::<f32>::new(1.0).unwrap().forward(&student, &(teacher.as_tensor() * 2.0)?)?;
    let grads = loss.backward()?;
    assert!(grads.get(&student).is_some() && grads.get(&teacher).is_none());
    Ok(())
}

#[test]
fn a_tensor_without_a_graph_has_a_loss_without_one() -> Result<()> {
    let (x, y) = (Tensor::zeros((2, 3), DType::F32, &CPU)?, Tensor::zeros(2, DType::U8, &CPU)?);
    assert!(!xent_candle::cross_entropy(&x, &y)?.track_op());
    let tracked = Var::from_tensor(&x)?;
    assert!(xent_candle::cross_entropy(&tracked, &y)?.track_op());
    assert!(!xent_candle::cross_entropy(&tracked.as_detached_tensor(), &y)?.track_op());
    Ok(())
}

#[test]
fn a_batch_whose_labels_are_all_ignored() -> Result<()> {
    let logits = Var::new(&[[1.0_f32, 0.0]], &CPU)?;
    let labels = Tensor::new(&[-1_i64], &CPU)?;
    let loss = SoftmaxCrossEntropy::<f32>::new().with_ignore_index(-1);
    let value = loss.forward(&logits, &labels)?;
    assert_eq!((scalar(&value), grads(&value, &logits)), (0.0, vec![0.0; 2]));
    let refused = loss.clone().with_nothing_valid(NothingValid::Error).forward(&logits, &labels);
    assert!(refused.unwrap_err().to_string().contains("nothing to take a mean of"));
    let nan = loss.with_nothing_valid(NothingValid::Nan).forward(&logits, &labels)?;
    assert!(scalar(&nan).is_nan());
    Ok(())
}

#[test]
fn what_does_not_fit_together_is_refused() -> Result<()> {
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &CPU).unwrap();
    let softmax = SoftmaxCrossEntropy::<f32>::new();
    let refusals = [
        (
            softmax.forward(&zeros(&[2, 3], DType::F32), &zeros(&[3], DType::U32)),
            "without the last axis",
        ),
        (
            softmax.forward(&zeros(&[2, 3], DType::F32), &zeros(&[2, 3], DType::U32)),
            "without the last axis",
        ),
        (
            softmax.forward(&zeros(&[2, 3], DType::F32), &zeros(&[2, 2], DType::F32)),
            "the shape of the logits",
        ),
        (softmax.forward(&zeros(&[], DType::F32), &zeros(&[], DType::U32)), "axis of classes"),
        (
            softmax.forward(&zeros(&[2, 0], DType::F32), &zeros(&[2], DType::U32)),
            "at least one class",
        ),
        (
            softmax.forward(&zeros(&[2, 3], DType::F64), &zeros(&[2], DType::U32)),
            "SoftmaxCrossEntropy::<f64>::new()",
        ),
        (softmax.forward(&zeros(&[2, 3], DType::U32), &zeros(&[2], DType::U32)), "found U32"),
        (
            SoftmaxCrossEntropy::<f64>::new()
                .forward(&zeros(&[2, 3], DType::BF16), &zeros(&[2], DType::U32)),
            "SoftmaxCrossEntropy::<f32>::new()",
        ),
        (
            Distillation::<f32>::new(1.0)
                .unwrap()
                .forward(&zeros(&[2, 3], DType::F32), &zeros(&[2], DType::U32)),
            "a teacher's logits",
        ),
        (
            SigmoidCrossEntropy::<f32>::new()
                .forward(&zeros(&[2, 3], DType::F32), &zeros(&[2], DType::U32)),
            "the shape of the logits",
        ),
        (
            xent_candle::cross_entropy(&zeros(&[2, 1, 3], DType::F32), &zeros(&[2, 1], DType::U32)),
            "expected: 2, got: 3",
        ),
        (
            linear_cross_entropy(
                &softmax,
                &zeros(&[2, 4], DType::F32),
                &zeros(&[3, 5], DType::F32),
                None,
                &zeros(&[2], DType::U32),
            ),
            "last axis",
        ),
        (
            linear_cross_entropy(
                &softmax,
                &zeros(&[2, 4], DType::F32),
                &zeros(&[3, 4], DType::F32),
                Some(&zeros(&[4], DType::F32)),
                &zeros(&[2], DType::U32),
            ),
            "a number for each class",
        ),
        (
            linear_cross_entropy(
                &softmax,
                &zeros(&[2, 4], DType::F32),
                &zeros(&[3, 4], DType::F64),
                None,
                &zeros(&[2], DType::U32),
            ),
            "dtype",
        ),
    ];
    for (result, part) in refusals {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error} does not say: {part}");
    }
    let too_large = Tensor::new(&[[255.0_f32, 0.0]], &CPU)?;
    let error =
        xent_candle::binary_cross_entropy_with_logit(&zeros(&[1, 2], DType::F32), &too_large);
    assert!(error.unwrap_err().to_string().contains("divide a mask"));
    Ok(())
}

#[test]
fn losses_have_the_shape_of_what_they_are_losses_of() -> Result<()> {
    let x = Tensor::zeros((2, 3, 4), DType::BF16, &CPU)?;
    let rows = SoftmaxCrossEntropy::<f32>::new().with_reduction(Reduction::None);
    let loss = rows.forward(&x, &Tensor::zeros((2, 3), DType::U8, &CPU)?)?;
    assert_eq!((loss.dims(), loss.dtype()), (&[2, 3][..], DType::F32));
    let elements = SigmoidCrossEntropy::<f32>::new().with_reduction(Reduction::None);
    assert_eq!(elements.forward(&x, &x)?.dims(), [2, 3, 4]);
    Ok(())
}
