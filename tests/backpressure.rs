//! More photos than fit: bounded work, bounded memory, an honest 429, and nothing admitted is lost.

use futures_util::future::join_all;
use rollcall::pipeline::Station;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{
    Answer, Api, TestServer, eventually, form,
    images::{empty_room, jpeg, scaled},
    raw::Raw,
};

const MULTIPART: &str = "multipart/form-data; boundary=x";

/// Settings of a door with room for two photos of 1000×1000 pixels beside their bodies.
const SMALL_DOOR: [(&str, &str); 5] = [
    ("limits.image_bytes", "1000000"),
    ("limits.body_bytes", "4000000"),
    ("limits.photo_pixels", "1000000"),
    ("pipeline.budget_bytes", "7500000"),
    ("pipeline.tenant_share", "1.0"),
];

async fn class(settings: &[(&'static str, &str)]) -> (TestServer, Vec<u8>) {
    let server = TestServer::with(settings).await;
    server.api.group("g").await;
    server.api.enrol("p", &["g"], "obama").await;
    (server, jpeg(&scaled("obama2", 160)))
}

#[track_caller]
fn assert_overloaded(answer: &Answer) {
    assert_eq!(answer.problem(), (429, "overloaded".to_owned()), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn with_a_stage_blocked_photos_fill_the_stages_up_to_it_and_the_rest_get_429() {
    let (server, photo) = class(&[("pipeline.admission_wait_ms", "500")]).await;
    let threads = server.compute_threads();
    // All but the last place of each, which is for another tenant.
    let room: usize = Station::ALL
        .into_iter()
        .filter(|&station| station <= Station::Embed)
        .map(|station| station.capacity().on(threads) - 1)
        .sum();
    let gate = server.faults.block("embed.actor");
    let (api, excess) = (&server.api, 30);
    let flood = join_all((0..room + excess).map(async |_| api.recognize("g", &[], &[&photo]).await));
    let watch = async {
        eventually("the excess is refused", async || {
            let metrics = server.metrics().await;
            assert!(metrics.count("stage_in_flight", &[]) as usize <= room);
            for station in Station::ALL {
                let inside = metrics.count("stage_in_flight", &[&format!("stage=\"{}\"", station.name())]);
                assert!((inside as usize) < station.capacity().on(threads), "{station:?}: {inside}");
            }
            metrics.count("requests_total", &["status=\"429\""]) as usize == excess
        })
        .await;
        let metrics = server.metrics().await;
        assert_eq!(metrics.count("stage_in_flight", &[]) as usize, room, "full, not more");
        assert_eq!(metrics.count("stage_in_flight", &["stage=\"liveness\""]), 0);
        assert!(server.is_ready().await, "busy is not broken");
        drop(gate);
    };
    let (answers, ()) = tokio::join!(flood, watch);
    let (done, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((done.len(), refused.len()), (room, excess));
    refused.into_iter().for_each(assert_overloaded);
    for answer in done {
        assert_eq!(answer.json()["present"][0]["person"], "p");
    }
    assert_eq!(server.api.records("g", "").await.len(), 1);
    server.is_idle().await;
    assert!(server.metrics().await.sum("stage_blocked_seconds_count", &["stage=\"embed\""]) > 0.0);
}

#[tokio::test]
async fn with_a_stage_blocked_memory_stays_within_the_budget() {
    let mut settings = SMALL_DOOR.to_vec();
    settings.push(("pipeline.admission_wait_ms", "300"));
    let (server, _) = class(&settings).await;
    let photo = empty_room(1000, 1000);
    let gate = server.faults.block("embed.actor");
    let flood = join_all((0..40).map(async |_| server.api.recognize("g", &[], &[&photo]).await));
    let watch = async {
        eventually("somebody is refused", async || {
            server.metrics().await.count("requests_total", &["status=\"429\""]) >= 10
        })
        .await;
        drop(gate);
    };
    let (answers, ()) = tokio::join!(flood, watch);
    assert!(server.budget.peak() <= server.budget.total(), "{:?}", server.budget);
    assert!(server.budget.peak() > server.budget.total() / 2, "the photos were large enough to tell");
    for answer in &answers {
        if answer.status != 200 {
            assert_overloaded(answer);
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 200));
    server.is_idle().await;
}

#[tokio::test]
async fn a_request_of_20_photos_on_an_idle_server_never_rejects_itself() {
    let mut settings = SMALL_DOOR.to_vec();
    // All photos but one or two have to wait for memory, each longer than a request may wait at a full door.
    settings.extend([("pipeline.admission_wait_ms", "1"), ("pipeline.compute_threads", "1")]);
    let (server, _) = class(&settings).await;
    let photo = empty_room(1000, 1000);
    let photos = vec![photo.as_slice(); 20];
    for annotate in ["false", "true"] {
        let answer = server.api.recognize("g", &[("annotate", annotate)], &photos).await.expect(200);
        let errors: Vec<_> = answer["photos"].as_array().unwrap().iter().map(|photo| &photo["error"]).collect();
        assert!(errors.iter().all(|error| error.is_null()), "annotate={annotate}: {errors:?}");
    }
    server.is_idle().await;
}

#[tokio::test]
async fn two_requests_that_hold_each_others_memory_both_get_an_answer() {
    let mut settings = SMALL_DOOR.to_vec();
    settings.push(("pipeline.admission_wait_ms", "300"));
    let (server, _) = class(&settings).await;
    // Two bodies leave no room for the pixels of either.
    let padded = [empty_room(1000, 1000), vec![0; 700_000]].concat();
    let photos = vec![padded.as_slice(); 4];
    let (a, b) = tokio::join!(server.api.recognize("g", &[], &photos), server.api.recognize("g", &[], &photos));
    for answer in [a, b] {
        assert!([200, 429].contains(&answer.status), "{}", answer.text());
    }
    server.is_idle().await;
}

/// A request whose body has come but for its last byte.
fn unfinished(api: &Api, bytes: usize) -> Raw {
    let mut request = Raw::post(api, "/api/v1/detect", "application/json", &format!("Content-Length: {bytes}"));
    let begun = b"{\"images\":[\"".to_vec();
    let rest = vec![b'A'; bytes - begun.len() - 1];
    assert!(request.send(&[begun, rest].concat()));
    request
}

/// What is announced is nothing that is held.
#[tokio::test]
async fn heads_without_bodies_hold_next_to_no_memory() {
    let settings = [
        ("limits.image_bytes", "2000000"),
        ("limits.body_bytes", "2000000"),
        ("limits.photo_pixels", "4000000"),
        ("pipeline.budget_bytes", "100000000"),
    ];
    let (server, photo) = class(&settings).await;
    for (path, kind) in [("/api/v1/detect", MULTIPART), ("/api/v1/detect", "application/json")] {
        let heads: Vec<_> = (0..100).map(|_| Raw::post(&server.api, path, kind, "Content-Length: 2000000")).collect();
        // What a head announces is asked for while it is let in: only afterwards is little held.
        eventually(&format!("all heads are in: {kind}"), async || server.budget.used() == 100 * (64 << 10)).await;
        server.api.post_form("/api/v1/detect", form(&[], &[&photo])).await.expect(200);
        drop(heads);
        server.is_idle().await;
    }
}

/// JSON without images is memory like any other.
#[tokio::test]
async fn every_body_takes_of_its_callers_share() {
    let settings = [
        ("limits.image_bytes", "1000000"),
        ("limits.body_bytes", "1000000"),
        ("limits.photo_pixels", "400000"),
        ("pipeline.budget_bytes", "12000000"),
        ("pipeline.tenant_share", "0.5"),
    ];
    let (server, _) = class(&settings).await;
    let planned = json!({ "date": "2026-03-02", "start": "08:00", "end": "09:00" });
    let session = server.api.post("/api/v1/groups/g/sessions", &planned).await.expect(201)["id"].clone();
    let path = format!("/api/v1/sessions/{}/confirm", session.as_str().unwrap());
    // Answers take of the share too, until they are written.
    server.is_idle().await;
    let _held: Vec<_> = (0..2)
        .map(|_| {
            let mut request = Raw::post(&server.api, &path, "application/json", "Content-Length: 3000000");
            assert!(request.send(&vec![b' '; 2_999_000]));
            request
        })
        .collect();
    eventually("the share is used up", async || server.budget.used_by("default") == 6_000_000).await;
    for path in [&path, "/api/v1/groups", "/api/v1/users", "/api/v1/identify"] {
        let announced = Raw::post(&server.api, path, "application/json", "Content-Length: 1000");
        assert!(announced.answer().starts_with("HTTP/1.1 429 "), "{path}");
    }
    let other = server.tenant("other").await;
    other.group("g").await;
}

#[tokio::test]
async fn a_tenant_over_its_share_is_refused_while_another_gets_in() {
    let settings = [
        ("limits.image_bytes", "1000000"),
        ("limits.body_bytes", "2000000"),
        ("limits.photo_pixels", "400000"),
        ("pipeline.budget_bytes", "8000000"),
        ("pipeline.tenant_share", "0.5"),
    ];
    let (server, photo) = class(&settings).await;
    let other = server.tenant("other").await;
    let _held = [(); 2].map(|()| unfinished(&server.api, 2_000_000));
    eventually("the share is used up", async || server.budget.used_by("default") == 4_000_000).await;
    assert_overloaded(&server.api.post_form("/api/v1/detect", form(&[], &[&photo])).await);
    let seen = other.post_form("/api/v1/detect", form(&[], &[&photo])).await.expect(200);
    assert_eq!(seen["photos"][0]["faces"].as_array().unwrap().len(), 1);
}

/// A kiosk's slow bodies hold all that one key may of its tenant's share.
#[tokio::test]
async fn a_key_over_its_share_is_refused_while_another_of_its_tenant_gets_in() {
    let settings = [
        ("limits.image_bytes", "1000000"),
        ("limits.body_bytes", "2000000"),
        ("limits.photo_pixels", "400000"),
        ("pipeline.budget_bytes", "8000000"),
        ("pipeline.key_share", "0.5"),
    ];
    let (server, photo) = class(&settings).await;
    let kiosk = server.api.new_key(&json!({ "name": "k", "role": "admin" })).await;
    let kiosk = server.api.with_key(kiosk["key"].as_str().unwrap());
    let _held = [(); 2].map(|()| unfinished(&kiosk, 2_000_000));
    eventually("the share is used up", async || server.budget.used_by("default") == 4_000_000).await;
    let refused = kiosk.post_form("/api/v1/detect", form(&[], &[&photo])).await;
    assert_overloaded(&refused);
    assert!(refused.text().contains("wait for your other requests"), "{}", refused.text());
    let seen = server.api.post_form("/api/v1/detect", form(&[], &[&photo])).await.expect(200);
    assert_eq!(seen["photos"][0]["faces"].as_array().unwrap().len(), 1);
}

/// Long answers that are not read are memory like any other.
#[tokio::test]
async fn answers_take_of_their_callers_share_until_they_are_written() {
    let settings = [
        ("limits.image_bytes", "100000"),
        ("limits.body_bytes", "100000"),
        ("limits.photo_pixels", "10000"),
        ("pipeline.budget_bytes", "8000000"),
        ("pipeline.key_share", "0.25"),
    ];
    let server = TestServer::with(&settings).await;
    let new = |n: usize| json!({ "id": format!("{n:04}{}", "g".repeat(120)), "name": "ü".repeat(200) });
    for some in 0..10 {
        let all = (0..100).map(async |n| server.api.post("/api/v1/groups", &new(100 * some + n)).await.expect(201));
        join_all(all).await;
    }
    let all = "/api/v1/groups?limit=1000";
    let bytes = server.api.get(all).await.text().len() as u64;
    assert!((500_000..1_000_000).contains(&bytes), "{bytes}");
    let unread = || {
        let mut raw = Raw::connect(&server.api);
        let head = format!("GET {all} HTTP/1.1\r\nHost: test\r\nX-API-Key: {}\r\n\r\n", server.api.key());
        assert!(raw.send(head.as_bytes()));
        raw
    };
    let mut held = vec![unread(), unread()];
    eventually("both are held", async || server.budget.used_by("default") == 2 * bytes).await;
    held.extend([unread(), unread(), unread()]);
    assert_overloaded(&server.api.get(all).await);
    server.api.get("/api/v1/groups?limit=1").await.expect(200);
    assert!(server.budget.used_by("default") <= 2_000_000);
    held.clear();
    server.is_idle().await;
    server.api.get(all).await.expect(200);
}

/// One tenant has 80 photos in and before the pipeline, all of which wait for the one thread, when another's come.
#[tokio::test]
async fn a_tenants_flood_keeps_another_waiting_for_few_of_its_photos() {
    let (server, photo) = class(&[("pipeline.compute_threads", "1")]).await;
    let other = server.tenant("other").await;
    other.group("g").await;
    let inside = async || {
        let state = server.api.get("/health/ready").await.json();
        let ingest = state["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "ingest").unwrap();
        (ingest["queued"].as_u64().unwrap() + ingest["working"].as_u64().unwrap()) as usize
    };
    let has_come = |tenant, photos: usize| server.budget.used_by(tenant) >= (photos * photo.len()) as u64;
    // What is not a person leaves one place in four.
    let for_jobs = Station::Ingest.capacity().on(server.compute_threads()) * 3 / 4;
    let gate = server.faults.block("decode.work");
    let mut flood = JoinSet::new();
    for _ in 0..4 {
        let (api, photo) = (server.api.clone(), photo.clone());
        flood.spawn(async move { api.recognize("g", &[("class", "bulk")], &[photo.as_slice(); 20]).await });
    }
    // Nor is the last of them the flood's.
    eventually("the flood fills its places", async || has_come("default", 80) && inside().await == for_jobs - 1).await;
    let done = async || server.metrics().await.count("photos_total", &["outcome=\"done\""]);
    let before = done().await;
    let sent = async |class: &str| {
        other.recognize("g", &[("class", class)], &[&photo]).await.expect(200);
        done().await - before
    };
    let release = async {
        // Whichever came first of the two, the person is in.
        eventually("the person is in and the other's job at the door", async || {
            has_come("other", 2) && inside().await >= for_jobs
        })
        .await;
        drop(gate);
    };
    let (person, job, ()) = tokio::join!(sent("interactive"), sent("bulk"), release);
    // First come first served it would have been all that were at the door, at least.
    assert!(person < 40 && job < 40, "answered after {person} and {job} photos of the flood");
    for answer in flood.join_all().await {
        assert_eq!(answer.expect(200)["photos"].as_array().unwrap().len(), 20);
    }
    server.is_idle().await;
}

#[tokio::test]
async fn the_work_of_a_client_that_hung_up_is_dropped_and_counted() {
    let (server, photo) = class(&[("pipeline.compute_threads", "1")]).await;
    let gate = server.faults.block("detect.work");
    let mut client = JoinSet::new();
    let (api, photos) = (server.api.clone(), photo.clone());
    client.spawn(async move { api.recognize("g", &[], &[photos.as_slice(); 8]).await });
    eventually("a photo holds the only thread", async || server.faults.waiting_at("detect.work") == 1).await;
    eventually("all photos are inside", async || server.metrics().await.count("stage_in_flight", &[]) == 8).await;
    client.shutdown().await;
    eventually("its photos are dropped", async || server.metrics().await.count("stage_dropped_total", &[]) == 8).await;
    drop(gate);
    let answer = server.api.recognize("g", &[], &[&photo]).await.expect(200);
    assert_eq!(answer["present"][0]["attendance"], "marked", "the dropped photos marked nobody");
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("photos_total", &["outcome=\"cancelled\""]), 8);
    assert_eq!(metrics.count("stage_seconds_count", &["stage=\"embed\"", "part=\"work\""]), 2, "enrolled and seen");
    server.is_idle().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let (server, _) = class(&SMALL_DOOR).await;
    for (path, limit) in [("/api/v1/detect", 4_000_000), ("/api/v1/people", 4_000_000), ("/api/v1/groups", 65_536)] {
        let kind = if path.ends_with("groups") { "application/json" } else { MULTIPART };
        let announced = Raw::post(&server.api, path, kind, &format!("Content-Length: {}", limit + 1));
        let answer = announced.answer();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        assert!(answer.contains("\"body_too_large\""), "{path}: {answer}");
    }
    server.is_idle().await;
}

#[tokio::test]
async fn a_chunked_body_is_refused_where_it_crosses_the_limit() {
    const LIMIT: usize = 1_000_000;
    let settings = [
        ("limits.image_bytes", "1000000"),
        ("limits.body_bytes", "1000000"),
        ("limits.photo_pixels", "400000"),
        ("pipeline.budget_bytes", "20000000"),
    ];
    let (server, photo) = class(&settings).await;
    let part = "--x\r\nContent-Disposition: form-data; name=\"images\"; filename=\"a.jpg\"\r\n\r\n";
    let line = format!("{}\r\n", "A".repeat(98));
    for (kind, start, filler) in [
        (MULTIPART, part, "A"),
        // Bytes before the first part belong to no field, and count all the same.
        (MULTIPART, "preamble\r\n", line.as_str()),
        ("application/json", "{\"images\":[\"", "A"),
    ] {
        let mut request = Raw::post(&server.api, "/api/v1/detect", kind, "Transfer-Encoding: chunked");
        assert!(request.chunk(start.as_bytes()));
        let chunk = filler.repeat(10_000 / filler.len()).into_bytes();
        for _ in 0..LIMIT / chunk.len() - 1 {
            assert!(request.chunk(&chunk), "{kind}: up to the limit it is taken");
        }
        request.chunk(&chunk);
        request.chunk(&chunk[..1_000]);
        // The body never ends: the answer comes for what crossed the limit.
        let answer = request.answer();
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"body_too_large\""), "{kind}: {answer}");
        server.is_idle().await;
    }
    assert!(server.budget.peak() < 4 * LIMIT as u64, "{}", server.budget.peak());
    server.api.post_form("/api/v1/detect", form(&[], &[&photo])).await.expect(200);
}

#[tokio::test]
async fn an_image_over_its_limit_is_refused_in_a_body_within_its_own() {
    let (server, photo) = class(&SMALL_DOOR).await;
    let large = vec![0; 1_000_001];
    let answer = server.api.post_form("/api/v1/detect", form(&[], &[&photo, &large])).await;
    assert_eq!(answer.problem(), (413, "image_too_large".to_owned()));
    server.is_idle().await;
}

#[tokio::test]
async fn a_body_that_falls_silent_is_given_up_with_its_memory() {
    let (server, photo) = class(&[("limits.body_idle_seconds", "1")]).await;
    for kind in [MULTIPART, "application/json"] {
        let announced = unfinished(&server.api, 2_000_000);
        let mut begun = Raw::post(&server.api, "/api/v1/detect", kind, "Transfer-Encoding: chunked");
        assert!(begun.chunk(b"--"));
        eventually("both hold memory", async || server.budget.used() > 2_000_000).await;
        for silent in [announced, begun] {
            let answer = silent.answer();
            assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"timeout\""), "{kind}: {answer}");
        }
        server.is_idle().await;
    }
    server.api.post_form("/api/v1/detect", form(&[], &[&photo])).await.expect(200);
}
