//! What fuzzing asks of keys, records and backups.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "to panic is how it says no")]

use super::{
    Backup, Erasure, KeptAnswer,
    api_keys::{ApiKey, KeyPlace},
    archive::{self, Reader, Writer},
    attendance::Place,
    codec::{self, Record, is_intact, sealed},
    erasures::Pending,
    events::{Mention, Numbers},
    jobs::KeptReport,
    keys::{self, Key, Kind, Parsed, parse},
    open::Format,
    pseudonyms::Salt,
    sheets::Block,
    snapshots,
    timetables::Holidays,
    users::{Session, User},
};
use crate::domain::{
    Amounts, AttendanceRecord, DeadLetter, Delivery, Event, FaceSample, Group, GroupId, GroupSession, GroupSessionId,
    Job, KeptPhoto, Negative, Person, PersonId, PhotoKey, PhotosOfDay, Pseudonym, Realm, Stranger, Tenant,
    TenantSettings, Timetable, Webhook, audit, roster::Member,
};

/// What a key says makes the same key again, byte by byte: no record has two keys.
pub fn keys(bytes: &[u8]) {
    let Some(parsed) = parse(bytes) else { return };
    assert_eq!(made_of(&parsed), bytes, "{parsed}");
    if let Parsed::Data(tenant, _) = &parsed {
        assert_eq!(keys::owner(bytes), Some(keys::tenant(tenant)));
    }
}

fn made_of(parsed: &Parsed) -> Key {
    match parsed {
        Parsed::Format => keys::format(),
        Parsed::ApiKey(hash) => keys::api_key(hash),
        Parsed::KeyPlace(realm, key) => keys::key_place(realm, *key),
        Parsed::User(realm, user) => keys::user(realm, user),
        Parsed::AuditEntry(realm, number) => keys::audit_entry(realm, *number),
        Parsed::AuditHead(realm) => keys::audit_head(realm),
        Parsed::AuditSalt(realm) => keys::audit_salt(realm),
        Parsed::Session(session) => keys::session(*session),
        Parsed::OperatorAnswer(id) => keys::answer(None, id),
        Parsed::Backup(backup) => keys::backup(*backup),
        Parsed::Erasure(erasure) => keys::erasure(&Realm::Server, *erasure),
        Parsed::Pending(realm, erasure) => keys::pending(realm, *erasure),
        Parsed::Tenant(tenant) => keys::tenant(tenant),
        Parsed::Data(tenant, kind) => match kind {
            Kind::Settings => keys::settings(tenant),
            Kind::Usage => keys::usage(tenant),
            Kind::Photos => keys::photos(tenant),
            Kind::Group(group) => keys::group(tenant, group),
            Kind::Salt => keys::salt(tenant),
            Kind::Place(digest) => keys::place(tenant, digest),
            Kind::Person(person) => keys::person(tenant, *person),
            Kind::Word(word, person) => keys::word(tenant, *word, *person),
            Kind::Face(person, face) => keys::face(tenant, *person, *face),
            Kind::KeptPhoto(person, face) => keys::kept_photo(tenant, *person, *face),
            Kind::PhotoKey(person) => keys::photo_key(tenant, *person),
            Kind::Negative(person, face) => keys::negative(tenant, *person, *face),
            Kind::Disowned(other, person, face) => keys::disowned(tenant, *other, *person, *face),
            Kind::Member(group, person) => keys::member(tenant, group, *person),
            Kind::Membership(person, group) => keys::membership(tenant, *person, group),
            Kind::GroupSession(session) => keys::group_session(tenant, *session),
            Kind::Agenda(group, date, session) => keys::agenda(tenant, group, *date, *session),
            Kind::Timetable(group) => keys::timetable(tenant, group),
            Kind::TimetableTag(tag) => keys::timetable_tag(tenant, *tag),
            Kind::Holidays => keys::holidays(tenant),
            Kind::Attendance(session, person) => keys::attendance(tenant, *session, *person),
            Kind::Mark(group, record) => keys::mark(tenant, group, *record),
            Kind::Sighting(person, session) => keys::sighting(tenant, *person, *session),
            Kind::Stranger(session, stranger) => keys::stranger(tenant, *session, *stranger),
            Kind::SheetBlock(session, from) => keys::sheet_block(tenant, *session, *from),
            Kind::Erasure(erasure) => keys::erasure(&Realm::Tenant(tenant.clone()), *erasure),
            Kind::Answer(id) => keys::answer(Some(tenant), id),
            Kind::EventLog => keys::event_log(tenant),
            Kind::Event(number) => keys::event(tenant, *number),
            Kind::PersonEvent(person, number) => keys::person_event(tenant, *person, *number),
            Kind::GroupEvent(group, number) => keys::group_event(tenant, group, *number),
            Kind::Webhook(webhook) => keys::webhook(tenant, *webhook),
            Kind::Delivery(webhook) => keys::delivery(tenant, *webhook),
            Kind::DeadLetter(webhook, number) => keys::dead_letter(tenant, *webhook, *number),
            Kind::Job(job) => keys::job(tenant, *job),
            Kind::Item(job, number) => keys::item(tenant, *job, *number),
            Kind::Mention(person, job, number) => keys::mention(tenant, *person, *job, *number),
            Kind::Snapshot => keys::snapshot(tenant),
            Kind::Chunk(generation, number) => keys::chunk(tenant, *generation, *number),
        },
    }
}

/// A backup that nobody made is refused, and the changes of a chunk come back out of one that is made of them. The input
/// is a file, and also the body of a chunk, whose checksum is none's to guess.
pub fn backup(bytes: &[u8]) {
    if let Ok(mut reader) = Reader::open(bytes) {
        while let Ok(Some(changes)) = reader.next_chunk() {
            assert!(changes.len() <= bytes.len());
        }
    }
    let Some(changes) = archive::parse(bytes) else { return };
    let (mut writer, header) = Writer::new(1);
    let pieces: Vec<_> = changes.iter().filter_map(|change| writer.push(change)).collect();
    let file = [&[header][..], &pieces, &[writer.finish()]].concat().concat();
    let mut reader = Reader::open(&file[..]).expect("a backup was written");
    let mut read = Vec::new();
    while let Some(more) = reader.next_chunk().expect("a backup was written") {
        read.extend(more);
    }
    assert!(read == changes && reader.entries() == changes.len() as u64);
}

/// A record that can be read is written so that the same is read again. The input is a record without its checksum,
/// which is none's to guess: version, kind, body.
pub fn records(bytes: &[u8]) {
    assert!(!is_intact(bytes) || bytes.len() >= 6);
    let Some((&[version, kind], body)) = bytes.split_first_chunk() else { return };
    let record = sealed(version, kind, body);
    assert!(is_intact(&record));
    macro_rules! written_as_read {
        ($($kind:ty),*) => {
            match kind {
                $(<$kind>::KIND => written_as_read::<$kind>(&record),)*
                _ => {}
            }
        };
    }
    written_as_read!(
        Amounts,
        ApiKey,
        AttendanceRecord,
        audit::Entry,
        audit::Head,
        audit::Salt,
        Backup,
        Block,
        DeadLetter,
        Delivery,
        Erasure,
        Event,
        FaceSample,
        Format,
        Group,
        GroupId,
        GroupSession,
        GroupSessionId,
        Holidays,
        Job,
        KeptAnswer,
        KeptPhoto,
        KeptReport,
        KeyPlace,
        Member,
        Mention,
        Negative,
        Numbers,
        Pending,
        Person,
        PersonId,
        PhotoKey,
        PhotosOfDay,
        Place,
        Pseudonym,
        Salt,
        Session,
        snapshots::Chunk,
        snapshots::Head,
        Stranger,
        Tenant,
        TenantSettings,
        Timetable,
        User,
        Webhook
    );
    if let Ok(in_place) = codec::decode_face(&record) {
        let whole = codec::decode::<FaceSample>(&record);
        if let Ok(whole) = whole {
            let mut vector = Vec::new();
            in_place.vector.copy_to(&mut vector);
            assert_eq!((in_place.id, in_place.person), (&whole.id.as_bytes()[..], whole.person.as_str()));
            assert!(vector.iter().map(|n| n.to_bits()).eq(whole.vector.iter().map(|n| n.to_bits())));
        }
    } else {
        assert!(codec::decode::<FaceSample>(&record).is_err() || version < FaceSample::VERSION, "not in place");
    }
}

/// Bytes are compared, as numbers of a record may be none.
fn written_as_read<R: Record>(bytes: &[u8]) {
    let Ok(record) = codec::decode::<R>(bytes) else { return };
    let once = codec::encode(&record).expect("what was short enough to be read is short enough to be written");
    let again = codec::decode::<R>(&once).expect("what was written is read");
    assert_eq!(codec::encode(&again).ok(), Some(once));
}
