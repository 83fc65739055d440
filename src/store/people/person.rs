//! People: with their groups and faces, one record to the outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    faces, negatives,
    photos::{self, NewFaces},
    pseudonyms::{enter, find, find_all, person_entry, pseudonym, require_person},
    search,
};
use crate::{
    domain::{
        Consent, GroupId, Metadata, MetadataPatch, Person, PersonId, Pseudonym, Realm, TenantId, TenantScope,
        people::metadata,
    },
    error::{Error, ErrorKind, Result},
    store::{
        Erasure, FaceInfo, Store,
        access::{
            audit,
            erased::{Erasing, Traces},
            erasures, tenants,
            usage::{Growth, grow},
        },
        answers,
        attendance::{
            groups::require_group,
            record,
            rosters::{all_groups_of, forget, groups_of, join, leave},
        },
        blocking,
        codec::{Older, OlderBody},
        engine::Read,
        events::log,
        jobs,
        keys::{self, Kind, Parsed},
        person_not_found,
        transaction::Transaction,
    },
};

/// People read under one view: writes wait for no more than this.
const READ_AT_ONCE: usize = 1024;

impl Older for Person {
    fn from_older(_version: u8, body: OlderBody<'_>) -> Result<Self> {
        let PersonV1 { id, name, email, metadata, consent, created_at } = body.read()?;
        Ok(Self { id, name, email, metadata, consent, created_at, consent_withdrawn_at: None })
    }
}

/// Before a withdrawal was kept.
#[derive(Deserialize)]
struct PersonV1 {
    id: PersonId,
    name: String,
    email: Option<String>,
    metadata: Metadata,
    consent: Option<Consent>,
    created_at: Timestamp,
}

/// A person with what belongs to them.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonRecord {
    /// The person.
    pub person: Person,
    /// The groups whose roster they are on, by the bytes of their ids.
    pub groups: Vec<GroupId>,
    /// Their samples without the vectors, oldest first.
    pub faces: Vec<FaceInfo>,
}

/// What answers go by that name somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquaintance {
    /// Their name.
    pub name: String,
    /// Whether they have the consent that their tenant asks for.
    pub may_be_recognised: bool,
}

/// What to change of a person; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonChange {
    /// A new name, checked by [`checked_name`](crate::domain::ids::checked_name).
    pub name: Option<String>,
    /// A new address, checked by [`checked_email`](crate::domain::people::person::checked_email), or none.
    pub email: Option<Option<String>>,
    /// Entries to set or to remove.
    pub metadata: MetadataPatch,
    /// The groups that they belong to from now on, in place of all that they belonged to.
    pub groups: Option<Vec<GroupId>>,
    /// When; since then they are on the rosters that are new to them.
    pub at: Timestamp,
}

impl Store {
    /// Enrols a person: the person, their places on rosters, their samples and photos, or nothing.
    ///
    /// Errors: `Conflict` `person_exists`, `too_many_faces` or `limit_reached`; `NotFound` `tenant_not_found` or
    /// `group_not_found`; `Unprocessable` `consent_required`; `Overloaded` `rules_changed`; `Internal` for a sample of
    /// another person.
    pub async fn create_person(
        &self,
        scope: &TenantScope,
        person: Person,
        groups: &[GroupId],
        faces: impl Into<NewFaces>,
    ) -> Result<PersonRecord> {
        let faces: NewFaces = faces.into();
        let (author, tenant, groups) = (scope.author(), scope.tenant().clone(), groups.to_vec());
        let limits = self.inner.default_limits;
        self.write(scope.right(), move |transaction| {
            if pseudonym(transaction, &tenant, &person.id)?.is_some() {
                return Err(
                    Error::new(ErrorKind::Conflict, "there is a person of this id already").with_code("person_exists")
                );
            }
            faces.require_rules(transaction, &tenant)?;
            let NewFaces { samples, photos, .. } = &faces;
            let who = enter(transaction, &tenant, &person.id)?;
            search::put_person(transaction, &tenant, who, &person)?;
            let groups = set_groups(transaction, &tenant, (who, &person.id), &groups, person.created_at)?;
            let faces = faces::put_all(transaction, &tenant, who, &person.id, samples, 0)?;
            photos::put(transaction, &tenant, photos)?;
            grow(transaction, &tenant, limits, Growth { people: 1, samples: faces.len() as i64, groups: 0 })?;
            audit::note(transaction, &author, "person.create", |it| {
                it.person(&person.id)
                    .after(&(&person, &groups[..]))
                    .after(&audit::faces(faces.iter().map(|face| face.id)))
            })?;
            Ok(PersonRecord { person: person.clone(), groups, faces })
        })
        .await
    }

    /// A person. Errors: `NotFound` `person_not_found`.
    pub async fn person(&self, scope: &TenantScope, person: &PersonId) -> Result<PersonRecord> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.read(move |view| {
            let (who, person) = find(view, &tenant, &person)?.ok_or_else(person_not_found)?;
            with_belongings(view, &tenant, who, person)
        })
        .await
    }

    /// The ids of all people, in order.
    pub async fn everybody(&self, scope: &TenantScope) -> Result<Vec<PersonId>> {
        let (engine, tenant) = (Arc::clone(self.engine()), scope.tenant().clone());
        blocking(move || {
            let (people, mut ids, mut after) = (keys::people(&tenant), Vec::new(), None);
            loop {
                let view = engine.view()?;
                let page = view.scan_bytes(&people, after.as_deref()).take(READ_AT_ONCE).map(person_entry);
                let page = page.collect::<Result<Vec<_>>>()?;
                let Some((last, _)) = page.last() else { break };
                after = Some(keys::person(&tenant, *last));
                ids.extend(page.into_iter().map(|(_, person)| person.id));
            }
            ids.sort_unstable();
            Ok(ids)
        })
        .await
    }

    /// The names of `people`, in their order; `None` for those who do not exist.
    pub async fn names(&self, scope: &TenantScope, people: Vec<PersonId>) -> Result<Vec<Option<String>>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            let found = find_all(view, &tenant, &people)?;
            Ok(found.into_iter().map(|found| found.map(|(_, person)| person.name)).collect())
        })
        .await
    }

    /// Who of `people` is there at `now`, in their order; `None` for those who do not exist.
    pub async fn acquaintances(
        &self,
        scope: &TenantScope,
        people: Vec<PersonId>,
        now: Timestamp,
    ) -> Result<Vec<Option<Acquaintance>>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            let policy = tenants::settings(view, &tenant)?.enrolment.consent;
            let acquaintance = |(_, person): (_, Person)| Acquaintance {
                may_be_recognised: policy.require(person.consent.as_ref(), now).is_ok(),
                name: person.name,
            };
            Ok(find_all(view, &tenant, &people)?.into_iter().map(|found| found.map(acquaintance)).collect())
        })
        .await
    }

    /// The ids and names behind pseudonyms; those of people who are gone are missing.
    pub async fn known(
        &self,
        scope: &TenantScope,
        pseudonyms: BTreeSet<Pseudonym>,
    ) -> Result<BTreeMap<Pseudonym, (PersonId, String)>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            let keys: Vec<_> = pseudonyms.iter().map(|&who| keys::person(&tenant, who)).collect();
            let known = pseudonyms.into_iter().zip(view.get_many::<Person>(&keys)?);
            Ok(known.filter_map(|(who, person)| person.map(|person| (who, (person.id, person.name)))).collect())
        })
        .await
    }

    /// Changes a person and returns them as they are then.
    /// Errors: `NotFound` `person_not_found` or `group_not_found`, `Invalid` `invalid_metadata`, and nothing is changed.
    pub async fn update_person(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        change: PersonChange,
    ) -> Result<PersonRecord> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        self.write(scope.right(), move |transaction| {
            let (who, old) = find(transaction, &tenant, &person)?.ok_or_else(person_not_found)?;
            let old_groups = groups_of(transaction, &tenant, who)?;
            let mut person = old.clone();
            person.name = change.name.clone().unwrap_or(person.name);
            person.email = change.email.clone().unwrap_or(person.email);
            person.metadata = metadata::changed(person.metadata, change.metadata.clone())?;
            search::put_person(transaction, &tenant, who, &person)?;
            let groups = match &change.groups {
                Some(groups) => set_groups(transaction, &tenant, (who, &person.id), groups, change.at)?,
                None => old_groups.clone(),
            };
            audit::note(transaction, &author, "person.update", |it| {
                it.person(&person.id).changed(&(&old, &old_groups[..]), &(&person, &groups[..]))
            })?;
            let faces = faces::infos(transaction, &tenant, who)?;
            Ok(PersonRecord { person, groups, faces })
        })
        .await
    }

    /// Removes a person and all that is known of them: samples, photos, negatives made of them or of others, places on
    /// rosters, their attendance records in every group, the events about them, and the kept answers that show them.
    /// Who asks to be erased expects nothing less; export the attendance first where it must be kept. Returns the
    /// erasure, which is asked for at `at`: their bytes are on the disk until the store has been rewritten.
    ///
    /// Errors: `NotFound` `person_not_found`.
    pub async fn delete_person(&self, scope: &TenantScope, person: &PersonId, at: Timestamp) -> Result<Erasure> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        let (limits, erasure) = (self.inner.default_limits, Erasure::new(at, scope.actor()));
        let erasing = Arc::new(self.begin_erasure());
        let erased = self.write(scope.right(), move |transaction| {
            let who = require_person(transaction, &tenant, &person)?;
            // A record that cannot be read does not keep anybody from being erased.
            let known: Option<Person> = transaction.get(&keys::person(&tenant, who)).ok().flatten();
            let traces = traces(transaction, &tenant, who, &person)?;
            answers::forget_mentions(transaction, &traces)?;
            let groups = all_groups_of(transaction, &tenant, who)?;
            for group in &groups {
                forget(transaction, &tenant, group, who);
            }
            let faces = faces::remove_all(transaction, &tenant, who)?;
            let negatives = negatives::remove_all(transaction, &tenant, who)?;
            let records = record::remove_of_person(transaction, &tenant, who)?;
            log::remove_of_person(transaction, &tenant, who)?;
            photos::remove_key(transaction, &tenant, who);
            jobs::forget_person(transaction, &tenant, who, &person)?;
            search::remove_person(transaction, &tenant, who, &person)?;
            let counts = json!({ "faces": faces, "negatives": negatives, "attendance": records });
            audit::note(transaction, &author, "person.delete", |it| {
                it.person(&person).before(&known.as_ref().map(|known| (known, &groups[..]))).before(&counts)
            })?;
            let since = known.map_or(erasure.since, |known| known.created_at);
            let erasure = Erasure { since, ..erasure.clone() };
            erasures::begin(transaction, &Realm::Tenant(tenant.clone()), &erasure)?;
            let samples = faces + negatives;
            grow(transaction, &tenant, limits, Growth { people: -1, samples: -(samples as i64), groups: 0 })?;
            // Told whenever this is run, whatever comes of it: too much, and never too little, is left out of answers.
            erasing.tell(traces);
            // It goes with the outcome, even if nobody waits for that: until then, others read of the person.
            Ok((erasure, Arc::clone(&erasing)))
        });
        Ok(erased.await?.0)
    }

    /// Keeps the answers of requests from showing whoever is deleted while this is held: until the deletion is
    /// acknowledged, galleries may still find them.
    pub(in crate::store) fn begin_erasure(&self) -> Erasing {
        self.inner.erasures.begin()
    }
}

/// What an answer shows a person by: their id, their samples and negatives.
fn traces(read: &impl Read, tenant: &TenantId, who: Pseudonym, id: &PersonId) -> Result<Traces> {
    let mut traces = vec![id.to_string(), who.to_string()];
    for prefix in [keys::faces_of(tenant, who), keys::negatives_of(tenant, who)] {
        for key in read.scan_keys(&prefix) {
            if let Some(Parsed::Data(_, Kind::Face(_, face) | Kind::Negative(_, face))) = keys::parse(&key?) {
                traces.push(face.to_string());
            }
        }
    }
    Ok(Traces::new(tenant, traces))
}

pub(in crate::store) fn with_belongings(
    read: &impl Read,
    tenant: &TenantId,
    who: Pseudonym,
    person: Person,
) -> Result<PersonRecord> {
    let groups = groups_of(read, tenant, who)?;
    let faces = faces::infos(read, tenant, who)?;
    Ok(PersonRecord { person, groups, faces })
}

/// Makes `groups` the person's groups from `now` on, all of which must exist; returns them in order and each once.
fn set_groups(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    (who, person): (Pseudonym, &PersonId),
    groups: &[GroupId],
    now: Timestamp,
) -> Result<Vec<GroupId>> {
    let groups: BTreeSet<&GroupId> = groups.iter().collect();
    for group in &groups {
        require_group(transaction, tenant, group)?;
    }
    for group in groups_of(transaction, tenant, who)?.iter().filter(|group| !groups.contains(group)) {
        leave(transaction, tenant, group, who, now)?;
    }
    for group in &groups {
        join(transaction, tenant, group, (who, person), None, now)?;
    }
    Ok(groups.into_iter().cloned().collect())
}
