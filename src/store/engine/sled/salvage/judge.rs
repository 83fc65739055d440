//! Whether sled may open a log. It reads from where its last snapshot ends, cuts the log off at the first place that it
//! cannot read, and overwrites what lies behind: if that was acknowledged, a store that could be salvaged no longer can
//! be. So the same part of the log is read here first, without writing.

use std::{fs, path::Path};

use super::log::{Log, SEGMENT_BYTES, flush_in};
use crate::{
    error::Result,
    store::{
        engine::sled::{files, marker},
        failures::damaged,
    },
};

/// Errors where sled would cut off writes that the marker says were acknowledged: `store_damaged`.
pub(in crate::store) fn require_kept(folder: &Path) -> Result<()> {
    let promised = fs::read(folder.join(marker::FILE_NAME)).ok().and_then(|text| marker::parse(&text));
    let Some(promised) = promised.filter(|_| folder.join(files::DATA_FILE).exists()) else { return Ok(()) };
    let mut log = Log::open(folder)?;
    let from = files::snapshot_end(folder)? / SEGMENT_BYTES as u64;
    let (mut is_torn, mut reached) = (false, None);
    log.each_from(from, |entry| {
        let Some(entry) = entry else {
            is_torn = true;
            return Ok(());
        };
        match flush_in(&entry.message) {
            Some(number) if is_torn && number <= promised => Err(damaged(
                "the embedded database has a place that cannot be read before writes that were acknowledged",
            )),
            number => {
                reached = number.max(reached);
                Ok(())
            }
        }
    })?;
    // Behind a snapshot there may be no flush yet.
    let is_lost = reached.map_or(from == 0, |reached| reached < promised);
    if is_lost {
        return Err(damaged("the embedded database has lost writes that it had acknowledged"));
    }
    Ok(())
}
