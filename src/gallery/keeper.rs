//! Keeps the graphs of galleries: takes them from their snapshots, builds them anew where too much has changed since,
//! and stores what it has built. One thread for all galleries, one gallery at a time: a build takes minutes of one
//! core, and searches go on without it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{self, Runtime},
    sync::watch,
};

use super::{
    exact,
    graph::{self, Graph, GraphOptions},
    products::products,
    ranking::{Best, named},
    snapshot::{self, Doubt, Fingerprint},
    tenant::TenantGallery,
    view::View,
};
use crate::{
    domain::{Candidate, FaceId, TenantScope},
    error::{Error, Result},
    store::Store,
};

/// See the module. Dropping it calls off what it does and waits for its thread.
pub(super) struct Keeper {
    store: Store,
    closing: watch::Sender<bool>,
    worker: Mutex<Option<Worker>>,
}

/// The thread, which is there once a gallery has asked for a graph.
struct Worker {
    galleries: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

/// A gallery whose graph wants looking after. Each is queued once at most, see [`TenantGallery::asks_for_graph`].
struct Job {
    scope: TenantScope,
    gallery: Weak<TenantGallery>,
}

impl Keeper {
    pub(super) fn new(store: Store) -> Self {
        Self { store, closing: watch::Sender::new(false), worker: Mutex::default() }
    }

    /// Looks after the gallery's graph soon, if it needs that. Returns at once; cheap where nothing is to be done.
    pub(super) fn tend(&self, scope: &TenantScope, gallery: &Arc<TenantGallery>) {
        if !gallery.asks_for_graph() {
            return;
        }
        let job = Job { scope: scope.clone(), gallery: Arc::downgrade(gallery) };
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let queued = match &*worker {
            Some(worker) => worker.galleries.send(job).is_ok(),
            None => self.start().is_ok_and(|started| worker.insert(started).galleries.send(job).is_ok()),
        };
        if !queued {
            tracing::warn!("no thread to build a graph on: searches go on without it");
        }
    }

    fn start(&self) -> Result<Worker> {
        let (galleries, jobs) = mpsc::channel::<Job>();
        let failed = |error| Error::internal("cannot start the thread that keeps graphs").with_source(error);
        let hands = Hands {
            store: self.store.clone(),
            closing: self.closing.subscribe(),
            // The store's operations are async; what they wait for is done elsewhere.
            runtime: runtime::Builder::new_current_thread().build().map_err(failed)?,
        };
        let work = move || jobs.iter().for_each(|job| hands.tend(&job));
        let thread = thread::Builder::new().name("gallery-keeper".into()).spawn(work).map_err(failed)?;
        Ok(Worker { galleries, thread })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.closing.send_replace(true);
        let worker = self.worker.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Worker { galleries, thread }) = worker {
            drop(galleries);
            // A panic has been reported by the hook already.
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct Hands {
    store: Store,
    closing: watch::Receiver<bool>,
    runtime: Runtime,
}

impl Hands {
    fn tend(&self, job: &Job) {
        let Some(gallery) = job.gallery.upgrade() else { return };
        if gallery.view().graph.is_none() {
            self.restore(&job.scope, &gallery);
        }
        drop(gallery);
        while let Some(gallery) = job.gallery.upgrade() {
            if !gallery.needs_graph() {
                gallery.graph_was_tended();
                return;
            }
            let view = gallery.view();
            drop(gallery);
            match self.build(job, &view) {
                Ok(Some(graph)) => self.take(job, &view, graph),
                // Called off, or there is no thread to build on: the gallery's next change asks again.
                outcome => {
                    if let Err(error) = outcome {
                        tracing::warn!(%error, "a graph cannot be built: searches go on without it");
                    }
                    job.gallery.upgrade().inspect(|gallery| gallery.graph_was_tended());
                    return;
                }
            }
        }
    }

    /// Takes the graph from the tenant's snapshot, if there is one that can be used.
    fn restore(&self, scope: &TenantScope, gallery: &TenantGallery) {
        let doubt = match self.unless_closing(self.store.snapshot(scope)) {
            None | Some(Ok(None)) => return,
            Some(Ok(Some(bytes))) => match take_snapshot(gallery, &bytes) {
                Ok(()) if gallery.needs_graph() => "too much has changed since".to_owned(),
                Ok(()) => return,
                Err(doubt) => doubt.to_string(),
            },
            Some(Err(error)) => error.to_string(),
        };
        tracing::warn!(doubt, "the snapshot of a graph is not used: the graph is built anew");
    }

    fn build(&self, job: &Job, view: &View) -> Result<Option<Graph>> {
        let Some(options) = job.gallery.upgrade().map(|gallery| gallery.options().graph) else { return Ok(None) };
        built(options, view, || *self.closing.borrow() || job.gallery.strong_count() == 0)
    }

    /// Gives the gallery its new graph and stores it.
    fn take(&self, job: &Job, view: &View, graph: Graph) {
        let Some(gallery) = job.gallery.upgrade() else { return };
        let bytes = snapshot::encode(&graph, gallery.model(), |row| fingerprint(view, row));
        if !gallery.set_graph(graph, view) {
            // The rows were renumbered meanwhile. The snapshot knows them by their samples.
            let _ = take_snapshot(&gallery, &bytes);
        }
        drop(gallery);
        if let Some(Err(error)) = self.unless_closing(self.store.put_snapshot(&job.scope, bytes.into())) {
            tracing::warn!(%error, "the snapshot of a graph cannot be stored: the next start builds it anew");
        }
    }

    /// What `work` gives, unless the end comes first.
    fn unless_closing<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut closing = self.closing.clone();
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => None,
                done = work => Some(done),
            }
        })
    }
}

/// A graph over the rows of `view`; see [`graph::build`].
fn built(options: GraphOptions, view: &View, is_called_off: impl Fn() -> bool + Send + Sync) -> Result<Option<Graph>> {
    let similarity = |a: u32, b: u32| {
        let mut similarity = [0.0];
        products(&[view.vector(a)], &[view.vector(b)], &mut similarity);
        similarity[0]
    };
    let rows: Vec<u32> = view.live_rows().collect();
    graph::build(options, &rows, similarity, is_called_off)
}

impl TenantGallery {
    /// Builds the graph now, whatever the plan, and returns its snapshot: for measurements. Blocks for minutes where
    /// there are many rows.
    pub fn build_graph(&self) -> Result<Vec<u8>> {
        let view = self.view();
        let graph = built(self.options().graph, &view, || false)?;
        let graph = graph.ok_or_else(|| Error::invalid("an empty gallery has no graph"))?;
        let bytes = snapshot::encode(&graph, self.model(), |row| fingerprint(&view, row));
        self.set_graph(graph, &view);
        Ok(bytes)
    }

    /// Takes the graph of a snapshot: for measurements.
    ///
    /// # Errors
    /// `Storage` for a snapshot that cannot be used.
    pub fn restore_graph(&self, snapshot: &[u8]) -> Result<()> {
        take_snapshot(self, snapshot).map_err(|doubt| Error::storage(format!("the snapshot is not used: {doubt}")))
    }

    /// The best that the graph finds without the codes beside it: for measurements, as no search goes by it.
    pub fn search_graph_alone(&self, query: &[f32]) -> Option<Candidate> {
        let view = self.view();
        let rows = graph::near(&view, view.graph.as_ref()?, query, self.options().ef_search);
        let mut best = Best::new(&view, 1);
        exact::compare_rows(&view, &rows, &[query], std::slice::from_mut(&mut best));
        named(&view, vec![best.into_hits()], HashMap::new()).into_iter().flatten().next()
    }
}

/// What names a row in a snapshot.
fn fingerprint(view: &View, row: u32) -> Fingerprint {
    Fingerprint::new(view.face(row), view.vector(row))
}

/// Gives the gallery the graph of a snapshot, over the rows that it has now.
fn take_snapshot(gallery: &TenantGallery, bytes: &[u8]) -> Result<(), Doubt> {
    let view = gallery.view();
    let rows: HashMap<FaceId, u32> = view.live_rows().map(|row| (view.face(row), row)).collect();
    let graph = snapshot::decode(bytes, gallery.model(), gallery.options().graph, |found| {
        rows.get(&found.face).copied().filter(|&row| fingerprint(&view, row) == found)
    })?;
    // If the rows are renumbered just now, the graph is built anew.
    gallery.set_graph(graph, &view);
    Ok(())
}
