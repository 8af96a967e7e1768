//! `GET /v1/tenants/{tenant}/quota`, the same for a user, and the gate: `…/users/{user}/allow`.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _};
use utoipa::{IntoParams, ToSchema};

use crate::domain::calendar::{Month, TimeMs};
use crate::domain::money::NanoDollars;
use crate::domain::quota::{Assignments, Spent};
use crate::quota::assess::{Assessment, Held, State as Standing, Subject, assess, instant};
use crate::quota::gate::Gate;
use crate::quota::passing;
use crate::quota::plans::{InForce, Plans};
use crate::store::{self, QuotaFacts};

use super::{Answer, ApiState, Cost, Dated, ID, MonthQuery, Others, Problem, Query, StoreFails, Whose};

/// Which month is asked about, and at which instant of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    month: Month,
    at: TimeMs,
}

impl Asked {
    /// The current month, if no other is given.
    pub(super) fn of(month: Option<Month>, now: DateTime<Utc>) -> Self {
        let month = month.unwrap_or_else(|| Month::of(now));
        Self { month, at: instant(month, TimeMs::of(now)) }
    }

    pub(super) fn user<'a>(
        self,
        plans: &'a Plans,
        assigned: &'a store::Whose<Assignments>,
        days: &BTreeMap<u32, Spent>,
    ) -> Result<(InForce<'a>, Assessment), Problem> {
        let store::Whose { tenant, user } = assigned;
        self.assess(Subject::User, passing::Whose::User { tenant, user }, plans, days)
    }

    fn tenant<'a>(self, plans: &'a Plans, facts: &'a QuotaFacts) -> Result<(InForce<'a>, Assessment), Problem> {
        self.assess(Subject::Tenant, passing::Whose::Tenant(&facts.assigned.tenant), plans, &facts.days.tenant)
    }

    fn assess<'a>(
        self,
        subject: Subject,
        whose: passing::Whose<'a>,
        plans: &'a Plans,
        days: &BTreeMap<u32, Spent>,
    ) -> Result<(InForce<'a>, Assessment), Problem> {
        let force = whose.in_force(plans, self.at)?;
        Ok((force, assess(subject, &force, days, self.month, self.at)?))
    }
}

/// `within`; `near`: at the highest warning threshold below 100 %; `soft_exceeded`: the soft limit is reached, and
/// nothing comes of it; `grace`: it is reached and still tolerated; `blocked`: the hard limit is reached, or the grace
/// is over.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum QuotaState {
    Within,
    Near,
    SoftExceeded,
    Grace,
    Blocked,
}

impl From<Standing> for QuotaState {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Within => Self::Within,
            Standing::Near => Self::Near,
            Standing::SoftExceeded => Self::SoftExceeded,
            Standing::Grace => Self::Grace,
            Standing::Blocked => Self::Blocked,
        }
    }
}

/// A month's usage against the limits in force. Of a month that is over, as it ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Quota {
    tenant_id: String,
    /// Absent for the tenant as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<String>,
    month: String,
    /// Null where limits were given one by one, or by the settings.
    #[schema(required)]
    plan: Option<String>,
    /// From when the limits hold by an assignment, or since one was given back; null where nothing is assigned.
    #[schema(required, format = DateTime)]
    since: Option<String>,
    /// When an assignment that is known next takes effect; null where none is.
    #[schema(required, format = DateTime)]
    changes_at: Option<String>,
    /// The worse of that of tokens and that of cost.
    state: QuotaState,
    /// Until when a reached soft limit is tolerated, or was: at most to the month's end. Null without a grace, and
    /// before the limit is reached.
    #[schema(required, format = DateTime)]
    grace_until: Option<String>,
    /// For a person; may change.
    #[schema(example = "the user has used 910,000 tokens of 1,000,000 tokens: the soft limit is near")]
    reason: String,
    tokens: TokenQuota,
    cost: CostQuota,
    /// How long a soft limit may be passed, from the end of the day on which it was reached; null without a grace.
    #[schema(required, minimum = 0)]
    grace_seconds: Option<i64>,
    /// Percents that are warned of.
    thresholds: Vec<u16>,
}

/// Tokens in and out together.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenQuota {
    /// Null where there is none.
    #[schema(required)]
    soft: Option<i64>,
    /// Null where there is none.
    #[schema(required)]
    hard: Option<i64>,
    used: i64,
    #[serde(flatten)]
    part: Part,
}

/// What providers take.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CostQuota {
    /// Null where there is none.
    #[schema(required)]
    soft: Option<Cost>,
    /// Null where there is none.
    #[schema(required)]
    hard: Option<Cost>,
    used: Cost,
    #[serde(flatten)]
    part: Part,
}

/// How much of the soft limit is used, or of the hard one where there is no soft one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Part {
    /// Rounded down, and 100 when more is used.
    #[schema(minimum = 0, maximum = 100)]
    percent: u8,
    /// Null where nothing limits it.
    #[schema(required)]
    ratio: Option<Ratio>,
    state: QuotaState,
}

/// Exact, of cost in nano-dollars (a thousand-millionth of a dollar).
#[derive(Debug, Serialize, ToSchema)]
struct Ratio {
    /// What is used.
    numerator: i64,
    /// The limit, 1 or more.
    denominator: i64,
}

impl From<&Held> for Part {
    fn from(held: &Held) -> Self {
        let ratio = held.ratio().map(|(numerator, denominator)| Ratio { numerator, denominator });
        Self { percent: held.percent(), ratio, state: held.state.into() }
    }
}

impl Quota {
    fn of(asked: Asked, Whose(scope): Whose, (force, quota): (InForce<'_>, Assessment)) -> Self {
        let Held { limit: tokens, used, .. } = quota.tokens;
        let (cost, dollars) = (quota.cost.limit, |nanos| Cost::from(NanoDollars(nanos)));
        Self {
            tenant_id: scope.tenant.to_string(),
            user_id: scope.user.map(|user| user.to_string()),
            month: asked.month.to_string(),
            plan: force.plan.map(ToString::to_string),
            since: force.since.map(TimeMs::to_rfc3339),
            changes_at: quota.changes.map(TimeMs::to_rfc3339),
            state: quota.state().into(),
            grace_until: quota.worst().grace_until.map(TimeMs::to_rfc3339),
            reason: quota.reason(),
            tokens: TokenQuota { soft: tokens.soft, hard: tokens.hard, used, part: (&quota.tokens).into() },
            cost: CostQuota {
                soft: cost.soft.map(dollars),
                hard: cost.hard.map(dollars),
                used: dollars(quota.cost.used),
                part: (&quota.cost).into(),
            },
            grace_seconds: force.limits.grace_ms.map(|grace| grace / 1000),
            thresholds: force.limits.thresholds.clone(),
        }
    }
}

/// A tenant's quota: of all its users together
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/quota", tag = "quotas",
    params(("tenant" = String, Path, description = ID), MonthQuery),
    responses((status = 200, body = Dated<Quota>), Others, StoreFails)
)]
pub(super) async fn tenant_quota(state: State<ApiState>, whose: Whose, query: Query<MonthQuery>) -> Answer<Quota> {
    user_quota(state, whose, query).await
}

/// A user's quota
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/users/{user}/quota", tag = "quotas",
    params(("tenant" = String, Path, description = ID), ("user" = String, Path, description = ID), MonthQuery),
    responses((status = 200, body = Dated<Quota>), Others, StoreFails)
)]
pub(super) async fn user_quota(state: State<ApiState>, whose: Whose, query: Query<MonthQuery>) -> Answer<Quota> {
    let asked = Asked::of(query.0.month, (state.now)());
    let facts = state.ask(state.reader.quota(&whose.0, asked.month)).await?;
    let plans = state.plans.load();
    let found = match whose.0.user {
        None => asked.tenant(&plans, &facts)?,
        Some(_) => asked.user(&plans, &facts.assigned, &facts.days.user)?,
    };
    let quota = Quota::of(asked, whose, found);
    Ok(Dated::new(&state, quota, facts.freshness))
}

#[derive(Debug, serde::Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AllowQuery {
    /// How many tokens are about to be used; by default 0, which asks whether any are allowed.
    #[serde(default, deserialize_with = "tokens")]
    #[param(value_type = Option<i64>, minimum = 0, example = 4096)]
    tokens: i64,
}

/// Reads a number of tokens, and names the text in the error.
fn tokens<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let tokens = text.parse().ok().filter(|tokens| *tokens >= 0 && !text.starts_with('+'));
    tokens.ok_or_else(|| D::Error::custom(format_args!("{text:?} is not a whole number from 0 to {}", i64::MAX)))
}

/// Whether a user may use more tokens now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Allow {
    allowed: bool,
    /// The worse of the tenant's and the user's.
    state: QuotaState,
    /// For a person; may change.
    reason: String,
    /// How many tokens more would be allowed; null where no limit on tokens refuses any.
    #[schema(required, minimum = 0)]
    remaining_tokens: Option<i64>,
    /// When a refused request may be allowed; null where it is allowed, and where it asks for more than a whole month
    /// allows.
    #[schema(required, format = DateTime)]
    retry_at: Option<String>,
}

/// The gate: whether a user may use more tokens, by the user's quota and the tenant's together
///
/// 200 either way. What is counted is what the answer rests on: requests under way are not in it yet.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/users/{user}/allow", tag = "quotas",
    params(("tenant" = String, Path, description = ID), ("user" = String, Path, description = ID), AllowQuery),
    responses((status = 200, body = Dated<Allow>), Others, StoreFails)
)]
pub(super) async fn allow(state: State<ApiState>, whose: Whose, query: Query<AllowQuery>) -> Answer<Allow> {
    let asked = Asked::of(None, (state.now)());
    let facts = state.ask(state.reader.quota(&whose.0, asked.month)).await?;
    let plans = state.plans.load();
    let (_, tenant) = asked.tenant(&plans, &facts)?;
    let (_, user) = asked.user(&plans, &facts.assigned, &facts.days.user)?;
    let Gate { allowed, state: standing, reason, remaining_tokens, retry_at } =
        Gate::of(&tenant, &user, query.0.tokens);
    let retry_at = retry_at.map(TimeMs::to_rfc3339);
    let answer = Allow { allowed, state: standing.into(), reason, remaining_tokens, retry_at };
    Ok(Dated::new(&state, answer, facts.freshness))
}
