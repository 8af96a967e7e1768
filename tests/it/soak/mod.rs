//! `make soak`: three workers under load while everything around them breaks, every few seconds something else; in
//! the end every number is held to the oracle's.
//!
//! `INDELIBLE_SOAK_SECONDS` of faults (120), by `INDELIBLE_SEED` (any), which is printed. `INDELIBLE_SOAK_LOGS` names
//! a folder that gets what the workers printed.

mod faults;
mod kafka_faults;
mod network_faults;
mod redis_faults;
mod stage;
mod traffic;
mod worker_faults;
mod workers;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::faults::{Fault, Order};
use self::stage::{PARTITIONS, Stage};
use self::traffic::Traffic;
use self::workers::Workers;
use crate::generator::Generator;
use crate::support::program::{Program, Running};
use crate::support::redis_cluster::Snapshot;
use crate::support::wait::{START, eventually, within};

const WORKERS: usize = 3;
/// After the last fault all must be counted within this time.
const CATCH_UP: Duration = Duration::from_secs(60);
/// A machine that is too slow for one fault of every kind by then has told us nothing.
const OVERTIME: Duration = Duration::from_secs(300);

/// What faults break, and how far they have come.
struct Soak<'a> {
    stage: Stage,
    workers: Workers,
    traffic: &'a Traffic,
    rng: StdRng,
    /// An older state of one shard.
    snapshot: Option<Snapshot>,
    done: BTreeMap<Fault, u32>,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Lets the threads end when a test panics.
struct StopAtEnd<'a>(&'a Traffic);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[test]
fn every_number_is_exact_whatever_breaks() {
    let seed = setting("INDELIBLE_SEED").unwrap_or_else(rand::random);
    let time = Duration::from_secs(setting("INDELIBLE_SOAK_SECONDS").unwrap_or(120));
    println!("INDELIBLE_SEED={seed}, {} s", time.as_secs());
    let (stage, traffic) = (Stage::set(), Traffic::default());
    let (bootstrap, topic) = (stage.kafka.bootstrap(), stage.topic());
    let mut soak = Soak {
        stage,
        workers: Workers::default(),
        traffic: &traffic,
        rng: StdRng::seed_from_u64(seed),
        snapshot: None,
        done: BTreeMap::new(),
    };
    for _ in 0..WORKERS {
        soak.workers.launch(&soak.stage);
    }
    // A restore to before the first start of a partition is lost state, and another test's.
    eventually(START, "every partition to have a first watermark", || soak.stage.behind().is_none().then_some(()));
    let env = soak.stage.env();
    let mut env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    env.push(("INDELIBLE_ROLE", "api"));
    let api = Program::serve(&env);
    let (url, generator) = (api.api_url(), Generator::new(seed, PARTITIONS));
    let (faults, last) = std::thread::scope(|scope| {
        let _stop = StopAtEnd(&traffic);
        let sending = scope.spawn(|| traffic.produce(&bootstrap, topic, generator));
        let watching = scope.spawn(|| traffic.watch(&url));
        soak.break_things(time);
        let last = Instant::now();
        soak.heal();
        traffic.stop();
        sending.join().expect("the producer does not panic");
        (watching.join().expect("the reader does not panic"), last)
    });
    soak.verdict(&api, faults, last);
}

impl Soak<'_> {
    /// Until the time is over and every kind has come up.
    fn break_things(&mut self, time: Duration) {
        let (begun, mut order) = (Instant::now(), Order::default());
        while begun.elapsed() < time || self.done.len() < Fault::ALL.len() {
            assert!(begun.elapsed() < time + OVERTIME, "this machine is too slow for a soak: {:?}", self.done);
            let fault = order.next(&mut self.rng);
            let at = Instant::now();
            self.look_after();
            self.fault(fault);
            *self.done.entry(fault).or_default() += 1;
            println!("{:4} s: {fault:?}, {:.1?}", begun.elapsed().as_secs(), at.elapsed());
            std::thread::sleep(Duration::from_millis(self.rng.random_range(500..2000)));
            self.look_after();
        }
    }

    /// Wakes who has stood still for long enough, and sees that all are alive.
    fn look_after(&mut self) {
        self.workers.look_after(false);
        if self.snapshot.is_none() {
            let shard = self.shard();
            self.snapshot = Some(self.stage.redis.snapshot(shard));
        }
    }

    fn heal(&mut self) {
        self.calm();
        self.workers.look_after(true);
    }

    fn verdict(mut self, api: &Running, mut faults: Vec<String>, last: Instant) {
        let mut behind = None;
        let caught_up = within((last + CATCH_UP).saturating_duration_since(Instant::now()), || {
            self.workers.look_after(false);
            behind = self.stage.behind();
            (behind.is_none() && self.workers.lag() == 0 && self.workers.are_ready()).then_some(())
        })
        .is_some();
        let took = last.elapsed();
        if !caught_up {
            let behind = behind.unwrap_or_else(|| "a worker is not ready, or sees lag".to_owned());
            faults.push(format!("not all was counted {took:.1?} after the last fault: {behind}"));
        }
        let compared = self.stage.differences(api);
        let equal = compared.is_ok();
        let counted = compared.unwrap_or_else(|differences| {
            faults.push(differences);
            String::new()
        });
        let (errors, sessions) = self.workers.end();
        faults.extend(errors);
        println!("faults: {:?}\nsessions that ended: {sessions:?}\n{counted}", self.done);
        println!("reads meanwhile: {}", self.traffic.reads());
        println!("oracle equal: {equal}; all counted, and lag 0, {took:.1?} after the last fault: {caught_up}");
        println!("verdict: {}", if faults.is_empty() { "exact" } else { "WRONG" });
        assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), &faults[..faults.len().min(20)]);
    }
}
