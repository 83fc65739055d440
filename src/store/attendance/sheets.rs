//! The sheet of a closed session: what its register says of everybody, in blocks of people, for reports.
//!
//! It repeats what the records say in a twentieth of their bytes, so that a report of ten million records reads some ten
//! thousand blocks. It is written when the session is closed, changed with every record of it that changes, and gone when
//! the session is opened again.

use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::register;
use crate::{
    domain::{AttendanceRecord, GroupSessionId, Pseudonym, TenantId},
    error::Result,
    reports::Cell,
    store::{
        codec,
        engine::{Read, View},
        keys,
        transaction::Transaction,
    },
};

/// People of a block when it is written; merging people can add a few.
const BLOCK: usize = 512;

/// Before and after everybody.
const FIRST: Pseudonym = Pseudonym::from_bytes([0; 16]);
const LAST: Pseudonym = Pseudonym::from_bytes([u8::MAX; 16]);

/// People from the one that its key names, the first block's from the very first, up to those of the next block.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::store) struct Block {
    /// By person.
    pub(in crate::store) rows: Vec<(Pseudonym, Cell)>,
}

/// Writes the sheet of a session that has none, of rows by person.
pub(in crate::store) fn write(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: GroupSessionId,
    rows: &[(Pseudonym, Cell)],
) -> Result<()> {
    let (first, others) = rows.split_at(rows.len().min(BLOCK));
    transaction.put(keys::sheet_block(tenant, session, FIRST), &Block { rows: first.to_vec() })?;
    for rows in others.chunks(BLOCK) {
        transaction.put(keys::sheet_block(tenant, session, rows[0].0), &Block { rows: rows.to_vec() })?;
    }
    Ok(())
}

/// Has the sheet of a session, if there is one, say `cell` of somebody; nothing where it is `None`.
pub(in crate::store) fn amend(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: GroupSessionId,
    who: Pseudonym,
    cell: Option<Cell>,
) -> Result<()> {
    let upto = keys::sheet_block(tenant, session, who);
    let Some(key) = transaction.last_key(&keys::sheet(tenant, session), &upto)? else { return Ok(()) };
    let mut block: Block = transaction.get(&key)?.ok_or_else(codec::damaged)?;
    match (block.rows.binary_search_by_key(&who, |row| row.0), cell) {
        (Ok(place), Some(cell)) => block.rows[place].1 = cell,
        (Ok(place), None) => drop(block.rows.remove(place)),
        (Err(place), Some(cell)) => block.rows.insert(place, (who, cell)),
        (Err(_), None) => return Ok(()),
    }
    transaction.put(key, &block)
}

/// Removes the sheet of a session.
pub(in crate::store) fn remove(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: GroupSessionId,
) -> Result<()> {
    let keys: Vec<_> = transaction.scan_keys(&keys::sheet(tenant, session)).collect::<Result<_>>()?;
    for key in keys {
        transaction.remove(key);
    }
    Ok(())
}

/// Whether a session has a sheet.
pub(in crate::store) fn is_there(read: &impl Read, tenant: &TenantId, session: GroupSessionId) -> Result<bool> {
    read.has(&keys::sheet_block(tenant, session, FIRST))
}

/// Whether a block says of its people what their records say, and of nobody else.
pub(in crate::store) fn agrees(
    view: &View<'_>,
    tenant: &TenantId,
    (session, from): (GroupSessionId, Pseudonym),
    block: &Block,
) -> Result<bool> {
    let sheet = keys::sheet(tenant, session);
    let next = view.scan_bytes(&sheet, Some(&keys::sheet_block(tenant, session, from))).next().transpose()?;
    let next = next.and_then(|(key, _)| Some(keys::attendance(tenant, session, keys::person_of(&key)?)));
    let end = keys::attendance(tenant, session, LAST);
    let upto = next.as_deref().map_or(Bound::Included(end.as_slice()), Bound::Excluded);
    let mut rows = Vec::new();
    view.visit((Bound::Included(&keys::attendance(tenant, session, from)), upto), usize::MAX, |key, bytes| {
        // What cannot be read is found where it is.
        let record: Option<AttendanceRecord> = codec::decode(bytes).ok();
        rows.extend(keys::person_of(key).zip(record.map(|record| register::cell(&record))));
        Ok(())
    })?;
    Ok(rows == block.rows)
}

/// Shows what the sheet of a session says of everybody from `first` to `last`, and of some around them, by person.
pub(in crate::store) fn show(
    view: &View<'_>,
    tenant: &TenantId,
    session: GroupSessionId,
    (first, last): (Pseudonym, Pseudonym),
    mut show: impl FnMut(Pseudonym, Cell),
) -> Result<()> {
    let from = view.last_key(&keys::sheet(tenant, session), &keys::sheet_block(tenant, session, first))?;
    let Some(from) = from else { return Ok(()) };
    let upto = keys::sheet_block(tenant, session, last);
    view.visit((Bound::Included(&from), Bound::Included(&upto)), usize::MAX, |_, bytes| {
        let Block { rows } = codec::decode(bytes)?;
        for (who, cell) in rows {
            show(who, cell);
        }
        Ok(())
    })?;
    Ok(())
}
