//! The integration tests: one binary, one module a behaviour.

mod cli;
#[cfg(feature = "failpoints")]
mod backpressure;
mod contract;
mod openapi;
#[cfg(feature = "failpoints")]
mod supervision;
mod support;
