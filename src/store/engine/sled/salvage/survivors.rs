//! Which of the records that were read may go into a new store.
//!
//! What was erased may be read again where the page that says so is not readable. So a record of a person goes along
//! only where the person is there, and a person or a tenant only where no entry of the audit log says that they were
//! removed later. Keys and logins never do, nor users: one that was revoked or whose password was changed might be among
//! them.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::{
    domain::{
        Amounts, JobId, Person, Pseudonym, Realm, Standing, Tenant, TenantId,
        access::audit::{Entry, Salt},
    },
    error::Result,
    store::{
        access::audit::person_subject,
        attendance::record::Place,
        codec,
        engine::{Read, Readable, View, sled::Db},
        keys::{self, Access, Kind, Parsed, Server},
    },
};

/// Why a record is left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Left {
    /// It is not what was written.
    Damaged,
    /// A key, a login, a user.
    Access,
    /// Of somebody, or of a tenant, who was removed, or of whom nothing else is there.
    Nobodys,
    /// It can be made anew, or is good for a day.
    Derived,
}

/// What is known of who is there.
pub(super) struct Survivors {
    tenants: HashSet<TenantId>,
    people: HashSet<(TenantId, Pseudonym)>,
    /// By tenant: events and job items that speak of people who are not there.
    events: HashSet<(TenantId, u64)>,
    items: HashSet<(TenantId, JobId, u64)>,
    /// By tenant, of those that go along.
    pub(super) amounts: HashMap<TenantId, Amounts>,
}

impl Survivors {
    /// Reads through `db`. Errors: those of the database.
    pub(super) fn find(db: &Db) -> Result<Self> {
        let view = db.view()?;
        let removed = removed(&view)?;
        let mut tenants = HashSet::new();
        let mut people = HashSet::new();
        for entry in view.scan_bytes(&[], None) {
            let (key, bytes) = entry?;
            match keys::parse(&key) {
                Some(Parsed::Server(Server::Tenant(id))) => {
                    let is_there = codec::decode::<Tenant>(&bytes).is_ok_and(|tenant| {
                        tenant.standing != Standing::Deleting
                            && !removed.covers(&Realm::Server, &format!("tenant:{id}"), tenant.created_at)
                    });
                    if is_there {
                        tenants.insert(id);
                    }
                }
                Some(Parsed::Data(tenant, Kind::Person(who))) => {
                    let realm = Realm::Tenant(tenant.clone());
                    let is_there = codec::decode::<Person>(&bytes).is_ok_and(|person| {
                        let salt: Option<Salt> = view.get(&keys::audit_salt(&realm)).unwrap_or(None);
                        match salt {
                            Some(salt) => {
                                let subject = person_subject(&salt, &person.id);
                                !removed.covers(&realm, &subject, person.created_at)
                            }
                            // Nobody can say who of them was.
                            None => !removed.has_any_in(&realm),
                        }
                    });
                    if is_there {
                        people.insert((tenant, who));
                    }
                }
                _ => {}
            }
        }
        let mut found =
            Self { tenants, people, events: HashSet::new(), items: HashSet::new(), amounts: HashMap::new() };
        found.find_mentions(&view)?;
        Ok(found)
    }

    /// What speaks of somebody who is not there, under a key that does not.
    fn find_mentions(&mut self, view: &View<'_>) -> Result<()> {
        for key in view.scan_keys(&[]) {
            let key = key?;
            match keys::parse(&key) {
                Some(Parsed::Data(tenant, Kind::PersonEvent(who, number))) if !self.is_there(&tenant, who) => {
                    self.events.insert((tenant, number));
                }
                Some(Parsed::Data(tenant, Kind::Mention(who, job, number))) if !self.is_there(&tenant, who) => {
                    self.items.insert((tenant, job, number));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn is_there(&self, tenant: &TenantId, who: Pseudonym) -> bool {
        self.people.contains(&(tenant.clone(), who))
    }

    /// Why the record is left behind, if it is. Counts it where it is not.
    pub(super) fn judge(&mut self, key: &[u8], bytes: &[u8]) -> Option<Left> {
        let Some(parsed) = keys::parse(key).filter(|_| codec::is_intact(bytes)) else { return Some(Left::Damaged) };
        let left = match &parsed {
            Parsed::Server(Server::Format | Server::OperatorAnswer(_)) => Some(Left::Derived),
            Parsed::Server(Server::ApiKey(_) | Server::Session(_))
            | Parsed::Access(_, Access::KeyPlace(_) | Access::User(_)) => Some(Left::Access),
            Parsed::Server(Server::Tenant(tenant)) => (!self.tenants.contains(tenant)).then_some(Left::Nobodys),
            Parsed::Access(realm, Access::AuditEntry(_) | Access::AuditHead | Access::AuditSalt)
            | Parsed::Server(Server::Pending(realm, _)) => match realm {
                Realm::Tenant(tenant) if !self.tenants.contains(tenant) => Some(Left::Nobodys),
                _ => None,
            },
            Parsed::Server(Server::Backup(_) | Server::Erasure(_)) => None,
            Parsed::Data(tenant, _) if !self.tenants.contains(tenant) => Some(Left::Nobodys),
            Parsed::Data(tenant, kind) => self.judge_data(tenant, kind, bytes),
        };
        if let (None, Parsed::Data(tenant, kind)) = (left, &parsed) {
            self.count(tenant, kind);
        }
        left
    }

    fn judge_data(&self, tenant: &TenantId, kind: &Kind, bytes: &[u8]) -> Option<Left> {
        let nobodys = |is_nobodys: bool| is_nobodys.then_some(Left::Nobodys);
        match kind {
            Kind::Answer(_) | Kind::Snapshot | Kind::Chunk(..) | Kind::Usage => Some(Left::Derived),
            Kind::Person(who)
            | Kind::Word(_, who)
            | Kind::Face(who, _)
            | Kind::KeptPhoto(who, _)
            | Kind::PhotoKey(who)
            | Kind::Negative(who, _)
            | Kind::Member(_, who)
            | Kind::Membership(who, _)
            | Kind::Attendance(_, who)
            | Kind::Sighting(who, _)
            | Kind::PersonEvent(who, _)
            | Kind::Mention(who, ..) => nobodys(!self.is_there(tenant, *who)),
            Kind::Disowned(one, other, _) => nobodys(!self.is_there(tenant, *one) || !self.is_there(tenant, *other)),
            Kind::Place(_) => {
                let who: Option<Pseudonym> = codec::decode(bytes).ok();
                nobodys(!who.is_some_and(|who| self.is_there(tenant, who)))
            }
            Kind::Event(number) | Kind::GroupEvent(_, number) | Kind::DeadLetter(_, number) => {
                nobodys(self.events.contains(&(tenant.clone(), *number)))
            }
            Kind::Item(job, number) => nobodys(self.items.contains(&(tenant.clone(), *job, *number))),
            Kind::Mark(..) => {
                let place: Option<Place> = codec::decode(bytes).ok();
                nobodys(!place.is_some_and(|place| self.is_there(tenant, place.person)))
            }
            _ => None,
        }
    }

    fn count(&mut self, tenant: &TenantId, kind: &Kind) {
        let amounts = self.amounts.entry(tenant.clone()).or_default();
        match kind {
            Kind::Group(_) => amounts.groups += 1,
            Kind::Person(_) => amounts.people += 1,
            Kind::Face(..) | Kind::Negative(..) => amounts.samples += 1,
            _ => {}
        }
    }
}

/// Who was removed, and when last: by the realm and subject of the audit log's entry.
struct Removed(HashMap<(Option<TenantId>, String), Timestamp>);

impl Removed {
    fn has_any_in(&self, realm: &Realm) -> bool {
        self.0.keys().any(|(tenant, _)| *tenant == tenant_of(realm))
    }

    fn covers(&self, realm: &Realm, subject: &str, since: Timestamp) -> bool {
        self.0.get(&(tenant_of(realm), subject.to_owned())).is_some_and(|&removed| removed >= since)
    }
}

fn removed(view: &View<'_>) -> Result<Removed> {
    let mut removed = HashMap::new();
    for found in view.scan_bytes(&[], None) {
        let (key, bytes) = found?;
        let Some(Parsed::Access(realm, Access::AuditEntry(_))) = keys::parse(&key) else { continue };
        let Ok(Entry { act, .. }) = codec::decode::<Entry>(&bytes) else { continue };
        let subject = match act.action.as_str() {
            "person.delete" | "tenant.delete" => act.subjects.first(),
            // The second became one with the first.
            "person.merge" => act.subjects.get(1),
            _ => None,
        };
        if let Some(subject) = subject {
            let at = removed.entry((tenant_of(&realm), subject.clone())).or_insert(act.at);
            *at = act.at.max(*at);
        }
    }
    Ok(Removed(removed))
}

fn tenant_of(realm: &Realm) -> Option<TenantId> {
    match realm {
        Realm::Server => None,
        Realm::Tenant(tenant) => Some(tenant.clone()),
    }
}
