//! 1 to 2: long values in pieces, and a sum of all records (see [`crate::store::pieces`]).
//!
//! Nodes of the old tree lie in files that no flush reaches, and go from there only when they are written anew. So
//! everything is copied into a fresh database, as by a rewrite; the old one stays as it is until the copy is live.

use super::set_version;
use crate::{
    error::Result,
    store::{
        archive::Change,
        db::{Db, Read},
        folders::Folders,
        keys::Key,
        rewrite,
    },
};

/// Records copied at once.
const PAGE: usize = 1024;

pub(super) fn cut(old: Db, folders: &Folders, cache_bytes: u64) -> Result<Db> {
    rewrite::require_space(folders.free_bytes()?, old.size_on_disk()?)?;
    let old_folder = folders.live();
    let new = copy(&old, folders, cache_bytes).inspect_err(|_| drop(folders.remove_next()))?;
    folders.switch()?;
    rewrite::close_and_remove(old, folders, &old_folder)?;
    Ok(new)
}

fn copy(old: &Db, folders: &Folders, cache_bytes: u64) -> Result<Db> {
    let new = Db::open(&folders.make_next()?, cache_bytes)?;
    let mut after: Option<Key> = None;
    loop {
        new.refuse_if_full()?;
        let page: Vec<_> = old.view().scan_bytes(&[], after.as_deref()).take(PAGE).collect::<Result<_>>()?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        let page: Vec<Change> = page.into_iter().map(|(key, value)| (key, Some(value))).collect();
        rewrite::put(&new, page)?;
    }
    set_version(&new, 2)?;
    Ok(new)
}
