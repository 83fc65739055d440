//! Whether the store is sound: every record can be read and says what its key says, every reference resolves, every
//! count is right, the entries of the audit log follow each other.
//!
//! A record that is gone without a trace, where nothing refers to it and nothing counts it (an API key, a tenant's
//! settings), shows in the sum of all records (see [`super::pieces`]).

mod access;
mod audit;
mod events;
mod found;
mod groups;
mod jobs;
mod people;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::found::{Finding, Found, has_all, misplaced, missing, read, readable};
use super::{
    Backup, Erasure, KeptAnswer, Store,
    audit::Chains,
    blocking,
    engine::{
        Read, Readable, View,
        sum::{Sum, weight},
    },
    erasures::Pending,
    events::Numbers,
    keys::{self, Key, Kind, Parsed},
    open::Format,
    pseudonyms::Salt,
    snapshots, tenants,
    timetables::Holidays,
    usage::usage,
};
use crate::{
    domain::{Amounts, ErasureId, FaceSample, PhotosOfDay, Realm, Standing, Tenant, TenantId, TenantSettings},
    error::Result,
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
pub(super) fn check_database(db: &dyn Readable) -> Result<CheckReport> {
    Check::new(|_: &FaceSample| None).run(db)
}

/// A check under way.
struct Check<J> {
    judge: J,
    report: CheckReport,
    /// What was found of each tenant.
    counted: HashMap<TenantId, Amounts>,
    sum: Sum,
    chains: Chains,
}

impl<J: Fn(&FaceSample) -> Option<&'static str>> Check<J> {
    fn new(judge: J) -> Self {
        let (report, counted, sum) = (CheckReport::default(), HashMap::new(), Sum::default());
        Self { judge, report, counted, sum, chains: Chains::default() }
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
        self.report.counts_compared = stored.commits() == commits;
        if self.report.counts_compared {
            self.compare_counts(&view);
            if stored.sum().is_some_and(|sum| sum != self.sum) {
                self.report.note("records_missing", "store".to_owned());
            }
        }
        if let Some(code) = stored.fault()? {
            self.report.note(code, "store".to_owned());
        }
        for realm in self.chains.unended() {
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
        self.count(name(&parsed));
        let found = match &parsed {
            Parsed::Data(tenant, kind) => {
                where_standing(view, tenant, || self.data(&Found { view, tenant, key, bytes }, kind))
            }
            Parsed::AuditEntry(realm, _) | Parsed::AuditHead(realm) | Parsed::AuditSalt(realm) => {
                self.audit(view, &parsed, realm, bytes)
            }
            Parsed::Format => readable::<Format>(bytes),
            Parsed::ApiKey(hash) => access::api_key(view, hash, bytes),
            Parsed::KeyPlace(realm, id) => access::key_place(view, realm, *id, bytes),
            Parsed::User(realm, id) => access::user(view, realm, id, bytes),
            Parsed::Session(id) => access::session(view, *id, bytes),
            Parsed::OperatorAnswer(_) => readable::<KeptAnswer>(bytes),
            Parsed::Backup(id) => read(bytes, |backup: &Backup| Ok(misplaced(backup.id != *id))),
            Parsed::Erasure(id) => erasure(view, &Realm::Server, *id, bytes),
            Parsed::Pending(realm, id) => pending(view, realm, *id, bytes),
            Parsed::Tenant(id) => tenant(view, id, bytes),
        }?;
        if let Some(code) = found {
            self.report.note(code, parsed.to_string());
        }
        Ok(())
    }

    /// The log of a tenant that is being deleted is followed too: some of it is gone already.
    fn audit(&mut self, view: &View<'_>, parsed: &Parsed, realm: &Realm, bytes: &[u8]) -> Finding {
        let found = match parsed {
            Parsed::AuditEntry(_, number) => audit::entry(&mut self.chains, realm, *number, bytes),
            Parsed::AuditHead(_) => audit::head(view, &mut self.chains, realm, bytes),
            _ => audit::salt(view, realm, bytes),
        };
        match realm {
            Realm::Tenant(tenant) => where_standing(view, tenant, || found),
            Realm::Server => found,
        }
    }

    fn data(&mut self, of: &Found<'_>, kind: &Kind) -> Finding {
        self.add_up(of.tenant, kind);
        match kind {
            Kind::Settings => of.readable::<TenantSettings>(),
            Kind::Usage => of.readable::<Amounts>(),
            Kind::Photos => of.readable::<PhotosOfDay>(),
            Kind::Group(id) => groups::group(of, id),
            Kind::Salt => of.readable::<Salt>(),
            Kind::Place(digest) => people::place(of, digest),
            Kind::Person(who) => people::person(of, *who),
            Kind::Word(_, who) => people::word(of, *who),
            Kind::Face(who, id) => people::face(of, *who, *id, &self.judge),
            Kind::KeptPhoto(who, face) => people::kept_photo(of, *who, *face),
            Kind::PhotoKey(who) => people::photo_key(of, *who),
            Kind::Negative(who, id) => people::negative(of, *who, *id),
            Kind::Disowned(other, who, face) => people::disowned(of, *other, *who, *face),
            Kind::Member(group, who) => groups::member(of, group, *who),
            Kind::Membership(who, group) => groups::membership(of, *who, group),
            Kind::GroupSession(id) => groups::group_session(of, *id),
            Kind::Agenda(group, date, id) => groups::agenda(of, group, *date, *id),
            Kind::Timetable(group) => groups::timetable(of, group),
            Kind::TimetableTag(tag) => groups::timetable_tag(of, *tag),
            Kind::Holidays => of.readable::<Holidays>(),
            Kind::Attendance(session, who) => groups::attendance(of, *session, *who),
            Kind::Mark(group, id) => groups::mark(of, group, *id),
            Kind::Sighting(who, session) => groups::sighting(of, *who, *session),
            Kind::Stranger(session, id) => groups::stranger(of, *session, *id),
            Kind::SheetBlock(session, from) => groups::sheet_block(of, *session, *from),
            Kind::Erasure(id) => erasure(of.view, &Realm::Tenant(of.tenant.clone()), *id, of.bytes),
            Kind::Answer(_) => of.readable::<KeptAnswer>(),
            Kind::EventLog => of.readable::<Numbers>(),
            Kind::Event(number) => events::event(of, *number),
            Kind::PersonEvent(who, number) => events::person_event(of, *who, *number),
            Kind::GroupEvent(group, number) => events::group_event(of, group, *number),
            Kind::Webhook(id) => events::webhook(of, *id),
            Kind::Delivery(id) => events::delivery(of, *id),
            Kind::DeadLetter(id, number) => events::dead_letter(of, *id, *number),
            Kind::Job(id) => jobs::job(of, *id),
            Kind::Item(job, number) => jobs::item(of, *job, *number),
            Kind::Mention(who, job, number) => jobs::mention(of, *who, *job, *number),
            Kind::Snapshot => of.readable::<snapshots::Head>(),
            Kind::Chunk(..) => of.readable::<snapshots::Chunk>(),
        }
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

/// What a record is counted as.
const fn name(parsed: &Parsed) -> &'static str {
    match parsed {
        Parsed::Format => "format",
        Parsed::ApiKey(_) => "api_key",
        Parsed::KeyPlace(..) => "api_key_index",
        Parsed::User(..) => "user",
        Parsed::AuditEntry(..) => "audit_entry",
        Parsed::AuditHead(_) => "audit_head",
        Parsed::AuditSalt(_) => "audit_salt",
        Parsed::Session(_) => "session",
        Parsed::OperatorAnswer(_) => "operator_answer",
        Parsed::Backup(_) => "backup",
        Parsed::Erasure(_) => "erasure",
        Parsed::Pending(..) => "pending",
        Parsed::Tenant(_) => "tenant",
        Parsed::Data(_, kind) => kind.name(),
    }
}

fn tenant(view: &View<'_>, id: &TenantId, bytes: &[u8]) -> Finding {
    read(bytes, |tenant: &Tenant| {
        // Its making was noted in both.
        let heads = [Realm::Server, Realm::Tenant(id.clone())].map(|realm| keys::audit_head(&realm));
        let logged = tenant.standing == Standing::Deleting || has_all(view, heads)?;
        Ok(misplaced(tenant.id != *id).or_else(|| missing(!logged, "no_audit_log")))
    })
}

/// An erasure is among the pending while it is not done.
fn erasure(view: &View<'_>, realm: &Realm, id: ErasureId, bytes: &[u8]) -> Finding {
    read(bytes, |erasure: &Erasure| {
        let noted = view.has(&keys::pending(realm, erasure.id))?;
        let fits = noted == erasure.done_at.is_none();
        Ok(misplaced(erasure.id != id).or_else(|| missing(!fits, "no_pending_index")))
    })
}

fn pending(view: &View<'_>, realm: &Realm, id: ErasureId, bytes: &[u8]) -> Finding {
    read(bytes, |_: &Pending| {
        let erasure: Option<Erasure> = view.get(&keys::erasure(realm, id)).unwrap_or(None);
        Ok(missing(erasure.is_none_or(|erasure| erasure.done_at.is_some()), "no_erasure"))
    })
}

/// What is wrong with a record of a tenant, of which `finding` is true where the tenant is there and is to stay.
fn where_standing(view: &View<'_>, tenant: &TenantId, finding: impl FnOnce() -> Finding) -> Finding {
    match tenants::standing(view, &keys::tenant(tenant)) {
        Ok(None) => Ok(Some("no_tenant")),
        // What it referred to may have been removed before it.
        Ok(Some(Standing::Deleting)) => Ok(None),
        // A tenant that cannot be read was noted.
        Ok(Some(_)) | Err(_) => finding(),
    }
}

/// Whether a realm is there and is to stay. One that cannot be read was noted.
fn is_standing(view: &View<'_>, realm: &Realm) -> bool {
    match realm {
        Realm::Server => true,
        Realm::Tenant(tenant) => {
            !matches!(tenants::standing(view, &keys::tenant(tenant)), Ok(None | Some(Standing::Deleting)))
        }
    }
}
