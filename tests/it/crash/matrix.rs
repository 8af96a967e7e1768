//! Every point, many times: a worker under load dies there by SIGKILL, its heir goes on, and all is held to the oracle.
//!
//! `INDELIBLE_CRASH_TIMES` each (3), at passes chosen by `INDELIBLE_SEED` (any), which is printed. Each point prints
//! a line for `make faults`.

use std::ops::RangeInclusive;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::generator::{Generator, PLANS};
use crate::support::deployment::Deployment;
use crate::support::oracle;
use crate::support::program::{Program, Running};
use crate::support::wait::{START, eventually};

const PARTITIONS: i32 = 6;
/// A static member of the group: whoever bears the name next takes over at once, without a rebalance.
const VICTIM: &str = "victim";
/// Until the point's pass has come, on a busy machine.
const CRASH: Duration = Duration::from_secs(90);
const SIGKILL: i32 = 9;

/// What leads to the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Events come.
    Load,
    /// Another worker joins and takes half of the partitions.
    Join,
    /// SIGTERM.
    Stop,
}

#[test]
fn after_a_poll() {
    dies_at("after_poll", 1..=40, Cause::Load);
}

#[test]
fn before_the_script_is_sent() {
    dies_at("before_script", 1..=400, Cause::Load);
}

#[test]
fn after_the_script_is_sent() {
    dies_at("after_script_sent", 1..=400, Cause::Load);
}

#[test]
fn after_the_scripts_reply() {
    dies_at("after_reply", 1..=400, Cause::Load);
}

#[test]
fn before_a_dead_letters_acknowledgement() {
    dies_at("before_letter_ack", 1..=5, Cause::Load);
}

#[test]
fn after_a_dead_letters_acknowledgement() {
    dies_at("after_letter_ack", 1..=5, Cause::Load);
}

#[test]
fn in_revoke() {
    dies_at("in_revoke", 1..=2, Cause::Join);
}

#[test]
fn in_assign() {
    dies_at("in_assign", 1..=2, Cause::Load);
}

#[test]
fn in_shutdown() {
    dies_at("in_shutdown", 1..=2, Cause::Stop);
}

struct Bench {
    deployment: Deployment,
    api: Running,
    generator: Generator,
    /// The other member of the group; it may come and go.
    other: Running,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[track_caller]
fn dies_at(point: &str, passes: RangeInclusive<u64>, cause: Cause) {
    let times = setting("INDELIBLE_CRASH_TIMES").unwrap_or(3);
    let seed = setting("INDELIBLE_SEED").unwrap_or_else(rand::random);
    println!("INDELIBLE_SEED={seed}");
    let (mut bench, mut rng, begun) = (Bench::new(seed), StdRng::seed_from_u64(seed), std::time::Instant::now());
    let (first, count) = (*passes.start(), passes.end() - passes.start() + 1);
    let mut differences = Vec::new();
    for time in 0..times {
        // From each of so many equal parts of the range one, so that all of it is seen.
        let pass = first + (time * count + rng.random_range(0..count)) / times;
        bench.crash(point, pass, cause);
        let (env, api) = (bench.deployment.env(), bench.api.api_url());
        if let Err(found) = oracle::differences(&env, Some(&api), &["--dlq", "--most", "10"]) {
            differences.push(format!("after the crash at {point}:{pass}: {found}"));
        }
    }
    let equal = times - differences.len() as u64;
    println!("crash point {point}: crashed {times} equal {equal} seconds {}", begun.elapsed().as_secs());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn worker(deployment: &Deployment, name: Option<&str>, crash: Option<&str>) -> Running {
    let properties = match name {
        Some(name) => format!("session.timeout.ms=6000,heartbeat.interval.ms=500,group.instance.id={name}"),
        None => "session.timeout.ms=3000,heartbeat.interval.ms=500".to_owned(),
    };
    let mut env = deployment.env();
    env.extend([("INDELIBLE_ROLE", "worker"), ("INDELIBLE_KAFKA_PROPERTIES", &properties)]);
    env.extend(crash.map(|crash| ("INDELIBLE_CRASH", crash)));
    Program::launch(&env)
}

#[track_caller]
fn await_assigned(worker: &Running, partitions: i32) {
    eventually(START, "a worker to live", || worker.is_live().then_some(()));
    let assigned = || worker.metric("indelible_assigned_partitions") == Some(f64::from(partitions));
    eventually(START, &format!("{partitions} partitions"), || assigned().then_some(()));
}

impl Bench {
    fn new(seed: u64) -> Self {
        let deployment = Deployment::new(PARTITIONS).with_notices(PLANS);
        let mut api_env = deployment.env();
        api_env.push(("INDELIBLE_ROLE", "api"));
        let other = worker(&deployment, None, None);
        await_assigned(&other, PARTITIONS);
        let api = Program::serve(&api_env);
        Self { deployment, api, generator: Generator::new(seed, PARTITIONS).with_poison(6), other }
    }

    fn load(&mut self) {
        self.generator.send(&self.deployment.topic, 60);
    }

    /// Crashes a worker at that pass, and lets another go on from where it died.
    #[track_caller]
    fn crash(&mut self, point: &str, pass: u64, cause: Cause) {
        if cause == Cause::Join {
            self.other.child.terminate();
            assert!(self.other.child.wait(START).success(), "{}", self.other.child.output());
        }
        // Who takes a static member's place is not told that half of a cooperative rebalance is still to come.
        let name = (cause != Cause::Join).then_some(VICTIM);
        let mut victim = worker(&self.deployment, name, Some(&format!("{point}:{pass}")));
        match cause {
            Cause::Load => {}
            Cause::Join => {
                await_assigned(&victim, PARTITIONS);
                self.other = worker(&self.deployment, None, None);
            }
            Cause::Stop => {
                eventually(START, "the victim to be ready", || victim.is_ready().then_some(()));
                self.load();
                victim.child.terminate();
            }
        }
        let status = eventually(CRASH, &format!("a crash at {point}:{pass}"), || {
            self.load();
            victim.child.exited()
        });
        assert_crashed(&victim, status, point, pass);
        self.load();
        let heir = worker(&self.deployment, name, None);
        self.load();
        self.deployment.await_counted();
        drop(heir);
    }
}

/// It has come to the point and ended there, by no other signal or exit.
#[track_caller]
fn assert_crashed(victim: &Running, status: ExitStatus, point: &str, pass: u64) {
    let (output, last) = (victim.child.output(), format!("crash point {point} reached, pass {pass}\n"));
    assert!(status.signal() == Some(SIGKILL) && output.contains(&last), "{status} instead of {last}{output}");
}
