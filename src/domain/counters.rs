//! The sums: what one (assistant, model) used, and what a month holds.

use litemap::LiteMap;

use super::calendar::TimeMs;
use super::event::Usage;
#[cfg(doc)]
use super::ids::UserId;
use super::ids::{Assistant, Model, Tool};
use super::money::NanoDollars;
use super::quota::{Noticed, Spent};
use super::rated::Rated;

/// A sum that is not an i64 is refused, never wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sum does not fit a 64-bit integer")]
pub struct Overflow;

pub(crate) fn add(sum: &mut i64, more: i64) -> Result<(), Overflow> {
    *sum = sum.checked_add(more).ok_or(Overflow)?;
    Ok(())
}

/// Sums over requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub requests: i64,
    pub tokens_in: i64,
    pub tokens_out: i64,
    /// Of `tokens_in`.
    pub cached_tokens: i64,
    /// Of `tokens_out`.
    pub reasoning_tokens: i64,
    /// What providers take.
    pub cost: NanoDollars,
    /// What customers are charged: the cost with the markup.
    pub charge: NanoDollars,
    /// Requests whose cost nobody knows, and that add none.
    pub unpriced: i64,
    /// Sum of the latencies given, in milliseconds.
    pub latency_ms: i64,
    /// Requests that gave a latency.
    pub latency_count: i64,
}

impl Counters {
    /// The sums of one request.
    pub fn of(usage: &Usage, rated: &Rated) -> Self {
        Self {
            requests: 1,
            tokens_in: usage.tokens_in,
            tokens_out: usage.tokens_out,
            cached_tokens: usage.cached_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            cost: rated.cost,
            charge: rated.charge,
            unpriced: i64::from(rated.unpriced),
            latency_ms: usage.latency_ms.unwrap_or(0),
            latency_count: i64::from(usage.latency_ms.is_some()),
        }
    }

    /// # Errors
    /// [`Overflow`]; `self` is then of no use.
    pub fn add(&mut self, more: &Self) -> Result<(), Overflow> {
        add(&mut self.requests, more.requests)?;
        add(&mut self.tokens_in, more.tokens_in)?;
        add(&mut self.tokens_out, more.tokens_out)?;
        add(&mut self.cached_tokens, more.cached_tokens)?;
        add(&mut self.reasoning_tokens, more.reasoning_tokens)?;
        self.cost = self.cost.checked_add(more.cost)?;
        self.charge = self.charge.checked_add(more.charge)?;
        add(&mut self.unpriced, more.unpriced)?;
        add(&mut self.latency_ms, more.latency_ms)?;
        add(&mut self.latency_count, more.latency_count)
    }

    /// # Errors
    /// [`Overflow`]
    pub fn total_tokens(&self) -> Result<i64, Overflow> {
        self.tokens_in.checked_add(self.tokens_out).ok_or(Overflow)
    }

    /// Whole milliseconds, rounded down; none when no request gave a latency.
    pub fn average_latency_ms(&self) -> Option<i64> {
        self.latency_ms.checked_div(self.latency_count)
    }
}

/// What usage is grouped by within a month.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    pub assistant: Assistant,
    pub model: Model,
}

impl Group {
    /// Where usage is counted whose own group a month has no room for.
    pub fn other() -> Self {
        Self { assistant: Assistant::other(), model: Model::other() }
    }
}

/// How many names more a month takes. A producer that puts an id into a name must not fill the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub groups: usize,
    pub tools: usize,
}

impl Room {
    pub const UNLIMITED: Self = Self { groups: usize::MAX, tools: usize::MAX };
}

/// What was counted under another name than its own, for lack of room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    pub requests: i64,
    pub tool_calls: i64,
}

/// One month of one user or tenant. Totals and every breakdown are sums over the groups.
///
/// Sorted lists: mostly there is little in them, and there is one of these for every user that a batch counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MonthUsage {
    pub groups: LiteMap<Group, Counters>,
    pub tools: LiteMap<Tool, i64>,
}

impl MonthUsage {
    /// # Errors
    /// [`Overflow`]; `self` is then of no use.
    pub fn add(&mut self, more: &Self) -> Result<(), Overflow> {
        self.add_within(more, Room::UNLIMITED).map(drop)
    }

    /// Adds; what there is no room for goes to [`Group::other`] and [`Tool::other`]. Returns what went there.
    ///
    /// # Errors
    /// [`Overflow`]; `self` is then of no use.
    pub fn add_within(&mut self, more: &Self, room: Room) -> Result<Others, Overflow> {
        let mut others = Others::default();
        let most_groups = self.groups.len().saturating_add(room.groups);
        for (group, counters) in &more.groups {
            if let Some(sum) = self.groups.get_mut(group) {
                sum.add(counters)?;
            } else if self.groups.len() < most_groups {
                self.groups.insert(group.clone(), *counters);
            } else {
                add(&mut others.requests, counters.requests)?;
                self.groups.entry(Group::other()).or_default().add(counters)?;
            }
        }
        let most_tools = self.tools.len().saturating_add(room.tools);
        for (tool, calls) in &more.tools {
            if let Some(sum) = self.tools.get_mut(tool) {
                add(sum, *calls)?;
            } else if self.tools.len() < most_tools {
                self.tools.insert(tool.clone(), *calls);
            } else {
                add(&mut others.tool_calls, *calls)?;
                add(self.tools.entry(Tool::other()).or_default(), *calls)?;
            }
        }
        Ok(others)
    }

    /// # Errors
    /// [`Overflow`]
    pub fn total(&self) -> Result<Counters, Overflow> {
        let mut total = Counters::default();
        for counters in self.groups.values() {
            total.add(counters)?;
        }
        Ok(total)
    }
}

/// One day of one user or tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayUsage {
    pub requests: i64,
    pub tokens: i64,
    pub cost: NanoDollars,
    pub charge: NanoDollars,
}

impl DayUsage {
    /// # Errors
    /// [`Overflow`]; `self` is then of no use.
    pub fn add(&mut self, more: &Self) -> Result<(), Overflow> {
        add(&mut self.requests, more.requests)?;
        add(&mut self.tokens, more.tokens)?;
        self.cost = self.cost.checked_add(more.cost)?;
        self.charge = self.charge.checked_add(more.charge)?;
        Ok(())
    }
}

/// All that a month of one user or tenant holds, or that is added to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MonthSums {
    pub usage: MonthUsage,
    /// By day of the month, from 1.
    pub days: LiteMap<u32, DayUsage>,
    /// Of a tenant: requests of users for whom there is no room. They share the month of [`UserId::other`].
    pub crowd: i64,
    /// Of a tenant: the sum over its days, kept beside them because a flush reads only the days that it adds to. Of a
    /// user it is not kept: [`MonthSums::spent`] sums it up.
    pub total: Option<Spent>,
    /// The thresholds of a quota of which word has gone out, or is about to.
    pub noticed: Noticed,
}

/// What one request adds towards a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub spent: Spent,
    /// The event's own time.
    pub at: TimeMs,
}

/// What is added to a month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Added {
    pub sums: MonthSums,
    /// The same towards a limit, request by request in the order of the log.
    pub steps: Vec<Step>,
}

/// Requests of one model in a month whose own cost is not what the price table says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mismatch {
    pub requests: i64,
    /// What the events say, which is what is counted.
    pub given: NanoDollars,
    /// What the table says.
    pub expected: NanoDollars,
}

impl Mismatch {
    /// Adds, and stays at an i64's end rather than pass it: a table that expects absurd amounts must not keep a request
    /// from being counted, whose own cost is fine.
    pub fn add(&mut self, more: &Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.given = NanoDollars(self.given.0.saturating_add(more.given.0));
        self.expected = NanoDollars(self.expected.0.saturating_add(more.expected.0));
    }
}

impl MonthSums {
    /// # Errors
    /// [`Overflow`]; `self` is then of no use.
    pub fn add_within(&mut self, more: &Self, room: Room) -> Result<Others, Overflow> {
        for (day, usage) in &more.days {
            self.days.entry(*day).or_default().add(usage)?;
        }
        add(&mut self.crowd, more.crowd)?;
        if let Some(more) = more.total {
            self.total.get_or_insert_default().add(more)?;
        }
        self.noticed.extend(&more.noticed);
        self.usage.add_within(&more.usage, room)
    }

    /// What the days come to.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn spent(&self) -> Result<Spent, Overflow> {
        let mut spent = Spent::default();
        for day in self.days.values() {
            spent.add(Spent { tokens: day.tokens, cost: day.cost.0 })?;
        }
        Ok(spent)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/domain/counters.rs"]
mod tests;
