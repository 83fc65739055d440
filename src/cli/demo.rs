//! `rollcall demo`: the whole way on portraits that come with the program. The commands are those that a user types.
//!
//! Obama is enrolled from two shots and photographed by a third. Of Biden there is one shot under a free licence: the
//! class photos show a changed copy of it (mirrored, darker, smaller, compressed again), which is easier than another
//! shot would be. Collins is enrolled and in no photo. Hopper is a stranger: in a photo and not enrolled.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use clap::{Args, Parser};
use tempfile::TempDir;

use super::{Cli, say, serve};
use crate::{
    app::App,
    config::Settings,
    domain::TenantId,
    error::{Error, ErrorKind, Result},
    runtime::{Faults, Shutdown, listen_for_signals},
    service::access::first_start::{DEFAULT_TENANT, tenant_key_path},
    telemetry::logging,
};

/// The group that is enrolled and looked for.
const GROUP: &str = "class";

/// What a stop of the demo's server may take, which has nothing to finish.
const PATIENCE: Duration = Duration::from_secs(10);

macro_rules! fixture {
    ($path:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $path))
    };
}

/// The class: one folder a person. All in the public domain, see tests/fixtures/portraits/README.md.
const PORTRAITS: [(&str, &[u8]); 4] = [
    ("Barack Obama/1.jpg", fixture!("portraits/obama.jpg")),
    ("Barack Obama/2.jpg", fixture!("portraits/obama2.jpg")),
    ("Joe Biden/1.jpg", fixture!("portraits/biden.jpg")),
    ("Eileen Collins/1.jpg", fixture!("portraits/astronaut.jpg")),
];

/// The room, twice.
const PHOTOS: [(&str, &[u8]); 2] =
    [("first.jpg", fixture!("class/first.jpg")), ("second.jpg", fixture!("class/second.jpg"))];

#[derive(Debug, Args)]
#[command(after_help = "\
Serves an empty data folder on a free port of this machine, enrols three people from portraits that come with the program,
recognises them in two class photos, and removes the data folder again. What is in DIR under the same names is replaced.")]
pub(super) struct DemoArgs {
    /// Where the class photos and their annotated copies are left.
    #[arg(value_name = "DIR", default_value = "rollcall-demo")]
    out: PathBuf,
}

pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let place = tempfile::tempdir()
        .map_err(|error| Error::storage("there is no room for a temporary data folder").with_source(error))?;
    let (data, class) = (place.path().join("data"), place.path().join(GROUP));
    lay_out(&class, &PORTRAITS)?;
    lay_out(&args.out, &PHOTOS)?;
    let server = DemoServer::start(place, &data)?;
    say(format_args!("A server with an empty data folder listens on {}.", server.address))?;
    let (class, out) = (text(&class)?, text(&args.out)?);
    server.carry_out(&["enroll", class, "--group", GROUP])?;
    let photos = PHOTOS.map(|(name, _)| args.out.join(name));
    let [first, second] = [text(&photos[0])?, text(&photos[1])?];
    server.carry_out(&["recognize", first, second, "--group", GROUP, "--annotate", out])?;
    server.stop()?;
    let copies = photos.map(|photo| photo.with_extension("annotated.jpg").display().to_string()).join(" and ");
    say(format_args!("\nLook at {copies}. Now with your own class: rollcall serve"))
}

/// Writes files of these names into `folder`.
fn lay_out(folder: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    for (name, bytes) in files {
        let path = folder.join(name);
        let made = fs::create_dir_all(path.parent().unwrap_or(folder)).and_then(|()| fs::write(&path, bytes));
        made.map_err(|error| Error::invalid(format!("{} cannot be written", path.display())).with_source(error))?;
    }
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::invalid(format!("{} is not UTF-8", path.display())).with_code("invalid_path"))
}

/// A server in this process, on a data folder that goes with it.
struct DemoServer {
    address: SocketAddr,
    data: String,
    key: String,
    shutdown: Shutdown,
    thread: JoinHandle<Result<()>>,
    _place: TempDir,
}

impl DemoServer {
    fn start(place: TempDir, data: &Path) -> Result<Self> {
        let data = text(data)?.to_owned();
        let flags = [("server.data", data.as_str()), ("log.filter", "warn")];
        let mut settings = Settings::load(None, &flags.map(|(key, value)| (key, value.to_owned())))?;
        // What the environment says of these is for a server that stays.
        settings.server.tls_certificate = PathBuf::new();
        settings.server.tls_key = PathBuf::new();
        settings.server.health_address = None;
        settings.backup.folder = PathBuf::new();
        logging::start(&settings.log)?;
        let shutdown = Shutdown::default();
        let signals = listen_for_signals(shutdown.clone(), PATIENCE, serve::end)
            .map_err(|error| Error::internal("cannot listen for signals").with_source(error))?;
        // From the beginning: a stop that was asked for removes the data folder.
        signals.serving();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| Error::invalid("cannot listen on 127.0.0.1").with_source(error))?;
        let (started, address) = mpsc::channel();
        let asked = shutdown.signal();
        let thread = thread::spawn(move || {
            actix::System::new().block_on(async move {
                let app = App::build(settings, Faults::default()).await?;
                // Nobody waits for it where the demo has been stopped.
                Box::pin(app.serve(listener, asked, move |address| {
                    let _ = started.send(address);
                }))
                .await
            })
        });
        let Ok(address) = address.recv() else { return Err(ended(thread)) };
        let path = tenant_key_path(Path::new(&data), &DEFAULT_TENANT.parse::<TenantId>()?);
        let key = fs::read_to_string(&path)
            .map_err(|error| Error::storage(format!("{} cannot be read", path.display())).with_source(error))?;
        let key = key.trim().to_owned();
        Ok(Self { address, data, key, shutdown, thread, _place: place })
    }

    /// Does and shows what a user types.
    fn carry_out(&self, arguments: &[&str]) -> Result<()> {
        if self.shutdown.signal().requested() {
            return Err(stopped());
        }
        say(format_args!("\n$ rollcall {}", arguments.join(" ")))?;
        let ours = ["--data", &self.data, "--key", &self.key];
        let cli = Cli::try_parse_from(["rollcall"].iter().chain(arguments).chain(&ours));
        cli.map_err(|error| Error::internal("the demo's own command is refused").with_source(error))?.carry_out()
    }

    fn stop(self) -> Result<()> {
        self.shutdown.trigger();
        self.thread.join().unwrap_or_else(|_| Err(Error::internal("the server panicked")))
    }
}

/// Why a server ended before it served.
fn ended(thread: JoinHandle<Result<()>>) -> Error {
    match thread.join() {
        Ok(Err(error)) => error,
        Ok(Ok(())) => stopped(),
        Err(_) => Error::internal("the server panicked"),
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "the demo was stopped")
}
