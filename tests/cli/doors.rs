//! Both doors: the server's where one answers, the store itself where none does, on one and the same data.

use std::{
    fs::Permissions,
    io::{Read, Write},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    sync::mpsc,
};

use rollcall::store::{Store, StoreOptions};

use super::support::{Output, Place, portrait_path};

fn who_is_there(place: &Place) -> Output {
    let photo = portrait_path("obama3");
    place.run(&["recognize", &photo, "--group", "class", "--json"]).succeeded()
}

/// What became of Obama in the photo that shows him alone.
fn attendance(place: &Place) -> String {
    let lines = who_is_there(place).json();
    let summary = &lines[1];
    assert_eq!(summary["present"][0]["person"], "Barack Obama");
    assert_eq!(summary["not_seen"][0]["person"], "biden");
    assert_eq!(summary["unknown_faces"], 0);
    summary["present"][0]["attendance"].as_str().unwrap().to_owned()
}

#[test]
fn what_one_door_writes_the_other_reads() {
    let place = Place::new();
    place.run(&["enroll", &place.class(), "--group", "class"]).succeeded().says("2 enrolled, 0 updated, 0 failed");
    assert_eq!(attendance(&place), "marked");
    {
        let _server = place.serve();
        assert_eq!(attendance(&place), "already_marked");
        place.put("class/hopper/1.jpg", &super::support::portrait("hopper"));
        place
            .run(&["enroll", &place.class(), "--group", "class"])
            .succeeded()
            .says("1 enrolled, 2 updated, 0 failed; 4 images used, 0 refused");
    }
    // The server was killed: its address and socket are stale, and the store is free.
    assert!(rollcall::app::address_path(&place.data()).exists());
    let hopper = portrait_path("hopper");
    place.run(&["recognize", &hopper, "--group", "class"]).succeeded().says("present: 1 (1 marked");
}

#[test]
fn a_bad_photo_is_told_alike_by_both_doors() {
    let place = Place::new();
    let broken = place.put("broken.jpg", b"\xff\xd8\xff\xe0 no photo");
    let text = place.put("notes.txt", b"no photo at all");
    let photo = portrait_path("biden");
    let arguments = ["recognize", broken.to_str().unwrap(), text.to_str().unwrap(), &photo, "--json"];
    let alone = place.run(&arguments).succeeded().json();
    let server = place.serve();
    let served = place.run(&arguments).succeeded().json();
    drop(server);
    assert_eq!(alone.len(), 4);
    for line in 0..2 {
        assert!(alone[line]["error"]["code"].is_string(), "{}", alone[line]);
        assert_eq!(alone[line], served[line]);
    }
    assert_eq!(alone[3]["failed"], 2);
    assert_eq!(alone[3], served[3]);
}

#[test]
fn a_locked_store_without_a_server_is_told() {
    let place = Place::new();
    std::fs::create_dir_all(place.data()).unwrap();
    let _held = Store::open(StoreOptions::new(place.data().join("store"))).unwrap();
    place
        .run(&["recognize", &portrait_path("biden")])
        .failed_saying("is in use by another process, and no server answers");
}

/// What is heard of requests by somebody who answers all of them as a live server would.
fn play_a_server(mut connection: impl Read + Write, heard: &mpsc::Sender<String>) {
    let mut request = [0; 4096];
    let length = connection.read(&mut request).unwrap_or_default();
    heard.send(String::from_utf8_lossy(&request[..length]).into_owned()).unwrap();
    let body = r#"{"status":"live"}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    drop(write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
}

/// After a crash anybody can have the address, and can have heard all that the server ever said in public.
#[test]
fn a_stranger_at_the_old_address_who_plays_the_server_hears_nothing() {
    let place = Place::new();
    let address = {
        let _killed = place.serve();
        std::fs::read_to_string(rollcall::app::address_path(&place.data())).unwrap()
    };
    let stranger = TcpListener::bind(address.trim()).unwrap();
    let (heard, requests) = mpsc::channel();
    std::thread::spawn(move || stranger.incoming().for_each(|caller| play_a_server(caller.unwrap(), &heard)));
    let photo = portrait_path("biden");
    place.run(&["recognize", &photo, "--key", "rk_secret"]).succeeded().says("unknown faces: 1");
    place.run(&["check"]).succeeded();
    assert_eq!(requests.try_iter().collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn nothing_is_sent_to_a_socket_that_others_could_have_put_there() {
    let place = Place::new();
    let local = rollcall::app::local_folder(&place.data());
    std::fs::create_dir_all(&local).unwrap();
    std::fs::set_permissions(&local, Permissions::from_mode(0o777)).unwrap();
    let stranger = UnixListener::bind(local.join("socket")).unwrap();
    let (heard, requests) = mpsc::channel();
    std::thread::spawn(move || stranger.incoming().for_each(|caller| play_a_server(caller.unwrap(), &heard)));
    let photo = portrait_path("biden");
    place.run(&["recognize", &photo, "--key", "rk_secret"]).failed_saying("can be entered by others");
    place.run(&["backup", place.path("copy").to_str().unwrap()]).failed_saying("can be entered by others");
    assert_eq!(requests.try_iter().collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_its_server() {
    let place = Place::new();
    let local = rollcall::app::local_folder(&place.data());
    {
        let _server = place.serve();
        assert_eq!(local.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        // The address is for scripts: without it commands find the server all the same.
        std::fs::remove_file(rollcall::app::address_path(&place.data())).unwrap();
        place.run(&["user", "list"]).succeeded();
    }
    // It was killed: nobody listens at what it left.
    assert!(local.join("socket").exists());
    place.run(&["check"]).succeeded().says("The store is sound.");
}

#[test]
fn a_wrong_key_and_an_unknown_tenant_or_group_are_told() {
    let place = Place::new();
    let photo = portrait_path("biden");
    place.run(&["recognize", &photo, "--tenant", "nobody"]).failed_saying("tenant");
    place.run(&["recognize", &photo, "--group", "nowhere"]).failed_saying("group");
    let _server = place.serve();
    place.run(&["recognize", &photo, "--key", "rk_wrong"]).failed_saying("the server says unauthenticated");
    place.run(&["recognize", &photo, "--tenant", "nobody"]).failed_saying("give --key");
    place.run(&["recognize", &photo, "--group", "nowhere"]).failed_saying("the server says group_not_found");
}
