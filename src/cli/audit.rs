//! `rollcall audit`.

use clap::{Args, Subcommand};

use super::{Common, door::AuditDoor, say, scratch::ScratchArgs, user::RealmArgs};
use crate::{
    domain::access::audit::{Entry, Head},
    error::{Error, Result},
};

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    what: Audit,
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Follows the log of changes from its first entry to its last, and says where it was tampered with.
    #[command(after_help = "\
Every entry holds the hash of the one before it. An entry that was changed, removed or put elsewhere does not fit, and
is named; the command ends with an error then. Keep the number and the hash that it prints elsewhere: a log that was
made anew as a whole fits itself, and has other hashes.")]
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    realm: RealmArgs,
    #[command(flatten)]
    scratch: ScratchArgs,
}

pub(super) fn run(common: &Common, args: &AuditArgs) -> Result<()> {
    let Audit::Verify(VerifyArgs { realm, scratch }) = &args.what;
    let scratch = scratch.prepare(common.settings()?)?;
    let head =
        actix::System::new().block_on(async { verify(&AuditDoor::open(scratch.settings(), realm).await?).await })?;
    say(format_args!("{} entries fit each other; the last has the hash {}", head.number, hex::encode(head.hash)))
}

/// Follows all entries; where they end.
///
/// # Errors
/// `Storage` `audit_broken` naming the first entry that does not fit.
async fn verify(door: &AuditDoor) -> Result<Head> {
    let mut followed = Head::default();
    loop {
        let page = door.page(followed.number).await?;
        for entry in page.entries {
            followed.follow(&Entry::try_from(entry)?)?;
        }
        if page.next.is_none() {
            followed.ends_at(&page.head.try_into()?)?;
            break;
        }
    }
    if followed.number == 0 {
        // The first is written with the realm itself.
        return Err(Error::storage("the audit log is gone").with_code("audit_broken"));
    }
    Ok(followed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Author, Realm, Right},
        store::{About, Store, StoreOptions},
    };

    #[test]
    fn what_does_not_fit_is_named_and_so_is_a_log_that_is_gone() {
        actix::System::new().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(StoreOptions::new(folder.path())).unwrap();
            let door = AuditDoor::Local(store.clone(), Realm::Server);
            assert_eq!(verify(&door).await.unwrap_err().code(), "audit_broken");
            for _ in 0..3 {
                store.note_act(&Author::on_server(&Right::of_machine()), "token.rotate", About::Nothing).await.unwrap();
            }
            assert_eq!(verify(&door).await.unwrap().number, 3);
            store.forge_audit_entry(Realm::Server, 2).await;
            let error = verify(&door).await.unwrap_err();
            assert_eq!((error.code(), error.message()), ("audit_broken", "the audit log is broken at entry 3"));
        });
    }
}
