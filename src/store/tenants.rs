//! Tenants.

use super::{
    Store,
    api_keys::{self, ApiKey},
    codec::Record,
    db::{Read, Transaction},
    keys, tenant_not_found,
};
use crate::{
    domain::{Tenant, TenantId, TenantScope},
    error::{Error, ErrorKind, Result},
};

impl Record for Tenant {
    const KIND: u8 = 1;
}

impl Store {
    /// Makes a tenant together with its first key, so that no tenant is ever out of reach.
    ///
    /// Errors: `Conflict` `tenant_exists`.
    pub async fn create_tenant(&self, tenant: Tenant, key: ApiKey) -> Result<()> {
        self.write(move |transaction| {
            let at = keys::tenant(&tenant.id);
            if transaction.has(&at)? {
                return Err(
                    Error::new(ErrorKind::Conflict, "there is a tenant of this id already").with_code("tenant_exists")
                );
            }
            transaction.put(at, &tenant)?;
            api_keys::put(transaction, &key)
        })
        .await
    }

    /// The tenant of `scope`. Errors: `NotFound` `tenant_not_found`.
    pub async fn tenant(&self, scope: &TenantScope) -> Result<Tenant> {
        let key = keys::tenant(scope.tenant());
        self.read(move |view| view.get(&key)?.ok_or_else(tenant_not_found)).await
    }

    /// All tenants, by id.
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        self.read(|view| view.scan(&keys::tenants(), None).collect()).await
    }
}

/// Errors unless `tenant` exists: nothing is made inside a tenant that does not.
pub(super) fn require_tenant(transaction: &Transaction<'_>, tenant: &TenantId) -> Result<()> {
    if transaction.has(&keys::tenant(tenant))? { Ok(()) } else { Err(tenant_not_found()) }
}
