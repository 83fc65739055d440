//! `rollcall serve`.

use std::{
    net::{SocketAddr, TcpListener},
    process,
    time::Duration,
};

use clap::Args;

use super::Common;
use crate::{
    app::App,
    error::{Error, Result},
    runtime::{Ending, Faults, Shutdown, listen_for_signals},
    telemetry::logging,
};

/// The exit status after a second signal: as if it had killed the process.
const EXIT_AT_ONCE: i32 = 130;

/// The exit status of a stop that did not get through: that of `timeout`.
const EXIT_LATE: i32 = 124;

/// How much longer than `server.drain_seconds` a stop may take. What hangs then is left as it is.
const STOP_MARGIN: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
}

pub(super) fn run(common: &Common, args: &ServeArgs) -> Result<()> {
    let flags = args.address.map(|address| ("server.address", address.to_string()));
    let settings = common.settings_with(flags.into_iter().collect())?;
    logging::start(&settings.log)?;
    let shutdown = Shutdown::default();
    let asked = shutdown.signal();
    let patience = Duration::from_secs(settings.server.drain_seconds).saturating_add(STOP_MARGIN);
    let signals = listen_for_signals(shutdown, patience, end)
        .map_err(|error| Error::internal("cannot listen for signals").with_source(error))?;
    let address = settings.server.address;
    let listener = TcpListener::bind(address)
        .map_err(|error| Error::invalid(format!("cannot listen on {address}")).with_source(error))?;
    actix::System::new().block_on(async move {
        tracing::info!("starting");
        let app = App::build(settings, Faults::default()).await?;
        signals.serving();
        app.serve(listener, asked).await
    })
}

/// Ends the process where it stands: what was acknowledged is stored, and a start that was cut off is made anew.
fn end(ending: Ending) {
    let status = match ending {
        Ending::Starting => {
            tracing::info!("stopped before the start was over");
            0
        }
        Ending::AtOnce => EXIT_AT_ONCE,
        Ending::Late => {
            tracing::error!("the stop did not get through in time: the process ends as it is");
            EXIT_LATE
        }
    };
    logging::flush();
    process::exit(status)
}
