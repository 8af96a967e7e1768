//! Quotas that were assigned.

use crate::domain::delta::Scope;
use crate::domain::ids::TenantId;
use crate::domain::money::NanoDollars;
use crate::domain::quota::{Assignment, Assignments, Grant, Limits};
use crate::store::assigned;
use crate::store::keys::quota_scope;

use super::table::{Cell, Damaged, Explained};

const COLUMNS: [&str; 13] = [
    "user",
    "effectiveFrom",
    "setAt",
    "grant",
    "plan",
    "tokensSoft",
    "tokensHard",
    "costSoftDollars",
    "costHardDollars",
    "graceMs",
    "thresholdsPercent",
    "source",
    "event",
];

/// A row an assignment, those of the tenant as a whole without a user.
pub(super) fn quotas(tenant: &TenantId, fields: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    let mut rows = Vec::new();
    for (field, text) in fields {
        match read(tenant, field, text) {
            Ok((scope, assignments)) => rows.extend(assignments.iter().map(|assignment| row(&scope, assignment))),
            Err(damaged) => explained.damaged.push(damaged),
        }
    }
    explained.table("assignments", COLUMNS, rows);
    explained
}

fn read(tenant: &TenantId, field: &str, text: &str) -> Result<(Scope, Assignments), Damaged> {
    let scope = quota_scope(tenant, field).ok_or_else(|| Damaged::new(field, "is neither tenant nor user:USER"))?;
    Ok((scope, assigned::from_text(text).map_err(Damaged::by(field))?))
}

fn row(scope: &Scope, assignment: &Assignment) -> [Cell; 13] {
    let Assignment { effective, set_at, source, id, grant } = assignment;
    let (name, plan, limits) = match grant {
        Grant::Plan(plan) => ("plan", Cell::text(plan), None),
        Grant::Inherit => ("inherit", Cell::Nothing, None),
        Grant::Limits(limits) => ("limits", Cell::Nothing, Some(limits)),
    };
    let count = |of: fn(&Limits) -> Option<i64>| Cell::maybe(limits.and_then(of), Cell::Count);
    let dollars =
        |of: fn(&Limits) -> Option<i64>| Cell::maybe(limits.and_then(of), |cost| Cell::Dollars(NanoDollars(cost)));
    let percents =
        |limits: &Limits| Cell::Text(limits.thresholds.iter().map(u16::to_string).collect::<Vec<_>>().join(","));
    [
        Cell::maybe(scope.user.as_ref(), Cell::text),
        Cell::Time(*effective),
        Cell::Time(*set_at),
        Cell::text(name),
        plan,
        count(|limits| limits.tokens.soft),
        count(|limits| limits.tokens.hard),
        dollars(|limits| limits.cost.soft),
        dollars(|limits| limits.cost.hard),
        count(|limits| limits.grace_ms),
        Cell::maybe(limits, percents),
        Cell::text(source),
        Cell::text(id),
    ]
}
