//! Jobs, the reports of their items, and whom those speak of.

use super::found::{Finding, Found, misplaced, missing};
use crate::{
    domain::{Job, JobId, Pseudonym},
    store::{
        jobs::{self, KeptReport},
        keys,
    },
};

pub(in crate::store) fn job(of: &Found<'_>, id: JobId) -> Finding {
    of.read(|job: &Job| Ok(misplaced(job.id != id)))
}

pub(in crate::store) fn item(of: &Found<'_>, job: JobId, number: u64) -> Finding {
    let known = of.has(&keys::job(of.tenant, job))?;
    of.read(|report: &KeptReport| {
        // What cannot be read is noted where it is.
        let mentioned = jobs::is_mentioned(of.view, of.tenant, job, number, report).unwrap_or(true);
        Ok(missing(!known, "no_job").or_else(|| missing(!mentioned, "no_job_mention")))
    })
}

pub(in crate::store) fn mention(of: &Found<'_>, who: Pseudonym, job: JobId, number: u64) -> Finding {
    let is_there = of.has_person(who)?;
    of.read(|mentioned: &Pseudonym| {
        let report: Option<KeptReport> = of.get(&keys::item(of.tenant, job, number));
        let speaks_of = |report: KeptReport| match report {
            // One of the first layout has been read as blank.
            KeptReport::Erased => true,
            // What cannot be read is noted where it is.
            report => report.people(of.view, of.tenant).map_or(true, |people| people.contains(&Some(who))),
        };
        Ok(misplaced(*mentioned != who)
            .or_else(|| missing(!is_there, "no_person"))
            .or_else(|| missing(!report.is_some_and(speaks_of), "no_job_item")))
    })
}
