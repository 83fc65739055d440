//! Keys of the tenants, and of what is kept of each as a whole.

use super::{
    Key,
    letters::{ACCESS, AUDIT_ENTRY, AUDIT_HEAD, AUDIT_SALT, CHUNK, DATA, PHOTOS, SETTINGS, SNAPSHOT, TENANT, USAGE},
    parts::Part,
};
use crate::domain::TenantId;

pub(in crate::store) fn tenant(tenant: &TenantId) -> Key {
    tenants().text(tenant.as_str())
}

pub(in crate::store) fn tenants() -> Key {
    vec![TENANT]
}

/// All that lies under the tenant's own prefix.
pub(in crate::store) fn data_of(tenant: &TenantId) -> Key {
    vec![DATA].text(tenant.as_str())
}

pub(super) fn data(tenant: &TenantId, kind: u8) -> Key {
    data_of(tenant).fixed(&[kind])
}

/// The key of the tenant that a record belongs to; `None` for a record of no tenant. Of what lies under `access`, the
/// audit log alone: who adds a user or a key looks for the tenant.
pub(in crate::store) fn owner(key: &[u8]) -> Option<Key> {
    let (&prefix, rest) = key.split_first()?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let is_owned = match prefix {
        DATA => true,
        ACCESS => end > 0 && [AUDIT_ENTRY, AUDIT_HEAD, AUDIT_SALT].contains(rest.get(end + 1)?),
        _ => false,
    };
    is_owned.then(|| tenants().fixed(&rest[..=end]))
}

pub(in crate::store) fn settings(tenant: &TenantId) -> Key {
    data(tenant, SETTINGS)
}

pub(in crate::store) fn usage(tenant: &TenantId) -> Key {
    data(tenant, USAGE)
}

pub(in crate::store) fn photos(tenant: &TenantId) -> Key {
    data(tenant, PHOTOS)
}

pub(in crate::store) fn snapshot(tenant: &TenantId) -> Key {
    data(tenant, SNAPSHOT)
}

pub(in crate::store) fn chunk(tenant: &TenantId, generation: u64, number: u32) -> Key {
    chunks_of(tenant, generation).fixed(&number.to_be_bytes())
}

pub(in crate::store) fn chunks_of(tenant: &TenantId, generation: u64) -> Key {
    chunks(tenant).fixed(&generation.to_be_bytes())
}

pub(in crate::store) fn chunks(tenant: &TenantId) -> Key {
    data(tenant, CHUNK)
}
