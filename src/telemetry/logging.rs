//! Log lines on standard error. No image, vector, key or name is ever logged: only ids of requests, stages, counts.

use tracing_subscriber::EnvFilter;

use crate::{
    config::{Log, LogFormat},
    error::{Error, Result},
};

/// Starts logging for the process.
///
/// # Errors
/// `Invalid` if the filter cannot be read or logging was started before.
pub fn start(settings: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|error| Error::invalid("log.filter cannot be read").with_source(error))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    }
    .map_err(|error| Error::invalid("logging was started twice").with_source(error))
}
