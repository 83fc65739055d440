//! Backups as files, and data folders made from them.

mod schedule;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncWriteExt, time::sleep};
use utoipa::ToSchema;

use crate::{
    domain::{Author, BackupId, Right},
    error::{Error, ErrorKind, Result},
    runtime::{disk, spawn_blocking},
    service::{
        access::{OperatorScope, first_start},
        operations::Service,
        telling_time,
    },
    store::{self, About, Backup, BackupStream, Store, StoreOptions},
    vault,
};

/// In a backup that is a folder, the file with the store; the kept photos lie beside it as they do in a data folder.
const STORE_FILE: &str = "store.backup";

/// The longest name of a backup, in Unicode scalar values.
const NAME_CHARS: usize = 200;

/// A store that is not whole yet has this name in its data folder; no server ever opens it.
pub(in crate::service) const UNFINISHED: &str = "store.restoring";

/// What the name of a backup ends with that is not whole.
const PARTIAL: &str = ".partial";

/// How long a closed store may keep its lock.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the lock.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// Bytes of the file.
    pub bytes: u64,
    /// Records in it, counting those twice that changed while it was taken.
    pub records: u64,
}

impl Service {
    /// Begins a copy of everything in the store, called `name`. Errors: `Invalid` `invalid_name`, and those of
    /// [`Store::backup`].
    pub async fn backup(&self, operator: &OperatorScope, name: Option<String>) -> Result<BackupStream> {
        let is_name = |name: &String| {
            !name.trim().is_empty() && name.chars().count() <= NAME_CHARS && !name.chars().any(char::is_control)
        };
        if !name.as_ref().is_none_or(is_name) {
            let message =
                format!("the name of a backup has 1 to {NAME_CHARS} characters, none of them a control character");
            return Err(Error::invalid(message).with_code("invalid_name"));
        }
        backup(&self.store, operator.right(), name, telling_time(&self.clock)).await
    }

    /// A page of the whole backups that were given after `after` and may still exist.
    pub async fn backups(
        &self,
        _operator: &OperatorScope,
        after: Option<BackupId>,
        limit: usize,
    ) -> Result<BackupPage> {
        let mut backups = self.store.backups(after, limit + 1).await?;
        let more = backups.len() > limit;
        backups.truncate(limit);
        let next = backups.last().filter(|_| more).map(|backup| backup.id);
        Ok(BackupPage { backups: backups.into_iter().map(Into::into).collect(), next })
    }

    /// Takes a backup off the list: the operator says that it was destroyed. Errors: `NotFound` `backup_not_found`.
    pub async fn strike_backup(&self, operator: &OperatorScope, backup: BackupId) -> Result<()> {
        self.store.strike_backup(operator.right(), backup).await
    }
}

/// A backup that was given to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupView {
    /// The backup.
    pub id: BackupId,
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    pub begun_at: Timestamp,
    /// When it was whole or given up; null while it is taken.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// What the one who took it calls it; null if they did not say.
    pub name: Option<String>,
    /// Its size, without the photos that lie beside one that was taken by the schedule; null while it is not whole, and
    /// of those of older versions.
    pub bytes: Option<u64>,
    /// Whether all of it was given. One that was cut short restores nothing, and may hold people all the same.
    pub is_whole: bool,
}

/// A page of backups.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BackupPage {
    /// In the order in which they were begun.
    pub backups: Vec<BackupView>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<BackupId>,
}

impl From<Backup> for BackupView {
    fn from(backup: Backup) -> Self {
        let Backup { id, begun_at, ended_at, name, bytes, is_whole } = backup;
        Self { id, begun_at, ended_at, name, bytes, is_whole }
    }
}

/// The folder of the store in a data folder.
pub fn store_path(data: &Path) -> PathBuf {
    data.join("store")
}

/// Errors where a restore into the data folder began and did not end: an empty store in its place would pass for the
/// restored one. `Storage` `restore_unfinished`.
pub fn require_finished(data: &Path) -> Result<()> {
    if data.join(UNFINISHED).exists() && !store_path(data).exists() {
        return Err(Error::storage("a restore into this data folder has not finished: run it again")
            .with_code("restore_unfinished"));
    }
    Ok(())
}

/// Errors where there are photos or keys and no store: a first start would take the photos for nobody's and remove them,
/// and make other keys in the place of those. `Storage` `store_missing`.
pub fn require_store(data: &Path) -> Result<()> {
    let has_photos = || fs::read_dir(data.join(vault::FOLDER)).is_ok_and(|mut tenants| tenants.next().is_some());
    if !store_path(data).exists() && (first_start::operator_key_path(data).exists() || has_photos()) {
        let message = "the data folder has keys or photos and no store: put the store back or restore a backup; to begin \
                       anew, move them away";
        return Err(Error::storage(message).with_code("store_missing"));
    }
    Ok(())
}

/// Begins a copy of a whole store by `right`, which the audit log says. Errors as for [`Store::backup`].
pub async fn backup(
    store: &Store,
    right: &Right,
    name: Option<String>,
    now: impl Fn() -> Timestamp + Send + 'static,
) -> Result<BackupStream> {
    // First: nothing is given without an entry, though one that was not given may have one.
    store.note_act(&Author::on_server(right), "backup.take", About::Nothing).await?;
    store.backup(right, name, now).await
}

/// Refuses a file for a backup that is there already: it may be all that is left of a store.
///
/// # Errors
/// `Conflict` `backup_exists`.
pub fn require_new(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        let message = format!("there is a file {} already: give another name, or move it away", path.display());
        return Err(Error::new(ErrorKind::Conflict, message).with_code("backup_exists"));
    }
    Ok(())
}

/// Writes a backup to the new file `path`, readable by its owner alone: aside, read back and checked, durable, and only
/// then under its name.
///
/// # Errors
/// The stream's own; `Conflict` `backup_exists`; `Full` `disk_full`; `Storage` if the file cannot be written; `Invalid`
/// `truncated_backup` or `damaged_backup` if what arrived is not a whole backup.
pub async fn save(mut backup: impl Stream<Item = Result<Bytes>> + Unpin, path: &Path) -> Result<Saved> {
    let failed = |error: io::Error| cannot_write(path, error);
    require_new(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new().prefix(".rollcall-").suffix(PARTIAL).tempfile_in(folder).map_err(failed)?;
    let mut file = tokio::fs::File::from_std(aside.reopen().map_err(failed)?);
    while let Some(piece) = backup.next().await {
        disk::require_room(folder, disk::FILES_LEAVE)?;
        file.write_all(&piece?).await.map_err(failed)?;
    }
    file.sync_all().await.map_err(failed)?;
    let (path, folder) = (path.to_owned(), folder.to_owned());
    in_background(move || {
        let failed = |error: io::Error| cannot_write(&path, error);
        let bytes = aside.as_file().metadata().map_err(failed)?.len();
        let records = store::verify_backup(aside.reopen().map_err(failed)?)?;
        aside.persist_noclobber(&path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => require_new(&path).err().unwrap_or_else(|| failed(error.error)),
            _ => failed(error.error),
        })?;
        sync(&folder).map_err(failed)?;
        Ok(Saved { bytes, records })
    })
    .await
}

/// Makes the data folder `data` from the backup `path`, all of it or nothing: a file, or a folder of the schedule, whose
/// photos come along. The keys of the backup open the restored server as they did the old one. Where the folder lacks the key file of the operator or of the tenant
/// `default`, a further key is made for it, as the backup holds hashes alone. Returns the records that were read.
///
/// # Errors
/// `Conflict` `data_folder_in_use` if there is anything but key files and photos in the folder; otherwise as for
/// [`store::restore`].
pub async fn restore(path: &Path, data: &Path, now: Timestamp) -> Result<u64> {
    let (path, folder) = (path.to_owned(), data.to_owned());
    let unfinished = data.join(UNFINISHED);
    let target = unfinished.clone();
    let records = in_background(move || {
        let with_photos = path.is_dir();
        let file = if with_photos { path.join(STORE_FILE) } else { path.clone() };
        let backup = File::open(&file).map_err(|error| {
            Error::invalid(format!("the backup {} cannot be read", file.display())).with_source(error)
        })?;
        fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
        require_empty(&folder)?;
        remove(&target)?;
        let records = store::restore(&target, backup).inspect_err(|_| drop(remove(&target)))?;
        if with_photos {
            vault::copy_photos(&path, &folder, None)?;
        }
        Ok(records)
    })
    .await?;
    take_place(unfinished, data, now, "store.restore").await?;
    Ok(records)
}

/// Makes the whole store in `unfinished` the data folder's, with the key files that are missing; its audit log says by which
/// `action` it came there.
pub(in crate::service) async fn take_place(
    unfinished: PathBuf,
    data: &Path,
    now: Timestamp,
    action: &'static str,
) -> Result<()> {
    let store = open_when_free(&unfinished).await?;
    store.note_act(&Author::on_server(&Right::of_machine()), action, About::Nothing).await?;
    first_start::complete_key_files(&store, data, now).await?;
    let data = data.to_owned();
    in_background(move || {
        // Waits for the store's threads, which hold its lock.
        drop(store);
        let failed = |error: io::Error| cannot_write(&data, error);
        fs::rename(&unfinished, store_path(&data)).map_err(failed)?;
        sync(&data).map_err(failed)
    })
    .await
}

/// Opens a store that this process has just closed: its database may hold its lock for a moment longer.
async fn open_when_free(path: &Path) -> Result<Store> {
    let begun = Instant::now();
    loop {
        let options = StoreOptions::new(path);
        match in_background(move || Store::open(options)).await {
            Err(error) if error.code() == "store_locked" && begun.elapsed() < PATIENCE => sleep(RETRY_AFTER).await,
            outcome => return outcome,
        }
    }
}

/// What a restore may find in its data folder: key files and photos that somebody kept, and what an interrupted one has left.
fn require_empty(data: &Path) -> Result<()> {
    let failed = |error: io::Error| cannot_write(data, error);
    for entry in fs::read_dir(data).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let may_stay = name == UNFINISHED || name == vault::FOLDER;
        if !may_stay && Path::new(&name).extension().is_none_or(|extension| extension != "key") {
            return Err(in_use(data));
        }
    }
    Ok(())
}

/// The error for a folder that is to be a new data folder and has something in it.
pub(in crate::service) fn in_use(data: &Path) -> Error {
    let message = format!("the data folder {} is not empty: give a new one, or move it away", data.display());
    Error::new(ErrorKind::Conflict, message).with_code("data_folder_in_use")
}

pub(in crate::service) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot_write(folder, error)),
        _ => Ok(()),
    }
}

/// A new name in a folder is durable only when the folder has been flushed.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(in crate::service) fn cannot_write(path: &Path, error: io::Error) -> Error {
    if disk::is_full(&error) {
        let full = disk::full();
        let message = format!("{}: {}", path.display(), full.message());
        return Error::new(full.kind(), message).with_code("disk_full").with_source(full);
    }
    Error::storage(format!("{} cannot be written", path.display())).with_code("store_io").with_source(error)
}

pub(in crate::service) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|lost| Err(Error::internal("work on a backup was cut short").with_source(lost)))
}
