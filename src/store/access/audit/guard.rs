//! No change without an entry: an operation that changes what is audited and notes nothing fails.

use crate::{
    domain::{AttendanceRecord, GroupSession, Realm, SessionOrigin, SessionState, Standing, Tenant},
    error::{Error, Result},
    store::{
        ApiKey, User,
        codec::{self, Record},
        keys::{self, Access, Kind, Parsed, Server},
        transaction::Transaction,
    },
};

/// Errors unless the chain of every audited record that the transaction changes was told of it.
/// `Internal`: the operation forgot it.
pub(in crate::store) fn require_entries(transaction: &Transaction<'_>) -> Result<()> {
    for (key, after) in transaction.changes() {
        // What nothing here makes is the check's affair.
        let Some(parsed) = keys::parse(key) else { continue };
        let change = Change { transaction, key, parsed: &parsed, after };
        if let Some(chain) = change.chain()?
            && !transaction.is_noted(&chain)
            && change.is_one()?
            && !change.is_of_deletion()?
        {
            tracing::error!(kind = parsed.name(), "an operation changes this without an entry in the audit log");
            return Err(Error::internal("a change without an entry in the audit log"));
        }
    }
    Ok(())
}

/// What a transaction does to one key.
pub(in crate::store) struct Change<'a> {
    transaction: &'a Transaction<'a>,
    key: &'a [u8],
    parsed: &'a Parsed,
    after: Option<&'a [u8]>,
}

impl Change<'_> {
    /// The chain that has to tell of it. `None` for what is no change of anybody's data, or says again what another
    /// record of the same operation says.
    fn chain(&self) -> Result<Option<Realm>> {
        match self.parsed {
            Parsed::Server(kind) => kind.chain(self, || Realm::Server),
            Parsed::Access(realm, kind) => kind.chain(self, || realm.clone()),
            Parsed::Data(tenant, kind) => kind.chain(self, || Realm::Tenant(tenant.clone())),
        }
    }

    /// `realm` where `is_change` says that there is something to tell; where that was told already, it is not asked.
    pub(in crate::store) fn tell_if(
        &self,
        realm: Realm,
        is_change: impl Fn(&Self) -> Result<bool>,
    ) -> Result<Option<Realm>> {
        Ok((!self.transaction.is_noted(&realm) && is_change(self)?).then_some(realm))
    }

    /// Of a tenant and its settings: told to the operator, or to its own admin where they changed them.
    pub(in crate::store) fn of_tenant(&self) -> Result<Option<Realm>> {
        let (Parsed::Server(Server::Tenant(tenant)) | Parsed::Data(tenant, Kind::Settings)) = self.parsed else {
            return Err(Error::internal("the record is not a tenant's"));
        };
        let own = Realm::Tenant(tenant.clone());
        Ok(Some(if self.transaction.is_noted(&own) { own } else { Realm::Server }))
    }

    /// A backup is taken note of by the store; that one was destroyed is somebody's word.
    pub(in crate::store) fn is_removal(&self) -> bool {
        self.after.is_none()
    }

    /// That it was used is no change of a key.
    pub(in crate::store) fn of_key(&self) -> Result<Option<Realm>> {
        let (mut before, mut after) = self.records::<ApiKey>()?;
        let realm = before.as_ref().or(after.as_ref()).map(|key| key.grant.realm.clone());
        before.iter_mut().chain(&mut after).for_each(|key| key.last_used_at = None);
        Ok(realm.filter(|_| before != after))
    }

    /// That somebody logs in or out is no change of a user.
    pub(in crate::store) fn is_beyond_logins(&self) -> Result<bool> {
        let (mut before, mut after) = self.records::<User>()?;
        before.iter_mut().chain(&mut after).for_each(|user| user.sessions.clear());
        Ok(before != after)
    }

    /// That somebody was seen is evidence and no change of a record; what is said of one, or that it goes, is an
    /// override.
    pub(in crate::store) fn is_beyond_sightings(&self) -> Result<bool> {
        let (before, after) = self.records::<AttendanceRecord>()?;
        let Some(after) = after else { return Ok(true) };
        let (corrections, appeal) = before.map(|before| (before.corrections, before.appeal)).unwrap_or_default();
        Ok((corrections, appeal) != (after.corrections, after.appeal))
    }

    /// That photos came, which opens a session, also one that nobody planned by hand, is evidence as well.
    pub(in crate::store) fn is_beyond_photos(&self) -> Result<bool> {
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
    fn is_of_deletion(&self) -> Result<bool> {
        let of_key;
        let tenant = match self.parsed {
            Parsed::Server(Server::Tenant(tenant))
            | Parsed::Data(tenant, _)
            | Parsed::Access(Realm::Tenant(tenant), Access::User(_)) => tenant,
            Parsed::Server(Server::ApiKey(_)) => match self.of_key()? {
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
