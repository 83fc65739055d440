//! Work on galleries that nobody waits for: one thread for all of them, of the lowest priority.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use super::{rebuild::rebuild, tenant::Live};

/// Where galleries announce that they want a rebuild. Clones share the thread, which is started when it is first
/// needed and ends with the last clone.
#[derive(Clone, Default)]
pub struct Upkeep {
    waiting: Arc<OnceLock<Sender<Weak<Live>>>>,
}

impl Upkeep {
    /// Has a gallery rebuilt that has too many tombstones, when its turn comes, unless it is gone by then or waits for
    /// a rebuild already.
    pub(super) fn rebuild_if_worn(&self, live: &Arc<Live>) {
        if live.is_worn() && live.claim_rebuild() {
            // Fails only where the thread could not be started: the gallery is searched with its tombstones.
            let _ = self.waiting.get_or_init(start).send(Arc::downgrade(live));
        }
    }
}

fn start() -> Sender<Weak<Live>> {
    let (sender, waiting) = channel();
    let started = thread::Builder::new().name("gallery-upkeep".into()).spawn(move || work(&waiting));
    if let Err(error) = started {
        tracing::error!(%error, "galleries cannot be rebuilt: the system gives no thread");
    }
    sender
}

fn work(waiting: &Receiver<Weak<Live>>) {
    lower_priority();
    for gallery in waiting {
        let Some(live) = gallery.upgrade() else { continue };
        // What was removed while it was being rebuilt asked for another rebuild in vain.
        while rebuild_once(&live) && live.is_worn() && live.claim_rebuild() {}
    }
}

/// Rebuilds a gallery that was claimed, and releases it; whether anybody still wanted it.
fn rebuild_once(live: &Arc<Live>) -> bool {
    // Only this thread holds on to a gallery that was unloaded or whose tenant is gone.
    let rebuilt = rebuild(live, || Arc::strong_count(live) > 1);
    live.release_rebuild();
    if let Some(rebuilt) = rebuilt {
        let (removed, pause_us) = (rebuilt.removed, rebuilt.pause.as_micros() as u64);
        tracing::debug!(removed, pause_us, "a gallery was rebuilt without its removed samples");
    }
    rebuilt.is_some()
}

/// Elsewhere a priority is that of the whole process.
#[cfg(target_os = "linux")]
pub(super) fn lower_priority() {
    const LOWEST: i32 = 19;
    // Lowering one's own priority is always allowed; if it were not, upkeep would merely be less polite.
    let _ = rustix::process::setpriority_process(None, LOWEST);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn lower_priority() {}
