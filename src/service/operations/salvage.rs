//! A new data folder of what can be read of one that does not open.

use std::{fs, io, path::Path};

use jiff::Timestamp;
use tempfile::TempDir;

use super::backup::{UNFINISHED, cannot_write, in_background, in_use, remove, store_path, take_place};
use crate::{
    error::Result,
    store::{self, Inspection, Salvaged},
    vault,
};

/// How the name of a folder begins and ends in which a store is read.
const SCRATCH_BEGIN: &str = ".rollcall-";
const SCRATCH_END: &str = ".scratch";

/// Reads what can be read of the store of `data`, in a folder of its own in `scratch`.
///
/// # Errors
/// As for [`store::inspect`].
pub async fn inspect(data: &Path, scratch: &Path) -> Result<Inspection> {
    let (store, scratch) = (store_path(data), scratch.to_owned());
    in_background(move || store::inspect(&store, scratch_in(&scratch)?.path())).await
}

/// Makes the data folder `into` of what can be read of `data`, which is not written to, with new key files. Photos go
/// along as they are.
///
/// # Errors
/// `Conflict` `data_folder_in_use` if there is anything in `into` but what a salvage that was cut short has left;
/// otherwise as for [`store::salvage`].
pub async fn salvage(data: &Path, into: &Path, scratch: Option<&Path>, now: Timestamp) -> Result<Salvaged> {
    let unfinished = into.join(UNFINISHED);
    let (from, folder, target) = (data.to_owned(), into.to_owned(), unfinished.clone());
    let scratch = scratch.unwrap_or(into).to_owned();
    let salvaged = in_background(move || {
        fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
        require_new(&folder)?;
        let made = store::salvage(&store_path(&from), scratch_in(&scratch)?.path(), &target);
        let made = made.inspect_err(|_| drop(remove(&target)))?;
        let photos = folder.join(vault::FOLDER);
        copy_tree(&from.join(vault::FOLDER), &photos).map_err(|error| cannot_write(&photos, error))?;
        Ok(made)
    })
    .await?;
    take_place(unfinished, into, now, "store.salvage").await?;
    Ok(salvaged)
}

/// Removes what a salvage that was cut short has left, and errors where there is more: key files of another store would
/// pass for this one's.
fn require_new(folder: &Path) -> Result<()> {
    let failed = |error: io::Error| cannot_write(folder, error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_left = name == UNFINISHED || name.starts_with(SCRATCH_BEGIN) && name.ends_with(SCRATCH_END);
        if !is_left {
            return Err(in_use(folder));
        }
        remove(&path)?;
    }
    Ok(())
}

fn scratch_in(folder: &Path) -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix(SCRATCH_BEGIN).suffix(SCRATCH_END).tempdir_in(folder);
    made.map_err(|error| cannot_write(folder, error))
}

/// Copies the files below `from`, where there are any.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
