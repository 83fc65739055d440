//! API keys: made, listed, revoked.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{RealmScope, random};
use crate::{
    domain::{Grant, GroupId, KeyId, Role, ids::checked_name},
    error::{Error, Result},
    service::Service,
    store::ApiKey,
};

/// How the text of every key begins.
pub(super) const KEY_PREFIX: &str = "rk_";
/// Characters of a key's text that are shown for ever: 32 of its 256 bits.
const SHOWN_CHARS: usize = KEY_PREFIX.len() + 8;

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
        let prefix = self.0.chars().take(SHOWN_CHARS).collect();
        ApiKey { prefix, name, ..ApiKey::new(sha256(&self.0), grant, created_at) }
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
        }
    }
}

impl Service {
    /// Makes a key of the caller's realm.
    ///
    /// # Errors
    /// `Invalid` for a bad name, role or expiry, `NotFound` for an unknown group, `Conflict` `limit_reached`.
    pub async fn create_key(&self, scope: &RealmScope, new: NewKey) -> Result<KeyWithSecret> {
        let now = self.clock.now();
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid("expires_at lies in the past").with_code("invalid_expiry"));
        }
        let grant = Grant::new(scope.realm().clone(), new.role, new.groups)?;
        let secret = SecretKey::generate()?;
        let key = ApiKey { expires_at: new.expires_at, ..secret.hashed(checked_name(&new.name)?, grant, now) };
        self.store.put_api_key(&scope.author().actor, key.clone()).await?;
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

    /// Revokes a key: its next request is refused.
    ///
    /// # Errors
    /// `NotFound` `key_not_found`.
    pub async fn revoke_key(&self, scope: &RealmScope, key: KeyId) -> Result<()> {
        self.store.delete_api_key(&scope.author(), key).await
    }
}
