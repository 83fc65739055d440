//! Finding people: by words of their names and ids, by group, by consent.
//!
//! Each word of a person is a key of its own, kept by whatever writes the person. A query whose words few people have
//! is answered from these keys; one that many have finds them soon enough on a walk over all people.

use std::{cmp::Reverse, collections::BTreeSet};

use jiff::Timestamp;

use super::{
    PersonRecord, Store,
    db::{Read, View},
    groups::require_group,
    keys::{self, Kind, Parsed},
    people::with_belongings,
    transaction::Transaction,
};
use crate::{
    domain::{
        ConsentState, GroupId, Person, PersonId, TenantId, TenantScope,
        group::Member,
        words::{are_found, indexed, words_of},
    },
    error::Result,
};

/// A word that more people have than this is no help: they are met on a walk over all.
const MAX_HOLDERS: usize = 1024;
/// Words of a query that are looked up.
const MAX_LOOKED_UP: usize = 4;
/// People passed over for one page, so that a page of few who fit ends too: writes wait for no more than this.
const PASSED_A_PAGE: usize = 4096;

/// Whom to find; everybody by default.
#[derive(Debug, Clone, Default)]
pub struct PeopleQuery {
    /// Each is the beginning of a word of the name or the id, see [`words`](crate::domain::words::words).
    pub words: BTreeSet<String>,
    /// Only those on this group's roster.
    pub group: Option<GroupId>,
    /// Only those whose consent stands so at the time.
    pub consent: Option<(ConsentState, Timestamp)>,
}

/// Some of those who were to be found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PeoplePage {
    /// By the bytes of their ids. There may be fewer than were asked for, or none, though more follow.
    pub people: Vec<PersonRecord>,
    /// After whom to go on; none where this was the last page.
    pub next: Option<PersonId>,
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
    /// At most `limit` of the people that `query` wants and whose ids come after `after`. Whoever is there and wanted
    /// throughout a walk over the pages is met exactly once, whatever else changes meanwhile.
    ///
    /// Errors: `NotFound` `group_not_found`.
    pub async fn find_people(
        &self,
        scope: &TenantScope,
        query: PeopleQuery,
        after: Option<PersonId>,
        limit: usize,
    ) -> Result<PeoplePage> {
        let tenant = scope.tenant().clone();
        self.read(move |view| Walk { view, tenant: &tenant, query: &query, limit }.page(after.as_ref())).await
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
    fn page(&self, after: Option<&PersonId>) -> Result<PeoplePage> {
        let Self { view, tenant, query, .. } = *self;
        if let Some(group) = &query.group {
            require_group(view, tenant, group)?;
            let after = after.map(|person| keys::member(tenant, group, person));
            let members = keys::members(tenant, group);
            return self.collect(
                view.scan(&members, after.as_deref())
                    .filter_map(|member: Result<Member>| self.load(member.map(|member| member.person))),
            );
        }
        if let Some(holders) = self.holders()? {
            let rest = holders.into_iter().filter(|id| after.is_none_or(|after| id > after));
            return self.collect(rest.filter_map(|id| self.load(Ok(id))));
        }
        let after = after.map(|person| keys::person(tenant, person));
        let people = keys::people(tenant);
        self.collect(view.scan(&people, after.as_deref()))
    }

    /// Everybody who has the first of the query's words that few have.
    fn holders(&self) -> Result<Option<BTreeSet<PersonId>>> {
        // Long words are rare; a query of many is not to read the index many times.
        let mut words: Vec<&String> = self.query.words.iter().collect();
        words.sort_by_key(|word| Reverse(word.len()));
        for word in words.into_iter().take(MAX_LOOKED_UP) {
            let start = keys::words_like(self.tenant, indexed(word));
            let some = self.view.scan::<PersonId>(&start, None).take(MAX_HOLDERS + 1).collect::<Result<Vec<_>>>()?;
            if some.len() <= MAX_HOLDERS {
                return Ok(Some(some.into_iter().collect()));
            }
        }
        Ok(None)
    }

    fn load(&self, id: Result<PersonId>) -> Option<Result<Person>> {
        id.and_then(|id| self.view.get(&keys::person(self.tenant, &id))).transpose()
    }

    fn collect(&self, people: impl Iterator<Item = Result<Person>>) -> Result<PeoplePage> {
        let (mut page, mut last) = (PeoplePage::default(), None);
        for (passed, person) in people.enumerate() {
            let person = person?;
            if passed == PASSED_A_PAGE || page.people.len() == self.limit {
                page.next = last;
                break;
            }
            last = Some(person.id.clone());
            if self.query.wants(&person) {
                page.people.push(with_belongings(self.view, self.tenant, person)?);
            }
        }
        Ok(page)
    }
}

/// Writes a person and the words that they are found by, in the place of what was there.
pub(super) fn put_person(transaction: &mut Transaction<'_>, tenant: &TenantId, person: &Person) -> Result<()> {
    let key = keys::person(tenant, &person.id);
    if let Some(old) = transaction.get::<Person>(&key)? {
        remove_words(transaction, tenant, &old);
    }
    transaction.put(key, person)?;
    for word in words_of(person) {
        transaction.put(keys::word(tenant, indexed(&word), &person.id), &person.id)?;
    }
    Ok(())
}

/// Removes a person and their words, also where the record is damaged and does not say which those are.
pub(super) fn remove_person(transaction: &mut Transaction<'_>, tenant: &TenantId, person: &PersonId) -> Result<()> {
    let key = keys::person(tenant, person);
    match transaction.get::<Person>(&key) {
        Ok(Some(named)) => remove_words(transaction, tenant, &named),
        Ok(None) => {}
        Err(_) => {
            for word in transaction.scan_keys(&keys::words_like(tenant, "")).collect::<Result<Vec<_>>>()? {
                let is_theirs = |parsed| matches!(parsed, Parsed::Data(_, Kind::Word(_, holder)) if holder == *person);
                if keys::parse(&word).is_some_and(is_theirs) {
                    transaction.remove(word);
                }
            }
        }
    }
    transaction.remove(key);
    Ok(())
}

fn remove_words(transaction: &mut Transaction<'_>, tenant: &TenantId, person: &Person) {
    for word in words_of(person) {
        transaction.remove(keys::word(tenant, indexed(&word), &person.id));
    }
}

/// Whether every word of a person has its key.
pub(super) fn has_all_words(read: &impl Read, tenant: &TenantId, person: &Person) -> Result<bool> {
    for word in words_of(person) {
        if !read.has(&keys::word(tenant, indexed(&word), &person.id))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a person is found by an indexed word.
pub(super) fn has_word(person: &Person, word: &str) -> bool {
    words_of(person).iter().any(|own| indexed(own) == word)
}
