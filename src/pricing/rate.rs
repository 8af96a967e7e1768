//! The arithmetic: parts of a request times their prices, summed up exactly, rounded once.
//!
//! Called for every request that is counted, so it allocates nothing.

use chrono::{DateTime, Utc};

use super::decimal::divide_half_even;
use super::{Entry, Percent, Rates, Table, Tolerance};
use crate::domain::counters::Overflow;
use crate::domain::event::Usage;
use crate::domain::money::NanoDollars;
use crate::domain::rated::Rated;

/// Dollars are summed in units of 10^-PLACES.
pub(super) const PLACES: u32 = 18;
/// Of those in a nano-dollar.
const UNITS_PER_NANO: i128 = 10_i128.pow(PLACES - 9);

/// Some of a request that has one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) of: Item<'a>,
    /// Tokens or calls.
    pub(super) count: i64,
    /// In 10⁻¹⁸ dollars for one.
    pub(super) price: i128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Input,
    CacheRead,
    CacheWrite,
    Output,
    Reasoning,
    Tool(&'a str),
}

impl Entry {
    /// The prices for an input of so many tokens, and the bound of their tier.
    pub(super) fn rates(&self, tokens_in: i64) -> (&Rates, Option<i64>) {
        let tier = self.tiers.iter().rev().find(|tier| tokens_in > tier.above);
        tier.map_or((&self.rates, None), |tier| (&tier.rates, Some(tier.above)))
    }

    /// Every token and call of a request once: cached and reasoning tokens are taken out of those they are "of".
    pub(super) fn parts<'a>(&'a self, usage: &'a Usage) -> impl Iterator<Item = Part<'a>> {
        let (rates, _) = self.rates(usage.tokens_in);
        // As decoded, the parts are never more than the whole.
        let plain_in = usage.tokens_in - usage.cached_tokens - usage.cache_write_tokens;
        let tokens = [
            Part { of: Item::Input, count: plain_in, price: rates.input },
            Part { of: Item::CacheRead, count: usage.cached_tokens, price: rates.cache_read },
            Part { of: Item::CacheWrite, count: usage.cache_write_tokens, price: rates.cache_write },
            Part { of: Item::Output, count: usage.tokens_out - usage.reasoning_tokens, price: rates.output },
            Part { of: Item::Reasoning, count: usage.reasoning_tokens, price: rates.reasoning },
        ];
        let tools = usage.tools.iter().map(|(tool, calls)| {
            let price = self.tools.iter().find(|(priced, _)| priced == tool).map_or(0, |(_, price)| *price);
            Part { of: Item::Tool(tool.as_str()), count: *calls, price }
        });
        tokens.into_iter().chain(tools)
    }
}

impl Part<'_> {
    /// In 10⁻¹⁸ dollars.
    pub(super) fn amount(&self) -> Result<i128, Overflow> {
        i128::from(self.count).checked_mul(self.price).ok_or(Overflow)
    }
}

/// The exact sum in 10⁻¹⁸ dollars. What is too large for an i128 is far too large for an amount.
pub(super) fn sum<'a>(parts: impl IntoIterator<Item = Part<'a>>) -> Result<i128, Overflow> {
    parts.into_iter().try_fold(0_i128, |sum, part| sum.checked_add(part.amount()?).ok_or(Overflow))
}

/// An exact sum as an amount.
pub(super) fn to_nanos(units: i128) -> Result<NanoDollars, Overflow> {
    amount(divide_half_even(units, UNITS_PER_NANO))
}

/// The exact sum with a markup, before it is rounded: in 10⁻¹⁸ dollars divided by [`Percent::WHOLE`].
pub(super) fn marked_up(units: i128, markup: Percent) -> Result<i128, Overflow> {
    units.checked_mul(Percent::WHOLE + markup.0).ok_or(Overflow)
}

/// What is charged for an exact sum: one rounding, of the unrounded sum.
pub(super) fn charge(units: i128, markup: Percent) -> Result<NanoDollars, Overflow> {
    if markup == Percent::default() {
        return to_nanos(units);
    }
    let scaled = marked_up(units, markup)?;
    amount(divide_half_even(scaled, UNITS_PER_NANO * Percent::WHOLE))
}

/// A cost that is an amount already as an exact sum.
pub(super) fn to_units(cost: NanoDollars) -> i128 {
    i128::from(cost.0) * UNITS_PER_NANO
}

fn amount(nanos: i128) -> Result<NanoDollars, Overflow> {
    i64::try_from(nanos).map(NanoDollars).map_err(|_| Overflow)
}

impl Tolerance {
    /// Whether a cost lies further from what the table says than it may.
    pub(super) fn is_beyond(&self, given: NanoDollars, expected: NanoDollars) -> bool {
        let (given, expected) = (i128::from(given.0), i128::from(expected.0));
        let apart = (given - expected).abs();
        // Both sides times a hundred per cent: nothing is rounded.
        apart > self.floor_nanos && apart * Percent::WHOLE > expected * self.percent.0
    }
}

impl Table {
    /// What a request at an instant costs, by the prices in force then.
    ///
    /// A request that says what it costs keeps that, and is held against the table where there is an entry for it;
    /// not where the table's cost is more than an amount can hold.
    ///
    /// # Errors
    /// [`Overflow`], when that is more than an amount can hold.
    pub fn rate(&self, usage: &Usage, at: DateTime<Utc>) -> Result<Rated, Overflow> {
        let found = self.find(usage.provider.as_ref(), usage.model.as_str(), at).map(|(entry, _)| entry);
        let markup = found.and_then(|entry| entry.markup).unwrap_or(self.markup);
        let expected = found.map(|entry| sum(entry.parts(usage)));
        if let Some(cost) = usage.cost {
            let expected = expected.and_then(|units| units.and_then(to_nanos).ok());
            let mismatch = expected.filter(|expected| self.tolerance.is_beyond(cost, *expected));
            return Ok(Rated { cost, charge: charge(to_units(cost), markup)?, unpriced: false, mismatch });
        }
        let Some(units) = expected.transpose()? else { return Ok(Rated::given(None)) };
        Ok(Rated { cost: to_nanos(units)?, charge: charge(units, markup)?, unpriced: false, mismatch: None })
    }
}
