//! When the webhook is tried again, and when no more. Pure.

use std::time::Duration;

use crate::domain::calendar::TimeMs;

/// Tries of one notice.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Between the first two tries; each wait is twice as long as the one before.
    pub first: Duration,
    /// The longest wait, also of those that the receiver asks for.
    pub longest: Duration,
    /// From the first try to the last.
    pub for_so_long: Duration,
}

impl Schedule {
    /// What a deployment runs with: 33 tries, of which the last is a day after the first.
    pub const STANDARD: Self = Self {
        first: Duration::from_secs(10),
        longest: Duration::from_secs(60 * 60),
        for_so_long: Duration::from_secs(24 * 60 * 60),
    };

    /// When the next try is due, `attempts` from 1 having failed, the first of them at `first` and the last at `now`.
    /// None when that was the last. `asked` is how long the receiver wants to be left alone.
    pub fn next(&self, first: TimeMs, now: TimeMs, attempts: u32, asked: Option<Duration>) -> Option<TimeMs> {
        let end = first.0.saturating_add(millis(self.for_so_long));
        if now.0 >= end {
            return None;
        }
        let doubled = 2_u32.checked_pow(attempts.saturating_sub(1)).and_then(|times| self.first.checked_mul(times));
        let wait = doubled.unwrap_or(self.longest).max(asked.unwrap_or_default()).min(self.longest);
        // The last try is at the end, whatever the steps come to.
        Some(TimeMs(now.0.saturating_add(millis(wait)).min(end)))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "../../../tests/unit/ingest/notices/backoff.rs"]
mod tests;
