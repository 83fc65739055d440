//! What reports are made of: closed sessions, and what the register says of people in them, a page of people at a time.
//!
//! A page takes a view for each session, so writes never wait for more than one session's part of it; what is written
//! while a report is read may be in it or not.

use std::sync::Arc;

use jiff::civil::Date;

use super::{sessions::stored_between, sheets};
use crate::{
    domain::{Group, GroupId, GroupSession, GroupSessionId, Person, Pseudonym, SessionState, TenantScope},
    error::Result,
    reports::PersonRow,
    store::{Store, blocking, engine::Read, group_not_found, keys, people::pseudonyms::person_entry},
};

/// A page of people with what the register says of them.
pub struct RegisterPage {
    /// Those with a record in one of the sessions, in the order of their enrolment.
    pub rows: Vec<PersonRow>,
    /// The person to go on after; `None` after the last page.
    pub next: Option<Pseudonym>,
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
        after: Option<Pseudonym>,
        limit: usize,
    ) -> Result<RegisterPage> {
        let (tenant, engine) = (scope.tenant().clone(), Arc::clone(self.engine()));
        blocking(move || {
            let start = after.map(|person| keys::person(&tenant, person));
            let page: Vec<(Pseudonym, Person)> = engine
                .view()?
                .scan_bytes(&keys::people(&tenant), start.as_deref())
                .take(limit)
                .map(person_entry)
                .collect::<Result<_>>()?;
            let (who, people): (Vec<Pseudonym>, Vec<Person>) = page.into_iter().unzip();
            let cells = vec![None; sessions.len()];
            let row = |Person { id, name, .. }| PersonRow { person: id, name: Some(name), cells: cells.clone() };
            let mut rows: Vec<PersonRow> = people.into_iter().map(row).collect();
            let Some((&first, &last)) = who.first().zip(who.last()) else {
                return Ok(RegisterPage { rows, next: None });
            };
            for (place, &session) in sessions.iter().enumerate() {
                // Sheets go by the pseudonyms, as people do.
                let mut row = 0;
                sheets::show(&engine.view()?, &tenant, session, (first, last), |person, cell| {
                    row += who[row..].iter().take_while(|&&other| other < person).count();
                    // Who was enrolled between the two looks is on no page.
                    if who.get(row) == Some(&person) {
                        rows[row].cells[place] = Some(cell);
                    }
                })?;
            }
            rows.retain(|row| row.cells.iter().any(Option::is_some));
            let next = who.last().copied().filter(|_| who.len() == limit);
            Ok(RegisterPage { rows, next })
        })
        .await
    }
}
