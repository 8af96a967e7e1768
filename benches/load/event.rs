//! One event as a service would send it: a CloudEvent of about 450 bytes.

use std::fmt::Write;

/// Whose event it is. Tenants and users bear their number in their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) tenant: u64,
    pub(crate) user: u64,
}

/// Key and value of a Kafka record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A request to a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// Names it among all events of a topic.
    pub(crate) number: u64,
    /// RFC 3339.
    pub(crate) time: &'a str,
    pub(crate) person: Person,
    pub(crate) assistant: usize,
    pub(crate) model: usize,
    pub(crate) tokens_in: u64,
    pub(crate) tokens_out: u64,
    pub(crate) latency_ms: u64,
    pub(crate) searches: u64,
    /// An id that was never used before.
    pub(crate) output: Option<&'a str>,
}

/// Of assistants and of models.
pub(crate) const NAMES: usize = 20;

/// Provider and model. The first fifteen are in the price table that is built in, and their events leave the cost to
/// it; the last five are a company's own, without a provider, and their events say what they cost.
const MODELS: [(&str, &str); NAMES] = [
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-5-5"),
    ("openai", "gpt-5.2"),
    ("openai", "gpt-5-mini"),
    ("google", "gemini-2.5-pro"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-sonnet-5-5"),
    ("openai", "gpt-5.1"),
    ("google", "gemini-2.5-flash"),
    ("anthropic", "claude-opus-4-5"),
    ("openai", "gpt-4.1-mini"),
    ("openai", "o4-mini"),
    ("anthropic", "claude-sonnet-4-6"),
    ("mistral", "mistral-large-latest"),
    ("google", "gemini-2.5-flash-lite"),
    ("", "in-house-summary-1"),
    ("", "in-house-search-2"),
    ("", "in-house-search-3"),
    ("", "in-house-vision-1"),
    ("", "in-house-draft-1"),
];

/// Of every output. An application has a few kinds; one is as good as many.
const KIND: &str = "assistant_result";

impl Person {
    pub(crate) fn stats_path(self) -> String {
        format!("/v1/tenants/tenant-{:04}/users/user-{:08}/stats", self.tenant, self.user)
    }

    fn key(self) -> String {
        format!("tenant-{:04}:user-{:08}", self.tenant, self.user)
    }
}

pub(crate) fn tenant_name(number: u64) -> String {
    format!("tenant-{number:04}")
}

impl Request<'_> {
    pub(crate) fn record(&self) -> Record {
        let (Person { tenant, user }, (provider, model)) = (self.person, MODELS[self.model]);
        let (tokens_in, tokens_out) = (self.tokens_in, self.tokens_out);
        let mut value = envelope("ai.usage.recorded.v1", self.number, self.time);
        let data = format_args!(
            "\"tenantId\":\"tenant-{tenant:04}\",\"userId\":\"user-{user:08}\",\"assistant\":\"assistant-{:02}\",\
             \"model\":\"{model}\",\"tokensIn\":{tokens_in},\"tokensOut\":{tokens_out},\"totalTokens\":{},\
             \"cachedTokens\":{},\"latencyMs\":{},\"toolInvocations\":{{\"retrieval\":1,\"webSearch\":{}}}",
            self.assistant,
            tokens_in + tokens_out,
            tokens_in / 3,
            self.latency_ms,
            self.searches,
        );
        value.write_fmt(data).expect("a string takes all");
        let written = if provider.is_empty() {
            write!(value, ",\"costCents\":0.{:05}", tokens_in + 4 * tokens_out)
        } else {
            write!(value, ",\"provider\":\"{provider}\"")
        };
        written.expect("a string takes all");
        if let Some(id) = self.output {
            write!(value, ",\"output\":{{\"id\":\"{id}\",\"kind\":\"{KIND}\"}}").expect("a string takes all");
        }
        value.push_str("}}");
        Record { key: self.person.key(), value }
    }
}

/// The deletion of an output.
pub(crate) fn deletion(number: u64, time: &str, person: Person, output: &str) -> Record {
    let Person { tenant, user } = person;
    let mut value = envelope("ai.output.deleted.v1", number, time);
    let data = format_args!(
        "\"tenantId\":\"tenant-{tenant:04}\",\"userId\":\"user-{user:08}\",\"outputId\":\"{output}\",\
         \"kind\":\"{KIND}\"}}}}"
    );
    value.write_fmt(data).expect("a string takes all");
    Record { key: person.key(), value }
}

/// Up to the opening brace of `data`.
fn envelope(kind: &str, number: u64, time: &str) -> String {
    let mut value = String::with_capacity(640);
    let text = format_args!(
        "{{\"specversion\":\"1.0\",\"type\":\"{kind}\",\"source\":\"/services/chat-gateway\",\
         \"id\":\"req-{number:012}\",\"time\":\"{time}\",\"datacontenttype\":\"application/json\",\"data\":{{"
    );
    value.write_fmt(text).expect("a string takes all");
    value
}
