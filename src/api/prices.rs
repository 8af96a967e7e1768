//! `GET /v1/prices` and `GET /v1/prices/mismatches`: what requests cost, and which events say otherwise.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::{IntoParams, ToSchema};

use crate::domain::calendar::Month;
use crate::domain::counters::Mismatch;
use crate::domain::ids::Model;
use crate::domain::money::NanoDollars;
use crate::pricing;

use super::answer::respond;
use super::{ApiState, Cost, MonthQuery, Others, Problem, Query, StoreFails};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PricesQuery {
    /// The instant whose prices are shown: RFC 3339, or a day for its first instant in UTC; now by default.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>, example = "2026-11-24T18:00:00Z")]
    at: Option<DateTime<Utc>>,
}

fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    // Nothing but an instant with its end left out is taken; chrono alone would take more.
    let mut read =
        ["", "T00:00:00Z"].iter().filter_map(|rest| DateTime::parse_from_rfc3339(&format!("{text}{rest}")).ok());
    let read = read.next().map(|time| time.to_utc()).filter(|time| (0..=9999).contains(&time.year()));
    let right = "is not an instant such as 2026-11-24T18:00:00Z or a day such as 2026-11-24";
    read.map(Some).ok_or_else(|| D::Error::custom(format_args!("{text:?} {right}")))
}

/// The prices in force at an instant. Amounts are US dollars, as exact decimal text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Prices {
    /// Of the price table: a hash of its text.
    version: String,
    /// Per cent on top of the cost, where a price has no markup of its own.
    #[schema(example = "20")]
    markup_percent: String,
    /// How far a cost that an event gives may lie from the table's, in per cent of it.
    #[schema(example = "1")]
    tolerance_percent: String,
    /// The same in dollars; the larger of the two decides.
    #[schema(example = "0.000000001")]
    tolerance_floor: String,
    /// In the order of the table.
    prices: Vec<Price>,
}

/// What some models cost.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Price {
    provider: String,
    /// Names, or patterns in which * stands for any text.
    models: BTreeSet<String>,
    /// Null where they always have.
    #[schema(required, format = DateTime)]
    from: Option<String>,
    #[serde(flatten)]
    rates: Rates,
    /// The lowest bound first. A tier's prices are those of the whole request.
    tiers: Vec<Tier>,
    /// Dollars a call.
    tools: BTreeMap<String, String>,
    /// Null where the table's own holds.
    #[schema(required)]
    markup_percent: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Tier {
    /// Of requests with more input tokens than this.
    above: i64,
    #[serde(flatten)]
    rates: Rates,
}

/// Dollars a million tokens.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Rates {
    #[schema(example = "3")]
    input: String,
    #[schema(example = "15")]
    output: String,
    cache_read: String,
    cache_write: String,
    reasoning: String,
}

impl From<pricing::RatesShown> for Rates {
    fn from(shown: pricing::RatesShown) -> Self {
        let pricing::RatesShown { input, output, cache_read, cache_write, reasoning } = shown;
        Self { input, output, cache_read, cache_write, reasoning }
    }
}

impl From<pricing::Price<'_>> for Price {
    fn from(price: pricing::Price<'_>) -> Self {
        let tier = |tier: pricing::Tier| Tier { above: tier.above, rates: tier.rates.into() };
        Self {
            provider: price.provider.to_owned(),
            models: price.models.into_iter().map(str::to_owned).collect(),
            from: price.from.map(|from| from.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            rates: price.rates.into(),
            tiers: price.tiers.into_iter().map(tier).collect(),
            tools: price.tools.into_iter().map(|(tool, price)| (tool.to_owned(), price)).collect(),
            markup_percent: price.markup,
        }
    }
}

/// The prices in force at an instant
#[utoipa::path(
    get, path = "/v1/prices", tag = "prices", params(PricesQuery), responses((status = 200, body = Prices), Others)
)]
pub(super) async fn prices(State(state): State<ApiState>, query: Query<PricesQuery>) -> Result<Response, Problem> {
    let table = state.prices.load();
    let shown = table.in_force(query.0.at.unwrap_or_else(state.now));
    let prices = Prices {
        version: shown.version.to_owned(),
        markup_percent: shown.markup,
        tolerance_percent: shown.tolerance,
        tolerance_floor: shown.tolerance_floor,
        prices: shown.prices.into_iter().map(Price::from).collect(),
    };
    respond(&prices)
}

/// Requests of all tenants that gave another cost than the price table: what they gave was counted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mismatches {
    month: String,
    /// The most requests first, then by name.
    models: Vec<ModelMismatch>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ModelMismatch {
    model: String,
    /// Those beyond the tolerance alone.
    requests: i64,
    /// What the events say.
    given: Cost,
    /// What the table said when they were counted.
    expected: Cost,
    /// `given` less `expected`: below zero where the events say too little.
    difference: Cost,
}

impl ModelMismatch {
    fn of(model: &Model, Mismatch { requests, given, expected }: Mismatch) -> Self {
        // Both are 0 or more.
        let difference = NanoDollars(given.0.saturating_sub(expected.0));
        let (given, expected, difference) = (given.into(), expected.into(), difference.into());
        Self { model: model.to_string(), requests, given, expected, difference }
    }
}

/// Costs that are not what the price table says, by model
#[utoipa::path(
    get, path = "/v1/prices/mismatches", tag = "prices", params(MonthQuery),
    responses((status = 200, body = Mismatches), Others, StoreFails)
)]
pub(super) async fn mismatches(State(state): State<ApiState>, query: Query<MonthQuery>) -> Result<Response, Problem> {
    let month = query.0.month.unwrap_or_else(|| Month::of((state.now)()));
    let found = state.ask(state.reader.mismatches(month)).await?;
    let mut models: Vec<_> = found.iter().map(|(model, mismatch)| ModelMismatch::of(model, *mismatch)).collect();
    // Stable, and in the order of names before.
    models.sort_by_key(|model| std::cmp::Reverse(model.requests));
    let mismatches = Mismatches { month: month.to_string(), models };
    respond(&mismatches)
}
