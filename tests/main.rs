//! The integration tests: one binary, one module a behaviour.

#[cfg(feature = "failpoints")]
mod backpressure;
mod cli;
mod contract;
mod durability;
mod openapi;
mod shutdown;
#[cfg(feature = "failpoints")]
mod supervision;
mod support;
mod tenants;
