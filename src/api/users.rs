//! `GET /v1/tenants/{tenant}/users`: who used most in a month, page by page.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::calendar::Month;
use crate::domain::counters::{Counters, Overflow};
use crate::domain::ids::{TenantId, UserId};
use crate::store::{Sort, UserCursor};

use super::ApiState;
use super::answer::{Dated, dated};
use super::ask::ask;
use super::cursor::{self, List};
use super::figures::Figures;
use super::params::{Query, TenantPath, parsed};
use super::problem::{Kind, Others, Problem, StoreFails};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 500;

/// What the list is ordered by, the greatest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SortBy {
    #[default]
    Cost,
    Tokens,
    Requests,
}

impl From<SortBy> for Sort {
    fn from(sort: SortBy) -> Self {
        match sort {
            SortBy::Cost => Self::Cost,
            SortBy::Tokens => Self::Tokens,
            SortBy::Requests => Self::Requests,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsersQuery {
    /// The month shown, in UTC; that of the cursor or else the current one by default.
    #[serde(default, deserialize_with = "parsed")]
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
struct Users {
    tenant_id: String,
    #[schema(example = "2026-11")]
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

impl UserFigures {
    fn of((user, sum): &(UserId, Counters)) -> Result<Self, Overflow> {
        Ok(Self { user_id: user.to_string(), sum: Figures::of(sum)? })
    }
}

/// A tenant's users in a month, those who used most first
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/users",
    tag = "users",
    params(TenantPath, UsersQuery),
    responses((status = 200, body = Dated<Users>), Others, StoreFails)
)]
pub(super) async fn users(
    State(state): State<ApiState>,
    TenantPath { tenant }: TenantPath,
    Query(query): Query<UsersQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (list, after) = place(tenant, &query, state.month())?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::new(Kind::InvalidParameter, format!("limit: {limit} is not from 1 to {MAX_LIMIT}")));
    }
    let page = state.reader.users(&list.tenant, list.month, list.sort.into(), after, usize::from(limit));
    let page = ask(&state, page).await?;
    let users = Users {
        tenant_id: list.tenant.to_string(),
        month: list.month.to_string(),
        users: page.users.iter().map(UserFigures::of).collect::<Result<_, _>>()?,
        next_cursor: page.next.map(|end| cursor::write(&list, &end)).transpose()?,
    };
    dated(&headers, users, page.as_of, state.now())
}

/// Which list, and where in it. A cursor brings its month and order along, so that paging over the end of a
/// month stays in the month it began in; what is given beside it must agree.
fn place(tenant: TenantId, query: &UsersQuery, current: Month) -> Result<(List, Option<UserCursor>), Problem> {
    let Some(text) = &query.cursor else {
        let (month, sort) = (query.month.unwrap_or(current), query.sort.unwrap_or_default());
        return Ok((List { tenant, month, sort }, None));
    };
    let (list, end) = cursor::read(text)?;
    let asked = List { tenant, month: query.month.unwrap_or(list.month), sort: query.sort.unwrap_or(list.sort) };
    if asked != list {
        return Err(cursor::refuse("belongs to another tenant, month or order"));
    }
    Ok((list, Some(end)))
}
