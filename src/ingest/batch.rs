//! Events of one partition that wait to be flushed together.

use std::time::{Duration, Instant};

use crate::domain::bucket::{BUCKETS, Bucket};
use crate::domain::calendar::TimeMs;
use crate::domain::event::Event;
use crate::domain::position::{Fingerprint, Offset, Position};
use crate::domain::seen::SeenId;

use super::decode::Reject;
use super::limits::Limits;
use super::record::Record;

/// An event on its way into the counters, with the record that it came in.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub record: Record,
    pub fingerprint: Fingerprint,
    pub event: Event,
    pub seen: SeenId,
}

impl Accepted {
    pub fn offset(&self) -> Offset {
        self.record.offset()
    }

    /// The position just after the event.
    pub fn position(&self) -> Position {
        Position::after(self.offset(), self.fingerprint)
    }

    pub fn log_time(&self) -> TimeMs {
        self.seen.at
    }
}

/// A record on its way to the dead-letter topic.
#[derive(Debug, Clone)]
pub struct Rejected {
    pub record: Record,
    pub reject: Reject,
}

/// What one partition brought since its last flush.
#[derive(Debug)]
pub struct Batch {
    /// By [`Bucket::index`], in the order of the log.
    pub events: Vec<Vec<Accepted>>,
    pub rejects: Vec<Rejected>,
    count: usize,
    bytes: usize,
    opened: Option<Instant>,
}

impl Default for Batch {
    fn default() -> Self {
        let events = std::iter::repeat_with(Vec::new).take(usize::from(BUCKETS)).collect();
        Self { events, rejects: Vec::new(), count: 0, bytes: 0, opened: None }
    }
}

impl Batch {
    pub fn accept(&mut self, bucket: Bucket, accepted: Accepted, now: Instant) {
        self.hold(&accepted.record, now);
        self.events[bucket.index()].push(accepted);
    }

    pub fn reject(&mut self, rejected: Rejected, now: Instant) {
        self.hold(&rejected.record, now);
        self.rejects.push(rejected);
    }

    fn hold(&mut self, record: &Record, now: Instant) {
        self.count += 1;
        self.bytes += record.size();
        self.opened.get_or_insert(now);
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the records held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds as much as a batch may.
    pub fn is_full(&self, limits: &Limits) -> bool {
        self.count >= limits.batch_events || self.bytes >= limits.batch_bytes
    }

    /// How long it may still wait for more; zero when it is due, none when there is nothing to flush.
    pub fn due_in(&self, now: Instant, limits: &Limits) -> Option<Duration> {
        let opened = self.opened?;
        let waited = now.saturating_duration_since(opened);
        Some(if self.is_full(limits) { Duration::ZERO } else { limits.batch_age.saturating_sub(waited) })
    }
}
