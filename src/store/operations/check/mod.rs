//! Whether the store is sound: every record can be read and says what its key says, every reference resolves, every
//! count is right, the entries of the audit log follow each other.
//!
//! A record that is gone without a trace, where nothing refers to it and nothing counts it (an API key, a tenant's
//! settings), shows in the sum of all records (see [`crate::store::pieces`]).

pub(in crate::store) mod access;
pub(in crate::store) mod audit;
pub(in crate::store) mod events;
mod found;
pub(in crate::store) mod groups;
pub(in crate::store) mod jobs;
pub(in crate::store) mod people;
pub(in crate::store) mod server;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(in crate::store) use self::found::{Entry, Finding, Found, OfRealm};
use self::server::{is_standing, where_standing};
use crate::{
    domain::{Amounts, FaceSample, Standing, Tenant, TenantId},
    error::Result,
    store::{
        Store,
        access::{audit::Chains, usage::usage},
        blocking,
        engine::{
            Read, Readable, View,
            sum::{Sum, weight},
        },
        keys::{self, Key, Kind, Parsed},
    },
};

/// Records read under one view: writes wait for no more than this.
const PAGE: usize = 256;
/// Examples kept of each problem.
const MAX_EXAMPLES: usize = 5;

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckReport {
    /// Records, by kind.
    pub records: BTreeMap<String, u64>,
    /// What is wrong, by code; empty for a sound store.
    pub problems: BTreeMap<String, Problem>,
    /// Whether the counts that are kept of each tenant's records were compared: not while records are written.
    pub counts_compared: bool,
}

/// One kind of problem.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// How many records have it.
    pub count: u64,
    /// Where the first of them are, by ids.
    pub examples: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// Adds a problem of a record at `place`.
    pub fn note(&mut self, code: &str, place: String) {
        let problem = self.problems.entry(code.to_owned()).or_default();
        problem.count += 1;
        if problem.examples.len() < MAX_EXAMPLES {
            problem.examples.push(place);
        }
    }
}

impl Store {
    /// Reads every record, under many short views: writes go on. `judge` may find a sample unfit, with a code.
    ///
    /// Errors are of kind `Storage` and mean that the check could not go on; what it finds is in the report.
    pub async fn check(
        &self,
        judge: impl Fn(&FaceSample) -> Option<&'static str> + Send + 'static,
    ) -> Result<CheckReport> {
        let engine = Arc::clone(self.engine());
        blocking(move || Check::new(judge).run(&*engine)).await
    }
}

/// [`Store::check`] of a database that nobody has open; every sample is fit.
pub(in crate::store) fn check_database(db: &dyn Readable) -> Result<CheckReport> {
    Check::new(|_: &FaceSample| None).run(db)
}

/// A check under way.
struct Check<J> {
    judge: J,
    report: CheckReport,
    /// What was found of each tenant.
    counted: HashMap<TenantId, Amounts>,
    sum: Sum,
    chains: RefCell<Chains>,
}

impl<J: Fn(&FaceSample) -> Option<&'static str>> Check<J> {
    fn new(judge: J) -> Self {
        let (report, counted, sum) = (CheckReport::default(), HashMap::new(), Sum::default());
        Self { judge, report, counted, sum, chains: RefCell::default() }
    }

    fn run(mut self, stored: &dyn Readable) -> Result<CheckReport> {
        let commits = stored.commits();
        let mut after: Option<Key> = None;
        loop {
            let view = stored.view()?;
            let page = view.scan_bytes(&[], after.as_deref()).take(PAGE).collect::<Result<Vec<_>>>()?;
            for (key, bytes) in &page {
                self.sum.add(weight(key, bytes));
                self.entry(&view, key, bytes)?;
            }
            let Some((last, _)) = page.into_iter().next_back() else { break };
            after = Some(last);
        }
        let view = stored.view()?;
        let sum = stored.sum();
        self.report.counts_compared = stored.commits() == commits;
        if self.report.counts_compared {
            self.compare_counts(&view);
            if sum.is_some_and(|sum| sum != self.sum) {
                self.report.note("records_missing", "store".to_owned());
            }
        }
        if let Some(code) = stored.fault()? {
            self.report.note(code, "store".to_owned());
        }
        for realm in self.chains.borrow().unended() {
            // That of a tenant may have been removed meanwhile.
            if is_standing(&view, realm) {
                self.report.note("audit_broken", audit::place(realm));
            }
        }
        Ok(self.report)
    }

    fn entry(&mut self, view: &View<'_>, key: &[u8], bytes: &[u8]) -> Result<()> {
        let Some(parsed) = keys::parse(key) else {
            self.count("unknown");
            self.report.note("unknown_key", hex::encode(&key[..key.len().min(16)]));
            return Ok(());
        };
        self.count(parsed.name());
        let of = Entry { view, key, bytes, chains: &self.chains, unfit: &self.judge };
        let found = match &parsed {
            Parsed::Server(kind) => kind.check(&of),
            Parsed::Access(realm, kind) => kind.check(&OfRealm { entry: &of, realm }),
            Parsed::Data(tenant, kind) => where_standing(view, tenant, || kind.check(&Found { entry: &of, tenant })),
        }?;
        if let Some(code) = found {
            self.report.note(code, parsed.to_string());
        }
        if let Parsed::Data(tenant, kind) = &parsed {
            self.add_up(tenant, kind);
        }
        Ok(())
    }

    /// For [`Self::compare_counts`].
    fn add_up(&mut self, tenant: &TenantId, kind: &Kind) {
        match kind {
            Kind::Group(_) => self.counted(tenant).groups += 1,
            Kind::Person(_) => self.counted(tenant).people += 1,
            Kind::Face(..) | Kind::Negative(..) => self.counted(tenant).samples += 1,
            _ => {}
        }
    }

    fn counted(&mut self, tenant: &TenantId) -> &mut Amounts {
        self.counted.entry(tenant.clone()).or_default()
    }

    fn compare_counts(&mut self, view: &View<'_>) {
        for tenant in view.scan::<Tenant>(&keys::tenants(), None) {
            // One that cannot be read was noted.
            let Ok(tenant) = tenant else { continue };
            if tenant.standing == Standing::Deleting {
                continue;
            }
            let counted = self.counted.get(&tenant.id).copied().unwrap_or_default();
            if matches!(usage(view, &tenant.id), Ok(kept) if kept != counted) {
                self.report.note("records_missing", format!("tenant {}", tenant.id));
            }
        }
    }

    fn count(&mut self, kind: &str) {
        *self.report.records.entry(kind.to_owned()).or_default() += 1;
    }
}
