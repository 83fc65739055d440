//! Where in its data folder a running server is found.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// Where scripts find the running server, which may have been given any free port; removed at a clean stop. After a crash
/// it stays, and anybody may listen there: commands, which have a key to lose, go by the local socket.
pub(super) struct AddressFile(PathBuf);

impl AddressFile {
    pub(super) fn write(data: &Path, address: SocketAddr) -> Result<Self> {
        let path = address_path(data);
        fs::write(&path, format!("{address}\n"))
            .map_err(|error| Error::storage(format!("cannot write {}", path.display())).with_source(error))?;
        Ok(Self(path))
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        // The next start overwrites it; a file that cannot be removed is only stale.
        drop(fs::remove_file(&self.0));
    }
}

/// The folder of the socket by which commands reach the running server.
pub fn local_folder(data: &Path) -> PathBuf {
    data.join("local")
}

/// The file with the running server's address.
pub fn address_path(data: &Path) -> PathBuf {
    data.join("server.address")
}
