//! 2 to 3: reports of jobs without the ids of rows and the names of files (see [`crate::store::jobs`]).
//!
//! They were in reports of people who were never there, or are no more: an erasure did not find them. What the old ones
//! told is left out, and that their items are done is kept; so are the jobs with their counts. In a fresh database, so
//! that what was erased before is gone from the disk with this step.

use super::fresh;
use crate::{
    error::Result,
    store::{
        codec,
        engine::sled::{Db, Folders},
        jobs::KeptReport,
        keys::{self, Kind, Parsed},
    },
};

pub(super) fn blank(old: Db, folders: &Folders, cache_bytes: u64) -> Result<Db> {
    fresh::copy(old, folders, cache_bytes, 3, |key, value| {
        Ok(match keys::parse(&key) {
            Some(Parsed::Data(_, Kind::Item(..))) => Some((key, Some(codec::encode(&KeptReport::Erased)?))),
            Some(Parsed::Data(_, Kind::Mention(..))) => None,
            _ => Some((key, Some(value))),
        })
    })
}
