//! What went wrong, as RFC 9457 `application/problem+json`. The only place that names a problem's type.

use std::any::Any;
use std::collections::BTreeMap;

use axum::Extension;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::{self, ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::domain::counters::Overflow;
use crate::store::StoreError;

/// The closed list of problems. A slug is part of the contract: clients branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    InvalidId,
    InvalidParameter,
    InvalidCursor,
    DayDetailGone,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Overflow,
    StoreDamaged,
    Internal,
    StoreUnavailable,
    StoreUnusable,
}

impl Kind {
    const fn parts(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::InvalidId => ("invalid-id", "Not an id", 400),
            Self::InvalidParameter => ("invalid-parameter", "Not a parameter", 400),
            Self::InvalidCursor => ("invalid-cursor", "Not a cursor of this list", 400),
            Self::DayDetailGone => ("day-detail-gone", "Days are no longer kept", 400),
            Self::NotFound => ("not-found", "No such resource", 404),
            Self::MethodNotAllowed => ("method-not-allowed", "Read only", 405),
            Self::NotAcceptable => ("not-acceptable", "No such encoding", 406),
            Self::Overflow => ("overflow", "Sum too large", 500),
            Self::StoreDamaged => ("store-damaged", "Counters damaged", 500),
            Self::Internal => ("internal", "Internal error", 500),
            Self::StoreUnavailable => ("store-unavailable", "Counters not readable now", 503),
            Self::StoreUnusable => ("store-unusable", "Counters not readable", 503),
        }
    }
}

/// An answer that is an error. Rendered by `observe`, which knows the request id.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    kind: Kind,
    /// For the caller: what to do differently.
    detail: String,
    /// For the log alone: it may name hosts and keys.
    cause: Option<String>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), cause: None }
    }

    fn caused(kind: Kind, detail: &str, cause: impl ToString) -> Self {
        Self { kind, detail: detail.to_owned(), cause: Some(cause.to_string()) }
    }

    pub(super) fn internal(cause: impl ToString) -> Self {
        Self::caused(Kind::Internal, "the answer could not be made; the log has the cause by the request id", cause)
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.parts().2).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn slug(&self) -> &'static str {
        self.kind.parts().0
    }

    /// What the log says beyond the slug; empty where the slug says it all.
    pub(super) fn cause(&self) -> &str {
        self.cause.as_deref().unwrap_or_default()
    }

    pub(super) fn document(&self, request_id: &str) -> Document {
        let (slug, title, status) = self.kind.parts();
        Document {
            r#type: format!("urn:indelible:problem:{slug}"),
            title,
            status,
            detail: self.detail.clone(),
            request_id: request_id.to_owned(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (kind, detail) = match &error {
            StoreError::Unavailable(_) | StoreError::Refused(_) => {
                (Kind::StoreUnavailable, "the counters can't be read at the moment; try again")
            }
            StoreError::Corrupt { .. } => {
                (Kind::StoreDamaged, "the stored counters are damaged; the log names the key by the request id")
            }
            StoreError::Unusable(_) => (Kind::StoreUnusable, "the counters can't be read until an operator helps"),
        };
        Self::caused(kind, detail, error)
    }
}

impl From<Overflow> for Problem {
    fn from(overflow: Overflow) -> Self {
        Self::caused(Kind::Overflow, "a sum of this answer is larger than a 64-bit integer", overflow)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Extension(self.clone())).into_response();
        if self.kind == Kind::StoreUnavailable {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The answer to a request whose handler panicked.
pub(super) fn of_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    Problem::internal(format!("panic: {}", text.unwrap_or("without a text"))).into_response()
}

/// A problem as RFC 9457 has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(super) struct Document {
    /// A stable name: branch on this.
    #[schema(example = "urn:indelible:problem:invalid-parameter")]
    r#type: String,
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For a person; may change.
    detail: String,
    /// The same as in the header `x-request-id` and in the log.
    request_id: String,
}

/// What every endpoint may answer beside its 200, for the description.
pub(super) struct Others;

impl IntoResponses for Others {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let unchanged = "The caller has this answer: `if-none-match` names its ETag";
        BTreeMap::from([
            ("304".to_owned(), ResponseBuilder::new().description(unchanged).build().into()),
            described("400", "invalid-id, invalid-parameter, invalid-cursor or day-detail-gone"),
            described("default", "Any other error is a problem too: internal, not-found, method-not-allowed, …"),
        ])
    }
}

/// What an endpoint that asks the store may answer besides.
pub(super) struct StoreFails;

impl IntoResponses for StoreFails {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        BTreeMap::from([
            described("500", "overflow, store-damaged or internal"),
            described("503", "store-unavailable (with `retry-after`) or store-unusable"),
        ])
    }
}

fn described(status: &str, description: &str) -> (String, RefOr<openapi::Response>) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(description).content(MIME, content).build();
    (status.to_owned(), response.into())
}

/// The media type of a problem.
pub(super) const MIME: &str = "application/problem+json";
