//! What this machine is called and reached by.

use std::{io, net::IpAddr};

use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    unistd::gethostname,
};

/// The addresses of all interfaces of this host. To be asked each time, as they change.
///
/// # Errors
/// The system's.
pub fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let address = |interface: InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    Ok(getifaddrs()?.filter_map(address).collect())
}

/// Those of them by which other machines reach this one: IPv4 first, none of a link alone, which wants an interface's
/// name beside it.
///
/// # Errors
/// The system's.
pub fn reachable_addresses() -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = own_addresses()?.into_iter().filter(|&address| is_reachable(address)).collect();
    found.sort_by_key(|address| !address.is_ipv4());
    found.dedup();
    Ok(found)
}

fn is_reachable(address: IpAddr) -> bool {
    let is_of_a_link = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !address.is_loopback() && !address.is_unspecified() && !is_of_a_link
}

/// The name of this host, where it has one.
pub fn host_name() -> Option<String> {
    gethostname().ok()?.into_string().ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_loopback_and_nobody_else_reaches_it_there() {
        assert!(own_addresses().unwrap().iter().any(IpAddr::is_loopback));
        assert!(reachable_addresses().unwrap().into_iter().all(is_reachable));
        for (address, reached) in [
            ("127.0.0.1", false),
            ("::1", false),
            ("0.0.0.0", false),
            ("169.254.3.4", false),
            ("fe80::1", false),
            ("192.168.1.5", true),
            ("2001:db8::5", true),
        ] {
            assert_eq!(is_reachable(address.parse().unwrap()), reached, "{address}");
        }
    }
}
