//! Logs and metrics.

pub mod logging;
pub mod metrics;
pub mod spans;

pub use metrics::Metrics;
