//! API keys. A key is 256 random bits, so its plain SHA-256 is all that is kept: there is nothing to guess that a slow
//! hash would protect.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{audit, tenants::require_tenant};
use crate::{
    domain::{Author, Grant, GroupId, KeyId, Realm, Right, Role},
    error::{Error, ErrorKind, Result},
    store::{
        Store,
        attendance::groups::require_group,
        codec::{self, Older, OlderBody},
        engine::Read,
        keys,
        transaction::Transaction,
    },
};

/// The most keys of a realm.
const MAX_KEYS: usize = 10_000;
/// Uses that follow each other so closely are noted once: a write costs more than the request that it notes.
const USE_NOTED_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names it without giving it away.
    pub id: KeyId,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// How its text begins, for people to tell it from others.
    pub prefix: String,
    /// What it is for, in words.
    pub name: String,
    /// What it opens.
    pub grant: Grant,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// How many hours ago photos may have been taken whose time the key says; none where it says no such time.
    pub offline_hours: Option<u16>,
}

impl ApiKey {
    /// One without a name, that never ends and was not used.
    pub fn new(hash: [u8; 32], grant: Grant, created_at: Timestamp) -> Self {
        let (prefix, name) = (String::new(), String::new());
        let (expires_at, last_used_at, offline_hours) = (None, None, None);
        Self { id: KeyId::generate(), hash, prefix, name, grant, created_at, expires_at, last_used_at, offline_hours }
    }

    /// Whether it opens nothing any more at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

impl Older for ApiKey {
    fn from_older(version: u8, body: OlderBody<'_>) -> Result<Self> {
        if version != 2 {
            return Err(codec::damaged());
        }
        let KeyV2 { id, hash, prefix, name, grant, created_at, expires_at, last_used_at } = body.read()?;
        let offline_hours = None;
        Ok(Self { id, hash, prefix, name, grant, created_at, expires_at, last_used_at, offline_hours })
    }
}

/// Before keys had an allowance for photos of before.
#[derive(Deserialize)]
struct KeyV2 {
    id: KeyId,
    hash: [u8; 32],
    prefix: String,
    name: String,
    grant: Grant,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

/// Where a key is, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct KeyPlace {
    pub(in crate::store) hash: [u8; 32],
}

impl Store {
    /// Adds a key to the grant's realm. Errors: `NotFound` `tenant_not_found` or `group_not_found` for a key to what does not exist,
    /// `Conflict` `limit_reached`.
    pub async fn put_api_key(&self, right: &Right, key: ApiKey) -> Result<()> {
        let by = right.clone();
        self.write(right, move |transaction| put(transaction, &by, &key)).await
    }

    /// Notes that a key is used, once a minute.
    pub async fn note_use(&self, key: &ApiKey, now: Timestamp) -> Result<()> {
        let is_due = move |last: Option<Timestamp>| last.is_none_or(|last| now.duration_since(last) >= USE_NOTED_EVERY);
        if !is_due(key.last_used_at) {
            return Ok(());
        }
        let at = keys::api_key(&key.hash);
        self.write(&Right::of_machine(), move |transaction| match transaction.get::<ApiKey>(&at)? {
            Some(key) if is_due(key.last_used_at) => {
                transaction.put(at.clone(), &ApiKey { last_used_at: Some(now), ..key })
            }
            _ => Ok(()),
        })
        .await
    }

    /// At most `limit` keys of a realm that were made after `after`, in the order of their making.
    pub async fn api_keys(&self, realm: &Realm, after: Option<KeyId>, limit: usize) -> Result<Vec<ApiKey>> {
        let (prefix, after) = (keys::key_places(realm), after.map(|key| keys::key_place(realm, key)));
        self.read(move |view| {
            let places = view.scan::<KeyPlace>(&prefix, after.as_deref()).take(limit);
            let keys: Vec<_> = places.map(|place| Ok(keys::api_key(&place?.hash))).collect::<Result<_>>()?;
            view.get_many(&keys)?.into_iter().map(|key| key.ok_or_else(key_not_found)).collect()
        })
        .await
    }

    /// Removes a key: it opens nothing from now on. Errors: `NotFound` `key_not_found`.
    pub async fn delete_api_key(&self, author: &Author, key: KeyId) -> Result<()> {
        let (by, at) = (author.clone(), keys::key_place(&author.realm, key));
        self.write(&author.right, move |transaction| {
            let place: KeyPlace = transaction.get(&at)?.ok_or_else(key_not_found)?;
            // One that cannot be read can still be removed.
            let old: Option<ApiKey> = transaction.get(&keys::api_key(&place.hash)).ok().flatten();
            transaction.remove(keys::api_key(&place.hash));
            transaction.remove(at.clone());
            audit::note(transaction, &by, "key.delete", |it| it.key(key).before(&old))
        })
        .await
    }

    /// Gives a key another secret, of this SHA-256 and with this beginning: the old one opens nothing from now on. All else
    /// of the key stays. Errors: `NotFound` `key_not_found`.
    pub async fn rotate_api_key(&self, author: &Author, key: KeyId, hash: [u8; 32], prefix: String) -> Result<ApiKey> {
        let by = author.clone();
        self.write(&author.right, move |transaction| {
            let old = of_realm(transaction, &by.realm, key)?.ok_or_else(key_not_found)?;
            let new = ApiKey { hash, prefix: prefix.clone(), ..old.clone() };
            transaction.remove(keys::api_key(&old.hash));
            transaction.put(keys::api_key(&hash), &new)?;
            transaction.put(keys::key_place(&by.realm, key), &KeyPlace { hash })?;
            audit::note(transaction, &by, "key.rotate", |it| it.key(key).changed(&old, &new))?;
            Ok(new)
        })
        .await
    }

    /// Whether the server has an operator's key.
    pub async fn has_operator_key(&self) -> Result<bool> {
        self.read(|view| {
            for place in view.scan::<KeyPlace>(&keys::key_places(&Realm::Server), None) {
                match view.get::<ApiKey>(&keys::api_key(&place?.hash)) {
                    Ok(Some(key)) if key.grant.role != Role::Operator => {}
                    Ok(None) => {}
                    // One that cannot be read may be.
                    Ok(Some(_)) | Err(_) => return Ok(true),
                }
            }
            Ok(false)
        })
        .await
    }
}

fn key_not_found() -> Error {
    Error::not_found("there is no such key").with_code("key_not_found")
}

/// The key of a realm by its id.
pub(in crate::store) fn of_realm(read: &impl Read, realm: &Realm, key: KeyId) -> Result<Option<ApiKey>> {
    match read.get::<KeyPlace>(&keys::key_place(realm, key))? {
        Some(place) => read.get(&keys::api_key(&place.hash)),
        None => Ok(None),
    }
}

pub(in crate::store) fn put(transaction: &mut Transaction<'_>, right: &Right, key: &ApiKey) -> Result<()> {
    require_reach(transaction, &key.grant)?;
    if transaction.scan_keys(&keys::key_places(&key.grant.realm)).take(MAX_KEYS).count() == MAX_KEYS {
        let message = format!("there are {MAX_KEYS} keys already: revoke some first");
        return Err(Error::new(ErrorKind::Conflict, message).with_code("limit_reached"));
    }
    transaction.put(keys::key_place(&key.grant.realm, key.id), &KeyPlace { hash: key.hash })?;
    transaction.put(keys::api_key(&key.hash), key)?;
    let author = Author { realm: key.grant.realm.clone(), right: right.clone() };
    audit::note(transaction, &author, "key.create", |it| it.key(key.id).after(key))
}

/// Errors unless the tenant and the groups of a grant exist.
pub(in crate::store) fn require_reach(transaction: &Transaction<'_>, grant: &Grant) -> Result<()> {
    if let Realm::Tenant(tenant) = &grant.realm {
        require_tenant(transaction, tenant)?;
        grant.groups.iter().try_for_each(|group| require_group(transaction, tenant, group))?;
    }
    Ok(())
}

/// Takes a group that goes away from the keys that are for it: a later group of the same id is another.
pub(in crate::store) fn forget_group(
    transaction: &mut Transaction<'_>,
    author: &Author,
    group: &GroupId,
) -> Result<()> {
    let prefix = keys::key_places(&author.realm);
    let places: Vec<KeyPlace> = transaction.scan(&prefix, None).collect::<Result<_>>()?;
    for KeyPlace { hash } in places {
        let at = keys::api_key(&hash);
        if let Some(old) = transaction.get::<ApiKey>(&at)?.filter(|key| key.grant.groups.contains(group)) {
            let mut key = old.clone();
            key.grant.groups.retain(|of| of != group);
            transaction.put(at, &key)?;
            audit::note(transaction, author, "key.update", |it| it.key(key.id).changed(&old, &key))?;
        }
    }
    Ok(())
}
