//! Strangers of sessions: faces that nobody was named for, where their tenant keeps them. What is over, or no longer
//! wanted, is never shown, whether or not it has been removed yet.

use jiff::Timestamp;
use serde::Deserialize;

use super::sessions;
use crate::{
    domain::{
        Candidate, GroupSession, GroupSessionId, Likeness, ModelId, Occurrence, Pseudonym, Stranger, StrangerId,
        TenantId, TenantScope,
        attendance::stranger::{Glimpse, Intake, MAX_STRANGERS, Settled, UnknownFace, UnknownFaces, take_in},
    },
    error::{Error, Result},
    store::{
        Store,
        access::{audit, tenants},
        codec::{self, Older, OlderBody},
        engine::Read,
        keys::{self, Key},
        people::pseudonyms::pseudonym,
        transaction::Transaction,
    },
};

/// Strangers read under one view: writes wait for no more than this.
const READ_AT_ONCE: usize = 256;

impl Older for Stranger {
    fn from_older(_version: u8, body: OlderBody<'_>) -> Result<Self> {
        let StrangerV1 { id, session, kept_at, model, sum, glimpses, candidates } = body.read()?;
        Ok(Self { id, session, kept_at, model, sum, glimpses, candidates, settled: None })
    }
}

/// Before those of whom somebody had said something were kept.
#[derive(Deserialize)]
struct StrangerV1 {
    id: StrangerId,
    session: GroupSessionId,
    kept_at: Timestamp,
    model: ModelId,
    sum: Vec<f32>,
    glimpses: Vec<Glimpse>,
    candidates: Vec<Likeness>,
}

impl Store {
    /// The strangers of a session at `now` of whom nobody has said anything, in no order of time. Errors: `NotFound`
    /// `session_not_found`.
    pub async fn strangers(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        now: Timestamp,
    ) -> Result<Vec<Stranger>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            sessions::require(view, &tenant, session)?;
            let mut strangers = present(view, &tenant, session, now)?;
            strangers.retain(|stranger| stranger.settled.is_none());
            Ok(strangers)
        })
        .await
    }

    /// Forgets a stranger but for the places of its faces: somebody said that it is nobody to be kept. Errors:
    /// `NotFound` `session_not_found` or `stranger_not_found`.
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
            let found = require(transaction, &tenant, session, stranger, now)?;
            settle(transaction, &tenant, found, Settled::Dismissed)?;
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
                    transaction.remove_each(&over);
                    Ok(())
                })
                .await?;
            }
        }
    }
}

/// Keeps the faces of a photo that nobody was named for, where the tenant wants that, and tells of strangers who are
/// seen for the first time.
pub(in crate::store) fn keep(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: &GroupSession,
    photo: &UnknownFaces<Candidate>,
) -> Result<()> {
    if days(transaction, tenant)? == 0 || photo.faces.is_empty() {
        return Ok(());
    }
    let known = present(transaction, tenant, session.id, photo.keeping.now)?;
    let UnknownFaces { keeping, model, faces } = photo;
    let faces = faces
        .iter()
        .map(|UnknownFace { glimpse, vector, candidates }| {
            let candidates =
                candidates.iter().filter_map(|candidate| likeness(transaction, tenant, candidate).transpose());
            Ok(UnknownFace {
                glimpse: *glimpse,
                vector: vector.clone(),
                candidates: candidates.collect::<Result<_>>()?,
            })
        })
        .collect::<Result<_>>()?;
    let Intake { changed, num_new, num_lost } =
        take_in(&known, session.id, UnknownFaces { keeping: *keeping, model: model.clone(), faces });
    for stranger in changed {
        transaction.put(keys::stranger(tenant, session.id, stranger.id), &stranger)?;
    }
    if num_lost > 0 && !session.has_more_faces {
        let after = GroupSession { has_more_faces: true, ..session.clone() };
        sessions::put(transaction, tenant, Some(session), &after)?;
    }
    if num_new > 0 {
        let (group, session) = (session.group.clone(), session.id.to_string());
        transaction.tell(tenant, Occurrence::UnknownSeen { group, session, faces: num_new });
    }
    Ok(())
}

/// A stranger of a session whose days are not over, and of whom nobody has said anything. Errors: `NotFound`
/// `stranger_not_found`.
pub(in crate::store) fn require(
    read: &impl Read,
    tenant: &TenantId,
    session: GroupSessionId,
    stranger: StrangerId,
    now: Timestamp,
) -> Result<Stranger> {
    let (days, known) = (days(read, tenant)?, read.get::<Stranger>(&keys::stranger(tenant, session, stranger))?);
    known
        .filter(|stranger| stranger.settled.is_none() && !stranger.is_over(days, now))
        .ok_or_else(|| Error::not_found("the session keeps no such unknown face").with_code("stranger_not_found"))
}

/// Notes what somebody said of a stranger. Of so many as a session keeps of whom somebody has, the oldest makes room.
pub(in crate::store) fn settle(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    stranger: Stranger,
    settled: Settled,
) -> Result<()> {
    let session = stranger.session;
    let others = transaction.scan(&keys::strangers_in(tenant, session), None).collect::<Result<Vec<Stranger>>>()?;
    let others: Vec<Stranger> = others.into_iter().filter(|other| other.settled.is_some()).collect();
    if others.len() >= MAX_STRANGERS
        && let Some(oldest) = others.iter().min_by_key(|other| (other.kept_at, other.id))
    {
        transaction.remove(keys::stranger(tenant, session, oldest.id));
    }
    transaction.put(keys::stranger(tenant, session, stranger.id), &stranger.settled(settled))
}

/// After the words on somebody's faces were taken back: those strangers of `is_meant` whom they named are strangers
/// again.
pub(in crate::store) fn bring_back(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: GroupSessionId,
    who: Pseudonym,
    is_meant: impl Fn(&Stranger) -> bool,
) -> Result<()> {
    for stranger in named(transaction, tenant, session, who)?.into_iter().filter(is_meant) {
        let again = Stranger { settled: None, ..stranger };
        transaction.put(keys::stranger(tenant, session, again.id), &again)?;
    }
    Ok(())
}

/// Removes the strangers who were said to be somebody who is erased.
pub(in crate::store) fn forget_named(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: GroupSessionId,
    who: Pseudonym,
) -> Result<()> {
    for stranger in named(transaction, tenant, session, who)? {
        transaction.remove(keys::stranger(tenant, session, stranger.id));
    }
    Ok(())
}

/// Those who were said to be `from` are `who`, who is the same person.
pub(in crate::store) fn give(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: GroupSessionId,
    from: Pseudonym,
    who: Pseudonym,
) -> Result<()> {
    for stranger in named(transaction, tenant, session, from)? {
        let theirs = stranger.settled(Settled::Named(who));
        transaction.put(keys::stranger(tenant, session, theirs.id), &theirs)?;
    }
    Ok(())
}

/// The strangers of a session who were said to be somebody.
fn named(read: &impl Read, tenant: &TenantId, session: GroupSessionId, who: Pseudonym) -> Result<Vec<Stranger>> {
    let mut strangers = read.scan(&keys::strangers_in(tenant, session), None).collect::<Result<Vec<Stranger>>>()?;
    strangers.retain(|stranger| stranger.is_named(who));
    Ok(strangers)
}

/// A candidate as it is kept; `None` once the person is gone.
pub(in crate::store) fn likeness(
    read: &impl Read,
    tenant: &TenantId,
    candidate: &Candidate,
) -> Result<Option<Likeness>> {
    let who = pseudonym(read, tenant, &candidate.person)?;
    Ok(who.map(|who| Likeness { who, similarity: candidate.similarity }))
}

/// Removes the strangers of a session.
pub(in crate::store) fn remove_of_session(
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

/// Those strangers of a session whose days are not over, the settled ones too.
fn present(read: &impl Read, tenant: &TenantId, session: GroupSessionId, now: Timestamp) -> Result<Vec<Stranger>> {
    let days = days(read, tenant)?;
    let mut strangers = read.scan(&keys::strangers_in(tenant, session), None).collect::<Result<Vec<Stranger>>>()?;
    strangers.retain(|stranger| !stranger.is_over(days, now));
    Ok(strangers)
}
