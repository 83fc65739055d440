//! API keys: made, listed, revoked.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{RealmScope, random};
use crate::{
    domain::{Grant, GroupId, KeyId, Role, ids::checked_name},
    error::{Error, Result},
    service::access::Service,
    store::ApiKey,
};

/// How the text of every key begins.
pub(super) const KEY_PREFIX: &str = "rk_";
/// Characters of a key's text that are shown for ever: 32 of its 256 bits.
const SHOWN_CHARS: usize = KEY_PREFIX.len() + 8;

/// How long a kiosk may be without the server.
const OFFLINE_HOURS: RangeInclusive<u16> = 1..=168;

/// A key in clear; shown once, then only its hash is kept.
pub struct SecretKey(String);

impl SecretKey {
    /// 256 random bits.
    pub(in crate::service) fn generate() -> Result<Self> {
        Ok(Self(format!("{KEY_PREFIX}{}", hex::encode(random::<32>()?))))
    }

    /// The key's text, for the one who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// As it is stored.
    pub(in crate::service) fn hashed(&self, name: String, grant: Grant, created_at: Timestamp) -> ApiKey {
        ApiKey { prefix: self.prefix(), name, ..ApiKey::new(self.hash(), grant, created_at) }
    }

    fn hash(&self) -> [u8; 32] {
        sha256(&self.0)
    }

    fn prefix(&self) -> String {
        self.0.chars().take(SHOWN_CHARS).collect()
    }
}

/// Keys and refresh tokens are 256 random bits, so a plain hash of one cannot be guessed back.
pub(super) fn sha256(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// What a new key takes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it is for, 1–200 characters.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The groups of a teacher, or the one of a kiosk.
    #[serde(default)]
    pub groups: Vec<GroupId>,
    /// From when on it opens nothing; never if missing.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Of a kiosk: how many hours ago photos may have been taken that it could not send at once, 1–168. Others count as to
    /// be confirmed.
    #[schema(minimum = 1, maximum = 168)]
    pub offline_hours: Option<u16>,
}

/// A key, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// Names it without giving it away.
    pub id: KeyId,
    /// How its text begins.
    pub prefix: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where, for a role of groups.
    pub groups: Vec<GroupId>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// How many hours ago a kiosk's photos may have been taken that it could not send at once.
    pub offline_hours: Option<u16>,
}

/// A new key, which is shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct KeyWithSecret {
    /// What is shown of it from now on.
    #[serde(flatten)]
    pub view: KeyView,
    /// Send it as `Authorization: Bearer KEY`; it cannot be shown again.
    pub key: String,
}

/// A page of keys.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyPage {
    /// In the order of their making.
    pub keys: Vec<KeyView>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<KeyId>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            prefix: key.prefix,
            name: key.name,
            role: key.grant.role,
            groups: key.grant.groups,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            offline_hours: key.offline_hours,
        }
    }
}

impl Service {
    /// Makes a key of the caller's realm.
    ///
    /// # Errors
    /// `Invalid` for a bad name, role, expiry or allowance, `NotFound` for an unknown group, `Conflict` `limit_reached`.
    pub async fn create_key(&self, scope: &RealmScope, new: NewKey) -> Result<KeyWithSecret> {
        let now = self.clock.now();
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid("expires_at lies in the past").with_code("invalid_expiry"));
        }
        if new.offline_hours.is_some_and(|hours| new.role != Role::Kiosk || !OFFLINE_HOURS.contains(&hours)) {
            let message = "offline_hours are a kiosk's, 1 to 168: a week";
            return Err(Error::invalid(message).with_code("invalid_offline_hours"));
        }
        let grant = Grant::new(scope.realm().clone(), new.role, new.groups)?;
        let secret = SecretKey::generate()?;
        let NewKey { expires_at, offline_hours, .. } = new;
        let key = ApiKey { expires_at, offline_hours, ..secret.hashed(checked_name(&new.name)?, grant, now) };
        self.store.put_api_key(scope.right(), key.clone()).await?;
        Ok(KeyWithSecret { view: key.into(), key: secret.reveal().to_owned() })
    }

    /// A page of the realm's keys after the key `after`.
    pub async fn keys(&self, scope: &RealmScope, after: Option<KeyId>, limit: usize) -> Result<KeyPage> {
        let mut keys = self.store.api_keys(scope.realm(), after, limit + 1).await?;
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| more).map(|key| key.id);
        Ok(KeyPage { keys: keys.into_iter().map(Into::into).collect(), next })
    }

    /// Gives a key another secret: the old one is refused from now on. It stays the same key, so its jobs go on.
    ///
    /// # Errors
    /// `NotFound` `key_not_found`.
    pub async fn rotate_key(&self, scope: &RealmScope, key: KeyId) -> Result<KeyWithSecret> {
        let secret = SecretKey::generate()?;
        let key = self.store.rotate_api_key(&scope.author(), key, secret.hash(), secret.prefix()).await?;
        Ok(KeyWithSecret { view: key.into(), key: secret.reveal().to_owned() })
    }

    /// Revokes a key: its next request is refused, and so is what its requests under way would still do.
    ///
    /// # Errors
    /// `NotFound` `key_not_found`.
    pub async fn revoke_key(&self, scope: &RealmScope, key: KeyId) -> Result<()> {
        self.store.delete_api_key(&scope.author(), key).await
    }
}
