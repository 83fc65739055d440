//! 1 to 2: long values in pieces, and a sum of all records (see [`crate::store::engine::sled::pieces`]).
//!
//! Nodes of the old tree lie in files that no flush reaches, and go from there only when they are written anew.

use super::fresh;
use crate::{
    error::Result,
    store::engine::sled::{Db, Folders},
};

pub(super) fn cut(old: Db, folders: &Folders, cache_bytes: u64) -> Result<Db> {
    fresh::copy(old, folders, cache_bytes, 2, |key, value| Ok(Some((key, Some(value)))))
}
