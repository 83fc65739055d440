//! What commands share that watch a job of the server.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of items that are called so, drawn on standard error, and only on a terminal. Its length is set once it is known.
pub(super) fn progress(items: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {items}, {{eta}} left"));
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
