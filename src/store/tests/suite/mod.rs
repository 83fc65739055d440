//! What every engine has to do, by the store as its callers see it. The whole of it is there once for each engine.

mod answers;
pub(in crate::store) mod audit;
mod check;
pub(in crate::store) mod deletion;
mod events;
pub(in crate::store) mod model;
mod operations;
mod photos;
mod rights;
pub(in crate::store) mod search;
mod sessions;
mod sheets;

pub(in crate::store) use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

pub(in crate::store) use jiff::{Timestamp, civil::date};
use tempfile::TempDir;

pub(in crate::store) use crate::{
    domain::{
        Actor, AttendanceRecord, EventFilter, FaceId, FaceSample, Grant, Group, GroupSession, ModelId, Permission,
        Person, PersonId, PhotoId, Pseudonym, Quality, Right, Role, Rules, Sighting, Standing, Tenant, TenantScope,
        TimeTrust, Webhook, WebhookId, attendance::timetable::day_session, recognition::liveness::LivenessPolicy,
    },
    error::Result,
    store::{
        ApiKey, PeopleQuery, PersonRecord, PhotoMarks, Seen, Store, StoreOptions, User,
        engine::Read,
        keys::{self, Parsed, Server},
        transaction::Transaction,
    },
};

pub(in crate::store) fn now() -> Timestamp {
    "2026-03-29T10:30:00Z".parse().unwrap()
}

pub(in crate::store) fn scope(tenant: &str) -> TenantScope {
    TenantScope::granted(tenant.parse().unwrap())
}

pub(in crate::store) fn tenant(id: &str) -> Tenant {
    Tenant { id: id.parse().unwrap(), name: format!("Tenant {id}"), created_at: now(), standing: Standing::Active }
}

pub(in crate::store) fn tenant_key(id: &str, byte: u8) -> ApiKey {
    ApiKey::new([byte; 32], Grant::admin(id.parse().unwrap()), now())
}

/// A user of the tenant `t` without a login.
pub(in crate::store) fn user(id: &str, role: Role, groups: &[&str]) -> User {
    let groups = groups.iter().map(|group| group.parse().unwrap()).collect();
    let grant = Grant::new(scope("t").author().realm, role, groups).unwrap();
    User { id: id.parse().unwrap(), grant, password: "hash".into(), created_at: now(), sessions: Vec::new() }
}

/// A right of work in the tenant `t`.
pub(in crate::store) fn working(actor: Actor, permission: Permission, group: Option<&str>) -> Right {
    let group = group.map(|group| group.parse().unwrap());
    Right::of_work(actor, scope("t").tenant().clone(), permission, group, now())
}

pub(in crate::store) fn group(id: &str) -> Group {
    Group {
        id: id.parse().unwrap(),
        name: format!("Group {id}"),
        time_zone: "UTC".into(),
        created_at: now(),
        rules: Rules::default(),
    }
}

pub(in crate::store) fn person(id: &str) -> Person {
    Person::new(id.parse().unwrap(), format!("Person {id}"), now())
}

pub(in crate::store) fn sample(person: &str, first: f32) -> FaceSample {
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
pub(in crate::store) fn photo(group: &str, day: i8, people: &[&str]) -> PhotoMarks {
    let day = date(2026, 3, day);
    let at = day.at(10, 30, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let session = day_session(&group.parse().unwrap(), "UTC", day).unwrap();
    let photo = PhotoId::generate();
    let seen = people.iter().enumerate().map(|(face, person)| seen(person, sighting(photo, face as u32, at)));
    photo_of(session, at, seen.collect())
}

/// A photo of a session, whose people were named by the rules of a tenant that has set none.
pub(in crate::store) fn photo_of(session: GroupSession, at: Timestamp, seen: Vec<Seen>) -> PhotoMarks {
    PhotoMarks {
        session,
        at,
        time: TimeTrust::Trusted,
        source: None,
        seen,
        unknown: None,
        judged_under: Arc::default(),
        liveness: LivenessPolicy::Off,
    }
}

pub(in crate::store) fn seen(person: &str, sighting: Sighting) -> Seen {
    Seen { person: id(person), sighting, runner_up: None }
}

pub(in crate::store) fn sighting(photo: PhotoId, face: u32, at: Timestamp) -> Sighting {
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

pub(in crate::store) fn webhook(bytes: [u8; 16], groups: &[&str]) -> Webhook {
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

/// On the engine that this is the suite of.
pub(in crate::store) fn options(folder: &Path) -> StoreOptions {
    StoreOptions { in_memory: module_path!().contains("on_memory"), ..StoreOptions::new(folder) }
}

/// A store whose folder outlives it, so that a test can close and open it again.
pub(in crate::store) struct Fixture {
    pub(in crate::store) folder: TempDir,
    pub(in crate::store) store: Option<Store>,
}

impl Fixture {
    /// With the tenant `t`, and in it the groups `a` and `b`.
    pub(in crate::store) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Self { store: Some(Store::open(options(folder.path())).unwrap()), folder };
        fixture.create_tenant_with_groups("t", 1).await;
        fixture
    }

    pub(in crate::store) async fn create_tenant_with_groups(&self, id: &str, key: u8) {
        self.create_tenant(&Right::of_machine(), tenant(id), tenant_key(id, key)).await.unwrap();
        for name in ["a", "b"] {
            self.create_group(&scope(id), group(name)).await.unwrap();
        }
    }

    pub(in crate::store) async fn enrol(
        &self,
        id: &str,
        groups: &[&str],
        faces: Vec<FaceSample>,
    ) -> Result<PersonRecord> {
        let groups: Vec<_> = groups.iter().map(|group| group.parse().unwrap()).collect();
        self.create_person(&scope("t"), person(id), &groups, faces).await
    }

    /// The records of a group on a day in March.
    pub(in crate::store) async fn records_on(&self, tenant: &str, group: &str, day: i8) -> Vec<AttendanceRecord> {
        let records = self.attendance(&scope(tenant), &group.parse().unwrap(), date(2026, 3, day)).await.unwrap();
        records.into_iter().map(|record| record.record).collect()
    }

    pub(in crate::store) fn reopen(&mut self) {
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
pub(in crate::store) async fn everybody(store: &Store, tenant: &str) -> Result<Vec<PersonRecord>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.find_people(&scope(tenant), PeopleQuery::default(), after, usize::MAX).await?;
        all.extend(page.people);
        let Some(next) = page.next else { return Ok(all) };
        after = Some(next);
    }
}

/// Of a person of the tenant `t`.
pub(in crate::store) fn pseudonym(read: &impl Read, person: &str) -> Pseudonym {
    crate::store::people::pseudonyms::require_person(read, scope("t").tenant(), &id(person)).unwrap()
}

pub(in crate::store) fn ids(people: &[PersonRecord]) -> Vec<&str> {
    people.iter().map(|record| record.person.id.as_str()).collect()
}

pub(in crate::store) fn id(text: &str) -> PersonId {
    text.parse().unwrap()
}

/// Opens a store that was just closed: sled's threads may hold its lock for a moment longer.
pub(in crate::store) fn reopened(folder: &Path) -> Store {
    opened(&options(folder))
}

pub(in crate::store) fn opened(options: &StoreOptions) -> Store {
    loop {
        match Store::open(options.clone()) {
            Err(error) if error.code() == "store_locked" => std::thread::sleep(Duration::from_millis(5)),
            opened => return opened.unwrap(),
        }
    }
}

/// Writes what no operation would write, past all that guards operations.
pub(in crate::store) async fn tamper(
    store: &Store,
    with: impl Fn(&mut Transaction<'_>) -> Result<()> + Send + 'static,
) -> Result<()> {
    store.inner.committer.commit(&(), with, |()| {}).await
}

/// Everything in a store but the list of its backups, which a backup does not have in full.
pub(in crate::store) fn content(store: &Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let is_backup = |key: &[u8]| matches!(keys::parse(key), Some(Parsed::Server(Server::Backup(_))));
    let view = store.engine().view().unwrap();
    view.scan_bytes(&[], None).map(Result::unwrap).filter(|(key, _)| !is_backup(key)).collect()
}

/// The ids of all samples of the tenant `t`.
pub(in crate::store) async fn faces_seen(store: &Store, threads: usize) -> Result<Vec<FaceId>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = {
        let seen = Arc::clone(&seen);
        move |page: &[FaceSample], _: &[crate::store::Alias]| {
            seen.lock().unwrap().extend(page.iter().map(|sample| sample.id));
            Ok(())
        }
    };
    store.each_face(&scope("t"), threads.try_into().unwrap(), see).await?;
    Ok(std::mem::take(&mut *seen.lock().unwrap()))
}
