//! Room on a disk: what is kept free, so that a full disk refuses what is new before it stops what goes on.

use std::{
    fs::File,
    io::{self, Error as IoError, ErrorKind as IoErrorKind},
    path::Path,
    time::Duration,
};

use error::{Error, ErrorKind, Result};

/// Bytes that writes of the store leave free: it needs some for what it does by itself.
pub const STORE_LEAVES: u64 = 32 << 20;
/// Bytes that files beside the store leave free, so that the store can still write when they no longer can.
pub const FILES_LEAVE: u64 = 2 * STORE_LEAVES;

/// When it is worth another try.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Errors unless more than `leave` bytes are free on the disk of `path`, for this user: `Full` `disk_full`; `Storage`
/// `store_gone` where there is no such path any more.
pub fn require_room(path: &Path, leave: u64) -> Result<()> {
    match free_bytes(path) {
        Ok(free) if free <= leave => Err(full()),
        Err(error) if error.kind() == IoErrorKind::NotFound => {
            Err(Error::storage("the data folder is gone: put it back, then restart the server").with_code("store_gone"))
        }
        // What cannot be asked is left to the write itself.
        _ => Ok(()),
    }
}

/// The error for a disk without room. Nothing was written.
pub fn full() -> Error {
    Error::new(
        ErrorKind::Full,
        "the disk of the server has no room: nothing was written; free some space and send it again",
    )
    .with_code("disk_full")
    .with_retry_after(RETRY_AFTER)
}

/// Whether a write failed because there is no room for it.
pub fn is_full(error: &IoError) -> bool {
    matches!(error.kind(), IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded)
}

/// Bytes that are free on the disk of `path`, for this user.
#[cfg(unix)]
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Not known.
#[cfg(not(unix))]
pub fn free_bytes(_path: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

/// Takes `bytes` of the disk for a file, without writing them where the file system can.
#[cfg(target_os = "linux")]
pub fn fill(file: &File, bytes: u64) -> io::Result<()> {
    rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
    file.sync_all()
}

/// Takes `bytes` of the disk for a file.
#[cfg(not(target_os = "linux"))]
pub fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file)?;
    file.sync_all()
}

/// Whether `path` names the file that is open.
#[cfg(unix)]
pub fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata()
        .map(identity)
        .ok()
        .is_some_and(|open| std::fs::metadata(path).map(identity).is_ok_and(|named| named == open))
}

/// Whether there is a file at `path`.
#[cfg(not(unix))]
pub fn is_same_file(_file: &File, path: &Path) -> bool {
    path.exists()
}
