//! What holds on every route: one envelope for errors, a request id on every answer, strict parsing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer, eventually, form, images::empty_room, portrait, raw::Raw};

/// The one shape of errors, its id in the header too.
#[track_caller]
fn assert_envelope(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.problem(), (status, code.to_owned()), "{}", answer.text());
    let body = answer.json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&body), ["error", "request_id"]);
    assert_eq!(keys(&body["error"]), ["code", "details", "message"]);
    assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    assert_eq!(body["request_id"].as_str().unwrap(), answer.header("x-request-id"));
    assert!(!answer.header("x-request-id").is_empty());
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn every_error_comes_in_the_same_envelope() {
    let server = TestServer::start().await;
    let api = &server.api;
    let post = |path: &str| api.request(Method::POST, path);
    let json_type = ("content-type", "application/json");
    let malformed = post("/api/v1/groups").header(json_type.0, json_type.1).body("{\"name\":");
    assert_envelope(&Answer::to(malformed).await, 400, "invalid_json");
    let malformed = post("/api/v1/people").header(json_type.0, json_type.1).body("{\"name\":");
    assert_envelope(&Answer::to(malformed).await, 400, "invalid_json");
    let malformed = post("/api/v1/detect").header("content-type", "multipart/form-data").body("no boundary");
    assert_envelope(&Answer::to(malformed).await, 400, "invalid_form");
    // More of a part's head than the reader keeps: the body is whole, only unreadable.
    let head = format!("--x\r\nContent-Disposition: form-data; name=\"{}", "a".repeat(200_000));
    let endless = post("/api/v1/detect").header("content-type", "multipart/form-data; boundary=x").body(head);
    assert_envelope(&Answer::to(endless).await, 400, "invalid_form");
    assert_envelope(&api.without_key().get("/api/v1/groups").await, 401, "unauthenticated");
    assert_envelope(&api.get("/api/v1/groups/none").await, 404, "group_not_found");
    assert_envelope(&api.get("/api/v1/nowhere").await, 404, "not_found");
    assert_envelope(&api.get("/nowhere").await, 404, "not_found");
    assert_envelope(&api.get("/api/v1/people/a%00b").await, 400, "invalid_id");
    assert_envelope(&api.get("/api/v1/people/%FF").await, 400, "invalid_id");
    for path in ["/api/v1/groups", "/api/v1/people/x/verify", "/health/live", "/metrics"] {
        assert_envelope(&Answer::to(api.request(Method::PUT, path)).await, 405, "method_not_allowed");
    }
    let long = json!({ "name": "x".repeat(100_000) });
    assert_envelope(&api.post("/api/v1/groups", &long).await, 413, "body_too_large");
    for path in ["/api/v1/groups", "/api/v1/people"] {
        let text = post(path).header("content-type", "text/plain").body("name=x");
        assert_envelope(&Answer::to(text).await, 415, "unsupported_content_type");
    }
    let nobody = form(&[("name", "Nobody")], &[&empty_room(200, 200)]);
    assert_envelope(&api.post_form("/api/v1/people", nobody).await, 422, "no_usable_image");
    assert_envelope(&api.delete("/api/v1/tenants").await, 405, "method_not_allowed");
    let tenant = json!({ "name": "t" });
    assert_envelope(&api.post("/api/v1/tenants", &tenant).await, 403, "forbidden");
    api.group("twice").await;
    assert_envelope(&api.post("/api/v1/groups", &json!({ "id": "twice", "name": "x" })).await, 409, "group_exists");
}

#[tokio::test]
async fn a_full_door_answers_429_in_the_same_envelope() {
    let small = [
        ("limits.image_bytes", "1000000"),
        ("limits.body_bytes", "1000000"),
        ("limits.photo_pixels", "100000"),
        ("pipeline.budget_bytes", "1800000"),
        ("pipeline.tenant_share", "1.0"),
    ];
    let server = TestServer::with(&small).await;
    let mut holder = Raw::post(&server.api, "/api/v1/detect", "application/json", "Content-Length: 1000000");
    assert!(holder.send(&vec![b' '; 999_999]));
    eventually("the body is in but for its end", async || server.budget.used() >= 1_000_000).await;
    let answer = server.api.post_form("/api/v1/detect", form(&[], &[&vec![0; 900_000]])).await;
    assert_envelope(&answer, 429, "overloaded");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_missing_and_a_wrong_key_cannot_be_told_apart() {
    let server = TestServer::start().await;
    let stranger = server.api.without_key();
    let ask = |key: Option<(&'static str, &'static str)>| {
        let request = stranger.request(Method::GET, "/api/v1/people").header("x-request-id", "same");
        Answer::to(match key {
            Some((name, value)) => request.header(name, value),
            None => request,
        })
    };
    let missing = ask(None).await;
    assert_envelope(&missing, 401, "unauthenticated");
    assert_eq!(missing.header("www-authenticate"), "Bearer");
    for key in [
        ("authorization", "Bearer rk_0000"),
        ("authorization", "Bearer "),
        ("authorization", "Basic cms6cms="),
        ("authorization", "rk_0000"),
        ("x-api-key", "rk_0000"),
        ("x-api-key", ""),
    ] {
        let wrong = ask(Some(key)).await;
        assert_eq!((wrong.status, &wrong.bytes), (401, &missing.bytes), "{key:?}");
        assert_eq!(wrong.headers.len(), missing.headers.len());
    }
    let in_other_header = stranger.request(Method::GET, "/api/v1/people").header("x-api-key", server.api.key());
    assert_eq!(Answer::to(in_other_header).await.status, 200);
}

#[tokio::test]
async fn a_clients_request_id_is_echoed_when_it_is_harmless() {
    let server = TestServer::start().await;
    let ask = async |id: &str| {
        let request = server.api.request(Method::GET, "/api/v1/groups/none").header("x-request-id", id);
        let answer = Answer::to(request).await;
        assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
        answer.header("x-request-id").to_owned()
    };
    assert_eq!(ask("job-17_a.b").await, "job-17_a.b");
    let longest = "x".repeat(64);
    assert_eq!(ask(&longest).await, longest);
    for harmful in ["", "a b", "a\"b", "<script>", &"x".repeat(65)] {
        let made = ask(harmful).await;
        assert!(made != harmful && made.len() == 36, "{harmful:?} became {made:?}");
    }
    assert_ne!(server.api.get("/health/live").await.header("x-request-id"), "");
}

#[tokio::test]
async fn fields_booleans_and_numbers_are_read_strictly() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    let photo = portrait("obama");
    for (name, value, code) in [
        ("mark", "yes", "invalid_form"),
        ("mark", "1", "invalid_form"),
        ("mark", "TRUE", "invalid_form"),
        ("mark", "on", "invalid_form"),
        ("annotate", "yes", "invalid_form"),
        ("threshold", "high", "invalid_form"),
        ("threshold", "NaN", "invalid_threshold"),
        ("threshold", "1.01", "invalid_threshold"),
        ("threshold", "inf", "invalid_threshold"),
        ("margin", "-0.1", "invalid_margin"),
        ("liveness", "maybe", "invalid_form"),
        ("class", "urgent", "invalid_form"),
        ("class", "stream", "invalid_form"),
        ("at", "yesterday", "invalid_form"),
        ("at", "2026-01-01", "invalid_form"),
        ("Mark", "true", "invalid_form"),
        ("colour", "red", "invalid_form"),
    ] {
        let answer = api.recognize("g", &[(name, value)], &[&photo]).await;
        assert_eq!(answer.problem(), (400, code.to_owned()), "{name}={value}");
    }
    // Forms of browsers and phones send the fields that nobody filled in as well.
    let blank = ["mark", "threshold", "margin", "annotate", "at", "class", "liveness"].map(|name| (name, ""));
    assert_eq!(api.recognize("g", &blank, &[&photo]).await.status, 200);
    assert_eq!(api.recognize("g", &[("mark", "true"), ("mark", "false")], &[&photo]).await.status, 400);
    for body in [
        json!({ "name": "x", "colour": "red" }),
        json!({ "name": 7 }),
        json!({ "name": "" }),
        json!({ "name": "a\u{0}b" }),
        json!({}),
        json!([]),
        json!({ "name": "x", "id": "" }),
        json!({ "name": "x", "id": "é" }),
        json!({ "name": "x", "time_zone": "Mars/Olympus" }),
    ] {
        assert_eq!(api.post("/api/v1/groups", &body).await.status, 400, "{body}");
    }
    for body in [
        json!({ "images": [], "mark": "true" }),
        json!({ "images": "x" }),
        json!({ "images": ["?"] }),
        json!({ "images": [], "threshold": "0.4" }),
        json!({ "images": [], "colour": "red" }),
    ] {
        assert_eq!(api.post("/api/v1/groups/g/recognize", &body).await.status, 400, "{body}");
    }
    for query in ["?limit=0", "?limit=1001", "?limit=ten", "?limit=-1", "?page=2", "?after="] {
        assert_eq!(api.get(&format!("/api/v1/people{query}")).await.status, 400, "{query}");
    }
    for query in ["?date=today", "?date=2026-02-30", "?day=2026-02-01"] {
        assert_eq!(api.get(&format!("/api/v1/groups/g/attendance{query}")).await.status, 400, "{query}");
    }
    let nothing = api.recognize("g", &[("mark", "false")], &[]).await;
    assert_eq!(nothing.problem(), (400, "no_images".to_owned()));
    let many = vec![photo.as_slice(); 21];
    assert_eq!(api.recognize("g", &[], &many).await.problem(), (400, "too_many_images".to_owned()));
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let server = TestServer::start().await;
    server.api.group("g").await;
    for path in [
        "/api/v1/groups",
        "/api/v1/groups/g",
        "/api/v1/people",
        "/api/v1/groups/g/attendance",
        "/health/live",
        "/health/ready",
        "/metrics",
    ] {
        let head = Answer::to(server.api.request(Method::HEAD, path)).await;
        assert_eq!((head.status, head.bytes.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), server.api.get(path).await.header("content-type"), "{path}");
    }
}

#[tokio::test]
async fn health_and_metrics_are_public_on_loopback() {
    let server = TestServer::start().await;
    let stranger = server.api.without_key();
    let live = stranger.get("/health/live").await.expect(200);
    assert_eq!(live["status"], "live");
    let written = async || std::fs::read_to_string(server.data().join("server.address")).unwrap_or_default();
    eventually("the address is written", async || written().await.ends_with('\n')).await;
    let written = written().await;
    assert_eq!(written.trim_end(), server.api.address());
    assert_eq!(live, json!({ "status": "live" }), "nothing that tells who the server is");
    let ready = stranger.get("/health/ready").await.expect(200);
    assert_eq!(ready["status"], "ready");
    let names: Vec<&str> =
        ready["stages"].as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 7, "{names:?}");
    stranger.get("/api/v1/people/secret-id").await;
    let metrics = server.api.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").starts_with("text/plain"));
    assert!(metrics.text().contains("rollcall_build_info{"));
    assert!(metrics.text().contains(r#"route="/api/v1/people/{person}""#), "{}", metrics.text());
    assert!(!metrics.text().contains("secret-id"));
}

/// Also on this machine: a proxy that forwards no headers looks like any client on it.
#[tokio::test]
async fn metrics_want_a_key() {
    let server = TestServer::start().await;
    for path in ["/metrics", "/metrics?tenants=true"] {
        assert_eq!(server.api.without_key().get(path).await.problem(), (401, "unauthenticated".to_owned()), "{path}");
    }
    assert_eq!(server.api.get("/metrics").await.status, 200);
}
