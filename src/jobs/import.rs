//! The job that takes a roster in, an item a row.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{
    archive::Archive,
    names::RowNames,
    photos::{Assigned, PhotoFile},
    roster::{Roster, RosterRow},
    spool::{PHOTOS, ROSTER},
    work::Work,
};
use crate::{
    domain::{ImportOptions, ItemReport, RowReport, TenantScope},
    error::{Error, ErrorKind, Result},
    service::{
        Service,
        import::{RowRules, failed_row},
    },
    store::ItemPlace,
};

/// A roster that can be read to its end, and its photos.
pub struct Checked {
    /// How many rows it has.
    pub rows: u64,
}

impl Checked {
    /// Reads all of the files in `folder`. Blocks.
    ///
    /// # Errors
    /// `Invalid` `invalid_csv` or `invalid_zip`; `TooLarge` `too_many_rows`, `too_many_entries` or `zip_bomb`.
    pub fn new(folder: &Path, max_entries: u64) -> Result<Self> {
        let mut rows = 0;
        for row in roster(&folder.join(ROSTER))? {
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
        Ok(Self { rows })
    }
}

/// The roster in a file.
pub(super) fn roster(csv: &Path) -> Result<Roster<File>> {
    Roster::open(File::open(csv).map_err(missing)?)
}

/// The photos of a job, where it has some.
pub(super) fn zip(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(PHOTOS)).filter(|path| path.exists())
}

fn missing(error: io::Error) -> Error {
    Error::invalid("the roster cannot be read").with_code("invalid_csv").with_source(error)
}

/// A roster with its photos, each of them by the row that it belongs to.
pub struct Plan {
    roster: Roster<File>,
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
    row: RosterRow,
    photos: Vec<PhotoFile>,
    is_repeated: bool,
}

impl Plan {
    /// Reads a roster, and the directory of its photos where there are some. Blocks. Errors as for [`Checked::new`].
    pub fn new(csv: &Path, photos: Option<&Path>, max_entries: u64) -> Result<Self> {
        let (mut ids, mut repeated, mut rows) = (HashMap::new(), HashSet::new(), 0);
        for (number, row) in (0..).zip(roster(csv)?) {
            if *ids.entry(row?.id).or_insert(number) != number {
                repeated.insert(number);
            }
            rows += 1;
        }
        let archive = photos.map(|photos| Archive::open(photos, max_entries)).transpose()?;
        let entries = archive.as_ref().map(Archive::entries).unwrap_or_default();
        Ok(Self { roster: roster(csv)?, photos: Assigned::new(entries, &ids), archive, repeated, rows })
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
    /// Takes it in. Errors as for [`Service::import_row`]; `Invalid` `repeated_id`.
    pub async fn take(
        &self,
        service: &Service,
        scope: &TenantScope,
        rules: RowRules,
        place: Option<ItemPlace>,
    ) -> Result<RowReport> {
        if self.is_repeated {
            return Err(Error::invalid("an earlier row has the same id").with_code("repeated_id"));
        }
        service.import_row(scope, self.row.clone(), self.photos.clone(), rules, place).await
    }

    /// What it is called, and its photos.
    pub fn names(&self) -> RowNames {
        RowNames::new(&self.row.id, self.photos.iter().map(|photo| photo.name.clone()).collect())
    }

    /// The report where that failed.
    pub fn failed(&self, error: &Error) -> RowReport {
        failed_row(&self.row, error)
    }
}

/// Works off all rows that have no report yet.
///
/// # Errors
/// What keeps the whole job from going on; what is wrong with a row is in its report.
pub(super) async fn run(work: &Work, options: ImportOptions) -> Result<()> {
    let (folder, max_entries) = (work.folder.clone(), work.options.max_entries);
    let plan =
        tokio::task::spawn_blocking(move || Plan::new(&folder.join(ROSTER), zip(&folder).as_deref(), max_entries))
            .await
            .map_err(|lost| Error::internal("a roster was not read").with_source(lost))??;
    work.count("photos_without_row", plan.strays()).await?;
    let done: HashSet<u64> = work.done().await?;
    let rules = RowRules { options, image_bytes: work.options.image_bytes };
    let is_left = |row: &Result<PlannedRow>| row.as_ref().map_or(true, |row| !done.contains(&row.number));
    let items = plan.filter(is_left).map(|row| async move {
        let row = row?;
        let place = ItemPlace { job: work.job, number: row.number };
        let taken = work.patiently(|| row.take(&work.service, &work.scope, rules, Some(place))).await;
        let (report, is_noted) = match taken {
            // It was written with the row's effect.
            Ok(report) => (report, !options.dry_run),
            Err(error) if work.ends_with(&error) => return Err(error),
            Err(error) => (row.failed(&error), false),
        };
        let outcome = report.outcome.name();
        if !is_noted {
            work.service.store().note_item(&work.scope, place, ItemReport::Row(report)).await?;
        }
        work.count_item(outcome);
        Ok(())
    });
    work.drive(items).await
}
