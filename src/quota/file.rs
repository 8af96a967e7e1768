//! The plan file, in TOML:
//!
//! ```toml
//! default = "free"
//!
//! [plans.free.user]
//! tokens = { soft = 1_000_000, hard = 1_200_000 }
//! cost = { hard = "25.00" }
//! grace = "72h"
//! thresholds = [50, 80, 90, 100]
//!
//! [plans.free.tenant]
//! cost = { soft = "400", hard = "500" }
//! ```
//!
//! Limits are a month's; amounts are dollars, as text, so that no float comes near them. What a plan does not name has
//! no limit. Every fault is found at once, each with its line.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::event::MAX_COUNT;
use crate::domain::ids::PlanName;
use crate::domain::quota::{Limit, Limits, MAX_PERCENT, MAX_THRESHOLDS};

use super::plans::{Plan, Plans};

/// A dollar has so many decimal places that a nano-dollar resolves.
const PLACES: usize = 9;
const NANOS: i64 = 1_000_000_000;
/// So many characters of an unreadable line are shown.
const MAX_SHOWN: usize = 80;

/// What is wrong in a line, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// From 1.
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads a plan file. Where it names no default, `quota_tokens` are a user's soft limit, and a tenant has none.
///
/// # Errors
/// Every fault, in the order of the lines.
pub fn read(text: &str, quota_tokens: i64) -> Result<Plans, Vec<Fault>> {
    let (root, unreadable) = DeTable::parse_recoverable(text);
    let unreadable: BTreeMap<_, _> = unreadable.iter().rev().map(|error| unreadable_line(text, error)).collect();
    let mut reader = Reader { text, is_whole: unreadable.is_empty(), faults: Vec::new() };
    let plans = reader.file(&root, quota_tokens);
    let mut faults = reader.faults;
    // What was made of an unreadable line says nothing more.
    faults.retain(|fault| !unreadable.contains_key(&fault.line));
    faults.extend(unreadable.into_iter().map(|(line, what)| Fault { line, what }));
    faults.sort();
    if faults.is_empty() { Ok(plans) } else { Err(faults) }
}

/// The number of a line that is no TOML, and why; of several reasons the first is kept.
fn unreadable_line(text: &str, error: &toml::de::Error) -> (usize, String) {
    let line = line(text, error.span().unwrap_or_default().start);
    let shown: String = text.lines().nth(line - 1).unwrap_or_default().trim().chars().take(MAX_SHOWN).collect();
    (line, format!("`{shown}` can't be read: {}", error.message()))
}

/// From 1.
fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

type Value<'a> = Spanned<DeValue<'a>>;

struct Reader<'t> {
    text: &'t str,
    /// Every line could be read: what is not there was left out.
    is_whole: bool,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, span: Range<usize>, what: String) {
        self.faults.push(Fault { line: line(self.text, span.start), what });
    }

    /// Something is not there that must be.
    fn missing(&mut self, span: Range<usize>, what: String) {
        if self.is_whole {
            self.fault(span, what);
        }
    }

    fn file(&mut self, root: &Spanned<DeTable<'_>>, quota_tokens: i64) -> Plans {
        let mut plans = Plans::of_tokens(quota_tokens);
        self.refuse_unknown("", root.get_ref(), &["default", "plans"]);
        let named = root.get_ref().get("plans");
        for (name, value) in named.and_then(|value| self.table("plans", value)).into_iter().flatten() {
            let path = format!("plans.{}", name.get_ref());
            let plan = self.plan(&path, value);
            match PlanName::new(name.get_ref()) {
                Ok(name) => drop(plans.by_name.insert(name, plan)),
                Err(why) => self.fault(name.span(), format!("the plan's name {why}")),
            }
        }
        let Some(default) = root.get_ref().get("default") else { return plans };
        let named = default.get_ref().as_str().and_then(|name| PlanName::new(name).ok());
        match named.and_then(|name| plans.by_name.get(&name).cloned().map(|plan| (Some(name), plan))) {
            Some(default) => plans.default = default,
            None => {
                let known: Vec<_> = plans.by_name.keys().map(PlanName::as_str).collect();
                let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
                self.missing(
                    default.span(),
                    format!("default is not the name of a plan of this file; the plans: {known}"),
                );
            }
        }
        plans
    }

    fn plan(&mut self, path: &str, value: &Value<'_>) -> Plan {
        let Some(plan) = self.table(path, value) else { return Plan::default() };
        self.refuse_unknown(path, plan, &["user", "tenant"]);
        let mut limits = |whose: &str| {
            let value = plan.get(whose)?;
            Some(self.limits(&format!("{path}.{whose}"), value))
        };
        Plan { user: limits("user").unwrap_or_default(), tenant: limits("tenant").unwrap_or_default() }
    }

    fn limits(&mut self, path: &str, value: &Value<'_>) -> Limits {
        let mut limits = Limits::default();
        let Some(table) = self.table(path, value) else { return limits };
        self.refuse_unknown(path, table, &["tokens", "cost", "grace", "thresholds"]);
        if let Some(tokens) = table.get("tokens") {
            limits.tokens = self.limit(&format!("{path}.tokens"), tokens, tokens_of);
        }
        if let Some(cost) = table.get("cost") {
            limits.cost = self.limit(&format!("{path}.cost"), cost, dollars_of);
        }
        if let Some(thresholds) = table.get("thresholds") {
            limits.thresholds = self.thresholds(&format!("{path}.thresholds"), thresholds);
        }
        if let Some(grace) = table.get("grace") {
            limits.grace_ms = grace.get_ref().as_str().and_then(milliseconds);
            if limits.grace_ms.is_none() {
                let found = shown(grace.get_ref());
                self.fault(grace.span(), format!("{path}.grace {found} is not a duration such as \"72h\" or \"3d\""));
            }
            let has_soft = |metric| table.get(metric).is_some_and(|limit| limit.get_ref().get("soft").is_some());
            if !has_soft("tokens") && !has_soft("cost") {
                self.missing(grace.span(), format!("{path}.grace needs a soft limit, of tokens or cost, to begin at"));
            }
        }
        if !table.contains_key("tokens") && !table.contains_key("cost") {
            self.missing(value.span(), format!("{path} limits nothing; give it tokens or cost, or leave it out"));
        }
        limits
    }

    fn limit(&mut self, path: &str, value: &Value<'_>, read: fn(&DeValue<'_>) -> Result<i64, String>) -> Limit {
        let Some(table) = self.table(path, value) else { return Limit::default() };
        self.refuse_unknown(path, table, &["soft", "hard"]);
        let mut bound = |name: &str| {
            let value = table.get(name)?;
            let refused = |why| self.fault(value.span(), format!("{path}.{name} {why}"));
            read(value.get_ref()).map_err(refused).ok()
        };
        let limit = Limit { soft: bound("soft"), hard: bound("hard") };
        if limit.soft.zip(limit.hard).is_some_and(|(soft, hard)| soft > hard) {
            self.fault(value.span(), format!("{path}.soft is above {path}.hard; a soft limit is reached first"));
        }
        if !table.contains_key("soft") && !table.contains_key("hard") {
            self.missing(value.span(), format!("{path} has neither soft nor hard"));
        }
        limit
    }

    /// Ascending, each once.
    fn thresholds(&mut self, path: &str, value: &Value<'_>) -> Vec<u16> {
        let Some(all) = value.get_ref().as_array() else {
            self.fault(value.span(), format!("{path} is not a list of percents such as [50, 80, 90, 100]"));
            return Vec::new();
        };
        if all.len() > MAX_THRESHOLDS {
            self.fault(value.span(), format!("{path} has {} percents; {MAX_THRESHOLDS} is the most", all.len()));
        }
        let mut percents = Vec::new();
        for item in all.iter() {
            let percent = integer(item.get_ref()).and_then(|percent| u16::try_from(percent).ok());
            match percent.filter(|percent| (1..=MAX_PERCENT).contains(percent)) {
                Some(percent) => percents.push(percent),
                None => {
                    let found = shown(item.get_ref());
                    self.fault(item.span(), format!("{path}: {found} is not a whole percent from 1 to {MAX_PERCENT}"));
                }
            }
        }
        percents.sort_unstable();
        percents.dedup();
        percents
    }

    fn table<'a>(&mut self, path: &str, value: &'a Value<'_>) -> Option<&'a DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.fault(value.span(), format!("{path} is {}; it must be a table", shown(value.get_ref())));
        }
        table
    }

    fn refuse_unknown(&mut self, path: &str, table: &DeTable<'_>, known: &[&str]) {
        let within = if path.is_empty() { String::new() } else { format!("{path}.") };
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            self.fault(key.span(), format!("{within}{} is unknown; known here: {}", key.get_ref(), known.join(", ")));
        }
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn tokens_of(value: &DeValue<'_>) -> Result<i64, String> {
    let tokens = integer(value).filter(|tokens| (1..=MAX_COUNT).contains(tokens));
    tokens.ok_or_else(|| format!("{} is not a whole number from 1 to {MAX_COUNT}", shown(value)))
}

fn dollars_of(value: &DeValue<'_>) -> Result<i64, String> {
    let found = shown(value);
    match value {
        DeValue::Float(_) | DeValue::Integer(_) => {
            Err(format!("{found} must be text, \"{found}\": a float is not exact"))
        }
        DeValue::String(text) => nano_dollars(text).filter(|nanos| *nanos > 0).ok_or_else(|| {
            format!("{found} is not an amount of dollars above 0 with at most {PLACES} decimals, such as \"25.00\"")
        }),
        _ => Err(format!("{found} is not an amount of dollars such as \"25.00\"")),
    }
}

/// Exact, or none.
fn nano_dollars(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > PLACES {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<PLACES$}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(NANOS)?.checked_add(nanos)
}

fn milliseconds(text: &str) -> Option<i64> {
    i64::try_from(humantime::parse_duration(text).ok()?.as_millis()).ok()
}

/// A value as a fault names it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
#[path = "../../tests/unit/quota/file.rs"]
mod tests;
