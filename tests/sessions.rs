//! A group's sessions, as a teacher has them: planned, photographed, reviewed, corrected, closed and opened again.

use futures_util::future::join_all;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, TestServer, class_photo, form, portrait};

async fn put(api: &Api, path: &str, body: &Value) -> Value {
    api.send(Method::PUT, &format!("/api/v1{path}"), body).await.expect(200)
}

async fn patch(api: &Api, path: &str, body: &Value) -> Value {
    api.send(Method::PATCH, &format!("/api/v1{path}"), body).await.expect(200)
}

async fn post(api: &Api, path: &str, body: &Value) -> Value {
    api.post(&format!("/api/v1{path}"), body).await.expect(200)
}

async fn get(api: &Api, path: &str) -> Value {
    api.get(&format!("/api/v1{path}")).await.expect(200)
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

/// The people of a list, by id.
fn people(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["person"].as_str().unwrap()).collect()
}

/// A session of `g` that starts in an hour, with rules that take photos from now on.
async fn soon(api: &Api, more: &Value) -> Value {
    patch(api, "/groups/g", &json!({ "rules": { "before_minutes": 1440 } })).await;
    let (start, end) = (Timestamp::now() + 60.minutes(), Timestamp::now() + 120.minutes());
    let local = |at: Timestamp| at.to_zoned(TimeZone::UTC);
    let time = |at: Timestamp| local(at).strftime("%H:%M").to_string();
    let mut new = json!({ "date": local(start).date().to_string(), "start": time(start), "end": time(end) });
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api.post("/api/v1/groups/g/sessions", &new).await.expect(201)
}

async fn photo(api: &Api, fields: &[(&str, &str)], faces: &[&str]) -> Value {
    let placed: Vec<(&str, u32)> = faces.iter().map(|face| (*face, 300)).collect();
    api.recognize("g", fields, &[&class_photo(&placed)]).await.expect(200)
}

#[tokio::test]
async fn a_teachers_lesson_from_the_timetable_to_the_register() {
    let server = TestServer::start().await;
    let admin = &server.api;
    admin.group("g").await;
    for (person, shot) in [("ada", "obama"), ("bob", "biden"), ("eve", "hopper")] {
        admin.enrol(person, &["g"], shot).await;
    }
    let key = json!({ "name": "t", "role": "teacher", "groups": ["g"] });
    let key = admin.post("/api/v1/keys", &key).await.expect(201);
    let teacher = server.api.with_key(key["key"].as_str().unwrap());
    let session = soon(admin, &json!({})).await;
    let path = format!("/sessions/{}", id(&session));

    // Three photos of one session add up.
    for (faces, marked) in [(&["obama2"][..], "ada"), (&["obama3"], "ada"), (&["biden"], "bob")] {
        let seen = photo(&teacher, &[("session", id(&session))], faces).await;
        assert_eq!((&seen["session"], people(&seen["present"])), (&session["id"], vec![marked]));
    }
    let review = get(&teacher, &format!("{path}/review")).await;
    assert_eq!((people(&review["present"]), people(&review["not_seen"])), (vec!["ada", "bob"], vec!["eve"]));
    assert_eq!(review["session"]["state"], "open");
    let page = get(&teacher, &format!("{path}/records?limit=1")).await;
    let next = page["next"].as_str().unwrap();
    let rest = get(&teacher, &format!("{path}/records?limit=1&after={next}")).await;
    assert_eq!((rest["records"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let ada =
        [&page, &rest].map(|page| &page["records"][0]).into_iter().find(|record| record["person"] == "ada").unwrap();
    assert_eq!(ada["sightings"].as_array().unwrap().len(), 2);
    assert_ne!(ada["sightings"][0]["photo"], ada["sightings"][1]["photo"]);
    for evidence in ["similarity", "width_px", "model", "at"] {
        assert!(!ada["sightings"][0][evidence].is_null(), "{evidence}");
    }

    let said = json!({ "reject": ["bob"], "set": [{ "person": "eve", "status": "excused", "reason": "a note" }] });
    let settled = post(&teacher, &format!("{path}/confirm"), &said).await;
    assert_eq!(
        (&settled["records"][0]["status"], &settled["records"][1]["status"]),
        (&json!("undecided"), &json!("excused"))
    );
    let early = teacher.post(&format!("/api/v1{path}/close"), &json!({})).await;
    assert_eq!(early.problem(), (409, "session_not_begun".to_owned()));
    let closing = post(&teacher, &format!("{path}/close"), &json!({ "force": true })).await;
    let counts = json!([
        { "status": "present", "people": 1 }, { "status": "absent", "people": 1 }, { "status": "excused", "people": 1 }
    ]);
    assert_eq!((&closing["session"]["state"], &closing["counts"]), (&json!("closed"), &counts));
    let late = teacher.recognize("g", &[("session", id(&session))], &[&portrait("biden")]).await;
    assert_eq!(late.problem(), (409, "session_closed".to_owned()));

    // Bob was there after all.
    let undone = post(&teacher, &format!("{path}/records/bob/undo"), &json!({})).await;
    assert_eq!((&undone["status"], &undone["state"]), (&json!("present"), &json!("sure")));
    let set = json!({ "set": [{ "person": "bob", "status": "late", "reason": "overslept" }] });
    post(&teacher, &format!("{path}/confirm"), &set).await;
    put(&teacher, &format!("{path}/records/bob/appeal"), &json!({ "note": "the train" })).await;
    let accepted = patch(&teacher, &format!("{path}/records/bob/appeal"), &json!({ "state": "accepted" })).await;
    assert_eq!((&accepted["appeal"]["state"], &accepted["reason"]), (&json!("accepted"), &json!("overslept")));

    let day = format!("?date={}", session["date"].as_str().unwrap());
    let listed = teacher.records("g", &day).await;
    let of = |person: &str| listed.iter().find(|record| record["person"] == person).unwrap()["status"].clone();
    assert_eq!([of("ada"), of("bob"), of("eve")], ["present", "late", "excused"]);
    let reopened = post(&teacher, &format!("{path}/reopen"), &json!({ "reason": "more photos" })).await;
    assert_eq!((&reopened["state"], &reopened["reopenings"][0]["reason"]), (&json!("open"), &json!("more photos")));
    let export = admin.get("/api/v1/people/bob/export").await.expect(200);
    assert_eq!((&export["attendance"][0]["status"], &export["attendance"][0]["group"]), (&json!("late"), &json!("g")));
}

#[tokio::test]
async fn marks_land_in_the_session_of_their_time_wherever_the_group_is() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("ada", &["g"], "obama").await;
    // Zone, entry of the timetable, when the photo was taken, the session's local date and its start.
    let table = [
        // The clocks skip the start, which moves forward.
        ("Europe/Vienna", "sunday", "02:30", "04:00", "2025-03-30T01:35:00Z", "2025-03-30", "2025-03-30T01:30:00Z"),
        // They show the start twice: it is the first.
        ("Europe/Vienna", "sunday", "02:30", "04:00", "2025-10-26T00:30:00Z", "2025-10-26", "2025-10-26T00:30:00Z"),
        // Overnight: it belongs to the day on which it starts.
        ("Europe/Vienna", "friday", "22:00", "06:00", "2025-05-03T03:50:00Z", "2025-05-02", "2025-05-02T20:00:00Z"),
        ("Europe/Vienna", "saturday", "22:00", "06:00", "2025-03-30T03:50:00Z", "2025-03-29", "2025-03-29T21:00:00Z"),
        (
            "Pacific/Kiritimati",
            "friday",
            "08:00",
            "09:00",
            "2025-05-01T18:10:00Z",
            "2025-05-02",
            "2025-05-01T18:00:00Z",
        ),
        ("Pacific/Pago_Pago", "friday", "23:00", "01:00", "2025-05-03T11:50:00Z", "2025-05-02", "2025-05-03T10:00:00Z"),
    ];
    for (zone, weekday, start, end, at, date, starts_at) in table {
        patch(api, "/groups/g", &json!({ "time_zone": zone })).await;
        let timetable = json!({ "entries": [{ "weekday": weekday, "start": start, "end": end }] });
        put(api, "/groups/g/timetable", &timetable).await;
        let current = get(api, &format!("/groups/g/sessions/current?at={at}")).await;
        assert_eq!((&current["date"], &current["state"]), (&json!(date), &json!("planned")), "{zone} {at}");
        assert_eq!(current["starts_at"], starts_at, "{zone} {at}");
        let seen = photo(api, &[("at", at)], &["obama2"]).await;
        assert_eq!((&seen["session"], &seen["date"]), (&current["id"], &json!(date)), "{zone} {at}");
        assert_eq!(seen["present"][0]["attendance"], "marked", "{zone} {at}");
        let records = api.records("g", &format!("?date={date}")).await;
        let of_it = records.iter().filter(|record| record["session"] == current["id"]);
        assert_eq!(of_it.count(), 1, "{zone} {at}");
    }
    let nowhere = api.recognize("g", &[("at", "2025-05-07T12:00:00Z")], &[&portrait("obama2")]).await;
    assert_eq!(nowhere.problem(), (409, "no_session".to_owned()));
    photo(api, &[("at", "2025-05-07T12:00:00Z"), ("mark", "false")], &["obama2"]).await;
}

/// A session that is planned by hand in a group whose clocks do something to it.
struct OnTheClock {
    group: &'static str,
    zone: &'static str,
    /// Local date, start and end, as they are asked for.
    planned: [&'static str; 3],
    /// The instants that they are.
    times: [&'static str; 2],
    /// When ada is photographed, and when bob.
    photos: [&'static str; 2],
    /// Its start on the group's clocks, with the weekday and hour of the heat map.
    starts: (&'static str, u32, u32),
}

const ON_THE_CLOCK: [OnTheClock; 6] = [
    // The clocks skip the start: it moves forward.
    OnTheClock {
        group: "gap",
        zone: "Europe/Vienna",
        planned: ["2025-03-30", "02:30", "04:00"],
        times: ["2025-03-30T01:30:00Z", "2025-03-30T02:00:00Z"],
        photos: ["2025-03-30T01:31:00Z", "2025-03-30T01:59:00Z"],
        starts: ("2025-03-30T03:30:00", 7, 3),
    },
    // They show it all twice: it is the first of both.
    OnTheClock {
        group: "fold",
        zone: "Europe/Vienna",
        planned: ["2025-10-26", "02:05", "02:25"],
        times: ["2025-10-26T00:05:00Z", "2025-10-26T00:25:00Z"],
        photos: ["2025-10-26T00:05:00Z", "2025-10-26T00:24:00Z"],
        starts: ("2025-10-26T02:05:00", 7, 2),
    },
    // The date is another than in UTC.
    OnTheClock {
        group: "early",
        zone: "Pacific/Kiritimati",
        planned: ["2025-05-02", "08:00", "09:00"],
        times: ["2025-05-01T18:00:00Z", "2025-05-01T19:00:00Z"],
        photos: ["2025-05-01T18:01:00Z", "2025-05-01T18:59:00Z"],
        starts: ("2025-05-02T08:00:00", 5, 8),
    },
    // Overnight: what is seen after midnight is of the evening's date.
    OnTheClock {
        group: "late",
        zone: "Pacific/Pago_Pago",
        planned: ["2025-05-02", "22:00", "02:00"],
        times: ["2025-05-03T09:00:00Z", "2025-05-03T13:00:00Z"],
        photos: ["2025-05-03T10:59:00Z", "2025-05-03T11:01:00Z"],
        starts: ("2025-05-02T22:00:00", 5, 22),
    },
    // Overnight, and the clocks skip the hour after midnight.
    OnTheClock {
        group: "short",
        zone: "America/Santiago",
        planned: ["2025-09-06", "22:00", "02:00"],
        times: ["2025-09-07T02:00:00Z", "2025-09-07T05:00:00Z"],
        photos: ["2025-09-07T03:59:00Z", "2025-09-07T04:01:00Z"],
        starts: ("2025-09-06T22:00:00", 6, 22),
    },
    // Overnight, and they show the hour before midnight twice.
    OnTheClock {
        group: "long",
        zone: "Asia/Beirut",
        planned: ["2025-10-25", "22:00", "02:00"],
        times: ["2025-10-25T19:00:00Z", "2025-10-26T00:00:00Z"],
        photos: ["2025-10-25T21:30:00Z", "2025-10-25T22:01:00Z"],
        starts: ("2025-10-25T22:00:00", 6, 22),
    },
];

#[tokio::test]
async fn from_the_plan_to_the_report_a_session_keeps_its_local_date() {
    let server = TestServer::start().await;
    let api = &server.api;
    let groups = ON_THE_CLOCK.map(|case| case.group);
    for OnTheClock { group, zone, .. } in &ON_THE_CLOCK {
        api.group(group).await;
        patch(api, &format!("/groups/{group}"), &json!({ "time_zone": zone })).await;
    }
    api.enrol("ada", &groups, "obama").await;
    api.enrol("bob", &groups, "biden").await;
    for OnTheClock { group, zone, planned: [date, start, end], times, photos, starts } in &ON_THE_CLOCK {
        let new = json!({ "date": date, "start": start, "end": end });
        let made = api.post(&format!("/api/v1/groups/{group}/sessions"), &new).await.expect(201);
        assert_eq!(
            (&made["date"], &made["starts_at"], &made["ends_at"]),
            (&json!(date), &json!(times[0]), &json!(times[1]))
        );
        for (face, at) in ["obama2", "biden"].into_iter().zip(*photos) {
            let seen = api.recognize(group, &[("at", at)], &[&portrait(face)]).await.expect(200);
            assert_eq!((&seen["session"], &seen["date"]), (&made["id"], &json!(date)), "{zone} {at}");
            assert_eq!(seen["present"][0]["attendance"], "marked", "{zone} {at}");
        }
        let path = format!("/sessions/{}", id(&made));
        let review = get(api, &format!("{path}/review")).await;
        assert_eq!(
            (people(&review["present"]), &review["session"]["date"]),
            (vec!["ada", "bob"], &json!(date)),
            "{zone}"
        );
        post(api, &format!("{path}/close"), &json!({})).await;

        let mut around = Vec::new();
        for day in days_around(date) {
            around.push(api.records(group, &format!("?date={day}")).await.len());
        }
        assert_eq!(around, [0, 2, 0], "{zone}: records of the day before, the day, the day after");
        let report = format!("group={group}&from={date}&until={date}");
        let rows = get(api, &format!("/reports/attendance?by=session&{report}")).await["rows"].clone();
        assert_eq!(rows.as_array().unwrap().len(), 1, "{zone}");
        let row = &rows[0];
        assert_eq!(
            (&row["date"], &row["local_start"], &row["attended"]),
            (&json!(date), &json!(starts.0), &json!(2)),
            "{zone}"
        );
        let heat = get(api, &format!("/reports/heatmap?{report}")).await["cells"].clone();
        assert_eq!(heat.as_array().unwrap().len(), 1, "{zone}");
        assert_eq!([&heat[0]["weekday"], &heat[0]["hour"]], [&json!(starts.1), &json!(starts.2)], "{zone}");
    }
    // The second time that the clocks show the session it is over.
    let again = api.recognize("fold", &[("at", "2025-10-26T01:10:00Z")], &[&portrait("obama2")]).await;
    assert_eq!(again.problem(), (409, "no_session".to_owned()));
    // A session that is over keeps its date wherever its group goes.
    patch(api, "/groups/early", &json!({ "time_zone": "Pacific/Pago_Pago" })).await;
    assert_eq!(api.records("early", "?date=2025-05-02").await.len(), 2);
}

/// The day before a date, it, and the day after.
fn days_around(date: &str) -> [Date; 3] {
    let date: Date = date.parse().unwrap();
    [date.yesterday().unwrap(), date, date.tomorrow().unwrap()]
}

#[tokio::test]
async fn days_without_a_plan_begin_and_end_where_the_group_is() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("ada", &["g"], "obama").await;
    // Each moment is the last before midnight or the first after it, also where midnight is skipped or comes late.
    for (zone, at, date) in [
        ("America/Santiago", "2025-09-07T03:59:59Z", "2025-09-06"),
        ("America/Santiago", "2025-09-07T04:00:00Z", "2025-09-07"),
        ("Asia/Beirut", "2025-10-25T21:59:59Z", "2025-10-25"),
        ("Asia/Beirut", "2025-10-25T22:00:00Z", "2025-10-26"),
        ("Pacific/Kiritimati", "2025-05-01T09:59:59Z", "2025-05-01"),
        ("Pacific/Kiritimati", "2025-05-01T10:00:00Z", "2025-05-02"),
        ("Pacific/Pago_Pago", "2025-06-02T10:59:59Z", "2025-06-01"),
        ("Pacific/Pago_Pago", "2025-06-02T11:00:00Z", "2025-06-02"),
    ] {
        patch(api, "/groups/g", &json!({ "time_zone": zone })).await;
        let seen = photo(api, &[("at", at)], &["obama2"]).await;
        assert_eq!((&seen["date"], &seen["present"][0]["attendance"]), (&json!(date), &json!("marked")), "{zone} {at}");
        let records = api.records("g", &format!("?date={date}")).await;
        assert_eq!((records.len(), &records[0]["at"]), (1, &json!(at)), "{zone} {at}");
    }
    // A day that has begun lasts until midnight where the group moves to.
    patch(api, "/groups/g", &json!({ "time_zone": "UTC" })).await;
    let seen = photo(api, &[("at", "2025-08-01T10:00:00Z")], &["obama2"]).await;
    patch(api, "/groups/g", &json!({ "time_zone": "America/Santiago" })).await;
    let later = photo(api, &[("at", "2025-08-02T03:00:00Z")], &["obama3"]).await;
    assert_eq!((&later["session"], &later["present"][0]["attendance"]), (&seen["session"], &json!("already_marked")));
    let records = api.records("g", "?date=2025-08-01").await;
    assert_eq!(records[0]["last_seen"], "2025-08-02T03:00:00Z");
}

#[tokio::test]
async fn sessions_are_planned_moved_cancelled_and_kept_from_others() {
    let server = TestServer::start().await;
    let api = &server.api;
    for group in ["g", "h"] {
        api.group(group).await;
    }
    let week = json!({ "entries": [
        { "title": "Maths", "weekday": "monday", "start": "08:00", "end": "09:00", "from": "2026-03-02" },
        { "weekday": "wednesday", "start": "10:00", "end": "11:00", "expected": ["camera"] },
    ]});
    let kept = put(api, "/groups/g/timetable", &week).await;
    assert_eq!((&kept["entries"][0]["number"], &kept["entries"][1]["number"]), (&json!(1), &json!(2)));
    put(api, "/holidays", &json!({ "holidays": [{ "from": "2026-03-09", "name": "Spring" }] })).await;
    let list = "/groups/g/sessions?from=2026-03-01&until=2026-03-14";
    let dates = |listed: &Value| -> Vec<String> {
        let sessions = listed["sessions"].as_array().unwrap();
        sessions
            .iter()
            .map(|one| format!("{} {}", one["date"].as_str().unwrap(), one["state"].as_str().unwrap()))
            .collect()
    };
    let listed = get(api, list).await;
    assert_eq!(dates(&listed), ["2026-03-02 planned", "2026-03-04 planned", "2026-03-11 planned"]);
    assert_eq!(listed["sessions"][1]["missing"], json!(["camera"]));
    let (first, second) = (format!("/sessions/{}", id(&listed["sessions"][0])), id(&listed["sessions"][1]).to_owned());
    assert_eq!(get(api, &first).await, listed["sessions"][0]);
    patch(api, &first, &json!({ "date": "2026-03-03", "start": "14:00", "end": "15:00", "title": "Moved" })).await;
    api.delete(&format!("/api/v1/sessions/{second}")).await.expect(200);
    let new = json!({ "date": "2026-03-05", "start": "22:00", "end": "06:00" });
    let extra = api.post("/api/v1/groups/g/sessions", &new).await.expect(201);
    assert_eq!(extra["ends_at"], "2026-03-06T06:00:00Z");
    let expected = ["2026-03-03 planned", "2026-03-04 cancelled", "2026-03-05 planned", "2026-03-11 planned"];
    assert_eq!(dates(&get(api, list).await), expected);
    let server = server.restart().await;
    let api = &server.api;
    assert_eq!(dates(&get(api, list).await), expected);
    let open = api.post(&format!("/api/v1/sessions/{second}/open"), &json!({})).await;
    assert_eq!(open.problem(), (409, "session_cancelled".to_owned()));
    post(api, &format!("/sessions/{second}/restore"), &json!({})).await;
    assert_eq!(post(api, &format!("/sessions/{second}/open"), &json!({})).await["state"], "open");
    let cancel = api.delete(&format!("/api/v1/sessions/{second}")).await;
    assert_eq!(cancel.problem(), (409, "session_open".to_owned()));

    let key = json!({ "name": "t", "role": "teacher", "groups": ["h"] });
    let key = api.post("/api/v1/keys", &key).await.expect(201);
    let other = api.with_key(key["key"].as_str().unwrap());
    for path in ["", "/review", "/records"] {
        let refused = other.get(&format!("/api/v1/sessions/{second}{path}")).await;
        assert_eq!(refused.problem(), (403, "forbidden".to_owned()), "{path}");
    }
    let elsewhere = other.recognize("h", &[("session", &second)], &[&portrait("obama2")]).await;
    assert_eq!(elsewhere.problem(), (404, "session_not_found".to_owned()));

    for (path, body, code) in [
        (
            "/groups/g/sessions",
            json!({ "date": "2026-03-05", "start": "08:00", "end": "09:00", "title": " " }),
            "invalid_name",
        ),
        ("/groups/g/sessions", json!({ "date": "2026-03-05", "start": "8", "end": "09:00" }), "invalid_json"),
        ("/groups/g/sessions", json!({ "date": "-000044-03-15", "start": "10:00", "end": "11:00" }), "invalid_times"),
        (&format!("/sessions/{second}/confirm"), json!({}), "too_many_people"),
        (&format!("/sessions/{second}/confirm"), json!({ "confirm": ["p"], "reject": ["p"] }), "said_twice"),
        (
            &format!("/sessions/{second}/confirm"),
            json!({ "set": [{ "person": "p", "status": "holiday", "reason": "x" }] }),
            "invalid_status",
        ),
        (
            &format!("/sessions/{second}/confirm"),
            json!({ "set": [{ "person": "p", "status": "late", "reason": " " }] }),
            "invalid_reason",
        ),
    ] {
        assert_eq!(api.post(&format!("/api/v1{path}"), &body).await.problem(), (400, code.to_owned()), "{path} {body}");
    }
    let range = api.get("/api/v1/groups/g/sessions?from=2026-03-05&until=2026-03-04").await;
    assert_eq!(range.problem(), (400, "invalid_range".to_owned()));
    let week = get(api, "/groups/g/sessions?until=2026-03-11").await;
    assert_eq!(week, get(api, "/groups/g/sessions?from=2026-03-05&until=2026-03-11").await);
    assert_eq!(week, get(api, "/groups/g/sessions?from=2026-03-05").await);
    let ancient = api.get("/api/v1/groups/h/sessions/current?at=1899-12-31T12:00:00Z").await;
    assert_eq!(ancient.problem(), (400, "invalid_times".to_owned()));
    let rules = json!({ "rules": { "confirm_sightings": 0 } });
    let refused = api.send(Method::PATCH, "/api/v1/groups/g", &rules).await;
    assert_eq!(refused.problem(), (400, "invalid_rules".to_owned()));
}

#[tokio::test]
async fn many_at_once_confirm_and_each_word_counts() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("ada", &["g"], "obama").await;
    let session = soon(api, &json!({})).await;
    let confirm = format!("/sessions/{}/confirm", id(&session));
    let said = json!({ "confirm": ["ada"] });
    join_all((0..16).map(|_| post(api, &confirm, &said))).await;
    let records = get(api, &format!("/sessions/{}/records", id(&session))).await;
    assert_eq!(records["records"].as_array().unwrap().len(), 1);
    assert_eq!(records["records"][0]["corrections"].as_array().unwrap().len(), 16);
    let words = |id: usize| json!({ "person": format!("{id:0128}"), "status": "late", "reason": "ö".repeat(500) });
    let strangers = json!({ "set": (0..1000).map(words).collect::<Vec<_>>() });
    let all = api.post(&format!("/api/v1{confirm}"), &strangers).await;
    assert_eq!(all.problem(), (404, "person_not_found".to_owned()), "a thousand with the longest reasons are read");
    let seen = photo(api, &[("session", id(&session))], &["obama2"]).await;
    assert_eq!(seen["present"][0]["attendance"], "already_marked");

    for (person, face) in [("bob", "biden"), ("eve", "hopper")] {
        api.enrol(person, &["g"], face).await;
    }
    let excused = |person: &str| json!({ "person": person, "status": "excused", "reason": "ill" });
    let away = json!({ "set": [excused("bob"), excused("eve")] });
    post(api, &confirm, &away).await;
    let records = format!("/sessions/{}/records", id(&session));
    let page = get(api, &format!("{records}?limit=2")).await;
    // Who was last on a page may be erased before the next one is read.
    let last = page["records"][1]["person"].as_str().unwrap();
    api.delete(&format!("/api/v1/people/{last}")).await.expect(204);
    let rest = get(api, &format!("{records}?after={}", page["next"].as_str().unwrap())).await;
    assert_eq!((rest["records"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let foreign = api.get(&format!("/api/v1{records}?after=ada")).await;
    assert_eq!(foreign.problem(), (400, "invalid_cursor".to_owned()));
}

#[tokio::test]
async fn too_few_sightings_are_to_be_confirmed() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("ada", &["g"], "obama").await;
    api.enrol("bob", &["g"], "biden").await;
    let session = soon(api, &json!({ "expected": ["camera"] })).await;
    patch(
        api,
        "/groups/g",
        &json!({ "rules": { "before_minutes": 1440, "confirm_sightings": 2, "confirm_photos": 2 } }),
    )
    .await;
    let path = format!("/sessions/{}", id(&session));
    let seen = photo(api, &[("session", id(&session))], &["obama2"]).await;
    assert_eq!(seen["present"][0]["attendance"], "to_confirm");
    let review = get(api, &format!("{path}/review")).await;
    assert_eq!(people(&review["to_confirm"]), ["ada"]);
    assert_eq!(review["to_confirm"][0]["sightings"].as_array().unwrap().len(), 1);
    let (face, whom) = (&review["to_confirm"][0]["sightings"][0], &review["to_confirm"][0]["candidates"]);
    assert_eq!((people(whom), &whom[0]["similarity"]), (vec!["ada", "bob"], &face["similarity"]));
    assert_eq!((&whom[1]["name"], &whom[1]), (&json!("bob"), &face["runner_up"]));
    let number = |value: &Value| value.as_f64().unwrap();
    let lead = number(&whom[0]["similarity"]) - number(&whom[1]["similarity"]);
    assert!((lead - number(&face["margin"])).abs() < 1e-5);
    api.delete("/api/v1/people/bob").await.expect(204);
    let review = get(api, &format!("{path}/review")).await;
    assert_eq!(people(&review["to_confirm"][0]["candidates"]), ["ada"]);
    assert_eq!(review["to_confirm"][0]["sightings"][0]["runner_up"], Value::Null, "nothing leads to who is erased");
    let waiting = get(api, &path).await;
    assert_eq!((&waiting["state"], &waiting["missing"]), (&json!("open"), &json!(["camera"])));
    let seen = photo(api, &[("session", id(&session)), ("source", "camera")], &["obama3"]).await;
    assert_eq!(seen["present"][0]["attendance"], "marked");
    assert_eq!(get(api, &path).await["missing"], json!([]));
    let closed = post(api, &format!("{path}/close"), &json!({ "force": true })).await;
    assert_eq!(closed["session"]["state"], "closed");
}

#[tokio::test]
async fn somebody_enrolled_twice_is_to_be_confirmed_until_the_two_are_merged() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("bob", &["g"], "biden").await;
    // The one person by a form, and by a folder.
    for twin in ["ada", "lovelace"] {
        api.enrol(twin, &["g"], "obama").await;
    }
    let seen = photo(api, &[], &["obama2", "biden"]).await;
    assert_eq!(
        (people(&seen["present"]), &seen["not_seen"]),
        (vec!["bob"], &json!([])),
        "neither of the two is missing"
    );
    let faces = seen["photos"][0]["faces"].as_array().unwrap();
    let face = faces.iter().find(|face| face["reason"] == "enrolled_twice").unwrap();
    assert_eq!((&face["person"], &face["attendance"]), (&Value::Null, &json!("to_confirm")));
    assert_eq!(people(&face["candidates"]), ["ada", "lovelace"]);
    assert_eq!((&face["hint"], &seen["unknown_faces"]), (&Value::Null, &json!(1)));
    photo(api, &[], &["obama3"]).await;

    let path = format!("/sessions/{}/review", seen["session"].as_str().unwrap());
    let review = get(api, &path).await;
    assert_eq!((people(&review["to_confirm"]), people(&review["not_seen"])), (vec!["ada"], vec!["lovelace"]));
    let doubt = &review["to_confirm"][0];
    assert_eq!((people(&doubt["candidates"]), &doubt["enrolled_twice"]), (vec!["ada", "lovelace"], &json!(true)));
    let sightings = doubt["sightings"].as_array().unwrap();
    assert_eq!(sightings.len(), 2, "both photos make one record");
    for sighting in sightings {
        assert_eq!((&sighting["enrolled_twice"], sighting["margin"].as_f64()), (&json!(true), Some(0.0)));
    }
    let looked = api.post_form("/api/v1/identify", form(&[], &[&portrait("obama2")])).await.expect(200);
    let looked = &looked["photos"][0]["faces"][0];
    assert_eq!((&looked["reason"], &looked["attendance"]), (&json!("enrolled_twice"), &json!("not_marked")));
    let pairs = get(api, "/reports/duplicates").await["pairs"].clone();
    assert_eq!((pairs.as_array().unwrap().len(), &pairs[0]["people"]), (1, &json!(["ada", "lovelace"])));
    // People who are merely too close to call are nobody's doubles.
    let close = photo(api, &[("margin", "1.9")], &["biden"]).await;
    let reasons: Vec<&Value> =
        close["photos"][0]["faces"].as_array().unwrap().iter().map(|face| &face["reason"]).collect();
    assert_eq!(reasons, ["below_margin"]);

    post(api, "/people/ada/merge", &json!({ "from": "lovelace" })).await;
    let review = get(api, &path).await;
    assert_eq!(
        (people(&review["present"]), &review["to_confirm"]),
        (vec!["ada", "bob"], &json!([])),
        "the doubt is gone"
    );
    assert_eq!(photo(api, &[], &["obama2"]).await["present"][0]["attendance"], "already_marked");
    let check = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!(check["problems"], json!({}));
}

#[tokio::test]
async fn a_photo_counts_once_however_often_it_is_sent() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("ada", &["g"], "obama").await;
    patch(api, "/groups/g", &json!({ "rules": { "confirm_sightings": 2 } })).await;
    let day = [("at", "2026-03-02T12:00:00Z")];
    let seen = async |fields: &[(&str, &str)], shot: &str| {
        let seen = photo(api, fields, &[shot]).await;
        (seen["photos"][0]["photo"].clone(), seen["present"][0]["attendance"].clone(), seen["session"].clone())
    };
    let (first, mark, session) = seen(&day, "obama2").await;
    assert_eq!((first.is_string(), &mark), (true, &json!("to_confirm")));
    for at in ["2026-03-02T12:00:00Z", "2026-03-02T12:01:00Z"] {
        let again = seen(&[("at", at)], "obama2").await;
        assert_eq!(again, (first.clone(), json!("to_confirm"), session.clone()), "the same file is no second photo");
    }
    let (second, mark, _) = seen(&day, "obama3").await;
    assert_eq!(mark, "marked", "another photo makes it sure");
    assert_eq!(seen(&day, "obama2").await.1, "already_marked");
    let records = get(api, &format!("/sessions/{}/records", session.as_str().unwrap())).await;
    let sightings = records["records"][0]["sightings"].as_array().unwrap();
    let evidence: Vec<(&Value, &Value)> = sightings.iter().map(|seen| (&seen["photo"], &seen["face"])).collect();
    assert_eq!(evidence, [(&first, &json!(0)), (&second, &json!(0))]);

    let (elsewhere, ..) = seen(&[("at", "2026-03-03T12:00:00Z")], "obama2").await;
    assert!(elsewhere.is_string() && elsewhere != first, "of another session it says nothing");
    assert_eq!(seen(&[("mark", "false")], "obama2").await.0, Value::Null);
}

/// Everything that is said of one person of a session, as method, path below the session, and body.
fn said_of(person: &str) -> [(Method, String, Value); 6] {
    let record = |door: &str| format!("records/{person}/{door}");
    [
        (Method::POST, "confirm".to_owned(), json!({ "confirm": ["ada", person] })),
        (Method::POST, "confirm".to_owned(), json!({ "reject": ["ada", person] })),
        (
            Method::POST,
            "confirm".to_owned(),
            json!({ "set": [{ "person": person, "status": "late", "reason": "bus" }] }),
        ),
        (Method::PUT, record("appeal"), json!({ "note": "I was there" })),
        (Method::PATCH, record("appeal"), json!({ "state": "accepted" })),
        (Method::POST, record("undo"), json!({})),
    ]
}

#[tokio::test]
async fn who_is_not_of_the_session_is_named_and_who_has_a_record_is_corrected_after_they_left() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("ada", &["g"], "obama").await;
    api.enrol("eve", &[], "hopper").await;
    api.enrol("bob", &["g"], "biden").await;
    let session = soon(api, &json!({})).await;
    let say = async |(method, door, body): (Method, String, Value)| {
        api.send(method, &format!("/api/v1/sessions/{}/{door}", id(&session)), &body).await
    };
    for (person, problem) in [("eve", (409, "not_on_roster")), ("nobody", (404, "person_not_found"))] {
        for said in said_of(person) {
            let answer = say(said.clone()).await;
            assert_eq!(answer.problem(), (problem.0, problem.1.to_owned()), "{said:?}");
            assert_eq!(answer.json()["error"]["details"]["person"], *person, "{said:?}");
        }
    }
    let records = get(api, &format!("/sessions/{}/records", id(&session))).await;
    assert_eq!(records["records"], json!([]), "all or none");
    for (n, said) in said_of("bob").into_iter().enumerate() {
        if n == 1 {
            api.delete("/api/v1/groups/g/people/bob").await.expect(204);
        }
        say(said).await.expect(200);
    }
}
