//! `cargo xtask firmware`: runs the programs of `embedded/cortex-m4` in an emulator and compares their results with
//! the host's.

mod int8;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use digits_net::{CLASSES, COUNT, Digest};
use object::{Object, ObjectSymbol};
use xent_core::{Batch, Buffers, Level, Outputs, SoftmaxBatch, SoftmaxTargets};

use crate::cortex_m::{QEMU, TRIPLE};
use crate::foreign::{Foreign, Library};
use crate::packages::{self, Missing};
use crate::{cortex_m, npy, tools};

/// Options for missing tools.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Installs what is missing: Rust targets with rustup, if it is there, and programs with Debian's apt-get,
    /// which never removes a package.
    #[arg(long)]
    install: bool,
}

/// About ten times its usual time.
const PATIENCE: Duration = Duration::from_secs(300);
/// The clock counts instructions, so that measurements are the same each time.
const COUNTED: [&str; 2] = ["-icount", "shift=0"];

/// Limits for the softmax loss and gradient of a row, in bytes of flash and of stack.
const FLASH: u64 = 3072;
const STACK: u64 = 256;
/// The limit for the evaluation without a gradient, with the network and the program around it, in bytes of flash.
const EVALUATION_FLASH: u64 = 3072;
/// The modules of the functions that it consists of.
const OF_ROW: [&str; 3] =
    ["xent_core::losses::one_row::", "xent_core::kernel::one_row::", "xent_core::simd::fuse::"];

/// Builds, runs and compares.
pub(crate) fn run(options: &Options) -> ExitCode {
    match compare(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Losses and gradients of all digits, and the other lines of the output.
#[derive(Debug, Default)]
struct Results {
    losses: Vec<f32>,
    gradients: Vec<f32>,
    digest: Option<u64>,
    /// Bytes of stack and instructions of calls, by name.
    costs: BTreeMap<String, [u64; 2]>,
    agree: bool,
}

fn compare(options: &Options) -> Result<(), String> {
    let level = Level::available().filter(|level| level.has_fma()).last();
    let level = level.ok_or("this machine has no fused multiply-add: nothing to compare")?;
    let missing = || {
        let emulator = Missing::program(QEMU, &[QEMU]);
        emulator.into_iter().chain(Foreign::missing(TRIPLE, Library::Core)).collect()
    };
    packages::provide(missing, options.install)?;
    let folder = build(&Foreign::find(TRIPLE, Library::Core)?)?;
    let image = folder.join("cortex-m4");
    let said = cortex_m::run(&image, &COUNTED, PATIENCE)?;
    let device = Results::parse(&said)?;
    for line in said.lines().filter(|line| !line.starts_with("digit ")) {
        println!("device: {line}");
    }

    let host = Results::here(level);
    let digest = host.digest.unwrap_or_default();
    println!("this machine, {level}: digest {digest:016x}");
    let folder = crate::target_folder("firmware");
    for (name, of) in [
        ("losses", [&host.losses, &device.losses]),
        ("gradients", [&host.gradients, &device.gradients]),
    ] {
        let files = [format!("host-{name}.npy"), format!("device-{name}.npy")];
        let files = files.map(|file| folder.join(file));
        for (file, values) in files.iter().zip(of) {
            let shape = [COUNT, values.len() / COUNT];
            npy::write(file, &shape, values.iter().copied())
                .map_err(|error| format!("{}: {error}", file.display()))?;
        }
        xent_compare(&files)?;
    }
    if device.digest != host.digest {
        return Err("the digests differ".into());
    }
    if !device.agree {
        return Err("row and batch differ on the device".into());
    }
    sizes(&image, &device)?;
    let evaluation_image = image.with_file_name("evaluation");
    evaluation(&evaluation_image, &host)?;
    int8::check(&image.with_file_name("int8"), &evaluation_image, level)
}

fn build(foreign: &Foreign) -> Result<PathBuf, String> {
    let target = crate::target_folder("firmware");
    let mut cargo = foreign.cargo("build");
    // The file that tells cargo how to link.
    cargo.current_dir(crate::root().join("embedded/cortex-m4"));
    tools::succeed(cargo.args(["--release", "--locked", "--target-dir"]).arg(&target))?;
    Ok(target.join(TRIPLE).join("release"))
}

impl Results {
    /// Parses the lines of the device.
    fn parse(said: &str) -> Result<Self, String> {
        let mut results = Self::default();
        for line in said.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let not_said = || format!("unexpected line: {line}");
            match words[..] {
                ["digit", _, ref bits @ ..] => {
                    let bits = bits.iter().map(|bits| u32::from_str_radix(bits, 16));
                    let bits: Vec<_> = bits.collect::<Result<_, _>>().map_err(|_| not_said())?;
                    let mut numbers = bits.into_iter().map(f32::from_bits);
                    results.losses.push(numbers.next().ok_or_else(not_said)?);
                    results.gradients.extend(numbers);
                }
                ["digest", digest] => results.digest = u64::from_str_radix(digest, 16).ok(),
                ["cost", name, "stack", bytes, "instructions", count] => {
                    let numbers = [bytes, count].map(|number| number.parse().ok());
                    let [Some(bytes), Some(count)] = numbers else { return Err(not_said()) };
                    results.costs.insert(name.to_owned(), [bytes, count]);
                }
                ["row", "and", "batch", verdict] => results.agree = verdict == "agree",
                _ => {}
            }
        }
        let [losses, gradients] = [results.losses.len(), results.gradients.len()];
        if (losses, gradients) == (COUNT, COUNT * CLASSES) {
            Ok(results)
        } else {
            Err(format!("the device printed {losses} losses and {gradients} derivatives"))
        }
    }

    /// Computes them on this machine, as a batch.
    fn here(level: Level) -> Self {
        let logits: Vec<f32> =
            (0..COUNT).flat_map(|digit| digits_net::logits(digits_net::image(digit))).collect();
        let labels: Vec<u32> = (0..COUNT).map(|digit| digits_net::label(digit) as u32).collect();
        let (mut losses, mut gradients) = (vec![0.0; COUNT], vec![0.0; COUNT * CLASSES]);
        let targets = SoftmaxTargets::Index((&labels[..]).into());
        SoftmaxBatch::new(Buffers::gradient(&logits, &mut gradients), CLASSES, targets)
            .and_then(|batch| {
                batch.with_outputs(Outputs { losses: &mut losses, ..Outputs::default() })
            })
            .expect("all digits have a class")
            .run(level);
        let mut digest = Digest::default();
        for (&loss, gradient) in losses.iter().zip(gradients.chunks_exact(CLASSES)) {
            digest.add(loss, gradient);
        }
        Self { losses, gradients, digest: Some(digest.value()), ..Self::default() }
    }
}

/// Runs `xent compare` on two files, which must have the same numbers.
fn xent_compare([host, device]: &[PathBuf; 2]) -> Result<(), String> {
    println!("\nxent compare: {} with {}", device.display(), host.display());
    let words = ["xent", "compare", "--max-ulp", "0", "--reference"].map(OsString::from);
    let files = [host.into(), "--candidate".into(), device.into()];
    if xent_cli::compare(words.into_iter().chain(files))? {
        Ok(())
    } else {
        Err("the device's numbers differ".into())
    }
}

/// Runs the program that evaluates without a gradient: its mean is that of this machine's losses, whose
/// sum in f64 is as exact as a compensated one of f32.
fn evaluation(image: &Path, host: &Results) -> Result<(), String> {
    let said = cortex_m::run(image, &COUNTED, PATIENCE)?;
    let sum: f64 = host.losses.iter().map(|&loss| f64::from(loss)).sum();
    let mean = sum as f32 / COUNT as f32;
    let largest = |logits: &[f32; CLASSES]| {
        (0..CLASSES).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
    };
    let is_right = |digit: &usize| {
        largest(&digits_net::logits(digits_net::image(*digit))) == digits_net::label(*digit)
    };
    let correct = (0..COUNT).filter(is_right).count();
    let expected =
        format!("mean {mean:.6} bits {:08x} correct {correct} of {COUNT}", mean.to_bits());
    println!("\nEvaluation without a gradient: {}", said.trim());
    if said.trim() != expected {
        return Err(format!("that is not what this machine has: {expected}"));
    }
    let functions =
        functions(image, |name| name.contains("xent_core") || name.starts_with("evaluation::"))?;
    functions.iter().for_each(|(name, bytes)| println!("{bytes:>8}  {name}"));
    let flash = functions.values().sum::<u64>();
    println!(
        "{flash} bytes of flash, with the network and the program (at most {EVALUATION_FLASH})"
    );
    if flash == 0 || flash > EVALUATION_FLASH {
        return Err("that is more than it may take".into());
    }
    Ok(())
}

/// The functions of a program with such names, and their bytes.
fn functions(image: &Path, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, u64>, String> {
    let unreadable = |reason: String| format!("{}: {reason}", image.display());
    let bytes = fs::read(image).map_err(|error| unreadable(error.to_string()))?;
    let file = object::File::parse(&bytes[..]).map_err(|error| unreadable(error.to_string()))?;
    let mut functions = BTreeMap::<String, u64>::new();
    for symbol in file.symbols().filter(|symbol| symbol.size() > 0 && symbol.is_definition()) {
        let name = symbol.name().unwrap_or_default();
        let name = format!("{:#}", rustc_demangle::demangle(name));
        if wanted(&name) {
            *functions.entry(name).or_default() += symbol.size();
        }
    }
    Ok(functions)
}

/// Prints the size of the parts of the library, and checks the loss of a row against its limits.
fn sizes(image: &Path, device: &Results) -> Result<(), String> {
    let functions = functions(image, |name| name.contains("xent_core"))?;
    let is_of_row = |name: &str| OF_ROW.iter().any(|module| name.starts_with(module));
    let (of_row, others): (Vec<_>, Vec<_>) =
        functions.iter().partition(|(name, _)| is_of_row(name));
    println!("\nflash, bytes: the functions of xent-core");
    of_row.iter().for_each(|(name, bytes)| println!("{bytes:>8}  {name}"));
    let all = |of: &[(&String, &u64)]| of.iter().map(|(_, bytes)| **bytes).sum::<u64>();
    println!("{:>8}  {} others, for SoftmaxBatch", all(&others), others.len());
    let flash = all(&of_row);
    let [stack, instructions] =
        device.costs.get("softmax_cross_entropy_row").copied().unwrap_or([u64::MAX; 2]);
    println!(
        "\nsoftmax_cross_entropy_row, {CLASSES} classes: {flash} bytes of flash (at most {FLASH}), {stack} of \
         stack (at most {STACK}), {instructions} instructions"
    );
    if flash == 0 || flash > FLASH || stack > STACK {
        return Err("that exceeds a limit".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_says_is_read() {
        let digit = format!("digit 0 3f800000{}\n", " bf000000".repeat(CLASSES));
        let said = digit.repeat(COUNT)
            + "digest 00000000000000ff\ncost call stack 128 instructions 1000\nrow and batch agree\n";
        let results = Results::parse(&said).expect("a device");
        assert_eq!((results.losses[0], results.gradients[0]), (1.0, -0.5));
        assert_eq!((results.digest, results.agree), (Some(255), true));
        assert_eq!(results.costs["call"], [128, 1000]);
        assert!(Results::parse(&digit).is_err());
        assert!(Results::parse("digit 0 not hex").is_err());
    }

    #[test]
    fn levels_that_fuse_have_the_same_digest() {
        let levels = Level::available().filter(|level| level.has_fma());
        let digests: Vec<_> = levels.map(|level| Results::here(level).digest).collect();
        assert!(digests.windows(2).all(|two| two[0] == two[1]), "{digests:?}");
    }
}
