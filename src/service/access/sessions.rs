//! Logging in, staying in, and out: a short access token for every request, and a refresh token for the next pair.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperatorScope, Password, keys::sha256, random, tokens::Claims};
use crate::{
    domain::{Access, Actor, Author, GroupId, KeyId, Realm, Role, SessionId, TenantId, UserId},
    error::{Error, ErrorKind, Result},
    service::Service,
    store::{Session, User, UserChange},
};

/// How the text of every refresh token begins.
const REFRESH_PREFIX: &str = "rr_";

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
            Actor::Machine => (None, None),
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
    /// `Overloaded` `too_many_attempts` where there were too many.
    pub async fn log_in(&self, login: Login, from: Option<IpAddr>) -> Result<TokenPair> {
        let Login { tenant, user, password } = login;
        let (realm, now) = (tenant.map_or(Realm::Server, Realm::Tenant), self.clock.now());
        let attempt = self.gate.throttle.attempt(&realm, &user, from, now)?;
        let wrong =
            || Error::new(ErrorKind::Unauthenticated, "the user or the password is wrong").with_code("wrong_login");
        let known = match self.store.user(&realm, &user).await {
            Ok(user) => Some(user.password),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        // Without a user it takes as long.
        if !self.gate.passwords.matches(password, known.clone()).await? {
            return Err(wrong());
        }
        let (id, refresh) = (SessionId::generate(), RefreshToken::generate()?);
        let expires_at = self.session_end(now)?;
        let session = Session { id, realm, user, refresh_hash: refresh.hash(), expires_at };
        let user = self.store.open_session(session, known.unwrap_or_default()).await?.ok_or_else(wrong)?;
        attempt.succeeded();
        self.pair(&user, id, &refresh, now)
    }

    /// The next pair of tokens. A refresh token that comes twice was copied: the login ends.
    ///
    /// # Errors
    /// `Unauthenticated` `login_over` for a token that is spent, or of a login that is over.
    pub async fn refresh(&self, given: &str) -> Result<TokenPair> {
        let (session, spent) = RefreshToken::parse(given).ok_or_else(login_over)?;
        let (now, fresh) = (self.clock.now(), RefreshToken::generate()?);
        let end = self.session_end(now)?;
        let user = self.store.refresh_session(session, spent, fresh.hash(), now, end).await?;
        self.pair(&user.ok_or_else(login_over)?, session, &fresh, now)
    }

    /// Ends the login that the caller comes from: its tokens open nothing from now on.
    ///
    /// # Errors
    /// `Conflict` `no_login` for a key.
    pub async fn log_out(&self, access: &Access) -> Result<()> {
        self.store.close_session(access.session().ok_or_else(no_login)?).await
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
        let known = self.store.user(realm, user).await?.password;
        if !self.gate.passwords.matches(change.old, Some(known)).await? {
            return Err(Error::new(ErrorKind::Forbidden, "the old password is wrong").with_code("wrong_password"));
        }
        attempt.succeeded();
        let password = Some(self.gate.passwords.hash(change.new).await?);
        let change = UserChange { grant: None, password, keep: Some(session) };
        self.store.update_user(&access.author(), user, change).await.map(drop)
    }

    /// Makes a new key that signs access tokens; those signed before are good until they are over.
    ///
    /// # Errors
    /// `Storage` if it cannot be written.
    pub async fn rotate_token_key(&self, operator: &OperatorScope) -> Result<()> {
        // First: there is no change without an entry, though one that failed may have one.
        self.store.note_act(&Author::on_server(operator.actor()), "token.rotate").await?;
        let (gate, now) = (self.gate.clone(), self.clock.now());
        tokio::task::spawn_blocking(move || gate.tokens.rotate(now))
            .await
            .unwrap_or_else(|lost| Err(Error::internal("the key was not changed").with_source(lost)))
    }

    fn session_end(&self, now: Timestamp) -> Result<Timestamp> {
        now.checked_add(self.gate.lifetimes.session)
            .map_err(|error| Error::internal("a login cannot last so long").with_source(error))
    }

    fn pair(&self, user: &User, session: SessionId, refresh: &RefreshToken, now: Timestamp) -> Result<TokenPair> {
        let claims = Claims { realm: user.grant.realm.clone(), user: user.id.clone(), session };
        Ok(TokenPair {
            access_token: self.gate.tokens.sign(&claims, now)?,
            expires_in: self.gate.lifetimes.token.as_secs(),
            refresh_token: refresh.text(session),
        })
    }
}

fn login_over() -> Error {
    Error::new(ErrorKind::Unauthenticated, "this login is over: log in again").with_code("login_over")
}

fn no_login() -> Error {
    Error::new(ErrorKind::Conflict, "this is for users who logged in, not for keys").with_code("no_login")
}

/// 256 random bits; its text also says which login it belongs to.
struct RefreshToken(String);

impl RefreshToken {
    fn generate() -> Result<Self> {
        Ok(Self(hex::encode(random::<32>()?)))
    }

    fn hash(&self) -> [u8; 32] {
        sha256(&self.0)
    }

    fn text(&self, session: SessionId) -> String {
        format!("{REFRESH_PREFIX}{}{}", hex::encode(session.as_bytes()), self.0)
    }

    /// The login and the hash of a token's text.
    fn parse(text: &str) -> Option<(SessionId, [u8; 32])> {
        let (session, secret) = text.strip_prefix(REFRESH_PREFIX)?.split_at_checked(32)?;
        let session: [u8; 16] = hex::decode(session).ok()?.try_into().ok()?;
        Some((SessionId::from_bytes(session), sha256(secret)))
    }
}
