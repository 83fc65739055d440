//! The audit log: its entries follow each other, up to where its head says that it ends.

use super::{
    super::{
        audit::Chains,
        engine::{Read, View},
        keys::{self, Parsed},
    },
    found::{Finding, misplaced, missing, read},
};
use crate::{
    domain::{
        Realm,
        audit::{Entry, Head, Salt},
    },
    error::Result,
};

pub(super) fn entry(chains: &mut Chains, realm: &Realm, number: u64, bytes: &[u8]) -> Finding {
    read(bytes, |entry: &Entry| {
        let fits = chains.follow(realm, entry);
        Ok(misplaced(entry.number != number).or_else(|| code(fits)))
    })
}

pub(super) fn head(view: &View<'_>, chains: &mut Chains, realm: &Realm, bytes: &[u8]) -> Finding {
    read(bytes, |head: &Head| {
        let salted = view.has(&keys::audit_salt(realm))?;
        Ok(code(chains.end(view, realm, head)).or_else(|| missing(!salted, "no_audit_salt")))
    })
}

pub(super) fn salt(view: &View<'_>, realm: &Realm, bytes: &[u8]) -> Finding {
    read(bytes, |_: &Salt| {
        let logged = view.has(&keys::audit_head(realm))?;
        Ok(missing(!logged, "no_audit_log"))
    })
}

/// Where a log without a head is to be looked for.
pub(super) fn place(realm: &Realm) -> String {
    Parsed::AuditHead(realm.clone()).to_string()
}

fn code(fits: Result<()>) -> Option<&'static str> {
    fits.err().map(|error| error.code())
}
