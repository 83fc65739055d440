//! Faces of a session that nobody was named for: kept where the tenant asks for them, the same stranger once, and gone
//! when their time is over.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use rollcall::{
    domain::{
        FaceBox, GroupId, ModelId, PhotoId, TenantScope, TimeTrust,
        attendance::stranger::{Glimpse, Keeping, UnknownFace, UnknownFaces},
        recognition::liveness::LivenessPolicy,
    },
    store::{PhotoMarks, Store},
};
use serde_json::{Value, json};

use crate::support::{Api, TestServer, class_photo, eventually};

/// Has the tenant keep unknown faces for so many days.
async fn keep(server: &TestServer, days: u32) {
    let rules = json!({ "unknown_faces_days": days });
    let set = server.operator().send(Method::PATCH, "/api/v1/tenants/default", &rules).await.expect(200);
    assert_eq!(set["unknown_faces_days"], days);
}

/// Recognises a class photo, which belongs to the session of the day; returns that session.
async fn photo(api: &Api, group: &str, fields: &[(&str, &str)], faces: &[&str]) -> String {
    let placed: Vec<(&str, u32)> = faces.iter().map(|face| (*face, 300)).collect();
    let seen = api.recognize(group, fields, &[&class_photo(&placed)]).await.expect(200);
    seen["session"].as_str().unwrap_or_default().to_owned()
}

async fn unknown(api: &Api, session: &str) -> Vec<Value> {
    let review = api.get(&format!("/api/v1/sessions/{session}/review")).await.expect(200);
    assert_eq!(review["is_cut"], false);
    review["unknown_faces"].as_array().unwrap().clone()
}

/// How many sightings each stranger has.
fn sizes(strangers: &[Value]) -> Vec<usize> {
    strangers.iter().map(|stranger| stranger["sightings"].as_array().unwrap().len()).collect()
}

fn candidates(stranger: &Value) -> Vec<&str> {
    stranger["candidates"].as_array().unwrap().iter().map(|one| one["person"].as_str().unwrap()).collect()
}

/// The numbers of new strangers that were told, with their groups.
async fn told(api: &Api) -> Vec<(Value, Value, Value)> {
    let events = api.get("/api/v1/events?kinds=unknown_seen").await.expect(200);
    let told = |event: &Value| (event["group"].clone(), event["session"].clone(), event["faces"].clone());
    events["events"].as_array().unwrap().iter().map(told).collect()
}

/// How many strangers the store has, which is sound.
async fn stored(server: &TestServer) -> u64 {
    let check = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!(check["problems"], json!({}));
    check["records"]["stranger"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn strangers_are_kept_where_the_tenant_asks_and_each_appears_once() {
    let server = TestServer::start().await;
    let api = &server.api;
    for group in ["g", "h"] {
        api.group(group).await;
    }
    api.enrol("bob", &["g", "h"], "biden").await;
    api.enrol("eve", &["g", "h"], "hopper").await;
    let session = photo(api, "g", &[], &["biden", "obama"]).await;
    assert_eq!((unknown(api, &session).await, stored(&server).await), (Vec::new(), 0), "nothing unless asked for");

    let too_long = json!({ "unknown_faces_days": 366 });
    let refused = server.operator().send(Method::PATCH, "/api/v1/tenants/default", &too_long).await;
    assert_eq!(refused.problem(), (400, "invalid_retention".to_owned()));
    keep(&server, 30).await;
    photo(api, "g", &[("mark", "false")], &["obama"]).await;
    assert_eq!(unknown(api, &session).await, Vec::<Value>::new(), "marks were not asked for");
    photo(api, "g", &[], &["obama", "astronaut", "biden"]).await;
    let seen = unknown(api, &session).await;
    assert_eq!(sizes(&seen), [1, 1]);
    for stranger in &seen {
        let mut both = candidates(stranger);
        both.sort_unstable();
        assert_eq!(both, ["bob", "eve"]);
        assert_eq!(stranger["candidates"][0]["name"], stranger["candidates"][0]["person"]);
        let similarity = |place: usize| stranger["candidates"][place]["similarity"].as_f64().unwrap();
        assert!(similarity(0) >= similarity(1));
        assert_eq!(stranger["first_seen"], stranger["sightings"][0]["at"]);
        let face = &stranger["sightings"][0]["normalized"];
        assert!(face["x1"].as_f64().unwrap() > 0.0 && face["x2"].as_f64().unwrap() < 1.0, "{face}");
    }
    let first = (json!("g"), json!(session), json!(2));
    assert_eq!(told(api).await, std::slice::from_ref(&first));
    // Two more shots of the one, beside somebody known.
    photo(api, "g", &[], &["biden", "obama2"]).await;
    photo(api, "g", &[], &["obama3"]).await;
    let seen = unknown(api, &session).await;
    assert_eq!((sizes(&seen), told(api).await), (vec![3, 1], vec![first.clone()]), "they are told once");
    assert!(!json!(seen).to_string().contains("sum"), "vectors stay inside");
    assert_eq!(seen[0]["first_seen"], seen[0]["sightings"][0]["at"]);
    assert_eq!(seen[0]["last_seen"], seen[0]["sightings"][2]["at"]);

    // In a session of another group they are strangers of their own, which go with the group.
    let other = photo(api, "h", &[], &["obama2"]).await;
    assert_eq!((sizes(&unknown(api, &other).await), stored(&server).await), (vec![1], 3));
    assert_eq!(told(api).await, [first.clone(), (json!("h"), json!(other), json!(1))]);
    api.delete("/api/v1/groups/h").await.expect(204);
    assert_eq!((stored(&server).await, told(api).await), (2, vec![first]));

    api.delete("/api/v1/people/eve").await.expect(204);
    let seen = unknown(api, &session).await;
    assert_eq!(
        seen.iter().map(candidates).collect::<Vec<_>>(),
        [["bob"], ["bob"]],
        "who is erased is nobody's candidate"
    );
    let path = format!("/api/v1/sessions/{session}/strangers/{}", seen[1]["id"].as_str().unwrap());
    api.delete(&path).await.expect(204);
    assert_eq!(api.delete(&path).await.problem(), (404, "stranger_not_found".to_owned()));
    let left = unknown(api, &session).await;
    assert_eq!((left.as_slice(), stored(&server).await), (&seen[..1], 2), "where a dismissed face was is kept");

    // It was somebody of theirs: said so, and taken back.
    api.enrol("zoe", &["g"], "hopper").await;
    let name = async |person: &str| {
        let path = format!("/api/v1/sessions/{session}/strangers/{}/name", left[0]["id"].as_str().unwrap());
        api.post(&path, &json!({ "person": person })).await
    };
    assert_eq!(name("nobody").await.problem(), (404, "person_not_found".to_owned()));
    api.enrol("mia", &[], "astronaut").await;
    let stranger = name("mia").await;
    assert_eq!(stranger.problem(), (409, "not_on_roster".to_owned()));
    assert_eq!(stranger.json()["error"]["details"]["person"], "mia");
    assert_eq!((unknown(api, &session).await, stored(&server).await), (left.clone(), 2));
    let named = name("zoe").await.expect(200);
    assert_eq!((&named["status"], &named["state"]), (&json!("present"), &json!("by_hand")));
    assert_eq!((&named["at"], &named["last_seen"]), (&left[0]["first_seen"], &left[0]["last_seen"]));
    assert_eq!(named["similarity"], Value::Null, "nobody compared them");
    assert_eq!((unknown(api, &session).await, stored(&server).await), (Vec::new(), 2));
    for shots in [&["obama", "astronaut", "biden"][..], &["biden", "obama2"], &["obama3"]] {
        photo(api, "g", &[], shots).await;
    }
    assert_eq!(unknown(api, &session).await, Vec::<Value>::new(), "the same photos bring nobody back");
    assert_eq!(name("zoe").await.problem(), (404, "stranger_not_found".to_owned()));
    let records = api.get(&format!("/api/v1/sessions/{session}/records")).await.expect(200);
    let mut records = records["records"].as_array().unwrap().iter();
    let record = records.find(|record| record["person"] == "zoe").unwrap();
    assert_eq!(record["corrections"][0]["faces"], left[0]["sightings"]);
    let undone = api.post(&format!("/api/v1/sessions/{session}/records/zoe/undo"), &json!({})).await.expect(200);
    assert_eq!((&undone["status"], &undone["at"]), (&json!("undecided"), &Value::Null));
    assert_eq!(unknown(api, &session).await, left, "and the face is unknown again");

    // What is kept of somebody who was named goes with the person.
    name("zoe").await.expect(200);
    api.delete("/api/v1/people/zoe").await.expect(204);
    assert_eq!((unknown(api, &session).await, stored(&server).await), (Vec::new(), 1));
    photo(api, "g", &[], &["obama", "astronaut"]).await;
    assert_eq!(stored(&server).await, 3);
    keep(&server, 0).await;
    assert_eq!(unknown(api, &session).await, Vec::<Value>::new(), "at once");
    eventually("what is no longer wanted is removed", async || stored(&server).await == 0).await;
    photo(api, "g", &[], &["obama"]).await;
    assert_eq!(stored(&server).await, 0);
}

/// Keeps a face in the session of today as if it were so many days ago, twice.
async fn keep_old(store: &Store, axis: usize, days: i64) {
    let (scope, now) = (TenantScope::granted("default".parse().unwrap()), Timestamp::now());
    let group: GroupId = "g".parse().unwrap();
    let session = store.session_at(&scope, &group, now).await.unwrap();
    let normalized = FaceBox { x1: 0.1, y1: 0.1, x2: 0.2, y2: 0.2 };
    let glimpse = Glimpse { photo: PhotoId::generate(), face: 0, at: now, normalized, width_px: 90.0, liveness: None };
    let mut vector = vec![0.0; 8];
    vector[axis] = 1.0;
    let unknown = UnknownFaces {
        keeping: Keeping { threshold: 0.5, now: now - SignedDuration::from_hours(24 * days) },
        model: ModelId { name: "m".into(), dimension: 8, postprocessing: 1 },
        faces: vec![UnknownFace { glimpse, vector, candidates: Vec::new() }],
    };
    let photo = PhotoMarks {
        session,
        at: now,
        time: TimeTrust::Trusted,
        source: None,
        seen: Vec::new(),
        unknown: Some(unknown),
        judged_under: Arc::default(),
        liveness: LivenessPolicy::Off,
    };
    store.mark_photo(&scope, photo.clone()).await.unwrap();
    store.mark_photo(&scope, photo).await.unwrap();
}

#[tokio::test]
async fn strangers_are_kept_no_longer_than_the_tenant_wants() {
    let server = TestServer::start().await;
    server.api.group("g").await;
    keep(&server, 30).await;
    let server = server
        .restart_after(async |store| {
            keep_old(&store, 0, 31).await;
            keep_old(&store, 1, 29).await;
        })
        .await;
    let api = &server.api;
    assert_eq!(told(api).await.len(), 2, "the same photo again tells nothing");
    let session = api.get("/api/v1/groups/g/sessions/current").await.expect(200);
    let session = session["id"].as_str().unwrap();
    let seen = unknown(api, session).await;
    assert_eq!(sizes(&seen), [1], "who is over is not shown, and the same photo again changes nothing");
    eventually("and is removed", async || stored(&server).await == 1).await;
    keep(&server, 29).await;
    assert_eq!(unknown(api, session).await, Vec::<Value>::new());
    eventually("sooner where the tenant wants it sooner", async || stored(&server).await == 0).await;
}
