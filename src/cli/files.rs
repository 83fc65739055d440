//! What the commands share about files and tables.

use std::{
    fs,
    path::{Path, PathBuf},
};

use comfy_table::{Table, presets};

use crate::error::{Error, Result};

/// What lies in a folder, by name; hidden entries are passed over.
///
/// # Errors
/// `Invalid` if it is no folder or cannot be read.
pub(super) fn listed(dir: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error| Error::invalid(format!("the folder {} cannot be read", dir.display())).with_source(error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// An empty table.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}
