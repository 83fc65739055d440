//! rollcall: self-hosted attendance. One classroom photo in, the whole class out.
//!
//! ```text
//! upload ─▶ ingest ─▶ decode ─▶ detect ─▶ embed ─▶ liveness ─▶ matching ─▶ attendance ─▶ answer
//! ```
//!
//! Reading order: [`pipeline`] is that flow, on the actors of [`runtime`]; [`service`] holds the use cases that feed
//! it; [`http`] and [`cli`] are their doors. [`vision`] and [`nn`] turn pixels into vectors, [`gallery`] finds them.
//! [`store`] keeps everything, [`galleries`] follow it, the photos lie in the [`vault`], [`events`] carries news of it
//! out. [`domain`] holds the plain types and rules, [`reports`] counts what came of them. [`app`] puts it together.

pub mod app;
pub mod cli;
pub mod config;
pub mod events;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod galleries;
pub mod http;
pub mod intake;
pub mod pipeline;
pub mod reports;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod vault;

/// For every program that links this crate, so that what the benches measure is what the server does. Fuzzing counts what
/// is held, and has its own.
#[cfg(not(fuzzing))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

// Crates of their own, so that an edit elsewhere does not optimise them again.
pub use {domain, error, gallery, nn, runtime, vision};

pub use error::{Error, ErrorKind, Result};
