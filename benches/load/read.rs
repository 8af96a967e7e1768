//! The row "read": stats of users while events come in, and what counting loses to readers.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::arrivals::Arrivals;
use crate::bench::Bench;
use crate::catch_up::{self, Counting};
use crate::check;
use crate::goal::{self, Verdict};
use crate::http;
use crate::mix::Mix;
use crate::people::Spread;
use crate::process::Cpu;
use crate::readers::Readers;
use crate::report::{Report, Row, ms, rate, us_each};
use crate::steady::serve;
use crate::support::deployment::Deployment;
use crate::support::program::Program;
use crate::support::wait::eventually;
use crate::topic::Topic;
use crate::warm;

const CONNECTIONS: [usize; 3] = [1, 8, 64];
/// Users who are asked for, over and over.
const ASKED: usize = 20_000;

pub(crate) fn read(bench: &mut Bench, report: &mut Report) {
    let (size, patience) = (bench.size.clone(), bench.patience(bench.size.lesser));
    let topic = Topic::filled(Spread::Skewed, size.lesser);
    let deployment = bench.deployment(&topic.name).set("INDELIBLE_ROLE", "worker");
    let done = catch_up::run(&deployment, &topic.mix.tally, 1, u64::MAX, patience);
    let api = serve(&deployment, "api");
    let address = api.api_url().trim_start_matches("http://").to_owned();
    let requests = Arc::new(requests(&topic.mix, &address));

    let mut row = Row::new(&format!("read: stats of a random user, while {} events a second come in", size.rate));
    let arrivals = Arrivals::start(topic, size.rate, None);
    warm::await_kafka(size.warm);
    let mut counting = Counting::of(done.workers, 0);
    let mut tried = Vec::new();
    for connections in CONNECTIONS {
        let (sent, counted) = (arrivals.sent(), counting.look().all());
        let before = Cpu::of(api.child.pid());
        let readers = Readers::start(&address, &requests, connections, None);
        thread::sleep(size.read);
        let reads = readers.stop();
        let (sent, counted) = (arrivals.sent() - sent, counting.look().all() - counted);
        let (api, count) = (Cpu::of(api.child.pid()) - before, reads.times.count() as u64);
        let name = |what: &str| format!("{connections} connections, {what}");
        row.add(name("reads"), rate(count, reads.took), "/s");
        row.time(name("median"), reads.times.median());
        row.time(name("p99"), reads.times.p99());
        row.add(name("the API"), us_each(api.own, count), "us/read");
        row.add(name("who reads"), us_each(reads.cpu.own, count), "us/read");
        row.add(name("counted meanwhile, of what came in"), counted as f64 / sent as f64, "");
        tried.push((connections, rate(count, reads.took), ms(reads.times.p99()), counted as f64 / sent as f64));
    }
    let mut topic = arrivals.stop();
    counting.expect(topic.records());
    counting.await_all(patience);
    catch_up::end(counting.workers);

    // The most reads among those that were quick enough; the most of all, where none were.
    let quick = |p99: f64| goal::READ_MS.judge(p99) == Verdict::Met;
    let best = tried.iter().max_by(|a, b| (quick(a.2), a.1).partial_cmp(&(quick(b.2), b.1)).expect("numbers"));
    let (connections, reads, p99, kept) = *best.expect("some were tried");
    row.judge(format!("reads, over {connections} connections"), reads, "/s", goal::READS);
    row.judge("p99 of these", p99, "ms", goal::READ_MS);
    row.judge("lost of the rate that came in, meanwhile", 1.0 - kept, "", goal::LOST);

    let (alone, _) = backlog(&deployment, &mut topic, bench, None);
    let readers = || Readers::start(&address, &requests, CONNECTIONS[2], Some(size.reads));
    let (beside, reads) = backlog(&deployment, &mut topic, bench, Some(&readers));
    row.add("a backlog, nobody reads", alone, "/s");
    row.add("a backlog, beside readers", beside, "/s");
    row.add("reads beside it", reads, "/s");
    row.judge("lost of a backlog's rate", 1.0 - beside / alone, "", goal::LOST);
    row.note(format!("beside the backlog they ask {} times a second at most; who reads has one thread", size.reads));
    check::answers(&api, topic.spread, &topic.mix);
    report.add(row);
}

/// The requests for users who have asked for something, in a random order.
fn requests(mix: &Mix, address: &str) -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(4);
    (0..ASKED).map(|_| http::request(&mix.someone(&mut rng).stats_path(), address)).collect()
}

/// As many events as were stored at first, counted by a new worker: the rate from the first count on, and that of reads
/// meanwhile.
fn backlog(
    deployment: &Deployment,
    topic: &mut Topic,
    bench: &Bench,
    readers: Option<&dyn Fn() -> Readers>,
) -> (f64, f64) {
    let (before, records) = (topic.mix.tally.clone(), bench.size.lesser);
    topic.fill(records);
    let readers = readers.map(|start| start());
    let answered = || readers.as_ref().map_or(0, Readers::answered);
    let mut counting = Counting::of(vec![Program::launch(&deployment.env())], records);
    let first = eventually(bench.patience(records), "the first count", || {
        Some(counting.look().all()).filter(|counted| *counted > 0)
    });
    let (start, had) = (Instant::now(), answered());
    counting.await_all(bench.patience(records));
    let (took, read) = (start.elapsed(), answered() - had);
    if let Some(readers) = readers {
        readers.stop();
    }
    check::endings(counting.look(), &topic.mix.tally.since(&before));
    catch_up::end(counting.workers);
    (rate(records - first, took), rate(read, took))
}
