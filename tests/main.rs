//! The integration tests: one binary, one module a behaviour.

mod attendance;
#[cfg(feature = "failpoints")]
mod backpressure;
mod bad_input;
mod cli;
mod contract;
mod durability;
mod enrolment;
mod openapi;
mod recognition;
mod shutdown;
#[cfg(feature = "failpoints")]
mod supervision;
mod support;
mod tenants;
