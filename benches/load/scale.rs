//! The row "scale": several workers, several Redis nodes, and what a million events a second takes.
//!
//! A machine of a few cores can't show that more processes are faster. It shows that an event costs the same however
//! many there are, and from that the arithmetic follows: what a thousandth of a second's work costs a million times.

use crate::bench::{Bench, KEPT};
use crate::catch_up::{self, CatchUp};
use crate::check;
use crate::people::Spread;
use crate::process::Cpu;
use crate::report::{Report, Row, number, rate};
use crate::support::deployment::Deployment;
use crate::support::redis::Redis;
use crate::topic::{PARTITIONS, Topic};

/// Of a core that is kept busy: the rest is room for what comes at once.
const BUSY: f64 = 0.7;

pub(crate) fn scale(bench: &mut Bench, report: &mut Report) {
    let topic = bench.topic(Spread::Skewed, bench.size.lesser);
    let mut row = Row::new("scale: workers, and nodes of a Redis Cluster");
    let mut costs = Vec::new();
    for workers in bench.size.scale.iter().copied() {
        let deployment = bench.deployment(&topic.name);
        costs.push(one(&mut row, &format!("workers {workers}, Redis alone"), &deployment, &topic, workers, bench));
    }
    for nodes in bench.size.scale.iter().copied() {
        let masters = Redis::masters(nodes, &KEPT);
        let deployment = bench.featured(Deployment::of_cluster(&topic.name, PARTITIONS, masters));
        costs.push(one(&mut row, &format!("worker 1, Redis nodes {nodes}"), &deployment, &topic, 1, bench));
    }
    let most = |of: fn(&(f64, f64)) -> f64| costs.iter().map(of).fold(0.0, f64::max);
    let (worker, redis) = (most(|cost| cost.0), most(|cost| cost.1));
    // A microsecond of each of a million events a second is one core.
    row.add("1,000,000 events a second, workers", worker / BUSY, "cores");
    row.add("1,000,000 events a second, Redis nodes", redis / BUSY, "cores");
    row.note(format!(
        "by the dearest of these runs: {} us of the worker and {} us of Redis an event, cores {} % busy",
        number(worker),
        number(redis),
        BUSY * 100.0
    ));
    report.add(row);
}

/// Microseconds of an event, of the workers and of Redis.
fn one(row: &mut Row, name: &str, deployment: &Deployment, topic: &Topic, workers: usize, bench: &Bench) -> (f64, f64) {
    let done = catch_up::run(deployment, &topic.mix.tally, workers, u64::MAX, bench.patience(topic.records()));
    check::answers(&done.workers[0], topic.spread, &topic.mix);
    let (worker, redis) = (done.worker_us(), done.redis_us());
    let CatchUp { records, running: (took, count), workers, .. } = done;
    row.add(format!("{name}: rate of {}", number(records as f64)), rate(count, took), "/s");
    row.add(format!("{name}: workers"), worker, "us/event");
    row.add(format!("{name}: redis"), redis, "us/event");
    let each = deployment.servers().map(|server| Cpu::of(server.pid().expect("it runs")).own.as_secs_f64());
    let each: Vec<_> = each.collect();
    if each.len() > 1 {
        let share = each.iter().copied().fold(0.0, f64::max) / each.iter().sum::<f64>();
        row.add(format!("{name}: share of the busiest"), share, "");
    }
    catch_up::end(workers);
    (worker, redis)
}
