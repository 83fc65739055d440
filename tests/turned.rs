//! Photos that lie on their side or upside down, without a word about it in the file.

use std::{fs, path::Path};

use image::{Rgb, RgbImage, imageops};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    TestServer, class_photo, form,
    images::{empty_room, jpeg, pixels},
    portrait,
};

/// A photo turned clockwise, and by how much it has to be turned further to stand upright.
fn turns(photo: &RgbImage) -> [(RgbImage, u64); 3] {
    [(imageops::rotate90(photo), 270), (imageops::rotate180(photo), 180), (imageops::rotate270(photo), 90)]
}

/// A server whose group `g` has obama and biden on its roster.
async fn class() -> TestServer {
    let server = TestServer::start().await;
    server.api.group("g").await;
    server.api.enrol("obama", &["g"], "obama").await;
    server.api.enrol("biden", &["g"], "biden").await;
    server
}

fn corners(face: &Value) -> [f64; 4] {
    ["x1", "y1", "x2", "y2"].map(|corner| face["box"][corner].as_f64().unwrap())
}

/// A box of a photo of `width` × `height` pixels, in the photo that is turned clockwise by `turned` to be that one.
fn lying([x1, y1, x2, y2]: [f64; 4], turned: u64, [width, height]: [f64; 2]) -> [f64; 4] {
    match turned {
        90 => [y1, width - x2, y2, width - x1],
        180 => [width - x2, height - y2, width - x1, height - y1],
        _ => [height - y2, x1, height - y1, x2],
    }
}

#[tokio::test]
async fn a_class_photo_on_its_side_or_upside_down_names_whom_the_upright_one_names() {
    let server = class().await;
    let photo = pixels(&class_photo(&[("obama2", 300), ("biden", 240), ("hopper", 45)]));
    let size = [photo.width(), photo.height()].map(f64::from);
    let asked = [("mark", "false"), ("pose", "true"), ("liveness", "passive")];
    let upright = server.api.recognize("g", &asked, &[&jpeg(&photo)]).await.expect(200);
    assert_eq!(upright["photos"][0]["turned"], Value::Null);
    let faces = upright["photos"][0]["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 3);
    for (turned, by) in turns(&photo) {
        let seen = server.api.recognize("g", &asked, &[&jpeg(&turned)]).await.expect(200);
        assert_eq!(seen["photos"][0]["turned"], by);
        assert_eq!(
            (&seen["photos"][0]["width"], &seen["photos"][0]["height"]),
            (&json!(turned.width()), &json!(turned.height()))
        );
        let found = seen["photos"][0]["faces"].as_array().unwrap();
        assert_eq!(found.len(), 3, "turned by {by}: {seen}");
        for face in faces {
            let expected = lying(corners(face), by, size);
            let apart = |other: &&Value| {
                corners(other).iter().zip(expected).map(|(one, other)| (one - other).abs()).sum::<f64>()
            };
            let same = found.iter().min_by(|one, other| apart(one).total_cmp(&apart(other))).unwrap();
            assert!(apart(&same) < 12.0, "turned by {by}: {same} is not at {expected:?}");
            for said in ["person", "reason"] {
                assert_eq!(same[said], face[said], "turned by {by}");
            }
            assert_eq!(same["liveness"]["verdict"], face["liveness"]["verdict"], "turned by {by}");
            let differ =
                |said: fn(&Value) -> &Value| (said(same).as_f64().unwrap() - said(face).as_f64().unwrap()).abs();
            assert!(differ(|face| &face["width_px"]) < 4.0, "turned by {by}: {same}");
            assert!(differ(|face| &face["similarity"]) < 0.1, "turned by {by}: {same}");
            assert!(differ(|face| &face["pose"]["roll"]) < 12.0, "the head's own roll: {same}");
        }
    }
}

#[tokio::test]
async fn a_job_tells_of_each_photo_how_it_was_turned() {
    let server = class().await;
    let upright = pixels(&portrait("obama2"));
    let photos: Vec<Vec<u8>> =
        [upright.clone()].iter().chain(turns(&upright).iter().map(|(photo, _)| photo)).map(jpeg).collect();
    let photos: Vec<&[u8]> = photos.iter().map(Vec::as_slice).collect();
    let form = form(&[("mark", "false")], &photos);
    let begun = server.api.post_form("/api/v1/groups/g/jobs/recognize", form).await.expect(202);
    let job = begun["id"].as_str().unwrap();
    server.api.job_over(job).await;
    let found: Vec<(Value, Value)> = server
        .api
        .results(job)
        .await
        .iter()
        .map(|photo| (photo["turned"].clone(), photo["faces"][0]["person"].clone()))
        .collect();
    let expected = [Value::Null, json!(270), json!(180), json!(90)].map(|turned| (turned, json!("obama")));
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_portrait_on_its_side_compares_and_enrols_and_is_kept_upright() {
    let server = TestServer::start().await;
    let upright = portrait("obama3");
    for ((turned, by), kept) in turns(&pixels(&upright)).into_iter().zip(["off", "crops", "originals"]) {
        let turned = jpeg(&turned);
        let compared = server.api.post_form("/api/v1/compare", form(&[], &[&upright, &turned])).await.expect(200);
        assert!(compared["similarity"].as_f64().unwrap() > 0.9, "turned by {by}: {compared}");
        assert_eq!((&compared["faces"][0]["turned"], &compared["faces"][1]["turned"]), (&Value::Null, &json!(by)));
        let rules = json!({ "photos": kept });
        server.operator().send(Method::PATCH, "/api/v1/tenants/default", &rules).await.expect(200);
        let fields = [("id", kept), ("name", kept)];
        let made = server.api.post_form("/api/v1/people", form(&fields, &[&turned])).await.expect(201);
        assert_eq!(made["accepted"][0]["turned"], by, "{made}");
        if kept == "off" {
            continue;
        }
        let photo = server.api.get(&format!("/api/v1/people/{kept}/photo")).await;
        let found = server.api.post_form("/api/v1/detect", form(&[], &[&photo.bytes])).await.expect(200);
        let (shown, faces) = (&found["photos"][0]["turned"], found["photos"][0]["faces"].as_array().unwrap());
        assert_eq!((shown, faces.len()), (&Value::Null, 1), "{kept}");
    }
}

#[tokio::test]
async fn a_mounted_cameras_photo_is_looked_at_as_it_hangs() {
    let server = class().await;
    let sideways = jpeg(&imageops::rotate90(&pixels(&portrait("obama2"))));
    let seen = server.api.recognize("g", &[("mark", "false")], &[&sideways]).await.expect(200);
    assert_eq!(seen["present"][0]["person"], "obama");
    let mounted = [("mark", "false"), ("source", "door")];
    let seen = server.api.recognize("g", &mounted, &[&sideways]).await.expect(200);
    assert_eq!((&seen["present"], &seen["photos"][0]["turned"]), (&json!([]), &Value::Null));
}

/// Pictures without anybody, each drawn from its number.
fn nobody(number: u32) -> RgbImage {
    let mut seed = number.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 24
    };
    let (width, height) = (200 + random() * 2, 200 + random() * 2);
    let mut picture = RgbImage::from_pixel(width, height, Rgb([random() as u8, random() as u8, random() as u8]));
    let grain = [1, 7, 40][number as usize % 3];
    for top in (0..height).step_by(grain) {
        for left in (0..width).step_by(grain) {
            let color = Rgb([random() as u8, random() as u8, random() as u8]);
            // Blocks of different sizes, so that squares, stripes and steps come about.
            let (across, down) = (1 + random() as usize % grain, 1 + random() as usize % grain);
            for (x, y) in (left..).take(across).flat_map(|x| (top..).take(down).map(move |y| (x, y))) {
                if x < width && y < height {
                    picture.put_pixel(x, y, color);
                }
            }
        }
    }
    picture
}

#[tokio::test]
async fn pictures_without_anybody_stay_without() {
    let server = TestServer::start().await;
    let mut pictures: Vec<Vec<u8>> = (0..15).map(|number| jpeg(&nobody(number))).collect();
    pictures.extend([empty_room(640, 480), empty_room(200, 900)]);
    let pictures: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
    let found = server.api.post_form("/api/v1/detect", form(&[], &pictures)).await.expect(200);
    for photo in found["photos"].as_array().unwrap() {
        assert_eq!((&photo["faces"], &photo["turned"]), (&json!([]), &Value::Null));
    }
}

#[tokio::test]
async fn crowds_on_their_side_show_the_same_faces() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/crowd");
    if !folder.exists() {
        return;
    }
    let server = TestServer::with(&[("detect.long_side_px", "1280")]).await;
    let faces = async |photo: &RgbImage| {
        let found = server.api.post_form("/api/v1/embeddings", form(&[], &[&jpeg(photo)])).await.expect(200);
        let faces = found["photos"][0]["faces"].as_array().unwrap().iter();
        let vectors: Vec<Vec<f64>> =
            faces.map(|face| serde_json::from_value(face["embedding"].clone()).unwrap()).collect();
        (found["photos"][0]["turned"].as_u64(), vectors)
    };
    for name in ["rows_52", "group_26", "selfie_25", "six"] {
        let photo = pixels(&fs::read(folder.join(format!("{name}.jpg"))).unwrap());
        let (turned, upright) = faces(&photo).await;
        assert_eq!(turned, None, "{name}");
        for (lying, by) in turns(&photo) {
            let (turned, found) = faces(&lying).await;
            assert_eq!((turned, found.len()), (Some(by), upright.len()), "{name}");
            let cosine =
                |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
            let mut nearest: Vec<f64> =
                found.iter().map(|one| upright.iter().map(|other| cosine(one, other)).fold(-1.0, f64::max)).collect();
            nearest.sort_by(f64::total_cmp);
            assert!(nearest[nearest.len() / 2] > 0.95, "{name} turned by {by}: {nearest:?}");
        }
    }
}
