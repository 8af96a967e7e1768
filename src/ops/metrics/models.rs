//! What is used of each model, of all tenants together. A producer may call a model anything: the first names have
//! series of their own, all others share one, and a process names the same models in every metric.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use prometheus::{Counter, CounterVec, IntCounter, IntCounterVec, Result};

use super::Metrics;
use super::make::{Make, add_dollars};

/// Models that a process names.
pub(super) const MAX_MODELS: usize = 50;
const OTHER: &str = "other";

/// What was counted of one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelSums {
    pub requests: u64,
    pub tokens_in: u64,
    pub tokens_out: u64,
    pub nano_dollars: i64,
}

impl ModelSums {
    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.tokens_in = self.tokens_in.saturating_add(other.tokens_in);
        self.tokens_out = self.tokens_out.saturating_add(other.tokens_out);
        self.nano_dollars = self.nano_dollars.saturating_add(other.nano_dollars);
    }
}

#[derive(Debug)]
pub(super) struct Models {
    requests: IntCounterVec,
    tokens: IntCounterVec,
    cost: CounterVec,
    mismatches: IntCounterVec,
    /// By name: found once, since every flush adds to some of them.
    known: Mutex<HashMap<String, Model>>,
    other: Model,
}

/// The series of one model. A mismatch is rare, and most models have none.
#[derive(Debug)]
struct Model {
    requests: IntCounter,
    tokens_in: IntCounter,
    tokens_out: IntCounter,
    cost: Counter,
}

impl Model {
    fn new(label: &str, requests: &IntCounterVec, tokens: &IntCounterVec, cost: &CounterVec) -> Self {
        Self {
            requests: requests.with_label_values(&[label]),
            tokens_in: tokens.with_label_values(&[label, "in"]),
            tokens_out: tokens.with_label_values(&[label, "out"]),
            cost: cost.with_label_values(&[label]),
        }
    }

    fn add(&self, sums: ModelSums) {
        self.requests.inc_by(sums.requests);
        self.tokens_in.inc_by(sums.tokens_in);
        self.tokens_out.inc_by(sums.tokens_out);
        add_dollars(&self.cost, sums.nano_dollars);
    }
}

impl Models {
    pub(super) fn new(make: &Make<'_>) -> Result<Self> {
        let requests = make.counters("indelible_model_requests_total", "Counted requests by model.", &["model"])?;
        let tokens = make.counters(
            "indelible_model_tokens_total",
            "Tokens of counted requests by model, in and out.",
            &["model", "direction"],
        )?;
        let cost = make.dollars(
            "indelible_model_cost_dollars_total",
            "Cost of counted requests by model: for graphs, not for bills.",
            "model",
        )?;
        let mismatches = make.counters(
            "indelible_price_mismatches_total",
            "Counted requests whose own cost is not what the price table says.",
            &["model"],
        )?;
        let other = Model::new(OTHER, &requests, &tokens, &cost);
        Ok(Self { requests, tokens, cost, mismatches, known: Mutex::default(), other })
    }

    /// The model with its label, which is its own name while there is room for it.
    fn with<T>(&self, model: &str, then: impl FnOnce(&str, &Model) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(model) {
            return then(model, found);
        }
        if known.len() >= MAX_MODELS {
            return then(OTHER, &self.other);
        }
        let new = Model::new(model, &self.requests, &self.tokens, &self.cost);
        then(model, known.entry(model.to_owned()).or_insert(new))
    }
}

impl Metrics {
    /// Requests were counted, each with its model: summed up first, so that a batch costs little.
    pub fn models<'m>(&self, requests: impl Iterator<Item = (&'m str, ModelSums)>) {
        let mut sums: HashMap<&str, ModelSums> = HashMap::new();
        requests.for_each(|(model, one)| sums.entry(model).or_default().add(one));
        sums.into_iter().for_each(|(model, sums)| self.models.with(model, |_, known| known.add(sums)));
    }

    /// Requests of a model were counted whose own cost is not what the price table says.
    pub fn mismatched(&self, model: &str, requests: u64) {
        self.models.with(model, |label, _| self.models.mismatches.with_label_values(&[label]).inc_by(requests));
    }
}
