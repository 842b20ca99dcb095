//! Chunks of rows: their logits, their losses, and the gradients.

use core::mem;
use core::ops::Range;

use rayon::prelude::*;
use xent_core::{Buffers, Gradient, NotFiniteRows, Outputs};
use xent_rayon::Threads;

use crate::filter::{Blocks, Quantum, add_gradients};
use crate::pass::{LinearPass, is_wanted, place};
use crate::plan::Plan;
use crate::product::Matrix;
use crate::products::Products;
use crate::task::{Task, row_of};
use crate::top_k::top_k;
use crate::workspace::Workspace;
use crate::{Error, Layer, Number};

/// The chunks of a call.
pub(crate) struct Chunks<'a, E: Number> {
    pub(crate) task: Task<'a, E>,
    pub(crate) products: Products<'a, E>,
    pub(crate) plan: Plan,
    /// Whether some rows are ignored: they are in no product for a gradient.
    pub(crate) skips: bool,
    /// Whether right rows are counted.
    pub(crate) judges: bool,
    /// The ε of the filter; zero for none.
    pub(crate) filter: f64,
}

/// What rows write besides their gradient, from the same row on. A slice that is not wanted is empty.
struct RowOutputs<'o, F> {
    losses: &'o mut [f64],
    rounded: &'o mut [F],
    log_sum_exp: &'o mut [F],
    predicted: &'o mut [u32],
}

impl<'o, F> RowOutputs<'o, F> {
    fn split_at(self, row: usize) -> (Self, Self) {
        let losses = split(self.losses, row);
        let rounded = split(self.rounded, row);
        let log_sum_exp = split(self.log_sum_exp, row);
        let predicted = split(self.predicted, row);
        (
            Self {
                losses: losses.0,
                rounded: rounded.0,
                log_sum_exp: log_sum_exp.0,
                predicted: predicted.0,
            },
            Self {
                losses: losses.1,
                rounded: rounded.1,
                log_sum_exp: log_sum_exp.1,
                predicted: predicted.1,
            },
        )
    }
}

/// Both parts are empty if the slice is.
fn split<T>(slice: &mut [T], at: usize) -> (&mut [T], &mut [T]) {
    slice.split_at_mut(at.min(slice.len()))
}

/// With fewer logits, the runs of rows of a chunk are not worth another thread.
const WORTH_A_THREAD: usize = 1 << 17;

impl<E: Number> Chunks<'_, E> {
    /// Computes all rows; returns those that are not finite, and the blocks of the filter.
    pub(crate) fn run(
        &self,
        pass: &mut LinearPass<'_, E::Float>,
        workspace: &mut Workspace<E::Float>,
    ) -> Result<(NotFiniteRows, Blocks), Error> {
        let (not_finite, mut blocks) = (NotFiniteRows::new(), Blocks::default());
        self.clear_ignored(pass);
        let mut live = mem::take(&mut workspace.live);
        let mut is_first = true;
        let mut next = 0;
        while self.next_rows(&mut next, &mut live, |row| !self.task.rows.is_ignored(row)) {
            let of_chunk = self.chunk(&live, Some(is_first), pass, workspace, &not_finite)?;
            blocks.all += of_chunk.all;
            blocks.left_out += of_chunk.left_out;
            is_first = false;
        }
        // Rows that are ignored, but something is wanted of: their logits alone.
        let wants_all = pass.wants_all_rows();
        let is_wanted = |row: usize| {
            let judged = self.judges && self.task.rows.label(row).is_some();
            self.task.rows.is_ignored(row) && (wants_all || judged)
        };
        next = if self.skips && (wants_all || self.judges) { 0 } else { self.task.layer.rows };
        while self.next_rows(&mut next, &mut live, is_wanted) {
            self.chunk(&live, None, pass, workspace, &not_finite)?;
        }
        workspace.live = live;
        if is_first {
            self.clear_weight_gradient(pass);
        }
        if let Some((grad, adds)) = place(&mut pass.of_bias) {
            for (place, &sum) in grad.iter_mut().zip(&workspace.bias_grads) {
                let before: f64 = if adds { (*place).into() } else { 0.0 };
                *place = Products::<E>::rounded(before + sum);
            }
        }
        Ok((not_finite, blocks))
    }

    /// The rows of the next chunk, from `next` on.
    fn next_rows(
        &self,
        next: &mut usize,
        rows: &mut Vec<usize>,
        belongs: impl Fn(usize) -> bool,
    ) -> bool {
        rows.clear();
        while rows.len() < self.plan.chunk && *next < self.task.layer.rows {
            if belongs(*next) {
                rows.push(*next);
            }
            *next += 1;
        }
        !rows.is_empty()
    }

    /// Writes zeros for rows that are left out; with a filter, for all, since blocks are added.
    fn clear_ignored(&self, pass: &mut LinearPass<'_, E::Float>) {
        let Layer { rows, hidden, input_stride, .. } = self.task.layer;
        if self.skips {
            pass.losses.fill(E::Float::default());
        }
        if self.plan.filters {
            self.clear_weight_gradient(pass);
        }
        if let (Gradient::Write(grad), true) =
            (&mut pass.of_inputs, self.skips || self.plan.filters)
        {
            for row in 0..rows {
                if self.plan.filters || self.task.rows.is_ignored(row) {
                    row_of(grad, row, input_stride, hidden).fill(E::Float::default());
                }
            }
        }
    }

    fn clear_weight_gradient(&self, pass: &mut LinearPass<'_, E::Float>) {
        let Layer { classes, hidden, weight_stride, .. } = self.task.layer;
        if let Gradient::Write(grad) = &mut pass.of_weights {
            for class in 0..classes {
                row_of(grad, class, weight_stride, hidden).fill(E::Float::default());
            }
        }
    }

    /// Computes some rows: their logits, from these their losses and the gradient in place, and from that the
    /// gradients of the layer: `backward` says whether these are the first. `None` for logits and losses alone.
    fn chunk(
        &self,
        live: &[usize],
        backward: Option<bool>,
        pass: &mut LinearPass<'_, E::Float>,
        workspace: &mut Workspace<E::Float>,
        not_finite: &NotFiniteRows,
    ) -> Result<Blocks, Error> {
        let Layer { classes, hidden, input_stride, .. } = self.task.layer;
        let (rows, mut blocks) = (live.len(), Blocks::default());
        let (first, end) = (live[0], live[rows - 1] + 1);
        let is_run = end - first == rows;
        let Workspace { logits, inputs, input_grads, tile, losses, bias_grads, .. } = workspace;
        let (predicted, filter) = (&mut workspace.predicted, &mut workspace.filter);
        let logits = &mut logits[..rows * classes];

        let inputs = match E::as_floats(self.task.layer.inputs) {
            Some(inputs) if is_run => (&inputs[first * input_stride..], input_stride),
            _ => {
                self.products.gather(live, inputs)?;
                (&**inputs, hidden)
            }
        };
        self.products.logits(inputs, logits, tile)?;
        if let (k @ 1.., classes_of_rows) = (pass.k(self.task.layer.rows), &mut *pass.top_k) {
            let places = classes_of_rows[first * k..end * k].par_chunks_exact_mut(k);
            places.zip(first..end).for_each(|(place, row)| {
                if let Ok(at) = live.binary_search(&row) {
                    top_k(&logits[at * classes..(at + 1) * classes], place);
                }
            });
        }
        let backward = backward.filter(|_| pass.wants_gradient());
        let range = first..end;
        let room = if self.plan.predicted { &mut **predicted } else { &mut *pass.predicted };
        let outputs = RowOutputs {
            losses: &mut losses[range.clone()],
            rounded: part(pass.losses, &range),
            log_sum_exp: part(pass.log_sum_exp, &range),
            predicted: part(room, &range),
        };
        self.losses(live, first, backward.is_some(), logits, outputs, not_finite)?;
        let Some(is_first) = backward else { return Ok(blocks) };

        if is_wanted(&pass.of_bias) {
            self.products.bias_gradient(logits, bias_grads);
        }
        if self.plan.filters {
            let all = Matrix::new(inputs.0, rows, hidden, inputs.1);
            for start in (0..rows).step_by(self.plan.quantum) {
                let of_quantum = start..(start + self.plan.quantum).min(rows);
                let quantum = Quantum {
                    rows: &live[of_quantum.clone()],
                    gradient: &logits[of_quantum.start * classes..of_quantum.end * classes],
                    inputs: all.rows_of(of_quantum),
                };
                let found = add_gradients(&self.task, self.filter, &quantum, pass, filter)?;
                blocks.all += found.all;
                blocks.left_out += found.left_out;
            }
            return Ok(blocks);
        }
        let quantum = self.plan.quantum;
        if let Some((grad, adds)) = place(&mut pass.of_weights) {
            self.products.weight_gradient(logits, inputs, quantum, grad, adds || !is_first);
        }
        if let Some((grad, adds)) = place(&mut pass.of_inputs) {
            if is_run {
                let grad = &mut grad[first * input_stride..];
                self.products.input_gradient(logits, (grad, input_stride), adds, tile)?;
            } else {
                let of_live = &mut input_grads[..rows * hidden];
                for (&row, place) in live.iter().zip(of_live.chunks_exact_mut(hidden)) {
                    if adds {
                        place.copy_from_slice(row_of(grad, row, input_stride, hidden));
                    }
                }
                self.products.input_gradient(logits, (of_live, hidden), adds, tile)?;
                for (&row, place) in live.iter().zip(of_live.chunks_exact(hidden)) {
                    row_of(grad, row, input_stride, hidden).copy_from_slice(place);
                }
            }
        }
        Ok(blocks)
    }

    /// The losses of rows, and their gradient in place of the logits. Rows of the outputs start at `origin`.
    fn losses(
        &self,
        live: &[usize],
        origin: usize,
        backward: bool,
        logits: &mut [E::Float],
        outputs: RowOutputs<'_, E::Float>,
        not_finite: &NotFiniteRows,
    ) -> Result<(), Error> {
        let (first, rows) = (live[0], live.len());
        if live[rows - 1] - first + 1 == rows {
            let (_, outputs) = outputs.split_at(first - origin);
            let (RowOutputs { losses, rounded, log_sum_exp, predicted }, _) =
                outputs.split_at(rows);
            let outputs = Outputs {
                losses: rounded,
                log_sum_exp,
                predicted,
                not_finite: Some(not_finite),
                ..Outputs::default()
            };
            let buffers =
                if backward { Buffers::in_place(logits) } else { Buffers::loss(&*logits) };
            self.task.rows.run(&Threads, self.task.level, first, buffers, losses, outputs)?;
            return Ok(());
        }
        // Rows with gaps, which are computed run by run.
        let (of_first, of_second) = live.split_at(rows / 2);
        let middle = of_second[0];
        let worth = logits.len() >= WORTH_A_THREAD;
        let (logits_1, logits_2) = logits.split_at_mut(rows / 2 * self.task.layer.classes);
        let (outputs_1, outputs_2) = outputs.split_at(middle - origin);
        let run_1 = || self.losses(of_first, origin, backward, logits_1, outputs_1, not_finite);
        let run_2 = || self.losses(of_second, middle, backward, logits_2, outputs_2, not_finite);
        let (result_1, result_2) =
            if worth { rayon::join(run_1, run_2) } else { (run_1(), run_2()) };
        result_1.and(result_2)
    }
}

/// Some of a slice; empty if that is empty.
fn part<'s, T>(slice: &'s mut [T], range: &Range<usize>) -> &'s mut [T] {
    slice.get_mut(range.clone()).unwrap_or(&mut [])
}
