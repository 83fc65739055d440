//! `rollcall salvage`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::{
    check::{problems, records, say_what_is_missing},
    say,
};
use crate::{error::Result, service::operations::salvage::salvage};

#[derive(Debug, Args)]
#[command(after_help = "\
For a store that no start opens and no backup replaces. The newest version of each record that can be read goes into a
new data folder; the old one is not written to. People and tenants who were removed stay removed, as far as the log of
changes can be read. No key, login or user is restored, as revoked ones might be among them: operator.key and
default.key are made anew, users with `rollcall user add`. Kept photos are copied.")]
pub(super) struct SalvageArgs {
    /// The data folder that does not open.
    from: PathBuf,
    /// The data folder to make.
    into: PathBuf,
    /// Where to put what is read meanwhile, about as much as the store [default: the new folder].
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

pub(super) fn run(args: &SalvageArgs) -> Result<()> {
    let SalvageArgs { from, into, scratch } = args;
    let salvaged = actix::System::new().block_on(salvage(from, into, scratch.as_deref(), Timestamp::now()))?;
    say(records(&salvaged.report))?;
    say_what_is_missing(&salvaged.found)?;
    say(format_args!(
        "Left behind: {} damaged records; {} of people or tenants who were removed, or of whom nothing else could be \
         read; {} keys, logins and users, of which none is restored.",
        salvaged.damaged, salvaged.nobodys, salvaged.access
    ))?;
    if !salvaged.report.is_sound() {
        say("What refers to something that could not be read:")?;
        say(problems(&salvaged.report))?;
    }
    say(format_args!(
        "{} is a data folder now. Nobody can say what was in the parts that cannot be read.",
        into.display()
    ))
}
