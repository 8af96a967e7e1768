//! How much of a limit is used. Pure: sums and limits in, an assessment out. Knows `domain` alone.

/// Limits of a calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tokens a month, in and out together; at least 1.
    pub tokens: i64,
}

/// A month's usage held against its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessment {
    pub limit_tokens: i64,
    pub used_tokens: i64,
    /// min(100, floor(used / limit * 100)), 0 to 100.
    pub percent: u8,
}

/// `used_tokens` is 0 or more.
pub fn assess(used_tokens: i64, limits: Limits) -> Assessment {
    // i128: a hundred times an i64 does not fit an i64.
    let percent = i128::from(used_tokens) * 100 / i128::from(limits.tokens.max(1));
    Assessment { limit_tokens: limits.tokens, used_tokens, percent: percent.clamp(0, 100) as u8 }
}

#[cfg(test)]
#[path = "../../tests/unit/quota.rs"]
mod tests;
