//! Blocks of the gradient of the logits that are left out.

use crate::workspace::Plan;

/// The memory of the filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers<F> {
    _todo: Vec<F>,
}

impl<F> Buffers<F> {
    pub(crate) fn bytes(&self) -> usize {
        0
    }
    pub(crate) fn reserve(&mut self, _: &Plan) {}
}

pub(crate) fn bytes(_: &Plan) -> usize {
    0
}
