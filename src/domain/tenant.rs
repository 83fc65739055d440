//! An institution or an account, and the proof that a caller may act inside one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::TenantId;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Unique on the server.
    pub id: TenantId,
    /// Any Unicode, 1–200 characters.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
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
