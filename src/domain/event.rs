//! What a producer says happened, after it has been checked.

use chrono::{DateTime, Utc};

use super::ids::{Assistant, EventId, Model, OutputId, OutputKind, Source, TenantId, Tool, UserId};
use super::money::NanoDollars;

/// The largest count an event may carry: the integers that every JSON reader holds exactly.
pub const MAX_COUNT: i64 = 1 << 53;

/// One accepted event. `tenant`, `source` and `id` together are its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub source: Source,
    /// When it happened; decides the month.
    pub time: DateTime<Utc>,
    pub tenant: TenantId,
    pub user: UserId,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `ai.usage.recorded.v1`
    Usage(Usage),
    /// `ai.output.created.v1`
    OutputCreated(Output),
    /// `ai.output.deleted.v1`: lowers the count of saved outputs and nothing else.
    OutputDeleted(Output),
}

/// One request to a model. Counts are 0 to [`MAX_COUNT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    pub assistant: Assistant,
    pub model: Model,
    /// All input tokens, cached ones included.
    pub tokens_in: i64,
    /// All output tokens, reasoning ones included.
    pub tokens_out: i64,
    /// Of `tokens_in`, those read from a cache.
    pub cached_tokens: i64,
    /// Of `tokens_out`, those spent on reasoning.
    pub reasoning_tokens: i64,
    pub cost: Option<NanoDollars>,
    pub latency_ms: Option<i64>,
    /// Calls by tool, each tool once, in the order of their names, none 0.
    pub tools: Vec<(Tool, i64)>,
    /// The output that the request saved, if it did.
    pub output: Option<Output>,
}

/// A saved output: named by its user, kind and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Output {
    pub kind: OutputKind,
    pub id: OutputId,
}
