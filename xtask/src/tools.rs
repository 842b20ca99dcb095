//! Running other programs.

use std::ffi::OsString;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The program with this name, or the one that a variable names.
pub(crate) fn named(variable: &str, usual: &str) -> OsString {
    std::env::var_os(variable).filter(|name| !name.is_empty()).unwrap_or_else(|| usual.into())
}

/// Runs a command, and shows its errors.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{}: {error}", name(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", line(command))) }
}

/// The standard output of a command.
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

/// The same for a command that might not end by itself.
pub(crate) fn output_within(patience: Duration, command: &mut Command) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", name(command)))?;
    // The output is read while it runs, because a full pipe would block it.
    let pipe = child.stdout.take();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes)).map(|_| bytes)
    });
    let started = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| format!("{}: {error}", name(command)))? {
            Some(status) => break Some(status),
            None if started.elapsed() > patience => {
                // If it has just ended, all the better.
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    let bytes = reader.join().map_err(|_| "its output cannot be read")?;
    let text = String::from_utf8_lossy(&bytes.map_err(|error| error.to_string())?).into_owned();
    let why = match status {
        Some(status) if status.success() => return Ok(text),
        Some(status) => status.to_string(),
        None => format!("no end within {} s", patience.as_secs()),
    };
    let last: Vec<_> = text.lines().rev().take(3).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    Err(format!("{} failed: {why}; it printed last\n{last}", line(command)))
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
    fn what_does_not_end_is_ended() {
        let within = Duration::from_millis(300);
        let error =
            output_within(within, &mut shell("echo lost; exec sleep 60")).expect_err("late");
        assert!(error.contains("no end within") && error.ends_with("lost"), "{error}");
        assert_eq!(output_within(Duration::from_secs(60), &mut shell("echo x")), Ok("x\n".into()));
        assert!(output_within(Duration::from_secs(60), &mut shell("exit 3")).is_err());
    }

    #[test]
    fn what_fails_is_named() {
        let error = output(&mut Command::new("no-such-program")).expect_err("an error");
        assert!(error.starts_with("no-such-program: "), "{error}");
        let error = succeed(&mut shell("exit 3")).expect_err("an error");
        assert!(error.starts_with("sh -c exit 3 failed: "), "{error}");
    }
}
