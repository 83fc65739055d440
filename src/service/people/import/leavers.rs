//! Leavers: people of a group that a roster names, or of any group, who have no row in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{GroupId, ImportOptions, Leavers, LeaversIn, PersonId, RowOutcome, RowReport, TenantScope, jobs::Fault},
    error::{Error, ErrorKind, Result},
    intake::Named,
    service::people::Service,
    store::ItemPlace,
};

/// Somebody who has no row, and the groups that they are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaver {
    /// Who.
    pub person: PersonId,
    /// From where.
    pub groups: Vec<GroupId>,
}

impl Leaver {
    fn report(&self, outcome: RowOutcome, error: Option<Fault>, left: Vec<GroupId>) -> RowReport {
        RowReport {
            line: 0,
            person: Some(self.person.clone()),
            outcome,
            error,
            samples_added: 0,
            refused: Vec::new(),
            duplicates: Vec::new(),
            groups_made: Vec::new(),
            left,
        }
    }

    /// The report of one who could not be seen off.
    pub fn failed(&self, error: &Error) -> RowReport {
        self.report(RowOutcome::Failed, Some(error.into()), Vec::new())
    }
}

impl Service {
    /// Those who are in groups and not in a roster, by their ids.
    pub async fn leavers(&self, scope: &TenantScope, named: &Named, of: LeaversIn) -> Result<Vec<Leaver>> {
        let groups = match of {
            LeaversIn::File => named.groups.clone(),
            LeaversIn::All => {
                let all = self.store.groups(scope, None, usize::MAX).await?;
                all.into_iter().map(|group| group.id).collect()
            }
        };
        let mut leavers: BTreeMap<PersonId, BTreeSet<GroupId>> = BTreeMap::new();
        for group in &groups {
            let people = match self.store.roster(scope, group).await {
                // It was never made.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                people => people?,
            };
            for person in people.into_iter().filter(|person| !named.people.contains(person)) {
                leavers.entry(person).or_default().insert(group.clone());
            }
        }
        let leaver = |(person, groups): (_, BTreeSet<_>)| Leaver { person, groups: groups.into_iter().collect() };
        Ok(leavers.into_iter().map(leaver).collect())
    }

    /// What becomes of a leaver; whether that was noted as the item at `place`. Nobody leaves where a row failed: it may
    /// be theirs. Errors: `NotFound` `person_not_found`; `Conflict` `job_over`.
    pub async fn see_off(
        &self,
        scope: &TenantScope,
        leaver: &Leaver,
        options: ImportOptions,
        have_rows_failed: bool,
        place: Option<ItemPlace>,
    ) -> Result<(RowReport, bool)> {
        let groups = leaver.groups.clone();
        if options.leavers != Leavers::Remove {
            return Ok((leaver.report(RowOutcome::Unchanged, None, groups), false));
        }
        if have_rows_failed {
            let message = "rows of this file failed, and one of them may be theirs: nobody leaves a group";
            let error = Error::new(ErrorKind::Conflict, message).with_code("rows_failed");
            return Ok((leaver.failed(&error), false));
        }
        let report = leaver.report(RowOutcome::Updated, None, groups.clone());
        if options.dry_run {
            return Ok((report, false));
        }
        let left = self.store.leave_groups(scope, &leaver.person, (groups, self.clock.now()), report, place).await?;
        Ok((left, true))
    }
}
