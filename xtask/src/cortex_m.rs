//! A Cortex-M4F without an operating system, as QEMU emulates it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::tools;

pub(crate) const TRIPLE: &str = "thumbv7em-none-eabihf";
/// The emulator, whose package has the same name.
pub(crate) const QEMU: &str = "qemu-system-arm";

/// The output of a program that ends within the time limit; `options` are further options of the
/// emulator.
pub(crate) fn run(image: &Path, options: &[&str], patience: Duration) -> Result<String, String> {
    let mut qemu = Command::new(QEMU);
    qemu.args(["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]);
    qemu.args(["-semihosting-config", "enable=on,target=native,chardev=out"]);
    qemu.args(["-chardev", "stdio,id=out"]).args(options).arg("-kernel").arg(image);
    tools::output_within(patience, &mut qemu)
}
