//! A roster's row: what it says of a person beside what is known of them.

use jiff::Timestamp;

use super::{
    ItemPlace, NewFaces, Store, audit,
    db::Read,
    faces,
    groups::{groups_of, join, require_group},
    jobs, keys, photos,
    pseudonyms::{enter, find},
    search,
    transaction::Transaction,
    usage::{Growth, grow, grown},
};
use crate::{
    domain::{
        Amounts, Author, FaceId, GroupId, ItemReport, MetadataPatch, Person, PersonId, Pseudonym, RowOutcome,
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

/// A change of somebody's samples, and of the photos behind them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// New ones of that person.
    pub added: NewFaces,
    /// Those that go, if they are still there.
    pub removed: Vec<FaceId>,
}

/// What a row comes to.
struct Plan {
    outcome: RowOutcome,
    /// Who they are, if they are there, and what is known of them.
    known: Option<(Pseudonym, Person)>,
    groups: Vec<GroupId>,
    person: Person,
    joined: Vec<GroupId>,
    removed: Vec<FaceId>,
    growth: Growth,
}

impl Store {
    /// Takes a row in, and its report where it is an item of a job; the report's outcome is filled in here.
    ///
    /// Errors: `Invalid` `invalid_name` for a new person without one, or `invalid_metadata`; `NotFound`
    /// `group_not_found`; `Conflict` `too_many_faces`, `limit_reached`, or `job_over`; `Unprocessable` `consent_required`.
    /// Nothing is changed then.
    pub async fn import_person(
        &self,
        scope: &TenantScope,
        import: PersonImport,
        mut report: RowReport,
        place: Option<ItemPlace>,
    ) -> Result<RowReport> {
        let (author, tenant, limits) = (scope.author(), scope.tenant().clone(), self.inner.default_limits);
        self.write(scope.right(), move |transaction| {
            let plan = plan(transaction, &tenant, limits, &import)?;
            report.outcome = plan.outcome;
            carry_out(transaction, &tenant, limits, &plan, &import.samples.added, import.at)?;
            tell(transaction, &author, &plan, &import.samples.added)?;
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
    let known = find(read, tenant, &import.person)?;
    let person = changed(known.as_ref().map(|(_, person)| person.clone()), import)?;
    let (mut groups, mut removed, mut before) = (Vec::new(), Vec::new(), 0);
    if let Some((who, _)) = known {
        groups = groups_of(read, tenant, who)?;
        before = read.scan_keys(&keys::faces_of(tenant, who)).count();
        for &face in &import.samples.removed {
            if read.has(&keys::face(tenant, who, face))? {
                removed.push(face);
            }
        }
    }
    let mut joined = Vec::new();
    for group in &import.groups {
        require_group(read, tenant, group)?;
        if !groups.contains(group) && !joined.contains(group) {
            joined.push(group.clone());
        }
    }
    let added = import.samples.added.samples.len();
    if before - removed.len() + added > MAX_FACES_A_PERSON {
        let message = format!("a person has at most {MAX_FACES_A_PERSON} face samples");
        return Err(Error::new(ErrorKind::Conflict, message).with_code("too_many_faces"));
    }
    let growth = Growth {
        people: i64::from(known.is_none()),
        samples: added as i64 - removed.len() as i64,
        ..Growth::default()
    };
    grown(read, tenant, limits, growth)?;
    let is_same = known.as_ref().is_some_and(|(_, known)| *known == person);
    let outcome = match (known.is_some(), is_same && added == 0 && removed.is_empty() && joined.is_empty()) {
        (false, _) => RowOutcome::Created,
        (true, false) => RowOutcome::Updated,
        (true, true) => RowOutcome::Unchanged,
    };
    Ok(Plan { outcome, known, groups, person, joined, removed, growth })
}

/// The person with what the row says of them.
fn changed(known: Option<Person>, import: &PersonImport) -> Result<Person> {
    let present = known.as_ref().map(|person| person.metadata.clone()).unwrap_or_default();
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
    plan: &Plan,
    added: &NewFaces,
    now: Timestamp,
) -> Result<()> {
    let Plan { known, person, joined, removed, growth, .. } = plan;
    let who = match known {
        Some((who, _)) => *who,
        None => enter(transaction, tenant, &person.id)?,
    };
    if known.as_ref().is_none_or(|(_, known)| known != person) {
        search::put_person(transaction, tenant, who, person)?;
    }
    for group in joined {
        join(transaction, tenant, group, (who, &person.id), now)?;
    }
    for &face in removed {
        transaction.remove(keys::face(tenant, who, face));
        photos::remove(transaction, tenant, who, face);
    }
    faces::put_all(transaction, tenant, who, &person.id, &added.samples, 0)?;
    photos::put(transaction, tenant, &added.photos)?;
    if growth.people != 0 || growth.samples != 0 {
        grow(transaction, tenant, limits, *growth)?;
    }
    Ok(())
}

/// Writes down what is changed; nothing where nothing is.
fn tell(transaction: &mut Transaction<'_>, author: &Author, plan: &Plan, added: &NewFaces) -> Result<()> {
    let Plan { known, groups, person, joined, removed, .. } = plan;
    let mut groups_since = [&groups[..], &joined[..]].concat();
    groups_since.sort_unstable();
    let since = (person, &groups_since[..]);
    let action = if known.is_some() { "person.update" } else { "person.create" };
    audit::note(transaction, author, action, |it| {
        let it = it.person(&person.id);
        let mut it = match known {
            Some((_, known)) => it.changed(&(known, &groups[..]), &since),
            None => it.after(&since),
        };
        if !added.samples.is_empty() {
            it = it.after(&audit::faces(added.samples.iter().map(|sample| sample.id)));
        }
        if !removed.is_empty() {
            it = it.before(&audit::faces(removed.iter().copied()));
        }
        it
    })
}
