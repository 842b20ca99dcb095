//! The program for the device.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{STRICT, header, source};
use crate::cortex_m::{QEMU, TRIPLE};
use crate::foreign::{Foreign, Library};
use crate::packages::Missing;
use crate::tools;

const CC: &str = "arm-none-eabi-gcc";
const PROCESSOR: [&str; 4] =
    ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"];

/// What is missing to build for the device and to emulate it.
pub(crate) fn missing() -> Vec<Missing> {
    // The last one is for the host, whose results the device is compared with.
    let cc = tools::named("CC", "cc");
    let programs = [
        Missing::program(CC, &["gcc-arm-none-eabi"]),
        Missing::program(QEMU, &[QEMU]),
        Missing::program(&cc.to_string_lossy(), &["gcc", "libc6-dev"]),
        Foreign::missing(TRIPLE, Library::Core),
    ];
    programs.into_iter().flatten().collect()
}

/// The image for the device.
pub(crate) fn build(folder: &Path) -> Result<PathBuf, String> {
    let target = folder.join("rust");
    let mut cargo = Foreign::find(TRIPLE, Library::Core)?.cargo("rustc");
    cargo.args(["--package=xent-capi", "--release", "--lib", "--no-default-features"]);
    cargo.args(["--crate-type=staticlib", "--target-dir"]).arg(&target);
    // The kernels are inlined into many losses, and flash is small.
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s");
    tools::succeed(&mut cargo)?;

    let image = folder.join("device.elf");
    let mut cc = Command::new(CC);
    cc.args(PROCESSOR)
        .args(STRICT)
        .args(["-Os", "-ffreestanding", "-pedantic", "-I"])
        .arg(header());
    cc.args(["-nostdlib", "-Wl,--gc-sections", "-Wl,-z,noexecstack", "-T"]).arg(source("link.ld"));
    cc.args(["main.c", "device.c"].map(source));
    cc.arg(target.join(TRIPLE).join("release/libxent_capi.a")).arg("-lgcc");
    tools::succeed(cc.arg("-o").arg(&image))?;
    Ok(image)
}

/// Prints how much memory the image takes, if there is a tool that can tell.
pub(crate) fn size(image: &Path) -> Result<(), String> {
    const SIZE: &str = "arm-none-eabi-size";
    if crate::program(SIZE).is_none() {
        println!("(size unknown: no {SIZE})");
        return Ok(());
    }
    let said = tools::output(Command::new(SIZE).arg(image))?;
    let (flash, ram) =
        memory(&said).ok_or_else(|| format!("cannot read the output of {SIZE}:\n{said}"))?;
    println!("{flash} bytes of flash, {ram} of RAM besides the stack");
    Ok(())
}

/// Flash and RAM, from the table that binutils print: text, data and bss, below their names.
fn memory(said: &str) -> Option<(u64, u64)> {
    let numbers = said.lines().nth(1)?.split_whitespace().map_while(|word| word.parse().ok());
    let [text, data, bss] = numbers.take(3).collect::<Vec<u64>>().try_into().ok()?;
    Some((text + data, data + bss))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_takes_both_kinds_of_memory() {
        let said = "   text\t   data\t    bss\t    dec\t    hex\tfilename\n\
                    \x20  1000\t     20\t      3\t   1023\t    3ff\tdevice.elf\n";
        assert_eq!(memory(said), Some((1020, 23)));
        assert_eq!(memory("no table"), None);
    }
}
