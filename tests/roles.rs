//! What each role may do on every route: the table below, walked with the API's own description.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    TestServer,
    routes::{body, described, send},
};

/// Nobody's key at all.
const PUBLIC: &[&str] = &["nobody", "operator", "metrics", "admin", "viewer", "teacher", "kiosk"];
/// Whoever has an account; `metrics` has nothing but `/metrics`.
const ANYBODY: &[&str] = &["operator", "admin", "viewer", "teacher", "kiosk"];
const OPERATOR: &[&str] = &["operator"];
const MANAGERS: &[&str] = &["operator", "admin"];
const ADMIN: &[&str] = &["admin"];
const READERS: &[&str] = &["admin", "viewer"];
const GROUP_READERS: &[&str] = &["admin", "viewer", "teacher"];
const MARKERS: &[&str] = &["admin", "teacher", "kiosk"];
const TEACHERS: &[&str] = &["admin", "teacher"];

/// Who may use which route. A route without a line fails the test.
const ROUTES: &[(&str, &str, &[&str])] = &[
    ("post", "/auth/login", PUBLIC),
    ("post", "/auth/refresh", PUBLIC),
    ("post", "/auth/logout", ANYBODY),
    ("get", "/auth/me", ANYBODY),
    ("post", "/auth/password", ANYBODY),
    ("post", "/auth/rotate", OPERATOR),
    ("post", "/users", MANAGERS),
    ("get", "/users", MANAGERS),
    ("get", "/users/{user}", MANAGERS),
    ("patch", "/users/{user}", MANAGERS),
    ("delete", "/users/{user}", MANAGERS),
    ("post", "/keys", MANAGERS),
    ("get", "/keys", MANAGERS),
    ("delete", "/keys/{key}", MANAGERS),
    ("post", "/keys/{key}/rotate", MANAGERS),
    ("get", "/audit", MANAGERS),
    ("post", "/tenants", OPERATOR),
    ("get", "/tenants", OPERATOR),
    ("get", "/tenants/{tenant}", OPERATOR),
    ("delete", "/tenants/{tenant}", OPERATOR),
    ("patch", "/tenants/{tenant}", OPERATOR),
    ("get", "/settings", ADMIN),
    ("patch", "/settings", ADMIN),
    ("get", "/backup", OPERATOR),
    ("get", "/backups", OPERATOR),
    ("delete", "/backups/{backup}", OPERATOR),
    ("get", "/check", OPERATOR),
    ("post", "/store/rewrite", OPERATOR),
    ("get", "/erasures", MANAGERS),
    ("post", "/people/import", ADMIN),
    ("post", "/groups/{group}/jobs/recognize", TEACHERS),
    ("get", "/jobs", TEACHERS),
    ("get", "/jobs/{job}", TEACHERS),
    ("post", "/jobs/{job}/cancel", TEACHERS),
    ("get", "/jobs/{job}/events", TEACHERS),
    ("get", "/jobs/{job}/results", TEACHERS),
    ("post", "/groups", ADMIN),
    ("get", "/groups", GROUP_READERS),
    ("get", "/groups/{group}", GROUP_READERS),
    ("patch", "/groups/{group}", ADMIN),
    ("delete", "/groups/{group}", ADMIN),
    ("get", "/groups/{group}/people", GROUP_READERS),
    ("get", "/groups/{group}/people/{person}/photo", GROUP_READERS),
    ("put", "/groups/{group}/people/{person}", ADMIN),
    ("delete", "/groups/{group}/people/{person}", ADMIN),
    ("post", "/people", ADMIN),
    ("get", "/people", READERS),
    ("get", "/people/{person}", READERS),
    ("patch", "/people/{person}", ADMIN),
    ("delete", "/people/{person}", ADMIN),
    ("put", "/people/{person}/faces", ADMIN),
    ("post", "/people/{person}/faces", ADMIN),
    ("delete", "/people/{person}/faces/{face}", ADMIN),
    ("post", "/people/{person}/faces/{face}/move", ADMIN),
    ("post", "/people/{person}/merge", ADMIN),
    ("get", "/people/{person}/export", ADMIN),
    ("get", "/people/{person}/photo", READERS),
    ("get", "/people/{person}/consent", READERS),
    ("put", "/people/{person}/consent", ADMIN),
    ("delete", "/people/{person}/consent", ADMIN),
    ("get", "/people/{person}/negatives", READERS),
    ("post", "/people/{person}/negatives", ADMIN),
    ("delete", "/people/{person}/negatives/{negative}", ADMIN),
    ("post", "/people/{person}/verify", ADMIN),
    ("post", "/groups/{group}/recognize", MARKERS),
    ("post", "/identify", ADMIN),
    ("post", "/compare", ADMIN),
    ("post", "/detect", ADMIN),
    ("post", "/embeddings", ADMIN),
    ("get", "/groups/{group}/attendance", GROUP_READERS),
    ("delete", "/groups/{group}/attendance/{record}", TEACHERS),
    ("get", "/groups/{group}/timetable", GROUP_READERS),
    ("put", "/groups/{group}/timetable", ADMIN),
    ("get", "/holidays", GROUP_READERS),
    ("put", "/holidays", ADMIN),
    ("post", "/groups/{group}/sessions", TEACHERS),
    ("get", "/groups/{group}/sessions", GROUP_READERS),
    ("get", "/groups/{group}/sessions/current", GROUP_READERS),
    ("get", "/sessions/{session}", GROUP_READERS),
    ("patch", "/sessions/{session}", TEACHERS),
    ("delete", "/sessions/{session}", TEACHERS),
    ("post", "/sessions/{session}/restore", TEACHERS),
    ("post", "/sessions/{session}/open", TEACHERS),
    ("post", "/sessions/{session}/close", TEACHERS),
    ("post", "/sessions/{session}/reopen", TEACHERS),
    ("get", "/sessions/{session}/review", GROUP_READERS),
    ("get", "/sessions/{session}/records", GROUP_READERS),
    ("post", "/sessions/{session}/confirm", TEACHERS),
    ("post", "/sessions/{session}/records/{person}/undo", TEACHERS),
    ("put", "/sessions/{session}/records/{person}/appeal", TEACHERS),
    ("patch", "/sessions/{session}/records/{person}/appeal", TEACHERS),
    ("delete", "/sessions/{session}/strangers/{stranger}", TEACHERS),
    ("post", "/sessions/{session}/strangers/{stranger}/name", TEACHERS),
    ("post", "/gallery/check", ADMIN),
    ("get", "/reports/attendance", GROUP_READERS),
    ("get", "/reports/at-risk", GROUP_READERS),
    ("get", "/reports/heatmap", GROUP_READERS),
    ("get", "/reports/duplicates", READERS),
    ("get", "/reports/calibration", READERS),
    ("get", "/events", GROUP_READERS),
    ("get", "/events/ws", GROUP_READERS),
    ("post", "/events/ticket", GROUP_READERS),
    ("post", "/webhooks", ADMIN),
    ("get", "/webhooks", ADMIN),
    ("get", "/webhooks/{webhook}", ADMIN),
    ("patch", "/webhooks/{webhook}", ADMIN),
    ("delete", "/webhooks/{webhook}", ADMIN),
    ("get", "/webhooks/{webhook}/dead", ADMIN),
    ("post", "/webhooks/{webhook}/replay", ADMIN),
];

/// A path with ids of nothing in it, except the group.
fn concrete(path: &str, group: &str) -> String {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let path = path.replace("{group}", group);
    [
        "{user}",
        "{key}",
        "{tenant}",
        "{person}",
        "{face}",
        "{negative}",
        "{record}",
        "{backup}",
        "{job}",
        "{webhook}",
        "{session}",
        "{stranger}",
    ]
    .iter()
    .fold(path, |path, part| path.replace(part, id))
}

#[tokio::test]
async fn every_route_lets_in_whom_its_line_says_and_nobody_else() {
    let server = TestServer::start().await;
    let listed: BTreeSet<(String, String)> =
        ROUTES.iter().map(|&(method, path, _)| (method.to_owned(), path.to_owned())).collect();
    let found: BTreeSet<(String, String)> = described(&server.api).await.into_iter().collect();
    assert_eq!(listed, found, "every route needs a line in tests/roles.rs, and each line a route");
    server.api.group("own").await;
    server.api.group("other").await;
    let key = async |role: &str, groups: &[&str]| {
        let made = server.api.post("/api/v1/keys", &json!({ "name": role, "role": role, "groups": groups })).await;
        server.api.with_key(made.expect(201)["key"].as_str().unwrap())
    };
    let callers = [
        ("nobody", server.api.without_key()),
        ("operator", server.operator()),
        ("admin", key("admin", &[]).await),
        ("viewer", key("viewer", &[]).await),
        ("teacher", key("teacher", &["own"]).await),
        ("kiosk", key("kiosk", &["own"]).await),
        ("metrics", server.metrics_key().await),
    ];
    for &(method, path, allowed) in ROUTES {
        // Deletes the group that others are still to be tried on; the admin's right is shown by the other groups' tests.
        let group = if (method, path) == ("delete", "/groups/{group}") { "gone" } else { "own" };
        for (role, api) in &callers {
            let restricted = ["teacher", "kiosk"].contains(role);
            let answer = send(api, method, &concrete(path, group), &body(method, path)).await;
            let refusal = if *role == "nobody" { 401 } else { 403 };
            let may = allowed.contains(role);
            // Login and refresh answer with a 401 of their own.
            let let_in = answer.status != refusal || (allowed == PUBLIC && answer.problem().1 != "unauthenticated");
            assert_eq!(let_in, may, "{role} {method} {path}: {} {}", answer.status, answer.text());
            assert!(answer.status < 500, "{role} {method} {path}: {}", answer.text());
            if path.contains("{group}") && restricted {
                for group in ["other", "none", "%6Fther"] {
                    let answer = send(api, method, &concrete(path, group), &body(method, path)).await;
                    assert_eq!(answer.problem(), (403, "forbidden".to_owned()), "{role} {method} {path} of {group}");
                }
            }
        }
    }
    let seen = callers[4].1.get("/api/v1/groups").await.expect(200);
    let ids: Vec<&Value> = seen["groups"].as_array().unwrap().iter().map(|group| &group["id"]).collect();
    assert_eq!(ids, ["own"], "a teacher is shown no other group");
    assert_eq!(callers[4].1.send(Method::HEAD, "/api/v1/people", &json!(null)).await.status, 403);
}
