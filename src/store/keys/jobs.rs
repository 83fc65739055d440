//! Keys of jobs.

use super::{
    Key,
    letters::{ITEM, JOB, MENTION},
    parts::Part,
    tenants::data,
};
use crate::domain::{JobId, Pseudonym, TenantId};

pub(in crate::store) fn job(tenant: &TenantId, job: JobId) -> Key {
    jobs(tenant).fixed(job.as_bytes())
}

pub(in crate::store) fn jobs(tenant: &TenantId) -> Key {
    data(tenant, JOB)
}

pub(in crate::store) fn item(tenant: &TenantId, job: JobId, number: u64) -> Key {
    items_of(tenant, job).fixed(&number.to_be_bytes())
}

pub(in crate::store) fn items_of(tenant: &TenantId, job: JobId) -> Key {
    data(tenant, ITEM).fixed(job.as_bytes())
}

pub(in crate::store) fn mention(tenant: &TenantId, person: Pseudonym, job: JobId, number: u64) -> Key {
    mentions_of(tenant, person).fixed(job.as_bytes()).fixed(&number.to_be_bytes())
}

pub(in crate::store) fn mentions_of(tenant: &TenantId, person: Pseudonym) -> Key {
    data(tenant, MENTION).fixed(person.as_bytes())
}
