//! When the server takes backups by itself.

use std::path::PathBuf;

use jiff::SignedDuration;

use super::Backup;

/// When backups are taken, where they are put, and how many stay there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Where they are; it must exist.
    pub folder: PathBuf,
    /// From one to the next.
    pub every: SignedDuration,
    /// The newest so many stay.
    pub keep: usize,
}

impl Backup {
    /// As the use cases take it; nothing where no backups are to be taken.
    pub fn schedule(&self) -> Option<Schedule> {
        let (every, keep) = (SignedDuration::from_hours(self.every_hours.into()), self.keep);
        let folder = Some(self.folder.clone()).filter(|folder| !folder.as_os_str().is_empty())?;
        Some(Schedule { folder, every, keep })
    }
}
