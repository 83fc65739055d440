//! A Unix socket that only its owner and root can reach: in a folder of its own, of mode 0700. Who is met there has
//! proven who they are, so a secret may be sent.
//!
//! The socket is reached through the folder's descriptor, which is looked at first: nobody can put another folder in its
//! place between the look and the use, and no data folder's path is too long for a socket's address.

use std::{
    fs::{self, DirBuilder},
    io::{self, Error, ErrorKind},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{fs::DirBuilderExt, net::UnixListener},
    },
    path::{Path, PathBuf},
};

#[cfg(target_os = "linux")]
use {rustix::net::sockopt::socket_peercred, std::os::unix::net::UnixStream};

use rustix::{
    fs::{Mode, OFlags, Stat, fchmod, fstat, open, stat},
    process::geteuid,
};

const NAME: &str = "socket";
const OWNER_ALONE: u32 = 0o700;
const OTHERS: u32 = 0o077;
const ROOT: u32 = 0;

/// The socket in its folder.
#[derive(Debug)]
pub struct LocalSocket {
    folder: PathBuf,
    descriptor: OwnedFd,
}

impl LocalSocket {
    /// The socket in `folder`, if there is one; whether anybody listens is another matter.
    ///
    /// # Errors
    /// `PermissionDenied` where somebody else could have put it there, or listens.
    pub fn find(folder: &Path) -> io::Result<Option<Self>> {
        let (socket, state) = match Self::in_folder(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        if state.st_mode & OTHERS != 0 {
            return Err(not_its_owners());
        }
        if !socket.path().exists() {
            return Ok(None);
        }
        socket.require_listener(state.st_uid)?;
        Ok(Some(socket))
    }

    /// Listens in `folder`, which is made where it does not exist. What an earlier process has left there goes: call it
    /// only under a lock that keeps others of the same data away.
    ///
    /// # Errors
    /// The system's; `PermissionDenied` where the folder is somebody else's.
    pub fn listen(folder: &Path) -> io::Result<(UnixListener, Listening)> {
        DirBuilder::new().recursive(true).mode(OWNER_ALONE).create(folder)?;
        let (socket, _) = Self::in_folder(folder)?;
        fchmod(&socket.descriptor, Mode::RWXU)?;
        match fs::remove_file(socket.path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket.path())?;
        Ok((listener, Listening(socket)))
    }

    /// Its path, as long as this lives. Where the system has no paths through descriptors, whoever may rename folders
    /// around the socket's could put another in its place.
    pub fn path(&self) -> PathBuf {
        if cfg!(target_os = "linux") {
            format!("/proc/self/fd/{}/{NAME}", self.descriptor.as_raw_fd()).into()
        } else {
            self.folder.join(NAME)
        }
    }

    /// That in a folder that is no link, and belongs to whom the folder around it does or who may do all that this process
    /// may.
    fn in_folder(folder: &Path) -> io::Result<(Self, Stat)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = open(folder, flags, Mode::empty())?;
        let state = fstat(&descriptor)?;
        let around = folder.parent().map(stat).transpose()?;
        // Only root could reach a folder of somebody else's.
        let is_theirs = geteuid().is_root() && around.is_some_and(|around| around.st_uid == state.st_uid);
        if !is_theirs && !is_owner_or_root(state.st_uid) {
            return Err(not_its_owners());
        }
        Ok((Self { folder: folder.to_owned(), descriptor }, state))
    }

    /// Errors where somebody listens who is neither the folder's owner nor may do all that this process may.
    #[cfg(target_os = "linux")]
    fn require_listener(&self, owner: u32) -> io::Result<()> {
        // Where nobody listens there is nobody to mistrust.
        let Ok(line) = UnixStream::connect(self.path()) else { return Ok(()) };
        let listener = socket_peercred(&line)?.uid.as_raw();
        if listener == owner || is_owner_or_root(listener) { Ok(()) } else { Err(not_its_owners()) }
    }

    /// Who listens cannot be asked here.
    #[cfg(not(target_os = "linux"))]
    fn require_listener(&self, _owner: u32) -> io::Result<()> {
        Ok(())
    }
}

fn not_its_owners() -> Error {
    Error::new(ErrorKind::PermissionDenied, "the local socket is not its owner's alone")
}

/// The socket of a process that listens on it; it goes when this is dropped.
#[derive(Debug)]
pub struct Listening(LocalSocket);

impl Drop for Listening {
    fn drop(&mut self) {
        // The next start removes it otherwise.
        drop(fs::remove_file(self.0.path()));
    }
}

/// Whether the user `uid` may do all that this process may.
pub fn is_owner_or_root(uid: u32) -> bool {
    uid == geteuid().as_raw() || uid == ROOT
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        io::{Read, Write},
        os::unix::{fs::PermissionsExt, net::UnixStream},
    };

    use super::*;

    #[test]
    fn it_is_found_at_any_depth_and_goes_with_its_listener() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("deep/".repeat(40)).join("local");
        assert!(LocalSocket::find(&folder).unwrap().is_none());
        for _ in 0..2 {
            let (listener, listening) = LocalSocket::listen(&folder).unwrap();
            let found = LocalSocket::find(&folder).unwrap().unwrap();
            let mut caller = UnixStream::connect(found.path()).unwrap();
            caller.write_all(b"hello").unwrap();
            drop(caller);
            let mut heard = String::new();
            // The first caller only looked who listens.
            listener.accept().unwrap();
            listener.accept().unwrap().0.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "hello");
            // As a crash leaves it, the first time.
            std::mem::forget(listening);
        }
        let (_listener, listening) = LocalSocket::listen(&folder).unwrap();
        drop(listening);
        assert!(LocalSocket::find(&folder).unwrap().is_none());
    }

    #[test]
    fn a_folder_that_others_may_enter_or_that_is_a_link_is_not_trusted() {
        let place = tempfile::tempdir().unwrap();
        let (folder, link) = (place.path().join("local"), place.path().join("link"));
        let (_listener, _listening) = LocalSocket::listen(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(LocalSocket::find(&link).is_err());
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        assert!(LocalSocket::listen(&link).is_err());
        assert_eq!(
            fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o755,
            "nothing is changed through a link"
        );
        for mode in [0o701, 0o710, 0o770, 0o777] {
            fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            assert_eq!(LocalSocket::find(&folder).err().map(|error| error.kind()), Some(ErrorKind::PermissionDenied));
        }
        fs::set_permissions(&folder, Permissions::from_mode(OWNER_ALONE)).unwrap();
        assert!(LocalSocket::find(&folder).unwrap().is_some());
    }

    /// Root alone can make the folders of others.
    #[test]
    fn a_folder_of_somebody_else_in_ones_own_is_not_trusted_and_a_whole_of_theirs_is() {
        const NOBODY: u32 = 65_534;
        if !geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("local");
        let (_listener, _listening) = LocalSocket::listen(&folder).unwrap();
        std::os::unix::fs::chown(&folder, Some(NOBODY), None).unwrap();
        assert_eq!(LocalSocket::find(&folder).err().map(|error| error.kind()), Some(ErrorKind::PermissionDenied));
        assert!(LocalSocket::listen(&folder).is_err());
        std::os::unix::fs::chown(place.path(), Some(NOBODY), None).unwrap();
        assert!(LocalSocket::find(&folder).unwrap().is_some());
    }
}
