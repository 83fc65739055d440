//! Consents, which are kept with their people.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    pseudonyms::{find, person_entry},
    search,
};
use crate::{
    domain::{Consent, ConsentPolicy, Person, PersonId, Pseudonym, TenantId, TenantScope},
    error::Result,
    store::{
        Alias, Store,
        access::{audit, tenants},
        blocking,
        engine::Read,
        keys, person_not_found,
        transaction::Transaction,
    },
};

/// People read under one view: writes wait for no more than this.
const READ_AT_ONCE: usize = 1024;

impl Store {
    /// Sets a person's consent, or takes it away. Errors: `NotFound` `person_not_found`.
    pub async fn set_consent(&self, scope: &TenantScope, person: &PersonId, consent: Option<Consent>) -> Result<()> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        self.write(scope.right(), move |transaction| {
            let (who, known) = find(transaction, &tenant, &person)?.ok_or_else(person_not_found)?;
            let action = if consent.is_some() { "consent.give" } else { "consent.withdraw" };
            audit::note(transaction, &author, action, |it| it.person(&person).changed(&known.consent, &consent))?;
            let consent_withdrawn_at = consent.is_none().then_some(transaction.origin().at);
            let changed = Person { consent: consent.clone(), consent_withdrawn_at, ..known };
            search::put_person(transaction, &tenant, who, &changed)
        })
        .await
    }

    /// Everybody of the tenant who has a consent, with its end; it may have passed.
    pub async fn consents(&self, scope: &TenantScope) -> Result<Vec<(Alias, Option<Timestamp>)>> {
        let (engine, tenant) = (Arc::clone(self.engine()), scope.tenant().clone());
        blocking(move || {
            let (mut consents, mut after) = (Vec::new(), None);
            loop {
                let view = engine.view()?;
                let people = keys::people(&tenant);
                let page = view.scan_bytes(&people, after.as_deref()).take(READ_AT_ONCE).map(person_entry);
                let page = page.collect::<Result<Vec<_>>>()?;
                let Some((last, _)) = page.last() else { return Ok(consents) };
                after = Some(keys::person(&tenant, *last));
                let ends =
                    page.into_iter().filter_map(|(who, person)| Some(((who, person.id), person.consent?.expires_at)));
                consents.extend(ends);
            }
        })
        .await
    }
}

/// Errors where the tenant asks for a consent that somebody does not have at this moment: `Unprocessable`
/// `consent_required`. Asked wherever something comes to be known of their face: what was asked before the work may have
/// changed since.
pub(in crate::store) fn require(transaction: &Transaction<'_>, tenant: &TenantId, who: Pseudonym) -> Result<()> {
    let policy = tenants::settings(transaction, tenant)?.enrolment.consent;
    if policy == ConsentPolicy::Off {
        return Ok(());
    }
    let known: Option<Person> = transaction.get(&keys::person(tenant, who))?;
    policy.require(known.and_then(|known| known.consent).as_ref(), transaction.origin().at)
}
