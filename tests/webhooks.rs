//! Webhooks: every event arrives, in order, signed, whatever the receiver does; nothing goes where it must not.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, ServerProcess, TestServer, eventually, portrait, receiver::Receiver};

const WEBHOOKS: &str = "/api/v1/webhooks";
/// Receivers of tests are on loopback, and nobody wants to wait for them.
const SETTINGS: [(&str, &str); 2] = [("webhooks.allow_private", "true"), ("webhooks.retry_first_ms", "5")];

impl Api {
    /// A webhook; its path and its secret.
    async fn webhook(&self, url: &str) -> (String, String) {
        let made = self.post(WEBHOOKS, &json!({ "url": url })).await.expect(201);
        (format!("{WEBHOOKS}/{}", made["id"].as_str().unwrap()), made["secret"].as_str().unwrap().to_owned())
    }

    /// The group `g` with obama.
    async fn class(&self) {
        self.group("g").await;
        self.enrol("obama", &["g"], "obama").await;
    }

    /// Makes two events: obama is marked, and the mark is undone.
    async fn two_events(&self) {
        self.recognize("g", &[], &[&portrait("obama2")]).await.expect(200);
        let record = self.records("g", "").await[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(self.delete(&format!("/api/v1/groups/g/attendance/{record}")).await.status, 204);
    }

    async fn patch(&self, path: &str, body: &Value) -> Value {
        self.send(Method::PATCH, path, body).await.expect(200)
    }
}

async fn takes(receiver: &Receiver, events: &[u64]) {
    eventually(&format!("{events:?} are taken"), async || receiver.taken().len() >= events.len()).await;
    assert_eq!(receiver.taken(), events);
}

#[tokio::test]
async fn a_receiver_that_fails_and_recovers_gets_every_event_in_order() {
    let (server, receiver) = (TestServer::with(&SETTINGS).await, Receiver::start());
    let api = &server.api;
    api.class().await;
    receiver.answer(&[500, 503, 400, 302, 429]);
    let (path, secret) = api.webhook(&receiver.at("/in")).await;
    for _ in 0..3 {
        api.two_events().await;
    }
    takes(&receiver, &[1, 2, 3, 4, 5, 6]).await;
    let received = receiver.received();
    let events: Vec<u64> = received.iter().map(|delivery| delivery.event).collect();
    assert_eq!(events, [1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6], "one event is tried until it is taken, under its number");
    let log = api.get("/api/v1/events").await.expect(200);
    for delivery in &received {
        assert!(delivery.is_signed_with(&secret) && !delivery.is_signed_with("whsec_0"));
        assert_eq!(delivery.json(), log["events"][delivery.event as usize - 1]);
        assert!(delivery.path == "/in" && path.ends_with(&delivery.webhook), "no redirect is followed");
    }
    let state = async || api.get(&path).await.expect(200)["delivery"].clone();
    eventually("it is noted", async || state().await["done"] == 6).await;
    let delivery = state().await;
    assert_eq!((&delivery["failing_since"], &delivery["attempts"]), (&Value::Null, &json!(0)), "{delivery}");
    let metrics = server.metrics().await;
    let count = |outcome: &str| metrics.count("webhook_deliveries_total", &[&format!("outcome=\"{outcome}\"")]);
    assert_eq!((count("failed"), count("delivered")), (5, 6));
    assert_eq!(metrics.count("webhook_behind_seconds", &[]), 0);
    assert_eq!(metrics.count("events_total", &["kind=\"corrected\""]), 3);
    for answer in [api.get(WEBHOOKS).await, api.get(&path).await] {
        assert!(!answer.text().contains(&secret), "the secret is shown once");
    }
}

#[tokio::test]
async fn after_kill_9_deliveries_go_on_with_none_missing() {
    let (data, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let settings = [("ROLLCALL__WEBHOOKS__ALLOW_PRIVATE", "true"), ("ROLLCALL__WEBHOOKS__RETRY_FIRST_MS", "5")];
    let server = ServerProcess::with(data.path(), &settings).await;
    server.api.class().await;
    server.api.webhook(&receiver.at("/in")).await;
    server.api.two_events().await;
    takes(&receiver, &[1, 2]).await;
    receiver.answer(&[500; 1000]);
    server.api.two_events().await;
    eventually("the third is tried", async || receiver.received().iter().any(|delivery| delivery.event == 3)).await;
    server.kill();
    receiver.answer(&[]);
    let server = ServerProcess::with(data.path(), &settings).await;
    server.api.two_events().await;
    eventually("the last is taken", async || receiver.taken().last() == Some(&6)).await;
    let mut taken = receiver.taken();
    // What was delivered and not noted before the end comes again, under its number.
    taken.dedup();
    assert!(taken.starts_with(&[1, 2]) && taken.ends_with(&[3, 4, 5, 6]) && taken.len() <= 7, "{taken:?}");
}

#[tokio::test]
async fn what_does_not_arrive_is_listed_and_replayed() {
    let settings = [SETTINGS[0], SETTINGS[1], ("webhooks.retry_seconds", "0")];
    let (server, receiver) = (TestServer::with(&settings).await, Receiver::start());
    let api = &server.api;
    api.class().await;
    api.enrol("biden", &["g"], "biden").await;
    receiver.answer(&[500, 500, 500]);
    let (path, _) = api.webhook(&receiver.at("/in")).await;
    api.two_events().await;
    api.two_events().await;
    takes(&receiver, &[4]).await;
    let dead = async || {
        let page = api.get(&format!("{path}/dead")).await.expect(200);
        let letters = page["dead_letters"].as_array().unwrap().clone();
        letters.into_iter().map(|letter| (letter["event"]["id"].as_u64().unwrap(), letter)).collect::<Vec<_>>()
    };
    let ids = async || dead().await.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids().await, [1, 2, 3]);
    let (_, first) = dead().await.remove(0);
    assert_eq!((&first["failure"], &first["event"]["kind"]), (&json!("500"), &json!("marked")));
    let page = api.get(&format!("{path}/dead?limit=2")).await.expect(200);
    let rest = api.get(&format!("{path}/dead?after={}", page["next"])).await.expect(200);
    assert_eq!((&rest["dead_letters"][0]["event"]["id"], &rest["next"]), (&json!(3), &Value::Null));
    // One that fails again stays, and those behind it are tried all the same.
    receiver.answer(&[500]);
    let replay = format!("{path}/replay");
    assert_eq!(api.post(&replay, &json!({})).await.expect(200)["replayed"], 3);
    takes(&receiver, &[4, 2, 3]).await;
    eventually("one is left", async || ids().await == [1]).await;
    let replaying = async || api.get(&path).await.expect(200)["delivery"]["replaying"] == true;
    eventually("the replay is over", async || !replaying().await).await;
    assert_eq!(api.post(&replay, &json!({ "event": 2 })).await.problem(), (404, "dead_letter_not_found".to_owned()));
    assert_eq!(api.post(&replay, &json!({ "event": 1 })).await.expect(200)["replayed"], 1);
    takes(&receiver, &[4, 2, 3, 1]).await;
    eventually("none is left", async || ids().await.is_empty()).await;
    // A dead letter goes with its event, and that with the person.
    receiver.answer(&[500; 2]);
    api.two_events().await;
    eventually("they are given up", async || ids().await == [5, 6]).await;
    assert_eq!(api.delete("/api/v1/people/obama").await.status, 204);
    assert!(ids().await.is_empty());
    let check = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!(check["problems"], json!({}));
}

#[tokio::test]
async fn a_webhook_rests_where_it_must_and_goes_on() {
    let (server, receiver) = (TestServer::with(&SETTINGS).await, Receiver::start());
    let (api, operator) = (server.tenant("school").await, server.operator());
    api.class().await;
    let (path, _) = api.webhook(&receiver.at("/in")).await;
    // Others hear nothing of this tenant.
    server.api.webhook(&receiver.at("/others")).await;
    receiver.answer(&[410]);
    api.two_events().await;
    let active = async || api.get(&path).await.expect(200)["active"] == true;
    eventually("it is switched off", async || !active().await).await;
    api.two_events().await;
    assert_eq!(receiver.received().len(), 1, "a receiver that is gone is left alone");
    api.patch(&path, &json!({ "active": true, "kinds": ["corrected"] })).await;
    takes(&receiver, &[2, 4]).await;
    operator.patch("/api/v1/tenants/school", &json!({ "suspended": true })).await;
    operator.patch("/api/v1/tenants/school", &json!({ "suspended": false })).await;
    api.two_events().await;
    takes(&receiver, &[2, 4, 6]).await;
    api.patch(&path, &json!({ "groups": ["g"], "kinds": [] })).await;
    assert_eq!(api.delete("/api/v1/groups/g").await.status, 204);
    assert_eq!(api.get(&path).await.expect(200)["groups"], json!([]), "a later group of the same id is another");
    api.class_again().await;
    api.two_events().await;
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.problem(), (404, "webhook_not_found".to_owned()));
    api.webhook(&receiver.at("/late")).await;
    api.two_events().await;
    takes(&receiver, &[2, 4, 6, 9, 10]).await;
    assert!(receiver.received().iter().all(|delivery| delivery.path != "/others"));
    assert_eq!(operator.delete("/api/v1/tenants/school").await.status, 204);
    assert_eq!(operator.get("/api/v1/check").await.expect(200)["problems"], json!({}));
}

impl Api {
    /// The group `g` of [`Self::class`], after it was deleted.
    async fn class_again(&self) {
        self.group("g").await;
        self.send(Method::PUT, "/api/v1/groups/g/people/obama", &Value::Null).await.expect(204);
    }
}

/// What a courier has noted itself is no reason to try again at once; what changes the webhook is, whoever did it.
#[tokio::test]
async fn a_courier_that_waits_hears_of_changes_that_nobody_tells_it() {
    let settings = [("webhooks.allow_private", "true"), ("webhooks.retry_first_ms", "600000")];
    let (server, receiver) = (TestServer::with(&settings).await, Receiver::start());
    let api = &server.api;
    api.class().await;
    api.group("h").await;
    receiver.answer(&[500]);
    let new = json!({ "url": receiver.at("/in"), "groups": ["g", "h"] });
    let path = format!("{WEBHOOKS}/{}", api.post(WEBHOOKS, &new).await.expect(201)["id"].as_str().unwrap());
    api.two_events().await;
    eventually("it failed once", async || api.get(&path).await.expect(200)["delivery"]["attempts"] == 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(receiver.received().len(), 1);
    // The webhook loses its group.
    assert_eq!(api.delete("/api/v1/groups/h").await.status, 204);
    takes(&receiver, &[1, 2]).await;
}

#[tokio::test]
async fn receivers_that_never_answer_hold_up_their_own_tenant_alone() {
    let patient = ("webhooks.timeout_seconds", "600");
    let server = TestServer::with(&[SETTINGS[0], patient, ("webhooks.max_deliveries", "4")]).await;
    let (slow, other) = (server.tenant("slow").await, server.tenant("other").await);
    // Takes connections, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    for path in 0..4 {
        slow.webhook(&format!("http://{}/{path}", silent.local_addr().unwrap())).await;
    }
    let receiver = Receiver::start();
    other.webhook(&receiver.at("/in")).await;
    slow.class().await;
    slow.two_events().await;
    let _held = silent.accept().await.unwrap();
    other.class().await;
    other.two_events().await;
    takes(&receiver, &[1, 2]).await;
}

#[tokio::test]
async fn private_addresses_are_refused_unless_they_are_allowed() {
    let (server, receiver) = (TestServer::with(&SETTINGS).await, Receiver::start());
    server.api.class().await;
    receiver.answer(&[500; 1000]);
    let (path, _) = server.api.webhook(&receiver.at("/in")).await;
    let by_name = receiver.at("/in").replace("127.0.0.1", "localhost.");
    let (named, _) = server.api.webhook(&by_name).await;
    server.api.two_events().await;
    eventually("it is tried", async || !receiver.received().is_empty()).await;
    // The same webhooks, on a server that was not told to allow them.
    let server = server.restart().await;
    let api = &server.api;
    let before = receiver.received().len();
    for path in [path, named] {
        let failure = async || api.get(&path).await.expect(200)["delivery"]["last_failure"].clone();
        eventually("it is refused", async || failure().await == "address_refused").await;
    }
    assert_eq!(receiver.received().len(), before);
    for (url, code) in [
        (receiver.at("/in").as_str(), "webhook_address_refused"),
        (by_name.as_str(), "webhook_address_refused"),
        ("http://[::ffff:10.0.0.1]/", "webhook_address_refused"),
        ("http://169.254.169.254/latest", "webhook_address_refused"),
        ("file:///etc/passwd", "invalid_url"),
    ] {
        assert_eq!(api.post(WEBHOOKS, &json!({ "url": url })).await.problem(), (400, code.to_owned()), "{url}");
    }
    for (body, problem) in [
        (json!({ "url": "https://example.com", "kinds": ["job_progress"] }), (400, "invalid_kind")),
        (json!({ "url": "https://example.com", "groups": ["none"] }), (404, "group_not_found")),
    ] {
        assert_eq!(api.post(WEBHOOKS, &body).await.problem(), (problem.0, problem.1.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn webhooks_point_to_the_ports_of_the_web_and_to_those_that_are_set() {
    let server = TestServer::with(&[("webhooks.ports", "8443, 9000")]).await;
    let at = |port: u16| json!({ "url": format!("https://receiver.example:{port}/in"), "active": false });
    let mut path = String::new();
    for port in [80, 443, 8443, 9000] {
        let made = server.api.post(WEBHOOKS, &at(port)).await.expect(201);
        path = format!("{WEBHOOKS}/{}", made["id"].as_str().unwrap());
    }
    for port in [0, 22, 6379, 8080, 65535] {
        let refused = (400, "webhook_address_refused".to_owned());
        assert_eq!(server.api.post(WEBHOOKS, &at(port)).await.problem(), refused, "{port}");
        assert_eq!(server.api.send(Method::PATCH, &path, &at(port)).await.problem(), refused, "{port}");
    }
}
