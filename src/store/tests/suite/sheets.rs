//! Sheets say what the records of closed sessions say, whatever becomes of those.

use std::sync::Arc;

use futures_util::future::try_join_all;
use jiff::civil::time;

use super::*;
use crate::{
    domain::{
        GroupId, GroupSession, SessionOrigin, Status,
        attendance::{
            record::{Correction, Said},
            timetable::{blank, instants},
        },
    },
    reports::Cell,
    store::{ClosingRules, PersonPhotos, SessionRecord, attendance::register},
};

/// More than the people of one block.
const PEOPLE: usize = 600;

fn name(number: usize) -> String {
    format!("p{number:03}")
}

async fn session(fixture: &Fixture, hour: i8) -> GroupSession {
    let day = date(2026, 3, 30);
    let times = instants("UTC", day, time(hour, 0, 0, 0), time(hour + 1, 0, 0, 0)).unwrap();
    let group: GroupId = "a".parse().unwrap();
    fixture.create_group_session(&scope("t"), blank(group, day, times, SessionOrigin::Single)).await.unwrap()
}

async fn close(fixture: &Fixture, session: &GroupSession) {
    fixture.close_group_session(&scope("t"), session.id, ClosingRules::default(), session.ends_at).await.unwrap();
}

/// The cells of a report in pages of `limit`, by person.
async fn reported(fixture: &Fixture, session: &GroupSession, limit: usize) -> BTreeMap<String, Cell> {
    let (sessions, mut after, mut cells) = (Arc::from([session.id]), None, BTreeMap::new());
    loop {
        let page = fixture.register_page(&scope("t"), Arc::clone(&sessions), after, limit).await.unwrap();
        cells.extend(page.rows.into_iter().map(|row| (row.person.to_string(), row.cells[0].unwrap())));
        after = page.next;
        if after.is_none() {
            return cells;
        }
    }
}

/// That reports say what the records say, and of whom.
async fn agrees(fixture: &Fixture, session: &GroupSession) -> BTreeMap<String, Cell> {
    let (records, _) = fixture.records(&scope("t"), session.id, None, 10_000).await.unwrap();
    let cell = |SessionRecord { record, .. }| (record.person.to_string(), register::cell(&record));
    let expected: BTreeMap<String, Cell> = records.into_iter().map(cell).collect();
    for limit in [7, 512, 10_000] {
        assert_eq!(reported(fixture, session, limit).await, expected, "pages of {limit}");
    }
    let found = fixture.check(|_| None).await.unwrap();
    assert!(found.is_sound(), "{found:?}");
    expected
}

#[tokio::test]
async fn reports_say_what_the_records_of_closed_sessions_say() {
    let fixture = Fixture::new().await;
    let (t, groups) = (scope("t"), ["a".parse().unwrap()]);
    let everybody: Vec<String> = (0..PEOPLE).map(name).collect();
    try_join_all(everybody.iter().map(|name| fixture.create_person(&t, person(name), &groups, Vec::new())))
        .await
        .unwrap();
    let (one, other) = (session(&fixture, 8).await, session(&fixture, 10).await);
    let seen = everybody[..400]
        .iter()
        .zip(0..)
        .map(|(name, face)| seen(name, sighting(PhotoId::from_bytes([7; 16]), face, one.starts_at)))
        .collect();
    let photo = photo_of(one.clone(), one.starts_at, seen);
    fixture.mark_photo(&t, photo).await.unwrap();
    assert_eq!(reported(&fixture, &one, 512).await, BTreeMap::new(), "not before it is closed");
    close(&fixture, &one).await;
    close(&fixture, &other).await;
    let cells = agrees(&fixture, &one).await;
    let present = cells.values().filter(|cell| cell.status == Status::Present).count();
    let absent = cells.values().filter(|cell| cell.status == Status::Absent).count();
    assert_eq!((present, absent), (400, cells.len() - 400));
    assert!(absent >= PEOPLE - 400);

    // A word on many, also on the last of all, and one word taken back.
    let excused =
        || Correction { said: Said::Set(Status::Excused), reason: Some("ill".into()), at: now(), faces: Vec::new() };
    let said = [3, 599, 511, 512].map(|number| (id(&name(number)), excused()));
    fixture.correct(&t, one.id, said.into()).await.unwrap();
    fixture.undo_correction(&t, one.id, &id("p003")).await.unwrap();
    let cells = agrees(&fixture, &one).await;
    assert_eq!((cells["p003"].status, cells["p599"].status), (Status::Present, Status::Excused));

    // Somebody goes, and takes the place of another.
    fixture.delete_person(&t, &id("p005"), now()).await.unwrap();
    fixture.merge_people(&t, &id("p550"), &id("p006"), PersonPhotos::default()).await.unwrap();
    let cells = agrees(&fixture, &one).await;
    assert_eq!(cells["p550"].status, Status::Present);
    assert!(!cells.contains_key("p005") && !cells.contains_key("p006"));

    // Opened again it is in no report, and closed again it is.
    fixture.reopen_group_session(&t, one.id, "one more photo".into(), now()).await.unwrap();
    assert_eq!(reported(&fixture, &one, 512).await, BTreeMap::new());
    fixture.correct(&t, one.id, vec![(id("p010"), excused())]).await.unwrap();
    close(&fixture, &one).await;
    assert_eq!(agrees(&fixture, &one).await["p010"].status, Status::Excused);
    agrees(&fixture, &other).await;

    // A sheet that lacks somebody, and one that is lost, are found.
    let (whole, whose) = (content(&fixture), pseudonym(&fixture.engine().view().unwrap(), "p020"));
    for (key, code) in [
        (keys::attendance(&"t".parse().unwrap(), one.id, whose), "wrong_sheet"),
        (keys::sheet_block(&"t".parse().unwrap(), one.id, Pseudonym::from_bytes([0; 16])), "no_sheet"),
    ] {
        put_back(&fixture, &key, None).await;
        let found = fixture.check(|_| None).await.unwrap();
        assert!(found.problems.contains_key(code), "{code}: {found:?}");
        put_back(&fixture, &key, Some(whole[&key].clone())).await;
    }

    let content_of_sheets = |fixture: &Fixture| content(fixture).keys().filter(|key| is_sheet(key)).count();
    assert!(content_of_sheets(&fixture) >= 4);
    fixture.delete_group(&t, &"a".parse().unwrap()).await.unwrap();
    assert_eq!(content_of_sheets(&fixture), 0);
}

async fn put_back(fixture: &Fixture, key: &[u8], bytes: Option<Vec<u8>>) {
    let key = key.to_vec();
    let change = move |transaction: &mut Transaction<'_>| {
        match &bytes {
            Some(bytes) => transaction.put_bytes(key.clone(), bytes.clone()),
            None => transaction.remove(key.clone()),
        }
        Ok(())
    };
    tamper(fixture, change).await.unwrap();
}

fn is_sheet(key: &[u8]) -> bool {
    matches!(keys::parse(key), Some(Parsed::Data(_, keys::Kind::SheetBlock(..))))
}
