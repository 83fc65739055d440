//! 6 to 7: how much a tenant has is counted for those that an early version kept no count of.
//!
//! Until then it was counted when it was asked for. The rest stays as it is, so it is done in place.

use super::set_version;
use crate::{
    domain::{Amounts, Tenant, TenantId},
    error::Result,
    store::{
        access::usage::counted,
        engine::{
            Read, Readable, View,
            sled::{Db, Folders},
        },
        keys,
        transaction::Writes,
    },
};

pub(super) fn add(db: Db, _folders: &Folders, _cache_bytes: u64) -> Result<Db> {
    let mut writes = Writes::default();
    for (tenant, amounts) in missing(&db.view()?)? {
        writes.put(keys::usage(&tenant), &amounts)?;
    }
    db.apply(writes)?;
    set_version(&db, 7)?;
    Ok(db)
}

/// The counts that are not kept. Tenants and counts that cannot be read are passed over: `check` tells of them.
fn missing(view: &View<'_>) -> Result<Vec<(TenantId, Amounts)>> {
    let prefix = keys::tenants();
    let tenants = view.scan::<Tenant>(&prefix, None).filter_map(Result::ok).map(|tenant| tenant.id);
    let is_missing = |tenant: &TenantId| matches!(view.get::<Amounts>(&keys::usage(tenant)), Ok(None));
    tenants.filter(is_missing).map(|tenant| Ok((tenant.clone(), counted(view, &tenant)?))).collect()
}
