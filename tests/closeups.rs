//! Portraits whose face fills the frame: larger than the faces that the detector is made for.

use std::{fs, path::PathBuf};

use image::{RgbImage, imageops};
use serde_json::{Value, json};

use crate::support::{
    TestServer, form,
    images::{jpeg, pixels, scaled},
    portrait,
};

/// Shares of the face's box that are left around it.
const MARGINS: [f64; 3] = [0.1, 0.2, 0.3];

/// A server that looks at photos at the size that is the default.
async fn server() -> TestServer {
    TestServer::with(&[("detect.long_side_px", "1280")]).await
}

async fn post(server: &TestServer, path: &str, fields: &[(&str, &str)], photos: &[Vec<u8>]) -> Value {
    let photos: Vec<&[u8]> = photos.iter().map(Vec::as_slice).collect();
    server.api.post_form(path, form(fields, &photos)).await.expect(if path == "/api/v1/people" { 201 } else { 200 })
}

/// The corners of the one face of a photo.
async fn only_face(server: &TestServer, photo: &RgbImage) -> [f64; 4] {
    let found = post(server, "/api/v1/detect", &[], &[jpeg(photo)]).await;
    let faces = found["photos"][0]["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 1, "{found}");
    ["x1", "y1", "x2", "y2"].map(|corner| faces[0]["box"][corner].as_f64().unwrap())
}

/// The photo cut close around its one face.
fn cut([x1, y1, x2, y2]: [f64; 4], photo: &RgbImage, margin: f64) -> RgbImage {
    let (dx, dy) = ((x2 - x1) * margin, (y2 - y1) * margin);
    let [left, top] = [x1 - dx, y1 - dy].map(|from| from.max(0.0) as u32);
    let right = ((x2 + dx) as u32).min(photo.width());
    let bottom = ((y2 + dy) as u32).min(photo.height());
    imageops::crop_imm(photo, left, top, right - left, bottom - top).to_image()
}

/// Enrols the photos, which must all pass, and returns the similarity of each to the first.
async fn enrolled(server: &TestServer, id: &str, photos: &[Vec<u8>]) -> Vec<f64> {
    let made = post(server, "/api/v1/people", &[("id", id), ("name", id), ("faces", "one")], photos).await;
    assert_eq!((made["accepted"].as_array().unwrap().len(), &made["rejected"]), (photos.len(), &json!([])), "{made}");
    let found = post(server, "/api/v1/embeddings", &[], photos).await;
    let vectors: Vec<Vec<f64>> = found["photos"]
        .as_array()
        .unwrap()
        .iter()
        .map(|photo| serde_json::from_value(photo["faces"][0]["embedding"].clone()).unwrap())
        .collect();
    vectors.iter().map(|vector| vector.iter().zip(&vectors[0]).map(|(one, other)| one * other).sum()).collect()
}

#[tokio::test]
async fn a_portrait_that_fills_the_frame_is_one_face_enrols_and_is_recognised() {
    let server = server().await;
    server.api.group("g").await;
    for shot in ["hopper", "obama", "biden"] {
        let whole = pixels(&portrait(shot));
        let face = only_face(&server, &whole).await;
        let mut photos = vec![portrait(shot)];
        for margin in MARGINS {
            let close = cut(face, &whole, margin);
            let (width, height) = (close.width() * 1280 / close.height(), 1280);
            photos.push(jpeg(&imageops::resize(&close, width, height, imageops::FilterType::Triangle)));
        }
        let similar = enrolled(&server, shot, &photos).await;
        assert!(similar.iter().all(|&similar| similar >= 0.9), "{shot}: {similar:?}");
        let path = format!("/api/v1/groups/g/people/{shot}");
        server.api.send(reqwest::Method::PUT, &path, &json!({})).await.expect(204);
        let seen = server.api.recognize("g", &[("mark", "false")], &[&photos[1]]).await.expect(200);
        assert_eq!((&seen["present"][0]["person"], &seen["unknown_faces"]), (&json!(shot), &json!(0)), "{seen}");
    }
}

#[tokio::test]
async fn an_ordinary_face_is_as_it_was_seen_at_full_size() {
    let server = server().await;
    let photo = scaled("obama", 600);
    let [x1, _, x2, _] = only_face(&server, &photo).await;
    assert!((200.0..212.0).contains(&(x2 - x1)), "the reference's box is 206 pixels wide: {}", x2 - x1);
}

/// Photos that are not in this repository.
fn shared(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path)
}

#[tokio::test]
async fn every_portrait_cut_close_enrols_and_stays_itself() {
    let folder = shared("data/verification");
    if !folder.exists() {
        return;
    }
    let server = server().await;
    let mut similar = Vec::new();
    for number in 1..=25 {
        let whole = pixels(&fs::read(folder.join(format!("img{number}.jpg"))).unwrap());
        let face = only_face(&server, &whole).await;
        let mut photos = vec![jpeg(&whole)];
        photos.extend(MARGINS.map(|margin| jpeg(&cut(face, &whole, margin))));
        similar.extend(enrolled(&server, &format!("p{number}"), &photos).await.into_iter().skip(1));
    }
    similar.sort_by(f64::total_cmp);
    assert!(similar[similar.len() / 2] >= 0.9, "{similar:?}");
    for name in ["closeup_two_boxes", "closeup_low_score"] {
        if let Ok(photo) = fs::read(shared(&format!("cases/{name}.jpg"))) {
            enrolled(&server, name, &[photo]).await;
        }
    }
}

#[tokio::test]
async fn in_crowds_nobody_is_lost_and_nobody_invented() {
    for (name, count) in [("rows_52", 52), ("group_26", 26), ("selfie_25", 27), ("six", 6)] {
        let Ok(photo) = fs::read(shared(&format!("data/crowd/{name}.jpg"))) else { continue };
        let found = post(&server().await, "/api/v1/detect", &[], &[photo]).await;
        assert_eq!(found["photos"][0]["faces"].as_array().unwrap().len(), count, "{name}");
        assert_eq!(found["photos"][0]["turned"], Value::Null, "{name}");
    }
}
