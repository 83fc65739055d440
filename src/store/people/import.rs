//! A roster's row: what it says of a person beside what is known of them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    faces, photos,
    pseudonyms::{enter, find},
    search,
};
use crate::{
    domain::{
        Amounts, Author, Consent, FaceId, Group, GroupId, ItemReport, MetadataPatch, Person, PersonId, Pseudonym,
        RowGroups, RowOutcome, RowReport, Rules, TenantId, TenantScope,
        attendance::roster::{DayOrMoment, Member},
        people::{metadata, person::MAX_FACES_A_PERSON},
    },
    error::{Error, ErrorKind, Result},
    store::{
        ItemPlace, NewFaces, Store,
        access::{
            audit,
            usage::{Growth, grow, grown},
        },
        attendance::rosters::{self, groups_of, leave, member, place_since},
        engine::Read,
        jobs, keys, person_not_found,
        transaction::Transaction,
    },
};

/// What a row says; what is missing stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonImport {
    /// Who.
    pub person: PersonId,
    /// Checked by [`checked_name`](crate::domain::ids::checked_name). A new person needs one.
    pub name: Option<String>,
    /// Checked by [`checked_email`](crate::domain::people::person::checked_email).
    pub email: Option<String>,
    /// [Checked](Consent::checked).
    pub consent: Option<Consent>,
    /// Entries to set.
    pub metadata: MetadataPatch,
    /// Their groups.
    pub groups: RosterGroups,
    /// Since when they are on the rosters of these; the beginning of the present day where it is not said, and of those
    /// that they are on already since they have been.
    pub on_roster_since: Option<DayOrMoment>,
    /// The same for those alone whom the row puts on a roster, where it is not said for all of its groups.
    pub joining_since: Option<DayOrMoment>,
    /// The change of their samples.
    pub samples: Samples,
    /// When a new person is made.
    pub at: Timestamp,
}

/// The groups of a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RosterGroups {
    /// Which.
    pub named: Vec<GroupId>,
    /// What they are to the person.
    pub are: RowGroups,
    /// The time zone of those that are made, as they are not there yet; `None`: they have to be there.
    pub zone_of_new: Option<String>,
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
    made: Vec<Group>,
    joined: Vec<(GroupId, Member)>,
    left: Vec<GroupId>,
    removed: Vec<FaceId>,
    growth: Growth,
}

impl Store {
    /// Takes a row in, and its report where it is an item of a job; the report's outcome and groups are filled in here.
    ///
    /// Errors: `Invalid` `invalid_name` for a new person without one, or `invalid_metadata`; `NotFound`
    /// `group_not_found`; `Conflict` `too_many_faces`, `limit_reached`, or `job_over`; `Unprocessable`
    /// `consent_required`. Nothing is changed then.
    pub async fn import_person(
        &self,
        scope: &TenantScope,
        import: PersonImport,
        report: RowReport,
        place: Option<ItemPlace>,
    ) -> Result<RowReport> {
        let (author, tenant, limits) = (scope.author(), scope.tenant().clone(), self.inner.default_limits);
        self.write(scope.right(), move |transaction| {
            import.samples.added.require_rules(transaction, &tenant)?;
            let plan = plan(transaction, &tenant, limits, &import)?;
            let report = plan.told_in(report.clone());
            carry_out(transaction, &tenant, limits, &plan, &import)?;
            tell(transaction, &author, &plan, &import.samples.added)?;
            if let Some(place) = place {
                jobs::note(transaction, &tenant, place, ItemReport::Row(report.clone()))?;
            }
            Ok(report)
        })
        .await
    }

    /// What [`Self::import_person`] would come to now. Errors likewise.
    pub async fn preview_import(
        &self,
        scope: &TenantScope,
        import: PersonImport,
        report: RowReport,
    ) -> Result<RowReport> {
        let (tenant, limits) = (scope.tenant().clone(), self.inner.default_limits);
        self.read(move |view| Ok(plan(view, &tenant, limits, &import)?.told_in(report))).await
    }

    /// Takes a person off rosters from `now` on, with the report of that where it is an item of a job. Groups that they
    /// are not in, or that are gone, are passed over. Errors: `NotFound` `person_not_found`; `Conflict` `job_over`.
    pub async fn leave_groups(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        (groups, now): (Vec<GroupId>, Timestamp),
        report: RowReport,
        place: Option<ItemPlace>,
    ) -> Result<RowReport> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        self.write(scope.right(), move |transaction| {
            let (who, known) = find(transaction, &tenant, &person)?.ok_or_else(person_not_found)?;
            let before = groups_of(transaction, &tenant, who)?;
            let (left, since): (Vec<_>, Vec<_>) = before.iter().cloned().partition(|group| groups.contains(group));
            for group in &left {
                leave(transaction, &tenant, group, who, now)?;
            }
            if !left.is_empty() {
                audit::note(transaction, &author, "person.update", |it| {
                    it.person(&person).changed(&(&known, &before[..]), &(&known, &since[..]))
                })?;
            }
            let report = RowReport { left, ..report.clone() };
            if let Some(place) = place {
                jobs::note(transaction, &tenant, place, ItemReport::Row(report.clone()))?;
            }
            Ok(report)
        })
        .await
    }
}

impl Plan {
    /// The report with what the row comes to.
    fn told_in(&self, report: RowReport) -> RowReport {
        let groups_made = self.made.iter().map(|group| group.id.clone()).collect();
        RowReport { outcome: self.outcome, groups_made, left: self.left.clone(), ..report }
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
    let RosterGroups { named, are, zone_of_new } = &import.groups;
    let (mut made, mut joined, who) = (Vec::new(), Vec::new(), known.as_ref().map(|(who, _)| *who));
    for id in named.iter().collect::<BTreeSet<_>>() {
        let group = if let Some(group) = read.get(&keys::group(tenant, id))? {
            group
        } else {
            let time_zone = zone_of_new.clone().ok_or_else(|| no_such_group(id))?;
            let (id, name, rules) = (id.clone(), id.to_string(), Rules::default());
            let group = Group { id, name, time_zone, created_at: import.at, rules };
            made.push(group.clone());
            group
        };
        let before = who.map(|who| member(read, tenant, id, who)).transpose()?.flatten();
        let is_joining = before.as_ref().is_none_or(|before| before.present().is_none());
        let since = import.on_roster_since.or(import.joining_since.filter(|_| is_joining));
        let place = place_since(&group, before.as_ref(), &import.person, since, import.at)?;
        joined.extend(place.map(|place| (id.clone(), place)));
    }
    let is_left = |group: &&GroupId| *are == RowGroups::Replace && !named.is_empty() && !named.contains(group);
    let left: Vec<GroupId> = groups.iter().filter(is_left).cloned().collect();
    let added = import.samples.added.samples.len();
    if before - removed.len() + added > MAX_FACES_A_PERSON {
        let message = format!("a person has at most {MAX_FACES_A_PERSON} face samples");
        return Err(Error::new(ErrorKind::Conflict, message).with_code("too_many_faces"));
    }
    let growth = Growth {
        people: i64::from(known.is_none()),
        samples: added as i64 - removed.len() as i64,
        groups: made.len() as i64,
    };
    grown(read, tenant, limits, growth)?;
    let is_same = known.as_ref().is_some_and(|(_, known)| *known == person);
    let are_groups_same = joined.is_empty() && left.is_empty();
    let outcome = match (known.is_some(), is_same && added == 0 && removed.is_empty() && are_groups_same) {
        (false, _) => RowOutcome::Created,
        (true, false) => RowOutcome::Updated,
        (true, true) => RowOutcome::Unchanged,
    };
    Ok(Plan { outcome, known, groups, person, made, joined, left, removed, growth })
}

/// The error for a group that a row names and that is not there.
fn no_such_group(group: &GroupId) -> Error {
    let message =
        format!("there is no group {:.100}: make it first, or ask for create_groups (--create-groups)", group.as_str());
    Error::not_found(message).with_code("group_not_found")
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
    let email = import.email.clone().or(person.email);
    // What a file says of an earlier time does not undo a withdrawal.
    let is_later =
        |consent: &&Consent| person.consent_withdrawn_at.is_none_or(|withdrawn_at| consent.at > withdrawn_at);
    let told = import.consent.as_ref().filter(is_later).cloned();
    let consent = told.or(person.consent);
    let consent_withdrawn_at = person.consent_withdrawn_at.filter(|_| consent.is_none());
    Ok(Person { email, consent, metadata, consent_withdrawn_at, ..person })
}

fn carry_out(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    limits: Amounts,
    plan: &Plan,
    import: &PersonImport,
) -> Result<()> {
    let PersonImport { samples: Samples { added, .. }, at, .. } = import;
    let Plan { known, person, made, joined, left, removed, growth, .. } = plan;
    let who = match known {
        Some((who, _)) => *who,
        None => enter(transaction, tenant, &person.id)?,
    };
    if known.as_ref().is_none_or(|(_, known)| known != person) {
        search::put_person(transaction, tenant, who, person)?;
    }
    for group in made {
        transaction.put(keys::group(tenant, &group.id), group)?;
    }
    for (group, place) in joined {
        rosters::put(transaction, tenant, group, who, place)?;
    }
    for group in left {
        leave(transaction, tenant, group, who, *at)?;
    }
    for &face in removed {
        transaction.remove(keys::face(tenant, who, face));
        photos::remove(transaction, tenant, who, face);
    }
    faces::put_all(transaction, tenant, who, &person.id, &added.samples, 0)?;
    photos::put(transaction, tenant, &added.photos)?;
    if growth.people != 0 || growth.samples != 0 || growth.groups != 0 {
        grow(transaction, tenant, limits, *growth)?;
    }
    Ok(())
}

/// Writes down what is changed; nothing where nothing is.
fn tell(transaction: &mut Transaction<'_>, author: &Author, plan: &Plan, added: &NewFaces) -> Result<()> {
    let Plan { known, groups, person, made, joined, left, removed, .. } = plan;
    for group in made {
        audit::note(transaction, author, "group.create", |it| it.group(&group.id).after(group))?;
    }
    let mut groups_since: Vec<GroupId> = groups.iter().chain(joined.iter().map(|(group, _)| group)).cloned().collect();
    groups_since.retain(|group| !left.contains(group));
    groups_since.sort_unstable();
    groups_since.dedup();
    let since = (person, &groups_since[..]);
    let action = if known.is_some() { "person.update" } else { "person.create" };
    audit::note(transaction, author, action, |it| {
        let it = it.person(&person.id);
        let mut it = match known {
            Some((_, known)) => it.changed(&(known, &groups[..]), &since),
            None => it.after(&since),
        };
        // Since when they are on a roster that they were on before.
        let moved = |(group, place): &(GroupId, Member)| {
            let since = place.present().map(|period| period.since);
            groups.contains(group).then(|| json!({ "group": group, "since": since }))
        };
        let moved: Vec<Value> = joined.iter().filter_map(moved).collect();
        if !moved.is_empty() {
            it = it.after(&json!({ "on_roster": moved }));
        }
        if !added.samples.is_empty() {
            it = it.after(&audit::faces(added.samples.iter().map(|sample| sample.id)));
        }
        if !removed.is_empty() {
            it = it.before(&audit::faces(removed.iter().copied()));
        }
        it
    })
}
