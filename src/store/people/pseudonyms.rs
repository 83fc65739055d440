//! Who is who: keys name people by pseudonyms, made up when they are enrolled, which say nothing of them. What leads
//! from an id to its pseudonym is a digest of the id (HMAC-SHA256) under a salt of the tenant; so are the words that
//! people are searched by. Whatever tells one person from another is in values.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    domain::{Person, PersonId, Pseudonym, TenantId},
    error::{Error, Result},
    store::{
        codec,
        engine::Read,
        keys::{self, Key, Kind, Parsed, PersonDigest, WordDigest},
        person_not_found,
        transaction::Transaction,
    },
};

/// What makes a tenant's digests differ from another's.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(in crate::store) struct Salt([u8; 32]);

impl Salt {
    /// The tenant's; `None` where nobody was ever enrolled, nor spoken of in a report.
    pub(in crate::store) fn of(read: &impl Read, tenant: &TenantId) -> Result<Option<Self>> {
        read.get(&keys::salt(tenant))
    }

    /// What stands for a person's id.
    pub(in crate::store) fn of_person(&self, person: &PersonId) -> PersonDigest {
        self.digest(b"person", person.as_str())
    }

    /// What stands for the beginning of a word.
    pub(in crate::store) fn of_word(&self, start: &str) -> WordDigest {
        let [a, b, c, d, e, f, g, h, ..] = self.digest(b"word", start);
        [a, b, c, d, e, f, g, h]
    }

    fn digest(&self, purpose: &[u8], text: &str) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key");
        mac.update(purpose);
        mac.update(&[0]);
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// The tenant's salt, made now where there is none yet.
pub(in crate::store) fn salt(transaction: &mut Transaction<'_>, tenant: &TenantId) -> Result<Salt> {
    if let Some(salt) = Salt::of(transaction, tenant)? {
        return Ok(salt);
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal("no random numbers").with_source(error))?;
    transaction.put(keys::salt(tenant), &Salt(bytes))?;
    Ok(Salt(bytes))
}

/// A person's pseudonym; `None` where there is no such person.
pub(in crate::store) fn pseudonym(read: &impl Read, tenant: &TenantId, person: &PersonId) -> Result<Option<Pseudonym>> {
    let Some(salt) = Salt::of(read, tenant)? else { return Ok(None) };
    read.get(&keys::place(tenant, &salt.of_person(person)))
}

/// A person's pseudonym. Errors: `NotFound` `person_not_found`.
pub(in crate::store) fn require_person(read: &impl Read, tenant: &TenantId, person: &PersonId) -> Result<Pseudonym> {
    pseudonym(read, tenant, person)?.ok_or_else(person_not_found)
}

/// A person and their pseudonym; `None` where there is no such person.
pub(in crate::store) fn find(
    read: &impl Read,
    tenant: &TenantId,
    person: &PersonId,
) -> Result<Option<(Pseudonym, Person)>> {
    let Some(who) = pseudonym(read, tenant, person)? else { return Ok(None) };
    Ok(read.get(&keys::person(tenant, who))?.map(|person| (who, person)))
}

/// The same of several, in their order, at the cost of two.
pub(in crate::store) fn find_all(
    read: &impl Read,
    tenant: &TenantId,
    people: &[PersonId],
) -> Result<Vec<Option<(Pseudonym, Person)>>> {
    let Some(salt) = Salt::of(read, tenant)? else { return Ok(people.iter().map(|_| None).collect()) };
    let places: Vec<Key> = people.iter().map(|person| keys::place(tenant, &salt.of_person(person))).collect();
    let found: Vec<Option<Pseudonym>> = read.get_many(&places)?;
    let keys: Vec<Key> = found.iter().flatten().map(|&who| keys::person(tenant, who)).collect();
    let mut persons = read.get_many::<Person>(&keys)?.into_iter();
    Ok(found.into_iter().map(|who| who.and_then(|who| Some((who, persons.next()??)))).collect())
}

/// Makes up the pseudonym of somebody new.
pub(in crate::store) fn enter(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    person: &PersonId,
) -> Result<Pseudonym> {
    let digest = salt(transaction, tenant)?.of_person(person);
    let who = Pseudonym::generate();
    transaction.put(keys::place(tenant, &digest), &who)?;
    Ok(who)
}

/// Removes what leads from an id to its pseudonym.
pub(in crate::store) fn forget(transaction: &mut Transaction<'_>, tenant: &TenantId, person: &PersonId) -> Result<()> {
    let digest = salt(transaction, tenant)?.of_person(person);
    transaction.remove(keys::place(tenant, &digest));
    Ok(())
}

/// A record of [`keys::people`], with its key's pseudonym.
pub(in crate::store) fn person_entry(entry: Result<(Key, Vec<u8>)>) -> Result<(Pseudonym, Person)> {
    let (key, bytes) = entry?;
    match keys::parse(&key) {
        Some(Parsed::Data(_, Kind::Person(who))) => Ok((who, codec::decode(&bytes)?)),
        _ => Err(codec::damaged()),
    }
}
