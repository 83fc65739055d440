//! Whether what was granted at the door still holds. Every write asks in its own transaction, so what a request may do
//! ends with its right, however long it has been under way.

use jiff::Timestamp;

use super::{
    api_keys::{self, ApiKey},
    tenants,
    users::{self, User},
};
use crate::{
    domain::{Access, Actor, Grant, Right, Shown, unauthenticated},
    error::{ErrorKind, Result},
    store::{Store, engine::Read, keys},
};

impl Store {
    /// Whether a caller who was let in before would be let in again at this moment, with the same grant. The machine
    /// always is.
    pub async fn still_grants(&self, access: &Access) -> Result<bool> {
        let (right, grant, now) = (access.right(), access.grant().clone(), self.inner.clock.now());
        self.read(move |view| still_grants(view, &right, &grant, now)).await
    }

    /// Errors unless `right` holds at this moment: for what takes effect elsewhere than in the store, which asks by itself.
    pub async fn require_right(&self, right: &Right) -> Result<()> {
        let (right, now) = (right.clone(), self.inner.clock.now());
        self.read(move |view| require(view, &right, now)).await
    }
}

/// See [`Store::still_grants`].
fn still_grants(read: &impl Read, right: &Right, grant: &Grant, now: Timestamp) -> Result<bool> {
    if *right.actor() == Actor::Machine {
        return Ok(true);
    }
    match present(read, right, now) {
        Ok(present) => Ok(present == *grant),
        Err(error) if matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::Forbidden) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Errors unless `right` holds at `now`, those that its holder would get at the door: `Unauthenticated` where there is no
/// such key, user or login any more, `Forbidden` where what they may do no longer has it, or `tenant_suspended`.
pub(in crate::store) fn require(read: &impl Read, right: &Right, now: Timestamp) -> Result<()> {
    if *right.actor() == Actor::Machine {
        return Ok(());
    }
    right.require(&present(read, right, now)?)
}

/// What the holder of a right is granted by now. Errors: `Unauthenticated`, `Forbidden` `tenant_suspended`.
fn present(read: &impl Read, right: &Right, now: Timestamp) -> Result<Grant> {
    let realm = right.realm();
    let granted = match (right.actor(), right.shown()) {
        (Actor::Machine | Actor::Nobody, _) | (Actor::User(_), Some(Shown::Secret(_))) => None,
        (Actor::Key(id), shown) => {
            let is_shown = |key: &ApiKey| match shown {
                Some(shown @ (Shown::Secret(_) | Shown::Login(_))) => shown == Shown::Secret(key.hash),
                // No two keys have one id.
                Some(Shown::Earlier(_)) | None => true,
            };
            let key = api_keys::of_realm(read, realm, *id)?;
            key.filter(|key| is_shown(key) && !key.is_over(now)).map(|key| key.grant)
        }
        (Actor::User(id), Some(Shown::Login(session))) => {
            let user = users::live(read, session, now)?.map(|(_, user)| user);
            user.filter(|user| user.id == *id && user.grant.realm == *realm).map(|user| user.grant)
        }
        (Actor::User(id), shown @ (Some(Shown::Earlier(_)) | None)) => {
            let user = read.get::<User>(&keys::user(realm, id))?;
            let is_same = |user: &User| !matches!(shown, Some(Shown::Earlier(at)) if user.created_at > at);
            user.filter(is_same).map(|user| user.grant)
        }
    };
    let granted = granted.ok_or_else(unauthenticated)?;
    tenants::require_open_realm(read, realm)?;
    Ok(granted)
}
