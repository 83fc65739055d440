//! An institution or an account, and the proof that a caller may act inside one.

use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    actor::{Actor, Realm},
    right::{Author, Right},
};
use crate::{
    ids::TenantId,
    people::{enrolment::EnrolmentPolicy, kept_photo::PhotoRules},
    recognition::{gallery::GalleryPlan, liveness::LivenessPolicy},
};
use error::{Error, Result};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Unique on the server.
    pub id: TenantId,
    /// Any Unicode, 1–200 characters.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What may be done in it.
    pub standing: Standing,
}

/// What may be done in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Everything.
    Active,
    /// Nothing, until the operator says otherwise; all that it has is kept.
    Suspended,
    /// Nothing any more: its records are being removed, and it is gone with the last of them.
    Deleting,
}

/// What the operator has set for a tenant, or its own admin; what is missing is the server's default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TenantSettings {
    /// The most people.
    pub max_people: Option<u64>,
    /// The most groups.
    pub max_groups: Option<u64>,
    /// The most face samples.
    pub max_samples: Option<u64>,
    /// How its gallery is searched.
    pub gallery_plan: Option<GalleryPlan>,
    /// What its people's images must be like.
    pub enrolment: EnrolmentPolicy,
    /// What it takes to be named.
    pub matching: MatchingSettings,
    /// How live a face must be to be marked; a request may be stricter.
    pub liveness: LivenessPolicy,
    /// IANA name, checked by [`checked_time_zone`](crate::attendance::group::checked_time_zone): where its days end, and where its new groups are.
    pub time_zone: Option<String>,
    /// The most requests in a second; 0 is no limit.
    pub requests_per_second: Option<u64>,
    /// The most photos in a local day; 0 is no limit.
    pub photos_per_day: Option<u64>,
    /// Which photos of its people are kept.
    pub photos: PhotoRules,
    /// For how many days faces that nobody was named for are kept; 0 keeps none.
    pub unknown_faces_days: u32,
}

/// A tenant's own rules of naming; what is missing is the server's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MatchingSettings {
    /// The least similarity within a roster, raw cosine.
    pub roster_threshold: Option<f32>,
    /// The same in the whole gallery.
    pub gallery_threshold: Option<f32>,
    /// The least lead over the next person.
    pub margin: Option<f32>,
}

/// How much work a tenant may ask for; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quotas {
    /// Requests in a second, and as many at once.
    pub requests_per_second: u64,
    /// Photos in a day of the tenant's time zone.
    pub photos_per_day: u64,
}

/// How many photos a tenant has sent on a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotosOfDay {
    /// The tenant's local date.
    pub date: Date,
    /// So many.
    pub photos: u64,
}

/// How much of each kind, whether counted or allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Amounts {
    /// People.
    pub people: u64,
    /// Groups.
    pub groups: u64,
    /// Face samples.
    pub samples: u64,
}

impl TenantSettings {
    /// The limits in force where the server's own are `defaults`.
    pub fn limits(&self, defaults: Amounts) -> Amounts {
        Amounts {
            people: self.max_people.unwrap_or(defaults.people),
            groups: self.max_groups.unwrap_or(defaults.groups),
            samples: self.max_samples.unwrap_or(defaults.samples),
        }
    }

    /// The quotas in force where the server's own are `defaults`.
    pub fn quotas(&self, defaults: Quotas) -> Quotas {
        Quotas {
            requests_per_second: self.requests_per_second.unwrap_or(defaults.requests_per_second),
            photos_per_day: self.photos_per_day.unwrap_or(defaults.photos_per_day),
        }
    }

    /// The name of the zone that its days are in.
    pub fn time_zone(&self) -> &str {
        self.time_zone.as_deref().unwrap_or("UTC")
    }

    /// That zone.
    pub fn zone(&self) -> Result<TimeZone> {
        TimeZone::get(self.time_zone()).map_err(|error| {
            Error::internal("the tenant's time zone is no longer in the time zone database").with_source(error)
        })
    }

    /// The time of `at` in that zone.
    pub fn local_time(&self, at: Timestamp) -> Result<Zoned> {
        Ok(at.to_zoned(self.zone()?))
    }
}

/// The right to act inside one tenant. Every function that touches a tenant's data takes one, so a caller
/// that forgot to ask for it does not compile. It also says whose act it is, and what that was let in for: the store
/// compares it in the transaction of every write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantScope {
    tenant: TenantId,
    right: Right,
}

impl TenantScope {
    /// Grants the machine's own right. To be called only where a key has been checked, or on the machine itself by the
    /// command line, which can read the data folder anyway.
    pub fn granted(tenant: TenantId) -> Self {
        Self { tenant, right: Right::of_machine() }
    }

    /// The same tenant, by another right.
    #[must_use]
    pub fn by(self, right: Right) -> Self {
        Self { right, ..self }
    }

    /// By which right.
    pub fn right(&self) -> &Right {
        &self.right
    }

    /// Whose act it is.
    pub fn actor(&self) -> &Actor {
        self.right.actor()
    }

    /// Whose changes are made with it.
    pub fn author(&self) -> Author {
        Author { realm: Realm::Tenant(self.tenant.clone()), right: self.right.clone() }
    }

    /// Whose data it opens.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}
