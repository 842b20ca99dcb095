//! The fused layer and loss, compared with what shares no code with it.

mod bits;
mod digests;
mod exactness;
mod filter;
mod layer;
mod policies;
mod refused;
