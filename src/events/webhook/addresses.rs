//! Where a webhook may point. A tenant's admin must not reach through this server what only this server can reach, nor
//! what listens on it: so names are resolved here, every address is checked, and the connection is made to the very
//! address that was checked, at a port where the web is.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock},
};

use ipnet::{IpNet, Ipv6Net};
use reqwest::{
    Url,
    dns::{Name, Resolve, Resolving},
};

use crate::{
    error::{Error, Result},
    runtime,
};

/// The longest address of a webhook, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// What is not the public internet, or is a cloud's own (168.63.129.16).
static REFUSED: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    let networks = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        // Inside of 2000::/3: tunnels that carry IPv4 addresses, and documentation.
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    ];
    networks.iter().filter_map(|network| network.parse().ok()).collect()
});

/// The only IPv6 addresses that are routed; mapped, translated, local and multicast ones lie outside.
static ROUTED: LazyLock<Option<Ipv6Net>> = LazyLock::new(|| "2000::/3".parse().ok());

/// Whether an address belongs to the public internet.
fn is_public(address: IpAddr) -> bool {
    let is_routed = match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => ROUTED.is_some_and(|routed| routed.contains(&address)),
    };
    is_routed && !REFUSED.iter().any(|network| network.contains(&address))
}

/// How far webhooks may reach. Clones share the ports.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Everywhere, whatever else is said.
    allow_private: bool,
    ports: Arc<[u16]>,
}

impl Reach {
    /// The public internet, at 80, 443 and further `ports`, or everywhere.
    pub fn new(allow_private: bool, ports: &[u16]) -> Self {
        Self { allow_private, ports: [&[80, 443][..], ports].concat().into() }
    }

    /// A webhook's address, in the form in which it is used.
    ///
    /// # Errors
    /// `Invalid` `invalid_url` for what is no http or https address, or carries a password; `webhook_address_refused` for
    /// one out of reach.
    pub fn checked_url(&self, text: &str) -> Result<Url> {
        let invalid =
            || Error::invalid("url is an http or https address without user and fragment").with_code("invalid_url");
        let url = Url::parse(text).map_err(|_| invalid())?;
        let is_plain = ["http", "https"].contains(&url.scheme())
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        if !is_plain || text.len() > MAX_URL_BYTES {
            return Err(invalid());
        }
        let host = url.host_str().ok_or_else(invalid)?;
        if self.allow_private {
            return Ok(url);
        }
        let is_within = match literal(host) {
            Some(address) => self.holds(address, &own_addresses()?),
            None => !is_local_name(host),
        };
        if !is_within {
            return Err(refused(
                "webhooks may not point into private networks, nor to this server (webhooks.allow_private)",
            ));
        }
        if url.port_or_known_default().is_none_or(|port| !self.ports.contains(&port)) {
            return Err(refused("webhooks may point to the ports 80 and 443, and to those of webhooks.ports"));
        }
        Ok(url)
    }

    /// Whether a connection may go to an address of a host that has its `own`.
    fn holds(&self, address: IpAddr, own: &[IpAddr]) -> bool {
        self.allow_private || is_public(address) && !own.contains(&address)
    }
}

fn refused(message: &'static str) -> Error {
    Error::invalid(message).with_code("webhook_address_refused")
}

/// The addresses of all interfaces of this host: what listens on a public one of them may expect this host alone. Asked
/// each time, as they change.
fn own_addresses() -> Result<Vec<IpAddr>> {
    runtime::own_addresses()
        .map_err(|error| Error::internal("the addresses of this host cannot be read").with_source(error))
}

/// The address that a host is; connections to it ask no resolver.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Names that never mean a host of the public internet. Others are judged by their addresses.
fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    !host.contains('.') || [".localhost", ".local", ".internal", ".home.arpa"].iter().any(|end| host.ends_with(end))
}

/// A name that has no address within reach.
#[derive(Debug, thiserror::Error)]
#[error("the name has no address that webhooks may reach")]
pub(super) struct AddressRefused;

/// Resolves names to those of their addresses that are within reach.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            // The port is the request's.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let own = own_addresses()?;
            let found: Vec<SocketAddr> = found.filter(|at| reach.holds(at.ip(), &own)).collect();
            if found.is_empty() {
                return Err(AddressRefused.into());
            }
            Ok(Box::new(found.into_iter()) as _)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public() -> Reach {
        Reach::new(false, &[8443])
    }

    fn anywhere() -> Reach {
        Reach::new(true, &[])
    }

    #[test]
    fn the_tables_are_whole() {
        assert_eq!((REFUSED.len(), ROUTED.is_some()), (19, true));
    }

    #[test]
    fn what_is_not_the_public_internet_is_refused_however_it_is_written() {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "printer.local",
            "metadata.google.internal",
            "intranet",
            "0.0.0.0",
            "10.1.2.3",
            "172.31.255.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[ff02::1]",
            "[2002:7f00:1::]",
            "[2001:0:7f00:1::]",
            "[2001:db8::1]",
        ] {
            let url = format!("http://{host}/in");
            assert_eq!(public().checked_url(&url).unwrap_err().code(), "webhook_address_refused", "{host}");
            assert!(anywhere().checked_url(&url).is_ok(), "{host}");
        }
        for host in ["example.com", "8.8.8.8", "172.32.0.1", "100.128.0.1", "[2606:4700::1111]", "school.example"] {
            assert!(public().checked_url(&format!("https://{host}/in?x=1")).is_ok(), "{host}");
        }
        for bad in ["ftp://example.com", "https://u:p@example.com", "https://example.com/#x", "example.com", "http://"]
        {
            assert_eq!(anywhere().checked_url(bad).unwrap_err().code(), "invalid_url", "{bad}");
        }
    }

    #[test]
    fn the_web_is_at_two_ports_and_where_the_settings_say() {
        for (url, is_open) in [
            ("http://school.example/in", true),
            ("https://school.example/in", true),
            ("http://school.example:443/in", true),
            ("https://8.8.8.8:80/in", true),
            ("https://school.example:8443/in", true),
            ("https://school.example:22/in", false),
            ("http://school.example:6379/in", false),
            ("http://8.8.8.8:0/in", false),
            ("http://[2606:4700::1111]:9200/in", false),
        ] {
            let code = public().checked_url(url).err().map(|error| error.code().to_owned());
            assert_eq!(code, (!is_open).then(|| "webhook_address_refused".to_owned()), "{url}");
            assert!(anywhere().checked_url(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_hosts_own_addresses_are_refused_on_every_interface() {
        let known = own_addresses().unwrap();
        assert!(known.iter().any(IpAddr::is_loopback), "{known:?}");
        for own in ["8.8.8.8", "2606:4700::1111"] {
            let own: IpAddr = own.parse().unwrap();
            assert!(
                public().holds(own, &known) && !public().holds(own, &[known[0], own]) && anywhere().holds(own, &[own])
            );
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_its_addresses() {
        let resolve = async |reach: Reach| reach.resolve("localhost".parse().unwrap()).await.map(Iterator::count);
        assert!(resolve(anywhere()).await.unwrap() > 0);
        assert!(resolve(public()).await.unwrap_err().is::<AddressRefused>());
    }
}
