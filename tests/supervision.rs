//! Faults inside the stages, planted over a running server: one photo fails, the service goes on.

use futures_util::future::join_all;
use rollcall::pipeline::Station;

use crate::support::{Answer, TestServer, eventually, images::jpeg, images::scaled, portrait};

/// A recognition that gives every one of the seven stages something to do.
const EVERYTHING: [(&str, &str); 2] = [("liveness", "passive"), ("pose", "true")];

/// A server that knows one person of the group `g`, and a small photo of them.
async fn class(settings: &[(&'static str, &str)]) -> (TestServer, Vec<u8>) {
    let server = TestServer::with(settings).await;
    server.api.group("g").await;
    server.api.enrol("p", &["g"], "obama").await;
    (server, jpeg(&scaled("obama2", 160)))
}

async fn recognize(server: &TestServer, photo: &[u8]) -> Answer {
    server.api.recognize("g", &EVERYTHING, &[photo]).await
}

#[track_caller]
fn assert_recognized(answer: &Answer) {
    assert_eq!(answer.expect(200)["present"][0]["person"], "p", "{}", answer.text());
}

#[track_caller]
fn assert_internal(answer: &Answer, what: &str) {
    assert_eq!(answer.problem(), (500, "internal".to_owned()), "{what}: {}", answer.text());
    assert!(!answer.text().contains("planted"), "no panic message in an answer: {}", answer.text());
}

/// Returns once the death of `stage`'s actor was noticed so many times. The door's senders live on other threads and
/// may otherwise hand it the next photo while it dies.
async fn restarted(server: &TestServer, stage: Station, times: u64) {
    let label = format!("stage=\"{}\"", stage.name());
    eventually("the stage's death is noticed", async || {
        server.metrics().await.count("stage_restarts_total", &[&label, "cause=\"panic\""]) == times
    })
    .await;
}

/// Panics in the work of a stage: each fails its photo alone, the next one succeeds, and the server stays ready.
async fn panics_in_work(server: &TestServer, photo: &[u8], stage: Station, times: u64) {
    let (name, point) = (stage.name(), format!("{}.work", stage.name()));
    // What attendance writes is put together in matching's task.
    let task = if stage == Station::Attendance { Station::Matching } else { stage };
    let label = format!("stage=\"{}\"", task.name());
    let before = server.metrics().await.count("stage_panics_total", &[&label]);
    for _ in 0..times {
        server.faults.panic_times(&point, 1);
        assert_internal(&recognize(server, photo).await, name);
        assert_recognized(&recognize(server, photo).await);
        assert!(server.is_ready().await, "{name}");
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("stage_panics_total", &[&label]) - before, times, "{name}");
    assert_eq!(metrics.count("stage_restarts_total", &[&label]), 0, "{name}: a poisoned photo kills no actor");
}

#[tokio::test]
async fn a_panic_in_any_stages_work_fails_its_photo_alone() {
    let (server, photo) = class(&[]).await;
    for stage in Station::ALL {
        panics_in_work(&server, &photo, stage, 100).await;
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("photos_total", &["outcome=\"internal\""]), 700);
    server.is_idle().await;
}

#[tokio::test]
async fn a_panic_fails_one_photo_of_its_request_and_not_the_others() {
    let (server, photo) = class(&[]).await;
    server.faults.panic_times("embed.work", 1);
    let answer = server.api.recognize("g", &EVERYTHING, &[photo.as_slice(); 5]).await.expect(200);
    let photos = answer["photos"].as_array().unwrap();
    let failed: Vec<_> = photos.iter().filter(|photo| !photo["error"].is_null()).collect();
    assert_eq!(failed.len(), 1, "{photos:?}");
    assert_eq!(failed[0]["error"]["code"], "internal");
    for photo in photos.iter().filter(|photo| photo["error"].is_null()) {
        assert_eq!(photo["faces"][0]["person"], "p");
    }
}

#[tokio::test]
async fn a_stage_whose_actor_dies_is_back_for_the_next_photo() {
    let (server, photo) = class(&[]).await;
    for stage in Station::ALL {
        server.faults.panic_times(&format!("{}.actor", stage.name()), 1);
        assert_internal(&recognize(&server, &photo).await, stage.name());
        if stage == Station::Ingest {
            restarted(&server, stage, 1).await;
        }
        assert_recognized(&recognize(&server, &photo).await);
        assert!(server.is_ready().await, "{}", stage.name());
    }
    let metrics = server.metrics().await;
    for stage in Station::ALL {
        let label = format!("stage=\"{}\"", stage.name());
        assert_eq!(metrics.count("stage_restarts_total", &[&label, "cause=\"panic\""]), 1, "{label}");
        assert_eq!(metrics.count("stage_restarts_total", &[&label]), 1, "{label}");
    }
    server.is_idle().await;
}

#[tokio::test]
async fn a_dying_actor_takes_at_most_what_was_inside_it() {
    let (server, photo) = class(&[("pipeline.compute_threads", "1")]).await;
    server.faults.panic_times("embed.actor", 1);
    let requests =
        join_all((0..6).map(async |_| server.api.recognize("g", &EVERYTHING, &[&photo, &photo]).await)).await;
    let mut lost = 0;
    for request in requests {
        if request.status == 200 {
            for photo in request.json()["photos"].as_array().unwrap() {
                match photo["error"]["code"].as_str() {
                    None => assert_eq!(photo["faces"][0]["person"], "p"),
                    Some(code) => {
                        assert_eq!(code, "internal");
                        lost += 1;
                    }
                }
            }
        } else {
            assert_internal(&request, "both of its photos were inside");
            lost += 2;
        }
    }
    assert!((1..=Station::Embed.capacity().on(1.try_into().unwrap())).contains(&lost), "{lost} of 12");
}

#[tokio::test]
async fn an_actor_that_keeps_dying_makes_the_server_unready() {
    for stage in [Station::Ingest, Station::Embed, Station::Attendance] {
        let (server, photo) =
            class(&[("pipeline.max_restarts", "3"), ("pipeline.restart_window_seconds", "600")]).await;
        let point = format!("{}.actor", stage.name());
        server.faults.panic_times(&point, 1_000);
        for deaths in 1..=3 {
            assert_internal(&recognize(&server, &photo).await, stage.name());
            restarted(&server, stage, deaths).await;
            assert!(server.is_ready().await, "within the limit of {}", stage.name());
        }
        assert_internal(&recognize(&server, &photo).await, stage.name());
        eventually("the stage is given up", async || !server.is_ready().await).await;
        let report = server.api.get("/health/ready").await.expect(503);
        assert_eq!(report["status"], "unready");
        assert!(report["reasons"][stage.name()].is_string(), "{report}");
        for _ in 0..2 {
            let answer = recognize(&server, &photo).await;
            assert_eq!(answer.problem(), (503, "unavailable".to_owned()), "{}: {}", stage.name(), answer.text());
            assert_eq!(answer.header("retry-after"), "1");
        }
        server.api.get("/health/live").await.expect(200);
        server.api.get("/api/v1/people/p").await.expect(200);
        assert_eq!(server.metrics().await.count("stage_restarts_total", &["cause=\"panic\""]), 3);
        server.is_idle().await;
    }
}

#[tokio::test]
async fn photos_on_their_way_to_a_stage_that_is_given_up_are_answered() {
    let (server, photo) = class(&[("pipeline.max_restarts", "0")]).await;
    let gate = server.faults.block("embed.actor");
    server.faults.panic_times("embed.actor", 1_000);
    let requests = (0..20).map(async |_| recognize(&server, &photo).await);
    let open = async {
        eventually("photos pile up before embed", async || {
            let waiting = server.metrics().await;
            waiting.count("stage_in_flight", &[]) == 20
        })
        .await;
        drop(gate);
    };
    let (answers, ()) = tokio::join!(join_all(requests), open);
    let mut codes: Vec<_> = answers.iter().map(Answer::problem).collect();
    codes.sort();
    codes.dedup();
    assert_eq!(codes, [(500, "internal".to_owned()), (503, "unavailable".to_owned())]);
    server.is_idle().await;
}

#[tokio::test]
async fn servers_in_one_process_do_not_share_faults() {
    let ((ill, photo), (well, _)) = tokio::join!(class(&[]), class(&[]));
    ill.faults.panic_times("decode.work", 1);
    assert_recognized(&recognize(&well, &photo).await);
    assert_internal(&recognize(&ill, &photo).await, "decode");
    assert_recognized(&recognize(&ill, &portrait("obama3")).await);
}
