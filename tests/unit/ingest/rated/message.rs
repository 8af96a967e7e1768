use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::domain::event::Body;
use crate::domain::position::Offset;
use crate::ingest::decode::{Bounds, Incoming, decode};
use crate::ingest::record::Chunk;

/// The record of the rated topic for a request of these data, which is held to its schema.
fn message(data: &serde_json::Value, rated: &Rated) -> serde_json::Value {
    let event = json!({
        "specversion": "1.0", "type": "ai.usage.recorded.v1", "source": "svc", "id": "e1",
        "time": "2026-11-24T18:00:00.5+01:00", "data": data,
    });
    let (value, timestamp) = (event.to_string(), Some(TimeMs(1_795_540_000_000)));
    let mut chunk = Chunk::default();
    let none = std::iter::empty();
    chunk.push(("usage", 3), Offset(42), timestamp, None, Some(value.as_bytes()), none);
    let record = Record::all(&Arc::new(chunk)).next().expect("a record");
    let bounds = Bounds { max_future_ms: 86_400_000, max_age_ms: 86_400_000 };
    let event = decode(&Incoming { value: record.value(), headers: &[], timestamp }, &bounds).expect("an event");
    let Body::Usage(usage) = &event.body else { panic!("a request") };
    let message = Message::of(&record, &event, usage, rated, &Table::builtin()).expect("JSON");
    assert_eq!((message.id.as_str(), message.timestamp), ("e1", timestamp));
    let value = serde_json::from_slice(&message.value).expect("JSON");
    let schema = include_str!("../../../../schemas/ai.usage.rated.v1.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).expect("JSON")).expect("a schema");
    schema.validate(&value).expect("as the schema says");
    value
}

#[test]
fn a_request_as_it_was_counted() {
    let data = json!({
        "tenantId": "acme", "userId": "alice", "assistant": "chat", "provider": "anthropic",
        "model": "a-model", "tokensIn": 1200, "tokensOut": 80, "cachedTokens": 1000,
        "cacheWriteTokens": 100, "reasoningTokens": 30, "costCents": "0.45", "latencyMs": 950,
        "toolInvocations": {"webSearch": 2, "retrieval": 1},
    });
    let rated = Rated { charge: NanoDollars(5_400_000_001), ..Rated::given(Some(NanoDollars(4_500_000))) };
    let expected = json!({
        "specversion": "1.0", "type": "ai.usage.rated.v1", "source": "svc", "id": "e1",
        "time": "2026-11-24T17:00:00.500Z", "datacontenttype": "application/json",
        "data": {
            "tenantId": "acme", "userId": "alice", "assistant": "chat", "provider": "anthropic",
            "model": "a-model", "tokensIn": 1200, "tokensOut": 80, "cachedTokens": 1000,
            "cacheWriteTokens": 100, "reasoningTokens": 30, "latencyMs": 950,
            "toolInvocations": {"retrieval": 1, "webSearch": 2},
            "cost": {"amount": "0.0045", "currency": "USD"}, "charge": {"amount": "5.400000001", "currency": "USD"},
            "unpriced": false, "price": null, "topic": "usage", "partition": 3, "offset": 42,
        },
    });
    assert_eq!(message(&data, &rated), expected);
}

#[test]
fn what_a_request_does_not_say_is_left_out_and_what_has_no_price_says_so() {
    let data = json!({
        "tenantId": "acme", "userId": "alice", "assistant": "chat", "model": "a-model", "tokensIn": 1, "tokensOut": 0,
    });
    let data = message(&data, &Rated::given(None))["data"].clone();
    for absent in ["provider", "toolInvocations", "latencyMs"] {
        assert!(data.get(absent).is_none(), "{absent}");
    }
    assert_eq!((&data["unpriced"], &data["cost"]["amount"]), (&json!(true), &json!("0")));
}

#[test]
fn the_entry_of_the_price_table_is_named() {
    let data = json!({
        "tenantId": "acme", "userId": "alice", "assistant": "chat", "model": "claude-sonnet-4-5", "tokensIn": 1,
        "tokensOut": 0,
    });
    let price = message(&data, &Rated::default())["data"]["price"].clone();
    assert_eq!(price["provider"], "anthropic");
    assert_eq!(price["version"], Table::builtin().version().as_ref());
    assert!(price["model"].as_str().is_some_and(|model| model.starts_with("claude-sonnet-4-5")), "{price}");
}
