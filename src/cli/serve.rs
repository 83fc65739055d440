//! `rollcall serve`.

use std::{
    net::{SocketAddr, TcpListener},
    process,
};

use clap::Args;

use super::Common;
use crate::{
    app,
    error::{Error, Result},
    runtime::{Shutdown, listen_for_signals},
    telemetry::logging,
};

/// The exit status after a second signal: as if it had killed the process.
const EXIT_AT_ONCE: i32 = 130;

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
    let address = settings.server.address;
    let listener = TcpListener::bind(address)
        .map_err(|error| Error::invalid(format!("cannot listen on {address}")).with_source(error))?;
    actix::System::new().block_on(async move {
        let shutdown = Shutdown::default();
        let signal = shutdown.signal();
        let signals = listen_for_signals(shutdown, || process::exit(EXIT_AT_ONCE))
            .map_err(|error| Error::internal("cannot listen for signals").with_source(error))?;
        actix::spawn(signals);
        app::run(settings, listener, signal).await
    })
}
