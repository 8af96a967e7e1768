//! What is kept of an event's name, so that the same event is counted once.

use std::hash::Hasher;
use std::ops::RangeInclusive;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::calendar::TimeMs;
use super::event::{Body, Event, Output, Usage};

/// Shards of one generation of one bucket. With the two members an id takes, a shard of at most 256 ids stays
/// in Redis's compact encoding of integer sets (512 members by default): 16 million ids per generation.
pub const SHARDS: u16 = 1024;

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

/// An event's name and content as hashes. The name's hash has 64 bits within its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenId {
    /// The record's Kafka timestamp.
    pub at: TimeMs,
    pub shard: u16,
    pub id: i64,
    /// Of the name and everything else in the event: the same id with other content has another one.
    pub content: i64,
}

impl SeenId {
    pub fn of(event: &Event, at: TimeMs) -> Self {
        let mut name = Feed(SipHasher13::new_with_key(&KEY));
        name.text(event.tenant.as_str());
        name.text(event.source.as_str());
        name.text(event.id.as_str());
        let id = name.0.finish128();
        let mut content = name;
        content.event(event);
        Self {
            at,
            shard: (id.h2 % u64::from(SHARDS)) as u16,
            id: id.h1.cast_signed(),
            content: content.0.finish().cast_signed(),
        }
    }
}

/// Part of the stored layout: another key would make every known event new.
const KEY: [u8; 16] = *b"indelible.seen.1";

/// Feeds a hash so that two different events never feed the same bytes: every text bears its length.
struct Feed(SipHasher13);

impl Feed {
    fn number(&mut self, number: i64) {
        self.0.write(&number.to_le_bytes());
    }

    fn maybe(&mut self, number: Option<i64>) {
        self.number(number.unwrap_or(-1));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as i64);
        self.0.write(text.as_bytes());
    }

    fn event(&mut self, event: &Event) {
        self.text(event.user.as_str());
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
        }
    }

    fn usage(&mut self, usage: &Usage) {
        self.text(usage.assistant.as_str());
        self.text(usage.model.as_str());
        for count in [usage.tokens_in, usage.tokens_out, usage.cached_tokens, usage.reasoning_tokens] {
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
