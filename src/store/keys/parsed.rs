//! What a key says, read from its bytes.

use std::fmt;

use jiff::civil::Date;

use super::{PersonDigest, WordDigest, letters, parts::Parts};
use crate::domain::{
    BackupId, ErasureId, FaceId, GroupId, GroupSessionId, JobId, KeyId, Pseudonym, Realm, RecordId, SessionId,
    StrangerId, TenantId, UserId, WebhookId, ids::TimetableTag,
};

/// What a key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Parsed {
    Format,
    ApiKey([u8; 32]),
    KeyPlace(Realm, KeyId),
    User(Realm, UserId),
    AuditEntry(Realm, u64),
    AuditHead(Realm),
    AuditSalt(Realm),
    Session(SessionId),
    OperatorAnswer([u8; 32]),
    Backup(BackupId),
    /// Of a tenant.
    Erasure(ErasureId),
    Pending(Realm, ErasureId),
    Tenant(TenantId),
    /// A record of a tenant.
    Data(TenantId, Kind),
}

/// What a key says of a tenant's record, its parts in the key's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Settings,
    Usage,
    Photos,
    Group(GroupId),
    Salt,
    Place(PersonDigest),
    Person(Pseudonym),
    Word(WordDigest, Pseudonym),
    Face(Pseudonym, FaceId),
    KeptPhoto(Pseudonym, FaceId),
    PhotoKey(Pseudonym),
    Negative(Pseudonym, FaceId),
    Disowned(Pseudonym, Pseudonym, FaceId),
    Member(GroupId, Pseudonym),
    Membership(Pseudonym, GroupId),
    GroupSession(GroupSessionId),
    Agenda(GroupId, Date, GroupSessionId),
    Timetable(GroupId),
    TimetableTag(TimetableTag),
    Holidays,
    Attendance(GroupSessionId, Pseudonym),
    Mark(GroupId, RecordId),
    Sighting(Pseudonym, GroupSessionId),
    Stranger(GroupSessionId, StrangerId),
    SheetBlock(GroupSessionId, Pseudonym),
    /// Of a person.
    Erasure(ErasureId),
    Answer([u8; 32]),
    EventLog,
    Event(u64),
    PersonEvent(Pseudonym, u64),
    GroupEvent(GroupId, u64),
    Webhook(WebhookId),
    Delivery(WebhookId),
    DeadLetter(WebhookId, u64),
    Job(JobId),
    /// With its number.
    Item(JobId, u64),
    Mention(Pseudonym, JobId, u64),
    Snapshot,
    /// Generation and number.
    Chunk(u64, u32),
}

impl Kind {
    /// What such a record is called.
    pub(in crate::store) const fn name(&self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Usage => "usage",
            Self::Photos => "photos",
            Self::Group(..) => "group",
            Self::Salt => "salt",
            Self::Place(..) => "place",
            Self::Person(..) => "person",
            Self::Word(..) => "word",
            Self::Face(..) => "face",
            Self::KeptPhoto(..) => "kept_photo",
            Self::PhotoKey(..) => "photo_key",
            Self::Negative(..) => "negative",
            Self::Disowned(..) => "disowned",
            Self::Member(..) => "member",
            Self::Membership(..) => "membership",
            Self::GroupSession(..) => "group_session",
            Self::Agenda(..) => "agenda",
            Self::Timetable(..) => "timetable",
            Self::TimetableTag(..) => "timetable_tag",
            Self::Holidays => "holidays",
            Self::Attendance(..) => "attendance",
            Self::Mark(..) => "mark",
            Self::Sighting(..) => "sighting",
            Self::Stranger(..) => "stranger",
            Self::SheetBlock(..) => "sheet_block",
            Self::Erasure(..) => "erasure",
            Self::Answer(..) => "answer",
            Self::EventLog => "event_log",
            Self::Event(..) => "event",
            Self::PersonEvent(..) => "person_event",
            Self::GroupEvent(..) => "group_event",
            Self::Webhook(..) => "webhook",
            Self::Delivery(..) => "delivery",
            Self::DeadLetter(..) => "dead_letter",
            Self::Job(..) => "job",
            Self::Item(..) => "job_item",
            Self::Mention(..) => "job_mention",
            Self::Snapshot => "snapshot",
            Self::Chunk(..) => "chunk",
        }
    }
}

/// For the operator, who looks for a record.
impl fmt::Display for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("format"),
            Self::ApiKey(hash) => write!(f, "api_key {}", hex::encode(&hash[..4])),
            Self::KeyPlace(realm, key) => write!(f, "{} api_key {key}", RealmName(realm)),
            Self::User(realm, user) => write!(f, "{} user {user}", RealmName(realm)),
            Self::AuditEntry(realm, number) => write!(f, "{} audit entry {number}", RealmName(realm)),
            Self::AuditHead(realm) => write!(f, "{} audit head", RealmName(realm)),
            Self::AuditSalt(realm) => write!(f, "{} audit salt", RealmName(realm)),
            Self::Session(session) => write!(f, "session {session}"),
            Self::OperatorAnswer(id) => write!(f, "operator answer {}", hex::encode(&id[..4])),
            Self::Backup(backup) => write!(f, "backup {backup}"),
            Self::Erasure(erasure) => write!(f, "erasure {erasure}"),
            Self::Pending(realm, erasure) => write!(f, "{} pending {erasure}", RealmName(realm)),
            Self::Tenant(tenant) => write!(f, "tenant {tenant}"),
            Self::Data(tenant, kind) => {
                write!(f, "tenant {tenant} {}", kind.name())?;
                match kind {
                    Kind::Settings
                    | Kind::Usage
                    | Kind::Photos
                    | Kind::Salt
                    | Kind::Holidays
                    | Kind::EventLog
                    | Kind::Snapshot => Ok(()),
                    Kind::GroupSession(session) => write!(f, " {session}"),
                    Kind::Agenda(group, date, session) => write!(f, " {group} {date} {session}"),
                    Kind::TimetableTag(tag) => write!(f, " {}", hex::encode(tag)),
                    Kind::Group(group) | Kind::Timetable(group) => write!(f, " {group}"),
                    Kind::Place(digest) => write!(f, " {}", hex::encode(&digest[..4])),
                    Kind::Person(person) | Kind::PhotoKey(person) | Kind::Word(_, person) => write!(f, " {person}"),
                    Kind::Disowned(other, person, face) => write!(f, " {other} {person} {face}"),
                    Kind::Face(person, face) | Kind::KeptPhoto(person, face) | Kind::Negative(person, face) => {
                        write!(f, " {person} {face}")
                    }
                    Kind::Member(group, person) => write!(f, " {group} {person}"),
                    Kind::Membership(person, group) => write!(f, " {person} {group}"),
                    Kind::Attendance(session, person) | Kind::SheetBlock(session, person) => {
                        write!(f, " {session} {person}")
                    }
                    Kind::Mark(group, record) => write!(f, " {group} {record}"),
                    Kind::Sighting(person, session) => write!(f, " {person} {session}"),
                    Kind::Stranger(session, stranger) => write!(f, " {session} {stranger}"),
                    Kind::Erasure(erasure) => write!(f, " {erasure}"),
                    Kind::Answer(id) => write!(f, " {}", hex::encode(&id[..4])),
                    Kind::Event(number) => write!(f, " {number}"),
                    Kind::PersonEvent(person, number) => write!(f, " {person} {number}"),
                    Kind::GroupEvent(group, number) => write!(f, " {group} {number}"),
                    Kind::Webhook(webhook) | Kind::Delivery(webhook) => write!(f, " {webhook}"),
                    Kind::DeadLetter(webhook, number) => write!(f, " {webhook} {number}"),
                    Kind::Job(job) => write!(f, " {job}"),
                    Kind::Item(job, number) => write!(f, " {job} {number}"),
                    Kind::Mention(person, job, number) => write!(f, " {person} {job} {number}"),
                    Kind::Chunk(generation, number) => write!(f, " {generation} {number}"),
                }
            }
        }
    }
}

struct RealmName<'a>(&'a Realm);

impl fmt::Display for RealmName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Realm::Server => f.write_str("server"),
            Realm::Tenant(tenant) => write!(f, "tenant {tenant}"),
        }
    }
}

/// Reads a key; `None` for one that nothing here makes.
pub(in crate::store) fn parse(key: &[u8]) -> Option<Parsed> {
    let mut parts = Parts(key);
    let parsed = match parts.byte()? {
        letters::FORMAT => Parsed::Format,
        letters::API_KEY => Parsed::ApiKey(parts.fixed()?),
        letters::ACCESS => {
            let realm = parts.realm()?;
            match parts.byte()? {
                letters::KEY_PLACE => Parsed::KeyPlace(realm, KeyId::from_bytes(parts.fixed()?)),
                letters::USER => Parsed::User(realm, parts.text()?),
                letters::AUDIT_ENTRY => Parsed::AuditEntry(realm, u64::from_be_bytes(parts.fixed()?)),
                letters::AUDIT_HEAD => Parsed::AuditHead(realm),
                letters::AUDIT_SALT => Parsed::AuditSalt(realm),
                _ => return None,
            }
        }
        letters::SESSION => Parsed::Session(SessionId::from_bytes(parts.fixed()?)),
        letters::OPERATOR_ANSWER => Parsed::OperatorAnswer(parts.fixed()?),
        letters::BACKUP => Parsed::Backup(BackupId::from_bytes(parts.fixed()?)),
        letters::SERVER_ERASURE => Parsed::Erasure(ErasureId::from_bytes(parts.fixed()?)),
        letters::PENDING => Parsed::Pending(parts.realm()?, ErasureId::from_bytes(parts.fixed()?)),
        letters::TENANT => Parsed::Tenant(parts.text()?),
        letters::DATA => Parsed::Data(parts.text()?, parse_data(&mut parts)?),
        _ => return None,
    };
    parts.0.is_empty().then_some(parsed)
}

fn parse_data(parts: &mut Parts<'_>) -> Option<Kind> {
    Some(match parts.byte()? {
        letters::SETTINGS => Kind::Settings,
        letters::USAGE => Kind::Usage,
        letters::PHOTOS => Kind::Photos,
        letters::GROUP => Kind::Group(parts.text()?),
        letters::SALT => Kind::Salt,
        letters::PLACE => Kind::Place(parts.fixed()?),
        letters::PERSON => Kind::Person(parts.person()?),
        letters::WORD => Kind::Word(parts.fixed()?, parts.person()?),
        letters::FACE => Kind::Face(parts.person()?, FaceId::from_bytes(parts.fixed()?)),
        letters::KEPT_PHOTO => Kind::KeptPhoto(parts.person()?, FaceId::from_bytes(parts.fixed()?)),
        letters::PHOTO_KEY => Kind::PhotoKey(parts.person()?),
        letters::NEGATIVE => Kind::Negative(parts.person()?, FaceId::from_bytes(parts.fixed()?)),
        letters::DISOWNED => Kind::Disowned(parts.person()?, parts.person()?, FaceId::from_bytes(parts.fixed()?)),
        letters::MEMBER => Kind::Member(parts.text()?, parts.person()?),
        letters::MEMBERSHIP => Kind::Membership(parts.person()?, parts.text()?),
        letters::GROUP_SESSION => Kind::GroupSession(parts.session()?),
        letters::AGENDA => Kind::Agenda(parts.text()?, parts.date()?, parts.session()?),
        letters::TIMETABLE => Kind::Timetable(parts.text()?),
        letters::TIMETABLE_TAG => Kind::TimetableTag(parts.fixed()?),
        letters::HOLIDAYS => Kind::Holidays,
        letters::ATTENDANCE => Kind::Attendance(parts.session()?, parts.person()?),
        letters::MARK => Kind::Mark(parts.text()?, RecordId::from_bytes(parts.fixed()?)),
        letters::SIGHTING => Kind::Sighting(parts.person()?, parts.session()?),
        letters::STRANGER => Kind::Stranger(parts.session()?, StrangerId::from_bytes(parts.fixed()?)),
        letters::SHEET => Kind::SheetBlock(parts.session()?, parts.person()?),
        letters::ERASURE => Kind::Erasure(ErasureId::from_bytes(parts.fixed()?)),
        letters::ANSWER => Kind::Answer(parts.fixed()?),
        letters::EVENT_LOG => Kind::EventLog,
        letters::EVENT => Kind::Event(parts.number()?),
        letters::PERSON_EVENT => Kind::PersonEvent(Pseudonym::from_bytes(parts.fixed()?), parts.number()?),
        letters::GROUP_EVENT => Kind::GroupEvent(parts.text()?, parts.number()?),
        letters::WEBHOOK => Kind::Webhook(WebhookId::from_bytes(parts.fixed()?)),
        letters::DELIVERY => Kind::Delivery(WebhookId::from_bytes(parts.fixed()?)),
        letters::DEAD_LETTER => Kind::DeadLetter(WebhookId::from_bytes(parts.fixed()?), parts.number()?),
        letters::JOB => Kind::Job(parts.job()?),
        letters::ITEM => Kind::Item(parts.job()?, parts.number()?),
        letters::MENTION => Kind::Mention(parts.person()?, parts.job()?, parts.number()?),
        letters::SNAPSHOT => Kind::Snapshot,
        letters::CHUNK => Kind::Chunk(parts.number()?, u32::from_be_bytes(parts.fixed()?)),
        _ => return None,
    })
}
