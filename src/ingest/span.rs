//! One bucket's events of a batch, cut into the stretches that one call each takes.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::counters::Overflow;
use crate::domain::delta::Delta;
use crate::domain::event::Body;
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::SeenId;
use crate::store::{Flush, Priced, Repeat, Stretch};

use super::batch::Accepted;
use super::limits::CALL_PARTITIONS;

/// What one call takes: some of one bucket's events, of each of some partitions.
#[derive(Debug)]
pub struct Span {
    pub portions: Vec<Portion>,
}

/// Some of a partition, as one bucket sees it: events from `from` up to `to`, in the order of the log.
#[derive(Debug)]
pub struct Portion {
    pub partition: TopicPartition,
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

/// Events of a span that are thought to have been counted before, each with its portion's place.
#[derive(Debug, Default)]
pub struct Aside {
    events: Vec<(usize, Accepted)>,
    pub known: Known,
}

impl Known {
    pub fn add(&mut self, more: Self) {
        self.repeated += more.repeated;
        self.conflicts += more.conflicts;
    }

    fn note(&mut self, conflict: bool) {
        if conflict { self.conflicts += 1 } else { self.repeated += 1 }
    }
}

impl Span {
    /// Cuts a bucket's portions into consecutive spans of at most `most` events each. A portion that is divided says
    /// with its last part alone how far the log is.
    pub fn cut(portions: Vec<Portion>, most: usize) -> Vec<Self> {
        let (mut spans, mut span, mut room) = (Vec::new(), Self { portions: Vec::new() }, most);
        for Portion { partition, mut from, to, log_time, events } in portions {
            let (mut left, mut events) = (events.len(), events.into_iter());
            while left > room || span.portions.len() >= CALL_PARTITIONS {
                // One after the other, each moved once: a bucket may have many spans of a partition.
                let some: Vec<_> = events.by_ref().take(room).collect();
                left -= some.len();
                if let Some(end) = some.last().map(Accepted::position) {
                    let (partition, log_time) = (partition.clone(), TimeMs(0));
                    span.portions.push(Portion { partition, from, to: end, log_time, events: some });
                    from = Some(end);
                }
                spans.push(std::mem::replace(&mut span, Self { portions: Vec::new() }));
                room = most;
            }
            room -= left;
            span.portions.push(Portion { partition, from, to, log_time, events: events.collect() });
        }
        spans.push(span);
        spans.retain(|span| !span.portions.is_empty());
        spans
    }

    /// The two halves of a span of at least two events.
    pub fn halve(self) -> Vec<Self> {
        let half = self.len().div_ceil(2);
        Self::cut(self.portions, half)
    }

    /// How many events it has.
    pub fn len(&self) -> usize {
        self.portions.iter().map(|portion| portion.events.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.events().next().is_none()
    }

    pub fn events(&self) -> impl Iterator<Item = &Accepted> {
        self.portions.iter().flat_map(|portion| &portion.events)
    }

    fn retain(&mut self, mut keeps: impl FnMut(&Accepted) -> bool) {
        self.portions.iter_mut().for_each(|portion| portion.events.retain(&mut keeps));
    }

    /// Drops events whose id stands earlier in the span.
    pub fn drop_repeats_within(&mut self) -> Known {
        let mut known = Known::default();
        let mut first: HashMap<i64, i64> = HashMap::with_capacity(self.len());
        self.retain(|Accepted { seen, .. }| match first.insert(seen.id, seen.content) {
            None => true,
            Some(content) => {
                first.insert(seen.id, content);
                known.note(content != seen.content);
                false
            }
        });
        known
    }

    /// Takes out the events that were counted before; `repeats` come in the order of the span.
    pub fn set_aside(&mut self, repeats: &[Repeat]) -> Aside {
        let mut aside = Aside::default();
        let (mut repeats, mut index) = (repeats.iter().peekable(), 0);
        for (place, portion) in self.portions.iter_mut().enumerate() {
            let taken = portion.events.extract_if(.., |_| {
                let repeat = repeats.next_if(|repeat| repeat.index == index);
                index += 1;
                repeat.inspect(|repeat| aside.known.note(repeat.conflict)).is_some()
            });
            aside.events.extend(taken.map(|accepted| (place, accepted)));
        }
        aside
    }

    /// Takes them in again, in the order of the log.
    pub fn put_back(&mut self, aside: Aside) {
        for (place, accepted) in aside.events {
            let events = &mut self.portions[place].events;
            let at = events.partition_point(|other| other.offset() < accepted.offset());
            events.insert(at, accepted);
        }
    }

    pub fn seen(&self) -> Vec<SeenId> {
        self.events().map(|accepted| accepted.seen).collect()
    }

    /// The span as the store takes it, without what was set `aside`. `prices` is the version of the price table that it was
    /// rated by, where its requests are to be in the rated topic.
    ///
    /// # Errors
    /// [`Overflow`], when a sum over the span is not an i64.
    pub fn flush(
        &self,
        aside: &Aside,
        bucket: Bucket,
        partitions: usize,
        prices: Option<&Arc<str>>,
    ) -> Result<Flush, Overflow> {
        Ok(Flush {
            bucket,
            stretches: self.portions.iter().map(|portion| portion.stretch(prices)).collect(),
            partitions,
            seen: self.seen(),
            repeats: aside.events.iter().map(|(_, accepted)| accepted.seen).collect(),
            delta: Delta::fold(self.events().map(Accepted::counted))?,
            tidies: false,
            expire: None,
        })
    }
}

impl Portion {
    fn stretch(&self, prices: Option<&Arc<str>>) -> Stretch {
        let requests = self.events.iter().filter(|accepted| matches!(accepted.event.body, Body::Usage(_)));
        let priced = |version: &Arc<str>| Priced {
            version: Arc::clone(version),
            offsets: requests.map(Accepted::offset).collect(),
        };
        let Self { from, to, log_time, .. } = *self;
        Stretch { partition: self.partition.clone(), from, to, log_time, prices: prices.map(priced) }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/ingest/span.rs"]
mod tests;
