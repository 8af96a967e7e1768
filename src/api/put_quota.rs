//! `PUT /v1/tenants/{tenant}/quota` and the same for a user: assigns a quota.

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::domain::calendar::TimeMs;
use crate::domain::money::NanoDollars;
use crate::domain::quota::{Assignment, Grant, Limit, Limits};

use super::assign::{Applied, assign};
use super::problem::AssignFails;
use super::{ApiState, DEADLINE, Dated, ID, Kind, NoQuery, Problem, Query, Whose, cents, cents_schema};

/// The longest body, in bytes.
const MAX_BODY: usize = 64 << 10;

/// A quota as it is asked for: one of `plan`, `limits` and `inherit`. Other fields are refused.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "for the description alone: the decoder of the event reads it")]
struct NewQuota {
    /// A plan of the plan file.
    plan: Option<String>,
    /// Limits one by one, whatever any plan says.
    limits: Option<NewLimits>,
    /// `true`: what would hold if nothing had been assigned.
    inherit: Option<bool>,
    /// From this instant on, in the past or future; from now on by default.
    #[schema(format = DateTime)]
    effective_from: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "for the description alone")]
struct NewLimits {
    /// On tokens in and out together.
    tokens: Option<TokenLimit>,
    /// On what providers take, in US cents.
    cost_cents: Option<CostLimit>,
    /// How long a soft limit may be passed; until the month's end by default.
    #[schema(minimum = 0, maximum = 31_622_400)]
    grace_seconds: Option<i64>,
    /// Percents that are warned of; 50, 80, 90 and 100 by default.
    #[schema(max_items = 16)]
    thresholds: Option<Vec<u16>>,
}

/// What a quota that was assigned has become.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct QuotaAssigned {
    tenant_id: String,
    /// Absent for the tenant as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<String>,
    /// What was written.
    assigned: Given,
    /// It will never hold: another assignment from the same instant has a later time, or 100 later instants are known.
    superseded: bool,
    /// What is assigned at this moment, of which `assigned` may be the future or the past; null where nothing is.
    #[schema(required)]
    in_force: Option<Given>,
}

/// An assignment: one of `plan`, `limits` and `inherit`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Given {
    /// The event's.
    id: String,
    source: String,
    #[schema(format = DateTime)]
    effective_from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    limits: Option<GivenLimits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    inherit: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct GivenLimits {
    tokens: TokenLimit,
    cost_cents: CostLimit,
    /// Null for until the month's end.
    #[schema(required)]
    grace_seconds: Option<i64>,
    thresholds: Vec<u16>,
}

/// Tokens; soft up to hard, each 1 or more.
#[derive(Debug, Serialize, ToSchema)]
struct TokenLimit {
    soft: Option<i64>,
    hard: Option<i64>,
}

/// US cents; soft up to hard, each more than 0. Asked for, each may also be a string of a number.
#[derive(Debug, Serialize, ToSchema)]
struct CostLimit {
    #[serde(serialize_with = "cents_or_null")]
    #[schema(schema_with = cents_or_null_schema)]
    soft: Option<NanoDollars>,
    #[serde(serialize_with = "cents_or_null")]
    #[schema(schema_with = cents_or_null_schema)]
    hard: Option<NanoDollars>,
}

fn cents_or_null<S: Serializer>(cost: &Option<NanoDollars>, serializer: S) -> Result<S::Ok, S::Error> {
    match cost {
        Some(cost) => cents(cost, serializer),
        None => serializer.serialize_none(),
    }
}

fn cents_or_null_schema() -> Object {
    ObjectBuilder::from(cents_schema()).schema_type(SchemaType::from_iter([Type::Number, Type::Null])).build()
}

impl QuotaAssigned {
    fn of(whose: Whose, applied: &Applied, now: TimeMs) -> Self {
        let Whose(scope) = whose;
        Self {
            tenant_id: scope.tenant.to_string(),
            user_id: scope.user.map(|user| user.to_string()),
            assigned: Given::of(&applied.assignment),
            superseded: applied.superseded,
            in_force: applied.known.at(now).map(Given::of),
        }
    }
}

impl Given {
    fn of(Assignment { effective, source, id, grant, .. }: &Assignment) -> Self {
        Self {
            id: id.to_string(),
            source: source.to_string(),
            effective_from: effective.to_rfc3339(),
            plan: if let Grant::Plan(plan) = grant { Some(plan.to_string()) } else { None },
            limits: if let Grant::Limits(limits) = grant { Some(limits.into()) } else { None },
            inherit: matches!(grant, Grant::Inherit).then_some(true),
        }
    }
}

impl From<&Limits> for GivenLimits {
    fn from(Limits { tokens, cost, grace_ms, thresholds }: &Limits) -> Self {
        let Limit { soft, hard } = *tokens;
        Self {
            tokens: TokenLimit { soft, hard },
            cost_cents: CostLimit { soft: cost.soft.map(NanoDollars), hard: cost.hard.map(NanoDollars) },
            grace_seconds: grace_ms.map(|ms| ms / 1000),
            thresholds: thresholds.clone(),
        }
    }
}

/// Assign a tenant's quota
///
/// Writes an event and answers once it is applied.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/quota", tag = "quota",
    params(("tenant" = String, Path, description = ID)),
    request_body(content = NewQuota, content_type = "application/json"),
    responses((status = 200, body = Dated<QuotaAssigned>), AssignFails)
)]
pub(super) async fn assign_tenant_quota(
    State(state): State<ApiState>,
    whose: Whose,
    _: Query<NoQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let applied = assign(&state, &whose.0, &read(request).await?).await?;
    let content = QuotaAssigned::of(whose, &applied, TimeMs::of((state.now)()));
    let mut response = Dated::new(&state, content, applied.freshness).into_response();
    // A tag is of what a GET would answer.
    response.headers_mut().remove(header::ETAG);
    Ok(response)
}

/// Assign a user's quota
///
/// Writes an event and answers once it is applied.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/users/{user}/quota", tag = "quota",
    params(("tenant" = String, Path, description = ID), ("user" = String, Path, description = ID)),
    request_body(content = NewQuota, content_type = "application/json"),
    responses((status = 200, body = Dated<QuotaAssigned>), AssignFails)
)]
pub(super) async fn assign_user_quota(
    state: State<ApiState>,
    whose: Whose,
    query: Query<NoQuery>,
    request: Request,
) -> Result<Response, Problem> {
    assign_tenant_quota(state, whose, query, request).await
}

/// The body, as long as it is short and comes at once.
async fn read(request: Request) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(DEADLINE, to_bytes(request.into_body(), MAX_BODY)).await;
    let slow = format!("the body was not there within {} ms; send it with the head", DEADLINE.as_millis());
    let read = read.map_err(|_| Problem::new(Kind::REQUEST_TIMEOUT, slow))?;
    read.map_err(|_| {
        Problem::new(Kind::BODY_TOO_LARGE, format!("the body is cut off, or has more than {MAX_BODY} bytes"))
    })
}
