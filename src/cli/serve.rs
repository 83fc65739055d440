//! `rollcall serve`.

use std::{
    net::{SocketAddr, TcpListener},
    process,
    time::Duration,
};

use clap::Args;

use super::{Common, say};
use crate::{
    app::{App, page},
    config::Server,
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
    /// Serve beyond this machine in clear: whoever is on the way reads passwords, keys and faces.
    #[arg(long)]
    insecure: bool,
}

pub(super) fn run(common: &Common, args: &ServeArgs) -> Result<()> {
    let flags = args.address.map(|address| ("server.address", address.to_string()));
    let settings = common.settings_with(flags.into_iter().collect())?;
    require_secure(&settings.server, args.insecure)?;
    logging::start(&settings.log)?;
    let shutdown = Shutdown::default();
    let asked = shutdown.signal();
    let patience = Duration::from_secs(settings.server.drain_seconds).saturating_add(STOP_MARGIN);
    let signals = listen_for_signals(shutdown, patience, end)
        .map_err(|error| Error::internal("cannot listen for signals").with_source(error))?;
    let address = settings.server.address;
    let listener = TcpListener::bind(address)
        .map_err(|error| Error::invalid(format!("cannot listen on {address}")).with_source(error))?;
    let server = settings.server.clone();
    // The server does not depend on anybody who reads it.
    let announce = move |bound| drop(say(format_args!("Open {}", page(&server, bound))));
    actix::System::new().block_on(async move {
        tracing::info!("starting");
        let app = App::build(settings, Faults::default()).await?;
        signals.serving();
        Box::pin(app.serve(listener, asked, announce)).await
    })
}

/// Refuses to be overheard unless that was asked for.
fn require_secure(server: &Server, insecure: bool) -> Result<()> {
    if insecure || !server.is_exposed() {
        return Ok(());
    }
    let message = format!(
        "on {} everybody on the way could read passwords, keys and faces. Give the server a certificate \
         (server.tls_certificate and server.tls_key; rollcall tls init makes one), or put a proxy before it that speaks \
         https and name that in server.trusted_proxies, or serve in clear all the same with --insecure",
        server.address
    );
    Err(Error::invalid(message).with_code("insecure_address"))
}

/// Ends the process where it stands: what was acknowledged is stored, and a start that was cut off is made anew.
pub(super) fn end(ending: Ending) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn only_loopback_is_served_in_clear_unless_that_was_asked_for() {
        let server = |address: &str, more: &[(&'static str, &str)]| {
            let given = more.iter().map(|&(key, value)| (key, value.to_owned()));
            let flags: Vec<_> = given.chain([("server.address", address.to_owned())]).collect();
            Settings::load(None, &flags).unwrap().server
        };
        for address in ["127.0.0.1:0", "127.8.8.8:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            require_secure(&server(address, &[]), false).unwrap();
        }
        let pair = [("server.tls_certificate", "a.pem"), ("server.tls_key", "a.key")];
        for address in ["0.0.0.0:80", "[::]:80", "192.168.1.5:80", "[::ffff:192.168.1.5]:80", "203.0.113.9:443"] {
            let error = require_secure(&server(address, &[]), false).unwrap_err();
            assert_eq!(error.code(), "insecure_address");
            for way_out in [address, "tls_certificate", "rollcall tls init", "server.trusted_proxies", "--insecure"] {
                assert!(error.message().contains(way_out), "{way_out}: {error}");
            }
            require_secure(&server(address, &[]), true).unwrap();
            require_secure(&server(address, &pair), false).unwrap();
            require_secure(&server(address, &[("server.trusted_proxies", "10.0.0.1")]), false).unwrap();
        }
    }
}
