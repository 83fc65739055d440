//! Both doors: the server's where one answers, the store itself where none does, on one and the same data.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
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
    // The server was killed: its address is stale, and the store is free.
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

/// What a server that crashed leaves behind.
fn leave_address(place: &Place, address: SocketAddr) {
    std::fs::write(rollcall::app::address_path(&place.data()), format!("{address}\n0123456789abcdef\n")).unwrap();
}

#[test]
fn a_stranger_at_the_old_address_who_plays_a_server_gets_no_key() {
    let place = Place::new();
    std::fs::create_dir_all(place.data()).unwrap();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    leave_address(&place, stranger.local_addr().unwrap());
    let (heard, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in stranger.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 4096];
            let length = connection.read(&mut request).unwrap();
            heard.send(String::from_utf8_lossy(&request[..length]).into_owned()).unwrap();
            let body = r#"{"status":"live","instance":"fedcba9876543210"}"#;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    let photo = portrait_path("biden");
    place.run(&["recognize", &photo, "--key", "rk_secret"]).succeeded().says("unknown faces: 1");
    let requests: Vec<String> = requests.try_iter().collect();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].starts_with("GET /health/live") && !requests[0].contains("rk_secret"), "{requests:?}");
}

#[test]
fn something_else_at_the_old_address_is_no_server() {
    let place = Place::new();
    std::fs::create_dir_all(place.data()).unwrap();
    // Bound and never accepting HTTP: closed as soon as somebody connects.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    leave_address(&place, other.local_addr().unwrap());
    std::thread::spawn(move || while other.accept().is_ok() {});
    place.run(&["recognize", &portrait_path("biden")]).succeeded().says("unknown faces: 1");
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
