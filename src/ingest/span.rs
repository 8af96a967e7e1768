//! One bucket's events of a batch, cut into the stretches that one call each takes.

use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::counters::Overflow;
use crate::domain::delta::Delta;
use crate::domain::event::Body;
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::SeenId;
use crate::pricing::Table;
use crate::store::{Flush, Priced, Repeat, Stretch};

use super::batch::{Accepted, Rejected, Repeats};
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

impl Known {
    fn note(&mut self, repeats: Repeats) {
        if repeats.conflict { self.conflicts += 1 } else { self.repeated += 1 }
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
        let half = self.size().div_ceil(2);
        Self::cut(self.portions, half)
    }

    /// How many events it has, repeats among them.
    pub fn size(&self) -> usize {
        self.portions.iter().map(|portion| portion.events.len()).sum()
    }

    fn all(&self) -> impl Iterator<Item = &Accepted> {
        self.portions.iter().flat_map(|portion| &portion.events)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Accepted> {
        self.portions.iter_mut().flat_map(|portion| &mut portion.events)
    }

    /// Those that are to be counted.
    pub fn events(&self) -> impl Iterator<Item = &Accepted> {
        self.all().filter(|accepted| accepted.repeats.is_none())
    }

    /// Says of every request what it costs. One whose cost no amount can hold is taken out: it is no event to be counted,
    /// and no other is a repeat of it.
    pub fn rate(&mut self, prices: &Table) -> Vec<Rejected> {
        let mut priceless = Vec::new();
        for Portion { events, .. } in &mut self.portions {
            priceless.extend(events.extract_if(.., |accepted| accepted.rate(prices).is_err()).map(Accepted::priceless));
        }
        priceless
    }

    /// Leaves out events whose id stands earlier in the span. What is left.
    pub fn note_repeats_within(&mut self) -> Vec<SeenId> {
        let mut first: HashMap<i64, i64> = HashMap::with_capacity(self.size());
        let mut left = Vec::with_capacity(self.size());
        for Accepted { seen, repeats, .. } in self.all_mut() {
            match first.entry(seen.id) {
                Entry::Vacant(place) => {
                    place.insert(seen.content);
                    left.push(*seen);
                }
                Entry::Occupied(content) => {
                    *repeats = Some(Repeats { conflict: *content.get() != seen.content, sure: true });
                }
            }
        }
        left
    }

    /// Leaves out events that were counted before: `found` are some of those that are left, in their order.
    pub fn note_repeats(&mut self, found: &[Repeat], sure: bool) {
        let mut left = self.all_mut().filter(|accepted| accepted.repeats.is_none()).enumerate();
        for Repeat { index, conflict } in found.iter().copied() {
            let Some((_, accepted)) = left.find(|(at, _)| *at == index) else { return };
            accepted.repeats = Some(Repeats { conflict, sure });
        }
    }

    /// Takes in again what is not sure to have been counted.
    pub fn doubt_repeats(&mut self) {
        self.all_mut().for_each(|accepted| accepted.repeats = accepted.repeats.filter(|repeats| repeats.sure));
    }

    /// The span as the store takes it, and what it leaves out. `prices` is the version of the price table that it was rated
    /// by, where its requests are to be in the rated topic.
    ///
    /// # Errors
    /// [`Overflow`], when a sum over the span is not an i64.
    pub fn flush(
        &self,
        bucket: Bucket,
        partitions: usize,
        prices: Option<&Arc<str>>,
    ) -> Result<(Flush, Known), Overflow> {
        let (mut seen, mut repeats, mut known) = (Vec::with_capacity(self.size()), Vec::new(), Known::default());
        // Events lie far apart in memory: all that is asked of them is asked at once.
        let counted = self.all().filter(|accepted| {
            match accepted.repeats {
                None => seen.push(accepted.seen),
                Some(repeat) => {
                    known.note(repeat);
                    repeats.extend((!repeat.sure).then_some(accepted.seen));
                }
            }
            accepted.repeats.is_none()
        });
        let delta = Delta::fold(counted.map(Accepted::counted))?;
        let stretches = self.portions.iter().map(|portion| portion.stretch(prices)).collect();
        Ok((Flush { bucket, stretches, partitions, seen, repeats, delta, tidies: false, expire: None }, known))
    }
}

impl Portion {
    fn stretch(&self, prices: Option<&Arc<str>>) -> Stretch {
        let is_request =
            |accepted: &&Accepted| accepted.repeats.is_none() && matches!(accepted.event.body, Body::Usage(_));
        let priced = |version: &Arc<str>| Priced {
            version: Arc::clone(version),
            offsets: self.events.iter().filter(is_request).map(Accepted::offset).collect(),
        };
        let Self { from, to, log_time, .. } = *self;
        Stretch { partition: self.partition.clone(), from, to, log_time, prices: prices.map(priced) }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/ingest/span.rs"]
mod tests;
