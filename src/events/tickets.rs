//! Tickets: pages in a browser cannot send a key with these requests, so they show a ticket in the address instead. It is
//! good once, for a minute, and kept nowhere but in memory, by its hash.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    domain::{Access, Realm},
    error::{Error, ErrorKind, Result},
};

/// How long a ticket is good.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(60);
/// The most tickets of a tenant that are good at one time; of one user or key, half of them.
const MAX_TICKETS: usize = 1000;
/// The most of all tenants.
const MAX_ALL: usize = 100_000;

/// The tickets that are good. Clones share them.
#[derive(Clone, Default)]
pub struct Tickets(Arc<Mutex<HashMap<[u8; 32], Ticket>>>);

struct Ticket {
    access: Access,
    given_at: Timestamp,
}

impl Ticket {
    fn is_good(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.given_at);
        !age.is_negative() && age.unsigned_abs() < TICKET_LIFETIME
    }
}

impl Tickets {
    /// A ticket for what `access` may.
    ///
    /// # Errors
    /// `Overloaded` `too_many_tickets`; `Internal` if the system gives no random numbers.
    pub fn give(&self, access: Access, now: Timestamp) -> Result<String> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| Error::internal("the system gives no random numbers").with_source(error))?;
        let text = hex::encode(secret);
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|_, ticket| ticket.is_good(now));
        let realm: &Realm = &access.grant().realm;
        let of_realm = tickets.values().map(|ticket| &ticket.access).filter(|access| access.grant().realm == *realm);
        let (own, others): (Vec<_>, Vec<_>) = of_realm.partition(|of| of.actor() == access.actor());
        if own.len() >= MAX_TICKETS / 2 || own.len() + others.len() >= MAX_TICKETS || tickets.len() >= MAX_ALL {
            return Err(Error::new(ErrorKind::Overloaded, "too many tickets were asked for and not used")
                .with_code("too_many_tickets")
                .with_retry_after(TICKET_LIFETIME));
        }
        tickets.insert(hash(&text), Ticket { access, given_at: now });
        Ok(text)
    }

    /// What a ticket opens, this once.
    pub fn take(&self, text: &str, now: Timestamp) -> Option<Access> {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.remove(&hash(text)).filter(|ticket| ticket.is_good(now)).map(|ticket| ticket.access)
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;
    use crate::domain::{Actor, Grant};

    fn access(tenant: &str) -> Access {
        access_of("ada", tenant)
    }

    fn access_of(user: &str, tenant: &str) -> Access {
        Access::granted(Grant::admin(tenant.parse().unwrap()), Actor::User(user.parse().unwrap()))
    }

    #[test]
    fn a_ticket_is_good_once_and_for_a_minute() {
        let (tickets, now) = (Tickets::default(), Timestamp::UNIX_EPOCH);
        let (first, second) = (tickets.give(access("t"), now).unwrap(), tickets.give(access("t"), now).unwrap());
        assert_ne!(first, second);
        assert_eq!(tickets.take(&first, now + 59.seconds()), Some(access("t")));
        assert_eq!(tickets.take(&first, now + 59.seconds()), None);
        assert_eq!(tickets.take(&second, now + 60.seconds()), None);
        assert_eq!(tickets.take("", now), None);
    }

    #[test]
    fn tickets_nobody_uses_are_limited_by_user_and_by_tenant_and_make_room() {
        let (tickets, now) = (Tickets::default(), Timestamp::UNIX_EPOCH);
        for user in ["ada", "bea"] {
            for _ in 0..MAX_TICKETS / 2 {
                tickets.give(access_of(user, "t"), now).unwrap();
            }
            assert_eq!(tickets.give(access_of(user, "t"), now).unwrap_err().code(), "too_many_tickets");
        }
        assert_eq!(tickets.give(access_of("eve", "t"), now).unwrap_err().code(), "too_many_tickets");
        tickets.give(access("u"), now).unwrap();
        tickets.give(access("t"), now + 61.seconds()).unwrap();
        assert_eq!(tickets.0.lock().unwrap().len(), 1);
    }
}
