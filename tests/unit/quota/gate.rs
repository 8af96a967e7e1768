use std::collections::BTreeMap;

use super::*;
use crate::domain::calendar::Month;
use crate::domain::quota::{Limit, Limits, Spent};
use crate::quota::assess::{Subject, assess, instant};
use crate::quota::plans::InForce;

const NOW: &str = "2026-11-24T18:00:00Z";
const MONTH_END: &str = "2026-12-01T00:00:00Z";

fn time(text: &str) -> TimeMs {
    TimeMs::of(text.parse().expect("a time"))
}

/// Limits on tokens and on nano-dollars, and what was used of each in the month's first days.
#[derive(Clone, Copy, Default)]
struct Of {
    tokens: Limit,
    cost: Limit,
    grace_ms: Option<i64>,
    used: i64,
    spent: i64,
    changes: Option<&'static str>,
}

impl Of {
    fn assess(self, subject: Subject) -> Assessment {
        let Self { tokens, cost, grace_ms, used, spent, changes } = self;
        let limits = Limits { tokens, cost, grace_ms, ..Limits::default() };
        let force = InForce { limits: &limits, plan: None, since: None, until: changes.map(time) };
        let days = BTreeMap::from([(1, Spent { tokens: used, cost: spent })]);
        let month = Month::of(time(NOW).to_utc());
        assess(subject, &force, &days, month, instant(month, time(NOW))).expect("small sums")
    }
}

fn hard(hard: i64) -> Limit {
    Limit { soft: None, hard: Some(hard) }
}

fn soft(soft: i64) -> Limit {
    Limit { soft: Some(soft), hard: None }
}

#[track_caller]
fn check(tenant: Of, user: Of, tokens: i64, allowed: bool, remaining: Option<i64>, retry_at: Option<&str>) -> String {
    let gate = Gate::of(&tenant.assess(Subject::Tenant), &user.assess(Subject::User), tokens);
    assert_eq!(
        (gate.allowed, gate.remaining_tokens, gate.retry_at),
        (allowed, remaining, retry_at.map(time)),
        "{gate:?}"
    );
    gate.reason
}

const NOTHING: Of = Of {
    tokens: Limit { soft: None, hard: None },
    cost: Limit { soft: None, hard: None },
    grace_ms: None,
    used: 0,
    spent: 0,
    changes: None,
};

#[test]
fn what_nothing_limits_is_allowed_however_much_it_is() {
    assert_eq!(check(NOTHING, NOTHING, i64::MAX, true, None, None), "nothing limits the user");
    let soft = Of { tokens: soft(10), used: i64::MAX, ..NOTHING };
    let reason = check(NOTHING, soft, i64::MAX, true, None, None);
    assert_eq!(
        reason,
        "the user has used 9,223,372,036,854,775,807 tokens, and the soft limit is 10 tokens; nothing is refused"
    );
}

#[test]
fn a_hard_limit_can_be_used_up_to_the_last_token() {
    let user = Of { tokens: hard(1000), used: 900, ..NOTHING };
    check(NOTHING, user, 0, true, Some(100), None);
    check(NOTHING, user, 100, true, Some(100), None);
    let reason = check(NOTHING, user, 101, false, Some(100), Some(MONTH_END));
    assert_eq!(
        reason,
        "101 tokens are more than the 100 tokens left of the user's hard limit, 1,000 tokens; refused until \
         2026-12-01T00:00:00Z, when usage begins at 0 again"
    );
    let full = Of { used: 1000, ..user };
    let reason = check(NOTHING, full, 0, false, Some(0), Some(MONTH_END));
    assert_eq!(
        reason,
        "the user has used 1,000 tokens, and the hard limit is 1,000 tokens; refused until 2026-12-01T00:00:00Z, \
         when usage begins at 0 again"
    );
    check(NOTHING, full, 1, false, Some(0), Some(MONTH_END));
}

#[test]
fn more_than_a_whole_month_allows_is_never_worth_a_retry() {
    let user = Of { tokens: hard(1000), used: 0, ..NOTHING };
    let reason = check(NOTHING, user, i64::MAX, false, Some(1000), None);
    assert!(reason.ends_with("are more than the user's hard limit for a whole month, 1,000 tokens"), "{reason}");
    let changes = "2026-12-24T00:00:00Z";
    check(NOTHING, Of { changes: Some(changes), ..user }, 1001, false, Some(1000), Some(changes));
}

#[test]
fn tenant_and_user_decide_together() {
    let tenant = Of { tokens: hard(5000), used: 4500, ..NOTHING };
    let user = Of { tokens: hard(1000), used: 100, ..NOTHING };
    check(tenant, user, 500, true, Some(500), None);
    let reason = check(tenant, user, 501, false, Some(500), Some(MONTH_END));
    assert!(reason.contains("the tenant's hard limit"), "{reason}");
    // Both must let it pass: the one that takes longer says until when.
    let soon = Of { used: 1000, changes: Some("2026-11-25T00:00:00Z"), ..user };
    let full = Of { used: 5000, ..tenant };
    check(tenant, soon, 1, false, Some(0), Some("2026-11-25T00:00:00Z"));
    let reason = check(full, soon, 1, false, Some(0), Some(MONTH_END));
    assert!(reason.starts_with("the tenant has used 5,000 tokens"), "{reason}");
    // What is known to change after the month's end is later than that.
    let later = Of { changes: Some("2026-12-01T00:00:00.001Z"), ..full };
    check(later, user, 1, false, Some(0), Some(MONTH_END));
}

#[test]
fn a_soft_limit_refuses_once_its_grace_is_over() {
    const DAY_MS: i64 = 24 * 3_600_000;
    let passed = Of { tokens: soft(1000), used: 1100, grace_ms: Some(24 * DAY_MS), ..NOTHING };
    let reason = check(NOTHING, passed, 1_000_000, true, None, None);
    assert_eq!(
        reason,
        "the user has used 1,100 tokens, and the soft limit is 1,000 tokens; that is tolerated until \
         2026-11-26T00:00:00Z, and then refused"
    );
    let over = Of { grace_ms: Some(22 * DAY_MS), ..passed };
    let reason = check(NOTHING, over, 0, false, Some(0), Some(MONTH_END));
    assert_eq!(
        reason,
        "the user has used 1,100 tokens, the soft limit is 1,000 tokens, and its grace ended at 2026-11-24T00:00:00Z; \
         refused until 2026-12-01T00:00:00Z, when usage begins at 0 again"
    );
    // Without a grace the hard limit alone refuses.
    let without = Of { tokens: Limit { soft: Some(1000), hard: Some(2000) }, grace_ms: None, ..passed };
    let reason = check(NOTHING, without, 900, true, Some(900), None);
    assert!(reason.ends_with("the soft limit is 1,000 tokens; 2,000 tokens will be refused"), "{reason}");
}

#[test]
fn a_limit_on_cost_refuses_once_it_is_reached() {
    let user = Of { cost: hard(25_500_000_000), spent: 25_499_999_999, ..NOTHING };
    let reason = check(NOTHING, user, i64::MAX, true, None, None);
    assert_eq!(reason, "the user has used $25.499999999 of $25.5: the hard limit is near");
    let tenant = Of { cost: hard(1_234_000_000_000), spent: 1_234_000_000_000, ..NOTHING };
    let reason = check(tenant, user, 0, false, Some(0), Some(MONTH_END));
    assert!(reason.starts_with("the tenant has used $1,234, and the hard limit is $1,234; refused until"), "{reason}");
}
