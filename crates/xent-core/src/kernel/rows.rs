//! The kernel of contiguous rows: of up to 32 rows that together have about a tile of logits, or of one
//! tile of a longer row.
//!
//! The exponentials of a row fill registers, but its own arithmetic (a quotient, a logarithm) is one long chain of
//! dependent instructions. So the rows of a group share that arithmetic, a row in each lane ([`super::block`]), and
//! each pass goes over all rows of the group before the next pass, so that no row waits for its own maximum.

use super::block::{BlockSums, ROWS, RowBlock, RowSupply};
use super::gradient::Source;
use super::group::Group;
use super::row_buffers::{GradMode, RowBuffers};
use super::row_task::{RowTask, Steps, rows_of_group};
use super::sum::LossSum;
use crate::dispatch::{Kernel, entries};
use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, Lanes, Simd};

/// Rows one after the other.
pub(crate) struct Rows<'a, 'b, F: Compute> {
    pub(crate) task: RowTask,
    pub(crate) buffers: RowBuffers<'b, F>,
    pub(crate) rows: usize,
    pub(crate) supply: &'a mut dyn RowSupply<F>,
    pub(crate) state: GroupState<'a, F>,
}

/// The values of a group that are kept from one pass to the next.
pub(crate) struct GroupState<'a, F> {
    pub(crate) block: &'a mut RowBlock<F>,
    pub(crate) sums: &'a mut BlockSums<F>,
    /// A register and its rounding error: for each row of a group, or for each sum of each row if rows have a
    /// weight for every class.
    pub(crate) folded: &'a mut [[F; ACCUMULATORS]],
}

impl<F: Compute> Kernel for Rows<'_, '_, F> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Self { task, mut buffers, rows: all, supply, state } = self;
        let mut sum = LossSum::new();
        let group = rows_of_group(task.classes);
        let mut first = 0;
        while first < all {
            let rows = group.min(all - first);
            let span = |stride: usize| (rows - 1) * stride + task.classes;
            let [x_stride, gradient_stride] = task.strides;
            let mut of_group = buffers.window(
                [first * x_stride, first * gradient_stride],
                [span(x_stride), span(gradient_stride)],
            );
            supply.fill(core::slice::from_mut(state.block), first, rows);
            let mut group = Group::<F::Of<S>> {
                token: simd,
                task: &task,
                rows,
                block: &mut *state.block,
                sums: &mut *state.sums,
                folded: &mut *state.folded,
            };
            if task.steps != Steps::Gradient {
                group.sum(&mut of_group, supply.targets());
            }
            if task.second {
                let stored = task.source(&of_group) == Source::StoredExps;
                supply.put_second((&*group.block, &*group.sums), first, rows, &of_group, stored);
            }
            if task.steps != Steps::Sums && of_group.mode() != GradMode::None {
                group.put(&mut of_group, supply.targets());
            }
            let some_degenerate = !state.block.all_finite(rows) || state.block.some_nan(rows);
            if task.takes_rows || task.steps == Steps::All && some_degenerate {
                supply.finish(core::slice::from_mut(state.block), first, rows, &mut buffers);
            }
            first += rows;
            if task.steps != Steps::All {
                // One tile of a row.
                return 0.0;
            }
            sum.add(&state.block.loss[..rows.min(ROWS)]);
        }
        if task.stream {
            F::Of::<S>::fence(simd);
        }
        sum.total()
    }

    entries!();
}
