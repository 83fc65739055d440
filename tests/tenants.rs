//! Tenants: the operator makes them, and nothing of one can be reached from another.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use reqwest::Method;
use rollcall::{
    domain::{Grant, Right, Standing, Tenant, TenantId, TenantScope},
    store::{ApiKey, Store},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    Answer, Api, TestServer, eventually, form,
    images::{jpeg, scaled},
    portrait,
};

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

#[tokio::test]
async fn the_operator_lists_tenants_page_by_page() {
    let server = TestServer::start().await;
    let operator = server.operator();
    for id in ["b", "a"] {
        server.tenant(id).await;
    }
    let page = operator.get("/api/v1/tenants?limit=2").await.expect(200);
    let ids = |page: &Value| page["tenants"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
    assert_eq!((ids(&page), &page["next"]), (vec![json!("a"), json!("b")], &json!("b")));
    assert_eq!(page["tenants"][0], operator.get("/api/v1/tenants/a").await.expect(200));
    let rest = operator.get("/api/v1/tenants?after=b").await.expect(200);
    assert_eq!((ids(&rest), &rest["next"]), (vec![json!("default")], &json!(null)));
    assert_eq!(server.api.get("/api/v1/tenants").await.status, 403);
    assert_eq!(operator.get("/api/v1/tenants?limit=0").await.status, 400);
}

/// One request to every kind of data route.
async fn knock(api: &Api) -> Vec<Answer> {
    let photo = portrait("obama2");
    vec![
        api.get("/api/v1/people").await,
        api.get("/api/v1/people/p").await,
        api.delete("/api/v1/people/p").await,
        api.post("/api/v1/groups", &json!({ "name": "new" })).await,
        api.recognize("g", &[], &[&photo]).await,
        api.post_form("/api/v1/identify", form(&[], &[&photo])).await,
        api.post_form("/api/v1/detect", form(&[], &[&photo])).await,
        api.post_form("/api/v1/people", form(&[("id", "q"), ("name", "q")], &[&photo])).await,
        api.get("/api/v1/groups/g/attendance").await,
        api.get("/api/v1/reports/duplicates").await,
        api.get("/api/v1/reports/calibration").await,
        api.post("/api/v1/gallery/check", &json!({})).await,
    ]
}

#[tokio::test]
async fn a_suspended_tenant_is_shut_at_once_and_loses_nothing() {
    let server = TestServer::start().await;
    let (operator, api, other) = (server.operator(), &server.api, server.tenant("other").await);
    api.group("g").await;
    api.enrol("p", &["g"], "obama").await;
    api.recognize("g", &[("mark", "false")], &[&portrait("obama2")]).await.expect(200);
    let path = "/api/v1/tenants/default";
    let suspend = async |suspended: bool| {
        let seen = operator.send(Method::PATCH, path, &json!({ "suspended": suspended })).await.expect(200);
        assert_eq!(seen["suspended"], suspended);
    };
    suspend(true).await;
    for (number, answer) in knock(api).await.iter().enumerate() {
        assert_eq!(answer.problem(), (403, "tenant_suspended".to_owned()), "{number}");
    }
    eventually("its gallery has left memory", async || server.metrics().await.count("gallery_faces", &[]) == 0).await;
    other.get("/api/v1/people").await.expect(200);
    assert_eq!(operator.get(path).await.expect(200)["suspended"], true);
    operator.send(Method::PATCH, path, &json!({ "name": "Closed" })).await.expect(200);
    assert_eq!(api.get("/api/v1/people").await.status, 403, "a change of its name does not open it");
    let server = server.restart().await;
    assert_eq!(server.api.get("/api/v1/people").await.status, 403);
    let (operator, api) = (server.operator(), &server.api);
    operator.send(Method::PATCH, path, &json!({ "suspended": false })).await.expect(200);
    let seen = api.recognize("g", &[], &[&portrait("obama2")]).await.expect(200);
    assert_eq!(seen["present"][0]["person"], "p");
}

/// Works in a tenant until its key opens nothing any more, counting what is `done`; every answer is one of those that a
/// client can understand.
async fn work_until_shut(api: Api, worker: usize, done: Arc<AtomicUsize>) {
    let photos = [portrait("obama2"), portrait("biden")];
    for round in 0.. {
        let id = format!("w{worker}-{round}");
        let answer = match round % 4 {
            0 => api.post_form("/api/v1/people", form(&[("id", &id), ("name", &id)], &[&photos[0]])).await,
            1 => api.recognize("g", &[], &[&photos[0], &photos[1]]).await,
            2 => api.post_form("/api/v1/identify", form(&[], &[&photos[0]])).await,
            _ => api.post_form("/api/v1/people/p/verify", form(&[], &[&photos[1]])).await,
        };
        match answer.status {
            401 => return,
            200 | 201 | 404 => done.fetch_add(1, Ordering::Relaxed),
            status => panic!("round {round}: {status} {}", answer.text()),
        };
    }
}

#[tokio::test]
async fn a_tenant_is_deleted_in_the_midst_of_its_work() {
    let server = TestServer::start().await;
    let (operator, api, doomed) = (server.operator(), &server.api, server.tenant("doomed").await);
    for api in [api, &doomed] {
        api.group("g").await;
        api.enrol("p", &["g"], "obama").await;
    }
    let key_file = server.data().join("doomed.key");
    std::fs::write(&key_file, doomed.key()).unwrap();
    let (mut workers, done) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for worker in 0..4 {
        workers.spawn(work_until_shut(doomed.clone(), worker, Arc::clone(&done)));
    }
    eventually("they are at work", async || done.load(Ordering::Relaxed) > 8).await;
    let path = "/api/v1/tenants/doomed";
    assert_eq!(operator.delete(path).await.status, 204);
    workers.join_all().await;
    assert!(!key_file.exists());
    assert_eq!(operator.get(path).await.problem(), (404, "tenant_not_found".to_owned()));
    assert_eq!(operator.delete(path).await.status, 404);
    assert_eq!(operator.send(Method::PATCH, path, &json!({ "suspended": true })).await.status, 404);
    let metrics = operator.get("/metrics?tenants=true").await.text();
    assert!(!metrics.contains("doomed"), "{metrics}");
    let checked = operator.get("/api/v1/check").await.expect(200);
    assert_eq!(checked["problems"], json!({}));
    assert_eq!((&checked["records"]["tenant"], &checked["records"]["person"]), (&json!(1), &json!(1)));
    assert_eq!(checked["records"]["api_key"], json!(2));

    let again = server.tenant("doomed").await;
    assert_eq!(again.get("/api/v1/people").await.expect(200)["people"], json!([]));
    let found = again.post_form("/api/v1/identify", form(&[], &[&portrait("obama2")])).await.expect(200);
    assert_eq!(found["present"], json!([]));
    assert_eq!(doomed.get("/api/v1/people").await.status, 401, "the old key stays shut");
    let seen = api.recognize("g", &[], &[&portrait("obama2")]).await.expect(200);
    assert_eq!(seen["present"][0]["person"], "p", "the other tenant has all that it had");
}

#[tokio::test]
async fn a_deletion_that_was_cut_short_is_finished_at_the_next_start() {
    let server = TestServer::start().await;
    let cut = server.tenant("cut").await;
    cut.group("g").await;
    cut.enrol("p", &["g"], "obama").await;
    let server = server
        .restart_after(async |store| {
            store.begin_deletion(&TenantScope::granted("cut".parse().unwrap())).await.unwrap();
        })
        .await;
    let operator = server.operator();
    assert_eq!(server.api.with_key(cut.key()).get("/api/v1/people").await.status, 401);
    eventually("nothing is left of it", async || {
        let records = &operator.get("/api/v1/check").await.expect(200)["records"];
        records["tenant"] == 1 && records["face"].is_null()
    })
    .await;
    let again = server.tenant("cut").await;
    assert_eq!(again.get("/api/v1/groups").await.expect(200)["groups"], json!([]));
    // The tenant that the first start made goes like any other, and does not come back.
    assert_eq!(operator.delete("/api/v1/tenants/default").await.status, 204);
    assert!(!server.data().join("default.key").exists());
    std::fs::write(server.data().join("default.key"), again.key()).unwrap();
    let server = server.restart().await;
    assert_eq!(server.operator().get("/api/v1/tenants/default").await.status, 404);
}

#[tokio::test]
async fn a_tenants_settings_stand_between_the_servers_and_the_requests() {
    let server = TestServer::with(&[("matching.roster_threshold", "0.41")]).await;
    let (operator, api) = (server.operator(), &server.api);
    let path = "/api/v1/tenants/default";
    let set = async |settings: Value| operator.send(Method::PATCH, path, &settings).await;
    let seen = set(json!({ "time_zone": "asia/tokyo", "matching": { "margin": 0.05 } })).await.expect(200);
    let nothing = json!({ "roster_threshold": null, "gallery_threshold": null, "margin": 0.05 });
    assert_eq!((&seen["time_zone"], &seen["matching"]), (&json!("Asia/Tokyo"), &nothing));
    assert_eq!((&seen["liveness"], &seen["suspended"]), (&json!("off"), &json!(false)));
    assert_eq!(api.group("g").await["time_zone"], "Asia/Tokyo");
    let there = json!({ "name": "there", "time_zone": "Europe/Vienna" });
    assert_eq!(api.post("/api/v1/groups", &there).await.expect(201)["time_zone"], "Europe/Vienna");
    api.enrol("p", &["g"], "obama").await;

    let photo = portrait("obama2");
    let named = async |path: &str, fields: &[(&str, &str)]| {
        let seen = api.post_form(path, form(fields, &[&photo])).await.expect(200);
        seen["photos"][0]["faces"][0]["person"] == "p"
    };
    let (recognize, identify) = ("/api/v1/groups/g/recognize", "/api/v1/identify");
    let verified = async || {
        let seen = api.post_form("/api/v1/people/p/verify", form(&[], &[&photo])).await.expect(200);
        (seen["threshold"].as_f64().unwrap() * 100.0).round() as i32
    };
    assert!(named(recognize, &[]).await && named(identify, &[]).await);
    assert_eq!(verified().await, 41);
    set(json!({ "matching": { "roster_threshold": 0.99 } })).await.expect(200);
    assert_eq!(verified().await, 99);
    assert!(!named(recognize, &[]).await && named(identify, &[]).await, "each has its own");
    assert!(named(recognize, &[("threshold", "0.4"), ("mark", "false")]).await, "who only looks has the last word");
    set(json!({ "matching": { "roster_threshold": null, "gallery_threshold": 0.99 } })).await.expect(200);
    assert!(named(recognize, &[]).await && !named(identify, &[]).await);
    let strange = form(&[("id", "twin"), ("name", "twin")], &[&photo]);
    assert_eq!(api.post_form("/api/v1/people", strange).await.expect(201)["duplicates"], json!([]));
    assert_eq!(api.delete("/api/v1/people/twin").await.status, 204);

    let small = jpeg(&scaled("obama2", 160));
    let looked_at = async |policy: &str| {
        let seen = api.recognize("g", &[("liveness", policy)], &[&small]).await.expect(200);
        let face = &seen["photos"][0]["faces"][0];
        assert_eq!(face["person"], "p", "{seen}");
        (!face["liveness"].is_null(), face["reason"] == "not_live")
    };
    assert_eq!(looked_at("off").await, (false, false));
    set(json!({ "liveness": "passive" })).await.expect(200);
    assert_eq!(looked_at("off").await, (true, false), "a request is never laxer");
    assert_eq!(looked_at("strict").await, (true, true), "but may be stricter");
    set(json!({ "liveness": "strict" })).await.expect(200);
    assert_eq!(looked_at("passive").await, (true, true));
    let unset = api.recognize("g", &[], &[&small]).await.expect(200);
    assert_eq!(unset["photos"][0]["faces"][0]["reason"], "not_live");

    for (bad, code) in [
        (json!({ "matching": { "roster_threshold": 1.5 } }), "invalid_threshold"),
        (json!({ "matching": { "gallery_threshold": -2 } }), "invalid_threshold"),
        (json!({ "matching": { "margin": -0.1 } }), "invalid_margin"),
        (json!({ "time_zone": "Mars/Olympus" }), "invalid_time_zone"),
        (json!({ "name": "" }), "invalid_name"),
        (json!({ "liveness": "maybe" }), "invalid_json"),
        (json!({ "matching": { "threshold": 0.5 } }), "invalid_json"),
    ] {
        assert_eq!(set(bad.clone()).await.problem(), (400, code.to_owned()), "{bad}");
    }
    let kept = set(json!({ "time_zone": null })).await.expect(200);
    assert_eq!((&kept["time_zone"], &kept["liveness"]), (&json!(null), &json!("strict")));
    assert_eq!(kept["matching"]["margin"], 0.05);
    assert_eq!(api.post("/api/v1/groups", &json!({ "name": "u" })).await.expect(201)["time_zone"], "UTC");
}

/// Every character that an id may have, in many places, and as many slashes as fit and do not.
fn ids() -> Vec<String> {
    let mut ids: Vec<String> =
        ["/", "//", "a/..", "../a", "...", "-", "@", "+", ":", "a b", "%2F", "a%2Fb", "~"].map(str::to_owned).into();
    ids.extend([61, 62, 63, 64, 128].map(|slashes| "/".repeat(slashes) + &"x".repeat(128 - slashes)));
    let characters: Vec<char> = "aZ09._-@:/+ ".chars().collect();
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..30 {
        let length = 1 + next(128);
        ids.push((0..length).map(|_| characters[next(characters.len())]).collect());
    }
    ids
}

/// As one segment of a path.
fn segment(id: &str) -> String {
    id.bytes().fold(String::new(), |mut segment, byte| {
        write!(segment, "%{byte:02X}").unwrap();
        segment
    })
}

#[tokio::test]
async fn a_tenant_that_was_made_can_be_read_changed_and_deleted_whatever_its_id() {
    let server = TestServer::start().await;
    let operator = server.operator();
    let (mut made, mut refused) = (0, 0);
    for id in ids() {
        let answer = operator.post("/api/v1/tenants", &json!({ "id": id, "name": "n" })).await;
        if answer.status != 201 {
            refused += 1;
            // A body that is not read says so in words of its own.
            assert!(answer.status == 400 && answer.text().contains("an id"), "{id}: {}", answer.text());
            continue;
        }
        made += 1;
        let path = format!("/api/v1/tenants/{}", segment(&id));
        assert_eq!(operator.get(&path).await.expect(200)["id"], json!(id));
        assert_eq!(operator.send(Method::PATCH, &path, &json!({ "name": "new" })).await.expect(200)["name"], "new");
        let key = server.data().join(format!("{}.key", id.replace('/', "%2F")));
        std::fs::write(&key, answer.json()["key"].as_str().unwrap()).unwrap();
        assert_eq!(operator.delete(&path).await.status, 204, "{id}");
        assert!(!key.exists(), "{id}");
    }
    assert!(made >= 20 && refused >= 6, "{made} {refused}");

    // One of before, when any was taken.
    let id: TenantId = "/".repeat(128).parse().unwrap();
    let old = id.clone();
    let server = server
        .restart_after(async |store: Store| {
            let (created_at, standing) = ("2026-01-01T00:00:00Z".parse().unwrap(), Standing::Active);
            let key = ApiKey::new([7; 32], Grant::admin(old.clone()), created_at);
            let tenant = Tenant { id: old, name: "old".into(), created_at, standing };
            store.create_tenant(&Right::of_machine(), tenant, key).await.unwrap();
        })
        .await;
    let path = format!("/api/v1/tenants/{}", segment(id.as_str()));
    assert_eq!(server.operator().delete(&path).await.status, 204);
}

#[tokio::test]
async fn the_schools_admin_sets_all_but_its_limits() {
    let server = TestServer::start().await;
    let api = &server.api;
    let patch = json!({
        "name": "The School", "time_zone": "Asia/Tokyo", "liveness": "passive", "photos": "crops",
        "photo_retention_days": 7, "unknown_faces_days": 3, "matching": { "roster_threshold": 0.5 },
        "enrolment": { "duplicates": "refuse" },
    });
    let set = api.send(Method::PATCH, "/api/v1/settings", &patch).await.expect(200);
    assert_eq!((&set["name"], &set["time_zone"]), (&json!("The School"), &json!("Asia/Tokyo")));
    assert_eq!(api.get("/api/v1/settings").await.expect(200), set);
    assert_eq!(server.operator().get("/api/v1/tenants/default").await.expect(200), set);
    let group = api.post("/api/v1/groups", &json!({ "name": "new" })).await.expect(201);
    assert_eq!(group["time_zone"], "Asia/Tokyo", "a new group is where its school is");
    for (patch, code) in [
        (json!({ "limits": { "people": 1_000_000 } }), "invalid_json"),
        (json!({ "suspended": false }), "invalid_json"),
        (json!({ "time_zone": "Mars/Olympus" }), "invalid_time_zone"),
        (json!({ "unknown_faces_days": 366 }), "invalid_retention"),
    ] {
        let refused = api.send(Method::PATCH, "/api/v1/settings", &patch).await;
        assert_eq!(refused.problem(), (400, code.to_owned()), "{patch}");
    }
    let told = api.get("/api/v1/audit").await.expect(200);
    let told = told["entries"].as_array().unwrap().iter().filter(|entry| entry["action"] == "tenant.update").count();
    assert_eq!(told, 1, "in the school's own log");
    let other = server.tenant("other").await;
    assert_eq!(other.get("/api/v1/settings").await.expect(200)["name"], "other");
}
