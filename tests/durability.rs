//! What was acknowledged is there after any end of the process.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{ServerProcess, TestServer, form, portrait};

#[tokio::test]
async fn a_restart_keeps_everything() {
    let server = TestServer::start().await;
    let (api, other) = (&server.api, server.tenant("other").await);
    api.post("/api/v1/groups", &json!({ "id": "g", "name": "Räume", "time_zone": "Europe/Vienna" })).await.expect(201);
    api.enrol("p", &["g"], "obama").await;
    api.enrol("gone", &["g"], "biden").await;
    api.post_form("/api/v1/people/p/faces", form(&[], &[&portrait("obama3")])).await.expect(201);
    assert_eq!(api.delete("/api/v1/people/gone").await.status, 204);
    api.recognize("g", &[], &[&portrait("obama2")]).await.expect(200);
    other.group("theirs").await;
    let pages = ["/api/v1/groups", "/api/v1/groups/g", "/api/v1/people", "/api/v1/groups/g/attendance"];
    let mut before: Vec<Value> = Vec::new();
    for page in pages {
        before.push(api.get(page).await.expect(200));
    }
    assert_eq!(before[2]["people"][0]["faces"].as_array().unwrap().len(), 2);
    let server = server.restart().await;
    let api = &server.api;
    for (page, before) in pages.iter().zip(before) {
        assert_eq!(api.get(page).await.expect(200), before, "{page}");
    }
    let again = api.recognize("g", &[], &[&portrait("obama2"), &portrait("biden")]).await.expect(200);
    assert_eq!(again["present"][0]["attendance"], "already_marked");
    assert_eq!((again["present"].as_array().unwrap().len(), &again["unknown_faces"]), (1, &json!(1)));
    let other = server.api.with_key(other.key());
    assert_eq!(other.get("/api/v1/groups").await.expect(200)["groups"][0]["id"], "theirs");
}

#[tokio::test]
async fn the_first_start_leaves_its_keys_in_files_of_the_owner_alone() {
    let server = TestServer::start().await;
    let keys: Vec<Vec<u8>> = ["operator.key", "default.key"]
        .into_iter()
        .map(|file| {
            let path = server.data().join(file);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
            fs::read(path).unwrap()
        })
        .collect();
    assert_ne!(keys[0], keys[1]);
    let data = server.data();
    for entry in fs::read_dir(data.join("store/1")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { fs::read(path).unwrap() } else { continue };
        for key in &keys {
            let key = key.trim_ascii_end();
            assert!(!bytes.windows(key.len()).any(|window| window == key), "the store keeps hashes of keys only");
        }
    }
    let server = server.restart().await;
    let after: Vec<Vec<u8>> =
        ["operator.key", "default.key"].into_iter().map(|file| fs::read(data.join(file)).unwrap()).collect();
    assert_eq!(keys, after, "a later start makes no new keys");
    assert_eq!(server.api.get("/api/v1/people").await.status, 200);
}

/// Enrols under fresh ids until the server is gone; the ids that were acknowledged.
async fn enrol_until_killed(api: crate::support::Api, prefix: String) -> Vec<String> {
    let photo = portrait("obama");
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let id = format!("{prefix}-{number}");
        let body = form(&[("id", &id), ("name", &id)], &[&photo]);
        match api.request(Method::POST, "/api/v1/people").multipart(body).send().await {
            Ok(answer) if answer.status() == 201 => acknowledged.push(id),
            Ok(answer) => panic!("{}", answer.status()),
            Err(_) => break,
        }
    }
    acknowledged
}

#[tokio::test]
async fn kill_9_during_enrolments_loses_nobody_who_was_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..3 {
        let server = ServerProcess::start(data.path()).await;
        let mut clients = JoinSet::new();
        for client in 0..4 {
            clients.spawn(enrol_until_killed(server.api.clone(), format!("{round}-{client}")));
        }
        let enough = 12 * (round + 1);
        crate::support::eventually("some are enrolled", async || {
            server.api.get("/api/v1/people?limit=1000").await.expect(200)["people"].as_array().unwrap().len() >= enough
        })
        .await;
        server.kill();
        acknowledged.extend(clients.join_all().await.into_iter().flatten());
    }
    assert!(acknowledged.len() >= 30, "{}", acknowledged.len());
    let server = ServerProcess::start(data.path()).await;
    let shot = portrait("obama2");
    for id in &acknowledged {
        let seen = server.api.post_form(&format!("/api/v1/people/{id}/verify"), form(&[], &[&shot])).await.expect(200);
        assert_eq!(seen["verified"], true, "{id}: {seen}");
    }
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
}

/// The embedded database writes what it derives from its log while it is opened; cut short there, it would take the
/// unfinished file for a whole one at the next start.
#[tokio::test]
async fn kills_aimed_at_the_start_cost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut groups = Vec::new();
    for round in 0..5 {
        let server = ServerProcess::start(folder.path()).await;
        let seen = server.api.get("/api/v1/groups?limit=1000").await.expect(200);
        assert_eq!(seen["groups"].as_array().unwrap().len(), groups.len(), "round {round}");
        for number in 0..20 {
            let id = format!("g-{round}-{number}");
            server.api.post("/api/v1/groups", &json!({ "id": id, "name": id })).await.expect(201);
            groups.push(id);
        }
        server.kill();
        for number in 0..12 {
            ServerProcess::kill_in_its_start(folder.path(), Duration::from_millis(2 + 13 * number)).await;
        }
    }
    let server = ServerProcess::start(folder.path()).await;
    let operator = fs::read_to_string(folder.path().join("operator.key")).unwrap();
    let checked = server.api.with_key(operator.trim()).get("/api/v1/check").await.expect(200);
    assert_eq!((&checked["problems"], &checked["records"]["group"]), (&json!({}), &json!(groups.len())));
}
