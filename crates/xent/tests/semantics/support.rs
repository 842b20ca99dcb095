//! Calls of a loss in every layout, and how far a result may be from the reference.

use xent::{Error, Level, Logits, LogitsMut, Pass, Report, Targets};
use xent_reference::softmax::{RowAnswer, mean_distance_of_others};
use xent_reference::ulp::error_at_f32;

/// Targets that can be laid out anew.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given<'a> {
    Index(&'a [i64]),
    Dense(&'a [f32]),
    Teacher(&'a [f32]),
}

/// A loss with everything but its batch; `Reduction::None`.
pub(crate) trait Call {
    fn call(
        &self,
        level: Level,
        logits: Logits<'_>,
        targets: Targets<'_>,
        pass: Pass<'_>,
    ) -> Result<Report, Error>;

    fn call_in_place(
        &self,
        level: Level,
        logits: LogitsMut<'_>,
        targets: Targets<'_>,
        pass: Pass<'_>,
    ) -> Result<Report, Error>;
}

macro_rules! call {
    ($($loss:ident),*) => {
        $(
            impl Call for xent::$loss<'_> {
                fn call(
                    &self,
                    level: Level,
                    logits: Logits<'_>,
                    targets: Targets<'_>,
                    pass: Pass<'_>,
                ) -> Result<Report, Error> {
                    let loss = self.clone().with_level(level).with_reduction(xent::Reduction::None);
                    loss.evaluate(logits, targets, pass)
                }

                fn call_in_place(
                    &self,
                    level: Level,
                    logits: LogitsMut<'_>,
                    targets: Targets<'_>,
                    pass: Pass<'_>,
                ) -> Result<Report, Error> {
                    let loss = self.clone().with_level(level).with_reduction(xent::Reduction::None);
                    loss.evaluate_in_place(logits, targets, pass)
                }
            }
        )*
    };
}
call!(
    Distillation,
    LogisticLoss,
    MultiLabelSoftMargin,
    MultiLabelSoftmax,
    MultinomialLogistic,
    NegativeLogLikelihood,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy
);

/// The losses of the rows (or elements) and the gradient, row after row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Solved {
    pub(crate) losses: Vec<f32>,
    pub(crate) grad: Vec<f32>,
}

/// Swaps rows and columns of a matrix of so many rows.
pub(crate) fn transposed(x: &[f32], rows: usize) -> Vec<f32> {
    let columns = x.len() / rows.max(1);
    (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
}

impl Given<'_> {
    /// As they are, or with the class axis first.
    fn with<R>(self, columns: Option<usize>, call: impl FnOnce(Targets<'_>) -> R) -> R {
        match (self, columns) {
            (Self::Index(labels), _) => call(Targets::index(labels)),
            (Self::Dense(values), None) => call(Targets::dense(values)),
            (Self::Dense(values), Some(rows)) => call(Targets::dense(&transposed(values, rows))),
            (Self::Teacher(values), None) => call(Targets::teacher(values)),
            (Self::Teacher(values), Some(rows)) => {
                call(Targets::teacher(&transposed(values, rows)))
            }
        }
    }
}

/// Solves in rows, in rows with a stride, with the class axis first, and in place. `losses` is the
/// number of losses; those of elements are transposed like the gradient.
pub(crate) fn layouts(
    loss: &dyn Call,
    level: Level,
    x: &[f32],
    classes: usize,
    given: Given<'_>,
    losses: usize,
) -> [(&'static str, Solved); 4] {
    const STRIDE: usize = 3;
    let rows = x.len() / classes;
    let new = || Solved { losses: vec![f32::MAX; losses], grad: vec![f32::MAX; x.len()] };

    let mut plain = new();
    given
        .with(None, |targets| {
            let pass = Pass::new().losses(&mut plain.losses).grad(&mut plain.grad);
            loss.call(level, Logits::new(x, classes)?, targets, pass)
        })
        .expect("valid rows");

    let mut strided = new();
    let with_gaps = |x: &[f32]| -> Vec<f32> {
        x.chunks(classes).flat_map(|row| row.iter().copied().chain([f32::NAN; STRIDE])).collect()
    };
    let stride = classes + STRIDE;
    let gaps = with_gaps(x);
    let mut grad = vec![7.0; gaps.len()];
    let last = gaps.len() - STRIDE;
    given
        .with(None, |targets| {
            let logits = Logits::with_stride(&gaps[..last], rows, classes, stride)?;
            let pass = Pass::new().losses(&mut strided.losses).grad(&mut grad[..last]);
            loss.call(level, logits, targets, pass)
        })
        .expect("valid rows");
    for (row, strided) in grad.chunks(stride).zip(strided.grad.chunks_mut(classes)) {
        strided.copy_from_slice(&row[..classes]);
        assert!(row[classes..].iter().all(|&gap| gap == 7.0), "written between the rows");
    }

    let mut columns = new();
    let x_columns = transposed(x, rows);
    given
        .with(Some(rows), |targets| {
            let logits = Logits::with_columns(&x_columns, 1, classes, rows)?;
            let pass = Pass::new().losses(&mut columns.losses).grad(&mut columns.grad);
            loss.call(level, logits, targets, pass)
        })
        .expect("valid columns");
    columns.grad = transposed(&columns.grad, classes);
    if losses == x.len() {
        columns.losses = transposed(&columns.losses, classes);
    }

    let mut in_place = new();
    let mut x_in_place = x_columns;
    given
        .with(Some(rows), |targets| {
            let logits = LogitsMut::with_columns(&mut x_in_place, 1, classes, rows)?;
            let pass = Pass::new().losses(&mut in_place.losses);
            loss.call_in_place(level, logits, targets, pass)
        })
        .expect("valid columns");
    in_place.grad = transposed(&x_in_place, classes);
    if losses == x.len() {
        in_place.losses = transposed(&in_place.losses, classes);
    }
    [("rows", plain), ("stride", strided), ("columns", columns), ("in place", in_place)]
}

/// Compares one row: four ULP, one for each unit of distance, and all of that so many times.
#[track_caller]
pub(crate) fn assert_row(
    what: &str,
    (loss, grad): (f32, &[f32]),
    want: &RowAnswer,
    x: &[f64],
    times: f64,
    loss_scale: f64,
) {
    let others = mean_distance_of_others(x);
    let others = if others.is_finite() { others } else { 0.0 };
    let error = error_at_f32(loss, want.loss, loss_scale);
    let bound = times * (4.0 + others);
    assert!(error <= bound, "{what}: loss {loss:e}, not {:e}: {error} of {bound}", want.loss);
    for (class, &got) in grad.iter().enumerate() {
        let error = error_at_f32(got, want.grad[class], want.scale[class]);
        let distance = want.max - x[class];
        // A mask has no distance; under a soft cap the largest is not one of the logits.
        let distance = if distance.is_finite() { distance.max(0.0) } else { 0.0 };
        let bound = times * (4.0 + distance + want.mean_distance.max(others));
        assert!(
            error <= bound,
            "{what}: gradient {class} {got:e}, not {:e}: {error} of {bound}",
            want.grad[class]
        );
    }
}

/// Reproducible numbers, from `-scale` to `scale`.
pub(crate) fn numbers(count: usize, seed: u32, scale: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next() * scale).collect()
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x.into()).collect()
}

/// Their bits.
pub(crate) fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Equal, or both NaN.
pub(crate) fn same(a: f32, b: f32) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}
