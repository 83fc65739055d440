//! The audit log: its entries follow each other, up to where its head says that it ends.

use super::{
    found::{Finding, OfRealm, misplaced, missing},
    server::where_standing,
};
use crate::{
    domain::{
        Realm,
        access::audit::{Entry, Head, Salt},
    },
    error::Result,
    store::keys::{self, Access, Parsed},
};

pub(in crate::store) fn entry(of: &OfRealm<'_>, number: u64) -> Finding {
    let found = of.read(|entry: &Entry| {
        let fits = of.chains.borrow_mut().follow(of.realm, entry);
        Ok(misplaced(entry.number != number).or_else(|| code(fits)))
    });
    standing(of, found)
}

pub(in crate::store) fn head(of: &OfRealm<'_>) -> Finding {
    let found = of.read(|head: &Head| {
        let salted = of.has(&keys::audit_salt(of.realm))?;
        let ends = of.chains.borrow_mut().end(of.view, of.realm, head);
        Ok(code(ends).or_else(|| missing(!salted, "no_audit_salt")))
    });
    standing(of, found)
}

pub(in crate::store) fn salt(of: &OfRealm<'_>) -> Finding {
    let found = of.read(|_: &Salt| {
        let logged = of.has(&keys::audit_head(of.realm))?;
        Ok(missing(!logged, "no_audit_log"))
    });
    standing(of, found)
}

/// The log of a tenant that is being deleted is followed too: some of it is gone already.
fn standing(of: &OfRealm<'_>, found: Finding) -> Finding {
    match of.realm {
        Realm::Tenant(tenant) => where_standing(of.view, tenant, || found),
        Realm::Server => found,
    }
}

/// Where a log without a head is to be looked for.
pub(super) fn place(realm: &Realm) -> String {
    Parsed::Access(realm.clone(), Access::AuditHead).to_string()
}

fn code(fits: Result<()>) -> Option<&'static str> {
    fits.err().map(|error| error.code())
}
