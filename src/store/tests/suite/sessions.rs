//! Sessions and their registers: planned and stored, closed and opened again, corrected and put back.

use std::collections::BTreeMap;

use jiff::{
    ToSpan,
    civil::{Date, time},
};

use super::*;
use crate::{
    domain::{
        FaceBox, GroupId, GroupSession, GroupSessionId, Mark, RecordState, SessionOrigin, SessionState, Status,
        attendance::{
            record::{AppealState, Correction, Said},
            roster::DayOrMoment,
            session::Step,
            stranger::{Glimpse, Keeping, UnknownFace, UnknownFaces},
            timetable::{Entry, Holiday, Weekday, blank, instants},
        },
    },
    store::{ClosingRules, GroupChange, NewEntry, PersonPhotos, SessionRecord},
};

const DAY: Date = date(2026, 3, 30);

const FORCED: ClosingRules = ClosingRules { is_forced: true, counts_joined_later: false };

/// After the sessions of [`DAY`].
fn later() -> Timestamp {
    at("2026-03-30T20:00:00Z")
}

fn gid() -> GroupId {
    "a".parse().unwrap()
}

/// Mondays from eight to nine.
pub(super) fn mondays() -> Entry {
    Entry {
        number: 0,
        title: Some("Maths".into()),
        weekday: Weekday::Monday,
        start: time(8, 0, 0, 0),
        end: time(9, 0, 0, 0),
        from: None,
        until: None,
        expected: Vec::new(),
    }
}

/// As a new entry.
fn new(entry: Entry) -> NewEntry {
    NewEntry { number: None, entry }
}

async fn plan(fixture: &Fixture, entries: Vec<NewEntry>) -> Result<crate::domain::Timetable> {
    fixture.put_timetable(&scope("t"), &gid(), [1; 6], entries, Vec::new()).await
}

async fn listed(fixture: &Fixture, from: Date, until: Date) -> Vec<GroupSession> {
    fixture.group_sessions(&scope("t"), &gid(), from, until).await.unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Plans a session on [`DAY`], from eight to nine.
async fn single(fixture: &Fixture, expected: &[&str]) -> GroupSession {
    let times = instants("UTC", DAY, time(8, 0, 0, 0), time(9, 0, 0, 0)).unwrap();
    let session = GroupSession {
        expected: expected.iter().map(|&source| source.to_owned()).collect(),
        ..blank(gid(), DAY, times, SessionOrigin::Single)
    };
    fixture.create_group_session(&scope("t"), session).await.unwrap()
}

async fn see(fixture: &Fixture, session: &GroupSession, at: Timestamp, people: &[&str]) -> Result<Vec<Mark>> {
    let photo_id = PhotoId::generate();
    let seen = people.iter().map(|person| seen(person, sighting(photo_id, 0, at))).collect();
    fixture.mark_photo(&scope("t"), photo_of(session.clone(), at, seen)).await
}

/// What counts, by person.
async fn register(fixture: &Fixture, session: GroupSessionId) -> BTreeMap<String, (RecordState, Status)> {
    let (records, _) = fixture.records(&scope("t"), session, None, 100).await.unwrap();
    let entry =
        |SessionRecord { record, .. }| (record.person.to_string(), (record.verdict.state, record.verdict.status));
    records.into_iter().map(entry).collect()
}

fn say(said: Said) -> Correction {
    Correction { said, reason: Some("because".into()), at: now(), faces: Vec::new() }
}

#[tokio::test]
async fn a_planned_session_has_its_id_before_it_is_stored_and_keeps_it() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    plan(&fixture, vec![new(mondays())]).await.unwrap();
    let before = content(&fixture).len();
    let sessions = listed(&fixture, DAY, date(2026, 4, 6)).await;
    assert_eq!(sessions.iter().map(|session| session.date).collect::<Vec<_>>(), [DAY, date(2026, 4, 6)]);
    assert_eq!(content(&fixture).len(), before, "nothing is stored of them");
    let first = sessions[0].clone();
    assert_eq!(fixture.group_session(&t, first.id).await.unwrap(), first);
    fixture.reopen();

    // Moved to Tuesday, it is no longer on Monday, and it goes on being one.
    let moved = fixture
        .change_group_session(&t, first.id, |session| {
            let (starts_at, ends_at) = (session.starts_at + 24.hours(), session.ends_at + 24.hours());
            Ok(GroupSession { date: DAY.tomorrow().unwrap(), starts_at, ends_at, ..session })
        })
        .await
        .unwrap();
    assert_eq!(listed(&fixture, DAY, DAY).await, []);
    assert_eq!(listed(&fixture, DAY.tomorrow().unwrap(), DAY.tomorrow().unwrap()).await, [moved]);
    let back = fixture.change_group_session(&t, first.id, move |_| Ok(first.clone())).await.unwrap();
    assert_eq!(listed(&fixture, DAY, date(2026, 4, 5)).await, std::slice::from_ref(&back));

    // What is stored outlives its entry; the rest of the entry's sessions are gone.
    let kept = NewEntry { number: Some(1), entry: mondays() };
    assert_eq!(plan(&fixture, vec![kept.clone(), new(mondays())]).await.unwrap().entries[1].number, 2);
    assert_eq!(listed(&fixture, DAY, DAY).await.len(), 2);
    assert_eq!(
        plan(&fixture, vec![NewEntry { number: Some(9), entry: mondays() }]).await.unwrap_err().code(),
        "invalid_timetable"
    );
    plan(&fixture, Vec::new()).await.unwrap();
    assert_eq!(listed(&fixture, date(2026, 1, 1), date(2026, 12, 31)).await, [back]);
    assert_eq!(fixture.group_session(&t, sessions[1].id).await.unwrap_err().code(), "session_not_found");
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn the_current_session_is_found_by_time() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    let current = async |text: &str| fixture.session_at(&t, &gid(), at(text)).await;
    let day = current("2026-03-30T08:30:00Z").await.unwrap();
    assert_eq!((day.origin, day.date), (SessionOrigin::Day, DAY));
    let other = current("2026-03-30T23:30:00Z").await.unwrap();
    assert_eq!(other.id, day.id, "one a day, whoever asks");

    let late = NewEntry { entry: Entry { start: time(8, 50, 0, 0), end: time(1, 0, 0, 0), ..mondays() }, number: None };
    plan(&fixture, vec![new(mondays()), late]).await.unwrap();
    let [early, late] = listed(&fixture, DAY, DAY).await.try_into().unwrap();
    let table = [
        ("2026-03-30T07:44:59Z", None),
        ("2026-03-30T07:45:00Z", Some(early.id)),
        ("2026-03-30T08:34:59Z", Some(early.id)),
        // Of two that hold it the one that starts last.
        ("2026-03-30T08:35:00Z", Some(late.id)),
        ("2026-03-31T01:14:59Z", Some(late.id)),
        ("2026-03-31T01:15:00Z", None),
    ];
    for (moment, expected) in table {
        let found = current(moment).await;
        match expected {
            Some(id) => assert_eq!(found.unwrap().id, id, "{moment}"),
            None => assert_eq!(found.unwrap_err().code(), "no_session", "{moment}"),
        }
    }
    fixture.change_group_session(&t, late.id, |late| late.after(Step::Cancel, now())).await.unwrap();
    assert_eq!(current("2026-03-30T08:35:00Z").await.unwrap().id, early.id);

    fixture.put_holidays(&t, vec![Holiday { from: DAY, until: None, name: "Easter".into() }]).await.unwrap();
    assert_eq!(current("2026-03-30T08:35:00Z").await.unwrap_err().code(), "no_session");
}

#[tokio::test]
async fn where_there_is_no_session_the_time_and_the_next_lesson_are_told() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    plan(&fixture, vec![new(mondays())]).await.unwrap();
    let told = async |text: &str| fixture.session_at(&t, &gid(), at(text)).await.unwrap_err();
    let [monday] = listed(&fixture, DAY, DAY).await.try_into().unwrap();
    let early = told("2026-03-29T22:30:00Z").await;
    let group = fixture.group(&t, &gid()).await.unwrap();
    for shown in [group.shown(at("2026-03-29T22:30:00Z")).unwrap(), group.shown(monday.starts_at).unwrap()] {
        assert!(early.message().contains(&shown), "{shown}: {early}");
    }
    assert_eq!(early.details().unwrap()["next"]["session"], monday.id.to_string());
    let after = told("2026-03-30T20:00:00Z").await;
    assert_ne!(after.details().unwrap()["next"]["session"], monday.id.to_string(), "the Monday after");
    fixture.change_group_session(&t, monday.id, |monday| monday.after(Step::Cancel, now())).await.unwrap();
    assert_ne!(told("2026-03-29T22:30:00Z").await.details().unwrap()["next"]["session"], monday.id.to_string());
    plan(&fixture, vec![new(Entry { until: Some(DAY), ..mondays() })]).await.unwrap();
    let over = told("2026-04-20T08:00:00Z").await;
    assert!(over.message().contains("none is planned") && over.details().unwrap()["next"].is_null(), "{over}");
}

#[tokio::test]
async fn closing_declares_absences_and_opening_again_takes_them_back() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    for name in ["absent", "excused", "present", "unsure"] {
        fixture.enrol(name, &["a"], vec![]).await.unwrap();
    }
    let rules = Rules { confirm_sightings: 2, late_after_minutes: Some(10), ..Rules::default() };
    let change = GroupChange { rules: Some(rules), ..GroupChange::default() };
    fixture.update_group(&t, &gid(), change).await.unwrap();
    let session = single(&fixture, &[]).await;
    fixture.create_person(&t, person("joiner"), &[], vec![]).await.unwrap();
    let since = Some(DayOrMoment::Moment(session.starts_at + 1.minute()));
    fixture.add_member(&t, &gid(), &id("joiner"), since, session.starts_at).await.unwrap();
    fixture.correct(&t, session.id, vec![(id("excused"), say(Said::Set(Status::Excused)))]).await.unwrap();
    let start = session.starts_at;
    assert_eq!(see(&fixture, &session, start, &["present", "unsure"]).await.unwrap(), [Mark::ToConfirm; 2]);
    assert_eq!(see(&fixture, &session, start + 1.minute(), &["present"]).await.unwrap(), [Mark::Marked]);
    let open = register(&fixture, session.id).await;
    assert_eq!(open.len(), 3, "{open:?}");

    let closing = fixture.close_group_session(&t, session.id, ClosingRules::default(), later()).await.unwrap();
    assert_eq!(closing.session.state, SessionState::Closed);
    fixture.reopen();
    let closed = register(&fixture, session.id).await;
    let expected = [
        ("absent", (RecordState::NotSeen, Status::Absent)),
        ("excused", (RecordState::ByHand, Status::Excused)),
        ("joiner", (RecordState::NotSeen, Status::NotOnRoster)),
        ("present", (RecordState::Sure, Status::Present)),
        ("unsure", (RecordState::ToConfirm, Status::Undecided)),
    ];
    assert_eq!(closed, expected.into_iter().map(|(name, verdict)| (name.to_owned(), verdict)).collect());
    let counts: Vec<(Status, u64)> = closing.counts.into_iter().collect();
    let each = [Status::Undecided, Status::Present, Status::Absent, Status::Excused, Status::NotOnRoster];
    assert_eq!(counts, each.map(|status| (status, 1)));
    assert_eq!(see(&fixture, &session, start, &["absent"]).await.unwrap_err().code(), "session_closed");
    assert_eq!(
        fixture.close_group_session(&t, session.id, FORCED, later()).await.unwrap_err().code(),
        "session_closed"
    );
    let marked = fixture.records_on("t", "a", 30).await.into_iter().find_map(|record| record.id).unwrap();
    assert_eq!(fixture.undo_mark(&t, &gid(), marked).await.unwrap_err().code(), "session_closed");
    assert!(fixture.check(|_| None).await.unwrap().is_sound());

    fixture.reopen_group_session(&t, session.id, "late photos".into(), now()).await.unwrap();
    assert_eq!(register(&fixture, session.id).await, open);
    for minute in [11, 12] {
        see(&fixture, &session, start + minute.minutes(), &["absent"]).await.unwrap();
    }
    fixture.close_group_session(&t, session.id, ClosingRules::default(), later()).await.unwrap();
    assert_eq!(register(&fixture, session.id).await["absent"], (RecordState::Sure, Status::Late));
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn who_has_left_the_roster_since_is_of_a_session_that_is_opened_again() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    for name in ["left", "stayed"] {
        fixture.enrol(name, &["a"], vec![]).await.unwrap();
    }
    let session = single(&fixture, &[]).await;
    fixture.close_group_session(&t, session.id, ClosingRules::default(), later()).await.unwrap();
    let closed = register(&fixture, session.id).await;
    fixture.remove_member(&t, &gid(), &id("left"), None, later()).await.unwrap();
    fixture.reopen_group_session(&t, session.id, "somebody else was late".into(), now()).await.unwrap();
    assert!(register(&fixture, session.id).await.is_empty(), "nobody is absent from an open session");
    let again = fixture.close_group_session(&t, session.id, ClosingRules::default(), later()).await.unwrap();
    assert_eq!((register(&fixture, session.id).await, &again.counts[&Status::Absent]), (closed, &2));
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn absence_waits_for_the_sources_that_a_session_expects() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    fixture.enrol("p", &["a"], vec![]).await.unwrap();
    let session = single(&fixture, &["camera", "teacher"]).await;
    let mut photo = photo_of(session.clone(), session.starts_at, Vec::new());
    for (source, missing) in [(None, 2), (Some("teacher"), 1), (Some("teacher"), 1)] {
        photo.source = source.map(str::to_owned);
        fixture.mark_photo(&t, photo.clone()).await.unwrap();
        let waiting = fixture.close_group_session(&t, session.id, ClosingRules::default(), later()).await.unwrap();
        assert_eq!((waiting.session.state, waiting.counts.len()), (SessionState::Open, 0));
        assert_eq!(waiting.session.missing_sources().count(), missing);
        assert!(register(&fixture, session.id).await.is_empty());
    }
    let forced = fixture.close_group_session(&t, session.id, FORCED, later()).await.unwrap();
    assert_eq!(forced.counts[&Status::Absent], 1);
    fixture.reopen_group_session(&t, session.id, "the camera is back".into(), now()).await.unwrap();
    photo.source = Some("camera".into());
    fixture.mark_photo(&t, photo).await.unwrap();
    let closed = fixture.close_group_session(&t, session.id, ClosingRules::default(), later()).await.unwrap();
    assert_eq!((closed.session.state, closed.counts[&Status::Absent]), (SessionState::Closed, 1));
}

#[tokio::test]
async fn what_is_said_counts_until_it_is_taken_back() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    for name in ["p", "q"] {
        fixture.enrol(name, &["a"], vec![]).await.unwrap();
    }
    plan(&fixture, vec![new(mondays())]).await.unwrap();
    let session = listed(&fixture, DAY, DAY).await.remove(0);
    let said = |name: &str, said| vec![(id(name), say(said))];
    fixture.correct(&t, session.id, said("p", Said::Set(Status::Excused))).await.unwrap();
    assert_eq!(register(&fixture, session.id).await["p"], (RecordState::ByHand, Status::Excused));
    let undone = fixture.undo_correction(&t, session.id, &id("p")).await.unwrap();
    assert_eq!(undone.record.verdict.status, Status::Undecided);
    assert!(register(&fixture, session.id).await.is_empty(), "nothing is left of it");

    see(&fixture, &session, session.starts_at, &["p"]).await.unwrap();
    fixture.correct(&t, session.id, said("p", Said::Rejected)).await.unwrap();
    fixture.close_group_session(&t, session.id, ClosingRules::default(), later()).await.unwrap();
    assert_eq!(register(&fixture, session.id).await["p"].1, Status::Absent);
    let both = [said("p", Said::Confirmed), said("q", Said::Set(Status::LeftEarly))].concat();
    let corrected = fixture.correct(&t, session.id, both).await.unwrap();
    assert_eq!(corrected[0].record.verdict.status, Status::Present);
    assert_eq!(register(&fixture, session.id).await["q"], (RecordState::ByHand, Status::LeftEarly));
    fixture.undo_correction(&t, session.id, &id("q")).await.unwrap();
    assert_eq!(register(&fixture, session.id).await["q"], (RecordState::NotSeen, Status::Absent));
    let nothing = fixture.undo_correction(&t, session.id, &id("q")).await.unwrap_err();
    assert_eq!(nothing.code(), "nothing_to_undo");

    // All or none.
    let one_unknown = [said("q", Said::Confirmed), said("nobody", Said::Confirmed)].concat();
    assert_eq!(fixture.correct(&t, session.id, one_unknown).await.unwrap_err().code(), "person_not_found");
    assert_eq!(register(&fixture, session.id).await["q"].1, Status::Absent);

    let appeal = fixture.appeal(&t, session.id, &id("q"), "I was there".into(), now()).await.unwrap();
    assert_eq!(appeal.record.appeal.unwrap().state, AppealState::Open);
    let again = fixture.appeal(&t, session.id, &id("q"), "I was!".into(), now()).await.unwrap_err();
    assert_eq!(again.code(), "appeal_open");
    fixture.settle_appeal(&t, session.id, &id("q"), AppealState::Refused).await.unwrap();
    let none = fixture.settle_appeal(&t, session.id, &id("p"), AppealState::Refused).await.unwrap_err();
    assert_eq!(none.code(), "appeal_not_found");
    fixture.reopen_group_session(&t, session.id, "x".into(), now()).await.unwrap();
    let again = register(&fixture, session.id).await;
    assert_eq!(again["q"], (RecordState::NotSeen, Status::Undecided), "an appeal stays, the absence does not");
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn so_many_marks_a_day_and_no_more_than_so_many_sessions() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    fixture.enrol("p", &["a"], vec![]).await.unwrap();
    let rules = Rules { max_marks_a_day: Some(2), ..Rules::default() };
    fixture.update_group(&t, &gid(), GroupChange { rules: Some(rules), ..GroupChange::default() }).await.unwrap();
    let mut marks = Vec::new();
    for _ in 0..3 {
        let session = single(&fixture, &[]).await;
        marks.extend(see(&fixture, &session, session.starts_at, &["p"]).await.unwrap());
    }
    assert_eq!(marks, [Mark::Marked, Mark::Marked, Mark::NotMarked]);
    let other_day = DAY.tomorrow().unwrap();
    let (mut on_other_day, start) = (Vec::new(), at("2026-03-31T08:00:00Z"));
    for hour in 0..3 {
        let times = (start + hour.hours(), start + (hour + 1).hours());
        let session = blank(gid(), other_day, times, SessionOrigin::Single);
        on_other_day.push(fixture.create_group_session(&t, session).await.unwrap());
    }
    for session in &on_other_day[..2] {
        fixture.correct(&t, session.id, vec![(id("p"), say(Said::Set(Status::Present)))]).await.unwrap();
    }
    fixture.change_group_session(&t, on_other_day[0].id, |one| one.after(Step::Cancel, now())).await.unwrap();
    let marked = see(&fixture, &on_other_day[2], on_other_day[2].starts_at, &["p"]).await.unwrap();
    assert_eq!(marked, [Mark::Marked], "a cancelled session was attended by nobody");
    for _ in 3..100 {
        single(&fixture, &[]).await;
    }
    let times = instants("UTC", DAY, time(8, 0, 0, 0), time(9, 0, 0, 0)).unwrap();
    let more = blank(gid(), DAY, times, SessionOrigin::Single);
    assert_eq!(fixture.create_group_session(&t, more).await.unwrap_err().code(), "too_many_sessions");
}

#[tokio::test]
async fn of_two_records_of_one_person_the_better_stays() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    for name in ["p", "q"] {
        fixture.enrol(name, &["a"], vec![]).await.unwrap();
    }
    let [one, two] = [single(&fixture, &[]).await, single(&fixture, &[]).await];
    see(&fixture, &one, one.starts_at, &["q"]).await.unwrap();
    see(&fixture, &one, one.starts_at + 1.minute(), &["p"]).await.unwrap();
    see(&fixture, &two, one.starts_at, &["q"]).await.unwrap();
    fixture.close_group_session(&t, two.id, ClosingRules::default(), later()).await.unwrap();
    fixture.merge_people(&t, &id("p"), &id("q"), PersonPhotos::default()).await.unwrap();
    for session in [&one, &two] {
        let (records, _) = fixture.records(&t, session.id, None, 9).await.unwrap();
        let [record] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!((&record.record.person, record.record.verdict.status), (&id("p"), Status::Present));
        assert_eq!(record.record.verdict.first_seen, Some(one.starts_at), "seen first");
    }
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

/// Adds somebody to the roster of the group since a moment, or takes them off it until one.
async fn roster(fixture: &Fixture, name: &str, since: Option<&str>, until: Option<&str>) {
    let (t, moment) = (scope("t"), |text| DayOrMoment::Moment(at(text)));
    if let Some(since) = since {
        fixture.add_member(&t, &gid(), &id(name), Some(moment(since)), later()).await.unwrap();
    }
    if let Some(until) = until {
        fixture.remove_member(&t, &gid(), &id(name), Some(moment(until)), later()).await.unwrap();
    }
}

/// What counts, by person.
async fn statuses(fixture: &Fixture, session: &GroupSession) -> BTreeMap<String, Status> {
    register(fixture, session.id).await.into_iter().map(|(name, (_, status))| (name, status)).collect()
}

#[tokio::test]
async fn a_register_is_of_those_who_belonged_to_the_group_when_its_session_started() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    let session = single(&fixture, &[]).await;
    for name in ["always", "later", "before", "back", "gap", "next"] {
        fixture.create_person(&t, person(name), &[], vec![]).await.unwrap();
    }
    roster(&fixture, "always", Some("2026-03-01T00:00:00Z"), None).await;
    roster(&fixture, "later", Some("2026-03-30T08:10:00Z"), None).await;
    roster(&fixture, "before", Some("2026-03-01T00:00:00Z"), Some("2026-03-30T07:00:00Z")).await;
    roster(&fixture, "back", Some("2026-03-01T00:00:00Z"), Some("2026-03-30T09:00:00Z")).await;
    roster(&fixture, "back", Some("2026-03-30T12:00:00Z"), None).await;
    roster(&fixture, "gap", Some("2026-03-01T00:00:00Z"), Some("2026-03-30T07:00:00Z")).await;
    roster(&fixture, "gap", Some("2026-03-30T12:00:00Z"), None).await;
    roster(&fixture, "next", Some("2026-09-01T00:00:00Z"), None).await;
    fixture.reopen();
    let named = |pairs: &[(&str, Status)]| pairs.iter().map(|&(name, status)| (name.to_owned(), status)).collect();
    let expected = |later| {
        named(&[
            ("always", Status::Absent),
            ("back", Status::Absent),
            ("gap", Status::NotOnRoster),
            ("later", later),
            ("next", Status::NotOnRoster),
        ])
    };
    let close = async |counts_joined_later| {
        let rules = ClosingRules { is_forced: false, counts_joined_later };
        fixture.close_group_session(&t, session.id, rules, later()).await.unwrap()
    };
    assert_eq!(close(false).await.joined_later, 1);
    assert_eq!(statuses(&fixture, &session).await, expected(Status::NotOnRoster));
    fixture.reopen_group_session(&t, session.id, "they were there".into(), now()).await.unwrap();
    let closing = close(true).await;
    assert_eq!((closing.joined_later, closing.counts[&Status::Absent]), (1, 3));
    assert_eq!(statuses(&fixture, &session).await, expected(Status::Absent));
    let on_it = fixture.roster(&t, &gid()).await.unwrap();
    assert_eq!(on_it, ["always", "back", "gap", "later", "next"].map(id));
    assert_eq!(fixture.groups_of(&t, &id("before")).await.unwrap(), []);
    assert_eq!(fixture.members(&t, &gid()).await.unwrap().len(), 6);
    let in_group = crate::store::PeopleQuery { group: Some(gid()), ..Default::default() };
    assert_eq!(fixture.find_people(&t, in_group, None, 9).await.unwrap().people.len(), 5);
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn who_is_said_to_have_come_or_gone_at_another_time_is_judged_anew_in_closed_sessions() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    let session = single(&fixture, &[]).await;
    fixture.create_person(&t, person("p"), &[], vec![]).await.unwrap();
    roster(&fixture, "p", Some("2026-03-30T10:00:00Z"), None).await;
    fixture.close_group_session(&t, session.id, ClosingRules::default(), later()).await.unwrap();
    let status = async || statuses(&fixture, &session).await["p"];
    assert_eq!(status().await, Status::NotOnRoster);
    roster(&fixture, "p", Some("2026-03-30T08:00:00Z"), None).await;
    assert_eq!(status().await, Status::Absent);
    let early = fixture.remove_member(&t, &gid(), &id("p"), Some(DayOrMoment::Day(date(2026, 3, 29))), later()).await;
    assert_eq!(early.unwrap_err().code(), "invalid_roster_time", "before they joined");
    roster(&fixture, "p", Some("2026-03-01T00:00:00Z"), None).await;
    fixture.remove_member(&t, &gid(), &id("p"), Some(DayOrMoment::Day(date(2026, 3, 29))), later()).await.unwrap();
    assert_eq!(status().await, Status::NotOnRoster, "gone the day before");
    let set = say(Said::Set(Status::Excused));
    fixture.correct(&t, session.id, vec![(id("p"), set)]).await.unwrap();
    roster(&fixture, "p", Some("2026-03-02T00:00:00Z"), None).await;
    assert_eq!(status().await, Status::Excused, "what somebody said holds");
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn who_is_put_on_the_roster_after_a_session_was_closed_is_absent_from_it() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    let session = single(&fixture, &[]).await;
    for name in ["p", "q"] {
        fixture.create_person(&t, person(name), &[], vec![]).await.unwrap();
    }
    fixture.close_group_session(&t, session.id, ClosingRules::default(), later()).await.unwrap();
    roster(&fixture, "p", Some("2026-03-30T00:00:00Z"), None).await;
    roster(&fixture, "q", Some("2026-03-30T12:00:00Z"), None).await;
    let absent = BTreeMap::from([("p".to_owned(), Status::Absent)]);
    assert_eq!(statuses(&fixture, &session).await, absent);
    assert!(fixture.check(|_| None).await.unwrap().is_sound(), "the sheet too");
    // That was a mistake: nothing is left of it but that it is no absence.
    fixture.remove_member(&t, &gid(), &id("p"), Some(DayOrMoment::Day(date(2026, 3, 29))), later()).await.unwrap();
    assert!(fixture.members(&t, &gid()).await.unwrap().iter().all(|member| member.person != id("p")));
    assert_eq!(statuses(&fixture, &session).await["p"], Status::NotOnRoster);
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn who_comes_back_keeps_the_absences_of_a_time_that_nobody_kept() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    let session = single(&fixture, &[]).await;
    fixture.create_person(&t, person("p"), &[], vec![]).await.unwrap();
    roster(&fixture, "p", Some("2026-03-01T00:00:00Z"), None).await;
    fixture.close_group_session(&t, session.id, ClosingRules::default(), later()).await.unwrap();
    // As an older release forgot who left.
    let forget = |transaction: &mut Transaction<'_>| {
        let who = pseudonym(transaction, "p");
        crate::store::attendance::rosters::forget(transaction, scope("t").tenant(), &gid(), who);
        Ok(())
    };
    tamper(&fixture, forget).await.unwrap();
    roster(&fixture, "p", Some("2026-03-31T00:00:00Z"), None).await;
    assert_eq!(statuses(&fixture, &session).await["p"], Status::Absent);
}

#[tokio::test]
async fn who_joins_after_a_session_that_counted_later_ones_was_closed_is_not_of_it() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    let session = single(&fixture, &[]).await;
    fixture.create_person(&t, person("p"), &[], vec![]).await.unwrap();
    let rules = ClosingRules { is_forced: false, counts_joined_later: true };
    fixture.close_group_session(&t, session.id, rules, later()).await.unwrap();
    let joined = later() + 1.hour();
    fixture.add_member(&t, &gid(), &id("p"), Some(DayOrMoment::Moment(joined)), joined).await.unwrap();
    let (_, records) = fixture.register(&t, session.id).await.unwrap();
    let statuses: Vec<_> = records.iter().map(|record| record.verdict.status).collect();
    assert_eq!(statuses, [Status::NotOnRoster]);
}

#[tokio::test]
async fn a_place_on_a_roster_of_an_older_store_goes_on_as_it_was() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Old(PersonId, Timestamp);
    impl crate::store::codec::Record for Old {
        const KIND: u8 = 80;
    }
    let mut fixture = Fixture::new().await;
    fixture.enrol("p", &["a"], vec![]).await.unwrap();
    let old = |transaction: &mut Transaction<'_>| {
        let who = pseudonym(transaction, "p");
        transaction.put(keys::member(scope("t").tenant(), &gid(), who), &Old(id("p"), now()))?;
        transaction.put(keys::format(), &crate::store::operations::open::Format { version: 3 })
    };
    tamper(&fixture, old).await.unwrap();
    fixture.reopen();
    let [member] = fixture.members(&scope("t"), &gid()).await.unwrap().try_into().unwrap();
    let periods: Vec<_> = member.periods.iter().map(|one| (one.since, one.until, one.entered_at)).collect();
    assert_eq!((member.person, periods), (id("p"), vec![(now(), None, now())]));
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn a_session_is_closed_before_its_beginning_only_by_force() {
    let fixture = Fixture::new().await;
    let (t, session) = (scope("t"), single(&fixture, &[]).await);
    let close = async |rules, at| fixture.close_group_session(&t, session.id, rules, at).await;
    let early = close(ClosingRules::default(), session.starts_at - 1.second()).await;
    assert_eq!(early.unwrap_err().code(), "session_not_begun");
    let forced = close(FORCED, session.starts_at - 1.second()).await.unwrap();
    assert_eq!(forced.session.state, SessionState::Closed);
    fixture.reopen_group_session(&t, session.id, "it takes place".into(), now()).await.unwrap();
    assert!(close(ClosingRules::default(), session.starts_at).await.is_ok());
}

#[tokio::test]
async fn sessions_keep_the_clock_by_which_they_were_planned() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    plan(&fixture, vec![new(mondays())]).await.unwrap();
    let session = listed(&fixture, DAY, DAY).await.remove(0);
    fixture.close_group_session(&t, session.id, FORCED, now()).await.unwrap();
    // As an older release left it.
    let clockless = GroupSession { time_zone: None, ..fixture.group_session(&t, session.id).await.unwrap() };
    let key = keys::group_session(t.tenant(), session.id);
    tamper(&fixture, move |transaction| transaction.put(key.clone(), &clockless)).await.unwrap();
    for zone in ["Asia/Tokyo", "Europe/Vienna"] {
        let change = GroupChange { time_zone: Some(zone.into()), ..GroupChange::default() };
        let group = fixture.update_group(&t, &gid(), change).await.unwrap();
        let kept = fixture.group_session(&t, session.id).await.unwrap();
        assert_eq!(kept.local_start(&group).unwrap().to_string(), "2026-03-30T08:00:00", "{zone}");
    }
}

/// A photo with so many faces that nobody is like.
async fn see_strangers(fixture: &Fixture, session: &GroupSession, faces: u32) -> PhotoMarks {
    let (photo, at) = (PhotoId::generate(), session.starts_at);
    let face = |face| {
        let normalized = FaceBox { x1: 0.1, y1: 0.1, x2: 0.2, y2: 0.2 };
        let glimpse = Glimpse { photo, face, at, normalized, width_px: 60.0, liveness: None };
        UnknownFace { glimpse, vector: vec![1.0, 0.0], candidates: Vec::new() }
    };
    let unknown = UnknownFaces {
        keeping: Keeping { threshold: 2.0, now: now() },
        model: ModelId { name: "test".into(), dimension: 2, postprocessing: 1 },
        faces: (0..faces).map(face).collect(),
    };
    let photo = PhotoMarks { unknown: Some(unknown), ..photo_of(session.clone(), at, Vec::new()) };
    fixture.mark_photo(&scope("t"), photo.clone()).await.unwrap();
    photo
}

#[tokio::test]
async fn a_session_tells_whether_it_kept_all_unknown_faces() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    fixture.update_tenant(&t, |_, settings| settings.unknown_faces_days = 30).await.unwrap();
    let session = single(&fixture, &[]).await;
    for (faces, has_more) in [(200, false), (1, true)] {
        see_strangers(&fixture, &session, faces).await;
        assert_eq!(fixture.strangers(&t, session.id, now()).await.unwrap().len(), 200);
        assert_eq!(fixture.group_session(&t, session.id).await.unwrap().has_more_faces, has_more, "{faces}");
    }
}

#[tokio::test]
async fn a_settled_stranger_stays_so_and_follows_the_person() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    fixture.update_tenant(&t, |_, settings| settings.unknown_faces_days = 30).await.unwrap();
    for name in ["p", "q"] {
        fixture.enrol(name, &["a"], vec![]).await.unwrap();
    }
    let session = single(&fixture, &[]).await;
    let open = async || fixture.strangers(&t, session.id, now()).await.unwrap();
    let photo = see_strangers(&fixture, &session, 2).await;
    let [one, other] = open().await.try_into().unwrap();
    fixture.dismiss_stranger(&t, session.id, other.id, now()).await.unwrap();
    fixture.name_stranger(&t, session.id, one.id, &id("q"), now()).await.unwrap();
    fixture.mark_photo(&t, photo.clone()).await.unwrap();
    assert_eq!(open().await, [], "the same photo again");
    let again = fixture.name_stranger(&t, session.id, one.id, &id("q"), now()).await;
    assert_eq!(again.unwrap_err().code(), "stranger_not_found");
    fixture.merge_people(&t, &id("p"), &id("q"), PersonPhotos::default()).await.unwrap();
    fixture.undo_correction(&t, session.id, &id("p")).await.unwrap();
    assert_eq!(open().await, std::slice::from_ref(&one), "all of it is there again");
    let named = fixture.name_stranger(&t, session.id, one.id, &id("p"), now()).await.unwrap();
    fixture.undo_mark(&t, &gid(), named.record.id.unwrap()).await.unwrap();
    assert_eq!(open().await, std::slice::from_ref(&one));
    fixture.name_stranger(&t, session.id, one.id, &id("p"), now()).await.unwrap();
    fixture.delete_person(&t, &id("p"), now()).await.unwrap();
    let left = fixture.check(|_| None).await.unwrap();
    assert!(left.is_sound());
    assert_eq!(left.records["stranger"], 1, "nothing of an erased person but where a dismissed face was");
    fixture.mark_photo(&t, photo).await.unwrap();
    assert_eq!(open().await.len(), 1, "an erased person is a stranger");
}
