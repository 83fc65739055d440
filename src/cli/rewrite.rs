//! `rollcall rewrite`.

use clap::Args;

use super::{Common, OperatorArgs, door::OperatorDoor, say};
use crate::{error::Result, service::access::erasures::RewriteView};

#[derive(Debug, Args)]
#[command(after_help = "\
The embedded database goes on keeping bytes that were removed. This copies what is there into a fresh one, beside a
running server without stopping it, and removes the old: the erasures that were pending are then done, but for those of
people who may be in the files of jobs that are not over. A server does so by itself, store.rewrite_hours after an
erasure. It takes as much room on the disk again while it lasts.")]
pub(super) struct RewriteArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(common: &Common, args: &RewriteArgs) -> Result<()> {
    let settings = common.settings()?;
    let done = actix::System::new()
        .block_on(async { OperatorDoor::open(&settings, &args.operator).await?.rewrite(&settings).await })?;
    let RewriteView { erasures_done, bytes_before, bytes_after, seconds, writes_held_seconds } = done;
    say(format_args!(
        "Rewritten in {seconds:.1} s ({bytes_before} bytes before, {bytes_after} after; writes waited for \
         {writes_held_seconds:.3} s). Erasures done by it: {erasures_done}."
    ))
}
