//! `Idempotency-Key`: what is sent twice happens once.

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::future::{join, join_all};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, Api, ServerProcess, TestServer, eventually, form, portrait, raw::Raw};

fn under(key: &str, request: RequestBuilder) -> RequestBuilder {
    request.header("idempotency-key", key)
}

/// Posts JSON under a key.
async fn post(api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    Answer::to(under(key, api.request(Method::POST, path)).json(body)).await
}

/// Enrols under a key; every call makes up another boundary.
async fn enrol(api: &Api, key: &str, fields: &[(&str, &str)], images: &[&[u8]]) -> Answer {
    Answer::to(under(key, api.request(Method::POST, "/api/v1/people")).multipart(form(fields, images))).await
}

#[track_caller]
fn assert_replay(first: &Answer, again: &Answer) {
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""), "{}", first.text());
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"), "{}", again.text());
    assert_eq!((&first.bytes, first.header("content-type")), (&again.bytes, again.header("content-type")));
}

async fn num_groups(api: &Api) -> usize {
    api.get("/api/v1/groups").await.expect(200)["groups"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_request_sent_again_is_answered_again_and_not_done_again() {
    let server = TestServer::start().await;
    let (api, path) = (&server.api, "/api/v1/groups");
    let body = json!({ "name": "Maths" });
    let first = post(api, path, "key-1", &body).await;
    assert_replay(&first, &post(api, path, "key-1", &body).await);
    assert_eq!(num_groups(api).await, 1);
    let other = post(api, path, "key-1", &json!({ "name": "Physics" })).await;
    assert_eq!(other.problem(), (409, "idempotency_key_reused".to_owned()));
    assert_ne!(post(api, path, "key-2", &body).await.expect(201)["id"], first.json()["id"]);
    api.post(path, &body).await.expect(201);
    assert_eq!(num_groups(api).await, 3, "another key and no key are other requests");

    let person = [("name", "Ada"), ("faces", "clear")];
    let (photo, stranger) = (portrait("obama"), portrait("biden"));
    let first = enrol(api, "key-1", &person, &[&photo]).await;
    assert_replay(&first, &enrol(api, "key-1", &person, &[&photo]).await);
    for (fields, image) in [(&person, &stranger), (&[("name", "Adx"), ("faces", "clear")], &photo)] {
        let other = enrol(api, "key-1", fields, &[image]).await;
        assert_eq!(other.problem(), (409, "idempotency_key_reused".to_owned()));
    }
    let faces = format!("/api/v1/people/{}/faces", first.json()["id"].as_str().unwrap());
    let more = async || {
        let request = under("key-1", api.request(Method::POST, &faces));
        Answer::to(request.multipart(form(&[], &[&portrait("obama2")]))).await
    };
    assert_replay(&more().await, &more().await);
    assert_eq!(api.get("/api/v1/people").await.expect(200)["people"][0]["faces"].as_array().unwrap().len(), 2);

    // Another tenant's keys are its own.
    let other = server.tenant("other").await;
    assert_eq!(post(&other, path, "key-1", &body).await.header("idempotency-replayed"), "");
    assert_eq!(api.without_key().request(Method::POST, path).send().await.unwrap().status(), 401);
    assert_eq!(post(&api.without_key(), path, "key-1", &body).await.problem(), (401, "unauthenticated".to_owned()));
    // What was kept belongs to the check's records, and the answers outlive the server.
    let report = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!((&report["problems"], &report["records"]["answer"]), (&json!({}), &json!(5)));
    let server = server.restart().await;
    assert_replay(&first, &enrol(&server.api, "key-1", &person, &[&photo]).await);
}

#[tokio::test]
async fn a_failed_request_may_be_made_again_under_its_key() {
    let server = TestServer::start().await;
    let (api, path) = (&server.api, "/api/v1/groups");
    let body = json!({ "id": "g", "name": "G" });
    assert_eq!(post(api, path, "k", &json!({ "name": "" })).await.status, 400);
    assert_eq!(post(api, path, "k", &body).await.header("idempotency-replayed"), "");
    assert_eq!(post(api, path, "k2", &body).await.problem(), (409, "group_exists".to_owned()));
    api.delete("/api/v1/groups/g").await.expect(204);
    post(api, path, "k2", &body).await.expect(201);
    let nobody = enrol(api, "k", &[("name", "x")], &[b"no photo"]).await;
    assert_eq!(nobody.problem(), (422, "no_usable_image".to_owned()));
    enrol(api, "k", &[("name", "x")], &[&portrait("obama")]).await.expect(201);
}

#[tokio::test]
async fn every_route_that_makes_something_takes_a_key_and_reads_it_strictly() {
    let server = TestServer::start().await;
    let description = server.api.get("/openapi.json").await.expect(200);
    let long = "k".repeat(256);
    let mut creating = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        if methods["post"]["responses"]["201"].is_null() {
            continue;
        }
        creating += 1;
        for key in ["", "two words", "ключ", &long] {
            let request = server.operator().request(Method::POST, &path.replace(['{', '}'], ""));
            let answer = Answer::to(request.header("idempotency-key", key.as_bytes()).json(&json!({}))).await;
            assert_eq!(answer.problem(), (400, "invalid_idempotency_key".to_owned()), "{path} {key:?}");
        }
    }
    assert!(creating >= 4, "{creating}");
    let longest = "k".repeat(255);
    post(&server.api, "/api/v1/groups", &longest, &json!({ "name": "x" })).await.expect(201);
}

#[tokio::test]
async fn an_answer_with_a_secret_is_not_kept() {
    let server = TestServer::start().await;
    let operator = server.operator();
    let body = json!({ "id": "school", "name": "School" });
    let made = post(&operator, "/api/v1/tenants", "k", &body).await.expect(201);
    let again = post(&operator, "/api/v1/tenants", "k", &body).await;
    assert_eq!(again.problem(), (409, "idempotency_answer_gone".to_owned()));
    let other = post(&operator, "/api/v1/tenants", "k", &json!({ "name": "x" })).await;
    assert_eq!(other.problem(), (409, "idempotency_key_reused".to_owned()));
    server.api.with_key(made["key"].as_str().unwrap()).get("/api/v1/groups").await.expect(200);
}

#[tokio::test]
async fn while_the_first_is_under_way_the_second_is_told_so() {
    let server = TestServer::start().await;
    let (path, body) = ("/api/v1/groups", b"{\"name\":\"first\"}");
    let (mut first, mut key) = (None, 0);
    // Whichever comes first is the first: with a key of its own each try, no earlier one is taken for it.
    eventually("another is told of the first", async || {
        key += 1;
        let head = format!("Content-Length: {}\r\nIdempotency-Key: k{key}", body.len());
        first = Some(Raw::post(&server.api, path, "application/json", &head));
        let second = post(&server.api, path, &format!("k{key}"), &json!({})).await;
        second.problem() == (409, "idempotency_in_progress".to_owned())
    })
    .await;
    let mut first = first.unwrap();
    assert!(first.send(body));
    let answer = first.answer();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let again = under(&format!("k{key}"), server.api.request(Method::POST, path));
    let again = again.header("content-type", "application/json");
    assert_eq!(Answer::to(again.body(&body[..])).await.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn a_client_that_hangs_up_gets_its_answer_later() {
    let server = TestServer::start().await;
    let path = "/api/v1/people";
    let image = BASE64_STANDARD.encode(portrait("obama"));
    let body = json!({ "name": "Ada", "faces": "largest", "images": vec![image; 20] }).to_string();
    let head = format!("Content-Length: {}\r\nIdempotency-Key: k", body.len());
    let again = async || {
        let request = under("k", server.api.request(Method::POST, path)).header("content-type", "application/json");
        Answer::to(request.body(body.clone())).await
    };
    let under_way = |answer: &Answer| answer.status == 409 && answer.problem().1 == "idempotency_in_progress";
    let mut first = Raw::post(&server.api, path, "application/json", &head);
    assert!(first.send(body.as_bytes()));
    eventually("its photos are inside", async || server.metrics().await.count("stage_in_flight", &[]) > 0).await;
    drop(first);
    let mut last = again().await;
    eventually("the answer is there", async || {
        if under_way(&last) {
            last = again().await;
        }
        !under_way(&last)
    })
    .await;
    assert_eq!((last.status, last.header("idempotency-replayed")), (201, "true"), "{}", last.text());
    assert_eq!(server.api.get(path).await.expect(200)["people"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn answers_are_kept_for_a_while_and_in_bounded_numbers() {
    let server = TestServer::with(&[("idempotency.max_keys", "3"), ("idempotency.keep_seconds", "1")]).await;
    let path = "/api/v1/groups";
    let kept = async || {
        let report = server.operator().get("/api/v1/check").await.expect(200);
        report["records"]["answer"].as_u64().unwrap_or_default()
    };
    post(&server.api, path, "old", &json!({ "name": "x" })).await.expect(201);
    eventually("it is forgotten", async || kept().await == 0).await;
    let again = post(&server.api, path, "old", &json!({ "name": "another" })).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, ""));

    let server = TestServer::with(&[("idempotency.max_keys", "3")]).await;
    let made = server.api.post("/api/v1/keys", &json!({ "name": "other", "role": "admin" })).await.expect(201);
    let other = server.api.with_key(made["key"].as_str().unwrap());
    for (api, keys) in [(&server.api, &["k0", "k1"][..]), (&other, &["k0"][..])] {
        for key in keys {
            post(api, path, key, &json!({ "name": "x" })).await.expect(201);
        }
        let full = post(api, path, "k2", &json!({ "name": "x" })).await;
        assert_eq!(
            full.problem(),
            (429, "too_many_idempotency_keys".to_owned()),
            "two of one key, three of the tenant"
        );
    }
    let again = post(&server.api, path, "k0", &json!({ "name": "x" })).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    server.api.post(path, &json!({ "name": "x" })).await.expect(201);
}

#[tokio::test]
async fn kill_9_leaves_each_request_done_once_or_not_at_all() {
    let data = tempfile::tempdir().unwrap();
    let path = "/api/v1/groups";
    let (mut sent, mut replayed, mut gone) = (0, 0, 0);
    for round in 0..3 {
        let server = ServerProcess::start(data.path()).await;
        let api = server.api.clone();
        let client = tokio::spawn(async move {
            for number in 0.. {
                let request = under(&format!("{round}-{number}"), api.request(Method::POST, path));
                if request.json(&json!({ "name": format!("{round}-{number}") })).send().await.is_err() {
                    return number;
                }
            }
            0
        });
        let enough = 15 * (round + 1);
        eventually("some are made", async || num_groups(&server.api).await >= enough).await;
        server.kill();
        let cut = client.await.unwrap();
        let server = ServerProcess::start(data.path()).await;
        for number in 0..=cut {
            let name = format!("{round}-{number}");
            let answer = post(&server.api, path, &name, &json!({ "name": name })).await;
            match (answer.status, answer.header("idempotency-replayed")) {
                (201, "true") => replayed += 1,
                // Only the one that was cut off may have had no effect, or have lost its answer.
                (201, "") if number == cut => {}
                (409, _) if number == cut => {
                    assert_eq!(answer.problem().1, "idempotency_answer_gone");
                    gone += 1;
                }
                other => panic!("{name}: {other:?} {}", answer.text()),
            }
        }
        sent += cut + 1;
        let groups = server.api.get("/api/v1/groups?limit=1000").await.expect(200);
        assert_eq!(groups["groups"].as_array().unwrap().len(), sent, "each once");
    }
    assert!(replayed >= 40 && gone <= 3, "{replayed} {gone}");
}

#[tokio::test]
async fn an_erasure_takes_the_answers_that_show_the_erased_and_no_others() {
    let server = TestServer::start().await;
    let other = server.tenant("other").await;
    let api = &server.api;
    let enrol = async |id: &str| {
        enrol(api, &format!("enrol-{id}"), &[("id", id), ("name", "Same")], &[&portrait("obama")]).await
    };
    // Each answer names those before as likely the same.
    let people = ["ann", "ben", "cy", "dora"];
    let mut enrolled = Vec::new();
    for person in people {
        enrolled.push(enrol(person).await);
    }
    let erased = &people[1..3];
    let groups =
        |api: &Api| {
            let api = api.clone();
            async move {
                join_all((0..40).map(|n| {
                    let api = api.clone();
                    async move {
                        post(&api, "/api/v1/groups", &format!("group-{n}"), &json!({ "name": n.to_string() })).await
                    }
                }))
                .await
            }
        };
    let erase = async {
        for person in erased {
            api.delete(&format!("/api/v1/people/{person}")).await.expect(204);
        }
    };
    let ((first, foreign), ()) = join(join(groups(api), groups(&other)), erase).await;
    for (first, again) in [(first, groups(api).await), (foreign, groups(&other).await)] {
        first.iter().zip(&again).for_each(|(first, again)| assert_replay(first, again));
    }
    let mut kept = 0;
    for (person, first) in people.iter().zip(&enrolled) {
        let again = enrol(person).await;
        if erased.iter().any(|erased| first.text().contains(&format!("\"{erased}\""))) {
            assert_eq!(again.problem(), (409, "idempotency_answer_gone".to_owned()));
        } else {
            assert_replay(first, &again);
            kept += 1;
        }
    }
    assert!((1..=2).contains(&kept), "{kept}");
}
