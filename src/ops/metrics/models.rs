//! What is used of each model, of all tenants together. A producer may call a model anything: the first names have
//! series of their own, all others share one, and a process names the same models in every metric.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use prometheus::{CounterVec, IntCounterVec, Result};

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
    known: Mutex<BTreeSet<String>>,
    requests: IntCounterVec,
    tokens: IntCounterVec,
    cost: CounterVec,
    mismatches: IntCounterVec,
}

impl Models {
    pub(super) fn new(make: &Make<'_>) -> Result<Self> {
        Ok(Self {
            known: Mutex::default(),
            requests: make.counters("indelible_model_requests_total", "Counted requests by model.", &["model"])?,
            tokens: make.counters(
                "indelible_model_tokens_total",
                "Tokens of counted requests by model, in and out.",
                &["model", "direction"],
            )?,
            cost: make.dollars(
                "indelible_model_cost_dollars_total",
                "Cost of counted requests by model: for graphs, not for bills.",
                "model",
            )?,
            mismatches: make.counters(
                "indelible_price_mismatches_total",
                "Counted requests whose own cost is not what the price table says.",
                &["model"],
            )?,
        })
    }

    /// The model's own name while there is room for it.
    fn label<'m>(&self, model: &'m str) -> &'m str {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(model) {
            return model;
        }
        if known.len() >= MAX_MODELS {
            return OTHER;
        }
        known.insert(model.to_owned());
        model
    }
}

impl Metrics {
    /// Requests were counted, each with its model: summed up first, so that a batch costs little.
    pub fn models<'m>(&self, requests: impl Iterator<Item = (&'m str, ModelSums)>) {
        let mut sums: BTreeMap<&str, ModelSums> = BTreeMap::new();
        requests.for_each(|(model, one)| sums.entry(model).or_default().add(one));
        for (model, sums) in sums {
            let label = self.models.label(model);
            self.models.requests.with_label_values(&[label]).inc_by(sums.requests);
            self.models.tokens.with_label_values(&[label, "in"]).inc_by(sums.tokens_in);
            self.models.tokens.with_label_values(&[label, "out"]).inc_by(sums.tokens_out);
            add_dollars(&self.models.cost.with_label_values(&[label]), sums.nano_dollars);
        }
    }

    /// A request of a model was counted whose own cost is not what the price table says.
    pub fn mismatched(&self, model: &str) {
        self.models.mismatches.with_label_values(&[self.models.label(model)]).inc();
    }
}
