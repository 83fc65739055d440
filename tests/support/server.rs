//! Servers in this process: each with its own data folder, port, thread and actix system.

use std::{
    fs,
    net::TcpListener,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rollcall::{
    app::App,
    config::Settings,
    runtime::{ByteBudget, Faults, Shutdown},
    store::{Store, StoreOptions},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::{Answer, Api, Metrics, PATIENCE, eventually, form, portrait};

/// Small enough for many servers side by side, patient enough for a loaded machine.
const SETTINGS: [(&str, &str); 5] = [
    ("server.http_threads", "2"),
    ("pipeline.compute_threads", "2"),
    ("pipeline.admission_wait_ms", "60000"),
    ("detect.long_side_px", "640"),
    ("store.cache_bytes", "8388608"),
];

/// A server that serves until it is dropped.
pub(crate) struct TestServer {
    /// A client with the key of the tenant `default`.
    pub(crate) api: Api,
    /// The faults planted in this server.
    pub(crate) faults: Faults,
    /// The memory of its door.
    pub(crate) budget: ByteBudget,
    threads: NonZeroUsize,
    running: Running,
    data: Arc<TempDir>,
}

/// What ends the server; dropped before the data folder goes.
struct Running {
    shutdown: Shutdown,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// A server of its own for one test.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with settings that differ: `("limits.body_bytes", "1000")`.
    pub(crate) async fn with(settings: &[(&'static str, &str)]) -> Self {
        Self::on(Arc::new(tempfile::tempdir().unwrap()), settings).await
    }

    /// Ends this server and starts another on the same data.
    pub(crate) async fn restart(self) -> Self {
        let data = Arc::clone(&self.data);
        drop(self);
        Self::on(data, &[]).await
    }

    /// The same with its store given to `meanwhile` between the two.
    pub(crate) async fn restart_after(self, meanwhile: impl AsyncFnOnce(Store)) -> Self {
        let data = Arc::clone(&self.data);
        drop(self);
        let options = || StoreOptions::new(data.path().join("store"));
        let mut opened = None;
        eventually("the store is free", async || {
            opened = Store::open(options()).ok();
            opened.is_some()
        })
        .await;
        meanwhile(opened.unwrap()).await;
        Self::on(data, &[]).await
    }

    /// A server on a data folder that may have something in it.
    pub(crate) async fn on(data: Arc<TempDir>, settings: &[(&'static str, &str)]) -> Self {
        let mut flags = vec![("server.data", data.path().to_str().unwrap().to_owned())];
        flags.extend(SETTINGS.iter().chain(settings).map(|&(key, value)| (key, value.to_owned())));
        let settings = Settings::load(None, &flags).unwrap();
        let threads = settings.pipeline.threads();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (faults, shutdown) = (Faults::default(), Shutdown::default());
        let (built, ready) = oneshot::channel();
        let thread = thread::spawn({
            let (faults, signal) = (faults.clone(), shutdown.signal());
            move || {
                actix::System::new().block_on(async move {
                    let app = build(settings, faults).await;
                    built.send(app.services().pipeline().tools().budget.clone()).unwrap();
                    Box::pin(app.serve(listener, signal, |_| ())).await.unwrap();
                });
            }
        });
        let budget = ready.await.expect("the server starts");
        let key = read_key(data.path(), "default.key");
        let running = Running { shutdown, thread: Some(thread) };
        Self { api: Api::new(url, key), faults, budget, threads, running, data }
    }

    /// Its compute threads, which the capacities of some stages go by.
    pub(crate) fn compute_threads(&self) -> NonZeroUsize {
        self.threads
    }

    /// Where it keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.path().to_owned()
    }

    /// Asks it to end, without waiting for it.
    pub(crate) fn ask_to_stop(&self) {
        self.running.shutdown.trigger();
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.running.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// A client with the operator's key.
    pub(crate) fn operator(&self) -> Api {
        self.api.with_key(&read_key(self.data.path(), "operator.key"))
    }

    /// A client with a new key of the role `metrics`.
    pub(crate) async fn metrics_key(&self) -> Api {
        let new = json!({ "name": "Prometheus", "role": "metrics" });
        let made = self.operator().post("/api/v1/keys", &new).await.expect(201);
        self.api.with_key(made["key"].as_str().unwrap())
    }

    /// A new tenant's client.
    pub(crate) async fn tenant(&self, id: &str) -> Api {
        let made = self.operator().post("/api/v1/tenants", &json!({ "id": id, "name": id })).await.expect(201);
        self.api.with_key(made["key"].as_str().unwrap())
    }

    /// What `/metrics` says now; the operator's key reads it whatever becomes of tenants.
    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.operator().get("/metrics").await.text())
    }

    /// Returns once no photo is inside and all memory came back: an answer may be there a moment before its photo's
    /// place is free.
    pub(crate) async fn is_idle(&self) {
        eventually("no photo is inside and no memory is held", async || {
            self.metrics().await.count("stage_in_flight", &[]) == 0 && self.budget.used() == 0
        })
        .await;
    }

    /// Whether it calls itself ready.
    pub(crate) async fn is_ready(&self) -> bool {
        self.api.get("/health/ready").await.status == 200
    }
}

/// Builds the server. One that has just ended on the same data may hold its store for a moment longer.
async fn build(settings: Settings, faults: Faults) -> App {
    let begun = Instant::now();
    loop {
        match App::build(settings.clone(), faults.clone()).await {
            Err(error) if error.code() == "store_locked" && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            built => return built.unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.trigger();
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(!matches!(ended, Some(Err(_))), "the server's thread panicked");
        }
    }
}

/// The key in a file of the data folder.
pub(crate) fn read_key(data: &Path, file: &str) -> String {
    fs::read_to_string(data.join(file)).unwrap().trim().to_owned()
}

impl Api {
    /// Makes the group `id`.
    pub(crate) async fn group(&self, id: &str) -> Value {
        self.post("/api/v1/groups", &json!({ "id": id, "name": id })).await.expect(201)
    }

    /// Enrols `id` into `groups` from a portrait of the fixtures.
    pub(crate) async fn enrol(&self, id: &str, groups: &[&str], shot: &str) -> Value {
        let mut fields = vec![("id", id), ("name", id)];
        fields.extend(groups.iter().map(|group| ("groups", *group)));
        self.post_form("/api/v1/people", form(&fields, &[&portrait(shot)])).await.expect(201)
    }

    /// Recognises `photos` in `group`.
    pub(crate) async fn recognize(&self, group: &str, fields: &[(&str, &str)], photos: &[&[u8]]) -> Answer {
        self.post_form(&format!("/api/v1/groups/{group}/recognize"), form(fields, photos)).await
    }

    /// The records of `group` on the day that `query` names, or today.
    pub(crate) async fn records(&self, group: &str, query: &str) -> Vec<Value> {
        let day = self.get(&format!("/api/v1/groups/{group}/attendance{query}")).await.expect(200);
        day["records"].as_array().unwrap().clone()
    }
}
