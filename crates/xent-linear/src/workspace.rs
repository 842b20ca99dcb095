//! The memory of a call, which its caller may keep.

use crate::Error;
use crate::filter;
use crate::plan::{LIMIT, Plan, fit};
use crate::product::Product;

/// The memory that a call computes in. Keep it from call to call: the second call with the same shapes does not
/// allocate (but for the buffers of `matrixmultiply`, about 1.1 MiB a thread, which it frees after each product).
///
/// ```
/// use xent_linear::Workspace;
///
/// let mut workspace = Workspace::<f32>::with_limit(16 << 20);
/// assert_eq!(workspace.limit(), 16 << 20);
/// assert_eq!(workspace.bytes(), 0);
/// # let _ = &mut workspace;
/// ```
#[derive(Clone, Debug)]
pub struct Workspace<F = f32> {
    /// `None` for the usual limit, or more where a shape needs it.
    limit: Option<usize>,
    /// The logits of a chunk of rows, and then their gradient.
    pub(crate) logits: Vec<F>,
    /// Its inputs, if they are not where the caller has them; and the gradient of these.
    pub(crate) inputs: Vec<F>,
    pub(crate) input_grads: Vec<F>,
    /// Some of the weights, if they are converted.
    pub(crate) tile: Vec<F>,
    /// The loss of each row.
    pub(crate) losses: Vec<f64>,
    /// The gradient of the bias.
    pub(crate) bias_grads: Vec<f64>,
    /// The rows of the chunk.
    pub(crate) live: Vec<usize>,
    pub(crate) predicted: Vec<u32>,
    pub(crate) filter: filter::Buffers<F>,
}

impl<F: Product> Default for Workspace<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Product> Workspace<F> {
    /// An empty workspace that may take 60 MiB, or what the fewest rows need that are computed together, if that is
    /// more: of many classes as many rows, up to 256, as have logits of at most 63 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::of(None)
    }

    /// An empty workspace that may take that many bytes. Results do not depend on it.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self::of(Some(limit))
    }

    fn of(limit: Option<usize>) -> Self {
        Self {
            limit,
            logits: Vec::new(),
            inputs: Vec::new(),
            input_grads: Vec::new(),
            tile: Vec::new(),
            losses: Vec::new(),
            bias_grads: Vec::new(),
            live: Vec::new(),
            predicted: Vec::new(),
            filter: filter::Buffers::default(),
        }
    }

    /// The bytes that it may take.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT)
    }

    /// The bytes that it takes now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let floats = [&self.logits, &self.inputs, &self.input_grads, &self.tile];
        let floats: usize = floats.iter().map(|of| size_of::<F>() * of.capacity()).sum();
        let doubles = 8 * (self.losses.capacity() + self.bias_grads.capacity());
        let indices = size_of::<usize>() * self.live.capacity() + 4 * self.predicted.capacity();
        floats + doubles + indices + self.filter.bytes()
    }

    /// Cuts the rows, and takes the memory that this needs.
    pub(crate) fn reserve(&mut self, plan: Plan) -> Result<Plan, Error> {
        let of_filter = if plan.filters { filter::bytes(&plan) } else { 0 };
        let plan = plan.cut(self.limit, of_filter)?;
        let zero = F::default();
        fit(&mut self.logits, plan.chunk * plan.classes, zero);
        fit(&mut self.inputs, if plan.copies { plan.chunk * plan.hidden } else { 0 }, zero);
        let of_grads = if plan.copies && plan.input_grads { plan.chunk * plan.hidden } else { 0 };
        fit(&mut self.input_grads, of_grads, zero);
        fit(&mut self.tile, plan.tile, zero);
        fit(&mut self.losses, plan.rows, 0.0);
        fit(&mut self.bias_grads, if plan.bias_grads { plan.classes } else { 0 }, 0.0);
        fit(&mut self.predicted, if plan.predicted { plan.rows } else { 0 }, 0);
        self.live.clear();
        self.live.reserve_exact(plan.chunk);
        if plan.filters {
            self.filter.reserve(&plan);
        }
        self.losses[..plan.rows].fill(0.0);
        self.bias_grads.fill(0.0);
        Ok(plan)
    }
}
