//! Which limits hold for whom and when, how much of them is used, and which thresholds that passes. Pure: knows
//! `domain` alone. Read `plans.rs`, then `passing.rs`.

pub mod passing;
pub mod plans;

use crate::domain::quota::{Limits, Metric};

/// A month's usage held against its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessment {
    /// None when nothing limits tokens.
    pub limit_tokens: Option<i64>,
    pub used_tokens: i64,
    /// min(100, floor(used / limit * 100)), 0 to 100; 0 without a limit.
    pub percent: u8,
}

/// `used_tokens` is 0 or more.
pub fn assess(used_tokens: i64, limits: &Limits) -> Assessment {
    let limit_tokens = limits.of(Metric::Tokens).base();
    // i128: a hundred times an i64 does not fit an i64.
    let percent = limit_tokens.map_or(0, |limit| i128::from(used_tokens) * 100 / i128::from(limit.max(1)));
    Assessment { limit_tokens, used_tokens, percent: percent.clamp(0, 100) as u8 }
}

#[cfg(test)]
#[path = "../../tests/unit/quota/mod.rs"]
mod tests;
