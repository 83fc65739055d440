//! The first success after the build.

use std::fs;

use super::support::{Place, rollcall, text};

#[test]
fn the_demo_finds_who_is_there_and_leaves_annotated_photos() {
    let place = Place::new();
    let out = place.path("out");
    let shown = rollcall(&["demo", text(&out)]).succeeded();
    // Two are there, one is not, and the stranger is unknown in both photos.
    for line in
        ["3 enrolled", "present: 2 ", "not seen: 1", "unknown faces: 2", "$ rollcall enroll", "$ rollcall recognize"]
    {
        assert!(shown.out.contains(line), "{line:?} is not in:\n{}", shown.out);
    }
    for photo in ["first", "second"] {
        let path = out.join(format!("{photo}.annotated.jpg"));
        assert!(shown.out.contains(text(&path)));
        assert!(image::open(&path).is_ok(), "{path:?}");
        let original = format!("{}/tests/fixtures/class/{photo}.jpg", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(fs::read(out.join(format!("{photo}.jpg"))).unwrap(), fs::read(original).unwrap());
    }
    // It can be done again.
    rollcall(&["demo", text(&out)]).succeeded().says("present: 2 ");
}
