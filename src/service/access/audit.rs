//! Reading the log of changes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Entered, Scope};
use crate::{
    domain::{
        Permission, Realm,
        access::audit::{Act, Entry, Hash, Head},
    },
    error::{Error, Result},
    service::access::Service,
    store::{AuditPage, AuditQuery},
};

/// The right to read the log of one realm.
#[derive(Debug)]
pub struct AuditScope {
    realm: Realm,
}

impl Scope for AuditScope {
    fn of(Entered { access, .. }: Entered) -> Result<Self> {
        access.require(Permission::ReadAudit, None)?;
        Ok(Self { realm: access.grant().realm.clone() })
    }
}

/// One change. Names, addresses, metadata, notes and ids of people are there as digests, salted for each tenant.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EntryView {
    /// Its place in the log, from 1, without gaps.
    pub number: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Whose it is: `user:ID`, `key:ID`, `machine`, or `nobody` who was not let in.
    pub actor: String,
    /// The request that made it; null for what the machine does by itself.
    pub request_id: Option<String>,
    /// What was done to which kind of thing.
    #[schema(example = "person.update")]
    pub action: String,
    /// What it was done to: `group:ID`, `person:sha256:DIGEST`, …
    pub subjects: Vec<String>,
    /// What it replaced or removed.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Box<RawValue>>,
    /// What is there since.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Box<RawValue>>,
    /// The hash of the entry before, in hexadecimal digits; zeros for the first.
    pub previous: String,
    /// The hash over all of the above.
    pub hash: String,
}

/// Where a log ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeadView {
    /// The number of its last entry.
    pub number: u64,
    /// That entry's hash. Kept elsewhere, it shows later that nothing up to here was changed.
    pub hash: String,
}

/// A page of the log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditView {
    /// In their order. Where only some are wanted there may be fewer than `limit`, or none, though more follow.
    pub entries: Vec<EntryView>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<u64>,
    /// Where the log ended when the page was read.
    pub head: HeadView,
}

impl TryFrom<Entry> for EntryView {
    type Error = Error;

    fn try_from(entry: Entry) -> Result<Self> {
        let Entry { number, act, previous, hash } = entry;
        let Act { at, actor, request_id, action, subjects, before, after } = act;
        let raw = |text: Option<String>| {
            let raw = text.map(RawValue::from_string).transpose();
            raw.map_err(|error| Error::storage("an entry of the audit log is no JSON").with_source(error))
        };
        let (before, after) = (raw(before)?, raw(after)?);
        let (previous, hash) = (hex::encode(previous), hex::encode(hash));
        Ok(Self { number, at, actor, request_id, action, subjects, before, after, previous, hash })
    }
}

impl TryFrom<EntryView> for Entry {
    type Error = Error;

    fn try_from(view: EntryView) -> Result<Self> {
        let EntryView { number, at, actor, request_id, action, subjects, before, after, previous, hash } = view;
        let [before, after] = [before, after].map(|raw| raw.map(|raw| raw.get().to_owned()));
        let act = Act { at, actor, request_id, action, subjects, before, after };
        Ok(Self { number, act, previous: parsed(&previous)?, hash: parsed(&hash)? })
    }
}

impl From<Head> for HeadView {
    fn from(Head { number, hash }: Head) -> Self {
        Self { number, hash: hex::encode(hash) }
    }
}

impl TryFrom<HeadView> for Head {
    type Error = Error;

    fn try_from(HeadView { number, hash }: HeadView) -> Result<Self> {
        Ok(Self { number, hash: parsed(&hash)? })
    }
}

impl TryFrom<AuditPage> for AuditView {
    type Error = Error;

    fn try_from(AuditPage { entries, next, head }: AuditPage) -> Result<Self> {
        let entries = entries.into_iter().map(TryInto::try_into).collect::<Result<_>>()?;
        Ok(Self { entries, next, head: head.into() })
    }
}

fn parsed(hash: &str) -> Result<Hash> {
    let mut parsed = Hash::default();
    hex::decode_to_slice(hash, &mut parsed)
        .map_err(|error| Error::invalid("a hash of the audit log is no hash").with_source(error))?;
    Ok(parsed)
}

impl Service {
    /// A page of those entries of the caller's realm that `query` wants, after the number `after`.
    ///
    /// # Errors
    /// `NotFound` `tenant_not_found`, `Storage` if an entry cannot be read.
    pub async fn audit(&self, scope: &AuditScope, query: AuditQuery, after: u64, limit: usize) -> Result<AuditView> {
        self.store.audit_log(&scope.realm, query, after, limit).await?.try_into()
    }
}
