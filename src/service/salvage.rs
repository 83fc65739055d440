//! A new data folder of what can be read of one that does not open.

use std::{fs, io, path::Path};

use jiff::Timestamp;
use tempfile::TempDir;

use super::backup::{UNFINISHED, cannot_write, in_background, remove, require_empty, store_path, take_place};
use crate::{
    error::Result,
    store::{self, Inspection, Salvaged},
    vault,
};

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
/// `Conflict` `data_folder_in_use` if there is anything but key files and photos in `into`; otherwise as for
/// [`store::salvage`].
pub async fn salvage(data: &Path, into: &Path, scratch: Option<&Path>, now: Timestamp) -> Result<Salvaged> {
    let unfinished = into.join(UNFINISHED);
    let (from, folder, target) = (data.to_owned(), into.to_owned(), unfinished.clone());
    let scratch = scratch.unwrap_or(into).to_owned();
    let salvaged = in_background(move || {
        fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
        require_empty(&folder)?;
        remove(&target)?;
        let made = store::salvage(&store_path(&from), scratch_in(&scratch)?.path(), &target);
        let made = made.inspect_err(|_| drop(remove(&target)))?;
        let photos = folder.join(vault::FOLDER);
        copy_tree(&from.join(vault::FOLDER), &photos).map_err(|error| cannot_write(&photos, error))?;
        Ok(made)
    })
    .await?;
    take_place(unfinished, into, now).await?;
    Ok(salvaged)
}

fn scratch_in(folder: &Path) -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix(".rollcall-").suffix(".scratch").tempdir_in(folder);
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
