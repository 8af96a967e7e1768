//! Events of one partition that wait to be flushed together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::bucket::{BUCKETS, Bucket};
use crate::domain::counters::Overflow;
use crate::domain::delta::Counted;
use crate::domain::event::{Body, Event};
use crate::domain::position::{Fingerprint, Offset, Position};
use crate::domain::rated::Rated;
use crate::domain::seen::SeenId;
use crate::pricing::Table;

use super::decode::{Reason, Reject};
use super::limits::Limits;
use super::record::Record;

/// An event on its way into the counters, with the record that it came in.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub record: Record,
    pub fingerprint: Fingerprint,
    pub event: Event,
    /// What it costs, once its batch was rated.
    pub rated: Rated,
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

    pub fn counted(&self) -> Counted<'_> {
        Counted { event: &self.event, rated: &self.rated, log_time: self.seen.at }
    }
}

/// A record on its way to the dead-letter topic.
#[derive(Debug, Clone)]
pub struct Rejected {
    pub record: Record,
    pub reject: Reject,
}

/// A record that was counted, and is to be written to the rated topic once more.
#[derive(Debug, Clone)]
pub struct Again {
    pub record: Record,
    pub event: Event,
    /// By which it was rated.
    pub prices: Arc<Table>,
}

/// What one partition brought since its last flush.
#[derive(Debug)]
pub struct Batch {
    /// By [`Bucket::index`], in the order of the log.
    pub events: Vec<Vec<Accepted>>,
    pub rejects: Vec<Rejected>,
    /// In the order of the log.
    pub again: Vec<Again>,
    count: usize,
    bytes: usize,
    opened: Option<Instant>,
}

impl Default for Batch {
    fn default() -> Self {
        let events = std::iter::repeat_with(Vec::new).take(usize::from(BUCKETS)).collect();
        Self { events, rejects: Vec::new(), again: Vec::new(), count: 0, bytes: 0, opened: None }
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

    pub fn again(&mut self, again: Again, now: Instant) {
        self.hold(&again.record, now);
        self.again.push(again);
    }

    fn hold(&mut self, record: &Record, now: Instant) {
        self.count += 1;
        self.bytes += record.size();
        self.opened.get_or_insert(now);
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether what must come before the counting can fail: the writing of dead letters, and of rated requests again.
    pub fn may_be_held_up(&self) -> bool {
        !self.rejects.is_empty() || !self.again.is_empty()
    }

    /// Says of every request what it costs. One whose cost no amount can hold is rejected.
    pub fn rate(&mut self, prices: &Table) {
        for events in &mut self.events {
            let priceless = |accepted: &mut Accepted| match &accepted.event.body {
                Body::Usage(usage) => match prices.rate(usage, accepted.event.time) {
                    Ok(rated) => {
                        accepted.rated = rated;
                        false
                    }
                    Err(Overflow) => true,
                },
                _ => false,
            };
            self.rejects.extend(events.extract_if(.., priceless).map(|accepted| {
                let detail = "by the price table it costs more than 9223372036 dollars; check its counts".to_owned();
                Rejected { record: accepted.record, reject: Reject { reason: Reason::CounterOverflow, detail } }
            }));
        }
    }

    /// Bytes of the records held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds as much as a batch may.
    pub fn is_full(&self, limits: &Limits) -> bool {
        self.count >= limits.batch_events || self.bytes >= limits.batch_bytes
    }

    /// How long it may still wait for more, if it may wait for `age` in all; zero when it is due, none when there is
    /// nothing to flush.
    pub fn due_in(&self, now: Instant, limits: &Limits, age: Duration) -> Option<Duration> {
        let opened = self.opened?;
        let waited = now.saturating_duration_since(opened);
        Some(if self.is_full(limits) { Duration::ZERO } else { age.saturating_sub(waited) })
    }
}
