//! Users and their logins.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{api_keys::require_reach, audit, tenants};
use crate::{
    domain::{Actor, Author, Grant, GroupId, Realm, Right, Role, SessionId, UserId},
    error::{Error, ErrorKind, Result},
    store::{Store, engine::Read, keys, transaction::Transaction},
};

/// The most users of a realm.
const MAX_USERS: usize = 100_000;
/// The most logins of a user at a time; a further one ends the oldest.
const MAX_SESSIONS: usize = 20;

/// Somebody who logs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Unique in the realm.
    pub id: UserId,
    /// What they may do.
    pub grant: Grant,
    /// Their password's hash, as a PHC string.
    pub password: String,
    /// When they were made.
    pub created_at: Timestamp,
    /// Their logins, oldest first.
    pub sessions: Vec<SessionId>,
}

/// One login: it lasts as long as somebody refreshes it in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The login.
    pub id: SessionId,
    /// The user's realm.
    pub realm: Realm,
    /// Whose it is.
    pub user: UserId,
    /// SHA-256 of the one refresh token that is good now.
    pub refresh_hash: [u8; 32],
    /// From when on it is over.
    pub expires_at: Timestamp,
}

/// How a login goes on.
#[derive(Debug, Clone, Copy)]
pub struct SessionRefresh {
    /// The login.
    pub session: SessionId,
    /// SHA-256 of the refresh token that was shown for it.
    pub shown: [u8; 32],
    /// Whether that was ever issued for it.
    pub was_issued: bool,
    /// SHA-256 of the next one.
    pub fresh: [u8; 32],
    /// Until when the login is good then.
    pub expires_at: Timestamp,
}

/// What to change of a user; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// What they are there for.
    pub role: Option<Role>,
    /// All groups that they are to have.
    pub groups: Option<Vec<GroupId>>,
    /// A new password's hash; ends all their logins but `keep`.
    pub password: Option<String>,
    /// The hash of the password that was shown for the change: nothing is changed where they have another one by then.
    pub replaces: Option<String>,
    /// The login that outlives a new password.
    pub keep: Option<SessionId>,
}

impl Store {
    /// Makes a user of the grant's realm. Errors: `Conflict` `user_exists` or `limit_reached`, `NotFound` `tenant_not_found` or
    /// `group_not_found`.
    pub async fn create_user(&self, right: &Right, user: User) -> Result<()> {
        let author = Author { realm: user.grant.realm.clone(), right: right.clone() };
        self.write(right, move |transaction| {
            require_reach(transaction, &user.grant)?;
            let key = keys::user(&user.grant.realm, &user.id);
            if transaction.has(&key)? {
                return Err(conflict("there is a user of this id already", "user_exists"));
            }
            if transaction.scan_keys(&keys::users(&user.grant.realm)).take(MAX_USERS).count() == MAX_USERS {
                return Err(conflict("there are too many users already", "limit_reached"));
            }
            transaction.put(key, &user)?;
            audit::note(transaction, &author, "user.create", |it| it.user(&user.id).after(&user))
        })
        .await
    }

    /// A user. Errors: `NotFound` `user_not_found`.
    pub async fn user(&self, realm: &Realm, user: &UserId) -> Result<User> {
        let key = keys::user(realm, user);
        self.read(move |view| view.get(&key)?.ok_or_else(user_not_found)).await
    }

    /// At most `limit` users whose ids come after `after`, by the bytes of their ids.
    pub async fn users(&self, realm: &Realm, after: Option<&UserId>, limit: usize) -> Result<Vec<User>> {
        let (prefix, after) = (keys::users(realm), after.map(|user| keys::user(realm, user)));
        self.read(move |view| view.scan(&prefix, after.as_deref()).take(limit).collect()).await
    }

    /// Changes a user, as the next request of theirs will find them: what is not in `change` stays as it is at this
    /// moment, whatever the caller has seen of it. Errors: `NotFound` `user_not_found` or `group_not_found`; `Invalid`
    /// `invalid_role`; `Forbidden` `wrong_password` where another password than `change` says was changed meanwhile.
    pub async fn update_user(&self, author: &Author, user: &UserId, change: UserChange) -> Result<User> {
        let (by, key) = (author.clone(), keys::user(&author.realm, user));
        self.write(&author.right, move |transaction| {
            let old: User = transaction.get(&key)?.ok_or_else(user_not_found)?;
            if change.replaces.as_ref().is_some_and(|replaced| *replaced != old.password) {
                return Err(wrong_password());
            }
            let mut user = old.clone();
            if change.role.is_some() || change.groups.is_some() {
                user.grant = user.grant.changed(change.role, change.groups.clone())?;
                require_reach(transaction, &user.grant)?;
            }
            if let Some(password) = &change.password {
                user.password.clone_from(password);
                end_sessions(transaction, &mut user, |session| Some(session) != change.keep);
            }
            transaction.put(key.clone(), &user)?;
            audit::note(transaction, &by, "user.update", |it| it.user(&user.id).changed(&old, &user))?;
            Ok(user)
        })
        .await
    }

    /// Removes a user and ends their logins. Errors: `NotFound` `user_not_found`.
    pub async fn delete_user(&self, author: &Author, user: &UserId) -> Result<()> {
        let (by, key) = (author.clone(), keys::user(&author.realm, user));
        self.write(&author.right, move |transaction| {
            let mut user: User = transaction.get(&key)?.ok_or_else(user_not_found)?;
            end_sessions(transaction, &mut user, |_| true);
            transaction.remove(key.clone());
            audit::note(transaction, &by, "user.delete", |it| it.user(&user.id).before(&user))
        })
        .await
    }

    /// Begins a login of a user whose password was checked against the hash `checked`; returns them as they are then,
    /// or `None` if they have gone or have another password by now. The oldest login ends where there are too many.
    /// Errors: `Forbidden` `tenant_suspended`.
    pub async fn open_session(&self, session: Session, checked: String) -> Result<Option<User>> {
        self.write(&Right::of_machine(), move |transaction| {
            let key = keys::user(&session.realm, &session.user);
            let user = transaction.get::<User>(&key)?.filter(|user| user.password == checked);
            let Some(mut user) = user else { return Ok(None) };
            tenants::require_open_realm(transaction, &session.realm)?;
            let surplus = (user.sessions.len() + 1).saturating_sub(MAX_SESSIONS);
            let oldest = user.sessions[..surplus].to_vec();
            end_sessions(transaction, &mut user, |session| oldest.contains(&session));
            user.sessions.push(session.id);
            transaction.put(keys::session(session.id), &session)?;
            transaction.put(key, &user)?;
            let right = Right::of(Actor::User(session.user.clone()), session.realm.clone());
            let author = Author { realm: session.realm.clone(), right };
            audit::note(transaction, &author, "login.begin", |it| it.user(&user.id))?;
            Ok(Some(user))
        })
        .await
    }

    /// Takes the refresh token that was shown, and makes the fresh one the next. A token that was spent before has been
    /// copied: its login is ended. `None` where there is no such login, it was ended, or the token is not its last.
    /// Errors: `Forbidden` `tenant_suspended`; then the token stays good.
    pub async fn refresh_session(&self, refresh: SessionRefresh, now: Timestamp) -> Result<Option<User>> {
        let SessionRefresh { session, shown, was_issued, fresh, expires_at } = refresh;
        self.write(&Right::of_machine(), move |transaction| {
            let Some((login, mut user)) = live(transaction, session, now)? else { return Ok(None) };
            tenants::require_open_realm(transaction, &login.realm)?;
            if login.refresh_hash != shown {
                if !was_issued {
                    return Ok(None);
                }
                end_sessions(transaction, &mut user, |ended| ended == session);
                transaction.put(keys::user(&login.realm, &login.user), &user)?;
                return Ok(None);
            }
            let login = Session { refresh_hash: fresh, expires_at, ..login };
            transaction.put(keys::session(session), &login)?;
            Ok(Some(user))
        })
        .await
    }

    /// Ends a login; nothing changes where it is over.
    pub async fn close_session(&self, right: &Right, session: SessionId) -> Result<()> {
        self.write(right, move |transaction| {
            let Some(login) = transaction.get::<Session>(&keys::session(session))? else { return Ok(()) };
            let key = keys::user(&login.realm, &login.user);
            let Some(mut user) = transaction.get::<User>(&key)? else { return Ok(()) };
            end_sessions(transaction, &mut user, |ended| ended == session);
            transaction.put(key, &user)
        })
        .await
    }
}

fn conflict(message: &'static str, code: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, message).with_code(code)
}

/// The error where the password that was shown for a change is not the user's.
pub fn wrong_password() -> Error {
    Error::new(ErrorKind::Forbidden, "the old password is wrong").with_code("wrong_password")
}

fn user_not_found() -> Error {
    Error::not_found("there is no such user").with_code("user_not_found")
}

/// A login that is not over at `now`, and its user.
pub(in crate::store) fn live(read: &impl Read, session: SessionId, now: Timestamp) -> Result<Option<(Session, User)>> {
    let Some(login) = read.get::<Session>(&keys::session(session))?.filter(|login| login.expires_at > now) else {
        return Ok(None);
    };
    Ok(read.get::<User>(&keys::user(&login.realm, &login.user))?.map(|user| (login, user)))
}

/// Removes the logins of `user` that `ends`; the caller writes the user.
fn end_sessions(transaction: &mut Transaction<'_>, user: &mut User, ends: impl Fn(SessionId) -> bool) {
    user.sessions.retain(|&session| {
        if ends(session) {
            transaction.remove(keys::session(session));
        }
        !ends(session)
    });
}

/// Takes a group that goes away from the users whom it was given to: a later group of the same id is another.
pub(in crate::store) fn forget_group(
    transaction: &mut Transaction<'_>,
    author: &Author,
    group: &GroupId,
) -> Result<()> {
    let realm = &author.realm;
    let given = |user: &Result<User>| user.as_ref().map_or(true, |user| user.grant.groups.contains(group));
    let users: Vec<User> = transaction.scan(&keys::users(realm), None).filter(given).collect::<Result<_>>()?;
    for old in users {
        let mut user = old.clone();
        user.grant.groups.retain(|of| of != group);
        transaction.put(keys::user(realm, &user.id), &user)?;
        audit::note(transaction, author, "user.update", |it| it.user(&user.id).changed(&old, &user))?;
    }
    Ok(())
}
