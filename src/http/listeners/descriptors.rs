//! File descriptors: every connection takes one, and without one no file of the store is opened.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Left to everything but clients: the store, photos, uploads, webhooks, health, the log.
const RESERVED: u64 = 256;

/// How many of `wanted` connections the process has descriptors for. It asks the system for as many as that takes.
pub(super) fn connections(wanted: usize) -> usize {
    let needed = (wanted as u64).saturating_add(RESERVED);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        let current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
        // Where it is refused, the limit stays what it is, which is looked at next.
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
    }
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return wanted };
    let room = affordable(descriptors, wanted);
    if room < wanted {
        tracing::warn!(
            wanted,
            room,
            descriptors,
            "fewer connections than server.max_connections: raise the limit of open files (ulimit -n, LimitNOFILE)"
        );
    }
    room
}

/// The part of `wanted` that leaves enough of the process's descriptors to everything else.
fn affordable(descriptors: u64, wanted: usize) -> usize {
    let left = descriptors.saturating_sub(RESERVED).max(descriptors / 2);
    wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        for (descriptors, wanted, affordable_of_them) in
            [(1024, 1500, 768), (1024, 700, 700), (65_536, 1500, 1500), (300, 1500, 150), (u64::MAX, 1500, 1500)]
        {
            assert_eq!(affordable(descriptors, wanted), affordable_of_them, "{descriptors} {wanted}");
        }
    }
}
