//! Marks: once a person and local day, on the right day, and undone on demand.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, TestServer, class_photo, form,
    images::{jpeg, scaled},
    portrait,
};

/// A server whose group `g` has obama on its roster.
async fn class(time_zone: &str) -> TestServer {
    let server = TestServer::start().await;
    let group = json!({ "id": "g", "name": "G", "time_zone": time_zone });
    server.api.post("/api/v1/groups", &group).await.expect(201);
    server.api.enrol("obama", &["g"], "obama").await;
    server
}

async fn recognize(server: &TestServer, fields: &[(&str, &str)]) -> Value {
    server.api.recognize("g", fields, &[&portrait("obama2")]).await.expect(200)
}

/// What became of the one person in an answer.
fn mark(answer: &Value) -> &str {
    answer["present"][0]["attendance"].as_str().unwrap()
}

#[tokio::test]
async fn a_mark_is_a_record_with_the_sighting_that_made_it() {
    let server = class("UTC").await;
    let before = Timestamp::now();
    let seen = recognize(&server, &[("liveness", "passive")]).await;
    assert_eq!(mark(&seen), "marked");
    let day = server.api.get("/api/v1/groups/g/attendance").await.expect(200);
    assert_eq!((&day["group"], &day["date"]), (&json!("g"), &seen["date"]));
    let records = day["records"].as_array().unwrap();
    assert_eq!(records.len(), 1);
    let (record, face) = (&records[0], &seen["photos"][0]["faces"][0]);
    assert_eq!((&record["person"], &record["name"]), (&json!("obama"), &json!("obama")));
    for figure in ["similarity", "margin", "width_px"] {
        assert_eq!(record[figure], face[figure], "{figure}");
    }
    assert_eq!(record["liveness"], face["liveness"]["verdict"]);
    let at: Timestamp = record["at"].as_str().unwrap().parse().unwrap();
    assert!(before - 1.second() <= at && at <= Timestamp::now());
    assert_eq!(server.api.get("/api/v1/groups/none/attendance").await.problem().0, 404);
}

#[tokio::test]
async fn without_mark_nobody_is_marked() {
    let server = class("UTC").await;
    let seen = recognize(&server, &[("mark", "false")]).await;
    assert_eq!((mark(&seen), &seen["date"]), ("not_marked", &Value::Null));
    assert_eq!(server.api.records("g", "").await.len(), 0);
}

#[tokio::test]
async fn a_second_sighting_changes_nothing_until_the_mark_is_undone() {
    let server = class("UTC").await;
    assert_eq!(mark(&recognize(&server, &[]).await), "marked");
    let first = server.api.records("g", "").await;
    assert_eq!(mark(&recognize(&server, &[]).await), "already_marked");
    let again = server.api.records("g", "").await;
    assert_eq!((again.len(), &again[0]["id"], &again[0]["at"]), (1, &first[0]["id"], &first[0]["at"]));
    let undo = format!("/api/v1/groups/g/attendance/{}", first[0]["id"].as_str().unwrap());
    assert_eq!(server.api.delete(&undo).await.status, 204);
    assert_eq!(server.api.records("g", "").await.len(), 0);
    assert_eq!(server.api.delete(&undo).await.problem(), (404, "record_not_found".to_owned()));
    assert_eq!(mark(&recognize(&server, &[]).await), "marked");
    assert_ne!(server.api.records("g", "").await[0]["id"], first[0]["id"]);
    assert_eq!(server.api.delete("/api/v1/groups/g/attendance/x").await.problem(), (400, "invalid_id".to_owned()));
}

#[tokio::test]
async fn one_person_in_many_photos_of_a_request_is_marked_once() {
    let server = class("UTC").await;
    let photos = [portrait("obama2"), portrait("obama3"), class_photo(&[("obama", 300)])];
    let photos: Vec<&[u8]> = photos.iter().map(Vec::as_slice).collect();
    let seen = server.api.recognize("g", &[], &photos).await.expect(200);
    assert_eq!((mark(&seen), seen["present"].as_array().unwrap().len()), ("marked", 1));
    let marks: Vec<&Value> =
        seen["photos"].as_array().unwrap().iter().map(|photo| &photo["faces"][0]["attendance"]).collect();
    assert_eq!(marks.iter().filter(|mark| **mark == "marked").count(), 1, "{marks:?}");
    assert_eq!(marks.iter().filter(|mark| **mark == "already_marked").count(), 2, "{marks:?}");
    assert_eq!(server.api.records("g", "").await.len(), 1);
}

#[tokio::test]
async fn a_hundred_simultaneous_recognitions_make_one_record() {
    let server = class("UTC").await;
    let api = &server.api;
    let photos: Vec<Vec<u8>> = (0..4).map(|n| jpeg(&scaled("obama2", 120 + n))).collect();
    let at = [("at", "2026-03-02T12:00:00Z")];
    let recognised = async |n: usize| loop {
        let answer = api.recognize("g", &at, &[&photos[n % 4]]).await;
        if ![429, 503].contains(&answer.status) {
            break answer.expect(200);
        }
        let wait = answer.header("retry-after").parse().unwrap_or(1);
        tokio::time::sleep(Duration::from_secs(wait)).await;
    };
    let answers = join_all((0..100).map(recognised)).await;
    let marked = |what: &str| answers.iter().filter(|answer| mark(answer) == what).count();
    assert_eq!((marked("marked"), marked("already_marked")), (1, 99));
    assert_eq!(api.records("g", "?date=2026-03-02").await.len(), 1);
    let path = format!("/api/v1/sessions/{}/records", answers[0]["session"].as_str().unwrap());
    let records = api.get(&path).await.expect(200);
    assert_eq!(records["records"][0]["sightings"].as_array().unwrap().len(), 4, "each photo is evidence once");
    let events = api.get("/api/v1/events").await.expect(200);
    let kinds: Vec<&Value> = events["events"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["marked"]);
}

#[tokio::test]
async fn an_earlier_time_lands_on_the_local_date_of_the_group() {
    for (zone, at, date) in [
        ("UTC", "2025-03-01T23:30:00Z", "2025-03-01"),
        ("Europe/Vienna", "2025-03-01T23:30:00Z", "2025-03-02"),
        ("Pacific/Kiritimati", "2025-03-01T10:30:00Z", "2025-03-02"),
        ("Pacific/Pago_Pago", "2025-03-01T10:30:00Z", "2025-02-28"),
        // The hour that the clocks skip, and one given with an offset of its own.
        ("Europe/Vienna", "2025-03-30T02:30:00+01:00", "2025-03-30"),
        ("America/New_York", "2025-03-01T01:00:00+02:00", "2025-02-28"),
    ] {
        let server = class(zone).await;
        let seen = recognize(&server, &[("at", at)]).await;
        assert_eq!((mark(&seen), &seen["date"]), ("marked", &json!(date)), "{zone} {at}");
        let records = server.api.records("g", &format!("?date={date}")).await;
        assert_eq!(records.len(), 1, "{zone} {at}");
        let kept: Timestamp = records[0]["at"].as_str().unwrap().parse().unwrap();
        assert_eq!(kept, at.parse::<Timestamp>().unwrap());
        assert_eq!(server.api.records("g", "").await.len(), 0, "not today");
    }
}

#[tokio::test]
async fn today_is_the_groups_day_and_each_day_has_a_mark_of_its_own() {
    let zone = "Pacific/Kiritimati";
    let server = class(zone).await;
    let today = || json!(Timestamp::now().to_zoned(TimeZone::get(zone).unwrap()).date().to_string());
    let before = today();
    let seen = recognize(&server, &[]).await;
    // Midnight may pass while the photo is recognised.
    assert!([before, today()].contains(&seen["date"]), "{}", seen["date"]);
    let yesterday = (Timestamp::now() - 24.hours()).to_string();
    let earlier = recognize(&server, &[("at", &yesterday)]).await;
    assert_eq!(mark(&earlier), "marked");
    assert_ne!(earlier["date"], seen["date"]);
    assert_eq!(mark(&recognize(&server, &[("at", &yesterday)]).await), "already_marked");
    for day in [&earlier["date"], &seen["date"]] {
        let records = server.api.records("g", &format!("?date={}", day.as_str().unwrap())).await;
        assert_eq!(records.len(), 1, "{day}");
    }
}

#[tokio::test]
async fn marks_keep_their_date_when_the_group_moves_to_another_zone() {
    let server = class("Pacific/Pago_Pago").await;
    let at = "2025-01-10T10:30:00Z".to_owned();
    let seen = recognize(&server, &[("at", &at)]).await;
    assert_eq!(seen["date"], "2025-01-09");
    let zone = json!({ "time_zone": "Pacific/Kiritimati" });
    server.api.send(Method::PATCH, "/api/v1/groups/g", &zone).await.expect(200);
    assert_eq!(server.api.records("g", "?date=2025-01-09").await.len(), 1);
    assert_eq!(recognize(&server, &[("at", &at)]).await["date"], "2025-01-11");
}

#[tokio::test]
async fn the_future_is_refused() {
    let server = class("UTC").await;
    let tomorrow = (Timestamp::now() + 24.hours()).to_string();
    let answer: Answer = server.api.recognize("g", &[("at", &tomorrow)], &[&portrait("obama2")]).await;
    assert_eq!(answer.problem(), (400, "invalid_at".to_owned()));
    assert_eq!(server.api.records("g", &format!("?date={}", &tomorrow[..10])).await.len(), 0);
}

#[tokio::test]
async fn a_person_taken_off_the_roster_is_not_marked_any_more() {
    let server = class("UTC").await;
    assert_eq!(mark(&recognize(&server, &[]).await), "marked");
    assert_eq!(server.api.delete("/api/v1/groups/g/people/obama").await.status, 204);
    let seen = recognize(&server, &[]).await;
    assert_eq!((&seen["present"], &seen["unknown_faces"]), (&json!([]), &json!(1)));
    assert_eq!(server.api.records("g", "").await.len(), 1, "the mark from before stays");
    let found = server.api.post_form("/api/v1/identify", form(&[], &[&portrait("obama2")])).await.expect(200);
    assert_eq!(found["present"][0]["person"], "obama");
}
