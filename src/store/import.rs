//! A roster's row: what it says of a person beside what is known of them.

use jiff::Timestamp;

use super::{
    ItemPlace, Store,
    db::Read,
    faces,
    groups::{groups_of, join, require_group},
    jobs, keys, search,
    transaction::Transaction,
    usage::{Growth, grow, grown},
};
use crate::{
    domain::{
        Amounts, FaceId, FaceSample, GroupId, ItemReport, Metadata, MetadataPatch, Person, PersonId, RowOutcome,
        RowReport, TenantId, TenantScope, metadata, person::MAX_FACES_A_PERSON,
    },
    error::{Error, ErrorKind, Result},
};

/// What a row says; what is missing stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonImport {
    /// Who.
    pub person: PersonId,
    /// Checked by [`checked_name`](crate::domain::ids::checked_name). A new person needs one.
    pub name: Option<String>,
    /// Checked by [`checked_email`](crate::domain::person::checked_email).
    pub email: Option<String>,
    /// Entries to set.
    pub metadata: MetadataPatch,
    /// The groups to join.
    pub groups: Vec<GroupId>,
    /// The change of their samples.
    pub samples: Samples,
    /// When a new person is made.
    pub at: Timestamp,
}

/// A change of somebody's samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// New ones of that person.
    pub added: Vec<FaceSample>,
    /// Those that go, if they are still there.
    pub removed: Vec<FaceId>,
}

/// What a row comes to.
struct Plan {
    outcome: RowOutcome,
    person: Person,
    is_changed: bool,
    joined: Vec<GroupId>,
    removed: Vec<FaceId>,
    growth: Growth,
}

impl Store {
    /// Takes a row in, and its report where it is an item of a job; the report's outcome and person are filled in here.
    ///
    /// Errors: `Invalid` `invalid_name` for a new person without one, or `invalid_metadata`; `NotFound`
    /// `group_not_found`; `Conflict` `too_many_faces`, `limit_reached`, or `job_over`. Nothing is changed then.
    pub async fn import_person(
        &self,
        scope: &TenantScope,
        import: PersonImport,
        mut report: RowReport,
        place: Option<ItemPlace>,
    ) -> Result<RowReport> {
        let (tenant, limits) = (scope.tenant().clone(), self.inner.default_limits);
        self.write(move |transaction| {
            let plan = plan(transaction, &tenant, limits, &import)?;
            report.outcome = plan.outcome;
            report.person = Some(import.person);
            carry_out(transaction, &tenant, limits, plan, &import.samples.added)?;
            if let Some(place) = place {
                jobs::note(transaction, &tenant, place, ItemReport::Row(report.clone()))?;
            }
            Ok(report)
        })
        .await
    }

    /// What [`Self::import_person`] would come to now. Errors likewise.
    pub async fn preview_import(&self, scope: &TenantScope, import: PersonImport) -> Result<RowOutcome> {
        let (tenant, limits) = (scope.tenant().clone(), self.inner.default_limits);
        self.read(move |view| Ok(plan(view, &tenant, limits, &import)?.outcome)).await
    }
}

fn plan(read: &impl Read, tenant: &TenantId, limits: Amounts, import: &PersonImport) -> Result<Plan> {
    let known: Option<Person> = read.get(&keys::person(tenant, &import.person))?;
    let person = changed(known.clone(), import)?;
    let member_of = groups_of(read, tenant, &import.person)?;
    let mut joined = Vec::new();
    for group in &import.groups {
        require_group(read, tenant, group)?;
        if !member_of.contains(group) {
            joined.push(group.clone());
        }
    }
    let mut removed = Vec::new();
    for &face in &import.samples.removed {
        if read.has(&keys::face(tenant, &import.person, face))? {
            removed.push(face);
        }
    }
    let before = read.scan_keys(&keys::faces_of(tenant, &import.person)).count();
    let added = import.samples.added.len();
    if before - removed.len() + added > MAX_FACES_A_PERSON {
        let message = format!("a person has at most {MAX_FACES_A_PERSON} face samples");
        return Err(Error::new(ErrorKind::Conflict, message).with_code("too_many_faces"));
    }
    let is_changed = known.as_ref() != Some(&person);
    let growth = Growth {
        people: i64::from(known.is_none()),
        samples: added as i64 - removed.len() as i64,
        ..Growth::default()
    };
    grown(read, tenant, limits, growth)?;
    let outcome = match (known.is_some(), is_changed || added > 0 || !removed.is_empty() || !joined.is_empty()) {
        (false, _) => RowOutcome::Created,
        (true, true) => RowOutcome::Updated,
        (true, false) => RowOutcome::Unchanged,
    };
    Ok(Plan { outcome, person, is_changed, joined, removed, growth })
}

/// The person with what the row says of them.
fn changed(known: Option<Person>, import: &PersonImport) -> Result<Person> {
    let (present, known) = match known {
        Some(person) => (person.metadata.clone(), Some(person)),
        None => (Metadata::new(), None),
    };
    let metadata = metadata::changed(present, import.metadata.clone())?;
    let person = match (known, &import.name) {
        (Some(person), name) => Person { name: name.clone().unwrap_or(person.name), ..person },
        (None, Some(name)) => Person::new(import.person.clone(), name.clone(), import.at),
        (None, None) => return Err(Error::invalid("a new person needs a name").with_code("invalid_name")),
    };
    Ok(Person { email: import.email.clone().or(person.email), metadata, ..person })
}

fn carry_out(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    limits: Amounts,
    plan: Plan,
    added: &[FaceSample],
) -> Result<()> {
    let Plan { person, is_changed, joined, removed, growth, .. } = plan;
    if is_changed {
        search::put_person(transaction, tenant, &person)?;
    }
    for group in joined {
        join(transaction, tenant, &group, &person.id)?;
    }
    for face in removed {
        transaction.remove(keys::face(tenant, &person.id, face));
    }
    faces::put_all(transaction, tenant, &person.id, added, 0)?;
    if growth.people != 0 || growth.samples != 0 {
        grow(transaction, tenant, limits, growth)?;
    }
    Ok(())
}
