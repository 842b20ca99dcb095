//! A Cortex-M4F without an operating system, as QEMU emulates it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::tools;

pub(crate) const TRIPLE: &str = "thumbv7em-none-eabihf";
/// What emulates it, which is the name of its package, too.
pub(crate) const QEMU: &str = "qemu-system-arm";

/// What a program prints that ends before patience does; `options` are more of the emulator's.
pub(crate) fn run(image: &Path, options: &[&str], patience: Duration) -> Result<String, String> {
    let mut qemu = Command::new(QEMU);
    qemu.args(["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]);
    qemu.args(["-semihosting-config", "enable=on,target=native,chardev=out"]);
    qemu.args(["-chardev", "stdio,id=out"]).args(options).arg("-kernel").arg(image);
    tools::output_within(patience, &mut qemu)
}
