//! Records of every kind, of which the endings are known.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::support::flood::flood;

/// Spread over the partitions; each has a share of every kind.
pub(super) const TENANTS: u64 = 12;
/// In each hundred: the first few of every kind but `counted`.
const HUNDRED: u64 = 100;

/// Records of a topic, sent wave after wave.
#[derive(Debug)]
pub(super) struct Traffic {
    hundreds: u64,
    now: DateTime<Utc>,
}

/// Hundreds of records in a wave.
const WAVE: u64 = 50;

impl Traffic {
    pub(super) fn new() -> Self {
        Self { hundreds: 0, now: Utc::now() }
    }

    pub(super) fn send_wave(&mut self, topic: &str) {
        let first = self.hundreds * HUNDRED;
        flood(topic, WAVE * HUNDRED, |number| keyed(first + number, self.now));
        self.hundreds += WAVE;
    }

    pub(super) fn records(&self) -> u64 {
        self.hundreds * HUNDRED
    }

    /// How many records end how, of all waves.
    pub(super) fn endings(&self) -> BTreeMap<&'static str, u64> {
        let each = |count: u64| self.hundreds * count;
        BTreeMap::from([
            ("rejected", each(2)),
            ("repeated", each(1)),
            ("conflict", each(1)),
            ("counted", each(HUNDRED - 4)),
            ("unpriced", each(10)),
            ("mismatched", each(10)),
        ])
    }
}

/// Partition (by the key), key and value.
fn keyed(number: u64, now: DateTime<Utc>) -> (Option<i32>, String, String) {
    // The record that repeats another has its key, and so comes after it in the same partition.
    let named = if (3..=4).contains(&(number % HUNDRED)) { number - number % HUNDRED + 2 } else { number };
    (None, format!("t{}:u{}", named % TENANTS, named % 36), record(number, now))
}

fn record(number: u64, now: DateTime<Utc>) -> String {
    let hundred = number - number % HUNDRED;
    match number % HUNDRED {
        0 => "not JSON".to_owned(),
        1 => usage(number, now - Duration::days(400), json!({})),
        3 => usage(hundred + 2, now, json!({})),
        4 => usage(hundred + 2, now, json!({"tokensIn": 7})),
        5..15 => usage(number, now, json!({"model": "nobody-has-a-price-for-it"})),
        15..25 => usage(number, now, json!({"costCents": 50})),
        _ => usage(number, now, json!({})),
    }
}

fn usage(number: u64, time: DateTime<Utc>, more: Value) -> String {
    let mut event = json!({
        "requestId": number.to_string(), "createdAt": time.to_rfc3339(), "tenantId": format!("t{}", number % TENANTS),
        "userId": format!("u{}", number % 36), "assistant": "chat", "model": "claude-sonnet-4-5",
        "tokensIn": 1000 + number % 7, "tokensOut": 10,
    });
    let fields = more.as_object().expect("fields").clone();
    event.as_object_mut().expect("an object").extend(fields);
    event.to_string()
}
