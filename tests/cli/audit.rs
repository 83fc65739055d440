//! `rollcall audit verify` through both doors.

use super::support::Place;

#[test]
fn both_doors_follow_the_log_of_a_tenant_and_of_the_server() {
    let place = Place::new();
    place.run_with(&["user", "add", "ada"], "a long password\n").succeeded();
    let verified = |args: &[&str]| place.run(&[&["audit", "verify"], args].concat()).succeeded().out;
    let alone = [verified(&[]), verified(&["--operator"])];
    assert!(alone[0].starts_with("2 entries fit each other"), "{alone:?}");
    assert!(alone[1].starts_with("2 entries fit each other"), "{alone:?}");
    assert_ne!(alone[0], alone[1]);
    place.run(&["audit", "verify", "--tenant", "nobody"]).failed_saying("no such tenant");
    let _server = place.serve();
    assert_eq!([verified(&[]), verified(&["--operator"])], alone);
}
