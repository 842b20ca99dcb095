//! The loss, and its calls.

use xent_core::reduction::{NothingValid, Policy, Reduction};
use xent_core::{Error as InputError, Level, SoftmaxOptions, SoftmaxRows, SoftmaxTargets};
use xent_rayon::Threads;

use crate::chunk::Chunks;
use crate::pass::{LinearPass, LinearReport, is_wanted};
use crate::plan::Plan;
use crate::product::Product;
use crate::products::Products;
use crate::task::Task;
use crate::workspace::Workspace;
use crate::{Error, Layer, Number};

/// The softmax cross-entropy of the logits of a [`Layer`], which are never in memory as a whole.
///
/// Options are those of a [`SoftmaxBatch`](xent_core::SoftmaxBatch) of the core. With the crate `xent`, build a
/// `SoftmaxCrossEntropy` and take its `linear()`.
///
/// ```
/// use xent_linear::{Layer, LinearCrossEntropy, SoftmaxOptions};
///
/// // Two rows of two inputs, three classes.
/// let (x, w) = ([1.0, 0.0, 0.0, 1.0_f32], [2.0, 0.0, 0.0, 3.0, 1.0, 1.0]);
/// let (mut dx, mut dw) = ([0.0; 4], [0.0; 6]);
/// let options = SoftmaxOptions { label_smoothing: 0.1, ..SoftmaxOptions::default() };
/// let loss = LinearCrossEntropy::new(options)?;
/// let value = loss.loss_and_grads(Layer::new(&x, &w, 2)?, &[0_u8, 1], &mut dx, &mut dw, &mut [])?;
/// assert!((value - 0.422_059).abs() < 1e-6);
/// # Ok::<(), xent_linear::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LinearCrossEntropy<'a, F = f32> {
    options: SoftmaxOptions<'a, F>,
    policy: Policy,
    level: Level,
    /// Whether other targets than labels are refused together with an ignored label.
    ignores_labels_alone: bool,
    filter: f64,
}

impl<F: Product> Default for LinearCrossEntropy<'_, F> {
    fn default() -> Self {
        Self {
            options: SoftmaxOptions::default(),
            policy: Policy::default(),
            level: Level::detect(),
            ignores_labels_alone: false,
            filter: 0.0,
        }
    }
}

impl<'a, F: Product> LinearCrossEntropy<'a, F> {
    /// The mean over the rows, with these options.
    ///
    /// # Errors
    /// [`Error::Input`] if an option has an invalid value or does not go with the others.
    pub fn new(options: SoftmaxOptions<'a, F>) -> Result<Self, Error> {
        options.check()?;
        Ok(Self { options, ..Self::default() })
    }

    /// Sets how the losses of the rows are reduced: to a mean (over what), a sum, or not at all; and what a mean
    /// over nothing is.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Uses this level for the loss instead of the best one. (The product of matrices chooses its own.)
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// With other targets than labels, an ignored label is no error but has no effect: for one that is a default.
    #[must_use]
    pub fn with_ignore_index_for_labels_alone(mut self) -> Self {
        self.ignores_labels_alone = true;
        self
    }

    /// Leaves small parts of the gradient of the logits out of those of inputs and weights (E. Wijmans et al., "Cut
    /// your losses in large-vocabulary language models", 2024): a row and 256 classes at a time, if all of their
    /// elements but the label's are smaller than `epsilon` times the row's factor (its sample weight, divided by
    /// the divisor of a mean). For the plain loss these elements are probabilities. Classes are ordered by their
    /// mean probability in each 256 rows, so that rare ones share blocks.
    ///
    /// **How exact:** an element of the gradient of a row's inputs changes by less than `epsilon` times that factor
    /// times the sum of the absolute weights that it is multiplied by; the same for the weights. Loss and gradient
    /// of the bias do not change. The paper uses 2^-12 with gradients of 16 bits.
    ///
    /// **How fast:** [`LinearReport::left_out`] says which share was left out. A model that has learnt little has few
    /// small probabilities; then this is slower than without.
    ///
    /// # Errors
    /// [`Error::Input`] if epsilon is not from 0 to 1.
    pub fn with_gradient_filter(mut self, epsilon: f64) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&epsilon) {
            let reason = "expected a number from 0 to 1";
            return Err(InputError::Option { option: "gradient filter", reason }.into());
        }
        self.filter = epsilon;
        Ok(self)
    }

    /// The reduced loss.
    ///
    /// # Errors
    /// [`Error::Input`] if shapes do not fit together, or a target is out of range; [`Error::NotReduced`] with
    /// [`Reduction::None`]; [`Error::NothingValid`] if the policy makes that an error.
    pub fn loss<'t, E: Number<Float = F>>(
        &self,
        layer: Layer<'_, E>,
        targets: impl Into<SoftmaxTargets<'t, F>>,
    ) -> Result<f64, Error>
    where
        F: 't,
    {
        self.check_reduced()?;
        let mut workspace = Workspace::new();
        Ok(self.evaluate(layer, targets, LinearPass::new(), &mut workspace)?.loss)
    }

    /// The reduced loss; its gradients by inputs, weights and bias are written. An empty slice for a gradient that
    /// is not wanted. ([`evaluate`](Self::evaluate) adds gradients, and keeps its memory from call to call.)
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn loss_and_grads<'t, E: Number<Float = F>>(
        &self,
        layer: Layer<'_, E>,
        targets: impl Into<SoftmaxTargets<'t, F>>,
        grad_inputs: &mut [F],
        grad_weights: &mut [F],
        grad_bias: &mut [F],
    ) -> Result<f64, Error>
    where
        F: 't,
    {
        self.check_reduced()?;
        let mut pass = LinearPass::new();
        if !grad_inputs.is_empty() {
            pass = pass.grad_inputs(grad_inputs);
        }
        if !grad_weights.is_empty() {
            pass = pass.grad_weights(grad_weights);
        }
        if !grad_bias.is_empty() {
            pass = pass.grad_bias(grad_bias);
        }
        Ok(self.evaluate(layer, targets, pass, &mut Workspace::new())?.loss)
    }

    /// The loss, and everything else that the pass asks for, on the threads of the current rayon pool.
    ///
    /// # Errors
    /// As [`loss`](Self::loss), but for [`Error::NotReduced`]; [`Error::UpstreamOfRows`]; [`Error::Workspace`] if
    /// the workspace may not take as much as is needed.
    pub fn evaluate<'t, E: Number<Float = F>>(
        &self,
        layer: Layer<'_, E>,
        targets: impl Into<SoftmaxTargets<'t, F>>,
        pass: LinearPass<'_, F>,
        workspace: &mut Workspace<F>,
    ) -> Result<LinearReport, Error>
    where
        F: 't,
    {
        self.run(layer, targets.into(), pass, workspace)
    }

    fn run<E: Number<Float = F>>(
        &self,
        layer: Layer<'_, E>,
        targets: SoftmaxTargets<'_, F>,
        mut pass: LinearPass<'_, F>,
        workspace: &mut Workspace<F>,
    ) -> Result<LinearReport, Error> {
        let policy = self.policy;
        if !pass.row_weights.upstream.is_empty() && policy.reduction != Reduction::None {
            return Err(Error::UpstreamOfRows);
        }
        pass.check(&layer)?;
        let labels = match targets {
            SoftmaxTargets::Index(labels) => Some(labels),
            _ => None,
        };
        let mut options = self.options;
        if self.ignores_labels_alone && labels.is_none() {
            options.ignore_index = None;
        }
        options.empty_is_nan = policy.nothing_valid == NothingValid::Nan;
        let rows = SoftmaxRows::checked_on(&Threads, layer.rows, layer.classes, targets, options)?;
        let rows = rows.with_weights(pass.row_weights)?;
        if policy.nothing_valid == NothingValid::Error
            && let Some(row) = rows.first_empty_row()
        {
            return Err(InputError::Empty { row }.into());
        }
        let counts = rows.counts();
        let division = policy.division(&counts).ok_or(Error::NothingValid)?;
        let rows = rows.with_scale(division.scale(pass.row_weights.scale));

        let judges = (pass.counts_correct || !pass.predicted.is_empty()) && labels.is_some();
        let skips = (0..layer.rows).any(|row| rows.is_ignored(row));
        let filters = self.filter > 0.0 && pass.wants_gradient();
        let products = Products::new(layer, self.level);
        let plan = workspace.reserve(Plan {
            rows: layer.rows,
            classes: layer.classes,
            hidden: layer.hidden,
            copies: skips || E::as_floats(layer.inputs).is_none(),
            tile: products.scratch(),
            quantum: products.quantum(layer.classes),
            input_grads: is_wanted(&pass.of_inputs) && !filters,
            bias_grads: is_wanted(&pass.of_bias),
            predicted: judges && pass.predicted.is_empty(),
            filters,
            size: size_of::<F>(),
            ..Plan::default()
        })?;
        let task = Task { layer, rows, level: self.level };
        let chunks = Chunks { task, products, plan, skips, judges, filter: self.filter };
        let (not_finite, blocks) = chunks.run(&mut pass, workspace)?;

        let sum = rows.sum(&workspace.losses[..layer.rows])?;
        let mut report = LinearReport {
            loss: division.loss(sum).unwrap_or(sum),
            sum,
            policy,
            counts,
            correct: None,
            weights_of_correct: [0.0; 2],
            not_finite: (not_finite.count(), not_finite.first()),
            left_out: blocks.share_left_out(),
        };
        if let (Some(labels), true) = (labels, judges) {
            let predicted =
                if plan.predicted { &workspace.predicted[..layer.rows] } else { &*pass.predicted };
            let correct = labels.count_equal(predicted, options.ignore_index);
            let weights = pass.row_weights.sample_weights;
            report.correct = Some(correct);
            report.weights_of_correct = if weights.is_empty() {
                [correct, counts.valid_rows].map(|count| count as f64)
            } else {
                labels.weigh_equal(predicted, options.ignore_index, weights)
            };
        }
        Ok(report)
    }

    fn check_reduced(&self) -> Result<(), Error> {
        if self.policy.reduction == Reduction::None { Err(Error::NotReduced) } else { Ok(()) }
    }
}
