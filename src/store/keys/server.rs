//! Keys of what is the server's, and of who may do what.

use super::{
    Key,
    letters::{
        ACCESS, ANSWER, API_KEY, AUDIT_ENTRY, AUDIT_HEAD, AUDIT_SALT, BACKUP, ERASURE, FORMAT, KEY_PLACE,
        OPERATOR_ANSWER, PENDING, SERVER_ERASURE, SESSION, USER,
    },
    parts::{Part, realm_text},
    tenants::data,
};
use crate::domain::{BackupId, ErasureId, KeyId, Realm, SessionId, TenantId, UserId};

pub(in crate::store) fn format() -> Key {
    vec![FORMAT]
}

pub(in crate::store) fn api_key(hash: &[u8; 32]) -> Key {
    api_keys().fixed(hash)
}

pub(in crate::store) fn api_keys() -> Key {
    vec![API_KEY]
}

fn access(realm: &Realm, kind: u8) -> Key {
    vec![ACCESS].text(realm_text(realm)).fixed(&[kind])
}

pub(in crate::store) fn key_place(realm: &Realm, key: KeyId) -> Key {
    key_places(realm).fixed(key.as_bytes())
}

pub(in crate::store) fn key_places(realm: &Realm) -> Key {
    access(realm, KEY_PLACE)
}

pub(in crate::store) fn user(realm: &Realm, user: &UserId) -> Key {
    users(realm).text(user.as_str())
}

pub(in crate::store) fn users(realm: &Realm) -> Key {
    access(realm, USER)
}

/// Numbers sort as their bytes do.
pub(in crate::store) fn audit_entry(realm: &Realm, number: u64) -> Key {
    audit_entries(realm).fixed(&number.to_be_bytes())
}

pub(in crate::store) fn audit_entries(realm: &Realm) -> Key {
    access(realm, AUDIT_ENTRY)
}

pub(in crate::store) fn audit_head(realm: &Realm) -> Key {
    access(realm, AUDIT_HEAD)
}

pub(in crate::store) fn audit_salt(realm: &Realm) -> Key {
    access(realm, AUDIT_SALT)
}

pub(in crate::store) fn session(session: SessionId) -> Key {
    vec![SESSION].fixed(session.as_bytes())
}

pub(in crate::store) fn backup(backup: BackupId) -> Key {
    backups().fixed(backup.as_bytes())
}

pub(in crate::store) fn backups() -> Key {
    vec![BACKUP]
}

/// Of somebody in a tenant, or of a tenant of the server.
pub(in crate::store) fn erasure(realm: &Realm, erasure: ErasureId) -> Key {
    erasures(realm).fixed(erasure.as_bytes())
}

pub(in crate::store) fn erasures(realm: &Realm) -> Key {
    match realm {
        Realm::Server => vec![SERVER_ERASURE],
        Realm::Tenant(tenant) => data(tenant, ERASURE),
    }
}

pub(in crate::store) fn pending(realm: &Realm, erasure: ErasureId) -> Key {
    pending_in(realm).fixed(erasure.as_bytes())
}

pub(in crate::store) fn pending_in(realm: &Realm) -> Key {
    all_pending().text(realm_text(realm))
}

pub(in crate::store) fn all_pending() -> Key {
    vec![PENDING]
}

/// Of a tenant, or of the operator.
pub(in crate::store) fn answer(tenant: Option<&TenantId>, id: &[u8; 32]) -> Key {
    answers(tenant).fixed(id)
}

pub(in crate::store) fn answers(tenant: Option<&TenantId>) -> Key {
    tenant.map_or_else(|| vec![OPERATOR_ANSWER], |tenant| data(tenant, ANSWER))
}
