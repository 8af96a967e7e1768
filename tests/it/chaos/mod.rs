//! Three workers under load while everything around them breaks, every second or two something else; in the end
//! every number is held to the oracle's.
//!
//! `INDELIBLE_CHAOS_SECONDS` of faults (45), by `INDELIBLE_SEED` (any), which is printed.

mod faults;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use self::faults::{FAULTS, Fault};
use crate::support::deployment::Deployment;
use crate::support::oracle;
use crate::support::program::{Program, Running};
use crate::support::redis::Redis;
use crate::support::wait::eventually;
use crate::traffic::{Generator, Traffic};

const PARTITIONS: i32 = 12;
const WORKERS: usize = 3;
/// Until a worker says that it is not ready, or is so again.
const NOTICE: Duration = Duration::from_secs(30);

struct Worker {
    running: Running,
    /// Of a static member of the group, which a restart does not make a new one.
    name: Option<String>,
    /// Stands still until then.
    frozen: Option<Instant>,
}

struct Chaos<'a> {
    deployment: Deployment,
    workers: Vec<Worker>,
    traffic: &'a Traffic,
    rng: StdRng,
    /// A folder with an older copy of what Redis has on disk.
    snapshot: Option<PathBuf>,
    /// What workers that are gone had printed.
    printed: Vec<String>,
    done: BTreeMap<Fault, u32>,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn deployment() -> Deployment {
    // Written at once, not synced: what Redis has answered survives SIGKILL.
    let redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "no", "--enable-debug-command", "yes"]);
    Deployment::with_redis(PARTITIONS, &[], redis)
}

fn launch(deployment: &Deployment, name: Option<String>) -> Worker {
    let mut properties = "session.timeout.ms=6000,heartbeat.interval.ms=1500".to_owned();
    name.iter().for_each(|name| properties.push_str(&format!(",group.instance.id={name}")));
    let mut env = deployment.env();
    env.extend([("INDELIBLE_ROLE", "worker"), ("INDELIBLE_LOG_FORMAT", "json")]);
    env.push(("INDELIBLE_KAFKA_PROPERTIES", &properties));
    Worker { running: Program::launch(&env), name, frozen: None }
}

/// Runs `break_things` under load, heals everything and holds the answers to the oracle's.
fn under_load(named: bool, break_things: impl FnOnce(&mut Chaos<'_>)) {
    let seed = setting("INDELIBLE_SEED").unwrap_or_else(rand::random);
    println!("INDELIBLE_SEED={seed}");
    let deployment = deployment();
    let mut api_env = deployment.env();
    api_env.push(("INDELIBLE_ROLE", "api"));
    let traffic = Traffic::default();
    let generator = Generator::new(seed, PARTITIONS);
    let name = |number| named.then(|| format!("worker-{number}"));
    let workers = (0..WORKERS).map(|number| launch(&deployment, name(number))).collect();
    // Not ready before a worker has begun.
    let api = Program::serve(&api_env);
    let (rng, topic, url) = (StdRng::seed_from_u64(seed), deployment.topic.clone(), api.api_url());
    let (snapshot, printed, done) = (None, Vec::new(), BTreeMap::new());
    let mut chaos = Chaos { deployment, workers, traffic: &traffic, rng, snapshot, printed, done };
    // A restore to before the first start of a partition is lost state, and another test's.
    chaos.deployment.await_counted();
    let faults = std::thread::scope(|scope| {
        let _stop = StopAtEnd(&traffic);
        scope.spawn(|| traffic.produce(&topic, generator));
        let watching = scope.spawn(|| traffic.watch(&url));
        break_things(&mut chaos);
        chaos.heal();
        traffic.stop();
        watching.join().expect("the reader does not panic")
    });
    chaos.verdict(&api, faults);
}

/// Lets the threads end when a test panics.
struct StopAtEnd<'a>(&'a Traffic);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Chaos<'_> {
    /// SIGKILL, and keeps what it has printed; returns its name.
    fn bury(&mut self, at: usize) -> Option<String> {
        let mut worker = self.workers.swap_remove(at);
        worker.running.child.kill();
        self.printed.push(worker.running.child.output());
        worker.name
    }

    /// No worker ever ends by itself.
    fn look_after_workers(&mut self, wake_all: bool) {
        for worker in &mut self.workers {
            if worker.frozen.is_some_and(|until| wake_all || until <= Instant::now()) {
                worker.running.child.cont();
                worker.frozen = None;
            }
            if let Some(status) = worker.running.child.exited() {
                panic!("a worker ended by itself with {status}");
            }
        }
    }

    /// All workers that are awake say that they are ready, or that they are not.
    fn await_readiness(&mut self, ready: bool) {
        eventually(NOTICE, &format!("all workers to have readiness {ready}"), || {
            self.look_after_workers(false);
            let mut awake = self.workers.iter().filter(|worker| worker.frozen.is_none());
            awake.all(|worker| worker.running.is_ready() == ready).then_some(())
        });
    }

    fn heal(&mut self) {
        self.look_after_workers(true);
        self.await_readiness(true);
    }

    fn verdict(mut self, api: &Running, mut faults: Vec<String>) {
        let healed = Instant::now();
        self.deployment.await_counted();
        let lag = |worker: &Worker| {
            let text = worker.running.ops("/metrics").body;
            let lags = text.lines().filter(|line| line.starts_with("indelible_lag_records{"));
            lags.map(|line| line.rsplit(' ').next().and_then(|lag| lag.parse::<i64>().ok()).expect("a lag"))
                .sum::<i64>()
        };
        eventually(NOTICE, "no lag", || (self.workers.iter().map(lag).sum::<i64>() == 0).then_some(()));
        let healed = healed.elapsed();
        self.look_after_workers(false);
        let counted = oracle::differences(&self.deployment.env(), Some(&api.api_url()), &["--dlq"]);
        let counted = counted.unwrap_or_else(|differences| {
            faults.push(differences.clone());
            differences
        });
        while !self.workers.is_empty() {
            self.bury(0);
        }
        let mut sessions = BTreeMap::<_, u32>::new();
        for line in self.printed.iter().flat_map(|printed| printed.lines()) {
            let parsed: Value = serde_json::from_str(line).unwrap_or_default();
            if parsed["level"] == "ERROR" || parsed.is_null() {
                faults.push(format!("a worker printed: {line}"));
            }
            if let Some(failure) = parsed["failure"].as_str() {
                *sessions.entry(failure.to_owned()).or_default() += 1;
            }
        }
        println!("faults: {:?}\nsessions that ended: {sessions:?}\n{counted}", self.done);
        let reads = self.traffic.reads.load(Ordering::Relaxed);
        println!("{reads} reads meanwhile; all counted {healed:.1?} after the heal; {} differences", faults.len());
        if let Ok(folder) = std::env::var("INDELIBLE_CHAOS_LOGS") {
            fs::write(Path::new(&folder).join(format!("{}.log", self.deployment.topic)), self.printed.join("\n----\n"))
                .expect("a folder for logs");
        }
        assert!(faults.is_empty(), "{:#?}", &faults[..faults.len().min(20)]);
    }
}

#[test]
fn every_number_is_exact_whatever_breaks() {
    let seconds = Duration::from_secs(setting("INDELIBLE_CHAOS_SECONDS").unwrap_or(45));
    under_load(false, |chaos| {
        let end = Instant::now() + seconds;
        let mut next = FAULTS.to_vec();
        while Instant::now() < end {
            // Every kind comes up once before any comes again.
            if next.is_empty() {
                next = FAULTS.to_vec();
            }
            let fault = *next.choose(&mut chaos.rng).expect("a fault is left");
            next.retain(|other| *other != fault);
            let begun = Instant::now();
            chaos.fault(fault);
            println!("{:4} s before the end: {fault:?}, {:.1?}", (end - begun).as_secs(), begun.elapsed());
            std::thread::sleep(Duration::from_millis(chaos.rng.random_range(1000..2000)));
            chaos.look_after_workers(false);
            if chaos.snapshot.is_none() || chaos.rng.random_bool(0.15) {
                chaos.take_snapshot();
            }
        }
    });
}

#[test]
fn a_worker_killed_forty_times_in_a_row_loses_and_doubles_nothing() {
    under_load(true, |chaos| {
        for _ in 0..40 {
            std::thread::sleep(Duration::from_millis(chaos.rng.random_range(50..1200)));
            chaos.fault(Fault::WorkerKilled);
            chaos.look_after_workers(false);
        }
    });
}
