//! The durable truth: tenants, keys, groups, people, face samples and attendance.
//!
//! The interface is made of whole operations. Each is one transaction that no caller sees and is acknowledged only
//! when it would survive a loss of power; an operation that answers with an error has written nothing, unless the
//! error says that the store has failed. Reads see whole operations, some of which may still be on their way to the
//! disk. Operations of a tenant's data take a
//! [`TenantScope`](crate::domain::TenantScope) and find only that tenant's records, so another
//! tenant's ids are `NotFound`.
//!
//! Nothing here runs on the caller's thread: writes go to the [`committer`](engine::committer), reads to tokio's blocking
//! threads, because any read may have to fetch a page from a slow disk. Reading a clock is the caller's affair, but for the times
//! of the audit log.
//!
//! | module | holds |
//! |---|---|
//! | `engine` | what keeps the records, group commit, the embedded engine |
//! | `codec` | records as bytes; names bincode |
//! | `records` | every kind of record: its key, its type, how it is audited and checked |
//! | `keys` | keys made and read |
//! | `transaction` | what operations read and write |
//! | `origin`, `answers` | which request an operation works for, and what it was answered if it must not be done twice |
//! | `changes`, `present`, `calls` | what commits have changed, for those who derive something from it |
//! | `failures` | what is wrong with a store as a whole, and what to do |
//! | `access` | tenants, keys and users, rights and limits, the audit log, erasure |
//! | `people` | persons with their samples, photos, negatives and consents; who is who behind a pseudonym |
//! | `recognition` | what a recognition goes by, and the gallery's index, which can be made anew |
//! | `attendance` | groups, rosters, sessions and their registers |
//! | `events` | what happened, and where it is sent |
//! | `jobs` | jobs, the reports of their items, and whom those speak of |
//! | `operations` | opening, migrations, backups, the check, rewriting |

mod access;
mod answers;
mod attendance;
mod calls;
mod changes;
mod codec;
mod engine;
mod events;
mod failures;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod jobs;
mod keys;
mod operations;
mod origin;
mod people;
mod present;
mod recognition;
mod records;
mod transaction;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use self::{
    access::erased::Erasures,
    access::{audit, rights, tenants},
    answers::current_claim,
    engine::{Engine, View, committer::Committer},
    events::log::EventLog,
    origin::{Origin, current_request},
    transaction::Transaction,
};
pub use self::{
    access::{
        api_keys::ApiKey,
        audit::{About, AuditPage, AuditQuery},
        erased::Erasing,
        erasures::{Erasure, Uploads},
        tenants::TenantRecord,
        usage::Growth,
        users::{Session, SessionRefresh, User, UserChange, wrong_password},
    },
    answers::{Claim, KeptAnswer, under_claim},
    attendance::{
        closing::{Closing, ClosingRules},
        groups::GroupChange,
        record::{PhotoMarks, Seen, SessionRecord},
        timetables::NewEntry,
    },
    calls::{Calls, Matter},
    engine::{
        committer::FlushObserver,
        sled::{Inspection, Salvaged, copy_closed, inspect, salvage},
    },
    events::{
        log::{EventObserver, EventPage},
        webhooks::{Errand, WebhookRecord},
    },
    jobs::{ItemPage, ItemPlace, job_not_found, too_many_jobs},
    operations::{
        backup::{Backup, BackupStream, restore, verify_backup},
        check::{CheckReport, Problem},
        open::{ReadObserver, StoreOptions},
        rewrite::Rewritten,
    },
    origin::{carried, under_request},
    people::{
        export::PersonFile,
        faces::{FaceInfo, FacePage},
        import::{PersonImport, RosterGroups, Samples},
        person::{Acquaintance, PersonChange, PersonRecord},
        photos::{NewFaces, PersonPhotos},
        search::{PeoplePage, PeopleQuery},
    },
    present::{Alias, ChangedPerson, ChangedState},
    recognition::look::{Caller, Look, SessionSought},
};
use crate::{
    domain::{Amounts, Right},
    error::{Error, Result},
    runtime::{Clock, spawn_blocking},
};

/// Between two looks whether the reserve is there.
const RESERVE_EVERY: Duration = Duration::from_secs(5);

/// The open store; see the module. Clones share it. The folder is free again when the last clone has gone, which
/// blocks for the flush of what is still on its way.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped first: it waits for its threads, which share the engine.
    committer: Committer,
    engine: Arc<dyn Engine>,
    /// Held while the store is rewritten.
    rewriting: tokio::sync::Mutex<()>,
    /// Erasures under way, and the requests whose answers they are about.
    erasures: Arc<Erasures>,
    default_limits: Amounts,
    events: Arc<EventLog>,
    clock: Arc<dyn Clock>,
    on_read: Option<ReadObserver>,
}

impl Store {
    /// Whether every write has succeeded since the store was opened, and its folder is still there. Once a write has
    /// failed, it stays so until it is reopened.
    pub fn is_healthy(&self) -> bool {
        self.engine().refuse_if_failed().is_ok() && self.engine().is_there()
    }

    /// Whether there is room for writes. Without it they are refused until there is.
    pub fn has_room(&self) -> bool {
        self.engine().refuse_if_full().is_ok()
    }

    /// Makes the reserve for a start on a full disk again where it was given up, within seconds of there being room, for
    /// ever.
    pub async fn keep_reserve(self) {
        loop {
            sleep(RESERVE_EVERY).await;
            let engine = Arc::clone(self.engine());
            // It asserts nothing, so there is no panic to hear of.
            drop(spawn_blocking(move || engine.keep_reserve()).await);
        }
    }

    /// Bytes that the store's files take.
    pub async fn size_on_disk(&self) -> Result<u64> {
        let engine = Arc::clone(self.engine());
        blocking(move || engine.size_on_disk()).await
    }

    /// Runs `operation` by `right` as one durable transaction, in which what it tells is logged and the request's claim
    /// is noted where it has one. It may be run several times, of which one counts: it does nothing but read and write in
    /// the transaction. Errors: its own; `Unauthenticated` or `Forbidden` where the right has ended by then;
    /// `NotFound` `tenant_not_found` where it would leave a record in a tenant that is not there or is being deleted;
    /// `Internal` where it changes something without an entry in the audit log.
    async fn write<T: Send + 'static>(
        &self,
        right: &Right,
        operation: impl Fn(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (claim, request_id, clock) = (current_claim(), current_request(), Arc::clone(&self.inner.clock));
        let (log, observer) = (Arc::clone(&self.inner.events), Arc::clone(&self.inner.events));
        let right = right.clone();
        let realm = right.realm().clone();
        let guarded = move |transaction: &mut Transaction<'_>| {
            let at = clock.now();
            rights::require(transaction, &right, at)?;
            transaction.set_origin(Origin { at, request_id: request_id.clone() });
            let value = operation(transaction)?;
            let told = log.record(transaction)?;
            answers::note(claim.as_deref(), transaction)?;
            tenants::require_owners(transaction)?;
            audit::require_entries(transaction)?;
            Ok((value, told))
        };
        let (value, _) = self.inner.committer.commit(&realm, guarded, move |(_, told)| observer.observe(told)).await?;
        Ok(value)
    }

    /// Runs `read` on a blocking thread, over one consistent view.
    async fn read<T: Send + 'static>(&self, read: impl FnOnce(&View<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        self.inner.on_read.iter().for_each(|observer| observer());
        let engine = Arc::clone(self.engine());
        blocking(move || read(&engine.view()?)).await
    }

    fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.engine
    }
}

/// Runs `work` on a blocking thread. A panic in it is the embedded database's, on pages that it cannot read.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(failures::damaged("the embedded database gave up during a read")))
}

fn tenant_not_found() -> Error {
    Error::not_found("there is no such tenant").with_code("tenant_not_found")
}

fn group_not_found() -> Error {
    Error::not_found("there is no such group").with_code("group_not_found")
}

fn person_not_found() -> Error {
    Error::not_found("there is no such person").with_code("person_not_found")
}
