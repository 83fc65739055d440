//! Many photos of a group as a job: when they were taken, what is told on the way, who may look, and kill -9.

use exif::{In, Tag, Value as ExifValue, experimental::Writer};
use jiff::civil::date;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::support::{
    Answer, Api, ServerProcess, TestServer, class_photo, eventually, form, portrait,
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
            (".DS_Store", b"x"),
        ],
    );
    let begun = api.post_form(RECOGNIZE, photos(&zip, &[&ada], &[])).await.expect(202);
    assert_eq!((&begun["kind"], &begun["group"], &begun["total"]), (&json!("recognize"), &json!("g"), &json!(5)));
    let id = begun["id"].as_str().unwrap();
    let events = api.get(&format!("/api/v1/jobs/{id}/events")).await;
    assert_eq!((events.status, events.header("content-type")), (200, "text/event-stream"));
    let told: Vec<Value> = events
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: ").map(|data| serde_json::from_str(data).unwrap()))
        .collect();
    let last = told.last().unwrap();
    assert_eq!((&last["state"], &last["done"], &last["id"]), (&json!("done"), &json!(5), &begun["id"]), "{told:?}");
    assert!(told.iter().zip(&told[1..]).all(|(one, next)| one["done"].as_u64() <= next["done"].as_u64()));
    assert_eq!(last["failed"], json!({ "not_an_image": 1 }), "a bad photo fails alone");
    assert_eq!(last["counts"], json!({ "recognised": 4, "failed": 1, "faces": 5, "named": 5, "marked": 5 }));

    let results = api.results(id).await;
    let of = |name: &str| results.iter().find(|photo| photo["photo"] == name).unwrap();
    let days = [("1.jpg", "2026-03-02", "exif"), ("2.jpg", "2026-03-03", "exif"), ("file.jpg", "2026-03-04", "file")];
    for (name, day, source) in days {
        assert_eq!((&of(name)["date"], &of(name)["time_from"]), (&json!(day), &json!(source)), "{name}");
    }
    assert_eq!((&of("0")["time_from"], &of("broken.jpg")["error"]["code"]), (&json!("upload"), &json!("not_an_image")));
    assert_eq!((&of("2.jpg")["faces"][0]["person"], &of("2.jpg")["faces"][0]["name"]), (&json!("ada"), &json!("ada")));
    assert_eq!(api.records("g", "?date=2026-03-02").await.len(), 2);
    assert_eq!(api.records("g", "?date=2026-03-04").await[0]["person"], "ada");
    let table = api.get(&format!("/api/v1/jobs/{id}/results?format=csv")).await.text();
    assert_eq!(table.lines().count(), 7, "a line a face, and one for the broken photo: {table}");

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
async fn photos_of_a_job_killed_twice_are_counted_once() {
    let data = tempfile::tempdir().unwrap();
    let settings = [("ROLLCALL__PIPELINE__COMPUTE_THREADS", "2"), ("ROLLCALL__DETECT__LONG_SIDE_PX", "640")];
    let mut server = ServerProcess::with(data.path(), &settings).await;
    class(&server.api).await;
    let both = class_photo(&[("obama2", 200), ("biden", 200)]);
    let names: Vec<String> = (0..60).map(|number| format!("{number}.jpg")).collect();
    let zip = zipped(&names.iter().map(|name| (name.as_str(), both.as_slice())).collect::<Vec<_>>());
    let images: Vec<&[u8]> = vec![&both; 40];
    let body = photos(&zip, &images, &[("at", "2026-03-02T12:00:00Z")]);
    let id = server.api.post_form(RECOGNIZE, body).await.expect(202)["id"].as_str().unwrap().to_owned();
    for least in [15, 50] {
        let mut seen = 0;
        eventually("some photos are done", async || {
            seen = server.api.job(&id).await["done"].as_u64().unwrap();
            seen >= least
        })
        .await;
        assert!(seen < 100, "killed in the middle");
        server.kill();
        server = ServerProcess::with(data.path(), &settings).await;
    }
    let job = server.api.job_over(&id).await;
    assert_eq!((&job["state"], &job["done"], &job["failed"]), (&json!("done"), &json!(100), &json!({})));
    assert_eq!((&job["counts"]["recognised"], &job["counts"]["named"]), (&json!(100), &json!(200)));
    let results = server.api.results(&id).await;
    assert!(results.len() == 100 && results.iter().zip(0..).all(|(photo, number)| photo["item"] == number));
    assert_eq!(server.api.records("g", "?date=2026-03-03").await.len(), 2);
    let spool = data.path().join("spool");
    eventually("the spool is empty", async || spool.read_dir().unwrap().next().is_none()).await;
    // A stream that still waits keeps no stop waiting.
    let request = server.api.request(Method::GET, &format!("/api/v1/jobs/{id}/events"));
    assert_eq!(Answer::to(request).await.status, 200);
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
}
