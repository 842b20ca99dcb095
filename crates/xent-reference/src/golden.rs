//! Results of other implementations: cases to compare a loss with.
//!
//! With the feature `golden`. The files and their format are in the directory `golden` of this
//! crate. Every field of a case is a field here, and unknown fields are refused. So a test that
//! destructures a [`Case`] and its [`Options`] without `..` covers all of it.

use serde::Deserialize;

/// A file of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// Softmax cross-entropy of class indices.
    SoftmaxIndex,
    /// Softmax cross-entropy of target vectors.
    SoftmaxDense,
    /// Sigmoid cross-entropy.
    SigmoidDense,
    /// The multi-label softmax with the scale factor 1/M.
    MultilabelSoftmax,
    /// Losses of probabilities and log-probabilities.
    FromProbabilities,
    /// Focal losses, distillation, z-loss, soft cap and soft margin.
    Extended,
    /// Second derivatives.
    Hessian,
}

impl File {
    /// Every file.
    pub const ALL: [Self; 7] = [
        Self::SoftmaxIndex,
        Self::SoftmaxDense,
        Self::SigmoidDense,
        Self::MultilabelSoftmax,
        Self::FromProbabilities,
        Self::Extended,
        Self::Hessian,
    ];

    /// The name of the file, without its extension.
    pub fn name(self) -> &'static str {
        match self {
            Self::SoftmaxIndex => "softmax_index",
            Self::SoftmaxDense => "softmax_dense",
            Self::SigmoidDense => "sigmoid_dense",
            Self::MultilabelSoftmax => "multilabel_softmax",
            Self::FromProbabilities => "from_probabilities",
            Self::Extended => "extended",
            Self::Hessian => "hessian",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::SoftmaxIndex => include_str!("../golden/softmax_index.json"),
            Self::SoftmaxDense => include_str!("../golden/softmax_dense.json"),
            Self::SigmoidDense => include_str!("../golden/sigmoid_dense.json"),
            Self::MultilabelSoftmax => include_str!("../golden/multilabel_softmax.json"),
            Self::FromProbabilities => include_str!("../golden/from_probabilities.json"),
            Self::Extended => include_str!("../golden/extended.json"),
            Self::Hessian => include_str!("../golden/hessian.json"),
        }
    }
}

/// One question, and the answer of a peer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Case {
    /// The name of the case, unique in its file.
    pub id: String,
    /// The peer that answered.
    pub peer: String,
    /// The loss.
    pub loss: Loss,
    /// N.
    pub rows: usize,
    /// C.
    pub classes: usize,
    /// N·C numbers, row by row: logits, or probabilities if the loss takes these. They are exact in
    /// `f32`.
    pub input: Vec<f64>,
    /// The targets.
    pub targets: Targets,
    /// The options that are set.
    pub options: Options,
    /// One number. With [`Reduction::None`] one number a row, or N·C for the element-wise losses
    /// (sigmoid, sigmoid focal and logistic).
    pub value: Vec<f64>,
    /// The derivative of the *sum* of `value` by each input. N·C numbers.
    pub grad: Vec<f64>,
    /// The gradient of the Caffe Python layer for the multi-label softmax. N·C numbers.
    pub caffe_grad: Option<Vec<f64>>,
    /// The loss of each row before the reduction. N numbers.
    pub row_values: Option<Vec<f64>>,
    /// The second derivative by each input. N·C numbers.
    pub hessian_exact: Option<Vec<f64>>,
    /// The same in XGBoost's convention.
    pub hessian_xgboost: Option<Vec<f64>>,
    /// The same in LightGBM's convention.
    pub hessian_lightgbm: Option<Vec<f64>>,
}

/// A loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Softmax cross-entropy.
    Softmax,
    /// Sigmoid cross-entropy.
    Sigmoid,
    /// Softmax cross-entropy with many labels and the scale factor 1/M.
    MultilabelSoftmax,
    /// Multinomial logistic loss of probabilities.
    #[serde(rename = "multinomial_logistic_from_probabilities")]
    MultinomialLogistic,
    /// Negative log-likelihood of log-probabilities.
    #[serde(rename = "nll_from_log_probabilities")]
    NegativeLogLikelihood,
    /// Logistic loss (binary cross-entropy) of probabilities.
    #[serde(rename = "logistic_from_probabilities")]
    Logistic,
    /// Focal loss of a softmax.
    SoftmaxFocal,
    /// Focal loss of sigmoids.
    SigmoidFocal,
    /// Divergence from a teacher's softmax.
    #[serde(rename = "distillation_kl")]
    Distillation,
    /// Softmax cross-entropy with a z-loss.
    #[serde(rename = "softmax_z_loss")]
    ZLoss,
    /// Softmax cross-entropy of softly capped logits.
    #[serde(rename = "softmax_soft_cap")]
    SoftCap,
    /// Multi-label soft margin loss.
    #[serde(rename = "multilabel_soft_margin")]
    SoftMargin,
}

/// The targets of a case.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", content = "values", rename_all = "snake_case", deny_unknown_fields)]
pub enum Targets {
    /// One class a row, or the ignored index. N numbers.
    Index(Vec<i64>),
    /// One number an element. N·C numbers.
    Dense(Vec<f64>),
    /// The logits of a teacher. N·C numbers.
    TeacherLogits(Vec<f64>),
}

impl Targets {
    /// The class indices.
    ///
    /// # Panics
    /// If the targets are of another kind.
    #[track_caller]
    pub fn index(&self) -> &[i64] {
        match self {
            Self::Index(labels) => labels,
            other => panic!("not indices: {other:?}"),
        }
    }

    /// The target vectors, row by row.
    ///
    /// # Panics
    /// If the targets are of another kind.
    #[track_caller]
    pub fn dense(&self) -> &[f64] {
        match self {
            Self::Dense(values) => values,
            other => panic!("not dense: {other:?}"),
        }
    }

    /// The teacher's logits, row by row.
    ///
    /// # Panics
    /// If the targets are of another kind.
    #[track_caller]
    pub fn teacher_logits(&self) -> &[f64] {
        match self {
            Self::TeacherLogits(logits) => logits,
            other => panic!("not a teacher: {other:?}"),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Index(labels) => labels.len(),
            Self::Dense(values) | Self::TeacherLogits(values) => values.len(),
        }
    }
}

/// The options of a case; `None` is off.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// A weight a class.
    pub class_weights: Option<Vec<f64>>,
    /// A weight a row.
    pub sample_weights: Option<Vec<f64>>,
    /// The weight of the positive targets of each class.
    pub pos_weight: Option<Vec<f64>>,
    /// ε.
    pub label_smoothing: Option<f64>,
    /// α of the focal loss.
    pub alpha: Option<f64>,
    /// γ of the focal loss.
    pub gamma: Option<f64>,
    /// τ of a distillation.
    pub temperature: Option<f64>,
    /// λ of the z-loss.
    pub z_loss: Option<f64>,
    /// The cap of the logits.
    pub soft_cap: Option<f64>,
    /// The label of ignored rows.
    pub ignore_index: Option<i64>,
    /// How the losses become the value.
    pub reduction: Reduction,
}

/// How losses become one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// Not at all.
    None,
    /// Their sum.
    Sum,
    /// Their mean, by the peer's rule for the loss.
    Mean,
}

/// A case as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    peer: String,
    loss: Loss,
    shape: [usize; 2],
    input: Vec<f64>,
    targets: Targets,
    options: Options,
    value: Vec<f64>,
    grad: Vec<f64>,
    caffe_grad: Option<Vec<f64>>,
    rows: Option<Vec<f64>>,
    hessian_exact: Option<Vec<f64>>,
    hessian_xgboost: Option<Vec<f64>>,
    hessian_lightgbm: Option<Vec<f64>>,
}

impl TryFrom<Raw> for Case {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let [rows, classes] = raw.shape;
        let elements = rows * classes;
        let targets = match &raw.targets {
            Targets::Index(_) => rows,
            Targets::Dense(_) | Targets::TeacherLogits(_) => elements,
        };
        let lengths = [
            ("input", Some(raw.input.len()), elements),
            ("targets", Some(raw.targets.len()), targets),
            ("grad", Some(raw.grad.len()), elements),
            ("caffe_grad", raw.caffe_grad.as_ref().map(Vec::len), elements),
            ("rows", raw.rows.as_ref().map(Vec::len), rows),
            ("hessian_exact", raw.hessian_exact.as_ref().map(Vec::len), elements),
            ("hessian_xgboost", raw.hessian_xgboost.as_ref().map(Vec::len), elements),
            ("hessian_lightgbm", raw.hessian_lightgbm.as_ref().map(Vec::len), elements),
            ("class_weights", raw.options.class_weights.as_ref().map(Vec::len), classes),
            ("sample_weights", raw.options.sample_weights.as_ref().map(Vec::len), rows),
            ("pos_weight", raw.options.pos_weight.as_ref().map(Vec::len), classes),
        ];
        for (field, length, expected) in lengths {
            if length.is_some_and(|length| length != expected) {
                return Err(format!("{}: {field} is not of {expected} numbers", raw.id));
            }
        }
        Ok(Self {
            id: raw.id,
            peer: raw.peer,
            loss: raw.loss,
            rows,
            classes,
            input: raw.input,
            targets: raw.targets,
            options: raw.options,
            value: raw.value,
            grad: raw.grad,
            caffe_grad: raw.caffe_grad,
            row_values: raw.rows,
            hessian_exact: raw.hessian_exact,
            hessian_xgboost: raw.hessian_xgboost,
            hessian_lightgbm: raw.hessian_lightgbm,
        })
    }
}

/// The cases of a file, in its order.
///
/// # Panics
/// When the file is not what this module says; a test of this crate reads them all.
///
/// ```
/// use xent_reference::golden::{File, Loss, cases};
///
/// let cases = cases(File::Hessian);
/// assert!(cases.iter().any(|case| case.loss == Loss::Sigmoid && case.hessian_exact.is_some()));
/// ```
#[must_use]
pub fn cases(file: File) -> Vec<Case> {
    match serde_json::from_str(file.text()) {
        Ok(cases) => cases,
        Err(error) => panic!("{}: {error}", file.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read_and_no_id_is_there_twice() {
        for file in File::ALL {
            let cases = cases(file);
            let mut ids: Vec<_> = cases.iter().map(|case| &case.id).collect();
            ids.sort();
            ids.dedup();
            assert!(!cases.is_empty());
            assert_eq!(ids.len(), cases.len(), "{}", file.name());
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let case = |extra: &str, option: &str, targets: &str| {
            format!(
                r#"{{"id": "a", "peer": "b", "loss": "softmax", "shape": [1, 1], "input": [0],
                "targets": {{"kind": "index", "values": {targets}}}, "value": [0], "grad": [0],
                "options": {{"reduction": "none"{option}}}{extra}}}"#
            )
        };
        let refused = |text: String| serde_json::from_str::<Case>(&text).is_err();
        assert!(!refused(case("", "", "[0]")));
        assert!(!refused(case("", r#", "gamma": null"#, "[0]")));
        assert!(refused(case(r#", "more": 1"#, "", "[0]")));
        assert!(refused(case("", r#", "more": null"#, "[0]")));
        assert!(refused(case("", "", r#"[0], "more": 1"#)));
        assert!(refused(case("", "", "[0, 0]")));
        assert!(refused(case(r#", "rows": [1, 2]"#, "", "[0]")));
    }
}
