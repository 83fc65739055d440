//! Jobs, the reports of their items, and whom those speak of.

use super::{
    super::{jobs, keys},
    found::{Finding, Found, misplaced, missing},
};
use crate::domain::{ItemReport, Job, JobId, Person, Pseudonym};

pub(super) fn job(of: &Found<'_>, id: JobId) -> Finding {
    of.read(|job: &Job| Ok(misplaced(job.id != id)))
}

pub(super) fn item(of: &Found<'_>, job: JobId, number: u64) -> Finding {
    let known = of.has(&keys::job(of.tenant, job))?;
    of.read(|report: &ItemReport| {
        // What cannot be read is noted where it is.
        let mentioned = jobs::is_mentioned(of.view, of.tenant, job, number, report).unwrap_or(true);
        Ok(missing(!known, "no_job").or_else(|| missing(!mentioned, "no_job_mention")))
    })
}

pub(super) fn mention(of: &Found<'_>, who: Pseudonym, job: JobId, number: u64) -> Finding {
    of.read(|mentioned: &Pseudonym| {
        let named: Option<Person> = of.get(&keys::person(of.tenant, who));
        let report: Option<ItemReport> = of.get(&keys::item(of.tenant, job, number));
        let resolved = report.zip(named.as_ref()).is_some_and(|(report, named)| report.people().contains(&&named.id));
        Ok(misplaced(*mentioned != who)
            .or_else(|| missing(named.is_none(), "no_person"))
            .or_else(|| missing(!resolved, "no_job_item")))
    })
}
