//! `rollcall user` and `rollcall keys`, with and without a server.

use super::support::{Place, rollcall_with};

const PASSWORD: &str = "a long password\n";

#[test]
fn users_are_made_listed_and_given_passwords_by_both_doors() {
    let place = Place::new();
    let add = |args: &[&str], password: &str| place.run_with(&[&["user", "add"], args].concat(), password);
    add(&["ada", "--role", "viewer"], PASSWORD).succeeded().says("ada: viewer");
    add(&["bob", "--operator"], PASSWORD).succeeded().says("bob: operator");
    add(&["eve"], "short\n").failed_saying("at least 8 characters");
    add(&["eve", "--role", "king"], PASSWORD).failed_saying("king");
    place.run_with(&["keys", "rotate"], "").succeeded().says("a new key");
    let secrets = || std::fs::read_to_string(place.data().join("tokens.secret")).unwrap();
    let (alone, server) = (secrets(), place.serve());
    add(&["carl", "--role", "kiosk", "--group", "none"], PASSWORD).failed_saying("the server says group_not_found");
    add(&["ada"], PASSWORD).failed_saying("the server says user_exists");
    add(&["carl"], PASSWORD).succeeded().says("carl: admin");
    place.run_with(&["user", "passwd", "ada"], "another password\n").succeeded().says("ada: new password");
    place.run_with(&["user", "passwd", "nobody"], PASSWORD).failed_saying("the server says user_not_found");
    let served = place.run_with(&["user", "list"], "").succeeded().out;
    assert!(served.contains("ada") && served.contains("carl") && !served.contains("bob"), "{served}");
    place.run_with(&["keys", "rotate"], "").succeeded();
    assert_ne!(secrets(), alone);
    drop(server);
    assert_eq!(place.run_with(&["user", "list"], "").succeeded().out, served);
    place.run_with(&["user", "list", "--operator"], "").succeeded().says("bob");
    let args = ["user", "add", "x", "--password", "y"];
    assert!(!rollcall_with(&args, "").ok, "a password is no argument");
}
