//! Groups: who is in them, when they meet, and who was there.

use jiff::civil::Date;

use super::found::{Finding, Found, misplaced, missing};
use crate::{
    domain::{
        AttendanceRecord, Group, GroupId, GroupSession, GroupSessionId, Pseudonym, RecordId, SessionState, Stranger,
        StrangerId, Timetable, attendance::roster::Member, ids::TimetableTag,
    },
    error::Result,
    store::{
        attendance::{
            record::Place,
            sheets::{self, Block},
        },
        keys,
    },
};

pub(in crate::store) fn group(of: &Found<'_>, id: &GroupId) -> Finding {
    of.read(|group: &Group| Ok(misplaced(group.id != *id)))
}

pub(in crate::store) fn member(of: &Found<'_>, group: &GroupId, person: Pseudonym) -> Finding {
    let mirrored = of.has(&keys::membership(of.tenant, person, group))?;
    let resolved = both(of, group, person)?;
    of.read(|member: &Member| {
        let wrong = resolved.is_none() && !of.is_of(person, &member.person);
        Ok(misplaced(wrong).or(resolved).or_else(|| missing(!mirrored, "no_membership")))
    })
}

pub(in crate::store) fn membership(of: &Found<'_>, person: Pseudonym, group: &GroupId) -> Finding {
    let mirrored = of.has(&keys::member(of.tenant, group, person))?;
    let resolved = both(of, group, person)?;
    of.read(|named: &GroupId| Ok(misplaced(named != group).or(resolved).or_else(|| missing(!mirrored, "no_member"))))
}

pub(in crate::store) fn group_session(of: &Found<'_>, id: GroupSessionId) -> Finding {
    of.read(|session: &GroupSession| {
        let listed = of.has(&keys::agenda(of.tenant, &session.group, session.date, id))?;
        let known = of.has_group(&session.group)?;
        let has_sheet = sheets::is_there(of.view, of.tenant, id)?;
        Ok(misplaced(session.id != id)
            .or_else(|| missing(!known, "no_group"))
            .or_else(|| missing(session.state == SessionState::Closed && !has_sheet, "no_sheet"))
            .or_else(|| missing(!listed, "no_session_index")))
    })
}

pub(in crate::store) fn agenda(of: &Found<'_>, group: &GroupId, date: Date, id: GroupSessionId) -> Finding {
    of.read(|named: &GroupSessionId| {
        let known = session(of, id).is_some_and(|session| (&session.group, session.date) == (group, date));
        Ok(misplaced(*named != id).or_else(|| missing(!known, "no_group_session")))
    })
}

pub(in crate::store) fn timetable(of: &Found<'_>, group: &GroupId) -> Finding {
    of.read(|timetable: &Timetable| {
        let (known, tagged) = (of.has_group(group)?, of.has(&keys::timetable_tag(of.tenant, timetable.tag))?);
        Ok(misplaced(timetable.group != *group)
            .or_else(|| missing(!known, "no_group"))
            .or_else(|| missing(!tagged, "no_timetable_index")))
    })
}

pub(in crate::store) fn timetable_tag(of: &Found<'_>, tag: TimetableTag) -> Finding {
    of.read(|group: &GroupId| {
        let timetable: Option<Timetable> = of.get(&keys::timetable(of.tenant, group));
        Ok(missing(timetable.is_none_or(|timetable| timetable.tag != tag), "no_timetable"))
    })
}

pub(in crate::store) fn attendance(of: &Found<'_>, id: GroupSessionId, who: Pseudonym) -> Finding {
    of.read(|record: &AttendanceRecord| {
        let (session, known) = (session(of, id), of.has_person(who)?);
        let seen = of.has(&keys::sighting(of.tenant, who, id))?;
        let marked = match (record.id, &session) {
            (Some(id), Some(session)) => of.has(&keys::mark(of.tenant, &session.group, id))?,
            _ => true,
        };
        let wrong = known && !of.is_of(who, &record.person);
        Ok(misplaced(wrong || record.session != id)
            .or_else(|| missing(!known, "no_person"))
            .or_else(|| missing(session.is_none(), "no_group_session"))
            .or_else(|| missing(!seen || !marked, "no_attendance_index")))
    })
}

pub(in crate::store) fn mark(of: &Found<'_>, group: &GroupId, id: RecordId) -> Finding {
    of.read(|place: &Place| {
        let known = of.has(&keys::attendance(of.tenant, place.session, place.person))?;
        let of_group = of.has_group(group)?;
        Ok(misplaced(place.record != id)
            .or_else(|| missing(!of_group, "no_group"))
            .or_else(|| missing(!known, "no_attendance")))
    })
}

pub(in crate::store) fn sighting(of: &Found<'_>, who: Pseudonym, id: GroupSessionId) -> Finding {
    of.read(|group: &GroupId| {
        let known = of.has(&keys::attendance(of.tenant, id, who))?;
        let wrong = session(of, id).is_some_and(|session| session.group != *group);
        Ok(misplaced(wrong).or_else(|| missing(!known, "no_attendance")))
    })
}

/// Whoever is among its candidates may be gone.
pub(in crate::store) fn stranger(of: &Found<'_>, id: GroupSessionId, stranger: StrangerId) -> Finding {
    of.read(|found: &Stranger| {
        Ok(misplaced((found.session, found.id) != (id, stranger))
            .or_else(|| missing(session(of, id).is_none(), "no_group_session")))
    })
}

pub(in crate::store) fn sheet_block(of: &Found<'_>, id: GroupSessionId, from: Pseudonym) -> Finding {
    of.read(|block: &Block| {
        let closed = session(of, id).is_some_and(|session| session.state == SessionState::Closed);
        let agrees = sheets::agrees(of.view, of.tenant, (id, from), block)?;
        Ok(missing(!closed, "no_group_session").or_else(|| missing(!agrees, "wrong_sheet")))
    })
}

fn session(of: &Found<'_>, id: GroupSessionId) -> Option<GroupSession> {
    of.get(&keys::group_session(of.tenant, id))
}

fn both(of: &Found<'_>, group: &GroupId, person: Pseudonym) -> Result<Option<&'static str>> {
    let (has_group, has_person) = (of.has_group(group)?, of.has_person(person)?);
    Ok(missing(!has_group, "no_group").or_else(|| missing(!has_person, "no_person")))
}
