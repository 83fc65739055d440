//! Removing a tenant with all that it has.
//!
//! The tenant is first marked as one that is being deleted. From then on it is not found and nothing is written into
//! it, so its records can be removed in many small transactions. Its own record goes last: a deletion that a crash cut
//! short is seen at the next start and goes on.

use super::{
    Store,
    api_keys::KeyPlace,
    audit, codec,
    db::Read,
    keys::{self, Key},
    tenant_not_found, tenants,
    transaction::Transaction,
    users::User,
};
use crate::{
    domain::{Author, Realm, Standing, Tenant, TenantId, TenantScope},
    error::Result,
};

/// Records removed in one transaction: others' writes wait for no more than this.
const REMOVED_AT_ONCE: usize = 512;

impl Store {
    /// Marks a tenant as one that is being deleted; nothing changes where it is one already. Its id is free again after
    /// [`Self::finish_deletion`]. Errors: `NotFound` `tenant_not_found`.
    pub async fn begin_deletion(&self, scope: &TenantScope) -> Result<()> {
        let (author, at) = (Author::on_server(scope.actor()), keys::tenant(scope.tenant()));
        self.write(move |transaction| {
            let mut tenant: Tenant = transaction.get(&at)?.ok_or_else(tenant_not_found)?;
            if tenant.standing == Standing::Deleting {
                return Ok(());
            }
            let was = (tenant.clone(), tenants::settings(transaction, &tenant.id)?);
            tenant.standing = Standing::Deleting;
            transaction.put(at, &tenant)?;
            audit::note(transaction, &author, "tenant.delete", |it| it.tenant(&tenant.id).before(&(&was.0, &was.1)))
        })
        .await
    }

    /// Removes the keys, users and audit log of a tenant that is being deleted, what it still has, and in the end the tenant. Two
    /// may do so at once.
    pub async fn finish_deletion(&self, scope: &TenantScope) -> Result<()> {
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
    let mut found = of_access(transaction, &Realm::Tenant(tenant.clone()))?;
    if found.is_empty() {
        found = transaction.scan_keys(&keys::data_of(tenant)).take(REMOVED_AT_ONCE).collect::<Result<_>>()?;
    }
    let is_last = found.is_empty();
    if is_last {
        found.push(keys::tenant(tenant));
    }
    for key in found {
        transaction.remove(key);
    }
    Ok(is_last)
}

/// Keys, users, logins and audit log of a realm, some of them if there are many.
fn of_access(read: &impl Read, realm: &Realm) -> Result<Vec<Key>> {
    let mut found = Vec::new();
    for prefix in [keys::audit_entries(realm), keys::audit_head(realm), keys::audit_salt(realm)] {
        found.extend(read.scan_keys(&prefix).take(REMOVED_AT_ONCE).collect::<Result<Vec<_>>>()?);
    }
    for entry in read.scan_bytes(&keys::key_places(realm), None).take(REMOVED_AT_ONCE) {
        let (place, bytes) = entry?;
        let KeyPlace { hash } = codec::decode(&bytes)?;
        found.extend([keys::api_key(&hash), place]);
    }
    for entry in read.scan_bytes(&keys::users(realm), None).take(REMOVED_AT_ONCE) {
        let (at, bytes) = entry?;
        let user: User = codec::decode(&bytes)?;
        found.extend(user.sessions.into_iter().map(keys::session).chain([at]));
    }
    Ok(found)
}
