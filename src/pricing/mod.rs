//! What a request costs by the price table: decimals in, one rounding, nano-dollars out. Pure; knows `domain` alone.
//!
//! Reads no file, no clock and no environment, and logs nothing: the table's text comes in, and the same text, request
//! and instant give the same cost on any machine. No float: a price is an integer of 10⁻¹⁸ dollars, for a token or a
//! call. Read this file first, then `rate.rs` and `builtin.toml`, which says what may stand in a table.

mod decimal;
mod explain;
mod fault;
mod file;
mod pattern;
mod rate;
mod reader;
mod view;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use hashbrown::HashMap;

use crate::domain::ids::{Provider, Tool};

use self::pattern::Pattern;

pub use self::explain::Explanation;
pub use self::fault::Fault;
pub use self::view::{InForce, Price, RatesShown, Tier};

/// The text of the table that is built in.
pub const BUILTIN: &str = include_str!("builtin.toml");

/// Prices by provider, model and date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    source: Arc<str>,
    version: Arc<str>,
    markup: Percent,
    tolerance: Tolerance,
    /// In the order of the file.
    entries: Vec<Entry>,
    /// By the whole name of a model; of one name in the order of the file's providers.
    exact: HashMap<Box<str>, Vec<Series>>,
    /// The longest first, then in the order of the file's providers, then by their text.
    patterns: Vec<(Pattern, Series)>,
    /// Indexes of those that a name may match, by its first byte, in the same order.
    starting: HashMap<u8, Vec<usize>>,
    /// Those that begin with a star: any name may match them.
    floating: Vec<usize>,
}

/// All prices of one provider under one name or pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Series {
    provider: Provider,
    /// Indexes into [`Table::entries`], the latest first.
    versions: Vec<usize>,
}

/// A part of the file: what some models of a provider cost from an instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Where it begins in the file, from 1.
    line: usize,
    provider: Provider,
    /// Names and patterns, one at least.
    models: Vec<String>,
    /// None for always.
    from: Option<DateTime<Utc>>,
    rates: Rates,
    /// Lowest bound first.
    tiers: Vec<TierRates>,
    /// By name.
    tools: Vec<(Tool, i128)>,
    /// The table's own where there is none.
    markup: Option<Percent>,
}

/// Prices of tokens, each in 10⁻¹⁸ dollars a token, 0 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rates {
    input: i128,
    output: i128,
    cache_read: i128,
    cache_write: i128,
    reasoning: i128,
}

/// The prices of a whole request whose input is larger than a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TierRates {
    /// In tokens; a request of exactly so many is not in the tier.
    above: i64,
    rates: Rates,
}

/// In millionths of a per cent; -100 per cent or more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Percent(i128);

impl Percent {
    /// Of one per cent.
    const PLACES: u32 = 6;
    /// A hundred of them.
    const WHOLE: i128 = 100 * 10_i128.pow(Self::PLACES);
}

/// How far an event's own cost may lie from what the table says: by the larger of the two, and no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tolerance {
    percent: Percent,
    floor_nanos: i128,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { percent: Percent(10_i128.pow(Percent::PLACES)), floor_nanos: 1 }
    }
}

impl Table {
    /// The table that is built in.
    pub fn builtin() -> Self {
        // A test reads it by this same call: the empty table is never seen.
        Self::parse(BUILTIN).unwrap_or_default()
    }

    /// Reads a table.
    ///
    /// # Errors
    /// Every fault of the text, in the order of its lines.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        file::read(text)
    }

    /// Sixteen hexadecimal digits, from the text of the table alone.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// The text that the table was read from, every byte of it.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// The entry in force for a model at an instant, and the name or pattern it was found by.
    ///
    /// Of the provider, where one is given, else of any. A whole name goes before a pattern, a longer pattern before a
    /// shorter, then the file's order of providers. A name of which no entry is in force yet stands back.
    fn find(&self, provider: Option<&Provider>, model: &str, at: DateTime<Utc>) -> Option<(&Entry, &str)> {
        let in_force = |series: &Series| {
            if provider.is_some_and(|provider| *provider != series.provider) {
                return None;
            }
            let mut versions = series.versions.iter().filter_map(|index| self.entries.get(*index));
            versions.find(|entry| entry.from.is_none_or(|from| from <= at))
        };
        if let Some((name, all)) = self.exact.get_key_value(model)
            && let Some(entry) = all.iter().find_map(in_force)
        {
            return Some((entry, name));
        }
        let first = model.as_bytes().first();
        let indexes = first.and_then(|first| self.starting.get(first)).unwrap_or(&self.floating);
        let near = indexes.iter().filter_map(|index| self.patterns.get(*index));
        let mut matching = near.filter(|(pattern, _)| pattern.matches(model));
        matching.find_map(|(pattern, series)| Some((in_force(series)?, pattern.as_str())))
    }
}

#[cfg(test)]
#[path = "../../tests/unit/pricing/mod.rs"]
mod tests;
