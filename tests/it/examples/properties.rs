//! Generated events: the three forms agree with what was meant, and no bytes make the decoder panic.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset};
use indelible::domain::event::{Body, MAX_COUNT, Output, Usage};
use indelible::domain::ids::{Assistant, Model, OutputId, OutputKind, TenantId, Tool, UserId};
use indelible::domain::money::NanoDollars;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{STRUCTURED, decode_any};

/// What a producer means to say.
#[derive(Debug, Clone)]
struct Meant {
    /// Tenant, user, assistant, model.
    names: [String; 4],
    time: DateTime<FixedOffset>,
    tokens_in: i64,
    tokens_out: i64,
    /// Percent of the tokens in and out.
    cached: Option<i64>,
    reasoning: Option<i64>,
    nanos: Option<i64>,
    latency_ms: Option<i64>,
    tools: BTreeMap<String, i64>,
    /// Kind and id.
    output: Option<[String; 2]>,
}

fn name() -> impl Strategy<Value = String> {
    "[^\\p{Cc}\u{2028}\u{2029}]{1,40}".prop_filter("not blank", |text| !text.trim().is_empty())
}

fn time() -> impl Strategy<Value = DateTime<FixedOffset>> {
    (0..4_000_000_000_i64, 0..1_000_000_000_u32, -1439..=1439_i32).prop_map(|(seconds, nanos, minutes)| {
        let offset = FixedOffset::east_opt(minutes * 60).expect("less than a day");
        DateTime::from_timestamp(seconds, nanos).expect("a time").with_timezone(&offset)
    })
}

fn meant() -> impl Strategy<Value = Meant> {
    let count = 0..=MAX_COUNT / 2;
    let counts = (count.clone(), count.clone(), option::of(0..=100_i64), option::of(0..=100_i64));
    let rest = (option::of(0..=i64::MAX), option::of(count), btree_map(name(), 0..=3_i64, 0..5));
    ([name(), name(), name(), name()], time(), counts, rest, option::of([name(), name()])).prop_map(
        |(names, time, (tokens_in, tokens_out, cached, reasoning), (nanos, latency_ms, tools), output)| {
            let part = |of: i64| move |percent: i64| of / 100 * percent;
            let (cached, reasoning) = (cached.map(part(tokens_in)), reasoning.map(part(tokens_out)));
            Meant { names, time, tokens_in, tokens_out, cached, reasoning, nanos, latency_ms, tools, output }
        },
    )
}

impl Meant {
    fn data(&self) -> Map<String, Value> {
        let [tenant, user, assistant, model] = &self.names;
        let data = json!({
            "tenantId": tenant, "userId": user, "assistant": assistant, "model": model,
            "tokensIn": self.tokens_in, "tokensOut": self.tokens_out, "totalTokens": self.tokens_in + self.tokens_out,
            "cachedTokens": self.cached, "reasoningTokens": self.reasoning, "latencyMs": self.latency_ms,
            "costCents": self.nanos.map(|nanos| NanoDollars(nanos).to_cents()), "toolInvocations": self.tools,
            "output": self.output.as_ref().map(|[kind, id]| json!({"kind": kind, "id": id})),
        });
        let Value::Object(data) = data else { panic!("an object") };
        data
    }

    fn usage(&self) -> Usage {
        let [_, _, assistant, model] = &self.names;
        Usage {
            provider: None,
            assistant: Assistant::new(assistant).expect("an id"),
            model: Model::new(model).expect("an id"),
            tokens_in: self.tokens_in,
            tokens_out: self.tokens_out,
            cache_write_tokens: 0,
            cached_tokens: self.cached.unwrap_or(0),
            reasoning_tokens: self.reasoning.unwrap_or(0),
            cost: self.nanos.map(NanoDollars),
            latency_ms: self.latency_ms,
            tools: self
                .tools
                .iter()
                .filter(|(_, calls)| **calls > 0)
                .map(|(tool, calls)| (Tool::new(tool).expect("an id"), *calls))
                .collect(),
            output: self.output.as_ref().map(|[kind, id]| Output {
                kind: OutputKind::new(kind).expect("an id"),
                id: OutputId::new(id).expect("an id"),
            }),
        }
    }

    fn structured(&self) -> String {
        json!({
            "specversion": "1.0", "type": "ai.usage.recorded.v1", "id": "e1", "source": "/svc",
            "time": self.time.to_rfc3339(), "data": self.data(),
        })
        .to_string()
    }

    fn bare(&self) -> String {
        let mut record = self.data();
        record.insert("requestId".to_owned(), "e1".into());
        record.insert("createdAt".to_owned(), self.time.to_rfc3339().into());
        Value::Object(record).to_string()
    }
}

/// A count in one of the many ways that JSON has to write it.
fn written(count: i64, zeros: usize, places: usize) -> String {
    let digits = format!("{count:0>20}{}", "0".repeat(zeros));
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let whole = Some(whole.trim_start_matches('0')).filter(|whole| !whole.is_empty()).unwrap_or("0");
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{whole}{dot}{fraction}e{}", places as i64 - zeros as i64)
}

/// A change to one place of a text's bytes.
#[derive(Debug, Clone)]
enum Mutation {
    Set(u8),
    Insert(u8),
    Remove,
    Cut,
    Repeat,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\-+.eE0un ".to_vec())];
    prop_oneof![
        byte.clone().prop_map(Mutation::Set),
        byte.prop_map(Mutation::Insert),
        Just(Mutation::Remove),
        Just(Mutation::Cut),
        Just(Mutation::Repeat),
    ]
}

fn mutate(bytes: &mut Vec<u8>, place: prop::sample::Index, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let place = place.index(bytes.len());
    match mutation {
        Mutation::Set(byte) => bytes[place] = *byte,
        Mutation::Insert(byte) => bytes.insert(place, *byte),
        Mutation::Remove => drop(bytes.remove(place)),
        Mutation::Cut => bytes.truncate(place),
        Mutation::Repeat => bytes.extend_from_within(place..),
    }
}

proptest! {
    #[test]
    fn the_three_forms_say_what_was_meant(meant in meant()) {
        let time = meant.time.to_rfc3339();
        let binary: [(&str, &[u8]); 5] = [
            ("ce_specversion", b"1.0"), ("ce_type", b"ai.usage.recorded.v1"), ("ce_id", b"e1"),
            ("ce_source", b"/svc"), ("ce_time", time.as_bytes()),
        ];
        let data = Value::Object(meant.data()).to_string();
        for event in [
            decode_any(meant.structured().as_bytes(), &[]),
            decode_any(meant.structured().as_bytes(), &[STRUCTURED]),
            decode_any(data.as_bytes(), &binary),
            decode_any(meant.bare().as_bytes(), &[]),
        ] {
            let event = event.expect("a valid event");
            prop_assert_eq!(event.tenant, TenantId::new(&meant.names[0]).expect("an id"));
            prop_assert_eq!(event.user, Some(UserId::new(&meant.names[1]).expect("an id")));
            prop_assert_eq!(event.time, meant.time);
            prop_assert_eq!(event.id.as_str(), "e1");
            prop_assert_eq!(event.body, Body::Usage(meant.usage()));
        }
    }

    #[test]
    fn a_count_is_read_however_it_is_written(count in 0..=MAX_COUNT, zeros in 0..30_usize, places in 0..40_usize) {
        let places = places.min(20 + zeros);
        let text = written(count, zeros, places);
        let json = super::usage_with(&format!(r#""latencyMs":{text}"#));
        let event = decode_any(json.as_bytes(), &[]).expect("a valid event");
        let Body::Usage(usage) = event.body else { panic!("not usage") };
        prop_assert_eq!(usage.latency_ms, Some(count), "{}", text);
    }

    #[test]
    fn no_bytes_make_it_panic(value in vec(any::<u8>(), 0..200), header in vec(any::<u8>(), 0..40), which in 0..7_usize) {
        let names = ["content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "other"];
        let _ = decode_any(&value, &[(names[which], &header)]);
    }

    #[test]
    fn no_json_like_text_makes_it_panic(value in "[{}\\[\\]\",:\\\\0-9eE.+\\-a-z ]{0,200}") {
        let _ = decode_any(value.as_bytes(), &[]);
    }

    #[test]
    fn no_damage_to_an_event_makes_it_panic(
        meant in meant(),
        bare: bool,
        damage in vec((any::<prop::sample::Index>(), mutation()), 1..8),
    ) {
        let mut bytes = if bare { meant.bare() } else { meant.structured() }.into_bytes();
        for (place, mutation) in damage {
            mutate(&mut bytes, place, &mutation);
        }
        if let Err(reject) = decode_any(&bytes, &[]) {
            prop_assert!(reject.detail.chars().count() < 400 && !reject.detail.contains('\n'), "{}", reject);
        }
    }
}
