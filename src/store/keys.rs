//! The only place where keys are made.
//!
//! Identifiers never hold a zero byte (see [`crate::domain::ids`]), so each is ended by one: no identifier's key
//! is a prefix of another's, and keys sort as the identifiers' bytes do, which is the order of cursors. A tenant's
//! records all lie under the tenant's own prefix, so one tenant's ids cannot reach another's records.
//!
//! Keys say nothing of people: `person` and `other` are pseudonyms, and what finds a pseudonym are salted digests.
//!
//! | key | value |
//! |---|---|
//! | `format` | version of the store |
//! | `key` hash | API key |
//! | `access` realm `key` id | the hash under which the API key is; a realm is a tenant, or empty: the server |
//! | `access` realm `user` user | user |
//! | `access` realm `entry` number | entry of the audit log |
//! | `access` realm `head` | where the audit log ends |
//! | `access` realm `salt` | what is digested for the audit log |
//! | `session` id | somebody's login |
//! | `answer` id | what a request of the operator was answered |
//! | `backup` id | a copy of the store that was given away |
//! | `erasure` id | a tenant that was erased |
//! | `pending` realm id | that the bytes of an erasure may still be on the disk |
//! | `tenant` tenant | tenant |
//! | `data` tenant `settings` | what the operator has set for the tenant |
//! | `data` tenant `usage` | how much the tenant has |
//! | `data` tenant `photos` | how many photos it has sent on its last day |
//! | `data` tenant `group` group | group |
//! | `data` tenant `salt` | what makes the digests of this tenant differ from another's |
//! | `data` tenant `place` digest | the pseudonym of the person of this id |
//! | `data` tenant `person` person | person |
//! | `data` tenant `word` digest person | the same person: a word of their name or id begins so |
//! | `data` tenant `face` person face | face sample |
//! | `data` tenant `kept_photo` person face | where the photo behind the sample lies |
//! | `data` tenant `photo_key` person | the encrypted key of the person's photos |
//! | `data` tenant `negative` person face | a face that is not the person's |
//! | `data` tenant `disowned` other person face | the person: their negative was made of the other's sample |
//! | `data` tenant `member` group person | place on the roster |
//! | `data` tenant `membership` person group | the group's id: the same, the other way round |
//! | `data` tenant `group_session` session | session of a group |
//! | `data` tenant `agenda` group date session | the session's id, by its local date |
//! | `data` tenant `timetable` group | timetable |
//! | `data` tenant `timetable_tag` tag | the group's id: whose timetable has the tag |
//! | `data` tenant `holidays` | days on which nobody meets |
//! | `data` tenant `attendance` session person | attendance record; the key is what makes a mark unique |
//! | `data` tenant `mark` group record | where the attendance record is, by its id |
//! | `data` tenant `stranger` session stranger | somebody in the session for whom nobody was named |
//! | `data` tenant `sighting` person session | the group's id: where the person's attendance records are |
//! | `data` tenant `erasure` id | a person who was erased |
//! | `data` tenant `answer` id | what a request of the tenant was answered |
//! | `data` tenant `log` | where the tenant's event log begins and ends |
//! | `data` tenant `event` number | event |
//! | `data` tenant `person_event` person number | nothing: the event is about the person |
//! | `data` tenant `group_event` group number | nothing: the event is about the group |
//! | `data` tenant `webhook` id | where events are sent |
//! | `data` tenant `delivery` id | how far the webhook has come |
//! | `data` tenant `dead_letter` id number | event that the webhook could not be told of |
//! | `data` tenant `job` job | job |
//! | `data` tenant `item` job number | the report of one item of a job |
//! | `data` tenant `mention` person job number | the person's pseudonym: the report speaks of them |
//! | `data` tenant `snapshot` | which snapshot of the gallery's index is whole |
//! | `data` tenant `chunk` generation number | a part of a snapshot |

use std::{fmt, str::FromStr};

use jiff::civil::Date;

use crate::domain::{
    BackupId, ErasureId, FaceId, GroupId, GroupSessionId, JobId, KeyId, Pseudonym, Realm, RecordId, SessionId,
    StrangerId, TenantId, UserId, WebhookId, ids::TimetableTag,
};

/// A key, or the prefix of several.
pub(super) type Key = Vec<u8>;
/// Stands for a person's id, see [`pseudonyms`](super::pseudonyms).
pub(super) type PersonDigest = [u8; 32];
/// Stands for the beginning of a word of a person, likewise.
pub(super) type WordDigest = [u8; 8];

const FORMAT: u8 = b'!';
const OPERATOR_ANSWER: u8 = b'i';
const API_KEY: u8 = b'k';
const ACCESS: u8 = b'a';
const BACKUP: u8 = b'b';
const PENDING: u8 = b'w';
const SERVER_ERASURE: u8 = b'v';
const SESSION: u8 = b's';
const TENANT: u8 = b't';
const DATA: u8 = b'd';

const AUDIT_ENTRY: u8 = b'e';
const AUDIT_HEAD: u8 = b'h';
const AUDIT_SALT: u8 = b's';
const KEY_PLACE: u8 = b'k';
const USER: u8 = b'u';

const AGENDA: u8 = b'A';
const ANSWER: u8 = b'r';
const ATTENDANCE: u8 = b'a';
const CHUNK: u8 = b'c';
const DEAD_LETTER: u8 = b'X';
const DELIVERY: u8 = b'V';
const DISOWNED: u8 = b'y';
const ERASURE: u8 = b'v';
const EVENT: u8 = b'E';
const EVENT_LOG: u8 = b'L';
const FACE: u8 = b'f';
const GROUP: u8 = b'g';
const GROUP_SESSION: u8 = b'S';
const HOLIDAYS: u8 = b'H';
const GROUP_EVENT: u8 = b'G';
const ITEM: u8 = b'I';
const JOB: u8 = b'J';
const KEPT_PHOTO: u8 = b'b';
const MARK: u8 = b'i';
const MEMBER: u8 = b'm';
const MEMBERSHIP: u8 = b'n';
const MENTION: u8 = b'M';
const NEGATIVE: u8 = b'z';
const PERSON: u8 = b'p';
const PERSON_EVENT: u8 = b'P';
const PHOTO_KEY: u8 = b'h';
const PHOTOS: u8 = b'q';
const PLACE: u8 = b'l';
const SALT: u8 = b'e';
const SETTINGS: u8 = b'o';
const SIGHTING: u8 = b's';
const SNAPSHOT: u8 = b'x';
const STRANGER: u8 = b'U';
const TIMETABLE: u8 = b'T';
const TIMETABLE_TAG: u8 = b'N';
const USAGE: u8 = b'u';
const WEBHOOK: u8 = b'W';
const WORD: u8 = b'w';

trait Part {
    fn text(self, text: &str) -> Self;
    fn fixed(self, bytes: &[u8]) -> Self;
}

impl Part for Key {
    /// A part of any length, ended by a zero byte.
    fn text(mut self, text: &str) -> Self {
        self.extend_from_slice(text.as_bytes());
        self.push(0);
        self
    }

    /// A part whose length its kind of key fixes.
    fn fixed(mut self, bytes: &[u8]) -> Self {
        self.extend_from_slice(bytes);
        self
    }
}

/// Year, month and day such that bytes sort as dates do.
fn date_bytes(date: Date) -> [u8; 4] {
    // A date's years are -9999..=9999; flipping the sign bit makes unsigned order theirs.
    let [y0, y1] = (date.year() as u16 ^ 0x8000).to_be_bytes();
    [y0, y1, date.month() as u8, date.day() as u8]
}

fn data(tenant: &TenantId, kind: u8) -> Key {
    data_of(tenant).fixed(&[kind])
}

pub(super) fn format() -> Key {
    vec![FORMAT]
}

pub(super) fn api_key(hash: &[u8; 32]) -> Key {
    api_keys().fixed(hash)
}

pub(super) fn api_keys() -> Key {
    vec![API_KEY]
}

fn access(realm: &Realm, kind: u8) -> Key {
    vec![ACCESS].text(realm_text(realm)).fixed(&[kind])
}

/// No tenant has an empty id.
fn realm_text(realm: &Realm) -> &str {
    match realm {
        Realm::Server => "",
        Realm::Tenant(tenant) => tenant.as_str(),
    }
}

pub(super) fn key_place(realm: &Realm, key: KeyId) -> Key {
    key_places(realm).fixed(key.as_bytes())
}

pub(super) fn key_places(realm: &Realm) -> Key {
    access(realm, KEY_PLACE)
}

pub(super) fn user(realm: &Realm, user: &UserId) -> Key {
    users(realm).text(user.as_str())
}

pub(super) fn users(realm: &Realm) -> Key {
    access(realm, USER)
}

/// Numbers sort as their bytes do.
pub(super) fn audit_entry(realm: &Realm, number: u64) -> Key {
    audit_entries(realm).fixed(&number.to_be_bytes())
}

pub(super) fn audit_entries(realm: &Realm) -> Key {
    access(realm, AUDIT_ENTRY)
}

pub(super) fn audit_head(realm: &Realm) -> Key {
    access(realm, AUDIT_HEAD)
}

pub(super) fn audit_salt(realm: &Realm) -> Key {
    access(realm, AUDIT_SALT)
}

pub(super) fn session(session: SessionId) -> Key {
    vec![SESSION].fixed(session.as_bytes())
}

pub(super) fn backup(backup: BackupId) -> Key {
    backups().fixed(backup.as_bytes())
}

pub(super) fn backups() -> Key {
    vec![BACKUP]
}

/// Of somebody in a tenant, or of a tenant of the server.
pub(super) fn erasure(realm: &Realm, erasure: ErasureId) -> Key {
    erasures(realm).fixed(erasure.as_bytes())
}

pub(super) fn erasures(realm: &Realm) -> Key {
    match realm {
        Realm::Server => vec![SERVER_ERASURE],
        Realm::Tenant(tenant) => data(tenant, ERASURE),
    }
}

pub(super) fn pending(realm: &Realm, erasure: ErasureId) -> Key {
    pending_in(realm).fixed(erasure.as_bytes())
}

pub(super) fn pending_in(realm: &Realm) -> Key {
    all_pending().text(realm_text(realm))
}

pub(super) fn all_pending() -> Key {
    vec![PENDING]
}

pub(super) fn tenant(tenant: &TenantId) -> Key {
    tenants().text(tenant.as_str())
}

pub(super) fn tenants() -> Key {
    vec![TENANT]
}

/// All that lies under the tenant's own prefix.
pub(super) fn data_of(tenant: &TenantId) -> Key {
    vec![DATA].text(tenant.as_str())
}

/// The key of the tenant that a record belongs to; `None` for a record of no tenant. Of what lies under `access`, the
/// audit log alone: who adds a user or a key looks for the tenant.
pub(super) fn owner(key: &[u8]) -> Option<Key> {
    let (&prefix, rest) = key.split_first()?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let is_owned = match prefix {
        DATA => true,
        ACCESS => end > 0 && [AUDIT_ENTRY, AUDIT_HEAD, AUDIT_SALT].contains(rest.get(end + 1)?),
        _ => false,
    };
    is_owned.then(|| tenants().fixed(&rest[..=end]))
}

pub(super) fn settings(tenant: &TenantId) -> Key {
    data(tenant, SETTINGS)
}

pub(super) fn usage(tenant: &TenantId) -> Key {
    data(tenant, USAGE)
}

pub(super) fn photos(tenant: &TenantId) -> Key {
    data(tenant, PHOTOS)
}

pub(super) fn group(tenant: &TenantId, group: &GroupId) -> Key {
    groups(tenant).text(group.as_str())
}

pub(super) fn groups(tenant: &TenantId) -> Key {
    data(tenant, GROUP)
}

pub(super) fn salt(tenant: &TenantId) -> Key {
    data(tenant, SALT)
}

pub(super) fn place(tenant: &TenantId, person: &PersonDigest) -> Key {
    data(tenant, PLACE).fixed(person)
}

pub(super) fn person(tenant: &TenantId, person: Pseudonym) -> Key {
    people(tenant).fixed(person.as_bytes())
}

pub(super) fn people(tenant: &TenantId) -> Key {
    data(tenant, PERSON)
}

pub(super) fn word(tenant: &TenantId, word: WordDigest, person: Pseudonym) -> Key {
    words_like(tenant, word).fixed(person.as_bytes())
}

/// Everybody who has a word that begins so.
pub(super) fn words_like(tenant: &TenantId, word: WordDigest) -> Key {
    words(tenant).fixed(&word)
}

pub(super) fn words(tenant: &TenantId) -> Key {
    data(tenant, WORD)
}

pub(super) fn face(tenant: &TenantId, person: Pseudonym, face: FaceId) -> Key {
    faces_of(tenant, person).fixed(face.as_bytes())
}

pub(super) fn faces_of(tenant: &TenantId, person: Pseudonym) -> Key {
    faces(tenant).fixed(person.as_bytes())
}

pub(super) fn faces(tenant: &TenantId) -> Key {
    data(tenant, FACE)
}

pub(super) fn kept_photo(tenant: &TenantId, person: Pseudonym, face: FaceId) -> Key {
    kept_photos_of(tenant, person).fixed(face.as_bytes())
}

pub(super) fn kept_photos_of(tenant: &TenantId, person: Pseudonym) -> Key {
    kept_photos(tenant).fixed(person.as_bytes())
}

pub(super) fn kept_photos(tenant: &TenantId) -> Key {
    data(tenant, KEPT_PHOTO)
}

pub(super) fn photo_key(tenant: &TenantId, person: Pseudonym) -> Key {
    data(tenant, PHOTO_KEY).fixed(person.as_bytes())
}

pub(super) fn negative(tenant: &TenantId, person: Pseudonym, face: FaceId) -> Key {
    negatives_of(tenant, person).fixed(face.as_bytes())
}

pub(super) fn negatives_of(tenant: &TenantId, person: Pseudonym) -> Key {
    negatives(tenant).fixed(person.as_bytes())
}

pub(super) fn negatives(tenant: &TenantId) -> Key {
    data(tenant, NEGATIVE)
}

pub(super) fn disowned(tenant: &TenantId, other: Pseudonym, person: Pseudonym, face: FaceId) -> Key {
    disowned_of(tenant, other).fixed(person.as_bytes()).fixed(face.as_bytes())
}

/// The negatives that were made of this one's samples.
pub(super) fn disowned_of(tenant: &TenantId, other: Pseudonym) -> Key {
    data(tenant, DISOWNED).fixed(other.as_bytes())
}

pub(super) fn member(tenant: &TenantId, group: &GroupId, person: Pseudonym) -> Key {
    members(tenant, group).fixed(person.as_bytes())
}

pub(super) fn members(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, MEMBER).text(group.as_str())
}

pub(super) fn membership(tenant: &TenantId, person: Pseudonym, group: &GroupId) -> Key {
    memberships(tenant, person).text(group.as_str())
}

pub(super) fn memberships(tenant: &TenantId, person: Pseudonym) -> Key {
    data(tenant, MEMBERSHIP).fixed(person.as_bytes())
}

pub(super) fn group_session(tenant: &TenantId, session: GroupSessionId) -> Key {
    data(tenant, GROUP_SESSION).fixed(session.as_bytes())
}

pub(super) fn agenda(tenant: &TenantId, group: &GroupId, date: Date, session: GroupSessionId) -> Key {
    agenda_on(tenant, group, date).fixed(session.as_bytes())
}

pub(super) fn agenda_on(tenant: &TenantId, group: &GroupId, date: Date) -> Key {
    agenda_of(tenant, group).fixed(&date_bytes(date))
}

pub(super) fn agenda_of(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, AGENDA).text(group.as_str())
}

pub(super) fn timetable(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, TIMETABLE).text(group.as_str())
}

pub(super) fn timetable_tag(tenant: &TenantId, tag: TimetableTag) -> Key {
    data(tenant, TIMETABLE_TAG).fixed(&tag)
}

pub(super) fn holidays(tenant: &TenantId) -> Key {
    data(tenant, HOLIDAYS)
}

pub(super) fn attendance(tenant: &TenantId, session: GroupSessionId, person: Pseudonym) -> Key {
    attendance_in(tenant, session).fixed(person.as_bytes())
}

pub(super) fn attendance_in(tenant: &TenantId, session: GroupSessionId) -> Key {
    data(tenant, ATTENDANCE).fixed(session.as_bytes())
}

pub(super) fn mark(tenant: &TenantId, group: &GroupId, record: RecordId) -> Key {
    marks(tenant, group).fixed(record.as_bytes())
}

pub(super) fn marks(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, MARK).text(group.as_str())
}

pub(super) fn sighting(tenant: &TenantId, person: Pseudonym, session: GroupSessionId) -> Key {
    sightings(tenant, person).fixed(session.as_bytes())
}

/// The session of a key that [`sighting`] made.
pub(super) fn session_of_sighting(key: &[u8]) -> Option<GroupSessionId> {
    key.last_chunk().copied().map(GroupSessionId::from_bytes)
}

pub(super) fn sightings(tenant: &TenantId, person: Pseudonym) -> Key {
    data(tenant, SIGHTING).fixed(person.as_bytes())
}

pub(super) fn stranger(tenant: &TenantId, session: GroupSessionId, stranger: StrangerId) -> Key {
    strangers_in(tenant, session).fixed(stranger.as_bytes())
}

pub(super) fn strangers_in(tenant: &TenantId, session: GroupSessionId) -> Key {
    strangers(tenant).fixed(session.as_bytes())
}

pub(super) fn strangers(tenant: &TenantId) -> Key {
    data(tenant, STRANGER)
}

/// Of a tenant, or of the operator.
pub(super) fn answer(tenant: Option<&TenantId>, id: &[u8; 32]) -> Key {
    answers(tenant).fixed(id)
}

pub(super) fn answers(tenant: Option<&TenantId>) -> Key {
    tenant.map_or_else(|| vec![OPERATOR_ANSWER], |tenant| data(tenant, ANSWER))
}

pub(super) fn event_log(tenant: &TenantId) -> Key {
    data(tenant, EVENT_LOG)
}

pub(super) fn event(tenant: &TenantId, number: u64) -> Key {
    events(tenant).fixed(&number.to_be_bytes())
}

pub(super) fn events(tenant: &TenantId) -> Key {
    data(tenant, EVENT)
}

pub(super) fn person_event(tenant: &TenantId, person: Pseudonym, number: u64) -> Key {
    person_events(tenant, person).fixed(&number.to_be_bytes())
}

/// The events about a person.
pub(super) fn person_events(tenant: &TenantId, person: Pseudonym) -> Key {
    data(tenant, PERSON_EVENT).fixed(person.as_bytes())
}

pub(super) fn group_event(tenant: &TenantId, group: &GroupId, number: u64) -> Key {
    group_events(tenant, group).fixed(&number.to_be_bytes())
}

/// The events about a group.
pub(super) fn group_events(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, GROUP_EVENT).text(group.as_str())
}

/// The number at the end of an event's key, or of one that names an event.
pub(super) fn event_number(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

pub(super) fn webhook(tenant: &TenantId, webhook: WebhookId) -> Key {
    webhooks(tenant).fixed(webhook.as_bytes())
}

pub(super) fn webhooks(tenant: &TenantId) -> Key {
    data(tenant, WEBHOOK)
}

pub(super) fn delivery(tenant: &TenantId, webhook: WebhookId) -> Key {
    data(tenant, DELIVERY).fixed(webhook.as_bytes())
}

pub(super) fn dead_letter(tenant: &TenantId, webhook: WebhookId, number: u64) -> Key {
    dead_letters(tenant, webhook).fixed(&number.to_be_bytes())
}

pub(super) fn dead_letters(tenant: &TenantId, webhook: WebhookId) -> Key {
    data(tenant, DEAD_LETTER).fixed(webhook.as_bytes())
}

pub(super) fn job(tenant: &TenantId, job: JobId) -> Key {
    jobs(tenant).fixed(job.as_bytes())
}

pub(super) fn jobs(tenant: &TenantId) -> Key {
    data(tenant, JOB)
}

pub(super) fn item(tenant: &TenantId, job: JobId, number: u64) -> Key {
    items_of(tenant, job).fixed(&number.to_be_bytes())
}

pub(super) fn items_of(tenant: &TenantId, job: JobId) -> Key {
    data(tenant, ITEM).fixed(job.as_bytes())
}

pub(super) fn mention(tenant: &TenantId, person: Pseudonym, job: JobId, number: u64) -> Key {
    mentions_of(tenant, person).fixed(job.as_bytes()).fixed(&number.to_be_bytes())
}

pub(super) fn mentions_of(tenant: &TenantId, person: Pseudonym) -> Key {
    data(tenant, MENTION).fixed(person.as_bytes())
}

pub(super) fn snapshot(tenant: &TenantId) -> Key {
    data(tenant, SNAPSHOT)
}

pub(super) fn chunk(tenant: &TenantId, generation: u64, number: u32) -> Key {
    chunks_of(tenant, generation).fixed(&number.to_be_bytes())
}

pub(super) fn chunks_of(tenant: &TenantId, generation: u64) -> Key {
    chunks(tenant).fixed(&generation.to_be_bytes())
}

pub(super) fn chunks(tenant: &TenantId) -> Key {
    data(tenant, CHUNK)
}

/// What a key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parsed {
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
pub(super) enum Kind {
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
    pub(super) const fn name(&self) -> &'static str {
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
                    Kind::Attendance(session, person) => write!(f, " {session} {person}"),
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
pub(super) fn parse(key: &[u8]) -> Option<Parsed> {
    let mut parts = Parts(key);
    let parsed = match parts.byte()? {
        FORMAT => Parsed::Format,
        API_KEY => Parsed::ApiKey(parts.fixed()?),
        ACCESS => {
            let realm = parts.realm()?;
            match parts.byte()? {
                KEY_PLACE => Parsed::KeyPlace(realm, KeyId::from_bytes(parts.fixed()?)),
                USER => Parsed::User(realm, parts.text()?),
                AUDIT_ENTRY => Parsed::AuditEntry(realm, u64::from_be_bytes(parts.fixed()?)),
                AUDIT_HEAD => Parsed::AuditHead(realm),
                AUDIT_SALT => Parsed::AuditSalt(realm),
                _ => return None,
            }
        }
        SESSION => Parsed::Session(SessionId::from_bytes(parts.fixed()?)),
        OPERATOR_ANSWER => Parsed::OperatorAnswer(parts.fixed()?),
        BACKUP => Parsed::Backup(BackupId::from_bytes(parts.fixed()?)),
        SERVER_ERASURE => Parsed::Erasure(ErasureId::from_bytes(parts.fixed()?)),
        PENDING => Parsed::Pending(parts.realm()?, ErasureId::from_bytes(parts.fixed()?)),
        TENANT => Parsed::Tenant(parts.text()?),
        DATA => Parsed::Data(parts.text()?, parse_data(&mut parts)?),
        _ => return None,
    };
    parts.0.is_empty().then_some(parsed)
}

fn parse_data(parts: &mut Parts<'_>) -> Option<Kind> {
    Some(match parts.byte()? {
        SETTINGS => Kind::Settings,
        USAGE => Kind::Usage,
        PHOTOS => Kind::Photos,
        GROUP => Kind::Group(parts.text()?),
        SALT => Kind::Salt,
        PLACE => Kind::Place(parts.fixed()?),
        PERSON => Kind::Person(parts.person()?),
        WORD => Kind::Word(parts.fixed()?, parts.person()?),
        FACE => Kind::Face(parts.person()?, FaceId::from_bytes(parts.fixed()?)),
        KEPT_PHOTO => Kind::KeptPhoto(parts.person()?, FaceId::from_bytes(parts.fixed()?)),
        PHOTO_KEY => Kind::PhotoKey(parts.person()?),
        NEGATIVE => Kind::Negative(parts.person()?, FaceId::from_bytes(parts.fixed()?)),
        DISOWNED => Kind::Disowned(parts.person()?, parts.person()?, FaceId::from_bytes(parts.fixed()?)),
        MEMBER => Kind::Member(parts.text()?, parts.person()?),
        MEMBERSHIP => Kind::Membership(parts.person()?, parts.text()?),
        GROUP_SESSION => Kind::GroupSession(parts.session()?),
        AGENDA => Kind::Agenda(parts.text()?, parts.date()?, parts.session()?),
        TIMETABLE => Kind::Timetable(parts.text()?),
        TIMETABLE_TAG => Kind::TimetableTag(parts.fixed()?),
        HOLIDAYS => Kind::Holidays,
        ATTENDANCE => Kind::Attendance(parts.session()?, parts.person()?),
        MARK => Kind::Mark(parts.text()?, RecordId::from_bytes(parts.fixed()?)),
        SIGHTING => Kind::Sighting(parts.person()?, parts.session()?),
        STRANGER => Kind::Stranger(parts.session()?, StrangerId::from_bytes(parts.fixed()?)),
        ERASURE => Kind::Erasure(ErasureId::from_bytes(parts.fixed()?)),
        ANSWER => Kind::Answer(parts.fixed()?),
        EVENT_LOG => Kind::EventLog,
        EVENT => Kind::Event(parts.number()?),
        PERSON_EVENT => Kind::PersonEvent(Pseudonym::from_bytes(parts.fixed()?), parts.number()?),
        GROUP_EVENT => Kind::GroupEvent(parts.text()?, parts.number()?),
        WEBHOOK => Kind::Webhook(WebhookId::from_bytes(parts.fixed()?)),
        DELIVERY => Kind::Delivery(WebhookId::from_bytes(parts.fixed()?)),
        DEAD_LETTER => Kind::DeadLetter(WebhookId::from_bytes(parts.fixed()?), parts.number()?),
        JOB => Kind::Job(parts.job()?),
        ITEM => Kind::Item(parts.job()?, parts.number()?),
        MENTION => Kind::Mention(parts.person()?, parts.job()?, parts.number()?),
        SNAPSHOT => Kind::Snapshot,
        CHUNK => Kind::Chunk(parts.number()?, u32::from_be_bytes(parts.fixed()?)),
        _ => return None,
    })
}

/// The parts of a key that were not read yet.
struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.fixed().map(|[byte]| byte)
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn text<T: FromStr>(&mut self) -> Option<T> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    fn job(&mut self) -> Option<JobId> {
        self.fixed().map(JobId::from_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.fixed().map(u64::from_be_bytes)
    }

    fn person(&mut self) -> Option<Pseudonym> {
        self.fixed().map(Pseudonym::from_bytes)
    }

    fn realm(&mut self) -> Option<Realm> {
        match self.0.split_first() {
            Some((0, rest)) => {
                self.0 = rest;
                Some(Realm::Server)
            }
            _ => self.text().map(Realm::Tenant),
        }
    }

    fn session(&mut self) -> Option<GroupSessionId> {
        self.fixed().map(GroupSessionId::from_bytes)
    }

    fn date(&mut self) -> Option<Date> {
        let [y0, y1, month, day] = self.fixed()?;
        Date::new((u16::from_be_bytes([y0, y1]) ^ 0x8000) as i16, month as i8, day as i8).ok()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

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
        let dates = [
            date(-9999, 1, 1),
            date(-1, 12, 31),
            date(0, 1, 1),
            date(1999, 12, 31),
            date(2026, 2, 1),
            date(9999, 12, 31),
        ];
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
}
