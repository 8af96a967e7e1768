//! What the stats of a user and of a tenant have in common.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::calendar::Month;
use crate::domain::counters::{Counters, MonthUsage, Overflow};
use crate::store::Usage;

use super::figures::Figures;

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    /// The month shown as `thisMonth`.
    #[schema(example = "2026-11")]
    month: String,
    this_month: Period,
    all_time: Period,
    outputs: Outputs,
}

impl Stats {
    /// # Errors
    /// [`Overflow`]
    pub(super) fn of(usage: &Usage, month: Month) -> Result<Self, Overflow> {
        let mut all = MonthUsage::default();
        for one in usage.months.values() {
            all.add(one)?;
        }
        Ok(Self {
            month: month.to_string(),
            this_month: usage.months.get(&month).map_or_else(|| Period::of(&MonthUsage::default()), Period::of)?,
            all_time: Period::of(&all)?,
            outputs: Outputs::of(usage),
        })
    }

    /// Tokens in and out of the month shown.
    pub(super) fn tokens_this_month(&self) -> i64 {
        self.this_month.total.total_tokens
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
    /// # Errors
    /// [`Overflow`]
    fn of(usage: &MonthUsage) -> Result<Self, Overflow> {
        let groups = || usage.groups.iter();
        Ok(Self {
            total: Figures::of(&usage.total()?)?,
            tool_invocations: usage.tools.iter().map(|(tool, calls)| (tool.to_string(), *calls)).collect(),
            by_assistant: ranked(groups().map(|(group, sum)| (group.assistant.as_str(), sum)), |assistant, sum| {
                AssistantFigures { assistant, sum }
            })?,
            by_model: ranked(groups().map(|(group, sum)| (group.model.as_str(), sum)), |model, sum| ModelFigures {
                model,
                sum,
            })?,
        })
    }
}

/// Adds up the groups of one name, and puts the dearest first.
fn ranked<'a, T>(
    groups: impl Iterator<Item = (&'a str, &'a Counters)>,
    item: impl Fn(String, Figures) -> T,
) -> Result<Vec<T>, Overflow> {
    let mut sums = BTreeMap::<&str, Counters>::new();
    for (name, sum) in groups {
        sums.entry(name).or_default().add(sum)?;
    }
    let mut ranked = Vec::with_capacity(sums.len());
    for (name, sum) in &sums {
        ranked.push((Reverse((sum.cost, sum.total_tokens()?)), item((*name).to_owned(), Figures::of(sum)?)));
    }
    // Stable, and in the order of names before.
    ranked.sort_by_key(|(rank, _)| *rank);
    Ok(ranked.into_iter().map(|(_, item)| item).collect())
}

/// Saved outputs that are not deleted, by kind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Outputs {
    /// Created in the month shown.
    this_month: BTreeMap<String, i64>,
    all_time: BTreeMap<String, i64>,
}

impl Outputs {
    fn of(usage: &Usage) -> Self {
        let counts = || usage.outputs.iter();
        Self {
            this_month: counts().map(|(kind, count)| (kind.to_string(), count.month)).collect(),
            all_time: counts().map(|(kind, count)| (kind.to_string(), count.all_time)).collect(),
        }
    }
}
