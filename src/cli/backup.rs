//! `rollcall backup`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, OperatorArgs, door::OperatorDoor, files::table, say, scratch::ScratchArgs};
use crate::{
    error::Result,
    service::operations::backup::{BackupView, Saved, require_new, save},
};

#[derive(Debug, Args)]
#[command(after_help = "\
The copy is of one moment: all that was acknowledged before the command began is in it, and enrolments and marks go on
meanwhile. It is read back and checked before it gets its name; a file that is there already is left alone. It holds
face vectors and names: keep it as safe as the data folder. Keys are in it as hashes only: keep the key files too. Kept
photos are not in it: copy photos/ of the data folder, or let the server take backups by itself (backup.folder). Of a
copy (--scratch) it is noted nowhere that a backup was made: what is erased later may be in it.")]
pub(super) struct BackupArgs {
    /// The file to write.
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,
    /// List the backups that were given whole, and whose files were not said to be destroyed.
    #[arg(long, conflicts_with_all = ["file", "scratch"])]
    list: bool,
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    scratch: ScratchArgs,
}

pub(super) fn run(common: &Common, args: &BackupArgs) -> Result<()> {
    let scratch = args.scratch.prepare(common.settings()?)?;
    actix::System::new().block_on(async {
        let door = OperatorDoor::open(scratch.settings(), &args.operator).await?;
        let Some(file) = &args.file else { return say(listed(&door.backups().await?)) };
        require_new(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let Saved { bytes, records } = save(door.backup(&name).await?, file).await?;
        say(format_args!("{}: {records} records, {bytes} bytes, read back and found right", file.display()))
    })
}

fn listed(backups: &[BackupView]) -> comfy_table::Table {
    let mut rows = table(&["begun", "name", "bytes", "id"]);
    for BackupView { id, begun_at, name, bytes, .. } in backups {
        let bytes = bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        rows.add_row([begun_at.to_string(), name.clone().unwrap_or_default(), bytes, id.to_string()]);
    }
    rows
}
