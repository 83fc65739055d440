//! Builds the server from its settings and runs it: store, networks, galleries, pipeline, HTTP.

mod whereabouts;

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    sync::Arc,
    time::Duration,
};

use actix::Arbiter;
use actix_web::{
    App as WebApp,
    dev::{Server, ServiceRequest},
    middleware::{Next, from_fn},
};
use rustix::net::{self, Shutdown};
use rustls::ServerConfig;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use self::whereabouts::AddressFile;
pub use self::whereabouts::{address_path, local_folder, page};
use crate::{
    config::Settings,
    domain::NamingRules,
    error::{Error, Result},
    galleries::{Galleries, MemoryLimits},
    gallery::{GalleryOptions, GraphOptions, Referee, RefereeObserver, RefereeOptions, SearchObserver},
    http::{
        ApiState, Certificate, Description, Door, Envelope, Leaving, Register, authority_of, below, cors,
        health_routes, patience, routes,
    },
    nn::{MatchDefaults, kernels::Buffer},
    pipeline::{NetworkSlot, Pipeline, PipelineOptions, Tools},
    runtime::{
        ByteBudget, Clock, ComputeOptions, ComputePool, Faults, Health, Lingers, LocalSocket, Observer, Rest,
        RestartCause, RestartPolicy, ShutdownSignal, Supervisor, SupervisorOptions, SystemClock,
    },
    service::{
        Naming, ServiceOptions, Services,
        access::first_start,
        jobs::{JobOptions, Runner},
        operations::backup,
    },
    store::{Store, StoreOptions},
    telemetry::Metrics,
    vision::{Fonts, decode::DecodeLimits},
};

/// How long a stop goes on to take in requests that keep coming, first through the door, then by connections that are
/// inside already.
const LAST_CALL: Duration = Duration::from_secs(1);

/// How long the accepting thread may take to hear that it is to pause.
const PAUSE: Duration = Duration::from_millis(10);

/// How long the HTTP side may take to write the last answers.
const LAST_WORDS: u64 = 2;

/// How long the pipeline may take to notice that the HTTP side, which waited for its own requests, is done.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long after an interactive photo the next one may follow, and after one step of a photo the next, so that a thread
/// stays free for it.
const LINGERS: Lingers = Lingers { request: Duration::from_millis(50), step: Duration::from_millis(5) };

/// Everything but the listening side: what the command line works with when no server runs.
pub struct App {
    settings: Settings,
    services: Services,
    supervisor: Arc<Supervisor>,
    health: Health,
    metrics: Metrics,
    pool: ComputePool,
    /// Unload galleries that nobody searches, keep the store's reserve, write counts, remove photos whose time is over,
    /// and finish what a crash cut short.
    keepers: Vec<JoinHandle<()>>,
}

impl App {
    /// Opens the store and starts the pipeline on the current actix system.
    ///
    /// # Errors
    /// `Storage` if the data folder is in use, damaged or cannot be written; `Invalid` if the weights are not those
    /// of the manifest, or the processor lacks what the precision wants.
    pub async fn build(settings: Settings, faults: Faults) -> Result<Self> {
        let metrics = Metrics::new()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = open_store(&settings, &metrics, &clock)?;
        first_start::first_start(&store, &settings.server.data, clock.now()).await?;
        let networks = Arc::new(NetworkSlot::load(settings.models.folder(), settings.nn.precision)?);
        let naming = naming(&settings, networks.get().embedder.defaults());
        let model = networks.get().embedder.model_id().clone();
        let observer: Arc<dyn Observer> = Arc::new(Reporter(metrics.clone()));
        let threads = settings.pipeline.threads();
        let pool = ComputePool::new(ComputeOptions {
            threads,
            lingers: LINGERS,
            observer: Arc::clone(&observer),
            rest: Rest { call: Buffer::release_kept, ..Rest::default() },
        })?;
        let health = Health::default();
        let policy = RestartPolicy {
            max_restarts: settings.pipeline.max_restarts,
            window: Duration::from_secs(settings.pipeline.restart_window_seconds),
            ..RestartPolicy::default()
        };
        let supervision = SupervisorOptions { policy, health: health.clone(), observer, clock: Arc::clone(&clock) };
        let supervisor = Arc::new(Supervisor::new(Arbiter::current(), supervision));
        let galleries = Galleries::new(store.clone(), model, gallery_options(&settings, &pool, &metrics));
        let limits = MemoryLimits {
            idle: Duration::from_secs(settings.gallery.idle_seconds),
            bytes: settings.gallery.memory_bytes,
        };
        let gallery_keeper = actix::spawn(galleries.clone().keep_within(limits));
        let tools = Tools {
            pool: pool.clone(),
            networks,
            budget: ByteBudget::new(settings.budget()),
            store,
            galleries,
            metrics: metrics.clone(),
            faults,
            options: Arc::new(options(&settings)?),
        };
        let data = settings.server.data.clone();
        let (quotas, lifetimes) = (settings.tenants.quotas(), settings.access.lifetimes());
        let (events, webhooks) = (settings.events.clone(), settings.webhooks.clone());
        let jobs = JobOptions::new(&settings);
        let options = ServiceOptions { naming, quotas, data, lifetimes, events, webhooks, jobs };
        let services = Services::new(Pipeline::start(tools, &supervisor), clock, options)?;
        let keepers = vec![
            gallery_keeper,
            actix::spawn(services.store().clone().keep_reserve()),
            actix::spawn(services.access.keep_quotas()),
            actix::spawn(services.access.clone().finish_deletions()),
            actix::spawn(services.people.clone().keep_to_retention()),
        ];
        Ok(Self { settings, services, supervisor, health, metrics, pool, keepers })
    }

    /// The use cases.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Ends the stages and the compute threads; what was acknowledged is in the store already.
    pub fn stop(&self) {
        self.keepers.iter().for_each(JoinHandle::abort);
        self.supervisor.stop();
        self.pool.shut_down();
    }

    /// Serves HTTP on `listener` until `shutdown`; then takes nobody in any more, answers every request that has come,
    /// within the drain time, and ends. `ready` is told the address when requests are taken.
    ///
    /// # Errors
    /// `Storage` if the address file cannot be written, `Internal` if the socket fails, `Invalid` `invalid_tls` and for a
    /// `server.health_address` on which nothing can listen.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: ShutdownSignal,
        ready: impl FnOnce(SocketAddr),
    ) -> Result<()> {
        let address = listener.local_addr().map_err(socket_failed)?;
        let certificate = self.settings.server.tls().map(|(pem, key)| Certificate::read(pem, key)).transpose()?;
        let tls = certificate.as_ref().map(Certificate::config).transpose()?;
        let data = self.settings.server.data.clone();
        let (local, listening) = LocalSocket::listen(&local_folder(&data)).map_err(|error| {
            let message = format!("cannot make the socket for commands in {}", local_folder(&data).display());
            Error::storage(message).with_source(error)
        })?;
        let state = self.state();
        let runner = actix::spawn(Runner::new(self.services.jobs.clone(), shutdown.clone()).await?.run());
        let mut keepers = vec![
            actix::spawn(state.idempotency.clone().sweep(self.services.clone())),
            actix::spawn(self.services.access.clone().keep_erasing(self.settings.store.rewrite_after())),
            actix::spawn(self.services.events.clone().keep_events()),
            actix::spawn(self.services.operations.clone().keep_backups(self.settings.backup.schedule())),
            actix::spawn(self.services.events.clone().run_couriers()),
        ];
        keepers.extend(certificate.map(|certificate| actix::spawn(certificate.keep_renewed())));
        let leaving = Leaving::default();
        let front = listener.try_clone().map_err(socket_failed)?;
        let server = self.http_server(listener, local, tls, &state, &leaving)?;
        let address_file = AddressFile::write(&data, address)?;
        tracing::info!(%address, threads = self.pool.num_threads(), "ready");
        ready(address);
        let handle = server.handle();
        let (health, services) = (self.health.clone(), self.services.clone());
        let drain = Duration::from_secs(self.settings.server.drain_seconds);
        let stopper = actix::spawn(async move {
            shutdown.wait().await;
            tracing::info!("stopping: requests under way are finished first");
            health.set_unready("server", "stopping");
            services.events.close_streams();
            // The HTTP server's own stop drops connections and requests that it has not looked at yet.
            leaving.begin(drain);
            leaving.quiet(LAST_CALL).await;
            handle.pause().await;
            sleep(PAUSE).await;
            close_door(&front);
            leaving.quiet(LAST_CALL).await;
            handle.stop(true).await;
        });
        let served = server.await.map_err(socket_failed);
        stopper.abort();
        keepers.iter().for_each(JoinHandle::abort);
        drop((address_file, listening));
        // It has been told to stop together with the server, and only lays its jobs down.
        if timeout(LAST_ANSWERS, runner).await.is_err() {
            tracing::warn!("a job was cut off by the stop: the next start takes it up again");
        }
        self.services.pipeline().drain(LAST_ANSWERS).await;
        self.services.access.write_quotas().await;
        self.stop();
        tracing::info!("stopped");
        served
    }

    /// The HTTP side: the API on `listener` and, for commands, on `local`, and health where it has an address of its own.
    fn http_server(
        &self,
        listener: TcpListener,
        local: UnixListener,
        tls: Option<ServerConfig>,
        state: &ApiState,
        leaving: &Leaving,
    ) -> Result<Server> {
        let set = &self.settings.server;
        let (metrics, origins) = (&self.metrics, set.cors_origins.clone());
        let envelope = Envelope { metrics: metrics.clone(), leaving: leaving.clone(), secure: tls.is_some() };
        let in_clear = Envelope { secure: false, ..envelope.clone() };
        let of_health = (state.clone(), in_clear.clone());
        let door = Door::new(&self.settings, tls, metrics);
        let server = Server::build()
            .workers(set.http_threads.get())
            .max_concurrent_connections(door.connections_a_thread(set.http_threads))
            .shutdown_timeout(set.drain_seconds.saturating_add(LAST_WORDS))
            .disable_signals();
        let app = |envelope: Envelope| {
            let (state, origins, prefix) = (state.clone(), origins.clone(), set.prefix.clone());
            move || {
                let (state, prefix) = (state.clone(), prefix.clone());
                // The last is the outermost.
                WebApp::new()
                    .wrap(from_fn(patience))
                    .wrap(cors(origins.as_slice()))
                    .wrap(envelope.clone())
                    .wrap(from_fn(move |request: ServiceRequest, next: Next<_>| below(prefix.clone(), request, next)))
                    .configure(move |config| routes(config, &state))
            }
        };
        let server = door.open(server, listener, app(envelope)).map_err(socket_failed)?;
        let commands = Door::of_commands(&self.settings, metrics);
        let server = commands.open_local(server, local, app(in_clear)).map_err(socket_failed)?;
        let Some(address) = set.health_address else { return Ok(server.run()) };
        let listener = TcpListener::bind(address).map_err(|error| {
            Error::invalid(format!("cannot listen on {address} (server.health_address)")).with_source(error)
        })?;
        let server = Door::of_health(&self.settings, metrics).open(server, listener, move || {
            let (state, envelope) = of_health.clone();
            WebApp::new().wrap(envelope).configure(move |config| health_routes(config, &state))
        });
        Ok(server.map_err(socket_failed)?.run())
    }

    fn state(&self) -> ApiState {
        ApiState {
            services: self.services.clone(),
            limits: self.settings.limits.clone(),
            health: self.health.clone(),
            supervisor: Arc::clone(&self.supervisor),
            metrics: self.metrics.clone(),
            trusted_proxies: self.settings.server.trusted_proxies.0.clone().into(),
            idempotency: Register::new(&self.settings.idempotency),
            authority: self.settings.server.tls().and_then(|(certificate, _)| authority_of(certificate)),
            description: Description::below(self.settings.server.prefix.clone()),
        }
    }
}

fn gallery_options(settings: &Settings, pool: &ComputePool, metrics: &Metrics) -> GalleryOptions {
    let search_seconds = metrics.search_seconds.clone();
    let observer: SearchObserver = Arc::new(move |plan, took| {
        search_seconds.with_label_values(&[plan.name()]).observe(took.as_secs_f64());
    });
    GalleryOptions {
        plan: settings.gallery.plan,
        rebuild_share: settings.gallery.rebuild_share,
        graph: GraphOptions { m: settings.gallery.hnsw.m, ef_construction: settings.gallery.hnsw.ef_construction },
        ef_search: settings.gallery.hnsw.ef_search,
        observer: Some(observer),
        referee: Some(referee(settings, pool, metrics)),
        ..GalleryOptions::default()
    }
}

fn open_store(settings: &Settings, metrics: &Metrics, clock: &Arc<dyn Clock>) -> Result<Store> {
    let data = &settings.server.data;
    fs::create_dir_all(data).map_err(|error| {
        Error::storage(format!("cannot make the data folder {}", data.display())).with_source(error)
    })?;
    backup::require_finished(data)?;
    backup::require_store(data)?;
    let (flush_seconds, events) = (metrics.store_flush_seconds.clone(), metrics.events.clone());
    let reads = metrics.store_reads.clone();
    Store::open(StoreOptions {
        cache_bytes: settings.store.cache_bytes,
        default_limits: settings.tenants.limits(),
        on_read: Some(Arc::new(move || reads.inc())),
        on_flush: Some(Arc::new(move |took| flush_seconds.observe(took.as_secs_f64()))),
        clock: Arc::clone(clock),
        max_events: settings.events.max_events,
        on_event: Some(Arc::new(move |kind| events.with_label_values(&[kind.name()]).inc())),
        ..StoreOptions::new(backup::store_path(data))
    })
}

/// Repeats a share of the searches and tells Prometheus how they did.
fn referee(settings: &Settings, pool: &ComputePool, metrics: &Metrics) -> Arc<Referee> {
    let set = &settings.gallery;
    let options = RefereeOptions { share: set.referee_share, recall_floor: set.recall_floor };
    let metrics = metrics.clone();
    let observer: RefereeObserver = Arc::new(move |plan, missed| metrics.search_was_repeated(plan.name(), missed));
    Referee::start(options, pool.clone(), observer)
}

/// The model's rules, with the settings' changes.
fn naming(settings: &Settings, model: MatchDefaults) -> Naming {
    let set = &settings.matching;
    let gallery_threshold = set.gallery_threshold.unwrap_or(model.gallery_threshold);
    let roster = NamingRules {
        threshold: set.roster_threshold.unwrap_or(model.roster_threshold),
        margin: set.margin.unwrap_or(model.margin),
        min_width_px: set.min_width_px.unwrap_or(model.min_width_px),
        min_score: set.min_score.unwrap_or(model.min_score),
        one_look: gallery_threshold,
    };
    Naming { roster, gallery: NamingRules { threshold: gallery_threshold, ..roster } }
}

fn options(settings: &Settings) -> Result<PipelineOptions> {
    Ok(PipelineOptions {
        threads: settings.pipeline.threads(),
        admission_wait: settings.pipeline.admission_wait(),
        decode_limits: DecodeLimits {
            max_bytes: settings.limits.image_bytes as usize,
            max_side: settings.limits.photo_side_px,
            max_pixels: settings.limits.photo_pixels,
        },
        max_faces: settings.limits.photo_faces,
        long_side_px: settings.detect.long_side_px,
        tile_above_px: settings.detect.tile_above_px,
        min_score: settings.detect.min_score,
        nms_iou: settings.detect.nms_iou,
        min_live: settings.liveness.min_live,
        min_live_width_px: settings.liveness.min_width_px,
        annotation_fonts: fonts(settings)?,
    })
}

/// The fonts of annotated photos, with the one that is set.
fn fonts(settings: &Settings) -> Result<Fonts> {
    let Some(path) = settings.pipeline.annotation_font() else { return Fonts::new(None) };
    let unusable = |error: Error| {
        Error::invalid(format!("pipeline.annotation_font: {} cannot be used: {error}", path.display()))
            .with_code("invalid_settings")
    };
    let unreadable = |error| Error::invalid("it cannot be read").with_source(error);
    let bytes = fs::read(path).map_err(unreadable).map_err(unusable)?;
    Fonts::new(Some(bytes)).map_err(unusable)
}

/// Tells Prometheus what the runtime reports.
struct Reporter(Metrics);

impl Observer for Reporter {
    fn blocked(&self, stage: &'static str, waited: Duration) {
        self.0.stage_blocked_seconds.with_label_values(&[stage]).observe(waited.as_secs_f64());
    }

    fn queued(&self, stage: &'static str, waited: Duration) {
        self.0.stage_seconds.with_label_values(&[stage, "queue"]).observe(waited.as_secs_f64());
    }

    fn worked(&self, stage: &'static str, took: Duration) {
        self.0.stage_seconds.with_label_values(&[stage, "work"]).observe(took.as_secs_f64());
    }

    fn panicked(&self, stage: &'static str) {
        self.0.stage_panics.with_label_values(&[stage]).inc();
    }

    fn restarted(&self, stage: &'static str, cause: RestartCause) {
        self.0.stage_restarts.with_label_values(&[stage, cause.as_str()]).inc();
    }
}

fn socket_failed(error: io::Error) -> Error {
    Error::internal("the listening socket failed").with_source(error)
}

/// Refuses connections from here on; those that were accepted live on.
fn close_door(listener: &TcpListener) {
    // Where the system cannot do that, they are refused when the HTTP server stops, which follows.
    let _ = net::shutdown(listener, Shutdown::Read);
}
