//! Attendance records. A group has one implicit session a local day, so group, date and person are the key that
//! makes a mark unique. Two small index records find it by its id and by its person.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{
    Store, audit,
    codec::Record,
    db::Read,
    groups::{on_roster, require_group},
    keys,
    transaction::Transaction,
};
use crate::{
    domain::{AttendanceRecord, GroupId, Occurrence, PersonId, Pseudonym, RecordId, TenantId, TenantScope},
    error::{Error, Result},
};

impl Record for AttendanceRecord {
    const KIND: u8 = 8;
}

/// The index records' value: the parts of the attendance record's key, and its id.
#[derive(Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) group: GroupId,
    pub(super) date: Date,
    pub(super) person: Pseudonym,
    pub(super) record: RecordId,
}

impl Record for Place {
    const KIND: u8 = 9;
}

/// What became of a mark.
#[derive(Debug, Clone, PartialEq)]
pub enum MarkOutcome {
    /// It is a new record.
    Marked(AttendanceRecord),
    /// The person had this record in the session already; nothing was written.
    Already(AttendanceRecord),
    /// The person was deleted, or taken off the group's roster, since they were recognised; nothing was written.
    Gone,
}

impl Store {
    /// Marks a person present unless the session has them already: however many calls run at once, one writes.
    /// Errors: `NotFound` `group_not_found`.
    pub async fn mark_once(&self, scope: &TenantScope, record: AttendanceRecord) -> Result<MarkOutcome> {
        let tenant = scope.tenant().clone();
        self.write(move |transaction| mark(transaction, &tenant, record)).await
    }

    /// [`Self::mark_once`] for all of a photo's people in one transaction, with outcomes in the order of `records`:
    /// somebody who has gone keeps nobody else from being marked. An error means that none was marked.
    pub async fn mark_many(&self, scope: &TenantScope, records: Vec<AttendanceRecord>) -> Result<Vec<MarkOutcome>> {
        let tenant = scope.tenant().clone();
        self.write(move |transaction| records.into_iter().map(|record| mark(transaction, &tenant, record)).collect())
            .await
    }

    /// The records of a group's session on a local date, by time. Errors: `NotFound` `group_not_found`.
    pub async fn attendance(&self, scope: &TenantScope, group: &GroupId, date: Date) -> Result<Vec<AttendanceRecord>> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            require_group(view, &tenant, &group)?;
            let mut records: Vec<AttendanceRecord> =
                view.scan(&keys::attendance_on(&tenant, &group, date), None).collect::<Result<_>>()?;
            records.sort_by_key(|record| (record.at, record.id));
            Ok(records)
        })
        .await
    }

    /// Takes a mark back and returns it. Errors: `NotFound` `group_not_found` or `record_not_found`.
    pub async fn undo_mark(&self, scope: &TenantScope, group: &GroupId, record: RecordId) -> Result<AttendanceRecord> {
        let (author, tenant, group) = (scope.author(), scope.tenant().clone(), group.clone());
        self.write(move |transaction| {
            require_group(transaction, &tenant, &group)?;
            let missing = || Error::not_found("the group has no such attendance record").with_code("record_not_found");
            let place: Place = transaction.get(&keys::mark(&tenant, &group, record))?.ok_or_else(missing)?;
            let key = keys::attendance(&tenant, &place.group, place.date, place.person);
            let undone: AttendanceRecord = transaction.get(&key)?.ok_or_else(missing)?;
            remove(transaction, &tenant, &place);
            audit::note(transaction, &author, "mark.undo", |it| {
                it.group(&group).person(&undone.person).record(undone.id).before(&undone)
            })?;
            transaction.tell(&tenant, taken_back(&undone));
            Ok(undone)
        })
        .await
    }
}

fn mark(transaction: &mut Transaction<'_>, tenant: &TenantId, record: AttendanceRecord) -> Result<MarkOutcome> {
    require_group(transaction, tenant, &record.group)?;
    // Erasing a person takes them off every roster, so this covers both ways of being gone.
    let Some(who) = on_roster(transaction, tenant, &record.group, &record.person)? else {
        return Ok(MarkOutcome::Gone);
    };
    let key = keys::attendance(tenant, &record.group, record.date, who);
    if let Some(existing) = transaction.get(&key)? {
        return Ok(MarkOutcome::Already(existing));
    }
    put(transaction, tenant, who, &record)?;
    transaction.tell(tenant, marked(&record));
    Ok(MarkOutcome::Marked(record))
}

fn marked(record: &AttendanceRecord) -> Occurrence {
    let AttendanceRecord { id, group, person, date, at, similarity, .. } = record.clone();
    Occurrence::Marked { group, person, record: id, date, at, similarity }
}

fn taken_back(record: &AttendanceRecord) -> Occurrence {
    let AttendanceRecord { id, group, person, date, .. } = record.clone();
    Occurrence::Corrected { group, person, record: id, date, before: Some("present".into()), after: None }
}

fn put(transaction: &mut Transaction<'_>, tenant: &TenantId, who: Pseudonym, record: &AttendanceRecord) -> Result<()> {
    let place = place_of(who, record);
    transaction.put(keys::attendance(tenant, &record.group, record.date, who), record)?;
    transaction.put(keys::mark(tenant, &record.group, record.id), &place)?;
    transaction.put(keys::sighting(tenant, who, &record.group, record.date), &place)
}

fn place_of(who: Pseudonym, record: &AttendanceRecord) -> Place {
    Place { group: record.group.clone(), date: record.date, person: who, record: record.id }
}

/// All records of a person, by group and date.
pub(super) fn of_person(read: &impl Read, tenant: &TenantId, who: Pseudonym) -> Result<Vec<AttendanceRecord>> {
    let prefix = keys::sightings(tenant, who);
    let records = read.scan(&prefix, None).filter_map(|place: Result<Place>| {
        place.and_then(|place| read.get(&keys::attendance(tenant, &place.group, place.date, place.person))).transpose()
    });
    records.collect()
}

/// Gives the records of `from` to `person`. Of two in one session the earlier stays, and of two at one time the one
/// that was theirs.
pub(super) fn give(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    from: Pseudonym,
    who: Pseudonym,
    person: &PersonId,
) -> Result<()> {
    for record in of_person(transaction, tenant, from)? {
        remove(transaction, tenant, &place_of(from, &record));
        let key = keys::attendance(tenant, &record.group, record.date, who);
        let own: Option<AttendanceRecord> = transaction.get(&key)?;
        if own.as_ref().is_none_or(|own| record.at < own.at) {
            if let Some(own) = own {
                remove(transaction, tenant, &place_of(who, &own));
            }
            put(transaction, tenant, who, &AttendanceRecord { person: person.clone(), ..record })?;
        }
    }
    Ok(())
}

/// Removes all records of a group; how many there were.
pub(super) fn remove_of_group(transaction: &mut Transaction<'_>, tenant: &TenantId, group: &GroupId) -> Result<usize> {
    let places: Vec<Place> = transaction.scan(&keys::marks(tenant, group), None).collect::<Result<_>>()?;
    let count = places.len();
    for place in places {
        remove(transaction, tenant, &place);
    }
    Ok(count)
}

/// Removes all records of a person; how many there were.
pub(super) fn remove_of_person(transaction: &mut Transaction<'_>, tenant: &TenantId, who: Pseudonym) -> Result<usize> {
    let places: Vec<Place> = transaction.scan(&keys::sightings(tenant, who), None).collect::<Result<_>>()?;
    for place in &places {
        remove(transaction, tenant, place);
    }
    Ok(places.len())
}

fn remove(transaction: &mut Transaction<'_>, tenant: &TenantId, place: &Place) {
    transaction.remove(keys::attendance(tenant, &place.group, place.date, place.person));
    transaction.remove(keys::mark(tenant, &place.group, place.record));
    transaction.remove(keys::sighting(tenant, place.person, &place.group, place.date));
}
