//! Whether predictions are right.

use xent::{Element, Error, Labels, Logits, Targets, predict};

use crate::args::LossName;
use crate::layout::Layout;
use crate::number::{Input, Number};

/// A target or a probability counts as one from here on.
const HALF: f64 = 0.5;

/// An element of that loss is predicted as one if its input is not below this.
pub(crate) fn threshold(loss: LossName) -> f64 {
    if loss == LossName::Logistic { HALF } else { 0.0 }
}

/// The predicted class of a row: the largest input, the first of equals; the first NaN, if there is one.
pub(crate) fn argmax(row: impl Iterator<Item = f64>) -> usize {
    let mut largest = (0, f64::NEG_INFINITY);
    for (class, x) in row.enumerate() {
        if x.is_nan() {
            return class;
        }
        if x > largest.1 {
            largest = (class, x);
        }
    }
    largest.0
}

/// Counted predictions, each with the weight of its row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    right: f64,
    all: f64,
}

impl Share {
    fn add(&mut self, is_right: bool, weight: f64) {
        self.right += if is_right { weight } else { 0.0 };
        self.all += weight;
    }

    /// Adds rows without weights.
    pub(crate) fn add_rows(&mut self, right: usize, all: usize) {
        self.right += right as f64;
        self.all += all as f64;
    }

    /// The share of right predictions, if there are any.
    pub(crate) fn of_all(self) -> Option<f64> {
        (self.all > 0.0).then(|| self.right / self.all)
    }
}

/// Sums over the parts.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    layout: &'a Layout,
    loss: LossName,
    ignored: Option<i64>,
    top_k: Option<usize>,
    /// Whether others add to `rows`.
    pub(crate) rows_are_counted: bool,
    /// Rows whose label is predicted.
    pub(crate) rows: Share,
    /// Rows whose label is among the `top_k` largest inputs.
    pub(crate) top: Share,
    /// Elements that are predicted right.
    pub(crate) elements: Share,
    predicted: Vec<u32>,
    among: Vec<bool>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(
        layout: &'a Layout,
        loss: LossName,
        ignored: Option<i64>,
        top_k: Option<usize>,
    ) -> Self {
        let (rows, top, elements) = Default::default();
        let (predicted, among) = (Vec::new(), Vec::new());
        let rows_are_counted = false;
        Self {
            layout,
            loss,
            ignored,
            top_k,
            rows_are_counted,
            rows,
            top,
            elements,
            predicted,
            among,
        }
    }

    /// Examines some rows, given their inputs in memory order; without weights, each row counts as one. The predicted
    /// classes may be known already.
    pub(crate) fn look<N: Input>(
        &mut self,
        inputs: &[N],
        logits: Logits<'_, N>,
        targets: Targets<'_, N::Float>,
        weights: &[N::Float],
        predicted: Option<&[u32]>,
    ) -> Result<(), Error> {
        let weight = |row: usize| weights.get(row).map_or(1.0, |&weight| weight.to_f64());
        match targets {
            Targets::Index(labels) if !self.loss.is_of_elements() => {
                self.look_at_rows(logits, labels, weight, predicted)?;
            }
            Targets::Dense(targets) if self.loss.is_of_elements() => {
                self.look_at_elements(inputs, weight, |element| {
                    Some(targets[element].to_f64() >= HALF)
                });
            }
            Targets::MultiHot(targets) => {
                let ignored = self.ignored;
                self.look_at_elements(inputs, weight, |element| {
                    let target = targets.get(element).filter(|target| Some(*target) != ignored);
                    target.map(|target| target == 1)
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn look_at_rows<E: Element>(
        &mut self,
        logits: Logits<'_, E>,
        labels: Labels<'_>,
        weight: impl Fn(usize) -> f64,
        predicted: Option<&[u32]>,
    ) -> Result<(), Error> {
        if self.rows_are_counted && self.top_k.is_none() {
            return Ok(());
        }
        if predicted.is_none() {
            self.predicted.resize(logits.rows(), 0);
            predict::argmax(logits, &mut self.predicted)?;
        }
        if let Some(k) = self.top_k {
            self.among.resize(logits.rows(), false);
            predict::in_top_k(logits, labels, k, &mut self.among)?;
        }
        for (row, &class) in predicted.unwrap_or(&self.predicted).iter().enumerate() {
            let label = labels.get(row);
            if label == self.ignored && label.is_some() {
                continue;
            }
            if !self.rows_are_counted {
                self.rows.add(label == Some(i64::from(class)), weight(row));
            }
            if self.top_k.is_some() {
                self.top.add(self.among[row], weight(row));
            }
        }
        Ok(())
    }

    fn look_at_elements<N: Input>(
        &mut self,
        inputs: &[N],
        weight: impl Fn(usize) -> f64,
        is_one: impl Fn(usize) -> Option<bool>,
    ) {
        let least = threshold(self.loss);
        for (element, input) in inputs.iter().enumerate() {
            if let Some(is_one) = is_one(element) {
                let input = input.to_f64();
                // A NaN predicts neither.
                let is_right = !input.is_nan() && (input >= least) == is_one;
                self.elements.add(is_right, weight(self.layout.row_of(element)));
            }
        }
    }
}
