//! A counted request as a record of the rated topic: `ai.usage.rated.v1`, CloudEvents in structured mode.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::domain::calendar::TimeMs;
use crate::domain::event::{Event, Usage};
use crate::domain::ids::{EventId, Tool};
use crate::domain::money::NanoDollars;
use crate::domain::rated::Rated;
use crate::ingest::cloudevent::CloudEvent;
use crate::ingest::record::Record;
use crate::pricing::Table;

/// A record of the rated topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its key.
    pub id: EventId,
    pub value: Vec<u8>,
    /// That of the record which the request came in.
    pub timestamp: Option<TimeMs>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    tenant_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    assistant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    model: &'a str,
    tokens_in: i64,
    tokens_out: i64,
    cached_tokens: i64,
    cache_write_tokens: i64,
    reasoning_tokens: i64,
    #[serde(skip_serializing_if = "Tools::is_empty")]
    tool_invocations: Tools<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<i64>,
    cost: Amount,
    charge: Amount,
    unpriced: bool,
    price: Option<Price>,
    topic: &'a str,
    partition: i32,
    offset: i64,
}

struct Tools<'a>(&'a [(Tool, i64)]);

impl Tools<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (tool, calls) in self.0 {
            map.serialize_entry(tool.as_str(), calls)?;
        }
        map.end()
    }
}

/// Exact decimal text, in dollars.
#[derive(Serialize)]
struct Amount {
    amount: String,
    currency: &'static str,
}

impl Amount {
    fn of(nanos: NanoDollars) -> Self {
        Self { amount: nanos.to_dollars(), currency: "USD" }
    }
}

/// The entry of the price table for the request.
#[derive(Serialize)]
struct Price {
    version: String,
    provider: String,
    model: String,
    /// None for always.
    from: Option<String>,
}

/// The entry that a table has for a request; none where it has none.
fn price(prices: &Table, usage: &Usage, at: DateTime<Utc>) -> Option<Price> {
    let used = prices.explain(usage, at).ok()?.entry?;
    let version = prices.version().to_string();
    Some(Price { version, provider: used.provider, model: used.model, from: used.from })
}

impl Message {
    /// A request as it was counted. `prices` is the table that it was rated by.
    ///
    /// # Errors
    /// Never, as far as is known: text and integers have a form in JSON.
    pub fn of(
        record: &Record,
        event: &Event,
        usage: &Usage,
        rated: &Rated,
        prices: &Table,
    ) -> Result<Self, serde_json::Error> {
        let place = record.partition();
        let data = Data {
            tenant_id: event.tenant.as_str(),
            user_id: event.user.as_ref().map(|user| user.as_str()),
            assistant: usage.assistant.as_str(),
            provider: usage.provider.as_ref().map(|provider| provider.as_str()),
            model: usage.model.as_str(),
            tokens_in: usage.tokens_in,
            tokens_out: usage.tokens_out,
            cached_tokens: usage.cached_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            tool_invocations: Tools(&usage.tools),
            latency_ms: usage.latency_ms,
            cost: Amount::of(rated.cost),
            charge: Amount::of(rated.charge),
            unpriced: rated.unpriced,
            price: price(prices, usage, event.time),
            topic: &place.topic,
            partition: place.partition,
            offset: record.offset().0,
        };
        let (source, id) = (event.source.as_str(), event.id.as_str());
        let time = event.time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let value = serde_json::to_vec(&CloudEvent::new("ai.usage.rated.v1", source, id, time, data))?;
        Ok(Self { id: event.id.clone(), value, timestamp: record.timestamp() })
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/ingest/rated/message.rs"]
mod tests;
