//! Who may come in, and what that opens: keys for programs, passwords and tokens for people.

pub mod first_start;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod keys;
mod passwords;
mod refresh;
mod refusals;
pub mod sessions;
mod throttle;
mod tokens;
pub mod users;

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;

use self::{
    keys::{KEY_PREFIX, sha256},
    refresh::RefreshSecret,
    refusals::Refusals,
    throttle::Throttle,
};
pub use self::{
    passwords::{Password, Passwords, Queue},
    tokens::Tokens,
};
use super::Service;
use crate::{
    domain::{Access, Actor, Author, Permission, Realm, Right, Shown, TenantId, TenantScope, unauthenticated},
    error::{Error, ErrorKind, Result},
};

/// How long tokens and logins last.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// An access token.
    pub token: Duration,
    /// A login that nobody refreshes.
    pub session: Duration,
}

/// What checking who comes in needs.
pub(super) struct Gate {
    lifetimes: Lifetimes,
    passwords: Passwords,
    tokens: Tokens,
    refresh: RefreshSecret,
    throttle: Throttle,
    refusals: Refusals,
}

impl Gate {
    /// Errors: `Storage` if the secrets of the tokens in the data folder cannot be read or made.
    pub(super) fn open(data: &Path, lifetimes: Lifetimes, now: Timestamp) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            lifetimes,
            passwords: Passwords::default(),
            tokens: Tokens::open(data, lifetimes.token, now)?,
            refresh: RefreshSecret::open(data)?,
            throttle: Throttle::default(),
            refusals: Refusals::default(),
        }))
    }
}

/// What a permission opens for its handler: got from a checked [`Access`] only.
pub trait Scope: Sized {
    /// Errors: `Forbidden` where the access is of another kind of realm.
    fn of(access: Access) -> Result<Self>;
}

impl Scope for Access {
    fn of(access: Access) -> Result<Self> {
        Ok(access)
    }
}

impl Scope for TenantScope {
    fn of(access: Access) -> Result<Self> {
        access.tenant_scope()
    }
}

/// The right to look after the server.
#[derive(Debug)]
pub struct OperatorScope {
    right: Right,
}

impl OperatorScope {
    /// By which right.
    pub fn right(&self) -> &Right {
        &self.right
    }
}

impl Scope for OperatorScope {
    fn of(access: Access) -> Result<Self> {
        access.require(Permission::Operate, None)?;
        Ok(Self { right: access.right() })
    }
}

/// The right to manage the users and keys of one realm.
#[derive(Debug)]
pub struct RealmScope {
    realm: Realm,
    right: Right,
}

impl RealmScope {
    /// Which realm.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// By which right.
    pub fn right(&self) -> &Right {
        &self.right
    }

    /// Whose changes are made with it.
    pub fn author(&self) -> Author {
        Author { realm: self.realm.clone(), right: self.right.clone() }
    }
}

impl Scope for RealmScope {
    fn of(access: Access) -> Result<Self> {
        access.require(Permission::ManageAccess, None)?;
        Ok(Self { realm: access.grant().realm.clone(), right: access.right() })
    }
}

impl Service {
    /// What a key or an access token opens; `from` is the address that shows it.
    ///
    /// # Errors
    /// `Unauthenticated` for one that opens nothing (any more), `Overloaded` `too_many_attempts` where unknown keys
    /// came from this address too often or `too_many_requests` for the tenant, `Forbidden` `tenant_suspended`.
    pub async fn authenticate(&self, credential: &str, from: Option<IpAddr>) -> Result<Access> {
        let access = if credential.starts_with(KEY_PREFIX) {
            self.of_key(credential, from).await?
        } else {
            self.of_token(credential).await?
        };
        if let Realm::Tenant(tenant) = &access.grant().realm {
            self.enter(tenant).await?;
        }
        Ok(access)
    }

    /// Lets a request into its tenant, and counts it.
    async fn enter(&self, tenant: &TenantId) -> Result<()> {
        let scope = TenantScope::granted(tenant.clone());
        match self.store.open_tenant(&scope).await {
            Ok(settings) => self.quotas.admit(&scope, &settings),
            // It is being deleted: its keys open as little as they will when they are gone.
            Err(error) if error.kind() == ErrorKind::NotFound => Err(unauthenticated()),
            Err(error) => Err(error),
        }
    }

    async fn of_key(&self, key: &str, from: Option<IpAddr>) -> Result<Access> {
        let now = self.clock.now();
        let Some(known) = self.store.find_api_key(sha256(key)).await? else {
            self.gate.throttle.unknown_key(from, now)?;
            return Err(unauthenticated());
        };
        if known.is_over(now) {
            return Err(unauthenticated());
        }
        // A store that takes no more writes still answers.
        if let Err(error) = self.store.note_use(&known, now).await {
            tracing::debug!(%error, "the use of a key was not noted");
        }
        let access = Access::granted(known.grant, Actor::Key(known.id)).showing(Shown::Secret(known.hash));
        Ok(access.with_offline_hours(known.offline_hours))
    }

    /// The login is looked up each time: one that was ended opens nothing, and a changed role holds at once.
    async fn of_token(&self, token: &str) -> Result<Access> {
        let now = self.clock.now();
        let claims = self.gate.tokens.verify(token, now).ok_or_else(unauthenticated)?;
        let user = self.store.session(claims.session, now).await?;
        let user = user.filter(|user| user.id == claims.user && user.grant.realm == claims.realm);
        let user = user.ok_or_else(unauthenticated)?;
        Ok(Access::granted(user.grant, Actor::User(user.id)).showing(Shown::Login(claims.session)))
    }
}

/// `N` random bytes.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::internal("the system gives no random numbers").with_source(error))?;
    Ok(bytes)
}
