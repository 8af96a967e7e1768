//! Events on their way into the counters, or to the dead letters.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, Result};

use super::Metrics;
use super::labels::{Audited, CAPPED, Ending};
use super::make::{AGE_SECONDS, FAST_SECONDS, FLUSH_EVENTS, Make, observe, observe_ages, observe_count};

/// An event may be this much ahead of this process's clock before it is told.
const AHEAD_MS: i64 = 1000;

#[derive(Debug)]
pub(super) struct Counting {
    endings: [IntCounter; Ending::ALL.len()],
    rejects: IntCounterVec,
    letter_failures: IntCounter,
    audited: [IntCounter; Audited::ALL.len()],
    event_age: Histogram,
    ahead: IntCounter,
    flush_events: Histogram,
    flush_seconds: Histogram,
    fold_seconds: Histogram,
    capped: IntCounterVec,
    unpriced: IntCounter,
}

impl Counting {
    pub(super) fn new(make: &Make<'_>, reject_reasons: &[&'static str]) -> Result<Self> {
        let endings = make.counters("indelible_records_total", "Records by how they ended.", &["outcome"])?;
        let audited =
            make.counters("indelible_rated_records_total", "Counted requests for the rated topic.", &["outcome"])?;
        Ok(Self {
            endings: Ending::ALL.map(|ending| endings.with_label_values(&[ending.as_str()])),
            rejects: make.closed(
                "indelible_rejects_total",
                "Records sent to the dead-letter topic.",
                "reason",
                reject_reasons,
            )?,
            letter_failures: make.counter(
                "indelible_dead_letter_failures_total",
                "Tries to write a dead letter that Kafka did not acknowledge; it is tried again.",
            )?,
            audited: Audited::ALL.map(|outcome| audited.with_label_values(&[outcome.as_str()])),
            event_age: make.histogram(
                "indelible_event_age_seconds",
                "From an event's time to its counting.",
                &AGE_SECONDS,
            )?,
            ahead: make.counter(
                "indelible_events_ahead_total",
                "Counted events whose time was more than a second ahead of this process's clock.",
            )?,
            flush_events: make.histogram(
                "indelible_flush_events",
                "Events in a flush of one bucket.",
                &FLUSH_EVENTS,
            )?,
            flush_seconds: make.histogram("indelible_flush_seconds", "One flush, retries included.", &FAST_SECONDS)?,
            fold_seconds: make.histogram(
                "indelible_fold_seconds",
                "Adding up the events of one flush, before anything is asked of Redis.",
                &FAST_SECONDS,
            )?,
            capped: make.closed(
                "indelible_capped_total",
                "Requests, tool calls or outputs counted under \"other\": their own name was one too many.",
                "name",
                &CAPPED,
            )?,
            unpriced: make.counter("indelible_unpriced_requests_total", "Counted requests whose cost nobody knows.")?,
        })
    }
}

impl Metrics {
    pub fn ended(&self, ending: Ending, records: u64) {
        self.counting.endings[ending as usize].inc_by(records);
    }

    /// `reason` is one of the list given at the start.
    pub fn rejected(&self, reason: &'static str) {
        self.counting.rejects.with_label_values(&[reason]).inc();
        self.ended(Ending::Rejected, 1);
    }

    /// A dead letter was not acknowledged.
    pub fn dead_letter_failed(&self) {
        self.counting.letter_failures.inc();
    }

    pub fn audited(&self, outcome: Audited, requests: u64) {
        self.counting.audited[outcome as usize].inc_by(requests);
    }

    /// Events of these ages were counted.
    pub fn events_counted(&self, ages_ms: impl Iterator<Item = i64>) {
        let mut ahead = 0;
        observe_ages(&self.counting.event_age, ages_ms.inspect(|age_ms| ahead += u64::from(*age_ms < -AHEAD_MS)));
        self.counting.ahead.inc_by(ahead);
    }

    pub fn folded(&self, took: Duration) {
        observe(&self.counting.fold_seconds, took);
    }

    pub fn flushed(&self, events: usize, took: Duration) {
        observe_count(&self.counting.flush_events, events);
        observe(&self.counting.flush_seconds, took);
    }

    /// `name` is one of [`CAPPED`].
    pub fn capped(&self, name: &'static str, count: i64) {
        self.counting.capped.with_label_values(&[name]).inc_by(count.max(0).unsigned_abs());
    }

    /// Requests were counted that neither their event nor the price table has a cost for.
    pub fn unpriced(&self, requests: u64) {
        self.counting.unpriced.inc_by(requests);
    }
}
