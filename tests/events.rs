//! Events listened to: in order, resumed, for those who may hear them, for as long as they may.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error as SocketError, Message, client::IntoClientRequest},
};

use crate::support::{Api, TestServer, eventually, form, portrait, raw::Raw};

const EVENTS: &str = "/api/v1/events";
const PATIENCE: Duration = Duration::from_secs(60);

/// Server-sent events, as a browser reads them.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(api: &Api, path: &str, last_id: Option<&str>) -> Self {
        let mut request = api.request(Method::GET, path).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event, whose name and number are those in its data; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let frame: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
                let Some(data) = field("data: ") else { continue };
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!(field("event: ").unwrap(), data["kind"]);
                let number = if data["kind"] == "gap" { &data["next"] } else { &data["id"] };
                assert_eq!(field("id: ").unwrap_or("null"), number.to_string());
                return Some(data);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("the server says something");
            self.text += std::str::from_utf8(&chunk.ok()??).unwrap();
        }
    }

    async fn ids(&mut self, count: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.next().await.unwrap()["id"].as_u64().unwrap());
        }
        ids
    }
}

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Errors with the status of a refusal.
    async fn open(api: &Api, query: &str) -> Result<Self, u16> {
        let mut request = format!("ws://{}{EVENTS}/ws{query}", api.address()).into_client_request().unwrap();
        if !api.key().is_empty() {
            request.headers_mut().insert("x-api-key", api.key().parse().unwrap());
        }
        let stream = TcpStream::connect(api.address()).await.unwrap();
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(SocketError::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("the server says something") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }
}

impl Api {
    async fn marked(&self, group: &str, shot: &str) -> Value {
        self.recognize(group, &[], &[&portrait(shot)]).await.expect(200);
        self.records(group, "").await.pop().unwrap()
    }

    async fn undone(&self, group: &str, record: &Value) {
        let path = format!("/api/v1/groups/{group}/attendance/{}", record["id"].as_str().unwrap());
        assert_eq!(self.delete(&path).await.status, 204);
    }

    async fn key_of(&self, role: &str, groups: &[&str]) -> (Self, String) {
        let made =
            self.post("/api/v1/keys", &json!({ "name": role, "role": role, "groups": groups })).await.expect(201);
        (self.with_key(made["key"].as_str().unwrap()), made["id"].as_str().unwrap().to_owned())
    }

    async fn listed(&self, query: &str) -> Vec<u64> {
        let list = self.get(&format!("{EVENTS}{query}")).await.expect(200);
        list["events"].as_array().unwrap().iter().map(|event| event["id"].as_u64().unwrap()).collect()
    }

    async fn ticket(&self) -> String {
        let ticket = self.post("/api/v1/events/ticket", &Value::Null).await.expect(200);
        assert_eq!(ticket["expires_in"], 60);
        ticket["ticket"].as_str().unwrap().to_owned()
    }
}

/// A server with the groups `g`, of obama, and `h`, of biden.
async fn school(settings: &[(&'static str, &str)]) -> TestServer {
    let server = TestServer::with(settings).await;
    for (group, person) in [("g", "obama"), ("h", "biden")] {
        server.api.group(group).await;
        server.api.enrol(person, &[group], person).await;
    }
    server
}

#[tokio::test]
async fn a_listener_hears_everything_once_also_over_a_restart() {
    let server = school(&[]).await;
    let api = &server.api;
    let (mut stream, mut socket) = (Stream::open(api, EVENTS, None).await, Socket::open(api, "").await.unwrap());
    let record = api.marked("g", "obama2").await;
    api.undone("g", &record).await;
    let (marked, corrected) = (stream.next().await.unwrap(), stream.next().await.unwrap());
    for field in ["at", "similarity"] {
        assert_eq!(marked[field], record[field], "{field}");
    }
    assert_eq!((&marked["record"], &marked["person"], &marked["group"]), (&record["id"], &json!("obama"), &json!("g")));
    assert_eq!((&corrected["before"], &corrected["after"]), (&json!("present"), &Value::Null));
    assert_eq!((socket.next().await.unwrap(), socket.next().await.unwrap()), (marked.clone(), corrected.clone()));
    let list = api.get(EVENTS).await.expect(200);
    assert_eq!(list, json!({ "events": [marked, corrected.clone()], "next": 2, "more": false, "gap": false }));
    let page = api.get(&format!("{EVENTS}?limit=1")).await.expect(200);
    assert_eq!((&page["next"], &page["more"]), (&json!(1), &json!(true)));
    assert_eq!(server.metrics().await.each("event_streams", &[]), [1.0, 1.0]);

    let server = server.restart().await;
    assert_eq!((stream.next().await, socket.next().await), (None, None), "a stop ends all streams");
    let api = &server.api;
    // `Last-Event-ID` is what a browser adds to the address it was given first.
    let mut stream = Stream::open(api, &format!("{EVENTS}?after=0"), Some("1")).await;
    let mut socket = Socket::open(api, "?after=1").await.unwrap();
    assert_eq!((stream.next().await.unwrap(), socket.next().await.unwrap()), (corrected.clone(), corrected));
    api.marked("h", "biden").await;
    assert_eq!(
        (stream.next().await.unwrap()["id"].clone(), socket.next().await.unwrap()["id"].clone()),
        (json!(3), json!(3))
    );
}

#[tokio::test]
async fn each_hears_what_they_may_and_want() {
    let server = school(&[]).await;
    let (api, other) = (&server.api, server.tenant("other").await);
    let (teacher, _) = api.key_of("teacher", &["g"]).await;
    let mut of_teacher = Stream::open(&teacher, &format!("{EVENTS}?after=0"), None).await;
    let mut of_other = Stream::open(&other, &format!("{EVENTS}?after=0"), None).await;
    let mut corrections = Stream::open(api, &format!("{EVENTS}?kinds=corrected&group=h"), None).await;
    for (group, shot) in [("h", "biden"), ("g", "obama2")] {
        let record = api.marked(group, shot).await;
        api.undone(group, &record).await;
    }
    assert_eq!(of_teacher.ids(2).await, [3, 4]);
    assert_eq!(corrections.ids(1).await, [2]);
    assert_eq!((teacher.listed("").await, api.listed("?kinds=marked,corrected").await), (vec![3, 4], vec![1, 2, 3, 4]));
    assert_eq!(teacher.get(&format!("{EVENTS}?group=h")).await.problem(), (403, "forbidden".to_owned()));
    assert_eq!(api.get(&format!("{EVENTS}?group=none")).await.problem(), (404, "group_not_found".to_owned()));
    assert_eq!(api.get(&format!("{EVENTS}?kinds=mark")).await.problem(), (400, "invalid_kind".to_owned()));
    // The other tenant's log has numbers of its own.
    other.group("g").await;
    other.enrol("obama", &["g"], "obama").await;
    other.marked("g", "obama2").await;
    assert_eq!(of_other.ids(1).await, [1]);
    // Who is erased is erased here, too, and so is a group.
    assert_eq!(api.delete("/api/v1/people/biden").await.status, 204);
    assert_eq!(api.listed("").await, [3, 4]);
    assert_eq!(api.delete("/api/v1/groups/g").await.status, 204);
    assert!(api.listed("").await.is_empty());
    let mut nothing_to_resume = Stream::open(api, EVENTS, Some("1")).await;
    api.group("again").await;
    api.send(Method::PUT, "/api/v1/groups/again/people/obama", &Value::Null).await.expect(204);
    api.marked("again", "obama2").await;
    assert_eq!(nothing_to_resume.ids(1).await, [5], "numbers are never used again");
    assert_eq!(server.operator().get("/api/v1/check").await.expect(200)["problems"], json!({}));
}

#[tokio::test]
async fn a_merge_keeps_the_events_of_both() {
    let server = school(&[]).await;
    let api = &server.api;
    api.send(Method::PUT, "/api/v1/groups/g/people/biden", &Value::Null).await.expect(204);
    // Seen first in g, and alone in h.
    api.marked("g", "biden").await;
    let earlier = api.records("g", "").await.pop().unwrap();
    api.marked("g", "obama2").await;
    let alone = api.marked("h", "biden").await;
    api.post("/api/v1/people/obama/merge", &json!({ "from": "biden" })).await.expect(200);
    let events = api.get(EVENTS).await.expect(200)["events"].clone();
    let events = events.as_array().unwrap();
    assert!(events.len() == 5 && events.iter().all(|event| event["person"] == "obama"), "{events:?}");
    for (group, record, before) in [("g", earlier, json!("present")), ("h", alone, Value::Null)] {
        let given = events.iter().find(|event| event["kind"] == "corrected" && event["group"] == group).unwrap();
        assert_eq!(
            (&given["record"], &given["before"], &given["after"]),
            (&record["id"], &before, &json!("present")),
            "{group}"
        );
        assert_eq!(api.records(group, "").await[0]["id"], record["id"], "{group}");
    }
    assert_eq!(server.operator().get("/api/v1/check").await.expect(200)["problems"], json!({}));
}

#[tokio::test]
async fn a_ticket_opens_a_stream_once_with_its_owners_rights() {
    let server = school(&[]).await;
    let (api, nobody) = (&server.api, server.api.without_key());
    api.marked("h", "biden").await;
    api.marked("g", "obama2").await;
    let (teacher, key) = api.key_of("teacher", &["g"]).await;
    let ticket = teacher.ticket().await;
    let path = format!("{EVENTS}?after=0&ticket={ticket}");
    assert_eq!(Stream::open(&nobody, &path, None).await.ids(1).await, [2]);
    assert_eq!(nobody.get(&path).await.problem(), (401, "unauthenticated".to_owned()), "it is spent");
    let query = format!("?after=0&ticket={}", teacher.ticket().await);
    assert_eq!(Socket::open(&nobody, &query).await.unwrap().next().await.unwrap()["id"], 2);
    assert_eq!(Socket::open(&nobody, &query).await.err(), Some(401));
    let ticket = api.ticket().await;
    assert_eq!(nobody.get(&format!("/api/v1/groups?ticket={ticket}")).await.status, 401, "it opens nothing else");
    let ticket = teacher.ticket().await;
    assert_eq!(api.delete(&format!("/api/v1/keys/{key}")).await.status, 204);
    assert_eq!(nobody.get(&format!("{EVENTS}?ticket={ticket}")).await.status, 401, "its owner is no longer let in");
    assert_eq!(Socket::open(&nobody, "?ticket=0").await.err(), Some(401));
    let plain = api.get("/api/v1/events/ws").await;
    assert_eq!(plain.problem(), (400, "websocket_required".to_owned()));
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_refused_by_its_head() {
    let server = school(&[]).await;
    let api = &server.api;
    let heads: [&[u8]; 4] = [
        // 2^62 bytes of text, of binary, of a ping; and one byte over what is taken.
        &[0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0],
        &[0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0],
        &[0x89, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0],
        &[0x81, 0xfe, 0x04, 0x01],
    ];
    for head in heads {
        let mut raw = Raw::connect(api);
        let key = api.key();
        let request = format!(
            "GET {EVENTS}/ws HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        assert!(raw.send(request.as_bytes()));
        eventually("it listens", async || server.metrics().await.count("event_streams", &[]) == 1).await;
        assert!(raw.send(head));
        assert!(raw.until_closed(|_| true), "{head:x?} is waited for");
        eventually("it is let go", async || server.metrics().await.count("event_streams", &[]) == 0).await;
    }
    // What clients may say, they still may.
    let mut socket = Socket::open(api, "").await.unwrap();
    socket.0.send(Message::text("x".repeat(1024))).await.unwrap();
    api.marked("g", "obama2").await;
    assert_eq!(socket.next().await.unwrap()["id"], 1);
    socket.0.send(Message::text("x".repeat(1025))).await.unwrap();
    assert_eq!(socket.next().await, None);
}

#[tokio::test]
async fn whoever_says_more_than_is_listened_to_is_let_go() {
    let server = school(&[]).await;
    for flood in [Message::Ping("p".into()), Message::Pong("p".into()), Message::text("x")] {
        let mut socket = Socket::open(&server.api, "").await.unwrap();
        for _ in 0..80 {
            socket.0.send(flood.clone()).await.unwrap();
        }
        server.api.marked("g", "obama2").await;
        assert_eq!(socket.next().await.unwrap()["kind"], "marked", "as much may be said");
        while socket.0.send(flood.clone()).await.is_ok() {}
        eventually("it is let go", async || server.metrics().await.count("event_streams", &[]) == 0).await;
        let record = server.api.records("g", "").await.pop().unwrap();
        server.api.undone("g", &record).await;
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_right_to_it() {
    let server = school(&[("events.max_streams", "3")]).await;
    let (api, tenant) = (&server.api, server.tenant("school").await);
    let (viewer, key) = api.key_of("viewer", &[]).await;
    let mut of_viewer = Stream::open(&viewer, EVENTS, None).await;
    let mut of_tenant = Socket::open(&tenant, "").await.unwrap();
    let _second = Stream::open(api, EVENTS, None).await;
    let third = Stream::open(api, EVENTS, None).await;
    assert_eq!(Socket::open(&viewer, "").await.err(), Some(429), "three are open");
    drop(third);
    eventually("a place is free", async || Socket::open(&viewer, "").await.is_ok()).await;
    assert_eq!(api.delete(&format!("/api/v1/keys/{key}")).await.status, 204);
    let suspend = json!({ "suspended": true });
    server.operator().send(Method::PATCH, "/api/v1/tenants/school", &suspend).await.expect(200);
    assert_eq!((of_viewer.next().await, of_tenant.next().await), (None, None));
    eventually("its place is free", async || Socket::open(api, "").await.is_ok()).await;
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn nobody_is_told_what_happens_after_the_end_of_their_right() {
    use crate::support::callers::Ending;

    let server = school(&[]).await;
    let api = &server.api;
    let less = json!({ "role": "kiosk", "groups": ["g"] });
    for ending in Ending::ALL {
        let name = format!("{ending:?}");
        let listener = ending.caller(api, &name, "teacher", &["g"]).await;
        let mut stream = Stream::open(&listener.api, EVENTS, None).await;
        let mut socket = Socket::open(&listener.api, "").await.unwrap();
        let record = api.marked("g", "obama2").await;
        for told in [stream.next().await, socket.next().await] {
            assert_eq!(told.unwrap()["kind"], "marked", "{name}");
        }
        let gate = server.faults.block("job.report");
        let path = "/api/v1/groups/g/jobs/recognize";
        let begun = api.post_form(path, form(&[("mark", "false")], &[&portrait("obama")])).await.expect(202);
        let job = format!("/api/v1/jobs/{}/events", begun["id"].as_str().unwrap());
        eventually("a photo waits", async || server.faults.waiting_at("job.report") == 1).await;
        for told in [stream.next().await, socket.next().await] {
            assert_eq!(told.unwrap()["state"], "running", "{name}");
        }
        let mut of_job = listener.api.request(Method::GET, &job).send().await.unwrap();
        let first = of_job.chunk().await.unwrap().unwrap();
        assert!(std::str::from_utf8(&first).unwrap().contains("\"running\""), "{name}");
        ending.end(&server, api, &listener, &less).await;
        // In a suspended tenant nothing happens.
        if ending != Ending::TenantSuspended {
            api.undone("g", &record).await;
        }
        assert_eq!((stream.next().await, socket.next().await), (None, None), "{name}");
        let rest = timeout(PATIENCE, of_job.chunk()).await.expect("it ends").ok().flatten();
        assert_eq!(rest, None, "{name}");
        ending.undo(&server).await;
        drop(gate);
        api.job_over(begun["id"].as_str().unwrap()).await;
    }
}

#[tokio::test]
async fn a_reader_is_told_what_it_has_missed() {
    let server = school(&[("events.max_events", "2")]).await;
    let api = &server.api;
    for _ in 0..2 {
        let record = api.marked("g", "obama2").await;
        api.undone("g", &record).await;
    }
    let mut stream = Stream::open(api, EVENTS, Some("1")).await;
    assert_eq!(stream.next().await.unwrap(), json!({ "kind": "gap", "after": 1, "next": 2 }));
    assert_eq!(stream.ids(2).await, [3, 4]);
    let mut ahead = Socket::open(api, "?after=90").await.unwrap();
    assert_eq!(ahead.next().await.unwrap(), json!({ "kind": "gap", "after": 90, "next": 4 }));
    api.marked("g", "obama2").await;
    assert_eq!(ahead.next().await.unwrap()["id"], 5);
    let list = api.get(&format!("{EVENTS}?after=1")).await.expect(200);
    assert_eq!((&list["gap"], &list["events"][0]["id"]), (&json!(true), &json!(4)));
    assert_eq!(api.listed("").await, [4, 5]);
}

#[tokio::test]
async fn who_may_see_a_job_hears_how_it_comes_on() {
    let server = school(&[]).await;
    let api = &server.api;
    let ((teacher, _), (viewer, _)) = (api.key_of("teacher", &["h"]).await, api.key_of("viewer", &[]).await);
    let mut of_admin = Socket::open(api, "?kinds=job_progress").await.unwrap();
    let mut of_teacher = Stream::open(&teacher, &format!("{EVENTS}?kinds=job_progress"), None).await;
    let mut of_group = Stream::open(api, &format!("{EVENTS}?kinds=job_progress&group=h"), None).await;
    let mut of_viewer = Stream::open(&viewer, EVENTS, None).await;
    let recognize = async |group: &str| {
        let path = format!("/api/v1/groups/{group}/jobs/recognize");
        let begun = api.post_form(&path, form(&[("mark", "false")], &[&portrait("biden")])).await.expect(202);
        begun["id"].clone()
    };
    let roster = api.import(b"id,name\nx,X\ny,Y\n", None, &[]).await.expect(202)["id"].clone();
    let jobs = [(roster, Value::Null, 2), (recognize("g").await, json!("g"), 1), (recognize("h").await, json!("h"), 1)];
    for (job, group, total) in &jobs {
        let first = of_admin.next().await.unwrap();
        let begun = json!({
            "kind": "job_progress", "job": job, "group": group, "state": "running", "done": 0, "total": total,
        });
        assert_eq!(first, begun);
        let mut last = first;
        while last["state"] == "running" {
            last = of_admin.next().await.unwrap();
            assert_eq!(&last["job"], job, "one after the other");
        }
        assert_eq!((&last["state"], &last["done"], &last["total"]), (&json!("done"), &json!(total), &json!(total)));
    }
    for stream in [&mut of_teacher, &mut of_group] {
        let mut last = json!({ "state": "running" });
        while last["state"] == "running" {
            last = stream.next().await.unwrap();
            assert_eq!((&last["job"], &last["group"]), (&jobs[2].0, &json!("h")));
        }
    }
    let metrics = server.metrics().await;
    let items = |kind: &str, outcome: &str| metrics.count("job_items_total", &[kind, outcome]);
    assert_eq!(items("kind=\"import\"", "outcome=\"created\""), 2);
    assert_eq!(items("kind=\"recognize\"", "outcome=\"recognised\""), 2);

    // Whoever sees no jobs hears of none: only what is told after them.
    let record = api.marked("g", "obama2").await;
    assert_eq!(of_viewer.next().await.unwrap()["kind"], "marked");
    api.undone("g", &record).await;
    assert_eq!(of_viewer.next().await.unwrap()["kind"], "corrected");

    let gate = server.faults.block("job.report");
    let held = recognize("h").await;
    eventually("a photo waits", async || server.faults.waiting_at("job.report") == 1).await;
    assert_eq!(server.metrics().await.count("jobs_running", &["kind=\"recognize\""]), 1);
    api.post(&format!("/api/v1/jobs/{}/cancel", held.as_str().unwrap()), &json!({})).await.expect(200);
    for state in ["running", "cancelled"] {
        let told = of_teacher.next().await.unwrap();
        assert_eq!((&told["job"], &told["state"], &told["done"]), (&held, &json!(state), &json!(0)));
    }
    drop(gate);
    eventually("nothing is worked on", async || server.metrics().await.count("jobs_running", &[]) == 0).await;
}
