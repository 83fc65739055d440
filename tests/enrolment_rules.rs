//! What may stand for a person: quality, agreement, and nobody twice.

use std::{fs, path::Path};

use image::{RgbImage, imageops};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Api, TestServer, class_photo, form,
    images::{jpeg, scaled},
    portrait,
};

const PORTRAITS: [&str; 6] = ["astronaut", "biden", "hopper", "obama", "obama2", "obama3"];

/// Sets the tenant's rules.
async fn rules(server: &TestServer, rules: Value) -> Value {
    let patch = json!({ "enrolment": rules });
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &patch).await.expect(200)["enrolment"].clone()
}

async fn enrol(api: &Api, id: &str, fields: &[(&str, &str)], photos: &[&[u8]]) -> Answer {
    let fields = [&[("id", id), ("name", id)][..], fields].concat();
    api.post_form("/api/v1/people", form(&fields, photos)).await
}

/// Each refused image with its reason.
fn reasons(rejected: &Value) -> Vec<(u64, &str)> {
    let rejected = rejected.as_array().unwrap().iter();
    rejected.map(|one| (one["image"].as_u64().unwrap(), one["reason"].as_str().unwrap())).collect()
}

/// The one reason why nothing of a request was taken.
fn refusal(answer: &Answer) -> String {
    assert_eq!(answer.problem(), (422, "no_usable_image".to_owned()));
    let body = answer.json();
    let rejected = &body["error"]["details"]["rejected"];
    assert_eq!(rejected.as_array().unwrap().len(), 1, "{rejected}");
    rejected[0]["reason"].as_str().unwrap().to_owned()
}

/// The portrait with every level multiplied.
fn lit(shot: &str, factor: f32) -> Vec<u8> {
    let mut photo = image::load_from_memory(&portrait(shot)).unwrap().to_rgb8();
    photo.pixels_mut().flat_map(|pixel| &mut pixel.0).for_each(|level| *level = (f32::from(*level) * factor) as u8);
    jpeg(&photo)
}

/// The portrait out of focus.
fn blurred(shot: &str, sigma: f32) -> Vec<u8> {
    let photo: RgbImage = image::load_from_memory(&portrait(shot)).unwrap().to_rgb8();
    jpeg(&imageops::blur(&photo, sigma))
}

#[tokio::test]
async fn portraits_pass_the_strictest_gate_and_every_measure_comes_back() {
    let server = TestServer::start().await;
    for shot in PORTRAITS {
        let made = enrol(&server.api, shot, &[("quality", "strict")], &[&portrait(shot)]).await.expect(201);
        assert_eq!(made["rejected"], json!([]), "{shot}");
        let accepted = &made["accepted"][0];
        assert_eq!((&accepted["image"], &accepted["face"]), (&json!(0), &made["faces"][0]["id"]));
        assert_eq!(accepted["quality"], made["faces"][0]["quality"]);
        assert!(accepted["score"].as_f64().unwrap() > 0.88, "{accepted}");
        assert_eq!(accepted["liveness"], json!(null), "nobody asked");
    }
}

#[tokio::test]
async fn spoilt_portraits_are_refused_with_the_reason_and_the_measures() {
    let server = TestServer::start().await;
    let small = class_photo(&[("obama", 70)]);
    for shot in ["obama", "biden", "hopper", "obama3"] {
        let spoilt: [(&str, Vec<u8>); 3] =
            [("blurred", blurred(shot, 8.0)), ("too_dark", lit(shot, 0.1)), ("too_small", small.clone())];
        for (reason, photo) in spoilt {
            let refused = enrol(&server.api, "p", &[], &[&photo]).await;
            assert_eq!(refusal(&refused), reason, "{shot}");
            let measured = &refused.json()["error"]["details"]["rejected"][0]["measured"];
            assert!(measured["quality"]["norm"].as_f64().unwrap() > 0.0, "{measured}");
        }
    }
    let bright = enrol(&server.api, "p", &[], &[&lit("obama", 3.0)]).await;
    assert_eq!(refusal(&bright), "too_bright");
    // Beside a good one, only the bad one stays out.
    let both = enrol(&server.api, "p", &[], &[&blurred("obama", 8.0), &portrait("obama")]).await.expect(201);
    assert_eq!(reasons(&both["rejected"]), [(0, "blurred")]);
    assert_eq!(both["accepted"][0]["image"], 1);
}

#[tokio::test]
async fn a_head_turned_away_is_refused() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/crowd/six.jpg");
    let Ok(table) = fs::read(table) else { return };
    let server = TestServer::start().await;
    let photo = image::load_from_memory(&table).unwrap().to_rgb8();
    let beside = imageops::crop_imm(&photo, 856, 8, 200, 244).to_image();
    let refused = enrol(&server.api, "p", &[("quality", "strict"), ("faces", "largest")], &[&jpeg(&beside)]).await;
    assert_eq!(refusal(&refused), "turned_away", "{}", refused.text());
}

#[tokio::test]
async fn a_request_may_be_stricter_than_its_tenant_and_never_laxer() {
    let server = TestServer::start().await;
    let api = &server.api;
    let (small, tiny) = (class_photo(&[("obama", 170)]), class_photo(&[("obama", 70)]));
    let shown = server.operator().get("/api/v1/tenants/default").await.expect(200);
    let defaults = json!({ "quality": "standard", "duplicates": "flag", "liveness": "off", "consent": "off" });
    assert_eq!(shown["enrolment"], defaults);
    enrol(api, "standard", &[], &[&small]).await.expect(201);
    assert_eq!(refusal(&enrol(api, "p", &[("quality", "strict")], &[&small]).await), "too_small");
    assert_eq!(refusal(&enrol(api, "p", &[("quality", "off")], &[&tiny]).await), "too_small");
    let set = rules(&server, json!({ "quality": "strict" })).await;
    assert_eq!(set, json!({ "quality": "strict", "duplicates": "flag", "liveness": "off", "consent": "off" }));
    assert_eq!(refusal(&enrol(api, "p", &[("quality", "standard")], &[&small]).await), "too_small");
    rules(&server, json!({ "quality": "off" })).await;
    enrol(api, "off", &[], &[&tiny, &portrait("biden")]).await.expect(201);
    let bad = json!({ "enrolment": { "quality": "lax" } });
    let refused = server.operator().send(Method::PATCH, "/api/v1/tenants/default", &bad).await;
    assert_eq!(refused.problem(), (400, "invalid_json".to_owned()));
    let unknown = enrol(api, "p", &[("quality", "lax")], &[&small]).await;
    assert_eq!(unknown.status, 400, "{}", unknown.text());
}

#[tokio::test]
async fn the_liveness_check_guards_the_door_where_the_tenant_asks() {
    let server = TestServer::start().await;
    rules(&server, json!({ "liveness": "strict" })).await;
    let small = class_photo(&[("obama", 170)]);
    let refused = enrol(&server.api, "p", &[], &[&small]).await;
    assert_eq!(refusal(&refused), "not_live");
    let measured = refused.json()["error"]["details"]["rejected"][0]["measured"].clone();
    assert_eq!(measured["liveness"], json!({ "verdict": "not_assessable", "score": null }));
    rules(&server, json!({ "liveness": "passive" })).await;
    let made = enrol(&server.api, "p", &[], &[&small]).await.expect(201);
    assert_eq!(made["accepted"][0]["liveness"]["verdict"], "not_assessable");
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/liveness");
    let (Ok(live), Ok(screen)) = (fs::read(shared.join("T1.jpg")), fs::read(shared.join("F1.jpg"))) else { return };
    assert_eq!(refusal(&enrol(&server.api, "screen", &[], &[&screen]).await), "not_live");
    let made = enrol(&server.api, "live", &[], &[&live]).await.expect(201);
    assert_eq!(made["accepted"][0]["liveness"]["verdict"], "live");
}

#[tokio::test]
async fn images_of_one_person_must_agree() {
    let server = TestServer::start().await;
    let api = &server.api;
    let [obama, obama2, obama3, biden] = ["obama", "obama2", "obama3", "biden"].map(portrait);
    let made = enrol(api, "p", &[], &[&obama, &biden, &obama2]).await.expect(201);
    assert_eq!(reasons(&made["rejected"]), [(1, "inconsistent")]);
    let accepted: Vec<_> = made["accepted"].as_array().unwrap().iter().map(|one| one["image"].clone()).collect();
    assert_eq!(accepted, [0, 2]);
    let torn = enrol(api, "q", &[], &[&obama, &biden]).await;
    assert_eq!(torn.problem(), (422, "no_usable_image".to_owned()));
    let body = torn.json();
    assert_eq!(reasons(&body["error"]["details"]["rejected"]), [(0, "inconsistent"), (1, "inconsistent")]);
    assert_eq!(api.get("/api/v1/people/q").await.status, 404);
    // The stored samples speak too, unless they are replaced.
    let faces = "/api/v1/people/p/faces";
    let choice = [("faces", "one")];
    assert_eq!(refusal(&api.post_form(faces, form(&choice, &[&biden])).await), "inconsistent");
    let added = api.post_form(faces, form(&choice, &[&biden, &obama3])).await.expect(201);
    assert_eq!((reasons(&added["rejected"]), &added["accepted"][0]["image"]), (vec![(0, "inconsistent")], &json!(1)));
    let replaced = api.put_form(faces, form(&choice, &[&biden])).await.expect(200);
    assert_eq!(replaced["faces"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_face_that_is_someone_elses_is_flagged_refused_or_let_in() {
    let server = TestServer::start().await;
    let api = &server.api;
    let first = enrol(api, "first", &[], &[&portrait("obama")]).await.expect(201);
    assert_eq!(first["duplicates"], json!([]));
    let flagged = enrol(api, "flagged", &[], &[&portrait("obama2")]).await.expect(201);
    let twin = &flagged["duplicates"][0];
    assert_eq!((&twin["image"], &twin["person"]), (&json!(0), &json!("first")));
    assert!(twin["similarity"].as_f64().unwrap() > 0.5, "{twin}");
    // One's own samples are no duplicates.
    api.delete("/api/v1/people/flagged").await;
    let own = api.post_form("/api/v1/people/first/faces", form(&[("faces", "one")], &[&portrait("obama3")])).await;
    assert_eq!(own.expect(201)["duplicates"], json!([]));

    rules(&server, json!({ "duplicates": "refuse" })).await;
    let refused = enrol(api, "again", &[], &[&portrait("obama2")]).await;
    assert_eq!(refused.problem(), (422, "duplicate_of".to_owned()));
    assert_eq!(refused.json()["error"]["details"]["duplicates"][0]["person"], "first");
    assert_eq!(api.get("/api/v1/people/again").await.status, 404);
    // At the same time as well: one of them comes in.
    let photo = portrait("biden");
    let photos = [photo.as_slice()];
    let racers = ["a", "b", "c", "d"].map(|id| enrol(api, id, &[], &photos));
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(racers).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422, 422, 422]);

    rules(&server, json!({ "duplicates": "off" })).await;
    let let_in = enrol(api, "again", &[], &[&portrait("obama2")]).await.expect(201);
    assert_eq!(let_in["duplicates"], json!([]));
}

#[tokio::test]
async fn the_rules_and_the_people_survive_a_restart() {
    let server = TestServer::start().await;
    let set = rules(&server, json!({ "quality": "strict", "duplicates": "refuse", "liveness": "off" })).await;
    enrol(&server.api, "p", &[], &[&portrait("obama")]).await.expect(201);
    let server = server.restart().await;
    let shown = server.operator().get("/api/v1/tenants/default").await.expect(200);
    assert_eq!(shown["enrolment"], set);
    let refused = enrol(&server.api, "q", &[], &[&portrait("obama2")]).await;
    assert_eq!(refused.problem(), (422, "duplicate_of".to_owned()));
}

/// A portrait that nobody has enrolled: the same person a little smaller.
fn warped(shot: &str, width: u32) -> Vec<u8> {
    jpeg(&scaled(shot, width))
}

#[tokio::test]
async fn the_report_finds_planted_pairs_and_misplaced_samples_and_nothing_else() {
    let server = TestServer::start().await;
    let api = &server.api;
    let report = async |query: &str| api.get(&format!("/api/v1/reports/duplicates{query}")).await.expect(200);
    assert_eq!(report("").await["pairs"], json!([]));
    for shot in ["astronaut", "biden", "hopper", "obama"] {
        enrol(api, shot, &[], &[&portrait(shot)]).await.expect(201);
    }
    let clean = report("").await;
    assert_eq!((&clean["pairs"], &clean["misplaced"]), (&json!([]), &json!([])));
    assert_eq!((&clean["people"], &clean["next"]), (&json!(4), &json!(null)));

    enrol(api, "z-obama", &[], &[&portrait("obama2"), &portrait("obama3")]).await.expect(201);
    enrol(api, "a-biden", &[], &[&warped("biden", 400)]).await.expect(201);
    let found = report("?threshold=0.5").await;
    let pairs = |page: &Value| -> Vec<Value> {
        page["pairs"].as_array().unwrap().iter().map(|pair| pair["people"].clone()).collect()
    };
    assert_eq!(pairs(&found), [json!(["a-biden", "biden"]), json!(["obama", "z-obama"])]);
    assert!(found["pairs"][0]["similarity"].as_f64().unwrap() > 0.8, "{found}");
    assert_eq!(found["pairs"][0]["faces"].as_array().unwrap().len(), 2);
    assert_eq!(pairs(&report("?threshold=0.999").await), Vec::<Value>::new());

    // From where an earlier page ended.
    let rest = report("?threshold=0.5&after=biden").await;
    assert_eq!((pairs(&rest), &rest["people"]), (vec![json!(["obama", "z-obama"])], &json!(3)));

    rules(&server, json!({ "quality": "off" })).await;
    let mixed = enrol(api, "mixed", &[], &[&portrait("hopper"), &portrait("astronaut")]).await.expect(201);
    let misplaced = report("").await["misplaced"].as_array().unwrap().clone();
    let of_mixed: Vec<&Value> = misplaced.iter().filter(|one| one["person"] == "mixed").collect();
    assert_eq!(of_mixed.len(), 2, "{misplaced:?}");
    for (sample, (face, other)) in of_mixed.iter().zip([0, 1].iter().zip(["hopper", "astronaut"])) {
        assert_eq!((&sample["face"], &sample["other"]), (&mixed["faces"][*face]["id"], &json!(other)));
        assert!(sample["other_similarity"].as_f64().unwrap() > sample["similarity"].as_f64().unwrap());
    }

    // Nobody sees another tenant's.
    let other = server.tenant("other").await;
    enrol(&other, "obama", &[], &[&portrait("obama")]).await.expect(201);
    let theirs = other.get("/api/v1/reports/duplicates").await.expect(200);
    assert_eq!((&theirs["pairs"], &theirs["people"]), (&json!([]), &json!(1)));
    for bad in ["?threshold=2", "?limit=0", "?after=%23", "?what=1"] {
        assert_eq!(api.get(&format!("/api/v1/reports/duplicates{bad}")).await.status, 400, "{bad}");
    }
}
