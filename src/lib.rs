//! rollcall: self-hosted attendance. One classroom photo in, the whole class out.

pub mod config;
pub mod domain;
pub mod error;
pub mod runtime;
pub mod store;
pub mod telemetry;

pub use error::{Error, ErrorKind, Result};
