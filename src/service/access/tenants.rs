//! What the operator sees and sets of a tenant, and what its own admin does.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    OperatorScope,
    first_start::{FIRST_KEY, OPERATOR, remove_tenant_key},
    keys::SecretKey,
};
use crate::{
    domain::{
        Amounts, ConsentPolicy, DuplicatePolicy, EnrolmentPolicy, GalleryPlan, Grant, MatchingSettings, PhotoPolicy,
        QualityGate, Quotas, Standing, Tenant, TenantId, TenantScope, TenantSettings,
        attendance::{group::checked_time_zone, stranger::check_days},
        ids::checked_name,
        people::kept_photo::check_retention,
        recognition::liveness::LivenessPolicy,
    },
    error::{Error, Result},
    runtime::spawn_blocking,
    service::{RuleChanges, access::Service, fields::given, to_completion},
    store::{Erasure, TenantRecord},
};

/// A tenant, as the operator and its own admin see it.
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
    pub limits: LimitsView,
    /// What it has.
    pub usage: UsageView,
    /// How its gallery is searched; null as the server is configured.
    pub gallery_plan: Option<GalleryPlan>,
    /// What its people's images must be like.
    pub enrolment: EnrolmentPolicy,
    /// What it takes to be named; null as the server is configured.
    pub matching: MatchingSettings,
    /// How live a face must be to be marked; a request may be stricter.
    pub liveness: LivenessPolicy,
    /// IANA name: where its days end, and where its new groups are; null for UTC.
    pub time_zone: Option<String>,
    /// Which photos of its people are kept.
    pub photos: PhotoPolicy,
    /// For how many days; null as long as the sample that was made of the photo.
    pub photo_retention_days: Option<u32>,
    /// For how many days the faces that nobody was named for are kept with their session; 0 keeps none.
    pub unknown_faces_days: u32,
}

/// What a tenant may have and ask for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct LimitsView {
    /// What it may have.
    #[serde(flatten)]
    pub amounts: Amounts,
    /// How much work it may ask for; 0 is no limit.
    #[serde(flatten)]
    pub quotas: Quotas,
}

/// What a tenant has and has asked for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct UsageView {
    /// What it has.
    #[serde(flatten)]
    pub amounts: Amounts,
    /// Photos that it has sent on the present day of its time zone.
    pub photos_today: u64,
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
    /// What it takes to be named from now on.
    #[serde(default)]
    pub matching: MatchingPatch,
    /// How live a face must be to be marked; a request may be stricter.
    pub liveness: Option<LivenessPolicy>,
    /// IANA name; null for UTC. Groups that exist keep theirs.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub time_zone: Option<Option<String>>,
    /// Which photos of its people are kept from now on; `off` removes those that are kept.
    pub photos: Option<PhotoPolicy>,
    /// For how many days photos are kept, those that are there too; null as long as their samples.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, maximum = 36_500)]
    pub photo_retention_days: Option<Option<u32>>,
    /// For how many days the faces that nobody was named for are kept with their session, those that are there too; 0
    /// keeps none, and removes them.
    #[schema(maximum = 365)]
    pub unknown_faces_days: Option<u32>,
}

/// What a tenant's own admin can change of it: all but its limits and whether it is suspended, which are the operator's.
/// What is missing stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsPatch {
    /// 1–200 characters.
    pub name: Option<String>,
    /// How its gallery is searched; null as the server is configured.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<GalleryPlan>)]
    pub gallery_plan: Option<Option<GalleryPlan>>,
    /// What its people's images must be like from now on.
    #[serde(default)]
    pub enrolment: EnrolmentPatch,
    /// What it takes to be named from now on.
    #[serde(default)]
    pub matching: MatchingPatch,
    /// How live a face must be to be marked; a request may be stricter.
    pub liveness: Option<LivenessPolicy>,
    /// IANA name; null for UTC. Groups that exist keep theirs.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub time_zone: Option<Option<String>>,
    /// Which photos of its people are kept from now on; `off` removes those that are kept.
    pub photos: Option<PhotoPolicy>,
    /// For how many days photos are kept, those that are there too; null as long as their samples.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, maximum = 36_500)]
    pub photo_retention_days: Option<Option<u32>>,
    /// For how many days the faces that nobody was named for are kept with their session, those that are there too; 0
    /// keeps none, and removes them.
    #[schema(maximum = 365)]
    pub unknown_faces_days: Option<u32>,
}

impl From<SettingsPatch> for TenantPatch {
    fn from(patch: SettingsPatch) -> Self {
        // All of them by name: what is added to the one cannot be forgotten here.
        let SettingsPatch {
            name,
            gallery_plan,
            enrolment,
            matching,
            liveness,
            time_zone,
            photos,
            photo_retention_days,
            unknown_faces_days,
        } = patch;
        Self {
            name,
            suspended: None,
            limits: LimitsPatch::default(),
            gallery_plan,
            enrolment,
            matching,
            liveness,
            time_zone,
            photos,
            photo_retention_days,
            unknown_faces_days,
        }
    }
}

/// Rules of naming; null is the server's again, what is missing stays.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchingPatch {
    /// The least similarity within a roster, raw cosine.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f32>)]
    pub roster_threshold: Option<Option<f32>>,
    /// The same in the whole gallery.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f32>)]
    pub gallery_threshold: Option<Option<f32>>,
    /// The least lead over the next person.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f32>)]
    pub margin: Option<Option<f32>>,
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
    /// The most requests in a second, and as many at once; 0 is no limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub requests_per_second: Option<Option<u64>>,
    /// The most photos in a day of its time zone; 0 is no limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub photos_per_day: Option<Option<u64>>,
}

impl TenantPatch {
    /// The patch with its texts in their usual spelling.
    fn checked(mut self) -> Result<Self> {
        self.name = self.name.as_deref().map(checked_name).transpose()?;
        if let Some(Some(time_zone)) = &mut self.time_zone {
            *time_zone = checked_time_zone(time_zone)?;
        }
        check_retention(self.photo_retention_days.flatten())?;
        check_days(self.unknown_faces_days.unwrap_or_default())?;
        let MatchingPatch { roster_threshold, gallery_threshold, margin } = self.matching;
        for threshold in [roster_threshold, gallery_threshold] {
            RuleChanges { threshold: threshold.flatten(), margin: margin.flatten() }.check()?;
        }
        Ok(self)
    }

    fn apply(self, tenant: &mut Tenant, settings: &mut TenantSettings) {
        let Self {
            name,
            suspended,
            limits,
            gallery_plan,
            enrolment,
            matching,
            liveness,
            time_zone,
            photos,
            photo_retention_days,
            unknown_faces_days,
        } = self;
        set(&mut tenant.name, name);
        let standing = |suspended| if suspended { Standing::Suspended } else { Standing::Active };
        set(&mut tenant.standing, suspended.map(standing));
        set(&mut settings.max_people, limits.people);
        set(&mut settings.max_groups, limits.groups);
        set(&mut settings.max_samples, limits.samples);
        set(&mut settings.requests_per_second, limits.requests_per_second);
        set(&mut settings.photos_per_day, limits.photos_per_day);
        set(&mut settings.gallery_plan, gallery_plan);
        set(&mut settings.enrolment.quality, enrolment.quality);
        set(&mut settings.enrolment.duplicates, enrolment.duplicates);
        set(&mut settings.enrolment.liveness, enrolment.liveness);
        set(&mut settings.enrolment.consent, enrolment.consent);
        set(&mut settings.matching.roster_threshold, matching.roster_threshold);
        set(&mut settings.matching.gallery_threshold, matching.gallery_threshold);
        set(&mut settings.matching.margin, matching.margin);
        set(&mut settings.liveness, liveness);
        set(&mut settings.time_zone, time_zone);
        set(&mut settings.photos.policy, photos);
        set(&mut settings.photos.retention_days, photo_retention_days);
        set(&mut settings.unknown_faces_days, unknown_faces_days);
    }
}

/// What is not given stays.
fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}

impl Service {
    /// Makes a tenant and its first key, which may do everything in it.
    ///
    /// # Errors
    /// `Conflict` if the id is taken, `Invalid` `invalid_id` for `operator`, and for one that its files cannot be named by.
    pub async fn create_tenant(
        &self,
        operator: &OperatorScope,
        id: Option<TenantId>,
        name: &str,
    ) -> Result<(Tenant, SecretKey)> {
        if id.as_ref().is_some_and(|id| id.as_str() == OPERATOR) {
            return Err(Error::invalid("a tenant cannot have the id operator").with_code("invalid_id"));
        }
        id.as_ref().map_or(Ok(()), TenantId::require_file_name)?;
        let tenant = Tenant {
            id: id.unwrap_or_else(TenantId::generate),
            name: checked_name(name)?,
            created_at: self.clock.now(),
            standing: Standing::Active,
        };
        let key = SecretKey::generate()?;
        let stored = key.hashed(FIRST_KEY.into(), Grant::admin(tenant.id.clone()), tenant.created_at);
        self.store.create_tenant(operator.right(), tenant.clone(), stored).await?;
        Ok((tenant, key))
    }

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
        let tenants = tenants.into_iter().map(|record| self.tenant_view(record)).collect::<Result<_>>()?;
        Ok(TenantPage { tenants, next })
    }

    /// A tenant.
    ///
    /// # Errors
    /// `NotFound` `tenant_not_found`.
    pub async fn tenant(&self, _operator: &OperatorScope, id: &TenantId) -> Result<TenantView> {
        let record = self.store.tenant_record(&TenantScope::granted(id.clone())).await?;
        self.tenant_view(record)
    }

    /// The tenant of `scope`, for its own admin.
    pub async fn settings(&self, scope: &TenantScope) -> Result<TenantView> {
        self.tenant_view(self.store.tenant_record(scope).await?)
    }

    /// Changes the settings of the tenant of `scope`, for its own admin.
    ///
    /// # Errors
    /// `Invalid` `invalid_name`, `invalid_threshold`, `invalid_margin`, `invalid_time_zone` or `invalid_retention`.
    pub async fn update_settings(&self, scope: &TenantScope, patch: SettingsPatch) -> Result<TenantView> {
        self.change_tenant(scope, patch.into()).await
    }

    /// Changes a tenant.
    ///
    /// # Errors
    /// `NotFound` `tenant_not_found`, `Invalid` `invalid_name`, `invalid_threshold`, `invalid_margin`,
    /// `invalid_time_zone` or `invalid_retention`.
    pub async fn update_tenant(
        &self,
        operator: &OperatorScope,
        id: &TenantId,
        patch: TenantPatch,
    ) -> Result<TenantView> {
        self.change_tenant(&TenantScope::granted(id.clone()).by(operator.right().clone()), patch).await
    }

    /// [`Self::update_tenant`] for whoever may make this change.
    pub(in crate::service) async fn change_tenant(
        &self,
        scope: &TenantScope,
        patch: TenantPatch,
    ) -> Result<TenantView> {
        let patch = patch.checked()?;
        let record =
            self.store.update_tenant(scope, move |tenant, settings| patch.clone().apply(tenant, settings)).await?;
        self.tenant_view(record)
    }

    /// Deletes a tenant with all its data and its keys. It is gone for every request from here on; returns when its
    /// last record is. A deletion that is under way is waited for. Returns the erasure, unless it was noted by another
    /// that had begun before.
    ///
    /// # Errors
    /// `NotFound` `tenant_not_found`; `Storage` if a record or the key's file cannot be removed: deleting it again, or a
    /// start of the server, goes on from there.
    pub async fn delete_tenant(&self, operator: &OperatorScope, id: &TenantId) -> Result<Option<Erasure>> {
        let (service, scope) = (self.clone(), TenantScope::granted(id.clone()).by(operator.right().clone()));
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

    async fn finish_deletion(&self, scope: &TenantScope) -> Result<Option<Erasure>> {
        let (data, vault, tenant) = (Arc::clone(&self.data), self.vault.clone(), scope.tenant().clone());
        spawn_blocking(move || remove_tenant_key(&data, &tenant).and_then(|()| vault.remove_tenant(&tenant)))
            .await
            .map_err(|lost| Error::internal("a tenant's files were not removed").with_source(lost))??;
        self.desk.spool.remove_tenant(scope.tenant()).await?;
        let erasure = self.store.finish_deletion(scope, self.clock.now()).await?;
        self.quotas.forget(scope);
        Ok(erasure)
    }

    fn tenant_view(&self, record: TenantRecord) -> Result<TenantView> {
        let photos_today = self.quotas.photos_today(&record)?;
        let TenantRecord { tenant, settings, usage, .. } = record;
        let amounts = settings.limits(self.store.default_limits());
        Ok(TenantView {
            id: tenant.id,
            name: tenant.name,
            created_at: tenant.created_at,
            suspended: tenant.standing == Standing::Suspended,
            limits: LimitsView { amounts, quotas: self.quotas.of(&settings) },
            usage: UsageView { amounts: usage, photos_today },
            gallery_plan: settings.gallery_plan,
            enrolment: settings.enrolment,
            matching: settings.matching,
            liveness: settings.liveness,
            time_zone: settings.time_zone,
            photos: settings.photos.policy,
            photo_retention_days: settings.photos.retention_days,
            unknown_faces_days: settings.unknown_faces_days,
        })
    }
}
