//! Erasures: what was removed for good, and whether its bytes may still lie on the disk.
//!
//! sled goes on keeping bytes that were overwritten, so an erasure is pending until the store has been rewritten, and
//! until the files of jobs have gone that were handed in before it: the person may be in them.
//! Nothing here says who was erased.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::tenants;
use crate::{
    domain::{Actor, ErasureId, Realm, Right, Standing, TenantId},
    error::Result,
    store::{
        Backup, Store, codec,
        engine::{Read, View},
        keys::{self, Key, Parsed, Server},
        transaction::Transaction,
    },
};

/// Erasures noted as done in one transaction: others' writes wait for no more than this.
const NOTED_AT_ONCE: usize = 512;

/// Files of jobs on the disk, as they were at a moment.
#[derive(Debug, Clone)]
pub struct Uploads {
    /// The moment: what came since is not among them.
    pub as_of: Timestamp,
    /// Of each tenant that has some, when the first of their jobs was handed in.
    pub first: BTreeMap<TenantId, Timestamp>,
}

impl Uploads {
    /// There are none, and none come.
    pub const NONE: Self = Self { as_of: Timestamp::MAX, first: BTreeMap::new() };

    /// Whether they may hold something of who was erased from a tenant at this time.
    fn may_hold(&self, tenant: &TenantId, asked_at: Timestamp) -> bool {
        asked_at > self.as_of || self.first.get(tenant).is_some_and(|&handed_in| handed_in <= asked_at)
    }
}

/// A person who was erased from a tenant, or a tenant from the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Its own name.
    pub id: ErasureId,
    /// When there was first something to erase; the earliest of times where that is not known.
    pub since: Timestamp,
    /// When it was asked for: nobody has found anything of it since.
    pub asked_at: Timestamp,
    /// By whom.
    pub by: Actor,
    /// When its bytes had gone from the store; `None` while they may be there.
    pub done_at: Option<Timestamp>,
}

/// Under [`keys::pending`]: when the erasure was asked for.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Pending(Timestamp);

impl Erasure {
    /// One of what has always been there.
    pub(in crate::store) fn new(asked_at: Timestamp, by: &Actor) -> Self {
        Self { id: ErasureId::generate(), since: Timestamp::MIN, asked_at, by: by.clone(), done_at: None }
    }

    /// Whether what was erased may be in a backup.
    fn may_be_in(&self, backup: &Backup) -> bool {
        backup.begun_at <= self.asked_at && backup.ended_at.is_none_or(|end| end >= self.since)
    }
}

/// Notes an erasure together with the removal itself.
pub(in crate::store) fn begin(transaction: &mut Transaction<'_>, realm: &Realm, erasure: &Erasure) -> Result<()> {
    transaction.put(keys::pending(realm, erasure.id), &Pending(erasure.asked_at))?;
    transaction.put(keys::erasure(realm, erasure.id), erasure)
}

impl Store {
    /// At most `limit` erasures of a realm after `after`, in the order in which they were asked for, each with the
    /// listed backups that may hold what was erased.
    pub async fn erasures(
        &self,
        realm: &Realm,
        after: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<(Erasure, Vec<Backup>)>> {
        let (prefix, after) = (keys::erasures(realm), after.map(|erasure| keys::erasure(realm, erasure)));
        self.read(move |view| {
            let backups: Vec<Backup> = view.scan(&keys::backups(), None).collect::<Result<_>>()?;
            let erasures = view.scan::<Erasure>(&prefix, after.as_deref()).take(limit);
            let with_backups = |erasure: Erasure| {
                let holding = backups.iter().filter(|backup| erasure.may_be_in(backup)).cloned().collect();
                (erasure, holding)
            };
            erasures.map(|erasure| erasure.map(with_backups)).collect()
        })
        .await
    }

    /// How many erasures are pending.
    pub async fn num_pending_erasures(&self) -> Result<usize> {
        Ok(self.pending_erasures(Uploads::NONE).await?.len())
    }

    /// Those that a rewrite would end.
    pub(in crate::store) async fn pending_erasures(&self, uploads: Uploads) -> Result<PendingErasures> {
        self.read(move |view| PendingErasures::beside(&uploads, view)).await
    }

    /// Notes that the bytes of these erasures are gone since `at`.
    pub(in crate::store) async fn finish_erasures(&self, pending: &PendingErasures, at: Timestamp) -> Result<()> {
        for some in pending.keys.chunks(NOTED_AT_ONCE) {
            let some = some.to_vec();
            self.write(&Right::of_machine(), move |transaction| {
                some.iter().try_for_each(|key| finish(transaction, key.clone(), at))
            })
            .await?;
        }
        Ok(())
    }
}

/// Erasures whose bytes may be in the store's files, and nowhere else.
pub(in crate::store) struct PendingErasures {
    keys: Vec<Key>,
    /// When the first of them was asked for.
    pub(in crate::store) oldest: Option<Timestamp>,
}

impl PendingErasures {
    fn beside(uploads: &Uploads, view: &View<'_>) -> Result<Self> {
        let mut pending = Self { keys: Vec::new(), oldest: None };
        for entry in view.scan_bytes(&keys::all_pending(), None) {
            let (key, bytes) = entry?;
            let Pending(asked_at) = codec::decode(&bytes)?;
            if let Some(Parsed::Server(Server::Pending(Realm::Tenant(tenant), _))) = keys::parse(&key)
                && uploads.may_hold(&tenant, asked_at)
            {
                continue;
            }
            pending.oldest = Some(pending.oldest.map_or(asked_at, |oldest| oldest.min(asked_at)));
            pending.keys.push(key);
        }
        Ok(pending)
    }

    /// How many.
    pub(in crate::store) fn len(&self) -> usize {
        self.keys.len()
    }
}

fn finish(transaction: &mut Transaction<'_>, pending: Key, at: Timestamp) -> Result<()> {
    let Some(Parsed::Server(Server::Pending(realm, id))) = keys::parse(&pending) else { return Ok(()) };
    if let Realm::Tenant(tenant) = &realm
        && !matches!(
            tenants::standing(transaction, &keys::tenant(tenant))?,
            Some(Standing::Active | Standing::Suspended)
        )
    {
        // It goes with its tenant.
        return Ok(());
    }
    transaction.remove(pending);
    let key = keys::erasure(&realm, id);
    match transaction.get::<Erasure>(&key)? {
        Some(erasure) => transaction.put(key, &Erasure { done_at: Some(at), ..erasure }),
        None => Ok(()),
    }
}
