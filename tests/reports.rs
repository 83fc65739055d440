//! Reports of attendance, from marks to files.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, TestServer, class_photo};

/// A session of `group` with a photo of `faces`; its id and its date.
async fn session(api: &Api, group: &str, faces: &[&str]) -> (String, String) {
    let rules = json!({ "rules": { "before_minutes": 1440 } });
    api.send(Method::PATCH, &format!("/api/v1/groups/{group}"), &rules).await.expect(200);
    let local = |minutes: i64| (Timestamp::now() + minutes.minutes()).to_zoned(TimeZone::UTC);
    let time = |minutes| local(minutes).strftime("%H:%M").to_string();
    let new = json!({ "date": local(60).date().to_string(), "start": time(60), "end": time(120) });
    let made = api.post(&format!("/api/v1/groups/{group}/sessions"), &new).await.expect(201);
    let placed: Vec<(&str, u32)> = faces.iter().map(|face| (*face, 300)).collect();
    api.recognize(group, &[], &[&class_photo(&placed)]).await.expect(200);
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    (text("id"), text("date"))
}

async fn rows(api: &Api, path: &str) -> Vec<Value> {
    api.get(&format!("/api/v1/reports/{path}")).await.expect(200)["rows"].as_array().unwrap().clone()
}

/// What a row says of somebody: who, attended, counted, rate.
fn shares(rows: &[Value]) -> Vec<Value> {
    rows.iter().map(|row| json!([row["person"], row["attended"], row["counted"], row["rate"]])).collect()
}

#[tokio::test]
async fn closed_sessions_are_counted_and_shown_in_every_format() {
    let server = TestServer::start().await;
    let api = &server.api;
    for group in ["g", "h"] {
        api.group(group).await;
    }
    api.enrol("ada", &["g", "h"], "obama").await;
    api.enrol("bob", &["g"], "biden").await;
    let (lesson, date) = session(api, "g", &["obama2"]).await;
    // The session may lie on tomorrow's date.
    let dates = format!("from={date}&until={date}");
    assert_eq!(rows(api, &format!("attendance?{dates}")).await, [] as [Value; 0], "nothing is closed");
    api.post(&format!("/api/v1/sessions/{lesson}/close"), &json!({ "force": true })).await.expect(200);
    let (other, _) = session(api, "h", &["obama2"]).await;
    api.post(&format!("/api/v1/sessions/{other}/close"), &json!({ "force": true })).await.expect(200);

    let people = rows(api, &format!("attendance?{dates}&group=g")).await;
    assert_eq!(shares(&people), [json!(["ada", 1, 1, 1.0]), json!(["bob", 0, 1, 0.0])]);
    assert_eq!((&people[1]["absent"], &people[1]["absent_now"]), (&json!(1), &json!(1)));
    let both = rows(api, &format!("attendance?{dates}")).await;
    assert_eq!(shares(&both), [json!(["ada", 2, 2, 1.0]), json!(["bob", 0, 1, 0.0])]);
    assert_eq!(shares(&rows(api, &format!("at-risk?{dates}")).await), [json!(["bob", 0, 1, 0.0])]);
    assert_eq!(rows(api, &format!("at-risk?{dates}&threshold=0")).await, [] as [Value; 0]);
    let groups = rows(api, &format!("attendance?{dates}&by=group")).await;
    let sizes: Vec<Value> = groups.iter().map(|row| json!([row["group"], row["people"], row["rate"]])).collect();
    assert!(sizes.contains(&json!(["g", 2, 0.5])) && sizes.contains(&json!(["h", 1, 1.0])), "{sizes:?}");
    let sessions = rows(api, &format!("attendance?{dates}&by=session&group=g")).await;
    assert_eq!(sessions[0]["session"], json!(lesson));
    let matrix = api.get(&format!("/api/v1/reports/attendance?{dates}&by=matrix&group=g")).await.expect(200);
    assert_eq!(matrix["sessions"][0]["session"], json!(lesson));
    assert_eq!(matrix["rows"][1]["statuses"], json!(["absent"]));
    let heat = api.get(&format!("/api/v1/reports/heatmap?{dates}&group=g")).await.expect(200);
    assert_eq!((&heat["cells"][0]["counted"], &heat["cells"][0]["attended"]), (&json!(2), &json!(1)));

    let file = async |path: &str| api.get(&format!("/api/v1/reports/{path}&{dates}&group=g")).await;
    let csv = file("attendance?by=matrix&format=csv").await.text();
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines.len() == 3 && lines[1].starts_with("ada,") && lines[2].ends_with(",absent"), "{csv}");
    assert!(file("attendance?by=session&format=svg").await.text().contains("</svg>"));
    assert!(file("heatmap?format=svg").await.text().contains("Mon"));
    let workbook = file("attendance?by=matrix&format=xlsx").await;
    assert_eq!(workbook.status, 200);
    assert!(workbook.bytes.starts_with(b"PK"), "a zip archive");
}

#[tokio::test]
async fn reports_show_callers_their_own_groups() {
    let server = TestServer::start().await;
    let api = &server.api;
    for group in ["g", "h"] {
        api.group(group).await;
    }
    api.enrol("ada", &["g"], "obama").await;
    let (lesson, date) = session(api, "g", &["obama2"]).await;
    api.post(&format!("/api/v1/sessions/{lesson}/close"), &json!({ "force": true })).await.expect(200);
    let dates = format!("from={date}&until={date}");
    let teacher = async |group: &str| {
        let key = json!({ "name": group, "role": "teacher", "groups": [group] });
        let key = api.post("/api/v1/keys", &key).await.expect(201);
        api.with_key(key["key"].as_str().unwrap())
    };
    let (own, other) = (teacher("g").await, teacher("h").await);
    assert_eq!(shares(&rows(&own, &format!("attendance?{dates}")).await), [json!(["ada", 1, 1, 1.0])]);
    assert_eq!(rows(&other, &format!("attendance?{dates}")).await, [] as [Value; 0]);
    let stranger = server.tenant("other").await;
    assert_eq!(rows(&stranger, &format!("attendance?{dates}")).await, [] as [Value; 0]);
    for route in ["attendance", "at-risk", "heatmap"] {
        let asked = format!("/api/v1/reports/{route}?{dates}&group=g");
        assert_eq!(other.get(&asked).await.problem(), (403, "forbidden".to_owned()), "{route}");
        assert_eq!(stranger.get(&asked).await.problem(), (404, "group_not_found".to_owned()), "{route}");
        let reversed = format!("/api/v1/reports/{route}?from=2026-02-02&until=2026-02-01");
        assert_eq!(api.get(&reversed).await.problem(), (400, "invalid_range".to_owned()), "{route}");
        let long = format!("/api/v1/reports/{route}?from=2025-01-01&until=2026-02-01");
        assert_eq!(api.get(&long).await.problem(), (400, "invalid_range".to_owned()), "{route}");
    }
    let beyond = api.get("/api/v1/reports/at-risk?threshold=1.1").await;
    assert_eq!(beyond.problem(), (400, "invalid_threshold".to_owned()));
}
