//! A good answer: its freshness, its ETag, and the 304 that a caller who has it already gets instead.
//!
//! The ETag is a hash of the answer without `asOf` and `lagSeconds`, so that polling a tenant that rests
//! costs a header. It is weak, since the bytes do differ; `indelible-as-of` says on a 304, too, how fresh the
//! unchanged answer is.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_128;

use crate::domain::calendar::TimeMs;
use crate::store::AsOf;

use super::problem::Problem;

const AS_OF: HeaderName = HeaderName::from_static("indelible-as-of");

/// How fresh an answer is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Freshness {
    /// Every event that reached Kafka before this instant is in the answer; null while nothing was ever counted.
    #[schema(required, format = DateTime)]
    as_of: Option<String>,
    /// Whole seconds from `asOf` to now, 0 or more.
    #[schema(required, minimum = 0)]
    lag_seconds: Option<i64>,
}

impl Freshness {
    fn new(as_of: AsOf, now: DateTime<Utc>) -> Self {
        // The store's clock may be ahead of ours.
        let lag = |time: TimeMs| (now.timestamp_millis().saturating_sub(time.0) / 1000).max(0);
        Self { as_of: as_of.map(rfc3339_ms), lag_seconds: as_of.map(lag) }
    }
}

/// An answer from the store.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Dated<T> {
    #[serde(flatten)]
    content: T,
    #[serde(flatten)]
    freshness: Freshness,
}

/// An instant as the API writes it: `2026-11-24T10:00:00.000Z`.
pub(super) fn rfc3339_ms(time: TimeMs) -> String {
    time.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// 200 with the answer and its freshness, or 304 if the caller has this answer.
///
/// # Errors
/// An internal problem, when the answer can't be written as JSON.
pub(super) fn dated<T: Serialize>(
    asked: &HeaderMap,
    content: T,
    as_of: AsOf,
    now: DateTime<Utc>,
) -> Result<Response, Problem> {
    let tag = tag(&json(&content)?);
    let freshness = Freshness::new(as_of, now);
    let as_of = freshness.as_of.as_deref().map(HeaderValue::from_str).transpose().map_err(Problem::internal)?;
    let mut response = respond(asked, json(&Dated { content, freshness })?, &tag)?;
    response.headers_mut().extend(as_of.map(|time| (AS_OF, time)));
    Ok(response)
}

/// The same for an answer that does not come from the store.
///
/// # Errors
/// An internal problem, when the answer can't be written as JSON.
pub(super) fn undated(asked: &HeaderMap, content: &impl Serialize) -> Result<Response, Problem> {
    let json = json(content)?;
    let tag = tag(&json);
    respond(asked, json, &tag)
}

fn json(answer: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(answer).map_err(Problem::internal)
}

fn tag(json: &[u8]) -> String {
    format!("W/\"{:032x}\"", xxh3_128(json))
}

fn respond(asked: &HeaderMap, json: Vec<u8>, tag: &str) -> Result<Response, Problem> {
    let mut response = if has(asked, tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mime = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, mime)], Body::from(json)).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_str(tag).map_err(Problem::internal)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

/// Whether `if-none-match` names the tag; compared weakly, as RFC 9110 has it for a GET.
fn has(asked: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let given = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // Our tags hold no comma, so that a list can be split at any.
    given.flat_map(|list| list.split(',')).map(str::trim).any(|one| one == "*" || opaque(one) == opaque(tag))
}
