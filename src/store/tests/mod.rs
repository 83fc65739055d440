//! The store as its callers see it, in a folder of its own for each test.

mod answers;
mod audit;
mod backup;
mod check;
mod damage;
mod deletion;
mod events;
mod kill;
mod layouts;
mod operations;
mod photos;
mod pieces;
mod reports;
mod rewrite;
mod rights;
mod salvage;
mod search;
mod sessions;
mod sheets;
mod starts;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{Timestamp, civil::date};
use tempfile::TempDir;

use super::{
    ApiKey, PhotoMarks, Seen, Store, StoreOptions, User,
    db::Read,
    keys::{self, Parsed},
    transaction::Transaction,
};
use crate::{
    domain::{
        Actor, AttendanceRecord, EventFilter, FaceId, FaceSample, Grant, Group, ModelId, Permission, Person, PersonId,
        PhotoId, Pseudonym, Quality, Right, Role, Rules, Sighting, Standing, Tenant, TenantScope, TimeTrust, Webhook,
        WebhookId, timetable::day_session,
    },
    error::Result,
};

fn now() -> Timestamp {
    "2026-03-29T10:30:00Z".parse().unwrap()
}

fn scope(tenant: &str) -> TenantScope {
    TenantScope::granted(tenant.parse().unwrap())
}

pub(super) fn tenant(id: &str) -> Tenant {
    Tenant { id: id.parse().unwrap(), name: format!("Tenant {id}"), created_at: now(), standing: Standing::Active }
}

pub(super) fn tenant_key(id: &str, byte: u8) -> ApiKey {
    ApiKey::new([byte; 32], Grant::admin(id.parse().unwrap()), now())
}

/// A user of the tenant `t` without a login.
fn user(id: &str, role: Role, groups: &[&str]) -> User {
    let groups = groups.iter().map(|group| group.parse().unwrap()).collect();
    let grant = Grant::new(scope("t").author().realm, role, groups).unwrap();
    User { id: id.parse().unwrap(), grant, password: "hash".into(), created_at: now(), sessions: Vec::new() }
}

/// A right of work in the tenant `t`.
fn working(actor: Actor, permission: Permission, group: Option<&str>) -> Right {
    let group = group.map(|group| group.parse().unwrap());
    Right::of_work(actor, scope("t").tenant().clone(), permission, group, now())
}

fn group(id: &str) -> Group {
    Group {
        id: id.parse().unwrap(),
        name: format!("Group {id}"),
        time_zone: "UTC".into(),
        created_at: now(),
        rules: Rules::default(),
    }
}

fn person(id: &str) -> Person {
    Person::new(id.parse().unwrap(), format!("Person {id}"), now())
}

fn sample(person: &str, first: f32) -> FaceSample {
    let mut vector = vec![0.0; 512];
    vector[0] = first;
    vector[1] = (1.0 - first * first).sqrt();
    let quality =
        Quality { width_px: 80.0, sharpness: 200.0, brightness: 120.0, norm: 3.9, yaw: 1.0, pitch: -2.0, roll: 0.5 };
    let model = ModelId { name: "test".into(), dimension: 512, postprocessing: 1 };
    FaceSample {
        id: FaceId::generate(),
        person: person.parse().unwrap(),
        model,
        vector,
        score: 0.9,
        quality,
        source: None,
    }
}

/// A photo of `people`, taken in the morning of a day in March, whose session covers the whole day.
fn photo(group: &str, day: i8, people: &[&str]) -> PhotoMarks {
    let day = date(2026, 3, day);
    let at = day.at(10, 30, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let session = day_session(&group.parse().unwrap(), "UTC", day).unwrap();
    let photo = PhotoId::generate();
    let seen = people.iter().enumerate().map(|(face, person)| seen(person, sighting(photo, face as u32, at)));
    PhotoMarks { session, at, time: TimeTrust::Trusted, source: None, seen: seen.collect(), unknown: None }
}

fn seen(person: &str, sighting: Sighting) -> Seen {
    Seen { person: id(person), sighting, runner_up: None }
}

fn sighting(photo: PhotoId, face: u32, at: Timestamp) -> Sighting {
    Sighting {
        photo,
        face,
        at,
        similarity: 0.6,
        margin: Some(0.3),
        runner_up: None,
        width_px: 80.0,
        liveness: None,
        model: ModelId { name: "test".into(), dimension: 512, postprocessing: 1 },
        refuted: false,
        time: TimeTrust::Trusted,
    }
}

fn webhook(bytes: [u8; 16], groups: &[&str]) -> Webhook {
    let groups = groups.iter().map(|group| group.parse().unwrap()).collect();
    Webhook {
        id: WebhookId::from_bytes(bytes),
        url: "https://example.com".into(),
        filter: EventFilter { kinds: Vec::new(), groups: Some(groups) },
        active: true,
        secret: "whsec_".into(),
        created_at: now(),
    }
}

/// A store whose folder outlives it, so that a test can close and open it again.
struct Fixture {
    folder: TempDir,
    store: Option<Store>,
}

impl Fixture {
    /// With the tenant `t`, and in it the groups `a` and `b`.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Self { store: Some(Store::open(StoreOptions::new(folder.path())).unwrap()), folder };
        fixture.create_tenant_with_groups("t", 1).await;
        fixture
    }

    async fn create_tenant_with_groups(&self, id: &str, key: u8) {
        self.create_tenant(&Right::of_machine(), tenant(id), tenant_key(id, key)).await.unwrap();
        for name in ["a", "b"] {
            self.create_group(&scope(id), group(name)).await.unwrap();
        }
    }

    async fn enrol(&self, id: &str, groups: &[&str], faces: Vec<FaceSample>) -> Result<super::PersonRecord> {
        let groups: Vec<_> = groups.iter().map(|group| group.parse().unwrap()).collect();
        self.create_person(&scope("t"), person(id), &groups, faces).await
    }

    /// The records of a group on a day in March.
    async fn records_on(&self, tenant: &str, group: &str, day: i8) -> Vec<AttendanceRecord> {
        let records = self.attendance(&scope(tenant), &group.parse().unwrap(), date(2026, 3, day)).await.unwrap();
        records.into_iter().map(|record| record.record).collect()
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(reopened(self.folder.path()));
    }
}

impl std::ops::Deref for Fixture {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

/// Everybody of the tenant, in the order of their enrolment.
async fn everybody(store: &Store, tenant: &str) -> Result<Vec<super::PersonRecord>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.find_people(&scope(tenant), super::PeopleQuery::default(), after, usize::MAX).await?;
        all.extend(page.people);
        let Some(next) = page.next else { return Ok(all) };
        after = Some(next);
    }
}

/// Of a person of the tenant `t`.
fn pseudonym(read: &impl Read, person: &str) -> Pseudonym {
    super::pseudonyms::require_person(read, scope("t").tenant(), &id(person)).unwrap()
}

fn ids(people: &[super::PersonRecord]) -> Vec<&str> {
    people.iter().map(|record| record.person.id.as_str()).collect()
}

fn id(text: &str) -> PersonId {
    text.parse().unwrap()
}

/// Opens a store that was just closed: sled's threads may hold its lock for a moment longer.
pub(super) fn reopened(folder: &Path) -> Store {
    opened(&StoreOptions::new(folder))
}

fn opened(options: &StoreOptions) -> Store {
    loop {
        match Store::open(options.clone()) {
            Err(error) if error.code() == "store_locked" => std::thread::sleep(Duration::from_millis(5)),
            opened => return opened.unwrap(),
        }
    }
}

impl Store {
    /// Writes what no operation would write, past all that guards operations.
    pub(super) async fn tamper(
        &self,
        with: impl FnOnce(&mut Transaction<'_>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.inner.committer.commit(with, |()| {}).await
    }
}

/// Everything in a store but the list of its backups, which a backup does not have in full.
fn content(store: &Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let is_backup = |key: &[u8]| matches!(keys::parse(key), Some(Parsed::Backup(_)));
    store.db().view().scan_bytes(&[], None).map(Result::unwrap).filter(|(key, _)| !is_backup(key)).collect()
}

/// The ids of all samples of the tenant `t`.
async fn faces_seen(store: &Store, threads: usize) -> Result<Vec<FaceId>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = {
        let seen = Arc::clone(&seen);
        move |page: &[FaceSample]| {
            seen.lock().unwrap().extend(page.iter().map(|sample| sample.id));
            Ok(())
        }
    };
    store.each_face(&scope("t"), threads.try_into().unwrap(), see).await?;
    Ok(std::mem::take(&mut *seen.lock().unwrap()))
}
