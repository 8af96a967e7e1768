//! Made-up traffic: seeded, without end, and as unpleasant as it gets.

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::support::kafka::{Kafka, Record};

/// Tenant and user.
pub(crate) type User = (String, String);

/// The plan file that its assignments suppose, for INDELIBLE_PLANS.
pub(crate) const PLANS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/plans.toml");

const TENANTS: u32 = 12;
const USERS: u32 = 4;

pub(crate) struct Message {
    pub(crate) user: User,
    pub(crate) value: Option<Vec<u8>>,
    /// None for repeats and poison.
    pub(crate) tokens: i64,
    /// None: by the user's key.
    pub(crate) partition: Option<i32>,
}

pub(crate) struct Generator {
    rng: StdRng,
    partitions: i32,
    /// Of a thousand messages.
    poison: u32,
    number: u64,
    sent: Vec<(User, Vec<u8>)>,
    /// Outputs that are deleted already, or not yet: to be created, or deleted, later.
    pending: Vec<(User, &'static str, Value)>,
}

impl Generator {
    pub(crate) fn new(seed: u64, partitions: i32) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { rng, partitions, poison: 1, number: 0, sent: Vec::new(), pending: Vec::new() }
    }

    /// With so many in a thousand that can't be counted, up to 50; one where nothing is said.
    pub(crate) fn with_poison(self, poison: u32) -> Self {
        Self { poison, ..self }
    }

    /// Sends the next few to the shared Kafka, and returns when it has acknowledged them.
    pub(crate) fn send(&mut self, topic: &str, count: usize) {
        let messages: Vec<_> = (0..count).map(|_| self.next()).collect();
        let keys: Vec<_> = messages.iter().map(|message| format!("{}:{}", message.user.0, message.user.1)).collect();
        let record = |(message, key)| {
            let Message { value, partition, .. }: &Message = message;
            Record { partition: *partition, key: Some(key), value: value.as_deref(), ..Record::default() }
        };
        Kafka::shared().produce_all(topic, messages.iter().zip(keys.iter().map(String::as_str)).map(record));
    }

    /// Of a thousand messages 50 are repeats, some are poison, 150 to 200 save or delete outputs, 20 assign a quota, and
    /// the rest is usage.
    pub(crate) fn next(&mut self) -> Message {
        let rng = &mut self.rng;
        // A key decides the partition; where nothing may depend on it, another one is as good.
        let partition = rng.random_bool(0.2).then(|| rng.random_range(0..self.partitions));
        let user = (format!("tenant-{}", rng.random_range(0..TENANTS)), format!("user-{}", rng.random_range(0..USERS)));
        match rng.random_range(0..1000) {
            0..50 if !self.sent.is_empty() => {
                let (user, value) = self.sent.choose(rng).expect("events").clone();
                Message { user, value: Some(value), tokens: 0, partition }
            }
            dice if (50..50 + self.poison).contains(&dice) => {
                Message { user, value: self.poison(), tokens: 0, partition }
            }
            100..300 if self.pending.len() > 20 => {
                let at = rng.random_range(0..self.pending.len());
                let (user, verb, data) = self.pending.swap_remove(at);
                self.event(user, verb, data, 0, partition)
            }
            300..400 => self.output(user, partition),
            400..420 => self.quota(user, partition),
            _ => self.usage(user, partition),
        }
    }

    /// One of five deletions comes before its creation.
    fn output(&mut self, user: User, partition: Option<i32>) -> Message {
        let kind = if self.rng.random() { "website" } else { "assistant_result" };
        let data = json!({"tenantId": user.0, "userId": user.1, "outputId": format!("o{}", self.number), "kind": kind});
        let (first, then) = if self.rng.random_bool(0.2) { ("deleted", "created") } else { ("created", "deleted") };
        self.pending.push((user.clone(), then, data.clone()));
        self.event(user, first, data, 0, partition)
    }

    fn usage(&mut self, user: User, partition: Option<i32>) -> Message {
        let rng = &mut self.rng;
        let (tokens_in, tokens_out) = (rng.random_range(0..5000), rng.random_range(0..900));
        let assistant = ["chat", "code", "writer"].choose(rng);
        // A price table knows the last one, or nobody does.
        let model = ["large", "small", "tiny", "claude-sonnet-4-5"].choose(rng);
        let mut data = json!({
            "tenantId": user.0, "userId": user.1,
            "assistant": assistant, "model": model,
            "tokensIn": tokens_in, "tokensOut": tokens_out,
            "cachedTokens": tokens_in / 3, "cacheWriteTokens": tokens_in / 7, "reasoningTokens": tokens_out / 4,
            "toolInvocations": {"search": rng.random_range(0..4) + 1},
        });
        if rng.random_bool(0.8) {
            data["costCents"] = json!(format!("0.{:08}", rng.random_range(0..100_000_000)));
        }
        if rng.random() {
            data["latencyMs"] = json!(rng.random_range(1..4000));
        }
        if rng.random_bool(0.3) {
            data["output"] = json!({"id": format!("u{}", self.number), "kind": "website"});
        }
        self.event(user, "usage", data, tokens_in + tokens_out, partition)
    }

    /// A user's or a tenant's, from now on, or from a day some time before or after it. What a few dozen requests use
    /// passes most of the limits.
    fn quota(&mut self, user: User, partition: Option<i32>) -> Message {
        let rng = &mut self.rng;
        let mut data = json!({"tenantId": user.0});
        let is_users = rng.random_bool(0.7);
        if is_users {
            data["userId"] = json!(user.1);
        }
        let (soft, more) = (rng.random_range(1..60_000), rng.random_range(0..60_000));
        let cents = |amount: i64| format!("{}.{:03}", amount / 4000, amount % 1000);
        match rng.random_range(0..10) {
            0..3 => data["plan"] = json!(["free", "team"].choose(rng)),
            3 => data["inherit"] = json!(true),
            4..7 => {
                let tokens = json!({"soft": soft, "hard": soft + more});
                data["limits"] = json!({"tokens": tokens, "graceSeconds": rng.random_range(0..3) * 86_400});
            }
            _ => data["limits"] = json!({"costCents": {"soft": cents(soft + 1000)}, "thresholds": [100, 10, 50, 250]}),
        }
        if rng.random() {
            let days = TimeDelta::days(rng.random_range(-40..3));
            data["effectiveFrom"] = json!((Utc::now() + days).format("%Y-%m-%dT00:00:00Z").to_string());
        }
        self.event(user, "quota", data, 0, partition)
    }

    /// One of a hundred is late by up to 34 days.
    fn event(&mut self, user: User, verb: &str, mut data: Value, tokens: i64, partition: Option<i32>) -> Message {
        self.number += 1;
        let late = if self.rng.random_bool(0.01) { self.rng.random_range(0..34 * 86_400_000) } else { 0 };
        let time = (Utc::now() - TimeDelta::milliseconds(late)).to_rfc3339();
        let id = format!("e{}", self.number);
        let value = if verb == "usage" && self.rng.random_bool(0.1) {
            (data["requestId"], data["createdAt"]) = (json!(id), json!(time));
            data
        } else {
            let kind = match verb {
                "usage" => "ai.usage.recorded.v1".to_owned(),
                "quota" => "ai.quota.assigned.v1".to_owned(),
                verb => format!("ai.output.{verb}.v1"),
            };
            json!({"specversion": "1.0", "id": id, "source": "soak", "type": kind, "time": time, "data": data})
        };
        let value = value.to_string().into_bytes();
        self.sent.push((user.clone(), value.clone()));
        Message { user, value: Some(value), tokens, partition }
    }

    fn poison(&mut self) -> Option<Vec<u8>> {
        let bare = |tokens: i64, time: DateTime<Utc>| {
            json!({"requestId": "bad", "createdAt": time.to_rfc3339(), "tenantId": "tenant-0", "userId": "user-0",
                "assistant": "a", "model": "m", "tokensIn": tokens, "tokensOut": 1})
            .to_string()
            .into_bytes()
        };
        match self.rng.random_range(0..4) {
            0 => None,
            1 => Some(b"{\"specversion\":".to_vec()),
            2 => Some(bare(-1, Utc::now())),
            _ => Some(bare(1, Utc::now() - TimeDelta::days(100))),
        }
    }
}
