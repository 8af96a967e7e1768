//! A month's usage held against the limits in force: how much is used, and what state that is.
//!
//! A function of what was counted, of the limits and of the instant asked about, and of nothing else: when a worker
//! counted what, and in which order, changes no answer.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::domain::calendar::{Month, TimeMs};
use crate::domain::counters::Overflow;
use crate::domain::quota::{Limit, Metric, Spent};

use super::passing::bound;
use super::plans::InForce;

const DAY_MS: i64 = 24 * 3_600_000;
/// In percent of [`Limit::base`]: where usage is near it, if no threshold below 100 says otherwise.
const NEAR: u16 = 90;

/// How a quota stands, the worse the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Within,
    /// At or above the highest warning threshold below 100 %.
    Near,
    /// The soft limit is reached, and nothing comes of it before the hard one is.
    SoftExceeded,
    /// The soft limit is reached, and tolerated for a while.
    Grace,
    /// The hard limit is reached, or the grace is over.
    Blocked,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::Near => "near",
            Self::SoftExceeded => "soft_exceeded",
            Self::Grace => "grace",
            Self::Blocked => "blocked",
        }
    }
}

/// Whose quota it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Tenant,
    User,
}

/// One metric of a month held against its limit. Amounts are in the metric's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub metric: Metric,
    pub limit: Limit,
    /// 0 or more.
    pub used: i64,
    pub state: State,
    /// Until when the reached soft limit is tolerated, or was: at most to the month's end.
    pub grace_until: Option<TimeMs>,
}

impl Held {
    /// Of [`Limit::base`], rounded down, 0 to 100; 0 where nothing limits the metric.
    pub fn percent(&self) -> u8 {
        percent(self.used, self.limit.base())
    }

    /// Exactly how much of [`Limit::base`] is used, as a numerator and a denominator; none where nothing limits it.
    pub fn ratio(&self) -> Option<(i64, i64)> {
        self.limit.base().map(|limit| (self.used, limit))
    }

    /// The worse state, or else the larger part of the limit.
    fn compare(&self, other: &Self) -> Ordering {
        let parts = || match (self.ratio(), other.ratio()) {
            (Some((a, of_a)), Some((b, of_b))) => {
                (i128::from(a) * i128::from(of_b)).cmp(&(i128::from(b) * i128::from(of_a)))
            }
            (ours, others) => ours.is_some().cmp(&others.is_some()),
        };
        self.state.cmp(&other.state).then_with(parts)
    }
}

/// How a user's or tenant's quota of a month stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessment {
    pub subject: Subject,
    pub tokens: Held,
    pub cost: Held,
    /// When usage begins at 0 again.
    pub month_end: TimeMs,
    /// When an assignment next takes effect, be it in the month or later.
    pub changes: Option<TimeMs>,
}

impl Assessment {
    /// The metric that decides: that of the worse state, or else the one of whose limit more is used.
    pub fn worst(&self) -> &Held {
        if self.cost.compare(&self.tokens) == Ordering::Greater { &self.cost } else { &self.tokens }
    }

    pub fn state(&self) -> State {
        self.worst().state
    }

    /// The first instant at which the state may get better by itself.
    pub fn turns(&self) -> TimeMs {
        self.changes.map_or(self.month_end, |changes| changes.min(self.month_end))
    }
}

/// min(100, floor(used / limit * 100)), 0 to 100; 0 without a limit. `used` is 0 or more.
pub fn percent(used: i64, limit: Option<i64>) -> u8 {
    // i128: a hundred times an i64 does not fit an i64.
    let percent = limit.map_or(0, |limit| i128::from(used) * 100 / i128::from(limit.max(1)));
    percent.clamp(0, 100) as u8
}

/// What an answer about a month is about: `now`, or else the instant of the month that is next to it. So a month that
/// is over is shown as it ended.
pub fn instant(month: Month, now: TimeMs) -> TimeMs {
    now.clamp(start(month), TimeMs(start(month.next()).0 - 1))
}

/// `days` are those of the month, from 1; `force` is what is in force at `at`, an instant of the month.
///
/// # Errors
/// [`Overflow`], when the month's sum is not an i64.
pub fn assess(
    subject: Subject,
    force: &InForce<'_>,
    days: &BTreeMap<u32, Spent>,
    month: Month,
    at: TimeMs,
) -> Result<Assessment, Overflow> {
    let mut spent = Spent::default();
    // The day on which each soft limit was reached.
    let mut reached = Metric::ALL.map(|_| None);
    for (day, more) in days {
        spent.add(*more)?;
        for metric in Metric::ALL {
            let is_reached = force.limits.of(metric).soft.is_some_and(|soft| spent.of(metric) >= soft);
            reached[metric as usize] = reached[metric as usize].or(is_reached.then_some(*day));
        }
    }
    let month_end = start(month.next());
    let hold = |metric: Metric| {
        let (limit, used) = (force.limits.of(metric), spent.of(metric));
        let grace_until = reached[metric as usize].zip(force.limits.grace_ms).map(|(day, grace)| {
            let day_end = TimeMs(start(month).0 + i64::from(day) * DAY_MS);
            let from = force.since.map_or(day_end, |since| since.max(day_end));
            TimeMs(from.0.saturating_add(grace)).min(month_end)
        });
        let state = match (reached[metric as usize], grace_until) {
            _ if limit.hard.is_some_and(|hard| used >= hard) => State::Blocked,
            (Some(_), Some(until)) => {
                if at < until {
                    State::Grace
                } else {
                    State::Blocked
                }
            }
            (Some(_), None) => State::SoftExceeded,
            (None, _) if near(force, limit).is_some_and(|near| used >= near) => State::Near,
            (None, _) => State::Within,
        };
        Held { metric, limit, used, state, grace_until }
    };
    let (tokens, cost) = (hold(Metric::Tokens), hold(Metric::Cost));
    Ok(Assessment { subject, tokens, cost, month_end, changes: force.until })
}

/// From where on usage is near its limit.
fn near(force: &InForce<'_>, limit: Limit) -> Option<i64> {
    let below = force.limits.thresholds.iter().copied().filter(|percent| *percent < 100);
    bound(limit.base()?, below.max().unwrap_or(NEAR))
}

fn start(month: Month) -> TimeMs {
    TimeMs::of(month.start())
}

#[cfg(test)]
#[path = "../../tests/unit/quota/assess.rs"]
mod tests;
