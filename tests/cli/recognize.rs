//! `rollcall recognize`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::{Place, portrait, portrait_path, text};

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn with_nobody_enrolled_every_face_is_unknown() {
    let place = Place::new();
    place.put("photos/a.jpg", &portrait("obama"));
    place.put("photos/b.jpg", &portrait("hopper"));
    let photos = place.path("photos");
    place.run(&["recognize", text(&photos)]).succeeded().says("present: 0").says("unknown faces: 2");
}

#[test]
fn json_lines_have_the_keys_that_the_help_promises() {
    let place = Place::new();
    place.run(&["enroll", &place.class(), "--group", "class"]).succeeded();
    let photo = portrait_path("obama3");
    let lines = place.run(&["recognize", &photo, "--group", "class", "--no-mark", "--json"]).succeeded().json();
    let help = place.run(&["recognize", "--help"]).out;
    assert_eq!(lines.len(), 2);
    let mut promised: BTreeSet<&str> = help.split('"').skip(1).step_by(2).collect();
    for object in [&lines[0], &lines[0]["faces"][0], &lines[1], &lines[1]["present"][0], &lines[1]["not_seen"][0]] {
        for key in keys(object) {
            assert!(help.contains(&format!("\"{key}\"")), "{key} is not in the help");
            promised.remove(key);
        }
    }
    // What is left are values, and the keys of an error.
    assert_eq!(promised, BTreeSet::from(["code", "message", "photo", "summary"]));
    let face = &lines[0]["faces"][0];
    assert_eq!(face["person"], "Barack Obama");
    assert_eq!(face["attendance"], "not_marked");
    assert!(face["similarity"].as_f64().unwrap() > 0.4);
}

#[test]
fn the_rules_can_be_set() {
    let place = Place::new();
    place.run(&["enroll", &place.class(), "--group", "class"]).succeeded();
    let photo = portrait_path("obama3");
    let run = |rule: &[&str]| place.run(&[&["recognize", &photo, "--group", "class", "--no-mark"], rule].concat());
    run(&["--threshold", "0.99"]).succeeded().says("below_threshold").says("present: 0");
    run(&["--margin", "1.9"]).succeeded().says("below_margin");
    run(&["--threshold", "7"]).failed_saying("threshold");
    run(&["--liveness", "strict"]).succeeded().says("liveness");
    run(&["--liveness", "perhaps"]).failed_saying("possible values: off, passive, strict");
}

#[test]
fn a_day_that_is_over_can_be_marked() {
    let place = Place::new();
    place.run(&["enroll", &place.class(), "--group", "class"]).succeeded();
    let photo = portrait_path("obama3");
    let run = |at: &str| place.run(&["recognize", &photo, "--group", "class", "--at", at, "--json"]);
    let lines = run("2026-03-02T08:05:00Z").succeeded().json();
    assert_eq!(lines[0]["faces"][0]["attendance"], "marked");
    run("2999-03-02T08:05:00Z").failed_saying("at lies in the future");
    run("yesterday").failed_saying("--at");
}

#[test]
fn no_usable_photo_is_a_failure() {
    let place = Place::new();
    let empty = place.put("empty.jpg", b"");
    let run = place.run(&["recognize", text(&empty), text(&place.path("missing.jpg"))]);
    run.failed_saying("none of the photos could be used").says("missing.jpg: unreadable: ");
}

#[test]
fn annotated_copies_are_jpegs_beside_each_other() {
    let place = Place::new();
    place.put("a/class.jpg", &portrait("obama"));
    place.put("b/class.jpg", &portrait("biden"));
    let (a, b, out) = (place.path("a"), place.path("b"), place.path("out"));
    place.run(&["recognize", text(&a), text(&b), "--annotate", text(&out)]).succeeded();
    for (name, shot) in [("class.annotated.jpg", "obama"), ("class-2.annotated.jpg", "biden")] {
        let copy = image::open(out.join(name)).unwrap();
        let photo = image::load_from_memory(&portrait(shot)).unwrap();
        assert!(copy.width() == photo.width() && copy.height() > photo.height(), "a legend stands under the photo");
    }
}
