//! `rollcall restore`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::{Common, say};
use crate::{error::Result, service::operations::backup::restore};

#[derive(Debug, Args)]
#[command(after_help = "\
The data folder must be empty but for key files. It is all there once the command has succeeded, and no server opens it
before. Keys that were in force at the time of the backup open the restored server; where operator.key or default.key
is not in the folder, a further key is made in its place.")]
pub(super) struct RestoreArgs {
    /// The file that `rollcall backup` wrote, or a folder that the server's own schedule made, with its photos.
    file: PathBuf,
}

pub(super) fn run(common: &Common, args: &RestoreArgs) -> Result<()> {
    let settings = common.settings()?;
    let data = &settings.server.data;
    let records = actix::System::new().block_on(restore(&args.file, data, Timestamp::now()))?;
    say(format_args!("{}: {records} records", data.display()))
}
