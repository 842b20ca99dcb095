//! Which options are accepted and which are rejected: at their limits, past them, and in
//! combination.

use xent_core::{
    Buffers, Error, Hessian, Labels, LikelihoodBatch, LikelihoodInput, LogSumExpBatch, MultiLabel,
    Outputs, Shape, SigmoidBatch, SigmoidInput, SigmoidOptions, SigmoidTargets, SoftmaxBatch,
    SoftmaxOptions, SoftmaxTargets, Values,
};

const X: [f32; 6] = [0.5, 0.25, 0.125, 0.0, 1.0, 0.75];
const BAD_WEIGHTS: [[f32; 3]; 3] =
    [[-1.0, 1.0, 1.0], [1.0, f32::NAN, 1.0], [1.0, 1.0, f32::INFINITY]];
const REFUSED: [f64; 4] = [-1e-9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

fn index() -> SoftmaxTargets<'static> {
    SoftmaxTargets::Index(Labels::U8(&[0, 1]))
}

fn shape() -> Shape {
    Shape::rows(2, 3).expect("small")
}

fn softmax(
    targets: SoftmaxTargets<'static>,
    options: SoftmaxOptions<'static>,
) -> Result<SoftmaxBatch<'static>, Error> {
    SoftmaxBatch::with_options(Buffers::loss(&X), shape(), targets, options)
}

fn sigmoid(
    targets: SigmoidTargets<'static>,
    options: SigmoidOptions<'static>,
) -> Result<SigmoidBatch<'static>, Error> {
    SigmoidBatch::with_options(Buffers::loss(&X), shape(), targets, options)
}

/// The option that is rejected.
fn option<T>(result: Result<T, Error>) -> Option<&'static str> {
    match result {
        Err(Error::Option { option, .. }) => Some(option),
        _ => None,
    }
}

/// The kind of number that is rejected, and its place.
fn number<T>(result: Result<T, Error>) -> Option<(Values, usize)> {
    match result {
        Err(Error::Value { of, element, .. }) => Some((of, element)),
        _ => None,
    }
}

/// The slice with the wrong length: `(of, expected, found)`.
fn length<T>(result: Result<T, Error>) -> Option<(&'static str, usize, usize)> {
    match result {
        Err(Error::Length { of, expected, found }) => Some((of, expected, found)),
        _ => None,
    }
}

#[test]
fn numbers_of_a_softmax_have_their_limits() {
    let plain = SoftmaxOptions::default();
    let of = |options| option(softmax(index(), options));
    assert!(softmax(index(), plain).is_ok());
    for refused in REFUSED {
        assert_eq!(of(SoftmaxOptions { focal_gamma: refused, ..plain }), Some("focal gamma"));
        assert_eq!(of(SoftmaxOptions { z_loss: refused, ..plain }), Some("z-loss"));
        assert_eq!(of(SoftmaxOptions { soft_cap: refused, ..plain }), Some("soft cap"));
    }
    for refused in [-1e-9, 1.0 + 1e-9, f64::NAN] {
        let options = SoftmaxOptions { label_smoothing: refused, ..plain };
        assert_eq!(of(options), Some("label smoothing"));
    }
    for taken in [
        SoftmaxOptions { label_smoothing: 1.0, ..plain },
        SoftmaxOptions { focal_gamma: 0.5, ..plain },
        SoftmaxOptions { z_loss: 0.5, ..plain },
        SoftmaxOptions { soft_cap: 0.5, ..plain },
        SoftmaxOptions { class_weights: &[0.0, 1.0, 2.0], ..plain },
    ] {
        assert!(softmax(index(), taken).is_ok());
    }
    for (at, weights) in BAD_WEIGHTS.iter().enumerate() {
        let options = SoftmaxOptions { class_weights: weights, ..plain };
        assert_eq!(number(softmax(index(), options)), Some((Values::ClassWeights, at)));
    }
    let two = SoftmaxOptions { class_weights: &[1.0; 2], ..plain };
    assert_eq!(length(softmax(index(), two)), Some(("class weights", 3, 2)));
    let both = SoftmaxOptions { focal_gamma: 1.0, label_smoothing: 0.5, ..plain };
    assert_eq!(of(both), Some("focal gamma"));
}

#[test]
fn some_options_of_a_softmax_are_for_some_targets() {
    let plain = SoftmaxOptions::default();
    let dense = SoftmaxTargets::Dense(&X);
    let ignoring = SoftmaxOptions { ignore_index: Some(1), ..plain };
    assert!(softmax(index(), ignoring).is_ok());
    assert_eq!(option(softmax(dense, ignoring)), Some("ignore index"));
    let focal = SoftmaxOptions { focal_gamma: 1.0, ..plain };
    assert_eq!(option(softmax(dense, focal)), Some("focal gamma"));

    let teacher = |temperature| SoftmaxTargets::Teacher(&X, temperature);
    assert!(softmax(teacher(1.0), plain).is_ok());
    // The inverses of the last two are infinite, and zero.
    for refused in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-39, 1e60] {
        assert_eq!(option(softmax(teacher(refused), plain)), Some("temperature"));
    }
    let smoothed = SoftmaxOptions { label_smoothing: 0.5, ..plain };
    assert_eq!(option(softmax(teacher(1.0), smoothed)), Some("label smoothing"));
    for options in
        [SoftmaxOptions { soft_cap: 1.0, ..plain }, SoftmaxOptions { z_loss: 1.0, ..plain }]
    {
        assert_eq!(option(softmax(teacher(1.0), options)), Some("distillation"));
        assert!(softmax(dense, options).is_ok());
    }

    let weighted = SoftmaxOptions { class_weights: &[1.0; 3], ..plain };
    for options in [smoothed, weighted] {
        let caffe = SoftmaxTargets::MultiLabel(&X, MultiLabel::Caffe);
        assert_eq!(option(softmax(caffe, options)), Some("Caffe gradient"));
        assert!(softmax(SoftmaxTargets::MultiLabel(&X, MultiLabel::Exact), options).is_ok());
    }
    assert!(softmax(SoftmaxTargets::MultiLabel(&X, MultiLabel::Caffe), plain).is_ok());
}

#[test]
fn targets_of_other_lengths_are_refused() {
    let plain = SoftmaxOptions::default();
    for (targets, of) in [
        (SoftmaxTargets::Dense(&X[..5]), "targets"),
        (SoftmaxTargets::MultiLabel(&X[..5], MultiLabel::Exact), "targets"),
        (SoftmaxTargets::Teacher(&X[..5], 1.0), "teacher's logits"),
    ] {
        assert_eq!(length(softmax(targets, plain)), Some((of, 6, 5)));
    }
    let plain = SigmoidOptions::default();
    for targets in [SigmoidTargets::Dense(&X[..5]), SigmoidTargets::MultiHot(Labels::U8(&[0; 5]))] {
        assert_eq!(length(sigmoid(targets, plain)), Some(("targets", 6, 5)));
    }
}

#[test]
fn second_derivatives_are_for_losses_that_have_them() {
    let plain = SoftmaxOptions::default();
    let with = |options, convention| {
        let mut hessian = [0.0; 6];
        let outputs = Outputs { hessian: &mut hessian, convention, ..Outputs::default() };
        // Neither outlives the other.
        let batch = SoftmaxBatch::with_options(Buffers::loss(&X), shape(), index(), options);
        option(batch.and_then(|batch| batch.with_outputs(outputs)).map(|_| ()))
    };
    assert_eq!(with(plain, Hessian::LightGbm), None);
    for options in [
        SoftmaxOptions { focal_gamma: 1.0, ..plain },
        SoftmaxOptions { soft_cap: 1.0, ..plain },
        SoftmaxOptions { z_loss: 1.0, ..plain },
    ] {
        assert_eq!(with(options, Hessian::Exact), None);
        assert_eq!(with(options, Hessian::XgBoost), Some("Hessian"));
        assert_eq!(with(options, Hessian::LightGbm), Some("Hessian"));
        assert!(softmax(index(), options).and_then(|b| b.with_outputs(Outputs::default())).is_ok());
    }
    for convention in [Hessian::Exact, Hessian::XgBoost, Hessian::LightGbm] {
        let mut hessian = [0.0; 2];
        let outputs = Outputs { hessian: &mut hessian, convention, ..Outputs::default() };
        let targets = SoftmaxTargets::Index(Labels::U8(&[0, 0]));
        let batch = SoftmaxBatch::new(Buffers::loss(&X[..2]), 1, targets);
        let refused = option(batch.and_then(|batch| batch.with_outputs(outputs)).map(|_| ()));
        let one_class = convention == Hessian::LightGbm;
        assert_eq!(refused, one_class.then_some("Hessian"), "{convention:?}");
    }
    let plain = SigmoidOptions::default();
    let probabilities = SigmoidOptions { input: SigmoidInput::Probabilities, ..plain };
    for (options, convention, expected) in [
        (plain, Hessian::XgBoost, None),
        (SigmoidOptions { focal_gamma: 1.0, ..plain }, Hessian::Exact, None),
        (SigmoidOptions { focal_gamma: 1.0, ..plain }, Hessian::XgBoost, Some("Hessian")),
        (SigmoidOptions { focal_alpha: Some(0.5), ..plain }, Hessian::LightGbm, Some("Hessian")),
        (probabilities, Hessian::Exact, Some("Hessian")),
    ] {
        let mut hessian = [0.0; 6];
        let outputs = Outputs { hessian: &mut hessian, convention, ..Outputs::default() };
        let targets = SigmoidTargets::Dense(&X);
        let batch = SigmoidBatch::with_options(Buffers::loss(&X), shape(), targets, options);
        let refused = option(batch.and_then(|batch| batch.with_outputs(outputs)).map(|_| ()));
        assert_eq!(refused, expected);
    }
}

#[test]
fn outputs_are_as_long_as_the_batch_or_empty() {
    for rows in [1, 3] {
        let (mut floats, mut classes) = (vec![0.0; rows], vec![0; rows]);
        let batch = || softmax(index(), SoftmaxOptions::default()).expect("valid");
        let outputs = Outputs { losses: &mut floats, ..Outputs::default() };
        assert_eq!(length(batch().with_outputs(outputs).map(|_| ())), Some(("losses", 2, rows)));
        let outputs = Outputs { log_sum_exp: &mut floats, ..Outputs::default() };
        let refused = length(batch().with_outputs(outputs).map(|_| ()));
        assert_eq!(refused, Some(("log-sum-exp", 2, rows)));
        let outputs = Outputs { predicted: &mut classes, ..Outputs::default() };
        let refused = length(batch().with_outputs(outputs).map(|_| ()));
        assert_eq!(refused, Some(("predicted classes", 2, rows)));
        let outputs = Outputs { hessian: &mut floats, ..Outputs::default() };
        assert_eq!(length(batch().with_outputs(outputs).map(|_| ())), Some(("Hessian", 6, rows)));
        assert_eq!(length(batch().with_losses(&mut floats).map(|_| ())), Some(("losses", 2, rows)));
        let shape = Shape::rows(2, 3).expect("small");
        let refused = length(LogSumExpBatch::new(&X, shape, &mut floats).map(|_| ()));
        assert_eq!(refused, Some(("log-sum-exp", 2, rows)));
        let plain =
            || sigmoid(SigmoidTargets::Dense(&X), SigmoidOptions::default()).expect("valid");
        assert_eq!(length(plain().with_losses(&mut floats).map(|_| ())), Some(("losses", 6, rows)));
    }
    let (mut floats, mut classes) = ([0.0; 2], [0; 2]);
    let labels = Labels::U8(&[0, 1]);
    let input = LikelihoodInput::LogProbabilities;
    let likelihood =
        || LikelihoodBatch::new(Buffers::loss(&X), shape(), labels, input).expect("valid");
    let plain = || sigmoid(SigmoidTargets::Dense(&X), SigmoidOptions::default()).expect("valid");
    let outputs = Outputs { log_sum_exp: &mut floats, ..Outputs::default() };
    assert_eq!(option(plain().with_outputs(outputs).map(|_| ())), Some("outputs"));
    let outputs = Outputs { predicted: &mut classes, ..Outputs::default() };
    assert_eq!(option(plain().with_outputs(outputs).map(|_| ())), Some("outputs"));
    let outputs = Outputs { log_sum_exp: &mut floats, ..Outputs::default() };
    assert_eq!(option(likelihood().with_outputs(outputs).map(|_| ())), Some("outputs"));
    let outputs = Outputs { predicted: &mut classes, ..Outputs::default() };
    assert_eq!(option(likelihood().with_outputs(outputs).map(|_| ())), Some("outputs"));
    let mut hessian = [0.0; 6];
    let outputs = Outputs { hessian: &mut hessian, ..Outputs::default() };
    assert_eq!(option(likelihood().with_outputs(outputs).map(|_| ())), Some("outputs"));
    let outputs = Outputs { losses: &mut floats, ..Outputs::default() };
    assert!(likelihood().with_outputs(outputs).is_ok());
}

#[test]
fn numbers_of_a_sigmoid_have_their_limits() {
    let plain = SigmoidOptions::default();
    let of = |options| option(sigmoid(SigmoidTargets::Dense(&X), options));
    for refused in REFUSED {
        assert_eq!(of(SigmoidOptions { focal_gamma: refused, ..plain }), Some("focal gamma"));
    }
    for refused in [-1e-9, 1.0 + 1e-9, f64::NAN] {
        let options = SigmoidOptions { label_smoothing: refused, ..plain };
        assert_eq!(of(options), Some("label smoothing"));
        let options = SigmoidOptions { focal_alpha: Some(refused), ..plain };
        assert_eq!(of(options), Some("focal alpha"));
    }
    for (at, weights) in BAD_WEIGHTS.iter().enumerate() {
        let of = |options| number(sigmoid(SigmoidTargets::Dense(&X), options));
        let options = SigmoidOptions { class_weights: weights, ..plain };
        assert_eq!(of(options), Some((Values::ClassWeights, at)));
        let options = SigmoidOptions { pos_weight: weights, ..plain };
        assert_eq!(of(options), Some((Values::PosWeights, at)));
    }
    for taken in [
        plain,
        SigmoidOptions { label_smoothing: 1.0, ..plain },
        SigmoidOptions { focal_gamma: 2.0, focal_alpha: Some(1.0), ..plain },
        SigmoidOptions { focal_alpha: Some(0.0), ..plain },
        SigmoidOptions { class_weights: &[0.0; 3], pos_weight: &[0.0; 3], ..plain },
        SigmoidOptions { input: SigmoidInput::Probabilities, ..plain },
    ] {
        assert!(sigmoid(SigmoidTargets::Dense(&X), taken).is_ok());
    }
    let of_probabilities = SigmoidOptions { input: SigmoidInput::Probabilities, ..plain };
    assert_eq!(of(SigmoidOptions { focal_gamma: 1.0, ..of_probabilities }), Some("focal gamma"));
    assert_eq!(
        of(SigmoidOptions { focal_alpha: Some(0.5), ..of_probabilities }),
        Some("focal gamma")
    );
    let ignoring = SigmoidOptions { ignore_index: Some(-1), ..plain };
    assert_eq!(of(ignoring), Some("ignore index"));
    assert!(sigmoid(SigmoidTargets::MultiHot(Labels::I8(&[0, 1, -1, 1, 0, 0])), ignoring).is_ok());
    let refused = sigmoid(SigmoidTargets::MultiHot(Labels::I8(&[0, 1, -1, 1, 0, 0])), plain);
    // Three classes a row.
    assert!(matches!(refused, Err(Error::Label { row: 0, label: -1, classes: 2 })));
    for (options, of) in [
        (SigmoidOptions { class_weights: &[1.0; 4], ..plain }, "class weights"),
        (SigmoidOptions { pos_weight: &[1.0; 4], ..plain }, "pos weight"),
    ] {
        assert_eq!(length(sigmoid(SigmoidTargets::Dense(&X), options)), Some((of, 3, 4)));
    }
}

#[test]
fn lists_of_positives_are_in_order() {
    let of = |offsets: &'static [usize], classes: &'static [u8]| {
        let targets = SigmoidTargets::Positives { offsets, classes: Labels::U8(classes) };
        sigmoid(targets, SigmoidOptions::default()).map(|_| ())
    };
    assert_eq!(of(&[0, 1, 2], &[2, 0]), Ok(()));
    assert_eq!(of(&[0, 0, 0], &[]), Ok(()));
    assert_eq!(length(of(&[0, 1], &[2])), Some(("offsets", 3, 2)));
    assert_eq!(length(of(&[0, 1, 2], &[2])), Some(("positive classes", 2, 1)));
    assert_eq!(length(of(&[0, 1, 2], &[2, 1, 0])), Some(("positive classes", 2, 3)));
    assert_eq!(option(of(&[1, 1, 2], &[2, 0])), Some("offsets"));
    assert_eq!(option(of(&[0, 3, 2], &[2, 0])), Some("offsets"));
    assert!(matches!(of(&[0, 1, 2], &[2, 3]), Err(Error::Label { row: 1, label: 3, classes: 3 })));
}

#[test]
fn probabilities_are_from_zero_to_one() {
    let shape = Shape::rows(2, 3).and_then(|shape| shape.with_strides(4, 4)).expect("valid");
    let options = SigmoidOptions { input: SigmoidInput::Probabilities, ..Default::default() };
    let of = |p: &[f32]| {
        let y = [0.0; 6];
        SigmoidBatch::with_options(Buffers::loss(p), shape, SigmoidTargets::Dense(&y), options)
            .map(|_| ())
    };
    // Gaps between the rows are not read.
    assert_eq!(of(&[0.0, 1.0, 0.5, f32::NAN, 0.5, 0.0, 1.0]), Ok(()));
    for value in [-0.25_f32, 1.25, f32::NAN, f32::INFINITY] {
        let found = of(&[0.0, 1.0, 0.5, 9.0, 0.5, value, 1.0]);
        assert_eq!(number(found), Some((Values::Probabilities, 4)));
    }
    let labels = Labels::U8(&[2, 1]);
    let of =
        |p: &[f32], input| LikelihoodBatch::new(Buffers::loss(p), shape, labels, input).map(|_| ());
    for value in [-0.25_f32, 1.25, f32::NAN, f32::INFINITY] {
        // Only the inputs of labels are checked.
        let p = [value, value, 1.0, 9.0, value, 0.0, value];
        assert_eq!(of(&p, LikelihoodInput::Probabilities), Ok(()));
        let p = [0.0, 0.0, 0.5, 9.0, 0.0, value, 0.0];
        let refused = of(&p, LikelihoodInput::Probabilities);
        assert_eq!(number(refused), Some((Values::Probabilities, 4)));
        assert_eq!(of(&p, LikelihoodInput::LogProbabilities), Ok(()));
    }
}

#[test]
fn shapes_have_their_limits() {
    assert_eq!(Shape::rows(3, 0), Err(Error::ZeroClasses));
    assert_eq!(Shape::columns(3, 0, 2), Err(Error::ZeroClasses));
    assert_eq!(Shape::rows_of(6, 0), Err(Error::ZeroClasses));
    assert_eq!(Shape::rows_of(7, 3), Err(Error::Ragged { found: 7, classes: 3 }));
    assert_eq!(Shape::rows_of(6, 3), Shape::rows(2, 3));
    assert!(matches!(Shape::rows(usize::MAX, 2), Err(Error::TooLarge { .. })));
    assert!(matches!(Shape::columns(1, usize::MAX, 2), Err(Error::TooLarge { .. })));
    assert!(Shape::rows(usize::MAX, 1).is_ok());
    let shape = Shape::columns(4, 3, 2).expect("small");
    assert_eq!((shape.row_count(), shape.elements(), shape.classes()), (8, 24, 3));
    assert_eq!(length(shape.with_strides(5, 6)), Some(("stride of the logits", 6, 5)));
    assert_eq!(length(shape.with_strides(6, 5)), Some(("stride of the gradient", 6, 5)));
    assert!(shape.with_strides(6, 6).is_ok());
    assert!(matches!(shape.with_strides(usize::MAX / 2, 6), Err(Error::TooLarge { .. })));
    assert!(matches!(shape.with_strides(6, usize::MAX / 2), Err(Error::TooLarge { .. })));
    let strided = shape.with_strides(10, 7).expect("long enough");
    // The last block may end with its logits, or be as long as the others.
    assert_eq!((strided.check(36), strided.check(40)), (Ok(36), Ok(36)));
    assert_eq!(length(strided.check(35)), Some(("logits", 36, 35)));
    assert_eq!(length(strided.check(41)), Some(("logits", 36, 41)));
    assert_eq!((strided.logit_place(3, 2), strided.place(3, 2)), (15, 11));
    assert_eq!((strided.logit_place(7, 1), strided.place(7, 1)), (33, 21));
    let none = Shape::columns(0, 3, 2).expect("small");
    assert_eq!((none.check(0), none.elements()), (Ok(0), 0));
}

#[test]
fn labels_and_buffers_know_whether_they_are_empty() {
    assert!(Labels::U8(&[]).is_empty() && !Labels::U8(&[0]).is_empty());
    assert!(Buffers::<f32>::loss(&[]).is_empty() && !Buffers::loss(&X).is_empty());
    assert_eq!((Buffers::loss(&X).len(), Buffers::in_place(&mut [0.0_f32; 4]).len()), (6, 4));
    let labels = Labels::U64(&[3, u64::MAX]);
    assert_eq!([labels.get(0), labels.get(1), labels.get(2)], [Some(3), None, None]);
}

#[test]
fn a_soft_cap_that_the_format_of_the_logits_does_not_have_is_refused() {
    fn refused<F: xent_core::Float>(soft_cap: f64) -> bool {
        SoftmaxOptions::<F> { soft_cap, ..SoftmaxOptions::default() }.check().is_err()
    }
    for cap in [1e-127, 1e39, f64::INFINITY, f64::NAN, -1.0, -1e-200] {
        assert!(refused::<f32>(cap), "{cap:e}");
    }
    for cap in [f64::INFINITY, f64::NAN, -1.0] {
        assert!(refused::<f64>(cap), "{cap:e}");
    }
    for cap in [0.0, 1e-30, 30.0, 1e38] {
        assert!(!refused::<f32>(cap) && !refused::<f64>(cap), "{cap:e}");
    }
    assert!(!refused::<f64>(1e-127) && !refused::<f64>(1e39));
}
