//! The end of the server as its requests see it: once it is leaving, every answer closes its connection, and who has no
//! answer at the deadline is told so instead of being cut off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::error::{Error, ErrorKind};

/// No request has begun for so long: what had come when the wait began has been read.
const QUIET: Duration = Duration::from_millis(100);

/// As good as for ever, and no moment too far for the clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// See the module. Clones leave together.
#[derive(Debug, Clone)]
pub struct Leaving {
    deadline: watch::Sender<Option<Instant>>,
    begun: Arc<AtomicU64>,
}

impl Default for Leaving {
    fn default() -> Self {
        Self { deadline: watch::Sender::new(None), begun: Arc::default() }
    }
}

impl Leaving {
    /// Begins to leave: requests have `patience` to be answered.
    pub fn begin(&self, patience: Duration) {
        self.deadline.send_replace(Some(Instant::now() + patience.min(LONGEST)));
    }

    /// Waits until no more requests begin, for at most `patience`.
    pub async fn quiet(&self, patience: Duration) {
        let quiet = async {
            loop {
                let begun = self.begun.load(Ordering::Acquire);
                sleep(QUIET).await;
                if self.begun.load(Ordering::Acquire) == begun {
                    return;
                }
            }
        };
        // At its end, requests still come: they would come for ever.
        let _ = timeout(patience, quiet).await;
    }

    pub(super) fn note_request(&self) {
        self.begun.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.deadline.borrow().is_some()
    }

    /// `answer`, or what to say instead at the deadline.
    pub(super) async fn answered<T>(&self, answer: impl Future<Output = T>) -> Result<T, Error> {
        let mut deadline = self.deadline.subscribe();
        let over = async {
            match deadline.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline) {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            () = over => Err(Error::new(ErrorKind::Unavailable, "the server is stopping")),
        }
    }
}
