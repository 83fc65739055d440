//! The job that takes a roster in, an item a row.

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
    work::Work,
};
use crate::{
    domain::{GroupId, ImportOptions, ItemReport, Leavers, PersonId, RosterColumn, RowOutcome, RowReport, TenantScope},
    error::{Error, ErrorKind, Result},
    runtime::spawn_blocking,
    service::{
        Service,
        import::{RowRules, failed_row},
    },
    store::ItemPlace,
};

/// Of a heading, so much is kept.
const SHOWN_HEADING_CHARS: usize = 64;
/// Reports read at once.
const READ_AT_ONCE: usize = 1000;

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
pub(super) fn zip(folder: &Path) -> Option<PathBuf> {
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
    row: RosterRow,
    photos: Vec<PhotoFile>,
    is_repeated: bool,
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
    let plan = spawn_blocking(move || Plan::new(&folder.join(ROSTER), zip(&folder).as_deref(), max_entries))
        .await
        .map_err(|lost| Error::internal("a roster was not read").with_source(lost))??;
    let rows = plan.rows;
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
    work.drive(items).await?;
    if options.leavers == Leavers::Keep { Ok(()) } else { see_off_all(work, options, rows).await }
}

/// Leavers, as items behind the rows. Where this was interrupted, those who have a report are not looked at again.
async fn see_off_all(work: &Work, options: ImportOptions, rows: u64) -> Result<()> {
    let csv = work.folder.join(ROSTER);
    let named = spawn_blocking(move || Named::in_roster(&csv))
        .await
        .map_err(|lost| Error::internal("a roster was not read").with_source(lost))??;
    let SeenOff { numbers, people, in_vain: seen_off_in_vain } = SeenOff::of(work, rows).await?;
    let mut leavers = work.service.leavers(&work.scope, &named, options.leavers_in).await?;
    leavers.retain(|leaver| !people.contains(&leaver.person));
    let total = rows + (numbers.len() + leavers.len()) as u64;
    let job = work.service.store().set_job_total(&work.scope, work.job, total).await?;
    let have_rows_failed = job.failed.values().sum::<u64>() > seen_off_in_vain;
    let items = (rows..).filter(|number| !numbers.contains(number)).zip(leavers).map(|(number, leaver)| async move {
        let place = ItemPlace { job: work.job, number };
        let see_off = || work.service.see_off(&work.scope, &leaver, options, have_rows_failed, Some(place));
        let (report, is_noted) = match work.patiently(see_off).await {
            Ok(seen_off) => seen_off,
            Err(error) if work.ends_with(&error) => return Err(error),
            Err(error) => (leaver.failed(&error), false),
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

/// Leavers who have a report.
#[derive(Default)]
struct SeenOff {
    /// Of their items.
    numbers: HashSet<u64>,
    /// Without those who have been erased since.
    people: HashSet<PersonId>,
    /// How many of them could not be seen off.
    in_vain: u64,
}

impl SeenOff {
    /// Those of the items behind the rows.
    async fn of(work: &Work, rows: u64) -> Result<Self> {
        let (mut seen_off, mut after) = (Self::default(), rows.checked_sub(1));
        loop {
            let page = work.service.store().items(&work.scope, work.job, after, READ_AT_ONCE).await?;
            for (number, report) in page.items {
                seen_off.numbers.insert(number);
                if let ItemReport::Row(row) = report {
                    seen_off.in_vain += u64::from(row.outcome == RowOutcome::Failed);
                    seen_off.people.extend(row.person);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(seen_off),
            }
        }
    }
}
