//! A C program, compiled against the header and linked with the static and with the shared library.
#![cfg(unix)]

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// System libraries that Rust's standard library needs in a C program.
const SYSTEM: &[&str] = if cfg!(target_os = "macos") {
    &["-lSystem", "-lc", "-lm"]
} else {
    &["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"]
};

const STRICT: [&str; 5] = ["-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"];
const SANITIZERS: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

#[derive(Clone, Copy, Debug)]
enum Language {
    C,
    Cpp,
}

impl Language {
    /// The C compiler: the one that the variable names, or the system's.
    fn compiler(self) -> OsString {
        let (variable, usual) = match self {
            Self::C => ("CC", "cc"),
            Self::Cpp => ("CXX", "c++"),
        };
        env::var_os(variable).unwrap_or_else(|| usual.into())
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::C => &["-std=c99"],
            Self::Cpp => &["-std=c++11", "-x", "c++"],
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Linked {
    Static,
    Shared,
}

impl Linked {
    /// The library that was built with this test, in the same folder.
    fn library(self) -> PathBuf {
        let name = match self {
            Self::Static => "libxent_capi.a".to_owned(),
            Self::Shared => format!("libxent_capi{}", env::consts::DLL_SUFFIX),
        };
        let test = env::current_exe().expect("the path of this test");
        let library = test.parent().expect("a folder").join(name);
        assert!(library.exists(), "{} was not built with this test", library.display());
        library
    }
}

/// Compiles a program, or says why that failed.
fn compile(
    source: &Path,
    language: Language,
    linked: Linked,
    options: &[&str],
) -> Result<tempfile::TempPath, String> {
    let program = tempfile::Builder::new()
        .prefix("xent-c-")
        .tempfile_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a file in the target folder")
        .into_temp_path();
    let library = linked.library();
    let mut command = Command::new(language.compiler());
    command
        .args(language.options())
        .args(STRICT)
        .args(options)
        .arg(concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include"))
        .arg(source)
        // The following arguments are not sources.
        .args(["-x", "none"])
        .arg(&library)
        .args(SYSTEM)
        .arg("-o")
        .arg(&program);
    if let Linked::Shared = linked {
        let mut option = OsString::from("-Wl,-rpath,");
        option.push(library.parent().expect("a folder"));
        command.arg(option);
    }
    match command.output() {
        Ok(output) if output.status.success() => Ok(program),
        Ok(output) => Err(said(&output)),
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    }
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn run(program: &Path) -> String {
    let output = Command::new(program)
        // Leaks are no errors here, and looking for them takes permissions that a container may not have.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .output()
        .expect("a program that starts");
    assert!(output.status.success(), "{}: {}", output.status, said(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// tests/c prints how many checks it made.
fn check(language: Language, linked: Linked, options: &[&str]) {
    let program = compile(&source("tests/c/main.c"), language, linked, options)
        .unwrap_or_else(|reason| panic!("{language:?}, {linked:?}: {reason}"));
    let text = run(&program);
    println!("{language:?}, {linked:?} {options:?}: {text}");
    assert!(text.contains(" checks, 0 failures"), "{text}");
}

/// Whether there is a compiler with these options.
fn can_compile(language: Language, options: &[&str]) -> bool {
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("empty-{language:?}.c"));
    std::fs::write(&empty, "int main(void) { return 0; }\n").expect("a file");
    match compile(&empty, language, Linked::Shared, options) {
        Ok(program) => Command::new(&program).status().is_ok_and(|status| status.success()),
        Err(reason) => {
            println!("skipped: {language:?} {options:?} cannot be compiled here: {reason}");
            false
        }
    }
}

#[test]
fn linked_with_the_static_library() {
    check(Language::C, Linked::Static, &[]);
}

#[test]
fn linked_with_the_shared_library() {
    check(Language::C, Linked::Shared, &[]);
}

#[test]
fn the_header_is_also_one_of_cpp() {
    if can_compile(Language::Cpp, &[]) {
        check(Language::Cpp, Linked::Static, &[]);
    }
}

#[test]
fn under_sanitizers() {
    if can_compile(Language::C, &SANITIZERS) {
        check(Language::C, Linked::Static, &SANITIZERS);
    }
}

#[test]
fn the_example_runs() {
    let program = compile(&source("examples/loss.c"), Language::C, Linked::Shared, &[]);
    let text = run(&program.unwrap_or_else(|reason| panic!("{reason}")));
    let first = text.lines().next().unwrap_or_default();
    assert_eq!(first, "loss 0.251264");
}
