//! Where a request comes from.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use ipnet::IpNet;

/// The client's address: the connection's, unless that is a trusted proxy's. Then it is the last address of
/// `X-Forwarded-For` that is no trusted proxy's itself: each proxy appends whom it hears, so what stands before came
/// from the client and may be invented.
pub(super) fn client_address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let forwarded = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    Some(behind_proxies(peer, forwarded.collect::<Vec<_>>().join(","), trusted))
}

/// Whether `address` is a trusted proxy's.
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

fn behind_proxies(peer: IpAddr, forwarded: impl AsRef<str>, trusted: &[IpNet]) -> IpAddr {
    let mut nearest = peer;
    for hop in forwarded.as_ref().rsplit(',') {
        if !is_trusted(nearest, trusted) {
            break;
        }
        // What is no address was not written by a proxy that could be trusted.
        let Some(address) = hop_address(hop.trim()) else { break };
        nearest = address.to_canonical();
    }
    nearest
}

/// The address of a hop, which proxies write with or without a port; of IPv6, then in brackets.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let without_port = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    without_port.parse().ok().or_else(|| Some(hop.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trusted_proxies_say_is_believed() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).into();
        for (peer, forwarded, client) in [
            ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.2.3.4,198.51.100.1 ,10.0.0.2", "198.51.100.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "1.2.3.4, unknown", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.7", "10.0.0.7"),
            ("::1", "2001:db8::5", "2001:db8::5"),
            ("::1", "::ffff:198.51.100.1", "198.51.100.1"),
            ("::1", "198.51.100.1:5", "198.51.100.1"),
            ("::1", "[2001:db8::1]:443", "2001:db8::1"),
            ("::1", "[2001:db8::1]", "2001:db8::1"),
            ("::1", "1.2.3.4:5, [2001:db8::1]:443,10.0.0.2:80", "2001:db8::1"),
            ("::1", "[::ffff:198.51.100.1]:5", "198.51.100.1"),
            ("203.0.113.9", "[2001:db8::1]:443", "203.0.113.9"),
            ("::1", "198.51.100.1:x", "::1"),
            ("::1", "[198.51.100.1:5", "::1"),
        ] {
            let found = behind_proxies(peer.parse().unwrap(), forwarded, &trusted);
            assert_eq!(found.to_string(), client, "{peer} for {forwarded:?}");
        }
    }
}
