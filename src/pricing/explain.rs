//! One request, told as one would work it out on paper.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::rate::{self, Item, Part};
use super::view::{dollars, per_million};
use super::{Percent, Table, decimal};
use crate::domain::counters::Overflow;
use crate::domain::event::Usage;

/// What a request costs and why. Amounts are dollars, as exact decimal text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Of the table.
    pub version: String,
    /// The event's own time, by which the prices were chosen.
    pub at: String,
    pub model: String,
    /// None where the table has no price for the request.
    pub entry: Option<Used>,
    /// What the tokens and calls cost by the table, one by one; empty without an entry.
    pub lines: Vec<Line>,
    /// The sum of the lines before it is rounded.
    pub exact: Option<String>,
    /// The same, rounded half to even to a nano-dollar; none also where it is more than an amount can hold.
    pub expected: Option<String>,
    /// What the event says that it costs.
    pub given: Option<String>,
    /// Whether that lies beyond the tolerance from what the table says.
    pub mismatch: bool,
    /// Neither the event nor the table says what it costs.
    pub unpriced: bool,
    /// What is counted as the provider's cost.
    pub cost: String,
    /// Per cent.
    pub markup_percent: String,
    /// What is charged before it is rounded.
    pub exact_charge: String,
    /// What is counted as the charge.
    pub charge: String,
}

/// The entry of the table that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Used {
    pub provider: String,
    /// The name or pattern that the model was found by.
    pub model: String,
    /// None for always.
    pub from: Option<String>,
    /// The tokens above which the tier's prices hold; none where the request is in no tier.
    pub tier_above: Option<i64>,
    /// Where the entry begins in the table's text, from 1.
    pub line: usize,
}

/// Some of a request that has one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// `input`, `cache_read`, `cache_write`, `output`, `reasoning`, or `tool` and its name.
    pub what: String,
    pub count: i64,
    pub price: String,
    /// `million tokens` or `call`.
    pub per: &'static str,
    pub amount: String,
}

impl Line {
    fn of(part: &Part<'_>) -> Result<Self, Overflow> {
        let (what, per, price) = match part.of {
            Item::Input => ("input".to_owned(), "million tokens", per_million(part.price)),
            Item::CacheRead => ("cache_read".to_owned(), "million tokens", per_million(part.price)),
            Item::CacheWrite => ("cache_write".to_owned(), "million tokens", per_million(part.price)),
            Item::Output => ("output".to_owned(), "million tokens", per_million(part.price)),
            Item::Reasoning => ("reasoning".to_owned(), "million tokens", per_million(part.price)),
            Item::Tool(name) => (format!("tool {name}"), "call", dollars(part.price)),
        };
        Ok(Self { what, count: part.count, price, per, amount: dollars(part.amount()?) })
    }
}

impl Table {
    /// Why [`Table::rate`] says what it says.
    ///
    /// # Errors
    /// [`Overflow`], as there.
    pub fn explain(&self, usage: &Usage, at: DateTime<Utc>) -> Result<Explanation, Overflow> {
        let rated = self.rate(usage, at)?;
        let found = self.find(usage.provider.as_ref(), usage.model.as_str(), at);
        let markup = found.and_then(|(entry, _)| entry.markup).unwrap_or(self.markup);
        let parts: Vec<_> = found.iter().flat_map(|(entry, _)| entry.parts(usage)).filter(|p| p.count != 0).collect();
        // Where the event has its own cost, the table's may be too large: then it is not told.
        let lines = parts.iter().map(Line::of).collect::<Result<_, _>>().unwrap_or_default();
        let exact = found.and_then(|_| rate::sum(parts).ok());
        let expected = exact.and_then(|units| rate::to_nanos(units).ok());
        let charged = usage.cost.map(rate::to_units).or(exact).unwrap_or(0);
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let entry = found.map(|(entry, model)| Used {
            provider: entry.provider.to_string(),
            model: model.to_owned(),
            from: entry.from.map(time),
            tier_above: entry.rates(usage.tokens_in).1,
            line: entry.line,
        });
        Ok(Explanation {
            version: self.version.to_string(),
            at: time(at),
            model: usage.model.to_string(),
            entry,
            lines,
            exact: exact.map(dollars),
            expected: expected.map(|nanos| nanos.to_dollars()),
            given: usage.cost.map(|nanos| nanos.to_dollars()),
            mismatch: rated.mismatch.is_some(),
            unpriced: rated.unpriced,
            cost: rated.cost.to_dollars(),
            markup_percent: markup.show(),
            exact_charge: decimal::show(rate::marked_up(charged, markup)?, rate::PLACES + Percent::PLACES + 2),
            charge: rated.charge.to_dollars(),
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, at, model, .. } = self;
        writeln!(f, "{model} at {at}, by price table {version}")?;
        match &self.entry {
            None => writeln!(f, "entry     none of this model (and provider) is in force then")?,
            Some(Used { provider, model, from, tier_above, line }) => {
                let from = from.as_ref().map_or("always".to_owned(), |from| format!("from {from}"));
                let tier = tier_above.map_or("no tier".to_owned(), |above| format!("tier above {above} tokens"));
                writeln!(f, "entry     {provider} {model}, {from}, {tier} (line {line} of the table)")?;
            }
        }
        for Line { what, count, price, per, amount } in &self.lines {
            writeln!(f, "  {what:<16} {count:>14} x ${price} a {per} = ${amount}")?;
        }
        if let Some(exact) = &self.exact {
            let expected = self.expected.as_ref().map_or("more than an amount can hold".into(), |e| format!("${e}"));
            writeln!(f, "sum       ${exact} exactly; to the nano-dollar, half to even: {expected}")?;
        }
        if let Some(given) = &self.given {
            let verdict = match (&self.expected, self.mismatch) {
                (None, _) => "not compared",
                (_, true) => "beyond the tolerance from the table: a mismatch",
                (_, false) => "within the tolerance of the table",
            };
            writeln!(f, "given     ${given} by the event itself, which counts; {verdict}")?;
        }
        let unpriced = if self.unpriced { " (unpriced: neither the event nor the table says)" } else { "" };
        writeln!(f, "cost      ${}{unpriced}", self.cost)?;
        writeln!(f, "charge    ${} with {} % on top (${} exactly)", self.charge, self.markup_percent, self.exact_charge)
    }
}
