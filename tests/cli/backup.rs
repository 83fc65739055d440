//! The restore drill: a backup from a running server, a new data folder, the same people and keys.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::support::{Output, Place, portrait, portrait_path, rollcall, text};

/// Who is present in the photo of Obama alone, as a command on `data` sees it.
fn recognised(data: &Path, more: &[&str]) -> Output {
    let photo = portrait_path("obama3");
    let args = ["recognize", &photo, "--group", "class", "--no-mark", "--json", "--data", text(data)];
    rollcall(&[&args, more].concat()).succeeded()
}

fn present(output: &Output) -> String {
    output.json()[1]["present"][0]["person"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_backup_taken_among_enrolments_restores_everybody_and_their_keys() {
    let place = Place::new();
    let file = place.path("all.backup");
    let old_key;
    {
        let _server = place.serve();
        place.run(&["enroll", &place.class(), "--group", "class"]).succeeded();
        old_key = fs::read_to_string(place.data().join("default.key")).unwrap().trim().to_owned();
        place.put("more/hopper/1.jpg", &portrait("hopper"));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let busy = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    place.run(&["enroll", text(&place.path("more")), "--group", "other"]).succeeded();
                }
            });
            for name in ["first.backup", "second.backup", "all.backup"] {
                place.run(&["backup", text(&place.path(name))]).succeeded().says("read back and found right");
            }
            done.store(true, Ordering::Relaxed);
            busy.join().unwrap();
        });
        place.run(&["check"]).succeeded().says("The store is sound.");
    }
    let restored = Place::new();
    restored.run(&["restore", text(&file)]).succeeded().says("records");
    restored.run(&["check"]).succeeded().says("The store is sound.");
    assert_eq!(present(&recognised(&restored.data(), &[])), "Barack Obama");
    let _server = restored.serve();
    assert_eq!(present(&recognised(&restored.data(), &[])), "Barack Obama", "by the key that the restore made");
    assert_eq!(present(&recognised(&restored.data(), &["--key", &old_key])), "Barack Obama", "by the old key");
    restored.run(&["backup", text(&restored.path("again.backup"))]).succeeded();
    restored.run(&["restore", text(&file)]).failed_saying("is not empty");
}

#[test]
fn a_closed_store_is_copied_and_checked_too() {
    let place = Place::new();
    place.run(&["backup", text(&place.path("none"))]).failed_saying("there is no store");
    place.run(&["check"]).failed_saying("there is no store");
    assert!(!place.data().join("store").exists(), "asking for a copy makes no store");
    place.run(&["enroll", &place.class(), "--group", "class"]).succeeded();
    let older = place.put("old.backup", b"an older one");
    place.run(&["backup", text(&older)]).failed_saying("already");
    assert_eq!(fs::read(&older).unwrap(), b"an older one", "it may be all that is left");
    let file = place.path("new.backup");
    place.run(&["backup", text(&file)]).succeeded();
    let size = fs::metadata(&file).unwrap().len().to_string();
    place.run(&["backup", "--list"]).succeeded().says("new.backup").says(&size);
    place.run(&["backup", text(&place.path("nowhere/file"))]).failed_saying("cannot be written");
    let restored = Place::new();
    restored.run(&["restore", text(&file)]).succeeded();
    assert_eq!(present(&recognised(&restored.data(), &[])), "Barack Obama");
}

#[test]
fn a_store_is_rewritten_beside_its_server_and_when_it_is_closed() {
    let place = Place::new();
    place.run(&["rewrite"]).failed_saying("there is no store");
    place.run(&["enroll", &place.class(), "--group", "class"]).succeeded();
    place.run(&["rewrite"]).succeeded().says("Erasures done by it: 0.");
    assert!(place.data().join("store/2/db").exists() && !place.data().join("store/1").exists());
    {
        let _server = place.serve();
        place.run(&["rewrite"]).succeeded().says("Rewritten in");
        assert_eq!(present(&recognised(&place.data(), &[])), "Barack Obama");
    }
    place.run(&["check"]).succeeded().says("The store is sound.");
    assert_eq!(present(&recognised(&place.data(), &[])), "Barack Obama");
}

#[test]
fn commands_leave_the_servers_own_backups_to_the_server() {
    let place = Place::new();
    let disk = place.path("disk");
    // One that a server is taking.
    let under_way = disk.join(".rollcall-20260303T080000Z.partial");
    fs::create_dir_all(&under_way).unwrap();
    let backups = format!("[backup]\nfolder = {:?}\n", text(&disk));
    let config = place.put("rollcall.toml", backups.as_bytes());
    let with = ["--config", text(&config)];
    let (class, photo) = (place.class(), place.put("room.jpg", &portrait("obama2")));
    place.run(&[&with[..], &["enroll", &class, "--group", "class"]].concat()).succeeded();
    place.run(&[&with[..], &["recognize", text(&photo), "--group", "class"]].concat()).succeeded();
    place.run(&[&with[..], &["bench", "photos", text(&photo), "--seconds", "1"]].concat()).succeeded();
    let left: Vec<_> = fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [under_way]);
}

#[test]
fn what_is_no_whole_backup_restores_nothing() {
    let place = Place::new();
    place.run(&["enroll", &place.class(), "--group", "class"]).succeeded();
    let file = place.path("all.backup");
    place.run(&["backup", text(&file)]).succeeded();
    let backup = fs::read(&file).unwrap();
    let mut flipped = backup.clone();
    flipped[backup.len() / 2] ^= 1;
    let restored = Place::new();
    let attempts: [(&[u8], &str); 4] = [
        (&backup[..backup.len() / 2], "cut short"),
        (&backup[..backup.len() - 1], "cut short"),
        (&flipped, "damaged"),
        (b"something else altogether", "no backup"),
    ];
    for (bytes, said) in attempts {
        fs::write(&file, bytes).unwrap();
        restored.run(&["restore", text(&file)]).failed_saying(said);
        let left: Vec<_> = fs::read_dir(restored.data()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
    // What a restore that was killed leaves behind, and a key file that was kept.
    fs::create_dir_all(restored.data().join("store.restoring/blobs")).unwrap();
    restored.run(&["serve", "--address", "127.0.0.1:0"]).failed_saying("has not finished");
    fs::copy(place.data().join("operator.key"), restored.data().join("operator.key")).unwrap();
    fs::write(&file, &backup).unwrap();
    restored.run(&["restore", text(&file)]).succeeded();
    let kept = |place: &Place| fs::read(place.data().join("operator.key")).unwrap();
    assert_eq!(kept(&restored), kept(&place));
    let _server = restored.serve();
    restored.run(&["check"]).succeeded().says("The store is sound.");
}

#[cfg(unix)]
#[test]
fn a_backup_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.run(&["enroll", &place.class()]).succeeded();
    let file = place.path("all.backup");
    place.run(&["backup", text(&file)]).succeeded();
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_damaged_store_is_refused_with_what_to_do() {
    let place = Place::new();
    place.run(&["enroll", &place.class(), "--group", "class"]).succeeded();
    let database = place.data().join("store/1/db");
    let bytes = fs::read(&database).unwrap();
    fs::write(&database, &bytes[..bytes.len() / 2]).unwrap();
    for command in [&["serve", "--address", "127.0.0.1:0"][..], &["check"], &["backup", text(&place.path("b"))]] {
        let refused = place.run(command).failed_saying("restore a backup");
        assert!(refused.err.contains("rollcall check"), "{}", refused.err);
    }
}
