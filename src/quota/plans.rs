//! The plans, and which limits hold for a user or tenant at an instant.

use std::collections::BTreeMap;

use crate::domain::calendar::TimeMs;
use crate::domain::ids::PlanName;
use crate::domain::quota::{Assignment, Assignments, Grant, Limit, Limits};

/// What a plan gives a tenant as a whole, and each of its users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub user: Limits,
    pub tenant: Limits,
}

/// All plans, and what holds where nothing is assigned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plans {
    pub by_name: BTreeMap<PlanName, Plan>,
    /// The plan of those to whom none is assigned; a plan of `by_name`, or one without a name.
    pub default: (Option<PlanName>, Plan),
}

/// Limits that hold at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce<'a> {
    pub limits: &'a Limits,
    /// The plan that says so; none where limits were given one by one, or by the settings.
    pub plan: Option<&'a PlanName>,
    /// From when they hold by an assignment, be it one that gave an earlier one back; none where nothing is assigned.
    pub since: Option<TimeMs>,
    /// The next instant at which an assignment may change them.
    pub until: Option<TimeMs>,
}

/// An assignment names a plan that is not in the plan file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan {0:?} was assigned and is not in the plan file; add it there, or assign another one")]
pub struct UnknownPlan(pub String);

impl Plans {
    /// No plan but for a soft limit of a user's tokens.
    pub fn of_tokens(soft: i64) -> Self {
        let tokens = Limit { soft: Some(soft), hard: None };
        let user = Limits { tokens, ..Limits::default() };
        Self { by_name: BTreeMap::new(), default: (None, Plan { user, tenant: Limits::default() }) }
    }

    /// The limits of a tenant as a whole.
    ///
    /// # Errors
    /// [`UnknownPlan`]
    pub fn of_tenant<'a>(&'a self, tenant: &'a Assignments, at: TimeMs) -> Result<InForce<'a>, UnknownPlan> {
        let found = tenant.at(at);
        let (limits, plan) = self.granted(found, |plan| &plan.tenant)?;
        Ok(InForce { limits, plan, since: found.map(|found| found.effective), until: next(tenant, at) })
    }

    /// The limits of a user: their own, else those that the tenant's plan has for each user.
    ///
    /// # Errors
    /// [`UnknownPlan`]
    pub fn of_user<'a>(
        &'a self,
        tenant: &'a Assignments,
        user: &'a Assignments,
        at: TimeMs,
    ) -> Result<InForce<'a>, UnknownPlan> {
        let (of_user, of_tenant) = (user.at(at), tenant.at(at));
        let own = of_user.filter(|own| own.grant != Grant::Inherit);
        // Limits that a tenant was given one by one are those of all its users together.
        let tenants = || of_tenant.filter(|found| matches!(found.grant, Grant::Plan(_)));
        let (limits, plan) = self.granted(own.or_else(tenants), |plan| &plan.user)?;
        // Without one of their own, a user's limits change with the tenant's assignment and by giving back their own.
        let deciding = own.map_or([of_user, of_tenant], |own| [Some(own), None]);
        let since = deciding.into_iter().flatten().map(|found| found.effective).max();
        let until = next(tenant, at).into_iter().chain(next(user, at)).min();
        Ok(InForce { limits, plan, since, until })
    }

    /// The limits of an assignment and the plan that says so; the default's where there is none.
    fn granted<'a>(
        &'a self,
        found: Option<&'a Assignment>,
        whose: impl Fn(&'a Plan) -> &'a Limits,
    ) -> Result<(&'a Limits, Option<&'a PlanName>), UnknownPlan> {
        match found.map(|found| &found.grant) {
            None | Some(Grant::Inherit) => Ok((whose(&self.default.1), self.default.0.as_ref())),
            Some(Grant::Limits(limits)) => Ok((limits, None)),
            Some(Grant::Plan(name)) => {
                let plan = self.by_name.get(name).ok_or_else(|| UnknownPlan(name.to_string()))?;
                Ok((whose(plan), Some(name)))
            }
        }
    }
}

fn next(assignments: &Assignments, at: TimeMs) -> Option<TimeMs> {
    assignments.iter().map(|assignment| assignment.effective).filter(|effective| *effective > at).min()
}
