//! The chains that a check of the whole store comes by.

use std::collections::HashMap;

use crate::{
    domain::{
        Realm,
        access::audit::{Entry, Head},
    },
    error::Result,
    store::{engine::Read, keys},
};

/// How far each chain was followed, whose head was not met yet.
#[derive(Default)]
pub(in crate::store) struct Chains(HashMap<Realm, Head>);

impl Chains {
    /// Goes on to the next entry of a chain, whether it fits or not. Errors: `Storage` `audit_broken`.
    pub(in crate::store) fn follow(&mut self, realm: &Realm, entry: &Entry) -> Result<()> {
        let followed = self.0.entry(realm.clone()).or_default();
        let fits = followed.follow(entry);
        // Each break is told once.
        *followed = Head { number: entry.number, hash: entry.hash };
        fits
    }

    /// Ends a chain at its head, after the entries that `read` has and that were not there when their keys were passed.
    /// Errors: `Storage` `audit_broken`.
    pub(in crate::store) fn end(&mut self, read: &impl Read, realm: &Realm, head: &Head) -> Result<()> {
        let mut followed = self.0.remove(realm).unwrap_or_default();
        let (prefix, last) = (keys::audit_entries(realm), keys::audit_entry(realm, followed.number));
        for entry in read.scan::<Entry>(&prefix, Some(&last)) {
            followed.follow(&entry?)?;
        }
        followed.ends_at(head)
    }

    /// The chains whose head is missing.
    pub(in crate::store) fn unended(&self) -> impl Iterator<Item = &Realm> {
        self.0.keys()
    }
}
