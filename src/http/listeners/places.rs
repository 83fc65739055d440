//! How many connections there are at one time: in all, and of one address.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;

use super::{super::address::is_trusted, Closed};
use crate::telemetry::Metrics;

/// The bits of an IPv6 address that its owner does not choose freely.
const NETWORK_BITS: u32 = 64;

/// How many there may be.
#[derive(Debug)]
pub(super) struct PlaceLimits {
    pub(super) all: usize,
    pub(super) of_an_address: usize,
    /// Networks whose addresses speak for many: of them, there may be as many as in all.
    pub(super) exempt: Vec<IpNet>,
}

/// The places of a listener. Clones share them.
#[derive(Clone)]
pub(super) struct Places(Arc<Shared>);

struct Shared {
    limits: PlaceLimits,
    metrics: Metrics,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; free again when it is dropped.
pub(super) struct Place {
    places: Places,
    address: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(limits: PlaceLimits, metrics: &Metrics) -> Self {
        Self(Arc::new(Shared { limits, metrics: metrics.clone(), taken: Mutex::default() }))
    }

    pub(super) fn limits(&self) -> &PlaceLimits {
        &self.0.limits
    }

    /// A place for a connection from `peer`, or why there is none.
    pub(super) fn take(&self, peer: IpAddr) -> Result<Place, Closed> {
        let limits = self.limits();
        let peer = peer.to_canonical();
        let address = (!is_trusted(peer, &limits.exempt)).then(|| owner(peer));
        let mut taken = self.taken();
        if taken.all >= limits.all {
            return Err(Closed::Full);
        }
        if let Some(address) = address {
            let of_address = taken.by_address.entry(address).or_default();
            if *of_address >= limits.of_an_address {
                return Err(Closed::Address);
            }
            *of_address += 1;
        }
        taken.all += 1;
        self.0.metrics.connections.inc();
        Ok(Place { places: self.clone(), address })
    }

    /// Counts a connection that was closed.
    pub(super) fn note(&self, closed: Closed) {
        self.0.metrics.connections_closed.with_label_values(&[closed.name()]).inc();
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing that could panic stands between two changes that belong together.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Counts that its connection was closed.
    pub(super) fn note(&self, closed: Closed) {
        self.places.note(closed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        self.places.0.metrics.connections.dec();
        let Some(address) = self.address else { return };
        if let Entry::Occupied(mut of_address) = taken.by_address.entry(address) {
            *of_address.get_mut() -= 1;
            if *of_address.get() == 0 {
                of_address.remove();
            }
        }
    }
}

/// What stands for everything that the owner of an address has: of IPv6, whole networks are given to everybody.
fn owner(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> NETWORK_BITS << NETWORK_BITS).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(all: usize, of_an_address: usize, exempt: &[&str]) -> Places {
        let exempt = exempt.iter().map(|network| network.parse().unwrap()).collect();
        Places::new(PlaceLimits { all, of_an_address, exempt }, &Metrics::new().unwrap())
    }

    fn take(places: &Places, peer: &str) -> Result<Place, Closed> {
        places.take(peer.parse().unwrap())
    }

    #[test]
    fn places_are_free_again_when_their_connections_are_gone() {
        let places = places(3, 2, &[]);
        let first = take(&places, "192.0.2.1").ok();
        let second = take(&places, "::ffff:192.0.2.1").ok();
        assert_eq!(take(&places, "192.0.2.1").err(), Some(Closed::Address));
        let third = take(&places, "192.0.2.2").ok();
        assert_eq!(take(&places, "192.0.2.3").err(), Some(Closed::Full));
        assert_eq!(places.0.metrics.connections.get(), 3);
        drop((first, third));
        assert!(take(&places, "192.0.2.1").is_ok());
        drop(second);
        assert_eq!(places.taken().all, 0);
        assert!(places.taken().by_address.is_empty());
        assert_eq!(places.0.metrics.connections.get(), 0);
    }

    #[test]
    fn a_network_of_ipv6_is_one_owner_and_a_trusted_proxy_is_none() {
        let places = places(100, 1, &["10.0.0.0/8", "2001:db8:1::/64"]);
        let _held = take(&places, "2001:db8::1").ok().unwrap();
        assert_eq!(take(&places, "2001:db8::ffff:1").err(), Some(Closed::Address));
        let _held: Vec<Place> =
            ["2001:db8:0:1::1", "10.1.2.3", "10.1.2.3", "::ffff:10.1.2.3", "2001:db8:1::1", "2001:db8:1::2"]
                .into_iter()
                .map(|peer| take(&places, peer).ok().unwrap())
                .collect();
    }
}
