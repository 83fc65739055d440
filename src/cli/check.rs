//! `rollcall check`.

use clap::Args;
use comfy_table::Table;

use super::{Common, OperatorArgs, door::OperatorDoor, files::table, say};
use crate::{
    error::{Error, Result},
    store::CheckReport,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Every record is read and must be what was written, every reference must resolve, every sample must be of the network in
use, the entries of the audit logs must follow each other, and the records must be as many as were counted when they
were written. Ends with an error if anything is wrong: restore a backup into a new data folder, or delete and enrol
again what is named.
It cannot find an API key or a tenant's settings that are gone without a trace.")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(common: &Common, args: &CheckArgs) -> Result<()> {
    let settings = common.settings()?;
    let report = actix::System::new()
        .block_on(async { OperatorDoor::open(&settings, &args.operator).await?.check(&settings).await })?;
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

fn records(report: &CheckReport) -> Table {
    let mut table = table(&["record", "number"]);
    for (kind, count) in &report.records {
        table.add_row([kind.clone(), count.to_string()]);
    }
    table
}

fn problems(report: &CheckReport) -> Table {
    let mut table = table(&["problem", "number", "among them"]);
    for (code, problem) in &report.problems {
        table.add_row([code.clone(), problem.count.to_string(), problem.examples.join("; ")]);
    }
    table
}
