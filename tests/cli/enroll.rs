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

/// Who is seen in a portrait, by id.
fn seen(place: &Place, shot: &str) -> Vec<String> {
    let lines = place.run(&["recognize", &portrait_path(shot), "--json"]).json();
    let present = lines[1]["present"].as_array().unwrap().iter();
    present.map(|seen| seen["person"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn who_looks_enrolled_is_left_out_until_somebody_says_what_to_do() {
    let place = Place::new();
    place.put("class/anna/1.jpg", &portrait("biden"));
    place.run(&["enroll", text(&place.path("class"))]).succeeded();
    place.put("more/zoe/0.jpg", b"");
    place.put("more/zoe/1.jpg", &portrait("biden"));
    place.put("more/bea/1.jpg", &portrait("astronaut"));
    let (more, zoe) = (place.path("more"), place.path("zoe"));
    let enroll = |args: &[&str]| place.run(&[&["enroll"], args].concat());
    let first = enroll(&[text(&more)]).failed_saying("looks_enrolled: ").failed_saying("--into ID");
    first.says("more/zoe/1.jpg: looks_enrolled: looks like anna (1.00)").says("1 enrolled, 0 updated, 1 failed");
    assert_eq!(seen(&place, "biden"), ["anna"], "nothing was stored of them");
    let again = enroll(&[text(&more)]).failed_saying("looks_enrolled");
    again.says("0 enrolled, 1 updated, 1 failed");

    enroll(&[text(&more), "--into", "anna"]).failed_saying("one subfolder");
    enroll(&[text(&more), "--into", "anna", "--new"]).failed_saying("cannot be used with");
    std::fs::create_dir(&zoe).unwrap();
    std::fs::rename(more.join("zoe"), zoe.join("zoe")).unwrap();
    enroll(&[text(&zoe), "--into", "nobody"]).failed_saying("nobody is enrolled as nobody");
    // With a server as without one.
    let server = place.serve();
    enroll(&[text(&zoe)]).failed_saying("looks_enrolled");
    enroll(&[text(&zoe), "--into", "anna", "--group", "g"]).succeeded().says("0 enrolled, 1 updated, 0 failed");
    drop(server);
    assert_eq!(seen(&place, "biden"), ["anna"]);
    let new = enroll(&[text(&zoe), "--new"]).succeeded();
    new.says("zoe/1.jpg: duplicate_of: looks like anna as well (1.00)").says("1 enrolled, 0 updated, 0 failed");
    assert!(seen(&place, "biden").is_empty(), "two who look like one");
    let updated = enroll(&[text(&zoe)]).succeeded();
    updated.says("0 enrolled, 1 updated, 0 failed");
}

#[test]
fn ids_made_from_names_are_readable_and_each_persons_own() {
    let place = Place::new();
    place.put("class/Björn Åström/1.jpg", &portrait("obama"));
    place.put("class/Bjørn Åström/1.jpg", &portrait("astronaut"));
    // Whose id the other names would make.
    place.put("class/bjorn-astrom/1.jpg", &portrait("biden"));
    let class = text(&place.path("class")).to_owned();
    place.run(&["enroll", &class]).succeeded().says("3 enrolled, 0 updated");
    assert_eq!(seen(&place, "biden"), ["bjorn-astrom"]);
    let mut made = [seen(&place, "obama2"), seen(&place, "astronaut")].concat();
    made.sort_unstable();
    assert_eq!(made, ["bjorn-astrom-2", "bjorn-astrom-3"]);
    place.run(&["enroll", &class]).succeeded().says("0 enrolled, 3 updated");
    // From a system that stores a letter and its accent apart.
    place.put("apart/Bjo\u{308}rn A\u{30a}stro\u{308}m/1.jpg", &portrait("obama"));
    place.run(&["enroll", text(&place.path("apart"))]).succeeded().says("0 enrolled, 1 updated");
}
