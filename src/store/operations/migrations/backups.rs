//! 3 to 4: backups have names and sizes.
//!
//! Those that are listed are read as they are ([`crate::store::Backup`]); the version keeps programs away that could not
//! read the new ones.

use super::set_version;
use crate::{
    error::Result,
    store::engine::sled::{Db, Folders},
};

pub(super) fn name(db: Db, _folders: &Folders, _cache_bytes: u64) -> Result<Db> {
    set_version(&db, 4)?;
    Ok(db)
}
