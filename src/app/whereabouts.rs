//! Where in its data folder a running server is found.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use crate::{
    config::Server,
    error::{Error, Result},
    runtime::reachable_addresses,
};

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

/// The page by which a browser tries the server that listens on `bound`. One that listens on every address is found at the
/// first by which other machines reach this one.
pub fn page(server: &Server, bound: SocketAddr) -> String {
    let scheme = if server.tls().is_some() { "https" } else { "http" };
    let host = match bound.ip() {
        ip if !ip.is_unspecified() => ip,
        ip => shown_for(ip, &reachable_addresses().unwrap_or_default()),
    };
    format!("{scheme}://{}{}/docs", SocketAddr::new(host, bound.port()), server.prefix.as_str())
}

fn shown_for(every: IpAddr, reachable: &[IpAddr]) -> IpAddr {
    // Who listens on every address of IPv6 is reached by IPv4 as well.
    let found = reachable.iter().copied().find(|address| address.is_ipv4() || every.is_ipv6());
    found.unwrap_or(if every.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn a_page_has_the_true_address() {
        let pair = |key| (key, "a.pem".to_owned());
        for (flags, bound, shown) in [
            (vec![], "127.0.0.1:4711", "http://127.0.0.1:4711/docs"),
            (vec![], "[::1]:80", "http://[::1]:80/docs"),
            (vec![("server.prefix", "/a/b/".to_owned())], "192.0.2.5:1", "http://192.0.2.5:1/a/b/docs"),
            (vec![pair("server.tls_certificate"), pair("server.tls_key")], "127.0.0.1:2", "https://127.0.0.1:2/docs"),
        ] {
            assert_eq!(page(&Settings::load(None, &flags).unwrap().server, bound.parse().unwrap()), shown);
        }
    }

    #[test]
    fn for_every_address_one_is_shown_that_can_be_opened() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (every, reachable, shown) in [
            ("0.0.0.0", vec!["192.168.1.5", "2001:db8::5"], "192.168.1.5"),
            ("0.0.0.0", vec!["2001:db8::5"], "127.0.0.1"),
            ("::", vec!["192.168.1.5"], "192.168.1.5"),
            ("::", vec!["2001:db8::5"], "2001:db8::5"),
            ("::", vec![], "::1"),
        ] {
            let reachable: Vec<IpAddr> = reachable.into_iter().map(address).collect();
            assert_eq!(shown_for(address(every), &reachable), address(shown), "{every}");
        }
    }
}
