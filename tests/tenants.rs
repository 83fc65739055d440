//! Tenants: the operator makes them, and nothing of one can be reached from another.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestServer, form, portrait};

#[tokio::test]
async fn the_operators_key_makes_tenants_and_opens_none() {
    let server = TestServer::start().await;
    let operator = server.operator();
    let made = operator.post("/api/v1/tenants", &json!({ "id": "school/one", "name": "Schule Üü" })).await.expect(201);
    assert_eq!((&made["id"], &made["name"]), (&json!("school/one"), &json!("Schule Üü")));
    let key = made["key"].as_str().unwrap();
    assert!(key.len() >= 64 && key != operator.key());
    assert_eq!(server.api.with_key(key).get("/api/v1/people").await.expect(200)["people"], json!([]));
    let taken = operator.post("/api/v1/tenants", &json!({ "id": "school/one", "name": "x" })).await;
    assert_eq!(taken.status, 409, "{}", taken.text());
    let reserved = operator.post("/api/v1/tenants", &json!({ "id": "operator", "name": "x" })).await;
    assert_eq!(reserved.problem(), (400, "invalid_id".to_owned()));
    let unnamed = operator.post("/api/v1/tenants", &json!({ "name": "x" })).await.expect(201);
    assert!(!unnamed["id"].as_str().unwrap().is_empty());
    for (path, status) in [("/api/v1/people", 403), ("/api/v1/groups", 403)] {
        assert_eq!(operator.get(path).await.status, status, "{path}");
    }
    assert_eq!(operator.post_form("/api/v1/detect", form(&[], &[&portrait("obama")])).await.status, 403);
    for api in [&server.api, &server.api.with_key(key)] {
        let answer = api.post("/api/v1/tenants", &json!({ "name": "x" })).await;
        assert_eq!(answer.problem(), (403, "forbidden".to_owned()));
    }
    let stranger = server.api.without_key().post("/api/v1/tenants", &json!({ "name": "x" })).await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test]
async fn another_tenants_ids_beside_ones_own_are_404() {
    let server = TestServer::start().await;
    let (owner, other) = (&server.api, server.tenant("other").await);
    owner.group("g").await;
    let person = owner.enrol("p", &["g"], "obama").await;
    owner.recognize("g", &[], &[&portrait("obama2")]).await.expect(200);
    let face = person["faces"][0]["id"].as_str().unwrap();
    let record = owner.records("g", "").await[0]["id"].as_str().unwrap().to_owned();
    // Paths with two ids can mix them; whole paths of another tenant's are tried by tests/isolation.rs.
    other.group("mine").await;
    other.enrol("me", &["mine"], "biden").await;
    let photo = portrait("obama2");
    let attempts = [
        other.send(Method::PUT, "/api/v1/groups/g/people/me", &json!({})).await,
        other.send(Method::PUT, "/api/v1/groups/mine/people/p", &json!({})).await,
        other.delete(&format!("/api/v1/groups/mine/attendance/{record}")).await,
        other.send(Method::PATCH, "/api/v1/people/me", &json!({ "groups": ["g"] })).await,
        other.delete(&format!("/api/v1/people/me/faces/{face}")).await,
        other.post_form("/api/v1/people", form(&[("name", "x"), ("groups", "g")], &[&photo])).await,
    ];
    for (number, answer) in attempts.iter().enumerate() {
        assert_eq!(answer.status, 404, "attempt {number}: {}", answer.text());
    }
    let listed = |answer: Answer, what: &str| answer.expect(200)[what].as_array().unwrap().len();
    assert_eq!(listed(other.get("/api/v1/groups").await, "groups"), 1);
    assert_eq!(listed(other.get("/api/v1/people").await, "people"), 1);
    let identified = other.post_form("/api/v1/identify", form(&[], &[&photo])).await.expect(200);
    assert_eq!((&identified["present"], &identified["unknown_faces"]), (&json!([]), &json!(1)));
    assert!(!identified.to_string().contains("\"p\""), "no candidate of another tenant: {identified}");
    // Nothing of the owner's was touched.
    assert_eq!(owner.get("/api/v1/people/p").await.expect(200)["faces"], person["faces"]);
    assert_eq!(owner.get("/api/v1/groups/g").await.expect(200)["people"], json!(["p"]));
    assert_eq!(owner.records("g", "").await.len(), 1);
}

#[tokio::test]
async fn two_tenants_may_use_the_same_ids() {
    let server = TestServer::start().await;
    let (one, two) = (&server.api, server.tenant("two").await);
    for (api, shot) in [(one, "obama"), (&two, "biden")] {
        api.group("g").await;
        api.enrol("p", &["g"], shot).await;
    }
    let photos = [portrait("obama2"), portrait("biden")];
    for (api, seen) in [(one, 0), (&two, 1)] {
        let answer = api.recognize("g", &[], &[&photos[0], &photos[1]]).await.expect(200);
        for (number, photo) in answer["photos"].as_array().unwrap().iter().enumerate() {
            let expected = if number == seen { json!("p") } else { json!(null) };
            assert_eq!(photo["faces"][0]["person"], expected, "{answer}");
        }
        assert_eq!(api.records("g", "").await.len(), 1);
    }
    assert_eq!(two.delete("/api/v1/people/p").await.status, 204);
    one.get("/api/v1/people/p").await.expect(200);
    assert_eq!(one.records("g", "").await.len(), 1);
}
