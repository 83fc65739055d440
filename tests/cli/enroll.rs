//! `rollcall enroll`.

use super::support::{Place, portrait, portrait_path, text};

#[test]
fn each_refused_image_is_named_with_its_reason() {
    let place = Place::new();
    let class = place.class();
    place.put("class/biden/empty.jpg", b"");
    place.put("class/biden/list.txt", b"name,seat\n");
    place.put("class/nobody/list.txt", b"name,seat\n");
    place.put("class/stray.jpg", &portrait("biden"));
    let done = place.run(&["enroll", &class]).succeeded();
    for line in ["class/biden/empty.jpg: ", "class/biden/list.txt: ", "class/nobody/list.txt: "] {
        assert!(done.out.lines().any(|found| found.contains(line) && found.matches(": ").count() >= 2), "{}", done.out);
    }
    done.says("class/stray.jpg: no_person: ").says("2 enrolled, 0 updated, 1 failed; 3 images used, 4 refused");
}

#[test]
fn nobody_enrolled_is_a_failure() {
    let place = Place::new();
    place.put("class/a/list.txt", b"name,seat\n");
    place.put("class/b/.hidden.jpg", &portrait("biden"));
    place.run(&["enroll", text(&place.path("class"))]).failed_saying("nobody could be enrolled");
    place.run(&["enroll", text(&place.path("missing"))]).failed_saying("cannot be read");
}

#[test]
fn a_second_run_replaces_the_samples_also_where_the_name_is_no_id() {
    let place = Place::new();
    place.put("class/Zoë 李/1.jpg", &portrait("obama"));
    let class = text(&place.path("class")).to_owned();
    place.run(&["enroll", &class, "--group", "g"]).succeeded().says("1 enrolled, 0 updated");
    // The folder now shows another face: the old one must be forgotten.
    place.put("class/Zoë 李/1.jpg", &portrait("biden"));
    place.run(&["enroll", &class, "--group", "g"]).succeeded().says("0 enrolled, 1 updated");
    let present = |shot| {
        let lines = place.run(&["recognize", &portrait_path(shot), "--group", "g", "--no-mark", "--json"]).json();
        lines[1]["present"].as_array().unwrap().iter().map(|seen| seen["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(present("biden"), ["Zoë 李"]);
    assert!(present("obama3").is_empty());
}

#[test]
fn more_images_than_a_request_takes_go_in_several() {
    let place = Place::new();
    for number in 0..21 {
        place.put(&format!("class/collins/{number}.jpg"), &portrait("astronaut"));
    }
    // The first request brings no sample: the person is made by the second.
    for number in 0..20 {
        place.put(&format!("class/late/{number:02}.jpg"), b"");
    }
    place.put("class/late/99.jpg", &portrait("biden"));
    let done = place.run(&["enroll", text(&place.path("class"))]).succeeded();
    done.says("2 enrolled, 0 updated, 0 failed; 22 images used, 20 refused");
}

#[test]
fn a_face_that_is_someone_elses_is_named() {
    let place = Place::new();
    place.put("class/anna/1.jpg", &portrait("biden"));
    place.put("class/bea/1.jpg", &portrait("astronaut"));
    place.run(&["enroll", text(&place.path("class"))]).succeeded();
    place.put("more/zoe/0.jpg", b"");
    place.put("more/zoe/1.jpg", &portrait("biden"));
    let done = place.run(&["enroll", text(&place.path("more"))]).succeeded();
    done.says("more/zoe/1.jpg: duplicate_of: looks like anna as well (1.00)").says("1 enrolled, 0 updated, 0 failed");
}
