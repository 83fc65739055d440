//! Where connections come in, by the network and by the local socket: who is let in, and how much time and memory each
//! may take before anybody knows whose it is.
//!
//! HTTP/1.1 alone is spoken, over TLS too: of HTTP/2 actix-http bounds neither the heads nor the streams. Of HTTP/1.1 it
//! bounds little more, so what a client can make the server hold is bounded under it, in [`BoundedStream`].

mod answer;
mod bounded_stream;
mod conversation;
mod descriptors;
mod head_end;
mod places;

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    num::NonZeroUsize,
    os::unix::net::UnixListener,
    sync::Arc,
    time::Duration,
};

use actix_http::{Extensions, HttpServiceBuilder, KeepAlive, Request, Response, error::DispatchError};
use actix_server::{GracefulShutdownSignal, ServerBuilder};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    Error,
    body::MessageBody,
    dev::{AppConfig, Service, ServiceFactory},
};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

pub(super) use self::{
    answer::Answer,
    conversation::{Answering, Conversation},
};
use self::{
    bounded_stream::BoundedStream,
    places::{Place, PlaceLimits, Places},
};
use crate::{
    config::{Limits, Settings},
    runtime::is_owner_or_root,
    telemetry::Metrics,
};

/// Connections to the listener of health alone, which are few and short.
const MAX_HEALTH_CONNECTIONS: usize = 32;

/// Connections by the local socket: commands of the operator.
const MAX_LOCAL_CONNECTIONS: usize = 32;

/// Connections that have been accepted and have no place: health's, and those that are closed as soon as somebody looks at
/// them. With more, nobody is accepted for a moment.
const MAX_PLACELESS_CONNECTIONS: usize = 128;

/// What the system may keep of the answers of one connection, in bytes; Linux takes twice as much for its own account of
/// them. It tells of room again when a third is free: little enough for a client at the least rate to be seen to read.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// How long a connection is read on, and what comes thrown away, after an answer to a request that was not read whole: closed
/// at once, the system would take the answer back.
const LINGER: Duration = Duration::from_secs(1);

/// How long a connection may take.
struct Deadlines {
    limits: Limits,
    keep_alive: Duration,
}

impl Deadlines {
    fn head(&self) -> Duration {
        Duration::from_secs(self.limits.head_seconds)
    }

    fn answer_idle(&self) -> Duration {
        Duration::from_secs(self.limits.answer_idle_seconds)
    }
}

/// Why the server closed a connection of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// There are as many as there may be.
    Full,
    /// There are as many of its address as there may be.
    Address,
    /// The TLS handshake took too long.
    Handshake,
    /// A request's head, or the rest of a body that nobody wants, took too long.
    Head,
    /// An answer was taken too slowly, or not at all.
    Answer,
}

impl Closed {
    /// As metrics name it.
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Handshake => "handshake",
            Self::Head => "head",
            Self::Answer => "answer",
        }
    }
}

/// A connection, in clear or under TLS.
trait Line: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Line for T {}

/// A connection that was let in, and whose it is.
type Served = (BoundedStream<Box<dyn Line>>, Option<SocketAddr>);

/// How the connections of one listener are let in and served.
#[derive(Clone)]
pub struct Door {
    places: Places,
    deadlines: Arc<Deadlines>,
    tls: Option<TlsAcceptor>,
}

impl Door {
    /// Of the whole API.
    pub fn new(settings: &Settings, tls: Option<ServerConfig>, metrics: &Metrics) -> Self {
        let server = &settings.server;
        let limits = PlaceLimits {
            all: descriptors::connections(server.max_connections),
            of_an_address: server.max_connections_per_address,
            exempt: server.trusted_proxies.0.clone(),
        };
        Self::with(settings, Places::new(limits, metrics), tls.map(Arc::new).map(TlsAcceptor::from))
    }

    /// Of health alone: in clear, and with places that no other connection takes.
    pub fn of_health(settings: &Settings, metrics: &Metrics) -> Self {
        let limits = PlaceLimits {
            all: MAX_HEALTH_CONNECTIONS,
            of_an_address: MAX_HEALTH_CONNECTIONS,
            exempt: settings.server.trusted_proxies.0.clone(),
        };
        Self::with(settings, Places::new(limits, metrics), None)
    }

    /// Of the whole API for commands on this machine: with places that no other connection takes.
    pub fn of_commands(settings: &Settings, metrics: &Metrics) -> Self {
        let limits =
            PlaceLimits { all: MAX_LOCAL_CONNECTIONS, of_an_address: MAX_LOCAL_CONNECTIONS, exempt: Vec::new() };
        Self::with(settings, Places::new(limits, metrics), None)
    }

    fn with(settings: &Settings, places: Places, tls: Option<TlsAcceptor>) -> Self {
        let keep_alive = Duration::from_secs(settings.server.keep_alive_seconds);
        let deadlines = Arc::new(Deadlines { limits: settings.limits.clone(), keep_alive });
        Self { places, deadlines, tls }
    }

    /// How many connections each of so many threads may have been handed.
    pub fn connections_a_thread(&self, threads: NonZeroUsize) -> usize {
        self.places.limits().all.saturating_add(MAX_PLACELESS_CONNECTIONS).div_ceil(threads.get())
    }

    /// Makes `server` serve `app` to those who come to `listener`.
    ///
    /// # Errors
    /// What the system says of the listener.
    pub fn open<F, I, S, B>(self, server: ServerBuilder, listener: TcpListener, app: F) -> io::Result<ServerBuilder>
    where
        F: Fn() -> I + Send + Clone + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
        S::InitError: fmt::Debug,
        S::Response: Into<Response<B>> + 'static,
        S::Service: 'static,
        <S::Service as Service<Request>>::Future: 'static,
        B: MessageBody + 'static,
    {
        let name = listener.local_addr()?.to_string();
        let stop = server.graceful_shutdown_signal();
        server.listen(name, listener, move || {
            let door = self.clone();
            let let_in = fn_service(move |stream: TcpStream| {
                let door = door.clone();
                async move { door.let_in(stream).await.map_err(DispatchError::Io) }
            });
            let_in.and_then(http(stop.clone(), app()))
        })
    }

    /// The same to those who come to a local socket.
    ///
    /// # Errors
    /// What the system says of the listener.
    pub fn open_local<F, I, S, B>(
        self,
        server: ServerBuilder,
        listener: UnixListener,
        app: F,
    ) -> io::Result<ServerBuilder>
    where
        F: Fn() -> I + Send + Clone + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
        S::InitError: fmt::Debug,
        S::Response: Into<Response<B>> + 'static,
        S::Service: 'static,
        <S::Service as Service<Request>>::Future: 'static,
        B: MessageBody + 'static,
    {
        let stop = server.graceful_shutdown_signal();
        server.listen_uds("local", listener, move || {
            let door = self.clone();
            let let_in = fn_service(move |stream: UnixStream| {
                let door = door.clone();
                async move { door.let_in_local(stream).map_err(DispatchError::Io) }
            });
            let_in.and_then(http(stop.clone(), app()))
        })
    }

    /// The same for a connection by the local socket: the user whom the server runs as, or root, as the system says. It
    /// has no address.
    fn let_in_local(&self, stream: UnixStream) -> io::Result<Served> {
        if !is_owner_or_root(stream.peer_cred()?.uid()) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let place = self.place(Ipv4Addr::LOCALHOST.into())?;
        Ok((self.bounded(Box::new(stream), place), None))
    }

    fn place(&self, peer: IpAddr) -> io::Result<Place> {
        self.places.take(peer).map_err(|closed| {
            self.places.note(closed);
            io::Error::from(ErrorKind::QuotaExceeded)
        })
    }

    /// The connection with its place, or nothing: then it is closed.
    async fn let_in(&self, stream: TcpStream) -> io::Result<Served> {
        let peer = stream.peer_addr()?;
        let place = self.place(peer.ip())?;
        set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)?;
        let Some(tls) = &self.tls else { return Ok((self.bounded(Box::new(stream), place), Some(peer))) };
        let greeted = timeout(self.deadlines.head(), greeted(tls, stream)).await.map_err(|late| {
            place.note(Closed::Handshake);
            io::Error::new(ErrorKind::TimedOut, late)
        })??;
        let bounded = match greeted {
            Greeted::UnderTls(line) => self.bounded(line, place),
            Greeted::InClear(line) => {
                let bounded = self.bounded(line, place);
                bounded.conversation().want_tls();
                bounded
            }
        };
        Ok((bounded, Some(peer)))
    }

    fn bounded(&self, line: Box<dyn Line>, place: Place) -> BoundedStream<Box<dyn Line>> {
        BoundedStream::new(line, place, Arc::clone(&self.deadlines))
    }
}

/// A connection to a listener that speaks TLS.
enum Greeted {
    UnderTls(Box<dyn Line>),
    /// By a client that was given an address with http instead of https.
    InClear(Box<dyn Line>),
}

/// Shakes hands, unless the client begins with the name of a method: a record of TLS begins with a number below them.
async fn greeted(tls: &TlsAcceptor, stream: TcpStream) -> io::Result<Greeted> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0].is_ascii_uppercase() {
        return Ok(Greeted::InClear(Box::new(stream)));
    }
    Ok(Greeted::UnderTls(Box::new(tls.accept(stream).await?)))
}

/// What answers the requests of connections that were let in.
fn http<I, S, B>(
    stop: GracefulShutdownSignal,
    app: I,
) -> impl ServiceFactory<Served, Config = (), Response = (), Error = DispatchError, InitError = ()>
where
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let app = app.into_factory().map_err(|error: Error| error.error_response());
    HttpServiceBuilder::default()
        // The stream's own deadlines hold for every request, these for some.
        .client_request_timeout(Duration::ZERO)
        .keep_alive(KeepAlive::Os)
        .client_disconnect_timeout(LINGER)
        .h1_allow_half_closed(false)
        // Not in actix-http's documents, but what actix-web's own server closes idle connections with.
        .graceful_shutdown_signal(move || {
            let stop = stop.clone();
            async move { stop.notified().await }
        })
        .on_connect_ext(|stream: &BoundedStream<Box<dyn Line>>, data: &mut Extensions| {
            drop(data.insert(stream.conversation()));
        })
        .h1(map_config(app, |()| AppConfig::default()))
}
