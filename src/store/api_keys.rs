//! What API keys open. A key is 256 random bits, so its plain SHA-256 is all that is kept: there is nothing to guess
//! that a slow hash would protect.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Store,
    codec::Record,
    db::{Read, Transaction},
    keys::{self, Key},
    tenants::require_tenant,
};
use crate::{domain::TenantId, error::Result};

/// Keys looked at under one view: writes wait for no more than this.
const KEYS_AT_ONCE: usize = 256;

/// What a key opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grant {
    /// The server: tenants and their keys.
    Operator,
    /// One tenant's data.
    Tenant(TenantId),
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// What it opens.
    pub grant: Grant,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Record for ApiKey {
    const KIND: u8 = 2;
}

impl Store {
    /// Adds a key. Errors: `NotFound` `tenant_not_found` for a key to a tenant that does not exist.
    pub async fn put_api_key(&self, key: ApiKey) -> Result<()> {
        self.write(move |transaction| put(transaction, &key)).await
    }

    /// What the key with this SHA-256 opens.
    pub async fn find_api_key(&self, hash: [u8; 32]) -> Result<Option<Grant>> {
        self.read(move |view| Ok(view.get::<ApiKey>(&keys::api_key(&hash))?.map(|key| key.grant))).await
    }

    /// Removes every key to a tenant.
    pub(super) async fn remove_api_keys_of(&self, tenant: &TenantId) -> Result<()> {
        let mut after: Option<Key> = None;
        loop {
            let of = Grant::Tenant(tenant.clone());
            let (theirs, last) = self
                .read(move |view| {
                    let (mut theirs, mut last) = (Vec::new(), None);
                    for key in view.scan::<ApiKey>(&keys::api_keys(), after.as_deref()).take(KEYS_AT_ONCE) {
                        let ApiKey { hash, grant, .. } = key?;
                        let at = keys::api_key(&hash);
                        theirs.extend((grant == of).then(|| at.clone()));
                        last = Some(at);
                    }
                    Ok((theirs, last))
                })
                .await?;
            if last.is_none() {
                return Ok(());
            }
            after = last;
            self.write(move |transaction| {
                for key in theirs {
                    transaction.remove(key);
                }
                Ok(())
            })
            .await?;
        }
    }

    /// Whether the server has an operator.
    pub async fn has_operator_key(&self) -> Result<bool> {
        self.read(|view| {
            for key in view.scan::<ApiKey>(&keys::api_keys(), None) {
                if key?.grant == Grant::Operator {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }
}

pub(super) fn put(transaction: &mut Transaction<'_>, key: &ApiKey) -> Result<()> {
    if let Grant::Tenant(tenant) = &key.grant {
        require_tenant(transaction, tenant)?;
    }
    transaction.put(keys::api_key(&key.hash), key)
}
