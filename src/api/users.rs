//! `GET /v1/tenants/{tenant}/users`: who used most in a month, page by page.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::calendar::Month;
use crate::domain::counters::{Counters, Overflow};
use crate::domain::ids::{TenantId, UserId};
use crate::store::{Sort, UserCursor};

use super::csv::{Csv, Form};
use super::params::month;
use super::{ApiState, Dated, Figures, ID, Kind, Others, Problem, Query, StoreFails, Whose};

/// What the list is ordered by, the greatest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SortBy {
    #[default]
    Cost,
    Tokens,
    Requests,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsersQuery {
    /// The month shown, in UTC; that of the cursor or else the current one by default.
    #[serde(default, deserialize_with = "month")]
    #[param(value_type = Option<String>, pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$", example = "2026-11")]
    month: Option<Month>,
    /// The order, the greatest first; that of the cursor or else `cost` by default.
    #[param(inline)]
    sort: Option<SortBy>,
    /// Users on a page; 50 by default.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u16>,
    /// `nextCursor` of the page before. It belongs to one tenant, month and order.
    cursor: Option<String>,
}

/// A page of a tenant's users. A user whose figures change between two pages may be on both or on neither.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Users {
    tenant_id: String,
    month: String,
    users: Vec<UserFigures>,
    /// For the next page; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserFigures {
    user_id: String,
    #[serde(flatten)]
    sum: Figures,
}

/// A tenant's users in a month, those who used most first
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/users", tag = "users",
    params(("tenant" = String, Path, description = ID), UsersQuery),
    responses(
        (status = 200, content((Dated<Users> = "application/json"), (String = "text/csv"))), Others, StoreFails
    )
)]
pub(super) async fn users(
    state: State<ApiState>,
    whose: Whose,
    form: Form,
    Query(query): Query<UsersQuery>,
) -> Result<Response, Problem> {
    let (tenant, limit) = (whose.0.tenant, query.limit.unwrap_or(50));
    if !(1..=500).contains(&limit) {
        return Err(Problem::new(Kind::INVALID_PARAMETER, format!("limit: {limit} is not from 1 to 500")));
    }
    let (month, sort, after) = place(&tenant, &query, Month::of((state.now)()))?;
    let by = match sort {
        SortBy::Cost => Sort::Cost,
        SortBy::Tokens => Sort::Tokens,
        SortBy::Requests => Sort::Requests,
    };
    let page = state.ask(state.reader.users(&tenant, month, by, after, limit.into())).await?;
    let next = page.next.as_ref().map(|end| write(&tenant, month, sort, end)).transpose()?;
    if form == Form::Csv {
        let next = next.map(|cursor| format!("limit={limit}&cursor={cursor}"));
        return Ok(table(&page.users)?.followed_by(next).respond(&page.freshness));
    }
    let figures = |(user, sum): &(UserId, _)| Ok(UserFigures { user_id: user.to_string(), sum: Figures::of(sum)? });
    let users = Users {
        tenant_id: tenant.to_string(),
        month: month.to_string(),
        users: page.users.iter().map(figures).collect::<Result<_, Overflow>>()?,
        next_cursor: next,
    };
    Ok(Form::vary(Dated::new(&state, users, page.freshness).into_response()))
}

const COLUMNS: [&str; 12] = [
    "userId",
    "requests",
    "tokensIn",
    "tokensOut",
    "totalTokens",
    "cachedTokens",
    "reasoningTokens",
    "cost",
    "charge",
    "currency",
    "unpricedRequests",
    "averageLatencyMs",
];

fn table(users: &[(UserId, Counters)]) -> Result<Csv, Overflow> {
    let mut csv = Csv::new(&COLUMNS);
    for (user, sum) in users {
        let counts = [sum.requests, sum.tokens_in, sum.tokens_out, sum.total_tokens()?, sum.cached_tokens];
        let [requests, tokens_in, tokens_out, total, cached] = counts.map(|count| count.to_string());
        let [reasoning, unpriced] = [sum.reasoning_tokens, sum.unpriced].map(|count| count.to_string());
        let latency = sum.average_latency_ms().map_or_else(String::new, |ms| ms.to_string());
        let (cost, charge) = (sum.cost.to_dollars(), sum.charge.to_dollars());
        csv.row(&[
            user.as_str(),
            &requests,
            &tokens_in,
            &tokens_out,
            &total,
            &cached,
            &reasoning,
            &cost,
            &charge,
            "USD",
            &unpriced,
            &latency,
        ]);
    }
    Ok(csv)
}

/// Month, order and place asked for. A cursor names its list: handed to another list it is refused rather than
/// read as a place there, and paging over the end of a month stays in the month it began in.
fn place(tenant: &TenantId, query: &UsersQuery, now: Month) -> Result<(Month, SortBy, Option<UserCursor>), Problem> {
    let Some(cursor) = &query.cursor else {
        return Ok((query.month.unwrap_or(now), query.sort.unwrap_or_default(), None));
    };
    let refuse = |why| Problem::new(Kind::INVALID_CURSOR, format!("`cursor` {why}; start again without it"));
    let (of, month, sort, end) = read(cursor).ok_or_else(|| refuse("is not a `nextCursor` of this version"))?;
    if (&of, query.month.unwrap_or(month), query.sort.unwrap_or(sort)) != (tenant, month, sort) {
        return Err(refuse("belongs to another tenant, month or order"));
    }
    Ok((month, sort, Some(end)))
}

/// In every cursor. Another layout gets another number, so that an old cursor is refused and not misread.
const VERSION: u8 = 1;

fn write(tenant: &TenantId, month: Month, sort: SortBy, end: &UserCursor) -> Result<String, Problem> {
    let fields = (VERSION, tenant.as_str(), month.to_string(), sort, end.value, end.user.as_str());
    serde_json::to_vec(&fields).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(Problem::internal)
}

fn read(cursor: &str) -> Option<(TenantId, Month, SortBy, UserCursor)> {
    let json = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (version, tenant, month, sort, value, user): (u8, String, String, _, _, String) =
        serde_json::from_slice(&json).ok()?;
    let end = UserCursor { value, user: UserId::new(&user).ok()? };
    (version == VERSION).then_some((TenantId::new(&tenant).ok()?, month.parse().ok()?, sort, end))
}
