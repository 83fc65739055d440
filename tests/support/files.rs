//! Files that a server leaves.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir() || path.is_file());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The files of photos in a data folder.
pub(crate) fn photo_files(data: &Path) -> Vec<PathBuf> {
    let mut files = files_below(&data.join("photos"));
    files.retain(|path| path.file_name().is_some_and(|name| name != "key"));
    files.sort();
    files
}
