//! `GET /v1/tenants/{tenant}/usage` and the same for a user: usage over time.

use std::iter::successors;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::counters::{DayUsage, Overflow};
use crate::domain::{calendar::Month, money::NanoDollars};

use super::csv::{Csv, Form};
use super::{ApiState, Cost, Dated, ID, Kind, Others, Problem, Query, StoreFails, Whose, cents, cents_schema};

/// The width of a bucket, in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Bucket {
    #[default]
    Day,
    Month,
}

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
    /// `day` by default. At most 400 days or 120 months.
    #[param(inline)]
    bucket: Option<Bucket>,
}

/// Usage over time. Buckets without usage are listed, with zeros.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Series {
    tenant_id: String,
    /// Absent for the tenant as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<String>,
    bucket: Bucket,
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
    #[serde(serialize_with = "cents")]
    #[schema(schema_with = cents_schema)]
    cost_cents: NanoDollars,
    /// What providers take.
    cost: Cost,
    /// What customers are charged: the cost with the markup.
    charge: Cost,
}

/// A tenant's usage over time
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/usage", tag = "usage",
    params(("tenant" = String, Path, description = ID), UsageQuery),
    responses(
        (status = 200, content((Dated<Series> = "application/json"), (String = "text/csv"))), Others, StoreFails
    )
)]
pub(super) async fn tenant_usage(
    state: State<ApiState>,
    whose: Whose,
    form: Form,
    query: Query<UsageQuery>,
) -> Result<Response, Problem> {
    user_usage(state, whose, form, query).await
}

/// A user's usage over time
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/users/{user}/usage", tag = "usage",
    params(("tenant" = String, Path, description = ID), ("user" = String, Path, description = ID), UsageQuery),
    responses(
        (status = 200, content((Dated<Series> = "application/json"), (String = "text/csv"))), Others, StoreFails
    )
)]
pub(super) async fn user_usage(
    state: State<ApiState>,
    whose: Whose,
    form: Form,
    query: Query<UsageQuery>,
) -> Result<Response, Problem> {
    let (Whose(scope), Query(query)) = (whose, query);
    let bucket = query.bucket.unwrap_or_default();
    let starts = query.starts(bucket, (state.now)())?;
    // By the first day of a bucket.
    let (sums, freshness) = match bucket {
        Bucket::Day => {
            let (first, last) = (midnight(starts[0]), midnight(starts[starts.len() - 1]));
            state.ask(state.reader.days(&scope, Month::of(first), Month::of(last))).await?
        }
        Bucket::Month => {
            let usage = state.ask(state.reader.usage(&scope, Month::of((state.now)()))).await?;
            let sums = usage.months.iter().map(|(month, usage)| {
                let total = usage.total()?;
                let (requests, tokens) = (total.requests, total.total_tokens()?);
                let sum = DayUsage { requests, tokens, cost: total.cost, charge: total.charge };
                Ok((month.start().date_naive(), sum))
            });
            (sums.collect::<Result<_, Overflow>>()?, usage.freshness)
        }
    };
    let figures = |start| figures(bucket, start, sums.get(&start).copied().unwrap_or_default());
    if form == Form::Csv {
        return Ok(table(starts.into_iter().map(figures)).respond(&freshness));
    }
    let (tenant_id, user_id) = (scope.tenant.to_string(), scope.user.map(|user| user.to_string()));
    let series = Series { tenant_id, user_id, bucket, buckets: starts.into_iter().map(figures).collect() };
    Ok(Form::vary(Dated::new(&state, series, freshness).into_response()))
}

fn table(buckets: impl Iterator<Item = BucketFigures>) -> Csv {
    let mut csv = Csv::new(&["start", "end", "requests", "totalTokens", "cost", "charge", "currency"]);
    for BucketFigures { start, end, requests, total_tokens, cost, charge, .. } in buckets {
        let (requests, tokens) = (requests.to_string(), total_tokens.to_string());
        csv.row(&[&start, &end, &requests, &tokens, &cost.amount, &charge.amount, cost.currency]);
    }
    csv
}

fn figures(bucket: Bucket, start: NaiveDate, sum: DayUsage) -> BucketFigures {
    let DayUsage { requests, tokens, cost, charge } = sum;
    let instant = |day| midnight(day).to_rfc3339_opts(SecondsFormat::Secs, true);
    let (start, end) = (instant(start), instant(bucket.step(start, 1)));
    BucketFigures {
        start,
        end,
        requests,
        total_tokens: tokens,
        cost_cents: cost,
        cost: cost.into(),
        charge: charge.into(),
    }
}

impl UsageQuery {
    /// The first days of the buckets asked for, in order; at least one.
    fn starts(&self, bucket: Bucket, now: DateTime<Utc>) -> Result<Vec<NaiveDate>, Problem> {
        let (default, max) = match bucket {
            Bucket::Day => (30, 400),
            Bucket::Month => (12, 120),
        };
        let read = |name, text: &Option<_>| text.as_deref().map(|text| bucket.read(name, text)).transpose();
        let to = read("to", &self.to)?.unwrap_or_else(|| bucket.step(now.date_naive(), 1));
        let from = read("from", &self.from)?.unwrap_or_else(|| bucket.step(to, -default));
        let invalid = |detail: String| Err(Problem::new(Kind::INVALID_PARAMETER, detail));
        if from >= to {
            return invalid(format!("from: {from} is not before `to`, {to}"));
        }
        let starts = successors(Some(from), |start| Some(bucket.step(*start, 1))).take_while(|start| *start < to);
        let starts: Vec<_> = starts.take(max + 1).collect();
        if starts.len() > max {
            return invalid(format!("from: there are more than {max} buckets from {from} to {to}"));
        }
        Ok(starts)
    }
}

impl Bucket {
    /// The start of the bucket `count` after the one that holds the day.
    fn step(self, day: NaiveDate, count: i32) -> NaiveDate {
        match self {
            Self::Day => day + TimeDelta::days(i64::from(count)),
            Self::Month => Month::of(midnight(day)).plus(count).start().date_naive(),
        }
    }

    /// Reads `from` or `to`: the start of a bucket.
    fn read(self, name: &str, text: &str) -> Result<NaiveDate, Problem> {
        let (rests, width, short, day): (&[_], _, _, _) = match self {
            Self::Day => (&["T00:00:00Z", ""], "day", "2026-11-24", "2026-11-24"),
            Self::Month => (&["-01T00:00:00Z", "T00:00:00Z", ""], "month", "2026-11", "2026-11-01"),
        };
        // Nothing but an instant with one of the ends left out is taken; chrono alone would take more.
        let instants = rests.iter().filter_map(|rest| DateTime::parse_from_rfc3339(&format!("{text}{rest}")).ok());
        let mut starts = instants
            .map(|time| time.to_utc())
            .filter(|time| *time == midnight(self.step(time.date_naive(), 0)) && (0..=9999).contains(&time.year()));
        starts.next().map(|time| time.date_naive()).ok_or_else(|| {
            let right = format!("a {width} such as {short} or the start of one in UTC such as {day}T00:00:00Z");
            Problem::new(Kind::INVALID_PARAMETER, format!("{name}: {text:?} is not {right}"))
        })
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}
