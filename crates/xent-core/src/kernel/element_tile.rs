//! The kernel of the elementwise losses: neighbouring elements, a panel at a time.

use super::element_inputs::{PanelRoom, TileInputs};
use super::elements::{ElementLoss, Elements, Inputs, Partial, Plain, PlainLoss, Whole};
use super::row_buffers::{GradMode, RowBuffers};
use super::sum::StripedSum;
use crate::dispatch::{Kernel, entries};
use crate::element::Float;
use crate::simd::{PANEL, Simd};

/// Neighbouring elements, at most a tile: the sum of their losses.
pub(crate) struct ElementTile<'t, 'a, F, L> {
    pub(crate) elements: Elements<L>,
    pub(crate) cells: RowBuffers<'t, F>,
    pub(crate) inputs: &'t TileInputs<'a, F>,
    /// Room for the inputs of a panel.
    pub(crate) room: &'t mut PanelRoom<F>,
    /// Whether there are nothing but targets that are numbers.
    pub(crate) is_plain: bool,
    /// As many places as there are elements, or none.
    pub(crate) losses: &'t mut [F],
    /// As many places as there are elements, or none.
    pub(crate) hessian: &'t mut [F],
}

impl<F: Float, L: ElementLoss> Kernel for ElementTile<'_, '_, F, L> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Self { elements, mut cells, inputs, room, is_plain, losses, hessian } = self;
        let length = cells.len();
        let mut sum = StripedSum::<F::Of<S>>::new(simd);
        if is_plain && losses.is_empty() && hessian.is_empty() {
            // The usual loss, in loops of their own that ask nothing of a panel.
            let targets = inputs.numbers(0).as_chunks::<PANEL>().0;
            if cells.mode() == GradMode::None {
                for targets in targets {
                    let Some(panel) = cells.take_whole::<PANEL>() else { break };
                    let (inputs, none) = (Inputs::targets(targets), [&mut [][..], &mut []]);
                    elements.panel::<_, PlainLoss>(simd, panel, inputs, none, &mut sum);
                }
            } else {
                for targets in targets {
                    let Some(panel) = cells.take_whole::<PANEL>() else { break };
                    let (inputs, none) = (Inputs::targets(targets), [&mut [][..], &mut []]);
                    elements.panel::<_, Plain>(simd, panel, inputs, none, &mut sum);
                }
            }
        }
        let mut at = length - cells.len();
        while at < length {
            let count = PANEL.min(length - at);
            let inputs = inputs.of(at, count, room);
            let losses = losses.get_mut(at..at + count).unwrap_or(&mut []);
            let hessian = hessian.get_mut(at..at + count).unwrap_or(&mut []);
            at += count;
            match (cells.take_whole::<PANEL>(), inputs.whole()) {
                (Some(panel), Some(inputs)) => {
                    elements.panel::<_, Whole>(simd, panel, inputs, [losses, hessian], &mut sum);
                }
                _ => {
                    let panel = cells.reborrow();
                    elements.panel::<_, Partial>(simd, panel, inputs, [losses, hessian], &mut sum);
                }
            }
        }
        sum.total()
    }

    entries!();
}
