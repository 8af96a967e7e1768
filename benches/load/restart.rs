//! The row "restart": how soon a worker counts again that was stopped, or killed, with much stored.

use std::thread;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::catch_up::{self, Counting};
use crate::check;
use crate::goal;
use crate::people::Spread;
use crate::report::{Report, Row};
use crate::support::deployment::Deployment;
use crate::support::program::Program;
use crate::times::Times;
use crate::topic::Topic;

/// Of a fill that is asked for.
const USERS: u64 = 1_000_000;
/// Events that come in while no worker runs.
const NEW: u64 = 1_000;
/// Restarts of which the median counts.
const TIMES: usize = 3;
const LOOK: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn restart(bench: &mut Bench, report: &mut Report) {
    let (deployment, mut topic) = match (bench.size.restart, bench.stored.take()) {
        (None, Some(stored)) => stored,
        (asked, _) => fill(bench, asked.unwrap_or(bench.size.different)),
    };
    let mut row = Row::new("restart: from the start of the process to the first new count");
    row.add("users stored", topic.mix.tally.users() as f64, "");
    row.add("seen ids stored", topic.mix.tally.counted() as f64, "");
    let stopped = (0..TIMES).map(|_| {
        let (took, counting) = start(&deployment, &mut topic);
        catch_up::end(counting.workers);
        took
    });
    let stopped = Times::new(stopped.collect());
    row.judge("after SIGTERM, median", stopped.median().as_secs_f64(), "s", goal::RESTART_S);
    row.add("after SIGTERM, longest", stopped.longest().as_secs_f64(), "s");

    let (_, mut counting) = start(&deployment, &mut topic);
    if bench.size.killed {
        counting.workers[0].child.kill();
        let (killed, next) = start(&deployment, &mut topic);
        counting = next;
        row.add("after SIGKILL", killed.as_secs_f64(), "s");
        row.note(
            "after SIGKILL Kafka waits first until it misses the old worker: session.timeout.ms, 15 s unless it is set",
        );
    }
    check::answers(&counting.workers[0], topic.spread, &topic.mix);
    report.add(row);
    catch_up::end(counting.workers);
}

fn fill(bench: &Bench, events: u64) -> (Deployment, Topic) {
    let topic = Topic::filled(Spread::InTurn { users: USERS.min(events) }, events);
    let deployment = bench.deployment(&topic.name);
    let done = catch_up::run(&deployment, &topic.mix.tally, 1, u64::MAX, bench.patience(events));
    catch_up::end(done.workers);
    (deployment, topic)
}

/// Some events come in; then a worker starts, and counts all of them.
fn start(deployment: &Deployment, topic: &mut Topic) -> (Duration, Counting) {
    let before = topic.mix.tally.clone();
    topic.fill(NEW);
    let start = Instant::now();
    let new = topic.records() - before.records;
    let mut counting = Counting::of(vec![Program::launch(&deployment.env())], new);
    while counting.look().all() == 0 {
        assert!(start.elapsed() < PATIENCE, "nothing is counted within {PATIENCE:?}");
        thread::sleep(LOOK);
    }
    let took = start.elapsed();
    counting.await_all(PATIENCE);
    check::endings(counting.look(), &topic.mix.tally.since(&before));
    (took, counting)
}
