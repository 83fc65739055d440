//! No change without an entry: an operation that changes what is audited and notes nothing fails.

use crate::{
    domain::{AttendanceRecord, GroupSession, Realm, SessionOrigin, SessionState, Standing, Tenant, TenantId},
    error::{Error, Result},
    store::{
        ApiKey, User,
        codec::{self, Record},
        keys::{self, Kind, Parsed},
        transaction::Transaction,
    },
};

/// Errors unless the chain of every audited record that the transaction changes was told of it.
/// `Internal`: the operation forgot it.
pub(in crate::store) fn require_entries(transaction: &Transaction<'_>) -> Result<()> {
    for (key, after) in transaction.changes() {
        // What nothing here makes is the check's affair.
        let Some(parsed) = keys::parse(key) else { continue };
        let change = Change { transaction, key, after };
        if let Some(chain) = change.chain(&parsed)?
            && !transaction.is_noted(&chain)
            && change.is_one()?
            && !change.is_of_deletion(&parsed)?
        {
            tracing::error!(kind = kind(&parsed), "an operation changes this without an entry in the audit log");
            return Err(Error::internal("a change without an entry in the audit log"));
        }
    }
    Ok(())
}

/// What a transaction does to one key.
struct Change<'a> {
    transaction: &'a Transaction<'a>,
    key: &'a [u8],
    after: Option<&'a [u8]>,
}

impl Change<'_> {
    /// The chain that has to tell of it. `None` for what is no change of anybody's data, or says again what another
    /// record of the same operation says.
    #[expect(clippy::match_same_arms, reason = "an arm a reason")]
    fn chain(&self, parsed: &Parsed) -> Result<Option<Realm>> {
        Ok(match parsed {
            // The store's own, and the log itself.
            Parsed::Format | Parsed::AuditEntry(..) | Parsed::AuditHead(_) | Parsed::AuditSalt(_) => None,
            // That a request took effect, or somebody logged in, changes nothing that they work on.
            Parsed::OperatorAnswer(_) | Parsed::Session(_) => None,
            // A backup is taken note of by the store; that one was destroyed is somebody's word.
            Parsed::Backup(_) => self.after.is_none().then_some(Realm::Server),
            // Come with a deletion, which is told.
            Parsed::Erasure(_) | Parsed::Pending(..) => None,
            // Where the key is; the key says the rest.
            Parsed::KeyPlace(..) => None,
            Parsed::ApiKey(_) => self.of_key()?,
            Parsed::User(realm, _) => self.is_beyond_logins()?.then(|| realm.clone()),
            Parsed::Tenant(tenant) => Some(self.of_tenant(tenant)),
            Parsed::Data(tenant, kind) => self.of_data(tenant, kind)?,
        })
    }

    #[expect(clippy::match_same_arms, reason = "an arm a reason")]
    fn of_data(&self, tenant: &TenantId, kind: &Kind) -> Result<Option<Realm>> {
        let is_audited = match kind {
            Kind::Settings => return Ok(Some(self.of_tenant(tenant))),
            Kind::Group(_) | Kind::Person(_) | Kind::Face(..) | Kind::Negative(..) | Kind::Member(..) => true,
            Kind::Webhook(_) => true,
            // A sighting is evidence of what was seen; what is said of a record, or that it goes, is an override.
            Kind::Attendance(..) => {
                !self.transaction.is_noted(&Realm::Tenant(tenant.clone())) && self.is_beyond_sightings()?
            }
            // That photos of it came, which open it, is evidence as well.
            Kind::GroupSession(_) => self.is_beyond_photos()?,
            Kind::Timetable(_) | Kind::Holidays => true,
            // Counted along with what they count.
            Kind::Usage | Kind::Photos => false,
            // Made with the first person, and with each.
            Kind::Salt | Kind::Place(..) => false,
            // Comes with a deletion, which is told.
            Kind::Erasure(_) => false,
            // Found again from the records that they are made of.
            Kind::Agenda(..) | Kind::TimetableTag(_) | Kind::SheetBlock(..) => false,
            Kind::Word(..) | Kind::Disowned(..) | Kind::Membership(..) | Kind::Mark(..) | Kind::Sighting(..) => false,
            // They come with photos, and go after their time; that one is nobody's is told by who says it.
            Kind::Stranger(..) => false,
            // They come with samples, and go with them or after their time.
            Kind::KeptPhoto(..) | Kind::PhotoKey(_) => false,
            // That a request took effect is no change of its own.
            Kind::Answer(_) => false,
            // Tells of changes by itself, and goes with what it tells of.
            Kind::EventLog | Kind::Event(_) | Kind::PersonEvent(..) | Kind::GroupEvent(..) => false,
            // How far deliveries have come.
            Kind::Delivery(_) | Kind::DeadLetter(..) => false,
            // What a job does to people tells of itself; that it is there, and its reports, are no change of theirs.
            Kind::Job(_) | Kind::Item(..) | Kind::Mention(..) => false,
            // A gallery's index can be made anew at any time.
            Kind::Snapshot | Kind::Chunk(..) => false,
        };
        Ok(is_audited.then(|| Realm::Tenant(tenant.clone())))
    }

    /// Where a tenant and its settings are told of: with the operator, or with its own admin where they changed them.
    fn of_tenant(&self, tenant: &TenantId) -> Realm {
        let own = Realm::Tenant(tenant.clone());
        if self.transaction.is_noted(&own) { own } else { Realm::Server }
    }

    /// That it was used is no change of a key.
    fn of_key(&self) -> Result<Option<Realm>> {
        let (mut before, mut after) = self.records::<ApiKey>()?;
        let realm = before.as_ref().or(after.as_ref()).map(|key| key.grant.realm.clone());
        before.iter_mut().chain(&mut after).for_each(|key| key.last_used_at = None);
        Ok(realm.filter(|_| before != after))
    }

    /// That somebody logs in or out is no change of a user.
    fn is_beyond_logins(&self) -> Result<bool> {
        let (mut before, mut after) = self.records::<User>()?;
        before.iter_mut().chain(&mut after).for_each(|user| user.sessions.clear());
        Ok(before != after)
    }

    /// That somebody was seen is no change of a record.
    fn is_beyond_sightings(&self) -> Result<bool> {
        let (before, after) = self.records::<AttendanceRecord>()?;
        let Some(after) = after else { return Ok(true) };
        let (corrections, appeal) = before.map(|before| (before.corrections, before.appeal)).unwrap_or_default();
        Ok((corrections, appeal) != (after.corrections, after.appeal))
    }

    /// That a photo was taken opens a session, also one that nobody planned by hand.
    fn is_beyond_photos(&self) -> Result<bool> {
        let (mut before, mut after) = self.records::<GroupSession>()?;
        let is_planned_by_hand = after.as_ref().is_none_or(|after| after.origin == SessionOrigin::Single);
        if before.is_none() && !is_planned_by_hand {
            return Ok(false);
        }
        for session in before.iter_mut().chain(&mut after) {
            session.last_photo = None;
            session.reported.clear();
            session.has_more_faces = false;
            if session.state == SessionState::Planned {
                session.state = SessionState::Open;
            }
        }
        Ok(before != after)
    }

    /// The record before and after.
    fn records<R: Record>(&self) -> Result<(Option<R>, Option<R>)> {
        // One that cannot be read can still be removed.
        let before = self.transaction.bytes_before(self.key)?.and_then(|bytes| codec::decode(&bytes).ok());
        Ok((before, self.after.map(codec::decode).transpose()?))
    }

    /// Whether it is one at all, or what was there is written again.
    fn is_one(&self) -> Result<bool> {
        Ok(self.transaction.bytes_before(self.key)?.as_deref() != self.after)
    }

    /// Whether it belongs to the removal of a tenant that is being deleted, which is in the server's chain as a whole.
    fn is_of_deletion(&self, parsed: &Parsed) -> Result<bool> {
        let of_key;
        let tenant = match parsed {
            Parsed::Tenant(tenant) | Parsed::Data(tenant, _) | Parsed::User(Realm::Tenant(tenant), _) => tenant,
            Parsed::ApiKey(_) => match self.of_key()? {
                Some(Realm::Tenant(tenant)) => {
                    of_key = tenant;
                    &of_key
                }
                _ => return Ok(false),
            },
            _ => return Ok(false),
        };
        let before = self.transaction.bytes_before(&keys::tenant(tenant))?;
        let tenant: Option<Tenant> = before.map(|bytes| codec::decode(&bytes)).transpose()?;
        Ok(tenant.is_some_and(|tenant| tenant.standing == Standing::Deleting))
    }
}

/// What the record is called.
fn kind(parsed: &Parsed) -> &'static str {
    match parsed {
        Parsed::ApiKey(_) => "api_key",
        Parsed::User(..) => "user",
        Parsed::Tenant(_) => "tenant",
        Parsed::Data(_, kind) => kind.name(),
        _ => "other",
    }
}
