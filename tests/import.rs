//! Rosters taken in as jobs: rows, photos, what is refused, and what is left after any end of the process.

use std::{fmt::Write, fs, path::Path};

use reqwest::Method;
use rollcall::{
    domain::{Actor, ImportOptions, Job, JobId, JobState, JobTask, TenantId, TenantScope},
    store::Store,
};
use serde_json::{Value, json};

use crate::support::{
    Answer, Api, ServerProcess, TestServer, eventually,
    images::{empty_room, jpeg, scaled},
    portrait,
    rosters::{roster, zipped},
};

fn spooled(data: &Path) -> usize {
    fs::read_dir(data.join("spool")).map_or(0, Iterator::count)
}

async fn people(api: &Api) -> Vec<Value> {
    api.get("/api/v1/people?limit=1000").await.expect(200)["people"].as_array().unwrap().clone()
}

fn outcomes(results: &[Value]) -> Vec<&str> {
    results.iter().map(|row| row["outcome"].as_str().unwrap()).collect()
}

fn codes(results: &[Value]) -> Vec<&str> {
    results.iter().map(|row| row["error"]["code"].as_str().unwrap_or("")).collect()
}

async fn rules(server: &TestServer, rules: Value) {
    let patch = json!({ "enrolment": rules });
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &patch).await.expect(200);
}

async fn is_sound(server: &TestServer) {
    let report = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!(report["problems"], json!({}));
}

#[tokio::test]
async fn rows_become_people_once_however_often_they_come() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("a").await;
    api.group("b").await;
    api.enrol("old", &["a"], "biden").await;
    let csv = "\u{feff}ID;Name;Email;Groups;Seat\r\n\
        ada;Ada;ada@x.example;a|b;7\r\n\
        2024/1;👩🏽‍🚀 \u{202b}עדה לאבלייס\u{202c};;;\r\n\
        old;;;b;\r\n\
        bad id?;X;;;\r\n\
        nobody;;;;\r\n\
        long;LONG;;;\r\n\
        lost;Lost;;none;\r\n\
        mail;Mail;mail;;\r\n\
        short;Short\r\n\
        ada;Ada again;;;\r\n"
        .replace("LONG", &"n".repeat(10_000));
    let photos = zipped(&[
        ("ada/1.jpg", &portrait("obama")),
        ("ada/2.jpg", &portrait("obama2")),
        ("ada/3.jpg", &empty_room(200, 200)),
        ("class/2024/1.jpg", &portrait("astronaut")),
        ("old/again.jpg", &portrait("biden")),
        ("stranger.jpg", &portrait("hopper")),
        ("../../ada/evil.jpg", b"no photo"),
        ("__MACOSX/ada/._1.jpg", b"x"),
    ]);
    let before = people(api).await;
    let (tried, would) = api.imported(&csv, Some(&photos), &[("dry_run", "true")]).await;
    assert_eq!((&tried["state"], &tried["dry_run"]), (&json!("done"), &json!(true)), "{tried}");
    assert_eq!(people(api).await, before, "a dry run stores nothing");
    let (job, results) = api.imported(&csv, Some(&photos), &[]).await;
    assert_eq!((&job["state"], &job["total"], &job["done"]), (&json!("done"), &json!(10), &json!(10)), "{job}");
    let ids = |results: &[Value]| results.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    let rows = ids(&would);
    assert_eq!((&rows[0], &rows[2]), (&json!(null), &json!("old")), "who is not there is not in a report");
    assert_eq!(results, api.results(tried["id"].as_str().unwrap()).await, "a dry run says what will be");
    assert_eq!(ids(&results)[..4], [json!("ada"), json!("2024/1"), json!("old"), json!(null)]);
    assert_eq!(outcomes(&results)[..3], ["created", "created", "updated"], "{results:?}");
    let expected =
        ["", "", "", "invalid_id", "invalid_name", "invalid_name", "group_not_found", "invalid_email", "invalid_row"];
    assert_eq!(codes(&results)[..9], expected);
    assert_eq!((codes(&results)[9], &results[9]["line"]), ("repeated_id", &json!(11)));
    assert_eq!(job["failed"]["invalid_name"], json!(2));
    let counts = json!({ "created": 2, "updated": 1, "failed": 7, "samples_added": 3, "photos_refused": 1,
        "photos_without_row": 2 });
    assert_eq!(job["counts"], counts);
    assert_eq!((&results[0]["refused"][0]["number"], &results[0]["refused"][0]["photo"]), (&json!(2), &json!(null)));
    assert_eq!(results[0]["refused"][0]["reason"], "no_face");
    let ada = api.get("/api/v1/people/ada").await.expect(200);
    assert_eq!((&ada["name"], &ada["email"]), (&json!("Ada"), &json!("ada@x.example")));
    assert_eq!((&ada["metadata"], &ada["groups"]), (&json!({ "Seat": "7" }), &json!(["a", "b"])));
    assert_eq!(ada["faces"].as_array().unwrap().len(), 2);
    let astronaut = api.get("/api/v1/people/2024%2F1").await.expect(200);
    assert_eq!(astronaut["name"], "👩🏽‍🚀 \u{202b}עדה לאבלייס\u{202c}");
    let old = api.get("/api/v1/people/old").await.expect(200);
    assert_eq!((&old["groups"], &old["name"]), (&json!(["a", "b"]), &json!("old")), "groups are joined");
    assert_eq!(old["faces"].as_array().unwrap().len(), 1, "the same file makes no second sample");

    let after = people(api).await;
    let (again, results) = api.imported(&csv, Some(&photos), &[]).await;
    assert_eq!((&again["counts"]["unchanged"], &again["counts"]["samples_added"]), (&json!(3), &Value::Null));
    assert_eq!(outcomes(&results)[..3], ["unchanged"; 3]);
    assert_eq!(people(api).await, after);

    let id = again["id"].as_str().unwrap();
    let table = api.get(&format!("/api/v1/jobs/{id}/results?format=csv")).await;
    assert_eq!((table.status, table.header("content-type")), (200, "text/csv; charset=utf-8"));
    let lines: Vec<String> = table.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[0], "line,id,outcome,error,message,samples_added,refused,duplicates,name,groups_made,left");
    assert_eq!(lines[1], "2,ada,unchanged,,,0,2: no_face,,Ada,,");
    let listed = api.get("/api/v1/jobs?limit=2").await.expect(200);
    assert_eq!((listed["jobs"].as_array().unwrap().len(), &listed["jobs"][0]["id"]), (2, &tried["id"]));

    // Other photos take the place of those before, where that is asked for.
    let other = zipped(&[("ada.jpg", &portrait("biden"))]);
    let (_, refused) = api.imported("id\nada\n", Some(&other), &[("quality", "standard")]).await;
    assert_eq!(refused[0]["refused"][0]["reason"], "inconsistent");
    let (_, replaced) = api.imported("id\nada\n", Some(&other), &[("replace", "true")]).await;
    assert_eq!((&replaced[0]["outcome"], &replaced[0]["samples_added"]), (&json!("updated"), &json!(1)));
    assert_eq!(api.get("/api/v1/people/ada").await.expect(200)["faces"].as_array().unwrap().len(), 1);

    // An erased person leaves the reports too.
    is_sound(&server).await;
    api.delete("/api/v1/people/ada").await.expect(204);
    let left = api.results(id).await;
    assert_eq!(left.len(), results.len() - 2, "of both rows of that id");
    assert!(left.iter().all(|row| row["id"] != "ada"));
    let tried = api.results(tried["id"].as_str().unwrap()).await;
    assert!(tried.len() == 10 && tried.iter().all(|row| row["id"] != "ada"), "she was not there then");
    assert_eq!(spooled(&server.data()), 0);
    is_sound(&server).await;
}

#[tokio::test]
async fn what_is_no_roster_is_refused_before_a_job_is_made() {
    let server = TestServer::with(&[("jobs.max_entries", "50"), ("jobs.max_upload_bytes", "400000")]).await;
    let api = &server.api;
    let csv = b"id,name\na,A\n";
    let good = zipped(&[("a/1.jpg", &portrait("obama"))]);
    let cut = &good[..good.len() - 30];
    let many: Vec<(String, &[u8])> = (0..51).map(|n| (format!("a/{n}.jpg"), &b"x"[..])).collect();
    let many = zipped(&many.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect::<Vec<_>>());
    let zeros = vec![0; 60 << 20];
    let bomb = zipped(&[("a/1.jpg", &zeros), ("a/2.jpg", &zeros)]);
    let rows: String = (0..51).fold("id\n".to_owned(), |rows, n| rows + &n.to_string() + "\n");
    let mut lying = good.clone();
    // The directory's entry begins where the end record says.
    let end = good.len() - 22;
    lying[end + 10] = 0xff;
    for (csv, photos, expected) in [
        (&b"name\nA\n"[..], None, (400, "invalid_csv")),
        (b"id,name\na,\xc3\xa9\nb,\xff\n", None, (400, "invalid_csv")),
        (b"id,name\na,\"A\nb,B\n", None, (400, "invalid_csv")),
        (b"", None, (400, "invalid_csv")),
        (rows.as_bytes(), None, (413, "too_many_rows")),
        (csv, Some(&b"no zip"[..]), (400, "invalid_zip")),
        (csv, Some(cut), (400, "invalid_zip")),
        (csv, Some(&lying), (413, "too_many_entries")),
        (csv, Some(&many), (413, "too_many_entries")),
        (csv, Some(&bomb), (413, "zip_bomb")),
        (csv, Some(&vec![7; 400_000]), (413, "body_too_large")),
    ] {
        let answer = api.import(csv, photos, &[]).await;
        assert_eq!(answer.problem(), (expected.0, expected.1.to_owned()), "{}", answer.text());
    }
    let no_csv = api.post_form("/api/v1/people/import", crate::support::form(&[("dry_run", "true")], &[])).await;
    assert_eq!(no_csv.problem(), (400, "no_roster".to_owned()));
    assert_eq!(api.import(csv, None, &[("dry_run", "yes")]).await.problem(), (400, "invalid_form".to_owned()));
    assert_eq!(api.post("/api/v1/people/import", &json!({})).await.status, 415);
    assert_eq!(api.get("/api/v1/jobs").await.expect(200)["jobs"], json!([]));
    eventually("nothing is left in the spool", async || spooled(&server.data()) == 0).await;
    // One photo alone is no reason to refuse the others.
    let small = zipped(&[("a/1.jpg", &zeros), ("a/2.jpg", &portrait("obama"))]);
    let (job, results) = api.imported("id,name\na,A\n", Some(&small), &[]).await;
    assert_eq!(
        (&job["counts"]["created"], &results[0]["refused"][0]["reason"]),
        (&json!(1), &json!("image_too_large"))
    );
    assert_eq!(people(api).await[0]["faces"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn faces_that_are_someone_elses_are_flagged_or_refused() {
    let server = TestServer::start().await;
    let api = &server.api;
    let csv = "id,name\nfirst,F\nsecond,S\n";
    let (first, second) =
        (zipped(&[("first.jpg", &portrait("obama"))]), zipped(&[("second.jpg", &portrait("obama2"))]));
    api.imported(csv, Some(&first), &[]).await;
    let (job, flagged) = api.imported(csv, Some(&second), &[("dry_run", "true")]).await;
    assert_eq!(flagged[1]["duplicates"][0]["person"], "first");
    assert_eq!((&flagged[1]["duplicates"][0]["number"], &job["counts"]["duplicates"]), (&json!(0), &json!(1)));
    rules(&server, json!({ "duplicates": "refuse" })).await;
    let (job, refused) = api.imported(csv, Some(&second), &[]).await;
    assert_eq!((codes(&refused)[1], &job["failed"]["duplicate_of"]), ("duplicate_of", &json!(1)));
    let second = api.get("/api/v1/people/second").await.expect(200);
    assert_eq!(second["faces"], json!([]), "nothing of the row was stored");
    rules(&server, json!({ "duplicates": "off", "consent": "required" })).await;
    let (_, without) =
        api.imported("id,name\nthird,T\n", Some(&zipped(&[("third.jpg", &portrait("hopper"))])), &[]).await;
    assert_eq!((outcomes(&without)[0], &without[0]["refused"][0]["reason"]), ("created", &json!("consent_required")));
    // Whoever is erased goes from the reports that only mention them, too.
    let id = job["id"].as_str().unwrap();
    api.delete("/api/v1/people/second").await.expect(204);
    assert_eq!(api.results(id).await.len(), 1);
    is_sound(&server).await;
}

/// A roster of `rows` people with a photo each, all different files.
fn class(rows: usize) -> (String, Vec<u8>) {
    let mut csv = "id,name\n".to_owned();
    let shots = ["obama", "biden", "astronaut"];
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for number in 0..rows {
        writeln!(csv, "p{number:04},Person {number}").unwrap();
        files.push((format!("p{number:04}/1.jpg"), jpeg(&scaled(shots[number % 3], 150 + (number / 3) as u32))));
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    (csv, zipped(&files))
}

#[tokio::test]
async fn a_job_killed_twice_goes_on_and_does_nothing_twice() {
    let data = tempfile::tempdir().unwrap();
    let settings = [("ROLLCALL__PIPELINE__COMPUTE_THREADS", "2"), ("ROLLCALL__DETECT__LONG_SIDE_PX", "640")];
    let server = ServerProcess::with(data.path(), &settings).await;
    let operator = server.api.with_key(&crate::support::server::read_key(data.path(), "operator.key"));
    let off = json!({ "enrolment": { "duplicates": "off" } });
    operator.send(Method::PATCH, "/api/v1/tenants/default", &off).await.expect(200);
    let (csv, photos) = class(90);
    let begun = server.api.import(csv.as_bytes(), Some(&photos), &[]).await.expect(202);
    let id = begun["id"].as_str().unwrap().to_owned();
    let mut server = server;
    let mut seen = 0;
    for least in [10, 40] {
        eventually("some rows are done", async || {
            seen = server.api.job(&id).await["done"].as_u64().unwrap();
            seen >= least
        })
        .await;
        assert!(seen < 90, "killed in the middle");
        server.kill();
        server = ServerProcess::with(data.path(), &settings).await;
    }
    let job = server.api.job_over(&id).await;
    assert_eq!((&job["state"], &job["done"]), (&json!("done"), &json!(90)), "{job}");
    assert_eq!(job["counts"], json!({ "created": 90, "samples_added": 90, "photos_without_row": 0 }));
    let results = server.api.results(&id).await;
    assert_eq!(results.len(), 90);
    assert!(results.iter().zip(0..).all(|(row, number)| row["item"] == number && row["outcome"] == "created"));
    let people = people(&server.api).await;
    assert_eq!(people.len(), 90);
    assert!(people.iter().all(|person| person["faces"].as_array().unwrap().len() == 1));
    eventually("the spool is empty", async || spooled(data.path()) == 0).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_job_is_called_off_stopped_with_its_tenant_and_goes_on_with_it() {
    let server = TestServer::with(&[("jobs.max_open", "2")]).await;
    let api = &server.api;
    let (csv, photos) = class(6);
    let gate = server.faults.block("embed.work");
    let begun = api.import(csv.as_bytes(), Some(&photos), &[]).await.expect(202);
    let id = begun["id"].as_str().unwrap().to_owned();
    eventually("photos are worked on", async || server.faults.waiting_at("embed.work") > 0).await;
    assert_eq!(api.job(&id).await["state"], "running");
    let queued = api.import(b"id,name\nx,X\n", None, &[]).await.expect(202);
    assert_eq!(queued["state"], "queued");
    assert_eq!(api.import(b"id,name\nx,X\n", None, &[]).await.problem(), (429, "too_many_jobs".to_owned()));
    // Another tenant's are its own, and go on.
    let other = server.tenant("other").await;
    let theirs = other.imported("id,name\nx,X\n", None, &[]).await.0;
    assert_eq!(other.get(&format!("/api/v1/jobs/{id}")).await.problem(), (404, "job_not_found".to_owned()));
    assert_eq!(api.get(&format!("/api/v1/jobs/{}", theirs["id"].as_str().unwrap())).await.status, 404);
    let off = format!("/api/v1/jobs/{id}/cancel");
    assert_eq!(api.post(&off, &json!({})).await.expect(200)["state"], "cancelled");
    assert_eq!(api.post(&off, &json!({})).await.expect(200)["state"], "cancelled");
    drop(gate);
    // One tenant's jobs run one after the other.
    let second = api.job_over(queued["id"].as_str().unwrap()).await;
    assert_eq!((&second["state"], &second["counts"]["created"]), (&json!("done"), &json!(1)));
    assert_eq!(people(api).await.len(), 1, "nothing of the cancelled job was stored");

    let gate = server.faults.block("embed.work");
    let id = api.import(csv.as_bytes(), Some(&photos), &[]).await.expect(202)["id"].as_str().unwrap().to_owned();
    eventually("photos are worked on", async || server.faults.waiting_at("embed.work") > 0).await;
    let operator = server.operator();
    let suspend = async |suspended: bool| {
        let patch = json!({ "suspended": suspended });
        operator.send(Method::PATCH, "/api/v1/tenants/default", &patch).await.expect(200);
    };
    suspend(true).await;
    drop(gate);
    server.is_idle().await;
    suspend(false).await;
    let over = api.job_over(&id).await;
    assert_eq!((&over["state"], &over["counts"]["created"]), (&json!("done"), &json!(6)), "{over}");
    eventually("the spool is empty", async || spooled(&server.data()) == 0).await;
    // A tenant that goes takes its jobs along.
    operator.delete("/api/v1/tenants/other").await.expect(204);
    is_sound(&server).await;
}

#[tokio::test]
async fn a_roster_sent_again_under_its_key_is_one_job_and_old_jobs_go() {
    let server = TestServer::start().await;
    let send = async |api: &Api| {
        let request = api.request(Method::POST, "/api/v1/people/import").header("idempotency-key", "k");
        Answer::to(request.multipart(roster(b"id,name\na,A\n", None, &[]))).await
    };
    let first = send(&server.api).await.expect(202);
    let id = first["id"].as_str().unwrap().to_owned();
    let again = send(&server.api).await;
    assert_eq!((again.status, again.header("idempotency-replayed"), &again.json()["id"]), (202, "true", &first["id"]));
    server.api.job_over(&id).await;
    let old = JobId::generate();
    let server = server
        .restart_after(async |store: Store| {
            let scope = TenantScope::granted("default".parse::<TenantId>().unwrap());
            let long_ago = "2020-01-01T00:00:00Z".parse().unwrap();
            let task = JobTask::Import(ImportOptions::default());
            let job = Job::new(old, task, Actor::Machine, 0, long_ago);
            store.create_job(&scope, job, 10).await.unwrap();
            store.end_job(&scope, old, JobState::Done, None, long_ago).await.unwrap();
        })
        .await;
    eventually("the old job is gone", async || server.api.get(&format!("/api/v1/jobs/{old}")).await.status == 404)
        .await;
    assert_eq!(server.api.job(&id).await["state"], "done");
    assert_eq!(server.api.results(&id).await.len(), 1);
    is_sound(&server).await;
}
