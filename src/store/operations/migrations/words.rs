//! 5 to 6: people are found by more words of their names (see [`crate::domain::people::words`]), whose keys are added.
//!
//! Nothing that was there is changed, so it is done in place. Who cannot be read is passed over: `check` tells of them.

use super::set_version;
use crate::{
    domain::{Tenant, TenantId},
    error::Result,
    store::{
        engine::{
            Read, Readable,
            sled::{Db, Folders},
        },
        keys::{self, Key},
        people::{
            pseudonyms::{Salt, person_entry},
            search,
        },
        transaction::Writes,
    },
};

/// People whose words are written at once.
const PAGE: usize = 256;

pub(super) fn add(db: Db, _folders: &Folders, _cache_bytes: u64) -> Result<Db> {
    let tenants: Vec<TenantId> = db.view()?.scan::<Tenant>(&keys::tenants(), None).filter_map(readable).collect();
    for tenant in tenants {
        add_of(&db, &tenant)?;
    }
    set_version(&db, 6)?;
    Ok(db)
}

fn readable(tenant: Result<Tenant>) -> Option<TenantId> {
    tenant.ok().map(|tenant| tenant.id)
}

fn add_of(db: &Db, tenant: &TenantId) -> Result<()> {
    let Some(salt) = Salt::of(&db.view()?, tenant)? else { return Ok(()) };
    let (people, mut after) = (keys::people(tenant), None::<Key>);
    loop {
        db.refuse_if_full()?;
        let page: Vec<_> = db.view()?.scan_bytes(&people, after.as_deref()).take(PAGE).collect::<Result<_>>()?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        let mut writes = Writes::default();
        for (who, person) in page.into_iter().filter_map(|entry| person_entry(Ok(entry)).ok()) {
            for word in search::words_keys(tenant, salt, who, &person) {
                writes.put(word, &who)?;
            }
        }
        db.apply(writes)?;
    }
}
