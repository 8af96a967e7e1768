//! What is kept of an event's name, so that the same event is counted once.

use std::ops::RangeInclusive;

use siphasher::sip128::SipHasher13;
use xxhash_rust::xxh3::xxh3_64;

use super::calendar::TimeMs;
use super::event::{Assigned, Body, Event, Output, Usage};
use super::quota::{Grant, Limit, Limits};

/// One of the sizes in which a generation's ids are kept in one bucket: so many sets of integers, its shards.
///
/// Redis keeps a set of at most 512 integers (its default) in a compact form. An id takes two, so a shard must not
/// grow beyond 256 ids. Few large keys cost less memory and fewer commands than many small ones, so a generation
/// begins with few shards, and when these are full goes on in the next tier, which has eight times as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tier(u8);

impl Tier {
    /// 128 shards, 22,528 ids.
    pub const SMALLEST: Self = Self(0);
    /// 524,288 shards. Beyond some 100 million ids a day in one bucket, sets leave the compact form, which costs memory
    /// and nothing else.
    pub const LARGEST: Self = Self(4);
    const SMALLEST_BITS: u32 = 7;
    const STEP_BITS: u32 = 3;
    /// Ids in a shard, on average, when its tier is full. They spread by chance: with 176, hardly one shard in 100
    /// million has more than 256.
    const FILL: u64 = 176;

    /// From 0.
    pub fn new(number: u8) -> Option<Self> {
        (number <= Self::LARGEST.0).then_some(Self(number))
    }

    /// The smallest tier that holds so many ids, or the largest of all.
    pub fn holding(ids: u64) -> Self {
        let mut tiers = (Self::SMALLEST.0..=Self::LARGEST.0).map(Self);
        tiers.find(|tier| tier.capacity().is_none_or(|most| ids <= most)).unwrap_or(Self::LARGEST)
    }

    pub fn number(self) -> u8 {
        self.0
    }

    fn bits(self) -> u32 {
        Self::SMALLEST_BITS + Self::STEP_BITS * u32::from(self.0)
    }

    pub fn shards(self) -> u32 {
        1 << self.bits()
    }

    /// Ids, after which the next tier begins; none for the largest.
    pub fn capacity(self) -> Option<u64> {
        (self != Self::LARGEST).then(|| u64::from(self.shards()) * Self::FILL)
    }

    /// From 0. Ids in the order of their `spread` are in the order of their shards, in every tier.
    pub fn shard(self, spread: u64) -> u32 {
        (spread >> (u64::BITS - self.bits())) as u32
    }
}

/// The largest part of a tier that one call drops.
pub const PART_SHARDS: u32 = 4096;

/// A part of a tier that no window reaches any more: from shard `part` times [`PART_SHARDS`] on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    pub generation: Generation,
    pub tier: Tier,
    pub part: u32,
}

impl Expired {
    pub fn shards(self) -> std::ops::Range<u32> {
        let first = self.part * PART_SHARDS;
        first..(first + PART_SHARDS).min(self.tier.shards())
    }

    /// The part after this one; none after the last.
    pub fn next(self) -> Option<Self> {
        (self.shards().end < self.tier.shards()).then_some(Self { part: self.part + 1, ..self })
    }
}

/// A generation: the ids of one day of log time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub i64);

const GENERATION_MS: i64 = 24 * 60 * 60 * 1000;

impl Generation {
    pub fn of(time: TimeMs) -> Self {
        Self(time.0.div_euclid(GENERATION_MS))
    }

    /// The generations in which an id may stand whose Kafka timestamp is at most `window_ms` from `time`.
    pub fn within(time: TimeMs, window_ms: i64) -> RangeInclusive<i64> {
        let at = |ms: i64| Self::of(TimeMs(ms)).0;
        at(time.0.saturating_sub(window_ms))..=at(time.0.saturating_add(window_ms))
    }
}

/// An event's name and content as hashes. The name's hash has 64 bits beside those that choose its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenId {
    /// The record's Kafka timestamp.
    pub at: TimeMs,
    /// Decides in which shard of a tier the id lies.
    pub spread: u64,
    pub id: i64,
    /// Of the name and everything else in the event: the same id with other content has another one.
    pub content: i64,
}

impl SeenId {
    pub fn of(event: &Event, at: TimeMs) -> Self {
        // Hashed as a whole: writing many small parts to a hash took most of its time. Most events fit without growing.
        let mut feed = Feed(Vec::with_capacity(512));
        feed.text(event.tenant.as_str());
        feed.text(event.source.as_str());
        feed.text(event.id.as_str());
        let name = SipHasher13::new_with_key(&KEY).hash(&feed.0);
        feed.event(event);
        // A fast hash will do here. Who makes two contents of the same hash lets a change of his own event pass for a
        // repeat of it; two names of the same hash would keep another's event from being counted.
        Self { at, spread: name.h2, id: name.h1.cast_signed(), content: xxh3_64(&feed.0).cast_signed() }
    }
}

/// Part of the stored layout: another key would make every known event new.
const KEY: [u8; 16] = *b"indelible.seen.1";

/// The bytes that are hashed, so that no two different events have the same: every text bears its length.
struct Feed(Vec<u8>);

impl Feed {
    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn maybe(&mut self, number: Option<i64>) {
        self.number(number.unwrap_or(-1));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as i64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn event(&mut self, event: &Event) {
        match &event.user {
            Some(user) => self.text(user.as_str()),
            None => self.number(-1),
        }
        self.number(event.time.timestamp());
        self.number(i64::from(event.time.timestamp_subsec_nanos()));
        match &event.body {
            Body::Usage(usage) => {
                self.number(1);
                self.usage(usage);
            }
            Body::OutputCreated(output) => {
                self.number(2);
                self.output(output);
            }
            Body::OutputDeleted(output) => {
                self.number(3);
                self.output(output);
            }
            Body::QuotaAssigned(assigned) => {
                self.number(4);
                self.assigned(assigned);
            }
        }
    }

    fn assigned(&mut self, Assigned { effective, grant }: &Assigned) {
        self.maybe(effective.map(|time| time.0));
        match grant {
            Grant::Plan(plan) => self.text(plan.as_str()),
            Grant::Limits(Limits { tokens, cost, grace_ms, thresholds }) => {
                self.number(-1);
                for Limit { soft, hard } in [tokens, cost] {
                    self.maybe(*soft);
                    self.maybe(*hard);
                }
                self.maybe(*grace_ms);
                self.number(thresholds.len() as i64);
                thresholds.iter().for_each(|percent| self.number((*percent).into()));
            }
            Grant::Inherit => self.number(-2),
        }
    }

    fn usage(&mut self, usage: &Usage) {
        self.text(usage.assistant.as_str());
        match &usage.provider {
            Some(provider) => self.text(provider.as_str()),
            None => self.number(-1),
        }
        self.text(usage.model.as_str());
        let Usage { tokens_in, tokens_out, cached_tokens, cache_write_tokens, reasoning_tokens, .. } = *usage;
        for count in [tokens_in, tokens_out, cached_tokens, cache_write_tokens, reasoning_tokens] {
            self.number(count);
        }
        self.maybe(usage.cost.map(|cost| cost.0));
        self.maybe(usage.latency_ms);
        self.number(usage.tools.len() as i64);
        for (tool, calls) in &usage.tools {
            self.text(tool.as_str());
            self.number(*calls);
        }
        match &usage.output {
            Some(output) => self.output(output),
            None => self.number(-1),
        }
    }

    fn output(&mut self, output: &Output) {
        self.text(output.kind.as_str());
        self.text(output.id.as_str());
    }
}

#[cfg(test)]
#[path = "../../tests/unit/domain/seen.rs"]
mod tests;
