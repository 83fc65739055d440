//! Logging in, staying in, and out: a short access token for every request, and a refresh token for the next pair.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperatorScope, Password, Queue, refresh::RefreshToken, tokens::Claims};
use crate::{
    domain::{
        Access, Actor, Author, GroupId, KeyId, Realm, Role, SessionId, TenantId, TenantScope, UserId, unauthenticated,
    },
    error::{Error, ErrorKind, Result},
    runtime::spawn_blocking,
    service::access::Service,
    store::{About, Session, SessionRefresh, User, UserChange, wrong_password},
};

/// Who logs in.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Where they belong; missing for the operators.
    pub tenant: Option<TenantId>,
    /// Who they are.
    pub user: UserId,
    /// Their password.
    pub password: Password,
}

/// What goes on a login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token that came last; each is good once.
    pub refresh_token: String,
}

/// A new password of one's own.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// The present one.
    pub old: Password,
    /// At least 8 characters.
    pub new: Password,
}

/// What a login gives.
#[derive(Serialize, ToSchema)]
pub struct TokenPair {
    /// Send it as `Authorization: Bearer TOKEN`.
    pub access_token: String,
    /// How long the access token is good, in seconds.
    pub expires_in: u64,
    /// Gives the next pair, once.
    pub refresh_token: String,
}

/// Who the caller is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Me {
    /// Where they belong; null for operators.
    pub tenant: Option<TenantId>,
    /// Who logged in; null for a key.
    pub user: Option<UserId>,
    /// Which key it is; null for a user.
    pub key: Option<KeyId>,
    /// What they may do.
    pub role: Role,
    /// Where, for a role of groups.
    pub groups: Vec<GroupId>,
}

impl From<Access> for Me {
    fn from(access: Access) -> Self {
        let (user, key) = match access.actor() {
            Actor::User(user) => (Some(user.clone()), None),
            Actor::Key(key) => (None, Some(*key)),
            Actor::Machine | Actor::Nobody => (None, None),
        };
        let grant = access.grant().clone();
        let tenant = match grant.realm {
            Realm::Tenant(tenant) => Some(tenant),
            Realm::Server => None,
        };
        Self { tenant, user, key, role: grant.role, groups: grant.groups }
    }
}

impl Service {
    /// Begins a login; `from` is the address that it comes from.
    ///
    /// # Errors
    /// `Unauthenticated` `wrong_login`, the same for an unknown tenant, an unknown user and a wrong password;
    /// `Overloaded` `too_many_attempts` where there were too many; `Forbidden` `tenant_suspended`.
    pub async fn log_in(&self, login: Login, from: Option<IpAddr>) -> Result<TokenPair> {
        let (realm, user) = (login.tenant.clone().map_or(Realm::Server, Realm::Tenant), login.user.clone());
        let outcome = self.begin_login(login, from).await;
        let is_refused = |error: &Error| {
            matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::Forbidden)
                || error.code() == "too_many_attempts"
        };
        if outcome.as_ref().is_err_and(is_refused) {
            self.note_refusal(&realm, &user).await;
        }
        outcome
    }

    /// Writes down that somebody was not let in, unless that was written often enough.
    async fn note_refusal(&self, realm: &Realm, user: &UserId) {
        // What is no tenant's has no log, and takes no place of those that are.
        if let Realm::Tenant(tenant) = realm
            && !self.gate.refusals.know(realm)
            && self.store.tenant(&TenantScope::granted(tenant.clone())).await.is_err()
        {
            return;
        }
        let Some(unwritten) = self.gate.refusals.count(realm, self.clock.now()) else { return };
        // They are not let in, whether that can be written or not.
        if let Err(error) = self.store.note_refusal(realm, user, unwritten).await {
            tracing::warn!(%error, "a refused login was not noted");
        }
    }

    async fn begin_login(&self, login: Login, from: Option<IpAddr>) -> Result<TokenPair> {
        let Login { tenant, user, password } = login;
        // Told by what was asked alone: nobody learns who is known.
        let wrong_login = if tenant.is_some() {
            "the user or the password is wrong"
        } else {
            "the user or the password is wrong, or the tenant is missing: only operators log in without one, a school's own \
             users name it, such as \"tenant\": \"default\""
        };
        let (realm, now) = (tenant.map_or(Realm::Server, Realm::Tenant), self.clock.now());
        let attempt = self.gate.throttle.attempt(&realm, &user, from, now)?;
        let wrong = || Error::new(ErrorKind::Unauthenticated, wrong_login).with_code("wrong_login");
        let known = self.known_password(&realm, &user, password, attempt.is_at_home()).await;
        attempt.end(&known.as_ref().map(Option::is_some));
        let known = known?.ok_or_else(wrong)?;
        let refresh = self.gate.refresh.issue(SessionId::generate())?;
        let (id, refresh_hash, expires_at) = (refresh.login(), refresh.hash(), self.session_end(now)?);
        let session = Session { id, realm, user, refresh_hash, expires_at };
        let user = self.store.open_session(session, known).await?.ok_or_else(wrong)?;
        self.pair(&user, &refresh, now)
    }

    /// The hash of the user's password, if it is this one. Without a user it takes as long to say no.
    async fn known_password(
        &self,
        realm: &Realm,
        user: &UserId,
        password: Password,
        is_at_home: bool,
    ) -> Result<Option<String>> {
        let known = match self.store.user(realm, user).await {
            Ok(user) => Some(user.password),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let queue = if is_at_home {
            Queue::Of(realm)
        } else if known.is_some() || self.is_realm(realm).await? {
            Queue::GuestOf(realm)
        } else {
            Queue::Nowhere
        };
        let is_right = self.gate.passwords.matches(queue, password, known.clone()).await?;
        Ok(known.filter(|_| is_right))
    }

    /// The next pair of tokens. A refresh token that comes twice was copied: the login ends. One that was never issued
    /// changes nothing.
    ///
    /// # Errors
    /// `Unauthenticated` `login_over` for a token that is spent or none, or of a login that is over; `Forbidden`
    /// `tenant_suspended`.
    pub async fn refresh(&self, given: &str) -> Result<TokenPair> {
        let given = RefreshToken::parse(given).ok_or_else(login_over)?;
        let (now, fresh) = (self.clock.now(), self.gate.refresh.issue(given.login())?);
        let refresh = SessionRefresh {
            session: given.login(),
            shown: given.hash(),
            was_issued: self.gate.refresh.has_issued(&given)?,
            fresh: fresh.hash(),
            expires_at: self.session_end(now)?,
        };
        let user = self.store.refresh_session(refresh, now).await?;
        self.pair(&user.ok_or_else(login_over)?, &fresh, now)
    }

    /// Ends the login that the caller comes from: its tokens open nothing from now on.
    ///
    /// # Errors
    /// `Conflict` `no_login` for a key.
    pub async fn log_out(&self, access: &Access) -> Result<()> {
        self.store.close_session(&access.right(), access.session().ok_or_else(no_login)?).await
    }

    /// Changes the caller's own password and ends their other logins.
    ///
    /// # Errors
    /// `Forbidden` `wrong_password` if the old one is not theirs, `Overloaded` `too_many_attempts` after too many of
    /// these; `Invalid` `invalid_password`; `Conflict` `no_login` for a key.
    pub async fn change_password(&self, access: &Access, change: NewPassword) -> Result<()> {
        let (Actor::User(user), Some(session)) = (access.actor(), access.session()) else { return Err(no_login()) };
        let realm = &access.grant().realm;
        let attempt = self.gate.throttle.attempt(realm, user, None, self.clock.now())?;
        let known = match self.store.user(realm, user).await {
            Ok(user) => user.password,
            // Removed since they were let in.
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(unauthenticated()),
            Err(error) => return Err(error),
        };
        let is_right = self.gate.passwords.matches(Queue::Of(realm), change.old, Some(known.clone())).await;
        attempt.end(&is_right);
        if !is_right? {
            return Err(wrong_password());
        }
        let password = Some(self.gate.passwords.hash(Queue::Of(realm), change.new).await?);
        let change = UserChange { password, replaces: Some(known), keep: Some(session), ..UserChange::default() };
        self.store.update_user(&access.author(), user, change).await.map(drop)
    }

    /// Makes a new key that signs access tokens; those signed before are good until they are over.
    ///
    /// # Errors
    /// `Storage` if it cannot be written.
    pub async fn rotate_token_key(&self, operator: &OperatorScope) -> Result<()> {
        // First: there is no change without an entry, though one that failed may have one.
        self.store.note_act(&Author::on_server(operator.right()), "token.rotate", About::Nothing).await?;
        let (gate, now) = (self.gate.clone(), self.clock.now());
        spawn_blocking(move || gate.tokens.rotate(now))
            .await
            .unwrap_or_else(|lost| Err(Error::internal("the key was not changed").with_source(lost)))
    }

    /// Whether there is such a realm, suspended or not.
    async fn is_realm(&self, realm: &Realm) -> Result<bool> {
        let Realm::Tenant(tenant) = realm else { return Ok(true) };
        match self.store.open_tenant(&TenantScope::granted(tenant.clone())).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() == ErrorKind::Forbidden => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn session_end(&self, now: Timestamp) -> Result<Timestamp> {
        now.checked_add(self.gate.lifetimes.session)
            .map_err(|error| Error::internal("a login cannot last so long").with_source(error))
    }

    fn pair(&self, user: &User, refresh: &RefreshToken, now: Timestamp) -> Result<TokenPair> {
        let claims = Claims { realm: user.grant.realm.clone(), user: user.id.clone(), session: refresh.login() };
        Ok(TokenPair {
            access_token: self.gate.tokens.sign(&claims, now)?,
            expires_in: self.gate.lifetimes.token.as_secs(),
            refresh_token: refresh.text(),
        })
    }
}

fn login_over() -> Error {
    Error::new(ErrorKind::Unauthenticated, "this login is over: log in again").with_code("login_over")
}

fn no_login() -> Error {
    Error::new(ErrorKind::Conflict, "this is for users who logged in, not for keys").with_code("no_login")
}
