//! Reading a month's hashes back into sums: the other direction of `call.rs`.

use std::collections::BTreeMap;

use crate::domain::calendar::Month;
use crate::domain::counters::{Counters, DayUsage, Group, MonthUsage};
use crate::domain::ids::Tool;
use crate::domain::money::NanoDollars;
use chrono::NaiveDate;

use super::keys;

type Hash = Vec<(String, String)>;

/// Why a hash cannot be read: a field that this program never writes.
pub(super) struct Damage(pub String);

fn damage(field: &str, value: &str) -> Damage {
    Damage(format!("the field {field:?} holds {value:?}"))
}

fn number(field: &str, value: &str) -> Result<i64, Damage> {
    value.parse().map_err(|_| damage(field, value))
}

/// Reads `group:NAME` → number, `number:COUNTER` → sum, `tool:NAME` → calls.
pub(super) fn read_month(hash: &Hash) -> Result<MonthUsage, Damage> {
    let mut names: BTreeMap<&str, Group> = BTreeMap::new();
    let mut sums: BTreeMap<&str, Counters> = BTreeMap::new();
    let mut month = MonthUsage::default();
    for (field, value) in hash {
        let unknown = || damage(field, value);
        match field.split_once(':') {
            Some(("group", name)) => {
                names.insert(value, keys::parse_group(name).ok_or_else(unknown)?);
            }
            Some(("tool", name)) => {
                let tool = keys::decode(name).and_then(|name| Tool::new(&name).ok()).ok_or_else(unknown)?;
                month.tools.insert(tool, number(field, value)?);
            }
            Some((group, counter)) => {
                let sum = counter_of(sums.entry(group).or_default(), counter).ok_or_else(unknown)?;
                *sum = number(field, value)?;
            }
            None if field == "groups" => {}
            None => return Err(unknown()),
        }
    }
    for (number, sum) in sums {
        let name = names.remove(number).ok_or_else(|| Damage(format!("group {number} has no name")))?;
        month.groups.insert(name, sum);
    }
    Ok(month)
}

fn counter_of<'a>(sums: &'a mut Counters, field: &str) -> Option<&'a mut i64> {
    Some(match field {
        "requests" => &mut sums.requests,
        "in" => &mut sums.tokens_in,
        "out" => &mut sums.tokens_out,
        "cached" => &mut sums.cached_tokens,
        "reasoning" => &mut sums.reasoning_tokens,
        "nanousd" => &mut sums.cost.0,
        "latency_ms" => &mut sums.latency_ms,
        "latency_n" => &mut sums.latency_count,
        _ => return None,
    })
}

/// Reads `DD:requests`, `DD:tokens`, `DD:nanousd`.
pub(super) fn read_days(month: Month, hash: &Hash) -> Result<BTreeMap<NaiveDate, DayUsage>, Damage> {
    let mut days: BTreeMap<NaiveDate, DayUsage> = BTreeMap::new();
    for (field, value) in hash {
        let unknown = || damage(field, value);
        let (day, counter) = field.split_once(':').ok_or_else(unknown)?;
        let day = day.parse().ok().and_then(|day| month.day(day)).ok_or_else(unknown)?;
        let sums = days.entry(day).or_default();
        let amount = number(field, value)?;
        match counter {
            "requests" => sums.requests = amount,
            "tokens" => sums.tokens = amount,
            "nanousd" => sums.cost = NanoDollars(amount),
            _ => return Err(unknown()),
        }
    }
    Ok(days)
}
