//! The ways to Redis: how long it takes, what fails, how much it holds.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Result};

use super::Metrics;
use super::labels::{RedisClient, RedisOperation, STORE_ERRORS};
use super::make::{CALL_SECONDS, Make, capped, observe};

#[derive(Debug)]
pub(super) struct Redis {
    operations: HistogramVec,
    connections: IntCounterVec,
    errors: IntCounterVec,
    used: IntGauge,
    limit: IntGauge,
    seen_ids: IntGauge,
}

/// The metrics of one way to Redis, found once.
#[derive(Debug, Clone)]
pub struct RedisMetrics {
    operations: [Histogram; RedisOperation::ALL.len()],
    connections: IntCounter,
}

impl Redis {
    pub(super) fn new(make: &Make<'_>) -> Result<Self> {
        Ok(Self {
            operations: make.histograms(
                "indelible_redis_operation_seconds",
                "Round trips to Redis, those without an answer included.",
                &CALL_SECONDS,
                &["client", "operation"],
            )?,
            connections: make.counters(
                "indelible_redis_connections_total",
                "Connections made to Redis: each after the first one is a reconnect.",
                &["client"],
            )?,
            errors: make.closed(
                "indelible_store_errors_total",
                "Calls to Redis that failed.",
                "kind",
                &STORE_ERRORS,
            )?,
            used: make.gauge(
                "indelible_redis_memory_used_bytes",
                "Memory that Redis uses; of a cluster, its fullest node.",
            )?,
            limit: make
                .gauge("indelible_redis_memory_limit_bytes", "The maxmemory of that server; 0 where it has none.")?,
            seen_ids: make.gauge(
                "indelible_seen_ids",
                "Ids of counted events that this worker holds a copy of, to know repeats by.",
            )?,
        })
    }
}

impl RedisMetrics {
    /// A round trip that took as long, whatever came of it.
    pub fn answered(&self, operation: RedisOperation, took: Duration) {
        observe(&self.operations[operation as usize], took);
    }

    pub fn connected(&self) {
        self.connections.inc();
    }
}

impl Metrics {
    /// For a way to Redis that this process has: only those have series.
    pub fn redis_client(&self, client: RedisClient) -> RedisMetrics {
        let client = client.as_str();
        RedisMetrics {
            operations: RedisOperation::ALL
                .map(|operation| self.redis.operations.with_label_values(&[client, operation.as_str()])),
            connections: self.redis.connections.with_label_values(&[client]),
        }
    }

    /// `kind` is one of [`STORE_ERRORS`].
    pub fn store_failed(&self, kind: &'static str) {
        self.redis.errors.with_label_values(&[kind]).inc();
    }

    /// As the server says it; a limit of 0 is none.
    pub fn redis_memory(&self, used_bytes: u64, limit_bytes: u64) {
        self.redis.used.set(capped(used_bytes));
        self.redis.limit.set(capped(limit_bytes));
    }

    pub fn seen_ids(&self, ids: u64) {
        self.redis.seen_ids.set(capped(ids));
    }
}
