//! Programs of others that are run.

use std::ffi::OsString;
use std::process::{Command, Stdio};

/// A program of a name, or of the one in a variable.
pub(crate) fn named(variable: &str, usual: &str) -> OsString {
    std::env::var_os(variable).filter(|name| !name.is_empty()).unwrap_or_else(|| usual.into())
}

/// Runs a command, which shows what is wrong if there is something.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{}: {error}", name(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", line(command))) }
}

/// What a command writes to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", name(command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{} failed: {}", line(command), output.status))
    }
}

fn name(command: &Command) -> String {
    command.get_program().display().to_string()
}

/// A command as it would be typed.
fn line(command: &Command) -> String {
    let words = command.get_args().map(|word| word.display().to_string());
    std::iter::once(name(command)).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_fails_is_named() {
        let error = output(&mut Command::new("no-such-program")).expect_err("an error");
        assert!(error.starts_with("no-such-program: "), "{error}");
        let error = succeed(&mut shell("exit 3")).expect_err("an error");
        assert!(error.starts_with("sh -c exit 3 failed: "), "{error}");
    }
}
