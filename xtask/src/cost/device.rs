//! `SoftmaxBatch` with all of its options, on a device without an operating system.

use std::path::Path;

use super::dependent::{self, Built};
use crate::cortex_m::TRIPLE;
use crate::foreign::{Foreign, Library};
use crate::packages::Missing;

/// The name of the program, and of its folder.
const PROGRAM: &str = "softmax-batch";

/// What is missing to build it.
pub(super) fn missing() -> Option<Missing> {
    Foreign::missing(TRIPLE, Library::Core)
}

/// Builds it in an empty folder, together with the library `core` if the compiler does not include
/// that.
pub(super) fn build(target: &Path) -> Result<Built, String> {
    let mut cargo = Foreign::find(TRIPLE, Library::Core)?.cargo("build");
    cargo.current_dir(crate::root().join("embedded").join(PROGRAM));
    cargo.env("RUSTFLAGS", dependent::MANGLING);
    cargo.args(["--release", "--locked", "--target-dir"]).arg(target);
    dependent::build(cargo, PROGRAM)
}
