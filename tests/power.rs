//! Power cuts: a server on a disk of its own, an image of what had reached that disk by some moment, and a start on it.
//!
//! The disk is a file under a loop device. While the server is stopped (SIGSTOP) the file is copied: what only the page
//! cache knew is not in the copy, as after a loss of power. Needs the right to mount; where that fails the test says so
//! and is skipped, but not where `CI` is set.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    task::{LocalSet, spawn_local},
    time::sleep,
};

use crate::support::{Answer, Api, Disk, ServerProcess, eventually, form, portrait};

const CUTS: u64 = 25;
const DISK_BYTES: u64 = 1 << 30;
/// Acknowledged writes of the past that are looked for after each cut, besides all since the last one.
const LOOKED_FOR_AGAIN: usize = 40;

/// A write that was acknowledged: `path` shows `text`.
#[derive(Clone)]
struct Acknowledged {
    path: String,
    text: String,
}

/// The writes so far, and the requests that may be repeated.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<(Vec<Acknowledged>, Vec<usize>)>>);

impl Ledger {
    fn note(&self, path: impl Into<String>, text: impl Into<String>) {
        self.0.lock().unwrap().0.push(Acknowledged { path: path.into(), text: text.into() });
    }

    fn note_repeatable(&self, number: usize) {
        self.0.lock().unwrap().1.push(number);
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().0.len()
    }

    /// Of all that there was: those from `from` on, and some before them.
    fn some(&self, from: usize, round: u64) -> (Vec<Acknowledged>, Vec<usize>) {
        let (all, repeatable) = self.0.lock().unwrap().clone();
        let step = (from / LOOKED_FOR_AGAIN).max(1);
        let earlier = all[..from].iter().skip(round as usize % step).step_by(step).cloned();
        (earlier.chain(all[from..].iter().cloned()).collect(), repeatable)
    }
}

/// Writes of one kind after another until the server is gone.
async fn keep_writing(api: Api, ledger: Ledger, kind: usize) {
    for number in 0.. {
        let write = async {
            match kind {
                0 => timetable(&api, &ledger, number).await,
                1 => enrolment(&api, &ledger, number).await,
                2 => small_records(&api, &ledger, number).await,
                3 => session(&api, &ledger, number).await,
                _ => import(&api, &ledger, number).await,
            }
        };
        write.await;
    }
}

/// At its limits: the body of a request, filled with entries.
async fn timetable(api: &Api, ledger: &Ledger, number: usize) {
    let id = format!("room-{number}");
    api.post("/api/v1/groups", &json!({ "id": id, "name": id, "time_zone": "UTC" })).await.expect(201);
    let entries: Vec<Value> = (0..200)
        .map(|entry| {
            let expected: Vec<_> = (0..6).map(|camera| format!("camera {camera} of {number} and {entry}")).collect();
            json!({ "weekday": "monday", "start": "08:00", "end": "09:00", "expected": expected })
        })
        .collect();
    let path = format!("/api/v1/groups/{id}/timetable");
    api.send(Method::PUT, &path, &json!({ "entries": entries })).await.expect(200);
    ledger.note(path, format!("camera 5 of {number} and 199"));
}

/// At its limits: twenty images, and as much metadata as there may be.
async fn enrol_once(api: &Api, number: usize) -> Answer {
    let name = format!("e-{number}");
    let value = format!("{number} {}", "x".repeat(240));
    let metadata: serde_json::Map<_, _> =
        (0..30).map(|entry| (format!("entry {entry}"), Value::String(value.clone()))).collect();
    let metadata = Value::Object(metadata).to_string();
    let photo = portrait("hopper");
    let body = form(&[("id", &name), ("name", &name), ("metadata", &metadata)], &[photo.as_slice(); 20]);
    let request = api.request(Method::POST, "/api/v1/people").header("idempotency-key", format!("key-{number}"));
    Answer::to(request.multipart(body)).await
}

async fn enrolment(api: &Api, ledger: &Ledger, number: usize) {
    assert_eq!(enrol_once(api, number).await.status, 201);
    ledger.note(format!("/api/v1/people/e-{number}"), format!("\"entry 29\":\"{number} "));
    ledger.note_repeatable(number);
    let note = format!("{number}-{}", "n".repeat(990));
    let consent = json!({ "given_by": "g".repeat(200), "basis": "consent", "note": note });
    let path = format!("/api/v1/people/e-{number}/consent");
    api.send(Method::PUT, &path, &consent).await.expect(200);
    ledger.note(path, note);
}

async fn small_records(api: &Api, ledger: &Ledger, number: usize) {
    let group = format!("small-{number}");
    api.post("/api/v1/groups", &json!({ "id": group, "name": group })).await.expect(201);
    ledger.note(format!("/api/v1/groups/{group}"), group.clone());
    let placed = api.send(Method::PUT, &format!("/api/v1/groups/{group}/people/obama"), &json!({})).await;
    assert_eq!(placed.status, 204);
    ledger.note(format!("/api/v1/groups/{group}"), "\"obama\"");
    let key = json!({ "name": format!("door {number}"), "role": "kiosk", "groups": [group] });
    api.post("/api/v1/keys", &key).await.expect(201);
    ledger.note("/api/v1/keys?limit=1000", format!("\"door {number}\""));
    if number < 40 {
        let url = format!("http://127.0.0.1:9/{number}/{}", "p".repeat(1900));
        api.post("/api/v1/webhooks", &json!({ "url": url, "active": false })).await.expect(201);
        ledger.note("/api/v1/webhooks", format!("127.0.0.1:9/{number}/"));
    }
    if number < 100 {
        let groups: Vec<_> = (0..=number).map(|number| format!("small-{number}")).collect();
        let user = json!({ "id": format!("user-{number}"), "password": "made up for the test", "role": "teacher", "groups": groups });
        api.post("/api/v1/users", &user).await.expect(201);
        ledger.note("/api/v1/users?limit=1000", format!("\"user-{number}\""));
    }
}

/// A photo of the class, a correction with the longest reason, and the end of the session.
async fn session(api: &Api, ledger: &Ledger, number: usize) {
    let day = format!("20{:02}-{:02}-{:02}", 1 + number / 300, 1 + number / 25 % 12, 1 + number % 25);
    let planned = json!({ "date": day, "start": "10:00", "end": "11:00", "title": "t".repeat(200) });
    let made = api.post("/api/v1/groups/class/sessions", &planned).await.expect(201);
    let session = format!("/api/v1/sessions/{}", made["id"].as_str().unwrap());
    ledger.note(session.clone(), day.clone());
    let at = format!("{day}T10:05:00Z");
    let fields = [("session", made["id"].as_str().unwrap()), ("at", &at)];
    api.recognize("class", &fields, &[&portrait("obama3")]).await.expect(200);
    ledger.note(format!("{session}/records"), "\"obama\"");
    let reason = format!("{number} {}", "r".repeat(480));
    let set = json!({ "set": [{ "person": "biden", "status": "late", "reason": reason }] });
    api.post(&format!("{session}/confirm"), &set).await.expect(200);
    ledger.note(format!("{session}/records"), reason);
    api.post(&format!("{session}/close"), &json!({ "force": true })).await.expect(200);
    ledger.note(session, "\"closed\"");
}

async fn import(api: &Api, ledger: &Ledger, number: usize) {
    let rows: Vec<_> = (0..60).map(|row| format!("i-{number}-{row},Imported {number} {row},class")).collect();
    let rows = rows.join("\n");
    let csv = reqwest::multipart::Part::bytes(format!("id,name,group\n{rows}").into_bytes()).file_name("roster.csv");
    let job = api.post_form("/api/v1/people/import", form(&[], &[]).part("csv", csv)).await.expect(202);
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    ledger.note(path.clone(), "\"import\"");
    eventually("the job is done", async || api.get(&path).await.expect(200)["state"] == "done").await;
    ledger.note(path, "\"done\"");
    ledger.note(format!("/api/v1/people/i-{number}-59"), format!("Imported {number} 59"));
}

/// Starts on the disk and looks for what was acknowledged.
async fn assert_nothing_is_lost(disk: &Disk, writes: &[Acknowledged], repeatable: &[usize], round: u64) {
    let server = ServerProcess::start(&disk.data()).await;
    let operator = fs::read_to_string(disk.data().join("operator.key")).unwrap();
    let checked = server.api.with_key(operator.trim()).get("/api/v1/check").await.expect(200);
    assert_eq!(checked["problems"], json!({}), "cut {round}");
    for Acknowledged { path, text } in writes {
        let answer = server.api.get(path).await;
        assert_eq!(answer.status, 200, "cut {round}: {path}: {}", answer.text());
        assert!(answer.text().contains(text.as_str()), "cut {round}: {path} shows no {text}");
    }
    for &number in repeatable.iter().rev().take(3) {
        let again = enrol_once(&server.api, number).await;
        assert_eq!(
            (again.status, again.header("idempotency-replayed")),
            (201, "true"),
            "cut {round}: enrolment {number}"
        );
    }
    server.kill();
}

#[tokio::test]
async fn what_was_acknowledged_survives_power_cuts() {
    let Some(disk) = Disk::make(DISK_BYTES, "what_was_acknowledged_survives_power_cuts") else { return };
    let server = ServerProcess::with(&disk.data(), &[("ROLLCALL__WEBHOOKS__ALLOW_PRIVATE", "true")]).await;
    let (api, ledger) = (server.api.clone(), Ledger::default());
    api.post("/api/v1/groups", &json!({ "id": "class", "name": "Class", "time_zone": "UTC" })).await.expect(201);
    for name in ["obama", "biden"] {
        api.enrol(name, &["class"], name).await;
        ledger.note(format!("/api/v1/people/{name}"), name);
    }
    LocalSet::new().run_until(cut_and_look(&disk, &server, &api, &ledger)).await;
    assert!(ledger.len() > 200, "{} writes are too few to say anything", ledger.len());
    server.kill();
}

async fn cut_and_look(disk: &Disk, server: &ServerProcess, api: &Api, ledger: &Ledger) {
    let mut looked_for = 0;
    for round in 0..CUTS {
        // The first cut comes right after the first start.
        if round == 1 {
            for kind in 0..5 {
                spawn_local(keep_writing(api.clone(), ledger.clone(), kind));
            }
        }
        sleep(Duration::from_millis(200 + 137 * round % 900)).await;
        server.pause();
        let cut = disk.as_after_a_power_cut();
        // Answers that were on their way when it stopped are not in it: whoever had them before had them from then.
        let (writes, repeatable) = ledger.some(looked_for, round);
        looked_for = ledger.len().min(looked_for + writes.len());
        assert_nothing_is_lost(&cut, &writes, &repeatable, round).await;
        server.resume();
    }
}
