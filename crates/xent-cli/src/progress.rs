//! The progress of a pass over a file.

use indicatif::{ProgressBar, ProgressStyle};

/// Inputs that take about a second, including reading them from a file.
const WORTH_WAITING: usize = 1 << 25;

/// A bar on stderr, if that is a terminal and there is enough to wait for.
pub(crate) fn bar(what: &'static str, inputs: usize) -> ProgressBar {
    if inputs < WORTH_WAITING {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:10} {wide_bar} {percent:>3}% {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(inputs as u64).with_style(style).with_message(what)
}
