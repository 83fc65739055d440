//! Keys and logins: what they open, for how long, and what ends them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    Answer, Api, TestServer,
    callers::LOGIN,
    class_photo, form,
    images::{jpeg, scaled},
    portrait,
    routes::PASSWORD,
};

#[tokio::test]
async fn a_key_is_shown_once_listed_by_its_prefix_and_revoked_at_once() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    let made = api.new_key(&json!({ "name": "Raum 7", "role": "teacher", "groups": ["g"] })).await;
    let secret = made["key"].as_str().unwrap();
    let teacher = api.with_key(secret);
    teacher.get("/api/v1/groups/g").await.expect(200);
    let list = api.get("/api/v1/keys").await;
    assert!(!list.text().contains(secret), "never shown again");
    let listed = list.expect(200)["keys"].as_array().unwrap().clone();
    let found = listed.iter().find(|key| key["id"] == made["id"]).unwrap();
    assert_eq!(
        (&found["name"], &found["role"], &found["groups"]),
        (&json!("Raum 7"), &json!("teacher"), &json!(["g"]))
    );
    assert!(secret.starts_with(found["prefix"].as_str().unwrap()) && found["prefix"].as_str().unwrap().len() == 11);
    let last_use = found["last_used_at"].as_str().unwrap().to_owned();
    teacher.get("/api/v1/groups/g").await.expect(200);
    let again = api.get("/api/v1/keys?limit=1").await.expect(200);
    let next = api.get(&format!("/api/v1/keys?after={}", again["next"].as_str().unwrap())).await.expect(200);
    assert_eq!(next["keys"][0]["id"], made["id"]);
    assert_eq!(next["keys"][0]["last_used_at"], *last_use, "noted once a minute");
    let me = teacher.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me, json!({ "tenant": "default", "user": null, "key": made["id"], "role": "teacher", "groups": ["g"] }));
    let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(teacher.get("/api/v1/groups/g").await.problem(), (401, "unauthenticated".to_owned()));
    assert_eq!(api.delete(&path).await.problem(), (404, "key_not_found".to_owned()));
    for (body, code) in [
        (json!({ "name": "x", "role": "operator" }), (400, "invalid_role")),
        (json!({ "name": "x", "role": "kiosk" }), (400, "invalid_role")),
        (json!({ "name": "x", "role": "admin", "groups": ["g"] }), (400, "invalid_role")),
        (json!({ "name": "x", "role": "king" }), (400, "invalid_json")),
        (json!({ "name": "", "role": "admin" }), (400, "invalid_name")),
        (json!({ "name": "x", "role": "kiosk", "groups": ["none"] }), (404, "group_not_found")),
        (json!({ "name": "x", "role": "admin", "expires_at": "2001-01-01T00:00:00Z" }), (400, "invalid_expiry")),
    ] {
        assert_eq!(api.post("/api/v1/keys", &body).await.problem(), (code.0, code.1.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn a_group_that_goes_takes_the_rights_to_it_along() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.group("h").await;
    api.new_user("ada", "teacher", &["g", "h"]).await;
    let (ada, _) = api.logged_in("ada", PASSWORD).await;
    let made = api.new_key(&json!({ "name": "door", "role": "kiosk", "groups": ["g"] })).await;
    let kiosk = api.with_key(made["key"].as_str().unwrap());
    ada.get("/api/v1/groups/g").await.expect(200);
    assert_eq!(api.delete("/api/v1/groups/g").await.status, 204);
    api.group("g").await;
    assert_eq!(ada.get("/api/v1/groups/g").await.status, 403, "the new group is another");
    ada.get("/api/v1/groups/h").await.expect(200);
    assert_eq!(kiosk.recognize("g", &[], &[&portrait("obama")]).await.status, 403);
    let check = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!(check["problems"], json!({}));
}

#[tokio::test]
async fn a_kiosk_marks_and_is_told_who_was_marked_and_no_other_name() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("p", &["g"], "obama").await;
    api.enrol("absent", &["g"], "biden").await;
    let made = api.new_key(&json!({ "name": "door", "role": "kiosk", "groups": ["g"] })).await;
    let kiosk = api.with_key(made["key"].as_str().unwrap());
    let photo = portrait("obama2");
    for mark in ["marked", "already_marked"] {
        let seen = kiosk.recognize("g", &[], &[&photo]).await.expect(200);
        assert_eq!((&seen["present"][0]["person"], &seen["present"][0]["attendance"]), (&json!("p"), &json!(mark)));
        let face = &seen["photos"][0]["faces"][0];
        assert_eq!((&face["person"], &face["name"], &face["hint"]), (&json!("p"), &json!("p"), &Value::Null));
        assert_eq!((&seen["not_seen"], &face["attendance"]), (&json!([]), &json!(mark)));
        assert!(!seen.to_string().contains("absent"), "{seen}");
    }
    let fields = [
        ("mark", "false"),
        ("threshold", "-1"),
        ("margin", "0"),
        ("annotate", "true"),
        ("explain", "true"),
        ("pose", "true"),
    ];
    for field in fields {
        let answer = kiosk.recognize("g", &[field], &[&photo]).await;
        assert_eq!(answer.problem(), (403, "forbidden".to_owned()), "{field:?}");
    }
    kiosk.recognize("g", &[("liveness", "off"), ("class", "bulk")], &[&photo]).await.expect(200);
    assert_eq!(api.records("g", "").await.len(), 1);
}

/// What it is about, the photo, what is asked, and the hints of its faces.
type KioskCase<'a> = (&'a str, Vec<u8>, &'a [(&'a str, &'a str)], &'a [Option<&'a str>]);

#[tokio::test]
async fn a_kiosk_is_told_what_to_do_and_nothing_of_whose_an_unmarked_face_could_be() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("obama", &["g"], "obama").await;
    // Enrolled twice: to be confirmed, so nobody's name is shown.
    for twin in ["hopper", "grace"] {
        api.enrol(twin, &["g"], "hopper").await;
    }
    let made = api.new_key(&json!({ "name": "door", "role": "kiosk", "groups": ["g"] })).await;
    let kiosk = api.with_key(made["key"].as_str().unwrap());
    let mut dark = scaled("astronaut", 300);
    dark.pixels_mut().flat_map(|pixel| &mut pixel.0).for_each(|level| *level /= 7);
    let strict = [("liveness", "strict")];
    let table: [KioskCase<'_>; 7] = [
        ("a stranger", portrait("astronaut"), &[], &[Some("not_known")]),
        ("a dark stranger", jpeg(&dark), &[], &[Some("too_dark")]),
        ("far away", class_photo(&[("obama2", 40), ("biden", 300)]), &[], &[Some("come_closer"), Some("not_known")]),
        ("too far to see life", class_photo(&[("obama2", 100)]), &strict, &[Some("come_closer")]),
        ("twice", class_photo(&[("obama2", 300), ("obama3", 300)]), &[], &[None, Some("one_at_a_time")]),
        ("to be confirmed", portrait("hopper"), &[], &[None]),
        ("known and unknown", class_photo(&[("obama2", 300), ("biden", 300)]), &[], &[None, Some("not_known")]),
    ];
    for (what, photo, fields, expected) in table {
        let seen = kiosk.recognize("g", fields, &[&photo]).await.expect(200);
        let faces = seen["photos"][0]["faces"].as_array().unwrap();
        let mut hints: Vec<Option<&str>> = faces.iter().map(|face| face["hint"].as_str()).collect();
        hints.sort_unstable();
        assert_eq!(hints, expected, "{what}: {seen}");
        for face in faces {
            let is_marked = ["marked", "already_marked"].contains(&face["attendance"].as_str().unwrap());
            assert_eq!(face["person"].is_null(), !is_marked, "{what}: {face}");
            for field in ["similarity", "margin", "reason", "liveness", "pose"] {
                assert_eq!(face[field], Value::Null, "{what}: {face}");
            }
            assert_eq!(face["candidates"], json!([]), "{what}");
        }
        let of_marked = json!(faces.iter().filter(|face| !face["person"].is_null()).collect::<Vec<_>>());
        for name in ["obama", "hopper", "grace"] {
            assert!(
                of_marked.to_string().contains(name) || !seen.to_string().contains(name),
                "{what}: {name} in {seen}"
            );
        }
    }
    let seen = api.recognize("g", &[], &[&portrait("astronaut")]).await.expect(200);
    assert_eq!(seen["photos"][0]["faces"][0]["hint"], "not_known", "others are told as well");
    let looked = api.recognize("g", &[("mark", "false")], &[&portrait("astronaut")]).await.expect(200);
    assert_eq!(looked["photos"][0]["faces"][0]["hint"], Value::Null, "nobody wants to be marked");
}

#[tokio::test]
async fn a_kiosk_says_when_photos_were_taken_within_its_session_or_its_allowance() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("p", &["g"], "obama").await;
    let kiosk = async |offline_hours: Value| {
        let new = json!({ "name": "door", "role": "kiosk", "groups": ["g"], "offline_hours": offline_hours });
        let made = api.new_key(&new).await;
        assert_eq!(made["offline_hours"], offline_hours);
        api.with_key(made["key"].as_str().unwrap())
    };
    let (online, offline) = (kiosk(json!(null)).await, kiosk(json!(60)).await);
    let photo = portrait("obama2");
    // On days of their own: by whom, how many hours ago, whether it is to be confirmed, and whether it is marked as offline.
    for (kiosk, hours, is_doubted, is_offline) in [
        (&online, 0, false, false),
        (&online, 26, true, false),
        (&offline, 50, false, true),
        (&offline, 74, true, false),
        (api, 98, false, false),
    ] {
        let at = Timestamp::now() - SignedDuration::from_hours(hours);
        kiosk.recognize("g", &[("at", &at.to_string())], &[&photo]).await.expect(200);
        let date = at.to_zoned(TimeZone::UTC).date();
        let record = api.records("g", &format!("?date={date}")).await.remove(0);
        assert_eq!(record["state"] == "to_confirm", is_doubted, "{hours}: {record}");
        let session = format!("/api/v1/sessions/{}/records", record["session"].as_str().unwrap());
        let evidence = api.get(&session).await.expect(200)["records"][0]["sightings"].clone();
        assert_eq!((evidence[0]["offline"].clone(), evidence[1].is_null()), (json!(is_offline), true), "{hours}");
    }
    for (role, hours) in [("kiosk", 0), ("kiosk", 169), ("teacher", 5)] {
        let new = json!({ "name": "x", "role": role, "groups": ["g"], "offline_hours": hours });
        let refused = (400, "invalid_offline_hours".to_owned());
        assert_eq!(api.post("/api/v1/keys", &new).await.problem(), refused, "{role} {hours}");
    }
}

#[tokio::test]
async fn a_login_lasts_as_long_as_it_is_refreshed_and_ends_at_once() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.new_user("ada@school.example", "teacher", &["g"]).await;
    let user = "ada@school.example";
    let pair = api.log_in(user, PASSWORD).await.expect(200);
    assert_eq!(pair["expires_in"], 900);
    let ada = api.with_key(pair["access_token"].as_str().unwrap());
    let me = ada.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me, json!({ "tenant": "default", "user": user, "key": null, "role": "teacher", "groups": ["g"] }));
    // A role that changes holds for a token that was there before.
    let path = format!("/api/v1/users/{user}");
    api.send(Method::PATCH, &path, &json!({ "role": "viewer" })).await.expect(200);
    ada.get("/api/v1/people").await.expect(200);
    // Each refresh token is good once; one that comes twice ends the login.
    let first = pair["refresh_token"].as_str().unwrap();
    let next = api.refresh(first).await.expect(200);
    let fresh = ada.with_key(next["access_token"].as_str().unwrap());
    fresh.get("/api/v1/people").await.expect(200);
    assert_eq!(api.refresh(first).await.status, 401);
    for token in [&ada, &fresh] {
        assert_eq!(token.get("/api/v1/people").await.status, 401, "the login was ended");
    }
    assert_eq!(api.refresh(next["refresh_token"].as_str().unwrap()).await.status, 401);
    // Logging out ends one login and no other.
    let ((one, refresh), (two, _)) = (api.logged_in(user, PASSWORD).await, api.logged_in(user, PASSWORD).await);
    assert_eq!(one.post("/api/v1/auth/logout", &json!(null)).await.status, 204);
    assert_eq!(one.get("/api/v1/people").await.status, 401);
    assert_eq!(api.refresh(&refresh).await.status, 401);
    two.get("/api/v1/people").await.expect(200);
    // A new password ends the others; a deleted user has none left.
    let (three, _) = api.logged_in(user, PASSWORD).await;
    let change = |old: &str, new: &str| json!({ "old": old, "new": new });
    let wrong = two.post("/api/v1/auth/password", &change("wrong password", "another password")).await;
    assert_eq!(wrong.problem(), (403, "wrong_password".to_owned()));
    let short = two.post("/api/v1/auth/password", &change(PASSWORD, "short")).await;
    assert_eq!(short.problem(), (400, "invalid_password".to_owned()));
    assert_eq!(two.post("/api/v1/auth/password", &change(PASSWORD, "another password")).await.status, 204);
    two.get("/api/v1/people").await.expect(200);
    assert_eq!(three.get("/api/v1/people").await.status, 401);
    let wrong = api.log_in(user, PASSWORD).await;
    assert_eq!(wrong.problem(), (401, "wrong_login".to_owned()));
    assert!(!wrong.text().contains("tenant"), "{}", wrong.text());
    let without = json!({ "user": user, "password": "another password" });
    let without = api.without_key().post("/api/v1/auth/login", &without).await;
    assert_eq!(without.problem(), (401, "wrong_login".to_owned()));
    assert!(without.text().contains("the tenant is missing"), "{}", without.text());
    let (four, _) = api.logged_in(user, "another password").await;
    api.send(Method::PATCH, &path, &json!({ "password": PASSWORD })).await.expect(200);
    assert_eq!(four.get("/api/v1/people").await.status, 401);
    let (five, refresh) = api.logged_in(user, PASSWORD).await;
    let check = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!((&check["problems"], &check["records"]["session"]), (&json!({}), &json!(1)));
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(five.get("/api/v1/people").await.status, 401);
    assert_eq!(api.refresh(&refresh).await.status, 401);
    assert_eq!(api.post("/api/v1/auth/logout", &json!(null)).await.problem(), (409, "no_login".to_owned()));
}

#[tokio::test]
async fn a_refresh_token_that_was_never_issued_ends_nothing_and_one_that_comes_twice_ends_its_login() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.new_user("ada", "viewer", &[]).await;
    let (ada, first) = api.logged_in("ada", PASSWORD).await;
    // Whoever has seen an access token knows its login.
    let (login, secret) = first.split_at(first.len() - 64);
    let nearly = format!("{}{}", &secret[..63], if secret.ends_with('0') { '1' } else { '0' });
    for made_up in ["0".repeat(64), nearly, String::new()] {
        let refused = api.refresh(&format!("{login}{made_up}")).await;
        assert_eq!(refused.problem(), (401, "login_over".to_owned()));
        ada.get("/api/v1/people").await.expect(200);
    }
    let next = api.refresh(&first).await.expect(200)["refresh_token"].as_str().unwrap().to_owned();
    let last = api.refresh(&next).await.expect(200)["refresh_token"].as_str().unwrap().to_owned();
    let server = server.restart().await;
    let api = &server.api;
    assert_eq!(api.refresh(&first).await.status, 401, "long spent, and issued");
    assert_eq!(api.refresh(&last).await.status, 401, "the login was ended");
    assert_eq!(api.with_key(ada.key()).get("/api/v1/people").await.status, 401);
}

#[tokio::test]
async fn a_suspended_tenants_logins_give_no_tokens_and_go_on_once_it_is_open_again() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.new_user("ada", "viewer", &[]).await;
    let (_, refresh) = api.logged_in("ada", PASSWORD).await;
    let suspend = async |is_suspended: bool| {
        let patch = json!({ "suspended": is_suspended });
        server.operator().send(Method::PATCH, "/api/v1/tenants/default", &patch).await.expect(200);
    };
    suspend(true).await;
    for _ in 0..10 {
        assert_eq!(api.log_in("ada", PASSWORD).await.problem(), (403, "tenant_suspended".to_owned()));
    }
    assert_eq!(api.log_in("ada", "wrong password").await.problem(), (401, "wrong_login".to_owned()));
    assert_eq!(api.refresh(&refresh).await.problem(), (403, "tenant_suspended".to_owned()));
    suspend(false).await;
    api.refresh(&refresh).await.expect(200);
    api.log_in("ada", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn logins_and_their_keys_survive_a_restart_and_a_rotation() {
    let server = TestServer::start().await;
    server.api.new_user("ada", "viewer", &[]).await;
    let (ada, refresh) = server.api.logged_in("ada", PASSWORD).await;
    assert_eq!(server.operator().post("/api/v1/auth/rotate", &json!(null)).await.status, 204);
    ada.get("/api/v1/people").await.expect(200);
    let (after, _) = server.api.logged_in("ada", PASSWORD).await;
    let kid = |api: &Api| api.key().split('.').next().unwrap().to_owned();
    assert_ne!(kid(&ada), kid(&after));
    let server = server.restart().await;
    for api in [&ada, &after] {
        server.api.with_key(api.key()).get("/api/v1/people").await.expect(200);
    }
    server.api.refresh(&refresh).await.expect(200);
    let file = std::fs::metadata(server.data().join("tokens.secret")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777, 0o600);
}

#[tokio::test]
async fn a_user_is_one_of_a_tenant_and_an_operator_of_none() {
    let server = TestServer::start().await;
    let other = server.tenant("other").await;
    for api in [&server.api, &other] {
        api.new_user("ada", "admin", &[]).await;
    }
    let operator = server.operator();
    operator.new_user("ada", "operator", &[]).await;
    let log_in = async |tenant: Value| {
        let login = json!({ "tenant": tenant, "user": "ada", "password": PASSWORD });
        server
            .api
            .with_key(server.api.without_key().post(LOGIN, &login).await.expect(200)["access_token"].as_str().unwrap())
    };
    let (ours, theirs, operating) =
        (log_in(json!("default")).await, log_in(json!("other")).await, log_in(json!(null)).await);
    ours.group("only here").await;
    assert_eq!(theirs.get("/api/v1/groups").await.expect(200)["groups"], json!([]));
    operating.get("/api/v1/tenants/other").await.expect(200);
    assert_eq!(operating.get("/api/v1/groups").await.status, 403);
    assert_eq!(operating.get("/api/v1/users").await.expect(200)["users"].as_array().unwrap().len(), 1);
    assert_eq!(
        ours.post("/api/v1/users", &json!({ "id": "eve", "password": PASSWORD, "role": "operator" })).await.status,
        400
    );
    assert_eq!(
        ours.post("/api/v1/users", &json!({ "id": "ada", "password": PASSWORD, "role": "viewer" })).await.problem().1,
        "user_exists"
    );
    let patched = ours.send(Method::PATCH, "/api/v1/users/ada", &json!({ "role": "kiosk" })).await;
    assert_eq!(patched.problem(), (400, "invalid_role".to_owned()));
    assert!(!ours.get("/api/v1/users/ada").await.text().contains("argon2"));
}

#[tokio::test]
async fn guessing_is_slowed_down_by_account_and_by_address() {
    let server = TestServer::with(&[("server.trusted_proxies", "127.0.0.1")]).await;
    let api = &server.api;
    api.new_user("ada", "viewer", &[]).await;
    let from = async |address: &str, user: &str, password: &str| {
        let body = json!({ "tenant": "default", "user": user, "password": password });
        Answer::to(api.without_key().request(Method::POST, LOGIN).header("x-forwarded-for", address).json(&body)).await
    };
    let unknown = from("203.0.113.1", "nobody", PASSWORD).await;
    let wrong = from("203.0.113.1", "ada", "wrong password").await;
    for answer in [&unknown, &wrong] {
        assert_eq!(answer.problem(), (401, "wrong_login".to_owned()));
    }
    assert_eq!(unknown.json()["error"], wrong.json()["error"], "an unknown user cannot be told from a wrong password");
    let mut last = wrong;
    for _ in 0..20 {
        last = from("203.0.113.1", "ada", "wrong password").await;
        if last.status == 429 {
            break;
        }
    }
    assert_eq!(last.problem(), (429, "too_many_attempts".to_owned()));
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Nobody keeps the owner out from elsewhere, not even where they guess from everywhere.
    for n in 2..60 {
        assert_eq!(from(&format!("203.0.113.{n}"), "ada", "wrong password").await.status, 401, "{n}");
    }
    from("203.0.113.200", "ada", PASSWORD).await.expect(200);
    let unknown_key = async |address: &str| {
        let request = api.without_key().request(Method::GET, "/api/v1/people");
        Answer::to(request.header("x-api-key", "rk_0").header("x-forwarded-for", address)).await.status
    };
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(unknown_key("198.51.100.1, 203.0.113.77").await);
    }
    assert!(statuses[..50].iter().all(|&status| status == 401), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(unknown_key("203.0.113.77, 198.51.100.1").await, 401, "the address that the proxy saw counts");
    api.get("/api/v1/people").await.expect(200);
    // One who guesses does not lock out a good key, not even from the same address.
    let request = api.request(Method::GET, "/api/v1/people").header("x-forwarded-for", "203.0.113.77");
    assert_eq!(Answer::to(request).await.status, 200);
}

#[tokio::test]
async fn a_password_cannot_be_an_image_of_the_upload_and_many_logins_do_not_make_memory_grow() {
    let server = TestServer::start().await;
    let api = &server.api;
    let long = json!({ "tenant": "default", "user": "x", "password": "x".repeat(9_000) });
    assert_eq!(api.without_key().post(LOGIN, &long).await.status, 413);
    let upload = api.without_key().post_form(LOGIN, form(&[("user", "x")], &[&portrait("obama")])).await;
    assert_eq!(upload.status, 415);
    // More at once than may wait: each gets an answer, and some are told to come back.
    let logins = (0..150).map(|n| {
        let body = json!({ "tenant": "default", "user": format!("user{n}"), "password": PASSWORD });
        let request = api.without_key().request(Method::POST, LOGIN).json(&body);
        async move { Answer::to(request).await.status }
    });
    let statuses = futures_util::future::join_all(logins).await;
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&429));
}

#[tokio::test]
async fn a_tenants_flood_of_new_passwords_keeps_nobody_elsewhere_from_logging_in() {
    let server = TestServer::start().await;
    let (api, other) = (&server.api, server.tenant("other").await);
    for api in [api, &other] {
        api.new_user("ada", "viewer", &[]).await;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let mut flood = JoinSet::new();
    // More than may wait, each again at once.
    for _ in 0..100 {
        let (api, is_over) = (api.clone(), Arc::clone(&is_over));
        flood.spawn(async move {
            let mut statuses = BTreeSet::new();
            while !is_over.load(Ordering::Relaxed) {
                let change = json!({ "password": PASSWORD });
                statuses.insert(api.send(Method::PATCH, "/api/v1/users/ada", &change).await.status);
            }
            statuses
        });
    }
    for (tenant, user) in [("other", "ada"), ("other", "nobody"), ("nowhere", "ada")].into_iter().cycle().take(12) {
        let login = json!({ "tenant": tenant, "user": user, "password": PASSWORD });
        let expected = if (tenant, user) == ("other", "ada") { 200 } else { 401 };
        assert_eq!(api.without_key().post(LOGIN, &login).await.status, expected, "{user} of {tenant}");
    }
    is_over.store(true, Ordering::Relaxed);
    let statuses: BTreeSet<u16> = flood.join_all().await.into_iter().flatten().collect();
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 429], "who floods is told to come back");
}
