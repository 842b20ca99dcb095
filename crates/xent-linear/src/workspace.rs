//! The memory of a call, which its caller may keep.

use crate::Error;
use crate::product::{Product, TERMS};

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
    pub(crate) filter: crate::filter::Buffers<F>,
}

/// The largest workspace unless another limit is set: with the buffers of the product on a few threads, 64 MiB.
const LIMIT: usize = 60 << 20;

impl<F: Product> Default for Workspace<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Product> Workspace<F> {
    /// An empty workspace that may take 60 MiB, or what the fewest rows need that can be computed together, if that
    /// is more.
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
            filter: crate::filter::Buffers::default(),
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
        let plan = plan.cut(self.limit)?;
        let zero = F::default();
        fit(&mut self.logits, plan.chunk * plan.classes, zero);
        fit(&mut self.inputs, if plan.copies { plan.chunk * plan.hidden } else { 0 }, zero);
        let of_grads = if plan.copies && plan.input_grads { plan.chunk * plan.hidden } else { 0 };
        fit(&mut self.input_grads, of_grads, zero);
        fit(&mut self.tile, plan.tile * plan.hidden, zero);
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

/// At least that many.
pub(crate) fn fit<T: Copy>(vec: &mut Vec<T>, length: usize, zero: T) {
    if vec.len() < length {
        vec.reserve_exact(length - vec.len());
        vec.resize(length, zero);
    }
}

/// How a call is cut, and the memory that this takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) rows: usize,
    pub(crate) classes: usize,
    pub(crate) hidden: usize,
    /// Whether inputs are copied: converted, or gathered.
    pub(crate) copies: bool,
    /// Whether weights are converted.
    pub(crate) converts: bool,
    pub(crate) input_grads: bool,
    pub(crate) bias_grads: bool,
    pub(crate) predicted: bool,
    pub(crate) filters: bool,
    /// Bytes of a number.
    pub(crate) size: usize,
    /// Rows whose terms of the gradient of the weights are in one chain of multiply-adds.
    pub(crate) quantum: usize,
    /// Rows that are computed together: a multiple of the quantum, unless there are fewer.
    pub(crate) chunk: usize,
    /// Classes whose weights are converted together: a multiple of [`TERMS`], or all.
    pub(crate) tile: usize,
}

/// The bytes of logits in a quantum, at most: the quantum depends on the shape alone, so that results do not depend
/// on the workspace.
const QUANTUM_BYTES: usize = 52 << 20;

/// The bytes of converted weights, about.
const TILE_BYTES: usize = 4 << 20;

/// The bytes of logits in a chunk, if a quantum has fewer.
const CHUNK_BYTES: usize = 8 << 20;

impl Plan {
    /// Cuts the rows; the other fields are what is known.
    fn cut(mut self, limit: Option<usize>) -> Result<Self, Error> {
        let Self { rows, classes, hidden, size, .. } = self;
        let bytes_of_row = classes.saturating_mul(size);
        self.quantum = TERMS;
        while self.quantum > 1 && self.quantum.saturating_mul(bytes_of_row) > QUANTUM_BYTES {
            self.quantum /= 2;
        }
        if self.converts {
            let tile = (TILE_BYTES / (hidden * size) / TERMS).max(1) * TERMS;
            self.tile = tile.min(classes);
        }
        let copies = usize::from(self.copies) + usize::from(self.copies && self.input_grads);
        let of_row =
            bytes_of_row.saturating_add(copies * hidden * size).saturating_add(size_of::<usize>());
        let of_all = rows * 8
            + if self.bias_grads { classes * 8 } else { 0 }
            + if self.predicted { rows * 4 } else { 0 }
            + self.tile * hidden * size
            + if self.filters { crate::filter::bytes(&self) } else { 0 };
        let least = self.quantum.min(rows);
        let needed = of_row.saturating_mul(least).saturating_add(of_all);
        if let Some(allowed) = limit.filter(|limit| *limit < needed) {
            return Err(Error::Workspace { needed, allowed });
        }
        let limit = limit.unwrap_or(LIMIT.max(needed));
        let most = limit.saturating_sub(of_all) / of_row / self.quantum * self.quantum;
        let wanted = CHUNK_BYTES / bytes_of_row.max(1) / self.quantum * self.quantum;
        self.chunk = wanted.clamp(self.quantum, most.max(self.quantum)).min(rows);
        Ok(self)
    }
}
