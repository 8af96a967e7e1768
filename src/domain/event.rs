//! What a producer says happened, after it has been checked.

use chrono::{DateTime, Utc};
use smallvec::SmallVec;

use super::calendar::TimeMs;
use super::ids::{Assistant, EventId, Model, OutputId, OutputKind, Provider, Source, TenantId, Tool, UserId};
use super::money::NanoDollars;
use super::quota::{Assignment, Grant};

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
    /// None for a quota of the tenant as a whole, and for nothing else.
    pub user: Option<UserId>,
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
    /// `ai.quota.assigned.v1`
    QuotaAssigned(Assigned),
}

/// A quota given to the event's user, or to its tenant where it names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// From when; none for the event's own time.
    pub effective: Option<TimeMs>,
    pub grant: Grant,
}

impl Event {
    /// What is kept of an assignment in this event.
    pub fn assignment(&self, assigned: &Assigned) -> Assignment {
        let set_at = TimeMs::of(self.time);
        Assignment {
            effective: assigned.effective.unwrap_or(set_at),
            set_at,
            source: self.source.clone(),
            id: self.id.clone(),
            grant: assigned.grant.clone(),
        }
    }
}

/// Calls by tool. Most requests have one or two, and these lie in place.
pub type ToolCalls = SmallVec<[(Tool, i64); 2]>;

/// One request to a model. Counts are 0 to [`MAX_COUNT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    pub assistant: Assistant,
    /// Tells prices apart where several providers run the model.
    pub provider: Option<Provider>,
    pub model: Model,
    /// All input tokens, cached ones included.
    pub tokens_in: i64,
    /// All output tokens, reasoning ones included.
    pub tokens_out: i64,
    /// Of `tokens_in`, those read from a cache.
    pub cached_tokens: i64,
    /// Of `tokens_in`, those written to a cache; none of them is one of `cached_tokens`.
    pub cache_write_tokens: i64,
    /// Of `tokens_out`, those spent on reasoning.
    pub reasoning_tokens: i64,
    pub cost: Option<NanoDollars>,
    pub latency_ms: Option<i64>,
    /// Calls by tool, each tool once, in the order of their names, none 0.
    pub tools: ToolCalls,
    /// The output that the request saved, if it did.
    pub output: Option<Output>,
}

/// A saved output: named by its user, kind and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Output {
    pub kind: OutputKind,
    pub id: OutputId,
}
