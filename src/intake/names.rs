//! What the items of an upload are called. No report says it: a name leaves with the files, and so it is read from them
//! while they are there.

use std::{collections::HashMap, ops::RangeInclusive, path::Path};

use super::{
    archive::Archive,
    plan::{Plan, zip},
    roster::Roster,
    spool::{PHOTOS, ROSTER},
    upload::zipped,
};
use crate::{domain::JobTask, error::Result};

/// Of an id that is none, so much is shown.
const SHOWN_ID_CHARS: usize = 128;

/// What a row of a roster has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowNames {
    /// Its id, shortened where it is none.
    pub id: String,
    /// The files of its photos without their folders, in the order of their numbers; empty where they were not read.
    pub photos: Vec<String>,
}

impl RowNames {
    pub(crate) fn new(id: &str, photos: Vec<String>) -> Self {
        Self { id: id.chars().take(SHOWN_ID_CHARS).collect(), photos }
    }
}

/// What some items of a job are called, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemNames {
    /// Rows.
    pub rows: HashMap<u64, RowNames>,
    /// Files of a ZIP, without their folders. A photo that was sent by itself has no name.
    pub photos: HashMap<u64, String>,
}

impl ItemNames {
    /// Those of `items`, from the files in `folder`. `with_photos` says whether rows have theirs, for which the directory
    /// of the ZIP file is read. Blocks. Errors where a file cannot be read: it may be gone.
    pub fn read(
        folder: &Path,
        task: &JobTask,
        items: RangeInclusive<u64>,
        with_photos: bool,
        max_entries: u64,
    ) -> Result<Self> {
        let mut names = Self::default();
        match task {
            JobTask::Recognise(_) => {
                let photos = folder.join(PHOTOS);
                if photos.exists() {
                    names.photos = photo_names(&photos, items, max_entries)?;
                }
            }
            JobTask::Import(_) if with_photos => {
                names.rows = row_names(&folder.join(ROSTER), zip(folder).as_deref(), items, max_entries)?;
            }
            JobTask::Import(_) => {
                for (number, row) in (0..=*items.end()).zip(Roster::at(&folder.join(ROSTER))?) {
                    let row = row?;
                    if items.contains(&number) {
                        names.rows.insert(number, RowNames::new(&row.id, Vec::new()));
                    }
                }
            }
        }
        Ok(names)
    }
}

/// What rows of a roster are called, with their photos of a ZIP file. Blocks. Errors as for [`Plan::new`].
pub fn row_names(
    csv: &Path,
    photos: Option<&Path>,
    rows: RangeInclusive<u64>,
    max_entries: u64,
) -> Result<HashMap<u64, RowNames>> {
    let mut names = HashMap::new();
    for row in Plan::new(csv, photos, max_entries)? {
        let row = row?;
        if row.number > *rows.end() {
            break;
        }
        if rows.contains(&row.number) {
            names.insert(row.number, row.names());
        }
    }
    Ok(names)
}

/// What photos of a ZIP file are called, without their folders. Blocks. Errors as for [`Archive::open`].
pub fn photo_names(zip: &Path, photos: RangeInclusive<u64>, max_entries: u64) -> Result<HashMap<u64, String>> {
    let wanted = zipped(&Archive::open(zip, max_entries)?).into_iter().filter(|(number, ..)| photos.contains(number));
    Ok(wanted.map(|(number, photo, _)| (number, photo.name)).collect())
}
