//! A linear layer whose classes are cut over ranks, and its loss.

use std::ops::Range;

use mpi::request::Request;
use mpi::traits::{Communicator, Destination, Equivalence, Root, Source};
use xent_core::{Buffers, Float, Labels, NotFiniteRows, RowWeights, SoftmaxOptions, SoftmaxShard};
use xent_linear::{Layer, Number, Products};
use xent_rayon::Threads;

use crate::agree::{
    Agreement, Call, agree, hash, hash_floats, hash_labels, hash_options, rank_of, size_of_comm,
};
use crate::error::{Error, of_layer};
use crate::exchange::Exchange;
use crate::pass::{Pass, Report};
use crate::setup::{Setup, set_up};

/// A linear layer and its softmax cross-entropy in one, with the classes cut over the ranks of a communicator: each rank
/// has the weights and the bias of neighbouring classes, and all inputs.
///
/// The logits of a rank exist some rows at a time. The gradient by the inputs is summed over classes in their order: it
/// goes from rank to rank, each adds the part of its classes, and the last one sends it to all. Loss and gradients have
/// the bits of [`LinearCrossEntropy`](xent_linear::LinearCrossEntropy) with all classes.
///
/// All methods are collective: every rank calls them, in the same order. What they return is the same everywhere, errors
/// included.
///
/// ```no_run
/// use xent_core::SoftmaxOptions;
/// use xent_linear::Layer;
/// use xent_mpi::{LayerGradients, Pass, ShardedLinear};
///
/// let (universe, _) = mpi::initialize_with_threading(mpi::Threading::Funneled).unwrap();
/// let world = universe.world();
/// let loss = ShardedLinear::new(&world, 128_256, SoftmaxOptions::default());
///
/// // Two rows of 64 inputs, and the weights of the classes of this rank.
/// let (x, w) = (vec![0.1_f32; 2 * 64], vec![0.0; loss.shard().len() * 64]);
/// let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
/// let gradients = LayerGradients { inputs: &mut dx, weights: &mut dw, ..LayerGradients::default() };
/// let layer = Layer::new(&x, &w, 64).expect("whole rows");
/// let report = loss.evaluate(layer, &[17_i64, 99_999], gradients, Pass::default())?;
/// assert!((report.loss - 128_256_f64.ln()).abs() < 1e-6);
/// # Ok::<(), xent_mpi::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct ShardedLinear<'c, 'a, F = f32> {
    setup: Setup<'c, 'a, F>,
}

/// Where the gradients of a layer go, in its shapes and contiguous; an empty slice is not wanted, the default is none.
#[derive(Debug)]
pub struct LayerGradients<'a, F = f32> {
    /// By the inputs, shape `(rows, hidden)`: on every rank the sum over the classes of all.
    pub inputs: &'a mut [F],
    /// By the weights of this rank, shape `(classes of this rank, hidden)`.
    pub weights: &'a mut [F],
    /// By the bias of this rank, one for each of its classes.
    pub bias: &'a mut [F],
}

impl<F> Default for LayerGradients<'_, F> {
    fn default() -> Self {
        Self { inputs: &mut [], weights: &mut [], bias: &mut [] }
    }
}

/// The logits of a chunk on a rank, about.
const CHUNK_BYTES: usize = 32 << 20;

/// Rows whose gradient by the inputs goes from rank to rank together.
const ROWS_OF_MESSAGE: usize = 64;

/// Of these messages.
const TAG: i32 = 2601;

impl<'c, 'a, F: Float + Equivalence> ShardedLinear<'c, 'a, F> {
    /// The mean over the rows, with these options. Classes are cut [evenly](crate::even_shards).
    /// Each rank has at least one.
    #[must_use]
    pub fn new(comm: &'c dyn Communicator, classes: usize, options: SoftmaxOptions<'a, F>) -> Self {
        Self { setup: Setup::new(comm, classes, options) }
    }

    set_up!();

    /// The loss, the gradients that are wanted, and everything else that the pass asks for. The layer has all inputs,
    /// and the weights and bias of the classes of this rank.
    ///
    /// # Errors
    /// On every rank the same: [`Error::Input`] if a slice has the wrong length or a label or option is invalid on one
    /// of them, [`Error::Disagree`] if ranks were called with different arguments (inputs, too: some rows of theirs are compared),
    /// [`Error::NothingValid`] if the policy makes that an error.
    pub fn evaluate<'l, E: Number<Float = F>>(
        &self,
        layer: Layer<'_, E>,
        labels: impl Into<Labels<'l>>,
        gradients: LayerGradients<'_, F>,
        mut pass: Pass<'_, F>,
    ) -> Result<Report, Error> {
        let setup = &self.setup;
        let (labels, rank) = (labels.into(), rank_of(setup.comm));
        let products = Products::new(layer, setup.level);
        let quantum = products.quantum(setup.classes);
        let sample_weights = pass.sample_weights;
        let all = self.checked(&layer, labels, sample_weights, &gradients).and_then(|all| {
            pass.check(rank, layer.rows())?;
            Ok(all)
        });
        let LayerGradients { inputs, weights, bias } = gradients;
        let wants = [!inputs.is_empty(), !weights.is_empty(), !bias.is_empty()];
        let bytes_of_row = size_of::<F>() * setup.width().max(1);
        let call = all.clone().map(|_| Call {
            call: hash(&("linear", wants, pass.wanted(), setup.messages)),
            format: hash(E::NAME),
            rows: labels.len(),
            classes: setup.classes,
            options: hash_options(&setup.options, setup.policy),
            labels: hash_labels(&labels),
            weights: hash(&(hash_floats(sample_weights), pass.scale.to_bits())),
            hidden: layer.hidden(),
            inputs: hash_inputs(&products, layer.rows()),
            shard: self.shard(),
            chunk: CHUNK_BYTES / bytes_of_row,
        });
        let Agreement { shards, chunk } = agree(setup.comm, call)?;
        let all = all?;
        let counts = all.counts();
        let division = setup.policy.division(&counts).ok_or(Error::NothingValid)?;

        inputs.fill(F::default());
        weights.fill(F::default());
        let mut run = Run {
            of: setup,
            products,
            quantum,
            shards: &shards,
            labels: &labels,
            sample_weights,
            scale: division.scale(pass.scale),
            gradients: LayerGradients { inputs, weights, bias: &mut [] },
            bias_sums: vec![0.0; if bias.is_empty() { 0 } else { layer.classes() }],
            losses: vec![0.0; layer.rows()],
            not_finite: (0, None),
            bytes: 0,
            adds_weights: false,
        };
        pass.losses.fill(F::default());
        let chunk = (chunk / quantum).max(1) * quantum;
        let rows = 0..layer.rows();
        let (live, ignored): (Vec<_>, Vec<_>) = rows.partition(|row| !run.is_ignored(*row));
        for rows in live.chunks(chunk) {
            run.rows(rows, true, &mut pass)?;
        }
        if !(pass.log_sum_exp.is_empty() && pass.predicted.is_empty()) {
            for rows in ignored.chunks(chunk) {
                run.rows(rows, false, &mut pass)?;
            }
        }
        let Run { bias_sums, losses, not_finite, bytes, .. } = run;
        for (place, sum) in bias.iter_mut().zip(bias_sums) {
            *place = Products::<E>::rounded(sum);
        }
        let sum = all.sum(&losses).map_err(|error| Error::input(rank, &error))?;
        Ok(Report {
            loss: division.loss(sum).unwrap_or(sum),
            sum,
            policy: setup.policy,
            counts,
            not_finite,
            bytes_sent: bytes,
        })
    }

    /// What can be checked on this rank alone.
    fn checked<'s, E: Number<Float = F>>(
        &'s self,
        layer: &Layer<'_, E>,
        labels: Labels<'s>,
        sample_weights: &'s [F],
        gradients: &LayerGradients<'_, F>,
    ) -> Result<SoftmaxShard<'s, F>, Error> {
        let rank = rank_of(self.setup.comm);
        let rows = layer.rows();
        let weights = RowWeights { sample_weights, ..RowWeights::default() };
        let checked = self.setup.checked(rows, labels, weights)?;
        let (classes, hidden) = (self.setup.width(), layer.hidden());
        let LayerGradients { inputs, weights, bias } = gradients;
        let lengths = [
            ("classes of the layer", classes, layer.classes()),
            ("gradient of the inputs", rows * hidden, inputs.len()),
            ("gradient of the weights", classes * hidden, weights.len()),
            ("gradient of the bias", classes, bias.len()),
        ];
        for (index, (of, expected, found)) in lengths.into_iter().enumerate() {
            if found != expected && (index == 0 || found != 0) {
                return Err(Error::shape(rank, of, expected, found));
            }
        }
        Ok(checked)
    }
}

/// The inputs of all rows.
fn hash_inputs<E: Number>(products: &Products<'_, E>, rows: usize) -> u64 {
    // One row of some: inputs that differ nearly always do in every row.
    let some: Vec<usize> = (0..rows).step_by(rows.div_ceil(16).max(1)).collect();
    products.inputs_of(&some).map_or(0, |inputs| hash_floats(&inputs))
}

/// A call under way.
struct Run<'r, 'c, 'a, 'w, E: Number> {
    of: &'r Setup<'c, 'a, E::Float>,
    products: Products<'r, E>,
    quantum: usize,
    shards: &'r [Range<usize>],
    labels: &'r Labels<'r>,
    sample_weights: &'r [E::Float],
    scale: f64,
    gradients: LayerGradients<'w, E::Float>,
    bias_sums: Vec<f64>,
    losses: Vec<f64>,
    not_finite: (usize, Option<usize>),
    bytes: u64,
    adds_weights: bool,
}

impl<E: Number<Float: Equivalence>> Run<'_, '_, '_, '_, E> {
    fn is_ignored(&self, row: usize) -> bool {
        let ignored = self.of.options.ignore_index;
        let by_label = ignored.is_some() && self.labels.get(row) == ignored;
        by_label
            || self.sample_weights.get(row).is_some_and(|weight| *weight == E::Float::default())
    }

    /// Some rows: their logits, losses and gradients.
    fn rows(
        &mut self,
        rows: &[usize],
        backward: bool,
        pass: &mut Pass<'_, E::Float>,
    ) -> Result<(), Error> {
        let of = self.of;
        let (rank, count) = (rank_of(of.comm), rows.len());
        let (classes, hidden) = (of.width(), self.products.hidden());
        let layer = |error: xent_linear::Error| of_layer(rank, &error);

        // These rows, one after the other.
        let labels: Vec<i64> = rows.iter().filter_map(|&row| self.labels.get(row)).collect();
        let weights: Vec<_> =
            rows.iter().filter_map(|&row| self.sample_weights.get(row).copied()).collect();
        let labels = (&labels[..]).into();
        let weights = RowWeights { scale: self.scale, sample_weights: &weights, upstream: &[] };
        let shard = of.checked(count, labels, weights)?;

        let inputs = self.products.inputs_of(rows).map_err(layer)?;
        let (mut logits, mut scratch) = (vec![E::Float::default(); count * classes], vec![]);
        self.products.logits((&inputs, hidden), &mut logits, &mut scratch).map_err(layer)?;

        let mut exchange = Exchange::new(of.comm, of.level, of.messages, shard, self.shards)?;
        let mut sums = vec![];
        exchange.sums(&(0..count), &logits, &mut sums)?;
        exchange.run(&(0..count), &sums, |_| Ok(()))?;
        self.bytes += exchange.bytes;
        let not_finite = NotFiniteRows::new();
        let zero = E::Float::default();
        let (mut losses, mut rounded) = (vec![0.0; count], vec![zero; count]);
        let (mut log_sum_exp, mut predicted) = (vec![zero; count], vec![0; count]);
        let mut of_rows = Pass {
            losses: &mut rounded,
            log_sum_exp: &mut log_sum_exp,
            predicted: &mut predicted,
            ..Pass::default()
        };
        for (part, total) in exchange.totals(&(0..count))? {
            let outputs = of_rows.outputs(part.clone(), &not_finite);
            let message = |error: xent_core::Error| Error::Message(error.to_string());
            shard
                .finish(part.clone(), total, &mut losses[part.clone()], outputs)
                .map_err(message)?;
            if backward {
                let of_part = &mut logits[part.start * classes..part.end * classes];
                let buffers = Buffers::in_place(of_part);
                shard.gradient(&Threads, of.level, part, total, buffers).map_err(message)?;
            }
        }
        for (at, &row) in rows.iter().enumerate() {
            self.losses[row] = losses[at];
            let outputs =
                [(&mut pass.losses, rounded[at]), (&mut pass.log_sum_exp, log_sum_exp[at])];
            for (places, value) in outputs {
                if let Some(place) = places.get_mut(row) {
                    *place = value;
                }
            }
            if let Some(place) = pass.predicted.get_mut(row) {
                *place = predicted[at];
            }
        }
        self.not_finite.0 += not_finite.count();
        let first = not_finite.first().map(|at| rows[at]);
        self.not_finite.1 = [self.not_finite.1, first].into_iter().flatten().min();
        if !backward {
            return Ok(());
        }
        if !self.bias_sums.is_empty() {
            self.products.bias_gradient(&logits, &mut self.bias_sums);
        }
        self.backward(rows, &logits, &inputs, &mut scratch)
    }

    fn weight_gradient(&mut self, logits: &[E::Float], inputs: &[E::Float]) {
        let into = &mut *self.gradients.weights;
        if !into.is_empty() {
            let inputs = (inputs, self.products.hidden());
            self.products.weight_gradient(logits, inputs, self.quantum, into, self.adds_weights);
            self.adds_weights = true;
        }
    }

    /// The gradients by the weights of this rank and by the inputs. Of the latter each rank adds its part to that of those
    /// before it, some rows at a time. The first starts with it, the others have the weights to do until it comes.
    fn backward(
        &mut self,
        rows: &[usize],
        logits: &[E::Float],
        inputs: &[E::Float],
        scratch: &mut Vec<E::Float>,
    ) -> Result<(), Error> {
        let (comm, products, hidden) = (self.of.comm, self.products, self.products.hidden());
        let (rank, ranks, classes) = (rank_of(comm), size_of_comm(comm), self.of.width());
        let wanted = if self.gradients.inputs.is_empty() { 0 } else { rows.len() * hidden };
        let mut of_inputs = vec![E::Float::default(); wanted];
        let mut result = Ok(());
        mpi::request::scope(|scope| {
            let mut sent = vec![];
            if rank > 0 {
                self.weight_gradient(logits, inputs);
            }
            let parts = of_inputs.chunks_mut(ROWS_OF_MESSAGE * hidden);
            for (part, of_logits) in parts.zip(logits.chunks(ROWS_OF_MESSAGE * classes)) {
                if rank > 0 {
                    comm.process_at_rank(rank as i32 - 1).receive_into_with_tag(&mut *part, TAG);
                }
                let added = products.input_gradient(of_logits, (part, hidden), rank > 0, scratch);
                result = std::mem::replace(&mut result, Ok(())).and(added);
                if rank + 1 < ranks {
                    let next = comm.process_at_rank(rank as i32 + 1);
                    sent.push(next.immediate_send_with_tag(scope, &*part, TAG));
                }
            }
            if rank == 0 {
                self.weight_gradient(logits, inputs);
            }
            sent.into_iter().for_each(Request::wait_without_status);
        });
        result.map_err(|error| of_layer(rank, &error))?;
        if wanted > 0 {
            comm.process_at_rank(ranks as i32 - 1).broadcast_into(&mut of_inputs[..]);
            for (&row, part) in rows.iter().zip(of_inputs.chunks_exact(hidden)) {
                self.gradients.inputs[row * hidden..(row + 1) * hidden].copy_from_slice(part);
            }
        }
        Ok(())
    }
}
