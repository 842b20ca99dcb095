//! How far a pass over a file is.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on stderr, if that is a terminal and there is anything to wait for.
pub(crate) fn bar(what: &'static str, rows: usize) -> ProgressBar {
    if rows < 1 << 16 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:10} {wide_bar} {percent:>3}% {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(rows as u64).with_style(style).with_message(what)
}
