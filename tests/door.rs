//! What stands between any client and the routes: limits of time and size, and rules for browsers.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestServer, portrait, raw::Raw};

/// A full set of the headers that every answer carries.
#[track_caller]
fn assert_hardened(answer: &Answer, what: &str) {
    for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
        assert_eq!(answer.header(name), value, "{what}");
    }
    assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{what}");
    assert_eq!(answer.header("strict-transport-security"), "", "{what}: this connection is not secure");
}

#[tokio::test]
async fn every_answer_tells_browsers_what_not_to_do() {
    let server = TestServer::start().await;
    let (api, stranger) = (&server.api, server.api.without_key());
    let answers = [
        ("success", api.get("/api/v1/groups").await, 200),
        ("made", api.post("/api/v1/groups", &json!({ "id": "g", "name": "g" })).await, 201),
        ("nothing left", api.delete("/api/v1/groups/g").await, 204),
        ("bad JSON", api.post("/api/v1/groups", &json!({})).await, 400),
        ("no key", stranger.get("/api/v1/groups").await, 401),
        ("no such thing", api.get("/api/v1/groups/none").await, 404),
        ("no such route", api.get("/nowhere").await, 404),
        ("no such method", Answer::to(api.request(Method::PUT, "/api/v1/groups")).await, 405),
        ("health", stranger.get("/health/live").await, 200),
        ("metrics", api.get("/metrics").await, 200),
        ("description", stranger.get("/openapi.json").await, 200),
    ];
    for (what, answer, status) in &answers {
        assert_eq!(answer.status, *status, "{what}");
        assert_hardened(answer, what);
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none';"), "{what}");
    }
    assert_eq!(answers[7].1.header("allow"), "GET, POST");
    let page = stranger.get("/docs/").await;
    assert_hardened(&page, "page");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self';"), "no script in the page itself, none from elsewhere: {policy}");
    for script in page.text().split("<script").skip(1) {
        assert!(script.split('>').next().unwrap().contains("src="), "a script that the policy forbids: {script}");
    }
}

/// A browser's question whether a page of `origin` may post.
async fn preflight(server: &TestServer, origin: &str) -> Answer {
    let request = server.api.without_key().request(Method::OPTIONS, "/api/v1/groups").header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    Answer::to(request.header("access-control-request-headers", "authorization,content-type,idempotency-key")).await
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_only_where_they_are_listed() {
    let ask = async |server: &TestServer, origin: &str| {
        Answer::to(server.api.request(Method::GET, "/api/v1/groups").header("origin", origin)).await
    };
    let closed = TestServer::start().await;
    assert_eq!(preflight(&closed, "https://school.example").await.problem(), (405, "method_not_allowed".to_owned()));
    let answer = ask(&closed, "https://school.example").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));

    let open = TestServer::with(&[("server.cors_origins", "https://school.example, http://localhost:5173")]).await;
    for origin in ["https://school.example", "http://localhost:5173"] {
        let allowed = preflight(&open, origin).await;
        assert_eq!(allowed.status, 200, "{}", allowed.text());
        assert_eq!(allowed.header("access-control-allow-origin"), origin);
        assert!(allowed.header("access-control-allow-methods").contains("POST"));
        assert!(allowed.header("access-control-allow-headers").to_ascii_lowercase().contains("idempotency-key"));
        assert_eq!(allowed.header("access-control-allow-credentials"), "");
        assert_hardened(&allowed, "preflight");
        let answer = ask(&open, origin).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, origin));
        assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
        let refused = open.api.without_key().request(Method::GET, "/api/v1/groups").header("origin", origin);
        let refused = Answer::to(refused).await;
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, origin));
        assert!(refused.header("vary").to_ascii_lowercase().contains("origin"));
    }
    for stranger in ["https://evil.example", "https://school.example.evil.example", "http://school.example", "null"] {
        assert_eq!(preflight(&open, stranger).await.header("access-control-allow-origin"), "", "{stranger}");
        assert_eq!(ask(&open, stranger).await.header("access-control-allow-origin"), "", "{stranger}");
    }
}

#[tokio::test]
async fn a_head_that_trickles_or_is_too_large_is_cut_off() {
    let server = TestServer::with(&[("limits.head_seconds", "1")]).await;
    for begun in ["", "GET /health/live HTTP/1.1\r\nx-a: "] {
        let mut raw = Raw::connect(&server.api);
        assert!(raw.send(begun.as_bytes()));
        assert!(raw.trickle(|raw| begun.is_empty() || raw.send(b"a")), "held for ever after {begun:?}");
        let answer = raw.answer();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    let line = |number: usize| format!("x-{number}: {}\r\n", "a".repeat(1000));
    let short = |number: usize| format!("x-{number}: a\r\n");
    let heads = [
        ("long", (0..90).map(line).collect::<String>() + &format!("x-long: {}\r\n", "a".repeat(60_000))),
        ("of many lines", (0..100).map(short).collect()),
    ];
    for (what, lines) in heads {
        let mut raw = Raw::connect(&server.api);
        raw.send(format!("GET /health/live HTTP/1.1\r\nhost: test\r\n{lines}\r\n").as_bytes());
        let answer = raw.answer();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{what}: {answer}");
    }
    assert_eq!(server.api.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off() {
    let server = TestServer::with(&[("limits.body_seconds", "1")]).await;
    let bodies = [
        ("/api/v1/detect", "multipart/form-data; boundary=x"),
        ("/api/v1/detect", "application/json"),
        ("/api/v1/groups", "application/json"),
    ];
    for (path, kind) in bodies {
        let mut raw = Raw::post(&server.api, path, kind, "Transfer-Encoding: chunked");
        assert!(raw.trickle(|raw| raw.chunk(b" ")), "{path} {kind} is held for ever");
        let answer = raw.answer();
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"timeout\""), "{path} {kind}: {answer}");
        server.is_idle().await;
    }
}

#[tokio::test]
async fn a_body_that_never_falls_silent_but_is_slower_than_the_least_rate_is_cut_off() {
    let server =
        TestServer::with(&[("limits.body_idle_seconds", "1"), ("limits.least_bytes_per_second", "1000")]).await;
    for (path, kind) in [("/api/v1/detect", "multipart/form-data; boundary=x"), ("/api/v1/groups", "application/json")]
    {
        for framing in ["Transfer-Encoding: chunked", "Content-Length: 10000"] {
            let mut raw = Raw::post(&server.api, path, kind, framing);
            let chunked = framing.contains("chunked");
            let held = raw.trickle(|raw| if chunked { raw.chunk(b" ") } else { raw.send(b" ") });
            assert!(held, "{path} {framing} is held for as long as its bytes come");
            let answer = raw.answer();
            assert!(answer.starts_with("HTTP/1.1 408 "), "{path} {framing}: {answer}");
        }
    }
    server.is_idle().await;
    // Who sends at once is not counted behind, whatever the server takes to read it.
    server.api.group("g").await;
    server.api.enrol("p", &["g"], "obama").await;
}

#[tokio::test]
async fn a_small_body_that_falls_silent_is_given_up_too() {
    let server = TestServer::with(&[("limits.body_idle_seconds", "1")]).await;
    let silent = Raw::post(&server.api, "/api/v1/groups", "application/json", "Content-Length: 100");
    let answer = silent.answer();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"timeout\""), "{answer}");
    // A body within the limits is none the worse for them.
    server.api.group("g").await;
    server.api.enrol("p", &["g"], "obama").await;
    server.api.recognize("g", &[], &[&portrait("obama2")]).await.expect(200);
}
