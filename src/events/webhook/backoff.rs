//! How long to wait between two attempts.

use std::time::Duration;

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(3600);

/// Waits that double from `first` to an hour, each shortened at random by up to a half: receivers that came back are
/// not asked by everybody at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The wait after the first attempt in vain.
    pub first: Duration,
}

impl Backoff {
    /// The wait after so many attempts in vain.
    pub fn after(self, attempts: u32) -> Duration {
        // Without random numbers all wait for the same time.
        let mut random = [0; 2];
        let _ = getrandom::fill(&mut random);
        let share = f64::from(u16::from_ne_bytes(random)) / f64::from(u16::MAX);
        self.longest_after(attempts).mul_f64(1.0 - share / 2.0)
    }

    fn longest_after(self, attempts: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour_and_are_shortened_by_a_half_at_most() {
        let backoff = Backoff { first: Duration::from_secs(1) };
        for (attempts, longest) in [(1, 1), (2, 2), (3, 4), (12, 2048), (13, 3600), (40, 3600), (u32::MAX, 3600)] {
            let longest = Duration::from_secs(longest);
            assert_eq!(backoff.longest_after(attempts), longest, "{attempts}");
            let waits: Vec<Duration> = (0..50).map(|_| backoff.after(attempts)).collect();
            assert!(waits.iter().all(|wait| (longest / 2..=longest).contains(wait)), "{attempts}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{attempts}: all the same");
        }
    }
}
