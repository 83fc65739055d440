//! Events on their way out: the parts that know no use case.
//!
//! ```text
//! operation ─▶ log (with the change, store::events) ─▶ bell, once durable ─┬─▶ feeds: server-sent events, WebSocket
//!                                                                          └─▶ couriers, one a webhook
//! ```
//!
//! A bell carries no events, only the number of the last one: whoever hears it reads the log from where they are. So
//! a slow reader holds nothing in memory and misses nothing, as long as the log keeps what they have not read.

mod hub;
mod tickets;
pub mod webhook;

pub use self::{
    hub::{Heard, Hub, Place, Transport},
    tickets::{TICKET_LIFETIME, Tickets},
};
