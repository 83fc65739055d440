use jiff::civil::date;
use proptest::prelude::*;

use super::{letters::PERSON, parts::date_bytes, tenants::data, *};
use crate::domain::{
    BackupId, ErasureId, FaceId, GroupSessionId, JobId, KeyId, Pseudonym, Realm, RecordId, SessionId, StrangerId,
    WebhookId,
};

const ID: &str = "[A-Za-z0-9._@:/+-]([A-Za-z0-9._@:/+ -]{0,6}[A-Za-z0-9._@:/+-])?";

fn id_text() -> impl Strategy<Value = String> {
    ID.prop_filter("an id", |text| ![".", ".."].contains(&text.as_str()))
}

fn id<T: std::str::FromStr<Err = crate::Error>>(text: &str) -> T {
    text.parse().unwrap()
}

#[test]
fn parts_cannot_run_into_each_other() {
    let tenant = id("t");
    let record = RecordId::generate();
    assert!(!mark(&tenant, &id("ab"), record).starts_with(&marks(&tenant, &id("a"))));
    assert!(!people(&id("ab")).starts_with(&data(&id("a"), PERSON)));
}

#[test]
fn dates_sort_in_time() {
    let dates =
        [date(-9999, 1, 1), date(-1, 12, 31), date(0, 1, 1), date(1999, 12, 31), date(2026, 2, 1), date(9999, 12, 31)];
    assert!(dates.windows(2).all(|pair| date_bytes(pair[0]) < date_bytes(pair[1])));
}

#[test]
fn every_key_says_what_it_was_made_of() {
    let (t, g) = (&id("t/1"), &id("g-1"));
    // A zero byte in a fixed part ends nothing.
    let (p, q) = (Pseudonym::from_bytes([0; 16]), Pseudonym::generate());
    let work = JobId::generate();
    let (face_id, record, meeting) = (FaceId::generate(), RecordId::generate(), GroupSessionId::generate());
    let (key, login, r) = (KeyId::generate(), SessionId::generate(), &Realm::Tenant(id("t/1")));
    let (copy, erased) = (BackupId::generate(), ErasureId::generate());
    let (day, hook, somebody) = (date(-44, 3, 15), WebhookId::generate(), StrangerId::generate());
    let of = |kind| Parsed::Data(id("t/1"), kind);
    let keys = [
        (format(), Parsed::Format),
        (api_key(&[7; 32]), Parsed::ApiKey([7; 32])),
        (key_place(&Realm::Server, key), Parsed::KeyPlace(Realm::Server, key)),
        (key_place(r, key), Parsed::KeyPlace(r.clone(), key)),
        (user(r, &id("u@x")), Parsed::User(r.clone(), id("u@x"))),
        (audit_entry(r, 7), Parsed::AuditEntry(r.clone(), 7)),
        (audit_head(&Realm::Server), Parsed::AuditHead(Realm::Server)),
        (audit_salt(r), Parsed::AuditSalt(r.clone())),
        (session(login), Parsed::Session(login)),
        (backup(copy), Parsed::Backup(copy)),
        (erasure(&Realm::Server, erased), Parsed::Erasure(erased)),
        (erasure(r, erased), of(Kind::Erasure(erased))),
        (pending(&Realm::Server, erased), Parsed::Pending(Realm::Server, erased)),
        (pending(r, erased), Parsed::Pending(r.clone(), erased)),
        (tenant(t), Parsed::Tenant(id("t/1"))),
        (settings(t), of(Kind::Settings)),
        (usage(t), of(Kind::Usage)),
        (photos(t), of(Kind::Photos)),
        (group(t, g), of(Kind::Group(id("g-1")))),
        (salt(t), of(Kind::Salt)),
        (place(t, &[5; 32]), of(Kind::Place([5; 32]))),
        (person(t, p), of(Kind::Person(p))),
        (word(t, [0; 8], p), of(Kind::Word([0; 8], p))),
        (face(t, p, face_id), of(Kind::Face(p, face_id))),
        (kept_photo(t, p, face_id), of(Kind::KeptPhoto(p, face_id))),
        (photo_key(t, p), of(Kind::PhotoKey(p))),
        (negative(t, p, face_id), of(Kind::Negative(p, face_id))),
        (disowned(t, q, p, face_id), of(Kind::Disowned(q, p, face_id))),
        (member(t, g, p), of(Kind::Member(id("g-1"), p))),
        (membership(t, p, g), of(Kind::Membership(p, id("g-1")))),
        (group_session(t, meeting), of(Kind::GroupSession(meeting))),
        (agenda(t, g, day, meeting), of(Kind::Agenda(id("g-1"), day, meeting))),
        (timetable(t, g), of(Kind::Timetable(id("g-1")))),
        (timetable_tag(t, [3; 6]), of(Kind::TimetableTag([3; 6]))),
        (holidays(t), of(Kind::Holidays)),
        (attendance(t, meeting, p), of(Kind::Attendance(meeting, p))),
        (mark(t, g, record), of(Kind::Mark(id("g-1"), record))),
        (sighting(t, p, meeting), of(Kind::Sighting(p, meeting))),
        (stranger(t, meeting, somebody), of(Kind::Stranger(meeting, somebody))),
        (sheet_block(t, meeting, p), of(Kind::SheetBlock(meeting, p))),
        (event_log(t), of(Kind::EventLog)),
        (event(t, 300), of(Kind::Event(300))),
        (person_event(t, p, 300), of(Kind::PersonEvent(p, 300))),
        (group_event(t, g, 300), of(Kind::GroupEvent(id("g-1"), 300))),
        (webhook(t, hook), of(Kind::Webhook(hook))),
        (delivery(t, hook), of(Kind::Delivery(hook))),
        (dead_letter(t, hook, 300), of(Kind::DeadLetter(hook, 300))),
        (answer(Some(t), &[9; 32]), of(Kind::Answer([9; 32]))),
        (job(t, work), of(Kind::Job(work))),
        (item(t, work, 7), of(Kind::Item(work, 7))),
        (mention(t, p, work, 7), of(Kind::Mention(p, work, 7))),
        (answer(None, &[9; 32]), Parsed::OperatorAnswer([9; 32])),
    ];
    for (key, expected) in keys {
        assert_eq!(parse(&key).as_ref(), Some(&expected));
        assert_eq!(parse(&[&key[..], b"x"].concat()), None, "longer than {expected:?}");
        assert_eq!(parse(&key[..key.len() - 1]), None, "shorter than {expected:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_key_that_cannot_be_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn keys_are_unique_and_sort_as_ids(a in (id_text(), id_text()), b in (id_text(), id_text())) {
        let key = |(tenant, name): &(String, String)| group(&id(tenant), &id(name));
        prop_assert_eq!(key(&a) == key(&b), a == b);
        prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
    }
}
