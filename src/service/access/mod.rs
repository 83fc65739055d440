//! Who may come in, and what that opens: keys for programs, passwords and tokens for people.

pub mod audit;
pub mod erasures;
pub mod first_start;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod keys;
mod passwords;
pub(in crate::service) mod quotas;
mod refresh;
mod refusals;
pub mod sessions;
pub mod tenants;
mod throttle;
mod tokens;
pub mod users;

use std::{net::IpAddr, path::Path, sync::Arc};

use jiff::Timestamp;

use self::{
    keys::{KEY_PREFIX, sha256},
    quotas::QuotaKeeper,
    refresh::RefreshSecret,
    refusals::Refusals,
    throttle::Throttle,
};
pub use self::{
    passwords::{Password, Passwords, Queue},
    tokens::Tokens,
};
use crate::{
    domain::{
        Access, Actor, Author, Permission, Realm, Right, Shown, TenantScope, TenantSettings,
        access::lifetimes::Lifetimes, unauthenticated,
    },
    error::{Error, ErrorKind, Result},
    pipeline::Pipeline,
    runtime::Clock,
    service::jobs::JobDesk,
    store::{Caller, Store},
    vault::Vault,
};

/// Who may come in; cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(super) store: Store,
    pub(super) pipeline: Pipeline,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) gate: Arc<Gate>,
    pub(super) quotas: QuotaKeeper,
    pub(super) desk: JobDesk,
    /// The data folder, where keys have their files.
    pub(super) data: Arc<Path>,
    pub(super) vault: Vault,
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

/// Somebody who was let in.
#[derive(Clone)]
pub struct Entered {
    /// With what rights.
    pub access: Access,
    /// What is set for their tenant; nothing for the server's own.
    pub settings: Option<Arc<TenantSettings>>,
    /// When.
    pub at: Timestamp,
    /// How many changes of settings, of all tenants, they are as of, at least.
    settings_as_of: u64,
}

impl Entered {
    /// Somebody at the machine itself, who works with the server's own data.
    pub fn by_command(access: Access) -> Self {
        Self { access, settings: None, at: Timestamp::now(), settings_as_of: 0 }
    }
}

/// What a permission opens for its handler: got from somebody whose [`Access`] was checked only.
pub trait Scope: Sized {
    /// Errors: `Forbidden` where the access is of another kind of realm.
    fn of(entered: Entered) -> Result<Self>;
}

impl Scope for Access {
    fn of(entered: Entered) -> Result<Self> {
        Ok(entered.access)
    }
}

impl Scope for TenantScope {
    fn of(entered: Entered) -> Result<Self> {
        entered.access.tenant_scope()
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
    fn of(Entered { access, .. }: Entered) -> Result<Self> {
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
    fn of(Entered { access, .. }: Entered) -> Result<Self> {
        access.require(Permission::ManageAccess, None)?;
        Ok(Self { realm: access.grant().realm.clone(), right: access.right() })
    }
}

impl Service {
    /// Keeps the counts that tenants' quotas go by, for ever.
    pub fn keep_quotas(&self) -> impl Future<Output = ()> + use<> {
        self.quotas.clone().keep()
    }

    /// Writes the counts that tenants' quotas go by: before a stop.
    pub async fn write_quotas(&self) {
        self.quotas.write().await;
    }

    /// What a key or an access token opens; `from` is the address that shows it.
    ///
    /// # Errors
    /// `Unauthenticated` for one that opens nothing (any more), `Overloaded` `too_many_attempts` where unknown keys
    /// came from this address too often or `too_many_requests` for the tenant, `Forbidden` `tenant_suspended`.
    pub async fn authenticate(&self, credential: &str, from: Option<IpAddr>) -> Result<Entered> {
        // Before the look: what is changed after it is found again when the body is there.
        let (at, settings_as_of) = (self.clock.now(), self.store.changes_of_settings());
        let Caller { who: access, settings } = if credential.starts_with(KEY_PREFIX) {
            self.of_key(credential, from, at).await?
        } else {
            self.of_token(credential, at).await?
        };
        let settings = match settings {
            // It is being deleted: its keys open as little as they will when they are gone.
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(unauthenticated()),
            settings => settings?.map(Arc::new),
        };
        if let (Realm::Tenant(tenant), Some(settings)) = (&access.grant().realm, &settings) {
            self.quotas.admit(tenant, settings)?;
        }
        Ok(Entered { access, settings, at, settings_as_of })
    }

    /// Somebody whose body has come by now, which may have taken long: the time and the settings are the present ones.
    ///
    /// # Errors
    /// `Forbidden` `tenant_suspended`, `NotFound` `tenant_not_found`.
    pub async fn arrived(&self, entered: Entered) -> Result<Entered> {
        let entered = Entered { at: self.clock.now(), ..entered };
        let Ok(scope) = entered.access.tenant_scope() else { return Ok(entered) };
        if self.store.last_change_of_settings(&scope) <= entered.settings_as_of {
            return Ok(entered);
        }
        let settings_as_of = self.store.changes_of_settings();
        let settings = Some(Arc::new(self.store.open_tenant(&scope).await?));
        Ok(Entered { settings, settings_as_of, ..entered })
    }

    async fn of_key(&self, key: &str, from: Option<IpAddr>, now: Timestamp) -> Result<Caller<Access>> {
        let Some(Caller { who: known, settings }) = self.store.caller_with_key(sha256(key)).await? else {
            self.gate.throttle.unknown_key(from, now)?;
            return Err(unauthenticated());
        };
        if known.is_over(now) {
            return Err(unauthenticated());
        }
        self.pipeline.tools().faults.hit_async("door.looked").await;
        // A store that takes no more writes still answers.
        if let Err(error) = self.store.note_use(&known, now).await {
            tracing::debug!(%error, "the use of a key was not noted");
        }
        let access = Access::granted(known.grant, Actor::Key(known.id)).showing(Shown::Secret(known.hash));
        Ok(Caller { who: access.with_offline_hours(known.offline_hours), settings })
    }

    /// The login is looked up each time: one that was ended opens nothing, and a changed role holds at once.
    async fn of_token(&self, token: &str, now: Timestamp) -> Result<Caller<Access>> {
        let claims = self.gate.tokens.verify(token, now).ok_or_else(unauthenticated)?;
        let caller = self.store.caller_logged_in(claims.session, now).await?.ok_or_else(unauthenticated)?;
        let Caller { who: user, settings } = caller;
        if user.id != claims.user || user.grant.realm != claims.realm {
            return Err(unauthenticated());
        }
        let access = Access::granted(user.grant, Actor::User(user.id)).showing(Shown::Login(claims.session));
        Ok(Caller { who: access, settings })
    }
}

/// `N` random bytes.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::internal("the system gives no random numbers").with_source(error))?;
    Ok(bytes)
}
