//! Ctrl-C and the like: the first is noted, and looked at from part to part; the second is the end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use thiserror::Error;

/// What asks the program to stop: number and name.
const SIGNALS: [(i32, &str); 2] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")];

/// The signal that was caught, or zero.
static CAUGHT: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The program was asked to stop before any output had its name.
#[derive(Clone, Copy, Debug, Error)]
#[error("interrupted by {name}: nothing was written")]
pub(crate) struct Interrupted {
    signal: i32,
    name: &'static str,
}

impl Interrupted {
    /// That of a program which the signal ended, to a shell.
    pub(crate) fn status(self) -> u8 {
        u8::try_from(128 + self.signal).unwrap_or(u8::MAX)
    }
}

/// Catches the signals from now on.
pub(crate) fn install() {
    let once = Arc::new(AtomicBool::new(false));
    for (signal, _) in SIGNALS {
        // A signal that cannot be caught ends the program, as it would without this. In this order:
        // what comes first sees whether there was one before.
        let _ = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&once))
            .and_then(|_| flag::register(signal, Arc::clone(&once)))
            .and_then(|_| {
                flag::register_usize(signal, Arc::clone(&CAUGHT), signal.unsigned_abs() as usize)
            });
    }
    // A file above the limit of the shell (ulimit -f) is an error of the write, not the end of the
    // program, which would leave half of it behind.
    #[cfg(unix)]
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Fails if there was a signal: what is not finished by then is dropped.
pub(crate) fn check() -> Result<(), Interrupted> {
    let caught = CAUGHT.load(Ordering::Relaxed);
    match SIGNALS.into_iter().find(|(signal, _)| signal.unsigned_abs() as usize == caught) {
        Some((signal, name)) => Err(Interrupted { signal, name }),
        None => Ok(()),
    }
}
