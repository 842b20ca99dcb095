//! Ctrl-C and other signals: the first is recorded and checked between parts; the second ends the
//! program.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use thiserror::Error;

/// The signals that ask the program to stop: number and name.
const SIGNALS: [(i32, &str); 2] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")];

/// The caught signal, or zero.
static CAUGHT: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The program was asked to stop before any output had its name.
#[derive(Clone, Copy, Debug, Error)]
#[error("interrupted by {name}: nothing was written")]
pub(crate) struct Interrupted {
    signal: i32,
    name: &'static str,
}

impl Interrupted {
    /// The exit code that a shell reports for a program ended by this signal.
    pub(crate) fn status(self) -> u8 {
        u8::try_from(128 + self.signal).unwrap_or(u8::MAX)
    }
}

/// Catches the signals from now on.
pub(crate) fn install() {
    let once = Arc::new(AtomicBool::new(false));
    for (signal, _) in SIGNALS {
        // If a signal cannot be caught, it ends the program as usual. The order matters: the first
        // handler sees whether there was a signal before.
        let _ = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&once))
            .and_then(|_| flag::register(signal, Arc::clone(&once)))
            .and_then(|_| {
                flag::register_usize(signal, Arc::clone(&CAUGHT), signal.unsigned_abs() as usize)
            });
    }
    // Exceeding the shell's file size limit (ulimit -f) becomes a write error instead of ending the
    // program, which would leave half a file behind.
    #[cfg(unix)]
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Fails if there was a signal: unfinished outputs are then dropped.
pub(crate) fn check() -> Result<(), Interrupted> {
    let caught = CAUGHT.load(Ordering::Relaxed);
    match SIGNALS.into_iter().find(|(signal, _)| signal.unsigned_abs() as usize == caught) {
        Some((signal, name)) => Err(Interrupted { signal, name }),
        None => Ok(()),
    }
}
