//! Whether a user may use more tokens now: the tenant's quota and the user's together.

use crate::domain::calendar::TimeMs;
use crate::domain::quota::Metric;

use super::assess::{Assessment, State};
use super::words::amount;

/// What a service is told before it calls a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    pub allowed: bool,
    /// The worse of the tenant's and the user's.
    pub state: State,
    /// For a person: which limit decides and what comes next.
    pub reason: String,
    /// How many tokens more would be allowed; none where no limit on tokens blocks, 0 while anything blocks.
    pub remaining_tokens: Option<i64>,
    /// When a refused request may be allowed; none where it is allowed, and where it asks for more than a whole month
    /// allows and nothing is known to change that.
    pub retry_at: Option<TimeMs>,
}

impl Gate {
    /// Decides about `tokens` more, 0 or more. None at all are allowed as long as nothing blocks, which is just when
    /// one would be: a blocked limit has no room for it. A limit on cost blocks once it is reached, since nobody knows
    /// yet what the tokens will cost.
    pub fn of(tenant: &Assessment, user: &Assessment, tokens: i64) -> Self {
        let both = [tenant, user];
        let state = tenant.state().max(user.state());
        let remaining_tokens = both.into_iter().filter_map(remaining).min();
        let refusing = both.into_iter().filter(|quota| refuses(quota, tokens));
        // Both must have room again: the later one decides.
        match refusing.max_by_key(|quota| retry(quota, tokens).unwrap_or(TimeMs(i64::MAX))) {
            None => {
                let worse = if tenant.state() > user.state() { tenant } else { user };
                Self { allowed: true, state, reason: worse.reason(), remaining_tokens, retry_at: None }
            }
            Some(quota) => {
                let (reason, retry_at) = (refusal(quota, tokens), retry(quota, tokens));
                Self { allowed: false, state, reason, remaining_tokens, retry_at }
            }
        }
    }
}

/// What the quota has room for. A soft limit that is not tolerated any more has blocked already.
fn remaining(quota: &Assessment) -> Option<i64> {
    if quota.state() == State::Blocked {
        return Some(0);
    }
    // Both are 0 or more.
    quota.tokens.limit.hard.map(|hard| hard - quota.tokens.used)
}

fn refuses(quota: &Assessment, tokens: i64) -> bool {
    quota.state() == State::Blocked || remaining(quota).is_some_and(|remaining| tokens > remaining)
}

fn is_beyond_a_month(quota: &Assessment, tokens: i64) -> bool {
    quota.tokens.limit.hard.is_some_and(|hard| tokens > hard)
}

fn retry(quota: &Assessment, tokens: i64) -> Option<TimeMs> {
    if is_beyond_a_month(quota, tokens) { quota.changes } else { Some(quota.turns()) }
}

fn refusal(quota: &Assessment, tokens: i64) -> String {
    let (asked, whose) = (amount(Metric::Tokens, tokens), quota.subject.as_str());
    match (quota.tokens.limit.hard, remaining(quota)) {
        (Some(hard), _) if is_beyond_a_month(quota, tokens) => {
            let hard = amount(Metric::Tokens, hard);
            format!("{asked} are more than the {whose}'s hard limit for a whole month, {hard}")
        }
        (Some(hard), Some(left)) if quota.state() != State::Blocked => {
            let [hard, left] = [hard, left].map(|value| amount(Metric::Tokens, value));
            format!(
                "{asked} are more than the {left} left of the {whose}'s hard limit, {hard}; refused until {}",
                quota.next()
            )
        }
        _ => quota.reason(),
    }
}

#[cfg(test)]
#[path = "../../tests/unit/quota/gate.rs"]
mod tests;
