//! The galleries of all tenants: made from the store at first use, following its change feed, out of memory when idle.
//!
//! | module | holds |
//! |---|---|
//! | `registry` | one gallery a tenant, loaded once |
//! | `follower` | a loaded gallery, and how it takes in what has changed |
//! | `keeper` | the thread that builds, stores and restores graphs |

mod follower;
mod keeper;
mod registry;
#[cfg(test)]
mod tests;

pub use self::registry::{Galleries, MemoryLimits};
