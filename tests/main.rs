//! The integration tests: one binary, one module a behaviour.

mod cli;
mod contract;
mod openapi;
mod support;
