//! `cargo xtask mpi`: the losses over MPI ranks, built and run under `mpirun`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Args;

use crate::packages::{self, Missing};
use crate::tools;

/// How many ranks.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The numbers of ranks to run the tests with.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4,8")]
    ranks: Vec<u32>,
    /// Installs the MPI library and what its bindings are built with, if they are missing, with Debian's apt-get.
    #[arg(long)]
    install: bool,
    /// Fewer rows to measure, and no Clippy.
    #[arg(long)]
    quick: bool,
}

/// A run that takes longer has ranks that wait for each other.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a rank that has been ended may keep the others waiting.
const PATIENCE_OF_KILLED: Duration = Duration::from_secs(60);

pub(crate) fn run(options: &Options) -> ExitCode {
    match check(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check(options: &Options) -> Result<(), String> {
    packages::provide(missing, options.install)?;
    if !options.quick {
        lint()?;
    }
    let Programs { ranks, program } = build()?;
    // With one rank it is the core alone that the results are compared with.
    let mut digests: Vec<(String, String)> = vec![];
    for &count in &options.ranks {
        for threads in if count <= 2 { &[1, 3][..] } else { &[1] } {
            let mut command = mpirun(count, &ranks);
            let said = tools::output_within(
                PATIENCE,
                command.env("XENT_MPI_THREADS", threads.to_string()),
            )?;
            let digest = word_after(&said, "digest")?;
            let held = said.lines().filter(|line| line.starts_with("ok: ")).count();
            println!("{count} ranks of {threads} threads: {held} checks, digest {digest}");
            digests.push((format!("{count} ranks of {threads} threads"), digest));
        }
    }
    all_equal(&digests)?;
    end_a_rank(options, &ranks)?;
    measure(options, &program)
}

fn missing() -> Vec<Missing> {
    let programs = [("mpirun", "openmpi-bin"), ("mpicc", "libopenmpi-dev")];
    let programs = programs.iter().filter_map(|(name, package)| Missing::program(name, &[package]));
    let clang = (!has_libclang()).then(|| Missing::new("libclang", &["libclang-dev"]));
    programs.chain(clang).collect()
}

/// The bindings to MPI are made by bindgen, which loads it.
fn has_libclang() -> bool {
    let named = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    let versions = Path::new("/usr/lib").read_dir().into_iter().flatten().flatten();
    let of_debian = versions.map(|folder| folder.path().join("lib"));
    let folders =
        named.into_iter().chain(of_debian).chain(["/usr/lib", "/usr/lib64"].map(PathBuf::from));
    let mut files = folders.filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
    files.any(|file| is_libclang(&file.file_name().to_string_lossy()))
}

/// Not `libclang-cpp`, which other packages bring.
fn is_libclang(file: &str) -> bool {
    let is_version = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    file.strip_prefix("libclang").is_some_and(|rest| {
        rest.starts_with(".so")
            || rest == ".dylib"
            || rest.strip_prefix('-').is_some_and(is_version) && rest.contains(".so")
    })
}

struct Programs {
    /// The tests.
    ranks: PathBuf,
    /// The program `xent-mpi`.
    program: PathBuf,
}

fn lint() -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["clippy", "--release", "--locked", "--all-targets", "--target-dir"]);
    cargo.arg(crate::target_folder("mpi")).args(["--", "-D", "warnings"]);
    tools::succeed(cargo.current_dir(crate::root().join("integrations/mpi")))
}

fn build() -> Result<Programs, String> {
    let folder = crate::root().join("integrations/mpi");
    let target = crate::target_folder("mpi");
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--release",
            "--locked",
            "--bins",
            "--test",
            "ranks",
            "--message-format=json",
        ])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&folder);
    let messages = tools::output(&mut cargo)?;
    let executable = |kind: &str| {
        let messages = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut files = messages.filter(|message| message["target"]["kind"][0] == kind);
        let file = files.find_map(|message| message["executable"].as_str().map(PathBuf::from));
        file.ok_or_else(|| format!("cargo names no {kind} of {}", folder.display()))
    };
    Ok(Programs { ranks: executable("test")?, program: executable("bin")? })
}

/// Of Open MPI, also as root and with more ranks than cores.
fn mpirun(ranks: u32, program: &Path) -> Command {
    let mut command = Command::new("mpirun");
    command
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .args(["--oversubscribe", "-n"])
        .arg(ranks.to_string())
        .arg(program);
    command
}

fn word_after(said: &str, word: &str) -> Result<String, String> {
    let mut words = said.split_whitespace().skip_while(|of_said| *of_said != word).skip(1);
    words.next().map(Into::into).ok_or_else(|| format!("no {word} in what it printed:\n{said}"))
}

fn all_equal(digests: &[(String, String)]) -> Result<(), String> {
    let Some((first, rest)) = digests.split_first() else { return Ok(()) };
    match rest.iter().find(|(_, digest)| *digest != first.1) {
        Some((who, digest)) => {
            Err(format!("{who} have the digest {digest}, but {} {}", first.0, first.1))
        }
        None => Ok(()),
    }
}

/// One rank ends in the middle: the job ends, too, and does not succeed.
fn end_a_rank(options: &Options, ranks: &Path) -> Result<(), String> {
    for &count in options.ranks.iter().filter(|count| **count > 1) {
        let started = Instant::now();
        let said = tools::output_within(
            PATIENCE_OF_KILLED,
            // Its last words are those of a crash.
            mpirun(count, ranks).env("XENT_MPI_KILL", "1").stderr(std::process::Stdio::null()),
        );
        match said {
            Ok(said) => return Err(format!("{count} ranks succeed without rank 1:\n{said}")),
            Err(error) if error.contains("no end within") => return Err(error),
            Err(_) => println!(
                "{count} ranks end {:.1} s after rank 1 has ended in the middle",
                started.elapsed().as_secs_f64()
            ),
        }
    }
    Ok(())
}

/// Bytes a row and seconds, by the number of ranks, and their digests.
fn measure(options: &Options, program: &Path) -> Result<(), String> {
    let rows = if options.quick { "64" } else { "2048" };
    let mut digests = vec![];
    // More ranks than cores measure the scheduler.
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u32;
    for &count in options.ranks.iter().filter(|count| **count <= cores) {
        for scatter in if count > 1 { &[false, true][..] } else { &[false] } {
            let mut command = mpirun(count, program);
            command.args(["measure", "--rows", rows]);
            if *scatter {
                command.arg("--scatter");
            }
            let said = tools::output_within(PATIENCE, &mut command)?;
            println!("\n{}", said.trim_end());
            digests.push((format!("{count} ranks"), word_after(&said, "digest")?));
        }
    }
    all_equal(&digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_told_from_what_begins_alike() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so.1",
            "libclang-14.so.13",
            "libclang.dylib",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in
            ["libclang-cpp.so", "libclang-cpp.so.14", "libclang-14.a", "libclangAST.so", "clang.so"]
        {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
