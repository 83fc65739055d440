//! A small file beside the database that says how far the database had come.
//!
//! sled recovers by reading its log up to the first part that it cannot read and calls that the end: after a cut or
//! a flipped bit it opens without a word, with the acknowledged writes behind that place gone. So every flush writes
//! its number into the database first and into this file afterwards. A database that opens with a smaller number
//! than the file's has lost writes. The file is flushed too before a write is acknowledged.
//!
//! Its limit: a bit that flips in the middle of the log can cost sled the one page it belongs to without a word.
//! Records that are read are checked (see [`crate::store::codec`]); that one is missing shows when all are counted and held
//! against their sum (see [`super::pieces`]), as [`crate::store::operations::check`] does.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use crate::{error::Result, store::failures::io_error};

/// Its name.
pub(in crate::store) const FILE_NAME: &str = "rollcall-store";
const TEXT: &str = "A rollcall store. Do not edit, copy or remove its files one by one.\n";

/// The open file.
pub(in crate::store) struct Marker(File);

impl Marker {
    /// Opens or makes the file in the store's folder, with the last number in it: `None` where the file is new,
    /// 0 where it cannot be read, as then it only says that there was a store.
    pub(in crate::store) fn open(folder: &Path) -> Result<(Self, Option<u64>)> {
        let path = folder.join(FILE_NAME);
        let is_new = !path.try_exists().map_err(io_error)?;
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io_error)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io_error)?;
        Ok((Self(file), if is_new || text.is_empty() { None } else { Some(parse(&text).unwrap_or(0)) }))
    }

    /// Writes `number`, whose flush has succeeded, durably. All numbers take the same place.
    pub(in crate::store) fn write(&self, number: u64) -> Result<()> {
        write_at_start(&self.0, text(number).as_bytes()).and_then(|()| self.0.sync_data()).map_err(io_error)
    }
}

/// The text that holds `number`.
pub(in crate::store) fn text(number: u64) -> String {
    let digits = format!("{number:020}");
    format!("{TEXT}{digits} {:08x}\n", crc32c::crc32c(digits.as_bytes()))
}

/// The number in such a text, if it is whole.
pub(in crate::store) fn parse(bytes: &[u8]) -> Option<u64> {
    let (digits, checksum) = std::str::from_utf8(bytes).ok()?.strip_prefix(TEXT)?.trim_end().split_once(' ')?;
    let is_whole = u32::from_str_radix(checksum, 16).ok()? == crc32c::crc32c(digits.as_bytes());
    is_whole.then(|| digits.parse().ok()).flatten()
}

#[cfg(unix)]
fn write_at_start(file: &File, bytes: &[u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
}

#[cfg(not(unix))]
fn write_at_start(mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::{Seek, Write};
    file.rewind()?;
    file.write_all(bytes)
}

/// A new file's name is durable only when its folder has been flushed.
#[cfg(unix)]
pub(in crate::store) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
pub(in crate::store) fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Makes `path` and its parents, for this user's eyes only.
pub(in crate::store) fn make_private_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(io_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_comes_back_and_a_torn_one_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let (marker, before) = Marker::open(folder.path()).unwrap();
        assert_eq!(before, None);
        marker.write(u64::MAX).unwrap();
        marker.write(12).unwrap();
        assert_eq!(Marker::open(folder.path()).unwrap().1, Some(12));
        let path = folder.path().join(FILE_NAME);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() - 1 {
            let mut torn = whole.clone();
            torn[at] ^= 0x04;
            fs::write(&path, torn).unwrap();
            assert_eq!(Marker::open(folder.path()).unwrap().1, Some(0), "byte {at}");
        }
    }
}
