//! What each loss, option and policy means, at every level and in every layout, against the
//! reference.

mod checks;
mod class_weights;
#[cfg(feature = "half")]
mod formats;
mod hessians;
mod identities;
mod losses;
mod non_finite;
mod not_finite_rows;
mod outputs;
mod peers;
mod policies;
mod support;
#[cfg(not(target_family = "wasm"))]
mod threads;
