//! What reports are made of: closed sessions, and what the register says of people in them, a page of people at a time.
//!
//! A page takes a view for each session, so writes never wait for more than one session's part of it; what is written
//! while a report is read may be in it or not.

use std::sync::Arc;

use jiff::civil::Date;

use super::{Store, blocking, db::Read, group_not_found, keys, sessions::stored_between};
use crate::{
    domain::{
        AttendanceRecord, Group, GroupId, GroupSession, GroupSessionId, Person, PersonId, SessionState, TenantScope,
    },
    error::Result,
    reports::{Cell, PersonRow},
};

/// A page of people with what the register says of them.
pub struct RegisterPage {
    /// Those with a record in one of the sessions, by the bytes of their ids.
    pub rows: Vec<PersonRow>,
    /// The person to go on after; `None` after the last page.
    pub next: Option<PersonId>,
}

impl Store {
    /// The closed sessions of a group on local dates from `from` until `until`, both included, with the group.
    /// Errors: `NotFound` `group_not_found`.
    pub async fn closed_sessions(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        from: Date,
        until: Date,
    ) -> Result<(Group, Vec<GroupSession>)> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            let known: Group = view.get(&keys::group(&tenant, &group))?.ok_or_else(group_not_found)?;
            let mut sessions = stored_between(view, &tenant, &group, from, until)?;
            sessions.retain(|session| session.state == SessionState::Closed);
            Ok((known, sessions))
        })
        .await
    }

    /// What the register says in `sessions`, in their order, of at most `limit` of the tenant's people after `after`.
    pub async fn register_page(
        &self,
        scope: &TenantScope,
        sessions: Arc<[GroupSessionId]>,
        after: Option<PersonId>,
        limit: usize,
    ) -> Result<RegisterPage> {
        let (tenant, db) = (scope.tenant().clone(), Arc::clone(&self.inner.db));
        blocking(move || {
            let start = after.as_ref().map(|person| keys::person(&tenant, person));
            let people: Vec<Person> =
                db.view().scan(&keys::people(&tenant), start.as_deref()).take(limit).collect::<Result<_>>()?;
            let next = people.get(limit - 1).map(|person| person.id.clone());
            let Some(last) = people.last().map(|person| person.id.clone()) else {
                return Ok(RegisterPage { rows: Vec::new(), next });
            };
            let row =
                |Person { id, name, .. }| PersonRow { person: id, name: Some(name), cells: vec![None; sessions.len()] };
            let mut rows: Vec<PersonRow> = people.into_iter().map(row).collect();
            for (place, &session) in sessions.iter().enumerate() {
                let start = after.as_ref().map(|person| keys::attendance(&tenant, session, person));
                let mut people = 0..rows.len();
                for record in db.view().scan(&keys::attendance_in(&tenant, session), start.as_deref()) {
                    let AttendanceRecord { person, verdict, .. } = record?;
                    if person > last {
                        break;
                    }
                    // Both go by the bytes of the ids; who came between the two looks is on no page.
                    while people.start < people.end && rows[people.start].person < person {
                        people.start += 1;
                    }
                    if let Some(row) = rows.get_mut(people.start).filter(|row| row.person == person) {
                        row.cells[place] = Some(Cell { status: verdict.status, late_minutes: verdict.late_minutes });
                    }
                }
            }
            rows.retain(|row| row.cells.iter().any(Option::is_some));
            Ok(RegisterPage { rows, next })
        })
        .await
    }
}
