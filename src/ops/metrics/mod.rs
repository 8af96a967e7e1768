//! Every metric of the process, behind verbs. No tenant, user, id or raw path ever becomes a label.
//!
//! One subject a file: its metrics, and the verbs that move them. `docs/metrics.md` lists what is exported, and
//! `tests/it/metrics.rs` holds that list to a running program, with the dashboard and the alerts.

mod api_requests;
mod counting;
mod kafka;
mod labels;
mod make;
mod models;
mod notices;
mod redis_calls;

use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, IntCounterVec, IntGaugeVec, Registry, TextEncoder};

pub use labels::{Audited, Ending, RedisClient, RedisOperation, ReloadOutcome, Sent};
pub use models::ModelSums;
pub use redis_calls::RedisMetrics;

use labels::RELOADED;
use make::Make;

/// All metrics. Every closed set of labels starts at 0.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    counting: counting::Counting,
    kafka: kafka::Kafka,
    redis: redis_calls::Redis,
    models: models::Models,
    notices: notices::Notices,
    api: api_requests::Api,
    reloads: IntCounterVec,
    ready: IntGaugeVec,
}

impl Metrics {
    /// `reject_reasons` is the closed list of reasons, each of which starts at 0.
    ///
    /// # Errors
    /// When two metrics bear one name: a mistake in this folder.
    pub fn new(reject_reasons: &[&'static str]) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let make = Make(&registry);
        make.info("indelible_build_info", "The running version.", "version", env!("CARGO_PKG_VERSION"))?;
        let reloads = make.counters("indelible_reloads_total", "Times a file was read again.", &["file", "outcome"])?;
        for file in RELOADED {
            ReloadOutcome::ALL.iter().for_each(|end| drop(reloads.with_label_values(&[file, end.as_str()])));
        }
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self {
            counting: counting::Counting::new(&make, reject_reasons)?,
            kafka: kafka::Kafka::new(&make)?,
            redis: redis_calls::Redis::new(&make)?,
            models: models::Models::new(&make)?,
            notices: notices::Notices::new(&make)?,
            api: api_requests::Api::new(&make)?,
            ready: make.gauges("indelible_ready", "1 while a part of the process is ready, else 0.", &["part"])?,
            reloads,
            registry,
        })
    }

    /// `file` is one of [`RELOADED`].
    pub fn reloaded(&self, file: &'static str, outcome: ReloadOutcome) {
        self.reloads.with_label_values(&[file, outcome.as_str()]).inc();
    }

    /// As `/readyz` would answer now.
    pub fn ready(&self, part: &'static str, is_ready: bool) {
        self.ready.with_label_values(&[part]).set(is_ready.into());
    }

    /// All metrics in Prometheus's text format.
    ///
    /// # Errors
    /// When a metric cannot be encoded.
    pub fn scrape(&self) -> prometheus::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/ops/metrics.rs"]
mod tests;
