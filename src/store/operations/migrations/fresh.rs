//! What most steps are: everything is copied into a fresh database, as by a rewrite, with what the step changes changed on
//! the way. The old database stays as it is until the copy is live, and goes with all that it had kept.

use super::set_version;
use crate::{
    error::Result,
    store::{
        engine::{
            Change, Read, Readable,
            sled::{Db, Folders, close_and_remove, require_space},
        },
        keys::Key,
        operations::rewrite::is_kept,
    },
};

/// Records copied at once.
const PAGE: usize = 1024;

/// The store in a fresh database of `version`, with each record as `change` makes it.
pub(super) fn copy(
    old: Db,
    folders: &Folders,
    cache_bytes: u64,
    version: u32,
    change: impl Fn(Key, Vec<u8>) -> Result<Option<Change>>,
) -> Result<Db> {
    require_space(folders.free_bytes()?, old.size_on_disk()?)?;
    let old_folder = folders.live();
    let new = copy_all(&old, folders, cache_bytes, version, change).inspect_err(|_| drop(folders.remove_next()))?;
    folders.switch()?;
    close_and_remove(old, folders, &old_folder)?;
    Ok(new)
}

fn copy_all(
    old: &Db,
    folders: &Folders,
    cache_bytes: u64,
    version: u32,
    change: impl Fn(Key, Vec<u8>) -> Result<Option<Change>>,
) -> Result<Db> {
    let new = Db::open(&folders.make_next()?, cache_bytes)?;
    let mut after: Option<Key> = None;
    loop {
        new.refuse_if_full()?;
        let page: Vec<_> = old.view()?.scan_bytes(&[], after.as_deref()).take(PAGE).collect::<Result<_>>()?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        let changed = page.into_iter().filter_map(|(key, value)| change(key, value).transpose());
        let kept = changed.filter(|change| !matches!(change, Ok((key, _)) if !is_kept(key)));
        new.apply(kept.collect::<Result<_>>()?)?;
    }
    set_version(&new, version)?;
    Ok(new)
}
