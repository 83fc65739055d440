//! What is the server's: tenants, backups, erasures.

use super::found::{Entry, Finding, has_all, misplaced, missing};
use crate::{
    domain::{BackupId, ErasureId, Realm, Standing, Tenant, TenantId},
    store::{
        Backup, Erasure,
        access::{erasures::Pending, tenants},
        engine::View,
        keys,
    },
};

pub(in crate::store) fn tenant(of: &Entry<'_>, id: &TenantId) -> Finding {
    of.read(|tenant: &Tenant| {
        // Its making was noted in both.
        let heads = [Realm::Server, Realm::Tenant(id.clone())].map(|realm| keys::audit_head(&realm));
        let logged = tenant.standing == Standing::Deleting || has_all(of.view, heads)?;
        Ok(misplaced(tenant.id != *id).or_else(|| missing(!logged, "no_audit_log")))
    })
}

pub(in crate::store) fn backup(of: &Entry<'_>, id: BackupId) -> Finding {
    of.read(|backup: &Backup| Ok(misplaced(backup.id != id)))
}

/// Of a tenant that was erased.
pub(in crate::store) fn erasure(of: &Entry<'_>, id: ErasureId) -> Finding {
    erasure_in(of, &Realm::Server, id)
}

/// An erasure is among the pending while it is not done.
pub(super) fn erasure_in(of: &Entry<'_>, realm: &Realm, id: ErasureId) -> Finding {
    of.read(|erasure: &Erasure| {
        let noted = of.has(&keys::pending(realm, erasure.id))?;
        let fits = noted == erasure.done_at.is_none();
        Ok(misplaced(erasure.id != id).or_else(|| missing(!fits, "no_pending_index")))
    })
}

pub(in crate::store) fn pending(of: &Entry<'_>, realm: &Realm, id: ErasureId) -> Finding {
    of.read(|_: &Pending| {
        let erasure: Option<Erasure> = of.get(&keys::erasure(realm, id));
        Ok(missing(erasure.is_none_or(|erasure| erasure.done_at.is_some()), "no_erasure"))
    })
}

/// What is wrong with a record of a tenant, of which `finding` is true where the tenant is there and is to stay.
pub(super) fn where_standing(view: &View<'_>, tenant: &TenantId, finding: impl FnOnce() -> Finding) -> Finding {
    match tenants::standing(view, &keys::tenant(tenant)) {
        Ok(None) => Ok(Some("no_tenant")),
        // What it referred to may have been removed before it.
        Ok(Some(Standing::Deleting)) => Ok(None),
        // A tenant that cannot be read was noted.
        Ok(Some(_)) | Err(_) => finding(),
    }
}

/// Whether a realm is there and is to stay. One that cannot be read was noted.
pub(super) fn is_standing(view: &View<'_>, realm: &Realm) -> bool {
    match realm {
        Realm::Server => true,
        Realm::Tenant(tenant) => {
            !matches!(tenants::standing(view, &keys::tenant(tenant)), Ok(None | Some(Standing::Deleting)))
        }
    }
}
