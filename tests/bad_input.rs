//! Files that are not what they should be: a clear code each, bounded memory, and no harm to the photo beside them.

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{Delay, DynamicImage, Frame, ImageFormat, RgbImage, codecs::gif::GifEncoder};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, TestServer, form,
    images::{encoded, jpeg, scaled},
    portrait,
};

/// A PNG whose header claims a size and that holds nothing else.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let mut png = encoded(&RgbImage::new(1, 1).into(), ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

/// The checksum of PNG chunks (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn face() -> DynamicImage {
    scaled("obama", 240).into()
}

/// Sends `bad` between two good photos: what is said of it, after the good ones were checked.
async fn beside_good_ones(server: &TestServer, bad: &[u8]) -> Value {
    let good = portrait("obama");
    let body = form(&[], &[&good, bad, &good]);
    let seen = server.api.post_form("/api/v1/detect", body).await.expect(200);
    for good in [0, 2] {
        assert_eq!(seen["photos"][good]["error"], Value::Null);
        assert_eq!(seen["photos"][good]["faces"].as_array().unwrap().len(), 1);
    }
    seen["photos"][1].clone()
}

#[tokio::test]
async fn files_that_cannot_be_read_are_refused_by_a_clear_code() {
    let settings =
        [("limits.photo_side_px", "20000"), ("limits.photo_pixels", "2000000"), ("limits.image_bytes", "2000000")];
    let server = TestServer::with(&settings).await;
    let whole = portrait("obama");
    let png = encoded(&face(), ImageFormat::Png);
    let cases: [(&str, Vec<u8>, &[&str]); 12] = [
        ("an empty file", Vec::new(), &["empty"]),
        ("text", b"this is no photo".to_vec(), &["not_an_image"]),
        ("a page", b"<!doctype html><img src=x>".to_vec(), &["not_an_image"]),
        ("a PDF", b"%PDF-1.7 ...".to_vec(), &["not_an_image", "unsupported_format"]),
        ("zeros", vec![0; 5000], &["not_an_image"]),
        ("only the first bytes of a JPEG", whole[..20].to_vec(), &["corrupt_image"]),
        ("half a PNG", png[..png.len() / 2].to_vec(), &["corrupt_image"]),
        ("a header without pixels", png_claiming(300, 300), &["corrupt_image"]),
        ("a header of 60 000×60 000", png_claiming(60_000, 60_000), &["side_too_long"]),
        ("a header of a long strip", png_claiming(20_001, 10), &["side_too_long"]),
        ("a header of too many pixels", png_claiming(2_000, 1_001), &["too_many_pixels"]),
        ("a format that nobody sends", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf".to_vec(), &["unsupported_format"]),
    ];
    for (what, bytes, codes) in cases {
        let photo = beside_good_ones(&server, &bytes).await;
        let code = photo["error"]["code"].as_str().unwrap_or_default();
        assert!(codes.contains(&code), "{what}: {photo}");
        assert!(!photo["error"]["message"].as_str().unwrap().is_empty());
        assert_eq!((&photo["faces"], &photo["width"]), (&json!([]), &json!(0)), "{what}");
        let refused = server.api.post_form("/api/v1/people", form(&[("name", "x")], &[&bytes])).await;
        assert_eq!(refused.json()["error"]["details"]["rejected"][0]["reason"], code, "{what}");
    }
    server.is_idle().await;
    assert!(server.budget.peak() < 100_000_000, "no memory for what a header only claims: {}", server.budget.peak());
}

#[tokio::test]
async fn every_flipped_byte_is_an_answer_and_no_harm() {
    let server = TestServer::start().await;
    let small = jpeg(&scaled("obama", 120));
    // Header bytes decide most: each of the first, then some of the rest.
    let places = (0..200).chain((200..small.len()).step_by(97));
    let damaged: Vec<Vec<u8>> = places
        .map(|place| {
            let mut bytes = small.clone();
            bytes[place] ^= 0xFF;
            bytes
        })
        .collect();
    for images in damaged.chunks(20) {
        let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
        let answer = server.api.post_form("/api/v1/detect", form(&[], &images)).await;
        assert!([200, 400, 413, 415, 422].contains(&answer.status), "{}", answer.text());
        assert!(!answer.text().contains("\"internal\""), "{}", answer.text());
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("stage_panics_total", &[]), 0);
    server.is_idle().await;
}

#[tokio::test]
async fn every_kind_of_pixel_gives_the_same_face() {
    let server = TestServer::start().await;
    let expected = beside_good_ones(&server, &encoded(&face(), ImageFormat::Png)).await["faces"][0].clone();
    let mut see_through = face().to_rgba8();
    for pixel in see_through.pixels_mut().take(240 * 4) {
        pixel.0[3] = 0;
    }
    let kinds = [
        ("16 bits", encoded(&face().to_rgb16().into(), ImageFormat::Png)),
        ("grey", encoded(&face().to_luma8().into(), ImageFormat::Png)),
        ("grey 16 bits", encoded(&face().to_luma16().into(), ImageFormat::Png)),
        ("alpha", encoded(&see_through.into(), ImageFormat::Png)),
        ("BMP", encoded(&face(), ImageFormat::Bmp)),
        ("TIFF", encoded(&face(), ImageFormat::Tiff)),
        ("WebP", encoded(&face(), ImageFormat::WebP)),
        ("grey JPEG", encoded(&face().to_luma8().into(), ImageFormat::Jpeg)),
    ];
    for (kind, bytes) in kinds {
        let photo = beside_good_ones(&server, &bytes).await;
        let found = photo["faces"].as_array().unwrap();
        assert_eq!(found.len(), 1, "{kind}: {photo}");
        for corner in ["x1", "y1", "x2", "y2"] {
            let (here, there) = (found[0]["box"][corner].as_f64().unwrap(), expected["box"][corner].as_f64().unwrap());
            assert!((here - there).abs() < 6.0, "{kind}: {here} {there}");
        }
    }
}

#[tokio::test]
async fn an_animation_is_its_first_picture() {
    let server = TestServer::start().await;
    let mut animation = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut animation);
        let frame = |image: DynamicImage| Frame::from_parts(image.to_rgba8(), 0, 0, Delay::from_numer_denom_ms(100, 1));
        encoder.encode_frame(frame(face())).unwrap();
        for _ in 0..5 {
            encoder.encode_frame(frame(RgbImage::new(240, face().height()).into())).unwrap();
        }
    }
    let photo = beside_good_ones(&server, &animation).await;
    assert_eq!(photo["faces"].as_array().unwrap().len(), 1, "{photo}");
}

#[tokio::test]
async fn the_bytes_and_not_the_name_tell_the_format() {
    let server = TestServer::start().await;
    let part = |bytes: Vec<u8>, name: &'static str, mime: &str| {
        reqwest::multipart::Part::bytes(bytes).file_name(name).mime_str(mime).unwrap()
    };
    let body = reqwest::multipart::Form::new()
        .part("images", part(encoded(&face(), ImageFormat::Png), "photo.jpg", "image/jpeg"))
        .part("images", part(portrait("obama"), "../../etc/passwd", "text/html"))
        .part("images", part(b"hello".to_vec(), "photo.jpg", "image/jpeg"));
    let seen = server.api.post_form("/api/v1/detect", body).await.expect(200);
    for good in [0, 1] {
        assert_eq!(seen["photos"][good]["faces"].as_array().unwrap().len(), 1);
    }
    assert_eq!(seen["photos"][2]["error"]["code"], "not_an_image");
}

#[tokio::test]
async fn nothing_is_fetched_on_a_clients_word() {
    let server = TestServer::start().await;
    for word in ["file:///etc/passwd", "http://127.0.0.1:1/x.jpg", "/etc/passwd"] {
        let answer = server.api.post("/api/v1/detect", &json!({ "images": [word] })).await;
        assert!([400, 415].contains(&answer.status), "{word}: {}", answer.text());
        assert!(!answer.text().contains("root:"), "{}", answer.text());
    }
}

#[tokio::test]
async fn an_image_over_its_limit_is_refused_in_json_too() {
    let server = TestServer::with(&[("limits.image_bytes", "100000")]).await;
    let detect = async |bytes: usize, head: &str| {
        let image = format!("{head}{}", BASE64_STANDARD.encode(vec![0; bytes]));
        server.api.post("/api/v1/detect", &json!({ "images": [image] })).await
    };
    for head in ["", "data:image/jpeg;base64,"] {
        // Each length leaves another padding.
        for bytes in [99_998, 99_999, 100_000] {
            assert_eq!(detect(bytes, head).await.problem(), (400, "not_an_image".to_owned()), "{bytes}");
        }
        for bytes in [100_001, 100_002, 100_003] {
            assert_eq!(detect(bytes, head).await.problem(), (413, "image_too_large".to_owned()), "{bytes}");
        }
    }
    let answer = server.api.post_form("/api/v1/detect", form(&[], &[&vec![0; 100_001]])).await;
    assert_eq!(answer.problem(), (413, "image_too_large".to_owned()));
    server.is_idle().await;
}

#[tokio::test]
async fn json_around_the_images_is_bounded() {
    let server = TestServer::start().await;
    let image = BASE64_STANDARD.encode(portrait("obama"));
    let keys = |count: usize| (0..count).map(|n| format!("\"k{n}\":0")).collect::<Vec<_>>().join(",");
    let list = |count: usize| vec!["\"\""; count].join(",");
    let cases = [
        ("a long value", format!("{{\"x\":[{}0]}}", "1,".repeat(1_000_000)), 413, "field_too_large"),
        ("a deep value", format!("{{\"x\":{}", "[".repeat(1_000)), 400, "invalid_json"),
        ("a long key", format!("{{\"{}\":1}}", "k".repeat(70_000)), 413, "field_too_large"),
        ("many keys", format!("{{{}}}", keys(33)), 413, "field_too_large"),
        ("an unknown key", format!("{{\"images\":[\"{image}\"],\"x\":1}}"), 400, "invalid_json"),
        ("a key twice", "{\"x\":1,\"x\":1}".to_owned(), 400, "invalid_json"),
        ("images twice", "{\"images\":[],\"\\u0069mages\":[]}".to_owned(), 400, "invalid_json"),
        ("many images", format!("{{\"images\":[{}]}}", list(21)), 400, "too_many_images"),
        ("images without end", format!("{{\"images\":[{}", list(21)), 400, "invalid_json"),
        ("a number for an image", "{\"images\":[7]}".to_owned(), 400, "invalid_json"),
        ("a text for the images", "{\"images\":\"\"}".to_owned(), 400, "invalid_json"),
        ("a list", "[]".to_owned(), 400, "invalid_json"),
        ("more behind the end", "{} {}".to_owned(), 400, "invalid_json"),
    ];
    let detect = async |body: String| {
        let request = server.api.request(Method::POST, "/api/v1/detect").header("content-type", "application/json");
        Answer::to(request.body(body)).await
    };
    for (what, body, status, code) in cases {
        assert_eq!(detect(body).await.problem(), (status, code.to_owned()), "{what}");
    }
    let escaped = image.replace('/', "\\/");
    assert_ne!(escaped, image);
    let seen = detect(format!("{{\"images\":[\"{escaped}\",\"{image}\"]}}")).await.expect(200);
    assert_eq!(seen["photos"][0]["faces"], seen["photos"][1]["faces"]);
    assert_eq!(seen["photos"][0]["faces"].as_array().unwrap().len(), 1);
    server.is_idle().await;
}

/// Whatever stands in a wrong place is told, and never repeated at length.
#[tokio::test]
async fn no_error_is_as_long_as_what_was_sent() {
    let server = TestServer::start().await;
    let (long, some) = ("A".repeat(1_000_000), "A".repeat(60_000));
    let bodies = [
        ("detect", format!("\"{long}\"")),
        ("detect", format!("{{\"images\":\"{long}\"}}")),
        ("detect", format!("{{\"images\":[\"{long}!\"]}}")),
        ("detect", format!("{{\"images\":[],\"{some}\":1}}")),
        ("identify", format!("{{\"images\":[],\"threshold\":\"{some}\"}}")),
        ("groups", format!("\"{some}\"")),
        ("groups", format!("{{\"name\":\"x\",\"{some}\":1}}")),
        ("groups", format!("{{\"id\":\"{some}\",\"name\":\"x\"}}")),
        ("auth/login", format!("{{\"user\":\"{}\",\"password\":7}}", &some[..4000])),
    ];
    let assert_short = |answer: &Answer, what: &str| {
        let text = answer.text();
        assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
        assert!(text.len() < 3000, "{what}: {} bytes: {text:.200}", text.len());
    };
    for (number, (path, body)) in bodies.into_iter().enumerate() {
        let request = server.api.request(Method::POST, &format!("/api/v1/{path}"));
        let answer = Answer::to(request.header("content-type", "application/json").body(body)).await;
        assert_short(&answer, &format!("body {number} to {path}"));
    }
    let form = form(&[("threshold", &some[..16_000])], &[&portrait("obama")]);
    assert_short(&server.api.post_form("/api/v1/identify", form).await, "a form");
    assert_short(&server.api.get(&format!("/api/v1/people?limit={}", &some[..8000])).await, "a query");
    assert_short(&server.api.get(&format!("/api/v1/people/{}", &some[..8000])).await, "a path");
}
