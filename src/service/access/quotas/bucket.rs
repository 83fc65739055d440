//! A bucket of tokens that fills as time passes: a second's worth at most, one for each request.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

/// What a bucket holds, as the time in which it fills.
const CAPACITY: Duration = Duration::from_secs(1);

/// See the module. A new one is full.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// When it will be full again; none, or in the past, where it is.
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one of the tokens that come at `rate` a second, or says after what time there will be one.
    pub(super) fn take(&mut self, rate: NonZeroU64, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        let taken = full_at - now + CAPACITY.div_f64(rate.get() as f64);
        match taken.checked_sub(CAPACITY) {
            Some(missing) if missing > Duration::from_micros(1) => Err(missing),
            // Less than a rounding error.
            _ => {
                self.full_at = Some(now + taken);
                Ok(())
            }
        }
    }

    /// Whether it is as good as a new one.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_so_many_a_second() {
        let start = Instant::now();
        for rate in [1, 3, 7, 1000].map(|rate| NonZeroU64::new(rate).unwrap()) {
            let mut bucket = Bucket::default();
            assert!(bucket.is_full(start));
            for n in 0..rate.get() {
                assert_eq!(bucket.take(rate, start), Ok(()), "{n} of {rate}");
            }
            let wait = bucket.take(rate, start).unwrap_err();
            assert!(wait.as_secs_f64() * rate.get() as f64 > 0.99 && wait <= Duration::from_secs(1), "{wait:?}");
            assert_eq!(bucket.take(rate, start + wait), Ok(()), "after the time that it said");
            assert!(bucket.take(rate, start + wait).is_err(), "which is one token's");
            // Ten seconds fill it with a second's worth, not with ten.
            let later = start + Duration::from_secs(10);
            assert!(bucket.is_full(later) && !bucket.is_full(start));
            let taken = (0..2 * rate.get()).filter(|_| bucket.take(rate, later).is_ok()).count() as u64;
            assert_eq!(taken, rate.get());
        }
    }
}
