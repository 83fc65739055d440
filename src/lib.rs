//! rollcall: self-hosted attendance. One classroom photo in, the whole class out.
//!
//! ```text
//! upload ─▶ ingest ─▶ decode ─▶ detect ─▶ embed ─▶ liveness ─▶ matching ─▶ attendance ─▶ answer
//! ```
//!
//! Reading order: [`pipeline`] is that flow, on the actors of [`runtime`]; [`service`] holds the use cases that feed
//! it; [`http`] and [`cli`] are their doors. [`vision`] and [`nn`] turn pixels into vectors, [`gallery`] finds them,
//! [`store`] keeps everything, with the photos in the [`vault`], [`events`] carries news of it out, [`domain`] holds the
//! plain types and rules, [`reports`] counts what came of them. [`app`] puts it together.

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod gallery;
pub mod http;
pub mod jobs;
pub mod nn;
pub mod pipeline;
pub mod reports;
pub mod runtime;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod vault;
pub mod vision;

pub use error::{Error, ErrorKind, Result};
