//! The log of changes. Each is written in the transaction of the change itself, into the chain of the realm that it
//! belongs to: a tenant's, or the server's, which also has what is done to tenants as a whole.
//!
//! An operation notes what it changes in one line, with the [`Author`] that its caller's scope gives:
//!
//! ```ignore
//! let author = scope.author();
//! self.write(scope.right(), move |transaction| {
//!     …
//!     audit::note(transaction, &author, "group.update", |it| it.group(&new.id).changed(&old, &new))
//! })
//! ```
//!
//! One that forgets to fails, see [`guard`]: the table of [`records`](crate::store::records) gives a kind of record its
//! chain, or the reason to have none. What is told of a kind of record is in [`describe`], where personal
//! fields are digested.

mod chains;
mod describe;
mod guard;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(in crate::store) use self::{
    chains::Chains,
    describe::{Describe, faces},
    guard::{Change, require_entries},
};
use super::tenants;
use crate::{
    domain::{
        Author, FaceId, GroupId, GroupSessionId, KeyId, PersonId, Realm, RecordId, Right, StrangerId, TenantId, UserId,
        WebhookId,
        access::audit::{Act, Entry, Head, Salt},
    },
    error::{Error, Result},
    store::{
        Store,
        engine::{Read, View},
        keys,
        transaction::Transaction,
    },
};

/// The most bytes that one entry tells of what was, and of what is; of more, it tells how much it was and a hash.
const MAX_DETAILS_BYTES: usize = 16 << 10;
/// Entries passed over for one page, so that a page of few that fit ends too: writes wait for no more than this.
const PASSED_A_PAGE: usize = 4096;

/// Which entries are wanted; all by default.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Of this action.
    pub action: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// About this person.
    pub person: Option<PersonId>,
    /// Not before this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
}

/// Some entries of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// In their order. There may be fewer than were asked for, or none, though more follow.
    pub entries: Vec<Entry>,
    /// After which number to go on; none where this was the last page.
    pub next: Option<u64>,
    /// Where the chain ended when the page was read.
    pub head: Head,
}

impl Store {
    /// At most `limit` of the entries that `query` wants and that follow the number `after`.
    ///
    /// Errors: `NotFound` `tenant_not_found`.
    pub async fn audit_log(&self, realm: &Realm, query: AuditQuery, after: u64, limit: usize) -> Result<AuditPage> {
        let realm = realm.clone();
        self.read(move |view| page(view, &realm, &query, after, limit)).await
    }

    /// Writes down an act that changes nothing in the store. Errors: `NotFound` `tenant_not_found`.
    pub async fn note_act(&self, author: &Author, action: &'static str, about: About) -> Result<()> {
        let by = author.clone();
        self.write(&author.right, move |transaction| {
            note(transaction, &by, action, |it| match &about {
                About::Nothing => it,
                About::Person(person) => it.person(person),
                About::Report(details) => it.after(details),
            })
        })
        .await
    }

    /// Writes down that somebody was not let in as `user`, and that so many before them were not written down. Errors:
    /// `NotFound` `tenant_not_found`.
    pub async fn note_refusal(&self, realm: &Realm, user: &UserId, unwritten: u64) -> Result<()> {
        let (author, user) = (Author { realm: realm.clone(), right: Right::of_nobody() }, user.clone());
        self.write(&Right::of_machine(), move |transaction| {
            let is_known = transaction.has(&keys::user(&author.realm, &user))?;
            note(transaction, &author, "login.refuse", |it| {
                let it = if is_known { it.user(&user) } else { it.no_user(&user) };
                if unwritten == 0 { it } else { it.after(&json!({ "unwritten": unwritten })) }
            })
        })
        .await
    }
}

/// What an act was about that changes nothing.
#[derive(Debug, Clone)]
pub enum About {
    /// All that its action says.
    Nothing,
    /// A person.
    Person(PersonId),
    /// Many people: what was asked for, in which nothing is personal.
    Report(Value),
}

/// What an entry says of a change.
pub(in crate::store) struct Note {
    salt: Salt,
    subjects: Vec<String>,
    before: Option<Value>,
    after: Option<Value>,
    is_empty: bool,
}

impl Note {
    /// It was done to a person.
    pub(in crate::store) fn person(self, id: &PersonId) -> Self {
        let subject = person_subject(&self.salt, id);
        self.subject(subject)
    }

    /// It was done to a group, or within it.
    pub(in crate::store) fn group(self, id: &GroupId) -> Self {
        self.subject(format!("group:{id}"))
    }

    /// It was done to a sample or a negative.
    pub(in crate::store) fn face(self, id: FaceId) -> Self {
        self.subject(format!("face:{id}"))
    }

    /// It was done to a session of a group, or within it.
    pub(in crate::store) fn session(self, id: GroupSessionId) -> Self {
        self.subject(format!("session:{id}"))
    }

    /// It was done to an attendance record.
    pub(in crate::store) fn record(self, id: RecordId) -> Self {
        self.subject(format!("record:{id}"))
    }

    /// It was done to somebody unknown in a session.
    pub(in crate::store) fn stranger(self, id: StrangerId) -> Self {
        self.subject(format!("stranger:{id}"))
    }

    /// It was done to a user.
    pub(in crate::store) fn user(self, id: &UserId) -> Self {
        self.subject(format!("user:{id}"))
    }

    /// It was tried under the name of a user whom there is not: whatever somebody typed there.
    pub(in crate::store) fn no_user(self, id: &UserId) -> Self {
        let subject = format!("user:{}", self.salt.digest("user", id.as_str()));
        self.subject(subject)
    }

    /// It was done to an API key.
    pub(in crate::store) fn key(self, id: KeyId) -> Self {
        self.subject(format!("key:{id}"))
    }

    /// It was done to a webhook.
    pub(in crate::store) fn webhook(self, id: WebhookId) -> Self {
        self.subject(format!("webhook:{id}"))
    }

    /// It was done to a tenant as a whole.
    pub(in crate::store) fn tenant(self, id: &TenantId) -> Self {
        self.subject(format!("tenant:{id}"))
    }

    fn subject(mut self, subject: String) -> Self {
        self.subjects.push(subject);
        self
    }

    /// This was there, and is gone or replaced. Told of several things, it tells them together.
    pub(in crate::store) fn before(mut self, was: &impl Describe) -> Self {
        self.is_empty = false;
        self.before = Some(together(self.before, was.describe(&self.salt)));
        self
    }

    /// This is there since; likewise.
    pub(in crate::store) fn after(mut self, is: &impl Describe) -> Self {
        self.is_empty = false;
        self.after = Some(together(self.after, is.describe(&self.salt)));
        self
    }

    /// One and the same thing before and since, of which only what differs is told. Where nothing does, nothing was
    /// changed, and there is no entry.
    pub(in crate::store) fn changed<D: Describe>(mut self, was: &D, is: &D) -> Self {
        let (mut before, mut after) = (was.describe(&self.salt), is.describe(&self.salt));
        self.is_empty = before == after;
        keep_differences(&mut before, &mut after);
        (self.before, self.after) = (Some(before), Some(after));
        self
    }
}

/// Writes down what the transaction changes, as an act of `author`. What is changed has to belong to the author's realm.
pub(in crate::store) fn note(
    transaction: &mut Transaction<'_>,
    author: &Author,
    action: &'static str,
    tell: impl FnOnce(Note) -> Note,
) -> Result<()> {
    let Author { realm, right } = author;
    transaction.set_noted(realm);
    let salt = salt(transaction, realm)?;
    let note = tell(Note { salt, subjects: Vec::new(), before: None, after: None, is_empty: false });
    if note.is_empty {
        return Ok(());
    }
    let origin = transaction.origin();
    let act = Act {
        at: origin.at,
        actor: right.actor().to_string(),
        request_id: origin.request_id.as_deref().map(str::to_owned),
        action: action.to_owned(),
        subjects: note.subjects,
        before: note.before.as_ref().and_then(bounded),
        after: note.after.as_ref().and_then(bounded),
    };
    let mut head = head(transaction, realm)?;
    let entry = head.append(act);
    transaction.put(keys::audit_entry(realm, entry.number), &entry)?;
    transaction.put(keys::audit_head(realm), &head)
}

/// Where a realm's chain ends.
pub(in crate::store) fn head(read: &impl Read, realm: &Realm) -> Result<Head> {
    Ok(read.get(&keys::audit_head(realm))?.unwrap_or_default())
}

/// The realm's salt, made with its first entry.
fn salt(transaction: &mut Transaction<'_>, realm: &Realm) -> Result<Salt> {
    let key = keys::audit_salt(realm);
    if let Some(salt) = transaction.get(&key)? {
        return Ok(salt);
    }
    let mut salt = Salt([0; 32]);
    getrandom::fill(&mut salt.0)
        .map_err(|error| Error::internal("the system gives no random numbers").with_source(error))?;
    transaction.put(key, &salt)?;
    Ok(salt)
}

/// What stands for a person among the subjects of an entry.
pub(in crate::store) fn person_subject(salt: &Salt, id: &PersonId) -> String {
    format!("person:{}", salt.digest("person", id.as_str()))
}

fn page(view: &View<'_>, realm: &Realm, query: &AuditQuery, after: u64, limit: usize) -> Result<AuditPage> {
    if let Realm::Tenant(tenant) = realm {
        tenants::tenant(view, tenant)?;
    }
    let salt: Option<Salt> = view.get(&keys::audit_salt(realm))?;
    let person = query.person.as_ref().zip(salt.as_ref()).map(|(person, salt)| person_subject(salt, person));
    let is_wanted = |act: &Act| {
        query.action.as_ref().is_none_or(|action| *action == act.action)
            && query.actor.as_ref().is_none_or(|actor| *actor == act.actor)
            && person.as_ref().is_none_or(|person| act.subjects.contains(person))
            && query.from.is_none_or(|from| act.at >= from)
            && query.to.is_none_or(|to| act.at < to)
    };
    let mut page = AuditPage { entries: Vec::new(), next: None, head: head(view, realm)? };
    let mut last = after;
    let (prefix, start) = (keys::audit_entries(realm), keys::audit_entry(realm, after));
    for (passed, entry) in view.scan::<Entry>(&prefix, Some(&start)).enumerate() {
        if passed == PASSED_A_PAGE || page.entries.len() == limit {
            page.next = Some(last);
            break;
        }
        let entry = entry?;
        last = entry.number;
        if is_wanted(&entry.act) {
            page.entries.push(entry);
        }
    }
    Ok(page)
}

/// One object of the fields of two.
fn together(told: Option<Value>, more: Value) -> Value {
    match (told, more) {
        (Some(Value::Object(mut told)), Value::Object(more)) => {
            told.extend(more);
            Value::Object(told)
        }
        (told, Value::Null) => told.unwrap_or_default(),
        (_, more) => more,
    }
}

/// Takes out of two objects what is the same in both.
fn keep_differences(before: &mut Value, after: &mut Value) {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return };
    before.retain(|name, was| {
        let Some(is) = after.get_mut(name) else { return true };
        if was == is {
            after.remove(name);
            return false;
        }
        keep_differences(was, is);
        true
    });
}

/// As JSON; `None` for nothing.
fn bounded(details: &Value) -> Option<String> {
    if details.is_null() {
        return None;
    }
    let text = details.to_string();
    if text.len() <= MAX_DETAILS_BYTES {
        return Some(text);
    }
    Some(json!({ "bytes": text.len(), "sha256": hex::encode(Sha256::digest(&text)) }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_before_and_after_is_not_told() {
        let mut before = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "gone": 1, "e": [1] });
        let mut after = json!({ "a": 1, "b": { "c": 1, "d": 3 }, "new": null, "e": [2] });
        keep_differences(&mut before, &mut after);
        assert_eq!(before, json!({ "b": { "d": 2 }, "gone": 1, "e": [1] }));
        assert_eq!(after, json!({ "b": { "d": 3 }, "new": null, "e": [2] }));
    }

    #[test]
    fn much_is_told_by_its_size_and_a_hash() {
        let (one, other) = ("x".repeat(MAX_DETAILS_BYTES), "y".repeat(MAX_DETAILS_BYTES));
        assert_eq!((bounded(&json!("x")), bounded(&Value::Null)), (Some("\"x\"".to_owned()), None));
        assert!(bounded(&json!(one)).unwrap().len() < 200);
        assert_ne!(bounded(&json!(one)), bounded(&json!(other)));
    }
}
