//! The rows that read a topic from its beginning: the limits, and the worker held against them.

use crate::bench::Bench;
use crate::catch_up::{self, CatchUp};
use crate::check;
use crate::endings::Gauge;
use crate::goal::{self, Goal};
use crate::limits::Limits;
use crate::people::Spread;
use crate::report::{Report, Row, rate};
use crate::support::kafka::Kafka;
use crate::topic::{PARTITIONS, Topic};

pub(crate) fn limits(bench: &mut Bench, report: &mut Report) {
    let topic = bench.topic(Spread::Skewed, bench.size.skewed);
    let limits = bench.limits(&topic);
    let Limits { raw, unbound, decoded, settings } = &limits;
    let mut row = Row::new("limit, read: librdkafka alone");
    row.add("events", topic.records() as f64, "");
    row.add("bytes of an event", (topic.bytes / topic.records()) as f64, "bytes");
    row.add(
        "bytes of it on the broker's disk",
        Kafka::shared().bytes_of(&topic.name) as f64 / topic.records() as f64,
        "bytes",
    );
    row.add("raw consume rate, which ratios are of: the faster", limits.raw_rate(), "/s");
    row.add("rate, with the worker's settings", raw.rate(), "/s");
    row.add("processor time", raw.us(), "us/event");
    row.add("rate, with the library's own fetch sizes", unbound.rate(), "/s");
    row.add("processor time of that", unbound.us(), "us/event");
    row.note(format!("the worker's settings: {settings}"));
    report.add(row);
    let mut row = Row::new("limit, read and decode");
    row.add("rate", decoded.rate(), "/s");
    row.add("processor time", decoded.us(), "us/event");
    report.add(row);
}

pub(crate) fn skewed(bench: &mut Bench, report: &mut Report) {
    let topic = bench.topic(Spread::Skewed, bench.size.skewed);
    let limits = bench.limits(&topic);
    let deployment = bench.deployment(&topic.name);
    let done = catch_up::run(&deployment, &topic.mix.tally, 1, bench.size.mark, bench.patience(topic.records()));
    check::answers(&done.workers[0], topic.spread, &topic.mix);
    let mut gauge = Gauge::of(&done.workers[0]);
    assert_eq!(gauge.series("indelible_unpriced_requests_total"), 0, "every request has a price");

    let mut row = table("catch-up, skewed", &done, &limits, goal::CATCH_UP);
    if limits.raw_rate() > goal::FAST_RAW {
        row.judge("rate, where raw is above 900,000", rate(done.records, done.took), "/s", goal::CATCH_UP_RATE);
    }
    row.add("notices", gauge.series("indelible_notices_noted_total") as f64, "");
    let steps = done.steps();
    if let ([first, ..], Some(last)) = (&steps[..], steps.last()) {
        let grown = (last.0 + last.1) / (first.0 + first.1);
        row.judge("cost of the last stretch, in those of the first", grown, "", goal::FLAT);
    }
    for (mark, (worker, redis)) in done.marks.iter().zip(steps) {
        row.note(format!("up to {} events: worker {worker:.2}, redis {redis:.2} us/event", mark.records));
    }
    report.add(row);
    catch_up::end(done.workers);
}

pub(crate) fn rated(bench: &mut Bench, report: &mut Report) {
    let topic = bench.topic(Spread::Skewed, bench.size.lesser);
    let limits = bench.limits(&topic);
    let rated = Kafka::unique("rated");
    Kafka::shared().create_topic(&rated, PARTITIONS, &[]);
    let deployment = bench.deployment(&topic.name).set("INDELIBLE_RATED_TOPIC", &rated);
    let done = catch_up::run(&deployment, &topic.mix.tally, 1, u64::MAX, bench.patience(topic.records()));
    check::answers(&done.workers[0], topic.spread, &topic.mix);
    let written = Gauge::of(&done.workers[0]).series("indelible_rated_records_total{outcome=\"written\"}");
    assert_eq!(written, topic.mix.tally.requests, "every request is in the rated topic once");
    let mut row = table("catch-up, skewed, with the rated topic", &done, &limits, goal::CATCH_UP);
    row.note("the goal is that of a backlog without it");
    report.add(row);
    catch_up::end(done.workers);
}

/// What it leaves in Redis is there for the restart.
pub(crate) fn different(bench: &mut Bench, report: &mut Report) {
    let users = bench.size.different;
    let topic = Topic::filled(Spread::InTurn { users }, users);
    let limits = bench.limits(&topic);
    let deployment = bench.deployment(&topic.name);
    let done = catch_up::run(&deployment, &topic.mix.tally, 1, u64::MAX, bench.patience(topic.records()));
    check::answers(&done.workers[0], topic.spread, &topic.mix);
    report.add(table("catch-up, all users different", &done, &limits, goal::DIFFERENT));
    catch_up::end(done.workers);
    bench.stored = Some((deployment, topic));
}

pub(crate) fn one_tenant(bench: &mut Bench, report: &mut Report) {
    let topic = bench.topic(Spread::OneTenant, bench.size.one_tenant);
    let limits = bench.limits(&topic);
    let deployment = bench.deployment(&topic.name);
    let done = catch_up::run(&deployment, &topic.mix.tally, 1, u64::MAX, bench.patience(topic.records()));
    check::answers(&done.workers[0], topic.spread, &topic.mix);
    report.add(table("catch-up, one tenant", &done, &limits, goal::CATCH_UP));
    catch_up::end(done.workers);
}

fn table(name: &str, done: &CatchUp, limits: &Limits, goal: Goal) -> Row {
    let mut row = Row::new(name);
    let whole = rate(done.records, done.took);
    row.add("events", done.records as f64, "");
    row.add("rate, from the start of the process", whole, "/s");
    row.add("rate, from the first count on", rate(done.running.1, done.running.0), "/s");
    row.judge("rate, of the raw consume rate", whole / limits.raw_rate(), "", goal);
    row.add("raw consume rate of the same topic", limits.raw_rate(), "/s");
    row.add("worker", done.worker_us(), "us/event");
    row.judge("worker, of raw consume and decode", done.worker_us() / limits.decoded.us(), "", goal::WORKER);
    row.add("redis", done.redis_us(), "us/event");
    row.add("redis, its child that rewrites the log", done.rewrite_us(), "us/event");
    row.add("kafka", done.kafka_us(), "us/event");
    row.add("worker resident, peak", (done.peak >> 20) as f64, "MiB");
    row
}
