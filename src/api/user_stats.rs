//! `GET /v1/tenants/{tenant}/users/{user}/stats`: all about one user on one page.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::delta::Scope;
use crate::quota::{Assessment, assess};
use crate::store::SavedOutput;

use super::ApiState;
use super::answer::{Dated, dated, rfc3339_ms};
use super::ask::ask;
use super::params::{MonthQuery, Query, UserPath};
use super::problem::{Others, Problem, StoreFails};
use super::stats::Stats;

/// What a user used. A user never seen has zeros.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserStats {
    tenant_id: String,
    user_id: String,
    #[serde(flatten)]
    stats: Stats,
    quota: Quota,
    /// The newest 20 saved outputs, of any month, the newest first.
    #[schema(max_items = 20)]
    recent_activity: Vec<Activity>,
}

/// The tokens of the month shown against the user's monthly limit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Quota {
    #[schema(minimum = 1)]
    limit_tokens: i64,
    used_tokens: i64,
    /// Rounded down, and 100 when more is used.
    #[schema(minimum = 0, maximum = 100)]
    percent: u8,
}

impl From<Assessment> for Quota {
    fn from(Assessment { limit_tokens, used_tokens, percent }: Assessment) -> Self {
        Self { limit_tokens, used_tokens, percent }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Activity {
    output_id: String,
    #[schema(example = "website")]
    kind: String,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<SavedOutput> for Activity {
    fn from(saved: SavedOutput) -> Self {
        Self {
            output_id: saved.output.id.to_string(),
            kind: saved.output.kind.to_string(),
            created_at: rfc3339_ms(saved.created),
        }
    }
}

/// A user's usage, quota, saved outputs and recent activity
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/users/{user}/stats",
    tag = "stats",
    params(UserPath, MonthQuery),
    responses((status = 200, body = Dated<UserStats>), Others, StoreFails)
)]
pub(super) async fn user_stats(
    State(state): State<ApiState>,
    UserPath { tenant, user }: UserPath,
    Query(query): Query<MonthQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let month = query.month.unwrap_or_else(|| state.month());
    let (tenant_id, user_id) = (tenant.to_string(), user.to_string());
    let scope = Scope { tenant, user: Some(user) };
    let usage = ask(&state, state.reader.usage(&scope, month)).await?;
    let stats = Stats::of(&usage, month)?;
    let answer = UserStats {
        tenant_id,
        user_id,
        quota: assess(stats.tokens_this_month(), state.limits).into(),
        stats,
        recent_activity: usage.recent.into_iter().map(Activity::from).collect(),
    };
    dated(&headers, answer, usage.as_of, state.now())
}
