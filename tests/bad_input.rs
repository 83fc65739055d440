//! Files that are not what they should be: a clear code each, bounded memory, and no harm to the photo beside them.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{Delay, DynamicImage, Frame, ImageFormat, RgbImage, codecs::gif::GifEncoder};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, TestServer, form,
    images::{encoded, jpeg, scaled},
    portrait,
    rosters::zipped,
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

/// Whatever stands in a wrong place is told, and never repeated at length: of the characters that make up all that is
/// sent, an error has no more than a hundred.
#[tokio::test]
async fn no_error_repeats_more_than_a_hundred_characters_of_what_was_sent() {
    const SENT: &str = "§";
    let server = TestServer::start().await;
    let (long, some) = (SENT.repeat(500_000), SENT.repeat(30_000));
    let bodies = [
        ("detect", format!("\"{long}\"")),
        ("detect", format!("{{\"images\":\"{long}\"}}")),
        ("detect", format!("{{\"image\":\"{long}\"}}")),
        ("detect", format!("{{\"file\": [ \"{long}\"]}}")),
        ("detect", format!("{{\"images\":[\"{long}!\"]}}")),
        ("detect", format!("{{\"images\":[],\"{some}\":1}}")),
        ("identify", format!("{{\"images\":[],\"threshold\":\"{}\"}}", &some[..16_000])),
        ("groups", format!("\"{some}\"")),
        ("groups", format!("{{\"name\":\"x\",\"{some}\":1}}")),
        ("groups", format!("{{\"id\":\"{some}\",\"name\":\"x\"}}")),
        ("groups", format!("{{\"name\":\"x\",\"time_zone\":\"{some}\"}}")),
        ("groups", format!("{{\"name\":\"x\",\"rules\":\"{some}\"}}")),
        ("groups", format!("{{\"name\":\"x\",\"rules\":{{\"late_after_minutes\":\"{some}\"}}}}")),
        ("auth/login", format!("{{\"user\":\"{}\",\"password\":7}}", &some[..4000])),
        ("auth/login", format!("{{\"user\":7,\"password\":\"{}\"}}", &some[..4000])),
    ];
    let assert_brief = |answer: &Answer, what: &str| {
        let text = answer.text();
        assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
        assert!(text.matches(SENT).count() <= 100 && text.len() < 1500, "{what}: {} bytes: {text:.900}", text.len());
    };
    for (number, (path, body)) in bodies.into_iter().enumerate() {
        let request = server.api.request(Method::POST, &format!("/api/v1/{path}"));
        let answer = Answer::to(request.header("content-type", "application/json").body(body)).await;
        assert_brief(&answer, &format!("body {number} to {path}"));
    }
    for field in ["threshold", &"x".repeat(8000)] {
        let form = form(&[(field, &some[..16_000])], &[&portrait("obama")]);
        assert_brief(&server.api.post_form("/api/v1/identify", form).await, "a form");
    }
    for query in ["limit", "after", "consent", "group", "unknown"] {
        let answer = server.api.get(&format!("/api/v1/people?{query}={}", &some[..2000])).await;
        assert_brief(&answer, query);
    }
    assert_brief(&server.api.get(&format!("/api/v1/people/{}", &some[..2000])).await, "a path");
}

#[tokio::test]
async fn a_photo_under_another_name_is_refused_by_the_name_of_the_field() {
    let server = TestServer::start().await;
    let photo = portrait("obama");
    let part = |bytes: &[u8], name: &str| reqwest::multipart::Part::bytes(bytes.to_vec()).file_name(name.to_owned());
    for name in ["file", "image", "images[]", "photo", "Images"] {
        // Also one that is short enough to be a text.
        for bytes in [&photo[..], &photo[..1000], b"text"] {
            for path in ["people", "detect", "identify", "people/import"] {
                let form = reqwest::multipart::Form::new().part(name, part(bytes, "photo.jpg"));
                let answer = server.api.post_form(&format!("/api/v1/{path}"), form).await;
                assert_eq!(answer.problem(), (400, "invalid_form".to_owned()), "{name} to {path}: {}", answer.text());
                let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
                assert!(message.contains(name), "{message}");
            }
        }
        // `curl -F 'image=<photo.jpg'` does not say that it is a file.
        for bytes in [&photo[..], &photo[..1000]] {
            let unnamed = reqwest::multipart::Part::bytes(bytes.to_vec());
            let form = reqwest::multipart::Form::new().part(name, unnamed);
            let answer = server.api.post_form("/api/v1/detect", form).await;
            assert_eq!(answer.problem(), (400, "invalid_form".to_owned()), "{name}: {}", answer.text());
            assert!(answer.text().contains("takes no file"), "{}", answer.text());
        }
        if name != "images[]" {
            let base64 = BASE64_STANDARD.encode(&photo);
            for image in [
                json!(base64),
                json!([base64]),
                json!({ "data": base64 }),
                json!([{ "type": "jpeg", "data": base64 }]),
                json!("QQ=="),
            ] {
                let answer = server.api.post("/api/v1/detect", &json!({ name: image })).await;
                assert_eq!(answer.problem(), (400, "invalid_json".to_owned()), "{name}: {}", answer.text());
                assert!(answer.json()["error"]["message"].as_str().unwrap().contains(name), "{}", answer.text());
            }
        }
    }
    let many = form(&[], &[]).part("photos[]", part(&photo, "1.jpg"));
    let refused = server.api.post_form("/api/v1/people/import", many).await;
    assert!(refused.text().contains("photos[]") && refused.text().contains("csv, photos"), "{}", refused.text());
    server.is_idle().await;
}

#[tokio::test]
async fn base64_is_read_however_it_is_written() {
    let server = TestServer::start().await;
    let photo = portrait("obama");
    let plain = BASE64_STANDARD.encode(&photo);
    let lines = |end: &str| {
        let lines: Vec<&str> = plain.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
        lines.join(end) + end
    };
    let expected = server.api.post("/api/v1/detect", &json!({ "images": [plain] })).await.expect(200);
    assert_eq!(expected["photos"][0]["faces"].as_array().unwrap().len(), 1);
    for written in [
        lines("\n"),
        lines("\r\n"),
        base64::prelude::BASE64_URL_SAFE.encode(&photo),
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(&photo),
        base64::prelude::BASE64_STANDARD_NO_PAD.encode(&photo),
        format!("data:image/jpeg;base64,{plain}"),
        format!("DATA:image/jpeg;charset=utf-8;BASE64,{}", lines("\n")),
    ] {
        let seen = server.api.post("/api/v1/detect", &json!({ "images": [written] })).await.expect(200);
        assert_eq!(seen["photos"], expected["photos"], "{written:.60}");
    }
    for wrong in ["QQQQQ", "Q", "Q=Q=", "QQ==QQ==", "é", "data:,QQ==", "~~~~"] {
        let answer = server.api.post("/api/v1/detect", &json!({ "images": [wrong] })).await;
        assert_eq!(answer.problem(), (400, "invalid_base64".to_owned()), "{wrong}");
    }
    server.is_idle().await;
}

#[tokio::test]
async fn a_field_that_nobody_filled_in_is_missing() {
    let server = TestServer::start().await;
    let photo = portrait("obama");
    let filled = [("name", "Ada"), ("id", ""), ("email", ""), ("groups", ""), ("metadata", ""), ("faces", "")];
    let enrolled = server.api.post_form("/api/v1/people", form(&filled, &[&photo])).await.expect(201);
    assert_eq!((&enrolled["name"], &enrolled["email"], &enrolled["groups"]), (&json!("Ada"), &Value::Null, &json!([])));
    let blank = [("threshold", ""), ("margin", ""), ("liveness", ""), ("annotate", "")];
    server.api.post_form("/api/v1/identify", form(&blank, &[&photo])).await.expect(200);
    let unnamed = server.api.post_form("/api/v1/people", form(&[("name", "")], &[&photo])).await;
    assert_eq!(unnamed.problem(), (400, "invalid_form".to_owned()), "{}", unnamed.text());
    let roster = server.api.import(b"id,name\na,A\n", None, &[("dry_run", ""), ("quality", "")]).await.expect(202);
    assert_eq!(roster["dry_run"], false);
}

#[tokio::test]
async fn a_time_or_a_date_that_says_more_than_was_asked_is_refused() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    let session = json!({ "date": "2026-03-02", "start": "22:00", "end": "24:00" });
    let made = api.post("/api/v1/groups/g/sessions", &session).await.expect(201);
    assert_eq!(made["ends_at"], "2026-03-03T00:00:00Z", "24:00 is midnight, at the end of the day");
    let id = made["id"].as_str().unwrap().to_owned();
    let entry =
        json!({ "weekday": "monday", "start": "00:00", "end": "24:00", "from": "2026-03-02", "until": "2026-03-02" });
    let holiday = json!({ "from": "2026-12-24", "until": "2026-12-26", "name": "Christmas" });
    // Every place of a body with a time or a date; each is taken as it is here.
    let timetable = "/api/v1/groups/g/timetable".to_owned();
    let bodies = [
        (Method::POST, "/api/v1/groups/g/sessions".to_owned(), "", session),
        (
            Method::PATCH,
            format!("/api/v1/sessions/{id}"),
            "",
            json!({ "date": "2026-03-02", "start": "21:00", "end": "24:00" }),
        ),
        (Method::PUT, timetable.clone(), "/entries/0", json!({ "entries": [entry], "holidays": [] })),
        (Method::PUT, timetable, "/holidays/0", json!({ "entries": [], "holidays": [holiday] })),
        (Method::PUT, "/api/v1/holidays".to_owned(), "/holidays/0", json!({ "holidays": [holiday] })),
    ];
    for (method, path, place, body) in bodies {
        assert!(api.send(method.clone(), &path, &body).await.status < 300, "{method} {path}");
        let fields = body.pointer(place).unwrap().as_object().unwrap().clone();
        for field in fields.keys().filter(|field| ["date", "start", "end", "from", "until"].contains(&field.as_str())) {
            let more = match field.as_str() {
                "start" => ["08:00+05:30", "2026-03-02T08:00", "24:00"],
                "end" => ["08:00+05:30", "2026-03-02T08:00", "24:01"],
                _ => ["2026-03-02T08:00", "2026-03-02T08:00+05:30", "2026-03-02[Europe/Vienna]"],
            };
            for given in more {
                let mut bad = body.clone();
                bad.pointer_mut(place).unwrap()[field] = given.into();
                let answer = api.send(method.clone(), &path, &bad).await;
                assert_eq!(answer.status, 400, "{method} {path} {field} {given}: {}", answer.text());
            }
        }
    }
    // And every date of a query that the description knows.
    let description = api.get("/openapi.json").await.expect(200);
    let mut dates = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for parameter in methods["get"]["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "query" && parameter["schema"]["format"] == "date" {
                dates += 1;
                let path = path.replace("{group}", "g");
                let name = parameter["name"].as_str().unwrap();
                for given in ["2026-03-02T23:30-05:00", "2026-03-02T08:00", "2026-03-02%2B01:00"] {
                    let refused = api.get(&format!("{path}?{name}={given}")).await.problem();
                    assert_eq!(refused, (400, "invalid_query".to_owned()), "{path}?{name}={given}");
                }
            }
        }
    }
    assert!(dates >= 9, "sessions, attendance and three reports: {dates}");
}

/// A fixture of `images/`.
fn picture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(name)).unwrap()
}

#[tokio::test]
async fn a_decoder_that_panics_fails_its_photo_alone_in_requests_and_in_imports() {
    let server = TestServer::start().await;
    let (api, bad) = (&server.api, picture("tiled_planar.tif"));
    let photo = beside_good_ones(&server, &bad).await;
    let code = photo["error"]["code"].as_str().unwrap();
    assert_eq!(code, "unsupported_format", "{photo}");
    let zip = zipped(&[("ada/1.jpg", &portrait("obama")), ("ada/2.tif", &bad)]);
    let (_, rows) = api.imported("id,name\nada,Ada\n", Some(&zip), &[]).await;
    let row = &rows[0];
    assert_eq!((&row["outcome"], &row["refused"][0]["reason"]), (&json!("created"), &json!(code)), "{row}");
    assert_eq!(server.metrics().await.count("stage_panics_total", &[]), 0, "it is the photo's error");
}

/// Stored on its side, as its container and its EXIF both say.
#[cfg(feature = "heic")]
#[tokio::test]
async fn a_phones_heic_is_read_upright_and_recognised() {
    let server = TestServer::start().await;
    let enrolled = server
        .api
        .post_form("/api/v1/people", form(&[("id", "ada"), ("name", "Ada")], &[&picture("heic/portrait.heic")]))
        .await;
    assert_eq!(enrolled.expect(201)["faces"].as_array().unwrap().len(), 1);
    let seen = server.api.post_form("/api/v1/identify", form(&[], &[&portrait("obama")])).await.expect(200);
    assert_eq!(seen["photos"][0]["faces"][0]["person"], "ada", "{seen}");
    server.is_idle().await;
}
