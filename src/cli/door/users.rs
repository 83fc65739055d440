//! The door to the users of one realm, and to what signs their tokens.

use super::{Local, Server};
use crate::{
    cli::user::RealmArgs,
    config::Settings,
    domain::{Access, Actor, UserId},
    error::Result,
    service::access::{
        Entered, OperatorScope, Password, RealmScope, Scope,
        first_start::DEFAULT_TENANT,
        users::{NewUser, UserPage, UserPatch, UserView},
    },
};

/// Users a page.
const PAGE: usize = 1000;

/// Either way to the users; both give the same answers.
pub(in crate::cli) enum UserDoor {
    /// A server runs on this data folder.
    Server(Server),
    /// This process has the store to itself.
    Local(Box<Local>, Access),
}

impl UserDoor {
    /// Finds the server of the data folder, or opens its store. To be called on an actix system.
    ///
    /// # Errors
    /// `store_locked` if another process has the store but no server answers; `NotFound` for an unknown tenant.
    pub(in crate::cli) async fn open(settings: Settings, realm: &RealmArgs) -> Result<Self> {
        let data = &settings.server.data;
        if let Some(server) = Server::find(data, &realm.key_file(data)).await? {
            return Ok(Self::Server(server));
        }
        // An operator's work needs no tenant; this one is always there.
        let tenant = realm.tenant().cloned().map_or_else(|| DEFAULT_TENANT.parse(), Ok)?;
        let access = Access::granted(realm.grant(), Actor::Machine);
        Ok(Self::Local(Local::open(settings, &tenant).await?.into(), access))
    }

    /// Makes a user.
    pub(in crate::cli) async fn create_user(&self, new: NewUser) -> Result<UserView> {
        match self {
            Self::Server(server) => server.post(&["users"], &new).await,
            Self::Local(local, access) => local.services().access.create_user(&realm(access)?, new).await,
        }
    }

    /// Sets a user's password and ends their logins.
    pub(in crate::cli) async fn set_password(&self, user: &UserId, password: Password) -> Result<UserView> {
        let patch = UserPatch { password: Some(password), ..UserPatch::default() };
        match self {
            Self::Server(server) => server.patch(&["users", user.as_str()], &patch).await,
            Self::Local(local, access) => local.services().access.update_user(&realm(access)?, user, patch).await,
        }
    }

    /// All users, by id.
    pub(in crate::cli) async fn users(&self) -> Result<Vec<UserView>> {
        let (mut users, mut after) = (Vec::new(), None);
        loop {
            let page: UserPage = match self {
                Self::Server(server) => server.page(&["users"], after.as_ref(), PAGE).await?,
                Self::Local(local, access) => {
                    local.services().access.users(&realm(access)?, after.as_ref(), PAGE).await?
                }
            };
            users.extend(page.users);
            after = page.next;
            if after.is_none() {
                return Ok(users);
            }
        }
    }

    /// Makes a new key that signs access tokens.
    pub(in crate::cli) async fn rotate_token_key(&self) -> Result<()> {
        match self {
            Self::Server(server) => server.post(&["auth", "rotate"], &()).await,
            Self::Local(local, access) => {
                local.services().access.rotate_token_key(&OperatorScope::of(Entered::by_command(access.clone()))?).await
            }
        }
    }
}

fn realm(access: &Access) -> Result<RealmScope> {
    RealmScope::of(Entered::by_command(access.clone()))
}
