//! Events of one partition that wait to be flushed together.

use std::sync::Arc;
use std::time::Instant;

use crate::domain::bucket::{BUCKETS, Bucket};
use crate::domain::counters::Overflow;
use crate::domain::delta::Counted;
use crate::domain::event::{Body, Event};
use crate::domain::position::{Offset, Position};
use crate::domain::rated::Rated;
use crate::domain::seen::SeenId;
use crate::pricing::Table;

use super::decode::{Reason, Reject};
use super::limits::Limits;
use super::record::Record;
use super::turn::{TURNS, Turn, Turns};

/// An event on its way into the counters, with the record that it came in.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub record: Record,
    pub event: Event,
    /// What it costs, once its bucket was rated.
    pub rated: Rated,
    pub seen: SeenId,
    /// None for what is to be counted.
    pub repeats: Option<Repeats>,
}

/// That an event was counted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    /// The one that was counted had other content.
    pub conflict: bool,
    /// What this worker alone knows of is still to be held against the store.
    pub sure: bool,
}

impl Accepted {
    pub fn offset(&self) -> Offset {
        self.record.offset()
    }

    /// The position just after the event.
    pub fn position(&self) -> Position {
        Position::after(self.offset(), self.record.fingerprint())
    }

    /// # Errors
    /// [`Overflow`], when no amount can hold what it costs.
    pub fn rate(&mut self, prices: &Table) -> Result<(), Overflow> {
        if let Body::Usage(usage) = &self.event.body {
            self.rated = prices.rate(usage, self.event.time)?;
        }
        Ok(())
    }

    pub fn priceless(self) -> Rejected {
        let detail = "by the price table it costs more than 9223372036 dollars; check its counts".to_owned();
        Rejected { record: self.record, reject: Reject { reason: Reason::CounterOverflow, detail } }
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

/// What one partition brought since its buckets last left.
#[derive(Debug)]
pub struct Batch {
    /// By [`Bucket::index`], in the order of the log.
    pub events: Vec<Vec<Accepted>>,
    pub rejects: Vec<Rejected>,
    /// In the order of the log.
    pub again: Vec<Again>,
    /// What the buckets of each turn hold, by [`Turn::index`].
    turns: [Held; TURNS],
    /// What belongs to no bucket, and leaves with whichever is next.
    apart: Held,
}

/// How much waits, and since when.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    count: usize,
    bytes: usize,
    opened: Option<Instant>,
}

impl Held {
    fn note(&mut self, record: &Record, now: Instant) {
        self.count += 1;
        self.bytes += record.size();
        self.opened.get_or_insert(now);
    }
}

impl Default for Batch {
    fn default() -> Self {
        let events = std::iter::repeat_with(Vec::new).take(usize::from(BUCKETS)).collect();
        let (turns, apart) = ([Held::default(); TURNS], Held::default());
        Self { events, rejects: Vec::new(), again: Vec::new(), turns, apart }
    }
}

impl Batch {
    pub fn accept(&mut self, bucket: Bucket, accepted: Accepted, now: Instant) {
        self.turns[Turn::of(bucket).index()].note(&accepted.record, now);
        self.events[bucket.index()].push(accepted);
    }

    pub fn reject(&mut self, rejected: Rejected, now: Instant) {
        self.apart.note(&rejected.record, now);
        self.rejects.push(rejected);
    }

    pub fn again(&mut self, again: Again, now: Instant) {
        self.apart.note(&again.record, now);
        self.again.push(again);
    }

    /// Takes out what leaves: the events of the buckets whose turn it is, and all that belongs to no bucket, so that no
    /// watermark passes a dead letter that was not sent.
    pub fn leave(&mut self, leaves: Turns) -> Self {
        let mut left = Self {
            rejects: std::mem::take(&mut self.rejects),
            again: std::mem::take(&mut self.again),
            apart: std::mem::take(&mut self.apart),
            ..Self::default()
        };
        for bucket in Bucket::all().filter(|bucket| leaves.has(Turn::of(*bucket))) {
            // About as many come the next time, and to grow moves all of them.
            let next = Vec::with_capacity(self.events[bucket.index()].len() * 5 / 4);
            left.events[bucket.index()] = std::mem::replace(&mut self.events[bucket.index()], next);
        }
        for turn in Turn::all().filter(|turn| leaves.has(*turn)) {
            left.turns[turn.index()] = std::mem::take(&mut self.turns[turn.index()]);
        }
        left
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        self.turns.iter().chain([&self.apart])
    }

    pub fn is_empty(&self) -> bool {
        self.held().all(|held| held.count == 0)
    }

    /// Whether anything would leave with this turn.
    pub fn waits_for(&self, turn: Turn) -> bool {
        self.turns[turn.index()].count + self.apart.count > 0
    }

    /// Whether what must come before the counting can fail: the writing of dead letters, and of rated requests again.
    pub fn may_be_held_up(&self) -> bool {
        !self.rejects.is_empty() || !self.again.is_empty()
    }

    /// Bytes of the records held.
    pub fn bytes(&self) -> usize {
        self.held().map(|held| held.bytes).sum()
    }

    /// Whether it holds as much as a batch may.
    pub fn is_full(&self, limits: &Limits) -> bool {
        let count: usize = self.held().map(|held| held.count).sum();
        count >= limits.batch_events || self.bytes() >= limits.batch_bytes
    }

    /// Since when something waits for a turn; none when nothing does.
    pub fn waits_since(&self, turn: Turn) -> Option<Instant> {
        [self.turns[turn.index()].opened, self.apart.opened].into_iter().flatten().min()
    }
}
