//! Kept photos from one place to another: into a backup, and out of it.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    FOLDER, KEY_FILE,
    folder::{Folder, UNFINISHED, cannot, found},
};
use crate::{error::Result, runtime::disk};

/// Copies the photos in the data folder `from` into the folder `to`, durably, each whole or not at all; those that are
/// there already stay. Those that are the same in the folder `before`, another copy, are the same file where the disk can
/// do that. What is removed meanwhile is left out. Blocks.
///
/// # Errors
/// `Full` `disk_full`; `Storage` if something cannot be read or written.
pub fn copy_photos(from: &Path, to: &Path, before: Option<&Path>) -> Result<()> {
    let source = from.join(FOLDER);
    for tenant in entries(&source)? {
        let folder = Folder::at(to.join(FOLDER).join(&tenant));
        folder.make()?;
        let (from, to) = (source.join(&tenant), to.join(FOLDER).join(&tenant));
        let before = before.map(|before| before.join(FOLDER).join(&tenant));
        for name in entries(&from)? {
            if Path::new(&name).extension() == Some(OsStr::new(UNFINISHED.trim_start_matches('.')))
                || to.join(&name).exists()
            {
                continue;
            }
            disk::require_room(&to, disk::FILES_LEAVE)?;
            // A photo's file is never written again; that of a key may be.
            let before = before.as_ref().filter(|_| name != KEY_FILE).map(|before| before.join(&name));
            let copied = copy(&from.join(&name), &to.join(&name), before.as_deref());
            found(copied).map_err(|error| cannot(&to, "write", error))?;
        }
        folder.sync()?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, before: Option<&Path>) -> io::Result<()> {
    if let Some(before) = before
        && fs::metadata(from)?.len() == fs::metadata(before).map_or(u64::MAX, |known| known.len())
        && fs::hard_link(before, to).is_ok()
    {
        return Ok(());
    }
    let mut aside = to.as_os_str().to_owned();
    aside.push(UNFINISHED);
    let aside = PathBuf::from(aside);
    fs::copy(from, &aside)?;
    fs::File::open(&aside)?.sync_all()?;
    fs::rename(&aside, to)
}

/// The names in a folder; none where there is none.
fn entries(folder: &Path) -> Result<Vec<std::ffi::OsString>> {
    let failed = |error| cannot(folder, "read", error);
    let Some(entries) = found(fs::read_dir(folder)).map_err(failed)? else { return Ok(Vec::new()) };
    entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_are_copied_whole_and_those_of_the_copy_before_are_shared() {
        let folder = tempfile::tempdir().unwrap();
        let [data, first, second] = ["data", "first", "second"].map(|name| folder.path().join(name));
        let tenant = |root: &Path| root.join("photos/default");
        fs::create_dir_all(tenant(&data)).unwrap();
        for (name, bytes) in [("key", "k1"), ("a", "photo a"), ("b.x.partial", "half")] {
            fs::write(tenant(&data).join(name), bytes).unwrap();
        }
        copy_photos(&data, &first, None).unwrap();
        fs::write(tenant(&data).join("b"), "photo b").unwrap();
        fs::write(tenant(&data).join("key"), "k2").unwrap();
        copy_photos(&data, &second, Some(&first)).unwrap();
        let text = |root: &Path, name: &str| fs::read_to_string(tenant(root).join(name)).ok();
        for (root, key, b) in [(&first, "k1", None), (&second, "k2", Some("photo b"))] {
            assert_eq!(text(root, "key").as_deref(), Some(key));
            assert_eq!(text(root, "a").as_deref(), Some("photo a"));
            assert_eq!((text(root, "b").as_deref(), text(root, "b.x.partial")), (b, None));
        }
        // What is there already stays, and nothing comes from a data folder without photos.
        copy_photos(&first, &second, None).unwrap();
        copy_photos(&folder.path().join("none"), &second, None).unwrap();
        assert_eq!(text(&second, "key").as_deref(), Some("k2"));
    }
}
