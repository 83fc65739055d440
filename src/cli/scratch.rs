//! A copy of a closed data folder for commands that only read: where the folder itself cannot be written, or is on a full
//! disk.

use std::path::PathBuf;

use clap::Args;
use tempfile::TempDir;

use crate::{
    config::Settings,
    error::{Error, Result},
    service::operations::backup::store_path,
    store::copy_closed,
};

#[derive(Debug, Clone, Args)]
pub(super) struct ScratchArgs {
    /// Works on a copy of the store in this folder, for a data folder that cannot be written or is on a full disk. No
    /// server may run on it.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// The copy; it goes when this is dropped.
pub(super) struct Scratch {
    settings: Settings,
    _copy: Option<TempDir>,
}

impl ScratchArgs {
    /// Makes the copy, if one is wanted.
    ///
    /// # Errors
    /// `Storage` `store_locked` while a server runs; `Full` `not_enough_space`.
    pub(super) fn prepare(&self, mut settings: Settings) -> Result<Scratch> {
        if self.scratch.is_none() {
            return Ok(Scratch { settings, _copy: None });
        }
        let copy = self.folder()?;
        copy_closed(&store_path(&settings.server.data), &store_path(copy.path()))?;
        copy.path().clone_into(&mut settings.server.data);
        Ok(Scratch { settings, _copy: Some(copy) })
    }

    /// An empty folder for what is read meanwhile: in the given one, or where the system has its temporary files. It
    /// goes when it is dropped.
    pub(super) fn folder(&self) -> Result<TempDir> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".rollcall-").suffix(".scratch");
        let made = match &self.scratch {
            Some(folder) => builder.tempdir_in(folder),
            None => builder.tempdir(),
        };
        made.map_err(|error| Error::storage("cannot make a folder for a copy: give --scratch DIR").with_source(error))
    }
}

impl Scratch {
    /// The settings, with the copy's folder as the data folder.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }
}
