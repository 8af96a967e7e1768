//! A good answer: its figures, its freshness, its ETag, and the 304 that a caller who has it gets instead.
//!
//! The ETag is a hash of the answer without `asOf` and `lagSeconds`, so that polling a tenant that rests costs
//! a header, and thus weak. Money is exact decimal text from an integer, never a float.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use xxhash_rust::xxh3::xxh3_128;

use crate::domain::counters::{Counters, Overflow};
use crate::domain::{calendar::TimeMs, money::NanoDollars};
use crate::domain::{gap::Gap, position::TopicPartition};
use crate::store::Freshness;

use super::{ApiState, Problem};

/// What an endpoint that asks the store returns.
pub(super) type Answer<T> = Result<Dated<T>, Problem>;

/// What the store knows, and what it says that it doesn't.
#[derive(Debug, Serialize, ToSchema)]
struct Known<T> {
    #[serde(flatten)]
    content: T,
    /// Absent where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    gaps: Vec<AcceptedGap>,
}

/// An answer from the store, and how fresh it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dated<T> {
    #[serde(flatten)]
    content: Known<T>,
    /// Every event that reached Kafka before this instant is in the answer; null while nothing was ever counted.
    #[schema(required, format = DateTime)]
    as_of: Option<String>,
    /// Whole seconds from `asOf` to now, 0 or more.
    #[schema(required, minimum = 0)]
    lag_seconds: Option<i64>,
}

/// Records that are not in the answer and never will be: they were gone from Kafka before they were counted, and an
/// operator has accepted that.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AcceptedGap {
    topic: String,
    partition: i32,
    /// The first offset that was not counted.
    from: i64,
    /// The offset at which counting went on; where the log was `replaced`, in the present log, and `from` in the
    /// earlier one.
    to: i64,
    #[schema(format = DateTime)]
    accepted_at: String,
    /// `deleted`: by retention, before it was counted. `before_start`: the log no longer began at 0 when counting
    /// began. `replaced`: the log is another one than was counted before.
    kind: &'static str,
}

impl AcceptedGap {
    fn of((TopicPartition { topic, partition }, gap): (TopicPartition, Gap)) -> Self {
        Self {
            topic: topic.to_string(),
            partition,
            from: gap.from.0,
            to: gap.to.0,
            accepted_at: gap.accepted.to_rfc3339(),
            kind: gap.kind.as_str(),
        }
    }
}

impl<T> Dated<T> {
    pub(super) fn new(state: &ApiState, content: T, freshness: Freshness) -> Self {
        let Freshness { as_of, gaps } = freshness;
        // The store's clock may be ahead of ours.
        let lag = |time: TimeMs| (TimeMs::of((state.now)()).0.saturating_sub(time.0) / 1000).max(0);
        let content = Known { content, gaps: gaps.into_iter().map(AcceptedGap::of).collect() };
        Self { content, as_of: as_of.map(TimeMs::to_rfc3339), lag_seconds: as_of.map(lag) }
    }
}

impl<T: Serialize> IntoResponse for Dated<T> {
    fn into_response(self) -> Response {
        let as_of = self.as_of.as_deref().and_then(|time| HeaderValue::from_str(time).ok());
        let mut response = self.respond().into_response();
        response.headers_mut().extend(as_of.map(|time| (HeaderName::from_static("indelible-as-of"), time)));
        response
    }
}

impl<T: Serialize> Dated<T> {
    /// What the tag is of is most of the answer, and is written once: one object goes on where the other ends.
    fn respond(&self) -> Result<Response, Problem> {
        let mut json = serde_json::to_vec(&self.content).map_err(Problem::internal)?;
        let tag = tag(&json);
        let age = json!({ "asOf": self.as_of, "lagSeconds": self.lag_seconds });
        let age = serde_json::to_vec(&age).map_err(Problem::internal)?;
        json.pop();
        if json.len() > 1 {
            json.push(b',');
        }
        json.extend_from_slice(&age[1..]);
        Ok(tagged(tag, json))
    }
}

/// 200 with the answer, tagged by a hash of it.
pub(super) fn respond(answer: &impl Serialize) -> Result<Response, Problem> {
    let json = serde_json::to_vec(answer).map_err(Problem::internal)?;
    Ok(tagged(tag(&json), json))
}

/// The ETag of what counts as a change of an answer.
pub(super) fn tag(json: &[u8]) -> String {
    format!("W/\"{:032x}\"", xxh3_128(json))
}

pub(super) fn tagged(tag: String, json: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "accept-encoding"),
    ];
    (headers, [(header::ETAG, tag)], json).into_response()
}

/// A layer: 304 instead of an answer that the caller has, as `if-none-match` names its ETag.
pub(super) async fn revalidate(request: Request, next: Next) -> Response {
    let asked = request.headers().clone();
    let mut response = next.run(request).await;
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if tag.is_some_and(|tag| has(&asked, tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    response
}

/// Compared weakly, as RFC 9110 has it for a GET: with the quotes a tag is found in a list and never in another tag.
fn has(asked: &HeaderMap, tag: &str) -> bool {
    let mut given = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given.any(|list| list.trim() == "*" || list.contains(tag.trim_start_matches("W/")))
}

/// Writes an amount in cents: a JSON number with up to 7 decimals, each of them right.
pub(super) fn cents<S: Serializer>(cost: &NanoDollars, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(cost.to_cents()).map_err(S::Error::custom)?.serialize(serializer)
}

/// Describes what [`cents`] writes.
pub(super) fn cents_schema() -> Object {
    let text = "US cents, exact, up to 7 decimals. Read it as a decimal: a binary float holds some only nearly.";
    ObjectBuilder::new().schema_type(Type::Number).description(Some(text)).examples([42]).build()
}

/// An amount with its currency.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Cost {
    /// Exact decimal text, up to 9 decimals.
    #[schema(example = "57.868362")]
    pub(super) amount: String,
    pub(super) currency: &'static str,
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
    #[serde(serialize_with = "cents")]
    #[schema(schema_with = cents_schema)]
    pub(super) cost_cents: NanoDollars,
    /// What providers take.
    cost: Cost,
    /// What customers are charged: the cost with the markup.
    charge: Cost,
    /// Requests of a model for which there is no price, and that gave no cost: they add none.
    unpriced_requests: i64,
    /// Whole milliseconds, rounded down; null when no request gave a latency.
    #[schema(required)]
    average_latency_ms: Option<i64>,
}

impl Figures {
    pub(super) fn of(sum: &Counters) -> Result<Self, Overflow> {
        Ok(Self {
            requests: sum.requests,
            tokens_in: sum.tokens_in,
            tokens_out: sum.tokens_out,
            total_tokens: sum.total_tokens()?,
            cached_tokens: sum.cached_tokens,
            reasoning_tokens: sum.reasoning_tokens,
            cost_cents: sum.cost,
            cost: sum.cost.into(),
            charge: sum.charge.into(),
            unpriced_requests: sum.unpriced,
            average_latency_ms: sum.average_latency_ms(),
        })
    }
}
