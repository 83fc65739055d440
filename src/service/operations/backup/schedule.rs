//! Backups that the server takes by itself: each a folder with the store and the kept photos, which appears whole or not
//! at all, and the oldest of which go.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use tokio::time::{MissedTickBehavior, interval};

use super::{PARTIAL, STORE_FILE, Saved, backup, cannot_write, in_background, remove, save, sync};
use crate::{
    config::Schedule,
    domain::Right,
    error::{Error, ErrorKind, Result},
    service::{operations::Service, telling_time},
    vault,
};

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// What the folder of a backup is called, by when it was begun.
const NAME: &str = "rollcall-%Y%m%dT%H%M%SZ";
/// The file that whose the folder is holds locked.
const LOCK: &str = ".rollcall.lock";

impl Service {
    /// Takes backups by `schedule`, for ever; none where there is none.
    pub async fn keep_backups(self, schedule: Option<Schedule>) {
        let Some(schedule) = schedule else { return };
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut own = None;
        loop {
            ticks.tick().await;
            let taken = async {
                if own.is_none() {
                    let folder = schedule.folder.clone();
                    own = Some(in_background(move || claim(&folder)).await?);
                }
                self.back_up_if_due(&schedule).await
            };
            match taken.await {
                // A rewrite or somebody's own backup goes on.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    tracing::info!(code = error.code(), "the backup that is due waits");
                }
                Err(error) => {
                    tracing::error!(code = error.code(), %error, "the backup that is due cannot be taken: this is tried again every minute");
                }
                Ok(()) => {}
            }
        }
    }

    /// Takes a backup unless the newest is young enough, then removes those that are too many.
    ///
    /// # Errors
    /// `Storage` `no_backup_folder`; `Conflict` `backup_running`, `rewrite_running`; `Full` `disk_full`; otherwise as for
    /// [`save`].
    async fn back_up_if_due(&self, schedule: &Schedule) -> Result<()> {
        let folder = schedule.folder.clone();
        let Backups { whole: taken, removed } = in_background(move || backups(&folder)).await?;
        for name in removed {
            self.store.strike_backups_called(&Right::of_machine(), name).await?;
        }
        let now = self.clock.now();
        if taken.last().is_some_and(|(newest, _)| *newest + schedule.every > now) {
            return Ok(());
        }
        let name = now.strftime(NAME).to_string();
        let newest = taken.last().map(|(_, name)| schedule.folder.join(name));
        let saved = match self.back_up(&schedule.folder, &name, newest).await {
            Ok(saved) => saved,
            Err(error) => {
                // Nothing of it is left.
                self.store.strike_backups_called(&Right::of_machine(), name).await?;
                return Err(error);
            }
        };
        self.pipeline.tools().metrics.backup_taken_timestamp_seconds.set(now.as_second());
        tracing::info!(records = saved.records, bytes = saved.bytes, "a backup was taken");
        // With the new one there is one more.
        let too_many = (taken.len() + 1).saturating_sub(schedule.keep);
        for (_, old) in taken.into_iter().take(too_many) {
            let (folder, name) = (schedule.folder.clone(), old.clone());
            in_background(move || discard(&folder, &name)).await?;
            self.store.strike_backups_called(&Right::of_machine(), old).await?;
        }
        Ok(())
    }

    /// A whole new backup; files of photos that are in the `newest` one as well are not copied again where the disk can
    /// have them twice.
    async fn back_up(&self, folder: &Path, name: &str, newest: Option<PathBuf>) -> Result<Saved> {
        let (aside, whole) = (folder.join(format!(".{name}{PARTIAL}")), folder.join(name));
        let made = aside.clone();
        in_background(move || make_own(&made)).await?;
        let outcome = async {
            let pieces =
                backup(&self.store, &Right::of_machine(), Some(name.to_owned()), telling_time(&self.clock)).await?;
            let saved = save(pieces, &aside.join(STORE_FILE)).await?;
            // After the store, whose photos were all there before it named them.
            let (data, aside, folder) = (self.data.to_path_buf(), aside.clone(), folder.to_owned());
            in_background(move || {
                vault::copy_photos(&data, &aside, newest.as_deref())?;
                let failed = |error| cannot_write(&whole, error);
                sync(&aside).and_then(|()| fs::rename(&aside, &whole)).and_then(|()| sync(&folder)).map_err(failed)
            })
            .await?;
            Ok(saved)
        }
        .await;
        if outcome.is_err() {
            in_background(move || remove(&aside)).await?;
        }
        outcome
    }
}

/// Makes the folder this server's as long as the answer is kept: two would count and remove each other's. Where its disk
/// knows no locks, nothing keeps another out.
fn claim(folder: &Path) -> Result<File> {
    let lock = File::create(folder.join(LOCK)).map_err(|error| unreadable(folder, error))?;
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        let message =
            format!("backup.folder: another server takes backups into {}: give each its own", folder.display());
        return Err(Error::storage(message).with_code("backup_folder_in_use"));
    }
    Ok(lock)
}

/// The error of a folder that is not there, or is no folder.
fn unreadable(folder: &Path, error: io::Error) -> Error {
    let message = format!("backup.folder: {} cannot be used: make it, or mount its disk", folder.display());
    Error::storage(message).with_code("no_backup_folder").with_source(error)
}

/// What is in the folder of backups.
struct Backups {
    /// When each was begun, oldest first, and what it is called.
    whole: Vec<(Timestamp, String)>,
    /// What those would be called that were not whole, or half gone, when the server stopped: they are removed.
    removed: Vec<String>,
}

fn backups(folder: &Path) -> Result<Backups> {
    let failed = |error| unreadable(folder, error);
    let (mut whole, mut removed) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if let Some(begun_at) = begun_at(&name) {
            whole.push((begun_at, name));
        } else if let Some(called) = name.strip_prefix('.').and_then(|name| name.strip_suffix(PARTIAL))
            && begun_at(called).is_some()
        {
            remove(&folder.join(&name))?;
            removed.push(called.to_owned());
        }
    }
    whole.sort_unstable();
    Ok(Backups { whole, removed })
}

/// Nothing for a name that no backup of ours has.
fn begun_at(name: &str) -> Option<Timestamp> {
    let begun_at = jiff::civil::DateTime::strptime(NAME, name).ok()?;
    begun_at.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A folder for the eyes of the server's user alone.
fn make_own(folder: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| cannot_write(folder, error))
}

/// Removes a backup, which first takes a name that no whole one has.
fn discard(folder: &Path, name: &str) -> Result<()> {
    let (whole, aside) = (folder.join(name), folder.join(format!(".{name}{PARTIAL}")));
    fs::rename(&whole, &aside).and_then(|()| sync(folder)).map_err(|error| cannot_write(&whole, error))?;
    remove(&aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_servers() {
        let folder = tempfile::tempdir().unwrap();
        let own = claim(folder.path()).unwrap();
        assert_eq!(claim(folder.path()).unwrap_err().code(), "backup_folder_in_use");
        drop(own);
        assert!(claim(folder.path()).is_ok());
        assert_eq!(claim(&folder.path().join("none")).unwrap_err().code(), "no_backup_folder");
        assert!(backups(folder.path()).unwrap().whole.is_empty());
    }

    #[test]
    fn only_whole_backups_of_ours_count_and_what_was_cut_short_goes() {
        let folder = tempfile::tempdir().unwrap();
        let names =
            ["rollcall-20260302T080000Z", "rollcall-20260301T080000Z", "other", ".rollcall-20260303T080000Z.partial"];
        for name in names {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("file"), "x").unwrap();
        }
        let Backups { whole, removed } = backups(folder.path()).unwrap();
        assert_eq!(whole.into_iter().map(|(_, name)| name).collect::<Vec<_>>(), [names[1], names[0]]);
        assert_eq!(removed, ["rollcall-20260303T080000Z"]);
        assert!(!folder.path().join(names[3]).exists() && folder.path().join("other/file").exists());
        discard(folder.path(), names[1]).unwrap();
        assert_eq!(backups(folder.path()).unwrap().whole.len(), 1);
        assert_eq!(backups(&folder.path().join("none")).err().unwrap().code(), "no_backup_folder");
    }
}
