//! Made-up traffic that never ends, and a reader who looks over the counters' shoulder meanwhile.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::support::kafka::{Kafka, Record};
use crate::support::program::fetch;

type User = (String, String);

/// What producer and reader share.
#[derive(Default)]
pub(crate) struct Traffic {
    users: Mutex<BTreeMap<User, Sent>>,
    stop: AtomicBool,
    /// Odd while Redis is being put back in time; another number afterwards.
    pub(crate) restores: AtomicU64,
    pub(crate) reads: AtomicU64,
}

/// Tokens of a user.
#[derive(Default)]
struct Sent {
    begun: i64,
    /// With the time of the acknowledgement in milliseconds.
    acknowledged: Vec<(i64, i64)>,
}

struct Message {
    user: User,
    value: Option<Vec<u8>>,
    /// None for repeats and poison.
    tokens: i64,
    /// None: by the user's key.
    partition: Option<i32>,
}

pub(crate) struct Generator {
    rng: StdRng,
    partitions: i32,
    number: u64,
    sent: Vec<(User, Vec<u8>)>,
    /// Outputs that are deleted already, or not yet: to be created, or deleted, later.
    pending: Vec<(User, &'static str, Value)>,
}

impl Generator {
    pub(crate) fn new(seed: u64, partitions: i32) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { rng, partitions, number: 0, sent: Vec::new(), pending: Vec::new() }
    }

    fn next(&mut self) -> Message {
        let rng = &mut self.rng;
        // A key decides the partition; where nothing may depend on it, another one is as good.
        let partition = rng.random_bool(0.2).then(|| rng.random_range(0..self.partitions));
        let user = (format!("tenant-{}", rng.random_range(0..6)), format!("user-{}", rng.random_range(0..5)));
        match rng.random_range(0..1000) {
            0..50 if !self.sent.is_empty() => {
                let (user, value) = self.sent.choose(rng).expect("events").clone();
                return Message { user, value: Some(value), tokens: 0, partition };
            }
            50..56 => return Message { user, value: self.poison(), tokens: 0, partition },
            56..300 if self.pending.len() > 20 => {
                let at = rng.random_range(0..self.pending.len());
                let (user, verb, data) = self.pending.swap_remove(at);
                return self.event(user, verb, data, 0, partition);
            }
            300..400 => {
                self.number += 1;
                let data = json!({"tenantId": user.0, "userId": user.1, "outputId": format!("o{}", self.number),
                    "kind": if rng.random() { "website" } else { "assistant_result" }});
                // One of five deletions comes before its creation.
                let (first, then) = if rng.random_bool(0.2) { ("deleted", "created") } else { ("created", "deleted") };
                self.pending.push((user.clone(), then, data.clone()));
                return self.event(user, first, data, 0, partition);
            }
            _ => {}
        }
        let (tokens_in, tokens_out) = (rng.random_range(0..5000), rng.random_range(0..900));
        let assistant = ["chat", "code", "writer"].choose(rng);
        let model = ["large", "small", "tiny"].choose(rng);
        let mut data = json!({
            "tenantId": user.0, "userId": user.1, "assistant": assistant, "model": model, "tokensIn": tokens_in, "tokensOut": tokens_out,
            "cachedTokens": tokens_in / 3, "reasoningTokens": tokens_out / 4,
            "costCents": format!("0.{:08}", rng.random_range(0..100_000_000)),
            "toolInvocations": {"search": rng.random_range(0..4) + 1},
        });
        if rng.random() {
            data["latencyMs"] = json!(rng.random_range(1..4000));
        }
        if rng.random_bool(0.3) {
            data["output"] = json!({"id": format!("u{}", self.number), "kind": "website"});
        }
        self.event(user, "usage", data, tokens_in + tokens_out, partition)
    }

    fn event(&mut self, user: User, verb: &str, mut data: Value, tokens: i64, partition: Option<i32>) -> Message {
        self.number += 1;
        let late = if self.rng.random_bool(0.01) { self.rng.random_range(0..34 * 86_400_000) } else { 0 };
        let time = (Utc::now() - TimeDelta::milliseconds(late)).to_rfc3339();
        let id = format!("e{}", self.number);
        let value = if verb == "usage" && self.rng.random_bool(0.1) {
            (data["requestId"], data["createdAt"]) = (json!(id), json!(time));
            data
        } else {
            let kind = if verb == "usage" { "ai.usage.recorded.v1".to_owned() } else { format!("ai.output.{verb}.v1") };
            json!({"specversion": "1.0", "id": id, "source": "chaos", "type": kind, "time": time, "data": data})
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

impl Traffic {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Some 600 records a second until told to stop; each is acknowledged before the next few go.
    pub(crate) fn produce(&self, topic: &str, mut generator: Generator) {
        while !self.stop.load(Ordering::SeqCst) {
            let messages: Vec<_> = (0..20).map(|_| generator.next()).collect();
            for message in &messages {
                self.users.lock().expect("no panic").entry(message.user.clone()).or_default().begun += message.tokens;
            }
            let keys: Vec<_> =
                messages.iter().map(|message| format!("{}:{}", message.user.0, message.user.1)).collect();
            let record = |(message, key)| {
                let Message { value, partition, .. }: &Message = message;
                Record { partition: *partition, key: Some(key), value: value.as_deref(), ..Record::default() }
            };
            Kafka::shared().produce_all(topic, messages.iter().zip(keys.iter().map(String::as_str)).map(record));
            let now = Utc::now().timestamp_millis();
            for message in messages {
                let mut users = self.users.lock().expect("no panic");
                users.entry(message.user).or_default().acknowledged.push((now, message.tokens));
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Reads one user after the other: what it says is never more than was sent, never less than `asOf` promises,
    /// and never less than before unless Redis was put back in time.
    pub(crate) fn watch(&self, api: &str) -> Vec<String> {
        let mut last: BTreeMap<User, (u64, i64)> = BTreeMap::new();
        let mut faults = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            let users: Vec<User> = self.users.lock().expect("no panic").keys().cloned().collect();
            for user in users {
                std::thread::sleep(Duration::from_millis(20));
                let epoch = self.restores.load(Ordering::SeqCst);
                let answer = fetch(&format!("{api}/v1/tenants/{}/users/{}/stats", user.0, user.1), &[]);
                let Some(answer) = answer.ok().filter(|answer| answer.status == 200).map(|answer| answer.json()) else {
                    continue;
                };
                let tokens = answer["allTime"]["totalTokens"].as_i64().expect("a sum");
                let as_of = answer["asOf"].as_str().and_then(|as_of| DateTime::parse_from_rfc3339(as_of).ok());
                let as_of = as_of.map_or(0, |as_of| as_of.timestamp_millis());
                let sent = self.users.lock().expect("no panic");
                let sent = &sent[&user];
                let promised = sent.acknowledged.iter().filter(|(at, _)| *at < as_of).map(|(_, tokens)| tokens).sum();
                if tokens > sent.begun || tokens < promised {
                    let begun = sent.begun;
                    faults.push(format!("{user:?} has {tokens} tokens as of {as_of}: {promised}..={begun} were sent"));
                }
                let same = epoch.is_multiple_of(2) && self.restores.load(Ordering::SeqCst) == epoch;
                match last.get(&user) {
                    Some((before, most)) if same && *before == epoch && tokens < *most => {
                        faults.push(format!("{user:?} went back from {most} to {tokens} tokens"));
                    }
                    _ if same => drop(last.insert(user, (epoch, tokens))),
                    _ => {}
                }
                self.reads.fetch_add(1, Ordering::Relaxed);
            }
        }
        faults
    }
}
