//! Tenants.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    api_keys::{self, ApiKey},
    audit, usage,
};
use crate::{
    domain::{
        Amounts, Author, EnrolmentPolicy, GalleryPlan, PhotosOfDay, Realm, Right, Standing, Tenant, TenantId,
        TenantScope, TenantSettings, unauthenticated,
    },
    error::{Error, ErrorKind, Result},
    store::{
        Store,
        codec::{Older, OlderBody},
        engine::Read,
        keys::{self, Key},
        tenant_not_found,
        transaction::Transaction,
    },
};

impl Older for Tenant {
    fn from_older(_version: u8, body: OlderBody<'_>) -> Result<Self> {
        let TenantV1 { id, name, created_at } = body.read()?;
        Ok(Self { id, name, created_at, standing: Standing::Active })
    }
}

/// Before tenants could be suspended and deleted.
#[derive(Deserialize)]
struct TenantV1 {
    id: TenantId,
    name: String,
    created_at: Timestamp,
}

impl Older for TenantSettings {
    fn from_older(version: u8, body: OlderBody<'_>) -> Result<Self> {
        let (SettingsV1 { max_people, max_groups, max_samples, gallery_plan }, enrolment) = match version {
            1 => (body.read()?, EnrolmentPolicy::default()),
            _ => body.read()?,
        };
        Ok(Self { max_people, max_groups, max_samples, gallery_plan, enrolment, ..Self::default() })
    }
}

/// Before tenants had rules of enrolment, which in version 2 came behind it.
#[derive(Deserialize)]
struct SettingsV1 {
    max_people: Option<u64>,
    max_groups: Option<u64>,
    max_samples: Option<u64>,
    gallery_plan: Option<GalleryPlan>,
}

/// A tenant with what was set for it and what it has.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantRecord {
    /// The tenant.
    pub tenant: Tenant,
    /// What was set for it.
    pub settings: TenantSettings,
    /// What it has.
    pub usage: Amounts,
    /// The photos of its last day that was counted.
    pub photos: Option<PhotosOfDay>,
}

impl Store {
    /// Makes a tenant together with its first key, so that no tenant is ever out of reach.
    ///
    /// Errors: `Conflict` `tenant_exists`, or `tenant_deleting` while an earlier one of this id is still being removed.
    pub async fn create_tenant(&self, right: &Right, tenant: Tenant, key: ApiKey) -> Result<()> {
        let by = right.clone();
        self.write(right, move |transaction| {
            let at = keys::tenant(&tenant.id);
            let (message, code) = match standing(transaction, &at)? {
                None => {
                    transaction.put(at, &tenant)?;
                    audit::note(transaction, &Author::on_server(&by), "tenant.create", |it| {
                        it.tenant(&tenant.id).after(&(&tenant, &TenantSettings::default()))
                    })?;
                    return api_keys::put(transaction, &by, &key);
                }
                Some(Standing::Deleting) => ("the tenant of this id is still being deleted", "tenant_deleting"),
                Some(_) => ("there is a tenant of this id already", "tenant_exists"),
            };
            Err(Error::new(ErrorKind::Conflict, message).with_code(code))
        })
        .await
    }

    /// The tenant of `scope`. Errors: `NotFound` `tenant_not_found`, also while it is being deleted.
    pub async fn tenant(&self, scope: &TenantScope) -> Result<Tenant> {
        let id = scope.tenant().clone();
        self.read(move |view| tenant(view, &id)).await
    }

    /// What was set for the tenant of `scope`, if its keys and users open it.
    /// Errors: `NotFound` `tenant_not_found`, `Forbidden` `tenant_suspended`.
    pub async fn open_tenant(&self, scope: &TenantScope) -> Result<TenantSettings> {
        let id = scope.tenant().clone();
        self.read(move |view| open_settings(view, &id)).await
    }

    /// The tenant of `scope` with what belongs to it. Errors: `NotFound` `tenant_not_found`.
    pub async fn tenant_record(&self, scope: &TenantScope) -> Result<TenantRecord> {
        let id = scope.tenant().clone();
        self.read(move |view| with_belongings(view, tenant(view, &id)?)).await
    }

    /// At most `limit` tenants whose ids come after `after`, by the bytes of their ids; none that is being deleted.
    pub async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRecord>> {
        let after = after.map(keys::tenant);
        self.read(move |view| {
            view.scan(&keys::tenants(), after.as_deref())
                .filter(|tenant| !matches!(tenant, Ok(Tenant { standing: Standing::Deleting, .. })))
                .take(limit)
                .map(|tenant| with_belongings(view, tenant?))
                .collect()
        })
        .await
    }

    /// What was set for the tenant of `scope`.
    pub async fn tenant_settings(&self, scope: &TenantScope) -> Result<TenantSettings> {
        let tenant = scope.tenant().clone();
        self.read(move |view| settings(view, &tenant)).await
    }

    /// Changes a tenant and its settings by `change`, which sees the present ones; returns the tenant as it is then.
    /// Errors: `NotFound` `tenant_not_found`.
    pub async fn update_tenant(
        &self,
        scope: &TenantScope,
        change: impl Fn(&mut Tenant, &mut TenantSettings) + Send + 'static,
    ) -> Result<TenantRecord> {
        let right = scope.right().clone();
        // In the log of whoever did it: the operator's, or the tenant's own.
        let (author, id) = (Author { realm: right.realm().clone(), right }, scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            let (old, old_settings) = (tenant(transaction, &id)?, settings(transaction, &id)?);
            let (mut tenant, mut settings) = (old.clone(), old_settings.clone());
            change(&mut tenant, &mut settings);
            transaction.put(keys::tenant(&id), &tenant)?;
            transaction.put(keys::settings(&id), &settings)?;
            audit::note(transaction, &author, "tenant.update", |it| {
                it.tenant(&id).changed(&(&old, &old_settings), &(&tenant, &settings))
            })?;
            with_belongings(transaction, tenant)
        })
        .await
    }

    /// The limits of a tenant for which nothing else was set.
    pub fn default_limits(&self) -> Amounts {
        self.inner.default_limits
    }
}

/// See [`Store::open_tenant`].
pub(in crate::store) fn open_settings(read: &impl Read, id: &TenantId) -> Result<TenantSettings> {
    tenant(read, id)?;
    require_open(read, id)?;
    settings(read, id)
}

/// Defaults where nothing was set.
pub(in crate::store) fn settings(read: &impl Read, tenant: &TenantId) -> Result<TenantSettings> {
    Ok(read.get(&keys::settings(tenant))?.unwrap_or_default())
}

/// Errors where others of the tenant's `rules` hold by now than those of `settings`, by which something was judged:
/// `Overloaded` `rules_changed`, for by those that hold now it may be judged again.
pub(in crate::store) fn require_same<R: PartialEq>(
    read: &impl Read,
    tenant: &TenantId,
    settings: &TenantSettings,
    rules: impl Fn(&TenantSettings) -> R,
) -> Result<()> {
    if rules(&self::settings(read, tenant)?) == rules(settings) {
        return Ok(());
    }
    Err(rules_changed())
}

/// See [`require_same`].
pub(in crate::store) fn rules_changed() -> Error {
    let message = "the rules that this goes by were changed while it was under way: send it again";
    Error::new(ErrorKind::Overloaded, message).with_code("rules_changed")
}

/// A tenant's standing, by its key; `None` where there is no such tenant.
pub(in crate::store) fn standing(read: &impl Read, at: &Key) -> Result<Option<Standing>> {
    Ok(read.get::<Tenant>(at)?.map(|tenant| tenant.standing))
}

/// The same for the keys and users of a realm: the server is always open.
pub(in crate::store) fn require_open_realm(read: &impl Read, realm: &Realm) -> Result<()> {
    match realm {
        Realm::Tenant(tenant) => require_open(read, tenant),
        Realm::Server => Ok(()),
    }
}

/// Errors unless the keys and users of a tenant open it: `Forbidden` `tenant_suspended`; `Unauthenticated` where it is
/// not there or is being deleted, for they open as little as they will when they are gone.
pub(in crate::store) fn require_open(read: &impl Read, id: &TenantId) -> Result<()> {
    match standing(read, &keys::tenant(id))? {
        Some(Standing::Active) => Ok(()),
        Some(Standing::Suspended) => Err(Error::new(
            ErrorKind::Forbidden,
            "this tenant is suspended: nothing of it is lost, ask the operator to open it again",
        )
        .with_code("tenant_suspended")),
        None | Some(Standing::Deleting) => Err(unauthenticated()),
    }
}

/// Errors unless `tenant` exists and is not being deleted.
pub(in crate::store) fn require_tenant(transaction: &Transaction<'_>, id: &TenantId) -> Result<()> {
    tenant(transaction, id).map(drop)
}

/// Errors unless every record that the transaction sets belongs to a tenant that exists and is not being deleted.
pub(in crate::store) fn require_owners(transaction: &Transaction<'_>) -> Result<()> {
    let owners: BTreeSet<Key> = transaction.keys_put().filter_map(|key| keys::owner(key)).collect();
    for owner in owners {
        match standing(transaction, &owner)? {
            None | Some(Standing::Deleting) => return Err(tenant_not_found()),
            Some(Standing::Active | Standing::Suspended) => {}
        }
    }
    Ok(())
}

/// The tenant, if it is there and is not being deleted. Errors: `NotFound` `tenant_not_found`.
pub(in crate::store) fn tenant(read: &impl Read, id: &TenantId) -> Result<Tenant> {
    let tenant: Option<Tenant> = read.get(&keys::tenant(id))?;
    tenant.filter(|tenant| tenant.standing != Standing::Deleting).ok_or_else(tenant_not_found)
}

fn with_belongings(read: &impl Read, tenant: Tenant) -> Result<TenantRecord> {
    let settings = settings(read, &tenant.id)?;
    let usage = usage::usage(read, &tenant.id)?;
    let photos = read.get(&keys::photos(&tenant.id))?;
    Ok(TenantRecord { tenant, settings, usage, photos })
}
