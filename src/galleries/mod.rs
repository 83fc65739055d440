//! The galleries of all tenants: made from the store at first use, kept in step with it, out of memory when idle.
//!
//! | module | holds |
//! |---|---|
//! | `registry` | one gallery a tenant, loaded once; the order of changes to one person |
//! | `keeper` | the thread that builds, stores and restores graphs |

mod keeper;
mod registry;
#[cfg(test)]
mod tests;

pub use self::registry::{Galleries, MemoryLimits, PersonGuard};
