//! Where the work of a task comes from: the request that it is done for, and the request's [`Claim`](super::Claim).

use std::sync::Arc;

use jiff::Timestamp;
use tracing::Instrument;

use super::answers::{current_claim, under_claim};

tokio::task_local! {
    static REQUEST: Arc<str>;
}

/// When an operation is done, and for which request.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    pub(super) at: Timestamp,
    /// None for what the machine does by itself.
    pub(super) request_id: Option<Arc<str>>,
}

/// The id of the request that the current task works for.
pub(super) fn current_request() -> Option<Arc<str>> {
    REQUEST.try_with(Arc::clone).ok()
}

/// Runs `work` for the request of this id, which the audit log names with all that it changes. A task that it spawns has
/// to be [`carried`].
pub async fn under_request<F: Future>(id: Option<Arc<str>>, work: F) -> F::Output {
    match id {
        Some(id) => REQUEST.scope(id, work).await,
        None => work.await,
    }
}

/// `work` for another task, where it is done for the request, under the claim and in the span of the current one.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let (request, claim) = (current_request(), current_claim());
    under_request(request, under_claim(claim, work)).in_current_span()
}
