//! Sums as text: a month is a set of cells, each a name and a few numbers.
//!
//! | cell | name | numbers |
//! |---|---|---|
//! | group | `assistant\|model` | requests, tokens in, tokens out, nano-dollars, latency in ms, requests with a latency, cached tokens, reasoning tokens |
//! | tool | `tool:NAME` | calls |
//! | day | `01` to `31` | requests, tokens, nano-dollars |
//! | crowd | `crowd`, a tenant's only | requests of users for whom there is no room, who share the month of `other` |
//!
//! Numbers are divided by a space; zeros at the end are left out, down to the first. A tenant's month is a hash of
//! cells; a user's is one text, a cell a line: there are many users, and a text takes less room and one command.

use std::fmt::Write;

use crate::domain::counters::{Counters, DayUsage, Group, MonthSums};
use crate::domain::ids::{Assistant, Model, Tool};
use crate::domain::money::NanoDollars;

use super::keys::{decode, encode};

/// Why a text can't be read: this program never writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage(pub String);

const TOOL: &str = "tool:";
pub const CROWD: &str = "crowd";

pub fn group_cell(group: &Group) -> String {
    format!("{}|{}", encode(group.assistant.as_str()), encode(group.model.as_str()))
}

pub fn tool_cell(tool: &Tool) -> String {
    format!("{TOOL}{}", encode(tool.as_str()))
}

pub fn day_cell(day: u32) -> String {
    format!("{day:02}")
}

/// Every cell, in order of name within its kind.
pub fn cells(sums: &MonthSums) -> impl Iterator<Item = (String, String)> {
    let groups = sums.usage.groups.iter().map(|(group, sum)| (group_cell(group), numbers(&counters(sum))));
    let tools = sums.usage.tools.iter().map(|(tool, calls)| (tool_cell(tool), calls.to_string()));
    let days = sums.days.iter().map(|(day, sum)| (day_cell(*day), numbers(&[sum.requests, sum.tokens, sum.cost.0])));
    let crowd = (sums.crowd != 0).then(|| (CROWD.to_owned(), sums.crowd.to_string()));
    groups.chain(tools).chain(days).chain(crowd)
}

/// A month as one text, which [`from_text`] reads.
pub fn to_text(sums: &MonthSums) -> String {
    cells(sums).fold(String::with_capacity(256), |mut text, (name, numbers)| {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&name);
        text.push(' ');
        text.push_str(&numbers);
        text
    })
}

/// # Errors
/// [`Damage`], which says what stands where a cell should be.
pub fn from_text(text: &str) -> Result<MonthSums, Damage> {
    let mut sums = MonthSums::default();
    for line in text.lines() {
        let (name, numbers) = line.split_once(' ').ok_or_else(|| Damage(format!("holds the line {line:?}")))?;
        read_cell(&mut sums, name, numbers)?;
    }
    Ok(sums)
}

/// Reads one cell into `sums`, where it replaces what stands there.
///
/// # Errors
/// [`Damage`], which names the cell.
pub fn read_cell(sums: &mut MonthSums, name: &str, numbers: &str) -> Result<(), Damage> {
    put_cell(sums, name, numbers).ok_or_else(|| Damage(format!("the cell {name:?} holds {numbers:?}")))
}

fn put_cell(sums: &mut MonthSums, name: &str, text: &str) -> Option<()> {
    if let Some((assistant, model)) = name.split_once('|') {
        let group =
            Group { assistant: Assistant::new(&decode(assistant)?).ok()?, model: Model::new(&decode(model)?).ok()? };
        sums.usage.groups.insert(group, to_counters(read_numbers(text)?));
    } else if let Some(tool) = name.strip_prefix(TOOL) {
        let [calls] = read_numbers(text)?;
        sums.usage.tools.insert(Tool::new(&decode(tool)?).ok()?, calls);
    } else if name == CROWD {
        [sums.crowd] = read_numbers(text)?;
    } else {
        let day = name.parse().ok().filter(|day| (1..=31).contains(day) && name.len() == 2)?;
        let [requests, tokens, cost] = read_numbers(text)?;
        sums.days.insert(day, DayUsage { requests, tokens, cost: NanoDollars(cost) });
    }
    Some(())
}

fn counters(sums: &Counters) -> [i64; 8] {
    let Counters { requests, tokens_in, tokens_out, cached_tokens, reasoning_tokens, cost, latency_ms, latency_count } =
        *sums;
    [requests, tokens_in, tokens_out, cost.0, latency_ms, latency_count, cached_tokens, reasoning_tokens]
}

fn to_counters(numbers: [i64; 8]) -> Counters {
    let [requests, tokens_in, tokens_out, cost, latency_ms, latency_count, cached_tokens, reasoning_tokens] = numbers;
    let cost = NanoDollars(cost);
    Counters { requests, tokens_in, tokens_out, cached_tokens, reasoning_tokens, cost, latency_ms, latency_count }
}

fn numbers(all: &[i64]) -> String {
    let kept = all.iter().rposition(|number| *number != 0).unwrap_or(0);
    let mut text = all[0].to_string();
    for number in &all[1..=kept] {
        // Writing to a String does not fail.
        let _ = write!(text, " {number}");
    }
    text
}

/// One number at least; those left out are 0.
fn read_numbers<const N: usize>(text: &str) -> Option<[i64; N]> {
    let mut all = [0; N];
    for (index, number) in text.split(' ').enumerate() {
        *all.get_mut(index)? = number.parse().ok()?;
    }
    Some(all)
}

#[cfg(test)]
#[path = "../../tests/unit/store/cells.rs"]
mod tests;
