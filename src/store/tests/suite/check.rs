//! The check: what it says of a sound store, and what it finds in each that is not.

use super::*;
use crate::{
    domain::{
        DeadLetter, Negative, Realm, RecordId, Role, SessionId, Stranger, StrangerId, UserId, WebhookId,
        access::audit::Entry,
    },
    store::{CheckReport, NewEntry, Session, User, keys, people::pseudonyms::Salt, transaction::Transaction},
};

/// With two people in `t`, one of whom is marked in `a`.
async fn filled() -> Fixture {
    let fixture = Fixture::new().await;
    for name in ["p", "q"] {
        fixture.enrol(name, &["a"], vec![sample(name, 0.1), sample(name, 0.2)]).await.unwrap();
    }
    let first = NewEntry { number: None, entry: super::sessions::mondays() };
    fixture.put_timetable(&scope("t"), &gid(), [1; 6], vec![first], Vec::new()).await.unwrap();
    fixture.mark_photo(&scope("t"), photo("a", 29, &["p"])).await.unwrap();
    let twin = sample("q", 0.3);
    let negative = Negative {
        id: twin.id,
        person: id("p"),
        of: Some(id("q")),
        model: twin.model,
        vector: twin.vector,
        created_at: now(),
    };
    fixture.add_negative(&scope("t"), negative).await.unwrap();
    let pictured = sample("q", 0.4);
    fixture.add_faces(&scope("t"), &id("q"), photos::with_photo(&pictured, 1)).await.unwrap();
    fixture.create_webhook(&scope("t"), webhook(HOOK, &["a"])).await.unwrap();
    let letter = DeadLetter { event: 1, given_up_at: now(), failure: "500".into() };
    fixture.give_up(&scope("t"), WebhookId::from_bytes(HOOK), letter).await.unwrap();
    fixture
}

/// The id of the webhook of [`filled`].
const HOOK: [u8; 16] = [7; 16];

async fn checked(fixture: &Fixture) -> CheckReport {
    fixture.check(|sample| (&*sample.model.name != "test").then_some("other_model")).await.unwrap()
}

#[tokio::test]
async fn a_sound_store_is_counted_by_kind() {
    let fixture = filled().await;
    let report = checked(&fixture).await;
    assert!(report.is_sound() && report.counts_compared, "{report:?}");
    let of = |kind: &str| report.records.get(kind).copied().unwrap_or_default();
    let kinds = [
        "tenant",
        "api_key",
        "usage",
        "group",
        "salt",
        "place",
        "person",
        "word",
        "face",
        "kept_photo",
        "photo_key",
        "negative",
        "disowned",
        "member",
        "membership",
        "attendance",
        "mark",
        "group_session",
        "agenda",
        "timetable",
        "timetable_tag",
        "event_log",
        "event",
        "person_event",
        "group_event",
        "webhook",
        "delivery",
        "dead_letter",
        "audit_entry",
        "audit_head",
        "audit_salt",
    ];
    assert_eq!(
        kinds.map(of),
        [1, 1, 1, 2, 1, 2, 2, 6, 5, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 10, 2, 2]
    );
    assert_eq!(report.records.values().sum::<u64>(), content(&fixture).len() as u64);
}

/// Every kind of damage, and what it is called.
#[expect(clippy::too_many_lines, reason = "a line or two for each kind of damage")]
#[tokio::test]
async fn each_kind_of_damage_has_its_name() {
    type Damage = fn(&mut Transaction<'_>);
    let cases: &[(&str, Damage)] = &[
        ("damaged_record", |it| {
            it.put_bytes(keys::person(tenant_id(), pseudonym(it, "p")), b"\x01\x06rubbish".to_vec());
        }),
        ("unknown_key", |it| it.put_bytes(b"~what".to_vec(), vec![1])),
        ("no_person", |it| it.remove(keys::person(tenant_id(), pseudonym(it, "q")))),
        ("no_word", |it| {
            let word = it.scan_keys(&keys::words(tenant_id())).next().unwrap().unwrap();
            it.remove(word);
        }),
        ("misplaced", |it| {
            let who = pseudonym(it, "q");
            it.put(keys::word(tenant_id(), [7; 8], who), &who).unwrap();
        }),
        ("no_place", |it| it.remove(keys::place(tenant_id(), &salt(it).of_person(&id("q"))))),
        ("misplaced", |it| it.put(keys::place(tenant_id(), &[7; 32]), &pseudonym(it, "q")).unwrap()),
        ("no_salt", |it| it.remove(keys::salt(tenant_id()))),
        ("no_negative", |it| {
            let key = it.scan_keys(&keys::negatives_of(tenant_id(), pseudonym(it, "p"))).next().unwrap().unwrap();
            it.remove(key);
        }),
        ("no_negative_index", |it| {
            let key = it.scan_keys(&keys::disowned_of(tenant_id(), pseudonym(it, "q"))).next().unwrap().unwrap();
            it.remove(key);
        }),
        ("no_photo_key", |it| it.remove(keys::photo_key(tenant_id(), pseudonym(it, "q")))),
        ("no_face", |it| {
            let photo = crate::store::people::photos::of_person(it, tenant_id(), pseudonym(it, "q")).unwrap().remove(0);
            it.remove(keys::face(tenant_id(), pseudonym(it, "q"), photo.face));
        }),
        ("misplaced", |it| {
            let photo = crate::store::people::photos::of_person(it, tenant_id(), pseudonym(it, "q")).unwrap().remove(0);
            it.put(keys::kept_photo(tenant_id(), pseudonym(it, "q"), FaceId::generate()), &photo).unwrap();
        }),
        ("no_group", |it| it.remove(keys::group(tenant_id(), &gid()))),
        ("no_membership", |it| it.remove(keys::membership(tenant_id(), pseudonym(it, "p"), &gid()))),
        ("no_member", |it| it.remove(keys::member(tenant_id(), &gid(), pseudonym(it, "p")))),
        ("no_attendance", |it| it.remove(keys::attendance(tenant_id(), session_id(), pseudonym(it, "p")))),
        ("no_attendance_index", |it| it.remove(keys::sighting(tenant_id(), pseudonym(it, "p"), session_id()))),
        ("no_attendance_index", |it| {
            let mark = keys::mark(tenant_id(), &gid(), RecordId::generate());
            let key = it.scan_keys(&mark[..mark.len() - 16]).next().unwrap().unwrap();
            it.remove(key);
        }),
        ("no_group_session", |it| it.remove(keys::group_session(tenant_id(), session_id()))),
        ("no_session_index", |it| it.remove(keys::agenda(tenant_id(), &gid(), date(2026, 3, 29), session_id()))),
        ("no_group_session", |it| {
            let lost = stranger();
            it.put(keys::stranger(tenant_id(), lost.session, lost.id), &lost).unwrap();
        }),
        ("misplaced", |it| it.put(keys::stranger(tenant_id(), session_id(), stranger().id), &stranger()).unwrap()),
        ("no_timetable", |it| it.remove(keys::timetable(tenant_id(), &gid()))),
        ("no_timetable_index", |it| it.remove(keys::timetable_tag(tenant_id(), [1; 6]))),
        ("no_event", |it| it.remove(keys::event(tenant_id(), 1))),
        ("no_event_index", |it| it.remove(keys::person_event(tenant_id(), pseudonym(it, "p"), 1))),
        ("no_event_index", |it| it.remove(keys::group_event(tenant_id(), &gid(), 1))),
        ("no_event_log", |it| it.remove(keys::event_log(tenant_id()))),
        ("no_webhook", |it| it.remove(keys::webhook(tenant_id(), WebhookId::from_bytes(HOOK)))),
        ("no_delivery", |it| it.remove(keys::delivery(tenant_id(), WebhookId::from_bytes(HOOK)))),
        ("no_tenant", |it| it.remove(keys::tenant(tenant_id()))),
        ("audit_broken", |it| it.remove(keys::audit_entry(&realm(), 2))),
        ("audit_broken", |it| it.remove(keys::audit_entry(&realm(), 6))),
        ("audit_broken", |it| it.remove(keys::audit_head(&realm()))),
        ("audit_broken", |it| it.remove(keys::audit_entry(&Realm::Server, 1))),
        ("misplaced", |it| {
            let second: Entry = it.get(&keys::audit_entry(&realm(), 2)).unwrap().unwrap();
            it.put(keys::audit_entry(&realm(), 3), &second).unwrap();
        }),
        ("no_audit_salt", |it| it.remove(keys::audit_salt(&realm()))),
        ("no_audit_log", |it| {
            for key in it.scan_keys(&keys::audit_entries(&realm())).collect::<Result<Vec<_>>>().unwrap() {
                it.remove(key);
            }
            it.remove(keys::audit_head(&realm()));
        }),
        ("no_api_key", |it| it.remove(keys::api_key(&[1; 32]))),
        ("no_api_key_index", |it| {
            let key = it.scan_keys(&keys::key_places(&realm())).next().unwrap().unwrap();
            it.remove(key);
        }),
        ("no_group", |it| it.put(keys::user(&realm(), &uid("u")), &user("u", &["gone"])).unwrap()),
        ("no_session", |it| {
            let user = User { sessions: vec![SessionId::generate()], ..user("u", &[]) };
            it.put(keys::user(&realm(), &uid("u")), &user).unwrap();
        }),
        ("no_user", |it| {
            let session = session("nobody");
            it.put(keys::session(session.id), &session).unwrap();
        }),
        ("misplaced", |it| it.put(keys::person(tenant_id(), pseudonym(it, "p")), &person("q")).unwrap()),
        ("records_missing", |it| {
            let key = it.scan_keys(&keys::faces_of(tenant_id(), pseudonym(it, "p"))).next().unwrap().unwrap();
            it.remove(key);
        }),
        ("other_model", |it| {
            let mut old = sample("p", 0.3);
            old.model.name = "older".into();
            it.put(keys::face(tenant_id(), pseudonym(it, "p"), old.id), &old).unwrap();
        }),
    ];
    for &(code, damage) in cases {
        let fixture = filled().await;
        tamper(&fixture, move |transaction| {
            damage(transaction);
            Ok(())
        })
        .await
        .unwrap();
        let report = checked(&fixture).await;
        let problem = report.problems.get(code).unwrap_or_else(|| panic!("{code} is not in {report:?}"));
        assert!(problem.count >= 1 && !problem.examples.is_empty() && problem.examples.len() <= 5, "{problem:?}");
    }
}

#[tokio::test]
async fn whatever_cannot_be_read_is_noted_and_the_check_goes_on() {
    let fixture = filled().await;
    for (key, bytes) in content(&fixture) {
        let put = |bytes: &[u8]| {
            let (key, bytes) = (key.clone(), bytes.to_vec());
            tamper(&fixture, move |transaction| {
                transaction.put_bytes(key.clone(), bytes.clone());
                Ok(())
            })
        };
        put(b"\x01\x06rubbish").await.unwrap();
        let report = checked(&fixture).await;
        let place = keys::parse(&key).unwrap().to_string();
        let problem = report.problems.get("damaged_record").unwrap_or_else(|| panic!("{place}: {report:?}"));
        assert!(problem.examples.contains(&place), "{place}: {report:?}");
        put(&bytes).await.unwrap();
    }
    assert!(checked(&fixture).await.is_sound());
}

fn tenant_id() -> &'static crate::domain::TenantId {
    static TENANT: std::sync::LazyLock<crate::domain::TenantId> = std::sync::LazyLock::new(|| "t".parse().unwrap());
    &TENANT
}

fn session_id() -> crate::domain::GroupSessionId {
    photo("a", 29, &[]).session.id
}

/// Of a session that is not there.
fn stranger() -> Stranger {
    Stranger {
        id: StrangerId::generate(),
        session: crate::domain::GroupSessionId::generate(),
        kept_at: now(),
        model: sample("p", 0.1).model,
        sum: Vec::new(),
        glimpses: Vec::new(),
        candidates: Vec::new(),
        settled: None,
    }
}

fn uid(text: &str) -> UserId {
    text.parse().unwrap()
}

fn realm() -> Realm {
    Realm::Tenant(tenant_id().clone())
}

fn user(name: &str, groups: &[&str]) -> User {
    let groups = groups.iter().map(|group| group.parse().unwrap()).collect();
    let grant = Grant::new(realm(), Role::Teacher, groups).unwrap();
    User { id: uid(name), grant, password: "hash".into(), created_at: now(), sessions: Vec::new() }
}

fn session(user: &str) -> Session {
    let (id, user) = (SessionId::generate(), uid(user));
    Session { id, realm: realm(), user, refresh_hash: [0; 32], expires_at: now() }
}

fn gid() -> crate::domain::GroupId {
    "a".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_among_writes_finds_nothing_wrong() {
    let fixture = filled().await;
    let store = (*fixture).clone();
    let writer = tokio::spawn(async move {
        for n in 0..150 {
            let name = format!("x{n}");
            let groups = ["a".parse().unwrap()];
            store.create_person(&scope("t"), person(&name), &groups, vec![sample(&name, 0.1)]).await.unwrap();
            store.mark_photo(&scope("t"), photo("a", 30, &[&name])).await.unwrap();
            store.delete_person(&scope("t"), &id(&name), now()).await.unwrap();
        }
    });
    let mut rounds = 0;
    while !writer.is_finished() || rounds < 3 {
        let report = checked(&fixture).await;
        assert!(report.is_sound(), "{report:?}");
        rounds += 1;
    }
    writer.await.unwrap();
    assert!(checked(&fixture).await.counts_compared);
}

fn salt(read: &impl Read) -> Salt {
    Salt::of(read, tenant_id()).unwrap().unwrap()
}
