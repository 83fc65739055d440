//! Tenants, keys, users and logins, the audit log and erasures.

pub(super) mod account;
pub(super) mod audit;
pub(super) mod erasures;
pub(super) mod keys;
pub(super) mod settings;
pub(super) mod tenants;
pub(super) mod users;
