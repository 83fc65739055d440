//! Many photos of a group as a job: when they were taken, what is told on the way, who may look, whose turn it is, and
//! kill -9.

use std::{collections::BTreeSet, time::Duration};

use exif::{In, Tag, Value as ExifValue, experimental::Writer};
use jiff::{Timestamp, civil::date};
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::support::{
    Answer, Api, ServerProcess, TestServer, class_photo, eventually, form,
    images::{jpeg, scaled},
    portrait,
    rosters::{zipped, zipped_at},
};

const RECOGNIZE: &str = "/api/v1/groups/g/jobs/recognize";

fn photos(zip: &[u8], images: &[&[u8]], fields: &[(&str, &str)]) -> Form {
    form(fields, images).part("photos", Part::bytes(zip.to_vec()).file_name("photos.zip"))
}

/// A JPEG with the camera's time in it.
fn taken(photo: &[u8], time: &str, offset: Option<&str>) -> Vec<u8> {
    let ascii = |tag, text: &str| exif::Field {
        tag,
        ifd_num: In::PRIMARY,
        value: ExifValue::Ascii(vec![text.as_bytes().to_vec()]),
    };
    let time = ascii(Tag::DateTimeOriginal, time);
    let offset = offset.map(|offset| ascii(Tag::OffsetTimeOriginal, offset));
    let (mut writer, mut tiff) = (Writer::new(), std::io::Cursor::new(Vec::new()));
    writer.push_field(&time);
    if let Some(offset) = &offset {
        writer.push_field(offset);
    }
    writer.write(&mut tiff, false).unwrap();
    let block = [b"Exif\0\0", tiff.get_ref().as_slice()].concat();
    let length = u16::try_from(block.len() + 2).unwrap().to_be_bytes();
    [&photo[..2], &[0xff, 0xe1], &length, &block, &photo[2..]].concat()
}

async fn class(api: &Api) {
    let group = json!({ "id": "g", "name": "G", "time_zone": "Pacific/Kiritimati" });
    api.post("/api/v1/groups", &group).await.expect(201);
    api.enrol("ada", &["g"], "obama").await;
    api.enrol("bea", &["g"], "biden").await;
}

#[tokio::test]
async fn each_photo_is_for_the_session_of_the_time_at_which_it_was_taken() {
    let server = TestServer::start().await;
    let api = &server.api;
    class(api).await;
    let (ada, both) = (portrait("obama2"), class_photo(&[("obama2", 200), ("biden", 200)]));
    let modified = date(2026, 3, 4).at(9, 0, 0, 0);
    let zip = zipped_at(
        modified,
        &[
            ("monday/1.jpg", &taken(&both, "2026:03:02 23:30:00", None)),
            ("monday/2.jpg", &taken(&ada, "2026:03:02 23:30:00", Some("+00:00"))),
            ("file.jpg", &ada),
            ("broken.jpg", b"no photo"),
            ("../outside.jpg", &ada),
            (".DS_Store", b"x"),
        ],
    );
    let begun = api.post_form(RECOGNIZE, photos(&zip, &[&ada], &[])).await.expect(202);
    assert_eq!((&begun["kind"], &begun["group"], &begun["total"]), (&json!("recognize"), &json!("g"), &json!(6)));
    let id = begun["id"].as_str().unwrap();
    let events = api.get(&format!("/api/v1/jobs/{id}/events")).await;
    assert_eq!((events.status, events.header("content-type")), (200, "text/event-stream"));
    let told: Vec<Value> = events
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: ").map(|data| serde_json::from_str(data).unwrap()))
        .collect();
    let last = told.last().unwrap();
    assert_eq!((&last["state"], &last["done"], &last["id"]), (&json!("done"), &json!(6), &begun["id"]), "{told:?}");
    assert!(told.iter().zip(&told[1..]).all(|(one, next)| one["done"].as_u64() <= next["done"].as_u64()));
    assert_eq!(last["failed"], json!({ "not_an_image": 1, "corrupt_entry": 1 }), "a bad photo fails alone");
    assert_eq!(last["counts"], json!({ "recognised": 4, "failed": 2, "faces": 5, "named": 5, "marked": 5 }));

    let results = api.results(id).await;
    // In the order of the ZIP file; the files' names have gone with them.
    assert!(results.iter().zip(0..).all(|(photo, number)| photo["item"] == number && photo["photo"].is_null()));
    let days = [("2026-03-02", "exif"), ("2026-03-03", "exif"), ("2026-03-04", "file")];
    for (photo, (day, source)) in results.iter().zip(days) {
        assert_eq!((&photo["date"], &photo["time_from"]), (&json!(day), &json!(source)), "{photo}");
    }
    let (broken, outside, single) = (&results[3], &results[4], &results[5]);
    assert_eq!(
        (&broken["error"]["code"], &outside["error"]["code"]),
        (&json!("not_an_image"), &json!("corrupt_entry"))
    );
    assert_eq!(single["time_from"], "upload");
    let face = &results[1]["faces"][0];
    assert_eq!((&face["person"], &face["name"]), (&json!("ada"), &json!("ada")));
    assert_eq!(api.records("g", "?date=2026-03-02").await.len(), 2);
    assert_eq!(api.records("g", "?date=2026-03-04").await[0]["person"], "ada");
    let table = api.get(&format!("/api/v1/jobs/{id}/results?format=csv")).await.text();
    assert_eq!(table.lines().count(), 8, "a line a face, and one for each broken photo: {table}");

    // The same again marks nobody twice, and nobody at all where that is asked for.
    let again = api.post_form(RECOGNIZE, photos(&zip, &[], &[])).await.expect(202);
    let again = api.job_over(again["id"].as_str().unwrap()).await;
    assert_eq!((&again["counts"]["named"], &again["counts"]["marked"]), (&json!(4), &Value::Null));
    let fields = [("mark", "false"), ("at", "2026-01-01T00:00:00Z")];
    let shown = api.post_form(RECOGNIZE, form(&fields, &[&ada])).await.expect(202);
    let shown = shown["id"].as_str().unwrap();
    assert_eq!(api.job_over(shown).await["counts"]["named"], 1);
    assert_eq!(api.results(shown).await[0]["at"], "2026-01-01T00:00:00Z");
    assert_eq!(api.records("g", "?date=2026-01-01").await.len(), 0);

    // Who is erased is named in no report any more; the others of the photo stay.
    api.delete("/api/v1/people/ada").await.expect(204);
    let left = api.results(id).await;
    let named: Vec<&Value> = left.iter().flat_map(|photo| photo["faces"].as_array().unwrap()).collect();
    assert_eq!(named.iter().filter(|face| face["person"] == "bea").count(), 1);
    assert_eq!(named.iter().filter(|face| face["person"].is_null()).count(), 4);
    let report = server.operator().get("/api/v1/check").await.expect(200);
    assert_eq!(report["problems"], json!({}));

    for (form, expected) in [
        (form(&[("mark", "true")], &[]), (400, "no_images")),
        (form(&[("at", "2999-01-01T00:00:00Z")], &[&ada]), (400, "invalid_at")),
        (form(&[("at", "1980-01-01T00:00:00Z")], &[&ada]), (400, "invalid_at")),
        (form(&[("threshold", "7")], &[&ada]), (400, "invalid_threshold")),
        (photos(b"no zip", &[], &[]), (400, "invalid_zip")),
    ] {
        let answer = api.post_form(RECOGNIZE, form).await;
        assert_eq!(answer.problem(), (expected.0, expected.1.to_owned()));
    }
    // The ends of two directories, as one file has that holds another.
    let nested = api.post_form(RECOGNIZE, photos(&b"PK\x05\x06".repeat(9), &[], &[])).await;
    assert!(nested.text().contains("invalid_zip") && nested.text().contains("unpack that first"), "{}", nested.text());
    let nowhere = api.post_form("/api/v1/groups/none/jobs/recognize", form(&[], &[&ada])).await;
    assert_eq!(nowhere.problem(), (404, "group_not_found".to_owned()));
}

#[tokio::test]
async fn a_time_that_nobody_can_mean_marks_nobody_then() {
    let server = TestServer::start().await;
    let api = &server.api;
    class(api).await;
    let ada = portrait("obama2");
    let zip = zipped_at(
        date(1980, 1, 1).at(0, 0, 0, 0),
        &[
            ("no_time.jpg", &ada),
            ("never_set.jpg", &taken(&ada, "2000:01:01 00:07:12", None)),
            ("zulu.jpg", &taken(&ada, "2026:11:23 09:15:00", Some("Z"))),
            ("after_midnight.jpg", &taken(&ada, "2026:11:23 24:15:00", Some("+00:00"))),
        ],
    );
    let begun = api.post_form(RECOGNIZE, photos(&zip, &[], &[])).await.expect(202);
    let id = begun["id"].as_str().unwrap();
    api.job_over(id).await;
    let results = api.results(id).await;
    let times = results.iter().map(|photo| (photo["time_from"].as_str().unwrap(), photo["at"].as_str().unwrap()));
    let times: Vec<_> = times.collect();
    assert_eq!((times[0].0, times[1].0), ("upload", "upload"), "{times:?}");
    assert_eq!(&times[2..], [("exif", "2026-11-23T09:15:00Z"), ("exif", "2026-11-23T00:15:00Z")]);
    assert_eq!(api.records("g", "?date=1980-01-01").await.len(), 0);
    let refused = api.post_form("/api/v1/groups/g/recognize", form(&[("at", "1999-12-31T23:59:59Z")], &[&ada])).await;
    assert_eq!(refused.problem(), (400, "invalid_at".to_owned()));
}

#[tokio::test]
async fn a_teacher_sees_the_jobs_of_their_groups_alone() {
    let server = TestServer::start().await;
    let api = &server.api;
    class(api).await;
    api.group("h").await;
    let teacher = json!({ "name": "t", "role": "teacher", "groups": ["h"] });
    let made = api.post("/api/v1/keys", &teacher).await.expect(201);
    let teacher = api.with_key(made["key"].as_str().unwrap());
    let photo = portrait("obama2");
    let start = async |api: &Api, group: &str| {
        api.post_form(&format!("/api/v1/groups/{group}/jobs/recognize"), form(&[], &[&photo])).await
    };
    let roster = api.import(b"id,name\nx,X\n", None, &[]).await.expect(202);
    let other = start(api, "g").await.expect(202);
    assert_eq!(start(&teacher, "g").await.problem(), (403, "forbidden".to_owned()));
    let own = start(&teacher, "h").await.expect(202);
    let listed = teacher.get("/api/v1/jobs?limit=1").await.expect(200);
    let ids: Vec<&Value> = listed["jobs"].as_array().unwrap().iter().map(|job| &job["id"]).collect();
    assert_eq!((ids, &listed["next"]), (vec![&own["id"]], &Value::Null));
    for job in [&roster, &other] {
        let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
        for route in ["", "/results", "/results?format=csv", "/events"] {
            let answer = teacher.get(&format!("{path}{route}")).await;
            assert_eq!(answer.problem(), (404, "job_not_found".to_owned()), "{route}");
        }
        assert_eq!(teacher.post(&format!("{path}/cancel"), &json!({})).await.status, 404);
    }
    assert_eq!(teacher.job_over(own["id"].as_str().unwrap()).await["state"], "done");
    assert_eq!(api.get("/api/v1/jobs").await.expect(200)["jobs"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn all_photos_of_a_job_may_be_for_one_session() {
    let server = TestServer::start().await;
    let api = &server.api;
    class(api).await;
    api.group("h").await;
    let plan = async |group: &str| {
        let new = json!({ "date": "2026-03-02", "start": "08:00", "end": "09:00", "expected": ["camera"] });
        let made = api.post(&format!("/api/v1/groups/{group}/sessions"), &new).await.expect(201);
        made["id"].as_str().unwrap().to_owned()
    };
    let (session, of_other) = (plan("g").await, plan("h").await);
    let (ada, bea) = (portrait("obama2"), portrait("biden"));
    let zip = zipped_at(
        date(2026, 3, 2).at(8, 10, 0, 0),
        &[
            ("file.jpg", &ada),
            ("camera.jpg", &taken(&ada, "2026:03:02 08:20:00", None)),
            ("day-before.jpg", &taken(&bea, "2026:03:01 08:20:00", None)),
        ],
    );
    let handed_in = async |fields: &[(&str, &str)], images: &[&[u8]]| {
        let begun = api.post_form(RECOGNIZE, photos(&zip, images, fields)).await.expect(202);
        assert_eq!(begun["session"], session);
        let id = begun["id"].as_str().unwrap().to_owned();
        (api.job_over(&id).await, api.results(&id).await)
    };
    let missing = async || api.get(&format!("/api/v1/sessions/{session}")).await.expect(200)["missing"].clone();
    assert_eq!(missing().await, json!(["camera"]));
    let (job, results) = handed_in(&[("session", &session), ("source", "camera")], &[&bea]).await;
    assert_eq!(missing().await, json!([]), "its photos have come");
    assert_eq!((&job["counts"]["marked"], &job["failed"]), (&json!(2), &json!({ "outside_session": 1 })));
    // The file, the camera, the day before, and the single photo.
    let times = [
        ("file", "2026-03-01T18:10:00Z"),
        ("exif", "2026-03-01T18:20:00Z"),
        ("exif", "2026-02-28T18:20:00Z"),
        ("session", "2026-03-01T18:00:00Z"),
    ];
    assert_eq!(results.len(), times.len());
    for (photo, (source, at)) in results.iter().zip(times) {
        assert_eq!((&photo["time_from"], &photo["at"]), (&json!(source), &json!(at)), "{photo}");
        assert_eq!(
            (photo["photo_id"].is_null(), photo["date"].is_null()),
            (at.contains("02-28"), at.contains("02-28"))
        );
    }
    let records = api.get(&format!("/api/v1/sessions/{session}/records")).await.expect(200);
    let evidence = |person: &str| {
        let record = records["records"].as_array().unwrap().iter().find(|record| record["person"] == person).unwrap();
        record["sightings"].as_array().unwrap().iter().map(|seen| seen["photo"].clone()).collect::<Vec<_>>()
    };
    let id_of = |item: usize| results[item]["photo_id"].clone();
    assert_eq!(evidence("ada"), [id_of(0), id_of(1)]);
    assert_eq!(evidence("bea"), [id_of(3)]);

    // What the request says of the time goes for all.
    let (job, _) = handed_in(&[("session", &session), ("at", "2026-03-01T18:30:00Z")], &[]).await;
    assert_eq!((&job["counts"]["recognised"], &job["failed"]), (&json!(3), &json!({})));

    let refused = async |fields: &[(&str, &str)]| api.post_form(RECOGNIZE, form(fields, &[&ada])).await.problem();
    let missing = (404, "session_not_found".to_owned());
    assert_eq!(refused(&[("session", &of_other)]).await, missing);
    assert_eq!(refused(&[("session", "01234567-89ab-7def-8123-456789abcdef")]).await, missing);
    let outside = [("session", session.as_str()), ("at", "2026-03-01T08:30:00Z")];
    assert_eq!(refused(&outside).await, (400, "outside_session".to_owned()));
    api.post(&format!("/api/v1/sessions/{session}/close"), &json!({})).await.expect(200);
    assert_eq!(refused(&[("session", &session)]).await, (409, "session_closed".to_owned()));
}

#[tokio::test]
async fn a_photo_whose_report_was_lost_is_no_second_piece_of_evidence() {
    let server = TestServer::start().await;
    class(&server.api).await;
    let rules = json!({ "rules": { "confirm_sightings": 2 } });
    server.api.send(Method::PATCH, "/api/v1/groups/g", &rules).await.expect(200);
    let gate = server.faults.block("job.report");
    let body = form(&[("at", "2026-03-02T12:00:00Z")], &[&portrait("obama2")]);
    let id = server.api.post_form(RECOGNIZE, body).await.expect(202)["id"].as_str().unwrap().to_owned();
    eventually("a marked photo waits", async || server.faults.waiting_at("job.report") == 1).await;
    let marked = server.api.records("g", "?date=2026-03-03").await;
    let server = server.restart().await;
    drop(gate);
    let job = server.api.job_over(&id).await;
    assert_eq!((&job["state"], &job["counts"]["recognised"]), (&json!("done"), &json!(1)));
    let records = server.api.records("g", "?date=2026-03-03").await;
    assert_eq!((records.len(), &records[0]["state"]), (1, &json!("to_confirm")));
    assert_eq!(records, marked);
}

/// Tenants whose jobs take all places at which jobs are worked on.
const AS_MANY_AS_PLACES: usize = 8;
/// How long a job goes on while another waits for its place.
const JOB_TURN: Duration = Duration::from_secs(5);

/// Tenants with a group, each of which has handed in so many photos.
async fn busy_tenants(server: &TestServer, photos: usize) -> Vec<(Api, String)> {
    let mut jobs = Vec::new();
    for number in 0..AS_MANY_AS_PLACES {
        let api = server.tenant(&format!("t{number}")).await;
        jobs.push((api.clone(), hand_in(&api, photos).await));
    }
    jobs
}

/// Makes a group, and hands in photos of it.
async fn hand_in(api: &Api, photos: usize) -> String {
    api.group("g").await;
    let photo = jpeg(&scaled("obama2", 160));
    let begun = api.post_form(RECOGNIZE, form(&[("mark", "false")], &vec![photo.as_slice(); photos])).await.expect(202);
    begun["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn jobs_that_wait_for_another_day_leave_their_places_to_others() {
    let server = TestServer::with(&[("tenants.photos_per_day", "1")]).await;
    let operator = server.operator();
    let no_limit = async |tenant: &str| {
        let limits = json!({ "limits": { "photos_per_day": 0 } });
        operator.send(Method::PATCH, &format!("/api/v1/tenants/{tenant}"), &limits).await.expect(200);
    };
    no_limit("default").await;
    let waiting = busy_tenants(&server, 2).await;
    for (api, job) in &waiting {
        eventually("one photo is done, and the day's last", async || api.job(job).await["done"] == 1).await;
    }
    let job = hand_in(&server.api, 2).await;
    assert_eq!(server.api.job_over(&job).await["counts"]["recognised"], 2);
    for (number, (api, job)) in waiting.iter().enumerate() {
        assert_eq!(api.job(job).await["state"], "running");
        no_limit(&format!("t{number}")).await;
    }
    for (api, job) in &waiting {
        let job = api.job_over(job).await;
        assert_eq!((&job["state"], &job["counts"]["recognised"]), (&json!("done"), &json!(2)), "each once");
    }
}

#[tokio::test]
async fn a_job_begins_in_its_turn_and_not_when_a_longer_one_of_others_is_over() {
    let server = TestServer::start().await;
    let gate = server.faults.block("job.report");
    let long = busy_tenants(&server, 12).await;
    eventually("all places are taken", async || {
        server.metrics().await.count("jobs_running", &[]) as usize == AS_MANY_AS_PLACES
    })
    .await;
    let job = hand_in(&server.api, 1).await;
    tokio::time::sleep(JOB_TURN).await;
    assert_eq!(server.api.job(&job).await["state"], "queued");
    drop(gate);
    let time = |job: &Value, of: &str| job[of].as_str().unwrap().parse::<Timestamp>().unwrap();
    let begun_at = time(&server.api.job_over(&job).await, "started_at");
    for (api, job) in &long {
        let job = api.job_over(job).await;
        assert!(begun_at < time(&job, "finished_at"), "{job}");
        assert_eq!((&job["state"], &job["counts"]["recognised"]), (&json!("done"), &json!(12)), "each once");
    }
}

#[tokio::test]
async fn following_a_job_takes_a_stream_of_events() {
    let server = TestServer::with(&[("events.max_streams", "2")]).await;
    let gate = server.faults.block("job.report");
    let job = hand_in(&server.api, 1).await;
    let path = format!("/api/v1/jobs/{job}/events");
    let follow = async || server.api.request(Method::GET, &path).send().await.unwrap();
    let first = follow().await;
    assert_eq!((first.status().as_u16(), follow().await.status().as_u16()), (200, 429), "half are for others");
    drop(first);
    eventually("its place is free", async || follow().await.status() == 200).await;
    drop(gate);
    assert_eq!(server.api.job_over(&job).await["state"], "done");
}

/// Photos of the job that is killed, and the days over which they are spread.
const PHOTOS: usize = 300;
const DAYS: usize = 20;

#[tokio::test]
async fn photos_of_a_job_killed_twice_are_counted_once() {
    let data = tempfile::tempdir().unwrap();
    let settings = [("ROLLCALL__PIPELINE__COMPUTE_THREADS", "2"), ("ROLLCALL__DETECT__LONG_SIDE_PX", "320")];
    let mut server = ServerProcess::with(data.path(), &settings).await;
    class(&server.api).await;
    let both = class_photo(&[("obama2", 160), ("biden", 160)]);
    let photo = |number: usize| {
        let (day, minute) = (number % DAYS + 1, number / DAYS);
        taken(&both, &format!("2026:03:{day:02} 12:{minute:02}:00"), None)
    };
    let zip: Vec<(String, Vec<u8>)> = (0..200).map(|number| (format!("{number}.jpg"), photo(number))).collect();
    let zip = zipped(&zip.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect::<Vec<_>>());
    let images: Vec<Vec<u8>> = (200..PHOTOS).map(photo).collect();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    let id = server.api.post_form(RECOGNIZE, photos(&zip, &images, &[])).await.expect(202)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for least in [80, 180] {
        let mut seen = 0;
        eventually("some photos are done", async || {
            seen = server.api.job(&id).await["done"].as_u64().unwrap();
            seen >= least
        })
        .await;
        assert!(seen < 300, "killed in the middle");
        server.kill();
        server = ServerProcess::with(data.path(), &settings).await;
    }
    let job = server.api.job_over(&id).await;
    assert_eq!((&job["state"], &job["done"], &job["failed"]), (&json!("done"), &json!(300), &json!({})));
    assert_eq!((&job["counts"]["recognised"], &job["counts"]["named"]), (&json!(300), &json!(600)));
    let results = server.api.results(&id).await;
    assert!(results.len() == PHOTOS && results.iter().zip(0..).all(|(photo, number)| photo["item"] == number));

    // Each person has one record a day, of which a photo is evidence once, and was marked by one photo.
    let days = server.api.get("/api/v1/groups/g/sessions?from=2026-03-01&until=2026-03-31").await.expect(200);
    let mut records = Vec::new();
    for session in days["sessions"].as_array().unwrap() {
        let path = format!("/api/v1/sessions/{}/records", session["id"].as_str().unwrap());
        records.extend(server.api.get(&path).await.expect(200)["records"].as_array().unwrap().clone());
    }
    assert_eq!(records.len(), 2 * DAYS);
    for record in &records {
        let sightings = record["sightings"].as_array().unwrap();
        let photos: BTreeSet<&str> = sightings.iter().map(|seen| seen["photo"].as_str().unwrap()).collect();
        assert_eq!((sightings.len(), photos.len()), (PHOTOS / DAYS, PHOTOS / DAYS), "{record}");
    }
    let marks = server.api.get("/api/v1/events?kinds=marked&limit=1000").await.expect(200);
    assert_eq!(marks["events"].as_array().unwrap().len(), 2 * DAYS);

    let spool = data.path().join("spool");
    eventually("the spool is empty", async || spool.read_dir().unwrap().next().is_none()).await;
    // A stream that still waits keeps no stop waiting.
    let request = server.api.request(Method::GET, &format!("/api/v1/jobs/{id}/events"));
    assert_eq!(Answer::to(request).await.status, 200);
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
}
