//! The job that takes a roster in, an item a row.

use std::collections::HashSet;

use super::work::Work;
use crate::{
    domain::{ImportOptions, ItemReport, Leavers, PersonId, RowOutcome},
    error::{Error, Result},
    intake::{Named, Plan, PlannedRow, ROSTER},
    runtime::spawn_blocking,
    service::people::import::{RowRules, failed_row},
    store::ItemPlace,
};

/// Reports read at once.
const READ_AT_ONCE: usize = 1000;

/// Works off all rows that have no report yet.
///
/// # Errors
/// What keeps the whole job from going on; what is wrong with a row is in its report.
pub(super) async fn run(work: &Work, options: ImportOptions) -> Result<()> {
    let (folder, max_entries) = (work.folder.clone(), work.options.max_entries);
    let plan = spawn_blocking(move || Plan::of_job(&folder, max_entries))
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
        let taken = work.patiently(|| work.service.people.import_row(&work.scope, &row, rules, Some(place))).await;
        let (report, is_noted) = match taken {
            // It was written with the row's effect.
            Ok(report) => (report, !options.dry_run),
            Err(error) if work.ends_with(&error) => return Err(error),
            Err(error) => (failed_row(&row.row, &error), false),
        };
        let outcome = report.outcome.name();
        if !is_noted {
            work.service.store.note_item(&work.scope, place, ItemReport::Row(report)).await?;
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
    let mut leavers = work.service.people.leavers(&work.scope, &named, options.leavers_in).await?;
    leavers.retain(|leaver| !people.contains(&leaver.person));
    let total = rows + (numbers.len() + leavers.len()) as u64;
    let job = work.service.store.set_job_total(&work.scope, work.job, total).await?;
    let have_rows_failed = job.failed.values().sum::<u64>() > seen_off_in_vain;
    let items = (rows..).filter(|number| !numbers.contains(number)).zip(leavers).map(|(number, leaver)| async move {
        let place = ItemPlace { job: work.job, number };
        let see_off = || work.service.people.see_off(&work.scope, &leaver, options, have_rows_failed, Some(place));
        let (report, is_noted) = match work.patiently(see_off).await {
            Ok(seen_off) => seen_off,
            Err(error) if work.ends_with(&error) => return Err(error),
            Err(error) => (leaver.failed(&error), false),
        };
        let outcome = report.outcome.name();
        if !is_noted {
            work.service.store.note_item(&work.scope, place, ItemReport::Row(report)).await?;
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
            let page = work.service.store.items(&work.scope, work.job, after, READ_AT_ONCE).await?;
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
