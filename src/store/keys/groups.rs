//! Keys of groups: who is in them, when they meet, and who was there.

use jiff::civil::Date;

use super::{
    Key,
    letters::{
        AGENDA, ATTENDANCE, GROUP, GROUP_SESSION, HOLIDAYS, MARK, MEMBER, MEMBERSHIP, SHEET, SIGHTING, STRANGER,
        TIMETABLE, TIMETABLE_TAG,
    },
    parts::{Part, date_bytes},
    tenants::data,
};
use crate::domain::{GroupId, GroupSessionId, Pseudonym, RecordId, StrangerId, TenantId, ids::TimetableTag};

pub(in crate::store) fn group(tenant: &TenantId, group: &GroupId) -> Key {
    groups(tenant).text(group.as_str())
}

pub(in crate::store) fn groups(tenant: &TenantId) -> Key {
    data(tenant, GROUP)
}

pub(in crate::store) fn member(tenant: &TenantId, group: &GroupId, person: Pseudonym) -> Key {
    members(tenant, group).fixed(person.as_bytes())
}

pub(in crate::store) fn members(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, MEMBER).text(group.as_str())
}

pub(in crate::store) fn membership(tenant: &TenantId, person: Pseudonym, group: &GroupId) -> Key {
    memberships(tenant, person).text(group.as_str())
}

pub(in crate::store) fn memberships(tenant: &TenantId, person: Pseudonym) -> Key {
    data(tenant, MEMBERSHIP).fixed(person.as_bytes())
}

pub(in crate::store) fn group_session(tenant: &TenantId, session: GroupSessionId) -> Key {
    data(tenant, GROUP_SESSION).fixed(session.as_bytes())
}

pub(in crate::store) fn agenda(tenant: &TenantId, group: &GroupId, date: Date, session: GroupSessionId) -> Key {
    agenda_on(tenant, group, date).fixed(session.as_bytes())
}

pub(in crate::store) fn agenda_on(tenant: &TenantId, group: &GroupId, date: Date) -> Key {
    agenda_of(tenant, group).fixed(&date_bytes(date))
}

pub(in crate::store) fn agenda_of(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, AGENDA).text(group.as_str())
}

pub(in crate::store) fn timetable(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, TIMETABLE).text(group.as_str())
}

pub(in crate::store) fn timetable_tag(tenant: &TenantId, tag: TimetableTag) -> Key {
    data(tenant, TIMETABLE_TAG).fixed(&tag)
}

pub(in crate::store) fn holidays(tenant: &TenantId) -> Key {
    data(tenant, HOLIDAYS)
}

pub(in crate::store) fn attendance(tenant: &TenantId, session: GroupSessionId, person: Pseudonym) -> Key {
    attendance_in(tenant, session).fixed(person.as_bytes())
}

pub(in crate::store) fn attendance_in(tenant: &TenantId, session: GroupSessionId) -> Key {
    data(tenant, ATTENDANCE).fixed(session.as_bytes())
}

pub(in crate::store) fn mark(tenant: &TenantId, group: &GroupId, record: RecordId) -> Key {
    marks(tenant, group).fixed(record.as_bytes())
}

pub(in crate::store) fn marks(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, MARK).text(group.as_str())
}

pub(in crate::store) fn sheet_block(tenant: &TenantId, session: GroupSessionId, from: Pseudonym) -> Key {
    sheet(tenant, session).fixed(from.as_bytes())
}

/// The person of a key that [`attendance`] or [`sheet_block`] made.
pub(in crate::store) fn person_of(key: &[u8]) -> Option<Pseudonym> {
    key.last_chunk().copied().map(Pseudonym::from_bytes)
}

pub(in crate::store) fn sheet(tenant: &TenantId, session: GroupSessionId) -> Key {
    data(tenant, SHEET).fixed(session.as_bytes())
}

pub(in crate::store) fn sighting(tenant: &TenantId, person: Pseudonym, session: GroupSessionId) -> Key {
    sightings(tenant, person).fixed(session.as_bytes())
}

/// The session of a key that [`sighting`] made.
pub(in crate::store) fn session_of_sighting(key: &[u8]) -> Option<GroupSessionId> {
    key.last_chunk().copied().map(GroupSessionId::from_bytes)
}

pub(in crate::store) fn sightings(tenant: &TenantId, person: Pseudonym) -> Key {
    data(tenant, SIGHTING).fixed(person.as_bytes())
}

pub(in crate::store) fn stranger(tenant: &TenantId, session: GroupSessionId, stranger: StrangerId) -> Key {
    strangers_in(tenant, session).fixed(stranger.as_bytes())
}

pub(in crate::store) fn strangers_in(tenant: &TenantId, session: GroupSessionId) -> Key {
    strangers(tenant).fixed(session.as_bytes())
}

pub(in crate::store) fn strangers(tenant: &TenantId) -> Key {
    data(tenant, STRANGER)
}
