//! Months of users and tenants, and the costs that are not what the price table says.

use crate::domain::calendar::Month;
use crate::domain::counters::{Counters, DayUsage, Group, MonthSums};
use crate::domain::ids::UserId;
use crate::domain::quota::Spent;
use crate::store::cells::{self, Damage};

use super::table::{Cell, Damaged, Explained};

/// A tenant's month: a field a cell.
pub(super) fn tenant(month: Month, fields: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    let mut sums = MonthSums::default();
    for (name, numbers) in fields {
        if let Err(Damage(why)) = cells::read_cell(&mut sums, name, numbers) {
            explained.damaged.push(Damaged::new(name, why));
        }
    }
    tell(month, &sums, &mut explained);
    explained
}

/// The month of one user: a line a cell.
pub(super) fn user(month: Month, user: &str, text: &str) -> Explained {
    let mut explained = Explained::default();
    let mut sums = MonthSums::default();
    for line in text.lines() {
        if let Err(Damage(why)) = cells::read_line(&mut sums, line) {
            explained.damaged.push(Damaged::new(user, why));
        }
    }
    tell(month, &sums, &mut explained);
    explained
}

/// A tenant's users, each with its sums.
pub(super) fn users(fields: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    let columns =
        ["user", "requests", "tokensIn", "tokensOut", "costDollars", "chargeDollars", "unpriced", "toolCalls", "days"];
    explained.rows("users", columns, fields, |(field, text)| {
        let user = UserId::new(field).map_err(|fault| Damaged::new(field, fault.to_string()))?;
        let sums = cells::from_text(text).map_err(Damaged::by(field))?;
        let overflow = || Damaged::new(field, "its sum does not fit a 64-bit integer");
        let total = sums.usage.total().map_err(|_| overflow())?;
        let calls = sums.usage.tools.values().try_fold(0_i64, |sum, calls| sum.checked_add(*calls));
        Ok([
            Cell::text(user),
            Cell::Count(total.requests),
            Cell::Count(total.tokens_in),
            Cell::Count(total.tokens_out),
            Cell::Dollars(total.cost),
            Cell::Dollars(total.charge),
            Cell::Count(total.unpriced),
            Cell::Count(calls.ok_or_else(overflow)?),
            Cell::number(sums.days.len() as u64),
        ])
    });
    explained
}

fn tell(month: Month, sums: &MonthSums, explained: &mut Explained) {
    let columns = [
        "assistant",
        "model",
        "requests",
        "tokensIn",
        "cachedTokens",
        "tokensOut",
        "reasoningTokens",
        "costDollars",
        "chargeDollars",
        "unpriced",
        "latencySumMs",
        "latencies",
    ];
    explained.table("groups", columns, sums.usage.groups.iter().map(|(group, sum)| group_row(group, sum)));
    let tools = sums.usage.tools.iter().map(|(tool, calls)| [Cell::text(tool), Cell::Count(*calls)]);
    explained.table("tools", ["tool", "calls"], tools);
    let columns = ["day", "requests", "tokens", "costDollars", "chargeDollars"];
    explained.rows("days", columns, sums.days.iter(), |(day, sum)| day_row(month, *day, sum));
    if let Some(Spent { tokens, cost }) = sums.total {
        let cost = Cell::Dollars(crate::domain::money::NanoDollars(cost));
        explained.table("total", ["tokens", "costDollars"], [[Cell::Count(tokens), cost]]);
    }
    if sums.crowd != 0 {
        explained.table("crowd", ["requestsOfOtherUsers"], [[Cell::Count(sums.crowd)]]);
    }
    let noticed = sums.noticed.iter().map(|(metric, threshold)| [Cell::text(metric.as_str()), Cell::text(threshold)]);
    explained.table("noticed", ["metric", "threshold"], noticed);
}

fn group_row(Group { assistant, model }: &Group, sum: &Counters) -> [Cell; 12] {
    [
        Cell::text(assistant),
        Cell::text(model),
        Cell::Count(sum.requests),
        Cell::Count(sum.tokens_in),
        Cell::Count(sum.cached_tokens),
        Cell::Count(sum.tokens_out),
        Cell::Count(sum.reasoning_tokens),
        Cell::Dollars(sum.cost),
        Cell::Dollars(sum.charge),
        Cell::Count(sum.unpriced),
        Cell::Count(sum.latency_ms),
        Cell::Count(sum.latency_count),
    ]
}

fn day_row(month: Month, day: u32, sum: &DayUsage) -> Result<[Cell; 5], Damaged> {
    let name = cells::day_cell(day);
    let date = month.day(day).ok_or_else(|| Damaged::new(&name, format!("is no day of {month}")))?;
    let DayUsage { requests, tokens, cost, charge } = *sum;
    Ok([Cell::text(date), Cell::Count(requests), Cell::Count(tokens), Cell::Dollars(cost), Cell::Dollars(charge)])
}

/// A bucket's mismatches: a field a model.
pub(super) fn mismatches(fields: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    explained.rows("models", ["model", "requests", "givenDollars", "expectedDollars"], fields, |(name, text)| {
        let (model, sum) = cells::read_mismatch(name, text).map_err(Damaged::by(name))?;
        let (given, expected) = (Cell::Dollars(sum.given), Cell::Dollars(sum.expected));
        Ok([Cell::text(model), Cell::Count(sum.requests), given, expected])
    });
    explained
}
