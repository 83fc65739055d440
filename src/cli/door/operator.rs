//! The operator's door: commands on the whole server, through it where one runs, else on its closed store.

use futures_util::{StreamExt, stream::BoxStream};
use jiff::Timestamp;

use super::{Server, in_use};
use crate::{
    cli::OperatorArgs,
    config::Settings,
    domain::Right,
    error::{Error, Result},
    intake::{RoomRules, Spool},
    pipeline::NetworkSlot,
    service::{
        access::erasures::{RewriteView, rewrite},
        operations::{
            backup::{BackupPage, BackupView, backup, store_path},
            check::check,
        },
    },
    store::{BackupStream, CheckReport, Store, StoreOptions},
    vault::Vault,
};

/// Backups asked for at once.
const BACKUPS: usize = 1000;

/// Opens the store of a data folder without a server.
///
/// # Errors
/// `store_locked` if another process has it, `NotFound` `no_store` where there is none.
pub(super) fn open_store(settings: &Settings) -> Result<Store> {
    let data = &settings.server.data;
    let path = store_path(data);
    if !path.exists() {
        let message = format!("there is no store in the data folder {}", data.display());
        return Err(Error::not_found(message).with_code("no_store"));
    }
    let options = StoreOptions { cache_bytes: settings.store.cache_bytes, ..StoreOptions::new(path) };
    Store::open(options).map_err(|error| in_use(data, error))
}

/// Either way to the whole server.
pub(in crate::cli) enum OperatorDoor {
    /// A server runs on this data folder.
    Server(Server),
    /// This process has the store to itself.
    Local(Store),
}

impl OperatorDoor {
    /// Finds the server of the data folder, or opens its store, which must exist.
    ///
    /// # Errors
    /// `store_locked` if another process has the store but no server answers; `NotFound` `no_store`.
    pub(in crate::cli) async fn open(settings: &Settings, operator: &OperatorArgs) -> Result<Self> {
        let data = &settings.server.data;
        if let Some(server) = Server::find(data, &operator.key_file(data)).await? {
            return Ok(Self::Server(server));
        }
        open_store(settings).map(Self::Local)
    }

    /// The pieces of a backup of this name.
    pub(in crate::cli) async fn backup(&self, name: &str) -> Result<BoxStream<'static, Result<bytes::Bytes>>> {
        match self {
            Self::Server(server) => server.download(&["backup"], &[("name", name)]).await,
            Self::Local(store) => {
                let right = Right::of_machine();
                backup(store, &right, Some(name.to_owned()), Timestamp::now).await.map(BackupStream::boxed)
            }
        }
    }

    /// All backups that were given whole and were not struck off.
    pub(in crate::cli) async fn backups(&self) -> Result<Vec<BackupView>> {
        let server = match self {
            Self::Server(server) => server,
            Self::Local(store) => {
                return Ok(store.backups(None, usize::MAX).await?.into_iter().map(Into::into).collect());
            }
        };
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page: BackupPage = server.page(&["backups"], after.as_ref(), BACKUPS).await?;
            all.extend(page.backups);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Writes the store afresh.
    pub(in crate::cli) async fn rewrite(&self, settings: &Settings) -> Result<RewriteView> {
        match self {
            Self::Server(server) => server.post(&["store", "rewrite"], &()).await,
            Self::Local(store) => {
                let spool = Spool::of(&settings.server.data, RoomRules::of(&settings.jobs));
                rewrite(store, &spool, &Right::of_machine(), Timestamp::now).await.map(Into::into)
            }
        }
    }

    /// What is wrong with the store, if anything.
    pub(in crate::cli) async fn check(&self, settings: &Settings, vault: &Vault) -> Result<CheckReport> {
        match self {
            Self::Server(server) => server.get(&["check"]).await,
            Self::Local(store) => {
                let networks = NetworkSlot::load(settings.models.folder(), settings.nn.precision)?;
                check(store, networks.get().embedder.model_id().clone(), vault).await
            }
        }
    }
}
