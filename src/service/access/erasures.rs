//! Erasures: who was erased is nobody's to see; whether it is done is.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use utoipa::ToSchema;

use super::{OperatorScope, RealmScope};
use crate::{
    domain::{Author, ErasureId, Right},
    error::Result,
    intake::Spool,
    service::{access::Service, operations::backup::BackupView, telling_time, to_completion},
    store::{About, Backup, Erasure, Rewritten, Store, Uploads},
};

/// Between two looks at whether an erasure has been pending for long enough.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// After a rewrite that failed: it will hardly be better in a minute.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErasureState {
    /// Nobody finds anything of it; its bytes may be in the files of the store until that is rewritten, and in those of
    /// jobs that were handed in before and are not over.
    Pending,
    /// Its bytes have left these files.
    Done,
}

/// One person who was erased, or one tenant.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErasureView {
    /// The erasure; as the header `erasure-id` of the deletion named it.
    pub id: ErasureId,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: Timestamp,
    /// By whom: `user` or `key` and their id, or `machine`.
    pub by: String,
    /// How far it is.
    pub state: ErasureState,
    /// When its bytes had gone; null while it is pending.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub done_at: Option<Timestamp>,
    /// Backups that may hold what was erased.
    pub backups: Vec<BackupView>,
}

/// A page of erasures.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErasurePage {
    /// In the order in which they were asked for.
    pub erasures: Vec<ErasureView>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<ErasureId>,
}

/// What rewriting the store did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RewriteView {
    /// Erasures that are done by it.
    pub erasures_done: usize,
    /// Bytes of the store's files before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// How long it took.
    pub seconds: f64,
    /// For how long of that writes waited.
    pub writes_held_seconds: f64,
}

impl From<(Erasure, Vec<Backup>)> for ErasureView {
    fn from((erasure, backups): (Erasure, Vec<Backup>)) -> Self {
        Self {
            id: erasure.id,
            asked_at: erasure.asked_at,
            by: erasure.by.to_string(),
            state: if erasure.done_at.is_some() { ErasureState::Done } else { ErasureState::Pending },
            done_at: erasure.done_at,
            backups: backups.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Rewritten> for RewriteView {
    fn from(rewritten: Rewritten) -> Self {
        Self {
            erasures_done: rewritten.erasures,
            bytes_before: rewritten.bytes_before,
            bytes_after: rewritten.bytes_after,
            seconds: rewritten.took.as_secs_f64(),
            writes_held_seconds: rewritten.held.as_secs_f64(),
        }
    }
}

impl Service {
    /// A page of the realm's erasures after `after`: a tenant's people, or the server's tenants.
    pub async fn erasures(&self, scope: &RealmScope, after: Option<ErasureId>, limit: usize) -> Result<ErasurePage> {
        let mut erasures = self.store.erasures(scope.realm(), after, limit + 1).await?;
        let more = erasures.len() > limit;
        erasures.truncate(limit);
        let next = erasures.last().filter(|_| more).map(|(erasure, _)| erasure.id);
        Ok(ErasurePage { erasures: erasures.into_iter().map(Into::into).collect(), next })
    }

    /// Rewrites the store, to its end even if nobody waits for it. Errors as for
    /// [`Store::rewrite`](crate::store::Store::rewrite).
    pub async fn rewrite_store(&self, operator: &OperatorScope) -> Result<RewriteView> {
        let (service, right) = (self.clone(), operator.right().clone());
        to_completion(async move {
            let rewritten = rewrite(&service.store, &service.desk.spool, &right, telling_time(&service.clock)).await?;
            Ok(service.rewritten(rewritten))
        })
        .await
    }

    /// Rewrites the store whenever an erasure has been pending for `patience`, for ever.
    pub async fn keep_erasing(self, patience: SignedDuration) {
        loop {
            match self.rewrite_if_due(patience).await {
                Ok(None) => sleep(LOOK_EVERY).await,
                Ok(Some(rewritten)) => {
                    self.rewritten(rewritten);
                }
                Err(error) => {
                    tracing::warn!(%error, "erasures stay pending: the store was not rewritten");
                    sleep(TRY_AGAIN_AFTER).await;
                }
            }
        }
    }

    async fn rewrite_if_due(&self, patience: SignedDuration) -> Result<Option<Rewritten>> {
        let uploads = uploads(&self.store, &self.desk.spool, self.clock.now()).await?;
        let rewritten = self.store.rewrite_if_due(patience, uploads, telling_time(&self.clock)).await?;
        if rewritten.is_some()
            && let Err(error) =
                self.store.note_act(&Author::on_server(&Right::of_machine()), "store.rewrite", About::Nothing).await
        {
            tracing::warn!(%error, "a rewrite was not noted");
        }
        Ok(rewritten)
    }

    /// Sets the metrics of what is pending.
    ///
    /// # Errors
    /// `Storage` if it cannot be read.
    pub async fn count_pending_erasures(&self) -> Result<()> {
        let pending = self.store.num_pending_erasures().await?;
        self.pipeline.tools().metrics.erasures_pending.set(pending as i64);
        Ok(())
    }

    fn rewritten(&self, rewritten: Rewritten) -> RewriteView {
        let view = RewriteView::from(rewritten);
        self.pipeline.tools().metrics.store_rewrite_seconds.set(view.seconds);
        tracing::info!(
            seconds = view.seconds,
            writes_held_seconds = view.writes_held_seconds,
            bytes_before = view.bytes_before,
            bytes_after = view.bytes_after,
            erasures_done = view.erasures_done,
            "the store was rewritten"
        );
        view
    }
}

/// Rewrites a store by `right`, which the audit log says. Errors as for [`Store::rewrite`], and those of a right that has
/// ended.
pub async fn rewrite(store: &Store, spool: &Spool, right: &Right, now: impl Fn() -> Timestamp) -> Result<Rewritten> {
    store.note_act(&Author::on_server(right), "store.rewrite", About::Nothing).await?;
    store.rewrite(uploads(store, spool, now()).await?, now).await
}

/// The uploads in the spool, `now` being before it is looked at. One that has not been handed in yet is none: it is no matter of an earlier erasure, as it
/// goes, or comes later.
async fn uploads(store: &Store, spool: &Spool, now: Timestamp) -> Result<Uploads> {
    let mut uploads = Uploads { as_of: now, first: BTreeMap::new() };
    let there = spool.jobs().await?;
    if there.is_empty() {
        return Ok(uploads);
    }
    for (tenant, job) in store.all_jobs().await?.into_iter().filter(|(_, job)| there.contains(&job.id)) {
        let first = uploads.first.entry(tenant).or_insert(job.created_at);
        *first = job.created_at.min(*first);
    }
    Ok(uploads)
}
