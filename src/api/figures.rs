//! Sums as the API writes them. Money is exact decimal text from an integer, never a float.

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::counters::{Counters, Overflow};
use crate::domain::money::NanoDollars;

/// An amount in cents: a JSON number with up to 7 decimals, each of them right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cents(pub(super) NanoDollars);

impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_cents()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl PartialSchema for Cents {
    fn schema() -> RefOr<Schema> {
        let text = "US cents, exact, with up to 7 decimals. Read it as a decimal: a binary float holds some of \
                    these numbers only nearly.";
        let number = ObjectBuilder::new().schema_type(Type::Number).description(Some(text));
        number.examples([serde_json::json!(42)]).build().into()
    }
}

impl ToSchema for Cents {}

/// An amount with its currency.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Cost {
    /// Exact decimal text, up to 9 decimals.
    #[schema(example = "57.868362")]
    amount: String,
    #[schema(example = "USD")]
    currency: &'static str,
}

impl From<NanoDollars> for Cost {
    fn from(cost: NanoDollars) -> Self {
        Self { amount: cost.to_dollars(), currency: "USD" }
    }
}

/// Sums over requests.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    requests: i64,
    /// Cached ones included.
    tokens_in: i64,
    /// Reasoning ones included.
    tokens_out: i64,
    /// `tokensIn` and `tokensOut` together.
    pub(super) total_tokens: i64,
    /// Of `tokensIn`.
    cached_tokens: i64,
    /// Of `tokensOut`.
    reasoning_tokens: i64,
    cost_cents: Cents,
    cost: Cost,
    /// Whole milliseconds, rounded down; null when no request gave a latency.
    #[schema(required)]
    average_latency_ms: Option<i64>,
}

impl Figures {
    /// # Errors
    /// [`Overflow`], when the tokens in and out together are not an i64.
    pub(super) fn of(sum: &Counters) -> Result<Self, Overflow> {
        Ok(Self {
            requests: sum.requests,
            tokens_in: sum.tokens_in,
            tokens_out: sum.tokens_out,
            total_tokens: sum.total_tokens()?,
            cached_tokens: sum.cached_tokens,
            reasoning_tokens: sum.reasoning_tokens,
            cost_cents: Cents(sum.cost),
            cost: sum.cost.into(),
            average_latency_ms: sum.average_latency_ms(),
        })
    }
}
