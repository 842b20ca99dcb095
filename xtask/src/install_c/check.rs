//! Uses the installed libraries like a C program does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::capi::{System, VERSION};
use crate::packages::Missing;
use crate::tools;

const PKG_CONFIG: (&str, &str) = ("PKG_CONFIG", "pkg-config");
const CC: (&str, &str) = ("CC", "cc");
const STRIP: (&str, &str) = ("STRIP", "strip");
/// The first line that the example prints.
const LOSS: &str = "loss 0.251264";
/// The largest size of the statically linked example, without symbols: with fast libraries, and with small ones.
const LARGEST: [u64; 2] = [2_000_000, 1_500_000];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linked {
    Shared,
    Static,
}

/// What is missing for a check.
pub(super) fn missing() -> Vec<Missing> {
    let missing = |(variable, usual): (&str, &str), packages: &[_]| {
        let name = tools::named(variable, usual);
        let works = tools::output(Command::new(name).arg("--version")).is_ok();
        (!works).then(|| Missing::new(&format!("{usual}, nor another one by {variable}"), packages))
    };
    let programs = [
        missing(PKG_CONFIG, &["pkg-config"]),
        missing(CC, &["gcc", "libc6-dev"]),
        missing(STRIP, &["binutils"]),
    ];
    programs.into_iter().flatten().collect()
}

/// The command lines for users.
pub(crate) fn how_to_compile(prefix: &Path) -> String {
    let prefix = prefix.display();
    let whole = if cfg!(target_os = "macos") {
        String::new()
    } else {
        "\ncc -static -s program.c $(pkg-config --static --cflags --libs xent) -o program".into()
    };
    format!(
        "export PKG_CONFIG_PATH=\"{prefix}/lib/pkgconfig\"\n\
         cc program.c $(pkg-config --cflags --libs xent) -Wl,-rpath,\"{prefix}/lib\" -o program{whole}"
    )
}

/// Compiles the example with each library, and compares the outputs.
pub(crate) fn check(prefix: &Path, small: bool) -> Result<(), String> {
    let version = tools::output(pkg_config(prefix).args(["--modversion", "xent"]))?;
    if version.trim() != VERSION {
        return Err(format!("pkg-config has version {} of xent, not {VERSION}", version.trim()));
    }
    let shared = say(prefix, Linked::Shared)?;
    let whole = say(prefix, Linked::Static)?;
    if shared.lines().next() != Some(LOSS) {
        return Err(format!("the example does not print {LOSS:?} first, but\n{shared}"));
    }
    if shared != whole {
        return Err(format!("the example prints\n{shared}with the shared library, but\n{whole}"));
    }
    println!("\nthe example, with the shared and with the static library:\n{}", shared.trim_end());
    let size = stripped(&program(Linked::Static))?;
    println!("{size} bytes with the static library");
    let largest = LARGEST[usize::from(small)];
    if size > largest {
        return Err(format!("that is more than {largest}"));
    }
    Ok(())
}

/// The size of a program without its symbols.
fn stripped(program: &Path) -> Result<u64, String> {
    let copy = program.with_extension("stripped");
    tools::succeed(Command::new(tools::named(STRIP.0, STRIP.1)).arg("-o").arg(&copy).arg(program))?;
    let failed = |error| format!("{}: {error}", copy.display());
    Ok(copy.metadata().map_err(failed)?.len())
}

fn program(linked: Linked) -> PathBuf {
    crate::target_folder("c-check").join(format!("loss-{linked:?}").to_lowercase())
}

fn pkg_config(prefix: &Path) -> Command {
    let mut command = Command::new(tools::named(PKG_CONFIG.0, PKG_CONFIG.1));
    command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    command
}

/// The output of the example.
fn say(prefix: &Path, linked: Linked) -> Result<String, String> {
    let folder = crate::target_folder("c-check");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let program = program(linked);
    compile(prefix, linked, &program)?;

    let system = System::here()?;
    let name = format!("{}\0", system.soname(VERSION));
    let bytes = fs::read(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    let refers = bytes.windows(name.len()).any(|window| window == name.as_bytes());
    match (linked, refers) {
        (Linked::Shared, false) => Err(format!("the program does not refer to {name}")),
        (Linked::Static, true) => Err(format!("the static program refers to {name}")),
        _ => tools::output(&mut Command::new(&program)),
    }
}

fn compile(prefix: &Path, linked: Linked, program: &Path) -> Result<(), String> {
    let mut asked = pkg_config(prefix);
    if linked == Linked::Static {
        asked.arg("--static");
    }
    let said = tools::output(asked.args(["--cflags", "--libs", "xent"]))?;
    let mut options = words(&said);
    let mut command = Command::new(tools::named(CC.0, CC.1));
    match linked {
        Linked::Shared => {
            let lib = prefix.join("lib");
            command.args(["-Xlinker", "-rpath", "-Xlinker"]).arg(lib);
        }
        // These systems have no programs without the system's shared library.
        Linked::Static if cfg!(target_os = "macos") => {
            for option in options.iter_mut().filter(|option| *option == "-lxent") {
                *option = prefix.join("lib/libxent.a").display().to_string();
            }
        }
        Linked::Static => {
            command.arg("-static");
        }
    }
    tools::succeed(command.arg(example()).args(options).arg("-o").arg(program))
}

fn example() -> PathBuf {
    crate::root().join("crates/xent-capi/examples/loss.c")
}

/// The words of pkg-config's output; a backslash makes a space part of a word.
fn words(said: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = said.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.last_mut().into_iter().for_each(|word| word.extend(characters.next())),
            space if space.is_whitespace() => words.push(String::new()),
            other => words.last_mut().into_iter().for_each(|word| word.push(other)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_may_be_part_of_a_word() {
        assert_eq!(words("-I/a\\ b/include  -lxent -lm \n"), ["-I/a b/include", "-lxent", "-lm"]);
        assert_eq!(words("\n"), [""; 0]);
    }
}
