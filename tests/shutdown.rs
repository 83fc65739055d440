//! The orderly end: what was admitted is answered and kept, and the process says that all went well.

use std::{
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};

use crate::support::{
    Api, ServerProcess, TestServer, class_photo, eventually, form, portrait, process::serve_here, process::terminate,
    raw::Raw,
};

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

/// What becomes of the requests of one client: its kind, whether it was answered after the server was asked to stop, and
/// how it went.
type Outcomes = Arc<Mutex<Vec<(&'static str, bool, Result<u16, String>)>>>;

/// A client of the flood.
#[derive(Clone)]
struct Flooder {
    api: Api,
    stopping: Arc<AtomicBool>,
    outcomes: Outcomes,
}

impl Flooder {
    /// Sends requests until the server is asked to stop or refuses connections, each on a connection of its own if
    /// they are not `kept_alive`; then only until the server closes the present one.
    async fn flood(self, kind: &'static str, kept_alive: bool, mut request: impl FnMut() -> Vec<Vec<u8>>) {
        let mut open = None;
        loop {
            let mut stream = match open.take() {
                Some(stream) => stream,
                None if self.stopping.load(Ordering::Acquire) => return,
                None => match TcpStream::connect(self.api.address()).await {
                    Ok(stream) => stream,
                    Err(_) => return,
                },
            };
            let answer = exchange(&mut stream, &request()).await;
            let late = self.stopping.load(Ordering::Acquire);
            let closing = answer.as_ref().is_ok_and(|(_, closing)| *closing);
            self.outcomes.lock().unwrap().push((kind, late, answer.map(|(status, _)| status)));
            open = (kept_alive && !closing).then_some(stream);
        }
    }

    fn head(&self, method: &str, path: &str, more: &str) -> Vec<u8> {
        let key = self.api.key();
        format!("{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n{more}\r\n").into_bytes()
    }
}

/// Sends a request piece by piece and reads its answer: the status, and whether the server closes the connection.
async fn exchange(stream: &mut TcpStream, pieces: &[Vec<u8>]) -> Result<(u16, bool), String> {
    for (n, piece) in pieces.iter().enumerate() {
        if n > 0 {
            sleep(Duration::from_millis(10)).await;
        }
        if stream.write_all(piece).await.is_err() {
            // It may have been answered already.
            break;
        }
    }
    let mut answer = Vec::new();
    loop {
        if let Some(whole) = whole(&answer) {
            return Ok(whole);
        }
        match stream.read_buf(&mut answer).await {
            Ok(0) => return Err(format!("ended after {} bytes", answer.len())),
            Ok(_) => {}
            Err(error) => return Err(format!("{error} after {} bytes", answer.len())),
        }
    }
}

fn whole(answer: &[u8]) -> Option<(u16, bool)> {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    (body.len() >= length).then_some((status, head.contains("connection: close")))
}

#[tokio::test]
async fn every_request_that_the_server_has_is_answered_whole() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(data.path()).await;
    server.api.group("g").await;
    server.api.enrol("obama", &["g"], "obama").await;
    let (stopping, outcomes) = (Arc::new(AtomicBool::default()), Outcomes::default());
    let flooder = Flooder { api: server.api.clone(), stopping: Arc::clone(&stopping), outcomes: Arc::clone(&outcomes) };
    let photo = portrait("obama2");
    let mut clients = JoinSet::new();
    for client in 0..24 {
        for kept_alive in [false, true] {
            let get = flooder.head("GET", "/api/v1/groups/g", "");
            clients.spawn(flooder.clone().flood("get", kept_alive, move || vec![get.clone()]));
        }
        let (json, mut number) = (flooder.clone(), 0);
        clients.spawn(flooder.clone().flood("json", client % 2 == 0, move || {
            number += 1;
            let body = format!(r#"{{"id":"g-{client}-{number}","name":"g"}}"#);
            let framing = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            vec![json.head("POST", "/api/v1/groups", &framing), body.into_bytes()]
        }));
    }
    for _ in 0..8 {
        let part = "--x\r\nContent-Disposition: form-data; name=\"images\"; filename=\"p.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n";
        let body = [part.as_bytes(), photo.as_slice(), b"\r\n--x--\r\n"].concat();
        let framing = format!("Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {}\r\n", body.len());
        let head = flooder.head("POST", "/api/v1/groups/g/recognize", &framing);
        let pieces: Vec<_> = [head].into_iter().chain(body.chunks(body.len() / 20).map(<[u8]>::to_vec)).collect();
        clients.spawn(flooder.clone().flood("photo", false, move || pieces.clone()));
    }
    let answered = |kind: &str, late: bool| {
        outcomes.lock().unwrap().iter().filter(|(of, when, _)| *of == kind && *when == late).count()
    };
    eventually("every kind is answered", async || {
        ["get", "json", "photo"].iter().all(|kind| answered(kind, false) > 10)
    })
    .await;
    stopping.store(true, Ordering::Release);
    server.terminate();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert_eq!(server.ended().await.code(), Some(0));
    for kind in ["get", "json", "photo"] {
        assert!(answered(kind, true) > 0, "{kind}");
    }
    let outcomes = outcomes.lock().unwrap();
    let bad: Vec<_> = outcomes.iter().filter(|(.., went)| !matches!(went, Ok(200 | 201 | 429 | 503))).collect();
    assert!(bad.is_empty(), "{} of {}: {bad:?}", bad.len(), outcomes.len());
}

#[tokio::test]
async fn who_has_not_sent_the_request_by_the_end_of_the_drain_is_told() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerProcess::with(data.path(), &[("ROLLCALL__SERVER__DRAIN_SECONDS", "1")]).await;
    server.api.group("g").await;
    let framing = "Content-Length: 1000";
    let begun = [
        Raw::post(&server.api, "/api/v1/groups", "application/json", framing),
        Raw::post(&server.api, "/api/v1/groups/g/recognize", "multipart/form-data; boundary=x", framing),
    ];
    let mut trickling = Raw::post(&server.api, "/api/v1/detect", "application/json", framing);
    // Answered after those before: the server has their heads.
    server.api.get("/health/ready").await.expect(200);
    server.terminate();
    assert!(trickling.trickle(|raw| {
        std::thread::sleep(Duration::from_millis(50));
        raw.send(b" ")
    }));
    for raw in begun.into_iter().chain([trickling]) {
        let answer = raw.answer().to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 503"), "{answer}");
        assert!(answer.contains("connection: close") && answer.contains("\"unavailable\""), "{answer}");
    }
    assert_eq!(server.ended().await.code(), Some(0));
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_photo_that_is_not_done_by_the_end_of_the_drain_is_told() {
    let server = TestServer::with(&[("server.drain_seconds", "1")]).await;
    server.api.group("g").await;
    let _gate = server.faults.block("attendance.actor");
    let (api, photo) = (server.api.clone(), portrait("obama2"));
    let under_way = tokio::spawn(async move { api.recognize("g", &[], &[&photo]).await });
    eventually("the photo waits", async || server.faults.waiting_at("attendance.actor") == 1).await;
    server.ask_to_stop();
    assert_eq!(under_way.await.unwrap().problem(), (503, "unavailable".to_owned()));
    eventually("the server ends", async || server.has_ended()).await;
}

#[test]
fn sigterm_ends_a_server_that_is_starting_at_once_and_the_next_start_is_a_start() {
    let data = tempfile::tempdir().unwrap();
    // Weights that never come.
    let models = data.path().join("models");
    std::fs::create_dir(&models).unwrap();
    assert!(Command::new("mkfifo").arg(models.join("MANIFEST.toml")).status().unwrap().success());
    let settings = [("ROLLCALL__MODELS__DIR", models.to_str().unwrap())];
    let (mut child, mut lines) = ServerProcess::starting(data.path(), &settings, "starting");
    terminate(&child);
    assert!(lines.any(|line| line.contains("stopped before the start was over")));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!data.path().join("server.address").exists());
    let (mut child, mut lines) = ServerProcess::starting(data.path(), &[], "ready");
    terminate(&child);
    assert!(lines.any(|line| line.contains("stopped")));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Tells the child, which is this very test binary, where its data is.
#[cfg(debug_assertions)]
const CHILD_DATA: &str = "ROLLCALL_TEST_HANG_DATA";

/// The child's part: a server whose decoder hangs, with little patience for its end.
#[cfg(debug_assertions)]
#[test]
fn child_serves_with_a_decoder_that_hangs() {
    use rollcall::{config::Settings, runtime::Faults};
    let Ok(data) = std::env::var(CHILD_DATA) else { return };
    let faults = Faults::default();
    let _hang = faults.block("decode.work");
    let settings = Settings::load(None, &[("server.data", data), ("server.drain_seconds", "1".to_owned())]).unwrap();
    serve_here(settings, faults);
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_stop_that_hangs_ends_the_process_all_the_same() {
    let data = tempfile::tempdir().unwrap();
    let server =
        ServerProcess::of_this_binary("shutdown::child_serves_with_a_decoder_that_hangs", CHILD_DATA, data.path())
            .await;
    let (api, photo) = (server.api.clone(), portrait("obama"));
    let under_way = tokio::spawn(async move { api.post_form("/api/v1/detect", form(&[], &[&photo])).await });
    eventually("the photo is in work", async || {
        let metrics = crate::support::Metrics::parse(&server.api.get("/metrics").await.text());
        metrics.count("stage_in_flight", &[r#"stage="decode""#]) == 1
    })
    .await;
    server.terminate();
    assert_eq!(under_way.await.unwrap().problem(), (503, "unavailable".to_owned()));
    assert_eq!(server.ended().await.code(), Some(124));
}
