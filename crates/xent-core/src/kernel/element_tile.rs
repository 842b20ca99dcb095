//! The kernel of the elementwise losses: contiguous elements, a strip at a time.

use super::element_inputs::{StripScratch, TileInputs};
use super::element_losses::ElementLoss;
use super::elements::{Elements, Inputs, NoFactors, Partial, PlainLoss, Whole};
use super::row_buffers::{GradMode, RowBuffers};
use super::sum::CompensatedSum;
use crate::dispatch::{Kernel, entries};
use crate::simd::Compute;
use crate::simd::{STRIP, Simd};

/// Contiguous elements, at most a tile: returns the sum of their losses.
pub(crate) struct ElementTile<'t, 'a, F, L> {
    pub(crate) elements: Elements<L>,
    pub(crate) cells: RowBuffers<'t, F>,
    pub(crate) inputs: &'t TileInputs<'a, F>,
    /// Scratch buffer for the inputs of a strip.
    pub(crate) scratch: &'t mut StripScratch<F>,
    /// Whether some factors may differ from one.
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
        let Self { elements, mut cells, inputs, scratch, has_factors, losses, hessian } = self;
        let length = cells.len();
        let mut sum = CompensatedSum::<F::Of<S>>::new(simd);
        let mut at = 0;
        if !has_factors && losses.is_empty() && hessian.is_empty() {
            // The usual losses have loops of their own, which check little in each strip.
            if cells.mode() == GradMode::None {
                while let Some(strip) = cells.take_whole::<STRIP>() {
                    let Some(targets) = inputs.targets(at, STRIP, scratch).first_chunk() else {
                        break;
                    };
                    let (inputs, none) = (Inputs::targets(targets), [&mut [][..], &mut []]);
                    elements.strip::<_, PlainLoss>(simd, strip, inputs, none, &mut sum);
                    at += STRIP;
                }
            } else {
                while let Some(strip) = cells.take_whole::<STRIP>() {
                    let Some(targets) = inputs.targets(at, STRIP, scratch).first_chunk() else {
                        break;
                    };
                    let (inputs, none) = (Inputs::targets(targets), [&mut [][..], &mut []]);
                    elements.strip::<_, NoFactors>(simd, strip, inputs, none, &mut sum);
                    at += STRIP;
                }
            }
        }
        while at < length {
            let count = STRIP.min(length - at);
            let inputs = inputs.of(at, count, scratch);
            let losses = losses.get_mut(at..at + count).unwrap_or(&mut []);
            let hessian = hessian.get_mut(at..at + count).unwrap_or(&mut []);
            at += count;
            match (cells.take_whole::<STRIP>(), inputs.whole()) {
                (Some(strip), Some(inputs)) => {
                    elements.strip::<_, Whole>(simd, strip, inputs, [losses, hessian], &mut sum);
                }
                _ => {
                    let strip = cells.reborrow();
                    elements.strip::<_, Partial>(simd, strip, inputs, [losses, hessian], &mut sum);
                }
            }
        }
        sum.total()
    }

    entries!();
}
