//! People, their face samples, groups and rosters: every verb.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, TestServer, class_photo, form, images::empty_room, portrait};

/// Ids with everything that is allowed in them, and how they look in a path.
const ODD_IDS: [(&str, &str); 5] = [
    ("2024/cs 101", "2024%2Fcs%20101"),
    ("jane.doe+x@uni:1", "jane.doe%2Bx%40uni%3A1"),
    ("a/../b", "a%2F..%2Fb"),
    ("a_b-c", "a_b-c"),
    ("plus+and@at", "plus+and@at"),
];

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

async fn add(api: &Api, path: &str, fields: &[(&str, &str)], photos: &[&[u8]]) -> Answer {
    api.post_form(path, form(fields, photos)).await
}

/// Who is named in a photo, looked up in the whole gallery.
async fn named(api: &Api, photo: &[u8]) -> Vec<String> {
    let found = add(api, "/api/v1/identify", &[], &[photo]).await.expect(200);
    found["present"].as_array().unwrap().iter().map(|one| one["person"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_person_is_enrolled_from_several_photos() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("a").await;
    api.group("b").await;
    let photos = [portrait("obama"), portrait("obama2")];
    let fields = [("id", "p"), ("name", "  Zoë 李 Ødegård  "), ("groups", "b"), ("groups", "a")];
    let made = add(api, "/api/v1/people", &fields, &[&photos[0], &photos[1]]).await.expect(201);
    assert_eq!((&made["id"], &made["name"]), (&json!("p"), &json!("Zoë 李 Ødegård")));
    assert_eq!((&made["groups"], &made["rejected"]), (&json!(["a", "b"]), &json!([])));
    let faces = made["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 2);
    for face in faces {
        assert!(face["score"].as_f64().unwrap() > 0.75);
        let quality = &face["quality"];
        assert!((100.0..250.0).contains(&quality["width_px"].as_f64().unwrap()), "{quality}");
        for measure in ["sharpness", "brightness", "norm"] {
            assert!(quality[measure].as_f64().unwrap() > 0.0, "{quality}");
        }
        for angle in ["yaw", "pitch", "roll"] {
            assert!(quality[angle].as_f64().unwrap().abs() < 45.0, "{quality}");
        }
        assert!(face.get("vector").is_none() && face.get("embedding").is_none());
    }
    let mut shown = made.clone();
    for part in ["accepted", "rejected", "duplicates"] {
        shown.as_object_mut().unwrap().remove(part);
    }
    assert_eq!(api.get("/api/v1/people/p").await.expect(200), shown);
    let unnamed = add(api, "/api/v1/people", &[("name", "x")], &[&photos[0]]).await.expect(201);
    assert_eq!(unnamed["id"].as_str().unwrap().len(), 36, "an id is made up");
}

#[tokio::test]
async fn images_that_cannot_be_used_are_listed_with_reasons() {
    let server = TestServer::start().await;
    let (one, two) = (portrait("obama"), class_photo(&[("obama2", 300), ("biden", 300)]));
    let images = [&b"not an image"[..], &one, &empty_room(300, 300), &two];
    let made = add(&server.api, "/api/v1/people", &[("id", "p"), ("name", "P")], &images).await.expect(201);
    assert_eq!(made["faces"].as_array().unwrap().len(), 1);
    let reasons: Vec<_> = made["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["image"].as_u64().unwrap(), one["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(reasons, [(0, "not_an_image"), (2, "no_face"), (3, "several_faces")]);
    assert!(made["rejected"].as_array().unwrap().iter().all(|one| !one["message"].as_str().unwrap().is_empty()));
}

#[tokio::test]
async fn when_no_image_can_be_used_no_person_is_made() {
    let server = TestServer::start().await;
    let (api, room) = (&server.api, empty_room(300, 300));
    let refused = add(api, "/api/v1/people", &[("id", "p"), ("name", "P")], &[&room, b"nothing"]).await;
    assert_eq!(refused.problem(), (422, "no_usable_image".to_owned()));
    let rejected = &refused.json()["error"]["details"]["rejected"];
    assert_eq!((&rejected[0]["reason"], &rejected[1]["reason"]), (&json!("no_face"), &json!("not_an_image")));
    assert_eq!(api.get("/api/v1/people/p").await.problem(), (404, "person_not_found".to_owned()));
    // The id is free.
    api.enrol("p", &[], "obama").await;
}

#[tokio::test]
async fn nothing_is_made_for_an_unknown_group_or_a_taken_id() {
    let server = TestServer::start().await;
    let (api, photo) = (&server.api, portrait("obama"));
    api.group("g").await;
    let fields = [("id", "p"), ("name", "P"), ("groups", "g"), ("groups", "none")];
    assert_eq!(add(api, "/api/v1/people", &fields, &[&photo]).await.problem(), (404, "group_not_found".to_owned()));
    assert_eq!(api.get("/api/v1/people/p").await.status, 404);
    assert_eq!(api.get("/api/v1/groups/g").await.expect(200)["people"], json!([]));
    api.enrol("p", &[], "obama").await;
    let again = [("id", "p"), ("name", "Other"), ("groups", "g")];
    assert_eq!(add(api, "/api/v1/people", &again, &[&photo]).await.problem(), (409, "person_exists".to_owned()));
    let kept = api.get("/api/v1/people/p").await.expect(200);
    assert_eq!((&kept["name"], &kept["groups"]), (&json!("p"), &json!([])));
    assert_eq!(kept["faces"].as_array().unwrap().len(), 1);
    // At the same time as well: one is made, the others are told.
    let race = [("id", "race"), ("name", "R")];
    let photos = [photo.as_slice()];
    let racers = (0..5).map(|_| add(api, "/api/v1/people", &race, &photos));
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(racers).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409]);
    assert_eq!(api.get("/api/v1/people/race").await.expect(200)["faces"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn which_face_of_a_photo_is_meant() {
    let server = TestServer::start().await;
    let api = &server.api;
    let clear = class_photo(&[("obama", 420), ("biden", 120)]);
    let alike = class_photo(&[("obama", 300), ("biden", 300)]);
    let enrol = async |faces: &str, photo: &[u8]| {
        let answer = add(api, "/api/v1/people", &[("name", "x"), ("faces", faces)], &[photo]).await;
        if answer.status == 201 {
            "made".to_owned()
        } else {
            answer.json()["error"]["details"]["rejected"][0]["reason"].as_str().unwrap_or("refused").to_owned()
        }
    };
    assert_eq!(enrol("clear", &clear).await, "made");
    assert_eq!(enrol("clear", &alike).await, "several_faces");
    assert_eq!(enrol("one", &clear).await, "several_faces");
    assert_eq!(enrol("one", &portrait("obama")).await, "made");
    assert_eq!(enrol("largest", &alike).await, "made");
    assert_eq!(enrol("all", &clear).await, "refused");
    assert_eq!(enrol("Clear", &clear).await, "refused");
    let largest = add(api, "/api/v1/people", &[("id", "big"), ("name", "x"), ("faces", "largest")], &[&clear]).await;
    largest.expect(201);
    let verified = add(api, "/api/v1/people/big/verify", &[], &[&portrait("obama2")]).await.expect(200);
    assert_eq!(verified["verified"], true, "the large face was taken: {verified}");
}

#[tokio::test]
async fn images_may_come_as_base64_in_json() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    let plain = BASE64_STANDARD.encode(portrait("obama"));
    let url = format!("data:image/jpeg;base64,{plain}");
    let body = json!({ "id": "p", "name": "P", "groups": ["g"], "faces": "one", "images": [plain, url] });
    let made = api.post("/api/v1/people", &body).await.expect(201);
    assert_eq!((made["faces"].as_array().unwrap().len(), &made["groups"]), (2, &json!(["g"])));
    let photo = BASE64_STANDARD.encode(portrait("obama2"));
    let body = json!({ "images": [photo], "mark": false, "threshold": 0.4, "at": "2026-01-02T03:04:05Z" });
    let seen = api.post("/api/v1/groups/g/recognize", &body).await.expect(200);
    assert_eq!(seen["present"][0]["person"], "p");
    for bad in ["%%%", "data:image/jpeg;base64,%%%", "data:image/jpeg,abc"] {
        let answer = api.post("/api/v1/detect", &json!({ "images": [bad] })).await;
        assert_eq!(answer.problem(), (400, "invalid_base64".to_owned()), "{bad}");
    }
}

#[tokio::test]
async fn odd_ids_work_on_every_route() {
    let server = TestServer::start().await;
    let api = &server.api;
    for (id, path) in ODD_IDS {
        api.group(id).await;
        let (group, person) = (format!("/api/v1/groups/{path}"), format!("/api/v1/people/{path}"));
        api.enrol(id, &[], "obama").await;
        api.send(Method::PUT, &format!("{group}/people/{path}"), &json!({})).await.expect(204);
        assert_eq!(api.get(&group).await.expect(200)["people"], json!([id]));
        assert_eq!(api.get(&person).await.expect(200)["groups"], json!([id]));
        let seen = api.recognize(path, &[], &[&portrait("obama2")]).await.expect(200);
        assert_eq!(seen["present"][0]["person"], id);
        let record = api.records(path, "").await[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(api.delete(&format!("{group}/attendance/{record}")).await.status, 204);
        assert_eq!(api.send(Method::PATCH, &person, &json!({ "name": "new" })).await.expect(200)["name"], "new");
        assert_eq!(api.delete(&format!("{group}/people/{path}")).await.status, 204);
        assert_eq!(api.delete(&person).await.status, 204);
        assert_eq!(api.delete(&group).await.status, 204);
        assert_eq!(api.get(&group).await.status, 404);
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = TestServer::start().await;
    let api = &server.api;
    let all = ["a", "a b", "a/b", "b+c", "d"];
    for id in all {
        api.group(id).await;
        api.enrol(id, &[], "biden").await;
    }
    for (path, kind) in [("/api/v1/groups", "groups"), ("/api/v1/people", "people")] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let mut query = vec![("limit", "2".to_owned())];
            query.extend(after.take().map(|after| ("after", after)));
            let query: Vec<String> = query
                .into_iter()
                .map(|(key, value)| format!("{key}={}", value.replace('+', "%2B").replace(' ', "+")))
                .collect();
            let page = api.get(&format!("{path}?{}", query.join("&"))).await.expect(200);
            let entries: Vec<String> = ids(&page[kind]).into_iter().map(str::to_owned).collect();
            assert!(entries.len() <= 2);
            seen.extend(entries);
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(seen, all, "{kind}");
        assert_eq!(api.get(&format!("{path}?limit=5")).await.expect(200)["next"], Value::Null);
        match kind {
            "groups" => assert_eq!(ids(&api.get(&format!("{path}?after=zzz")).await.expect(200)[kind]).len(), 0),
            _ => assert_eq!(api.get(&format!("{path}?after=zzz")).await.problem(), (400, "invalid_cursor".to_owned())),
        }
    }
}

#[tokio::test]
async fn samples_are_replaced_all_or_none_added_and_deleted() {
    let server = TestServer::start().await;
    let api = &server.api;
    let faces = "/api/v1/people/p/faces";
    // Samples of two people in one, to tell them apart.
    let lax = json!({ "enrolment": { "quality": "off" } });
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &lax).await.expect(200);
    let first = api.enrol("p", &[], "obama").await;
    let choice = [("faces", "one")];
    let refused = api.put_form(faces, form(&choice, &[&empty_room(200, 200)])).await;
    assert_eq!(refused.problem(), (422, "no_usable_image".to_owned()));
    assert_eq!(api.get("/api/v1/people/p").await.expect(200)["faces"], first["faces"], "none was replaced");
    let replaced = api.put_form(faces, form(&choice, &[&portrait("biden"), &portrait("biden")])).await.expect(200);
    assert_eq!(ids(&replaced["faces"]).len(), 2);
    assert!(!ids(&replaced["faces"]).contains(&ids(&first["faces"])[0]));
    assert_eq!(named(api, &portrait("obama2")).await.len(), 0, "the old sample is not found any more");
    assert_eq!(named(api, &portrait("biden")).await, ["p"]);
    let added = add(api, faces, &choice, &[&portrait("obama3"), &empty_room(200, 200)]).await.expect(201);
    assert_eq!((ids(&added["faces"]).len(), &added["rejected"][0]["reason"]), (1, &json!("no_face")));
    assert_eq!(named(api, &portrait("obama2")).await, ["p"]);
    let sample = ids(&added["faces"])[0].to_owned();
    assert_eq!(api.delete(&format!("{faces}/{sample}")).await.status, 204);
    assert_eq!(named(api, &portrait("obama2")).await.len(), 0);
    assert_eq!(api.delete(&format!("{faces}/{sample}")).await.problem(), (404, "face_not_found".to_owned()));
    assert_eq!(api.delete(&format!("{faces}/nonsense")).await.problem(), (400, "invalid_id".to_owned()));
    assert_eq!(ids(&api.get("/api/v1/people/p").await.expect(200)["faces"]), ids(&replaced["faces"]));
    for path in ["/api/v1/people/none/faces", "/api/v1/people/none/verify"] {
        assert_eq!(add(api, path, &[], &[&portrait("obama")]).await.status, 404, "{path}");
    }
    assert_eq!(api.put_form("/api/v1/people/none/faces", form(&choice, &[&portrait("obama")])).await.status, 404);
}

#[tokio::test]
async fn a_deleted_person_is_absent_from_the_very_next_search_and_may_come_back() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    for _ in 0..3 {
        api.enrol("p", &["g"], "obama").await;
        assert_eq!(named(api, &portrait("obama2")).await, ["p"]);
        let seen = api.recognize("g", &[], &[&portrait("obama2")]).await.expect(200);
        assert_eq!(seen["present"][0]["attendance"], "marked", "attendance went with the person");
        assert_eq!(api.delete("/api/v1/people/p").await.status, 204);
        assert_eq!(named(api, &portrait("obama2")).await.len(), 0);
        let unseen = api.recognize("g", &[], &[&portrait("obama2")]).await.expect(200);
        assert_eq!((&unseen["present"], &unseen["not_seen"]), (&json!([]), &json!([])));
        assert_eq!(api.records("g", "").await.len(), 0);
        assert_eq!(api.delete("/api/v1/people/p").await.problem(), (404, "person_not_found".to_owned()));
    }
}

#[tokio::test]
async fn people_and_groups_are_changed_and_rosters_follow() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("a").await;
    api.group("b").await;
    api.enrol("p", &["a"], "obama").await;
    let person = "/api/v1/people/p";
    let patched = api.send(Method::PATCH, person, &json!({ "name": "新しい" })).await.expect(200);
    assert_eq!((&patched["name"], &patched["groups"]), (&json!("新しい"), &json!(["a"])));
    let moved = api.send(Method::PATCH, person, &json!({ "groups": ["b"] })).await.expect(200);
    assert_eq!((&moved["name"], &moved["groups"]), (&json!("新しい"), &json!(["b"])));
    assert_eq!(api.get("/api/v1/groups/a").await.expect(200)["people"], json!([]));
    let unknown = api.send(Method::PATCH, person, &json!({ "name": "x", "groups": ["a", "none"] })).await;
    assert_eq!(unknown.problem(), (404, "group_not_found".to_owned()));
    assert_eq!(api.get(person).await.expect(200), moved, "all or nothing");
    for _ in 0..2 {
        api.send(Method::PUT, "/api/v1/groups/a/people/p", &json!({})).await.expect(204);
    }
    assert_eq!(api.get(person).await.expect(200)["groups"], json!(["a", "b"]));
    assert_eq!(api.send(Method::PUT, "/api/v1/groups/a/people/none", &json!({})).await.status, 404);
    assert_eq!(api.send(Method::PUT, "/api/v1/groups/none/people/p", &json!({})).await.status, 404);
    assert_eq!(api.delete("/api/v1/groups/a/people/p").await.status, 204);
    assert_eq!(api.get(person).await.expect(200)["groups"], json!(["b"]));
    let group = "/api/v1/groups/b";
    let renamed = api.send(Method::PATCH, group, &json!({ "name": "B", "time_zone": "asia/tokyo" })).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["time_zone"]), (&json!("B"), &json!("Asia/Tokyo")));
    for bad in [json!({ "time_zone": "Nowhere" }), json!({ "name": " " }), json!({ "id": "c" })] {
        assert_eq!(api.send(Method::PATCH, group, &bad).await.status, 400, "{bad}");
    }
    assert_eq!(api.delete(group).await.status, 204);
    assert_eq!(api.get(person).await.expect(200)["groups"], json!([]), "its people stay");
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(Answer::to(api.request(method, group)).await.status, 404);
    }
    assert_eq!(api.send(Method::PATCH, group, &json!({ "name": "x" })).await.status, 404);
    let bare = api.post("/api/v1/groups", &json!({ "name": "no id" })).await.expect(201);
    assert_eq!((bare["id"].as_str().unwrap().len(), &bare["time_zone"]), (36, &json!("UTC")));
}
