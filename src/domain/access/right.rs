//! What somebody was let in for. Rights may end while a request is under way, so it is compared again wherever it takes
//! effect.

use super::{
    actor::{Actor, Realm},
    roles::{Grant, Permission},
};
use crate::ids::{GroupId, SessionId, TenantId};
use error::Result;
use jiff::Timestamp;

/// What somebody showed at the door: what they were let in with ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// A token of this login.
    Login(SessionId),
    /// A key's secret of this SHA-256.
    Secret([u8; 32]),
    /// Nothing any more: it was shown at this time, for work that goes on since. Who is made later under the same name is
    /// somebody else.
    Earlier(Timestamp),
}

/// A right that was granted at the door, or the machine's own, which does not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    pub(crate) actor: Actor,
    /// Where the actor belongs.
    pub(crate) realm: Realm,
    /// What it was granted for; without that it lasts as long as the user or the key.
    pub(crate) shown: Option<Shown>,
    /// What was asked, of which group. Without it the holder has to be there, whatever they may do.
    pub(crate) asked: Option<(Permission, Option<GroupId>)>,
}

impl Right {
    /// The server's own: for what it does by itself, and for commands on the machine.
    pub const fn of_machine() -> Self {
        Self { actor: Actor::Machine, realm: Realm::Server, shown: None, asked: None }
    }

    /// That of somebody of `realm`, who has to be there, whatever they may do.
    pub const fn of(actor: Actor, realm: Realm) -> Self {
        Self { actor, realm, shown: None, asked: None }
    }

    /// That of somebody who was not let in, which permits nothing: for what is written down of them.
    pub const fn of_nobody() -> Self {
        Self { actor: Actor::Nobody, realm: Realm::Server, shown: None, asked: None }
    }

    /// That of work which outlives its request: it lasts as long as `actor` may do `permission` on `group`, whatever
    /// becomes of the login or the secret with which it was asked for at `since`.
    pub fn of_work(
        actor: Actor,
        tenant: TenantId,
        permission: Permission,
        group: Option<GroupId>,
        since: Timestamp,
    ) -> Self {
        let (realm, shown) = (Realm::Tenant(tenant), Some(Shown::Earlier(since)));
        Self { actor, realm, shown, asked: Some((permission, group)) }
    }

    /// Whose it is.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Where its holder belongs.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// What it was granted for, if it ends with that.
    pub fn shown(&self) -> Option<Shown> {
        self.shown
    }

    /// Errors unless `grant`, which its holder has by now, still permits what was asked: `Forbidden`.
    pub fn require(&self, grant: &Grant) -> Result<()> {
        match &self.asked {
            Some((permission, group)) => grant.require(*permission, group.as_ref()),
            None => Ok(()),
        }
    }
}

/// Whose change something is, and in whose chain it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// What was changed belongs to it.
    pub realm: Realm,
    /// By which right, which says who did it.
    pub right: Right,
}

impl Author {
    /// Somebody at work on what is the server's own: its operators and its tenants.
    pub fn on_server(right: &Right) -> Self {
        Self { realm: Realm::Server, right: right.clone() }
    }
}
