//! Which thresholds a run of requests passes, one after the other in the order of the log.

use crate::domain::calendar::TimeMs;
use crate::domain::counters::{Overflow, Step};
use crate::domain::ids::PlanName;
use crate::domain::quota::{Assignments, Limits, Metric, Noticed, Spent, Threshold};

use super::plans::{InForce, Plans, UnknownPlan};

/// One request that passed one or more thresholds of one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passing {
    pub metric: Metric,
    /// The highest.
    pub threshold: Threshold,
    /// The others that the same request passed, ascending.
    pub also: Vec<Threshold>,
    /// What percentages are of, in the unit of the metric.
    pub limit: i64,
    /// What the month had come to with the request.
    pub used: i64,
    /// The request's own time.
    pub at: TimeMs,
    pub plan: Option<PlanName>,
}

/// Whose requests they are.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    Tenant(&'a Assignments),
    User { tenant: &'a Assignments, user: &'a Assignments },
}

impl<'a> Whose<'a> {
    /// # Errors
    /// [`UnknownPlan`]
    pub fn in_force(self, plans: &'a Plans, at: TimeMs) -> Result<InForce<'a>, UnknownPlan> {
        match self {
            Self::Tenant(tenant) => plans.of_tenant(tenant, at),
            Self::User { tenant, user } => plans.of_user(tenant, user, at),
        }
    }
}

/// Thresholds that a run of requests passes and that are not in `noticed`, which they are added to.
///
/// The limits are those in force at each request's own time. Each threshold is passed once a month, whatever becomes of
/// the limits later. A plan that nobody knows has no limits that could be passed.
///
/// # Errors
/// [`Overflow`]
pub fn passed(
    plans: &Plans,
    whose: Whose<'_>,
    mut spent: Spent,
    steps: &[Step],
    noticed: &mut Noticed,
) -> Result<Vec<Passing>, Overflow> {
    let mut passings = Vec::new();
    let mut last: Option<Watch<'_>> = None;
    for step in steps {
        spent.add(step.spent)?;
        let watch = match last.take().filter(|last| last.holds_at(step.at)) {
            Some(last) => last,
            None => match whose.in_force(plans, step.at) {
                Ok(force) => Watch::of(force, step.at, noticed),
                Err(UnknownPlan(_)) => continue,
            },
        };
        let passing = |metric| watch.next(metric).is_some_and(|next| spent.of(metric) >= next);
        let reached = Metric::ALL.into_iter().filter(|metric| passing(*metric));
        let before = passings.len();
        passings.extend(reached.filter_map(|metric| watch.force.passing(metric, spent, step.at, noticed)));
        last = Some(if passings.len() > before { Watch::of(watch.force, watch.from, noticed) } else { watch });
    }
    Ok(passings)
}

/// Limits in force, and what is the next to be passed of each metric.
#[derive(Debug, Clone, Copy)]
struct Watch<'a> {
    force: InForce<'a>,
    /// They hold from here on; perhaps from earlier on, too.
    from: TimeMs,
    next: [Option<i64>; Metric::ALL.len()],
}

impl<'a> Watch<'a> {
    fn of(force: InForce<'a>, from: TimeMs, noticed: &Noticed) -> Self {
        let next = Metric::ALL.map(|metric| {
            let bounds = bounds(force.limits, metric);
            bounds.filter(|(threshold, _)| !noticed.contains(&(metric, *threshold))).map(|(_, bound)| bound).min()
        });
        Self { force, from, next }
    }

    fn holds_at(&self, time: TimeMs) -> bool {
        time >= self.from && self.force.until.is_none_or(|until| time < until)
    }

    fn next(&self, metric: Metric) -> Option<i64> {
        self.next[metric as usize]
    }
}

impl InForce<'_> {
    fn passing(&self, metric: Metric, spent: Spent, at: TimeMs, noticed: &mut Noticed) -> Option<Passing> {
        let used = spent.of(metric);
        let mut new: Vec<_> = bounds(self.limits, metric)
            .filter(|(threshold, bound)| used >= *bound && !noticed.contains(&(metric, *threshold)))
            .collect();
        new.sort_by_key(|(threshold, bound)| (*bound, *threshold));
        noticed.extend(new.iter().map(|(threshold, _)| (metric, *threshold)));
        let mut also: Vec<_> = new.into_iter().map(|(threshold, _)| threshold).collect();
        let threshold = also.pop()?;
        let limit = self.limits.of(metric).base()?;
        Some(Passing { metric, threshold, also, limit, used, at, plan: self.plan.cloned() })
    }
}

/// Every threshold with the least usage that reaches it.
fn bounds(limits: &Limits, metric: Metric) -> impl Iterator<Item = (Threshold, i64)> {
    let limit = limits.of(metric);
    let percents = limit.base().into_iter().flat_map(|base| {
        limits.thresholds.iter().filter_map(move |percent| Some((Threshold::Percent(*percent), bound(base, *percent)?)))
    });
    percents.chain(limit.hard.map(|hard| (Threshold::Hard, hard)))
}

/// The least usage that reaches a percentage, rounded up: what is below is not there yet. None beyond an i64.
pub(super) fn bound(base: i64, percent: u16) -> Option<i64> {
    i64::try_from((i128::from(base) * i128::from(percent) + 99) / 100).ok()
}

#[cfg(test)]
#[path = "../../tests/unit/quota/passing.rs"]
mod tests;
