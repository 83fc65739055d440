//! A tenant's folder: files that appear whole and durable or not at all, for the eyes of the server's user alone.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    runtime::disk,
};

/// What a file is called, behind its own name, until it is whole.
pub(super) const UNFINISHED: &str = ".partial";

/// A folder that may not be there yet.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes the folder and its parent, durably, where they are missing.
    pub(super) fn make(&self) -> Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0).map_err(|error| self.cannot("write", error))?;
        for parent in self.0.ancestors().skip(1).take(2) {
            sync(parent).map_err(|error| self.cannot("write", error))?;
        }
        Ok(())
    }

    /// Writes a file of this name; it is durable after [`Self::sync`].
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let failed = |error| self.cannot("write", error);
        disk::require_room(&self.0, disk::FILES_LEAVE)?;
        // Made for its owner alone, and removed where the rest fails.
        let aside = tempfile::Builder::new().prefix(&format!("{name}.")).suffix(UNFINISHED).tempfile_in(&self.0);
        let mut aside = aside.map_err(failed)?;
        aside.write_all(bytes).map_err(failed)?;
        aside.as_file().sync_all().map_err(failed)?;
        aside.persist(self.0.join(name)).map(drop).map_err(|error| failed(error.error))
    }

    /// Returns when the names of the files are durable.
    pub(super) fn sync(&self) -> Result<()> {
        sync(&self.0).map_err(|error| self.cannot("write", error))
    }

    /// The bytes of a file; `None` where there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        found(fs::read(self.0.join(name))).map_err(|error| self.cannot("read", error))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        found(fs::remove_file(self.0.join(name))).map(drop).map_err(|error| self.cannot("write", error))
    }

    /// Removes the folder with all that is in it, if it is there.
    pub(super) fn remove_all(&self) -> Result<()> {
        found(fs::remove_dir_all(&self.0)).map(drop).map_err(|error| self.cannot("write", error))
    }

    /// The names of its files, unfinished ones too.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let failed = |error| self.cannot("read", error);
        let Some(entries) = found(fs::read_dir(&self.0)).map_err(failed)? else { return Ok(Vec::new()) };
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        entries.map(name).collect::<io::Result<_>>().map_err(failed)
    }

    fn cannot(&self, what: &str, error: io::Error) -> Error {
        cannot(&self.0, what, error)
    }
}

/// The error for a folder whose photos cannot be read or written.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
pub(super) fn cannot(folder: &Path, what: &str, error: io::Error) -> Error {
    if disk::is_full(&error) {
        return disk::full();
    }
    // Where it is, is for the log alone.
    let place = io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    Error::storage(format!("cannot {what} a kept photo")).with_source(place)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// `None` for what is not there, or cannot be, as no file has so long a name.
pub(super) fn found<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::InvalidFilename].contains(&error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}
