//! `cargo xtask digests`: runs the tests that results have the same bits everywhere.

use std::process::{Command, ExitCode};

use xent_core::Level;

/// The file that `xent-core`'s test of that name reads, and writes if told so.
const DIGESTS: &str = "crates/xent-core/tests/reproducible/digests.txt";
/// The variable with the path to write to.
const RECORD: &str = "XENT_RECORD_DIGESTS";

/// Runs the tests, or records the digests.
pub(crate) fn run(record: bool) -> ExitCode {
    let levels: Vec<_> = Level::available().map(|level| level.to_string()).collect();
    println!("levels of this machine: {}", levels.join(", "));
    let root = crate::root();
    // For the whole workspace, so that all formats are on and nothing is compiled again just for
    // this.
    let mut tests = Command::new(env!("CARGO"));
    tests.current_dir(&root).args(["test", "--release", "--workspace", "--test", "reproducible"]);
    if record {
        tests.args(["--", "digests_are_those_on_record"]).env(RECORD, root.join(DIGESTS));
    } else {
        tests.args(["--test", "threads"]);
    }
    match tests.status() {
        Ok(status) if status.success() => {}
        Ok(_) => return ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo: {error}");
            return ExitCode::FAILURE;
        }
    }
    let count = std::fs::read_to_string(root.join(DIGESTS)).map_or(0, |text| text.lines().count());
    println!("{count} digests {}", if record { "recorded" } else { "are those on record" });
    ExitCode::SUCCESS
}
