//! The integration tests: one binary, one module a behaviour.

#[cfg(feature = "failpoints")]
mod backpressure;
mod cli;
mod contract;
mod openapi;
#[cfg(feature = "failpoints")]
mod supervision;
mod support;
