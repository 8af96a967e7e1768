//! Every metric of the process, behind verbs. No tenant, user, id or raw path ever becomes a label.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// How a record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its event was added to the counters.
    Counted,
    /// Its event was counted before.
    Repeated,
    /// Its id was counted before with other content; the content of the first stays counted.
    Conflict,
    /// It is in the dead-letter topic.
    Rejected,
    /// A restart read it again; the watermark says that it is in the counters.
    Passed,
}

impl Ending {
    const ALL: [Self; 5] = [Self::Counted, Self::Repeated, Self::Conflict, Self::Rejected, Self::Passed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Repeated => "repeated",
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
            Self::Passed => "passed",
        }
    }
}

/// What became of a counted request on its way to the rated topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audited {
    Written,
    /// Once more, since a crash may have kept it from the topic.
    Rewritten,
    /// It may be missing from the topic, and can't be written any more.
    Skipped,
}

impl Audited {
    const ALL: [Self; 3] = [Self::Written, Self::Rewritten, Self::Skipped];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Rewritten => "rewritten",
            Self::Skipped => "skipped",
        }
    }
}

/// How reading a file again ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadOutcome {
    Ok,
    /// The file has faults; what was in place stays.
    Failed,
}

impl ReloadOutcome {
    const ALL: [Self; 2] = [Self::Ok, Self::Failed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
        }
    }
}

/// What became of a try to send a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was taken.
    Sent,
    /// It will be tried again.
    Failed,
    /// It is in the dead-letter topic.
    DeadLettered,
}

impl Sent {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::DeadLettered => "dead_lettered",
        }
    }
}

/// Handles to all metrics; cheap to call, resolved once.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    consumed: IntCounter,
    endings: [IntCounter; Ending::ALL.len()],
    rejects: IntCounterVec,
    audited: [IntCounter; Audited::ALL.len()],
    event_age: Histogram,
    lag: IntGaugeVec,
    flush_events: Histogram,
    flush_seconds: Histogram,
    store_errors: IntCounterVec,
    capped: IntCounterVec,
    unpriced: IntCounter,
    mismatches: Models,
    reloads: IntCounterVec,
    noted: IntCounter,
    notices: IntCounterVec,
    outbox: IntGaugeVec,
    rebalances: IntCounterVec,
    partitions: IntGauge,
    sessions: IntCounter,
    api: HistogramVec,
}

const STORE_ERRORS: [&str; 6] = ["unavailable", "refused", "corrupt", "unusable", "unfit", "not_counting"];
const CAPPED: [&str; 4] = ["group", "tool", "user", "kind"];
const RELOADED: [&str; 2] = ["prices", "plans"];
/// Sinks of notices, and how tries can end there.
const NOTICES: [(&str, &[Sent]); 2] =
    [("topic", &[Sent::Sent, Sent::Failed]), ("webhook", &[Sent::Sent, Sent::Failed, Sent::DeadLettered])];
const REBALANCES: [&str; 2] = ["assigned", "revoked"];

impl Metrics {
    /// `reject_reasons` is the closed list of reasons, each of which starts at 0.
    ///
    /// # Errors
    /// When two metrics bear one name: a mistake in this file.
    pub fn new(reject_reasons: &[&'static str]) -> prometheus::Result<Self> {
        let r = Registry::new();
        let endings = counters(&r, "indelible_records_total", "Records by how they ended.", "outcome")?;
        let audited =
            counters(&r, "indelible_rated_records_total", "Counted requests for the rated topic.", "outcome")?;
        let metrics = Self {
            consumed: register(&r, IntCounter::new("indelible_records_consumed_total", "Records read from Kafka.")?)?,
            endings: Ending::ALL.map(|ending| endings.with_label_values(&[ending.as_str()])),
            rejects: counters(&r, "indelible_rejects_total", "Records sent to the dead-letter topic.", "reason")?,
            audited: Audited::ALL.map(|outcome| audited.with_label_values(&[outcome.as_str()])),
            event_age: histogram(
                &r,
                "indelible_event_age_seconds",
                "From an event's time to its counting.",
                &AGE_SECONDS,
            )?,
            lag: register(
                &r,
                IntGaugeVec::new(
                    Opts::new("indelible_lag_records", "Records of an assigned partition that are not counted yet."),
                    &["topic", "partition"],
                )?,
            )?,
            flush_events: histogram(&r, "indelible_flush_events", "Events in a flush of one bucket.", &FLUSH_EVENTS)?,
            flush_seconds: histogram(&r, "indelible_flush_seconds", "One flush, retries included.", &FAST_SECONDS)?,
            store_errors: counters(&r, "indelible_store_errors_total", "Calls to Redis that failed.", "kind")?,
            capped: counters(
                &r,
                "indelible_capped_total",
                "Requests, tool calls or outputs counted under \"other\": their own name was one too many.",
                "name",
            )?,
            unpriced: register(
                &r,
                IntCounter::new("indelible_unpriced_requests_total", "Counted requests whose cost nobody knows.")?,
            )?,
            mismatches: Models::new(counters(
                &r,
                "indelible_price_mismatches_total",
                "Counted requests whose own cost is not what the price table says.",
                "model",
            )?),
            reloads: register(
                &r,
                IntCounterVec::new(
                    Opts::new("indelible_reloads_total", "Times a file was read again."),
                    &["file", "outcome"],
                )?,
            )?,
            noted: register(
                &r,
                IntCounter::new("indelible_notices_noted_total", "Notices put into an outbox, to be sent from there.")?,
            )?,
            notices: register(
                &r,
                IntCounterVec::new(
                    Opts::new("indelible_notices_total", "Tries to send a notice, by how they ended."),
                    &["sink", "outcome"],
                )?,
            )?,
            outbox: register(
                &r,
                IntGaugeVec::new(
                    Opts::new("indelible_outbox_notices", "Notices that wait to be sent, when last looked at."),
                    &["sink"],
                )?,
            )?,
            rebalances: counters(&r, "indelible_rebalances_total", "Changes of the assignment.", "kind")?,
            partitions: register(&r, IntGauge::new("indelible_assigned_partitions", "Partitions assigned now.")?)?,
            sessions: register(&r, IntCounter::new("indelible_sessions_total", "Times the worker joined its group.")?)?,
            api: register(
                &r,
                HistogramVec::new(
                    HistogramOpts::new("indelible_api_request_seconds", "API requests.").buckets(FAST_SECONDS.to_vec()),
                    &["route", "method", "status"],
                )?,
            )?,
            registry: r,
        };
        metrics.start_at_zero(reject_reasons)?;
        Ok(metrics)
    }

    fn start_at_zero(&self, reject_reasons: &[&'static str]) -> prometheus::Result<()> {
        reject_reasons.iter().for_each(|reason| drop(self.rejects.with_label_values(&[reason])));
        STORE_ERRORS.iter().for_each(|kind| drop(self.store_errors.with_label_values(&[kind])));
        CAPPED.iter().for_each(|name| drop(self.capped.with_label_values(&[name])));
        for file in RELOADED {
            ReloadOutcome::ALL.iter().for_each(|end| drop(self.reloads.with_label_values(&[file, end.as_str()])));
        }
        for (sink, outcomes) in NOTICES {
            outcomes.iter().for_each(|sent| drop(self.notices.with_label_values(&[sink, sent.as_str()])));
        }
        REBALANCES.iter().for_each(|kind| drop(self.rebalances.with_label_values(&[kind])));
        let build =
            Opts::new("indelible_build_info", "The running version.").const_label("version", env!("CARGO_PKG_VERSION"));
        register(&self.registry, IntGauge::with_opts(build)?)?.set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        self.registry.register(Box::new(process))
    }

    pub fn consumed(&self, records: u64) {
        self.consumed.inc_by(records);
    }

    pub fn ended(&self, ending: Ending, records: u64) {
        self.endings[ending as usize].inc_by(records);
    }

    /// `reason` is one of the list given at the start.
    pub fn rejected(&self, reason: &'static str) {
        self.rejects.with_label_values(&[reason]).inc();
        self.ended(Ending::Rejected, 1);
    }

    pub fn audited(&self, outcome: Audited, requests: u64) {
        self.audited[outcome as usize].inc_by(requests);
    }

    /// Events of these ages were counted.
    pub fn events_counted(&self, ages_ms: impl Iterator<Item = i64>) {
        // One update of what all threads share, however many they are.
        let local = self.event_age.local();
        ages_ms.for_each(|age_ms| local.observe(Duration::from_millis(age_ms.max(0).unsigned_abs()).as_secs_f64()));
        local.flush();
    }

    pub fn flushed(&self, events: usize, took: Duration) {
        self.flush_events.observe(u32::try_from(events).unwrap_or(u32::MAX).into());
        self.flush_seconds.observe(took.as_secs_f64());
    }

    /// `kind` is one of [`STORE_ERRORS`].
    pub fn store_failed(&self, kind: &'static str) {
        self.store_errors.with_label_values(&[kind]).inc();
    }

    /// `name` is one of [`CAPPED`].
    pub fn capped(&self, name: &'static str, count: i64) {
        self.capped.with_label_values(&[name]).inc_by(count.max(0).unsigned_abs());
    }

    /// A request was counted that neither its event nor the price table has a cost for.
    pub fn unpriced(&self) {
        self.unpriced.inc();
    }

    /// A request of a model was counted whose own cost is not what the price table says.
    pub fn mismatched(&self, model: &str) {
        self.mismatches.of(model).inc();
    }

    /// `file` is one of [`RELOADED`].
    pub fn reloaded(&self, file: &'static str, outcome: ReloadOutcome) {
        self.reloads.with_label_values(&[file, outcome.as_str()]).inc();
    }

    pub fn notices_noted(&self, notices: u64) {
        self.noted.inc_by(notices);
    }

    /// `sink` is one of [`NOTICES`].
    pub fn notice(&self, sink: &'static str, outcome: Sent) {
        self.notices.with_label_values(&[sink, outcome.as_str()]).inc();
    }

    /// How many notices wait, for the topic and for the webhook.
    pub fn outbox(&self, topic: u64, webhook: u64) {
        for (sink, waiting) in [("topic", topic), ("webhook", webhook)] {
            self.outbox.with_label_values(&[sink]).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
    }

    pub fn session_started(&self) {
        self.sessions.inc();
    }

    /// `kind` is one of [`REBALANCES`]; `now` is the number of partitions assigned after the change.
    pub fn rebalanced(&self, kind: &'static str, now: usize) {
        self.rebalances.with_label_values(&[kind]).inc();
        self.partitions.set(now as i64);
    }

    pub fn lag(&self, topic: &str, partition: i32, records: i64) {
        self.lag.with_label_values(&[topic, &partition.to_string()]).set(records);
    }

    /// A partition that is no longer ours has no lag of ours.
    pub fn lag_gone(&self, topic: &str, partition: i32) {
        // Absent already when it was revoked before its first report.
        let _ = self.lag.remove_label_values(&[topic, &partition.to_string()]);
    }

    /// `route` is the template of the route, never the path that was asked for.
    pub fn api_request(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.api.with_label_values(&[route, method, &status.to_string()]).observe(took.as_secs_f64());
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

/// Counters by model. A producer may put anything there: the first names have their own, all others share one.
#[derive(Debug)]
struct Models {
    counters: IntCounterVec,
    known: Mutex<BTreeSet<String>>,
}

/// Names of models that a process shows.
const MAX_MODELS: usize = 100;

impl Models {
    const fn new(counters: IntCounterVec) -> Self {
        Self { counters, known: Mutex::new(BTreeSet::new()) }
    }

    fn of(&self, model: &str) -> IntCounter {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(model) {
            if known.len() >= MAX_MODELS {
                return self.counters.with_label_values(&["other"]);
            }
            known.insert(model.to_owned());
        }
        self.counters.with_label_values(&[model])
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(Opts::new(name, help), &[label])?)
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
    register(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
}

const FAST_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
const AGE_SECONDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 86400.0];
const FLUSH_EVENTS: [f64; 8] = [0.0, 1.0, 5.0, 20.0, 100.0, 500.0, 1000.0, 2000.0];

#[cfg(test)]
#[path = "../../tests/unit/ops/metrics.rs"]
mod tests;
