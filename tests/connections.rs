//! Who is let in and how long it may last: connections that are too many, slow, silent, or whose answers nobody reads.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use reqwest::Method;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::net::TcpSocket;

use crate::{
    support::{Api, TestServer, eventually, raw::Raw, routes},
    tls::certify,
};

/// What needs no key and is not in the API's description.
const AT_THE_ROOT: [&str; 5] = ["/health/live", "/health/ready", "/docs", "/docs/", "/openapi.json"];

/// Longer than any test waits for something to happen.
const FOR_EVER: &str = "3600";

const PATIENCE: Duration = Duration::from_secs(60);

/// An address on which nobody listens.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn api_at(address: &str) -> Api {
    Api::new(format!("http://{address}"), String::new())
}

/// The routes that do not ask for a key first: of the description those that do not say that one is missing.
async fn open_routes(server: &TestServer) -> Vec<(String, String)> {
    let stranger = server.api.without_key();
    let mut open: Vec<_> = AT_THE_ROOT.map(|path| ("get".to_owned(), path.to_owned())).into();
    for (method, route) in routes::described(&server.api).await {
        let path: Vec<&str> = route.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let path = path.join("/");
        let answer = routes::send(&stranger, &method, &path, &routes::body(&method, &route)).await;
        if answer.status != 401 || answer.problem().1 != "unauthenticated" {
            open.push((method, format!("/api/v1{path}")));
        }
    }
    open
}

#[tokio::test]
async fn no_open_route_holds_on_to_a_body_that_is_slow_or_without_an_end() {
    let server = TestServer::with(&[("limits.head_seconds", "1")]).await;
    let open = open_routes(&server).await;
    for path in ["/api/v1/auth/login", "/api/v1/auth/refresh", "/openapi.json"] {
        assert!(open.iter().any(|(_, route)| route == path), "{path} is open");
    }
    let senders: [(&str, &str, &[u8]); 4] = [
        ("slow", "Transfer-Encoding: chunked", b"1\r\n \r\n"),
        ("slow", "Content-Length: 1000000000", b" "),
        ("endless", "Transfer-Encoding: chunked", &[&b"1000\r\n"[..], &[b' '; 4096], b"\r\n"].concat()),
        ("endless", "Content-Length: 1000000000", &[b' '; 4096]),
    ];
    thread::scope(|all| {
        for (method, path) in &open {
            for (how, framing, piece) in senders {
                let api = &server.api;
                all.spawn(move || {
                    let mut raw = Raw::connect(api);
                    let method = method.to_ascii_uppercase();
                    let head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json");
                    assert!(raw.send(format!("{head}\r\n{framing}\r\n\r\n").as_bytes()));
                    assert!(raw.until_closed(|raw| raw.send(piece)), "{method} {path} holds on: {how}, {framing}");
                });
            }
        }
    });
    server.api.group("g").await;
}

/// Sends requests in a row and reads nothing, until the server has closed the connection. False if it never does.
fn is_let_go(mut line: impl Write, path: &str) -> bool {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes();
    let (begun, mut sent) = (Instant::now(), 0);
    while begun.elapsed() < PATIENCE {
        match line.write(&request[sent..]) {
            Ok(bytes) => sent = (sent + bytes) % request.len(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return true,
        }
    }
    false
}

fn line_to(address: &str) -> TcpStream {
    let line = TcpStream::connect(address).unwrap();
    line.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    line
}

/// A client's side of TLS that speaks `protocols`, and trusts the certificate.
fn secured(pem: &str, protocols: &[&str], line: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(trusted).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    StreamOwned::new(ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap(), line)
}

#[tokio::test]
async fn no_listener_holds_on_to_answers_that_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, certificate, key) = certify(folder.path());
    let health = free_address();
    let settings = [("limits.answer_idle_seconds", "1"), ("server.health_address", &*health)];
    let server = TestServer::with(&settings).await;
    let closed = async || server.metrics().await.count("connections_closed_total", &["reason=\"answer\""]);
    for (done, (address, path)) in
        [(server.api.address(), "/openapi.json"), (&*health, "/health/ready")].iter().enumerate()
    {
        assert!(is_let_go(line_to(address), path), "{path} is held for its reader");
        assert_eq!(closed().await, done as u64 + 1, "{path}");
    }
    let settings =
        [("limits.answer_idle_seconds", "1"), ("server.tls_certificate", &*certificate), ("server.tls_key", &*key)];
    let server = TestServer::with(&settings).await;
    let line = secured(&pem, &["http/1.1"], line_to(server.api.address()));
    assert!(is_let_go(line, "/openapi.json"), "held under TLS");
}

#[tokio::test]
async fn requests_in_a_row_are_not_answered_before_the_answers_are_taken() {
    const REQUESTS: usize = 30;
    let server = TestServer::start().await;
    let mut raw = Raw::connect(&server.api);
    let padding = "a".repeat(1000);
    let request = format!("GET /openapi.json HTTP/1.1\r\nHost: test\r\nX-A: {padding}\r\n\r\n");
    assert!(raw.send(request.repeat(REQUESTS).as_bytes()));
    let answered = async || server.metrics().await.count("requests_total", &["route=\"/openapi.json\""]);
    let mut before = 0;
    eventually("no more are answered", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = answered().await;
        std::mem::replace(&mut before, now) == now && now > 0
    })
    .await;
    assert!(before < 5, "{before} answers wait for somebody to read them");
    raw.answers(REQUESTS);
    assert_eq!(answered().await, REQUESTS as u64, "who reads after all gets all of them");
}

/// What is behind an answer that nobody reads is not even parsed: a request in memory is a hundred times its bytes.
#[tokio::test]
async fn requests_behind_an_unread_answer_take_no_memory() {
    const LINES: usize = 100;
    const BEHIND: usize = 300;
    let server = TestServer::start().await;
    let first = "GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n";
    let little = "GET /health/live HTTP/1.1\r\nHost:x\r\n\r\n".repeat(BEHIND);
    let taken_by_lines = async |head: &str, rest: &str| {
        let before = resident_kb();
        let mut lines: Vec<_> = (0..LINES).map(|_| Raw::connect(&server.api)).collect();
        for sent in [head, rest] {
            for raw in &mut lines {
                assert!(raw.send(sent.as_bytes()));
            }
            server.api.get("/health/live").await.expect(200);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        (resident_kb().saturating_sub(before), lines)
    };
    let with_body = "POST /api/v1/auth/login HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
                     Content-Length: 1\r\n\r\n";
    let mut held = Vec::new();
    for (head, rest, answers) in [("", first.to_owned(), 1), (with_body, format!("{{{first}"), 1)] {
        let (alone, lines) = taken_by_lines(head, &rest).await;
        // Held on to, so that the next ones find no memory that was used before.
        held.push(lines);
        let (with_others, mut more) = taken_by_lines(head, &format!("{rest}{little}")).await;
        let behind = with_others.saturating_sub(alone) / LINES as u64;
        assert!(behind < 100, "{behind} kB for each connection beside the answer's {} kB", alone / LINES as u64);
        more.drain(..3).for_each(|mut raw| raw.answers(answers + BEHIND));
        held.push(more);
    }
}

/// What is refused was never memory: not room for all that a body announced, in pages that others have written to.
#[tokio::test]
async fn bodies_take_no_more_memory_than_the_budget() {
    const BODY_BYTES: usize = 20_000_000;
    let settings = [
        ("limits.image_bytes", "20000000"),
        ("limits.body_bytes", "20000000"),
        ("limits.photo_pixels", "1000000"),
        ("pipeline.budget_bytes", "60000000"),
    ];
    let server = TestServer::with(&settings).await;
    let begun = b"{\"images\":[\"".to_vec();
    let body = [&begun[..], &vec![b'A'; BODY_BYTES - begun.len() - 3], b"\"]}"].concat();
    let before = resident_kb();
    let peak = std::thread::scope(|threads| {
        let clients: Vec<_> = (0..30)
            .map(|_| {
                threads.spawn(|| {
                    for _ in 0..5 {
                        let length = format!("Content-Length: {BODY_BYTES}");
                        Raw::post(&server.api, "/api/v1/detect", "application/json", &length).send(&body);
                    }
                })
            })
            .collect();
        let mut peak = 0;
        while clients.iter().any(|client| !client.is_finished()) {
            peak = peak.max(resident_kb());
            std::thread::sleep(Duration::from_millis(5));
        }
        peak
    });
    let taken = (peak - before) / 1000;
    assert!(taken < 120, "{taken} MB of a budget of 60");
    server.is_idle().await;
}

/// What this process has in memory, the server among it.
fn resident_kb() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Rss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_head_of_a_connection_has_its_time_and_so_has_the_silence_between() {
    const REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n";
    let server = TestServer::with(&[("limits.head_seconds", "1")]).await;
    let mut raw = Raw::connect(&server.api);
    for _ in 0..3 {
        assert!(raw.send(REQUEST));
        raw.answers(1);
    }
    assert!(raw.send(b"GET /health/live HTTP/1.1\r\nx-a: "));
    assert!(raw.until_closed(|raw| raw.send(b"a")), "the fourth head is held for ever");
    assert_eq!(server.metrics().await.count("connections_closed_total", &["reason=\"head\""]), 1);

    let server = TestServer::with(&[("server.keep_alive_seconds", "1")]).await;
    let mut raw = Raw::connect(&server.api);
    assert!(raw.send(REQUEST));
    raw.answers(1);
    assert!(raw.until_closed(|_| true), "kept for ever");
}

/// Takes places with connections that send nothing, until one is closed at once.
fn take_all_places(api: &Api) -> Vec<Raw> {
    let mut held = Vec::new();
    loop {
        let mut raw = Raw::connect(api);
        if raw.is_closed() {
            return held;
        }
        held.push(raw);
        assert!(held.len() < 50, "there are more places than there should be");
    }
}

#[tokio::test]
async fn connections_over_what_an_address_may_have_are_closed_and_counted() {
    let settings = [("server.max_connections_per_address", "5"), ("limits.head_seconds", FOR_EVER)];
    let server = TestServer::with(&settings).await;
    let mut held = take_all_places(&server.api);
    assert!(held.len() >= 5);
    // Another address has places of its own.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let other = socket.connect(server.api.address().parse().unwrap()).await.unwrap();
    let mut other = other.into_std().unwrap();
    other.set_nonblocking(false).unwrap();
    other.write_all(b"GET /health/live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Places that were given back can be taken again.
    held.truncate(2);
    eventually("places are free", async || server.api.request(Method::GET, "/health/live").send().await.is_ok()).await;
    assert!(server.metrics().await.count("connections_closed_total", &["reason=\"address\""]) > 0);

    let settings = [("server.trusted_proxies", "127.0.0.0/8"), settings[0], settings[1]];
    let proxied = TestServer::with(&settings).await;
    let mut held: Vec<Raw> = (0..8).map(|_| Raw::connect(&proxied.api)).collect();
    assert!(held.iter_mut().all(|raw| !raw.is_closed()), "a proxy's clients are many");
}

#[tokio::test]
async fn health_answers_while_strangers_hold_every_connection() {
    let health = free_address();
    let settings =
        [("server.max_connections", "5"), ("limits.head_seconds", FOR_EVER), ("server.health_address", &*health)];
    let server = TestServer::with(&settings).await;
    let mut held = take_all_places(&server.api);
    assert!(held.len() >= 5);
    let probe = api_at(&health);
    for _ in 0..40 {
        assert_eq!(probe.get("/health/live").await.expect(200)["status"], "live");
        assert_eq!(probe.get("/health/ready").await.expect(200)["status"], "ready");
    }
    for path in ["/metrics", "/docs/", "/openapi.json", "/api/v1/groups"] {
        let answer = probe.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    held.clear();
    eventually("the places are free again", async || {
        server.api.request(Method::GET, "/health/live").send().await.is_ok()
    })
    .await;
    assert!(server.metrics().await.count("connections_closed_total", &["reason=\"full\""]) > 0);
}

#[tokio::test]
async fn four_hundred_phones_behind_one_address_get_in() {
    let server = TestServer::start().await;
    let mut phones: Vec<Raw> = (0..400).map(|_| Raw::connect(&server.api)).collect();
    for phone in &mut phones {
        assert!(phone.send(b"GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n"));
    }
    for phone in &mut phones {
        phone.answers(1);
    }
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(&server.api);
    assert!(raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"));
    let answer = raw.answer();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");

    let folder = tempfile::tempdir().unwrap();
    let (pem, certificate, key) = certify(folder.path());
    let settings = [("server.tls_certificate", &*certificate), ("server.tls_key", &*key)];
    let server = TestServer::with(&settings).await;
    let shake_hands = |protocols: &[&str]| {
        let mut line = secured(&pem, protocols, TcpStream::connect(server.api.address()).unwrap());
        line.conn.complete_io(&mut line.sock).map(|_| line.conn.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(shake_hands(&["h2", "http/1.1"]).unwrap(), Some(b"http/1.1".to_vec()));
    assert_eq!(shake_hands(&[]).unwrap(), None);
    assert!(shake_hands(&["h2"]).is_err());
}
