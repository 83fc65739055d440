//! What can be read of a store that does not open, and a new store made of it.
//!
//! sled reads its log up to the first place that it cannot read, or not at all. Here the log is read past such places
//! ([`log`]), what it tells is done once more ([`replay`]) in a database beside, and what may ([`survivors`]) goes into a
//! new store. The old one is not written to.

pub(in crate::store) mod judge;
mod log;
mod numbers;
mod page;
mod replay;
mod survivors;

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::{
    log::Log,
    replay::Replay,
    survivors::{Left, Survivors},
};
use super::{
    super::{Read, Readable},
    Db,
    folders::{self, Folders},
    marker,
};
use crate::{
    error::Result,
    store::{
        failures::damaged,
        keys::{self, Key},
        operations::{
            check::{CheckReport, check_database},
            migrations,
            open::{DEFAULT_CACHE_BYTES, FORMAT_VERSION, Format},
        },
        transaction::Writes,
    },
};

/// Records copied at once.
const PAGE: usize = 1024;

/// What could be read of a store, and what is known to be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What was found in what could be read.
    pub report: CheckReport,
    /// Parts of the log of which nothing could be read, each of 512 KiB.
    pub unreadable_segments: u64,
    /// Places in other parts where something could not be read.
    pub unreadable_places: u64,
    /// Files beside the log that are missing or damaged.
    pub missing_files: u64,
    /// Changes that are read and belong to nothing that is.
    pub lost_changes: u64,
    /// Flushes that were acknowledged after the last one that can be read; `None` where the marker cannot be read.
    pub missing_flushes: Option<u64>,
}

/// What went into a new store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// What was read.
    pub found: Inspection,
    /// Records in the new store, and what is wrong among them.
    pub report: CheckReport,
    /// Records that are not what was written.
    pub damaged: u64,
    /// Keys, logins and users: none is restored.
    pub access: u64,
    /// Records of people and tenants who were removed, or of whom nothing else could be read.
    pub nobodys: u64,
}

/// Reads what can be read of the store in the folder `path`, with the help of the folder `scratch`, which must be empty
/// and have room for a copy.
///
/// Blocks. Errors: `store_locked` where a process has the store open; `store_io`; `disk_full`.
pub fn inspect(path: &Path, scratch: &Path) -> Result<Inspection> {
    let (inspection, _db) = read(path, scratch)?;
    Ok(inspection)
}

/// Makes a new store in the folder `into`, which must not hold one, of what can be read of the one in `path`.
///
/// Blocks. Errors as for [`inspect`].
pub fn salvage(path: &Path, scratch: &Path, into: &Path) -> Result<Salvaged> {
    let (found, old) = read(path, scratch)?;
    let mut salvaged = Salvaged { found, ..Salvaged::default() };
    let folders = Folders::open(into)?;
    let new = Db::open(&folders.live(), DEFAULT_CACHE_BYTES)?;
    copy_survivors(&old, &new, &mut salvaged)?;
    // Its records are as they were: what has changed since is done at its first start.
    let format: Option<Format> = old.view()?.get(&keys::format()).unwrap_or(None);
    migrations::set_version(&new, format.map_or(FORMAT_VERSION, |format| format.version))?;
    folders.keep_only_live()?;
    salvaged.report = check_database(&new)?;
    Ok(salvaged)
}

fn read(path: &Path, scratch: &Path) -> Result<(Inspection, Db)> {
    let _lock = folders::lock_if_any(path)?;
    let live = live(path)?;
    let mut log = Log::open(&live)?;
    let db = Db::open(scratch, DEFAULT_CACHE_BYTES)?;
    let mut replay = Replay::new(&db);
    replay.run(&mut log)?;
    let (reached, lost_changes) = (replay.flush.unwrap_or(0), replay.lost_changes);
    db.read_sum()?;
    let promised = fs::read(live.join(marker::FILE_NAME)).ok().and_then(|text| marker::parse(&text));
    let inspection = Inspection {
        report: check_database(&db)?,
        unreadable_segments: log.unreadable.segments,
        unreadable_places: log.unreadable.places,
        missing_files: log.unreadable.outside,
        lost_changes,
        missing_flushes: promised.map(|promised| promised.saturating_sub(reached)),
    };
    Ok((inspection, db))
}

/// The folder of the live database: as the file `live` says, or else the one with the longest log.
fn live(path: &Path) -> Result<PathBuf> {
    let written = fs::read(path.join(folders::LIVE)).ok().and_then(|text| marker::parse(&text));
    let named =
        written.map(|number| path.join(number.to_string())).filter(|folder| folders::log_bytes(folder).is_some());
    if let Some(folder) = named {
        return Ok(folder);
    }
    let longest = folders::numbered(path)?.into_iter().max_by_key(|folder| folders::log_bytes(folder));
    longest
        .filter(|folder| folders::log_bytes(folder).is_some())
        .ok_or_else(|| damaged("there is no database in the folder"))
}

fn copy_survivors(old: &Db, new: &Db, salvaged: &mut Salvaged) -> Result<()> {
    let mut survivors = Survivors::find(old)?;
    let mut after: Option<Key> = None;
    loop {
        let view = old.view()?;
        let page: Vec<_> = view.scan_bytes(&[], after.as_deref()).take(PAGE).collect::<Result<_>>()?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        let mut going = Vec::new();
        for (key, bytes) in page {
            match survivors.judge(&key, &bytes) {
                None => going.push((key, Some(bytes))),
                Some(Left::Damaged) => salvaged.damaged += 1,
                Some(Left::Access) => salvaged.access += 1,
                Some(Left::Nobodys) => salvaged.nobodys += 1,
                Some(Left::Derived) => {}
            }
        }
        new.apply(going.into_iter().collect())?;
    }
    let mut writes = Writes::default();
    for (tenant, amounts) in &survivors.amounts {
        writes.put(keys::usage(tenant), amounts)?;
    }
    new.apply(writes)
}
