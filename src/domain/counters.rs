//! The sums: what one (assistant, model) used, and what a month holds.

use std::collections::BTreeMap;

use super::event::Usage;
use super::ids::{Assistant, Model, Tool};
use super::money::NanoDollars;

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
    pub cost: NanoDollars,
    /// Sum of the latencies given, in milliseconds.
    pub latency_ms: i64,
    /// Requests that gave a latency.
    pub latency_count: i64,
}

impl Counters {
    /// The sums of one request.
    pub fn of(usage: &Usage) -> Self {
        Self {
            requests: 1,
            tokens_in: usage.tokens_in,
            tokens_out: usage.tokens_out,
            cached_tokens: usage.cached_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            cost: usage.cost.unwrap_or_default(),
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

/// One month of one user or tenant. Totals and every breakdown are sums over the groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MonthUsage {
    pub groups: BTreeMap<Group, Counters>,
    pub tools: BTreeMap<Tool, i64>,
}

impl MonthUsage {
    /// # Errors
    /// [`Overflow`]; `self` is then of no use.
    pub fn add(&mut self, more: &Self) -> Result<(), Overflow> {
        for (group, counters) in &more.groups {
            self.groups.entry(group.clone()).or_default().add(counters)?;
        }
        for (tool, calls) in &more.tools {
            add(self.tools.entry(tool.clone()).or_default(), *calls)?;
        }
        Ok(())
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
}

impl DayUsage {
    /// # Errors
    /// [`Overflow`]; `self` is then of no use.
    pub fn add(&mut self, more: &Self) -> Result<(), Overflow> {
        add(&mut self.requests, more.requests)?;
        add(&mut self.tokens, more.tokens)?;
        self.cost = self.cost.checked_add(more.cost)?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "../../tests/unit/domain/counters.rs"]
mod tests;
