//! Erasure: gone from every answer at once, and from the disk once the store has been rewritten.

use std::{collections::HashSet, fs, path::Path};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, TestServer, form, portrait};

/// The bytes of a window of a vector that tell it from every other.
const WINDOW: usize = 16;

/// What a person leaves behind, as it is stored.
struct Traces {
    texts: Vec<Vec<u8>>,
    windows: HashSet<Vec<u8>>,
}

impl Traces {
    /// Of a person who was filled by [`fill`].
    async fn of(api: &Api, id: &str, words: &[&str]) -> Self {
        let all = api.get(&format!("/api/v1/people/{id}/export")).await.expect(200);
        let mut windows = HashSet::new();
        for sample in all["samples"].as_array().unwrap() {
            let numbers: Vec<f32> =
                sample["vector"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap() as f32).collect();
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            windows.extend(bytes.windows(WINDOW).step_by(4).map(<[u8]>::to_vec));
        }
        assert!(windows.len() > 500, "{}", windows.len());
        Self { texts: words.iter().map(|word| word.as_bytes().to_vec()).collect(), windows }
    }

    /// Which of the texts, and how many of the windows, some file under the folder holds.
    fn found(&self, folder: &Path) -> (Vec<String>, usize) {
        let mut files = Vec::new();
        read_all(folder, &mut files);
        let mut windows = HashSet::new();
        for file in &files {
            windows.extend(file.windows(WINDOW).filter(|window| self.windows.contains(*window)));
        }
        let is_there = |text: &&Vec<u8>| files.iter().any(|file| file.windows(text.len()).any(|part| part == *text));
        let texts = self.texts.iter().filter(is_there).map(|text| String::from_utf8(text.clone()).unwrap());
        (texts.collect(), windows.len())
    }
}

fn read_all(folder: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { read_all(&path, files) } else { files.push(fs::read(path).unwrap()) }
    }
}

/// Enrols a person of whom everything is kept that can be, and who is marked in the group `g`.
async fn fill(api: &Api, id: &str, name: &str, email: &str, metadata: &str, shot: &str) -> Answer {
    let fields = [("id", id), ("name", name), ("email", email), ("metadata", metadata), ("groups", "g")];
    let enrol = enrolment(api, id, &fields, shot).await;
    assert_eq!(enrol.status, 201, "{}", enrol.text());
    let negative = form(&[], &[&portrait("hopper")]);
    api.post_form(&format!("/api/v1/people/{id}/negatives"), negative).await.expect(201);
    let consent = json!({ "given_by": format!("Parent of {name}"), "basis": "consent", "note": format!("file {id}") });
    api.send(Method::PUT, &format!("/api/v1/people/{id}/consent"), &consent).await.expect(200);
    let seen = api.recognize("g", &[], &[&portrait(shot)]).await.expect(200);
    assert_eq!(seen["present"][0]["person"], id);
    enrol
}

/// Under an idempotency key, which is the id.
async fn enrolment(api: &Api, id: &str, fields: &[(&str, &str)], shot: &str) -> Answer {
    let request = api.request(Method::POST, "/api/v1/people").header("idempotency-key", id);
    Answer::to(request.multipart(form(fields, &[&portrait(shot)]))).await
}

async fn erasures(api: &Api) -> Vec<Value> {
    api.get("/api/v1/erasures").await.expect(200)["erasures"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_erased_person_is_gone_at_once_and_from_the_disk_when_the_store_was_rewritten() {
    let server = TestServer::start().await;
    let (api, operator) = (&server.api, server.operator());
    api.group("g").await;
    let (p, q) = ("zz-erased-4711", "zz-stays-0815");
    let of_p = ["zz-erased-4711", "Xanthippe", "Quillfeather", "xq@erased.example", "seat-erased-99"];
    let of_q = ["zz-stays-0815", "Yggdrasil", "Umberstone", "yu@stays.example", "seat-stays-77"];
    let fields = |id, name, email, metadata| [("id", id), ("name", name), ("email", email), ("metadata", metadata)];
    let seat = r#"{"seat":"seat-erased-99"}"#;
    fill(api, p, "Xanthippe Quillfeather", of_p[3], seat, "obama").await;
    fill(api, q, "Yggdrasil Umberstone", of_q[3], r#"{"seat":"seat-stays-77"}"#, "biden").await;
    let (traces, others) = (Traces::of(api, p, &of_p).await, Traces::of(api, q, &of_q).await);
    let backup = operator.get("/api/v1/backup").await;
    assert_eq!(backup.status, 200);

    let deleted = api.delete(&format!("/api/v1/people/{p}")).await;
    assert_eq!(deleted.status, 204);
    let told = async || {
        let mut told = String::new();
        for path in ["/people", "/people?query=xan", "/groups/g", "/groups/g/attendance", "/reports/duplicates"] {
            let answer = api.get(&format!("/api/v1{path}")).await;
            assert_eq!(answer.status, 200, "{path}");
            told += &answer.text();
        }
        for shot in ["obama", "obama2"] {
            let seen = api.recognize("g", &[], &[&portrait(shot)]).await;
            assert_eq!(seen.json()["unknown_faces"], 1, "{}", seen.text());
            told += &seen.text();
            told += &api.post_form("/api/v1/identify", form(&[], &[&portrait(shot)])).await.text();
        }
        told
    };
    let gone_from_answers = async || {
        let told = told().await;
        assert!(of_p.iter().all(|text| !told.contains(text)), "{told}");
        assert!(told.contains(q));
        for path in ["", "/export", "/consent", "/negatives"] {
            assert_eq!(api.get(&format!("/api/v1/people/{p}{path}")).await.status, 404, "{path}");
        }
    };
    gone_from_answers().await;
    let sent_again = [&fields(p, "Xanthippe Quillfeather", of_p[3], seat)[..], &[("groups", "g")]].concat();
    let again = enrolment(api, p, &sent_again, "obama").await;
    assert_eq!(again.problem(), (409, "idempotency_answer_gone".to_owned()), "neither told nor done again");

    let pending = erasures(api).await;
    assert_eq!((pending.len(), &pending[0]["state"], &pending[0]["done_at"]), (1, &json!("pending"), &json!(null)));
    assert_eq!(pending[0]["id"], deleted.header("erasure-id"));
    assert!(pending[0]["by"].as_str().unwrap().starts_with("key:"), "{}", pending[0]);
    assert_eq!(server.metrics().await.count("erasures_pending", &[]), 1);
    let (texts, windows) = traces.found(&server.data());
    assert_eq!((texts.len(), windows), (of_p.len(), traces.windows.len()), "the database keeps what was removed");

    let done = operator.send(Method::POST, "/api/v1/store/rewrite", &json!(null)).await.expect(200);
    assert_eq!(done["erasures_done"], 1);
    assert_eq!(traces.found(&server.data()), (vec![], 0));
    let (texts, windows) = others.found(&server.data());
    assert_eq!((texts.len(), windows), (of_q.len(), others.windows.len()), "the search finds what is there");
    let done = &erasures(api).await[0];
    assert_eq!((&done["state"], done["done_at"].is_string()), (&json!("done"), true));
    let metrics = server.metrics().await;
    assert!(metrics.count("erasures_pending", &[]) == 0 && metrics.sum("store_rewrite_seconds", &[]) > 0.0);
    gone_from_answers().await;

    // The backup that was given holds them still.
    let listed = operator.get("/api/v1/backups").await.expect(200)["backups"].clone();
    assert_eq!((listed.as_array().unwrap().len(), &done["backups"]), (1, &listed));
    let struck = format!("/api/v1/backups/{}", listed[0]["id"].as_str().unwrap());
    assert_eq!(operator.delete(&struck).await.status, 204);
    assert_eq!(operator.delete(&struck).await.problem(), (404, "backup_not_found".to_owned()));
    assert_eq!(erasures(api).await[0]["backups"], json!([]));

    // Enrolled anew they are somebody new, and all is well after a restart.
    fill(api, "anew", "Xanthippe Quillfeather", of_p[3], seat, "obama").await;
    let server = server.restart().await;
    let report = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!((&report["problems"], &report["records"]["person"]), (&json!({}), &json!(2)));
    let seen = server.api.recognize("g", &[], &[&portrait("obama2")]).await.expect(200);
    assert_eq!(seen["present"][0]["person"], "anew");
}

#[tokio::test]
async fn a_tenants_erasure_is_the_servers_and_others_see_only_their_own() {
    let server = TestServer::start().await;
    let operator = server.operator();
    let (left, other) = (server.tenant("left").await, server.tenant("wiped-tenant-31").await);
    for api in [&left, &other] {
        api.enrol("p", &[], "obama").await;
        api.delete("/api/v1/people/p").await;
        assert_eq!((erasures(api).await.len(), erasures(&server.api).await.len()), (1, 0));
    }
    other.group("wiped-group-31").await;
    let deleted = operator.delete("/api/v1/tenants/wiped-tenant-31").await;
    let of_server = erasures(&operator).await;
    assert_eq!((of_server.len(), &of_server[0]["id"]), (1, &json!(deleted.header("erasure-id"))));
    assert_eq!(server.metrics().await.count("erasures_pending", &[]), 2, "its people's went with it");
    let traces = Traces { texts: vec![b"wiped-group-31".to_vec()], windows: HashSet::new() };
    assert_eq!(traces.found(&server.data()).0.len(), 1);
    let rewrite = async || operator.send(Method::POST, "/api/v1/store/rewrite", &json!(null)).await;
    let (one, two) = tokio::join!(rewrite(), rewrite());
    // At the same time or one after the other, but never both at once.
    for answer in [&one, &two] {
        assert!(answer.status == 200 || answer.problem() == (409, "rewrite_running".to_owned()), "{}", answer.text());
    }
    assert_eq!(traces.found(&server.data()).0, Vec::<String>::new());
    assert_eq!(
        (&erasures(&operator).await[0]["state"], &erasures(&left).await[0]["state"]),
        (&json!("done"), &json!("done"))
    );
    let page = left.get("/api/v1/erasures?limit=1").await.expect(200);
    assert_eq!(page["next"], json!(null));
    assert_eq!(left.get("/api/v1/erasures?limit=0").await.problem(), (400, "invalid_limit".to_owned()));
}
