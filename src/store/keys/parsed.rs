//! What a key says, read from its bytes.

use std::fmt;

use super::{
    ACCESS, Access, DATA, Kind, Server,
    parts::{KeyPart, Parts},
};
use crate::domain::{Realm, TenantId};

/// What a key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Parsed {
    Server(Server),
    Access(Realm, Access),
    /// A record of a tenant.
    Data(TenantId, Kind),
}

impl Parsed {
    /// What such a record is called.
    pub(in crate::store) const fn name(&self) -> &'static str {
        match self {
            Self::Server(kind) => kind.name(),
            Self::Access(_, kind) => kind.name(),
            Self::Data(_, kind) => kind.name(),
        }
    }

    /// The key that says so.
    #[cfg(any(test, fuzzing))]
    pub(in crate::store) fn key(&self) -> super::Key {
        match self {
            Self::Server(kind) => kind.key(()),
            Self::Access(realm, kind) => kind.key(realm),
            Self::Data(tenant, kind) => kind.key(tenant),
        }
    }
}

/// For the operator, who looks for a record.
impl fmt::Display for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(kind) => kind.fmt(f),
            Self::Access(Realm::Server, kind) => write!(f, "server {kind}"),
            Self::Access(Realm::Tenant(tenant), kind) => write!(f, "tenant {tenant} {kind}"),
            Self::Data(tenant, kind) => write!(f, "tenant {tenant} {kind}"),
        }
    }
}

/// Reads a key; `None` for one that nothing here makes.
pub(in crate::store) fn parse(key: &[u8]) -> Option<Parsed> {
    let (first, rest) = key.split_first()?;
    let mut parts = Parts(rest);
    let parsed = match *first {
        ACCESS => Parsed::Access(Realm::take(&mut parts)?, Access::take(&mut parts)?),
        DATA => Parsed::Data(TenantId::take(&mut parts)?, Kind::take(&mut parts)?),
        _ => {
            parts = Parts(key);
            Parsed::Server(Server::take(&mut parts)?)
        }
    };
    parts.is_empty().then_some(parsed)
}
