//! `rollcall check`.

use clap::Args;
use comfy_table::Table;

use super::{Common, OperatorArgs, door::OperatorDoor, files::table, say, scratch::ScratchArgs};
use crate::{
    config::Settings,
    error::{Error, Result},
    service::operations::salvage::inspect,
    store::{CheckReport, Inspection},
    vault::Vault,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Every record is read and must be what was written, every reference must resolve, every sample must be of the network in
use, every kept photo must open with its key, the entries of the audit logs must follow each other, and the records must
be those that were counted when they were written. Ends with an error if anything is wrong: restore a backup into a new
data folder, or delete and enrol again what is named. Of a store that no start opens it says what can be read, and what
is known to be missing.")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    scratch: ScratchArgs,
}

pub(super) fn run(common: &Common, args: &CheckArgs) -> Result<()> {
    let settings = common.settings()?;
    let vault = Vault::of(&settings.server.data);
    let checked = actix::System::new().block_on(async {
        let scratch = args.scratch.prepare(settings.clone())?;
        let door = OperatorDoor::open(scratch.settings(), &args.operator).await?;
        door.check(scratch.settings(), &vault).await
    });
    let report = match checked {
        Err(error) if ["store_damaged", "damaged_record"].contains(&error.code()) => {
            return tell_of_refused(&settings, args, error);
        }
        checked => checked?,
    };
    say(records(&report))?;
    if !report.counts_compared {
        say("The counts of records were not compared, as records were written meanwhile.")?;
    }
    if report.is_sound() {
        return say("The store is sound.");
    }
    say(problems(&report))?;
    Err(Error::storage("the store is not sound").with_code("store_unsound"))
}

/// Says what can be read of a store that does not open.
fn tell_of_refused(settings: &Settings, args: &CheckArgs, error: Error) -> Result<()> {
    let scratch = args.scratch.folder()?;
    let found = actix::System::new().block_on(inspect(&settings.server.data, scratch.path()))?;
    say("The store does not open. This is what can be read of it:")?;
    say(records(&found.report))?;
    say_what_is_missing(&found)?;
    if !found.report.is_sound() {
        say(problems(&found.report))?;
    }
    say("Restore a backup into a new data folder, or make one of what can be read: `rollcall salvage DIR NEW`.")?;
    Err(error)
}

/// What is known to be missing from what could be read.
pub(super) fn say_what_is_missing(found: &Inspection) -> Result<()> {
    let Inspection { unreadable_segments, unreadable_places, missing_files, lost_changes, missing_flushes, .. } = found;
    say(format_args!(
        "Not readable: {unreadable_segments} parts of the log as a whole, {unreadable_places} places in others, \
         {missing_files} files beside it; {lost_changes} changes belong to nothing that could be read."
    ))?;
    match missing_flushes {
        Some(0) => say("The last write that was acknowledged is there."),
        Some(missing) => say(format_args!(
            "The last writes are missing: {missing} times writes were acknowledged after the last that is there."
        )),
        None => say("Whether the last writes are there is not known: the store's marker cannot be read."),
    }
}

pub(super) fn records(report: &CheckReport) -> Table {
    let mut table = table(&["record", "number"]);
    for (kind, count) in &report.records {
        table.add_row([kind.clone(), count.to_string()]);
    }
    table
}

pub(super) fn problems(report: &CheckReport) -> Table {
    let mut table = table(&["problem", "number", "among them"]);
    for (code, problem) in &report.problems {
        table.add_row([code.clone(), problem.count.to_string(), problem.examples.join("; ")]);
    }
    table
}
