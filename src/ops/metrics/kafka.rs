//! The worker's membership in its consumer group: what it is assigned, how far behind it is, how it ends.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Result};

use super::Metrics;
use super::labels::{REBALANCES, SESSION_FAILURES};
use super::make::Make;

#[derive(Debug)]
pub(super) struct Kafka {
    consumed: IntCounter,
    lag: IntGaugeVec,
    rebalances: IntCounterVec,
    partitions: IntGauge,
    stalled: IntGauge,
    sessions: IntCounter,
    failures: IntCounterVec,
    held: IntGauge,
}

impl Kafka {
    pub(super) fn new(make: &Make<'_>) -> Result<Self> {
        Ok(Self {
            consumed: make.counter("indelible_records_consumed_total", "Records read from Kafka.")?,
            lag: make.gauges(
                "indelible_lag_records",
                "Records of an assigned partition that are not counted yet.",
                &["topic", "partition"],
            )?,
            rebalances: make.closed("indelible_rebalances_total", "Changes of the assignment.", "kind", &REBALANCES)?,
            partitions: make.gauge("indelible_assigned_partitions", "Partitions assigned now.")?,
            stalled: make.gauge(
                "indelible_stalled_partitions",
                "Assigned partitions that are behind, and of which nothing was counted for 30 s.",
            )?,
            sessions: make.counter("indelible_sessions_total", "Times the worker joined its group.")?,
            failures: make.closed(
                "indelible_session_failures_total",
                "Sessions that ended by a failure, after which the worker begins anew or ends.",
                "failure",
                &SESSION_FAILURES,
            )?,
            held: make
                .gauge("indelible_held_bytes", "Bytes of records that wait in the worker or are being counted.")?,
        })
    }
}

impl Metrics {
    pub fn consumed(&self, records: u64) {
        self.kafka.consumed.inc_by(records);
    }

    pub fn lag(&self, topic: &str, partition: i32, records: i64) {
        self.kafka.lag.with_label_values(&[topic, &partition.to_string()]).set(records);
    }

    /// A partition that is no longer ours has no lag of ours.
    pub fn lag_gone(&self, topic: &str, partition: i32) {
        // Absent already when it was revoked before its first report.
        let _ = self.kafka.lag.remove_label_values(&[topic, &partition.to_string()]);
    }

    /// `kind` is one of [`REBALANCES`]; `now` is the number of partitions assigned after the change.
    pub fn rebalanced(&self, kind: &'static str, now: usize) {
        self.kafka.rebalances.with_label_values(&[kind]).inc();
        self.kafka.partitions.set(now as i64);
        if now == 0 {
            self.stalled(0);
        }
    }

    pub fn stalled(&self, partitions: usize) {
        self.kafka.stalled.set(partitions as i64);
    }

    pub fn session_started(&self) {
        self.kafka.sessions.inc();
    }

    /// `failure` is a name of the closed list that the log has, too.
    pub fn session_failed(&self, failure: &'static str) {
        self.kafka.failures.with_label_values(&[failure]).inc();
    }

    pub fn held(&self, bytes: usize) {
        self.kafka.held.set(bytes as i64);
    }
}
