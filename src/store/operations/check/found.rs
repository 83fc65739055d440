//! A record under judgement, and the words for what may be wrong with one.

use std::{cell::RefCell, ops::Deref};

use crate::{
    domain::{FaceSample, GroupId, PersonId, Pseudonym, Realm, TenantId},
    error::Result,
    store::{
        access::audit::Chains,
        codec::{self, Record},
        engine::{Read, View},
        keys,
        people::pseudonyms::pseudonym,
    },
};

/// The code of what is wrong with a record; `None` for a sound one. Errors mean that the store could not be read.
pub(in crate::store) type Finding = Result<Option<&'static str>>;

/// A record under judgement.
pub(in crate::store) struct Entry<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) key: &'a [u8],
    pub(super) bytes: &'a [u8],
    /// How far the audit logs were followed.
    pub(super) chains: &'a RefCell<Chains>,
    /// May find something wrong with a sample, of which the store knows nothing.
    pub(super) unfit: &'a dyn Fn(&FaceSample) -> Option<&'static str>,
}

impl Entry<'_> {
    /// What is wrong with the record: that it cannot be read, or what `judge` finds.
    pub(super) fn read<R: Record>(&self, judge: impl FnOnce(&R) -> Finding) -> Finding {
        match codec::decode::<R>(self.bytes) {
            Ok(record) => judge(&record),
            Err(error) => Ok(Some(error.code())),
        }
    }

    /// Of a record of which nothing but its bytes can be wrong.
    pub(in crate::store) fn readable<R: Record>(&self) -> Finding {
        self.read(|_: &R| Ok(None))
    }

    pub(super) fn has(&self, key: &[u8]) -> Result<bool> {
        self.view.has(key)
    }

    /// Another record; `None` where it is not there, or cannot be read, which is noted where it is.
    pub(super) fn get<R: Record>(&self, key: &[u8]) -> Option<R> {
        self.view.get(key).unwrap_or(None)
    }
}

/// A record of a realm.
pub(in crate::store) struct OfRealm<'a> {
    pub(super) entry: &'a Entry<'a>,
    pub(super) realm: &'a Realm,
}

impl<'a> Deref for OfRealm<'a> {
    type Target = Entry<'a>;

    fn deref(&self) -> &Entry<'a> {
        self.entry
    }
}

/// A record of a tenant.
pub(in crate::store) struct Found<'a> {
    pub(super) entry: &'a Entry<'a>,
    pub(super) tenant: &'a TenantId,
}

impl<'a> Deref for Found<'a> {
    type Target = Entry<'a>;

    fn deref(&self) -> &Entry<'a> {
        self.entry
    }
}

impl Found<'_> {
    pub(super) fn has_person(&self, person: Pseudonym) -> Result<bool> {
        self.has(&keys::person(self.tenant, person))
    }

    pub(super) fn has_group(&self, group: &GroupId) -> Result<bool> {
        self.has(&keys::group(self.tenant, group))
    }

    /// Whether a pseudonym is the person's; it is where what leads to it cannot be read, which is noted where it is.
    pub(super) fn is_of(&self, who: Pseudonym, person: &PersonId) -> bool {
        pseudonym(self.view, self.tenant, person).map_or(true, |found| found == Some(who))
    }
}

pub(super) fn missing(is_missing: bool, code: &'static str) -> Option<&'static str> {
    is_missing.then_some(code)
}

pub(super) fn misplaced(is_misplaced: bool) -> Option<&'static str> {
    missing(is_misplaced, "misplaced")
}

/// Whether there is a record under each of the keys.
pub(super) fn has_all(read: &impl Read, keys: impl IntoIterator<Item = Vec<u8>>) -> Result<bool> {
    for key in keys {
        if !read.has(&key)? {
            return Ok(false);
        }
    }
    Ok(true)
}
