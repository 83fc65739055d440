//! Rights hold until the effect: whatever was let in takes effect only while its caller may still do it.

use std::time::Duration;

use futures_util::future::join;
use reqwest::Method;
use rollcall::{domain::TenantScope, store::Store};
use serde_json::{Value, json};

use crate::{
    isolation::{self, data_of, fill, keep_strangers},
    support::{
        Answer, Api, TestServer,
        callers::Ending,
        eventually, form, held, portrait,
        rosters::zipped,
        routes::{body, request, send},
    },
};

/// Behind the door: let in, and nothing done yet.
const LET_IN: &str = "door.permitted";
/// In the middle of a photo, for which everything that is asked before the work has been asked.
const MIDWAY: &str = "embed.actor";

/// What is read and takes long.
const REPORTS: [&str; 3] = ["/reports/duplicates", "/reports/calibration", "/check"];

/// Whether a route only reads what there is at the moment, or nobody's right is asked for it. A ticket's is when it is
/// shown.
fn takes_no_effect(method: &str, path: &str) -> bool {
    (method == "get" && !REPORTS.contains(&path)) || ["/auth/login", "/auth/refresh", "/events/ticket"].contains(&path)
}

fn is_operators(path: &str) -> bool {
    ["/tenants", "/backups", "/store", "/check", "/auth/rotate"].iter().any(|prefix| path.starts_with(prefix))
}

/// The ends that a right to a route has.
fn endings(path: &str) -> &'static [Ending] {
    match path {
        // For those who logged in, whatever their role is.
        "/auth/logout" | "/auth/password" => &[Ending::UserRemoved, Ending::TenantSuspended],
        // A viewer, who they are demoted to, may read them.
        "/reports/duplicates" | "/reports/calibration" => {
            &[Ending::KeyRevoked, Ending::KeyRotated, Ending::UserRemoved, Ending::TenantSuspended]
        }
        path if is_operators(path) => &[Ending::KeyRevoked, Ending::KeyRotated, Ending::UserRemoved],
        _ => &Ending::ALL,
    }
}

#[tokio::test]
async fn no_route_writes_or_finds_out_anything_once_the_right_to_it_has_ended() {
    let server = TestServer::start().await;
    let (owner, operator) = (&server.api, server.operator());
    keep_strangers(&operator, "default").await;
    let ids = fill(owner, "g", "p", "u", "obama").await;
    server.tenant("victim").await;
    assert_eq!(operator.get("/api/v1/backup").await.status, 200);
    let backups = operator.get("/api/v1/backups").await.expect(200);
    let ids = ids.with(&[("{tenant}", "victim"), ("{backup}", backups["backups"][0]["id"].as_str().unwrap())]);
    let before = data_of(owner).await;
    let (mut walked, less) = (0, json!({ "role": "viewer" }));
    for (method, path) in isolation::routes(&server).await {
        if takes_no_effect(&method, &path) {
            continue;
        }
        for &ending in endings(&path) {
            walked += 1;
            let (owner, role) = if is_operators(&path) { (&operator, "operator") } else { (owner, "admin") };
            let caller = ending.caller(owner, &format!("caller-{walked}"), role, &[]).await;
            let (at, body) = (ids.fill(&path), body(&method, &path));
            let sent = send(&caller.api, &method, &at, &body);
            let end = ending.end(&server, owner, &caller, &less);
            let answer = held(&server, LET_IN, sent, end).await;
            ending.undo(&server).await;
            assert_eq!(answer.problem(), ending.refusal(), "{method} {path}, {ending:?}");
            let done = owner.get(&format!("/api/v1/audit?actor={}", caller.actor)).await.expect(200);
            let done: Vec<_> = done["entries"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
            assert!(done.iter().all(|action| *action == "login.begin"), "{method} {path}, {ending:?}: {done:?}");
        }
    }
    assert!(walked > 200, "{walked}");
    assert_eq!(data_of(owner).await, before);
    assert_eq!(operator.get("/api/v1/tenants/victim").await.expect(200)["name"], "victim");
    assert_eq!(operator.get("/api/v1/backups").await.expect(200), backups);
    assert_eq!(operator.get("/api/v1/check").await.expect(200)["problems"], json!({}));
}

#[tokio::test]
async fn nobody_is_named_to_somebody_whose_right_has_ended() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("p", &["g"], "obama").await;
    let less = json!({ "role": "viewer" });
    for ending in Ending::ALL {
        let caller = ending.caller(api, &format!("{ending:?}"), "teacher", &["g"]).await;
        let photo = portrait("obama2");
        let fields = [("mark", "false")];
        let photos = [photo.as_slice()];
        let sent = caller.api.recognize("g", &fields, &photos);
        let answer = held(&server, MIDWAY, sent, ending.end(&server, api, &caller, &less)).await;
        ending.undo(&server).await;
        assert_eq!(answer.problem(), ending.refusal(), "{ending:?}");
    }
}

#[tokio::test]
async fn what_is_midway_ends_with_its_right_as_well() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("p", &["g"], "obama").await;
    let none = json!({ "groups": [] });
    for ending in Ending::ALL {
        let name = format!("{ending:?}");
        let caller = ending.caller(api, &name, "teacher", &["g"]).await;
        let photo = portrait("obama2");
        let photos = [photo.as_slice()];
        let sent = caller.api.recognize("g", &[], &photos);
        let end = ending.end(&server, api, &caller, &none);
        let answer = held(&server, MIDWAY, sent, end).await;
        ending.undo(&server).await;
        assert_eq!(answer.problem(), ending.refusal(), "{name}");
        assert_eq!(api.records("g", "").await.len(), 0, "{name}");
    }
    // What the request does not need may end.
    let caller = Ending::UserDemoted.caller(api, "t", "admin", &[]).await;
    let photo = portrait("obama2");
    let photos = [photo.as_slice()];
    let sent = caller.api.recognize("g", &[], &photos);
    let less = json!({ "role": "teacher", "groups": ["g"] });
    let end = Ending::UserDemoted.end(&server, api, &caller, &less);
    held(&server, MIDWAY, sent, end).await.expect(200);
    assert_eq!(api.records("g", "").await.len(), 1);
}

#[tokio::test]
async fn no_sample_is_stored_once_the_consent_to_it_is_withdrawn_or_one_is_asked_for() {
    let server = TestServer::start().await;
    let (api, operator) = (&server.api, server.operator());
    let consent = async |person: &str| {
        let given = json!({ "given_by": "x", "basis": "consent" });
        api.send(Method::PUT, &format!("/api/v1/people/{person}/consent"), &given).await.expect(200);
    };
    let ask = async |policy: &str| {
        let patch = json!({ "enrolment": { "consent": policy } });
        operator.send(Method::PATCH, "/api/v1/tenants/default", &patch).await.expect(200);
    };
    let withdraw = async || assert_eq!(api.delete("/api/v1/people/p/consent").await.status, 204);
    api.enrol("p", &[], "obama").await;
    let known = api.get("/api/v1/people/p").await.expect(200)["faces"].clone();
    ask("required").await;
    for method in ["POST", "PUT"] {
        for is_asked_for in [false, true] {
            if is_asked_for {
                ask("off").await;
            } else {
                consent("p").await;
            }
            let photo = form(&[("faces", "clear")], &[&portrait("obama2")]);
            let request = api.request(method.parse().unwrap(), "/api/v1/people/p/faces").multipart(photo);
            let sent = Answer::to(request);
            let end = async { if is_asked_for { ask("required").await } else { withdraw().await } };
            let answer = held(&server, MIDWAY, sent, end).await;
            assert_eq!(answer.problem(), (422, "consent_required".to_owned()));
        }
    }
    // A new person, and a roster's row of one who is known.
    ask("off").await;
    let sent = api.post_form("/api/v1/people", form(&[("id", "q"), ("name", "q")], &[&portrait("biden")]));
    let answer = held(&server, MIDWAY, sent, ask("required")).await;
    assert_eq!(answer.problem(), (422, "consent_required".to_owned()));
    consent("p").await;
    let photos = zipped(&[("p.jpg", &portrait("obama2"))]);
    let sent = api.imported("id,name\np,P\n", Some(&photos), &[]);
    let (_, rows) = held(&server, MIDWAY, sent, withdraw()).await;
    assert_eq!(rows[0]["error"]["code"], "consent_required", "{rows:?}");
    assert_eq!(api.get("/api/v1/people/p").await.expect(200)["faces"], known);
    assert_eq!(api.get("/api/v1/people/q").await.status, 404);
}

#[tokio::test]
async fn changes_of_a_user_at_one_time_do_not_undo_each_other() {
    let server = TestServer::start().await;
    let api = &server.api;
    for round in 0..8 {
        let user = format!("user-{round}");
        api.new_user(&user, "admin", &[]).await;
        let path = format!("/api/v1/users/{user}");
        // The new password takes its time between the look at the user and the change.
        let other = json!({ "groups": [], "password": "another password" });
        let demoted = json!({ "role": "viewer" });
        let (other, demoted) =
            join(api.send(Method::PATCH, &path, &other), api.send(Method::PATCH, &path, &demoted)).await;
        assert_eq!((other.status, demoted.status), (200, 200));
        assert_eq!(api.get(&path).await.expect(200)["role"], "viewer", "{round}");
    }
}

#[tokio::test]
async fn a_kept_answer_is_given_to_who_may_still_make_the_request_alone() {
    let server = TestServer::start().await;
    let (owner, operator) = (&server.api, server.operator());
    keep_strangers(&operator, "default").await;
    let ids = fill(owner, "g", "p", "u", "obama").await;
    let description = owner.get("/openapi.json").await.expect(200);
    let mut walked = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        let responses = &methods["post"]["responses"];
        let path = path.trim_start_matches("/api/v1");
        // An operator has no less that could be left to them.
        if (responses["201"].is_null() && responses["202"].is_null()) || path == "/tenants" {
            continue;
        }
        walked += 1;
        let ending = Ending::UserDemoted;
        let caller = ending.caller(owner, &format!("caller-{walked}"), "admin", &[]).await;
        let again = async |number: u32| {
            let request = request(&caller.api, "post", &ids.fill(path), &body("post", path));
            Answer::to(request.header("idempotency-key", format!("{path}-{number}"))).await
        };
        let first = again(1).await;
        assert!([201, 202].contains(&first.status), "{path}: {} {}", first.status, first.text());
        // What shows a secret is not kept, but that it was made is told no more than the answer.
        let kept = again(1).await;
        assert!(kept.header("idempotency-replayed") == "true" || kept.status == 409, "{path}: {}", kept.text());
        ending.end(&server, owner, &caller, &json!({ "role": "viewer" })).await;
        assert_eq!(again(1).await.problem(), ending.refusal(), "{path}");
        assert_eq!(again(2).await.problem(), ending.refusal(), "{path}");
    }
    assert_eq!(walked, 10);
    assert_eq!(operator.get("/api/v1/check").await.expect(200)["problems"], json!({}));
}

#[tokio::test]
async fn a_long_download_ends_with_the_right_to_it() {
    let server = TestServer::start().await;
    server.tenant("large").await;
    let server = server
        .restart_after(async |store: Store| {
            // More than fits into the buffers on the way.
            let filler = vec![7; 32 << 20];
            store.put_snapshot(&TenantScope::granted("large".parse().unwrap()), filler.into()).await.unwrap();
        })
        .await;
    let (operator, ending) = (server.operator(), Ending::KeyRevoked);
    let reader = ending.caller(&operator, "reader", "operator", &[]).await;
    let mut download = reader.api.request(Method::GET, "/api/v1/backup").send().await.unwrap();
    assert_eq!(download.status(), 200);
    ending.end(&server, &operator, &reader, &Value::Null).await;
    // It is asked once a second whether a reader is still let in.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let is_cut_off = loop {
        match download.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(is_cut_off, "all of it came");
}

/// How a job of one photo ends that was handed in by `starter`, where `meanwhile` happens before the photo's report.
async fn job_of(server: &TestServer, starter: &Api, meanwhile: impl Future<Output = ()>) -> Value {
    let gate = server.faults.block("job.report");
    let photo = form(&[("mark", "false")], &[&portrait("obama2")]);
    let begun = starter.post_form("/api/v1/groups/g/jobs/recognize", photo).await.expect(202);
    eventually("its photo is midway", async || server.faults.waiting_at("job.report") == 1).await;
    meanwhile.await;
    drop(gate);
    server.api.job_over(begun["id"].as_str().unwrap()).await
}

#[tokio::test]
async fn a_job_goes_on_for_as_long_as_whoever_started_it_may() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    let none = json!({ "groups": [] });
    for ending in [Ending::KeyRevoked, Ending::UserDemoted, Ending::UserRemoved] {
        let starter = ending.caller(api, &format!("{ending:?}"), "teacher", &["g"]).await;
        let job = job_of(&server, &starter.api, ending.end(&server, api, &starter, &none)).await;
        assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("rights_ended")), "{ending:?}");
        assert_eq!(job["done"], 0, "{ending:?}");
    }
    // A key with another secret is the same key; a login is not what a job goes by.
    let starter = Ending::KeyRotated.caller(api, "rotated", "teacher", &["g"]).await;
    let rotated = async {
        let id = starter.actor.trim_start_matches("key:");
        let again = api.post(&format!("/api/v1/keys/{id}/rotate"), &Value::Null).await.expect(200);
        assert_eq!((&again["id"], &again["groups"]), (&json!(id), &json!(["g"])));
        assert_eq!(starter.api.get("/api/v1/groups").await.status, 401, "the old secret");
        api.with_key(again["key"].as_str().unwrap()).get("/api/v1/groups").await.expect(200);
    };
    assert_eq!(job_of(&server, &starter.api, rotated).await["state"], "done");
    let starter = Ending::UserDemoted.caller(api, "left", "teacher", &["g"]).await;
    let left = async { assert_eq!(starter.api.post("/api/v1/auth/logout", &Value::Null).await.status, 204) };
    assert_eq!(job_of(&server, &starter.api, left).await["state"], "done");
    // Who has lost what the job does not need loses nothing.
    let starter = Ending::UserDemoted.caller(api, "less", "admin", &[]).await;
    let teacher = json!({ "role": "teacher", "groups": ["g"] });
    let less = Ending::UserDemoted.end(&server, api, &starter, &teacher);
    assert_eq!(job_of(&server, &starter.api, less).await["state"], "done");
    assert_eq!(server.operator().get("/api/v1/check").await.expect(200)["problems"], json!({}));
}

#[tokio::test]
async fn a_job_waits_for_its_tenant_to_be_open_again() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    let ending = Ending::TenantSuspended;
    let starter = ending.caller(api, "t", "teacher", &["g"]).await;
    let none = Value::Null;
    let gate = server.faults.block("job.report");
    let photo = form(&[("mark", "false")], &[&portrait("obama2")]);
    let begun = starter.api.post_form("/api/v1/groups/g/jobs/recognize", photo).await.expect(202);
    eventually("its photo is midway", async || server.faults.waiting_at("job.report") == 1).await;
    ending.end(&server, api, &starter, &none).await;
    drop(gate);
    let running = async || server.metrics().await.count("jobs_running", &[]);
    eventually("it is laid down", async || running().await == 0).await;
    ending.undo(&server).await;
    assert_eq!(api.job_over(begun["id"].as_str().unwrap()).await["state"], "done");
}
