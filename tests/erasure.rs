//! Erasure: gone from every answer at once, and from the disk once the store has been rewritten.

use std::{collections::HashSet, fs, path::Path};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Api, TestServer, eventually, form, held, portrait,
    rosters::{roster, zipped},
};

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
        if path.is_dir() {
            read_all(&path, files);
        } else if path.is_file() {
            files.push(fs::read(path).unwrap());
        }
    }
}

impl Traces {
    /// Texts alone.
    fn texts(texts: &[&str]) -> Self {
        Self { texts: texts.iter().map(|text| text.as_bytes().to_vec()).collect(), windows: HashSet::new() }
    }
}

async fn rewrite(server: &TestServer) -> Value {
    server.operator().send(Method::POST, "/api/v1/store/rewrite", &json!(null)).await.expect(200)
}

#[cfg(debug_assertions)]
async fn pending(server: &TestServer) -> usize {
    let states = erasures(&server.api).await.into_iter().map(|erasure| erasure["state"].clone());
    states.filter(|state| *state == "pending").count()
}

fn spooled(server: &TestServer) -> usize {
    fs::read_dir(server.data().join("spool")).map_or(0, Iterator::count)
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

/// Whatever was found of somebody before they went is in no answer that is sent after.
#[tokio::test]
async fn who_goes_while_a_photo_is_looked_at_is_not_in_its_answer() {
    let server = TestServer::start().await;
    let (api, photo) = (&server.api, portrait("obama2"));
    api.group("g").await;
    api.enrol("biden", &["g"], "biden").await;
    let consent = json!({ "given_by": "x", "basis": "consent" });
    for point in ["attendance.actor", "attendance.done"] {
        for is_erased in [true, false] {
            for asked in ["recognize", "recognize without marks", "identify"] {
                api.enrol("zz-goes", &["g"], "obama").await;
                api.send(Method::PUT, "/api/v1/people/zz-goes/consent", &consent).await.expect(200);
                let required = json!({ "enrolment": { "consent": "required" } });
                server.operator().send(Method::PATCH, "/api/v1/tenants/default", &required).await.expect(200);
                let sent = async {
                    let annotate = [("annotate", "true"), ("explain", "true")];
                    match asked {
                        "recognize" => api.recognize("g", &annotate, &[&photo]).await,
                        "identify" => api.post_form("/api/v1/identify", form(&annotate, &[&photo])).await,
                        _ => api.recognize("g", &[&annotate[..], &[("mark", "false")]].concat(), &[&photo]).await,
                    }
                };
                let goes = async {
                    let path = if is_erased { "/api/v1/people/zz-goes" } else { "/api/v1/people/zz-goes/consent" };
                    assert_eq!(api.delete(path).await.status, 204);
                };
                let answer = held(&server, point, sent, goes).await.expect(200);
                let what = format!("{point} {is_erased} {asked}: {answer}");
                let face = &answer["photos"][0]["faces"][0];
                assert_eq!((&face["person"], &face["reason"]), (&Value::Null, &json!("below_threshold")), "{what}");
                assert_eq!((&face["attendance"], &answer["present"]), (&json!("not_marked"), &json!([])), "{what}");
                assert_eq!(answer["photos"][0]["annotated"], Value::Null, "it would show the name");
                // Who only took their consent back is a member still.
                let not_seen = answer["not_seen"].to_string();
                assert_eq!(not_seen.contains("zz-goes"), !is_erased && asked != "identify", "{what}");
                assert_eq!(
                    answer.to_string().matches("zz-goes").count(),
                    not_seen.matches("zz-goes").count(),
                    "{what}"
                );
                let open = json!({ "enrolment": { "consent": "off" } });
                server.operator().send(Method::PATCH, "/api/v1/tenants/default", &open).await.expect(200);
                api.delete("/api/v1/people/zz-goes").await;
            }
        }
    }
}

/// The same of two who look like one, whose face is the first's.
#[tokio::test]
async fn of_two_who_look_like_one_the_one_who_goes_is_not_in_the_answer() {
    let server = TestServer::start().await;
    let (api, photo) = (&server.api, portrait("obama2"));
    for (round, (goes, stays, reason, mark)) in
        [("a", "b", "below_margin", "not_marked"), ("b", "a", "enrolled_twice", "to_confirm")].into_iter().enumerate()
    {
        let [group, goes, stays] = [format!("g{round}"), format!("zz-{goes}{round}"), format!("zz-{stays}{round}")];
        api.group(&group).await;
        api.enrol(&goes, &[&group], "obama").await;
        api.enrol(&stays, &[&group], "obama").await;
        let sent = async { api.recognize(&group, &[], &[&photo]).await };
        let erased = async { assert_eq!(api.delete(&format!("/api/v1/people/{goes}")).await.status, 204) };
        let answer = held(&server, "attendance.done", sent, erased).await.expect(200);
        let face = &answer["photos"][0]["faces"][0];
        assert_eq!((&face["reason"], &face["attendance"]), (&json!(reason), &json!(mark)), "{answer}");
        let candidates: Vec<&Value> = face["candidates"].as_array().unwrap().iter().map(|one| &one["person"]).collect();
        assert_eq!(candidates, [&json!(stays)], "{answer}");
        assert!(!answer.to_string().contains(&goes), "{answer}");
        api.delete(&format!("/api/v1/people/{stays}")).await;
    }
}

/// Whom somebody new looks like, and who goes before the new one is stored.
#[tokio::test]
async fn who_goes_while_somebody_is_enrolled_is_no_duplicate_of_theirs() {
    let server = TestServer::start().await;
    let api = &server.api;
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &json!({ "photos": "crops" })).await.expect(200);
    api.enrol("zz-goes", &[], "obama").await;
    let sent = async {
        let fields = [("id", "new"), ("name", "New")];
        api.post_form("/api/v1/people", form(&fields, &[&portrait("obama2")])).await
    };
    let erased = async { assert_eq!(api.delete("/api/v1/people/zz-goes").await.status, 204) };
    let answer = held(&server, "photos.written", sent, erased).await.expect(201);
    assert_eq!(answer["duplicates"], json!([]), "{answer}");
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

#[tokio::test]
async fn jobs_of_every_kind_and_dead_letters_leave_nothing_of_who_is_erased() {
    // Nobody listens there.
    let settings =
        [("webhooks.allow_private", "true"), ("webhooks.retry_first_ms", "5"), ("webhooks.retry_seconds", "1")];
    let server = TestServer::with(&settings).await;
    let api = &server.api;
    api.group("g").await;
    let hook = api.post("/api/v1/webhooks", &json!({ "url": "http://127.0.0.1:9/in" })).await.expect(201);
    let p = "zz-erased-4711";
    let of_p = [p, "Xanthippe", "Quillfeather", "xq@erased.example", "seat-erased-99"];
    // What is in the uploads of others, of nobody, and of who cannot be told.
    let of_files = [
        "zz-absent-0815",
        "Umberstone",
        "zz-no id?",
        "zz-shot-of-her",
        "zz-broken-shot",
        "zz-class-shot",
        "zz-bad-class-shot",
    ];
    let csv = format!(
        "id,name,email,groups,seat\n{p},Xanthippe Quillfeather,{},g,{}\n{p},Xanthippe again,,,\n\
         zz-absent-0815,Yggdrasil Umberstone,,nowhere,\nzz-no id?,Yggdrasil Umberstone,,,\n",
        of_p[3], of_p[4],
    );
    let shots = zipped(&[
        ("zz-erased-4711/zz-shot-of-her.jpg", &portrait("obama")),
        ("zz-erased-4711/zz-broken-shot.jpg", b"no photo"),
        ("zz-absent-0815/zz-shot-of-her.jpg", &portrait("biden")),
    ]);
    let dry = [("dry_run", "true")];
    let mut jobs = Vec::new();
    for fields in [&dry[..], &[], &[], &dry[..]] {
        let begun = api.post_form("/api/v1/people/import", roster(csv.as_bytes(), Some(&shots), fields)).await;
        let job = begun.expect(202)["id"].as_str().unwrap().to_owned();
        let over = api.job_over(&job).await;
        assert_eq!((&over["state"], &over["counts"]["failed"]), (&json!("done"), &json!(3)), "{over}");
        jobs.push(job);
    }
    let class = zipped(&[("zz-class-shot.jpg", &portrait("obama2")), ("zz-bad-class-shot.jpg", b"no photo")]);
    for mark in ["true", "false"] {
        let photos = reqwest::multipart::Part::bytes(class.clone()).file_name("photos.zip");
        let body = form(&[("mark", mark)], &[&portrait("obama3")]).part("photos", photos);
        let begun = api.post_form("/api/v1/groups/g/jobs/recognize", body).await.expect(202);
        let job = begun["id"].as_str().unwrap().to_owned();
        let over = api.job_over(&job).await;
        assert_eq!((&over["counts"]["named"], &over["counts"]["failed"]), (&json!(2), &json!(1)), "{over}");
        jobs.push(job);
    }
    let letters = format!("/api/v1/webhooks/{}/dead", hook["id"].as_str().unwrap());
    eventually("events are dead letters", async || api.get(&letters).await.text().contains(p)).await;
    eventually("the spool is empty", async || spooled(&server) == 0).await;
    let of_files = Traces::texts(&of_files);
    assert_eq!(of_files.found(&server.data()).0, Vec::<String>::new(), "what is in files alone goes with them");
    let of_p = Traces::texts(&of_p);
    assert_eq!(of_p.found(&server.data()).0.len(), of_p.texts.len());

    api.delete(&format!("/api/v1/people/{p}")).await.expect(204);
    assert_eq!(rewrite(&server).await["erasures_done"], 1);
    assert_eq!(of_p.found(&server.data()).0, Vec::<String>::new());
    assert!(!api.get(&letters).await.text().contains(p));
    for job in &jobs {
        let results = api.results(job).await;
        assert!(!results.is_empty() && !json!(results).to_string().contains("zz-"), "{results:?}");
        assert!(!api.get(&format!("/api/v1/jobs/{job}/results?format=csv")).await.text().contains("zz-"));
    }
    let report = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!(report["problems"], json!({}));
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn an_erasure_is_not_done_while_the_person_may_be_in_the_files_of_a_job() {
    let server = TestServer::start().await;
    let (api, operator) = (&server.api, server.operator());
    for id in ["zz-early-1", "zz-late-2"] {
        api.enrol(id, &[], "hopper").await;
    }
    api.delete("/api/v1/people/zz-early-1").await.expect(204);
    let csv = "id,name,groups\nslow,Slow,\nzz-late-2,Xanthippe,\nzz-absent-3,Nobody,nowhere\n";
    let photos = zipped(&[("slow/zz-late-2.jpg", &portrait("obama"))]);
    let gate = server.faults.block("embed.work");
    let job = api.import(csv.as_bytes(), Some(&photos), &[]).await.expect(202)["id"].as_str().unwrap().to_owned();
    eventually("two rows are done, and one waits", async || {
        api.job(&job).await["done"] == 2 && server.faults.waiting_at("embed.work") == 1
    })
    .await;
    let ids = async || api.results(&job).await.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids().await, [json!("zz-late-2"), json!("zz-absent-3")], "of who is not there, as the upload has it");
    // A tenant that goes takes its uploads along.
    let other = server.tenant("other").await;
    let theirs = other.import(csv.as_bytes(), Some(&photos), &[]).await;
    assert_eq!((theirs.status, spooled(&server)), (202, 2));
    operator.delete("/api/v1/tenants/other").await.expect(204);
    assert_eq!(spooled(&server), 1);

    api.delete("/api/v1/people/zz-late-2").await.expect(204);
    assert_eq!(ids().await, [json!("zz-absent-3")]);
    assert_eq!(rewrite(&server).await["erasures_done"], 2, "the tenant, and who was erased before");
    assert_eq!(pending(&server).await, 1);
    let traces = Traces::texts(&["zz-late-2", "zz-absent-3"]);
    assert_eq!(traces.found(&server.data()).0.len(), 2);
    drop(gate);
    assert_eq!(api.job_over(&job).await["state"], "done");
    eventually("the spool is empty", async || spooled(&server) == 0).await;
    assert_eq!(ids().await, [json!("slow"), json!(null)]);
    assert_eq!(rewrite(&server).await["erasures_done"], 1);
    assert_eq!((pending(&server).await, traces.found(&server.data()).0), (0, vec![]));
}
