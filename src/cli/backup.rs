//! `rollcall backup`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, OperatorArgs, door::OperatorDoor, say, scratch::ScratchArgs};
use crate::{
    error::Result,
    service::backup::{Saved, save},
};

#[derive(Debug, Args)]
#[command(after_help = "\
The copy is of one moment: all that was acknowledged before the command began is in it, and enrolments and marks go on
meanwhile. It is read back and checked before it gets its name, where it takes the place of an older file. It holds
face vectors and names: keep it as safe as the data folder. Keys are in it as hashes only: keep the key files too. Of a copy (--scratch) it is
noted nowhere that a backup was made: what is erased later may be in it.")]
pub(super) struct BackupArgs {
    /// The file to write.
    file: PathBuf,
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    scratch: ScratchArgs,
}

pub(super) fn run(common: &Common, args: &BackupArgs) -> Result<()> {
    let scratch = args.scratch.prepare(common.settings()?)?;
    actix::System::new().block_on(async {
        let door = OperatorDoor::open(scratch.settings(), &args.operator).await?;
        let Saved { bytes, records } = save(door.backup().await?, &args.file).await?;
        say(format_args!("{}: {records} records, {bytes} bytes, read back and found right", args.file.display()))
    })
}
