//! What a user or tenant may use in a month: limits, who was given which, and which warnings have gone out.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use super::calendar::TimeMs;
use super::counters::{Overflow, add};
use super::ids::{EventId, PlanName, Source};

/// What a limit is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Tokens in and out together.
    Tokens,
    /// What the provider takes, in nano-dollars.
    Cost,
}

impl Metric {
    pub const ALL: [Self; 2] = [Self::Tokens, Self::Cost];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Cost => "cost",
        }
    }
}

/// A limit on one metric for a month, in its unit; each at least 1 where it is there, and soft no more than hard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit {
    /// From here on warned of, and refused once the grace is over.
    pub soft: Option<i64>,
    /// From here on refused.
    pub hard: Option<i64>,
}

impl Limit {
    /// What percentages are of: the soft limit, or the hard one where there is no soft one.
    pub fn base(self) -> Option<i64> {
        self.soft.or(self.hard)
    }
}

/// The most warning thresholds of one set of limits.
pub const MAX_THRESHOLDS: usize = 16;
/// The largest warning threshold, in percent.
pub const MAX_PERCENT: u16 = 1000;
/// Where limits name none: percent of [`Limit::base`].
pub const THRESHOLDS: [u16; 4] = [50, 80, 90, 100];

/// Limits of a calendar month in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub tokens: Limit,
    pub cost: Limit,
    /// How long a soft limit may be passed, in milliseconds, 0 or more; none for until the month's end.
    pub grace_ms: Option<i64>,
    /// Percents of [`Limit::base`] that are warned of, ascending, 1 to [`MAX_PERCENT`].
    pub thresholds: Vec<u16>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tokens: Limit::default(), cost: Limit::default(), grace_ms: None, thresholds: THRESHOLDS.to_vec() }
    }
}

impl Limits {
    pub fn of(&self, metric: Metric) -> Limit {
        match metric {
            Metric::Tokens => self.tokens,
            Metric::Cost => self.cost,
        }
    }
}

/// What an assignment gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// What a plan of that name says.
    Plan(PlanName),
    /// These, whatever any plan says.
    Limits(Limits),
    /// What would hold if nothing had been assigned.
    Inherit,
}

/// A quota given to a user or tenant. Which of two holds does not depend on the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// From this instant on.
    pub effective: TimeMs,
    /// The event's own time: of two that are effective from the same instant, the later one holds.
    pub set_at: TimeMs,
    /// The event's name.
    pub source: Source,
    pub id: EventId,
    pub grant: Grant,
}

impl Assignment {
    fn order(&self) -> (Reverse<TimeMs>, TimeMs, &str, &str) {
        (Reverse(self.effective), self.set_at, self.source.as_str(), self.id.as_str())
    }
}

/// What was assigned to one user or tenant, by the instant from which it holds, the latest first; one for an instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignments(Vec<Assignment>);

impl Assignments {
    /// So many are kept, those with the latest instants.
    pub const MOST: usize = 100;

    /// Adds one; in whatever order they are added, the outcome is the same.
    pub fn add(&mut self, new: Assignment) {
        let same = |known: &&mut Assignment| known.effective == new.effective;
        match self.0.iter_mut().find(same) {
            Some(known) if known.order() >= new.order() => return,
            Some(known) => *known = new,
            None => self.0.push(new),
        }
        self.0.sort_by_key(|assignment| Reverse(assignment.effective));
        self.0.truncate(Self::MOST);
    }

    /// The one in force at an instant.
    pub fn at(&self, time: TimeMs) -> Option<&Assignment> {
        self.0.iter().find(|assignment| assignment.effective <= time)
    }

    /// The latest instant first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Assignment> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Assignment> for Assignments {
    fn from_iter<I: IntoIterator<Item = Assignment>>(all: I) -> Self {
        let mut assignments = Self::default();
        all.into_iter().for_each(|assignment| assignments.add(assignment));
        assignments
    }
}

/// What a month has come to in the terms of limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    pub tokens: i64,
    /// In nano-dollars.
    pub cost: i64,
}

impl Spent {
    /// # Errors
    /// [`Overflow`]; `self` is then of no use.
    pub fn add(&mut self, more: Self) -> Result<(), Overflow> {
        add(&mut self.tokens, more.tokens)?;
        add(&mut self.cost, more.cost)
    }

    pub fn of(self, metric: Metric) -> i64 {
        match metric {
            Metric::Tokens => self.tokens,
            Metric::Cost => self.cost,
        }
    }
}

/// A point that usage can pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Threshold {
    /// Of [`Limit::base`].
    Percent(u16),
    /// The hard limit.
    Hard,
}

impl fmt::Display for Threshold {
    /// `80` or `hard`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}"),
            Self::Hard => f.write_str("hard"),
        }
    }
}

/// The thresholds of a month of which word has gone out.
pub type Noticed = BTreeSet<(Metric, Threshold)>;

#[cfg(test)]
#[path = "../../tests/unit/domain/quota.rs"]
mod tests;
