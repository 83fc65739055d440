//! What the operator sees and sets of a tenant.

use std::{mem, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::{
    Service,
    access::{self, OperatorScope},
    to_completion,
};
use crate::{
    domain::{
        Amounts, DuplicatePolicy, EnrolmentPolicy, GalleryPlan, QualityGate, Standing, Tenant, TenantId, TenantScope,
        TenantSettings, attendance::LivenessPolicy, ids::checked_name,
    },
    error::{Error, Result},
    store::TenantRecord,
};

/// A tenant, as the operator sees it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TenantView {
    /// Unique on the server.
    pub id: TenantId,
    /// 1–200 characters.
    pub name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Whether its keys are refused for the time being.
    pub suspended: bool,
    /// What it may have: its own limits, the server's where it has none.
    pub limits: Amounts,
    /// What it has.
    pub usage: Amounts,
    /// How its gallery is searched; null as the server is configured.
    pub gallery_plan: Option<GalleryPlan>,
    /// What its people's images must be like.
    pub enrolment: EnrolmentPolicy,
}

/// A page of tenants.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TenantPage {
    /// In the order of their ids.
    pub tenants: Vec<TenantView>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<TenantId>,
}

/// What can be changed of a tenant; what is missing stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantPatch {
    /// 1–200 characters.
    pub name: Option<String>,
    /// Whether its keys are refused, from the next request on; nothing of it is lost.
    pub suspended: Option<bool>,
    /// Limits of its own.
    #[serde(default)]
    pub limits: LimitsPatch,
    /// How its gallery is searched; null as the server is configured.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<GalleryPlan>)]
    pub gallery_plan: Option<Option<GalleryPlan>>,
    /// What its people's images must be like from now on.
    #[serde(default)]
    pub enrolment: EnrolmentPatch,
}

/// Rules of enrolment; what is missing stays.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentPatch {
    /// What an image must be like; a request may be stricter.
    pub quality: Option<QualityGate>,
    /// What happens to a face that is already someone else's.
    pub duplicates: Option<DuplicatePolicy>,
    /// Whether the face must be live.
    pub liveness: Option<LivenessPolicy>,
}

/// Limits of a tenant; null is the server's again, what is missing stays. One below the use refuses further growth and
/// removes nothing.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsPatch {
    /// The most people.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub people: Option<Option<u64>>,
    /// The most groups.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub groups: Option<Option<u64>>,
    /// The most face samples.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub samples: Option<Option<u64>>,
}

/// Tells a null from a field that is not there.
#[expect(clippy::option_option, reason = "the outer is whether it was given, the inner whether it is null")]
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(field: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(field).map(Some)
}

impl Service {
    /// A page of tenants after the id `after`.
    pub async fn tenants(
        &self,
        _operator: &OperatorScope,
        after: Option<&TenantId>,
        limit: usize,
    ) -> Result<TenantPage> {
        let mut tenants = self.store.tenants(after, limit + 1).await?;
        let more = tenants.len() > limit;
        tenants.truncate(limit);
        let next = tenants.last().filter(|_| more).map(|record| record.tenant.id.clone());
        Ok(TenantPage { tenants: tenants.into_iter().map(|record| self.tenant_view(record)).collect(), next })
    }

    /// A tenant.
    ///
    /// # Errors
    /// `NotFound` `tenant_not_found`.
    pub async fn tenant(&self, _operator: &OperatorScope, id: &TenantId) -> Result<TenantView> {
        let record = self.store.tenant_record(&TenantScope::granted(id.clone())).await?;
        Ok(self.tenant_view(record))
    }

    /// Changes a tenant.
    ///
    /// # Errors
    /// `NotFound` `tenant_not_found`, `Invalid` `invalid_name`.
    pub async fn update_tenant(
        &self,
        _operator: &OperatorScope,
        id: &TenantId,
        patch: TenantPatch,
    ) -> Result<TenantView> {
        let TenantPatch { name, suspended, limits, gallery_plan, enrolment } = patch;
        let name = name.as_deref().map(checked_name).transpose()?;
        let scope = TenantScope::granted(id.clone());
        let change = move |tenant: &mut Tenant, settings: &mut TenantSettings| {
            tenant.name = name.unwrap_or_else(|| mem::take(&mut tenant.name));
            tenant.standing = match suspended {
                Some(true) => Standing::Suspended,
                Some(false) => Standing::Active,
                None => tenant.standing,
            };
            settings.max_people = limits.people.unwrap_or(settings.max_people);
            settings.max_groups = limits.groups.unwrap_or(settings.max_groups);
            settings.max_samples = limits.samples.unwrap_or(settings.max_samples);
            settings.gallery_plan = gallery_plan.unwrap_or(settings.gallery_plan);
            let rules = &mut settings.enrolment;
            rules.quality = enrolment.quality.unwrap_or(rules.quality);
            rules.duplicates = enrolment.duplicates.unwrap_or(rules.duplicates);
            rules.liveness = enrolment.liveness.unwrap_or(rules.liveness);
        };
        let record = self.store.update_tenant(&scope, change).await?;
        if gallery_plan.is_some() || suspended == Some(true) {
            // Loaded again with the new plan by the next search. With it goes what is done for it in the background.
            self.galleries.unload(&scope);
        }
        Ok(self.tenant_view(record))
    }

    /// Deletes a tenant with all its data and its keys. It is gone for every request from here on; returns when its
    /// last record is. A deletion that is under way is waited for.
    ///
    /// # Errors
    /// `NotFound` `tenant_not_found`; `Storage` if a record or the key's file cannot be removed: deleting it again, or a
    /// start of the server, goes on from there.
    pub async fn delete_tenant(&self, _operator: &OperatorScope, id: &TenantId) -> Result<()> {
        let (service, scope) = (self.clone(), TenantScope::granted(id.clone()));
        to_completion(async move {
            service.store.begin_deletion(&scope).await?;
            service.finish_deletion(&scope).await
        })
        .await
    }

    /// Goes on with deletions that a crash cut short.
    pub async fn finish_deletions(self) {
        let finished = async {
            for tenant in self.store.unfinished_deletions().await? {
                tracing::info!("removing what is left of a deleted tenant");
                self.finish_deletion(&TenantScope::granted(tenant)).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = finished.await {
            tracing::error!(%error, "a deleted tenant cannot be removed: the next start tries again");
        }
    }

    async fn finish_deletion(&self, scope: &TenantScope) -> Result<()> {
        self.galleries.unload(scope);
        let (data, tenant) = (Arc::clone(&self.data), scope.tenant().clone());
        spawn_blocking(move || access::remove_tenant_key(&data, &tenant))
            .await
            .map_err(|lost| Error::internal("a key file was not removed").with_source(lost))??;
        self.store.finish_deletion(scope).await
    }

    fn tenant_view(&self, record: TenantRecord) -> TenantView {
        let TenantRecord { tenant, settings, usage } = record;
        TenantView {
            id: tenant.id,
            name: tenant.name,
            created_at: tenant.created_at,
            suspended: tenant.standing == Standing::Suspended,
            limits: settings.limits(self.store.default_limits()),
            usage,
            gallery_plan: settings.gallery_plan,
            enrolment: settings.enrolment,
        }
    }
}
