//! The only place where keys are made: of the kinds that [`records`](super::records) lists.
//!
//! Identifiers never hold a zero byte (see [`crate::domain::ids`]), so each is ended by one: no identifier's key
//! is a prefix of another's, and keys sort as the identifiers' bytes do, which is the order of cursors. A tenant's
//! records all lie under the tenant's own prefix, so one tenant's ids cannot reach another's records.

mod parsed;
pub(super) mod parts;
#[cfg(test)]
mod tests;

pub(super) use self::parsed::{Parsed, parse};
use self::parts::{Part, Parts};
pub(super) use super::records::*;
use crate::domain::{ErasureId, GroupSessionId, Pseudonym, Realm, TenantId};

/// A key, or the prefix of several.
pub(super) type Key = Vec<u8>;
/// Stands for a person's id, see [`pseudonyms`](super::people::pseudonyms).
pub(super) type PersonDigest = [u8; 32];
/// Stands for the beginning of a word of a person, likewise.
pub(super) type WordDigest = [u8; 8];

/// What keys of [`Access`] begin with.
pub(super) const ACCESS: u8 = b'a';
/// What keys of [`Kind`] begin with.
pub(super) const DATA: u8 = b'd';

/// Few keys are longer.
const KEY_BYTES: usize = 64;

fn key(first: u8) -> Key {
    let mut key = Vec::with_capacity(KEY_BYTES);
    key.push(first);
    key
}

/// The beginning of a key of [`Server`].
pub(super) fn server(letter: u8) -> Key {
    key(letter)
}

/// The beginning of a key of [`Access`].
pub(super) fn access(realm: &Realm, letter: u8) -> Key {
    key(ACCESS).with::<Realm>(realm).fixed(&[letter])
}

/// The beginning of a key of [`Kind`].
pub(super) fn data(tenant: &TenantId, letter: u8) -> Key {
    data_of(tenant).fixed(&[letter])
}

/// All that lies under the tenant's own prefix.
pub(super) fn data_of(tenant: &TenantId) -> Key {
    key(DATA).text(tenant.as_str())
}

/// The key of the tenant that a record belongs to; `None` for a record of no tenant. Of what lies under [`Access`], the
/// audit log alone: who adds a user or a key looks for the tenant.
pub(super) fn owner(key: &[u8]) -> Option<Key> {
    let (&first, rest) = key.split_first()?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let is_owned = match first {
        DATA => true,
        ACCESS if end > 0 => matches!(
            Access::take(&mut Parts(&rest[end + 1..])),
            Some(Access::AuditEntry(_) | Access::AuditHead | Access::AuditSalt)
        ),
        _ => false,
    };
    is_owned.then(|| tenants().fixed(&rest[..=end]))
}

/// Of somebody in a tenant, or of a tenant of the server.
pub(super) fn erasure(realm: &Realm, erasure: ErasureId) -> Key {
    match realm {
        Realm::Server => tenant_erasure(erasure),
        Realm::Tenant(tenant) => person_erasure(tenant, erasure),
    }
}

pub(super) fn erasures(realm: &Realm) -> Key {
    match realm {
        Realm::Server => tenant_erasures(),
        Realm::Tenant(tenant) => person_erasures(tenant),
    }
}

/// Of a tenant, or of the operator.
pub(super) fn answer(tenant: Option<&TenantId>, id: &[u8; 32]) -> Key {
    tenant.map_or_else(|| operator_answer(id), |tenant| tenant_answer(tenant, id))
}

pub(super) fn answers(tenant: Option<&TenantId>) -> Key {
    tenant.map_or_else(operator_answers, tenant_answers)
}

/// The number at the end of an event's key, or of one that names an event.
pub(super) fn event_number(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The person of a key that [`face`] made.
pub(super) fn owner_of_face(key: &[u8]) -> Option<Pseudonym> {
    let (rest, _face) = key.split_last_chunk::<16>()?;
    person_of(rest)
}

/// The person of a key that [`attendance`] or [`sheet_block`] made.
pub(super) fn person_of(key: &[u8]) -> Option<Pseudonym> {
    key.last_chunk().copied().map(Pseudonym::from_bytes)
}

/// The session of a key that [`sighting`] made.
pub(super) fn session_of_sighting(key: &[u8]) -> Option<GroupSessionId> {
    key.last_chunk().copied().map(GroupSessionId::from_bytes)
}
