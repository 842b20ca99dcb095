//! The progress bar.

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on stderr; hidden if that is not a terminal.
pub(crate) fn bar(name: &'static str, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:8} {wide_bar} {percent:>3}% {eta}")
        .expect("a valid template");
    ProgressBar::new(steps).with_style(style).with_message(name)
}
