//! Sums as text: a month is a set of cells, each a name and a few numbers.
//!
//! | cell | name | numbers |
//! |---|---|---|
//! | group | `assistant\|model` | requests, tokens in, tokens out, nano-dollars, latency in ms, requests with a latency, cached tokens, reasoning tokens, markup in nano-dollars, requests without a price |
//! | tool | `tool:NAME` | calls |
//! | day | `01` to `31` | requests, tokens, nano-dollars, markup in nano-dollars |
//! | crowd | `crowd`, a tenant's only | requests of users for whom there is no room, who share the month of `other` |
//! | total | `total`, a tenant's only | tokens and nano-dollars of all days |
//! | about | `about`, a tenant's only | no numbers but what those of a group are |
//! | noticed | `noticed` | no numbers but thresholds of which word has gone out: `tokens:80`, `cost:hard` |
//!
//! Numbers are divided by a space; zeros at the end are left out, down to the first. A tenant's month is a hash of
//! cells; a user's is one text, a cell a line: there are many users, and a text takes less room and one command.

use crate::domain::counters::{Counters, DayUsage, Group, Mismatch, MonthSums};
use crate::domain::ids::{Assistant, Model, Tool};
use crate::domain::money::NanoDollars;
use crate::domain::quota::{Metric, Noticed, Spent, Threshold};

use super::args::Args;
use super::keys::{decode, encode};

/// Why a text can't be read: this program never writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage(pub String);

const TOOL: &str = "tool:";
pub const CROWD: &str = "crowd";
pub const TOTAL: &str = "total";
pub const NOTICED: &str = "noticed";
/// Stands in every tenant's month from its beginning. With a value above 64 bytes Redis keeps a hash as a hash table;
/// else as a list, in which each of up to 512 fields is looked for from the start.
pub const ABOUT: (&str, &str) = (
    "about",
    "assistant|model: requests, tokens in, tokens out, nano-dollars, latency ms, latencies, cached, reasoning, markup, \
     unpriced; see docs/redis.md",
);

pub fn group_cell(group: &Group) -> String {
    [&*encode(group.assistant.as_str()), "|", &*encode(group.model.as_str())].concat()
}

pub fn tool_cell(tool: &Tool) -> String {
    [TOOL, &*encode(tool.as_str())].concat()
}

pub fn day_cell(day: u32) -> String {
    format!("{day:02}")
}

/// Every cell, in order of name within its kind: its name and its numbers are written by `put`.
fn each_cell(sums: &MonthSums, mut put: impl FnMut(&dyn Fn(&mut Vec<u8>), &dyn Fn(&mut Vec<u8>))) {
    for (group, sum) in &sums.usage.groups {
        put(&|name| write_group(group, name), &|text| write_numbers(&counters(sum), text));
    }
    for (tool, calls) in &sums.usage.tools {
        let write_name = |name: &mut Vec<u8>| {
            name.extend(TOOL.as_bytes());
            name.extend(encode(tool.as_str()).as_bytes());
        };
        put(&write_name, &|text| write_numbers(&[*calls], text));
    }
    for (day, sum) in &sums.days {
        put(&|name| name.extend(day_cell(*day).as_bytes()), &|text| {
            write_numbers(&[sum.requests, sum.tokens, sum.cost.0, sum.charge.0 - sum.cost.0], text)
        });
    }
    if sums.crowd != 0 {
        put(&|name| name.extend(CROWD.as_bytes()), &|text| write_numbers(&[sums.crowd], text));
    }
    if let Some(Spent { tokens, cost }) = sums.total {
        put(&|name| name.extend(TOTAL.as_bytes()), &|text| write_numbers(&[tokens, cost], text));
    }
    if !sums.noticed.is_empty() {
        put(&|name| name.extend(NOTICED.as_bytes()), &|text| text.extend(noticed_text(&sums.noticed).as_bytes()));
    }
}

fn write_group(group: &Group, name: &mut Vec<u8>) {
    name.extend(encode(group.assistant.as_str()).as_bytes());
    name.push(b'|');
    name.extend(encode(group.model.as_str()).as_bytes());
}

/// Every cell as it is written: name, numbers, name, numbers, …
pub fn write_cells(sums: &MonthSums, cells: &mut Args) {
    each_cell(sums, |name, numbers| {
        cells.push_with(name);
        cells.push_with(numbers);
    });
}

fn noticed_text(noticed: &Noticed) -> String {
    let names = noticed.iter().map(|(metric, threshold)| format!("{}:{threshold}", metric.as_str()));
    names.collect::<Vec<_>>().join(" ")
}

/// Reads `tokens:80` or `cost:hard`.
pub(super) fn read_threshold(name: &str) -> Option<(Metric, Threshold)> {
    let (metric, threshold) = name.split_once(':')?;
    let metric = Metric::ALL.into_iter().find(|known| known.as_str() == metric)?;
    let percent = || threshold.parse().ok().map(Threshold::Percent);
    let threshold = if threshold == "hard" { Threshold::Hard } else { percent()? };
    Some((metric, threshold))
}

/// Appends a month as one text, which [`from_text`] reads.
pub fn write_text(sums: &MonthSums, text: &mut Vec<u8>) {
    let start = text.len();
    each_cell(sums, |name, numbers| {
        if text.len() > start {
            text.push(b'\n');
        }
        name(text);
        text.push(b' ');
        numbers(text);
    });
}

/// # Errors
/// [`Damage`], which says what stands where a cell should be.
pub fn from_text(text: &str) -> Result<MonthSums, Damage> {
    let mut sums = MonthSums::default();
    for line in text.lines() {
        read_line(&mut sums, line)?;
    }
    Ok(sums)
}

/// Reads one line of a month's text into `sums`.
///
/// # Errors
/// [`Damage`], which says what stands there.
pub fn read_line(sums: &mut MonthSums, line: &str) -> Result<(), Damage> {
    let (name, numbers) = line.split_once(' ').ok_or_else(|| Damage(format!("holds the line {line:?}")))?;
    read_cell(sums, name, numbers)
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
        sums.usage.groups.insert(group, to_counters(read_numbers(text)?)?);
    } else if let Some(tool) = name.strip_prefix(TOOL) {
        let [calls] = read_numbers(text)?;
        sums.usage.tools.insert(Tool::new(&decode(tool)?).ok()?, calls);
    } else if name == CROWD {
        [sums.crowd] = read_numbers(text)?;
    } else if name == TOTAL {
        let [tokens, cost] = read_numbers(text)?;
        sums.total = Some(Spent { tokens, cost });
    } else if name == NOTICED {
        sums.noticed = text.split(' ').map(read_threshold).collect::<Option<_>>()?;
    } else if name == ABOUT.0 {
        // It is for people.
    } else {
        let day = name.parse().ok().filter(|day| (1..=31).contains(day) && name.len() == 2)?;
        let [requests, tokens, cost, markup] = read_numbers(text)?;
        let charge = charge(cost, markup)?;
        sums.days.insert(day, DayUsage { requests, tokens, cost: NanoDollars(cost), charge });
    }
    Some(())
}

fn counters(sums: &Counters) -> [i64; 10] {
    let Counters { requests, tokens_in, tokens_out, latency_ms, latency_count, .. } = *sums;
    let Counters { cached_tokens, reasoning_tokens, cost, charge, unpriced, .. } = *sums;
    // Mostly there is no markup, and then nothing to write. Both amounts are 0 or more: their difference is an i64.
    let (cost, markup) = (cost.0, charge.0 - cost.0);
    [
        requests,
        tokens_in,
        tokens_out,
        cost,
        latency_ms,
        latency_count,
        cached_tokens,
        reasoning_tokens,
        markup,
        unpriced,
    ]
}

fn to_counters(numbers: [i64; 10]) -> Option<Counters> {
    let [requests, tokens_in, tokens_out, cost, latency_ms, latency_count, rest @ ..] = numbers;
    let [cached_tokens, reasoning_tokens, markup, unpriced] = rest;
    let (cost, charge) = (NanoDollars(cost), charge(cost, markup)?);
    Some(Counters {
        requests,
        tokens_in,
        tokens_out,
        cached_tokens,
        reasoning_tokens,
        cost,
        charge,
        unpriced,
        latency_ms,
        latency_count,
    })
}

/// None where it leaves the range of an amount.
fn charge(cost: i64, markup: i64) -> Option<NanoDollars> {
    cost.checked_add(markup).filter(|charge| *charge >= 0).map(NanoDollars)
}

/// What a model's mismatches of a month come to, as a cell: requests, given and expected nano-dollars.
pub fn mismatch_cell(model: &Model, sum: &Mismatch) -> (String, String) {
    let Mismatch { requests, given, expected } = *sum;
    let mut text = Vec::new();
    write_numbers(&[requests, given.0, expected.0], &mut text);
    (encode(model.as_str()).into_owned(), String::from_utf8(text).unwrap_or_default())
}

/// # Errors
/// [`Damage`], which names the cell.
pub fn read_mismatch(name: &str, text: &str) -> Result<(Model, Mismatch), Damage> {
    let read = || {
        let [requests, given, expected] = read_numbers(text)?;
        let (given, expected) = (NanoDollars(given), NanoDollars(expected));
        Some((Model::new(&decode(name)?).ok()?, Mismatch { requests, given, expected }))
    };
    read().ok_or_else(|| Damage(format!("the cell {name:?} holds {text:?}")))
}

fn write_numbers(all: &[i64], text: &mut Vec<u8>) {
    let kept = all.iter().rposition(|number| *number != 0).unwrap_or(0);
    for (index, number) in all[..=kept].iter().enumerate() {
        if index > 0 {
            text.push(b' ');
        }
        text.extend(itoa::Buffer::new().format(*number).as_bytes());
    }
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
