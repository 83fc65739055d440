//! One caller's many items over all threads.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::future::try_join_all;

use super::{ComputeError, ComputePool, JobSpec, Timed};

impl ComputePool {
    /// Cuts `items` into chunks of nearly equal size, each at most `max_chunk` items and, where there are items
    /// enough, at least one chunk a thread; runs `work` on each chunk as a task of its own; returns the results in
    /// the order of the items.
    ///
    /// The first chunk that fails fails the whole and takes those that have not started out of the queue.
    /// `queued` is the longest wait of a chunk, `worked` the sum over the chunks.
    pub async fn scatter<I, O>(
        &self,
        job: JobSpec,
        items: Vec<I>,
        max_chunk: NonZeroUsize,
        work: impl Fn(Vec<I>) -> Vec<O> + Send + Sync + 'static,
    ) -> Result<Timed<Vec<O>>, ComputeError>
    where
        I: Send + 'static,
        O: Send + 'static,
    {
        let num_items = items.len();
        let work = Arc::new(work);
        let chunks = split_evenly(items, max_chunk, self.num_threads());
        let tasks = chunks.into_iter().map(|chunk| {
            let work = Arc::clone(&work);
            self.run(job.clone(), move || work(chunk))
        });
        let mut gathered =
            Timed { value: Vec::with_capacity(num_items), queued: Duration::ZERO, worked: Duration::ZERO };
        for part in try_join_all(tasks).await? {
            gathered.value.extend(part.value);
            gathered.queued = gathered.queued.max(part.queued);
            gathered.worked += part.worked;
        }
        Ok(gathered)
    }
}

/// Chunks whose sizes differ by at most one, in order.
fn split_evenly<I>(items: Vec<I>, max_chunk: NonZeroUsize, num_threads: usize) -> Vec<Vec<I>> {
    let num_items = items.len();
    let num_chunks = num_items.div_ceil(max_chunk.get()).max(num_threads.min(num_items));
    let mut items = items.into_iter();
    (0..num_chunks)
        .map(|index| {
            let size = num_items * (index + 1) / num_chunks - num_items * index / num_chunks;
            items.by_ref().take(size).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_are_even_in_order_and_within_the_limit(
            num_items in 0_usize..200, max_chunk in 1_usize..40, num_threads in 1_usize..9,
        ) {
            let items: Vec<_> = (0..num_items).collect();
            let chunks = split_evenly(items.clone(), NonZeroUsize::new(max_chunk).unwrap(), num_threads);
            let sizes: Vec<_> = chunks.iter().map(Vec::len).collect();
            prop_assert_eq!(chunks.concat(), items);
            if let (Some(&most), Some(&least)) = (sizes.iter().max(), sizes.iter().min()) {
                prop_assert!(most <= max_chunk && most - least <= 1 && least > 0);
            }
            prop_assert!(sizes.len() >= num_threads.min(num_items));
        }
    }
}
