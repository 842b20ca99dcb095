//! The kernel of the elementwise losses: neighbouring elements, a panel at a time.

use super::element_inputs::{PanelRoom, TileInputs};
use super::elements::{ElementLoss, Elements, Inputs, Partial, Plain, PlainLoss, Whole};
use super::row_buffers::{GradMode, RowBuffers};
use super::sum::StripedSum;
use crate::dispatch::{Kernel, entries};
use crate::simd::Compute;
use crate::simd::{PANEL, Simd};

/// Neighbouring elements, at most a tile: the sum of their losses.
pub(crate) struct ElementTile<'t, 'a, F, L> {
    pub(crate) elements: Elements<L>,
    pub(crate) cells: RowBuffers<'t, F>,
    pub(crate) inputs: &'t TileInputs<'a, F>,
    /// Room for the inputs of a panel.
    pub(crate) room: &'t mut PanelRoom<F>,
    /// Whether some factors may be other than one.
    pub(crate) has_factors: bool,
    /// As many places as there are elements, or none.
    pub(crate) losses: &'t mut [F],
    /// As many places as there are elements, or none.
    pub(crate) hessian: &'t mut [F],
}

impl<F: Compute, L: ElementLoss> Kernel for ElementTile<'_, '_, F, L> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Self { elements, mut cells, inputs, room, has_factors, losses, hessian } = self;
        let length = cells.len();
        let mut sum = StripedSum::<F::Of<S>>::new(simd);
        let mut at = 0;
        if !has_factors && losses.is_empty() && hessian.is_empty() {
            // The usual losses, in loops of their own that ask little of a panel.
            if cells.mode() == GradMode::None {
                while let Some(panel) = cells.take_whole::<PANEL>() {
                    let Some(targets) = inputs.targets(at, PANEL, room).first_chunk() else {
                        break;
                    };
                    let (inputs, none) = (Inputs::targets(targets), [&mut [][..], &mut []]);
                    elements.panel::<_, PlainLoss>(simd, panel, inputs, none, &mut sum);
                    at += PANEL;
                }
            } else {
                while let Some(panel) = cells.take_whole::<PANEL>() {
                    let Some(targets) = inputs.targets(at, PANEL, room).first_chunk() else {
                        break;
                    };
                    let (inputs, none) = (Inputs::targets(targets), [&mut [][..], &mut []]);
                    elements.panel::<_, Plain>(simd, panel, inputs, none, &mut sum);
                    at += PANEL;
                }
            }
        }
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
