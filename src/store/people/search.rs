//! Finding people: by words of their names and ids, by group, by consent.
//!
//! The beginnings of a person's words are keys of their own, as digests, kept by whatever writes the person. A query
//! whose words few people have begins with these keys; one that many have finds them soon enough on a walk over all
//! people.

use std::{cmp::Reverse, collections::BTreeSet};

use jiff::Timestamp;

use super::{
    person::with_belongings,
    pseudonyms::{Salt, forget, person_entry, salt},
};
use crate::{
    domain::{
        ConsentState, GroupId, Person, PersonId, Pseudonym, TenantId, TenantScope,
        attendance::roster::Member,
        people::words::{are_found, beginnings, longest_beginning, words_of},
    },
    error::Result,
    store::{
        PersonRecord, Store,
        attendance::{groups::require_group, rosters::groups_of},
        codec::{self, damaged},
        engine::{Read, View},
        keys::{self, Key, Kind, Parsed},
        transaction::Transaction,
    },
};

/// A word that more people have than this is no help: they are met on a walk over all.
const MAX_HOLDERS: usize = PASSED_A_PAGE;
/// Words of a query that are looked up.
const MAX_LOOKED_UP: usize = 4;
/// People passed over for one page, so that a page of few who fit ends too: writes wait for no more than this.
const PASSED_A_PAGE: usize = 4096;

/// Whom to find; everybody by default.
#[derive(Debug, Clone, Default)]
pub struct PeopleQuery {
    /// Each is the beginning of a word of the name or the id, see [`words`](crate::domain::people::words::words).
    pub words: BTreeSet<String>,
    /// Only those on this group's roster.
    pub group: Option<GroupId>,
    /// Only those whose consent stands so at the time.
    pub consent: Option<(ConsentState, Timestamp)>,
    /// Whether their samples are not wanted, which take longest to read.
    pub without_faces: bool,
}

/// Some of those who were to be found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PeoplePage {
    /// In the order of their enrolment. There may be fewer than were asked for, or none, though more follow.
    pub people: Vec<PersonRecord>,
    /// After whom to go on; none where this was the last page.
    pub next: Option<Pseudonym>,
}

impl PeopleQuery {
    /// Whether it wants this person; the group is not looked at.
    fn wants(&self, person: &Person) -> bool {
        let of_state =
            |(state, now): (ConsentState, Timestamp)| ConsentState::of(person.consent.as_ref(), now) == state;
        self.consent.is_none_or(of_state) && (self.words.is_empty() || are_found(&self.words, &words_of(person)))
    }
}

impl Store {
    /// At most `limit` of the people that `query` wants and who come after `after`. Whoever is there and wanted
    /// throughout a walk over the pages is met exactly once, whatever else changes meanwhile.
    ///
    /// Errors: `NotFound` `group_not_found`.
    pub async fn find_people(
        &self,
        scope: &TenantScope,
        query: PeopleQuery,
        after: Option<Pseudonym>,
        limit: usize,
    ) -> Result<PeoplePage> {
        let tenant = scope.tenant().clone();
        self.read(move |view| Walk { view, tenant: &tenant, query: &query, limit }.page(after)).await
    }
}

/// One page on its way.
struct Walk<'a> {
    view: &'a View<'a>,
    tenant: &'a TenantId,
    query: &'a PeopleQuery,
    limit: usize,
}

impl Walk<'_> {
    fn page(&self, after: Option<Pseudonym>) -> Result<PeoplePage> {
        let Self { view, tenant, query, .. } = *self;
        if let Some(group) = &query.group {
            require_group(view, tenant, group)?;
            let after = after.map(|person| keys::member(tenant, group, person));
            let members = keys::members(tenant, group);
            let members = view.scan_bytes(&members, after.as_deref()).filter_map(|entry| match entry {
                Ok((key, bytes)) => match (keys::parse(&key), codec::decode::<Member>(&bytes)) {
                    (Some(Parsed::Data(_, Kind::Member(_, who))), Ok(member)) => {
                        member.present().and_then(|_| self.load(who))
                    }
                    (_, Err(error)) => Some(Err(error)),
                    _ => Some(Err(damaged())),
                },
                Err(error) => Some(Err(error)),
            });
            return self.collect(members);
        }
        if let Some(holders) = self.holders()? {
            let rest = holders.into_iter().filter(|&who| after.is_none_or(|after| who > after));
            return self.collect(rest.filter_map(|who| self.load(who)));
        }
        let after = after.map(|person| keys::person(tenant, person));
        let people = keys::people(tenant);
        self.collect(view.scan_bytes(&people, after.as_deref()).map(person_entry))
    }

    /// Everybody who has a word that begins as the first of the query's words with which few people's begin.
    fn holders(&self) -> Result<Option<BTreeSet<Pseudonym>>> {
        let Some(salt) = Salt::of(self.view, self.tenant)? else { return Ok(None) };
        // Long words are rare; a query of many is not to read the index many times.
        let mut words: Vec<&String> = self.query.words.iter().collect();
        words.sort_by_key(|word| Reverse(word.len()));
        for start in words.into_iter().filter_map(|word| longest_beginning(word)).take(MAX_LOOKED_UP) {
            let start = keys::words_like(self.tenant, salt.of_word(start));
            let some = self.view.scan::<Pseudonym>(&start, None).take(MAX_HOLDERS + 1).collect::<Result<Vec<_>>>()?;
            if some.len() <= MAX_HOLDERS {
                return Ok(Some(some.into_iter().collect()));
            }
        }
        Ok(None)
    }

    fn load(&self, who: Pseudonym) -> Option<Result<(Pseudonym, Person)>> {
        self.view.get(&keys::person(self.tenant, who)).map(|person| Some((who, person?))).transpose()
    }

    fn collect(&self, people: impl Iterator<Item = Result<(Pseudonym, Person)>>) -> Result<PeoplePage> {
        let (mut page, mut last) = (PeoplePage::default(), None);
        for (passed, person) in people.enumerate() {
            let (who, person) = person?;
            if passed == PASSED_A_PAGE || page.people.len() == self.limit {
                page.next = last;
                break;
            }
            last = Some(who);
            if self.query.wants(&person) {
                page.people.push(if self.query.without_faces {
                    let groups = groups_of(self.view, self.tenant, who)?;
                    PersonRecord { person, groups, faces: Vec::new() }
                } else {
                    with_belongings(self.view, self.tenant, who, person)?
                });
            }
        }
        Ok(page)
    }
}

/// Writes a person and the words that they are found by, in the place of what was there.
pub(in crate::store) fn put_person(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    who: Pseudonym,
    person: &Person,
) -> Result<()> {
    let (key, salt) = (keys::person(tenant, who), salt(transaction, tenant)?);
    if let Some(old) = transaction.get::<Person>(&key)? {
        remove_words(transaction, tenant, salt, who, &old);
    }
    transaction.put(key, person)?;
    for word in words_keys(tenant, salt, who, person) {
        transaction.put(word, &who)?;
    }
    Ok(())
}

/// Removes a person, their words and what leads to them, also where the record is damaged and does not say which
/// words those are.
pub(in crate::store) fn remove_person(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    who: Pseudonym,
    person: &PersonId,
) -> Result<()> {
    let (key, salt) = (keys::person(tenant, who), salt(transaction, tenant)?);
    match transaction.get::<Person>(&key) {
        Ok(Some(named)) => remove_words(transaction, tenant, salt, who, &named),
        Ok(None) => {}
        Err(_) => {
            for word in transaction.scan_keys(&keys::words(tenant)).collect::<Result<Vec<_>>>()? {
                let is_theirs = |parsed| matches!(parsed, Parsed::Data(_, Kind::Word(_, holder)) if holder == who);
                if keys::parse(&word).is_some_and(is_theirs) {
                    transaction.remove(word);
                }
            }
        }
    }
    transaction.remove(key);
    forget(transaction, tenant, person)
}

fn remove_words(transaction: &mut Transaction<'_>, tenant: &TenantId, salt: Salt, who: Pseudonym, person: &Person) {
    for word in words_keys(tenant, salt, who, person) {
        transaction.remove(word);
    }
}

/// The keys of a person's words.
pub(in crate::store) fn words_keys(tenant: &TenantId, salt: Salt, who: Pseudonym, person: &Person) -> BTreeSet<Key> {
    let words = words_of(person);
    words.iter().flat_map(|word| beginnings(word)).map(|start| keys::word(tenant, salt.of_word(start), who)).collect()
}
