//! Which thresholds a flush passes, worked out anew for every request: who has which limits, and all their bounds.

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::{Month, TimeMs};
use indelible::domain::counters::{Overflow, Step};
use indelible::domain::delta::Scope;
use indelible::domain::ids::PlanName;
use indelible::domain::quota::{Assignment, Assignments, Grant, Limits, Metric, Noticed, Spent, Threshold};
use indelible::quota::plans::Plans;
use indelible::store::assigned;
use indelible::store::keys::{encode, quota_field};
use serde_json::{Value, json};

use super::MemoryLedger;
use super::draft::Draft;

/// Whose month it is, and what it had come to.
pub(super) struct Watched<'a> {
    pub(super) scope: &'a Scope,
    pub(super) month: Month,
    pub(super) spent: Spent,
}

impl MemoryLedger {
    /// Adds to `noticed`, puts a notice into the outbox for each request that passes something, and says how many.
    pub(super) fn watch(
        &self,
        draft: &mut Draft<'_>,
        watched: Watched<'_>,
        steps: &[Step],
        noticed: &mut Noticed,
    ) -> Result<usize, Overflow> {
        let Some(plans) = &self.plans else { return Ok(0) };
        let Watched { scope, month, mut spent } = watched;
        let mut assigned = |user| {
            let quotas = draft.hash(&self.keyspace.quota(&scope.tenant));
            let text = quotas.get(&quota_field(user)).map(|text| assigned::from_text(text).expect("assignments"));
            text.unwrap_or_default()
        };
        let (tenant, user) = (assigned(None), scope.user.as_ref().map(|user| assigned(Some(user))));
        let outbox = self.keyspace.outbox(Bucket::of(&scope.tenant));
        let mut notices = 0;
        for step in steps {
            spent.add(step.spent)?;
            let Some((limits, plan)) = limits_at(plans, &tenant, user.as_ref(), step.at) else { continue };
            for metric in Metric::ALL {
                let reached = reached(limits, metric, spent.of(metric)).into_iter();
                let mut new: Vec<_> = reached.filter(|threshold| noticed.insert((metric, *threshold))).collect();
                let Some(highest) = new.pop() else { continue };
                let (tenant, of) = (encode(scope.tenant.as_str()), scope.user.as_ref());
                let of = of.map_or_else(String::new, |user| encode(user.as_str()).into_owned());
                let id = format!("{tenant}:{of}:{month}:{}:{highest}", metric.as_str());
                let data = data(scope, month, metric, (highest, &new), (limits, plan, spent.of(metric)));
                let notice = json!({
                    "specversion": "1.0",
                    "type": "ai.quota.notice.v1",
                    "source": format!("/indelible/{}", self.keyspace.namespace()),
                    "id": id,
                    "time": step.at.to_utc().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
                    "datacontenttype": "application/json",
                    "data": data,
                });
                draft.hash(&outbox).insert(id, notice.to_string());
                notices += 1;
            }
        }
        Ok(notices)
    }
}

fn data(
    scope: &Scope,
    month: Month,
    metric: Metric,
    (threshold, also): (Threshold, &[Threshold]),
    (limits, plan, used): (&Limits, Option<&PlanName>, i64),
) -> Value {
    let limit = limits.of(metric).soft.or(limits.of(metric).hard).expect("something was passed");
    let mut data = json!({
        "tenantId": scope.tenant.as_str(),
        "month": month.to_string(),
        "metric": metric.as_str(),
        "threshold": threshold.to_string(),
        "alsoPassed": also.iter().map(Threshold::to_string).collect::<Vec<_>>(),
        "percent": i64::try_from(i128::from(used) * 100 / i128::from(limit)).unwrap_or(i64::MAX),
    });
    let amounts = match metric {
        Metric::Tokens => [("limitTokens", json!(limit)), ("usedTokens", json!(used))],
        Metric::Cost => [("limitCents", json!(cents(limit))), ("usedCents", json!(cents(used)))],
    };
    amounts.into_iter().for_each(|(name, amount)| data[name] = amount);
    scope.user.iter().for_each(|user| data["userId"] = json!(user.as_str()));
    plan.iter().for_each(|plan| data["plan"] = json!(plan.as_str()));
    data
}

/// Ten million nano-dollars are a cent.
fn cents(nanos: i64) -> String {
    let text = format!("{}.{:07}", nanos / 10_000_000, nanos % 10_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The limits of a tenant, or of one of its users; none where a plan is assigned that nobody knows.
pub(crate) fn limits_at<'a>(
    plans: &'a Plans,
    tenant: &'a Assignments,
    user: Option<&'a Assignments>,
    at: TimeMs,
) -> Option<(&'a Limits, Option<&'a PlanName>)> {
    let latest = |all: &'a Assignments| -> Option<&'a Grant> {
        let held = all.iter().filter(|assignment| assignment.effective <= at);
        held.max_by_key(|assignment| assignment.effective).map(|Assignment { grant, .. }| grant)
    };
    let is_user = user.is_some();
    let own = latest(user.unwrap_or(tenant));
    let grant = match own {
        Some(Grant::Limits(limits)) => return Some((limits, None)),
        Some(Grant::Plan(_)) => own,
        _ if is_user => latest(tenant),
        _ => None,
    };
    let (name, plan) = match grant {
        Some(Grant::Plan(name)) => (Some(name), plans.by_name.get(name)?),
        _ => (plans.default.0.as_ref(), &plans.default.1),
    };
    Some((if is_user { &plan.user } else { &plan.tenant }, name))
}

/// All thresholds that so much usage reaches, the lowest first. Nothing is rounded: both sides are a hundredfold.
pub(crate) fn reached(limits: &Limits, metric: Metric, used: i64) -> Vec<Threshold> {
    let limit = limits.of(metric);
    let base = i128::from(limit.soft.or(limit.hard).unwrap_or(0));
    let percents = limits.thresholds.iter().filter(|_| base > 0);
    let percents = percents.map(|percent| (base * i128::from(*percent), Threshold::Percent(*percent)));
    let hard = limit.hard.map(|hard| (i128::from(hard) * 100, Threshold::Hard));
    let mut all: Vec<_> = percents.chain(hard).filter(|(bound, _)| i128::from(used) * 100 >= *bound).collect();
    all.sort();
    all.into_iter().map(|(_, threshold)| threshold).collect()
}
