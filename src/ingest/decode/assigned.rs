//! A quota that is given to a tenant or user: a plan by its name, or limits one by one.

use serde_json::value::RawValue;

use super::count::count;
use super::field::Field;
use super::fields::Fields;
use super::reason::{Reason, Reject, quote};
use crate::domain::calendar::TimeMs;
use crate::domain::event::Assigned;
use crate::domain::ids::PlanName;
use crate::domain::quota::{Grant, Limit, Limits, MAX_PERCENT, MAX_THRESHOLDS, THRESHOLDS};

/// The longest grace, 366 days: a longer one is in another unit.
const MAX_GRACE_SECONDS: i64 = 366 * 86_400;

pub(super) fn assigned(data: &Fields<'_>) -> Result<Assigned, Reject> {
    let effective = data.effective_from().optional(|field| field.text()?.time())?.map(TimeMs::of);
    let (plan, limits, inherit) = (data.plan(), data.limits(), data.inherit());
    let grant = match (plan.is_there(), limits.is_there(), inherit.is_true()?) {
        (true, false, false) => Grant::Plan(plan.id(PlanName::new)?),
        (false, true, false) => Grant::Limits(read_limits(limits)?),
        (false, false, true) => Grant::Inherit,
        (false, false, false) => {
            let detail = "plan, limits and inherit are missing or null; one of them is required, add it";
            return Err(Reject::new(Reason::MissingField, detail));
        }
        (true, ..) => return Err(plan.invalid("stands beside limits or inherit; send one of the three")),
        (_, true, true) => return Err(limits.invalid("stands beside inherit; send one of plan, limits and inherit")),
    };
    Ok(Assigned { effective, grant })
}

fn read_limits(field: Field<'_>) -> Result<Limits, Reject> {
    let fields: Fields<'_> = field.object()?;
    limits(&fields).map_err(|reject| reject.within(field.name))
}

fn limits(fields: &Fields<'_>) -> Result<Limits, Reject> {
    let tokens = fields.tokens().optional(|field| limit(field, |bound| bound.count()))?;
    let cost = fields.cost_cents().optional(|field| limit(field, |bound| Ok(bound.cents()?.0)))?;
    if tokens.is_none() && cost.is_none() {
        let detail = "tokens is missing or null, and so is costCents; one of them is required, add it";
        return Err(Reject::new(Reason::MissingField, detail));
    }
    Ok(Limits {
        tokens: tokens.unwrap_or_default(),
        cost: cost.unwrap_or_default(),
        grace_ms: fields.grace_seconds().optional(grace_ms)?,
        thresholds: fields.thresholds().optional(thresholds)?.unwrap_or_else(|| THRESHOLDS.to_vec()),
    })
}

/// Each at least 1 of its unit, and soft no more than hard.
fn limit(field: Field<'_>, read: fn(Field<'_>) -> Result<i64, Reject>) -> Result<Limit, Reject> {
    let fields: Fields<'_> = field.object()?;
    let bound = |of: Field<'_>| {
        let bound = if of.is_there() { Some(read(of)?) } else { None };
        // A limit of nothing is a typing error more often than a will, and no percentage is of it.
        if bound == Some(0) { Err(of.invalid("is 0; send a limit above that, or none")) } else { Ok(bound) }
    };
    let both = || Ok(Limit { soft: bound(fields.soft())?, hard: bound(fields.hard())? });
    match both().map_err(|reject: Reject| reject.within(field.name))? {
        Limit { soft: None, hard: None } => {
            let detail = "soft is missing or null, and so is hard; one of them is required, add it";
            Err(Reject::new(Reason::MissingField, detail).within(field.name))
        }
        Limit { soft: Some(soft), hard: Some(hard) } if soft > hard => {
            Err(field.invalid("has a soft limit above its hard one; send soft up to hard"))
        }
        limit => Ok(limit),
    }
}

fn grace_ms(field: Field<'_>) -> Result<i64, Reject> {
    match field.count()? {
        seconds @ 0..=MAX_GRACE_SECONDS => Ok(seconds * 1000),
        more => {
            Err(field.invalid(&format!("is {more}; send seconds, at most {MAX_GRACE_SECONDS}, which are 366 days")))
        }
    }
}

/// Percents in ascending order, each once.
fn thresholds(field: Field<'_>) -> Result<Vec<u16>, Reject> {
    let all = field.array()?;
    if all.len() > MAX_THRESHOLDS {
        return Err(field.invalid(&format!("has {} percents; send at most {MAX_THRESHOLDS}", all.len())));
    }
    let percent = |json: &&RawValue| {
        let percent = count(json.get()).ok().and_then(|percent| u16::try_from(percent).ok());
        let percent = percent.filter(|percent| (1..=MAX_PERCENT).contains(percent));
        percent.ok_or_else(|| {
            let what = quote(json.get());
            field.invalid(&format!("holds {what}; send percents, each a whole number from 1 to {MAX_PERCENT}"))
        })
    };
    let mut percents = all.iter().map(percent).collect::<Result<Vec<_>, _>>()?;
    percents.sort_unstable();
    percents.dedup();
    Ok(percents)
}
