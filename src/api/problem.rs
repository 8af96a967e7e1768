//! What went wrong, as RFC 9457 `application/problem+json`. The only place that names a problem's type.

use std::any::Any;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use utoipa::{IntoResponses, ToSchema};

use crate::auth::Scopes;
use crate::domain::counters::Overflow;
use crate::quota::plans::UnknownPlan;
use crate::store::StoreError;

use super::assign::AssignFault;

pub(super) const MIME: &str = "application/problem+json";

tokio::task_local! {
    /// The id of the request that the task answers.
    pub(super) static REQUEST_ID: String;
}

/// A kind of problem: its slug, which is part of the contract (clients branch on it), its title and status.
pub(super) struct Kind(&'static str, &'static str, u16);

/// The closed list of problems.
impl Kind {
    pub(super) const INVALID_ID: Self = Self("invalid-id", "Not an id", 400);
    pub(super) const INVALID_PARAMETER: Self = Self("invalid-parameter", "Not a parameter", 400);
    pub(super) const INVALID_CURSOR: Self = Self("invalid-cursor", "Not a cursor of this list", 400);
    pub(super) const UNAUTHENTICATED: Self = Self("unauthenticated", "Not authenticated", 401);
    pub(super) const FORBIDDEN: Self = Self("insufficient-scope", "The credential does not allow it", 403);
    pub(super) const RATE_LIMITED: Self = Self("rate-limited", "Too many requests", 429);
    pub(super) const OVERLOADED: Self = Self("overloaded", "Too much at once", 503);
    pub(super) const TIMED_OUT: Self = Self("timed-out", "No answer in time", 503);
    pub(super) const AUTH_UNAVAILABLE: Self = Self("auth-unavailable", "Credentials can't be checked now", 503);
    pub(super) const NOT_FOUND: Self = Self("not-found", "No such resource", 404);
    pub(super) const METHOD_NOT_ALLOWED: Self = Self("method-not-allowed", "Not a method of this path", 405);
    pub(super) const REQUEST_TIMEOUT: Self = Self("request-timeout", "Request too slow", 408);
    pub(super) const BODY_TOO_LARGE: Self = Self("body-too-large", "Request too large", 413);
    const INVALID_QUOTA: Self = Self("invalid-quota", "Not a quota", 422);
    const CROWDED: Self = Self("user-in-crowd", "User has no sums of its own", 409);
    const UNKNOWN_PLAN: Self = Self("unknown-plan", "Plan is not in the plan file", 409);
    pub(super) const NOT_ACCEPTABLE: Self = Self("not-acceptable", "No such encoding", 406);
    const OVERFLOW: Self = Self("overflow", "Sum too large", 500);
    const STORE_DAMAGED: Self = Self("store-damaged", "Counters damaged", 500);
    const INTERNAL: Self = Self("internal", "Internal error", 500);
    const STORE_UNAVAILABLE: Self = Self("store-unavailable", "Counters not readable now", 503);
    const NOT_COUNTING: Self = Self("not-counting", "Nothing is counted here", 503);
    const STORE_UNUSABLE: Self = Self("store-unusable", "Counters not readable", 503);
    const KAFKA_UNAVAILABLE: Self = Self("kafka-unavailable", "Kafka does not take events now", 503);
    const NOT_APPLIED_YET: Self = Self("not-applied-yet", "Written, and not applied yet", 504);
}

/// An answer that is an error.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Problem {
    /// A stable name: branch on this.
    #[serde(serialize_with = "urn")]
    #[schema(value_type = String, example = "urn:indelible:problem:invalid-parameter")]
    r#type: &'static str,
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For a person; may change.
    detail: String,
    /// The same as in the header `x-request-id` and in the log.
    request_id: String,
    /// For the log alone: it may name hosts and keys. Empty where the type says it all.
    #[serde(skip)]
    cause: String,
    /// Seconds until the same request may be answered.
    #[serde(skip)]
    retry_after: Option<u16>,
    /// How to be let in: `www-authenticate`.
    #[serde(skip)]
    challenge: Option<Challenge>,
}

/// What `www-authenticate` says (RFC 6750).
#[derive(Debug, Clone, Copy)]
pub(super) enum Challenge {
    /// There was no credential.
    Missing,
    /// There was one that is none.
    Invalid,
    /// It is valid, and lacks a scope.
    Lacks(Scopes),
}

impl Challenge {
    fn header(self) -> Option<HeaderValue> {
        let realm = "Bearer realm=\"indelible\"";
        let text = match self {
            Self::Missing => realm.to_owned(),
            Self::Invalid => format!("{realm}, error=\"invalid_token\""),
            Self::Lacks(scope) => format!("{realm}, error=\"insufficient_scope\", scope=\"{}\"", scope.name()),
        };
        HeaderValue::try_from(text).ok()
    }
}

fn urn<S: Serializer>(slug: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:indelible:problem:{slug}"))
}

impl Problem {
    /// `detail` tells the caller what to do differently.
    pub(super) fn new(Kind(slug, title, status): Kind, detail: impl Into<String>) -> Self {
        let (r#type, detail) = (slug, detail.into());
        let (request_id, cause) = (String::new(), String::new());
        Self { r#type, title, status, detail, request_id, cause, retry_after: None, challenge: None }
    }

    /// Of every path that does not exist, or not for whoever asks: one answer, so that nobody can tell which.
    pub(super) fn nothing_here() -> Self {
        Self::new(Kind::NOT_FOUND, "nothing is served here; /openapi.json lists what is")
    }

    pub(super) fn retry_after(self, seconds: u16) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(super) fn challenging(self, challenge: Challenge) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    fn caused(kind: Kind, detail: &str, cause: impl ToString) -> Self {
        Self { cause: cause.to_string(), ..Self::new(kind, detail) }
    }

    pub(super) fn internal(cause: impl ToString) -> Self {
        Self::caused(Kind::INTERNAL, "the answer could not be made; the log has the cause by the request id", cause)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (kind, retry_after, detail) = match error {
            StoreError::Unavailable(_) | StoreError::Refused(_) => {
                (Kind::STORE_UNAVAILABLE, Some(1), "the counters can't be read at the moment; try again")
            }
            StoreError::Corrupt { .. } => {
                (Kind::STORE_DAMAGED, None, "the stored counters are damaged; the log names the key by the request id")
            }
            StoreError::Crowded { .. } => return Self::new(Kind::CROWDED, error.to_string()),
            StoreError::NotCounting { .. } => (
                Kind::NOT_COUNTING,
                Some(5),
                "no worker has counted here yet, or what was counted is lost: zeros would be untrue. Start a worker; if \
                 it stops with state_lost, `indelible offsets show` says what can be done",
            ),
            StoreError::Unusable(_) | StoreError::Unfit(_) => {
                (Kind::STORE_UNUSABLE, None, "the counters can't be read until an operator helps")
            }
        };
        Self { retry_after, ..Self::caused(kind, detail, error) }
    }
}

impl From<AssignFault> for Problem {
    fn from(fault: AssignFault) -> Self {
        let (kind, retry_after) = match &fault {
            AssignFault::Invalid(_) => (Kind::INVALID_QUOTA, None),
            AssignFault::UnknownPlan(_) => (Kind::UNKNOWN_PLAN, None),
            AssignFault::NotAcknowledged { .. } => (Kind::KAFKA_UNAVAILABLE, Some(5)),
            AssignFault::NotApplied { .. } => (Kind::NOT_APPLIED_YET, None),
        };
        let detail = fault.to_string();
        let (AssignFault::NotAcknowledged { cause, .. } | AssignFault::NotApplied { cause, .. }) = fault else {
            return Self::new(kind, detail);
        };
        Self { retry_after, ..Self::caused(kind, &detail, cause) }
    }
}

impl From<UnknownPlan> for Problem {
    fn from(unknown: UnknownPlan) -> Self {
        Self::new(Kind::UNKNOWN_PLAN, unknown.to_string())
    }
}

impl From<Overflow> for Problem {
    fn from(overflow: Overflow) -> Self {
        Self::caused(Kind::OVERFLOW, "a sum of this answer is larger than a 64-bit integer", overflow)
    }
}

/// Here an error ends, so here it is logged: an outage as a warning, what a person must look at as an error.
impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        self.request_id = REQUEST_ID.try_with(String::clone).unwrap_or_default();
        let (problem, cause) = (format!("urn:indelible:problem:{}", self.r#type), &self.cause);
        match self.status {
            // One line for each would add to the load: who sheds says so at intervals.
            _ if self.r#type == Kind::OVERLOADED.0 => tracing::debug!(problem, "request shed"),
            503 | 504 => tracing::warn!(problem, cause, "request failed"),
            500.. => tracing::error!(problem, cause, "request failed"),
            _ => tracing::debug!(problem, "request refused"),
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem lasts as long as its cause, and no cache knows how long that is.
        let headers = [(header::CONTENT_TYPE, MIME), (header::CACHE_CONTROL, "no-store")];
        let mut response = (status, headers, serde_json::to_vec(&self).unwrap_or_default()).into_response();
        let headers = response.headers_mut();
        headers.extend(self.retry_after.map(|seconds| (header::RETRY_AFTER, seconds.into())));
        headers.extend(self.challenge.and_then(Challenge::header).map(|how| (header::WWW_AUTHENTICATE, how)));
        response
    }
}

/// The answer to a request whose handler panicked.
pub(super) fn of_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    Problem::internal(format!("panic: {}", text.unwrap_or("without a text"))).into_response()
}

/// What every endpoint may answer beside its 200, for the description.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the description alone")]
pub(super) enum Others {
    #[response(status = 304, description = "The caller has this answer: `if-none-match` names its ETag")]
    Unchanged,
    /// invalid-id, invalid-parameter or invalid-cursor
    #[response(status = 400, content_type = MIME)]
    Refused(Problem),
    /// Any other error is a problem too: internal, not-found, method-not-allowed, …
    #[response(status = "default", content_type = MIME)]
    Else(Problem),
}

/// What an endpoint that assigns may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the description alone")]
pub(super) enum AssignFails {
    /// invalid-id or invalid-parameter
    #[response(status = 400, content_type = MIME)]
    Refused(Problem),
    /// request-timeout
    #[response(status = 408, content_type = MIME)]
    Slow(Problem),
    /// unknown-plan
    #[response(status = 409, content_type = MIME)]
    NoPlan(Problem),
    /// body-too-large: more than 64 KiB
    #[response(status = 413, content_type = MIME)]
    Large(Problem),
    /// invalid-quota
    #[response(status = 422, content_type = MIME)]
    NoQuota(Problem),
    /// kafka-unavailable (with `retry-after`)
    #[response(status = 503, content_type = MIME)]
    NoKafka(Problem),
    /// not-applied-yet: the event is in Kafka, do not send it again
    #[response(status = 504, content_type = MIME)]
    Later(Problem),
    /// Any other error is a problem too: internal, not-found, method-not-allowed, …
    #[response(status = "default", content_type = MIME)]
    Else(Problem),
}

/// What an endpoint that asks the store may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the description alone")]
pub(super) enum StoreFails {
    #[response(status = 500, description = "overflow, store-damaged or internal", content_type = MIME)]
    Damaged(Problem),
    #[response(status = 503, description = "store-unavailable, not-counting (both with `retry-after`) or store-unusable", content_type = MIME)]
    Away(Problem),
}
