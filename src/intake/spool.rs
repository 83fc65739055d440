//! The files of jobs, a folder each: written and durable before a job is there, removed when it is over.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::io::AsyncWriteExt;

use super::room::{Room, RoomRules};
use crate::{
    domain::{JobId, TenantId},
    error::{Error, ErrorKind, Result},
    runtime::{disk, spawn_blocking},
};

/// The roster of an import.
pub const ROSTER: &str = "roster.csv";
/// The photos of a job.
pub const PHOTOS: &str = "photos.zip";

/// What the files of photos that came one by one begin with.
const IMAGE: &str = "image-";

/// The file of the photo of this number.
pub fn image(number: u64) -> String {
    format!("{IMAGE}{number}")
}

/// The number of a photo's file; none for other files.
pub(crate) fn image_number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(IMAGE)?.parse().ok()
}

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: Arc<Path>,
    room: Room,
    /// Jobs whose files are on their way.
    coming: Arc<Mutex<HashMap<TenantId, usize>>>,
}

impl Spool {
    /// The spool of a data folder.
    pub fn of(data: &Path, rules: RoomRules) -> Self {
        let folder: Arc<Path> = data.join("spool").into();
        Self { room: Room::new(Arc::clone(&folder), rules), folder, coming: Arc::default() }
    }

    /// Makes room for the files of a new job; `None` where the tenant sends as many as it `may` at once.
    pub async fn begin(&self, tenant: &TenantId, may: usize) -> Result<Option<Incoming>> {
        {
            let mut coming = self.coming();
            let of_tenant = coming.entry(tenant.clone()).or_default();
            if *of_tenant >= may {
                return Ok(None);
            }
            *of_tenant += 1;
        }
        let job = JobId::generate();
        // From here on it gives back its place whatever happens.
        let incoming =
            Incoming { spool: self.clone(), tenant: tenant.clone(), job, folder: self.folder(job), is_kept: false };
        let (spool, folder) = (Arc::clone(&self.folder), incoming.folder.clone());
        in_background(move || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            File::open(&spool)?.sync_all()
        })
        .await?;
        Ok(Some(incoming))
    }

    /// Where the files of a job are.
    pub fn folder(&self, job: JobId) -> PathBuf {
        self.folder.join(job.to_string())
    }

    /// Removes the files of a job; nothing happens where there are none.
    pub async fn remove(&self, job: JobId) -> Result<()> {
        let (folder, room) = (self.folder(job), self.room.clone());
        in_background(move || remove(&folder).map(|()| room.give_back(job))).await
    }

    /// Whose files are there.
    pub async fn jobs(&self) -> Result<HashSet<JobId>> {
        let folder = Arc::clone(&self.folder);
        in_background(move || paths(&folder)?.filter_map(|path| path.map(|path| job_of(&path)).transpose()).collect())
            .await
    }

    /// Removes the files of all jobs of a tenant, those that are on their way among them.
    pub async fn remove_tenant(&self, tenant: &TenantId) -> Result<()> {
        for job in self.room.jobs_of(tenant) {
            self.remove(job).await?;
        }
        Ok(())
    }

    /// Removes what is left of jobs other than these of these tenants. To be called before any comes in.
    pub async fn keep_only(&self, mut jobs: HashMap<JobId, TenantId>) -> Result<()> {
        let (folder, room) = (Arc::clone(&self.folder), self.room.clone());
        in_background(move || {
            for path in paths(&folder)? {
                let path = path?;
                match job_of(&path).and_then(|job| jobs.remove_entry(&job)) {
                    Some((job, tenant)) => room.note(job, tenant, bytes_in(&path)?),
                    None => remove(&path)?,
                }
            }
            Ok(())
        })
        .await
    }

    fn coming(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of a job that is not there yet; removed with it where it never comes.
#[derive(Debug)]
pub struct Incoming {
    spool: Spool,
    tenant: TenantId,
    job: JobId,
    folder: PathBuf,
    is_kept: bool,
}

impl Incoming {
    /// The job that they will belong to.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Where a file of it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Errors where so many bytes could not be taken in at this moment: as for [`SpoolFile::write`].
    pub fn require_room(&self, bytes: u64) -> Result<()> {
        self.spool.room.require(&self.tenant, bytes)
    }

    /// A new file.
    pub async fn file(&self, name: &str) -> Result<SpoolFile<'_>> {
        let made = tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(name)).await;
        Ok(SpoolFile { file: made.map_err(failed)?, incoming: self })
    }

    /// Makes the files' names durable: each has been finished.
    pub async fn settle(&self) -> Result<()> {
        let folder = self.folder.clone();
        in_background(move || File::open(folder)?.sync_all()).await
    }

    /// They belong to their job from here on.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut coming = self.spool.coming();
        if let Some(of_tenant) = coming.get_mut(&self.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                coming.remove(&self.tenant);
            }
        }
        drop(coming);
        if !self.is_kept {
            let (folder, room, job) = (std::mem::take(&mut self.folder), self.spool.room.clone(), self.job);
            // The next start removes what is left here.
            drop(spawn_blocking(move || remove(&folder).map(|()| room.give_back(job))));
        }
    }
}

/// A file that is being written.
pub struct SpoolFile<'a> {
    file: tokio::fs::File,
    incoming: &'a Incoming,
}

impl SpoolFile<'_> {
    /// Appends bytes.
    ///
    /// # Errors
    /// `Full` `disk_full` before the disk has no room for anything else; `Full` `job_files_full` where the tenant's jobs
    /// hold as much as they may; `Unavailable` `spool_failed`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Incoming { spool, tenant, job, .. } = self.incoming;
        spool.room.take(*job, tenant, bytes.len() as u64)?;
        self.file.write_all(bytes).await.map_err(failed)
    }

    /// Makes what was written durable.
    pub async fn finish(mut self) -> Result<()> {
        self.file.flush().await.map_err(failed)?;
        self.file.sync_all().await.map_err(failed)
    }
}

/// What lies in the spool, which may never have been made.
fn paths(spool: &Path) -> io::Result<impl Iterator<Item = io::Result<PathBuf>>> {
    let entries = match fs::read_dir(spool) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        entries => Some(entries?),
    };
    Ok(entries.into_iter().flatten().map(|entry| Ok(entry?.path())))
}

/// Whose folder it is.
fn job_of(path: &Path) -> Option<JobId> {
    path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse().ok())
}

/// Bytes of the files in a folder.
fn bytes_in(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work)
        .await
        .map_err(|lost| Error::internal("work on the spool was cut short").with_source(lost))?
        .map_err(failed)
}

fn failed(error: io::Error) -> Error {
    if disk::is_full(&error) {
        return disk::full();
    }
    let message = "the files of a job cannot be written";
    Error::new(ErrorKind::Unavailable, message).with_code("spool_failed").with_source(error)
}
