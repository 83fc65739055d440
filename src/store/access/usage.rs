//! How much a tenant has, counted in the transactions that change it, and the limits of that.

use super::tenants;
use crate::{
    domain::{Amounts, PhotosOfDay, TenantId, TenantScope},
    error::{Error, ErrorKind, Result},
    store::{Store, engine::Read, keys, transaction::Transaction},
};

/// What an operation adds to a tenant; below zero where it removes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Growth {
    /// People.
    pub people: i64,
    /// Groups.
    pub groups: i64,
    /// Face samples, negatives among them.
    pub samples: i64,
}

impl Store {
    /// How much the tenant has.
    pub async fn usage(&self, scope: &TenantScope) -> Result<Amounts> {
        let tenant = scope.tenant().clone();
        self.read(move |view| usage(view, &tenant)).await
    }

    /// The photos of the last day of which some were counted.
    pub async fn photos_of_day(&self, scope: &TenantScope) -> Result<Option<PhotosOfDay>> {
        let key = keys::photos(scope.tenant());
        self.read(move |view| view.get(&key)).await
    }

    /// Puts a day's photos in the place of the last that were counted. Errors: `NotFound` `tenant_not_found`.
    pub async fn put_photos_of_day(&self, scope: &TenantScope, photos: PhotosOfDay) -> Result<()> {
        let key = keys::photos(scope.tenant());
        self.write(scope.right(), move |transaction| transaction.put(key.clone(), &photos)).await
    }

    /// Errors where `growth` would be refused at this moment, so that no work is done for it: `Conflict`
    /// `limit_reached`.
    pub async fn require_room(&self, scope: &TenantScope, growth: Growth) -> Result<()> {
        let (tenant, defaults) = (scope.tenant().clone(), self.inner.default_limits);
        self.read(move |view| grown(view, &tenant, defaults, growth).map(drop)).await
    }
}

/// Counts `growth` in the transaction that makes it. Called once in a transaction.
///
/// Errors: `Conflict` `limit_reached`, with the limit and the use in its details, where the tenant would have more
/// than it may. Less is never refused, even where a lowered limit is still exceeded.
pub(in crate::store) fn grow(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    defaults: Amounts,
    growth: Growth,
) -> Result<()> {
    let grown = grown(transaction, tenant, defaults, growth)?;
    transaction.put(keys::usage(tenant), &grown)
}

pub(in crate::store) fn grown(
    read: &impl Read,
    tenant: &TenantId,
    defaults: Amounts,
    growth: Growth,
) -> Result<Amounts> {
    let used = usage(read, tenant)?;
    let max = tenants::settings(read, tenant)?.limits(defaults);
    Ok(Amounts {
        people: add("people", used.people, growth.people, max.people)?,
        groups: add("groups", used.groups, growth.groups, max.groups)?,
        samples: add("samples", used.samples, growth.samples, max.samples)?,
    })
}

fn add(limit: &'static str, used: u64, growth: i64, max: u64) -> Result<u64> {
    let sum = used.saturating_add_signed(growth);
    if growth > 0 && sum > max {
        let message = format!("the tenant may have {max} {limit} and has {used}: ask the operator for more");
        return Err(Error::new(ErrorKind::Conflict, message)
            .with_code("limit_reached")
            .with_details(serde_json::json!({ "limit": limit, "max": max, "used": used })));
    }
    Ok(sum)
}

/// The count that is kept.
pub(in crate::store) fn usage(read: &impl Read, tenant: &TenantId) -> Result<Amounts> {
    Ok(read.get(&keys::usage(tenant))?.unwrap_or_default())
}

/// The count, made by counting.
pub(in crate::store) fn counted(read: &impl Read, tenant: &TenantId) -> Result<Amounts> {
    let count = |prefix: Vec<u8>| read.scan_keys(&prefix).try_fold(0, |count, key| key.map(|_| count + 1));
    Ok(Amounts {
        people: count(keys::people(tenant))?,
        groups: count(keys::groups(tenant))?,
        samples: count(keys::faces(tenant))? + count(keys::negatives(tenant))?,
    })
}
