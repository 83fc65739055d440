//! Tenants.

use serde::Deserialize;

use super::{
    Store,
    api_keys::{self, ApiKey},
    codec::{OlderBody, Record},
    db::Read,
    keys, tenant_not_found,
    transaction::Transaction,
};
use crate::{
    domain::{Amounts, EnrolmentPolicy, GalleryPlan, Tenant, TenantId, TenantScope, TenantSettings},
    error::{Error, ErrorKind, Result},
};

impl Record for Tenant {
    const KIND: u8 = 1;
}

impl Record for TenantSettings {
    const KIND: u8 = 10;
    const VERSION: u8 = 2;

    fn from_older(_version: u8, body: OlderBody<'_>) -> Result<Self> {
        let SettingsV1 { max_people, max_groups, max_samples, gallery_plan } = body.read()?;
        let enrolment = EnrolmentPolicy::default();
        Ok(Self { max_people, max_groups, max_samples, gallery_plan, enrolment })
    }
}

/// Before tenants had rules of enrolment.
#[derive(Deserialize)]
struct SettingsV1 {
    max_people: Option<u64>,
    max_groups: Option<u64>,
    max_samples: Option<u64>,
    gallery_plan: Option<GalleryPlan>,
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

    /// What the operator has set for the tenant of `scope`.
    pub async fn tenant_settings(&self, scope: &TenantScope) -> Result<TenantSettings> {
        let tenant = scope.tenant().clone();
        self.read(move |view| settings(view, &tenant)).await
    }

    /// Changes a tenant's name, and its settings by `change`, which sees the present ones; returns both as they are
    /// then. Errors: `NotFound` `tenant_not_found`.
    pub async fn update_tenant(
        &self,
        scope: &TenantScope,
        name: Option<String>,
        change: impl FnOnce(&mut TenantSettings) + Send + 'static,
    ) -> Result<(Tenant, TenantSettings)> {
        let id = scope.tenant().clone();
        self.write(move |transaction| {
            let at = keys::tenant(&id);
            let mut tenant: Tenant = transaction.get(&at)?.ok_or_else(tenant_not_found)?;
            if let Some(name) = name {
                tenant.name = name;
                transaction.put(at, &tenant)?;
            }
            let mut settings = settings(transaction, &id)?;
            change(&mut settings);
            transaction.put(keys::settings(&id), &settings)?;
            Ok((tenant, settings))
        })
        .await
    }

    /// The limits of a tenant for which nothing else was set.
    pub fn default_limits(&self) -> Amounts {
        self.inner.default_limits
    }

    /// All tenants, by id.
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        self.read(|view| view.scan(&keys::tenants(), None).collect()).await
    }
}

/// Defaults where nothing was set.
pub(super) fn settings(read: &impl Read, tenant: &TenantId) -> Result<TenantSettings> {
    Ok(read.get(&keys::settings(tenant))?.unwrap_or_default())
}

/// Errors unless `tenant` exists: nothing is made inside a tenant that does not.
pub(super) fn require_tenant(transaction: &Transaction<'_>, tenant: &TenantId) -> Result<()> {
    if transaction.has(&keys::tenant(tenant))? { Ok(()) } else { Err(tenant_not_found()) }
}
