//! A student or a user.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::PersonId;

/// The most face samples one person may have.
pub const MAX_FACES_A_PERSON: usize = 100;

/// A person of a tenant. Their groups and face samples are records of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Unique in the tenant.
    pub id: PersonId,
    /// Any Unicode, 1–200 characters.
    pub name: String,
    /// When they were enrolled.
    pub created_at: Timestamp,
}
