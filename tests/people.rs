//! What is known of people: fields, searches, and what happens to all of it.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, TestServer, eventually, form, portrait};

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
        ("query=zo&group=g&limit=1", vec!["1"]),
        ("group=g", vec!["1", "3"]),
        ("query=", vec!["1", "2", "3"]),
        ("query=nobody", vec![]),
    ] {
        assert_eq!(ids(&find(query).await.expect(200)), expected, "{query}");
    }
    let page = find("query=zo&limit=1").await.expect(200);
    let rest = find(&format!("query=zo&after={}", page["next"].as_str().unwrap())).await.expect(200);
    assert_eq!((ids(&page), ids(&rest)), (vec!["1"], vec!["3"]));
    assert_eq!(find("query=zo&limit=2").await.expect(200)["next"], json!(null));
    assert_eq!(find("group=none").await.problem(), (404, "group_not_found".to_owned()));
    for bad in [format!("query={}", "a".repeat(201)), "group=%23".into(), "limit=0".into(), "what=1".into()] {
        assert_eq!(find(&bad).await.status, 400, "{bad}");
    }
    let other = server.tenant("other").await;
    assert_eq!(ids(&other.get("/api/v1/people?query=zo").await.expect(200)), Vec::<&str>::new());
}

/// Who is named in a photo, looked up in the whole gallery.
async fn named(api: &Api, shot: &str) -> Vec<String> {
    let found = api.post_form("/api/v1/identify", form(&[], &[&portrait(shot)])).await.expect(200);
    found["present"].as_array().unwrap().iter().map(|one| one["person"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn two_people_become_one_with_everything_of_both() {
    let server = TestServer::start().await;
    let api = &server.api;
    for group in ["a", "b"] {
        api.group(group).await;
    }
    api.enrol("p", &["a"], "obama").await;
    api.enrol("q", &["a", "b"], "biden").await;
    patch(api, "p", json!({ "metadata": { "seat": "1" } })).await.expect(200);
    patch(api, "q", json!({ "metadata": { "seat": "2", "year": "3" }, "email": "q@example.org" })).await.expect(200);
    // In a both are marked, the one who goes earlier; in b only the one who goes.
    for (group, shot, at) in [("a", "obama", "10:00"), ("a", "biden", "09:00"), ("b", "biden", "11:00")] {
        let at = format!("2026-03-02T{at}:00Z");
        api.recognize(group, &[("at", &at)], &[&portrait(shot)]).await.expect(200);
    }
    let day = "?date=2026-03-02";
    assert_eq!((api.records("a", day).await.len(), api.records("b", day).await.len()), (2, 1));

    let merge = async |person: &str, from: &str| {
        api.post(&format!("/api/v1/people/{person}/merge"), &json!({ "from": from })).await
    };
    let merged = merge("p", "q").await.expect(200);
    assert_eq!((&merged["id"], &merged["name"], &merged["email"]), (&json!("p"), &json!("p"), &json!("q@example.org")));
    assert_eq!(merged["metadata"], json!({ "seat": "1", "year": "3" }));
    assert_eq!((&merged["groups"], merged["faces"].as_array().unwrap().len()), (&json!(["a", "b"]), 2));
    assert_eq!(api.get("/api/v1/people/p").await.expect(200), merged);
    assert_eq!(api.get("/api/v1/people/q").await.status, 404);
    assert_eq!(ids(&api.get("/api/v1/people?query=q").await.expect(200)), Vec::<&str>::new());
    for group in ["a", "b"] {
        assert_eq!(api.get(&format!("/api/v1/groups/{group}")).await.expect(200)["people"], json!(["p"]));
    }
    for (group, at) in [("a", "2026-03-02T09:00:00Z"), ("b", "2026-03-02T11:00:00Z")] {
        let records = api.records(group, day).await;
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!((&records[0]["person"], &records[0]["at"]), (&json!("p"), &json!(at)));
    }
    for shot in ["obama", "biden", "obama2"] {
        assert_eq!(named(api, shot).await, ["p"], "{shot}");
    }
    // Undone by its id, marked anew.
    let record = api.records("a", day).await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(api.delete(&format!("/api/v1/groups/a/attendance/{record}")).await.status, 204);

    assert_eq!(merge("p", "p").await.problem(), (400, "same_person".to_owned()));
    for (person, from) in [("p", "q"), ("q", "p")] {
        assert_eq!(merge(person, from).await.problem(), (404, "person_not_found".to_owned()));
    }
    let checked = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!(checked["problems"], json!({}), "{checked}");
    let server = server.restart().await;
    assert_eq!(named(&server.api, "biden").await, ["p"]);
}

#[tokio::test]
async fn merges_both_ways_at_once_leave_one_person() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.enrol("p", &[], "obama").await;
    api.enrol("q", &[], "biden").await;
    let merge = async |person: &str, from: &str| {
        api.post(&format!("/api/v1/people/{person}/merge"), &json!({ "from": from })).await.status
    };
    let (one, other) = tokio::join!(merge("p", "q"), merge("q", "p"));
    assert_eq!([one.min(other), one.max(other)], [200, 404]);
    let left = if one == 200 { "p" } else { "q" };
    assert_eq!(ids(&api.get("/api/v1/people").await.expect(200)), [left]);
    assert_eq!(named(api, "biden").await, [left]);
}

#[tokio::test]
async fn a_sample_goes_to_the_person_whose_it_is() {
    let server = TestServer::start().await;
    let api = &server.api;
    server
        .operator()
        .send(Method::PATCH, "/api/v1/tenants/default", &json!({ "enrolment": { "quality": "off" } }))
        .await
        .expect(200);
    let fields = [("id", "p"), ("name", "P")];
    let made = api.post_form("/api/v1/people", form(&fields, &[&portrait("obama"), &portrait("biden")])).await;
    let made = made.expect(201);
    api.enrol("q", &[], "hopper").await;
    assert_eq!(named(api, "biden").await, ["p"]);
    let strays = format!("/api/v1/people/p/faces/{}/move", made["faces"][1]["id"].as_str().unwrap());
    let moved = api.post(&strays, &json!({ "to": "q" })).await.expect(200);
    assert_eq!((&moved["id"], moved["faces"].as_array().unwrap().len()), (&json!("q"), 2));
    assert!(moved["faces"].as_array().unwrap().contains(&made["faces"][1]));
    assert_eq!(api.get("/api/v1/people/q").await.expect(200), moved);
    assert_eq!((named(api, "biden").await, named(api, "obama").await), (vec!["q".to_owned()], vec!["p".to_owned()]));
    for (path, to, code) in [
        (strays.clone(), "q", (404, "face_not_found")),
        (strays.clone(), "p", (400, "same_person")),
        (strays.clone(), "none", (404, "person_not_found")),
        (strays.replace("/p/", "/none/"), "q", (404, "person_not_found")),
    ] {
        let answer = api.post(&path, &json!({ "to": to })).await;
        assert_eq!(answer.problem(), (code.0, code.1.to_owned()), "{path} {to}");
    }
    let server = server.restart().await;
    assert_eq!(named(&server.api, "biden").await, ["q"]);
}

async fn set_rules(server: &TestServer, rules: Value) {
    let patch = json!({ "enrolment": rules });
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &patch).await.expect(200);
}

#[tokio::test]
async fn a_consent_is_recorded_shown_listed_and_withdrawn() {
    let server = TestServer::start().await;
    let api = &server.api;
    for (person, shot) in [("p", "obama"), ("q", "biden")] {
        api.enrol(person, &[], shot).await;
    }
    let consent = "/api/v1/people/p/consent";
    assert_eq!(api.get(consent).await.problem(), (404, "no_consent".to_owned()));
    let given = json!({ "given_by": "A parent", "basis": "consent", "at": "2026-01-02T03:04:05Z",
        "expires_at": "2026-02-02T00:00:00Z", "note": "folder 3" });
    assert_eq!(api.send(Method::PUT, consent, &given).await.expect(200), given);
    assert_eq!(api.get(consent).await.expect(200), given);
    assert_eq!(api.get("/api/v1/people/p").await.expect(200)["consent"], given);
    let of_state = async |state: &str| api.get(&format!("/api/v1/people?consent={state}")).await.expect(200);
    assert_eq!((ids(&of_state("expired").await), ids(&of_state("missing").await)), (vec!["p"], vec!["q"]));
    let anew = json!({ "given_by": "P", "basis": "contract" });
    let kept = api.send(Method::PUT, consent, &anew).await.expect(200);
    assert_eq!((&kept["expires_at"], &kept["note"]), (&json!(null), &json!(null)));
    assert_eq!(ids(&of_state("valid").await), ["p"]);
    for bad in [
        json!({ "given_by": " ", "basis": "consent" }),
        json!({ "given_by": "P", "basis": "consent", "at": "2999-01-01T00:00:00Z" }),
        json!({ "given_by": "P", "basis": "consent", "expires_at": "2000-01-01T00:00:00Z" }),
    ] {
        assert_eq!(api.send(Method::PUT, consent, &bad).await.problem(), (400, "invalid_consent".to_owned()), "{bad}");
    }
    for bad in [json!({ "given_by": "P", "basis": "luck" }), json!({ "basis": "consent" })] {
        assert_eq!(api.send(Method::PUT, consent, &bad).await.problem(), (400, "invalid_json".to_owned()), "{bad}");
    }
    assert_eq!(api.get(consent).await.expect(200), kept);
    for _ in 0..2 {
        assert_eq!(api.delete(consent).await.status, 204);
    }
    assert_eq!(api.get(consent).await.status, 404);
    assert_eq!(named(api, "obama").await, ["p"], "nobody asks for one");
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = api.send(method, "/api/v1/people/none/consent", &anew).await;
        assert_eq!(answer.problem(), (404, "person_not_found".to_owned()));
    }
}

#[tokio::test]
async fn where_a_consent_is_required_nobody_is_enrolled_or_found_without_one() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("before", &["g"], "hopper").await;
    assert_eq!(named(api, "hopper").await, ["before"]);
    set_rules(&server, json!({ "consent": "required" })).await;
    assert!(named(api, "hopper").await.is_empty(), "who was enrolled before needs one too");
    assert_eq!(api.recognize("g", &[], &[&portrait("hopper")]).await.expect(200)["not_seen"][0]["person"], "before");

    let consent = r#"{"given_by":"P","basis":"consent"}"#;
    let photo = portrait("obama");
    let enrol = async |fields: &[(&str, &str)]| {
        let fields = [&[("id", "p"), ("name", "P")], fields].concat();
        api.post_form("/api/v1/people", form(&fields, &[&photo])).await
    };
    let lapsed =
        r#"{"given_by":"P","basis":"consent","at":"2020-01-01T00:00:00Z","expires_at":"2021-01-01T00:00:00Z"}"#;
    for (fields, state) in [(&[][..], "missing"), (&[("consent", lapsed)], "expired")] {
        let refused = enrol(fields).await;
        assert_eq!(refused.problem(), (422, "consent_required".to_owned()));
        assert_eq!(refused.json()["error"]["details"]["consent"], state);
    }
    assert_eq!(enrol(&[("consent", "{}")]).await.status, 400);
    let made = enrol(&[("consent", consent)]).await.expect(201);
    assert_eq!(made["consent"]["given_by"], "P");
    assert_eq!(named(api, "obama2").await, ["p"]);

    let path = "/api/v1/people/p/consent";
    assert_eq!(api.delete(path).await.status, 204);
    assert!(named(api, "obama").await.is_empty());
    let required = (422, "consent_required".to_owned());
    let more = async |method: Method| {
        Answer::to(api.request(method, "/api/v1/people/p/faces").multipart(form(&[], &[&photo]))).await.problem()
    };
    assert_eq!((more(Method::POST).await, more(Method::PUT).await), (required.clone(), required.clone()));
    let verify = async || api.post_form("/api/v1/people/p/verify", form(&[], &[&photo])).await;
    assert_eq!(verify().await.problem(), required);
    let face = api.get("/api/v1/people/p").await.expect(200)["faces"][0]["id"].as_str().unwrap().to_owned();
    let moved = api.post(&format!("/api/v1/people/p/faces/{face}/move"), &json!({ "to": "before" })).await;
    assert_eq!(moved.problem(), required);

    let give = async |expires_at: Value| {
        let given =
            json!({ "given_by": "P", "basis": "consent", "at": "2020-01-01T00:00:00Z", "expires_at": expires_at });
        api.send(Method::PUT, path, &given).await.expect(200)
    };
    give(json!("2021-01-01T00:00:00Z")).await;
    assert!(named(api, "obama").await.is_empty());
    give(json!(null)).await;
    assert_eq!(named(api, "obama").await, ["p"]);
    assert_eq!(verify().await.expect(200)["verified"], true);
    give(json!((jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2)).to_string())).await;
    eventually("the consent ends", async || named(api, "obama").await.is_empty()).await;
    assert_eq!(ids(&api.get("/api/v1/people?consent=expired").await.expect(200)), ["p"]);
    assert_eq!(ids(&api.get("/api/v1/people?consent=missing&query=bef").await.expect(200)), ["before"]);

    give(json!(null)).await;
    let server = server.restart().await;
    assert_eq!(named(&server.api, "obama").await, ["p"]);
    assert!(named(&server.api, "hopper").await.is_empty());
    set_rules(&server, json!({ "consent": "off" })).await;
    assert_eq!(named(&server.api, "hopper").await, ["before"]);
}

/// Fields, photos, and what comes of them.
type Refused<'a> = (&'a [(&'a str, &'a str)], &'a [&'a [u8]], (u16, &'a str));

/// Has `person` not be taken for the person with this sample, or for who is on the image.
async fn not_this(api: &Api, person: &str, fields: &[(&str, &str)], photos: &[&[u8]]) -> Answer {
    api.post_form(&format!("/api/v1/people/{person}/negatives"), form(fields, photos)).await
}

#[tokio::test]
async fn a_face_that_is_not_the_persons_is_not_given_to_them() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("p", &["g"], "obama").await;
    let seen = async |shot: &str| {
        let photo = portrait(shot);
        let found = api.recognize("g", &[("mark", "false")], &[&photo]).await.expect(200);
        let one = api.post_form("/api/v1/people/p/verify", form(&[], &[&photo])).await.expect(200);
        let in_gallery = !named(api, shot).await.is_empty();
        let in_group = !found["present"].as_array().unwrap().is_empty();
        assert_eq!((in_group, one["verified"].as_bool().unwrap()), (in_gallery, in_gallery), "{shot}");
        in_gallery
    };
    assert!(seen("obama").await && seen("obama2").await);
    let other = portrait("obama2");
    let made = not_this(api, "p", &[], &[&other]).await.expect(201);
    assert_eq!((&made["of"], made.get("vector")), (&json!(null), None));
    assert!(!seen("obama2").await, "the face itself");
    assert!(seen("obama").await, "the person's own face is nearer to the person");
    let negatives = "/api/v1/people/p/negatives";
    assert_eq!(api.get(negatives).await.expect(200), json!({ "negatives": [made] }));
    let server_too = server.restart().await;
    let api = &server_too.api;
    assert!(named(api, "obama2").await.is_empty() && named(api, "obama").await == ["p"]);
    let one = format!("{negatives}/{}", made["id"].as_str().unwrap());
    assert_eq!(api.delete(&one).await.status, 204);
    assert_eq!(named(api, "obama2").await, ["p"]);
    assert_eq!(api.delete(&one).await.problem(), (404, "negative_not_found".to_owned()));
    let cases: [Refused<'_>; 4] = [
        (&[("faces", "one")], &[], (400, "one_face_wanted")),
        (&[], &[&other, &other], (400, "one_face_wanted")),
        (&[("of", "q")], &[], (400, "one_face_wanted")),
        (&[], &[b"nothing"], (400, "not_an_image")),
    ];
    for (fields, photos, expected) in cases {
        let problem = not_this(api, "p", fields, photos).await.problem();
        assert_eq!(problem, (expected.0, expected.1.to_owned()));
    }
    assert_eq!(not_this(api, "none", &[], &[&other]).await.problem(), (404, "person_not_found".to_owned()));
    for _ in 0..20 {
        not_this(api, "p", &[], &[&other]).await.expect(201);
    }
    assert_eq!(not_this(api, "p", &[], &[&other]).await.problem(), (409, "too_many_negatives".to_owned()));
    let tenant = server_too.operator().get("/api/v1/tenants/default").await.expect(200);
    assert_eq!(tenant["usage"]["samples"], 21, "one sample and twenty negatives");
}

#[tokio::test]
async fn a_twins_sample_gives_the_twin_the_name_back_and_goes_with_the_twin() {
    let server = TestServer::start().await;
    let api = &server.api;
    // Two with one face: nobody is ahead of the other.
    api.enrol("ada", &[], "obama").await;
    let bea = api.enrol("bea", &[], "obama2").await;
    // So far ahead that only who has no rival is named.
    let named_ahead = async |shot: &str| {
        let found = api.post_form("/api/v1/identify", form(&[("margin", "0.7")], &[&portrait(shot)])).await.expect(200);
        found["photos"][0]["faces"][0]["person"].clone()
    };
    assert_eq!(named_ahead("obama2").await, json!(null), "twins are too close to call");
    let face = bea["faces"][0]["id"].as_str().unwrap().to_owned();
    let fields = [("of", "bea"), ("face", face.as_str())];
    for _ in 0..2 {
        let made = not_this(api, "ada", &fields, &[]).await.expect(201);
        assert_eq!((&made["id"], &made["of"]), (&json!(face), &json!("bea")));
    }
    assert_eq!(named_ahead("obama2").await, "bea");
    assert_eq!(not_this(api, "bea", &fields, &[]).await.problem(), (400, "same_person".to_owned()));
    let none = [("of", "ada"), ("face", face.as_str())];
    assert_eq!(not_this(api, "bea", &none, &[]).await.problem(), (404, "face_not_found".to_owned()));
    let count = async |person: &str| {
        let list = api.get(&format!("/api/v1/people/{person}/negatives")).await.expect(200);
        list["negatives"].as_array().unwrap().len()
    };
    let sound = async || {
        let report = server.operator().get("/api/v1/check").await.expect(200);
        assert_eq!(report["problems"], json!({}), "{report}");
    };
    assert_eq!(count("ada").await, 1);
    sound().await;
    // Whoever becomes one with the twin has the twin's place in it.
    api.enrol("bea-again", &[], "biden").await;
    api.post("/api/v1/people/bea-again/merge", &json!({ "from": "bea" })).await.expect(200);
    assert_eq!(count("ada").await, 1);
    let of = api.get("/api/v1/people/ada/negatives").await.expect(200)["negatives"][0]["of"].clone();
    assert_eq!(of, "bea-again");
    sound().await;
    assert_eq!(api.delete("/api/v1/people/bea-again").await.status, 204);
    assert_eq!(count("ada").await, 0);
    assert_eq!(named(api, "obama2").await, ["ada"], "in memory too");
    sound().await;
    // Two who had been told apart and are one after all.
    let again = api.enrol("bea", &[], "obama2").await;
    let face = again["faces"][0]["id"].as_str().unwrap().to_owned();
    not_this(api, "ada", &[("of", "bea"), ("face", &face)], &[]).await.expect(201);
    not_this(api, "ada", &[], &[&portrait("biden")]).await.expect(201);
    api.post("/api/v1/people/ada/merge", &json!({ "from": "bea" })).await.expect(200);
    assert_eq!((count("ada").await, named(api, "obama2").await), (1, vec!["ada".to_owned()]));
    sound().await;
}

#[tokio::test]
async fn an_export_holds_everything_of_one_person() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("p", &["g"], "obama").await;
    api.enrol("q", &["g"], "biden").await;
    let change = json!({ "email": "p@example.org", "metadata": { "seat": "1" } });
    let given = json!({ "given_by": "P", "basis": "consent" });
    patch(api, "p", change).await.expect(200);
    api.send(Method::PUT, "/api/v1/people/p/consent", &given).await.expect(200);
    let at = [("at", "2026-03-02T10:00:00Z")];
    api.recognize("g", &at, &[&portrait("obama"), &portrait("biden")]).await.expect(200);
    let negative = not_this(api, "p", &[], &[&portrait("hopper")]).await.expect(201);
    let export = api.get("/api/v1/people/p/export").await.expect(200);
    assert_eq!(export["person"], api.get("/api/v1/people/p").await.expect(200));
    let sample = &export["samples"][0];
    assert_eq!(
        (&sample["id"], &sample["quality"]),
        (&export["person"]["faces"][0]["id"], &export["person"]["faces"][0]["quality"])
    );
    let vector: Vec<f64> = sample["vector"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
    assert!((vector.iter().map(|number| number * number).sum::<f64>() - 1.0).abs() < 1e-3, "{} numbers", vector.len());
    assert_eq!(export["negatives"], json!([negative]));
    let records = export["attendance"].as_array().unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["group"], &records[0]["date"]), (&json!("g"), &json!("2026-03-02")));
    let mut record = records[0].clone();
    record.as_object_mut().unwrap().retain(|key, _| !["group", "date"].contains(&key.as_str()));
    assert!(api.records("g", "?date=2026-03-02").await.contains(&record));
    assert_eq!(api.get("/api/v1/people/none/export").await.problem(), (404, "person_not_found".to_owned()));
    let other = server.tenant("other").await;
    assert_eq!(other.get("/api/v1/people/p/export").await.status, 404);
}
