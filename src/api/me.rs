//! `GET /v1/me/stats`: what the credential's own user used.

use axum::extract::State;

use super::stats::{UserStats, user_stats};
use super::{Answer, ApiState, Dated, MonthQuery, Others, Query, StoreFails, Whose};

/// Your own usage, quota, saved outputs and recent activity
///
/// Of the tenant and user that the credential names. There is no such page where authentication is off.
#[utoipa::path(
    get, path = "/v1/me/stats", tag = "stats", params(MonthQuery),
    responses((status = 200, body = Dated<UserStats>), Others, StoreFails)
)]
pub(super) async fn my_stats(state: State<ApiState>, whose: Whose, query: Query<MonthQuery>) -> Answer<UserStats> {
    user_stats(state, whose, query).await
}
