//! The orderly end: what was admitted is answered and kept, and the process says that all went well.

use crate::support::{ServerProcess, TestServer, class_photo, eventually, form, portrait};

#[tokio::test]
async fn sigterm_lets_recognitions_under_way_finish_and_exits_0() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(data.path()).await;
    server.api.group("g").await;
    server.api.enrol("obama", &["g"], "obama").await;
    server.api.enrol("biden", &["g"], "biden").await;
    let photo = class_photo(&[("obama2", 500), ("biden", 400)]);
    let api = server.api.clone();
    let under_way = tokio::spawn(async move { api.recognize("g", &[], &[photo.as_slice(); 20]).await });
    eventually("photos are under way", async || {
        let metrics = server.api.get("/metrics").await.text();
        crate::support::Metrics::parse(&metrics).count("stage_in_flight", &[]) > 0
    })
    .await;
    assert!(!under_way.is_finished());
    server.terminate();
    let answer = under_way.await.unwrap().expect(200);
    assert_eq!(answer["photos"].as_array().unwrap().len(), 20);
    assert!(answer["photos"].as_array().unwrap().iter().all(|photo| photo["error"].is_null()));
    assert_eq!(answer["present"].as_array().unwrap().len(), 2);
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(!data.path().join("server.address").exists());
    let server = ServerProcess::start(data.path()).await;
    assert_eq!(server.api.records("g", "").await.len(), 2);
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_photo_that_waits_at_the_stop_is_answered_and_nobody_new_is_admitted() {
    let server = TestServer::start().await;
    server.api.group("g").await;
    server.api.enrol("p", &["g"], "obama").await;
    let gate = server.faults.block("attendance.actor");
    let api = server.api.clone();
    let photo = portrait("obama2");
    let under_way = tokio::spawn(async move { api.recognize("g", &[], &[&photo]).await });
    eventually("the photo waits", async || server.faults.waiting_at("attendance.actor") == 1).await;
    server.ask_to_stop();
    eventually("nobody new is admitted", async || std::net::TcpStream::connect(server.api.address()).is_err()).await;
    assert!(!server.has_ended());
    drop(gate);
    assert_eq!(under_way.await.unwrap().expect(200)["present"][0]["attendance"], "marked");
    eventually("the server ends", async || server.has_ended()).await;
    let server = server.restart().await;
    assert_eq!(server.api.records("g", "").await.len(), 1);
}

#[tokio::test]
async fn an_idle_server_ends_although_a_client_keeps_its_connection() {
    let server = TestServer::start().await;
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let url = format!("http://{}/health/live", server.api.address());
    assert!(client.get(&url).send().await.unwrap().bytes().await.is_ok());
    server.ask_to_stop();
    eventually("the server ends", async || server.has_ended()).await;
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let first = ServerProcess::start(data.path()).await;
    let address = std::fs::read_to_string(data.path().join("server.address")).unwrap();
    let refused = ServerProcess::fail_on(data.path());
    assert_eq!(refused.status.code(), Some(1));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("in use"), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(std::fs::read_to_string(data.path().join("server.address")).unwrap(), address);
    first.api.post_form("/api/v1/detect", form(&[], &[&portrait("obama")])).await.expect(200);
}
