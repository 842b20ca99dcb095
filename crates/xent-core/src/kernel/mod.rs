//! The kernels: generic over a level's vectors, without intrinsics and without `unsafe`.

pub(crate) mod cells;
pub(crate) mod coefficients;
#[cfg(feature = "half")]
pub(crate) mod convert;
pub(crate) mod elements;
pub(crate) mod elementwise;
pub(crate) mod groups;
pub(crate) mod lanes;
pub(crate) mod logit_map;
pub(crate) mod one_row;
pub(crate) mod passes;
pub(crate) mod reduce;
pub(crate) mod row_buffers;
pub(crate) mod row_sums;
pub(crate) mod softmax;
pub(crate) mod sum;
pub(crate) mod targets;
pub(crate) mod tile_tree;
pub(crate) mod transpose;
