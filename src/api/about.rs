//! What this API is: `GET /openapi.json` and `GET /version`.

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::undated;
use super::params::{NoQuery, Query};
use super::problem::{Others, Problem};

/// This description
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "about",
    responses((status = 200, body = serde_json::Value), Others)
)]
pub(super) async fn openapi_json(Query(NoQuery {}): Query<NoQuery>, headers: HeaderMap) -> Result<Response, Problem> {
    undated(&headers, &super::openapi())
}

/// The running program.
#[derive(Debug, Serialize, ToSchema)]
struct Version {
    #[schema(example = "indelible")]
    name: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// The running version
#[utoipa::path(
    get,
    path = "/version",
    tag = "about",
    responses((status = 200, body = Version), Others)
)]
pub(super) async fn version(Query(NoQuery {}): Query<NoQuery>, headers: HeaderMap) -> Result<Response, Problem> {
    undated(&headers, &Version { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") })
}
