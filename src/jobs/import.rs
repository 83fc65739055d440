//! The job that takes a roster in, an item a row.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    path::Path,
};

use futures_util::{StreamExt, stream};

use super::{
    archive::Archive,
    photos::Assigned,
    roster::{Roster, RosterRow},
    runner::Work,
    spool::{PHOTOS, ROSTER},
};
use crate::{
    domain::{ImportOptions, ItemReport},
    error::{Error, ErrorKind, Result},
    service::import::{RowRules, failed_row},
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
        for row in roster(folder)? {
            row?;
            rows += 1;
            if rows > max_entries {
                let message = format!("a roster has at most {max_entries} rows");
                return Err(Error::new(ErrorKind::TooLarge, message).with_code("too_many_rows"));
            }
        }
        if let Some(archive) = archive(folder, max_entries)? {
            archive.require_apart()?;
        }
        Ok(Self { rows })
    }
}

fn roster(folder: &Path) -> Result<Roster<File>> {
    Roster::open(File::open(folder.join(ROSTER)).map_err(missing)?)
}

fn archive(folder: &Path, max_entries: u64) -> Result<Option<Archive>> {
    let path = folder.join(PHOTOS);
    if path.exists() { Archive::open(&path, max_entries).map(Some) } else { Ok(None) }
}

fn missing(error: io::Error) -> Error {
    Error::internal("the files of the job are gone").with_code("spool_failed").with_source(error)
}

/// What is known before the first row is taken in.
struct Plan {
    roster: Roster<File>,
    archive: Option<Archive>,
    photos: Assigned,
    /// Rows whose id an earlier one has.
    repeated: HashSet<u64>,
}

impl Plan {
    /// Blocks.
    fn new(folder: &Path, max_entries: u64) -> Result<Self> {
        let (mut rows, mut repeated) = (HashMap::new(), HashSet::new());
        for (number, row) in (0..).zip(roster(folder)?) {
            if *rows.entry(row?.id).or_insert(number) != number {
                repeated.insert(number);
            }
        }
        let archive = archive(folder, max_entries)?;
        let entries = archive.as_ref().map(Archive::entries).unwrap_or_default();
        Ok(Self { roster: roster(folder)?, photos: Assigned::new(entries, &rows), archive, repeated })
    }
}

/// Works off all rows that have no report yet.
///
/// # Errors
/// What keeps the whole job from going on; what is wrong with a row is in its report.
pub(super) async fn run(work: &Work, options: ImportOptions) -> Result<()> {
    let (folder, max_entries) = (work.folder.clone(), work.options.max_entries);
    let plan = tokio::task::spawn_blocking(move || Plan::new(&folder, max_entries))
        .await
        .map_err(|lost| Error::internal("a roster was not read").with_source(lost))?;
    let Plan { roster, archive, mut photos, repeated } = plan?;
    work.count("photos_without_row", photos.strays).await?;
    let done: HashSet<u64> = work.done().await?;
    let rules = RowRules { options, image_bytes: work.options.image_bytes };
    let items = (0..).zip(roster).filter(|(number, _)| !done.contains(number)).map(|(number, row)| {
        let photos = archive.as_ref().map(|archive| photos.take(number, archive)).unwrap_or_default();
        let is_repeated = repeated.contains(&number);
        async move {
            let row = row?;
            let place = ItemPlace { job: work.job, number };
            let taken = if is_repeated {
                Err(Error::invalid("an earlier row has the same id").with_code("repeated_id"))
            } else {
                let take = || work.service.import_row(&work.scope, row.clone(), photos.clone(), rules, Some(place));
                work.patiently(take).await
            };
            report(work, place, &row, options, taken).await
        }
    });
    let mut items = stream::iter(items).buffer_unordered(work.options.items_at_once);
    while let Some(done) = items.next().await {
        done?;
        work.require_going_on()?;
    }
    Ok(())
}

/// Writes the report where it was not written with the row's effect.
async fn report(
    work: &Work,
    place: ItemPlace,
    row: &RosterRow,
    options: ImportOptions,
    taken: Result<crate::domain::RowReport>,
) -> Result<()> {
    let report = match taken {
        Ok(_) if !options.dry_run => return Ok(()),
        Ok(report) => report,
        Err(error) if work.ends_with(&error) => return Err(error),
        Err(error) => failed_row(row, &error),
    };
    work.service.store().note_item(&work.scope, place, ItemReport::Row(report)).await
}
