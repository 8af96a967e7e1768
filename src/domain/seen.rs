//! What is kept of an event's name, so that the same event is counted once.

use std::ops::RangeInclusive;

use siphasher::sip128::SipHasher13;
use xxhash_rust::xxh3::xxh3_64;

use super::calendar::TimeMs;
use super::event::{Assigned, Body, Event, Output, Usage};
use super::quota::{Grant, Limit, Limits};

/// A generation: the ids of one day of log time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub i64);

const GENERATION_MS: i64 = 24 * 60 * 60 * 1000;

impl Generation {
    pub fn of(time: TimeMs) -> Self {
        Self(time.0.div_euclid(GENERATION_MS))
    }

    /// Its first instant, in UTC; at the end of all times where it is beyond.
    pub fn start(self) -> TimeMs {
        TimeMs(self.0.saturating_mul(GENERATION_MS))
    }

    /// The generations in which an id may stand whose Kafka timestamp is at most `window_ms` from `time`.
    pub fn within(time: TimeMs, window_ms: i64) -> RangeInclusive<i64> {
        let at = |ms: i64| Self::of(TimeMs(ms)).0;
        at(time.0.saturating_sub(window_ms))..=at(time.0.saturating_add(window_ms))
    }
}

/// How many parts of a generation's log one call drops at most.
pub const DROPPED_AT_ONCE: u64 = 4096;

/// Chunks of a generation's log that no window reaches any more, from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    pub generation: Generation,
    /// Of the whole log.
    pub chunks: u64,
    pub first: u64,
}

impl Expired {
    /// Those that one call drops.
    pub fn dropped(self) -> std::ops::Range<u64> {
        self.first..(self.first + DROPPED_AT_ONCE).min(self.chunks)
    }

    /// What is left after that; none after the last.
    pub fn next(self) -> Option<Self> {
        let first = self.dropped().end;
        (first < self.chunks).then_some(Self { first, ..self })
    }
}

/// An event's name and content as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenId {
    /// The record's Kafka timestamp.
    pub at: TimeMs,
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
        Self { at, id: name.h1.cast_signed(), content: xxh3_64(&feed.0).cast_signed() }
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
