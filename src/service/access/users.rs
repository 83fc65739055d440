//! Users: made, listed, changed, removed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Password, Queue, RealmScope};
use crate::{
    domain::{Grant, GroupId, Role, UserId},
    error::Result,
    service::access::Service,
    store::{User, UserChange},
};

/// What a new user takes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// What they log in with, unique in the tenant; an e-mail address will do.
    pub id: UserId,
    /// At least 8 characters.
    pub password: Password,
    /// What they may do.
    pub role: Role,
    /// The groups of a teacher, or the one of a kiosk.
    #[serde(default)]
    pub groups: Vec<GroupId>,
}

/// What can be changed of a user; what is missing stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// A new password; ends all their logins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// What they may do from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// All groups that they are to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupId>>,
}

/// A user.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    /// What they log in with.
    pub id: UserId,
    /// What they may do.
    pub role: Role,
    /// Where, for a role of groups.
    pub groups: Vec<GroupId>,
    /// When they were made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A page of users.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserPage {
    /// In the order of their ids.
    pub users: Vec<UserView>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<UserId>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self { id: user.id, role: user.grant.role, groups: user.grant.groups, created_at: user.created_at }
    }
}

impl Service {
    /// Makes a user of the caller's realm.
    ///
    /// # Errors
    /// `Invalid` for a bad role or password, `NotFound` for an unknown group, `Conflict` `user_exists`.
    pub async fn create_user(&self, scope: &RealmScope, new: NewUser) -> Result<UserView> {
        let grant = Grant::new(scope.realm().clone(), new.role, new.groups)?;
        let password = self.gate.passwords.hash(Queue::Of(scope.realm()), new.password).await?;
        let user = User { id: new.id, grant, password, created_at: self.clock.now(), sessions: Vec::new() };
        self.store.create_user(scope.right(), user.clone()).await?;
        Ok(user.into())
    }

    /// A page of the realm's users after the id `after`.
    pub async fn users(&self, scope: &RealmScope, after: Option<&UserId>, limit: usize) -> Result<UserPage> {
        let mut users = self.store.users(scope.realm(), after, limit + 1).await?;
        let more = users.len() > limit;
        users.truncate(limit);
        let next = users.last().filter(|_| more).map(|user| user.id.clone());
        Ok(UserPage { users: users.into_iter().map(Into::into).collect(), next })
    }

    /// One user.
    pub async fn user(&self, scope: &RealmScope, id: &UserId) -> Result<UserView> {
        Ok(self.store.user(scope.realm(), id).await?.into())
    }

    /// Changes a user; their next request finds it.
    ///
    /// # Errors
    /// `Invalid` for a role and groups that do not fit, or a bad password; `NotFound` for an unknown user or group.
    pub async fn update_user(&self, scope: &RealmScope, id: &UserId, patch: UserPatch) -> Result<UserView> {
        let UserPatch { password, role, groups } = patch;
        // Says at once what the change would say: a hash costs.
        self.store.user(scope.realm(), id).await?.grant.changed(role, groups.clone())?;
        let password = match password {
            Some(password) => Some(self.gate.passwords.hash(Queue::Of(scope.realm()), password).await?),
            None => None,
        };
        let change = UserChange { role, groups, password, ..UserChange::default() };
        Ok(self.store.update_user(&scope.author(), id, change).await?.into())
    }

    /// Removes a user and ends their logins.
    ///
    /// # Errors
    /// `NotFound` `user_not_found`.
    pub async fn delete_user(&self, scope: &RealmScope, id: &UserId) -> Result<()> {
        self.store.delete_user(&scope.author(), id).await
    }
}
