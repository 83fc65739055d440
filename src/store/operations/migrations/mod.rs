//! From each version of the store's layout to the next, one step a file.
//!
//! The store has one version, which every change of the layout raises: of keys, of records, of what lies how in the
//! embedded database. It is read before anything else, so an older program refuses a newer store before it has looked
//! at a record, and a newer one brings an older store up step by step before anybody uses it. A step that is cut short
//! is done again at the next start.

mod backups;
mod counts;
mod fresh;
mod periods;
mod pieces;
mod reports;
mod words;

use super::open::{FORMAT_VERSION, Format};
use crate::{
    error::{Error, Result},
    store::{
        codec,
        engine::{
            Read, Readable,
            sled::{Db, Folders},
        },
        failures::damaged,
        keys,
    },
};

/// Brings a store to the next version: the database that is then live, of that version.
type Step = fn(Db, &Folders, u64) -> Result<Db>;

/// The first is from version 1 to 2.
const STEPS: [Step; (FORMAT_VERSION - 1) as usize] =
    [pieces::cut, reports::blank, backups::name, periods::begin, words::add, counts::add];

/// Brings the live database to this program's version, or makes it one where it is empty.
///
/// Errors: `Storage` `newer_store`, `store_damaged`, `not_enough_space`, or what a step meets.
pub(in crate::store) fn run(mut db: Db, folders: &Folders, cache_bytes: u64) -> Result<Db> {
    loop {
        let Some(version) = version(&db)? else {
            set_version(&db, FORMAT_VERSION)?;
            continue;
        };
        check_version(version)?;
        if version == FORMAT_VERSION {
            return Ok(db);
        }
        let step = STEPS.get((version as usize).wrapping_sub(1)).ok_or_else(|| damaged("there is no such version"))?;
        tracing::info!(from = version, to = version + 1, "bringing the store to a newer version");
        db = step(db, folders, cache_bytes)?;
    }
}

/// The store's version; `None` where it is empty.
fn version(db: &Db) -> Result<Option<u32>> {
    let view = db.view()?;
    let format: Option<Format> = view.get(&keys::format())?;
    if format.is_none() && view.scan_keys(&[]).next().transpose()?.is_some() {
        return Err(damaged("the embedded database has lost the store's version"));
    }
    Ok(format.map(|format| format.version))
}

/// Makes `version` the store's.
pub(in crate::store) fn set_version(db: &Db, version: u32) -> Result<()> {
    let format = codec::encode(&Format { version })?;
    db.apply([(keys::format(), Some(format))].into_iter().collect())?;
    db.flush()
}

/// Errors unless this program reads stores of `version`: `Storage` `newer_store`.
pub(in crate::store) fn check_version(version: u32) -> Result<()> {
    if version <= FORMAT_VERSION {
        return Ok(());
    }
    let message = format!(
        "the store has version {version} and this program reads up to {FORMAT_VERSION}: run the program that wrote it, \
         or a newer one"
    );
    Err(Error::storage(message).with_code("newer_store"))
}

/// Errors unless the database has a version that this program reads.
pub(in crate::store) fn require_version(db: &Db) -> Result<()> {
    check_version(version(db)?.ok_or_else(|| damaged("the backup has no store's version"))?)
}
