//! One search over all threads: the queries are cut into tasks that the compute pool runs.

use std::{num::NonZeroUsize, ops::Range, sync::Arc, time::Duration};

use super::tenant::{SearchRequest, SearchResult, TenantGallery};
use domain::PersonId;
use error::{Error, Result};
use runtime::{ComputeError, ComputePool, JobSpec, Timed};

/// No task should take longer: whoever is more urgent waits for it.
const LONGEST_TASK: Duration = Duration::from_millis(10);
/// Less is not worth another thread.
const SHORTEST_TASK: Duration = Duration::from_micros(200);

/// What to search for, with everything that a task on another thread needs.
#[derive(Debug, Clone)]
pub struct SharedRequest {
    /// Unit vectors, one after the other.
    pub queries: Arc<[f32]>,
    /// At most this many people for each query.
    pub top: usize,
    /// Only these people, see [`SearchRequest::roster`].
    pub roster: Option<Arc<[PersonId]>>,
}

impl TenantGallery {
    /// Searches on the threads of `pool`. Every query sees all changes that were made before this was called; two may
    /// differ in whether they see one that is made meanwhile.
    ///
    /// Errors: those of [`Self::search`] inside, those of the pool outside.
    pub async fn search_on(
        self: &Arc<Self>,
        pool: &ComputePool,
        job: JobSpec,
        request: SharedRequest,
    ) -> Result<Timed<Result<SearchResult>>, ComputeError> {
        let parts = self.parts(&request, pool.num_threads());
        let gallery = Arc::clone(self);
        let search =
            move |parts: Vec<Range<usize>>| parts.into_iter().map(|part| gallery.part(&request, part)).collect();
        let timed = pool.scatter(job, parts, NonZeroUsize::MIN, search).await?;
        let none = || Error::internal("a search came back without a result");
        let value = timed.value.into_iter().collect::<Result<_>>().and_then(|parts| joined(parts).ok_or_else(none));
        Ok(Timed { value, queued: timed.queued, worked: timed.worked })
    }

    /// Where in the request's numbers each task's queries lie.
    fn parts(&self, request: &SharedRequest, num_threads: usize) -> Vec<Range<usize>> {
        let dimension = self.dimension();
        let num_queries = request.queries.len().div_ceil(dimension);
        let expected = if request.roster.is_some() { Duration::ZERO } else { self.expected_cost(num_queries) };
        let at_most = expected.as_nanos().div_ceil(SHORTEST_TASK.as_nanos()).max(1) as usize;
        let at_least = expected.as_nanos().div_ceil(LONGEST_TASK.as_nanos()) as usize;
        let tasks = num_threads.min(at_most).max(at_least).min(num_queries).max(1);
        let bound = |task: usize| (num_queries * task / tasks * dimension).min(request.queries.len());
        (0..tasks).map(|task| bound(task)..bound(task + 1)).collect()
    }

    fn part(&self, request: &SharedRequest, part: Range<usize>) -> Result<SearchResult> {
        let SharedRequest { queries, top, roster } = request;
        self.search(&SearchRequest { queries: &queries[part], top: *top, roster: roster.as_deref() })
    }
}

/// The results of one request's parts as one. The plan is that of the first; a gallery that grows past a crossover
/// meanwhile may have searched others by another.
fn joined(parts: Vec<SearchResult>) -> Option<SearchResult> {
    parts.into_iter().reduce(|mut all, part| {
        all.per_query.extend(part.per_query);
        all.effort.rows_compared += part.effort.rows_compared;
        all
    })
}
