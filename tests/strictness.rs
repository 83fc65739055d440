//! What a tenant sets too: a request that stores something may be stricter, and never laxer.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{Method, multipart::Form};
use serde_json::{Map, Value, json};

use crate::support::{
    Answer, TestServer, class_photo,
    description::resolved,
    files::photo_files,
    form, held,
    images::{jpeg, scaled},
    portrait,
    raw::Raw,
    rosters::zipped,
};

/// Fields of requests by which a tenant's bar could be lowered.
const BARS: [&str; 5] = ["threshold", "margin", "liveness", "quality", "duplicates"];

/// What becomes of a value that is laxer than the tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Laxer {
    /// The request is refused.
    Refused,
    /// The tenant's counts.
    Overruled,
    /// It counts: nothing is stored.
    Counts,
}

/// Every such field of every request. One without a line fails the test.
const FIELDS: &[(&str, &str, Laxer)] = &[
    ("post /groups/{group}/recognize", "threshold", Laxer::Refused),
    ("post /groups/{group}/recognize", "margin", Laxer::Refused),
    ("post /groups/{group}/recognize", "liveness", Laxer::Overruled),
    ("post /groups/{group}/jobs/recognize", "threshold", Laxer::Refused),
    ("post /groups/{group}/jobs/recognize", "margin", Laxer::Refused),
    ("post /groups/{group}/jobs/recognize", "liveness", Laxer::Overruled),
    ("post /identify", "threshold", Laxer::Counts),
    ("post /identify", "margin", Laxer::Counts),
    ("post /identify", "liveness", Laxer::Overruled),
    ("post /people/{person}/verify", "threshold", Laxer::Counts),
    ("post /people", "quality", Laxer::Overruled),
    ("post /people", "duplicates", Laxer::Overruled),
    ("put /people/{person}/faces", "quality", Laxer::Overruled),
    ("post /people/{person}/faces", "quality", Laxer::Overruled),
    ("post /people/import", "quality", Laxer::Overruled),
];

#[tokio::test]
async fn every_field_that_could_lower_a_tenants_bar_is_listed() {
    let server = TestServer::start().await;
    let description = server.api.get("/openapi.json").await.expect(200);
    let mut found = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let contents = operation["requestBody"]["content"].as_object().into_iter();
            for content in contents.flat_map(Map::values) {
                let fields = resolved(&content["schema"], &description)["properties"].as_object().into_iter().flatten();
                let bars = fields.filter(|(name, _)| BARS.contains(&name.as_str()) || name.starts_with("min_"));
                let route = format!("{method} {}", path.trim_start_matches("/api/v1"));
                found.extend(bars.map(|(name, _)| (route.clone(), name.clone())));
            }
        }
    }
    // The operator's and the admin's, who set the bars.
    found.retain(|(route, _)| !route.contains("/tenants") && !route.ends_with(" /settings"));
    let listed = FIELDS.iter().map(|&(route, field, _)| (route.to_owned(), field.to_owned())).collect();
    assert_eq!(found, listed);
}

/// A request of a route with one field, by which alone it fails or not.
fn request(route: &str, field: &str, value: &str, mark: bool) -> (Method, String, Form) {
    let (method, path) = route.split_once(' ').unwrap();
    let path = format!("/api/v1{}", path.replace("{group}", "g").replace("{person}", "obama"));
    let photo = match field {
        "quality" => jpeg(&scaled("obama2", 70)),
        "liveness" => class_photo(&[("obama2", 100)]),
        _ => portrait("obama2"),
    };
    let more: &[(&str, &str)] = match route {
        "post /people" => &[("id", "new"), ("name", "new")],
        _ if !mark => &[("mark", "false")],
        _ => &[],
    };
    let form = form(&[more, &[(field, value)]].concat(), &[&photo]);
    (method.to_ascii_uppercase().parse().unwrap(), path, form)
}

/// A body may be on its way for minutes: what counts is what is set, and what time it is, when all of it is there.
#[tokio::test]
async fn what_becomes_stricter_while_a_body_comes_holds_for_it_and_so_does_the_time() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("obama", &["g"], "obama").await;
    let image = BASE64_STANDARD.encode(portrait("obama2"));
    let sent = |meanwhile: &'static str| {
        let (api, operator, image) = (api.clone(), server.operator(), image.clone());
        async move {
            let mut raw =
                Raw::post(&api, "/api/v1/groups/g/recognize", "application/json", "Transfer-Encoding: chunked");
            assert!(raw.chunk(format!(r#"{{"images":["{image}"],"#).as_bytes()));
            // The caller was let in: the rest of the body is read.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let bars = json!({ "matching": { "roster_threshold": meanwhile.parse::<f64>().unwrap() } });
            operator.send(Method::PATCH, "/api/v1/tenants/default", &bars).await.expect(200);
            let now = jiff::Timestamp::now();
            assert!(raw.chunk(format!(r#""at":"{now}"}}"#).as_bytes()) && raw.send(b"0\r\n\r\n"));
            raw.answer()
        }
    };
    let lax = sent("0.3").await;
    assert!(lax.starts_with("HTTP/1.1 200") && lax.contains(r#""present":[{"person":"obama""#), "{lax}");
    let strict = sent("0.99").await;
    assert!(strict.starts_with("HTTP/1.1 200") && strict.contains("below_threshold"), "{strict}");
}

#[tokio::test]
async fn a_laxer_value_is_refused_or_overruled_unless_nothing_is_stored() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("obama", &["g"], "obama").await;
    let bars = json!({
        "matching": { "roster_threshold": 0.5, "gallery_threshold": 0.5, "margin": 0.2 },
        "liveness": "strict",
        "enrolment": { "quality": "strict", "duplicates": "refuse" },
    });
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &bars).await.expect(200);
    let ask = async |route: &str, field: &str, value: &str, mark: bool| {
        let (method, path, form) = request(route, field, value, mark);
        Answer::to(api.request(method, &path).multipart(form)).await
    };
    for &(route, field, laxer) in FIELDS.iter().filter(|(route, ..)| *route != "post /people/import") {
        let what = format!("{route} {field}");
        let lax = if ["threshold", "margin"].contains(&field) { "0.1" } else { "off" };
        let answer = ask(route, field, lax, true).await;
        match (laxer, field) {
            (Laxer::Refused, _) => {
                assert_eq!(answer.problem(), (400, "laxer_than_tenant".to_owned()), "{what}");
                let details = &answer.json()["error"]["details"];
                assert_eq!(details["field"], field, "{what}");
                assert!(details["least"].as_f64().unwrap() > 0.1, "{what}: {details}");
                for (value, mark) in [("0.1", false), ("0.9", true)] {
                    let answer = ask(route, field, value, mark).await;
                    assert!([200, 202].contains(&answer.status), "{what} {value} {mark}: {}", answer.text());
                    if answer.status == 202 {
                        api.job_over(answer.json()["id"].as_str().unwrap()).await;
                    }
                }
            }
            (Laxer::Counts, _) => assert_eq!(answer.status, 200, "{what}"),
            (Laxer::Overruled, "quality") => assert_eq!(answer.problem().0, 422, "{what}"),
            (Laxer::Overruled, "duplicates") => {
                assert_eq!(answer.problem(), (422, "duplicate_of".to_owned()), "{what}");
            }
            (Laxer::Overruled, _) if answer.status == 202 => {
                let job = answer.json()["id"].as_str().unwrap().to_owned();
                api.job_over(&job).await;
                assert_eq!(api.results(&job).await[0]["faces"][0]["reason"], "not_live", "{what}");
            }
            (Laxer::Overruled, _) => {
                assert_eq!(answer.expect(200)["photos"][0]["faces"][0]["reason"], "not_live", "{what}");
            }
        }
    }
    let photos = zipped(&[("new/1.jpg", &jpeg(&scaled("obama2", 70)))]);
    let (_, rows) = api.imported("id,name\nnew,New\n", Some(&photos), &[("quality", "off")]).await;
    assert_eq!(rows[0]["refused"][0]["reason"], "too_small");
}

/// Likewise what becomes stricter after the look at what is set, while it is noted that the key was used.
#[tokio::test]
async fn what_becomes_stricter_while_somebody_comes_in_holds_for_what_they_send() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("obama", &["g"], "obama").await;
    let photo = portrait("obama2");
    let sent = async { api.recognize("g", &[], &[&photo]).await };
    let stricter = patched(&server, json!({ "matching": { "roster_threshold": 0.99 } }));
    let answer = held(&server, "door.looked", sent, stricter).await.expect(200);
    assert_eq!(answer["photos"][0]["faces"][0]["reason"], "below_threshold");
}

async fn patched(server: &TestServer, settings: Value) {
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &settings).await.expect(200);
}

/// What stores something of a photo.
const MARKING: &[&str] = &["recognize"];
const ENROLLING: &[&str] = &["enrol", "add", "replace"];
const BOTH: &[&str] = &["recognize", "enrol", "add", "replace"];

/// Settings, and stricter ones, by which photos are judged that are under way, and for what.
const RULES: [(&str, &str, &[&str]); 7] = [
    (r#"{"matching":{"roster_threshold":0.3}}"#, r#"{"matching":{"roster_threshold":0.99}}"#, BOTH),
    (r#"{"matching":{"gallery_threshold":0.9}}"#, r#"{"matching":{"gallery_threshold":0.3}}"#, ENROLLING),
    (r#"{"liveness":"off"}"#, r#"{"liveness":"strict"}"#, MARKING),
    (r#"{"enrolment":{"duplicates":"off"}}"#, r#"{"enrolment":{"duplicates":"refuse"}}"#, ENROLLING),
    (r#"{"enrolment":{"quality":"off"}}"#, r#"{"enrolment":{"quality":"strict"}}"#, ENROLLING),
    (r#"{"enrolment":{"liveness":"off"}}"#, r#"{"enrolment":{"liveness":"strict"}}"#, ENROLLING),
    (r#"{"photos":"originals"}"#, r#"{"photos":"off"}"#, ENROLLING),
];

/// A photo may be under way for long as well: no rule that was acknowledged is passed by what was judged before it.
#[tokio::test]
async fn nothing_is_stored_by_rules_that_became_stricter_while_photos_were_under_way() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("obama", &["g"], "obama").await;
    let photo = portrait("obama2");
    let settings = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for (lax, strict, requests) in RULES {
        for &request in requests {
            patched(&server, settings(lax)).await;
            let sent = async {
                match request {
                    "recognize" => api.recognize("g", &[], &[&photo]).await,
                    "enrol" => {
                        let fields = [("id", "new"), ("name", "New")];
                        api.post_form("/api/v1/people", form(&fields, &[&photo])).await
                    }
                    "add" => api.post_form("/api/v1/people/obama/faces", form(&[], &[&photo])).await,
                    _ => api.put_form("/api/v1/people/obama/faces", form(&[], &[&photo])).await,
                }
            };
            let answer = held(&server, "embed.actor", sent, patched(&server, settings(strict))).await;
            assert_eq!(answer.problem(), (429, "rules_changed".to_owned()), "{request} {strict}");
            assert!(!answer.header("retry-after").is_empty());
        }
        assert_eq!(api.records("g", "").await.len(), 0, "{strict}");
        assert_eq!(api.get("/api/v1/people/new").await.status, 404, "{strict}");
        let known = api.get("/api/v1/people/obama").await.expect(200);
        assert_eq!(known["faces"].as_array().unwrap().len(), 1, "{strict}");
        patched(&server, settings(lax)).await;
    }
    assert!(photo_files(&server.data()).is_empty());
    // What is set for a group, and what has nothing to do with it.
    let sent = async { api.recognize("g", &[], &[&photo]).await };
    let stricter = async {
        let rules = json!({ "rules": { "liveness": "strict" } });
        api.send(Method::PATCH, "/api/v1/groups/g", &rules).await.expect(200);
    };
    assert_eq!(held(&server, "embed.actor", sent, stricter).await.problem(), (429, "rules_changed".to_owned()));
    api.send(Method::PATCH, "/api/v1/groups/g", &json!({ "rules": { "liveness": "off" } })).await.expect(200);
    let sent = async { api.recognize("g", &[], &[&photo]).await };
    let answer = held(&server, "embed.actor", sent, patched(&server, json!({ "name": "Another" }))).await;
    assert_eq!(answer.expect(200)["present"][0]["person"], "obama");
}

/// A job is not told to come again: it does the item again, by what holds now.
#[tokio::test]
async fn a_job_goes_by_rules_that_became_stricter_while_a_photo_was_under_way() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    patched(&server, json!({ "photos": "originals" })).await;
    let photos = zipped(&[("obama.jpg", &portrait("obama"))]);
    let sent = api.imported("id,name,groups\nobama,Obama,g\n", Some(&photos), &[]);
    let (_, rows) = held(&server, "embed.actor", sent, patched(&server, json!({ "photos": "off" }))).await;
    assert_eq!((&rows[0]["outcome"], &rows[0]["samples_added"]), (&json!("created"), &json!(1)), "{rows:?}");
    assert!(photo_files(&server.data()).is_empty());
    let sent = async {
        let form = form(&[], &[&portrait("obama2")]);
        let job = api.post_form("/api/v1/groups/g/jobs/recognize", form).await.expect(202);
        let job = job["id"].as_str().unwrap().to_owned();
        api.job_over(&job).await;
        api.results(&job).await
    };
    let stricter = patched(&server, json!({ "matching": { "roster_threshold": 0.99 } }));
    let rows = held(&server, "embed.actor", sent, stricter).await;
    assert_eq!(rows[0]["faces"][0]["reason"], "below_threshold", "{rows:?}");
    assert_eq!(api.records("g", "").await.len(), 0);
}

#[tokio::test]
async fn a_request_may_refuse_who_looks_enrolled() {
    let server = TestServer::start().await;
    server.api.enrol("obama", &[], "obama").await;
    let again = |fields: &[(&str, &str)]| {
        let fields = [&[("id", "again"), ("name", "Again")][..], fields].concat();
        form(&fields, &[&portrait("obama2")])
    };
    let refused = server.api.post_form("/api/v1/people", again(&[("duplicates", "refuse")])).await;
    assert_eq!(refused.problem(), (422, "duplicate_of".to_owned()));
    assert_eq!(refused.json()["error"]["details"]["duplicates"][0]["person"], "obama");
    assert_eq!(server.api.get("/api/v1/people/again").await.status, 404);
    let flagged = server.api.post_form("/api/v1/people", again(&[("duplicates", "off")])).await.expect(201);
    assert_eq!(flagged["duplicates"][0]["person"], Value::from("obama"), "the tenant's rule is stricter");
}
