//! Data folders that earlier versions made: every later one opens them with all that is in them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use rollcall::store::{Store, StoreOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Api, TestServer, portrait};

/// What was kept goes when its days are over; not in this test.
const FOREVER: [(&str, &str); 3] =
    [("events.keep_days", "36500"), ("jobs.keep_days", "3650"), ("idempotency.keep_seconds", "3000000000")];

/// The archives among the fixtures, see `tests/fixtures/stores/make_store.py`.
fn archives() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stores");
    let mut archives: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    archives.retain(|path| path.extension().is_some_and(|extension| extension == "zip"));
    archives.sort();
    archives
}

/// A data folder out of an archive, and what its server told of it.
fn unpack(archive: &Path) -> (TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = zip::ZipArchive::new(File::open(archive).unwrap()).unwrap();
    archive.extract(folder.path()).unwrap();
    let told = folder.path().join("told.json");
    let read = serde_json::from_slice(&fs::read(&told).unwrap()).unwrap();
    fs::remove_file(told).unwrap();
    (folder, read)
}

/// An answer without what a later day or a first start may change.
fn lasting(path: &str, mut answer: Value) -> Value {
    forget(&mut answer, &["photos_today", "exported_at", "offline", "request_id"]);
    if path.ends_with("/erasures") {
        forget(&mut answer, &["state", "done_at"]);
    }
    if path.contains("/audit") {
        // Told since: the exports that are asked for here, and the rewrite that ends the pending erasure.
        forget(&mut answer, &["head"]);
        let is_new = |entry: &Value| entry["action"] == "person.export" || entry["action"] == "store.rewrite";
        answer["entries"].as_array_mut().unwrap().retain(|entry| !is_new(entry));
    }
    if path.ends_with("/results") {
        // Reports of version 2 of the store hold ids and names of files, and are left out of later ones.
        answer["results"] = json!([]);
    }
    if let Some(records) = answer.get_mut("records").and_then(Value::as_object_mut) {
        // Of tenants who have nothing, no count was kept before version 7 of the store.
        records.retain(|kind, _| {
            !["audit_entry", "job_mention", "pending", "session", "stranger", "usage"].contains(&kind.as_str())
        });
    }
    answer
}

fn forget(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !names.contains(&name.as_str()));
            members.values_mut().for_each(|member| forget(member, names));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| forget(element, names)),
        _ => {}
    }
}

/// Sends a form again that was sent under an `Idempotency-Key` when the folder was made.
async fn repeat(api: &Api, request: &Value) -> Answer {
    let mut form = Form::new();
    for field in request["fields"].as_array().unwrap() {
        let text = |at: usize| field[at].as_str().unwrap().to_owned();
        form = form.text(text(0), text(1));
    }
    for (at, name) in request["portraits"].as_array().unwrap().iter().enumerate() {
        let image = Part::bytes(portrait(name.as_str().unwrap())).file_name(format!("{at}.jpg"));
        form = form.part("images", image.mime_str("image/jpeg").unwrap());
    }
    let sent = api.request(Method::POST, request["path"].as_str().unwrap());
    Answer::to(sent.header("idempotency-key", request["key"].as_str().unwrap()).multipart(form)).await
}

/// Takes from an answer what nobody told yet when `then` was written down: answers may say more, and not otherwise.
fn keep_known(now: &mut Value, then: &Value) {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            now.retain(|name, _| then.contains_key(name));
            for (name, value) in now {
                keep_known(value, &then[name]);
            }
        }
        (Value::Array(now), Value::Array(then)) => {
            for (value, then) in now.iter_mut().zip(then) {
                keep_known(value, then);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn the_folders_of_earlier_versions_open_with_all_that_is_in_them() {
    for archive in archives() {
        let name = archive.file_name().unwrap().to_str().unwrap();
        let (folder, told) = unpack(&archive);
        let counted = {
            let store = Store::open(StoreOptions::new(folder.path().join("store"))).unwrap();
            let report = store.check(|_| None).await.unwrap();
            assert!(report.problems.is_empty(), "{name}: {:?}", report.problems);
            serde_json::to_value(&report.records).unwrap()
        };
        assert_eq!(counted["stranger"], json!(1), "{name}");

        let server = TestServer::on(Arc::new(folder), &FOREVER).await;
        for asked in told["answers"].as_array().unwrap() {
            let path = asked["path"].as_str().unwrap();
            let answer = server.api.with_key(asked["key"].as_str().unwrap()).get(path).await;
            assert_eq!(json!(answer.status), asked["status"], "{name}: {path}: {}", answer.text());
            if asked["body"].get("bytes").is_some() {
                assert_eq!(json!(answer.bytes.len()), asked["body"]["bytes"], "{name}: {path}");
            } else {
                let (mut now, then) = (lasting(path, answer.json()), lasting(path, asked["body"].clone()));
                keep_known(&mut now, &then);
                assert_eq!(now, then, "{name}: {path}");
            }
        }
        let repeats = told["repeats"].as_array().unwrap();
        assert!(!repeats.is_empty(), "{name}");
        let api = server.api.with_key(told["key"].as_str().unwrap());
        for request in repeats {
            let again = repeat(&api, request).await;
            assert_eq!(again.header("idempotency-replayed"), "true", "{name}: {}", again.text());
            assert_eq!(again.json(), request["answer"], "{name}: {}", request["key"]);
        }
    }
    assert!(!archives().is_empty());
}
