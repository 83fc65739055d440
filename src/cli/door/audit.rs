//! The door to the audit log of one realm.

use super::{Server, operator::open_store};
use crate::{
    cli::user::RealmArgs,
    config::Settings,
    domain::Realm,
    error::Result,
    service::access::audit::AuditView,
    store::{AuditQuery, Store},
};

/// Entries a page.
const PAGE: usize = 1000;

/// Either way to the log; both give the same answers.
pub(in crate::cli) enum AuditDoor {
    /// A server runs on this data folder.
    Server(Server),
    /// This process has the store to itself.
    Local(Store, Realm),
}

impl AuditDoor {
    /// Finds the server of the data folder, or opens its store, which must exist.
    ///
    /// # Errors
    /// `store_locked` if another process has the store but no server answers; `NotFound` `no_store`.
    pub(in crate::cli) async fn open(settings: &Settings, realm: &RealmArgs) -> Result<Self> {
        let data = &settings.server.data;
        match Server::find(data, &realm.key_file(data)).await? {
            Some(server) => Ok(Self::Server(server)),
            None => Ok(Self::Local(open_store(settings)?, realm.grant().realm)),
        }
    }

    /// The entries after the number `after`, some of them where they are many.
    pub(in crate::cli) async fn page(&self, after: u64) -> Result<AuditView> {
        match self {
            Self::Server(server) => server.page(&["audit"], Some(&after), PAGE).await,
            Self::Local(store, realm) => store.audit_log(realm, AuditQuery::default(), after, PAGE).await?.try_into(),
        }
    }
}
