//! Certificates of one's own, from the command to a client that trusts them.

use std::{fs, os::unix::fs::PermissionsExt};

use super::support::{Place, text};

#[test]
fn an_authority_is_made_once_and_certifies_again() {
    let place = Place::new();
    let made = place.run(&["tls", "init", "--name", "rollcall.school.example"]).succeeded();
    let folder = place.data().join("tls");
    for words in [
        "rollcall.school.example, localhost",
        "127.0.0.1",
        &format!("tls_certificate = \"{}\"", text(&folder.join("server.pem"))),
        &format!("tls_key = \"{}\"", text(&folder.join("server.key"))),
        ":8443/ca.crt",
        "█",
        "iPhone",
        "Android",
        "fingerprint",
    ] {
        assert!(made.out.contains(words), "{words:?} is not in:\n{}", made.out);
    }
    for (file, mode) in [("ca.key", 0o600), ("server.key", 0o600), ("ca.pem", 0o644), ("server.pem", 0o644)] {
        assert_eq!(fs::metadata(folder.join(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    place.run(&["tls", "init"]).failed_saying("rollcall tls renew");
    place.run(&["tls", "renew"]).succeeded().says("localhost");
    place.run(&["tls", "renew", "--name", "no name"]).failed_saying("no name is neither a name");
    fs::remove_file(folder.join("ca.key")).unwrap();
    place.run(&["tls", "renew"]).failed_saying("ca.key is missing");
}
