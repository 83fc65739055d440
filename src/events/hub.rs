//! Who listens at this moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::IntGaugeVec;
use tokio::sync::{broadcast, watch};

use crate::{
    domain::{Actor, JobProgress, TenantId},
    error::{Error, ErrorKind, Result},
};

/// Reports on jobs that a listener may be behind; older ones are worth nothing.
const PROGRESS_BEHIND: usize = 16;

/// How a listener is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Server-sent events.
    Sse,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    /// As a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
        }
    }
}

/// The listeners of one server. Clones share them.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    max_streams: usize,
    open: IntGaugeVec,
    closing: watch::Sender<bool>,
    tenants: Mutex<HashMap<TenantId, Audience>>,
}

/// The listeners of a tenant, of whom there is at least one.
struct Audience {
    streams: usize,
    /// The same by whose they are; none of them 0.
    by_actor: HashMap<Actor, usize>,
    progress: broadcast::Sender<JobProgress>,
}

impl Hub {
    /// For `max_streams` listeners a tenant, half of them at most of one user or key; `open` counts them by transport.
    pub fn new(max_streams: usize, open: IntGaugeVec) -> Self {
        let closing = watch::Sender::new(false);
        Self { shared: Arc::new(Shared { max_streams, open, closing, tenants: Mutex::default() }) }
    }

    /// A place for a listener.
    ///
    /// # Errors
    /// `Overloaded` `too_many_streams`.
    pub fn enter(&self, tenant: &TenantId, actor: &Actor, transport: Transport) -> Result<Place> {
        let mut tenants = self.shared.tenants();
        let audience = tenants.get(tenant);
        let streams = audience.map_or(0, |audience| audience.streams);
        let own = audience.and_then(|audience| audience.by_actor.get(actor)).copied().unwrap_or(0);
        let full = |message: String| Err(Error::new(ErrorKind::Overloaded, message).with_code("too_many_streams"));
        if streams >= self.shared.max_streams {
            return full(format!("{streams} streams of this tenant are open: close one first"));
        }
        if own >= self.shared.max_streams.div_ceil(2) {
            return full(format!("{own} of your streams are open, half of what the tenant may have: close one first"));
        }
        let audience = tenants.entry(tenant.clone()).or_insert_with(Audience::new);
        audience.streams += 1;
        *audience.by_actor.entry(actor.clone()).or_default() += 1;
        self.shared.open.with_label_values(&[transport.name()]).inc();
        Ok(Place {
            shared: Arc::clone(&self.shared),
            tenant: tenant.clone(),
            actor: actor.clone(),
            transport,
            progress: audience.progress.subscribe(),
            closing: self.shared.closing.subscribe(),
        })
    }

    /// Tells the tenant's listeners how far a job has come.
    pub fn tell_progress(&self, tenant: &TenantId, progress: JobProgress) {
        if let Some(audience) = self.shared.tenants().get(tenant) {
            // Fails only where the last of them is just leaving.
            let _ = audience.progress.send(progress);
        }
    }

    /// Ends all streams, for good.
    pub fn close(&self) {
        self.shared.closing.send_replace(true);
    }
}

impl Audience {
    fn new() -> Self {
        Self { streams: 0, by_actor: HashMap::new(), progress: broadcast::Sender::new(PROGRESS_BEHIND) }
    }
}

impl Shared {
    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Audience>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a listener hears beside the log, and their place among the listeners until it is dropped.
pub struct Place {
    shared: Arc<Shared>,
    tenant: TenantId,
    actor: Actor,
    transport: Transport,
    progress: broadcast::Receiver<JobProgress>,
    closing: watch::Receiver<bool>,
}

/// What is heard beside the log.
pub enum Heard {
    /// How far a job has come.
    Progress(JobProgress),
    /// All streams end.
    Closing,
}

impl Place {
    /// The next thing heard. May be given up while it waits.
    pub async fn hear(&mut self) -> Heard {
        loop {
            tokio::select! {
                // An error means that the hub is gone.
                _ = self.closing.wait_for(|closing| *closing) => return Heard::Closing,
                progress = self.progress.recv() => match progress {
                    Ok(progress) => return Heard::Progress(progress),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Heard::Closing,
                },
            }
        }
    }

    /// Whether all streams are to end.
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.open.with_label_values(&[self.transport.name()]).dec();
        let mut tenants = self.shared.tenants();
        if let Some(audience) = tenants.get_mut(&self.tenant) {
            audience.streams -= 1;
            if let Some(own) = audience.by_actor.get_mut(&self.actor) {
                *own -= 1;
                if *own == 0 {
                    audience.by_actor.remove(&self.actor);
                }
            }
            if audience.streams == 0 {
                tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;
    use crate::domain::{JobId, JobState};

    #[tokio::test]
    async fn places_are_limited_by_tenant_and_by_user_and_come_back() {
        let open = IntGaugeVec::new(Opts::new("open", "open"), &["transport"]).unwrap();
        let hub = Hub::new(3, open.clone());
        let (one, other): (TenantId, TenantId) = ("one".parse().unwrap(), "other".parse().unwrap());
        let [ada, bea, eve] = ["ada", "bea", "eve"].map(|user| Actor::User(user.parse().unwrap()));
        let refused = |actor| hub.enter(&one, actor, Transport::Sse).err().map(|error| error.code());
        let mut first = hub.enter(&one, &ada, Transport::Sse).unwrap();
        let second = hub.enter(&one, &ada, Transport::WebSocket).unwrap();
        assert_eq!(refused(&ada), Some("too_many_streams"), "the rest is for others");
        let third = hub.enter(&one, &bea, Transport::WebSocket).unwrap();
        assert_eq!(refused(&eve), Some("too_many_streams"));
        let mut theirs = hub.enter(&other, &ada, Transport::Sse).unwrap();
        assert_eq!(open.with_label_values(&["sse"]).get(), 2);
        drop((second, third));
        assert_eq!((refused(&ada), refused(&eve)), (None, None));
        let progress = JobProgress { job: JobId::generate(), group: None, state: JobState::Running, done: 1, total: 2 };
        hub.tell_progress(&one, progress.clone());
        assert!(matches!(first.hear().await, Heard::Progress(heard) if heard == progress));
        hub.close();
        assert!(matches!(theirs.hear().await, Heard::Closing) && theirs.is_closing());
        drop((first, theirs));
        assert!(hub.shared.tenants().is_empty() && open.with_label_values(&["sse"]).get() == 0);
    }
}
