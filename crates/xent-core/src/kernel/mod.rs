//! The kernels: generic over a level's vectors, without intrinsics and without `unsafe`.

pub(crate) mod block;
pub(crate) mod cells;
pub(crate) mod coefficients;
pub(crate) mod columns;
#[cfg(feature = "half")]
pub(crate) mod convert;
pub(crate) mod elements;
pub(crate) mod elementwise;
pub(crate) mod exp_sums;
pub(crate) mod gradient;
pub(crate) mod grid;
pub(crate) mod labels;
pub(crate) mod lanes;
pub(crate) mod long_row;
pub(crate) mod narrow;
pub(crate) mod one_row;
pub(crate) mod reduce;
pub(crate) mod row_buffers;
pub(crate) mod row_sums;
pub(crate) mod rows;
pub(crate) mod second_derivatives;
pub(crate) mod soft_cap;
pub(crate) mod soft_weights;
pub(crate) mod sum;
pub(crate) mod tile_tree;
pub(crate) mod transpose;
