//! 4 to 5: places on rosters have periods, and sessions the clock by which they were planned.
//!
//! Both are read as they were, so nothing is written anew: who is on a roster has been on it since they joined, and where
//! the group is stands for where it was. An older program refuses the store, which would forget who has left.

use super::set_version;
use crate::{
    error::Result,
    store::engine::sled::{Db, Folders},
};

pub(super) fn begin(db: Db, _folders: &Folders, _cache_bytes: u64) -> Result<Db> {
    set_version(&db, 5)?;
    Ok(db)
}
