//! The C interface returns the bits of the crate `xent`, at every level.

use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::ptr;

use half::{bf16, f16};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xent::{
    Element, Hessian, Level, Logits, MeanOver, MultiLabelSoftmax, NothingValid, Pass, Quantisation,
    Reduction, Report, SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};
use xent_capi::{
    SigmoidLoss, SoftmaxLoss, Status, xent_choose_level, xent_sigmoid_loss_init_f32,
    xent_sigmoid_loss_init_f64, xent_sigmoid_loss_run_f32, xent_sigmoid_loss_run_f64,
    xent_softmax_loss_init_f32, xent_softmax_loss_init_f64, xent_softmax_loss_run_bf16,
    xent_softmax_loss_run_f16, xent_softmax_loss_run_f32, xent_softmax_loss_run_f64,
    xent_softmax_loss_run_i8, xent_softmax_loss_run_i16, xent_softmax_loss_run_u8,
};

/// In the order of C's numbers for them.
const REDUCTIONS: [Reduction; 3] = [Reduction::Mean, Reduction::Sum, Reduction::None];
const MEANS: [MeanOver; 4] =
    [MeanOver::PyTorch, MeanOver::NotIgnored, MeanOver::AllRows, MeanOver::Weights];
const NOTHING: [NothingValid; 2] = [NothingValid::Zero, NothingValid::Nan];

/// The options of one call.
#[derive(Clone, Copy, Debug)]
struct Case {
    rows: usize,
    classes: usize,
    reduction: usize,
    mean_over: usize,
    nothing_valid: usize,
    smoothing: f64,
    ignore: Option<i64>,
    class_weights: bool,
    sample_weights: bool,
    scale: f64,
}

impl Case {
    fn random(rng: &mut StdRng) -> Self {
        Self {
            rows: rng.random_range(0..40),
            classes: rng.random_range(1..80),
            reduction: rng.random_range(0..REDUCTIONS.len()),
            mean_over: rng.random_range(0..MEANS.len()),
            nothing_valid: rng.random_range(0..NOTHING.len()),
            smoothing: if rng.random() { rng.random() } else { 0.0 },
            ignore: rng.random::<bool>().then_some(1),
            class_weights: rng.random(),
            sample_weights: rng.random(),
            scale: if rng.random() { rng.random_range(0.1..10.0) } else { 1.0 },
        }
    }
}

/// Whether two losses have the same bits, or are both NaN.
fn same_loss(c: f64, report: Report) -> bool {
    c.to_bits() == report.loss.to_bits() || (c.is_nan() && report.loss.is_nan())
}

/// Whether the losses of a batch are; without a reduction there is none in C.
fn same_loss_of(case: &Case, c: f64, report: Report) -> bool {
    REDUCTIONS[case.reduction] == Reduction::None || same_loss(c, report)
}

macro_rules! of_format {
    ($name:ident, $float:ident, $sm_init:ident, $sm_run:ident, $sg_init:ident, $sg_run:ident) => {
        mod $name {
            use super::*;

            fn numbers(rng: &mut StdRng, count: usize, of: std::ops::Range<$float>) -> Vec<$float> {
                (0..count).map(|_| rng.random_range(of.clone())).collect()
            }

            fn same(a: &[$float], b: &[$float]) -> bool {
                let pairs = a.iter().zip(b);
                a.len() == b.len()
                    && pairs
                        .into_iter()
                        .all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
            }

            fn pointer<T>(slice: &[T], wanted: bool) -> *const T {
                if wanted { slice.as_ptr() } else { ptr::null() }
            }

            /// One random softmax loss and one random sigmoid loss.
            pub(crate) fn check(level: Level, rng: &mut StdRng) {
                let case = Case::random(rng);
                let Case { rows, classes, .. } = case;
                let logits = numbers(rng, rows * classes, -20.0..20.0);
                let mut dense = numbers(rng, rows * classes, -1.0..1.0);
                dense.iter_mut().for_each(|y| *y = y.max(0.0));
                let class_weights = numbers(rng, classes, 0.0..3.0);
                let positive_weights = numbers(rng, classes, 0.0..3.0);
                let mut sample_weights = numbers(rng, rows, 0.0..2.0);
                sample_weights.iter_mut().skip(2).step_by(7).for_each(|weight| *weight = 0.0);
                let labels: Vec<i32> =
                    (0..rows).map(|_| rng.random_range(0..classes as i32)).collect();
                let multi_hot: Vec<u32> =
                    (0..rows * classes).map(|_| rng.random_range(0..2)).collect();
                let kind = rng.random_range(0..3);

                let mut of_c = [vec![9.0; rows * classes], vec![9.0; rows]];
                let mut of_rust = of_c.clone();
                let mut value = 0.0;
                let wanted =
                    if case.reduction == 2 { ptr::null_mut() } else { ptr::from_mut(&mut value) };
                let ignore = case.ignore.filter(|_| kind == 0);
                let mut loss = MaybeUninit::<SoftmaxLoss<$float>>::uninit();
                // SAFETY: there is room for the structure, and it is initialised by the call.
                let mut loss = unsafe {
                    let status = $sm_init(loss.as_mut_ptr(), size_of_val(&loss));
                    assert_eq!(status, Status::Ok);
                    loss.assume_init()
                };
                loss.rows = rows;
                loss.classes = classes;
                loss.logits = logits.as_ptr();
                loss.labels_i32 = pointer(&labels, kind == 0);
                loss.dense = pointer(&dense, kind == 1);
                loss.multi_label = pointer(&dense, kind == 2);
                loss.class_weights = pointer(&class_weights, case.class_weights);
                loss.sample_weights = pointer(&sample_weights, case.sample_weights);
                loss.gradient = of_c[0].as_mut_ptr();
                loss.losses = of_c[1].as_mut_ptr();
                loss.label_smoothing = case.smoothing;
                loss.scale = case.scale;
                loss.ignore_index = ignore.unwrap_or_default();
                loss.has_ignore_index = i32::from(ignore.is_some());
                loss.reduction = case.reduction as i32;
                loss.mean_over = case.mean_over as i32;
                loss.nothing_valid = case.nothing_valid as i32;
                // SAFETY: all pointers are null or those of vectors of the right length.
                let status = unsafe { $sm_run(&loss, wanted, ptr::null_mut()) };
                assert_eq!(status, Status::Ok, "{case:?}");

                let weights = if case.class_weights { &class_weights[..] } else { &[] };
                let samples = if case.sample_weights { &sample_weights[..] } else { &[] };
                let x = Logits::with_shape(&logits, rows, classes).expect("a shape");
                let report = {
                    let [gradient, losses] = &mut of_rust;
                    let pass = Pass::new()
                        .grad(gradient)
                        .losses(losses)
                        .sample_weights(samples)
                        .scale(case.scale);
                    macro_rules! evaluate {
                        ($loss:expr, $targets:expr) => {
                            $loss
                                .with_class_weights(weights)
                                .and_then(|loss| loss.with_label_smoothing(case.smoothing))
                                .expect("options")
                                .with_reduction(REDUCTIONS[case.reduction])
                                .with_mean_over(MEANS[case.mean_over])
                                .with_nothing_valid(NOTHING[case.nothing_valid])
                                .with_level(level)
                                .evaluate(x, $targets, pass)
                                .expect("a loss")
                        };
                    }
                    match kind {
                        0 => {
                            let mut loss = SoftmaxCrossEntropy::new();
                            if let Some(label) = ignore {
                                loss = loss.with_ignore_index(label);
                            }
                            evaluate!(loss, Targets::index(&labels))
                        }
                        1 => evaluate!(SoftmaxCrossEntropy::new(), Targets::dense(&dense)),
                        _ => evaluate!(MultiLabelSoftmax::new(), Targets::dense(&dense)),
                    }
                };
                assert!(same_loss_of(&case, value, report), "{case:?}: {value}, {report:?}");
                assert!(same(&of_c[0], &of_rust[0]), "gradient, {kind}, {case:?}");
                assert!(same(&of_c[1], &of_rust[1]), "losses, {kind}, {case:?}");

                let mut of_c = [vec![9.0; rows * classes], vec![9.0; rows * classes]];
                let mut of_rust = of_c.clone();
                let ignore = case.ignore.filter(|_| kind != 0);
                let mut loss = MaybeUninit::<SigmoidLoss<$float>>::uninit();
                // SAFETY: there is room for the structure, and it is initialised by the call.
                let mut loss = unsafe {
                    let status = $sg_init(loss.as_mut_ptr(), size_of_val(&loss));
                    assert_eq!(status, Status::Ok);
                    loss.assume_init()
                };
                loss.rows = rows;
                loss.classes = classes;
                loss.logits = logits.as_ptr();
                loss.dense = pointer(&dense, kind == 0);
                loss.labels_u32 = pointer(&multi_hot, kind != 0);
                loss.class_weights = pointer(&class_weights, case.class_weights);
                loss.positive_weights = pointer(&positive_weights, kind == 1);
                loss.sample_weights = pointer(&sample_weights, case.sample_weights);
                loss.gradient = of_c[0].as_mut_ptr();
                loss.losses = of_c[1].as_mut_ptr();
                loss.label_smoothing = case.smoothing;
                loss.scale = case.scale;
                loss.ignore_index = ignore.unwrap_or_default();
                loss.has_ignore_index = i32::from(ignore.is_some());
                loss.reduction = case.reduction as i32;
                loss.mean_over = case.mean_over as i32;
                loss.nothing_valid = case.nothing_valid as i32;
                // SAFETY: all pointers are null or those of vectors of the right length.
                let status = unsafe { $sg_run(&loss, wanted, ptr::null_mut()) };
                assert_eq!(status, Status::Ok, "{case:?}");

                let positive = if kind == 1 { &positive_weights[..] } else { &[] };
                let mut loss = SigmoidCrossEntropy::new()
                    .with_class_weights(weights)
                    .and_then(|loss| loss.with_pos_weight(positive))
                    .and_then(|loss| loss.with_label_smoothing(case.smoothing))
                    .expect("options")
                    .with_reduction(REDUCTIONS[case.reduction])
                    .with_mean_over(MEANS[case.mean_over])
                    .with_nothing_valid(NOTHING[case.nothing_valid])
                    .with_level(level);
                if let Some(label) = ignore {
                    loss = loss.with_ignore_index(label);
                }
                let targets =
                    if kind == 0 { Targets::dense(&dense) } else { Targets::multi_hot(&multi_hot) };
                let [gradient, losses] = &mut of_rust;
                let pass = Pass::new()
                    .grad(gradient)
                    .losses(losses)
                    .sample_weights(samples)
                    .scale(case.scale);
                let report = loss.evaluate(x, targets, pass).expect("a loss");
                assert!(same_loss_of(&case, value, report), "{case:?}: {value}, {report:?}");
                assert!(same(&of_c[0], &of_rust[0]), "gradient, sigmoid, {kind}, {case:?}");
                assert!(same(&of_c[1], &of_rust[1]), "losses, sigmoid, {kind}, {case:?}");
            }
        }
    };
}
of_format!(
    of_f32,
    f32,
    xent_softmax_loss_init_f32,
    xent_softmax_loss_run_f32,
    xent_sigmoid_loss_init_f32,
    xent_sigmoid_loss_run_f32
);
of_format!(
    of_f64,
    f64,
    xent_softmax_loss_init_f64,
    xent_softmax_loss_run_f64,
    xent_sigmoid_loss_init_f64,
    xent_sigmoid_loss_run_f64
);

/// A C function for 16-bit logits.
type Sixteen = unsafe extern "C" fn(*const SoftmaxLoss<f32>, *mut f64, *mut usize) -> Status;

/// One random focal loss or one with second derivatives, of 16-bit columns or rows with gaps, with all results.
fn check_sixteen<E: Element<Float = f32>>(
    level: Level,
    rng: &mut StdRng,
    run: Sixteen,
    to_bits: fn(E) -> u16,
    from_bits: fn(u16) -> E,
) {
    let (outer, classes) = (rng.random_range(1..6), rng.random_range(2..50));
    let inner = if rng.random() { 1 } else { rng.random_range(2..9) };
    let gap = if inner == 1 { rng.random_range(0..4) } else { 0 };
    let (rows, stride) = (outer * inner, classes * inner + gap);
    let length = outer * stride - gap;
    let gamma = if rng.random() { 1.5 } else { 0.0 };
    let has_hessian = gamma == 0.0;
    let mut logits: Vec<E> =
        (0..length).map(|_| E::from_float(rng.random_range(-9.0..9.0))).collect();
    // Now and then a logit that is not finite.
    if rng.random_range(0..4) == 0 {
        let at = rng.random_range(0..rows);
        logits[at / inner * stride + at % inner] = E::from_float(f32::NAN);
    }
    let bits: Vec<u16> = logits.iter().map(|&x| to_bits(x)).collect();
    let labels: Vec<i64> = (0..rows).map(|_| rng.random_range(0..classes as i64)).collect();

    let mut gradient = vec![7_u16; length];
    let mut outputs = [vec![7.0_f32; rows], vec![7.0; rows], vec![7.0; rows * classes]];
    let mut predicted = vec![7_u32; rows];
    let (mut value, mut denominator) = (0.0, 0.0);
    let (mut correct, mut valid_rows) = (0, 0);
    let (mut not_finite, mut first_not_finite) = (0, 0);
    let mut loss = MaybeUninit::<SoftmaxLoss<f32>>::uninit();
    // SAFETY: there is room for the structure, and it is initialised by the call.
    let mut loss = unsafe {
        let status = xent_softmax_loss_init_f32(loss.as_mut_ptr(), size_of_val(&loss));
        assert_eq!(status, Status::Ok);
        loss.assume_init()
    };
    loss.rows = rows;
    loss.classes = classes;
    loss.inner = inner;
    loss.logits_stride = stride;
    loss.gradient_stride = stride;
    loss.logits_16 = bits.as_ptr();
    loss.labels_i64 = labels.as_ptr();
    loss.focal_gamma = gamma;
    loss.gradient_16 = gradient.as_mut_ptr();
    loss.losses = outputs[0].as_mut_ptr();
    loss.log_sum_exp = outputs[1].as_mut_ptr();
    loss.hessian = if has_hessian { outputs[2].as_mut_ptr() } else { ptr::null_mut() };
    loss.hessian_convention = 1;
    // The sum, which that convention is of.
    loss.reduction = 1;
    loss.predicted = predicted.as_mut_ptr();
    loss.correct = &raw mut correct;
    loss.valid_rows = &raw mut valid_rows;
    loss.denominator = &raw mut denominator;
    loss.not_finite_rows = &raw mut not_finite;
    loss.first_not_finite = &raw mut first_not_finite;
    // SAFETY: all pointers are null or those of vectors of the right length.
    let status = unsafe { run(&raw const loss, &raw mut value, ptr::null_mut()) };
    assert_eq!(status, Status::Ok);

    let mut of_rust = [vec![7.0_f32; rows], vec![7.0; rows], vec![7.0; rows * classes]];
    let mut classes_of_rust = vec![7_u32; rows];
    let mut gradient_of_rust: Vec<E> = gradient.iter().map(|_| from_bits(7)).collect();
    let x = if inner == 1 {
        Logits::with_stride(&logits, rows, classes, stride)
    } else {
        Logits::with_columns(&logits, outer, classes, inner)
    };
    let [losses, log_sum_exp, hessian] = &mut of_rust;
    let mut pass = Pass::new()
        .grad(&mut gradient_of_rust)
        .losses(losses)
        .log_sum_exp(log_sum_exp)
        .predicted(&mut classes_of_rust);
    if has_hessian {
        pass = pass.hessian(hessian, Hessian::XgBoost);
    }
    let report = SoftmaxCrossEntropy::new()
        .with_reduction(Reduction::Sum)
        .with_focal_gamma(gamma)
        .expect("a gamma")
        .with_level(level)
        .evaluate(x.expect("a shape"), Targets::index(&labels), pass)
        .expect("a loss");
    assert!(same_loss(value, report));
    assert_eq!(gradient, gradient_of_rust.iter().map(|&g| to_bits(g)).collect::<Vec<_>>());
    let bits = |all: &[Vec<f32>; 3]| {
        all.each_ref().map(|of| of.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
    };
    assert_eq!(bits(&outputs), bits(&of_rust));
    assert_eq!(predicted, classes_of_rust);
    let of_rust = report.not_finite;
    assert_eq!((not_finite, first_not_finite), (of_rust.rows, of_rust.first.unwrap_or(rows)));
    assert_eq!((Some(correct), valid_rows), (report.correct, report.valid_rows));
    assert_eq!(denominator.to_bits(), report.denominator.to_bits());
}

/// A single test, because all threads share one level.
#[test]
fn losses_have_the_bits_of_xent() {
    for level in Level::available() {
        let name = format!("{level}\0");
        let name = CStr::from_bytes_with_nul(name.as_bytes()).expect("a name without NUL");
        // SAFETY: it is a string that ends with NUL.
        assert_eq!(unsafe { xent_choose_level(name.as_ptr()) }, Status::Ok);
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..400 {
            of_f32::check(level, &mut rng);
            of_f64::check(level, &mut rng);
            let run = xent_softmax_loss_run_bf16;
            check_sixteen(level, &mut rng, run, bf16::to_bits, bf16::from_bits);
            let run = xent_softmax_loss_run_f16;
            check_sixteen(level, &mut rng, run, f16::to_bits, f16::from_bits);
        }
        check_integers(level);
    }
}

type Run = unsafe extern "C" fn(*const SoftmaxLoss<f32>, *mut f64, *mut usize) -> Status;

/// Integers of a quantised model, in C and in Rust.
fn agree_on_integers<Q: Element<Float = f32>>(level: Level, q: &[Q], zero_point: i32, run: Run) {
    let (classes, scale) = (10, 0.17_f32);
    let rows = q.len() / classes;
    let labels: Vec<u8> = (0..rows).map(|row| (row * 7 % classes) as u8).collect();
    let (mut gradient, mut of_rust) = (vec![7.0_f32; q.len()], vec![0.0_f32; q.len()]);
    let mut value = 0.0;
    let mut loss = MaybeUninit::<SoftmaxLoss<f32>>::uninit();
    // SAFETY: there is room for the structure, and it is initialised by the call.
    let mut loss = unsafe {
        let status = xent_softmax_loss_init_f32(loss.as_mut_ptr(), size_of_val(&loss));
        assert_eq!(status, Status::Ok);
        loss.assume_init()
    };
    loss.rows = rows;
    loss.classes = classes;
    loss.logits_integers = q.as_ptr().cast();
    loss.logits_scale = scale;
    loss.logits_zero_point = zero_point;
    loss.labels_u8 = labels.as_ptr();
    loss.gradient = gradient.as_mut_ptr();
    let mut call = |loss: &SoftmaxLoss<f32>| {
        // SAFETY: all pointers are null or those of vectors of the right length.
        unsafe { run(&raw const *loss, &raw mut value, ptr::null_mut()) }
    };
    let mut wrong = loss;
    wrong.logits_scale = -1.0;
    assert_eq!(call(&wrong), Status::Quantisation);
    wrong = loss;
    wrong.logits_zero_point = 40_000;
    assert_eq!(call(&wrong), Status::Quantisation);
    wrong = loss;
    wrong.logits = of_rust.as_ptr();
    assert_eq!(call(&wrong), Status::Format);
    wrong = loss;
    wrong.logits_integers = ptr::null();
    assert_eq!(call(&wrong), Status::Null);
    assert!(gradient.iter().all(|g| *g == 7.0));

    assert_eq!(call(&loss), Status::Ok);
    let quantisation = Quantisation::new(scale, zero_point).expect("a scale");
    let logits = Logits::new(q, classes).expect("whole rows").quantised(quantisation);
    let pass = Pass::new().wide_grad(&mut of_rust);
    let of_level = SoftmaxCrossEntropy::new().with_level(level);
    let report = of_level.evaluate(logits, &labels[..], pass).expect("a loss");
    assert_eq!(value.to_bits(), report.loss.to_bits());
    assert_eq!(gradient, of_rust);
}

fn check_integers(level: Level) {
    let bytes: Vec<u8> =
        (0..2000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let signed: Vec<i8> = bytes.iter().map(|&byte| byte.cast_signed()).collect();
    let wide: Vec<i16> = signed.iter().map(|&q| i16::from(q) * 3).collect();
    agree_on_integers(level, &signed, -3, xent_softmax_loss_run_i8);
    agree_on_integers(level, &bytes, 128, xent_softmax_loss_run_u8);
    agree_on_integers(level, &wide, 5, xent_softmax_loss_run_i16);
}
