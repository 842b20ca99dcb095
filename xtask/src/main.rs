//! Checks of the xent workspace.
fn main() {}
