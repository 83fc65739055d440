//! `rollcall bench` and `rollcall models`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::{Place, portrait, portrait_path, rollcall, text};

#[track_caller]
fn assert_keys(line: &Value, expected: &[&str]) {
    let keys: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, expected.iter().copied().collect());
}

#[test]
fn pairs_of_portraits_are_told_apart() {
    let place = Place::new();
    for shot in ["obama", "obama2", "biden"] {
        place.put(&format!("{shot}.jpg"), &portrait(shot));
    }
    let table = place.put("pairs.csv", b"a,b,same\nobama.jpg,obama2.jpg,1\nobama.jpg,biden.jpg,0\n");
    let lines = rollcall(&["bench", "pairs", text(&table)]).succeeded().json();
    assert_keys(
        &lines[0],
        &[
            "what",
            "pairs",
            "unreadable",
            "accuracy",
            "accuracy_at_0.40",
            "threshold",
            "same_min",
            "same_mean",
            "other_max",
            "other_mean",
        ],
    );
    assert_eq!((&lines[0]["pairs"], &lines[0]["accuracy_at_0.40"]), (&2.into(), &1.0.into()));
    let number = |key: &str| lines[0][key].as_f64().unwrap();
    assert!(number("same_min") > number("other_max"));
    assert!(!place.data().exists() && !std::path::Path::new("data/store").exists());
}

#[test]
fn strangers_photos_and_nets_have_the_yardsticks_keys() {
    let (a, b) = (portrait_path("obama"), portrait_path("biden"));
    let lines = rollcall(&["bench", "strangers", &a, &b]).succeeded().json();
    assert_eq!(lines.len(), 3);
    assert_keys(&lines[0], &["what", "file", "faces", "fit_to_be_named", "named"]);
    assert_keys(&lines[2], &["what", "file", "faces", "named", "threshold", "margin", "min_width", "min_score"]);
    assert_eq!((&lines[2]["faces"], &lines[2]["named"]), (&2.into(), &0.into()));

    let lines = rollcall(&["bench", "photos", &a, &b, "--threads", "2", "--seconds", "0.1", "--liveness"]).succeeded();
    let line = &lines.json()[0];
    assert_keys(line, &["what", "threads", "liveness", "long_side", "photos_per_s", "faces_per_s"]);
    let (photos, faces) = (line["photos_per_s"].as_f64().unwrap(), line["faces_per_s"].as_f64().unwrap());
    // One face a photo.
    assert!(photos > 0.0 && (photos - faces).abs() < 0.06, "{line}");

    let lines = rollcall(&["bench", "nets", "--batch", "1", "2", "--repeat", "1"]).succeeded().json();
    assert_eq!(lines.len(), 6);
    assert_keys(&lines[0], &["what", "shape", "threads", "median_ms", "min_ms", "ms_per_item"]);
    assert_eq!(lines[1]["shape"], serde_json::json!([1, 3, 960, 1280]));
    assert_eq!(lines[3]["shape"], serde_json::json!([2, 3, 112, 112]));
}

#[test]
fn a_gallery_of_ready_vectors_is_searched_by_each_plan_and_stored() {
    const ROWS: usize = 1500;
    let place = Place::new();
    let vectors: Vec<f32> = (0..ROWS as u64).flat_map(unit_vector).collect();
    let bytes = |numbers: &[f32]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let folder = place.path("vectors");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("gallery.f32"), bytes(&vectors)).unwrap();
    std::fs::write(folder.join("queries.f32"), bytes(&vectors[..40 * 512])).unwrap();
    // Each of the first 40 rows is its own nearest; the nine others are not looked at.
    let truth: Vec<u8> = (0..40_u32).flat_map(|row| [row; 10]).flat_map(u32::to_le_bytes).collect();
    std::fs::write(folder.join("truth.u32"), truth).unwrap();

    let lines = rollcall(&["bench", "gallery", text(&folder), "--threads", "2"]).succeeded().json();
    let plans: Vec<&Value> = lines.iter().map(|line| &line["what"]).collect();
    assert_eq!(plans, ["exact", "codes", "planner"]);
    for line in &lines {
        assert_keys(
            line,
            &[
                "what",
                "rows",
                "threads",
                "recall_at_1",
                "single_ms",
                "batch32_ms_per_query",
                "bytes_per_row",
                "build_s",
                "load_s",
                "swap_pause_ms",
                "insert_per_s",
                "insert_per_s_16",
                "fsync_ms",
                "roster_us",
            ],
        );
        assert_eq!((&line["rows"], &line["recall_at_1"]), (&ROWS.into(), &1.0.into()));
        for key in ["single_ms", "batch32_ms_per_query", "insert_per_s", "fsync_ms", "roster_us"] {
            assert!(line[key].as_f64().unwrap() > 0.0, "{key}: {line}");
        }
    }
    std::fs::remove_file(folder.join("truth.u32")).unwrap();
    rollcall(&["bench", "gallery", text(&folder)]).failed_saying("truth.u32: cannot be read");
}

/// Of 512 numbers that `seed` decides.
fn unit_vector(seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let raw: Vec<f32> = (0..512).map(|_| next()).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / length).collect()
}

const HTTP_KEYS: [&str; 10] =
    ["what", "class", "clients", "requests", "requests_per_s", "photos_per_s", "errors", "p50_ms", "p95_ms", "p99_ms"];

#[test]
fn a_running_server_is_driven_by_both_classes_and_nobody_is_marked() {
    let place = Place::new();
    place.run(&["enroll", &place.class(), "--group", "class"]).succeeded();
    let (a, b) = (portrait_path("obama3"), portrait_path("biden"));
    place.run(&["bench", "http", &a]).failed_saying("no server runs on the data folder");
    let _server = place.serve();
    let lines = place
        .run(&[
            "bench",
            "http",
            &a,
            "--clients",
            "2",
            "--bulk-photos",
            &b,
            "--bulk-clients",
            "3",
            "--group",
            "class",
            "--seconds",
            "0.5",
        ])
        .succeeded()
        .json();
    assert_eq!(lines.len(), 2);
    for (line, class, clients) in [(&lines[0], "interactive", 2), (&lines[1], "bulk", 3)] {
        assert_keys(line, &HTTP_KEYS);
        assert_eq!((&line["what"], &line["class"], &line["clients"]), (&"http".into(), &class.into(), &clients.into()));
        assert_eq!(line["errors"], serde_json::json!({}), "{line}");
        let number = |key: &str| line[key].as_f64().unwrap();
        assert!(number("requests") >= f64::from(clients), "{line}");
        assert!(number("photos_per_s") > 0.0 && number("p50_ms") > 0.0 && number("p99_ms") >= number("p50_ms"));
    }
    let seen = place.run(&["recognize", &a, "--group", "class", "--json"]).succeeded().json();
    assert_eq!(seen[1]["present"][0]["attendance"], "marked", "the bench had marked nobody");
}

#[test]
fn a_server_elsewhere_is_driven_by_its_address_and_key() {
    let place = Place::new();
    let photo = portrait_path("biden");
    let _server = place.serve();
    let address = std::fs::read_to_string(rollcall::app::address_path(&place.data())).unwrap();
    let key = std::fs::read_to_string(place.data().join("default.key")).unwrap();
    let url = format!("http://{}", address.lines().next().unwrap());
    let drive = |key: &str| rollcall(&["bench", "http", &photo, "--url", &url, "--key", key, "--seconds", "0.1"]);
    let lines = drive(key.trim()).succeeded().json();
    assert_eq!((lines.len(), &lines[0]["class"]), (1, &"interactive".into()));
    assert!(lines[0]["photos_per_s"].as_f64().unwrap() > 0.0);
    drive("rk_wrong").failed_saying("the server says unauthenticated");
}

#[test]
fn models_are_verified_and_the_blur_direction_is_estimated_again() {
    let place = Place::new();
    let verified = rollcall(&["models", "verify"]).succeeded();
    assert_eq!(verified.out.lines().count(), 4);
    let root = env!("CARGO_MANIFEST_DIR");
    rollcall(&["models", "verify", &format!("{root}/models")]).succeeded();
    rollcall(&["models", "verify", text(&place.path("nowhere"))]).failed_saying("MANIFEST.toml");
    let (faces, out) = (format!("{root}/tests/fixtures/portraits/aligned"), place.path("blur.safetensors"));
    rollcall(&["models", "blur-direction", &faces, "--out", text(&out)]).succeeded();
    let stored = std::fs::metadata(format!("{root}/models/blur_direction.safetensors")).unwrap();
    assert_eq!(out.metadata().unwrap().len(), stored.len());
    let not_onnx = place.put("x.onnx", b"no network");
    rollcall(&["models", "import", "--arch", "yunet", "--out", text(&place.path("")), text(&not_onnx)])
        .failed_saying("not a yunet model");
    rollcall(&["models", "import", "--arch", "resnet", text(&not_onnx)]).failed_saying("there is no architecture");
}
