//! What the benches read, hash, fold and rate: the same records and events for the clock and for the count of
//! instructions.

use std::hint::black_box;

use indelible::domain::calendar::TimeMs;
use indelible::domain::delta::{Counted, Delta};
use indelible::domain::event::{Body, Event};
use indelible::domain::rated::Rated;
use indelible::domain::seen::SeenId;
use indelible::ingest::decode::{Bounds, Incoming, decode};
use indelible::pricing::Table;

/// As producers of CloudEvents send it; the load's generator writes the same.
const STRUCTURED: &str = r#"{"specversion":"1.0","type":"ai.usage.recorded.v1","source":"/services/chat-gateway","id":"req-000000012345","time":"2026-11-25T07:00:00.123456789+00:00","datacontenttype":"application/json","data":{"tenantId":"tenant-0042","userId":"user-00012345","assistant":"assistant-07","model":"model-07","tokensIn":12345,"tokensOut":678,"costCents":0.01234,"latencyMs":1850,"cachedTokens":4115,"toolInvocations":{"retrieval":1,"webSearch":2}}}"#;
/// As a document of a `usage_logs` collection is exported, its id a UUID.
const BARE: &str = r#"{"requestId":"0f4e7a52-9d0b-4c35-8f0e-6f1c2d3b4a59","createdAt":"2026-11-25T07:00:00Z","tenantId":"tenant-0042","userId":"user-00012345","assistant":"assistant-07","model":"model-07","tokensIn":12345,"tokensOut":678,"totalTokens":13023,"costCents":"0.01234"}"#;
/// As a producer writes it who lays JSON out for readers, and puts escapes for letters beyond ASCII.
const OUTPUT: &str = r#"{
  "specversion": "1.0",
  "type": "ai.output.created.v1",
  "source": "/services/editor",
  "id": "out-000000012345",
  "time": "2026-11-25T07:00:00.123Z",
  "data": { "tenantId": "b\u00fccher", "userId": "user-00012345", "outputId": "site-0042", "kind": "website" }
}"#;
const HEADERS: [(&str, &[u8]); 1] = [("content-type", b"application/cloudevents+json; charset=utf-8")];
/// When the records came to Kafka.
const LOGGED: TimeMs = TimeMs(1_795_590_000_500);
const BOUNDS: Bounds = Bounds { max_future_ms: 300_000, max_age_ms: 3_024_000_000 };

/// A record by its form, a CloudEvent with the header that most have.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) value: &'static str,
    headers: &'static [(&'static str, &'static [u8])],
}

pub(crate) const RECORDS: [Sample; 3] = [
    Sample { name: "structured", value: STRUCTURED, headers: &HEADERS },
    Sample { name: "bare", value: BARE, headers: &[] },
    Sample { name: "output", value: OUTPUT, headers: &HEADERS },
];

impl Sample {
    pub(crate) fn decode(&self) -> Event {
        decode_text(black_box(self.value), self.headers)
    }
}

fn decode_text(value: &str, headers: &[(&str, &[u8])]) -> Event {
    let record = Incoming { value: Some(value.as_bytes()), headers, timestamp: Some(LOGGED) };
    decode(&record, &BOUNDS).expect("an event")
}

pub(crate) fn seen(event: &Event) -> SeenId {
    SeenId::of(black_box(event), LOGGED)
}

/// Events of 100 users of ten tenants. The nth user sends about 1/n of what the first does.
pub(crate) fn events(count: usize) -> Vec<(Event, Rated)> {
    // Knuth's linear congruential generator: the same events on every machine.
    let mut state = 1_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut event = |number: usize| {
        let user = 100 / (1 + next(100)) - 1 + next(2);
        let (tenant, assistant, model) = (user % 10, next(4), next(6));
        let value = STRUCTURED
            .replace("req-000000012345", &format!("req-{number:012}"))
            .replace("tenant-0042", &format!("tenant-{tenant:04}"))
            .replace("user-00012345", &format!("user-{user:08}"))
            .replace("assistant-07", &format!("assistant-{assistant:02}"))
            .replace("model-07", &format!("model-{model:02}"));
        let event = decode_text(&value, &HEADERS);
        let rated = Rated::given(usage(&event).and_then(|usage| usage.cost));
        (event, rated)
    };
    (0..count).map(&mut event).collect()
}

fn usage(event: &Event) -> Option<&indelible::domain::event::Usage> {
    match &event.body {
        Body::Usage(usage) => Some(usage),
        _ => None,
    }
}

pub(crate) fn fold(events: &[(Event, Rated)]) -> Delta {
    let counted = |(event, rated)| Counted { event, rated, log_time: LOGGED };
    Delta::fold(black_box(events).iter().map(|(event, rated)| counted((event, rated)))).expect("sums of 64 bits")
}

/// A model that the built-in table finds by a pattern, with tools, and no cost of its own.
pub(crate) fn priced() -> Event {
    let unpriced = STRUCTURED.replace(r#""costCents":0.01234,"#, "");
    decode_text(&unpriced.replace("model-07", "claude-sonnet-4-5-20250929"), &HEADERS)
}

pub(crate) fn rate(table: &Table, event: &Event) -> Rated {
    let usage = usage(black_box(event)).expect("usage");
    table.rate(usage, event.time).expect("an amount")
}
