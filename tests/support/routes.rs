//! Every route of the API's description, with a request that works: what the tests that walk all routes send.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Answer, Api, form, portrait, rosters::roster};

pub(crate) const PASSWORD: &str = "a long password";

/// What goes with a request.
pub(crate) enum Body {
    Nothing,
    Json(Value),
    /// Fields, and portraits.
    Photos(&'static [(&'static str, &'static str)], &'static [&'static str]),
    /// A file in the field `csv`.
    Roster(&'static str),
}

/// A body that the route takes. A route without a case fails the tests.
#[allow(clippy::match_same_arms, reason = "a line a route, as in the README")]
pub(crate) fn body(method: &str, path: &str) -> Body {
    match (method, path) {
        ("post", "/auth/login") => Body::Json(json!({ "tenant": "default", "user": "x", "password": PASSWORD })),
        ("post", "/auth/refresh") => Body::Json(json!({ "refresh_token": "rr_0" })),
        ("post", "/auth/password") => Body::Json(json!({ "old": PASSWORD, "new": PASSWORD })),
        ("post", "/auth/logout" | "/auth/rotate" | "/store/rewrite")
        | ("get", "/auth/me" | "/tenants" | "/backup" | "/backups" | "/check") => Body::Nothing,
        ("get", "/settings") => Body::Nothing,
        ("patch", "/settings") => Body::Json(json!({ "unknown_faces_days": 29 })),
        ("post", "/tenants") | ("patch", "/tenants/{tenant}") => Body::Json(json!({ "name": "new" })),
        ("post", "/users") => Body::Json(json!({ "id": "new", "password": PASSWORD, "role": "viewer" })),
        ("patch", "/users/{user}") => Body::Json(json!({ "role": "admin", "password": "stolen password" })),
        ("post", "/keys") => Body::Json(json!({ "name": "new", "role": "kiosk", "groups": ["g"] })),
        ("post", "/keys/{key}/rotate") => Body::Nothing,
        ("post", "/groups") => Body::Json(json!({ "id": "new", "name": "new" })),
        ("patch", "/groups/{group}") => Body::Json(json!({ "name": "stolen" })),
        ("put", "/groups/{group}/people/{person}") => Body::Nothing,
        ("post", "/people") => Body::Photos(&[("id", "new"), ("name", "new"), ("groups", "g")], &["hopper"]),
        ("post", "/people/import") => Body::Roster("id,name,groups\nimported,new,g\n"),
        ("post", "/jobs/{job}/cancel") => Body::Nothing,
        ("patch", "/people/{person}") => Body::Json(json!({ "name": "stolen", "groups": ["g"] })),
        ("put", "/people/{person}/faces") => Body::Photos(&[("faces", "clear")], &["obama2"]),
        ("post", "/people/{person}/faces") => Body::Photos(&[("faces", "clear")], &["obama3"]),
        ("post", "/people/{person}/faces/{face}/move") => Body::Json(json!({ "to": "q" })),
        ("post", "/people/{person}/merge") => Body::Json(json!({ "from": "q" })),
        ("put", "/people/{person}/consent") => Body::Json(json!({ "given_by": "x", "basis": "consent" })),
        ("post", "/people/{person}/negatives") => Body::Photos(&[], &["hopper"]),
        ("post", "/people/{person}/verify") => Body::Photos(&[], &["obama2"]),
        ("post", "/groups/{group}/recognize") => Body::Photos(&[], &["obama2"]),
        ("put", "/groups/{group}/timetable") => {
            Body::Json(json!({ "entries": [{ "weekday": "monday", "start": "08:00", "end": "09:00" }] }))
        }
        ("put", "/holidays") => Body::Json(json!({ "holidays": [{ "from": "2026-12-25", "name": "x" }] })),
        ("post", "/groups/{group}/sessions") => {
            Body::Json(json!({ "date": "2026-03-02", "start": "08:00", "end": "09:00" }))
        }
        ("patch", "/sessions/{session}") => Body::Json(json!({ "title": "stolen" })),
        ("post", "/sessions/{session}/open" | "/sessions/{session}/restore") => Body::Nothing,
        ("post", "/sessions/{session}/close") => Body::Json(json!({})),
        ("post", "/sessions/{session}/reopen") => Body::Json(json!({ "reason": "x" })),
        ("post", "/sessions/{session}/confirm") => Body::Json(json!({ "confirm": ["p"] })),
        ("post", "/sessions/{session}/records/{person}/undo") => Body::Nothing,
        ("put", "/sessions/{session}/records/{person}/appeal") => Body::Json(json!({ "note": "x" })),
        ("patch", "/sessions/{session}/records/{person}/appeal") => Body::Json(json!({ "state": "refused" })),
        ("post", "/sessions/{session}/strangers/{stranger}/name") => Body::Json(json!({ "person": "p" })),
        ("post", "/groups/{group}/jobs/recognize") => Body::Photos(&[], &["obama2"]),
        ("post", "/compare") => Body::Photos(&[], &["obama", "obama2"]),
        ("post", "/identify" | "/detect" | "/embeddings") => Body::Photos(&[], &["obama2"]),
        ("post", "/gallery/check") => Body::Json(json!({})),
        ("post", "/events/ticket") => Body::Nothing,
        ("post", "/webhooks") => {
            Body::Json(json!({ "url": "https://example.com/in", "groups": ["g"], "active": false }))
        }
        ("patch", "/webhooks/{webhook}") => Body::Json(json!({ "url": "https://example.com/stolen" })),
        ("post", "/webhooks/{webhook}/replay") => Body::Json(json!({})),
        ("get", "/events" | "/events/ws" | "/webhooks") => Body::Nothing,
        ("get", "/groups" | "/people" | "/users" | "/keys" | "/jobs" | "/audit" | "/erasures" | "/holidays") => {
            Body::Nothing
        }
        ("get", path) if path.starts_with("/reports/") => Body::Nothing,
        ("get" | "delete", path) if path.contains('{') => Body::Nothing,
        _ => panic!("no case for {method} {path}: add one to tests/support/routes.rs"),
    }
}

/// Methods and paths below `/api/v1`.
pub(crate) async fn described(api: &Api) -> Vec<(String, String)> {
    let description = api.get("/openapi.json").await.expect(200);
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.push((method.clone(), path.trim_start_matches("/api/v1").to_owned()));
        }
    }
    routes
}

/// Sends the request of a route to `path`, which is the route's with ids in it.
pub(crate) async fn send(api: &Api, method: &str, path: &str, body: &Body) -> Answer {
    Answer::to(request(api, method, path, body)).await
}

/// That request.
pub(crate) fn request(api: &Api, method: &str, path: &str, body: &Body) -> RequestBuilder {
    let request = api.request(method.to_ascii_uppercase().parse().unwrap(), &format!("/api/v1{path}"));
    match body {
        Body::Nothing => request,
        Body::Json(body) => request.json(body),
        Body::Roster(csv) => request.multipart(roster(csv.as_bytes(), None, &[])),
        Body::Photos(fields, shots) => {
            let photos: Vec<Vec<u8>> = shots.iter().map(|shot| portrait(shot)).collect();
            request.multipart(form(fields, &photos.iter().map(Vec::as_slice).collect::<Vec<_>>()))
        }
    }
}
