//! An institution or an account, and the proof that a caller may act inside one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{enrolment::EnrolmentPolicy, gallery::GalleryPlan, ids::TenantId};

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Everything.
    #[default]
    Active,
    /// Nothing, until the operator says otherwise; all that it has is kept.
    Suspended,
    /// Nothing any more: its records are being removed, and it is gone with the last of them.
    Deleting,
}

/// What the operator has set for a tenant; what is missing is the server's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// The right to act inside one tenant. Every function that touches a tenant's data takes one, so a caller
/// that forgot to ask for it does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantScope {
    tenant: TenantId,
}

impl TenantScope {
    /// Grants the right. To be called only where a key has been checked, or on the machine itself by the
    /// command line, which can read the data folder anyway.
    pub fn granted(tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// Whose data it opens.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}
