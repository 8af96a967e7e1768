//! `GET /v1/tenants/{tenant}/usage` and the same for a user: usage over time.

use std::collections::BTreeMap;
use std::ops::Range;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{NaiveDate, NaiveTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::counters::{DayUsage, MonthUsage, Overflow};
use crate::domain::delta::Scope;
use crate::store::AsOf;

use super::ApiState;
use super::answer::{Dated, dated};
use super::ask::ask;
use super::figures::{Cents, Cost};
use super::params::{Query, TenantPath, UserPath};
use super::problem::{Others, Problem, StoreFails};
use super::span::{self, month_of};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageQuery {
    /// The start of the first bucket: a day, a month, or an RFC 3339 instant that starts one in UTC; 30 days
    /// or 12 months before `to` by default.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// The end, itself not included; the end of the current bucket by default.
    #[param(example = "2026-12-01")]
    to: Option<String>,
    /// `day` by default. At most 400 days, in the current month and the 12 before it; at most 120 months.
    #[param(inline)]
    bucket: Option<span::Bucket>,
}

/// Usage over time. Buckets without usage are listed, with zeros.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Series {
    tenant_id: String,
    /// Absent for the tenant as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<String>,
    bucket: span::Bucket,
    buckets: Vec<BucketFigures>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BucketFigures {
    #[schema(format = DateTime)]
    start: String,
    /// The start of the next bucket.
    #[schema(format = DateTime)]
    end: String,
    requests: i64,
    total_tokens: i64,
    cost_cents: Cents,
    cost: Cost,
}

impl BucketFigures {
    fn new(days: Range<NaiveDate>, sum: DayUsage) -> Self {
        let instant =
            |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc().to_rfc3339_opts(SecondsFormat::Secs, true);
        Self {
            start: instant(days.start),
            end: instant(days.end),
            requests: sum.requests,
            total_tokens: sum.tokens,
            cost_cents: Cents(sum.cost),
            cost: sum.cost.into(),
        }
    }
}

/// A tenant's usage over time
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/usage",
    tag = "usage",
    params(TenantPath, UsageQuery),
    responses((status = 200, body = Dated<Series>), Others, StoreFails)
)]
pub(super) async fn tenant_usage(
    State(state): State<ApiState>,
    TenantPath { tenant }: TenantPath,
    Query(query): Query<UsageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    series(&state, Scope { tenant, user: None }, &query, &headers).await
}

/// A user's usage over time
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/users/{user}/usage",
    tag = "usage",
    params(UserPath, UsageQuery),
    responses((status = 200, body = Dated<Series>), Others, StoreFails)
)]
pub(super) async fn user_usage(
    State(state): State<ApiState>,
    UserPath { tenant, user }: UserPath,
    Query(query): Query<UsageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    series(&state, Scope { tenant, user: Some(user) }, &query, &headers).await
}

async fn series(state: &ApiState, scope: Scope, query: &UsageQuery, headers: &HeaderMap) -> Result<Response, Problem> {
    let bucket = query.bucket.unwrap_or_default();
    let (from, to) = (query.from.as_deref(), query.to.as_deref());
    let spans = span::buckets(bucket, from, to, state.now(), state.detail_months)?;
    let (sums, as_of) = match bucket {
        span::Bucket::Day => days(state, &scope, &spans).await?,
        span::Bucket::Month => months(state, &scope).await?,
    };
    let sum = |span: &Range<NaiveDate>| sums.get(&span.start).copied().unwrap_or_default();
    let series = Series {
        tenant_id: scope.tenant.to_string(),
        user_id: scope.user.as_ref().map(ToString::to_string),
        bucket,
        buckets: spans.into_iter().map(|span| BucketFigures::new(span.clone(), sum(&span))).collect(),
    };
    dated(headers, series, as_of, state.now())
}

/// Sums by the first day of their bucket, and their freshness.
type Sums = (BTreeMap<NaiveDate, DayUsage>, AsOf);

async fn days(state: &ApiState, scope: &Scope, spans: &[Range<NaiveDate>]) -> Result<Sums, Problem> {
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Ok(Sums::default()) };
    ask(state, state.reader.days(scope, month_of(first.start), month_of(last.start))).await
}

async fn months(state: &ApiState, scope: &Scope) -> Result<Sums, Problem> {
    let usage = ask(state, state.reader.usage(scope, state.month())).await?;
    let sums = usage.months.iter().map(|(month, usage)| Ok((month.start().date_naive(), sum(usage)?)));
    Ok((sums.collect::<Result<_, Overflow>>()?, usage.as_of))
}

fn sum(usage: &MonthUsage) -> Result<DayUsage, Overflow> {
    let total = usage.total()?;
    Ok(DayUsage { requests: total.requests, tokens: total.total_tokens()?, cost: total.cost })
}
