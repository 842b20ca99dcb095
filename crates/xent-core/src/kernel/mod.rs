//! The kernels: generic over a level's vectors, without intrinsics and without `unsafe`.

pub(crate) mod elementwise;
pub(crate) mod memory;
pub(crate) mod narrow;
pub(crate) mod reduce;
pub(crate) mod sigmoid;
pub(crate) mod softmax;
pub(crate) mod sum;
pub(crate) mod targets;
