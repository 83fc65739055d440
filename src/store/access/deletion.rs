//! Removing a tenant with all that it has.
//!
//! The tenant is first marked as one that is being deleted. From then on it is not found and nothing is written into
//! it, so its records can be removed in many small transactions. Its own record goes last, and its erasure is noted with
//! that: a deletion that a crash cut short is seen at the next start and goes on.

use jiff::Timestamp;

use super::{
    api_keys::KeyPlace,
    audit,
    erasures::{self, Erasure},
    tenants,
    users::User,
};
use crate::{
    domain::{Author, Realm, Right, Standing, Tenant, TenantId, TenantScope},
    error::Result,
    store::{
        Store, codec,
        engine::Read,
        keys::{self, Key},
        tenant_not_found,
        transaction::Transaction,
    },
};

/// Records removed in one transaction: others' writes wait for no more than this.
const REMOVED_AT_ONCE: usize = 512;

impl Store {
    /// Marks a tenant as one that is being deleted; nothing changes where it is one already. Its id is free again after
    /// [`Self::finish_deletion`]. Errors: `NotFound` `tenant_not_found`.
    pub async fn begin_deletion(&self, scope: &TenantScope) -> Result<()> {
        let (author, at) = (Author::on_server(scope.right()), keys::tenant(scope.tenant()));
        self.write(scope.right(), move |transaction| {
            let mut tenant: Tenant = transaction.get(&at)?.ok_or_else(tenant_not_found)?;
            if tenant.standing == Standing::Deleting {
                return Ok(());
            }
            let was = (tenant.clone(), tenants::settings(transaction, &tenant.id)?);
            tenant.standing = Standing::Deleting;
            transaction.put(at.clone(), &tenant)?;
            audit::note(transaction, &author, "tenant.delete", |it| it.tenant(&tenant.id).before(&(&was.0, &was.1)))
        })
        .await
    }

    /// Removes the keys, users and audit log of a tenant that is being deleted, what it still has, and in the end the
    /// tenant. Two may do so at once. Returns the erasure, asked for at `at`, unless somebody else has noted one.
    pub async fn finish_deletion(&self, scope: &TenantScope, at: Timestamp) -> Result<Option<Erasure>> {
        let erasure = loop {
            match self.remove_some_of(scope, at).await? {
                Removal::Going => {}
                Removal::Done(erasure) => break Some(erasure),
                Removal::DoneBefore => break None,
            }
        };
        self.engine().feed().forget(scope.tenant());
        Ok(erasure)
    }

    /// See [`remove_some`].
    pub(in crate::store) async fn remove_some_of(&self, scope: &TenantScope, at: Timestamp) -> Result<Removal> {
        let (tenant, erasure) = (scope.tenant().clone(), Erasure::new(at, scope.actor()));
        // Begun is done: whoever began it may have lost their right with it.
        self.write(&Right::of_machine(), move |transaction| remove_some(transaction, &tenant, erasure.clone())).await
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

/// How far a deletion has come.
pub(in crate::store) enum Removal {
    /// There is more.
    Going,
    /// The tenant has gone with this.
    Done(Erasure),
    /// It had gone before.
    DoneBefore,
}

/// Removes some records of a tenant that is being deleted, or the tenant itself where it has none left.
fn remove_some(transaction: &mut Transaction<'_>, tenant: &TenantId, erasure: Erasure) -> Result<Removal> {
    let known: Option<Tenant> = transaction.get(&keys::tenant(tenant))?;
    let Some(known) = known.filter(|tenant| tenant.standing == Standing::Deleting) else {
        return Ok(Removal::DoneBefore);
    };
    let mut found = outside_its_data(transaction, &Realm::Tenant(tenant.clone()))?;
    if found.is_empty() {
        found = transaction.scan_keys(&keys::data_of(tenant)).take(REMOVED_AT_ONCE).collect::<Result<_>>()?;
    }
    if found.is_empty() {
        transaction.remove(keys::tenant(tenant));
        let erasure = Erasure { since: known.created_at, ..erasure };
        erasures::begin(transaction, &Realm::Server, &erasure)?;
        return Ok(Removal::Done(erasure));
    }
    for key in found {
        transaction.remove(key);
    }
    Ok(Removal::Going)
}

/// Keys, users, logins, pending erasures and audit log of a realm, some of them if there are many.
fn outside_its_data(read: &impl Read, realm: &Realm) -> Result<Vec<Key>> {
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
    for key in read.scan_keys(&keys::pending_in(realm)).take(REMOVED_AT_ONCE) {
        found.push(key?);
    }
    Ok(found)
}
