//! Threads that may block.

use tokio::task::{self, JoinHandle};
use tracing::Span;

/// Runs `work` on a thread that may block, in the caller's span: what is logged there says which request it is for.
#[expect(clippy::disallowed_methods, reason = "the one place that takes the span along")]
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let span = Span::current();
    task::spawn_blocking(move || span.in_scope(work))
}
