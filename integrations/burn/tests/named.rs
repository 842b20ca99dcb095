//! Where burn surprises, and what is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};

use allocation_counter::measure;
use burn::tensor::{DType, Device, Distribution, Int, Tensor};
use xent_burn::xent::{Distillation, NothingValid, Reduction, SoftmaxCrossEntropy};
use xent_burn::{
    BinaryCrossEntropyLossConfig, CrossEntropyLossConfig, LossExt, linear_cross_entropy,
};

fn device() -> Device {
    Device::flex().autodiff()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().unwrap()
}

fn scalar(tensor: Tensor<1>) -> f32 {
    values(tensor)[0]
}

/// What a call panics with.
fn refusal<R>(call: impl FnOnce() -> R) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(call)) else { panic!("it was not refused") };
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap().to_owned()
}

#[test]
fn a_batch_that_is_all_padded_is_nan_in_burn() {
    let logits = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 2.0]], &device()).require_grad();
    let labels = Tensor::<1, Int>::from_ints([1, 1], &device());
    let theirs = burn::nn::loss::CrossEntropyLossConfig::new()
        .with_pad_tokens(Some(vec![1]))
        .init(&device());
    let loss = theirs.forward(logits.clone(), labels.clone());
    assert!(scalar(loss).is_nan());

    let ours = CrossEntropyLossConfig::new().with_pad_tokens(Some(vec![1])).init(&device());
    let loss = ours.forward(logits.clone(), labels.clone());
    assert_eq!(scalar(loss.clone()), 0.0);
    assert_eq!(values(logits.grad(&loss.backward()).unwrap()), [0.0; 4]);

    let as_burn = SoftmaxCrossEntropy::<f32>::new()
        .with_ignore_index(1)
        .with_nothing_valid(NothingValid::Nan);
    assert!(scalar(as_burn.forward(logits, labels)).is_nan());
}

#[test]
fn a_padding_need_not_be_a_class() {
    let logits = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], &device());
    let labels = Tensor::<1, Int>::from_ints([0, 99, 77], &device());
    let ours = CrossEntropyLossConfig::new().with_pad_tokens(Some(vec![99, 77])).init(&device());
    assert!((scalar(ours.forward(logits.clone(), labels.clone())) - 0.313_261_7).abs() < 1e-6);
    let of_rows = values(ours.forward_no_reduction(logits.clone(), labels.clone()));
    assert_eq!(of_rows[1..], [0.0, 0.0]);
    let theirs = burn::nn::loss::CrossEntropyLossConfig::new()
        .with_pad_tokens(Some(vec![99, 77]))
        .init(&device());
    // Its `gather` needs an index of a class, also of rows that do not count.
    assert!(catch_unwind(AssertUnwindSafe(|| theirs.forward(logits, labels).into_data())).is_err());
}

#[test]
fn a_smoothed_loss_of_f64_panics_in_burn() {
    let logits = Tensor::<2>::zeros([1, 2], (&device(), DType::F64));
    let labels = Tensor::<1, Int>::zeros([1], &device());
    let theirs =
        burn::nn::loss::CrossEntropyLossConfig::new().with_smoothing(Some(0.5)).init(&device());
    // Its targets have the format of the device.
    assert!(refusal(|| theirs.forward(logits.clone(), labels.clone())).contains("dtype mismatch"));
    let ours = CrossEntropyLossConfig::new().with_smoothing(Some(0.5)).init(&device());
    assert!((scalar(ours.forward(logits, labels)) - std::f32::consts::LN_2).abs() < 1e-6);
}

#[test]
fn the_gradient_of_a_quotient_is_rounded_to_f32_in_burn() {
    let x = Tensor::<1>::zeros([1], (&device(), DType::F64)).require_grad();
    let gradient = x.grad(&(x.clone() / 3.0).backward()).unwrap();
    let gradient: Vec<f64> = gradient.into_data().try_to_vec().unwrap();
    // So a mean is taken in the loss, not after it.
    assert_eq!(gradient[0], f64::from(1.0_f32 / 3.0));
}

#[test]
fn probabilities_are_clamped_elsewhere_in_burn() {
    let p = Tensor::<2>::from_floats([[0.0, 1.0]], &device());
    let labels = Tensor::<1, Int>::from_ints([0], &device());
    let theirs = burn::nn::loss::CrossEntropyLossConfig::new().with_logits(false).init(&device());
    assert!((scalar(theirs.forward(p.clone(), labels.clone())) - 43.668).abs() < 1e-3);
    let ours = CrossEntropyLossConfig::new().with_logits(false).init(&device());
    // -ln 1e-20
    assert!((scalar(ours.forward(p, labels.clone())) - 46.0517).abs() < 1e-3);
    let p = Tensor::<2>::from_floats([[0.25, 0.75]], &device());
    assert!((scalar(ours.forward(p, labels)) - 4.0_f32.ln()).abs() < 1e-6);
}

#[test]
fn binary_losses_of_probabilities_and_of_one_axis() {
    let p = Tensor::<1>::from_floats([0.25, 1.0], &device());
    let targets = Tensor::<1, Int>::from_ints([0, 1], &device());
    let config = BinaryCrossEntropyLossConfig::new().with_smoothing(Some(0.5));
    let theirs = burn::nn::loss::BinaryCrossEntropyLossConfig::new()
        .with_smoothing(Some(0.5))
        .init(&device());
    let ours = config.init(&device());
    let (ours, theirs) =
        (scalar(ours.forward(p.clone(), targets.clone())), scalar(theirs.forward(p, targets)));
    assert!((ours - theirs).abs() < 1e-5, "{ours} against {theirs}");
}

#[test]
fn other_devices_are_refused_by_name() {
    let elsewhere = Device::capture();
    let loss = SoftmaxCrossEntropy::<f32>::new();
    let captured = elsewhere.capture_scope(|scope| {
        let on = |device: &Device| {
            (Tensor::<2>::zeros([1, 2], device), Tensor::<1, Int>::zeros([1], device))
        };
        let ((logits, labels), (logits_there, labels_there)) = (on(&device()), on(&elsewhere));
        let refusals = [
            refusal(|| loss.forward(logits_there.clone(), labels.clone())),
            refusal(|| loss.forward(logits.clone(), labels_there)),
            refusal(|| {
                CrossEntropyLossConfig::new()
                    .init(&elsewhere)
                    .forward(logits_there.clone(), labels.clone())
            }),
            refusal(|| {
                linear_cross_entropy(&loss, logits, logits_there.clone(), None, labels.clone())
            }),
        ];
        for refusal in refusals {
            assert!(refusal.contains("Capture") && refusal.contains("to_device"), "{refusal}");
        }
        scope.complete([], [])
    });
    assert!(captured.is_ok());
}

#[test]
fn a_loss_has_no_gradient_without_a_graph() {
    const LOGITS: u64 = 4 * 1000 * 100;
    const SMALL: u64 = 64 * 1024;
    let labels = Tensor::<1, Int>::zeros([1000], &Device::flex());
    let loss = SoftmaxCrossEntropy::<f32>::new();
    let bytes = |logits: &Tensor<2>, labels: &Tensor<1, Int>| {
        drop(loss.forward(logits.clone(), labels.clone()));
        measure(|| drop(loss.forward(logits.clone(), labels.clone()))).bytes_total
    };
    let plain = Tensor::<2>::random([1000, 100], Distribution::Default, &Device::flex());
    let untracked = bytes(&plain, &labels);
    assert!(untracked < SMALL, "{untracked} bytes for a loss alone");

    let labels = Tensor::<1, Int>::zeros([1000], &device());
    let of_device = Tensor::<2>::random([1000, 100], Distribution::Default, &device());
    let not_required = bytes(&of_device, &labels);
    assert!(
        not_required < SMALL,
        "{not_required} bytes for a loss of logits that need no gradient"
    );
    let tracked = bytes(&of_device.require_grad(), &labels);
    assert!((LOGITS..LOGITS + SMALL).contains(&tracked), "{tracked} bytes for loss and gradient");
    // What a copy would look like.
    let transposed = Tensor::<2>::random([100, 1000], Distribution::Default, &device()).transpose();
    let copied = bytes(&transposed, &labels);
    assert!((LOGITS..LOGITS + SMALL).contains(&copied), "{copied} bytes for a copy");
}

#[test]
fn a_scale_comes_before_a_gradient_is_rounded_to_sixteen_bits() {
    // A gradient of 2^-26 is zero in f16; 2^16 times as much is not.
    let logits = Tensor::<2>::zeros([1 << 14, 4096], (&device(), DType::F16)).require_grad();
    let labels = Tensor::<1, Int>::zeros([1 << 14], &device());
    let loss = SoftmaxCrossEntropy::<f32>::new().forward(logits.clone(), labels) * 65536.0;
    let gradient = logits.grad(&loss.backward()).unwrap();
    assert_eq!(gradient.dtype(), DType::F16);
    let others = gradient.narrow(1, 1, 4095).cast(DType::F32);
    // 65536 / 16384 / 4096, exactly.
    assert_eq!(
        (values(others.clone().min()), values(others.max())),
        (vec![4.0 / 4096.0], vec![4.0 / 4096.0])
    );
}

#[test]
fn no_gradient_flows_to_targets() {
    let student = Tensor::<2>::from_floats([[1.0, 0.0]], &device()).require_grad();
    let teacher = Tensor::<2>::from_floats([[0.0, 2.0]], &device()).require_grad();
    let loss = Distillation::<f32>::new(1.0).unwrap().forward(student.clone(), teacher.clone());
    let grads = loss.backward();
    assert!(student.grad(&grads).is_some() && teacher.grad(&grads).is_none());
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let zeros = |rows, classes| Tensor::<2>::zeros([rows, classes], &device());
    let labels = |label: i32| Tensor::<1, Int>::from_ints([0, label], &device());
    let softmax = SoftmaxCrossEntropy::<f32>::new();
    let refusals = [
        (
            refusal(|| softmax.forward(zeros(2, 3), labels(3))),
            "label out of range: row 1 has 3, expected 0..3",
        ),
        (refusal(|| softmax.forward(zeros(2, 3), labels(-1))), "row 1 has -1"),
        (refusal(|| softmax.forward(zeros(3, 3), labels(0))), "without the last axis"),
        (refusal(|| softmax.forward(zeros(2, 3), zeros(2, 2))), "the shape of the logits"),
        (
            refusal(|| softmax.forward(zeros(2, 3).cast(DType::F64), labels(0))),
            "SoftmaxCrossEntropy::<f64>::new()",
        ),
        (
            refusal(|| SoftmaxCrossEntropy::<f64>::new().forward(zeros(2, 3), labels(0))),
            "SoftmaxCrossEntropy::<f32>::new()",
        ),
        (
            refusal(|| Distillation::<f32>::new(1.0).unwrap().forward(zeros(2, 3), labels(0))),
            "a teacher's logits",
        ),
        (
            refusal(|| CrossEntropyLossConfig::new().with_smoothing(Some(1.5)).init(&device())),
            "label smoothing",
        ),
        (
            refusal(|| {
                CrossEntropyLossConfig::new().with_weights(Some(vec![-1.0])).init(&device())
            }),
            "class weights",
        ),
        (
            refusal(|| {
                CrossEntropyLossConfig::new()
                    .with_logits(false)
                    .with_smoothing(Some(0.1))
                    .init(&device())
            }),
            "set `logits` to true",
        ),
        (
            refusal(|| {
                BinaryCrossEntropyLossConfig::new().with_focal_gamma(Some(2.0)).init(&device())
            }),
            "set `logits` to true",
        ),
        (
            refusal(|| {
                BinaryCrossEntropyLossConfig::new()
                    .with_logits(true)
                    .with_focal_alpha(Some(0.5))
                    .init(&device())
            }),
            "needs a focal gamma",
        ),
        (
            refusal(|| {
                BinaryCrossEntropyLossConfig::new()
                    .init(&device())
                    .forward(zeros(1, 2) + 1.5, Tensor::<2, Int>::zeros([1, 2], &device()))
            }),
            "pass logits to a loss of logits",
        ),
        (
            refusal(|| linear_cross_entropy(&softmax, zeros(2, 4), zeros(3, 5), None, labels(0))),
            "last axis",
        ),
        (
            refusal(|| {
                linear_cross_entropy(
                    &softmax.clone().with_reduction(Reduction::None),
                    zeros(2, 4),
                    zeros(3, 4),
                    None,
                    labels(0),
                )
            }),
            "a mean or a sum",
        ),
    ];
    for (message, part) in refusals {
        assert!(message.contains(part), "{message} does not say: {part}");
    }
}
