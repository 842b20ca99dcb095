//! `cargo xtask digests`: the tests of the contract that results have the same bits everywhere.

use std::path::Path;
use std::process::{Command, ExitCode};

use xent_core::Level;

/// What `xent-core`'s test of that name reads, and if told so writes.
const DIGESTS: &str = "crates/xent-core/tests/reproducible/digests.txt";
/// The variable that tells it where to.
const RECORD: &str = "XENT_RECORD_DIGESTS";

/// Runs the tests, or records the digests.
pub(crate) fn run(record: bool) -> ExitCode {
    let levels: Vec<_> = Level::available().map(|level| level.to_string()).collect();
    println!("levels of this machine: {}", levels.join(", "));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let test = |package: &str, test: &str| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&root).args(["test", "--package", package, "--test", test]);
        cargo
    };
    let mut digests = test("xent-core", "reproducible");
    digests.args(["--features", "half"]);
    if record {
        digests.arg("digests_are_those_on_record").env(RECORD, root.join(DIGESTS));
    }
    for mut command in [digests, test("xent-rayon", "threads")] {
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => return ExitCode::FAILURE,
            Err(error) => {
                eprintln!("cargo: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let count = std::fs::read_to_string(root.join(DIGESTS)).map_or(0, |text| text.lines().count());
    println!("{count} digests {}", if record { "recorded" } else { "are those on record" });
    ExitCode::SUCCESS
}
