//! Who acts, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{KeyId, TenantId, UserId};

/// Whose act something is. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Actor {
    /// Somebody who logged in.
    User(UserId),
    /// A program with a key.
    Key(KeyId),
    /// A command on the machine itself.
    Machine,
    /// Somebody who was not let in.
    Nobody,
}

/// As the audit log has it: `user:ID`, `key:ID`, `machine` or `nobody`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{user}"),
            Self::Key(key) => write!(f, "key:{key}"),
            Self::Machine => f.write_str("machine"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

/// What users and keys belong to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Realm {
    /// The server itself: its operators.
    Server,
    /// One tenant.
    Tenant(TenantId),
}
