//! Who belongs to a group, and when: imported late, gone, back, and shown to the group's teachers alone.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, TestServer, portrait};

async fn get(api: &Api, path: &str) -> Value {
    api.get(&format!("/api/v1{path}")).await.expect(200)
}

/// A session of the group `g` on a date, from eight to nine in UTC.
async fn session(api: &Api, date: &str) -> String {
    let new = json!({ "date": date, "start": "08:00", "end": "09:00" });
    let made = api.post("/api/v1/groups/g/sessions", &new).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

/// What counts, by person.
async fn statuses(api: &Api, session: &str) -> Vec<(String, String)> {
    let page = get(api, &format!("/sessions/{session}/records")).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let status = |record: &Value| (text(&record["person"]), text(&record["status"]));
    let mut all: Vec<_> = page["records"].as_array().unwrap().iter().map(status).collect();
    all.sort();
    all
}

fn status(person: &str, status: &str) -> (String, String) {
    (person.to_owned(), status.to_owned())
}

async fn close(api: &Api, session: &str, how: &Value) -> Value {
    api.post(&format!("/api/v1/sessions/{session}/close"), how).await.expect(200)
}

#[tokio::test]
async fn who_is_imported_after_a_lesson_began_is_of_it_where_somebody_says_so() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    let (first, second) = (session(api, "2026-03-02").await, session(api, "2026-03-03").await);
    let roster = "id,name,groups,on_roster_since\nada,Ada,g,2026-03-02\nbob,Bob,g,2026-03-02T08:30:00Z\neve,Eve,g,\n\
                  zoe,Zoe,g,soon\n";
    let (_, rows) = api.imported(roster, None, &[]).await;
    let outcomes: Vec<&Value> = rows.iter().map(|row| &row["outcome"]).collect();
    assert_eq!(outcomes, ["created", "created", "created", "failed"]);
    assert_eq!(rows[3]["error"]["code"], "invalid_roster_time");
    let (_, again) = api.imported(roster, None, &[]).await;
    assert_eq!(again[0]["outcome"], "unchanged");

    let closing = close(api, &first, &json!({})).await;
    assert_eq!(closing["joined_later"], 2);
    let late = |counts| [status("ada", "absent"), status("bob", counts), status("eve", counts)];
    assert_eq!(statuses(api, &first).await, late("not_on_roster"));
    api.post(&format!("/api/v1/sessions/{first}/reopen"), &json!({ "reason": "all were there" })).await.expect(200);
    let counted = close(api, &first, &json!({ "count_joined_later": true })).await;
    assert_eq!(counted["counts"], json!([{ "status": "absent", "people": 3 }]));
    assert_eq!(statuses(api, &first).await, late("absent"));

    // Said better afterwards: what was closed by the register alone follows.
    close(api, &second, &json!({})).await;
    let expected = [status("ada", "absent"), status("bob", "absent"), status("eve", "not_on_roster")];
    assert_eq!(statuses(api, &second).await, expected);
    let since = async |person: &str, query: &str| {
        api.send(Method::PUT, &format!("/api/v1/groups/g/people/{person}{query}"), &Value::Null).await
    };
    since("eve", "?since=2026-03-03").await.expect(204);
    since("eve", "").await.expect(204);
    assert_eq!(since("eve", "?since=yesterday").await.problem(), (400, "invalid_roster_time".to_owned()));
    assert_eq!(statuses(api, &second).await[2], status("eve", "absent"));
    let rates = get(api, "/reports/attendance?from=2026-03-01&until=2026-03-31&group=g").await;
    let counted: Vec<&Value> = rates["rows"].as_array().unwrap().iter().map(|row| &row["counted"]).collect();
    assert_eq!(counted, [2, 2, 2]);
}

#[tokio::test]
async fn who_leaves_keeps_their_history_and_who_comes_back_has_both_times() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("ada", &[], "obama").await;
    let lessons =
        [session(api, "2026-03-02").await, session(api, "2026-03-09").await, session(api, "2026-03-16").await];
    let put = |since: &str| format!("/api/v1/groups/g/people/ada?since={since}");
    api.send(Method::PUT, &put("2026-03-01"), &Value::Null).await.expect(204);
    api.delete("/api/v1/groups/g/people/ada?until=2026-03-03").await.expect(204);
    assert_eq!(get(api, "/groups/g").await["people"], json!([]));
    assert_eq!(get(api, "/people/ada").await["groups"], json!([]));
    assert_eq!(get(api, "/people?group=g").await["people"], json!([]));
    let tomorrow = (Timestamp::now() + 48.hours()).to_zoned(TimeZone::UTC).date();
    api.send(Method::PUT, &put("2026-03-10"), &Value::Null).await.expect(204);
    for until in ["2026-03-04".to_owned(), tomorrow.to_string()] {
        let refused = api.delete(&format!("/api/v1/groups/g/people/ada?until={until}")).await;
        assert_eq!(refused.problem(), (400, "invalid_roster_time".to_owned()), "{until}");
    }
    let mut listed = Vec::new();
    for lesson in &lessons {
        close(api, lesson, &json!({})).await;
        listed.extend(statuses(api, lesson).await);
    }
    assert_eq!(listed, [status("ada", "absent"), status("ada", "not_on_roster"), status("ada", "absent")]);
    let rows = get(api, "/reports/attendance?from=2026-03-01&until=2026-03-31&group=g").await["rows"].clone();
    assert_eq!((&rows[0]["counted"], &rows[0]["absent"]), (&json!(2), &json!(2)), "of their own time alone");

    api.delete("/api/v1/groups/g/people/ada").await.expect(204);
    assert_eq!(get(api, "/groups/g/people").await["people"], json!([]));
    let former = get(api, "/groups/g/people?former=true").await;
    let ada = &former["people"][0];
    assert_eq!((&ada["person"], &ada["name"], &ada["on_roster"]), (&json!("ada"), &json!("ada"), &json!(false)));
    assert_eq!(ada["periods"][0], json!({ "since": "2026-03-01T00:00:00Z", "until": "2026-03-04T00:00:00Z" }));
    assert_eq!(ada["periods"].as_array().unwrap().len(), 2);
    let export = get(api, "/people/ada/export").await;
    assert_eq!(export["rosters"], json!([{ "group": "g", "periods": ada["periods"] }]));
    let rows = get(api, "/reports/attendance?from=2026-03-01&until=2026-03-31&group=g").await["rows"].clone();
    assert_eq!(rows[0]["counted"], 2, "who has left is in the reports on their time");
    api.delete("/api/v1/people/ada").await.expect(204);
    assert_eq!(get(api, "/groups/g/people?former=true").await["people"], json!([]));
    assert_eq!(server.operator().get("/api/v1/check").await.expect(200)["problems"], json!({}));
}

#[tokio::test]
async fn a_teacher_sees_names_and_portraits_of_the_groups_given_and_of_no_others() {
    let server = TestServer::start().await;
    let api = &server.api;
    let keep = json!({ "photos": "crops" });
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &keep).await.expect(200);
    for group in ["g", "h"] {
        api.group(group).await;
    }
    api.enrol("ada", &["g"], "obama").await;
    api.enrol("bob", &["h"], "biden").await;
    api.enrol("eve", &[], "hopper").await;
    let key = json!({ "name": "t", "role": "teacher", "groups": ["g"] });
    let key = api.post("/api/v1/keys", &key).await.expect(201);
    let teacher = api.with_key(key["key"].as_str().unwrap());
    let roster = get(&teacher, "/groups/g/people").await;
    assert_eq!((&roster["people"][0]["person"], &roster["people"][0]["name"]), (&json!("ada"), &json!("ada")));
    let photo = teacher.get("/api/v1/groups/g/people/ada/photo").await;
    assert_eq!((photo.status, photo.header("content-type")), (200, "image/jpeg"));
    for (path, problem) in [
        ("/groups/g/people/bob/photo", (404, "person_not_found")),
        ("/groups/g/people/eve/photo", (404, "person_not_found")),
        ("/groups/g/people/nobody/photo", (404, "person_not_found")),
        ("/groups/h/people/bob/photo", (403, "forbidden")),
        ("/groups/h/people", (403, "forbidden")),
        ("/people/ada/photo", (403, "forbidden")),
        ("/people", (403, "forbidden")),
    ] {
        let refused = teacher.get(&format!("/api/v1{path}")).await;
        assert_eq!(refused.problem(), (problem.0, problem.1.to_owned()), "{path}");
    }
    api.delete("/api/v1/groups/g/people/ada").await.expect(204);
    let left = teacher.get("/api/v1/groups/g/people/ada/photo").await;
    assert_eq!(left.problem(), (404, "person_not_found".to_owned()), "who has left is shown no longer");
}

#[tokio::test]
async fn who_is_covered_by_the_days_other_sessions_is_not_missed() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    let rules = json!({ "rules": { "max_marks_a_day": 1 } });
    api.send(Method::PATCH, "/api/v1/groups/g", &rules).await.expect(200);
    for (person, shot) in [("ada", "obama"), ("bob", "biden")] {
        api.enrol(person, &[], shot).await;
        let since = format!("/api/v1/groups/g/people/{person}?since=2026-03-01");
        api.send(Method::PUT, &since, &Value::Null).await.expect(204);
    }
    let (first, second) = (session(api, "2026-03-02").await, session(api, "2026-03-02").await);
    let at = ("at", "2026-03-02T08:05:00Z");
    api.recognize("g", &[("session", &first), at], &[&portrait("obama2")]).await.expect(200);
    let review = async || get(api, &format!("/sessions/{second}/review")).await;
    let people = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|entry| entry["person"].as_str().unwrap().to_owned()).collect()
    };
    for step in ["open", "seen", "closed"] {
        match step {
            "seen" => {
                api.recognize("g", &[("session", &second), at], &[&portrait("obama3")]).await.expect(200);
            }
            "closed" => {
                close(api, &second, &json!({})).await;
            }
            _ => {}
        }
        let review = review().await;
        assert_eq!(
            (people(&review["not_expected"]), people(&review["not_seen"])),
            (vec!["ada".into()], vec!["bob".into()]),
            "{step}"
        );
        assert_eq!(review["not_expected"][0]["status"], "covered", "{step}");
    }
}
