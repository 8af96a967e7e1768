//! How a metric is made and what its numbers are. Prometheus has none but floats: they are here and nowhere else.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, Result,
};

/// Bounds of histograms. Each costs a series for every combination of labels, of which a process may have 2,000 in all.
pub(super) const FAST_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
pub(super) const CALL_SECONDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0];
pub(super) const AGE_SECONDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 86400.0];
pub(super) const FLUSH_EVENTS: [f64; 8] = [0.0, 1.0, 5.0, 20.0, 100.0, 500.0, 1000.0, 2000.0];

/// Makes metrics of one registry.
pub(super) struct Make<'r>(pub(super) &'r Registry);

impl Make<'_> {
    fn register<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// One label whose values are all known.
    pub(super) fn closed(&self, name: &str, help: &str, label: &str, values: &[&str]) -> Result<IntCounterVec> {
        let counters = self.counters(name, help, &[label])?;
        values.iter().for_each(|value| drop(counters.with_label_values(&[value])));
        Ok(counters)
    }

    pub(super) fn dollars(&self, name: &str, help: &str, label: &str) -> Result<CounterVec> {
        self.register(CounterVec::new(Opts::new(name, help), &[label])?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.register(IntGauge::new(name, help)?)
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn info(&self, name: &str, help: &str, label: &str, value: &str) -> Result<()> {
        self.register(IntGauge::with_opts(Opts::new(name, help).const_label(label, value))?)?.set(1);
        Ok(())
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    pub(super) fn histograms(&self, name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> Result<HistogramVec> {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}

pub(super) fn observe(histogram: &Histogram, took: Duration) {
    histogram.observe(took.as_secs_f64());
}

pub(super) fn observe_count(histogram: &Histogram, count: usize) {
    histogram.observe(u32::try_from(count).unwrap_or(u32::MAX).into());
}

/// Many ages in milliseconds, with one update of what all threads share.
pub(super) fn observe_ages(histogram: &Histogram, ages_ms: impl Iterator<Item = i64>) {
    let local = histogram.local();
    ages_ms.for_each(|age_ms| local.observe(Duration::from_millis(age_ms.max(0).unsigned_abs()).as_secs_f64()));
    local.flush();
}

/// For a graph: a bill is made of what the store holds, where money is in integers.
#[expect(clippy::float_arithmetic, reason = "a sum for a graph, in the unit that graphs have")]
pub(super) fn add_dollars(counter: &Counter, nano_dollars: i64) {
    counter.inc_by(nano_dollars.max(0) as f64 / 1e9);
}

/// What a gauge takes of a count.
pub(super) fn capped(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
