//! Rewriting the store while it serves, so that nothing is left on the disk of what was removed.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::backup::backup_running;
use crate::{
    error::{Error, ErrorKind, Result},
    store::{
        Store,
        access::erasures::Uploads,
        blocking,
        keys::{self, Kind, Parsed},
    },
};

/// What a rewrite did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// Erasures that are done by it.
    pub erasures: usize,
    /// Bytes of the store's files before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// How long it took.
    pub took: Duration,
    /// How long writes waited for it at once.
    pub held: Duration,
}

impl Store {
    /// Rewrites the store. Erasures that were asked for before it began are done when it has ended, at a time that `now`
    /// tells, but for those of people who may be in `uploads`.
    ///
    /// Errors: `Conflict` `rewrite_running` or `backup_running`; `Full` `not_enough_space`; `Storage` `damaged_record`,
    /// `store_io`; `Overloaded` `copy_outrun` where it does not catch up with the writes. The store is then what it was.
    pub async fn rewrite(&self, uploads: Uploads, now: impl Fn() -> Timestamp) -> Result<Rewritten> {
        let begun = Instant::now();
        let _turn = self.inner.rewriting.try_lock().map_err(|_| rewrite_running())?;
        let pending = self.pending_erasures(uploads).await?;
        let mut rewriting = self.engine().rewrite(is_kept).ok_or_else(backup_running)?;
        let bytes_before = self.size_on_disk().await?;
        let mut is_nearly_done = false;
        while !is_nearly_done {
            (rewriting, is_nearly_done) = blocking(move || {
                let is_nearly_done = rewriting.step()?;
                Ok((rewriting, is_nearly_done))
            })
            .await?;
        }
        let held = blocking(move || rewriting.finish()).await?;
        self.finish_erasures(&pending, now()).await?;
        let bytes_after = self.size_on_disk().await?;
        Ok(Rewritten { erasures: pending.len(), bytes_before, bytes_after, took: begun.elapsed(), held })
    }

    /// [`Self::rewrite`] where an erasure that it would end has been pending for `patience`.
    pub async fn rewrite_if_due(
        &self,
        patience: SignedDuration,
        uploads: Uploads,
        now: impl Fn() -> Timestamp,
    ) -> Result<Option<Rewritten>> {
        let oldest = self.pending_erasures(uploads.clone()).await?.oldest;
        match oldest.filter(|oldest| now().duration_since(*oldest) >= patience) {
            Some(_) => self.rewrite(uploads, now).await.map(Some),
            None => Ok(None),
        }
    }

    pub(in crate::store) fn is_being_rewritten(&self) -> bool {
        self.inner.rewriting.try_lock().is_err()
    }
}

/// Snapshots of galleries' indexes are left behind: they were made of faces that may have been erased, and can be made
/// anew.
pub(in crate::store) fn is_kept(key: &[u8]) -> bool {
    !matches!(keys::parse(key), Some(Parsed::Data(_, Kind::Snapshot | Kind::Chunk(..))))
}

/// The error while the store is rewritten.
pub(in crate::store) fn rewrite_running() -> Error {
    Error::new(ErrorKind::Conflict, "the store is being rewritten").with_code("rewrite_running")
}
