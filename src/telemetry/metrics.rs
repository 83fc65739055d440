//! Every metric of the server: name, unit, help, labels and buckets, in one place.
//!
//! Labels are bounded: route patterns instead of paths, stages, outcomes and plans from fixed sets.

use std::sync::OnceLock;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector,
};

use crate::error::{Error, Result};

/// Seconds, from a cached search to a crowded photo.
const SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Log lines that could not be written. The log is the process's, and so is the count: all its servers show the same.
pub(super) static LOG_LINES_LOST: OnceLock<IntCounter> = OnceLock::new();

/// The metrics of one server; a server makes its own, so several can live in one process.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Requests answered, by route pattern, method and status.
    pub requests: IntCounterVec,
    /// Seconds from a request's first byte to its answer, by route pattern.
    pub request_seconds: HistogramVec,
    /// Connections that are open.
    pub connections: IntGauge,
    /// Connections that the server closed, by reason: `full`, `address`, `handshake`, `head` or `answer`.
    pub connections_closed: IntCounterVec,
    /// Photos, by outcome: `done`, or the code of the error.
    pub photos: IntCounterVec,
    /// Faces of recognised photos, by outcome: `named`, or the reason they were not.
    pub faces: IntCounterVec,
    /// Seconds of a photo in a stage, `part` being `queue` or `work`.
    pub stage_seconds: HistogramVec,
    /// Photos inside a stage, waiting or in work.
    pub stage_in_flight: IntGaugeVec,
    /// Seconds that senders waited for room in a stage.
    pub stage_blocked_seconds: HistogramVec,
    /// Photos dropped because their caller had gone, by stage.
    pub stage_dropped: IntCounterVec,
    /// Panics caught in a stage's work; each failed one photo.
    pub stage_panics: IntCounterVec,
    /// Stages started anew, by cause.
    pub stage_restarts: IntCounterVec,
    /// Faces in one batch of a network.
    pub batch_faces: HistogramVec,
    /// Bytes of bodies, decoded pixels and long answers held now.
    pub budget_bytes: IntGauge,
    /// Face samples in the galleries that are in memory.
    pub gallery_faces: IntGauge,
    /// Bytes of the galleries that are in memory.
    pub gallery_bytes: IntGauge,
    /// Seconds of a search, by plan.
    pub search_seconds: HistogramVec,
    /// Searches repeated exactly, by plan; the outcome is `right` where it had found the best sample, or `missed`.
    pub searches_repeated: IntCounterVec,
    /// The share of repeated searches that were `right`, by plan: recall@1.
    pub search_recall: GaugeVec,
    /// Requests refused by a quota, by its name.
    pub quota_refused: IntCounterVec,
    /// Events written to the tenants' logs, by kind.
    pub events: IntCounterVec,
    /// Open streams of events, by transport.
    pub event_streams: IntGaugeVec,
    /// Deliveries to webhooks, by outcome: `delivered`, `failed`, `dead`, `replay_failed`, `gone` or `lost`.
    pub webhook_deliveries: IntCounterVec,
    /// Age of the oldest event that a webhook waits to be told of, in seconds.
    pub webhook_behind_seconds: IntGauge,
    /// Jobs that are worked on now, by kind: `import` or `recognize`.
    pub jobs_running: IntGaugeVec,
    /// Items of jobs that got their reports, by kind and by what became of them, as in the job's `counts`.
    pub job_items: IntCounterVec,
    /// Kept photos that were removed by themselves: `over`, or `unnamed` after a crash.
    pub kept_photos_removed: IntCounterVec,
    /// Seconds of a flush of the store.
    pub store_flush_seconds: Histogram,
    /// Looks into the store, each of one moment.
    pub store_reads: IntCounter,
    /// Seconds of the last time that the store was rewritten.
    pub store_rewrite_seconds: Gauge,
    /// When the last backup by the schedule was whole, in seconds since 1970.
    pub backup_taken_timestamp_seconds: IntGauge,
    /// Erasures whose bytes may still be on the disk.
    pub erasures_pending: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// `Internal` if two metrics share a name.
    pub fn new() -> Result<Self> {
        let declare = Declare(Registry::new());
        let build = declare.gauges("build_info", "The version that runs; always 1", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        declare.of_process("log_lines_lost_total", "Log lines that could not be written", &LOG_LINES_LOST)?;
        Ok(Self {
            requests: declare.counters("requests_total", "Requests answered", &["route", "method", "status"])?,
            request_seconds: declare.histograms("request_seconds", "Seconds from request to answer", &["route"])?,
            connections: declare.gauge("connections", "Connections that are open")?,
            connections_closed: declare.counters(
                "connections_closed_total",
                "Connections closed because there were as many as may be, or because the client was too slow",
                &["reason"],
            )?,
            photos: declare.counters("photos_total", "Photos by outcome: done or an error code", &["outcome"])?,
            faces: declare.counters(
                "faces_total",
                "Faces by outcome: named or the reason they were not",
                &["outcome"],
            )?,
            stage_seconds: declare.histograms("stage_seconds", "Seconds of a photo in a stage", &["stage", "part"])?,
            stage_in_flight: declare.gauges("stage_in_flight", "Photos inside a stage", &["stage"])?,
            stage_blocked_seconds: declare.histograms(
                "stage_blocked_seconds",
                "Seconds that senders waited because a stage was full",
                &["stage"],
            )?,
            stage_dropped: declare.counters("stage_dropped_total", "Photos whose caller had gone", &["stage"])?,
            stage_panics: declare.counters("stage_panics_total", "Panics caught in a stage's work", &["stage"])?,
            stage_restarts: declare.counters("stage_restarts_total", "Stages started anew", &["stage", "cause"])?,
            batch_faces: declare.histogram_vec(
                "batch_faces",
                "Faces in one batch of a network",
                &["stage"],
                &[1.0, 2.0, 4.0, 8.0, 16.0],
            )?,
            budget_bytes: declare.gauge("budget_bytes", "Bytes of bodies, decoded pixels and long answers held")?,
            gallery_faces: declare.gauge("gallery_faces", "Face samples in memory")?,
            gallery_bytes: declare.gauge("gallery_bytes", "Bytes of the galleries in memory")?,
            search_seconds: declare.histograms("search_seconds", "Seconds of a gallery search", &["plan"])?,
            searches_repeated: declare.counters(
                "searches_repeated_total",
                "Searches repeated exactly: right where they had found the best sample, or missed",
                &["plan", "outcome"],
            )?,
            search_recall: declare.ratios(
                "search_recall_ratio",
                "Share of repeated searches that had found the best sample (recall@1)",
                &["plan"],
            )?,
            quota_refused: declare.counters(
                "quota_refused_total",
                "Requests that a tenant's quota refused: requests_per_second or photos_per_day",
                &["quota"],
            )?,
            events: declare.counters("events_total", "Events written, by kind", &["kind"])?,
            event_streams: declare.gauges("event_streams", "Open streams of events", &["transport"])?,
            webhook_deliveries: declare.counters(
                "webhook_deliveries_total",
                "Attempts to deliver to a webhook, by outcome; lost are events that the log dropped before",
                &["outcome"],
            )?,
            webhook_behind_seconds: declare
                .gauge("webhook_behind_seconds", "Age of the oldest event that a webhook waits to be told of")?,
            jobs_running: declare.gauges("jobs_running", "Jobs that are worked on", &["kind"])?,
            job_items: declare.counters(
                "job_items_total",
                "Rows and photos of jobs that were done, by outcome",
                &["kind", "outcome"],
            )?,
            kept_photos_removed: declare.counters(
                "kept_photos_removed_total",
                "Kept photos that were removed: their time was over, or no record named them after a crash",
                &["reason"],
            )?,
            store_flush_seconds: declare.histogram("store_flush_seconds", "Seconds of a flush of the store")?,
            store_reads: declare.counter("store_reads_total", "Looks into the store, each of one moment")?,
            store_rewrite_seconds: declare.seconds(
                "store_rewrite_seconds",
                "Seconds of the last time that the store was rewritten; 0 if it was not",
            )?,
            backup_taken_timestamp_seconds: declare.gauge(
                "backup_taken_timestamp_seconds",
                "When the last backup by the schedule was whole, in seconds since 1970; 0 if there was none since the start",
            )?,
            erasures_pending: declare.gauge("erasures_pending", "Erasures whose bytes may still be on the disk")?,
            registry: declare.0,
        })
    }

    /// The metrics by tenant, in the same format. Apart from the others, as they are many: only for who asks.
    ///
    /// # Errors
    /// `Internal` if they cannot be encoded.
    pub fn render_tenants(galleries: &[(String, usize, usize)]) -> Result<String> {
        let declare = Declare(Registry::new());
        let bytes = declare.gauges("tenant_gallery_bytes", "Bytes of a tenant's gallery in memory", &["tenant"])?;
        let faces = declare.gauges("tenant_gallery_faces", "Face samples of a tenant in memory", &["tenant"])?;
        for (tenant, in_memory, samples) in galleries {
            bytes.with_label_values(&[tenant.as_str()]).set(*in_memory as i64);
            faces.with_label_values(&[tenant.as_str()]).set(*samples as i64);
        }
        render(&declare.0)
    }

    /// Counts a search that was repeated exactly.
    pub fn search_was_repeated(&self, plan: &str, missed: bool) {
        self.searches_repeated.with_label_values(&[plan, if missed { "missed" } else { "right" }]).inc();
        let [right, missed] =
            ["right", "missed"].map(|outcome| self.searches_repeated.with_label_values(&[plan, outcome]).get() as f64);
        self.search_recall.with_label_values(&[plan]).set(right / (right + missed));
    }

    /// All metrics in Prometheus's text format.
    ///
    /// # Errors
    /// `Internal` if they cannot be encoded.
    pub fn render(&self) -> Result<String> {
        render(&self.registry)
    }
}

fn render(registry: &Registry) -> Result<String> {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .map_err(|error| Error::internal("metrics cannot be encoded").with_source(error))
}

/// Makes and registers metrics with the common prefix.
struct Declare(Registry);

impl Declare {
    fn register<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> Result<C> {
        let metric = metric.map_err(|error| Error::internal("a metric is ill-formed").with_source(error))?;
        self.0
            .register(Box::new(metric.clone()))
            .map_err(|error| Error::internal("two metrics share a name").with_source(error))?;
        Ok(metric)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(prefixed(name), help), labels))
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.register(IntCounter::new(prefixed(name), help))
    }

    /// One counter for all servers of the process.
    fn of_process(&self, name: &str, help: &str, counter: &OnceLock<IntCounter>) -> Result<()> {
        let made = IntCounter::new(prefixed(name), help);
        self.register(made.map(|made| counter.get_or_init(|| made).clone()))?;
        Ok(())
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(prefixed(name), help), labels))
    }

    fn ratios(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec> {
        self.register(GaugeVec::new(Opts::new(prefixed(name), help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.register(IntGauge::new(prefixed(name), help))
    }

    fn seconds(&self, name: &str, help: &str) -> Result<Gauge> {
        self.register(Gauge::new(prefixed(name), help))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec> {
        self.histogram_vec(name, help, labels, SECONDS)
    }

    fn histogram_vec(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec> {
        let options = HistogramOpts::new(prefixed(name), help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(options, labels))
    }

    fn histogram(&self, name: &str, help: &str) -> Result<Histogram> {
        self.register(Histogram::with_opts(HistogramOpts::new(prefixed(name), help).buckets(SECONDS.to_vec())))
    }
}

fn prefixed(name: &str) -> String {
    format!("rollcall_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_metric() {
        let metrics = Metrics::new().unwrap();
        let readme = include_str!("../../README.md");
        for name in declared_names() {
            assert!(readme.contains(&format!("`rollcall_{name}`")), "{name}");
        }
        assert!(metrics.render().unwrap().contains("rollcall_build_info"));
    }

    /// The names in this very file: the one place that declares metrics.
    fn declared_names() -> Vec<&'static str> {
        let source = include_str!("metrics.rs").split("#[cfg(test)]").next().unwrap();
        let after_open = |call: &'static str| call.trim_start().strip_prefix('"')?.split('"').next();
        let names: Vec<_> =
            source.split("declare.").skip(1).filter_map(|call| after_open(call.split_once('(')?.1)).collect();
        assert!(names.len() > 10);
        names
    }
}
