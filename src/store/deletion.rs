//! Removing a tenant with all that it has.
//!
//! The tenant is first marked as one that is being deleted. From then on it is not found and nothing is written into
//! it, so its records can be removed in many small transactions. Its own record goes last: a deletion that a crash cut
//! short is seen at the next start and goes on.

use std::ops::Bound;

use super::{
    Store,
    db::{Read, Transaction},
    keys,
    sweep::after_all_with,
    tenant_not_found, tenants,
};
use crate::{
    domain::{Standing, Tenant, TenantId, TenantScope},
    error::Result,
};

/// Records removed in one transaction: others' writes wait for no more than this.
const REMOVED_AT_ONCE: usize = 512;

impl Store {
    /// Marks a tenant as one that is being deleted; nothing changes where it is one already. Its id is free again after
    /// [`Self::finish_deletion`]. Errors: `NotFound` `tenant_not_found`.
    pub async fn begin_deletion(&self, scope: &TenantScope) -> Result<()> {
        let at = keys::tenant(scope.tenant());
        self.write(move |transaction| {
            let mut tenant: Tenant = transaction.get(&at)?.ok_or_else(tenant_not_found)?;
            tenant.standing = Standing::Deleting;
            transaction.put(at, &tenant)
        })
        .await
    }

    /// Removes what a tenant that is being deleted still has, its keys, and in the end the tenant. Two may do so at
    /// once.
    pub async fn finish_deletion(&self, scope: &TenantScope) -> Result<()> {
        self.remove_api_keys_of(scope.tenant()).await?;
        while !self.remove_some_of(scope).await? {}
        Ok(())
    }

    /// See [`remove_some`].
    pub(super) async fn remove_some_of(&self, scope: &TenantScope) -> Result<bool> {
        let tenant = scope.tenant().clone();
        self.write(move |transaction| remove_some(transaction, &tenant)).await
    }

    /// The tenants whose deletion has not ended.
    pub async fn unfinished_deletions(&self) -> Result<Vec<TenantId>> {
        self.read(|view| {
            let mut unfinished = Vec::new();
            for tenant in view.scan::<Tenant>(&keys::tenants(), None) {
                let tenant = tenant?;
                if tenant.standing == Standing::Deleting {
                    unfinished.push(tenant.id);
                }
            }
            Ok(unfinished)
        })
        .await
    }
}

/// Removes some records of a tenant that is being deleted, or the tenant itself where it has none left; whether it is
/// gone.
fn remove_some(transaction: &mut Transaction<'_>, tenant: &TenantId) -> Result<bool> {
    if tenants::standing(transaction, &keys::tenant(tenant))? != Some(Standing::Deleting) {
        return Ok(true);
    }
    let prefix = keys::data_of(tenant);
    let beyond = after_all_with(&prefix);
    let end = beyond.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut found = Vec::new();
    transaction.visit((Bound::Included(&prefix), end), REMOVED_AT_ONCE, |key, _| {
        found.push(key.to_vec());
        Ok(())
    })?;
    let is_last = found.is_empty();
    if is_last {
        found.push(keys::tenant(tenant));
    }
    for key in found {
        transaction.remove(key);
    }
    Ok(is_last)
}
