//! Attendance records. Session and person are the key that makes a mark unique. Small index records find it by its id
//! and by its person.

use std::{cmp::Reverse, sync::Arc};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::{
    groups::require_group,
    register::{Register, put, records, remove, remove_beside_the_sheet},
    rosters::{belonging, member, members},
    sessions, sheets, strangers,
};
use crate::{
    domain::{
        AttendanceRecord, Candidate, GroupId, GroupSession, GroupSessionId, Likeness, LivenessVerdict, Mark, ModelId,
        Occurrence, Person, PersonId, PhotoId, Pseudonym, RecordId, SessionState, Sighting, TenantId, TenantScope,
        TenantSettings, TimeTrust,
        attendance::{
            record::{Appeal, Correction},
            rules::judge::Verdict,
            session::Step,
            stranger::UnknownFaces,
        },
        recognition::liveness::LivenessPolicy,
    },
    error::{Error, Result},
    store::{
        Store,
        access::{audit, tenants},
        codec::{self, Older, OlderBody},
        engine::Read,
        keys,
        people::consent,
        transaction::Transaction,
    },
};

impl Older for AttendanceRecord {
    fn from_older(_version: u8, body: OlderBody<'_>) -> Result<Self> {
        let RecordV1 { id, session, person, verdict, sightings, corrections, appeal } = body.read()?;
        let sightings = sightings.into_iter().map(Into::into).collect();
        Ok(Self { id, session, person, verdict, sightings, corrections, appeal })
    }
}

/// Before sightings said how far their time is trusted.
#[derive(Deserialize)]
struct RecordV1 {
    id: Option<RecordId>,
    session: GroupSessionId,
    person: PersonId,
    verdict: Verdict,
    sightings: Vec<SightingV1>,
    corrections: Vec<Correction>,
    appeal: Option<Appeal>,
}

#[derive(Deserialize)]
struct SightingV1 {
    photo: PhotoId,
    face: u32,
    at: Timestamp,
    similarity: f32,
    margin: Option<f32>,
    runner_up: Option<Likeness>,
    width_px: f32,
    liveness: Option<LivenessVerdict>,
    model: ModelId,
    refuted: bool,
}

impl From<SightingV1> for Sighting {
    fn from(old: SightingV1) -> Self {
        let SightingV1 { photo, face, at, similarity, margin, runner_up, width_px, liveness, model, refuted } = old;
        let time = TimeTrust::Trusted;
        Self { photo, face, at, similarity, margin, runner_up, width_px, liveness, model, refuted, time }
    }
}

/// Where a record is, by its id.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Place {
    pub(in crate::store) session: GroupSessionId,
    pub(in crate::store) person: Pseudonym,
    pub(in crate::store) record: RecordId,
}

/// Who was seen in one photo.
#[derive(Debug, Clone, PartialEq)]
pub struct PhotoMarks {
    /// The session, as it was found; it is stored and open from now on.
    pub session: GroupSession,
    /// When the photo was taken.
    pub at: Timestamp,
    /// How far that is trusted.
    pub time: TimeTrust,
    /// What took it.
    pub source: Option<String>,
    /// Who was named.
    pub seen: Vec<Seen>,
    /// The faces that nobody was named for, where they are to be kept.
    pub unknown: Option<UnknownFaces<Candidate>>,
    /// What was set for the tenant when the people were named.
    pub judged_under: Arc<TenantSettings>,
    /// How strictly their liveness was judged.
    pub liveness: LivenessPolicy,
}

/// A person who was named in a photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Who.
    pub person: PersonId,
    /// By which face. Its runner-up is written from `runner_up`.
    pub sighting: Sighting,
    /// Whom else the face could show.
    pub runner_up: Option<Candidate>,
}

/// A record, the session that it belongs to, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRecord {
    /// The session.
    pub session: GroupSession,
    /// The record.
    pub record: AttendanceRecord,
    /// The name of its person; nothing for one who is gone.
    pub name: Option<String>,
}

impl Store {
    /// Takes a photo's people as evidence, in one transaction, with what became of each in the order of `seen`. However
    /// many calls run at once, one of them marks a person. Who was deleted or taken off the roster since they were
    /// recognised, or has no longer the consent that their tenant asks for, is not marked, and keeps nobody else from
    /// being marked. Faces that nobody was named for are kept in the same transaction.
    ///
    /// Errors: `NotFound` `group_not_found`; `Conflict` `session_closed` or `session_cancelled`; `Overloaded`
    /// `rules_changed` where they were named by others than hold now. None is marked then.
    pub async fn mark_photo(&self, scope: &TenantScope, photo: PhotoMarks) -> Result<Vec<Mark>> {
        let tenant = scope.tenant().clone();
        self.write(scope.right(), move |transaction| {
            let PhotoMarks { session: found, at, time, source, seen, unknown, judged_under, liveness } = &photo;
            let stored: Option<GroupSession> = transaction.get(&keys::group_session(&tenant, found.id))?;
            let mut session = stored.clone().unwrap_or_else(|| found.clone()).after(Step::Open, *at)?;
            session.note_photo(*at, *time, source.as_deref());
            if stored.as_ref() != Some(&session) {
                sessions::put(transaction, &tenant, stored.as_ref(), &session)?;
            }
            let register = Register::of(transaction, &tenant, &session)?;
            if !seen.is_empty() {
                tenants::require_same(transaction, &tenant, judged_under, |settings| settings.matching)?;
                if *liveness < tenants::settings(transaction, &tenant)?.liveness.max(register.liveness()) {
                    return Err(tenants::rules_changed());
                }
            }
            let marks = seen.iter().map(|seen| mark(transaction, &register, seen.clone())).collect::<Result<_>>()?;
            if let Some(unknown) = unknown {
                strangers::keep(transaction, &tenant, &session, unknown)?;
            }
            Ok(marks)
        })
        .await
    }

    /// The records of a group's sessions on a local date: by start of the session, then by first sighting. Errors:
    /// `NotFound` `group_not_found`.
    pub async fn attendance(&self, scope: &TenantScope, group: &GroupId, date: Date) -> Result<Vec<SessionRecord>> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            require_group(view, &tenant, &group)?;
            let mut sessions = sessions::stored_between(view, &tenant, &group, date, date)?;
            sessions.sort_by_key(|session| (session.starts_at, session.id));
            let mut all = Vec::new();
            for session in sessions {
                let mut records: Vec<_> = records(view, &tenant, session.id)?.into_iter().collect();
                records.sort_by_key(|(_, record)| {
                    (record.verdict.first_seen.is_none(), record.verdict.first_seen, record.id)
                });
                all.extend(with_names(view, &tenant, &session, records)?);
            }
            Ok(all)
        })
        .await
    }

    /// At most `limit` records of a session that come after that of `after`, whether or not they are still there, by
    /// pseudonym; and whom to go on after, `None` after the last. Errors: `NotFound` `session_not_found`.
    pub async fn records(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        after: Option<Pseudonym>,
        limit: usize,
    ) -> Result<(Vec<SessionRecord>, Option<Pseudonym>)> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            let of = sessions::require(view, &tenant, session)?;
            let of_session = keys::attendance_in(&tenant, session);
            let after = after.map(|after| keys::attendance(&tenant, session, after));
            let mut entries = view.scan_bytes(&of_session, after.as_deref());
            let mut records = Vec::new();
            for entry in entries.by_ref().take(limit) {
                let (key, bytes) = entry?;
                records.push((keys::person_of(&key).ok_or_else(codec::damaged)?, codec::decode(&bytes)?));
            }
            let has_more = entries.next().transpose()?.is_some();
            let last = records.last().map(|&(who, _)| who);
            Ok((with_names(view, &tenant, &of, records)?, last.filter(|_| has_more)))
        })
        .await
    }

    /// A session with the records of everybody of its register, by their ids; that of somebody of whom nothing is known
    /// says what counts so far, and is not stored. Errors: `NotFound` `session_not_found`.
    pub async fn register(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
    ) -> Result<(GroupSession, Vec<AttendanceRecord>)> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            let session = sessions::require(view, &tenant, session)?;
            let mut known = records(view, &tenant, session.id)?;
            let register = Register::of(view, &tenant, &session)?;
            for (who, member) in members(view, &tenant, &session.group)? {
                if !known.contains_key(&who) && register.lists(&member) {
                    let case = register.case(view, who, Some(&member))?;
                    known.insert(who, register.blank(member.person, &case));
                }
            }
            let mut records: Vec<AttendanceRecord> = known.into_values().collect();
            records.sort_by(|one, other| one.person.cmp(&other.person));
            Ok((session, records))
        })
        .await
    }

    /// Takes a mark back, with its evidence, and returns it. Errors: `NotFound` `group_not_found` or `record_not_found`,
    /// `Conflict` `session_closed`.
    pub async fn undo_mark(&self, scope: &TenantScope, group: &GroupId, record: RecordId) -> Result<AttendanceRecord> {
        let (author, tenant, group) = (scope.author(), scope.tenant().clone(), group.clone());
        self.write(scope.right(), move |transaction| {
            require_group(transaction, &tenant, &group)?;
            let missing = || Error::not_found("the group has no such attendance record").with_code("record_not_found");
            let place: Place = transaction.get(&keys::mark(&tenant, &group, record))?.ok_or_else(missing)?;
            let session = sessions::require(transaction, &tenant, place.session)?;
            if session.state == SessionState::Closed {
                return Err(crate::domain::attendance::session::is_closed());
            }
            let undone: AttendanceRecord =
                transaction.get(&keys::attendance(&tenant, place.session, place.person))?.ok_or_else(missing)?;
            remove(transaction, &tenant, &session, place.person, &undone)?;
            strangers::bring_back(transaction, &tenant, session.id, place.person, |_| true)?;
            audit::note(transaction, &author, "mark.undo", |it| {
                it.group(&group).person(&undone.person).record(record).before(&undone)
            })?;
            transaction.tell(
                &tenant,
                Occurrence::Corrected {
                    group: group.clone(),
                    person: undone.person.clone(),
                    record: undone.id,
                    date: session.date,
                    before: Some(undone.verdict.status.code().to_owned()),
                    after: None,
                },
            );
            Ok(undone)
        })
        .await
    }
}

fn mark(transaction: &mut Transaction<'_>, register: &Register, seen: Seen) -> Result<Mark> {
    let (tenant, Seen { person, mut sighting, runner_up }) = (register.tenant(), seen);
    // Erasing a person takes them off every roster, so this covers both ways of being gone.
    let Some((who, member)) = belonging(transaction, tenant, register.group(), &person, sighting.at)? else {
        return Ok(Mark::NotMarked);
    };
    match consent::require(transaction, tenant, who) {
        Err(error) if error.code() == "consent_required" => return Ok(Mark::NotMarked),
        asked => asked?,
    }
    if let Some(runner_up) = runner_up {
        sighting.runner_up = strangers::likeness(transaction, tenant, &runner_up)?;
    }
    let case = register.case(transaction, who, Some(&member))?;
    let before = register.record(transaction, who)?;
    let mut record = before.clone().unwrap_or_else(|| register.blank(person, &case));
    let (at, similarity) = (sighting.at, sighting.similarity);
    let mark = record.add(sighting, &case);
    if record.says_something() && before.as_ref() != Some(&record) {
        register.put(transaction, who, &record)?;
    }
    if let (Mark::Marked, Some(id)) = (mark, record.id) {
        let (group, date) = (register.group().clone(), register.date());
        transaction.tell(tenant, Occurrence::Marked { group, person: record.person, record: id, date, at, similarity });
    }
    Ok(mark)
}

/// Records of a session, in their order, with whose they are.
pub(in crate::store) fn with_names(
    read: &impl Read,
    tenant: &TenantId,
    session: &GroupSession,
    records: Vec<(Pseudonym, AttendanceRecord)>,
) -> Result<Vec<SessionRecord>> {
    let keys: Vec<_> = records.iter().map(|&(who, _)| keys::person(tenant, who)).collect();
    let people = read.get_many::<Person>(&keys)?.into_iter();
    let named = |((_, record), person): ((_, AttendanceRecord), Option<Person>)| SessionRecord {
        session: session.clone(),
        record,
        name: person.map(|person| person.name),
    };
    Ok(records.into_iter().zip(people).map(named).collect())
}

/// All records of a person, with their sessions, by session.
pub(in crate::store) fn of_person(
    read: &impl Read,
    tenant: &TenantId,
    who: Pseudonym,
) -> Result<Vec<(GroupSession, AttendanceRecord)>> {
    let mut records = Vec::new();
    for key in read.scan_keys(&keys::sightings(tenant, who)) {
        let session = keys::session_of_sighting(&key?).ok_or_else(codec::damaged)?;
        let record = read.get(&keys::attendance(tenant, session, who))?;
        let session = read.get(&keys::group_session(tenant, session))?;
        if let (Some(record), Some(session)) = (record, session) {
            records.push((session, record));
        }
    }
    Ok(records)
}

/// Gives the records of `from` to `person`. Of two in one session one stays, which counts as attended, else was seen, or
/// was seen first, or was theirs, and has the evidence of both. Sightings that were to be confirmed because they could be
/// of either of the two are so no longer. What changes is told as corrected.
pub(in crate::store) fn give(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    from: Pseudonym,
    who: Pseudonym,
    person: &PersonId,
) -> Result<()> {
    for (session, record) in of_person(transaction, tenant, from)? {
        remove(transaction, tenant, &session, from, &record)?;
        strangers::give(transaction, tenant, session.id, from, who)?;
        let given = AttendanceRecord { person: person.clone(), ..record };
        let own: Option<AttendanceRecord> = transaction.get(&keys::attendance(tenant, session.id, who))?;
        let mut both = match own.clone() {
            Some(own) => united(transaction, tenant, &session, who, (own, given))?,
            None => given,
        };
        free_of_rivals(transaction, tenant, &session, (from, who), &mut both)?;
        if let Some(own) = &own {
            remove(transaction, tenant, &session, who, own)?;
        }
        put(transaction, tenant, &session, who, &both)?;
        if own.as_ref().is_none_or(|own| (own.id, own.verdict.status) != (both.id, both.verdict.status)) {
            tell_corrected(transaction, tenant, &session, own.map(|own| own.verdict), &both);
        }
    }
    for (session, mut record) in of_person(transaction, tenant, who)? {
        let before = record.verdict;
        if free_of_rivals(transaction, tenant, &session, (from, who), &mut record)? {
            put(transaction, tenant, &session, who, &record)?;
        }
        if record.verdict.status != before.status {
            tell_corrected(transaction, tenant, &session, Some(before), &record);
        }
    }
    Ok(())
}

/// Judges the record of `who` anew if sightings of it could be of either of two who are one now; whether there were any.
fn free_of_rivals(
    read: &impl Read,
    tenant: &TenantId,
    session: &GroupSession,
    (from, who): (Pseudonym, Pseudonym),
    record: &mut AttendanceRecord,
) -> Result<bool> {
    if !record.forget_rivals(&[from, who]) {
        return Ok(false);
    }
    let member = member(read, tenant, &session.group, who)?;
    record.judge(&Register::of(read, tenant, session)?.case(read, who, member.as_ref())?);
    Ok(true)
}

/// Tells that a record counts otherwise than before.
fn tell_corrected(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: &GroupSession,
    before: Option<Verdict>,
    record: &AttendanceRecord,
) {
    let occurrence = Occurrence::Corrected {
        group: session.group.clone(),
        person: record.person.clone(),
        record: record.id,
        date: session.date,
        before: before.map(|before| before.status.code().to_owned()),
        after: Some(record.verdict.status.code().to_owned()),
    };
    transaction.tell(tenant, occurrence);
}

/// The better of somebody's own record and one that was given to them, with the evidence of both.
fn united(
    read: &impl Read,
    tenant: &TenantId,
    session: &GroupSession,
    who: Pseudonym,
    (own, given): (AttendanceRecord, AttendanceRecord),
) -> Result<AttendanceRecord> {
    let weight = |record: &AttendanceRecord| {
        let Verdict { status, first_seen, .. } = record.verdict;
        (status.is_attended(), record.says_something(), first_seen.map(Reverse))
    };
    let (mut better, other) = if weight(&given) > weight(&own) { (given, own) } else { (own, given) };
    if other.says_something() {
        let register = Register::of(read, tenant, session)?;
        let member = member(read, tenant, &session.group, who)?;
        better.absorb(other, &register.case(read, who, member.as_ref())?);
    }
    Ok(better)
}

/// Removes a group's sessions with their records; how many records there were.
pub(in crate::store) fn remove_of_group(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &GroupId,
) -> Result<usize> {
    let mut count = 0;
    for session in sessions::all_of(transaction, tenant, group)? {
        sheets::remove(transaction, tenant, session.id)?;
        for (who, record) in records(transaction, tenant, session.id)? {
            remove_beside_the_sheet(transaction, tenant, &session, who, &record);
            count += 1;
        }
        strangers::remove_of_session(transaction, tenant, session.id)?;
        sessions::remove(transaction, tenant, &session);
    }
    Ok(count)
}

/// Removes all records of a person; how many there were.
pub(in crate::store) fn remove_of_person(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    who: Pseudonym,
) -> Result<usize> {
    let records = of_person(transaction, tenant, who)?;
    for (session, record) in &records {
        remove(transaction, tenant, session, who, record)?;
        strangers::forget_named(transaction, tenant, session.id, who)?;
    }
    Ok(records.len())
}
