//! Every kind of record, a line each: the one place where a kind is added. The macros in `level` make of it whatever the
//! rest of the store asks of keys and records.
//!
//! A line reads
//!
//! ```text
//! /// What the record is.
//! b'f' Face(person: Pseudonym, face: FaceId), face [faces, faces_of] => FaceSample(7, 1),
//!     audit told, check people::face;
//! ```
//!
//! - the kind's letter, which no other of its level has, its name, and the parts of its key in the key's order;
//! - the function that makes the key, which also names the kind in reports unless `as "…"` does, and those that make
//!   its prefixes, for who scans: the first of no part, each other of one part more than the one before, `_` where
//!   nobody does;
//! - the type of the value with its number ([`Record::KIND`]) and the version of its layout. Of a type that several
//!   kinds have, one says them. Of a version after the first, the type reads the older ones as [`Older`];
//! - whether the audit log has to tell of a change: `told` in the log of its realm, `told_of_removal`, `told_if(…)`
//!   where a function of the guard finds something to tell, `by(…)` in the log that such a function says, or
//!   `never("why")`;
//! - what the check does with it: `readable` where nothing but its bytes can be wrong, or else the function that is
//!   given the parts.
//!
//! A key is the beginning that its level has, the letter and the parts, see [`keys`]:
//!
//! | level | key |
//! |---|---|
//! | [`Server`] | letter parts |
//! | [`Access`] | `a` realm letter parts; a realm is a tenant, or empty: the server |
//! | [`Kind`] | `d` tenant letter parts |
//!
//! Keys say nothing of people: `person` and `other` are pseudonyms, and what finds a pseudonym are salted digests.

#[macro_use]
mod level;

use std::fmt;

use jiff::civil::Date;

use super::{
    Backup, Erasure, KeptAnswer,
    access::{
        api_keys::{ApiKey, KeyPlace},
        audit::Change,
        erasures::Pending,
        users::{Session, User},
    },
    attendance::{record::Place, sheets::Block, timetables::Holidays},
    codec::{Older, OlderBody, Record},
    events::log::{Mention, Numbers},
    jobs::KeptReport,
    keys::{
        self, ACCESS, DATA, Key, PersonDigest, WordDigest,
        parts::{KeyPart, Part, Parts},
    },
    operations::{
        check::{Entry, Finding, Found, OfRealm, access, audit as log, events, groups, jobs, people, server},
        open::Format,
    },
    people::pseudonyms::Salt,
    recognition::snapshots::{Chunk, Head as SnapshotHead},
};
use crate::{
    domain::{
        Amounts, AttendanceRecord, BackupId, DeadLetter, Delivery, ErasureId, Event, FaceId, FaceSample, Group,
        GroupId, GroupSession, GroupSessionId, Job, JobId, KeptPhoto, KeyId, Negative, Person, PhotoKey, PhotosOfDay,
        Pseudonym, Realm, RecordId, SessionId, Stranger, StrangerId, Tenant, TenantId, TenantSettings, Timetable,
        UserId, Webhook, WebhookId,
        access::audit::{Entry as AuditEntry, Head as AuditHead, Salt as AuditSalt},
        attendance::roster::Member,
        ids::TimetableTag,
    },
    error::Result,
};

level! {
    /// What a key says of a record of the server.
    Server () from keys::server, found Entry<'_>, letters beside [ACCESS, DATA];

    /// The store's version.
    b'!' Format, format => Format(0, 1),
        audit never("the store's own"), check readable;
    /// An API key, by the SHA-256 of its secret.
    b'k' ApiKey(hash: [u8; 32]), api_key => ApiKey(2, 3),
        audit by(Change::of_key), check access::api_key;
    /// Somebody's login.
    b's' Session(session: SessionId), session => Session(42, 1),
        audit never("that somebody logged in changes nothing that they work on"), check access::session;
    /// What a request of the operator was answered.
    b'i' OperatorAnswer(id: [u8; 32]), operator_answer [operator_answers] => KeptAnswer(31, 1),
        audit never("that a request took effect is no change of its own"), check readable;
    /// A copy of the store that was given away.
    b'b' Backup(backup: BackupId), backup [backups] => Backup(52, 2),
        audit told_of_removal, check server::backup;
    /// A tenant that was erased.
    b'v' Erasure(erasure: ErasureId), tenant_erasure [tenant_erasures] as "erasure" => Erasure(50, 1),
        audit never("comes with a deletion, which is told"), check server::erasure;
    /// That the bytes of an erasure may still be on the disk: when it was asked for.
    b'w' Pending(realm: Realm, erasure: ErasureId), pending [all_pending, pending_in] => Pending(51, 1),
        audit never("comes with a deletion, which is told"), check server::pending;
    /// A tenant.
    b't' Tenant(tenant: TenantId), tenant [tenants] => Tenant(1, 2),
        audit by(Change::of_tenant), check server::tenant;
}

level! {
    /// What a key says of a record of who may do what, and of what they did: of a realm.
    Access (realm: &Realm) from keys::access, found OfRealm<'_>, letters beside [];

    /// The hash under which the API key is.
    b'k' KeyPlace(key: KeyId), key_place [key_places] as "api_key_index" => KeyPlace(40, 1),
        audit never("says where the key is, which says the rest"), check access::key_place;
    /// A user.
    b'u' User(user: UserId), user [users] => User(41, 1),
        audit told_if(Change::is_beyond_logins), check access::user;
    /// An entry of the audit log.
    b'e' AuditEntry(number: u64), audit_entry [audit_entries] => AuditEntry(61, 1),
        audit never("the log itself"), check log::entry;
    /// Where the audit log ends.
    b'h' AuditHead, audit_head => AuditHead(60, 1),
        audit never("the log itself"), check log::head;
    /// What is digested for the audit log.
    b's' AuditSalt, audit_salt => AuditSalt(62, 1),
        audit never("the log itself"), check log::salt;
}

level! {
    /// What a key says of a tenant's record.
    Kind (tenant: &TenantId) from keys::data, found Found<'_>, letters beside [];

    /// What the operator has set for the tenant.
    b'o' Settings, settings => TenantSettings(10, 3),
        audit by(Change::of_tenant), check readable;
    /// How much the tenant has.
    b'u' Usage, usage => Amounts(11, 1),
        audit never("counted along with what it counts"), check readable;
    /// How many photos the tenant has sent on its last day.
    b'q' Photos, photos => PhotosOfDay(30, 1),
        audit never("counted along with what it counts"), check readable;
    /// What a request of the tenant was answered.
    b'r' Answer(id: [u8; 32]), tenant_answer [tenant_answers] as "answer" => KeptAnswer,
        audit never("that a request took effect is no change of its own"), check readable;
    /// A person who was erased.
    b'v' Erasure(erasure: ErasureId), person_erasure [person_erasures] as "erasure" => Erasure,
        audit never("comes with a deletion, which is told"), check people::erasure;

    /// What makes the digests of this tenant differ from another's.
    b'e' Salt, salt => Salt(12, 1),
        audit never("made with the first person"), check readable;
    /// The pseudonym of the person of this id.
    b'l' Place(id: PersonDigest), place => Pseudonym(13, 1),
        audit never("made with the person"), check people::place;
    /// A person.
    b'p' Person(person: Pseudonym), person [people] => Person(6, 2),
        audit told, check people::person;
    /// The same person: a word of their name or id begins so.
    b'w' Word(word: WordDigest, person: Pseudonym), word [words, words_like] => Pseudonym,
        audit never("found again from the person"), check people::word;
    /// A face sample.
    b'f' Face(person: Pseudonym, face: FaceId), face [faces, faces_of] => FaceSample(7, 1),
        audit told, check people::face;
    /// Where the photo behind the sample lies.
    b'b' KeptPhoto(person: Pseudonym, face: FaceId), kept_photo [kept_photos, kept_photos_of] => KeptPhoto(33, 1),
        audit never("comes with a sample, and goes with it or after its time"), check people::kept_photo;
    /// The encrypted key of the person's photos.
    b'h' PhotoKey(person: Pseudonym), photo_key => PhotoKey(34, 1),
        audit never("comes with a sample, and goes with it or after its time"), check people::photo_key;
    /// A face that is not the person's.
    b'z' Negative(person: Pseudonym, face: FaceId), negative [negatives, negatives_of] => Negative(32, 1),
        audit told, check people::negative;
    /// The person, whose negative was made of the other's sample.
    b'y' Disowned(other: Pseudonym, person: Pseudonym, face: FaceId), disowned [_, disowned_of] => Pseudonym,
        audit never("found again from the negative"), check people::disowned;

    /// A group.
    b'g' Group(group: GroupId), group [groups] => Group(3, 1),
        audit told, check groups::group;
    /// Somebody's place on the roster.
    b'm' Member(group: GroupId, person: Pseudonym), member [_, members] => Member(80, 2),
        audit told, check groups::member;
    /// The group's id: the roster the other way round.
    b'n' Membership(person: Pseudonym, group: GroupId), membership [_, memberships] => GroupId(5, 1),
        audit never("found again from the roster"), check groups::membership;
    /// A session of a group.
    b'S' GroupSession(session: GroupSessionId), group_session => GroupSession(81, 2),
        audit told_if(Change::is_beyond_photos), check groups::group_session;
    /// The session's id, by its local date.
    b'A' Agenda(group: GroupId, date: Date, session: GroupSessionId), agenda [_, agenda_of, agenda_on]
        => GroupSessionId(82, 1),
        audit never("found again from the session"), check groups::agenda;
    /// A timetable.
    b'T' Timetable(group: GroupId), timetable => Timetable(83, 1),
        audit told, check groups::timetable;
    /// The id of the group whose timetable has the tag.
    b'N' TimetableTag(tag: TimetableTag), timetable_tag => GroupId,
        audit never("found again from the timetable"), check groups::timetable_tag;
    /// Days on which nobody meets.
    b'H' Holidays, holidays => Holidays(84, 1),
        audit told, check readable;
    /// An attendance record; the key is what makes a mark unique.
    b'a' Attendance(session: GroupSessionId, person: Pseudonym), attendance [_, attendance_in]
        => AttendanceRecord(8, 2),
        audit told_if(Change::is_beyond_sightings), check groups::attendance;
    /// Where the attendance record of this id is.
    b'i' Mark(group: GroupId, record: RecordId), mark => Place(9, 1),
        audit never("found again from the attendance record"), check groups::mark;
    /// The group's id: where the person's attendance records are.
    b's' Sighting(person: Pseudonym, session: GroupSessionId), sighting [_, sightings] => GroupId,
        audit never("found again from the attendance record"), check groups::sighting;
    /// Somebody in the session for whom nobody was named.
    b'U' Stranger(session: GroupSessionId, stranger: StrangerId), stranger [strangers, strangers_in] => Stranger(85, 2),
        audit never("comes with photos, and goes after its time; who says that it is nobody's tells of it"),
        check groups::stranger;
    /// What a closed session's register says of people from this one on.
    b'R' SheetBlock(session: GroupSessionId, from: Pseudonym), sheet_block [_, sheet] => Block(90, 1),
        audit never("found again from the session and its attendance records"), check groups::sheet_block;

    /// Where the tenant's event log begins and ends.
    b'L' EventLog, event_log => Numbers(71, 1),
        audit never("tells of changes by itself"), check readable;
    /// An event.
    b'E' Event(number: u64), event [events] => Event(70, 1),
        audit never("tells of changes by itself"), check events::event;
    /// Nothing: the event is about the person.
    b'P' PersonEvent(person: Pseudonym, number: u64), person_event [_, person_events] => Mention(72, 1),
        audit never("goes with the event"), check events::person_event;
    /// Nothing: the event is about the group.
    b'G' GroupEvent(group: GroupId, number: u64), group_event [_, group_events] => Mention,
        audit never("goes with the event"), check events::group_event;
    /// Where events are sent.
    b'W' Webhook(webhook: WebhookId), webhook [webhooks] => Webhook(73, 1),
        audit told, check events::webhook;
    /// How far the webhook has come.
    b'V' Delivery(webhook: WebhookId), delivery => Delivery(74, 1),
        audit never("changes with every delivery"), check events::delivery;
    /// An event that the webhook could not be told of.
    b'X' DeadLetter(webhook: WebhookId, number: u64), dead_letter [_, dead_letters] => DeadLetter(75, 1),
        audit never("changes with deliveries"), check events::dead_letter;

    /// A job.
    b'J' Job(job: JobId), job [jobs] => Job(76, 2),
        audit never("what a job does to people tells of itself"), check jobs::job;
    /// The report of one item of a job.
    b'I' Item(job: JobId, number: u64), item [_, items_of] as "job_item" => KeptReport(77, 3),
        audit never("what a job does to people tells of itself"), check jobs::item;
    /// The person, of whom the report speaks.
    b'M' Mention(person: Pseudonym, job: JobId, number: u64), mention [_, mentions_of] as "job_mention" => Pseudonym,
        audit never("found again from the report"), check jobs::mention;

    /// Which snapshot of the gallery's index is whole.
    b'x' Snapshot, snapshot => SnapshotHead(20, 1),
        audit never("a gallery's index can be made anew at any time"), check readable;
    /// A part of a snapshot.
    b'c' Chunk(generation: u64, number: u32), chunk [chunks] => Chunk(21, 1),
        audit never("a gallery's index can be made anew at any time"), check readable;
}

/// Numbers that records had which are no more: no other may ever have them. 4 was a person's id, on early rosters.
const RETIRED: &[u8] = &[4];

const _: () = assert!(
    are_distinct(&[Server::NUMBERS, Access::NUMBERS, Kind::NUMBERS, RETIRED]),
    "two types of record have the same number"
);

/// Whether no number stands in the lists twice.
const fn are_distinct(lists: &[&[u8]]) -> bool {
    let mut seen = [false; 256];
    let mut at = 0;
    while at < lists.len() {
        let mut number = 0;
        while number < lists[at].len() {
            let slot = lists[at][number] as usize;
            if seen[slot] {
                return false;
            }
            seen[slot] = true;
            number += 1;
        }
        at += 1;
    }
    true
}

/// Is told of the type of each record that has a number, once.
#[cfg(any(test, fuzzing))]
pub(in crate::store) trait EachType {
    fn see<R: Record>(&mut self, name: &'static str);
}

/// Tells `each` of every type of record.
#[cfg(any(test, fuzzing))]
pub(in crate::store) fn each_type(each: &mut impl EachType) {
    Server::each_type(each);
    Access::each_type(each);
    Kind::each_type(each);
}

/// A key of each kind, of every owner that its level has, whose parts are made of numbers from `seed` on.
#[cfg(test)]
pub(in crate::store) fn samples(seed: u8) -> Vec<keys::Parsed> {
    use keys::Parsed;
    let realm = Realm::sample(1);
    let of_server = Access::samples(seed).into_iter().map(|kind| Parsed::Access(Realm::Server, kind));
    let of_realm = Access::samples(seed).into_iter().map(|kind| Parsed::Access(realm.clone(), kind));
    let of_tenant = Kind::samples(seed).into_iter().map(|kind| Parsed::Data(TenantId::sample(2), kind));
    Server::samples(seed).into_iter().map(Parsed::Server).chain(of_server).chain(of_realm).chain(of_tenant).collect()
}
