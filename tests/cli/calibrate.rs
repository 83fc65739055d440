//! `rollcall calibrate`, with and without a server.

use std::fs;

use serde_json::json;

use super::support::{Place, text};

#[test]
fn both_doors_give_the_same_report_and_picture() {
    let place = Place::new();
    place.run(&["enroll", &place.class()]).succeeded();
    let picture = place.path("curves.svg");
    let wanted = ["calibrate", "--roster", "1", "--faces", "1", "--false-names", "0.9"];
    let arguments = [&wanted[..], &["--json", "--svg", text(&picture)]].concat();
    let alone = place.run(&arguments).succeeded().json();
    let drawn = fs::read_to_string(&picture).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("2 people with 3 samples"), "{drawn}");
    assert_eq!((&alone[0]["what"], &alone[0]["genuine"]["compared"]), (&json!("calibration"), &json!(1)));
    place
        .run(&["calibrate"])
        .succeeded()
        .says("1 pairs of one person and 2 of 2 pairs of different people compared")
        .says("now, within a roster       0.400")
        .says("Barack Obama  biden")
        .says("note: There are 2 pairs of samples of different people");
    place.run(&["calibrate", "--faces", "0"]).failed_saying("faces 1 to 1000");
    place.run(&["calibrate", "--tenant", "nobody"]).failed_saying("tenant");
    place.run(&["calibrate", "--svg", text(&place.path("no/where.svg"))]).failed_saying("cannot be written");
    let _server = place.serve();
    fs::remove_file(&picture).unwrap();
    assert_eq!(place.run(&arguments).succeeded().json(), alone);
    assert_eq!(fs::read_to_string(&picture).unwrap(), drawn);
    place.run(&["calibrate", "--faces", "0"]).failed_saying("the server says invalid_calibration");
}
