//! Keeps the graphs of galleries: takes them from their snapshots, builds them anew where too much has changed since,
//! and stores what it has built. One thread for all galleries, one gallery at a time: a build takes minutes of one
//! core, and searches go on without it.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{self, Runtime},
    sync::watch,
};

use crate::{
    domain::TenantScope,
    error::{Error, Result},
    gallery::TenantGallery,
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
        if gallery.graph_reach().is_none() {
            self.restore(&job.scope, &gallery);
        }
        drop(gallery);
        while let Some(gallery) = job.gallery.upgrade() {
            if !gallery.needs_graph() {
                gallery.graph_was_tended();
                return;
            }
            drop(gallery);
            match TenantGallery::grow_graph(&job.gallery, || *self.closing.borrow()) {
                Ok(Some(snapshot)) => self.keep(&job.scope, snapshot),
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
            Some(Ok(Some(bytes))) => match gallery.restore_graph(&bytes) {
                Ok(()) if gallery.needs_graph() => "too much has changed since".to_owned(),
                Ok(()) => return,
                Err(doubt) => doubt.to_string(),
            },
            Some(Err(error)) => error.to_string(),
        };
        tracing::warn!(doubt, "the snapshot of a graph is not used: the graph is built anew");
    }

    fn keep(&self, scope: &TenantScope, snapshot: Vec<u8>) {
        if let Some(Err(error)) = self.unless_closing(self.store.put_snapshot(scope, snapshot.into())) {
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
