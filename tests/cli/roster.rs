//! `rollcall enroll` of a roster, and `rollcall recognize --watch`.

use super::support::{Place, portrait, text};

#[test]
fn a_roster_is_taken_in_with_and_without_a_server() {
    let place = Place::new();
    let csv = place.put("roster.csv", "id;name;seat\nada;Ada Lovelace;7\nbea;Bea;8\n;Nobody;9\n".as_bytes());
    place.put("photos/ada/1.jpg", &portrait("obama"));
    place.put("photos/ada/2.jpg", b"no photo");
    place.put("photos/bea.jpg", &portrait("biden"));
    let photos = place.path("photos");
    let enrol = |more: &[&str]| place.run(&[&["enroll", text(&csv), "--photos", text(&photos)], more].concat());
    enrol(&["--dry-run"]).succeeded().says("2 created, 0 updated, 0 unchanged, 1 failed; 2 samples added");
    // The dry run stored nothing.
    let done = enrol(&[]).succeeded().says("2 created, 0 updated, 0 unchanged, 1 failed; 2 samples added");
    done.says("ada: 2.jpg: not_an_image: ").says("invalid_id: ");
    place.put("photos/ada/3.jpg", &portrait("obama2"));
    let _server = place.serve();
    enrol(&[]).succeeded().says("0 created, 1 updated, 1 unchanged, 1 failed; 1 samples added");
    enrol(&["--group", "g"]).failed_saying("in the column groups");
    enrol(&["--new"]).failed_saying("go with a folder");
    place.run(&["enroll", text(&photos), "--dry-run"]).failed_saying("go with a roster");
    let bad = place.put("bad.csv", b"name\nx\n");
    place.run(&["enroll", text(&bad)]).failed_saying("column id");
}

#[test]
fn photos_are_watched_as_a_job_of_the_server() {
    let place = Place::new();
    let class = place.class();
    place.run(&["enroll", &class, "--group", "g"]).succeeded();
    let photo = place.put("room.jpg", &portrait("obama3"));
    let broken = place.put("broken.jpg", b"no photo");
    let watch = |files: &[&str]| place.run(&[&["recognize", "--group", "g", "--watch"], files].concat());
    watch(&[text(&photo)]).failed_saying("no server runs");
    let _server = place.serve();
    let done = watch(&[text(&photo), text(&broken)]).succeeded().says("2 photos, 1 failed; 1 faces, 1 named, 1 marked");
    done.says("room.jpg (").says("1 faces: Barack Obama").says("broken.jpg: not_an_image: ");
    watch(&[text(&broken)]).failed_saying("no photo could be used");
    place.run(&["recognize", "--watch", text(&photo)]).failed_saying("wants a --group");
}
