//! Tenants, who may do what in them, and what is written down of it.

pub mod actor;
pub mod audit;
pub mod lifetimes;
pub mod right;
pub mod roles;
pub mod tenant;
