//! Strangers of sessions: faces that nobody was named for, where their tenant keeps them. What is over, or no longer
//! wanted, is never shown, whether or not it has been removed yet.

use jiff::Timestamp;

use super::{
    Store, audit,
    codec::{self, Record},
    db::Read,
    keys::{self, Key},
    pseudonyms::pseudonym,
    sessions, tenants,
    transaction::Transaction,
};
use crate::{
    domain::{
        Candidate, GroupSession, GroupSessionId, Likeness, Occurrence, Stranger, StrangerId, TenantId, TenantScope,
        stranger::{Intake, UnknownFace, UnknownFaces, take_in},
    },
    error::{Error, Result},
};

/// Strangers read under one view: writes wait for no more than this.
const READ_AT_ONCE: usize = 256;

impl Record for Stranger {
    const KIND: u8 = 85;
}

impl Store {
    /// The strangers of a session at `now`, in no order of time. Errors: `NotFound` `session_not_found`.
    pub async fn strangers(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        now: Timestamp,
    ) -> Result<Vec<Stranger>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            sessions::require(view, &tenant, session)?;
            present(view, &tenant, session, now)
        })
        .await
    }

    /// Removes a stranger: somebody said that it is nobody to be kept. Errors: `NotFound` `session_not_found` or
    /// `stranger_not_found`.
    pub async fn dismiss_stranger(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        stranger: StrangerId,
        now: Timestamp,
    ) -> Result<()> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            let of = sessions::require(transaction, &tenant, session)?;
            require(transaction, &tenant, session, stranger, now)?;
            transaction.remove(keys::stranger(&tenant, session, stranger));
            audit::note(transaction, &author, "stranger.delete", |it| {
                it.group(&of.group).session(session).stranger(stranger)
            })
        })
        .await
    }

    /// Removes the tenant's strangers whose days are over at `now`, and all of them where none are wanted.
    pub async fn forget_strangers(&self, scope: &TenantScope, now: Timestamp) -> Result<()> {
        let tenant = scope.tenant().clone();
        let prefix = keys::strangers(&tenant);
        let mut after: Option<Key> = None;
        loop {
            let (tenant, prefix, from) = (tenant.clone(), prefix.clone(), after.take());
            let page = self.read(move |view| {
                let days = days(view, &tenant)?;
                let is_over = |entry: Result<(Key, Vec<u8>)>| {
                    let (key, bytes) = entry?;
                    Ok((key, codec::decode::<Stranger>(&bytes)?.is_over(days, now)))
                };
                let page = view.scan_bytes(&prefix, from.as_deref()).take(READ_AT_ONCE);
                page.map(is_over).collect::<Result<Vec<(Key, bool)>>>()
            });
            let page = page.await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let over: Vec<Key> = page.into_iter().filter(|&(_, is_over)| is_over).map(|(key, _)| key).collect();
            if !over.is_empty() {
                self.write(scope.right(), move |transaction| {
                    for key in over {
                        transaction.remove(key);
                    }
                    Ok(())
                })
                .await?;
            }
        }
    }
}

/// Keeps the faces of a photo that nobody was named for, where the tenant wants that, and tells of strangers who are
/// seen for the first time.
pub(super) fn keep(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: &GroupSession,
    photo: UnknownFaces<Candidate>,
) -> Result<()> {
    if days(transaction, tenant)? == 0 || photo.faces.is_empty() {
        return Ok(());
    }
    let known = present(transaction, tenant, session.id, photo.keeping.now)?;
    let UnknownFaces { keeping, model, faces } = photo;
    let faces = faces
        .into_iter()
        .map(|UnknownFace { glimpse, vector, candidates }| {
            let candidates =
                candidates.iter().filter_map(|candidate| likeness(transaction, tenant, candidate).transpose());
            Ok(UnknownFace { glimpse, vector, candidates: candidates.collect::<Result<_>>()? })
        })
        .collect::<Result<_>>()?;
    let Intake { changed, num_new } = take_in(&known, session.id, UnknownFaces { keeping, model, faces });
    for stranger in changed {
        transaction.put(keys::stranger(tenant, session.id, stranger.id), &stranger)?;
    }
    if num_new > 0 {
        let (group, session) = (session.group.clone(), session.id.to_string());
        transaction.tell(tenant, Occurrence::UnknownSeen { group, session, faces: num_new });
    }
    Ok(())
}

/// A stranger of a session whose days are not over. Errors: `NotFound` `stranger_not_found`.
pub(super) fn require(
    read: &impl Read,
    tenant: &TenantId,
    session: GroupSessionId,
    stranger: StrangerId,
    now: Timestamp,
) -> Result<Stranger> {
    let (days, known) = (days(read, tenant)?, read.get::<Stranger>(&keys::stranger(tenant, session, stranger))?);
    known
        .filter(|stranger| !stranger.is_over(days, now))
        .ok_or_else(|| Error::not_found("the session keeps no such unknown face").with_code("stranger_not_found"))
}

/// A candidate as it is kept; `None` once the person is gone.
pub(super) fn likeness(read: &impl Read, tenant: &TenantId, candidate: &Candidate) -> Result<Option<Likeness>> {
    let who = pseudonym(read, tenant, &candidate.person)?;
    Ok(who.map(|who| Likeness { who, similarity: candidate.similarity }))
}

/// Removes the strangers of a session.
pub(super) fn remove_of_session(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: GroupSessionId,
) -> Result<()> {
    let strangers = transaction.scan_keys(&keys::strangers_in(tenant, session)).collect::<Result<Vec<_>>>()?;
    for stranger in strangers {
        transaction.remove(stranger);
    }
    Ok(())
}

/// For how many days the tenant keeps strangers.
fn days(read: &impl Read, tenant: &TenantId) -> Result<u32> {
    Ok(tenants::settings(read, tenant)?.unknown_faces_days)
}

/// Those strangers of a session whose days are not over.
fn present(read: &impl Read, tenant: &TenantId, session: GroupSessionId, now: Timestamp) -> Result<Vec<Stranger>> {
    let days = days(read, tenant)?;
    let mut strangers = read.scan(&keys::strangers_in(tenant, session), None).collect::<Result<Vec<Stranger>>>()?;
    strangers.retain(|stranger| !stranger.is_over(days, now));
    Ok(strangers)
}
