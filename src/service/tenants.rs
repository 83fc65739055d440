//! What the operator sees and sets of a tenant.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Service, access::OperatorScope, fields::given};
use crate::{
    domain::{
        Amounts, ConsentPolicy, DuplicatePolicy, EnrolmentPolicy, GalleryPlan, QualityGate, Tenant, TenantId,
        TenantScope, TenantSettings, attendance::LivenessPolicy, ids::checked_name,
    },
    error::Result,
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
    /// What it may have: its own limits, the server's where it has none.
    pub limits: Amounts,
    /// What it has.
    pub usage: Amounts,
    /// How its gallery is searched; null as the server is configured.
    pub gallery_plan: Option<GalleryPlan>,
    /// What its people's images must be like.
    pub enrolment: EnrolmentPolicy,
}

/// What can be changed of a tenant; what is missing stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantPatch {
    /// 1–200 characters.
    pub name: Option<String>,
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
    /// Whether people need a consent, to be enrolled and to be found.
    pub consent: Option<ConsentPolicy>,
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

impl Service {
    /// A tenant.
    ///
    /// # Errors
    /// `NotFound` `tenant_not_found`.
    pub async fn tenant(&self, _operator: &OperatorScope, id: &TenantId) -> Result<TenantView> {
        let scope = TenantScope::granted(id.clone());
        let tenant = self.store.tenant(&scope).await?;
        let settings = self.store.tenant_settings(&scope).await?;
        self.tenant_view(&scope, tenant, settings).await
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
        let TenantPatch { name, limits, gallery_plan, enrolment } = patch;
        let name = name.as_deref().map(checked_name).transpose()?;
        let scope = TenantScope::granted(id.clone());
        let change = move |settings: &mut TenantSettings| {
            settings.max_people = limits.people.unwrap_or(settings.max_people);
            settings.max_groups = limits.groups.unwrap_or(settings.max_groups);
            settings.max_samples = limits.samples.unwrap_or(settings.max_samples);
            settings.gallery_plan = gallery_plan.unwrap_or(settings.gallery_plan);
            let rules = &mut settings.enrolment;
            rules.quality = enrolment.quality.unwrap_or(rules.quality);
            rules.duplicates = enrolment.duplicates.unwrap_or(rules.duplicates);
            rules.liveness = enrolment.liveness.unwrap_or(rules.liveness);
            rules.consent = enrolment.consent.unwrap_or(rules.consent);
        };
        let (tenant, settings) = self.store.update_tenant(&scope, name, change).await?;
        if gallery_plan.is_some() || enrolment.consent.is_some() {
            // Loaded again by the new rules by the next search.
            self.galleries.unload(&scope);
        }
        self.tenant_view(&scope, tenant, settings).await
    }

    async fn tenant_view(&self, scope: &TenantScope, tenant: Tenant, settings: TenantSettings) -> Result<TenantView> {
        Ok(TenantView {
            id: tenant.id,
            name: tenant.name,
            created_at: tenant.created_at,
            limits: settings.limits(self.store.default_limits()),
            usage: self.store.usage(scope).await?,
            gallery_plan: settings.gallery_plan,
            enrolment: settings.enrolment,
        })
    }
}
