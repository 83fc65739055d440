//! The audit log: every route that changes something is in it, under the name of who did it.

use reqwest::Method;
use rollcall::{
    domain::access::audit::{Entry, Head},
    service::access::audit::AuditView,
};
use serde_json::{Value, json};

use crate::{
    isolation::{fill, keep_strangers, routes},
    support::{
        Answer, Api, TestServer, form, portrait,
        routes::{PASSWORD, body, send},
    },
};

/// What the request of `support::routes` for a changing route leaves in the log of the tenant, or of the server for the
/// operator's routes. A route without a case fails the test.
#[allow(clippy::match_same_arms, reason = "a line a route, as in the README")]
fn expected(method: &str, path: &str) -> &'static [&'static str] {
    match (method, path) {
        // Of somebody whom there is not.
        ("post", "/auth/login") => &["login.refuse"],
        ("post", "/auth/refresh" | "/auth/logout") => &[],
        ("post", "/auth/password") => &["user.update"],
        ("post", "/auth/rotate") => &["token.rotate"],
        ("delete", "/backups/{backup}") => &["backup.strike"],
        ("post", "/store/rewrite") => &["store.rewrite"],
        ("post", "/tenants") => &["tenant.create"],
        ("patch", "/tenants/{tenant}") => &["tenant.update"],
        ("delete", "/tenants/{tenant}") => &["tenant.delete"],
        ("post", "/users") => &["user.create"],
        ("patch", "/users/{user}") => &["user.update"],
        ("delete", "/users/{user}") => &["user.delete"],
        ("post", "/keys") => &["key.create"],
        ("delete", "/keys/{key}") => &["key.delete"],
        ("post", "/keys/{key}/rotate") => &["key.rotate"],
        ("post", "/groups") => &["group.create"],
        ("patch", "/settings") => &["tenant.update"],
        ("patch", "/groups/{group}") => &["group.update"],
        // The webhook and the kiosk of POST /keys lose their group.
        ("delete", "/groups/{group}") => &["webhook.update", "key.update", "group.delete"],
        ("put", "/groups/{group}/people/{person}") => &["member.add"],
        ("delete", "/groups/{group}/people/{person}") => &["member.remove"],
        ("post", "/people") => &["person.create"],
        // The job's, in the name of who started it.
        ("post", "/people/import") => &["person.create"],
        ("post", "/groups/{group}/jobs/recognize" | "/jobs/{job}/cancel") => &[],
        ("patch", "/people/{person}") => &["person.update"],
        ("delete", "/people/{person}") => &["person.delete"],
        ("put", "/people/{person}/faces") => &["face.replace"],
        ("post", "/people/{person}/faces") => &["face.add"],
        ("delete", "/people/{person}/faces/{face}") => &["face.delete"],
        ("post", "/people/{person}/faces/{face}/move") => &["face.move"],
        ("post", "/people/{person}/merge") => &["person.merge"],
        ("put", "/people/{person}/consent") => &["consent.give"],
        ("delete", "/people/{person}/consent") => &["consent.withdraw"],
        ("post", "/people/{person}/negatives") => &["negative.add"],
        ("delete", "/people/{person}/negatives/{negative}") => &["negative.delete"],
        ("delete", "/groups/{group}/attendance/{record}") => &["mark.undo"],
        ("put", "/groups/{group}/timetable") => &["timetable.replace"],
        ("put", "/holidays") => &["holidays.replace"],
        ("post", "/groups/{group}/sessions") => &["session.create"],
        ("patch" | "delete", "/sessions/{session}") => &["session.update"],
        ("post", "/sessions/{session}/restore" | "/sessions/{session}/open") => &["session.update"],
        ("post", "/sessions/{session}/close") => &["session.close"],
        ("post", "/sessions/{session}/reopen") => &["session.reopen"],
        ("post", "/sessions/{session}/confirm") => &["attendance.correct"],
        ("post", "/sessions/{session}/records/{person}/undo") => &["attendance.undo"],
        ("put", "/sessions/{session}/records/{person}/appeal") => &["attendance.appeal"],
        ("patch", "/sessions/{session}/records/{person}/appeal") => &["attendance.settle"],
        ("delete", "/sessions/{session}/strangers/{stranger}") => &["stranger.delete"],
        ("post", "/sessions/{session}/strangers/{stranger}/name") => &["stranger.name"],
        ("post", "/webhooks") => &["webhook.create"],
        ("patch", "/webhooks/{webhook}") => &["webhook.update"],
        ("delete", "/webhooks/{webhook}") => &["webhook.delete"],
        // What is sent again was told before.
        ("post", "/events/ticket" | "/webhooks/{webhook}/replay") => &[],
        // Marks are evidence of what was seen.
        ("post", "/groups/{group}/recognize") => &[],
        ("post", "/people/{person}/verify") => &[],
        ("post", "/identify" | "/compare" | "/detect" | "/embeddings" | "/gallery/check") => &[],
        _ => panic!("no case for {method} {path}: say in tests/audit.rs what it leaves in the audit log"),
    }
}

/// The rest of a log after `head`, held to the entries' hashes; `head` moves on.
async fn rest(api: &Api, head: &mut Head) -> Vec<Entry> {
    let answer = api.get(&format!("/api/v1/audit?limit=1000&after={}", head.number)).await;
    answer.expect(200);
    let page: AuditView = serde_json::from_slice(&answer.bytes).unwrap();
    let entries: Vec<Entry> = page.entries.into_iter().map(|entry| entry.try_into().unwrap()).collect();
    entries.iter().try_for_each(|entry| head.follow(entry)).unwrap();
    head.ends_at(&page.head.try_into().unwrap()).unwrap();
    entries
}

async fn logged_in(server: &TestServer) -> Api {
    let login = json!({ "tenant": "default", "user": "ada", "password": PASSWORD });
    let tokens = server.api.post("/api/v1/auth/login", &login).await.expect(200);
    server.api.with_key(tokens["access_token"].as_str().unwrap())
}

#[tokio::test]
async fn every_changing_route_leaves_its_entries_and_no_others() {
    let server = TestServer::start().await;
    let (owner, operator) = (&server.api, server.operator());
    keep_strangers(&operator, "default").await;
    let ids = fill(owner, "g", "p", "u", "obama").await;
    owner.post("/api/v1/users", &json!({ "id": "ada", "password": PASSWORD, "role": "admin" })).await.expect(201);
    server.tenant("victim").await;
    // Nothing is changed yet, though it may be written anew.
    operator.send(Method::PATCH, "/api/v1/tenants/victim", &json!({})).await.expect(200);
    operator.get("/api/v1/backup").await;
    let (mut own, mut servers) = (Head::default(), Head::default());
    rest(&operator, &mut servers).await;
    for (method, path) in routes(&server).await {
        if method == "get" {
            continue;
        }
        let of_server = ["/tenants", "/backups", "/store", "/auth/rotate"].iter().any(|start| path.starts_with(start));
        let caller = match path.as_str() {
            path if path.starts_with("/auth") && !of_server => logged_in(&server).await,
            _ if of_server => operator.clone(),
            _ => owner.clone(),
        };
        let concrete = match (method.as_str(), path.as_str()) {
            // The other is on the roster already.
            ("put", "/groups/{group}/people/{person}") => "/groups/g/people/q".to_owned(),
            ("delete", "/backups/{backup}") => {
                let backups = operator.get("/api/v1/backups").await.expect(200);
                format!("/backups/{}", backups["backups"][0]["id"].as_str().unwrap())
            }
            _ => ids.fill(&path).replace("{tenant}", "victim"),
        };
        // What came before, and the login of who asks.
        rest(owner, &mut own).await;
        let answer = send(&caller, &method, &concrete, &body(&method, &path)).await;
        if answer.status == 202 {
            owner.job_over(answer.json()["id"].as_str().unwrap()).await;
        }
        let is_made_up = ["/auth/login", "/auth/refresh"].contains(&path.as_str());
        assert!(answer.status < 300 || is_made_up, "{method} {path}: {} {}", answer.status, answer.text());
        if answer.status == 202 {
            owner.job_over(answer.json()["id"].as_str().unwrap()).await;
        }
        let (own, servers) = (rest(owner, &mut own).await, rest(&operator, &mut servers).await);
        let (changed, untouched) = if of_server { (servers, own) } else { (own, servers) };
        let actions: Vec<&str> = changed.iter().map(|entry| entry.act.action.as_str()).collect();
        assert_eq!(actions, expected(&method, &path), "{method} {path}");
        assert!(untouched.is_empty(), "{method} {path}: {untouched:?}");
        for entry in changed {
            let id = answer.headers["x-request-id"].to_str().unwrap();
            assert_eq!(entry.act.request_id.as_deref(), Some(id), "{method} {path}");
            let is_by = match path.as_str() {
                "/auth/password" => "user:ada",
                "/auth/login" => "nobody",
                _ => "key:",
            };
            assert!(entry.act.actor.starts_with(is_by), "{method} {path}: {}", entry.act.actor);
        }
    }
    assert!(own.number > 30 && servers.number > 5, "{own:?} {servers:?}");
}

#[tokio::test]
async fn what_is_given_away_is_in_the_log_under_who_asked_and_nothing_else_that_is_read() {
    let server = TestServer::start().await;
    let (owner, operator) = (&server.api, server.operator());
    keep_strangers(&operator, "default").await;
    let ids = fill(owner, "g", "p", "u", "obama").await;
    let (mut own, mut servers) = (Head::default(), Head::default());
    rest(owner, &mut own).await;
    rest(&operator, &mut servers).await;
    for (method, path) in routes(&server).await {
        if method != "get" {
            continue;
        }
        let of_server = ["/tenants", "/backup", "/check"].iter().any(|start| path.starts_with(start));
        let (caller, concrete) = (if of_server { &operator } else { owner }, ids.fill(&path));
        let given: &[(&str, &str)] = match path.as_str() {
            "/people/{person}/export" => &[("", "person.export")],
            "/backup" => &[("", "backup.take")],
            "/reports/attendance" | "/reports/at-risk" => {
                &[("?format=csv", "report.export"), ("?format=xlsx", "report.export")]
            }
            "/jobs/{job}/results" => &[("?format=csv", "report.export")],
            _ => &[],
        };
        let pages = given.iter().filter(|(query, _)| query.is_empty()).count() == 0;
        let asked = given.iter().map(|(query, action)| (*query, Some(*action))).chain(pages.then_some(("", None)));
        for (query, action) in asked {
            let answer = send(caller, &method, &format!("{concrete}{query}"), &body(&method, &path)).await;
            assert!(answer.status < 300 || action.is_none(), "{path}{query}: {}", answer.status);
            let (own, servers) = (rest(owner, &mut own).await, rest(&operator, &mut servers).await);
            let (written, others) = if of_server { (servers, own) } else { (own, servers) };
            let actions: Vec<&str> = written.iter().map(|entry| entry.act.action.as_str()).collect();
            assert_eq!(actions, action.into_iter().collect::<Vec<_>>(), "{path}{query}");
            assert!(
                others.is_empty() && written.iter().all(|entry| entry.act.actor.starts_with("key:")),
                "{written:?}"
            );
            assert!(path != "/people/{person}/export" || written[0].act.subjects[0].starts_with("person:sha256:"));
        }
    }
}

#[tokio::test]
async fn logins_are_in_the_log_and_guesses_do_not_fill_it() {
    let server = TestServer::start().await;
    let owner = &server.api;
    owner.post("/api/v1/users", &json!({ "id": "ada", "password": PASSWORD, "role": "admin" })).await.expect(201);
    let mut head = Head::default();
    rest(owner, &mut head).await;
    let log_in = async |tenant: &str, user: &str| {
        let login = json!({ "tenant": tenant, "user": user, "password": "a wrong password" });
        owner.post("/api/v1/auth/login", &login).await.status
    };
    logged_in(&server).await;
    assert_eq!([log_in("default", "ada").await, log_in("default", "typed-secret").await], [401, 401]);
    let entries = rest(owner, &mut head).await;
    let told: Vec<(&str, &str, &str)> = entries
        .iter()
        .map(|Entry { act, .. }| (act.action.as_str(), act.actor.as_str(), act.subjects[0].as_str()))
        .collect();
    assert_eq!(told[..2], [("login.begin", "user:ada", "user:ada"), ("login.refuse", "nobody", "user:ada")]);
    // Whatever somebody typed there.
    assert!(told.len() == 3 && told[2].2.starts_with("user:sha256:"), "{told:?}");
    for number in 0..40 {
        let status = log_in("default", if number % 2 == 0 { "ada" } else { "bob" }).await;
        assert!([401, 429].contains(&status), "{status}");
        assert!([401, 429].contains(&log_in("nowhere", "ada").await));
    }
    assert_eq!(rest(owner, &mut head).await.len(), 18, "with the two of before");
}

#[tokio::test]
async fn the_log_is_filtered_paged_and_the_tenants_own_and_goes_on_after_a_restart() {
    let server = TestServer::start().await;
    server.api.group("g").await;
    let enrolment =
        || form(&[("id", "countess"), ("name", "Ada Lovelace"), ("email", "countess@x")], &[&portrait("obama")]);
    // The request runs on a task of its own, and is done once.
    for _ in 0..2 {
        let request = server.api.request(Method::POST, "/api/v1/people");
        let request = request.header("idempotency-key", "k").header("x-request-id", "my-request");
        Answer::to(request.multipart(enrolment())).await.expect(201);
    }
    server.api.enrol("bob", &["g"], "hopper").await;
    server.api.delete("/api/v1/people/countess").await.expect(204);
    let listed = async |api: &Api, query: &str| {
        let page = api.get(&format!("/api/v1/audit{query}")).await.expect(200);
        let actions =
            page["entries"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap().to_owned());
        (actions.collect::<Vec<_>>(), page["next"].clone())
    };
    let all = ["key.create", "group.create", "person.create", "person.create", "person.delete"];
    assert_eq!(listed(&server.api, "").await, (all.map(str::to_owned).to_vec(), Value::Null));
    let page = server.api.get("/api/v1/audit").await.expect(200);
    assert!(!page.to_string().contains("countess") && !page.to_string().contains("Lovelace"), "{page}");
    assert_eq!(page["entries"][2]["request_id"], "my-request");
    let (actor, at) = (page["entries"][2]["actor"].as_str().unwrap(), page["entries"][2]["at"].as_str().unwrap());
    for (query, expected, next) in [
        ("?person=countess".to_owned(), &["person.create", "person.delete"][..], Value::Null),
        ("?person=nobody".to_owned(), &[], Value::Null),
        ("?action=person.create&limit=1".to_owned(), &["person.create"], json!(3)),
        ("?action=person.create&after=3".to_owned(), &["person.create"], Value::Null),
        ("?actor=machine".to_owned(), &["key.create"], Value::Null),
        (format!("?actor={actor}&limit=2"), &["group.create", "person.create"], json!(3)),
        (format!("?from={at}"), &all[2..], Value::Null),
        (format!("?to={at}"), &all[..2], Value::Null),
    ] {
        let expected: Vec<String> = expected.iter().map(|&action| action.to_owned()).collect();
        assert_eq!(listed(&server.api, &query).await, (expected, next), "{query}");
    }
    for (query, code) in [("?limit=0", "invalid_limit"), ("?after=x", "invalid_query"), ("?person=.", "invalid_id")] {
        assert_eq!(server.api.get(&format!("/api/v1/audit{query}")).await.problem(), (400, code.to_owned()), "{query}");
    }
    let other = server.tenant("other").await;
    assert_eq!(listed(&other, "").await.0, ["key.create"]);
    assert!(listed(&other, "?person=countess").await.0.is_empty());
    let mut head = Head::default();
    rest(&server.api, &mut head).await;
    let server = server.restart().await;
    server.api.group("h").await;
    assert_eq!(rest(&server.api, &mut head).await.len(), 1);
}
