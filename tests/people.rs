//! What is known of people: fields, searches, and what happens to all of it.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, TestServer, form, portrait};

fn ids(page: &Value) -> Vec<&str> {
    page["people"].as_array().unwrap().iter().map(|person| person["id"].as_str().unwrap()).collect()
}

async fn patch(api: &Api, person: &str, change: Value) -> Answer {
    api.send(Method::PATCH, &format!("/api/v1/people/{person}"), &change).await
}

#[tokio::test]
async fn email_and_metadata_are_set_changed_and_removed() {
    let server = TestServer::start().await;
    let api = &server.api;
    let photo = portrait("obama");
    let fields =
        [("id", "p"), ("name", "P"), ("email", "p@example.org"), ("metadata", r#"{"seat":"3","house":"Öst"}"#)];
    let made = api.post_form("/api/v1/people", form(&fields, &[&photo])).await.expect(201);
    assert_eq!(made["email"], "p@example.org");
    assert_eq!(made["metadata"], json!({ "seat": "3", "house": "Öst" }));
    let change = json!({ "email": null, "metadata": { "seat": null, "year": "2026" } });
    let changed = patch(api, "p", change).await.expect(200);
    assert_eq!((&changed["email"], &changed["metadata"]), (&json!(null), &json!({ "house": "Öst", "year": "2026" })));
    let kept = patch(api, "p", json!({ "name": "Q" })).await.expect(200);
    assert_eq!((&kept["name"], &kept["metadata"]), (&json!("Q"), &changed["metadata"]));
    let many: serde_json::Map<_, _> = (0..32).map(|n| (n.to_string(), json!("v"))).collect();
    let bad = [
        (json!({ "email": "nobody" }), "invalid_email"),
        (json!({ "metadata": many }), "invalid_metadata"),
        (json!({ "metadata": { "": "v" } }), "invalid_metadata"),
        (json!({ "metadata": { "k": 1 } }), "invalid_json"),
    ];
    for (change, code) in bad {
        assert_eq!(patch(api, "p", change).await.problem(), (400, code.to_owned()));
    }
    assert_eq!(api.get("/api/v1/people/p").await.expect(200), kept);
    // As an object too, where the body is JSON.
    let body = json!({ "id": "j", "name": "J", "metadata": { "a": "b" }, "images": [BASE64_STANDARD.encode(&photo)] });
    assert_eq!(api.post("/api/v1/people", &body).await.expect(201)["metadata"], json!({ "a": "b" }));
    for (field, value) in [("metadata", "no json"), ("metadata", "[]"), ("email", "x")] {
        let refused = api.post_form("/api/v1/people", form(&[("name", "N"), (field, value)], &[&photo])).await;
        assert_eq!(refused.status, 400, "{field} {value}");
    }
}

#[tokio::test]
async fn people_are_searched_by_name_group_and_page() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("1", &["g"], "obama").await;
    api.enrol("2", &[], "biden").await;
    api.enrol("3", &["g"], "hopper").await;
    for (person, name) in [("1", "Zoë Straße"), ("2", "İpek Ødegård"), ("3", "שָׁלוֹם Zo")] {
        patch(api, person, json!({ "name": name })).await.expect(200);
    }
    let find = async |query: &str| api.get(&format!("/api/v1/people?{query}")).await;
    for (query, expected) in [
        ("query=zoe+STRASSE", vec!["1"]),
        ("query=IPEK", vec!["2"]),
        ("query=%D7%A9%D7%9C%D7%95%D7%9D", vec!["3"]),
        ("query=zo", vec!["1", "3"]),
        ("query=zo&after=1", vec!["3"]),
        ("query=zo&group=g&limit=1", vec!["1"]),
        ("group=g", vec!["1", "3"]),
        ("query=", vec!["1", "2", "3"]),
        ("query=nobody", vec![]),
    ] {
        assert_eq!(ids(&find(query).await.expect(200)), expected, "{query}");
    }
    let page = find("query=zo&limit=1").await.expect(200);
    assert_eq!(page["next"], "1");
    assert_eq!(find("query=zo&limit=2").await.expect(200)["next"], json!(null));
    assert_eq!(find("group=none").await.problem(), (404, "group_not_found".to_owned()));
    for bad in [format!("query={}", "a".repeat(201)), "group=%23".into(), "limit=0".into(), "what=1".into()] {
        assert_eq!(find(&bad).await.status, 400, "{bad}");
    }
    let other = server.tenant("other").await;
    assert_eq!(ids(&other.get("/api/v1/people?query=zo").await.expect(200)), Vec::<&str>::new());
}
