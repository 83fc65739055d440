//! The integration tests: one binary, one module a behaviour.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of a test may fail the test")]

mod attendance;
#[cfg(feature = "failpoints")]
mod backpressure;
mod bad_input;
mod cli;
mod contract;
mod durability;
mod enrolment;
mod enrolment_rules;
mod gallery;
mod maintenance;
mod openapi;
mod people;
mod recognition;
mod shutdown;
#[cfg(feature = "failpoints")]
mod supervision;
#[cfg_attr(not(feature = "failpoints"), expect(dead_code, reason = "the tests with planted faults use the rest"))]
mod support;
mod tenants;
