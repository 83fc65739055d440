//! Whether the store is sound: every record can be read and says what its key says, every reference resolves, every
//! count is right, the entries of the audit log follow each other.
//!
//! What it cannot find: a record that is gone without a trace, where nothing refers to it and nothing counts it (an
//! API key, a tenant's settings), and a whole tenant of which the database has lost everything.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Backup, Erasure, KeptAnswer, Store,
    api_keys::{ApiKey, KeyPlace},
    attendance::Place,
    audit::Chains,
    blocking,
    codec::{self, Record},
    db::{Db, Read, View},
    erasures::Pending,
    events::{Mention, Numbers},
    jobs,
    keys::{self, Key, Kind, Parsed},
    open::Format,
    pseudonyms::{Salt, pseudonym},
    search, snapshots, tenants,
    timetables::Holidays,
    users::{Session, User},
};
use crate::{
    domain::{
        Amounts, AttendanceRecord, DeadLetter, Delivery, Event, FaceSample, Grant, Group, GroupId, GroupSession,
        GroupSessionId, ItemReport, Job, KeptPhoto, Negative, Person, PersonId, PhotoKey, PhotosOfDay, Pseudonym,
        Realm, Standing, Stranger, Tenant, TenantId, TenantSettings, Timetable, Webhook,
        audit::{self, Entry, Head},
        group::Member,
    },
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
        let db = self.db();
        blocking(move || {
            Check { judge, report: CheckReport::default(), counted: HashMap::new(), chains: Chains::default() }.run(&db)
        })
        .await
    }
}

/// A check under way.
struct Check<J> {
    judge: J,
    report: CheckReport,
    /// What was found of each tenant.
    counted: HashMap<TenantId, Amounts>,
    chains: Chains,
}

impl<J: Fn(&FaceSample) -> Option<&'static str>> Check<J> {
    fn run(mut self, db: &Db) -> Result<CheckReport> {
        let batches = db.batches_applied();
        let mut after: Option<Key> = None;
        loop {
            let view = db.view();
            let page = view.scan_bytes(&[], after.as_deref()).take(PAGE).collect::<Result<Vec<_>>>()?;
            for (key, bytes) in &page {
                self.entry(&view, key, bytes)?;
            }
            let Some((last, _)) = page.into_iter().next_back() else { break };
            after = Some(last);
        }
        let view = db.view();
        self.report.counts_compared = db.batches_applied() == batches;
        if self.report.counts_compared {
            self.compare_counts(&view);
        }
        for realm in self.chains.unended() {
            // That of a tenant may have been removed meanwhile.
            if is_standing(&view, realm) {
                self.report.note("audit_broken", Parsed::AuditHead(realm.clone()).to_string());
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
        let found = match &parsed {
            Parsed::Format => self.read(bytes, "format", |_: &Format| Ok(None)),
            Parsed::ApiKey(hash) => self.read(bytes, "api_key", |key: &ApiKey| {
                // What cannot be read is noted where it is.
                let place: Option<KeyPlace> = view.get(&keys::key_place(&key.grant.realm, key.id)).unwrap_or(None);
                let listed = place.is_some_and(|place| place.hash == *hash);
                let resolved = reach(view, &key.grant)?;
                Ok(misplaced(key.hash != *hash).or(resolved).or_else(|| missing(!listed, "no_api_key_index")))
            }),
            Parsed::KeyPlace(realm, id) => self.read(bytes, "api_key_index", |place: &KeyPlace| {
                let key: Option<ApiKey> = view.get(&keys::api_key(&place.hash)).unwrap_or(None);
                Ok(match key {
                    None => Some("no_api_key"),
                    Some(key) => misplaced((&key.grant.realm, key.id) != (realm, *id)),
                })
            }),
            Parsed::User(realm, id) => self.read(bytes, "user", |user: &User| {
                let resolved = reach(view, &user.grant)?;
                let sessions = user.sessions.iter().map(|&session| view.has(&keys::session(session)));
                let known = sessions.collect::<Result<Vec<bool>>>()?.into_iter().all(|known| known);
                let wrong = (&user.grant.realm, &user.id) != (realm, id);
                Ok(misplaced(wrong).or(resolved).or_else(|| missing(!known, "no_session")))
            }),
            Parsed::Session(id) => self.read(bytes, "session", |session: &Session| {
                let user: Option<User> = view.get(&keys::user(&session.realm, &session.user)).unwrap_or(None);
                let known = user.is_some_and(|user| user.sessions.contains(id));
                Ok(misplaced(session.id != *id).or_else(|| missing(!known, "no_user")))
            }),
            Parsed::OperatorAnswer(_) => self.read(bytes, "operator_answer", |_: &KeptAnswer| Ok(None)),
            Parsed::AuditEntry(realm, _) | Parsed::AuditHead(realm) | Parsed::AuditSalt(realm) => {
                self.audit(view, &parsed, realm, bytes)
            }
            Parsed::Backup(id) => self.read(bytes, "backup", |backup: &Backup| Ok(misplaced(backup.id != *id))),
            Parsed::Erasure(id) => self.read(bytes, "erasure", |erasure: &Erasure| {
                Ok(misplaced(erasure.id != *id).or(is_pending(view, &Realm::Server, erasure)?))
            }),
            Parsed::Pending(realm, id) => self.read(bytes, "pending", |_: &Pending| {
                let erasure: Option<Erasure> = view.get(&keys::erasure(realm, *id)).unwrap_or(None);
                Ok(missing(erasure.is_none_or(|erasure| erasure.done_at.is_some()), "no_erasure"))
            }),
            Parsed::Tenant(id) => self.read(bytes, "tenant", |tenant: &Tenant| {
                // Its making was noted in both.
                let chains =
                    [Realm::Server, Realm::Tenant(id.clone())].map(|realm| view.has(&keys::audit_head(&realm)));
                let [server, own] = chains;
                let logged = tenant.standing == Standing::Deleting || server? && own?;
                Ok(misplaced(tenant.id != *id).or_else(|| missing(!logged, "no_audit_log")))
            }),
            Parsed::Data(tenant, kind) => match tenants::standing(view, &keys::tenant(tenant)) {
                Ok(None) => {
                    self.count(kind.name());
                    Ok(Some("no_tenant"))
                }
                // What it referred to may have been removed before it.
                Ok(Some(Standing::Deleting)) => {
                    self.count(kind.name());
                    Ok(None)
                }
                // A tenant that cannot be read was noted.
                Ok(Some(_)) | Err(_) => self.data(view, tenant, kind, key, bytes),
            },
        }?;
        if let Some(code) = found {
            self.report.note(code, parsed.to_string());
        }
        Ok(())
    }

    fn audit(&mut self, view: &View<'_>, parsed: &Parsed, realm: &Realm, bytes: &[u8]) -> Result<Option<&'static str>> {
        let mut chains = std::mem::take(&mut self.chains);
        let code = |fits: Result<()>| fits.err().map(|error| error.code());
        let found = match parsed {
            Parsed::AuditEntry(_, number) => self.read(bytes, "audit_entry", |entry: &Entry| {
                let fits = chains.follow(realm, entry);
                Ok(misplaced(entry.number != *number).or_else(|| code(fits)))
            }),
            Parsed::AuditHead(_) => self.read(bytes, "audit_head", |head: &Head| {
                let salted = view.has(&keys::audit_salt(realm))?;
                Ok(code(chains.end(view, realm, head)).or_else(|| missing(!salted, "no_audit_salt")))
            }),
            _ => self.read(bytes, "audit_salt", |_: &audit::Salt| {
                let logged = view.has(&keys::audit_head(realm))?;
                Ok(missing(!logged, "no_audit_log"))
            }),
        };
        self.chains = chains;
        match realm {
            Realm::Tenant(tenant) => Ok(match tenants::standing(view, &keys::tenant(tenant)) {
                Ok(None) => Some("no_tenant"),
                // Some are gone already.
                Ok(Some(Standing::Deleting)) => None,
                Ok(Some(_)) | Err(_) => found?,
            }),
            Realm::Server => found,
        }
    }

    fn data(
        &mut self,
        view: &View<'_>,
        tenant: &TenantId,
        kind: &Kind,
        key: &[u8],
        bytes: &[u8],
    ) -> Result<Option<&'static str>> {
        let name = kind.name();
        let has_person = |person| view.has(&keys::person(tenant, person));
        let is_of = |who, person: &PersonId| pseudonym(view, tenant, person).map(|found| found == Some(who));
        let has_group = |group| view.has(&keys::group(tenant, group));
        match kind {
            Kind::Settings => self.read(bytes, name, |_: &TenantSettings| Ok(None)),
            Kind::Usage => self.read(bytes, name, |_: &Amounts| Ok(None)),
            Kind::Photos => self.read(bytes, name, |_: &PhotosOfDay| Ok(None)),
            Kind::Erasure(id) => {
                let realm = Realm::Tenant(tenant.clone());
                self.read(bytes, name, |erasure: &Erasure| {
                    Ok(misplaced(erasure.id != *id).or(is_pending(view, &realm, erasure)?))
                })
            }
            Kind::Answer(_) => self.read(bytes, name, |_: &KeptAnswer| Ok(None)),
            Kind::Job(..) | Kind::Item(..) | Kind::Mention(..) => self.job_data(view, tenant, kind, bytes),
            Kind::Snapshot => self.read(bytes, name, |_: &snapshots::Head| Ok(None)),
            Kind::Chunk(..) => self.read(bytes, name, |_: &snapshots::Chunk| Ok(None)),
            Kind::EventLog
            | Kind::Event(_)
            | Kind::PersonEvent(..)
            | Kind::GroupEvent(..)
            | Kind::Webhook(_)
            | Kind::Delivery(_)
            | Kind::DeadLetter(..) => self.event_data(view, tenant, kind, bytes),
            Kind::Group(id) => {
                self.counted(tenant).groups += 1;
                self.read(bytes, name, |group: &Group| Ok(misplaced(group.id != *id)))
            }
            Kind::Salt | Kind::Place(_) | Kind::Person(_) | Kind::Word(..) => self.who(view, tenant, kind, key, bytes),
            Kind::Face(person, id) => {
                self.counted(tenant).samples += 1;
                if !has_person(*person)? {
                    self.count(name);
                    return Ok(Some("no_person"));
                }
                self.read_sample(bytes, |sample| Ok(misplaced(sample.id != *id || !is_of(*person, &sample.person)?)))
            }
            Kind::KeptPhoto(..) | Kind::PhotoKey(_) => self.photos(view, tenant, kind, bytes),
            Kind::Negative(person, id) => {
                self.counted(tenant).samples += 1;
                let known = has_person(*person)?;
                self.read(bytes, name, |negative: &Negative| {
                    let indexed = match &negative.of {
                        Some(other) => match pseudonym(view, tenant, other)? {
                            Some(other) => view.has(&keys::disowned(tenant, other, *person, *id))?,
                            None => false,
                        },
                        None => true,
                    };
                    let wrong = known && (negative.id != *id || !is_of(*person, &negative.person)?);
                    Ok(missing(!known, "no_person")
                        .or_else(|| misplaced(wrong))
                        .or_else(|| missing(!indexed, "no_negative_index")))
                })
            }
            Kind::Disowned(other, person, face) => {
                let both = has_person(*other)? && has_person(*person)?;
                self.read(bytes, name, |of: &Pseudonym| {
                    let negative: Option<Negative> = view.get(&keys::negative(tenant, *person, *face)).ok().flatten();
                    let resolved = match negative.and_then(|negative| negative.of) {
                        Some(of) => is_of(*other, &of)?,
                        None => false,
                    };
                    Ok(misplaced(of != person)
                        .or_else(|| missing(!both, "no_person"))
                        .or_else(|| missing(!resolved, "no_negative")))
                })
            }
            Kind::Member(group, person) => {
                let mirrored = view.has(&keys::membership(tenant, *person, group))?;
                let resolved = both(has_group(group)?, has_person(*person)?);
                self.read(bytes, name, |member: &Member| {
                    let wrong = resolved.is_none() && !is_of(*person, &member.person)?;
                    Ok(misplaced(wrong).or(resolved).or_else(|| missing(!mirrored, "no_membership")))
                })
            }
            Kind::Membership(person, group) => {
                let mirrored = view.has(&keys::member(tenant, group, *person))?;
                let resolved = both(has_group(group)?, has_person(*person)?);
                self.read(bytes, name, |of: &GroupId| {
                    Ok(misplaced(of != group).or(resolved).or_else(|| missing(!mirrored, "no_member")))
                })
            }
            Kind::GroupSession(_)
            | Kind::Agenda(..)
            | Kind::Timetable(_)
            | Kind::TimetableTag(_)
            | Kind::Holidays
            | Kind::Attendance(..)
            | Kind::Mark(..)
            | Kind::Sighting(..)
            | Kind::Stranger(..) => self.attendance(view, tenant, kind, bytes),
        }
    }

    /// Sessions, their records, and what leads to them.
    fn attendance(
        &mut self,
        view: &View<'_>,
        tenant: &TenantId,
        kind: &Kind,
        bytes: &[u8],
    ) -> Result<Option<&'static str>> {
        let name = kind.name();
        let has_group = |group: &GroupId| view.has(&keys::group(tenant, group));
        // One that cannot be read is noted where it is.
        let session_of = |id| view.get::<GroupSession>(&keys::group_session(tenant, id)).unwrap_or(None);
        match kind {
            Kind::GroupSession(id) => self.read(bytes, name, |session: &GroupSession| {
                let listed = view.has(&keys::agenda(tenant, &session.group, session.date, *id))?;
                let known = has_group(&session.group)?;
                Ok(misplaced(session.id != *id)
                    .or_else(|| missing(!known, "no_group"))
                    .or_else(|| missing(!listed, "no_session_index")))
            }),
            Kind::Agenda(group, date, id) => self.read(bytes, name, |of: &GroupSessionId| {
                let known = session_of(*id).is_some_and(|session| (&session.group, session.date) == (group, *date));
                Ok(misplaced(of != id).or_else(|| missing(!known, "no_group_session")))
            }),
            Kind::Timetable(group) => self.read(bytes, name, |timetable: &Timetable| {
                let (known, tagged) = (has_group(group)?, view.has(&keys::timetable_tag(tenant, timetable.tag))?);
                Ok(misplaced(timetable.group != *group)
                    .or_else(|| missing(!known, "no_group"))
                    .or_else(|| missing(!tagged, "no_timetable_index")))
            }),
            Kind::TimetableTag(tag) => self.read(bytes, name, |group: &GroupId| {
                let timetable: Option<Timetable> = view.get(&keys::timetable(tenant, group)).unwrap_or(None);
                Ok(missing(timetable.is_none_or(|timetable| timetable.tag != *tag), "no_timetable"))
            }),
            Kind::Attendance(session, who) => self.read(bytes, name, |record: &AttendanceRecord| {
                let (of, known) = (session_of(*session), view.has(&keys::person(tenant, *who))?);
                let seen = view.has(&keys::sighting(tenant, *who, *session))?;
                let marked = match (record.id, &of) {
                    (Some(id), Some(of)) => view.has(&keys::mark(tenant, &of.group, id))?,
                    _ => true,
                };
                let wrong = known && pseudonym(view, tenant, &record.person)? != Some(*who);
                Ok(misplaced(wrong || record.session != *session)
                    .or_else(|| missing(!known, "no_person"))
                    .or_else(|| missing(of.is_none(), "no_group_session"))
                    .or_else(|| missing(!seen || !marked, "no_attendance_index")))
            }),
            Kind::Mark(group, id) => self.read(bytes, name, |place: &Place| {
                let known = view.has(&keys::attendance(tenant, place.session, place.person))?;
                let of_group = has_group(group)?;
                Ok(misplaced(place.record != *id)
                    .or_else(|| missing(!of_group, "no_group"))
                    .or_else(|| missing(!known, "no_attendance")))
            }),
            Kind::Sighting(who, session) => self.read(bytes, name, |group: &GroupId| {
                let known = view.has(&keys::attendance(tenant, *session, *who))?;
                let wrong = session_of(*session).is_some_and(|of| of.group != *group);
                Ok(misplaced(wrong).or_else(|| missing(!known, "no_attendance")))
            }),
            // Whoever is among its candidates may be gone.
            Kind::Stranger(session, id) => self.read(bytes, name, |stranger: &Stranger| {
                let wrong = (stranger.session, stranger.id) != (*session, *id);
                Ok(misplaced(wrong).or_else(|| missing(session_of(*session).is_none(), "no_group_session")))
            }),
            _ => self.read(bytes, name, |_: &Holidays| Ok(None)),
        }
    }

    /// [`Self::data`] of the event log and the webhooks.
    fn event_data(
        &mut self,
        view: &View<'_>,
        tenant: &TenantId,
        kind: &Kind,
        bytes: &[u8],
    ) -> Result<Option<&'static str>> {
        let name = kind.name();
        // What cannot be read is noted where it is.
        let event = |number: u64| view.get::<Event>(&keys::event(tenant, number)).unwrap_or(None);
        let numbers = || Numbers::of(view, tenant).ok();
        let has_event = |number: u64| view.has(&keys::event(tenant, number));
        let has_webhook = |id| view.has(&keys::webhook(tenant, id));
        match kind {
            Kind::Event(number) => self.read(bytes, name, |event: &Event| {
                let in_log = numbers().is_none_or(|log| (log.first..log.next).contains(number));
                let mut indexed = true;
                if let Some(person) = event.what.person() {
                    let who = pseudonym(view, tenant, person).unwrap_or(None);
                    indexed &=
                        who.is_some_and(|who| view.has(&keys::person_event(tenant, who, *number)).unwrap_or(true));
                }
                if let Some(group) = event.what.group() {
                    indexed &= view.has(&keys::group_event(tenant, group, *number))?;
                }
                Ok(misplaced(event.id != *number)
                    .or_else(|| missing(!in_log, "no_event_log"))
                    .or_else(|| missing(!indexed, "no_event_index")))
            }),
            Kind::PersonEvent(person, number) => {
                let known = view.has(&keys::person(tenant, *person))?;
                self.read(bytes, name, |_: &Mention| {
                    let who =
                        |event: &Event| event.what.person().and_then(|of| pseudonym(view, tenant, of).unwrap_or(None));
                    let about = event(*number).is_some_and(|event| who(&event) == Some(*person));
                    Ok(missing(!about, "no_event").or_else(|| missing(!known, "no_person")))
                })
            }
            Kind::GroupEvent(group, number) => {
                let known = view.has(&keys::group(tenant, group))?;
                self.read(bytes, name, |_: &Mention| {
                    let about = event(*number).is_some_and(|event| event.what.group() == Some(group));
                    Ok(missing(!about, "no_event").or_else(|| missing(!known, "no_group")))
                })
            }
            Kind::Webhook(id) => self.read(bytes, name, |webhook: &Webhook| {
                let followed = view.has(&keys::delivery(tenant, *id))?;
                let groups = webhook.filter.groups.iter().flatten().map(|group| view.has(&keys::group(tenant, group)));
                let known = groups.collect::<Result<Vec<bool>>>()?.into_iter().all(|known| known);
                Ok(misplaced(webhook.id != *id)
                    .or_else(|| missing(!followed, "no_delivery"))
                    .or_else(|| missing(!known, "no_group")))
            }),
            Kind::Delivery(id) => {
                let known = has_webhook(*id)?;
                self.read(bytes, name, |delivery: &Delivery| {
                    let in_log = numbers().is_none_or(|log| delivery.done < log.next);
                    Ok(missing(!known, "no_webhook").or_else(|| missing(!in_log, "no_event_log")))
                })
            }
            Kind::DeadLetter(id, number) => {
                let (known, kept) = (has_webhook(*id)?, has_event(*number)?);
                self.read(bytes, name, |letter: &DeadLetter| {
                    Ok(misplaced(letter.event != *number)
                        .or_else(|| missing(!known, "no_webhook"))
                        .or_else(|| missing(!kept, "no_event")))
                })
            }
            _ => self.read(bytes, name, |_: &Numbers| Ok(None)),
        }
    }

    /// A job's part of [`Self::data`].
    fn job_data(
        &mut self,
        view: &View<'_>,
        tenant: &TenantId,
        kind: &Kind,
        bytes: &[u8],
    ) -> Result<Option<&'static str>> {
        let name = kind.name();
        match kind {
            Kind::Job(id) => self.read(bytes, name, |job: &Job| Ok(misplaced(job.id != *id))),
            Kind::Item(job, number) => {
                let known = view.has(&keys::job(tenant, *job))?;
                self.read(bytes, name, |report: &ItemReport| {
                    let mentioned = jobs::is_mentioned(view, tenant, *job, *number, report)?;
                    Ok(missing(!known, "no_job").or_else(|| missing(!mentioned, "no_job_mention")))
                })
            }
            Kind::Mention(who, job, number) => self.read(bytes, name, |mentioned: &Pseudonym| {
                let named = view.get::<Person>(&keys::person(tenant, *who)).ok().flatten();
                let report: Option<ItemReport> = view.get(&keys::item(tenant, *job, *number)).ok().flatten();
                let resolved =
                    report.zip(named.as_ref()).is_some_and(|(report, named)| report.people().contains(&&named.id));
                Ok(misplaced(mentioned != who)
                    .or_else(|| missing(named.is_none(), "no_person"))
                    .or_else(|| missing(!resolved, "no_job_item")))
            }),
            _ => Ok(None),
        }
    }

    /// Counts a record and finds what is wrong with it.
    /// What is known of kept photos; their files are not the store's.
    fn photos(
        &mut self,
        view: &View<'_>,
        tenant: &TenantId,
        kind: &Kind,
        bytes: &[u8],
    ) -> Result<Option<&'static str>> {
        let name = kind.name();
        let is_of = |who, person: &PersonId| pseudonym(view, tenant, person).map(|found| found == Some(who));
        match kind {
            Kind::KeptPhoto(person, face) => self.read(bytes, name, |photo: &KeptPhoto| {
                let wrong = photo.face != *face || !is_of(*person, &photo.person)?;
                let known = view.has(&keys::face(tenant, *person, *face))?;
                let has_key = view.has(&keys::photo_key(tenant, *person))?;
                Ok(misplaced(wrong)
                    .or_else(|| missing(!known, "no_face"))
                    .or_else(|| missing(!has_key, "no_photo_key")))
            }),
            Kind::PhotoKey(person) => self.read(bytes, name, |key: &PhotoKey| {
                let known = view.has(&keys::person(tenant, *person))?;
                let wrong = known && !is_of(*person, &key.person)?;
                Ok(misplaced(wrong).or_else(|| missing(!known, "no_person")))
            }),
            _ => Ok(None),
        }
    }

    /// People, and what leads to them.
    fn who(
        &mut self,
        view: &View<'_>,
        tenant: &TenantId,
        kind: &Kind,
        key: &[u8],
        bytes: &[u8],
    ) -> Result<Option<&'static str>> {
        let (name, salt) = (kind.name(), Salt::of(view, tenant)?);
        match kind {
            Kind::Salt => self.read(bytes, name, |_: &Salt| Ok(None)),
            Kind::Place(digest) => self.read(bytes, name, |who: &Pseudonym| {
                let named = view.get::<Person>(&keys::person(tenant, *who)).ok().flatten();
                let wrong = named.as_ref().zip(salt).is_some_and(|(named, salt)| salt.of_person(&named.id) != *digest);
                Ok(misplaced(wrong).or_else(|| missing(named.is_none(), "no_person")))
            }),
            Kind::Person(who) => {
                self.counted(tenant).people += 1;
                self.read(bytes, name, |person: &Person| {
                    let Some(salt) = salt else { return Ok(Some("no_salt")) };
                    let words = search::words_keys(tenant, salt, *who, person);
                    let found = words.iter().map(|word| view.has(word)).collect::<Result<Vec<bool>>>()?;
                    let placed = pseudonym(view, tenant, &person.id)? == Some(*who);
                    Ok(missing(!placed, "no_place").or_else(|| missing(found.contains(&false), "no_word")))
                })
            }
            Kind::Word(_, who) => self.read(bytes, name, |holder: &Pseudonym| {
                let named = view.get::<Person>(&keys::person(tenant, *who)).ok().flatten();
                let wrong = named
                    .as_ref()
                    .zip(salt)
                    .is_some_and(|(named, salt)| !search::words_keys(tenant, salt, *who, named).contains(key));
                Ok(misplaced(holder != who || wrong).or_else(|| missing(named.is_none(), "no_person")))
            }),
            _ => Ok(None),
        }
    }

    /// Counts a record and finds what is wrong with it.
    fn read<R: Record>(
        &mut self,
        bytes: &[u8],
        kind: &'static str,
        judge: impl FnOnce(&R) -> Result<Option<&'static str>>,
    ) -> Result<Option<&'static str>> {
        self.count(kind);
        match codec::decode::<R>(bytes) {
            Ok(record) => judge(&record),
            Err(error) => Ok(Some(error.code())),
        }
    }

    fn read_sample(
        &mut self,
        bytes: &[u8],
        place: impl FnOnce(&FaceSample) -> Result<Option<&'static str>>,
    ) -> Result<Option<&'static str>> {
        self.count("face");
        match codec::decode::<FaceSample>(bytes) {
            Ok(sample) => Ok(place(&sample)?.or_else(|| (self.judge)(&sample))),
            Err(error) => Ok(Some(error.code())),
        }
    }

    fn compare_counts(&mut self, view: &View<'_>) {
        for tenant in view.scan::<Tenant>(&keys::tenants(), None) {
            // One that cannot be read was noted.
            let Ok(tenant) = tenant else { continue };
            if tenant.standing == Standing::Deleting {
                continue;
            }
            let counted = self.counted.get(&tenant.id).copied().unwrap_or_default();
            if matches!(view.get::<Amounts>(&keys::usage(&tenant.id)), Ok(Some(kept)) if kept != counted) {
                self.report.note("records_missing", format!("tenant {}", tenant.id));
            }
        }
    }

    fn count(&mut self, kind: &str) {
        *self.report.records.entry(kind.to_owned()).or_default() += 1;
    }

    fn counted(&mut self, tenant: &TenantId) -> &mut Amounts {
        self.counted.entry(tenant.clone()).or_default()
    }
}

/// Whether an erasure is among the pending while it is.
fn is_pending(view: &View<'_>, realm: &Realm, erasure: &Erasure) -> Result<Option<&'static str>> {
    let noted = view.has(&keys::pending(realm, erasure.id))?;
    Ok(missing(noted != erasure.done_at.is_none(), "no_pending_index"))
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

/// Whether what a grant reaches is there.
fn reach(view: &View<'_>, grant: &Grant) -> Result<Option<&'static str>> {
    let Realm::Tenant(tenant) = &grant.realm else { return Ok(None) };
    if !view.has(&keys::tenant(tenant))? {
        return Ok(Some("no_tenant"));
    }
    let groups = grant.groups.iter().map(|group| view.has(&keys::group(tenant, group)));
    let known = groups.collect::<Result<Vec<bool>>>()?.into_iter().all(|known| known);
    Ok(missing(!known, "no_group"))
}

fn missing(is_missing: bool, code: &'static str) -> Option<&'static str> {
    is_missing.then_some(code)
}

fn misplaced(is_misplaced: bool) -> Option<&'static str> {
    missing(is_misplaced, "misplaced")
}

fn both(has_group: bool, has_person: bool) -> Option<&'static str> {
    missing(!has_group, "no_group").or_else(|| missing(!has_person, "no_person"))
}
