//! What a roster and its photos come to: the rows, and which photos are whose.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};

use super::{
    archive::Archive,
    names::RowNames,
    photos::{Assigned, PhotoFile},
    roster::{Roster, RosterRow, Source},
    spool::{PHOTOS, ROSTER},
};
use crate::{
    domain::{GroupId, PersonId, RosterColumn},
    error::{Error, ErrorKind, Result},
};

/// Of a heading, so much is kept.
const SHOWN_HEADING_CHARS: usize = 64;
/// A roster that can be read to its end, and its photos.
pub struct Checked {
    /// How many rows it has.
    pub rows: u64,
    /// What its columns were taken for.
    pub columns: Vec<RosterColumn>,
    /// How its file is encoded.
    pub encoding: &'static str,
}

impl Checked {
    /// Reads all of the files in `folder`. Blocks.
    ///
    /// # Errors
    /// `Invalid` `invalid_csv` or `invalid_zip`; `TooLarge` `too_many_rows`, `too_many_entries`, `workbook_too_large` or
    /// `zip_bomb`.
    pub fn new(folder: &Path, max_entries: u64) -> Result<Self> {
        let mut rows = 0;
        let roster = Roster::at(&folder.join(ROSTER))?;
        let (columns, encoding) = (columns(&roster), roster.encoding());
        for row in roster {
            row?;
            rows += 1;
            if rows > max_entries {
                let message = format!("a roster has at most {max_entries} rows");
                return Err(Error::new(ErrorKind::TooLarge, message).with_code("too_many_rows"));
            }
        }
        if let Some(photos) = zip(folder) {
            Archive::open(&photos, max_entries)?.require_apart()?;
        }
        Ok(Self { rows, columns, encoding })
    }
}

/// What the columns of a roster were taken for.
pub fn columns(roster: &Roster<Source>) -> Vec<RosterColumn> {
    let column = |(heading, meaning): (&str, &str)| RosterColumn {
        heading: heading.chars().take(SHOWN_HEADING_CHARS).collect(),
        meaning: meaning.to_owned(),
    };
    roster.columns().map(column).collect()
}

/// Who and which groups a roster names, as they stand there.
#[derive(Debug, Default)]
pub struct Named {
    /// The people of the rows; what is no id names nobody.
    pub people: HashSet<PersonId>,
    /// The groups of all rows; what is no id names none.
    pub groups: BTreeSet<GroupId>,
}

impl Named {
    /// Reads a roster. Blocks. Errors as for [`Roster::at`].
    pub fn in_roster(csv: &Path) -> Result<Self> {
        let mut named = Self::default();
        for row in Roster::at(csv)? {
            let row = row?;
            named.groups.extend(row.groups.iter().filter_map(|group| group.parse().ok()));
            named.people.extend(row.id.parse());
        }
        Ok(named)
    }
}

/// The photos of a job, where it has some.
pub(crate) fn zip(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(PHOTOS)).filter(|path| path.exists())
}

/// A roster with its photos, each of them by the row that it belongs to.
pub struct Plan {
    roster: Roster<Source>,
    archive: Option<Archive>,
    photos: Assigned,
    /// Rows whose id an earlier one has.
    repeated: HashSet<u64>,
    /// Rows in all.
    pub rows: u64,
}

/// A row that is to be taken in.
pub struct PlannedRow {
    /// From 0.
    pub number: u64,
    /// What it says.
    pub row: RosterRow,
    /// Its photos.
    pub photos: Vec<PhotoFile>,
    /// Whether an earlier row has the same id.
    pub is_repeated: bool,
}

impl Plan {
    /// Reads a roster, and the directory of its photos where there are some. Blocks. Errors as for [`Checked::new`].
    pub fn new(csv: &Path, photos: Option<&Path>, max_entries: u64) -> Result<Self> {
        let (mut ids, mut repeated, mut rows) = (HashMap::new(), HashSet::new(), 0);
        for (number, row) in (0..).zip(Roster::at(csv)?) {
            // What is no id fails by itself.
            if let Ok(person) = row?.id.parse::<PersonId>()
                && *ids.entry(person.into()).or_insert(number) != number
            {
                repeated.insert(number);
            }
            rows += 1;
        }
        let archive = photos.map(|photos| Archive::open(photos, max_entries)).transpose()?;
        let entries = archive.as_ref().map(Archive::entries).unwrap_or_default();
        Ok(Self { roster: Roster::at(csv)?, photos: Assigned::new(entries, &ids), archive, repeated, rows })
    }

    /// The same of a job, by the folder of its files.
    pub fn of_job(folder: &Path, max_entries: u64) -> Result<Self> {
        Self::new(&folder.join(ROSTER), zip(folder).as_deref(), max_entries)
    }

    /// Photos that belong to no row.
    pub fn strays(&self) -> u64 {
        self.photos.strays
    }
}

impl Iterator for Plan {
    type Item = Result<PlannedRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.roster.rows_read();
        let row = match self.roster.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let photos = self.archive.as_ref().map(|archive| self.photos.take(number, archive)).unwrap_or_default();
        Some(Ok(PlannedRow { number, row, photos, is_repeated: self.repeated.contains(&number) }))
    }
}

impl PlannedRow {
    /// What it is called, and its photos.
    pub fn names(&self) -> RowNames {
        RowNames::new(&self.row.id, self.photos.iter().map(|photo| photo.name.clone()).collect())
    }
}
