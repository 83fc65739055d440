//! Listening: one reader's way along a tenant's log.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{sync::watch, time::sleep};

use super::{EventView, admits, is_gap};
use crate::{
    domain::{Access, EventFilter, EventKind, JobProgress, TenantScope, jobs::may_see},
    error::Result,
    events::{Heard, Place},
    service::events::Service,
};

/// Events read at once.
const PAGE: usize = 256;
/// How long a look at whether the listener is still let in is good for, where nothing new came since.
const RECHECK_EVERY: Duration = Duration::from_secs(1);

/// What a listener is told.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Told {
    /// An event of the log.
    Event(EventView),
    /// How far a job has come; it has no number and is not told again.
    Progress {
        /// `job_progress`.
        kind: EventKind,
        /// The rest.
        #[serde(flatten)]
        progress: JobProgress,
    },
    /// Events after `after` are no longer kept; what is told next comes after `next`.
    Gap {
        /// `gap`.
        kind: &'static str,
        /// What the listener said it had read.
        after: u64,
        /// Where it goes on.
        next: u64,
    },
}

impl Told {
    /// The number to resume after, if it has one.
    pub fn id(&self) -> Option<u64> {
        match self {
            Self::Event(event) => Some(event.id),
            Self::Progress { .. } => None,
            Self::Gap { next, .. } => Some(*next),
        }
    }

    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Event(event) => event.kind().name(),
            Self::Progress { kind, .. } => kind.name(),
            Self::Gap { kind, .. } => kind,
        }
    }
}

/// One listener. Holds a page of the log at most, however slow it is read.
pub struct Feed {
    service: Service,
    access: Access,
    scope: TenantScope,
    filter: EventFilter,
    place: Place,
    bell: watch::Receiver<u64>,
    /// All events up to this one were told or are `ready`.
    position: u64,
    /// What the listener says to have read, until that was compared with the log.
    resumed_after: Option<u64>,
    ready: VecDeque<Told>,
    /// When it was looked up last whether the listener is still let in; `None` where something came since. What happens
    /// after a right has ended is found after it, so nobody is told of it.
    checked_at: Option<Instant>,
}

impl Feed {
    pub(super) fn new(
        service: Service,
        access: Access,
        scope: TenantScope,
        filter: EventFilter,
        place: Place,
        bell: watch::Receiver<u64>,
        after: Option<u64>,
    ) -> Self {
        let last = *bell.borrow();
        let position = after.map_or(last, |after| after.min(last));
        Self {
            service,
            access,
            scope,
            filter,
            place,
            bell,
            position,
            resumed_after: after,
            ready: VecDeque::new(),
            checked_at: None,
        }
    }

    /// What is told next; `None` at the end: the server stops, or the listener is no longer let in. May be given up
    /// while it waits, and nothing is lost.
    pub async fn next(&mut self) -> Option<Told> {
        match self.try_next().await {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(%error, "a stream of events ends early");
                None
            }
        }
    }

    async fn try_next(&mut self) -> Result<Option<Told>> {
        loop {
            if self.place.is_closing() {
                return Ok(None);
            }
            if self.until_recheck().is_zero() {
                let now = Instant::now();
                if !self.service.store.still_grants(&self.access).await? {
                    return Ok(None);
                }
                self.checked_at = Some(now);
            }
            if let Some(told) = self.ready.pop_front() {
                return Ok(Some(told));
            }
            let last = *self.bell.borrow_and_update();
            if last > self.position || self.resumed_after.is_some() {
                self.read_to(last).await?;
            } else if !self.wait().await {
                return Ok(None);
            }
        }
    }

    /// How long it need not be looked up whether the listener is still let in.
    fn until_recheck(&self) -> Duration {
        self.checked_at.map_or(Duration::ZERO, |at| RECHECK_EVERY.saturating_sub(at.elapsed()))
    }

    /// Reads a page of what comes before `last` is told.
    async fn read_to(&mut self, last: u64) -> Result<()> {
        let store = &self.service.store;
        let page = store.events(&self.scope, self.position, last, PAGE).await?;
        let read_to = page.read_to;
        // From here on nothing waits: a reader that gives up finds it as it was, or all of it done.
        if let Some(after) = self.resumed_after.take().filter(|&after| is_gap(after, page.first, last)) {
            let next = if after > last { last } else { page.first - 1 };
            self.ready.push_back(Told::Gap { kind: "gap", after, next });
        }
        let events = page.events.into_iter().filter(|event| admits(&self.filter, event));
        self.ready.extend(events.map(|event| Told::Event(event.into())));
        self.position = read_to;
        self.checked_at = None;
        Ok(())
    }

    /// Waits for something to tell; false at the end.
    async fn wait(&mut self) -> bool {
        let recheck = sleep(self.until_recheck());
        tokio::select! {
            changed = self.bell.changed() => changed.is_ok(),
            heard = self.place.hear() => match heard {
                Heard::Closing => false,
                Heard::Progress(progress) => {
                    let group = progress.group.as_ref();
                    if self.filter.admits(EventKind::JobProgress, group) && may_see(&self.access, group) {
                        self.ready.push_back(Told::Progress { kind: EventKind::JobProgress, progress });
                        self.checked_at = None;
                    }
                    true
                }
            },
            () = recheck => true,
        }
    }
}
