//! What was changed, as it is now: for whoever follows the change feed.

use std::collections::BTreeSet;

use super::{
    Store,
    calls::{Calls, Matter},
    changes::{Change, Changes},
    engine::{Read, View},
    keys,
};
use crate::{
    domain::{FaceId, FaceSample, Negative, Person, PersonId, Pseudonym, TenantId, TenantScope},
    error::Result,
};

/// Changes looked at under one view: writes wait for no more than this.
const AT_ONCE: usize = 256;

/// What some changes of a tenant have come to, as of one moment; `None` stands for what was removed.
#[derive(Debug, Clone, Default)]
pub struct ChangedState {
    /// Whether the tenant or what was set for it was changed.
    pub is_tenant_changed: bool,
    /// People, and those of their samples that may be found by the change alone.
    pub people: Vec<(Pseudonym, Option<ChangedPerson>)>,
    /// Samples.
    pub faces: Vec<((Pseudonym, FaceId), Option<FaceSample>)>,
    /// Faces that are not the person's.
    pub negatives: Vec<((Pseudonym, FaceId), Option<Negative>)>,
}

/// A person who was changed.
#[derive(Debug, Clone)]
pub struct ChangedPerson {
    /// Who.
    pub person: Person,
    /// Their samples, where they were asked for and the person has a consent: without it, nobody found them before.
    pub faces: Vec<FaceSample>,
}

/// Somebody's pseudonym and id.
pub type Alias = (Pseudonym, PersonId);

impl ChangedState {
    /// Whether nobody and nobody's samples were changed.
    pub fn is_of_nobody(&self) -> bool {
        self.people.is_empty() && self.faces.is_empty() && self.negatives.is_empty()
    }
}

impl Store {
    /// The number of the last change of a tenant that was acknowledged, or is about to be; 0 where there was none since
    /// the store was opened.
    pub fn last_change(&self, scope: &TenantScope) -> u64 {
        self.engine().feed().last(scope.tenant())
    }

    /// How many changes of tenants and their settings were acknowledged, or are about to be, since the store was opened.
    /// Who asks first and then looks at settings has at least these.
    pub fn changes_of_settings(&self) -> u64 {
        self.engine().feed().last_of_tenants()
    }

    /// The number among them of the last one of a tenant; 0 where there was none.
    pub fn last_change_of_settings(&self, scope: &TenantScope) -> u64 {
        self.engine().feed().last_of_tenant(scope.tenant())
    }

    /// Is called whenever a matter of some tenant has changed that is wanted.
    pub fn calls(&self, wants: fn(Matter) -> bool) -> Calls {
        self.engine().feed().calls(wants)
    }

    /// What a tenant's next changes after the change `number` have come to, and the number of the last of them; `None`
    /// where they are no longer kept. With the samples of people who have a consent where those are `wanted`.
    pub async fn changed_since(
        &self,
        scope: &TenantScope,
        number: u64,
        wanted: bool,
    ) -> Result<Option<(ChangedState, u64)>> {
        let Some(Changes { changes, upto }) = self.engine().feed().since(scope.tenant(), number, AT_ONCE) else {
            return Ok(None);
        };
        let changes: BTreeSet<Change> = changes.into_iter().collect();
        if changes.is_empty() {
            return Ok(Some((ChangedState::default(), upto)));
        }
        let tenant = scope.tenant().clone();
        let present = self.read(move |view| present(view, &tenant, &changes, wanted)).await?;
        Ok(Some((present, upto)))
    }
}

fn present(view: &View<'_>, tenant: &TenantId, changes: &BTreeSet<Change>, wanted: bool) -> Result<ChangedState> {
    let (mut people, mut faces, mut negatives) = (Vec::new(), Vec::new(), Vec::new());
    let mut present = ChangedState::default();
    for change in changes {
        match *change {
            Change::Tenant => present.is_tenant_changed = true,
            Change::Person(who) => people.push(who),
            Change::Face(who, face) => faces.push((who, face)),
            Change::Negative(who, face) => negatives.push((who, face)),
            Change::Event(_) | Change::Webhook(_) | Change::Delivery(_) => {}
        }
    }
    let keys: Vec<_> = people.iter().map(|&who| keys::person(tenant, who)).collect();
    for (who, person) in people.into_iter().zip(view.get_many::<Person>(&keys)?) {
        let are_wanted = wanted && person.as_ref().is_some_and(|person| person.consent.is_some());
        let faces = are_wanted.then(|| view.scan(&keys::faces_of(tenant, who), None).collect::<Result<Vec<_>>>());
        let faces = faces.transpose()?.unwrap_or_default();
        present.people.push((who, person.map(|person| ChangedPerson { person, faces })));
    }
    let keys: Vec<_> = faces.iter().map(|&(who, face)| keys::face(tenant, who, face)).collect();
    present.faces = faces.into_iter().zip(view.get_many(&keys)?).collect();
    let keys: Vec<_> = negatives.iter().map(|&(who, face)| keys::negative(tenant, who, face)).collect();
    present.negatives = negatives.into_iter().zip(view.get_many(&keys)?).collect();
    Ok(present)
}
