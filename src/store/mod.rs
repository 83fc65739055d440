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
//! | `failures` | what is wrong with a store as a whole, and what to do |
//! | `codec` | records as bytes; names bincode |
//! | `records` | every kind of record: its key, its type, how it is audited and checked |
//! | `keys` | keys made and read |
//! | `transaction` | what operations read and write |
//! | `look` | what is looked at before work begins |
//! | `open` | opening, and the version |
//! | `migrations` | from each version of the layout to the next |
//! | `backup`, `archive` | copies of the whole store as files, and a list of them |
//! | `rewrite` | a store without the bytes of what was removed |
//! | `erased` | whom answers in the making must not show |
//! | `erasures` | what was removed and may still lie on the disk |
//! | `sweep` | reading many records by several threads |
//! | `check` | whether every record can be read and every reference resolves |
//! | `rights` | whether what was granted at the door still holds |
//! | `usage` | what each tenant has, and its limits |
//! | `deletion` | removing a tenant with all that it has |
//! | `tenants`, `api_keys`, `users`, `groups`, `people`, `faces`, `attendance` | the operations on one kind of record each |
//! | `rosters` | who is in a group, and who was |
//! | `sessions`, `timetables` | when groups meet |
//! | `register`, `closing`, `corrections` | the records of one session: judged, declared, corrected |
//! | `strangers` | faces of a session that nobody was named for |
//! | `sheets` | what the register of a closed session says, in blocks of people |
//! | `reports` | what the register says of many people in many sessions |
//! | `audit` | the log of changes, and that none is made without an entry |
//! | `origin` | which request a task works for |
//! | `answers` | what requests that must not be done twice were answered |
//! | `jobs` | jobs, the reports of their items, and whom those speak of |
//! | `import` | a roster's row: whatever is new of a person, and its report |
//! | `merge` | two people into one, samples from one to another |
//! | `pseudonyms` | who is who: keys say nothing of people |
//! | `photos` | what is known of the photos that are kept of people |
//! | `negatives` | faces that are not a person's |
//! | `export` | all of one person |
//! | `changes`, `present`, `calls` | what commits have changed, for those who derive something from it |
//! | `events` | what happened, for those who listen |
//! | `webhooks` | where events are sent |
//! | `search` | finding people by words of their names |
//! | `consent` | the consents of people |
//! | `snapshots` | a gallery's index, which can be made anew |

mod answers;
mod api_keys;
mod archive;
mod attendance;
mod audit;
mod backup;
mod calls;
mod changes;
mod check;
mod closing;
mod codec;
mod consent;
mod corrections;
mod deletion;
mod engine;
mod erased;
mod erasures;
mod events;
mod export;
mod faces;
mod failures;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod groups;
mod import;
mod jobs;
mod keys;
mod look;
mod merge;
mod migrations;
mod negatives;
mod open;
mod origin;
mod people;
mod photos;
mod present;
mod pseudonyms;
mod records;
mod register;
mod reports;
mod rewrite;
mod rights;
mod rosters;
mod search;
mod sessions;
mod sheets;
mod snapshots;
mod strangers;
mod sweep;
mod tenants;
mod timetables;
mod transaction;
mod usage;
mod users;
mod webhooks;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use self::{
    answers::current_claim,
    engine::{Engine, View, committer::Committer},
    erased::Erasures,
    events::EventLog,
    origin::{Origin, current_request},
    transaction::Transaction,
};
pub use self::{
    answers::{Claim, KeptAnswer, under_claim},
    api_keys::ApiKey,
    attendance::{PhotoMarks, Seen, SessionRecord},
    audit::{About, AuditPage, AuditQuery},
    backup::{Backup, BackupStream, restore, verify_backup},
    calls::{Calls, Matter},
    check::{CheckReport, Problem},
    closing::{Closing, ClosingRules},
    engine::{
        committer::FlushObserver,
        sled::{Inspection, Salvaged, copy_closed, inspect, salvage},
    },
    erased::Erasing,
    erasures::{Erasure, Uploads},
    events::{EventObserver, EventPage},
    export::PersonFile,
    faces::{FaceInfo, FacePage},
    groups::GroupChange,
    import::{PersonImport, RosterGroups, Samples},
    jobs::{ItemPage, ItemPlace, job_not_found, too_many_jobs},
    look::{Caller, Look, SessionSought},
    open::{ReadObserver, StoreOptions},
    origin::{carried, under_request},
    people::{Acquaintance, PersonChange, PersonRecord},
    photos::{NewFaces, PersonPhotos},
    present::{Alias, ChangedPerson, ChangedState},
    rewrite::Rewritten,
    search::{PeoplePage, PeopleQuery},
    tenants::TenantRecord,
    timetables::NewEntry,
    usage::Growth,
    users::{Session, SessionRefresh, User, UserChange, wrong_password},
    webhooks::{Errand, WebhookRecord},
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
