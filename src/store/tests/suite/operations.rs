//! What each operation does, refuses and leaves behind, also after the store was closed and opened again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use jiff::{ToSpan, civil::date};
use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    domain::{
        Amounts, DuplicatePolicy, EnrolmentPolicy, GalleryPlan, GroupId, Mark, Negative, Tenant, TenantId,
        TenantSettings, people::person::MAX_FACES_A_PERSON,
    },
    error::ErrorKind,
    store::{ClosingRules, GroupChange, PersonChange, codec::Record, keys},
};

fn gid(text: &str) -> GroupId {
    text.parse().unwrap()
}

#[tokio::test]
async fn tenants_and_keys_survive_reopening() {
    let mut fixture = Fixture::new().await;
    assert!(!fixture.has_operator_key().await.unwrap());
    fixture.put_api_key(&Right::of_machine(), ApiKey::new([9; 32], Grant::operator(), now())).await.unwrap();
    fixture.create_tenant(&Right::of_machine(), tenant("another one"), tenant_key("another one", 2)).await.unwrap();
    fixture.reopen();
    assert!(fixture.has_operator_key().await.unwrap());
    assert_eq!(
        fixture.caller_with_key([2; 32]).await.unwrap().map(|caller| caller.who).map(|key| key.grant),
        Some(Grant::admin("another one".parse().unwrap()))
    );
    assert_eq!(
        fixture.caller_with_key([9; 32]).await.unwrap().map(|caller| caller.who).map(|key| key.grant),
        Some(Grant::operator())
    );
    assert_eq!(fixture.caller_with_key([3; 32]).await.unwrap().map(|caller| caller.who), None);
    let listed = async |after: Option<&str>, limit| {
        let after = after.map(|id| id.parse().unwrap());
        let page = fixture.tenants(after.as_ref(), limit).await.unwrap();
        page.into_iter().map(|record| record.tenant).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 10).await, [tenant("another one"), tenant("t")]);
    assert_eq!(listed(None, 1).await, [tenant("another one")]);
    assert_eq!(listed(Some("another one"), 1).await, [tenant("t")]);
    assert_eq!(fixture.tenant(&scope("t")).await.unwrap(), tenant("t"));
    assert_eq!(fixture.tenant(&scope("nobody")).await.unwrap_err().code(), "tenant_not_found");
}

#[tokio::test]
async fn a_tenant_is_made_once_and_with_its_key() {
    let fixture = Fixture::new().await;
    let error = fixture.create_tenant(&Right::of_machine(), tenant("t"), tenant_key("t", 7)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "tenant_exists"));
    assert_eq!(
        fixture.caller_with_key([7; 32]).await.unwrap().map(|caller| caller.who),
        None,
        "a refused tenant's key opens nothing"
    );
    assert_eq!(
        fixture.put_api_key(&Right::of_machine(), tenant_key("nobody", 8)).await.unwrap_err().code(),
        "tenant_not_found"
    );
    assert_eq!(fixture.create_group(&scope("nobody"), group("g")).await.unwrap_err().code(), "tenant_not_found");
}

#[tokio::test]
async fn groups_change_page_and_survive_reopening() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    assert_eq!(fixture.create_group(&t, group("a")).await.unwrap_err().code(), "group_exists");
    fixture.create_group(&t, group("a b/c")).await.unwrap();
    let change = GroupChange { time_zone: Some("Europe/Vienna".into()), ..GroupChange::default() };
    let changed = fixture.update_group(&t, &gid("b"), change).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.time_zone.as_str()), ("Group b", "Europe/Vienna"));
    fixture.reopen();
    assert_eq!(fixture.groups(&t, None, 2).await.unwrap(), [group("a"), group("a b/c")]);
    assert_eq!(fixture.groups(&t, Some(&gid("a b/c")), 2).await.unwrap(), std::slice::from_ref(&changed));
    assert_eq!(fixture.group(&t, &gid("b")).await.unwrap(), changed);
    assert_eq!(fixture.group(&t, &gid("z")).await.unwrap_err().code(), "group_not_found");
    let missing = fixture.update_group(&t, &gid("z"), GroupChange::default()).await.unwrap_err();
    assert_eq!(missing.code(), "group_not_found");
}

#[tokio::test]
async fn rosters_follow_members_and_survive_reopening() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    for name in ["p1", "p2", "p/3 x"] {
        fixture.enrol(name, &["a"], vec![]).await.unwrap();
    }
    fixture.add_member(&t, &gid("b"), &id("p1"), None, now()).await.unwrap();
    fixture.add_member(&t, &gid("b"), &id("p1"), None, now()).await.unwrap();
    fixture.remove_member(&t, &gid("a"), &id("p2"), None, now()).await.unwrap();
    fixture.remove_member(&t, &gid("a"), &id("p2"), None, now()).await.unwrap();
    fixture.reopen();
    assert_eq!(fixture.roster(&t, &gid("a")).await.unwrap(), [id("p/3 x"), id("p1")]);
    assert_eq!(fixture.roster(&t, &gid("b")).await.unwrap(), [id("p1")]);
    assert_eq!(fixture.groups_of(&t, &id("p1")).await.unwrap(), [gid("a"), gid("b")]);
    assert_eq!(fixture.add_member(&t, &gid("z"), &id("p1"), None, now()).await.unwrap_err().code(), "group_not_found");
    assert_eq!(fixture.add_member(&t, &gid("a"), &id("z"), None, now()).await.unwrap_err().code(), "person_not_found");
    assert_eq!(
        fixture.remove_member(&t, &gid("a"), &id("z"), None, now()).await.unwrap_err().code(),
        "person_not_found"
    );
    assert_eq!(fixture.roster(&t, &gid("z")).await.unwrap_err().code(), "group_not_found");
    assert_eq!(fixture.groups_of(&t, &id("z")).await.unwrap_err().code(), "person_not_found");
}

#[tokio::test]
async fn people_are_enrolled_whole_or_not_at_all() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    let faces = vec![sample("p", 0.1), sample("p", 0.2)];
    let made = fixture.enrol("p", &["b", "a", "b"], faces.clone()).await.unwrap();
    assert_eq!(made.groups, [gid("a"), gid("b")]);
    assert_eq!(made.faces.iter().map(|face| face.id).collect::<Vec<_>>(), [faces[0].id, faces[1].id]);
    let refused = [
        (fixture.enrol("p", &[], vec![]).await, "person_exists"),
        (fixture.enrol("q", &["a", "z"], vec![sample("q", 0.1)]).await, "group_not_found"),
        (fixture.enrol("q", &["a"], vec![sample("q", 0.1); 1 + MAX_FACES_A_PERSON]).await, ""),
        (
            fixture.enrol("r", &["a"], (0..=MAX_FACES_A_PERSON).map(|_| sample("r", 0.1)).collect()).await,
            "too_many_faces",
        ),
        (fixture.enrol("s", &["a"], vec![sample("p", 0.1)]).await, "internal"),
    ];
    for (outcome, code) in refused {
        assert_eq!(outcome.err().map_or("", |error| error.code()), code);
    }
    fixture.reopen();
    assert_eq!(fixture.person(&t, &id("p")).await.unwrap(), made);
    assert_eq!(fixture.faces(&t, &id("p")).await.unwrap(), faces);
    assert_eq!(ids(&everybody(&fixture, "t").await.unwrap()), ["p", "q"], "one id given often is one sample");
    assert_eq!(fixture.roster(&t, &gid("a")).await.unwrap(), [id("p"), id("q")]);
    assert_eq!(fixture.usage(&t).await.unwrap().samples, 3);
}

#[tokio::test]
async fn people_are_listed_as_they_came_and_named_by_their_ids_in_order() {
    let fixture = Fixture::new().await;
    let names = ["10", "9", "A", "a", "a b", "a-b", "a/b", "ab"];
    for name in names.iter().rev() {
        fixture.enrol(name, &["a"], vec![]).await.unwrap();
    }
    let mut listed = everybody(&fixture, "t").await.unwrap();
    listed.reverse();
    assert_eq!(ids(&listed), names);
    let in_order = names.map(id);
    assert_eq!(fixture.everybody(&scope("t")).await.unwrap(), in_order);
    assert_eq!(fixture.roster(&scope("t"), &gid("a")).await.unwrap(), in_order);
}

#[tokio::test]
async fn no_key_says_anything_of_a_person() {
    let fixture = Fixture::new().await;
    for name in ["Zebulon-4711", "Xerxes-0815"] {
        fixture.enrol(name, &["a"], vec![sample(name, 0.1)]).await.unwrap();
        fixture.mark_photo(&scope("t"), photo("a", 29, &[name])).await.unwrap();
    }
    let twin = sample("Xerxes-0815", 0.3);
    let negative = Negative {
        id: twin.id,
        person: id("Zebulon-4711"),
        of: Some(id("Xerxes-0815")),
        model: twin.model,
        vector: twin.vector,
        created_at: now(),
    };
    fixture.add_negative(&scope("t"), negative).await.unwrap();
    for key in content(&fixture).into_keys() {
        let key = String::from_utf8_lossy(&key).to_lowercase();
        for part in ["zebu", "4711", "xerx", "0815", "pers"] {
            assert!(!key.contains(part), "{part} in {key}");
        }
    }
}

#[tokio::test]
async fn people_change_all_or_nothing() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    fixture.enrol("p", &["a"], vec![sample("p", 0.1)]).await.unwrap();
    let bad =
        PersonChange { name: Some("Q".into()), groups: Some(vec![gid("b"), gid("z")]), ..PersonChange::default() };
    assert_eq!(fixture.update_person(&t, &id("p"), bad).await.unwrap_err().code(), "group_not_found");
    assert_eq!(fixture.person(&t, &id("p")).await.unwrap().person.name, "Person p");
    let good = PersonChange { name: Some("Zoë".into()), groups: Some(vec![gid("b")]), ..PersonChange::default() };
    let changed = fixture.update_person(&t, &id("p"), good).await.unwrap();
    assert_eq!((changed.person.name.as_str(), &changed.groups), ("Zoë", &vec![gid("b")]));
    fixture.reopen();
    assert_eq!(fixture.person(&t, &id("p")).await.unwrap(), changed);
    assert!(fixture.roster(&t, &gid("a")).await.unwrap().is_empty());
    let kept = fixture.update_person(&t, &id("p"), PersonChange::default()).await.unwrap();
    assert_eq!(kept, changed);
    let missing = fixture.update_person(&t, &id("z"), PersonChange::default()).await.unwrap_err();
    assert_eq!(missing.code(), "person_not_found");
}

#[tokio::test]
async fn faces_are_added_replaced_and_removed() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    let first = sample("p", 0.1);
    fixture.enrol("p", &[], vec![first.clone()]).await.unwrap();
    fixture.enrol("p2", &[], vec![sample("p2", 0.5)]).await.unwrap();
    let second = sample("p", 0.2);
    assert_eq!(fixture.add_faces(&t, &id("p"), vec![second.clone()]).await.unwrap().len(), 2);
    fixture.delete_face(&t, &id("p"), first.id).await.unwrap();
    assert_eq!(fixture.delete_face(&t, &id("p"), first.id).await.unwrap_err().code(), "face_not_found");
    fixture.reopen();
    assert_eq!(fixture.faces(&t, &id("p")).await.unwrap(), [second]);

    let full: Vec<_> = (0..MAX_FACES_A_PERSON).map(|_| sample("p", 0.3)).collect();
    let over = fixture.add_faces(&t, &id("p"), full.clone()).await.unwrap_err();
    assert_eq!((over.kind(), over.code()), (ErrorKind::Conflict, "too_many_faces"));
    assert_eq!(fixture.faces(&t, &id("p")).await.unwrap().len(), 1, "none was added");
    fixture.replace_faces(&t, &id("p"), full.clone()).await.unwrap();
    let wrong = vec![sample("p", 0.4), sample("p2", 0.4)];
    assert!(fixture.replace_faces(&t, &id("p"), wrong).await.is_err());
    fixture.reopen();
    assert_eq!(fixture.faces(&t, &id("p")).await.unwrap(), full, "a refused replacement leaves the old samples");
    assert_eq!(fixture.faces(&t, &id("p2")).await.unwrap().len(), 1, "a neighbour in the order keeps theirs");

    let missing = sample("z", 0.1);
    assert_eq!(fixture.delete_face(&t, &id("z"), missing.id).await.unwrap_err().code(), "person_not_found");
    assert_eq!(fixture.add_faces(&t, &id("z"), vec![missing.clone()]).await.unwrap_err().code(), "person_not_found");
    assert_eq!(fixture.replace_faces(&t, &id("z"), vec![missing]).await.unwrap_err().code(), "person_not_found");
}

#[tokio::test]
async fn a_sweep_sees_every_sample_of_its_tenant_once() {
    let fixture = Fixture::new().await;
    fixture.create_tenant_with_groups("t2", 2).await;
    for n in 0..7 {
        let name = format!("p{n}");
        fixture.enrol(&name, &[], (0..90).map(|_| sample(&name, 0.1)).collect()).await.unwrap();
    }
    fixture.create_person(&scope("t2"), person("x"), &[], vec![sample("x", 0.1)]).await.unwrap();
    for threads in [1, 3] {
        let seen = faces_seen(&fixture, threads).await.unwrap();
        let unique: std::collections::HashSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), unique.len()), (630, 630));
    }
    assert_eq!(fixture.usage(&scope("t")).await.unwrap().samples, 630);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_marks_at_once_make_one_record() {
    let fixture = Fixture::new().await;
    fixture.enrol("p", &["a"], vec![]).await.unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let store = (*fixture).clone();
            tokio::spawn(async move { store.mark_photo(&scope("t"), photo("a", 29, &["p"])).await.unwrap()[0] })
        })
        .collect();
    let mut marks = Vec::new();
    for task in tasks {
        marks.push(task.await.unwrap());
    }
    let of = |mark| marks.iter().filter(|&&one| one == mark).count();
    assert_eq!((of(Mark::Marked), of(Mark::AlreadyMarked)), (1, 99));
    let records = fixture.records_on("t", "a", 29).await;
    assert_eq!((records.len(), records[0].sightings.len()), (1, 20));
}

#[tokio::test]
async fn attendance_is_listed_by_time_and_can_be_taken_back() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    for name in ["p1", "p2"] {
        fixture.enrol(name, &["a", "b"], vec![]).await.unwrap();
    }
    let mut late = photo("a", 29, &["p1", "p1"]);
    late.at += 5.minutes();
    late.seen.iter_mut().for_each(|seen| seen.sighting.at += 5.minutes());
    let marks = fixture.mark_photo(&t, late).await.unwrap();
    assert_eq!(marks, [Mark::Marked, Mark::AlreadyMarked], "a photo that names a person twice marks once");
    for other in [photo("a", 29, &["p2"]), photo("a", 30, &["p1"]), photo("b", 29, &["p1"])] {
        assert_eq!(fixture.mark_photo(&t, other).await.unwrap(), [Mark::Marked]);
    }
    fixture.reopen();
    let records = fixture.records_on("t", "a", 29).await;
    assert_eq!(records.iter().map(|record| record.person.as_str()).collect::<Vec<_>>(), ["p2", "p1"]);
    let (early, late) = (records[0].clone(), records[1].clone());
    let undone = late.id.unwrap();
    assert_eq!(fixture.undo_mark(&t, &gid("b"), undone).await.unwrap_err().code(), "record_not_found");
    assert_eq!(fixture.undo_mark(&t, &gid("a"), undone).await.unwrap(), late);
    assert_eq!(fixture.undo_mark(&t, &gid("a"), undone).await.unwrap_err().code(), "record_not_found");
    fixture.reopen();
    assert_eq!(fixture.records_on("t", "a", 29).await, [early]);
    assert_eq!(fixture.records_on("t", "a", 30).await.len(), 1);
    assert_eq!(fixture.mark_photo(&t, photo("a", 29, &["p1"])).await.unwrap(), [Mark::Marked]);

    let nowhere = fixture.mark_photo(&t, photo("z", 31, &["p2"])).await;
    assert_eq!(nowhere.unwrap_err().code(), "group_not_found");
    let day = date(2026, 3, 29);
    assert_eq!(fixture.attendance(&t, &gid("z"), day).await.unwrap_err().code(), "group_not_found");
}

#[tokio::test]
async fn whoever_went_since_the_photo_is_not_marked_and_keeps_nobody_else_from_it() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    for name in ["deleted", "taken_off", "present"] {
        fixture.enrol(name, &["a", "b"], vec![]).await.unwrap();
    }
    let taken = photo("a", 29, &["deleted", "taken_off", "present"]);
    fixture.delete_person(&t, &id("deleted"), now()).await.unwrap();
    fixture.remove_member(&t, &gid("a"), &id("taken_off"), None, now()).await.unwrap();
    let marks = fixture.mark_photo(&t, taken).await.unwrap();
    assert_eq!(marks, [Mark::NotMarked, Mark::NotMarked, Mark::Marked]);
    assert_eq!(fixture.records_on("t", "a", 29).await.len(), 1);
    assert_eq!(fixture.mark_photo(&t, photo("b", 29, &["taken_off"])).await.unwrap(), [Mark::Marked]);
}

/// How many records there are under the tenant `t`, without those of erasures.
fn everything(fixture: &Fixture) -> usize {
    use keys::Kind::{Erasure, Event, EventLog, GroupEvent};
    let is_told = |key: &[u8]| {
        matches!(keys::parse(key), Some(Parsed::Data(_, Erasure(_) | EventLog | Event(_) | GroupEvent(..))))
    };
    fixture.engine().view().unwrap().scan_keys(b"dt\0").filter(|key| !is_told(key.as_ref().unwrap())).count()
}

#[tokio::test]
async fn erasing_a_person_or_a_group_leaves_nothing_of_it() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    // The first person brings the tenant's salt, which stays.
    fixture.enrol("p", &[], vec![]).await.unwrap();
    fixture.delete_person(&t, &id("p"), now()).await.unwrap();
    let empty = everything(&fixture);
    let record = fixture.enrol("p", &["a", "b"], vec![sample("p", 0.1), sample("p", 0.2)]).await.unwrap();
    for taken in [photo("a", 28, &["p"]), photo("b", 29, &["p"])] {
        fixture.mark_photo(&t, taken).await.unwrap();
    }
    let (whose, face) = (record.person.id.to_string(), record.faces[0].id.to_string());
    fixture.delete_person(&t, &id("p"), now()).await.unwrap();
    let told = fixture.engine().feed().dump();
    assert!(told.contains("Face") && told.contains(&face), "{told}");
    assert!(!told.contains(&format!("{whose:?}")) && !told.contains("Person p"), "it says who was erased: {told}");
    fixture.reopen();
    assert!(!fixture.engine().feed().dump().contains(&face), "it does not outlive the process");
    // Two sessions took place all the same, each in the agenda.
    assert_eq!(everything(&fixture), empty + 4);
    assert_eq!(fixture.person(&t, &id("p")).await.unwrap_err().code(), "person_not_found");
    assert_eq!(fixture.delete_person(&t, &id("p"), now()).await.unwrap_err().code(), "person_not_found");
    assert!(fixture.records_on("t", "a", 28).await.is_empty());

    fixture.enrol("q", &["b"], vec![]).await.unwrap();
    let with_q = everything(&fixture);
    fixture.create_group(&t, group("c")).await.unwrap();
    fixture.add_member(&t, &gid("c"), &id("q"), None, now()).await.unwrap();
    fixture.mark_photo(&t, photo("c", 28, &["q"])).await.unwrap();
    fixture.close_group_session(&t, photo("c", 28, &[]).session.id, ClosingRules::default(), now()).await.unwrap();
    fixture.put_timetable(&t, &gid("c"), [1; 6], Vec::new(), Vec::new()).await.unwrap();
    fixture.delete_group(&t, &gid("c")).await.unwrap();
    fixture.reopen();
    assert_eq!(everything(&fixture), with_q);
    assert_eq!(fixture.groups_of(&t, &id("q")).await.unwrap(), [gid("b")]);
    assert_eq!(fixture.delete_group(&t, &gid("c")).await.unwrap_err().code(), "group_not_found");
}

#[tokio::test]
async fn tenants_with_identical_ids_never_meet() {
    let fixture = Fixture::new().await;
    fixture.create_tenant_with_groups("t2", 2).await;
    let (t, t2) = (scope("t"), scope("t2"));
    let face = sample("p", 0.1);
    fixture.enrol("p", &["a"], vec![face.clone()]).await.unwrap();
    fixture.mark_photo(&t, photo("a", 29, &["p"])).await.unwrap();
    let marked = fixture.records_on("t", "a", 29).await;
    let session = marked[0].session;

    let not_found = [
        fixture.person(&t2, &id("p")).await.err(),
        fixture.faces(&t2, &id("p")).await.err(),
        fixture.delete_face(&t2, &id("p"), face.id).await.err(),
        fixture.add_faces(&t2, &id("p"), vec![face.clone()]).await.err(),
        fixture.replace_faces(&t2, &id("p"), vec![]).await.err(),
        fixture.update_person(&t2, &id("p"), PersonChange::default()).await.err(),
        fixture.delete_person(&t2, &id("p"), now()).await.err(),
        fixture.add_member(&t2, &gid("a"), &id("p"), None, now()).await.err(),
        fixture.remove_member(&t2, &gid("a"), &id("p"), None, now()).await.err(),
        fixture.groups_of(&t2, &id("p")).await.err(),
        fixture.undo_mark(&t2, &gid("a"), marked[0].id.unwrap()).await.err(),
        fixture.group_session(&t2, session).await.err(),
        fixture.close_group_session(&t2, session, ClosingRules::default(), now()).await.err(),
        fixture.records(&t2, session, None, 9).await.err(),
        fixture.undo_correction(&t2, session, &id("p")).await.err(),
    ];
    for error in not_found {
        assert_eq!(error.unwrap().kind(), ErrorKind::NotFound);
    }
    assert_eq!(fixture.mark_photo(&t2, photo("a", 29, &["p"])).await.unwrap(), [Mark::NotMarked]);
    assert!(everybody(&fixture, "t2").await.unwrap().is_empty());
    assert!(fixture.roster(&t2, &gid("a")).await.unwrap().is_empty());
    assert!(fixture.records_on("t2", "a", 29).await.is_empty());
    assert_eq!(fixture.usage(&t2).await.unwrap().samples, 0);

    fixture.create_person(&t2, person("p"), &[gid("a")], vec![sample("p", 0.9)]).await.unwrap();
    fixture.mark_photo(&t2, photo("a", 29, &["p"])).await.unwrap();
    fixture.delete_group(&t2, &gid("a")).await.unwrap();
    fixture.delete_person(&t2, &id("p"), now()).await.unwrap();
    assert_eq!(fixture.faces(&t, &id("p")).await.unwrap(), [face]);
    assert_eq!(fixture.roster(&t, &gid("a")).await.unwrap(), [id("p")]);
    assert_eq!(fixture.records_on("t", "a", 29).await, marked);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_share_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let flushes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&flushes);
    let mut options = options(folder.path());
    options.on_flush = Some(Arc::new(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        // A disk slow enough that the other writers arrive meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }));
    let store = Store::open(options).unwrap();
    store.create_tenant(&Right::of_machine(), tenant("t"), tenant_key("t", 1)).await.unwrap();
    let writes = (0..100).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.create_group(&scope("t"), group(&format!("g{n}"))).await.unwrap() })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap();
    }
    let flushes = flushes.load(Ordering::Relaxed);
    assert!(flushes < 50, "{flushes} flushes for 101 operations");
    assert!(store.is_healthy());
    assert!(store.size_on_disk().await.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_whole_operations_only() {
    let fixture = Fixture::new().await;
    fixture.enrol("p", &["a"], vec![sample("p", 0.1); 1]).await.unwrap();
    let store = (*fixture).clone();
    let writer = tokio::spawn(async move {
        for round in 0..60 {
            let (count, name) = if round % 2 == 0 { (7, "a") } else { (3, "b") };
            let faces: Vec<_> = (0..count).map(|_| sample("p", 0.1)).collect();
            store.replace_faces(&scope("t"), &id("p"), faces).await.unwrap();
            let change = PersonChange { groups: Some(vec![gid(name)]), ..PersonChange::default() };
            store.update_person(&scope("t"), &id("p"), change).await.unwrap();
        }
    });
    while !writer.is_finished() {
        let seen = fixture.person(&scope("t"), &id("p")).await.unwrap();
        assert!([1, 3, 7].contains(&seen.faces.len()), "{} samples", seen.faces.len());
        assert_eq!(seen.groups.len(), 1);
    }
    writer.await.unwrap();
}

/// Settings as version 2 of their record had them.
#[derive(Serialize, Deserialize)]
struct SettingsV2(Option<u64>, Option<u64>, Option<u64>, Option<GalleryPlan>, EnrolmentPolicy);

impl Record for SettingsV2 {
    const KIND: u8 = TenantSettings::KIND;
    const VERSION: u8 = 2;
}

/// A tenant as version 1 of its record had it.
#[derive(Serialize, Deserialize)]
struct TenantV1(TenantId, String, Timestamp);

impl Record for TenantV1 {
    const KIND: u8 = Tenant::KIND;
}

#[tokio::test]
async fn a_tenant_that_an_earlier_version_wrote_is_read() {
    let fixture = Fixture::new().await;
    let enrolment = EnrolmentPolicy { duplicates: DuplicatePolicy::Refuse, ..EnrolmentPolicy::default() };
    let settings = SettingsV2(Some(7), None, Some(9), Some(GalleryPlan::Exact), enrolment);
    tamper(&fixture, move |transaction| {
        let Tenant { id, name, created_at, .. } = tenant("t");
        transaction.put(keys::settings(&id), &settings)?;
        transaction.put(keys::tenant(&id), &TenantV1(id, name, created_at))
    })
    .await
    .unwrap();
    let record = fixture.tenant_record(&scope("t")).await.unwrap();
    assert_eq!(record.tenant, tenant("t"));
    let expected = TenantSettings {
        max_people: Some(7),
        max_samples: Some(9),
        gallery_plan: Some(GalleryPlan::Exact),
        enrolment,
        ..TenantSettings::default()
    };
    assert_eq!(record.settings, expected);
}

#[tokio::test]
async fn limits_hold_before_anything_is_written() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    let samples = |count: usize| -> Vec<_> { (0..count).map(|_| sample("p", 0.3)).collect() };
    let set = |people, groups, samples| {
        move |_: &mut Tenant, settings: &mut TenantSettings| {
            (settings.max_people, settings.max_groups, settings.max_samples) = (people, groups, samples);
        }
    };
    fixture.update_tenant(&t, set(Some(2), Some(3), Some(4))).await.unwrap();
    fixture.reopen();
    fixture.enrol("p", &[], vec![sample("p", 0.1), sample("p", 0.2)]).await.unwrap();
    let before = everything(&fixture);
    let refused = [
        fixture.enrol("q", &[], (0..3).map(|_| sample("q", 0.1)).collect()).await.err(),
        fixture.add_faces(&t, &id("p"), samples(3)).await.err(),
        fixture.replace_faces(&t, &id("p"), samples(5)).await.err(),
    ];
    for error in refused.map(Option::unwrap) {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "limit_reached"));
        let details = error.details().unwrap();
        assert_eq!((&details["limit"], &details["max"], &details["used"]), (&"samples".into(), &4.into(), &2.into()));
    }
    fixture.create_group(&t, group("c")).await.unwrap();
    assert_eq!(fixture.create_group(&t, group("d")).await.unwrap_err().details().unwrap()["limit"], "groups");
    fixture.enrol("q", &["c"], vec![]).await.unwrap();
    assert_eq!(fixture.enrol("r", &[], vec![]).await.unwrap_err().details().unwrap()["limit"], "people");
    assert_eq!(fixture.usage(&t).await.unwrap(), Amounts { people: 2, groups: 3, samples: 2 });
    // A lowered limit takes nothing away, and lets go of what goes.
    fixture.update_tenant(&t, set(Some(0), Some(0), Some(0))).await.unwrap();
    fixture.update_tenant(&t, |tenant, _| tenant.name = "New".into()).await.unwrap();
    fixture.replace_faces(&t, &id("p"), vec![sample("p", 0.5)]).await.unwrap();
    fixture.delete_person(&t, &id("q"), now()).await.unwrap();
    fixture.delete_group(&t, &gid("c")).await.unwrap();
    assert_eq!(fixture.enrol("q", &[], vec![]).await.unwrap_err().code(), "limit_reached");
    assert_eq!(fixture.usage(&t).await.unwrap(), Amounts { people: 1, groups: 2, samples: 1 });
    assert_eq!(everything(&fixture), before - 1, "one sample fewer than at first");
    assert_eq!(fixture.tenant(&t).await.unwrap().name, "New");
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
    let nobody = fixture.update_tenant(&scope("nobody"), |_, _| {}).await.unwrap_err();
    assert_eq!(nobody.code(), "tenant_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_exact_however_many_come_at_once() {
    let fixture = Fixture::new().await;
    fixture.update_tenant(&scope("t"), |_, settings| settings.max_people = Some(17)).await.unwrap();
    let tasks: Vec<_> = (0..60)
        .map(|n| {
            let store = (*fixture).clone();
            tokio::spawn(async move { store.create_person(&scope("t"), person(&format!("p{n}")), &[], vec![]).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert_eq!(error.code(), "limit_reached"),
        }
    }
    assert_eq!((made, everybody(&fixture, "t").await.unwrap().len()), (17, 17));
}
