//! A data folder whose store does not open: what can be read of it is told, and becomes another.

use std::{fs, path::PathBuf};

use super::support::{Place, rollcall, text};

/// The log of the live database.
fn log(place: &Place) -> PathBuf {
    let store = place.data().join("store");
    let numbered = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path());
    numbered.map(|folder| folder.join("db")).find(|log| log.exists()).unwrap()
}

#[test]
fn what_can_be_read_of_a_store_that_does_not_open_is_told_and_serves_again() {
    let place = Place::new();
    {
        let _server = place.serve();
        place.run(&["enroll", &place.class(), "--group", "class"]).succeeded();
    }
    let old_key = fs::read_to_string(place.data().join("default.key")).unwrap();
    // The marker promises more than is there.
    let marker = log(&place).with_file_name("rollcall-store");
    let promise = fs::read_to_string(&marker).unwrap();
    let (text_before, digits) = promise.trim_end().rsplit_once('\n').unwrap();
    let number = digits.split(' ').next().unwrap().parse::<u64>().unwrap() + 7;
    let digits = format!("{number:020}");
    fs::write(&marker, format!("{text_before}\n{digits} {:08x}\n", crc32c::crc32c(digits.as_bytes()))).unwrap();

    place.run(&["serve", "--address", "127.0.0.1:0"]).failed_saying("the store is damaged");
    let checked = place.run(&["check"]).failed_saying("the store is damaged");
    let checked =
        checked.says("The store does not open").says("7 times writes were acknowledged").says("rollcall salvage");
    assert!(checked.out.lines().any(|line| line.contains("person") && line.contains('2')), "{}", checked.out);

    for file in ["live", "lock"] {
        let (there, away) = (place.data().join("store").join(file), place.path(file));
        for scratch in [&[][..], &["--scratch", text(&place.path(""))]] {
            fs::rename(&there, &away).unwrap();
            let checked = place.run(&[&["check"], scratch].concat()).failed_saying("the store is damaged");
            checked.says("The store does not open").says("7 times writes were acknowledged");
            fs::rename(&away, &there).unwrap();
        }
    }

    let salvaged = Place::new();
    let (from, into) = (place.data(), salvaged.data());
    let made = rollcall(&["salvage", text(&from), text(&into)]).succeeded();
    made.says("none is restored").says("7 times writes were acknowledged");
    salvaged.run(&["check"]).succeeded().says("The store is sound.");
    let new_key = fs::read_to_string(salvaged.data().join("default.key")).unwrap();
    assert_ne!(old_key, new_key, "keys are made anew");
    let _server = salvaged.serve();
    let photo = super::support::portrait_path("obama3");
    let args = ["recognize", &photo, "--group", "class", "--no-mark", "--json"];
    let seen = salvaged.run(&args).succeeded();
    assert_eq!(seen.json()[1]["present"][0]["person"], "Barack Obama");
    let by_old_key = salvaged.run(&[&args[..], &["--key", old_key.trim()]].concat());
    by_old_key.failed_saying("key");
    rollcall(&["salvage", text(&from), text(&into)]).failed_saying("is not empty");
}
