//! One search over all threads: the queries are cut into tasks that the compute pool runs. The one that ends last goes
//! on with what all have found, so that nobody queues a second time for the little that is left to do.

use std::{
    num::NonZeroUsize,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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
    /// Searches on the threads of `pool`, where `conclude` makes something of the result before a thread is given back.
    /// Every query sees all changes that were made before this was called; two may differ in whether they see one that
    /// is made meanwhile.
    ///
    /// Errors: those of [`Self::search`] inside, those of the pool outside.
    pub async fn search_on<T: Send + 'static>(
        self: &Arc<Self>,
        pool: &ComputePool,
        job: JobSpec,
        request: SharedRequest,
        conclude: impl FnOnce(SearchResult) -> T + Send + 'static,
    ) -> Result<Timed<Result<T>>, ComputeError> {
        let parts: Vec<_> = self.parts(&request, pool.num_threads()).into_iter().enumerate().collect();
        let gathering = Mutex::new(Gathering::new(parts.len(), conclude));
        let gallery = Arc::clone(self);
        let search = move |(place, part): (usize, Range<usize>)| {
            let found = gallery.part(&request, part);
            // A panic under the lock would be a bug in this file, and fails the search in any case.
            let whole = gathering.lock().unwrap_or_else(PoisonError::into_inner).add(place, found);
            whole.map(|(parts, conclude)| joined(parts).map(conclude))
        };
        let search = move |parts: Vec<_>| parts.into_iter().map(&search).collect();
        let Timed { value, queued, worked } = pool.scatter(job, parts, NonZeroUsize::MIN, search).await?;
        let none = || Err(Error::internal("a search came back without a result"));
        Ok(Timed { value: value.into_iter().flatten().next().unwrap_or_else(none), queued, worked })
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

/// What the parts of a search have found so far, and what comes after the last of them.
struct Gathering<F> {
    parts: Vec<Option<Result<SearchResult>>>,
    conclude: Option<F>,
}

impl<F> Gathering<F> {
    fn new(num_parts: usize, conclude: F) -> Self {
        Self { parts: (0..num_parts).map(|_| None).collect(), conclude: Some(conclude) }
    }

    /// Takes a part. Whoever brings the last one gets all of them, in order.
    fn add(&mut self, place: usize, found: Result<SearchResult>) -> Option<(Vec<Result<SearchResult>>, F)> {
        self.parts[place] = Some(found);
        let whole = self.parts.iter().all(Option::is_some);
        let conclude = self.conclude.take_if(|_| whole)?;
        Some((self.parts.drain(..).flatten().collect(), conclude))
    }
}

/// The results of one request's parts as one. The plan is that of the first; a gallery that grows past a crossover
/// meanwhile may have searched others by another. Errors: the first part's that has one.
fn joined(parts: Vec<Result<SearchResult>>) -> Result<SearchResult> {
    let parts: Vec<SearchResult> = parts.into_iter().collect::<Result<_>>()?;
    let whole = parts.into_iter().reduce(|mut all, part| {
        all.per_query.extend(part.per_query);
        all.effort.rows_compared += part.effort.rows_compared;
        all
    });
    whole.ok_or_else(|| Error::internal("a search was cut into no parts"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{planner::Plan, tenant::Effort};

    #[test]
    fn whoever_brings_the_last_part_concludes() {
        let part = |rows| SearchResult {
            per_query: vec![vec![]; rows],
            effort: Effort { plan: Plan::Codes, rows_scanned: 9, rows_compared: rows },
        };
        let mut gathering = Gathering::new(3, ());
        assert!(gathering.add(2, Ok(part(3))).is_none() && gathering.add(0, Ok(part(1))).is_none());
        let (parts, ()) = gathering.add(1, Ok(part(2))).unwrap();
        let compared: Vec<_> = parts.iter().map(|part| part.as_ref().unwrap().effort.rows_compared).collect();
        assert_eq!(compared, [1, 2, 3]);
        let whole = joined(parts).unwrap();
        assert_eq!((whole.per_query.len(), whole.effort.rows_compared, whole.effort.rows_scanned), (6, 6, 9));
        assert_eq!(joined(vec![Ok(part(1)), Err(Error::invalid("bad"))]).unwrap_err().message(), "bad");
    }
}
