//! Where a webhook may point. A tenant's admin must not reach through this server what only this server can reach: so
//! names are resolved here, every address is checked, and the connection is made to the very address that was checked.

use std::{
    net::{IpAddr, SocketAddr},
    sync::LazyLock,
};

use ipnet::{IpNet, Ipv6Net};
use reqwest::{
    Url,
    dns::{Name, Resolve, Resolving},
};

use crate::error::{Error, Result};

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

/// A webhook's address, in the form in which it is used.
///
/// # Errors
/// `Invalid` `invalid_url` for what is no http or https address, or carries a password; `webhook_address_refused` for
/// one that is private and may not be.
pub fn checked_url(text: &str, allow_private: bool) -> Result<Url> {
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
    let is_local = match literal(host) {
        Some(address) => !is_public(address),
        None => is_local_name(host),
    };
    if is_local && !allow_private {
        return Err(Error::invalid("webhooks may not point into private networks (webhooks.allow_private)")
            .with_code("webhook_address_refused"));
    }
    Ok(url)
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

/// Resolves names to the public addresses among theirs.
pub(super) struct PublicAddresses {
    /// Lets all through.
    pub(super) allow_private: bool,
}

/// A name that has no public address.
#[derive(Debug, thiserror::Error)]
#[error("the name has no public address")]
pub(super) struct AddressRefused;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            // The port is the request's.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.filter(|at| allow_private || is_public(at.ip())).collect();
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
            let url = format!("http://{host}:8080/in");
            assert_eq!(checked_url(&url, false).unwrap_err().code(), "webhook_address_refused", "{host}");
            assert!(checked_url(&url, true).is_ok(), "{host}");
        }
        for host in ["example.com", "8.8.8.8", "172.32.0.1", "100.128.0.1", "[2606:4700::1111]", "school.example"] {
            assert!(checked_url(&format!("https://{host}/in?x=1"), false).is_ok(), "{host}");
        }
        for bad in ["ftp://example.com", "https://u:p@example.com", "https://example.com/#x", "example.com", "http://"]
        {
            assert_eq!(checked_url(bad, true).unwrap_err().code(), "invalid_url", "{bad}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_its_addresses() {
        let resolve = |allow_private| {
            let addresses = PublicAddresses { allow_private };
            async move { addresses.resolve("localhost".parse().unwrap()).await.map(Iterator::count) }
        };
        assert!(resolve(true).await.unwrap() > 0);
        assert!(resolve(false).await.unwrap_err().is::<AddressRefused>());
    }
}
