//! One bucket's events of a batch, cut into the stretches that one call each takes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::counters::Overflow;
use crate::domain::delta::Delta;
use crate::domain::event::Body;
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::Expired;
use crate::store::{Flush, Priced, Repeat};

use super::batch::Accepted;

/// A stretch of a partition, as one bucket sees it: events from `from` up to `to`.
#[derive(Debug)]
pub struct Span {
    pub from: Option<Position>,
    pub to: Position,
    /// Every record of the partition with an earlier Kafka timestamp lies before `to`; 0 says nothing.
    pub log_time: TimeMs,
    pub events: Vec<Accepted>,
}

/// How many events of a span were known before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    pub repeated: u64,
    pub conflicts: u64,
}

impl Known {
    fn note(&mut self, conflict: bool) {
        if conflict { self.conflicts += 1 } else { self.repeated += 1 }
    }
}

impl Span {
    /// Cuts a bucket's events into consecutive spans of at most `most` events; one without events where there
    /// are none. The last one ends at `to`, and alone says how far the log is.
    pub fn cut(
        from: Option<Position>,
        (to, log_time): (Position, TimeMs),
        events: Vec<Accepted>,
        most: usize,
    ) -> Vec<Self> {
        let mut spans = Vec::new();
        let (mut from, mut rest) = (from, events);
        while rest.len() > most {
            let later = rest.split_off(most);
            let end = rest.last().map_or(to, Accepted::position);
            spans.push(Self { from, to: end, log_time: TimeMs(0), events: rest });
            (from, rest) = (Some(end), later);
        }
        spans.push(Self { from, to, log_time, events: rest });
        spans
    }

    /// The two halves of a span of at least two events.
    pub fn halve(self) -> Vec<Self> {
        let half = self.events.len().div_ceil(2);
        Self::cut(self.from, (self.to, self.log_time), self.events, half)
    }

    /// Drops events whose id stands earlier in the span.
    pub fn drop_repeats_within(&mut self) -> Known {
        let mut known = Known::default();
        let mut first: HashMap<(u64, i64), i64> = HashMap::with_capacity(self.events.len());
        self.events.retain(|accepted| {
            let seen = &accepted.seen;
            match first.insert((seen.spread, seen.id), seen.content) {
                None => true,
                Some(content) => {
                    first.insert((seen.spread, seen.id), content);
                    known.note(content != seen.content);
                    false
                }
            }
        });
        known
    }

    /// Drops the events that the store knows already.
    pub fn drop_known(&mut self, repeats: &[Repeat]) -> Known {
        let mut known = Known::default();
        let conflicts: HashMap<usize, bool> = repeats.iter().map(|repeat| (repeat.index, repeat.conflict)).collect();
        let mut index = 0;
        self.events.retain(|_| {
            let repeat = conflicts.get(&index);
            index += 1;
            repeat.inspect(|conflict| known.note(**conflict)).is_none()
        });
        known
    }

    /// Its requests, as rated by the price table of that version.
    pub fn priced(&self, version: &Arc<str>) -> Priced {
        let requests = self.events.iter().filter(|accepted| matches!(accepted.event.body, Body::Usage(_)));
        Priced { version: Arc::clone(version), offsets: requests.map(Accepted::offset).collect() }
    }

    /// The span as the store takes it.
    ///
    /// # Errors
    /// [`Overflow`], when a sum over the span is not an i64.
    pub fn flush(
        &self,
        bucket: Bucket,
        partition: &TopicPartition,
        partitions: usize,
        expire: Option<Expired>,
    ) -> Result<Flush, Overflow> {
        Ok(Flush {
            bucket,
            partition: partition.clone(),
            from: self.from,
            to: self.to,
            log_time: self.log_time,
            partitions,
            prices: None,
            seen: self.events.iter().map(|accepted| accepted.seen).collect(),
            delta: Delta::fold(self.events.iter().map(Accepted::counted))?,
            // A call either counts or tidies up.
            expire: expire.filter(|_| self.events.is_empty()),
        })
    }
}
