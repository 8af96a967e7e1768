//! `GET /v1/tenants/{tenant}/stats` and the same for a user: all about one of them on one page.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::counters::{Counters, MonthUsage, Overflow};
use crate::domain::{calendar::Month, delta::Scope, event::Output};
use crate::quota::assess::Held;
use crate::store::{OutputCount, SavedOutput, Usage};

use super::quota::{Asked, QuotaState};
use super::{Answer, ApiState, Dated, Figures, ID, MonthQuery, Others, Problem, Query, StoreFails, Whose};

/// What a user used. A user never seen has zeros.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserStats {
    user_id: String,
    #[serde(flatten)]
    stats: Stats,
    quota: QuotaSummary,
    /// The newest 20 saved outputs, of any month, the newest first.
    recent_activity: Vec<Activity>,
}

/// The tokens of the month shown against the limit in force: the soft one, or the hard one where there is no soft one.
/// Of a month that is over, as it ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QuotaSummary {
    /// Null when nothing limits tokens.
    #[schema(required)]
    limit_tokens: Option<i64>,
    used_tokens: i64,
    /// Rounded down, and 100 when more is used.
    #[schema(minimum = 0, maximum = 100)]
    percent: u8,
    /// The worse of that of tokens and that of cost; `/quota` says why.
    state: QuotaState,
}

impl QuotaSummary {
    fn of(state: &ApiState, usage: &Usage, month: Option<Month>) -> Result<Self, Problem> {
        let (plans, asked) = (state.plans.load(), Asked::of(month, (state.now)()));
        let (_, quota) = asked.user(&plans, &usage.assigned, &usage.days)?;
        let Held { limit, used, .. } = quota.tokens;
        let (limit_tokens, percent) = (limit.base(), quota.tokens.percent());
        Ok(Self { limit_tokens, used_tokens: used, percent, state: quota.state().into() })
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Activity {
    output_id: String,
    kind: String,
    #[schema(format = DateTime)]
    created_at: String,
}

/// What one user or all users of a tenant together used. A tenant's quota is at `/quota`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    tenant_id: String,
    /// The month shown as `thisMonth`.
    month: String,
    this_month: Period,
    all_time: Period,
    outputs: Outputs,
}

/// Saved outputs that are not deleted, by kind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Outputs {
    /// Created in the month shown.
    this_month: BTreeMap<String, i64>,
    all_time: BTreeMap<String, i64>,
}

impl Stats {
    fn of(scope: &Scope, usage: &Usage, month: Month) -> Result<Self, Overflow> {
        let mut all = MonthUsage::default();
        usage.months.values().try_for_each(|month| all.add(month))?;
        let outputs = |count: fn(&OutputCount) -> i64| {
            usage.outputs.iter().map(|(kind, counts)| (kind.to_string(), count(counts))).collect()
        };
        Ok(Self {
            tenant_id: scope.tenant.to_string(),
            month: month.to_string(),
            this_month: Period::of(usage.months.get(&month).unwrap_or(&MonthUsage::default()))?,
            all_time: Period::of(&all)?,
            outputs: Outputs { this_month: outputs(|count| count.month), all_time: outputs(|count| count.all_time) },
        })
    }
}

/// Sums over a period. Totals and breakdowns are made from the same groups, so they agree.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Period {
    #[serde(flatten)]
    total: Figures,
    /// Calls by tool.
    tool_invocations: BTreeMap<String, i64>,
    /// The dearest first, then the most tokens, then by name.
    by_assistant: Vec<AssistantFigures>,
    /// The dearest first, then the most tokens, then by name.
    by_model: Vec<ModelFigures>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AssistantFigures {
    assistant: String,
    #[serde(flatten)]
    sum: Figures,
}

#[derive(Debug, Serialize, ToSchema)]
struct ModelFigures {
    model: String,
    #[serde(flatten)]
    sum: Figures,
}

impl Period {
    fn of(usage: &MonthUsage) -> Result<Self, Overflow> {
        let by_assistant = ranked(usage.groups.iter().map(|(group, sum)| (group.assistant.as_str(), sum)))?;
        let by_model = ranked(usage.groups.iter().map(|(group, sum)| (group.model.as_str(), sum)))?;
        Ok(Self {
            total: Figures::of(&usage.total()?)?,
            tool_invocations: usage.tools.iter().map(|(tool, calls)| (tool.to_string(), *calls)).collect(),
            by_assistant: by_assistant
                .into_iter()
                .map(|(assistant, sum)| AssistantFigures { assistant, sum })
                .collect(),
            by_model: by_model.into_iter().map(|(model, sum)| ModelFigures { model, sum }).collect(),
        })
    }
}

/// Adds up the groups of one name, and puts the dearest first.
fn ranked<'a>(groups: impl Iterator<Item = (&'a str, &'a Counters)>) -> Result<Vec<(String, Figures)>, Overflow> {
    let mut sums = BTreeMap::<_, Counters>::new();
    for (name, sum) in groups {
        sums.entry(name).or_default().add(sum)?;
    }
    let figures = sums.iter().map(|(name, sum)| Ok(((*name).to_owned(), Figures::of(sum)?)));
    let mut ranked: Vec<(_, Figures)> = figures.collect::<Result<_, Overflow>>()?;
    // Stable, and in the order of names before.
    ranked.sort_by_key(|(_, sum)| Reverse((sum.cost_cents, sum.total_tokens)));
    Ok(ranked)
}

/// A user's usage, quota, saved outputs and recent activity
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/users/{user}/stats", tag = "stats",
    params(("tenant" = String, Path, description = ID), ("user" = String, Path, description = ID), MonthQuery),
    responses((status = 200, body = Dated<UserStats>), Others, StoreFails)
)]
pub(super) async fn user_stats(state: State<ApiState>, whose: Whose, query: Query<MonthQuery>) -> Answer<UserStats> {
    let (stats, usage) = stats(&state, &whose.0, query.0.month).await?;
    let quota = QuotaSummary::of(&state, &usage, query.0.month)?;
    let activity = |SavedOutput { output: Output { kind, id }, created }| Activity {
        output_id: id.to_string(),
        kind: kind.to_string(),
        created_at: created.to_rfc3339(),
    };
    let answer = UserStats {
        user_id: whose.0.user.map(|user| user.to_string()).unwrap_or_default(),
        stats,
        quota,
        recent_activity: usage.recent.into_iter().map(activity).collect(),
    };
    Ok(Dated::new(&state, answer, usage.freshness))
}

/// A tenant's usage and saved outputs
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/stats", tag = "stats",
    params(("tenant" = String, Path, description = ID), MonthQuery),
    responses((status = 200, body = Dated<Stats>), Others, StoreFails)
)]
pub(super) async fn tenant_stats(state: State<ApiState>, whose: Whose, query: Query<MonthQuery>) -> Answer<Stats> {
    let (stats, usage) = stats(&state, &whose.0, query.0.month).await?;
    Ok(Dated::new(&state, stats, usage.freshness))
}

async fn stats(state: &ApiState, scope: &Scope, month: Option<Month>) -> Result<(Stats, Usage), Problem> {
    let month = month.unwrap_or_else(|| Month::of((state.now)()));
    let usage = state.ask(state.reader.usage(scope, month)).await?;
    Ok((Stats::of(scope, &usage, month)?, usage))
}
