//! What the tests share: servers of their own, a client, images.

pub(crate) mod api;
pub(crate) mod callers;
pub(crate) mod description;
pub(crate) mod disk;
pub(crate) mod files;
pub(crate) mod images;
pub(crate) mod metrics;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod rosters;
pub(crate) mod routes;
pub(crate) mod server;

use std::time::{Duration, Instant};

use futures_util::future::join;

pub(crate) use self::{
    api::{Answer, Api, form},
    disk::Disk,
    images::{class_photo, portrait},
    metrics::Metrics,
    process::ServerProcess,
    server::TestServer,
};

/// When a test stops waiting for something that must come; far beyond what any machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Holds one request at `point` while `meanwhile` runs, and lets it go on.
pub(crate) async fn held<T>(
    server: &TestServer,
    point: &str,
    request: impl Future<Output = T>,
    meanwhile: impl Future<Output = ()>,
) -> T {
    let gate = server.faults.block(point);
    let meanwhile = async {
        eventually("the request is midway", async || server.faults.waiting_at(point) > 0).await;
        gate.hold_only_those_present();
        meanwhile.await;
        drop(gate);
    };
    join(request, meanwhile).await.0
}

/// Returns once `holds`; fails the test, naming `what`, if it never does.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
