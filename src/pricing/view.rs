//! A table as it is at an instant, for whoever wants to see it: amounts as exact decimal text.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::decimal::show;
use super::{Entry, Percent, Rates, Table, Tolerance};

/// The part of a table that is in force at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce<'a> {
    pub version: &'a str,
    /// Per cent on top of a cost, where the price has no markup of its own.
    pub markup: String,
    /// Per cent.
    pub tolerance: String,
    /// Dollars.
    pub tolerance_floor: String,
    /// In the order of the file.
    pub prices: Vec<Price<'a>>,
}

/// What some models cost. Dollars a million tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price<'a> {
    pub provider: &'a str,
    /// Names, or patterns with `*`.
    pub models: BTreeSet<&'a str>,
    pub from: Option<DateTime<Utc>>,
    pub rates: RatesShown,
    /// Lowest bound first.
    pub tiers: Vec<Tier>,
    /// Dollars a call.
    pub tools: BTreeMap<&'a str, String>,
    /// Per cent; none where the table's own holds.
    pub markup: Option<String>,
}

/// What a whole request costs whose input is larger than a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// In tokens.
    pub above: i64,
    pub rates: RatesShown,
}

/// Dollars a million tokens; each of them, also those that fall back to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatesShown {
    pub input: String,
    pub output: String,
    pub cache_read: String,
    pub cache_write: String,
    pub reasoning: String,
}

/// 10⁻¹⁸ dollars a token are 10⁻¹² dollars a million.
pub(super) fn per_million(price: i128) -> String {
    show(price, 12)
}

/// Dollars.
pub(super) fn dollars(units: i128) -> String {
    show(units, super::rate::PLACES)
}

impl Percent {
    pub(super) fn show(self) -> String {
        show(self.0, Self::PLACES)
    }
}

impl RatesShown {
    fn of(rates: &Rates) -> Self {
        Self {
            input: per_million(rates.input),
            output: per_million(rates.output),
            cache_read: per_million(rates.cache_read),
            cache_write: per_million(rates.cache_write),
            reasoning: per_million(rates.reasoning),
        }
    }
}

impl Entry {
    fn view<'a>(&'a self, models: BTreeSet<&'a str>) -> Price<'a> {
        let tiers = self.tiers.iter().map(|tier| Tier { above: tier.above, rates: RatesShown::of(&tier.rates) });
        Price {
            provider: self.provider.as_str(),
            models,
            from: self.from,
            rates: RatesShown::of(&self.rates),
            tiers: tiers.collect(),
            tools: self.tools.iter().map(|(tool, price)| (tool.as_str(), dollars(*price))).collect(),
            markup: self.markup.map(Percent::show),
        }
    }
}

impl Table {
    /// What is in force at an instant.
    pub fn in_force(&self, at: DateTime<Utc>) -> InForce<'_> {
        let exact = self.exact.iter().flat_map(|(name, all)| all.iter().map(move |series| (&**name, series)));
        let patterns = self.patterns.iter().map(|(pattern, series)| (pattern.as_str(), series));
        let mut found: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        for (name, series) in exact.chain(patterns) {
            let is_in_force = |entry: &Entry| entry.from.is_none_or(|from| from <= at);
            let mut versions = series.versions.iter().copied();
            if let Some(index) = versions.find(|index| self.entries.get(*index).is_some_and(is_in_force)) {
                found.entry(index).or_default().insert(name);
            }
        }
        let prices = found.into_iter().filter_map(|(index, models)| Some(self.entries.get(index)?.view(models)));
        let Tolerance { percent, floor_nanos } = self.tolerance;
        InForce {
            version: &self.version,
            markup: self.markup.show(),
            tolerance: percent.show(),
            tolerance_floor: show(floor_nanos, 9),
            prices: prices.collect(),
        }
    }
}
