//! Tenants, keys and users, what they may do, and what is written down of it.

pub(super) mod api_keys;
pub(super) mod audit;
pub(super) mod deletion;
pub(super) mod erased;
pub(super) mod erasures;
pub(super) mod rights;
pub(super) mod tenants;
pub(super) mod usage;
pub(super) mod users;
