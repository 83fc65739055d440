//! Settings: defaults < file < environment < flags. Unknown keys are refused; everything is checked once, here.

mod lists;
mod prefix;
mod rules;
mod schedule;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use config::{Config, Environment, File, FileFormat};
use jiff::SignedDuration;
use serde::Deserialize;

pub use self::{
    lists::{Networks, Origins, Ports},
    prefix::Prefix,
    schedule::Schedule,
};
use crate::{
    domain::{Amounts, GalleryPlan, Quotas, access::lifetimes::Lifetimes},
    error::{Error, Result},
    nn::Precision,
    runtime::BudgetLimits,
};

/// The defaults, with every key commented; also the documentation of the keys.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// All settings; the keys are documented in `config/default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key beside its default")]
pub struct Settings {
    pub server: Server,
    pub access: Access,
    pub limits: Limits,
    pub idempotency: Idempotency,
    pub pipeline: Pipeline,
    pub detect: Detect,
    pub matching: Matching,
    pub liveness: Liveness,
    pub store: Store,
    pub backup: Backup,
    pub tenants: Tenants,
    pub events: Events,
    pub webhooks: Webhooks,
    pub jobs: Jobs,
    pub gallery: Gallery,
    pub models: Models,
    pub nn: Nn,
    pub log: Log,
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(missing_docs, reason = "config/default.toml documents each key beside its default")]
        pub struct $name { $(pub $field: $kind,)* }
    };
}

section!(
    /// The listening side.
    Server {
        address: SocketAddr,
        health_address: Option<SocketAddr>,
        data: PathBuf,
        http_threads: NonZeroUsize,
        drain_seconds: u64,
        keep_alive_seconds: u64,
        max_connections: usize,
        max_connections_per_address: usize,
        cors_origins: Origins,
        trusted_proxies: Networks,
        tls_certificate: PathBuf,
        tls_key: PathBuf,
        prefix: Prefix,
    }
);
section!(
    /// Logins.
    Access { token_minutes: u64, session_days: u64, }
);
section!(
    /// What a client may send.
    Limits {
        image_bytes: u64,
        body_bytes: u64,
        head_seconds: u64,
        body_idle_seconds: u64,
        body_seconds: u64,
        answer_idle_seconds: u64,
        least_bytes_per_second: u64,
        photo_pixels: u64,
        photo_side_px: u32,
        photo_faces: usize,
        request_images: usize,
    }
);
section!(
    /// Answers kept for requests that are sent again.
    Idempotency { keep_seconds: u64, max_keys: usize, }
);
section!(
    /// The flow of photos.
    Pipeline {
        compute_threads: usize,
        budget_bytes: u64,
        tenant_share: f64,
        key_share: f64,
        admission_wait_ms: u64,
        max_restarts: usize,
        restart_window_seconds: u64,
        annotation_font: PathBuf,
    }
);
section!(
    /// The detector.
    Detect { long_side_px: u32, tile_above_px: u32, min_score: f32, nms_iou: f32, }
);
section!(
    /// Overrides of the model's own naming rules.
    Matching {
        roster_threshold: Option<f32>,
        gallery_threshold: Option<f32>,
        margin: Option<f32>,
        min_width_px: Option<f32>,
        min_score: Option<f32>,
    }
);
section!(
    /// The passive liveness check.
    Liveness { min_live: f32, min_width_px: f32, }
);
section!(
    /// Work that outlives its request.
    Jobs {
        max_upload_bytes: u64,
        disk_reserve_bytes: u64,
        tenant_share: f64,
        max_entries: u64,
        max_open: usize,
        keep_days: u32,
    }
);
section!(
    /// How people are found among all of a tenant's.
    Gallery {
        plan: GalleryPlan,
        rebuild_share: f32,
        referee_share: f64,
        recall_floor: f64,
        idle_seconds: u64,
        memory_bytes: u64,
        hnsw: Hnsw,
    }
);
section!(
    /// The graph of the plan hnsw.
    Hnsw { m: usize, ef_construction: usize, ef_search: usize, }
);
section!(
    /// The embedded store.
    Store { cache_bytes: u64, rewrite_hours: u32, }
);
section!(
    /// Backups that the server takes by itself.
    Backup { folder: PathBuf, every_hours: u32, keep: usize, }
);
section!(
    /// What a tenant may have, unless the operator gave it limits of its own.
    Tenants {
        max_people: u64,
        max_groups: u64,
        max_samples: u64,
        requests_per_second: u64,
        photos_per_day: u64,
    }
);
section!(
    /// The log of events, and who listens.
    Events { keep_days: u32, max_events: u64, max_streams: usize, }
);
section!(
    /// Events sent to others.
    Webhooks {
        allow_private: bool,
        ports: Ports,
        max_deliveries: usize,
        timeout_seconds: u64,
        retry_first_ms: u64,
        retry_seconds: u32,
    }
);
section!(
    /// Where the weights come from.
    Models { dir: PathBuf, }
);
section!(
    /// How the networks run.
    Nn { precision: Precision, }
);
section!(
    /// Logging.
    Log { filter: String, format: LogFormat, }
);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Server {
    /// The files of the certificate and its key, where the server speaks HTTPS.
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        let is_set = !self.tls_certificate.as_os_str().is_empty();
        is_set.then_some((self.tls_certificate.as_path(), self.tls_key.as_path()))
    }

    /// Whether others can reach the server and what they send it, passwords and faces, can be read on the way: beyond
    /// loopback, without TLS of its own or a proxy that speaks it.
    pub fn is_exposed(&self) -> bool {
        !self.address.ip().to_canonical().is_loopback() && self.tls().is_none() && self.trusted_proxies.0.is_empty()
    }
}

impl Limits {
    /// What the largest request takes of memory: its body, beside one decoded photo.
    pub fn largest_request_bytes(&self) -> u64 {
        // JSON stands beside the images that are decoded from it, which are three quarters of it.
        self.body_bytes + (3 * self.photo_pixels).max(self.body_bytes / 4 * 3)
    }

    /// How long so many bytes may take.
    pub fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.least_bytes_per_second as f64)
    }
}

impl Access {
    /// As the use cases take them.
    pub fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            token: Duration::from_secs(60 * self.token_minutes),
            session: Duration::from_secs(24 * 60 * 60 * self.session_days),
        }
    }
}

impl Store {
    /// How long an erasure may be pending.
    pub fn rewrite_after(&self) -> SignedDuration {
        SignedDuration::from_hours(self.rewrite_hours.into())
    }
}

impl Tenants {
    /// The limits as the store takes them.
    pub fn limits(&self) -> Amounts {
        Amounts { people: self.max_people, groups: self.max_groups, samples: self.max_samples }
    }

    /// How much work a tenant may ask for.
    pub fn quotas(&self) -> Quotas {
        Quotas { requests_per_second: self.requests_per_second, photos_per_day: self.photos_per_day }
    }
}

impl Models {
    /// The folder to use instead of the weights compiled in.
    pub fn folder(&self) -> Option<PathBuf> {
        Some(self.dir.clone()).filter(|dir| !dir.as_os_str().is_empty())
    }
}

impl Pipeline {
    /// The compute threads to start: as set, or one a core.
    pub fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.compute_threads)
            .unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// The font for names on annotated photos that is asked first, where one is set.
    pub fn annotation_font(&self) -> Option<&Path> {
        Some(self.annotation_font.as_path()).filter(|path| !path.as_os_str().is_empty())
    }

    /// How long a request may wait at a full door.
    pub fn admission_wait(&self) -> Duration {
        Duration::from_millis(self.admission_wait_ms)
    }

    /// The most bytes that one tenant may hold.
    pub fn tenant_bytes(&self) -> u64 {
        (self.budget_bytes as f64 * self.tenant_share) as u64
    }
}

impl Settings {
    /// Memory for bodies and pixels, and who may hold how much of it. Whoever may send the largest request may hold it.
    pub fn budget(&self) -> BudgetLimits {
        let total = self.pipeline.budget_bytes;
        let own = (total as f64 * self.pipeline.key_share) as u64;
        let per_holder = own.max(self.limits.largest_request_bytes());
        BudgetLimits { total, per_key: self.pipeline.tenant_bytes(), per_holder }
    }

    /// Reads the defaults, then `file`, then the environment, then `flags` (`("server.address", "0.0.0.0:80")`).
    ///
    /// # Errors
    /// `Invalid`, naming the key, for an unknown key, a wrong type or a value out of range.
    pub fn load(file: Option<&Path>, flags: &[(&str, String)]) -> Result<Self> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = file {
            builder = builder.add_source(File::from(path).format(FileFormat::Toml));
        }
        builder = builder
            .add_source(Environment::with_prefix("ROLLCALL").prefix_separator("__").separator("__").try_parsing(true));
        for (key, value) in flags {
            builder = builder.set_override(*key, value.as_str()).map_err(|error| invalid(&error))?;
        }
        let settings: Self = builder.build().and_then(Config::try_deserialize).map_err(|error| invalid(&error))?;
        match rules::broken(&settings) {
            None => Ok(settings),
            Some(rule) => Err(Error::invalid(rule).with_code("invalid_settings")),
        }
    }
}

fn invalid(error: &config::ConfigError) -> Error {
    Error::invalid(format!("settings: {error}")).with_code("invalid_settings")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> tempfile::TempPath {
        let path = tempfile::Builder::new().suffix(".toml").tempfile().unwrap().into_temp_path();
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn the_defaults_are_valid_and_listen_on_loopback() {
        let settings = Settings::load(None, &[]).unwrap();
        assert_eq!(settings.server.address.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.matching.margin, None);
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let path = file("[server]\naddress = '127.0.0.1:1'\nhttp_threads = 7\n");
        let settings = Settings::load(Some(&path), &[("server.address", "127.0.0.1:2".into())]).unwrap();
        assert_eq!(settings.server.address.port(), 2);
        assert_eq!(settings.server.http_threads.get(), 7);
    }

    #[test]
    fn unknown_keys_and_values_out_of_range_are_refused_by_name() {
        for (content, named) in [
            ("[server]\nadress = '127.0.0.1:1'", "adress"),
            ("[detect]\nmin_score = 2.0", "detect.min_score"),
            ("[matching]\nmargin = 7", "matching"),
            ("[limits]\nbody_bytes = 900_000_000", "budget_bytes"),
            ("[log]\nformat = 'xml'", "xml"),
            ("[server]\ntrusted_proxies = '10.0.0.0/8, proxy.example'", "proxy.example"),
            ("[server]\ntls_key = 'key.pem'", "server.tls_certificate"),
            ("[access]\ntoken_minutes = 0", "access.token_minutes"),
            ("[store]\nrewrite_hours = 0", "store.rewrite_hours"),
            ("[server]\ncors_origins = ['*']", "cors_origins"),
            ("[server]\ncors_origins = ['https://a.example/']", "cors_origins"),
            ("[webhooks]\nports = '8443, https'", "https"),
            ("[server]\nmax_connections = 0", "server.max_connections"),
            ("[server]\nmax_connections_per_address = 0", "server.max_connections_per_address"),
            ("[limits]\nleast_bytes_per_second = 0", "limits.least_bytes_per_second"),
            ("[limits]\nanswer_idle_seconds = 100_000_000", "seconds"),
        ] {
            let error = Settings::load(Some(&file(content)), &[]).unwrap_err();
            assert!(error.to_string().contains(named), "{content}: {error}");
        }
    }

    #[test]
    fn ports_are_a_list_or_a_text() {
        for (given, ports) in [("[8443, 9000]", &[8443, 9000][..]), ("'8443, 9000'", &[8443, 9000]), ("8443", &[8443])]
        {
            let settings = Settings::load(Some(&file(&format!("[webhooks]\nports = {given}"))), &[]).unwrap();
            assert_eq!(settings.webhooks.ports.as_slice(), ports, "{given}");
        }
    }

    #[test]
    fn the_readme_lists_every_key() {
        let readme = include_str!("../README.md");
        let mut section = "";
        for line in DEFAULTS.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
                && !section.is_empty()
            {
                assert!(readme.contains(&format!("`{section}.{key}`")), "{section}.{key}");
            }
        }
    }

    #[test]
    fn the_production_example_is_valid() {
        Settings::load(Some(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/production.toml"))), &[]).unwrap();
    }
}
