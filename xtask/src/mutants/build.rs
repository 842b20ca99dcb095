//! A copy of the workspace with mutants in it, and its tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::list::Mutant;
use super::weave::weave;

/// Code for the copy of `xent-core` that reads the number of the active mutant from the environment. It runs before
/// `main`, so that a branch in a kernel is only a load and a comparison.
const MODULE: &str = r#"
#[doc(hidden)]
pub mod mutant {
    extern crate std;

    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

    static ON: AtomicU32 = AtomicU32::new(u32::MAX);

    #[inline(always)]
    pub fn on(id: u32) -> bool {
        ON.load(Relaxed) == id
    }

    extern "C" fn read() {
        let id = std::env::var("XENT_MUTANT").ok().and_then(|id| id.parse().ok());
        ON.store(id.unwrap_or(u32::MAX), Relaxed);
    }

    // SAFETY: the section holds pointers to C functions, which are called once, before `main` and before there is a
    // second thread. They are called with arguments that `read` does not take; that is harmless where the caller
    // cleans them up, as on these systems. `read` needs nothing that `main` prepares: std finds the environment
    // without it here, and a panic cannot leave a C function.
    #[used]
    #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
    #[cfg_attr(not(target_os = "macos"), unsafe(link_section = ".init_array"))]
    static READ: extern "C" fn() = read;
}
"#;

/// The file for it.
const CORE: &str = "crates/xent-core/src/lib.rs";

/// Options for cargo, whether it builds or checks.
const ARGUMENTS: [&str; 10] = [
    "--profile=mutants",
    "--message-format=json",
    "--tests",
    "-pxent-core",
    "-pxent",
    "-pxent-rayon",
    "--features=xent-core/half",
    "--features=xent/half",
    "--features=xent/ndarray",
    "--locked",
];

/// Tests of the source text, which differs in the copy; no mutant changes what they examine.
const OF_SOURCES: [&str; 2] = ["dependencies", "unsafe_count"];

/// Mutants that cannot be judged, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// They do not compile.
    Unviable,
    /// They would have to be compiled alone: in constants, or where a branch changes borrowing or inference.
    NotWoven,
}

/// A test program, and how long it takes without a mutant.
pub(crate) struct Tests {
    program: PathBuf,
    directory: PathBuf,
    pub(crate) time: Duration,
}

impl Tests {
    /// Whether all tests pass with a mutant active; `None` if that takes too long.
    pub(crate) fn pass(&self, id: Option<usize>, limit: Duration) -> Result<Option<bool>, String> {
        let mut command = Command::new(&self.program);
        command
            .current_dir(&self.directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The same cases for all mutants, and no shrinking.
            .env("PROPTEST_RNG_SEED", "1")
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
            .env("RUST_BACKTRACE", "0")
            .env("XENT_MUTANT", id.map_or(String::new(), |id| id.to_string()));
        let start = Instant::now();
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        loop {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                return Ok(Some(status.success()));
            }
            if start.elapsed() > limit {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A copy of the workspace.
pub(crate) struct Copy {
    root: PathBuf,
    copy: PathBuf,
}

impl Copy {
    /// Updates the copy, except for the files that will be woven anyway.
    pub(crate) fn of(
        root: &Path,
        copy: PathBuf,
        mutants: &[(usize, &Mutant)],
    ) -> Result<Self, String> {
        let this = Self { root: root.to_owned(), copy };
        let mut woven: BTreeSet<&Path> = mutants.iter().map(|(_, m)| Path::new(&m.file)).collect();
        woven.insert(Path::new(CORE));
        for name in ["Cargo.toml", "Cargo.lock", "crates", "benches", "embedded", "fuzz", "xtask"] {
            this.refresh(Path::new(name), &woven).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(this)
    }

    fn refresh(&self, path: &Path, but: &BTreeSet<&Path>) -> std::io::Result<()> {
        let (from, to) = (self.root.join(path), self.copy.join(path));
        if !from.is_dir() {
            return if but.contains(path) { Ok(()) } else { write_if_new(&to, &fs::read(from)?) };
        }
        let wanted = |at: &Path| -> std::io::Result<BTreeSet<_>> {
            fs::read_dir(at)?.map(|entry| Ok(entry?.file_name())).collect()
        };
        fs::create_dir_all(&to)?;
        let names = wanted(&from)?;
        for gone in wanted(&to)?.difference(&names) {
            let gone = to.join(gone);
            if gone.is_dir() { fs::remove_dir_all(gone)? } else { fs::remove_file(gone)? }
        }
        let mut names = names.iter().filter(|name| *name != "target");
        names.try_for_each(|name| self.refresh(&path.join(name), but))
    }

    /// Weaves mutants in, and removes those that do not compile, until everything compiles.
    pub(crate) fn weave(
        &self,
        mutants: &[(usize, &Mutant)],
    ) -> Result<BTreeMap<usize, Refused>, String> {
        let mut refused = BTreeMap::new();
        loop {
            let mut files = BTreeMap::<&str, Vec<_>>::new();
            for &(id, mutant) in mutants.iter().filter(|(id, _)| !refused.contains_key(id)) {
                files.entry(&mutant.file).or_default().push((id, mutant));
            }
            // A place that had a mutant before, and has none now.
            for (_, mutant) in mutants {
                files.entry(&mutant.file).or_default();
            }
            files.entry(CORE).or_default();
            let mut texts = BTreeMap::new();
            for (file, mutants) in files {
                let source = fs::read_to_string(self.root.join(file)).map_err(|e| e.to_string())?;
                let of_core = file.starts_with("crates/xent-core/");
                let on = if of_core { "crate::mutant::on" } else { "xent_core::mutant::on" };
                let mut woven =
                    weave(&source, &mutants, on).map_err(|error| format!("{file}: {error}"))?;
                refused.extend(woven.left_out.into_iter().map(|id| (id, Refused::NotWoven)));
                if file == CORE {
                    woven.text.push_str(MODULE);
                }
                let to = self.copy.join(file);
                write_if_new(&to, woven.text.as_bytes()).map_err(|e| e.to_string())?;
                texts.insert(file.to_owned(), woven.text);
            }
            let before = refused.len();
            let messages = self.cargo(&["check"])?;
            let errors = messages.iter().filter_map(|m| Error::of(m, &texts));
            for error in errors {
                // All mutants of the place, if the place itself is the cause.
                let place = mutants.iter().find(|(id, _)| *id == error.id).map(|(_, m)| m);
                for &(id, mutant) in mutants {
                    let here = place.is_some_and(|place| {
                        error.of_site && (&place.file, place.start) == (&mutant.file, mutant.start)
                    });
                    if (id == error.id || here) && !refused.contains_key(&id) {
                        refused.insert(id, error.why);
                    }
                }
            }
            let failed = messages.iter().find(|m| m["message"]["level"] == "error");
            match failed {
                None => return Ok(refused),
                Some(message) if refused.len() == before => {
                    let text = message["message"]["rendered"].as_str().unwrap_or_default();
                    return Err(format!("no mutant is to blame for this:\n{text}"));
                }
                Some(_) => eprintln!("{} of {} do not compile", refused.len(), mutants.len()),
            }
        }
    }

    /// Builds the tests, ordered from the fastest to the slowest.
    pub(crate) fn tests(&self) -> Result<Vec<Tests>, String> {
        let messages = self.cargo(&["test", "--no-run"])?;
        let mut tests = Vec::new();
        for message in &messages {
            let is_test = message["target"]["kind"][0] == "test"
                && !OF_SOURCES.iter().any(|name| message["target"]["name"] == *name);
            if let (true, Some(program)) = (is_test, message["executable"].as_str()) {
                let manifest = message["manifest_path"].as_str().unwrap_or_default();
                let directory = Path::new(manifest).parent().unwrap_or(&self.copy).to_owned();
                tests.push(Tests { program: program.into(), directory, time: Duration::ZERO });
            }
        }
        for tests in &mut tests {
            let start = Instant::now();
            if tests.pass(None, Duration::from_secs(600))? != Some(true) {
                return Err(format!("{} fails without a mutant", tests.program.display()));
            }
            tests.time = start.elapsed();
        }
        tests.sort_by_key(|tests| tests.time);
        if tests.is_empty() { Err("no tests were built".into()) } else { Ok(tests) }
    }

    fn cargo(&self, subcommand: &[&str]) -> Result<Vec<Value>, String> {
        let output = Command::new("cargo")
            .args(subcommand)
            .args(ARGUMENTS)
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", self.copy.join("target"))
            .env("RUSTFLAGS", "--cap-lints=allow")
            .output()
            .map_err(|error| error.to_string())?;
        let lines = String::from_utf8_lossy(&output.stdout);
        let messages: Vec<Value> =
            lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let explained = messages.iter().any(|message| message["message"]["level"] == "error");
        if output.status.success() || explained {
            Ok(messages)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

fn write_if_new(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, content)
}

/// The compiler's message against a mutant.
struct Error {
    id: usize,
    /// The message is not about the replacement, but about its surroundings.
    of_site: bool,
    why: Refused,
}

impl Error {
    fn of(message: &Value, texts: &BTreeMap<String, String>) -> Option<Self> {
        let message = &message["message"];
        if message["level"] != "error" {
            return None;
        }
        let spans = message["spans"].as_array()?;
        let primary = spans.iter().filter(|span| span["is_primary"] == true);
        let (text, range) = primary.chain(spans).find_map(|span| place(span, texts))?;
        let code = message["code"]["code"].as_str().unwrap_or_default();
        const CALL: &str = "mutant::on(";
        const SITE: &str = "/*mutant::site(";
        let before = &text[..range.start];
        let inside = &text[range.clone()];
        // In a match with missing arms, the first one that was removed.
        let (at, of_site) = if code == "E0004" {
            let gone = range.start + text[range.start..].find("if !")?;
            (gone + text[gone..].find(CALL)?, false)
        } else if let (true, Some(at)) = (inside.len() < 60, inside.find(CALL)) {
            (range.start + at, false)
        } else {
            match (before.rfind(CALL), before.rfind(SITE)) {
                (Some(call), Some(site)) if call < site => (site, true),
                (Some(call), _) => (call, false),
                (None, Some(site)) => (site, true),
                (None, None) => return None,
            }
        };
        let digits = text[at..].split(['(', ')']).nth(1)?;
        // In constants, and where a branch cannot be inferred or borrowed.
        let woven_only = ["E0015", "E0282", "E0283", "E0284", "E0373", "E0381", "E0382", "E0499"];
        let borrowed = code.starts_with("E05") || code.starts_with("E07");
        let not_woven = of_site || borrowed || woven_only.contains(&code);
        let why = if not_woven { Refused::NotWoven } else { Refused::Unviable };
        Some(Self { id: digits.parse().ok()?, of_site, why })
    }
}

fn place<'a>(span: &Value, texts: &'a BTreeMap<String, String>) -> Option<(&'a str, Range<usize>)> {
    let text = texts.get(span["file_name"].as_str()?)?;
    let at = |of: &str| span[of].as_u64().and_then(|at| usize::try_from(at).ok());
    Some((text, at("byte_start")?..at("byte_end")?))
}
