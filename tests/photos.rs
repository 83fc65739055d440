//! Photos of people: kept only where the tenant says so, encrypted, and gone with whom they show.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{RgbImage, imageops};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use rollcall::{
    domain::{KeptPhoto, PhotoForm, TenantScope},
    service::operations::backup,
    store::{NewFaces, PersonPhotos, Store},
};
use serde_json::{Value, json};

use crate::support::{
    Api, ServerProcess, TestServer, eventually,
    files::{files_below, photo_files},
    form,
    images::{jpeg, scaled},
    portrait,
    server::read_key,
};

/// What a camera writes beside the pixels, and somebody behind them.
const PLACE: &[u8] = b"48.2082 N 16.3738 E";
const TRAILER: &[u8] = b"behind the end";

/// `photo` upside down, with EXIF that says so and where it was taken.
fn camera_file(photo: &RgbImage) -> Vec<u8> {
    let turned = jpeg(&imageops::rotate180(photo));
    let mut exif = b"Exif\0\0MM\x00\x2A\x00\x00\x00\x08\x00\x02".to_vec();
    exif.extend(b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x03\x00\x00");
    exif.extend(b"\x88\x25\x00\x04\x00\x00\x00\x01\x00\x00\x00\x26\x00\x00\x00\x00");
    exif.extend(b"\x00\x01\x00\x12\x00\x02\x00\x00\x00\x14\x00\x00\x00\x38\x00\x00\x00\x00");
    exif.extend(PLACE);
    exif.push(0);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&turned[..2], b"\xFF\xE1", &length, &exif, &turned[2..], TRAILER].concat()
}

fn holds(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

async fn keep(operator: &Api, rules: Value) -> Value {
    operator.send(Method::PATCH, "/api/v1/tenants/default", &rules).await.expect(200)
}

async fn photo_of(api: &Api, person: &str) -> Vec<u8> {
    let answer = api.get(&format!("/api/v1/people/{person}/photo")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "image/jpeg"), "{person}");
    answer.bytes.to_vec()
}

async fn has_no_photo(api: &Api, person: &str) -> bool {
    let answer = api.get(&format!("/api/v1/people/{person}/photo")).await;
    answer.status == 404 && answer.problem().1 == "photo_not_found"
}

fn face(enrolled: &Value, number: usize) -> &str {
    enrolled["faces"][number]["id"].as_str().unwrap()
}

/// Mean difference of two pictures' levels.
fn difference(one: &RgbImage, other: &RgbImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let levels = one.as_raw().iter().zip(other.as_raw());
    levels.map(|(one, other)| f64::from(one.abs_diff(*other))).sum::<f64>() / one.as_raw().len() as f64
}

#[tokio::test]
async fn what_is_kept_shows_the_face_and_says_nothing_and_lies_encrypted() {
    let server = TestServer::start().await;
    let (api, operator, data) = (&server.api, server.operator(), server.data());
    api.enrol("nobody", &[], "hopper").await;
    assert!(has_no_photo(api, "nobody").await && !data.join("photos").exists(), "nothing is kept unless asked for");
    let pixels = scaled("obama", 400);
    let file = camera_file(&pixels);
    assert!(holds(&file, PLACE) && holds(&file, b"Exif"));
    for (policy, person) in [("crops", "crop"), ("originals", "whole")] {
        let set = keep(&operator, json!({ "photos": policy })).await;
        assert_eq!((&set["photos"], &set["photo_retention_days"]), (&json!(policy), &json!(null)));
        let body = form(&[("id", person), ("name", "Ada Lovelace")], &[&file]);
        api.post_form("/api/v1/people", body).await.expect(201);
    }
    let (crop, whole) = (photo_of(api, "crop").await, photo_of(api, "whole").await);
    let shown = image::load_from_memory(&whole).unwrap().to_rgb8();
    assert!(difference(&shown, &pixels) < 4.0 && difference(&shown, &imageops::rotate180(&pixels)) > 20.0, "upright");
    let seen = image::load_from_memory(&crop).unwrap();
    assert!(seen.width() < 400 && seen.height() < pixels.height(), "{}×{}", seen.width(), seen.height());
    let found = api.post_form("/api/v1/detect", form(&[], &[&crop])).await.expect(200);
    assert_eq!(found["photos"][0]["faces"].as_array().unwrap().len(), 1, "the face is in it: {found}");
    assert_eq!(photo_files(&data).len(), 2);
    for path in files_below(&data) {
        let bytes = fs::read(&path).unwrap();
        for plain in [PLACE, TRAILER, b"Exif\0\0", &file[file.len() - 200..], &crop[..20], &whole[whole.len() - 40..]] {
            assert!(!holds(&bytes, plain), "{} holds {plain:?}", path.display());
        }
    }
    for path in photo_files(&data) {
        assert!(!fs::read(&path).unwrap().starts_with(b"\xFF\xD8"));
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    }
    for photo in [&crop, &whole] {
        assert!([PLACE, TRAILER, b"Exif", b"ICC_"].iter().all(|mark| !holds(photo, mark)));
    }

    let answer = api.get("/api/v1/people/crop/photo").await;
    assert!(answer.header("cache-control").contains("no-store"));
    assert_eq!(api.send(Method::HEAD, "/api/v1/people/crop/photo", &json!(null)).await.status, 200);
    let refused = [
        ("crop/photo?face=rubbish", 400, "invalid_id"),
        ("crop/photo?face=01890a5d-ac96-774b-bcce-b302099a8057", 404, "photo_not_found"),
        ("stranger/photo", 404, "person_not_found"),
    ];
    for (path, status, code) in refused {
        assert_eq!(api.get(&format!("/api/v1/people/{path}")).await.problem(), (status, code.to_owned()), "{path}");
    }
    let too_long = json!({ "photo_retention_days": 36_501 });
    let refused = operator.send(Method::PATCH, "/api/v1/tenants/default", &too_long).await;
    assert_eq!(refused.problem(), (400, "invalid_retention".to_owned()));
    assert_eq!(operator.get("/api/v1/check").await.expect(200)["problems"], json!({}));
    // On the disk, one is put in the place of the other.
    let [one, other] = photo_files(&data).try_into().unwrap();
    fs::copy(one, other).unwrap();
    let mut statuses = [api.get("/api/v1/people/crop/photo").await, api.get("/api/v1/people/whole/photo").await]
        .map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503], "a photo opens in its own place alone");
}

#[tokio::test]
async fn photos_go_with_their_samples_people_and_tenants() {
    let server = TestServer::start().await;
    let (api, operator, data) = (&server.api, server.operator(), server.data());
    keep(&operator, json!({ "photos": "crops" })).await;
    let two = form(&[("id", "p"), ("name", "p")], &[&portrait("obama"), &portrait("obama2")]);
    let p = api.post_form("/api/v1/people", two).await.expect(201);
    let (first, second) = (face(&p, 0), face(&p, 1));
    let of = async |person: &str, face: &str| {
        let answer = api.get(&format!("/api/v1/people/{person}/photo?face={face}")).await;
        (answer.status == 200).then(|| answer.bytes.to_vec())
    };
    let (one, two) = (of("p", first).await.unwrap(), of("p", second).await.unwrap());
    assert_ne!(one, two);
    assert_eq!(photo_of(api, "p").await, two, "the newest");
    let export = api.get("/api/v1/people/p/export").await.expect(200);
    let listed: Vec<_> = export["photos"].as_array().unwrap().iter().map(|photo| photo["face"].clone()).collect();
    assert_eq!((listed, &export["photos"][0]["form"]), (vec![json!(first), json!(second)], &json!("crop")));

    // To another person, under whose key it is encrypted anew.
    api.enrol("q", &[], "biden").await;
    let before = photo_files(&data);
    assert_eq!(before.len(), 3);
    api.post(&format!("/api/v1/people/p/faces/{first}/move"), &json!({ "to": "q" })).await.expect(200);
    assert_eq!((of("p", first).await, of("q", first).await), (None, Some(one.clone())));
    let after = photo_files(&data);
    assert_eq!((after.len(), before.iter().filter(|file| after.contains(file)).count()), (3, 2));
    api.post("/api/v1/people/p/merge", &json!({ "from": "q" })).await.expect(200);
    assert_eq!((of("p", first).await.as_ref(), of("p", second).await.as_ref()), (Some(&one), Some(&two)));
    assert_eq!(photo_files(&data).len(), 3);

    assert_eq!(api.delete(&format!("/api/v1/people/p/faces/{first}")).await.status, 204);
    assert!(of("p", first).await.is_none());
    assert_eq!(photo_files(&data).len(), 2);
    api.put_form("/api/v1/people/p/faces", form(&[], &[&portrait("obama3")])).await.expect(200);
    assert_eq!(photo_files(&data).len(), 1);
    api.post_form("/api/v1/people/p/faces", form(&[], &[&portrait("obama2")])).await.expect(201);
    assert_eq!(photo_files(&data).len(), 2);
    assert_eq!(of("p", second).await, None, "what was replaced is gone");
    // A negative shows somebody else: nothing of it is kept.
    api.post_form("/api/v1/people/p/negatives", form(&[], &[&portrait("biden")])).await.expect(201);
    assert_eq!(photo_files(&data).len(), 2);
    assert_eq!(operator.get("/api/v1/check").await.expect(200)["problems"], json!({}));
    assert_eq!(api.delete("/api/v1/people/p").await.status, 204);
    assert_eq!(photo_files(&data), Vec::<PathBuf>::new());
    let records = &operator.get("/api/v1/check").await.expect(200)["records"];
    assert_eq!((&records["kept_photo"], &records["photo_key"]), (&json!(null), &json!(null)));

    let other = server.tenant("a/b").await;
    operator.send(Method::PATCH, "/api/v1/tenants/a%2Fb", &json!({ "photos": "crops" })).await.expect(200);
    other.enrol("p", &[], "obama").await;
    photo_of(&other, "p").await;
    assert_eq!(files_below(&data.join("photos/a%2Fb")).len(), 2, "a key and a photo");
    assert_eq!(operator.delete("/api/v1/tenants/a%2Fb").await.status, 204);
    assert!(!data.join("photos/a%2Fb").exists());
}

/// Makes a person's photo look as if it were kept since so many days.
async fn age(store: &Store, person: &str, days: i64) {
    let scope = TenantScope::granted("default".parse().unwrap());
    let person = person.parse().unwrap();
    let known = store.photos(&scope, &person).await.unwrap();
    let kept_at = Timestamp::now() - SignedDuration::from_hours(24 * days);
    let photos: Vec<KeptPhoto> = known.photos.into_iter().map(|photo| KeptPhoto { kept_at, ..photo }).collect();
    assert!(photos.iter().all(|photo| photo.form == PhotoForm::Crop) && !photos.is_empty());
    let aged = NewFaces { photos: PersonPhotos { key: None, photos }, ..Vec::new().into() };
    store.add_faces(&scope, &person, aged).await.unwrap();
}

#[tokio::test]
async fn photos_are_kept_no_longer_than_the_tenant_wants() {
    let server = TestServer::start().await;
    keep(&server.operator(), json!({ "photos": "crops", "photo_retention_days": 30 })).await;
    for (person, shot) in [("old", "obama"), ("young", "biden")] {
        server.api.enrol(person, &[], shot).await;
    }
    let server = server
        .restart_after(async |store| {
            age(&store, "old", 31).await;
            age(&store, "young", 29).await;
        })
        .await;
    let (api, operator, data) = (&server.api, server.operator(), server.data());
    eventually("the old one is removed", async || has_no_photo(api, "old").await).await;
    eventually("and its file", async || photo_files(&data).len() == 1).await;
    assert_eq!(server.metrics().await.count("kept_photos_removed_total", &["reason=\"over\""]), 1);
    photo_of(api, "young").await;
    let samples = api.get("/api/v1/people/old").await.expect(200);
    assert_eq!(samples["faces"].as_array().unwrap().len(), 1, "the sample stays");
    keep(&operator, json!({ "photo_retention_days": null })).await;
    api.enrol("new", &[], "hopper").await;
    // Who wants none any more has none any more, at once.
    keep(&operator, json!({ "photos": "off" })).await;
    for person in ["young", "new"] {
        eventually("those that were kept are removed", async || has_no_photo(api, person).await).await;
    }
    eventually("and their files", async || photo_files(&data).is_empty()).await;
    api.enrol("unseen", &[], "obama2").await;
    assert!(has_no_photo(api, "unseen").await && photo_files(&data).is_empty());
}

#[tokio::test]
async fn a_photo_that_cannot_be_written_makes_no_sample() {
    let server = TestServer::start().await;
    let (api, operator, data) = (&server.api, server.operator(), server.data());
    api.enrol("known", &[], "biden").await;
    keep(&operator, json!({ "photos": "originals" })).await;
    // As a full disk does, it fails: a file is where the folder should be.
    fs::create_dir(data.join("photos")).unwrap();
    fs::write(data.join("photos/default"), b"in the way").unwrap();
    let enrol = async || {
        let body = form(&[("id", "p"), ("name", "p")], &[&portrait("obama"), &portrait("obama2")]);
        api.post_form("/api/v1/people", body).await
    };
    assert_eq!(enrol().await.problem(), (503, "storage".to_owned()));
    let more = async || api.post_form("/api/v1/people/known/faces", form(&[], &[&portrait("biden")])).await;
    assert_eq!(more().await.problem(), (503, "storage".to_owned()));
    assert_eq!(api.get("/api/v1/people/p").await.status, 404);
    let known = api.get("/api/v1/people/known").await.expect(200);
    assert_eq!(known["faces"].as_array().unwrap().len(), 1, "{known}");
    fs::remove_file(data.join("photos/default")).unwrap();
    enrol().await.expect(201);
    more().await.expect(201);
    assert_eq!(photo_files(&data).len(), 3);
    // Written, and then refused by the store, which has room for one of two.
    let limits = json!({ "limits": { "samples": 5 } });
    operator.send(Method::PATCH, "/api/v1/tenants/default", &limits).await.expect(200);
    let two = form(&[("id", "q"), ("name", "q")], &[&portrait("obama"), &portrait("obama2")]);
    assert_eq!(api.post_form("/api/v1/people", two).await.problem(), (409, "limit_reached".to_owned()));
    assert_eq!(photo_files(&data).len(), 3);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else if path.is_file() {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn what_a_crash_leaves_between_file_and_record_is_removed_at_the_next_start() {
    let server = TestServer::start().await;
    let (api, data) = (server.api.clone(), server.data());
    keep(&server.operator(), json!({ "photos": "crops" })).await;
    api.enrol("known", &[], "biden").await;
    let enrol = async |id: &str| {
        api.post_form("/api/v1/people", form(&[("id", id), ("name", id)], &[&portrait("obama")])).await.status
    };
    server.faults.panic_times("photos.written", 1);
    assert_eq!(enrol("lost").await, 500);
    assert_eq!(photo_files(&data).len(), 1, "what is cut short takes its file along");
    // The disk as kill -9 would leave it, between file and record.
    let gate = server.faults.block("photos.written");
    let crash = tempfile::tempdir().unwrap();
    let (status, ()) = tokio::join!(enrol("p"), async {
        eventually("the file is written", async || server.faults.waiting_at("photos.written") == 1).await;
        assert_eq!(photo_files(&data).len(), 2);
        copy_folder(&data, crash.path());
        drop(gate);
    });
    assert_eq!((status, photo_files(&data).len()), (201, 2));
    assert_eq!(photo_files(crash.path()).len(), 2);
    let after = ServerProcess::start(crash.path()).await;
    eventually("the file of nobody is removed", async || photo_files(crash.path()).len() == 1).await;
    assert_eq!(after.api.get("/api/v1/people/p").await.status, 404);
    photo_of(&after.api, "known").await;
}

#[tokio::test]
async fn a_backup_is_without_photos_and_whole_with_their_folder() {
    let server = TestServer::start().await;
    keep(&server.operator(), json!({ "photos": "crops" })).await;
    server.api.enrol("p", &[], "obama").await;
    let (photo, copy) = (photo_of(&server.api, "p").await, server.operator().get("/api/v1/backup").await);
    assert!(!holds(&copy.bytes, &photo[..20]));
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("backup");
    fs::write(&file, &copy.bytes).unwrap();
    let (bare, whole) = (place.path().join("bare"), place.path().join("whole"));
    copy_folder(&server.data().join("photos"), &whole.join("photos"));
    for data in [&bare, &whole] {
        backup::restore(&file, data, Timestamp::now()).await.unwrap();
    }
    let restored = ServerProcess::start(&whole).await;
    assert_eq!(photo_of(&restored.api, "p").await, photo);
    let problems = async |server: &ServerProcess, data: &Path| {
        let operator = server.api.with_key(&read_key(data, "operator.key"));
        operator.get("/api/v1/check").await.expect(200)["problems"].clone()
    };
    assert_eq!(problems(&restored, &whole).await, json!({}));
    let restored = ServerProcess::start(&bare).await;
    assert!(has_no_photo(&restored.api, "p").await);
    let missing = problems(&restored, &bare).await;
    assert_eq!(missing["no_photo_file"]["count"], 1, "{missing}");
    // Further photos of the same person can be kept and read.
    let more = form(&[], &[&portrait("obama2")]);
    restored.api.post_form("/api/v1/people/p/faces", more).await.expect(201);
    photo_of(&restored.api, "p").await;
}

#[tokio::test]
async fn a_lost_key_is_told_and_never_replaced_while_there_are_photos() {
    let server = TestServer::start().await;
    keep(&server.operator(), json!({ "photos": "crops" })).await;
    for name in ["obama", "biden"] {
        server.api.enrol(name, &[], name).await;
    }
    let photo = photo_of(&server.api, "obama").await;
    let problems = async || server.operator().get("/api/v1/check").await.expect(200)["problems"].clone();
    let files = photo_files(&server.data());
    let whole = fs::read(&files[0]).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&files[0], flipped).unwrap();
    assert_eq!(problems().await["damaged_photo"]["count"], 1);
    fs::write(&files[0], whole).unwrap();
    assert_eq!(problems().await, json!({}));

    let key = server.data().join("photos/default/key");
    let kept = fs::read(&key).unwrap();
    for lost in [None, Some(&b"short"[..])] {
        match lost {
            Some(bytes) => fs::write(&key, bytes).unwrap(),
            None => fs::remove_file(&key).unwrap(),
        }
        let problems = problems().await;
        let told: u64 = problems.as_object().unwrap().values().map(|problem| problem["count"].as_u64().unwrap()).sum();
        assert_eq!(told, 2, "{problems}");
        for (path, fields) in
            [("/api/v1/people/obama/faces", &[][..]), ("/api/v1/people", &[("id", "new"), ("name", "New")][..])]
        {
            let refused = server.api.post_form(path, form(fields, &[&portrait("obama3")])).await;
            assert_eq!(refused.problem(), (503, "photo_key_lost".to_owned()), "{path}");
        }
        assert_eq!(server.api.get("/api/v1/people/new").await.status, 404, "no sample without its photo");
    }
    fs::write(&key, kept).unwrap();
    assert_eq!(problems().await, json!({}));
    assert_eq!(photo_of(&server.api, "obama").await, photo);
    server.api.post_form("/api/v1/people/obama/faces", form(&[], &[&portrait("obama3")])).await.expect(201);
}
