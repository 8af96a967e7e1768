//! Quotas as text: what was assigned to one user or tenant, an assignment a line, the latest instant first.
//!
//! A line is `effective set_at source id` (instants in milliseconds since 1970, ids percent-encoded) and then one of
//! `plan NAME`, `inherit`, and `limits tokens=SOFT/HARD cost=SOFT/HARD grace=MS at=PERCENT,…`, where `-` is none.

use crate::domain::calendar::TimeMs;
use crate::domain::ids::{EventId, PlanName, Source};
use crate::domain::quota::{Assignment, Assignments, Grant, Limit, Limits};

use super::cells::Damage;
use super::keys::{decode, encode};

pub fn to_text(assignments: &Assignments) -> String {
    assignments.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// # Errors
/// [`Damage`], which says what stands where an assignment should be.
pub fn from_text(text: &str) -> Result<Assignments, Damage> {
    let read = |line| read_line(line).ok_or_else(|| Damage(format!("holds the line {line:?}")));
    text.lines().map(read).collect()
}

fn line(assignment: &Assignment) -> String {
    let Assignment { effective, set_at, source, id, grant } = assignment;
    let (source, id) = (encode(source.as_str()), encode(id.as_str()));
    let grant = match grant {
        Grant::Plan(plan) => format!("plan {}", encode(plan.as_str())),
        Grant::Inherit => "inherit".to_owned(),
        Grant::Limits(Limits { tokens, cost, grace_ms, thresholds }) => {
            let (tokens, cost, grace) = (limit(*tokens), limit(*cost), maybe(*grace_ms));
            let at: Vec<_> = thresholds.iter().map(u16::to_string).collect();
            format!("limits tokens={tokens} cost={cost} grace={grace} at={}", at.join(","))
        }
    };
    format!("{} {} {source} {id} {grant}", effective.0, set_at.0)
}

fn limit(limit: Limit) -> String {
    format!("{}/{}", maybe(limit.soft), maybe(limit.hard))
}

fn maybe(number: Option<i64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn read_line(line: &str) -> Option<Assignment> {
    let mut parts = line.split(' ');
    let mut next = || parts.next();
    let (effective, set_at) = (TimeMs(next()?.parse().ok()?), TimeMs(next()?.parse().ok()?));
    let (source, id) = (Source::new(&decode(next()?)?).ok()?, EventId::new(&decode(next()?)?).ok()?);
    let grant = match next()? {
        "plan" => Grant::Plan(PlanName::new(&decode(next()?)?).ok()?),
        "inherit" => Grant::Inherit,
        "limits" => {
            let tokens = read_limit(next()?.strip_prefix("tokens=")?)?;
            let cost = read_limit(next()?.strip_prefix("cost=")?)?;
            let grace_ms = read_maybe(next()?.strip_prefix("grace=")?)?;
            let at = next()?.strip_prefix("at=")?;
            let thresholds = at.split(',').filter(|percent| !percent.is_empty()).map(|percent| percent.parse().ok());
            Grant::Limits(Limits { tokens, cost, grace_ms, thresholds: thresholds.collect::<Option<_>>()? })
        }
        _ => return None,
    };
    next().is_none().then_some(Assignment { effective, set_at, source, id, grant })
}

fn read_limit(text: &str) -> Option<Limit> {
    let (soft, hard) = text.split_once('/')?;
    Some(Limit { soft: read_maybe(soft)?, hard: read_maybe(hard)? })
}

/// None where it is neither a number nor a dash.
#[expect(clippy::option_option, reason = "a number that may be absent, or no such text")]
fn read_maybe(text: &str) -> Option<Option<i64>> {
    if text == "-" { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
#[path = "../../tests/unit/store/assigned.rs"]
mod tests;
