//! A quota that is given to a tenant or user: a plan by its name, or limits one by one.

use serde_json::value::RawValue;

use super::count::count;
use super::field::{Field, Fields};
use super::reason::{Reason, Reject};
use crate::domain::calendar::TimeMs;
use crate::domain::event::Assigned;
use crate::domain::ids::PlanName;
use crate::domain::quota::{Grant, Limit, Limits, MAX_THRESHOLDS};

/// The largest threshold, in percent.
const MAX_PERCENT: i64 = 1000;

pub(super) fn assigned(data: &Fields<'_>) -> Result<Assigned, Reject> {
    let effective = data.effective_from().optional(|field| field.text()?.time())?.map(TimeMs::of);
    let given = [data.plan().is_there(), data.limits().is_there(), data.inherit().is_true()?];
    if given.iter().filter(|given| **given).count() != 1 {
        let detail = "one of plan, limits and inherit (true) must be given, and no other of them";
        return Err(Reject::new(
            if given.contains(&true) { Reason::InvalidField } else { Reason::MissingField },
            detail,
        ));
    }
    let grant = match given {
        [true, ..] => Grant::Plan(data.plan().id(PlanName::new)?),
        [_, true, _] => Grant::Limits(limits(data.limits())?),
        _ => Grant::Inherit,
    };
    Ok(Assigned { effective, grant })
}

fn limits(field: Field<'_>) -> Result<Limits, Reject> {
    let fields: Fields<'_> = field.object()?;
    read_limits(&fields).map_err(|reject| reject.within(field.name))
}

fn read_limits(fields: &Fields<'_>) -> Result<Limits, Reject> {
    let tokens = fields.tokens().optional(|field| limit(field, |bound| bound.count()))?.unwrap_or_default();
    let cost = fields.cost_cents().optional(|field| limit(field, |bound| Ok(bound.cents()?.0)))?.unwrap_or_default();
    if tokens.base().is_none() && cost.base().is_none() {
        let detail = "tokens and costCents are missing; give a soft or hard limit of at least one of them";
        return Err(Reject::new(Reason::MissingField, detail));
    }
    // At most 2^53 seconds: in milliseconds still an i64.
    let grace_ms = fields.grace_seconds().optional(Field::count)?.map(|seconds| seconds * 1000);
    let standard = Limits::default();
    let thresholds = fields.thresholds().optional(thresholds)?.unwrap_or(standard.thresholds);
    Ok(Limits { tokens, cost, grace_ms, thresholds })
}

/// Each at least 1 of its unit, and soft no more than hard.
fn limit(field: Field<'_>, read: fn(Field<'_>) -> Result<i64, Reject>) -> Result<Limit, Reject> {
    let fields: Fields<'_> = field.object()?;
    let bound = |field: Field<'_>| match read(field)? {
        0 => Err(field.invalid("is 0; a limit is more than that")),
        bound => Ok(Some(bound)),
    };
    let read = |field: Field<'_>| if field.is_there() { bound(field) } else { Ok(None) };
    let within = |reject: Reject| reject.within(field.name);
    let limit = Limit { soft: read(fields.soft()).map_err(within)?, hard: read(fields.hard()).map_err(within)? };
    match limit {
        Limit { soft: None, hard: None } => Err(field.invalid("has neither soft nor hard")),
        Limit { soft: Some(soft), hard: Some(hard) } if soft > hard => {
            Err(field.invalid("has a soft limit above the hard one"))
        }
        limit => Ok(limit),
    }
}

/// Percents in ascending order, each once.
fn thresholds(field: Field<'_>) -> Result<Vec<u16>, Reject> {
    let all = field.array()?;
    if all.len() > MAX_THRESHOLDS {
        return Err(field.invalid(&format!("has {} percents; send at most {MAX_THRESHOLDS}", all.len())));
    }
    let percent = |json: &&RawValue| {
        let percent = count(json.get()).ok().filter(|percent| (1..=MAX_PERCENT).contains(percent));
        let percent = percent.and_then(|percent| u16::try_from(percent).ok());
        percent.ok_or_else(|| field.invalid(&format!("has what is no whole number from 1 to {MAX_PERCENT}")))
    };
    let mut percents = all.iter().map(percent).collect::<Result<Vec<_>, _>>()?;
    percents.sort_unstable();
    percents.dedup();
    Ok(percents)
}
