//! Galleries that are too large to compare everybody: their graphs, their referee, and looking after them.

use std::{path::Path, process::Command, time::Duration};

use jiff::Timestamp;
use reqwest::Method;
use rollcall::{
    domain::{FaceId, FaceSample, Person, Quality, TenantScope},
    nn::Networks,
    store::{Store, StoreOptions},
};
use serde_json::{Value, json};

use crate::support::{Api, Metrics, ServerProcess, eventually, form, portrait};

/// More than are compared anyway.
const PEOPLE: u64 = 1300;
const SETTINGS: [(&str, &str); 4] = [
    ("ROLLCALL__GALLERY__PLAN", "hnsw"),
    ("ROLLCALL__GALLERY__HNSW__M", "8"),
    ("ROLLCALL__GALLERY__HNSW__EF_CONSTRUCTION", "40"),
    ("ROLLCALL__GALLERY__REFEREE_SHARE", "1"),
];

/// A unit vector that `seed` decides.
fn vector(seed: u64, dimension: u32) -> Vec<f32> {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let raw: Vec<f32> = (0..dimension).map(|_| next()).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / length).collect()
}

/// Enrols people whose faces nobody has, without a server.
async fn fill(data: &Path) {
    let store = Store::open(StoreOptions::new(data.join("store"))).unwrap();
    let scope = TenantScope::granted("default".parse().unwrap());
    let model = Networks::embedded().unwrap().embedder.model_id().clone();
    let quality =
        Quality { width_px: 80.0, sharpness: 200.0, brightness: 120.0, norm: 3.9, yaw: 0.0, pitch: 0.0, roll: 0.0 };
    let people = (0..PEOPLE).map(|n| {
        let id = format!("p{n}").parse().unwrap();
        let person = Person::new(id, format!("p{n}"), Timestamp::UNIX_EPOCH);
        let vector = vector(n, model.dimension);
        let (id, person_id, model) = (FaceId::generate(), person.id.clone(), model.clone());
        let sample = FaceSample { id, person: person_id, model, vector, score: 0.9, quality, source: None };
        store.create_person(&scope, person, &[], vec![sample])
    });
    futures_util::future::try_join_all(people).await.unwrap();
}

/// Looks after the whole gallery; all pages.
async fn check(api: &Api) -> Vec<Value> {
    let mut pages = vec![api.post("/api/v1/gallery/check", &json!({})).await.expect(200)];
    while let Some(next) = pages.last().unwrap()["next"].as_str() {
        pages.push(api.post("/api/v1/gallery/check", &json!({ "after": next })).await.expect(200));
    }
    pages
}

fn sum(pages: &[Value], way: &str, field: &str) -> u64 {
    let ways = pages.iter().flat_map(|page| page["ways"].as_array().unwrap());
    ways.filter(|found| found["way"] == way).map(|found| found[field].as_u64().unwrap()).sum()
}

/// Runs `rollcall gallery check`.
fn check_by_hand(data: &Path) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(["gallery", "check", "--all", "--json", "--data"]).arg(data).envs(SETTINGS);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[tokio::test]
async fn kill_9_while_a_graph_is_built_and_stored_loses_nobody() {
    let data = tempfile::tempdir().unwrap();
    ServerProcess::start(data.path()).await.kill();
    fill(data.path()).await;
    for round in 0..6_u64 {
        let server = ServerProcess::with(data.path(), &SETTINGS).await;
        server.api.post("/api/v1/gallery/check", &json!({ "sample": 1 })).await.expect(200);
        // The first are killed while they build, the later ones while or after they store or restore.
        tokio::time::sleep(Duration::from_millis(round * round * 60 + u64::from(std::process::id()) % 50)).await;
        server.kill();
    }
    let server = ServerProcess::with(data.path(), &SETTINGS).await;
    let api = &server.api;
    eventually("the graph is there", async || {
        let page = api.post("/api/v1/gallery/check", &json!({})).await.expect(200);
        sum(&[page], "hnsw", "searches") > 0
    })
    .await;
    let pages = check(api).await;
    assert!(pages.len() as u64 >= PEOPLE / 32);
    assert!(pages.iter().all(|page| page["lost"] == json!([])), "{pages:?}");
    for (way, least) in [("codes", PEOPLE), ("hnsw", PEOPLE), ("graph", PEOPLE / 2)] {
        assert_eq!(sum(&pages, way, "searches"), PEOPLE, "{way}");
        assert!(sum(&pages, way, "right") >= least, "{way}: {}", sum(&pages, way, "right"));
    }
    // By hand, through the server and then through the store.
    let served = check_by_hand(data.path());
    assert_eq!((&served["checked"], &served["sound"], &served["lost"]), (&json!(PEOPLE), &json!(true), &json!([])));
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    let alone = check_by_hand(data.path());
    assert_eq!((&alone["checked"], &alone["sound"]), (&served["checked"], &served["sound"]));
}

#[tokio::test]
async fn searches_are_repeated_and_told_as_recall() {
    let data = tempfile::tempdir().unwrap();
    ServerProcess::start(data.path()).await.kill();
    fill(data.path()).await;
    let server = ServerProcess::with(data.path(), &SETTINGS).await;
    let api = &server.api;
    api.enrol("obama", &[], "obama").await;
    let seen = api.post_form("/api/v1/identify", form(&[], &[&portrait("obama2")])).await.expect(200);
    assert_eq!(seen["photos"][0]["faces"][0]["person"], "obama", "{seen}");
    let metrics = async || Metrics::parse(&api.get("/metrics").await.text());
    eventually("the search is repeated", async || metrics().await.count("searches_repeated_total", &[]) > 0).await;
    let metrics = metrics().await;
    assert_eq!(metrics.count("searches_repeated_total", &["outcome=\"missed\""]), 0);
    let recall = metrics.each("search_recall_ratio", &[]);
    assert!(!recall.is_empty() && recall.iter().all(|recall| *recall >= 1.0), "by plan: {recall:?}");
}

#[tokio::test]
async fn a_check_takes_its_own_cursors_and_its_own_tenants_samples() {
    let server = crate::support::TestServer::start().await;
    let (api, other) = (&server.api, server.tenant("other").await);
    api.enrol("obama", &[], "obama").await;
    let page = api.post("/api/v1/gallery/check", &json!({})).await.expect(200);
    assert_eq!((&page["checked"], &page["lost"], &page["next"]), (&json!(1), &json!([]), &Value::Null));
    let none = other.post("/api/v1/gallery/check", &json!({})).await.expect(200);
    assert_eq!(none["checked"], 0);
    let bad = api.post("/api/v1/gallery/check", &json!({ "after": "not hex" })).await;
    assert_eq!(bad.problem(), (400, "invalid_cursor".to_owned()));
    let unknown = api.send(Method::POST, "/api/v1/gallery/check", &json!({ "everything": true })).await;
    assert_eq!(unknown.status, 400);
}
