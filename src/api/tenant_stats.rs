//! `GET /v1/tenants/{tenant}/stats`: all about one tenant on one page.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::delta::Scope;

use super::ApiState;
use super::answer::{Dated, dated};
use super::ask::ask;
use super::params::{MonthQuery, Query, TenantPath};
use super::problem::{Others, Problem, StoreFails};
use super::stats::Stats;

/// What all users of a tenant used together. It has no quota: limits are those of a user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TenantStats {
    tenant_id: String,
    #[serde(flatten)]
    stats: Stats,
}

/// A tenant's usage and saved outputs
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/stats",
    tag = "stats",
    params(TenantPath, MonthQuery),
    responses((status = 200, body = Dated<TenantStats>), Others, StoreFails)
)]
pub(super) async fn tenant_stats(
    State(state): State<ApiState>,
    TenantPath { tenant }: TenantPath,
    Query(query): Query<MonthQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let month = query.month.unwrap_or_else(|| state.month());
    let tenant_id = tenant.to_string();
    let scope = Scope { tenant, user: None };
    let usage = ask(&state, state.reader.usage(&scope, month)).await?;
    let answer = TenantStats { tenant_id, stats: Stats::of(&usage, month)? };
    dated(&headers, answer, usage.as_of, state.now())
}
