//! Word that a threshold of a quota was passed: what it says, as it waits in a bucket's outbox to be sent.

use serde_json::json;

use crate::domain::calendar::Month;
use crate::domain::delta::Scope;
use crate::domain::ids::{TenantId, UserId};
use crate::domain::money::NanoDollars;
use crate::domain::quota::{Metric, Threshold};
use crate::quota::passing::Passing;

use super::cells::read_threshold;
use super::keys::{decode, encode};

/// One notice. Whatever worker makes it, it is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub scope: Scope,
    pub month: Month,
    pub passing: Passing,
}

impl Notice {
    /// The CloudEvent's id: `tenant:user:month:metric:threshold`, the user empty for the tenant as a whole.
    pub fn id(&self) -> String {
        let Scope { tenant, user } = &self.scope;
        let user = user.as_ref().map(|user| encode(user.as_str())).unwrap_or_default();
        let Passing { metric, threshold, .. } = &self.passing;
        format!("{}:{user}:{}:{}:{threshold}", encode(tenant.as_str()), self.month, metric.as_str())
    }

    /// The CloudEvent `ai.quota.notice.v1`, of which schemas/ has the description.
    pub fn to_json(&self, source: &str) -> String {
        let Self { scope: Scope { tenant, user }, month, passing } = self;
        let Passing { metric, threshold, also, limit, used, at, plan } = passing;
        let amount = |amount: i64| match metric {
            Metric::Tokens => json!(amount),
            // Exact decimal text: a JSON number would pass through a float in too many readers.
            Metric::Cost => json!(NanoDollars(amount).to_cents()),
        };
        let (limit_name, used_name) = match metric {
            Metric::Tokens => ("limitTokens", "usedTokens"),
            Metric::Cost => ("limitCents", "usedCents"),
        };
        let mut data = json!({
            "tenantId": tenant.as_str(),
            "month": month.to_string(),
            "metric": metric.as_str(),
            "threshold": threshold.to_string(),
            "alsoPassed": also.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "percent": i64::try_from(i128::from(*used) * 100 / i128::from((*limit).max(1))).unwrap_or(i64::MAX),
        });
        data[limit_name] = amount(*limit);
        data[used_name] = amount(*used);
        if let Some(user) = user {
            data["userId"] = json!(user.as_str());
        }
        if let Some(plan) = plan {
            data["plan"] = json!(plan.as_str());
        }
        let time = at.to_rfc3339();
        let event = json!({
            "specversion": "1.0", "type": "ai.quota.notice.v1", "source": source, "id": self.id(), "time": time,
            "datacontenttype": "application/json", "data": data,
        });
        event.to_string()
    }
}

/// The Kafka key of a notice by its id: `tenant:user`, as events of the user have it; the user empty for the tenant as
/// a whole. None where the id is none of ours.
pub(super) fn key_of(id: &str) -> Option<String> {
    let mut parts = id.split(':').map(decode);
    Some(format!("{}:{}", parts.next()??, parts.next()??))
}

/// What a notice's id says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeId {
    pub scope: Scope,
    pub month: Month,
    pub metric: Metric,
    pub threshold: Threshold,
}

impl NoticeId {
    /// None where it is not as [`Notice::id`] writes it.
    pub fn read(id: &str) -> Option<Self> {
        let mut parts = id.splitn(4, ':');
        let mut next = || parts.next();
        let (tenant, user) = (decode(next()?)?, decode(next()?)?);
        let user = if user.is_empty() { None } else { Some(UserId::new(&user).ok()?) };
        let (month, (metric, threshold)) = (next()?.parse().ok()?, read_threshold(next()?)?);
        Some(Self { scope: Scope { tenant: TenantId::new(&tenant).ok()?, user }, month, metric, threshold })
    }
}

#[cfg(test)]
#[path = "../../tests/unit/store/notice.rs"]
mod tests;
