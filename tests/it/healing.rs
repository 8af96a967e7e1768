//! What Redis does without anybody's help: it loads, it follows a master, it comes back with less than it had. The
//! worker waits and says why, and counts again what is missing.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use redis::{RedisResult, cmd};

use crate::support::deployment::Deployment;
use crate::support::port::free_port;
use crate::support::program::{Program, Running};
use crate::support::redis::Redis;
use crate::support::rounds::Rounds;
use crate::support::wait::{START, eventually};

/// Sends a round and ends when it is counted.
#[track_caller]
fn count_one(deployment: &Deployment, rounds: &Rounds) {
    let mut running = deployment.serve();
    rounds.send(deployment);
    rounds.check(&running);
    ends(&mut running);
}

/// In order: the group then knows at once that it is gone.
#[track_caller]
fn ends(running: &mut Running) {
    running.child.terminate();
    assert!(running.child.wait(START).success());
}

/// Only the worker's readiness is of interest.
fn worker(deployment: &Deployment) -> Running {
    Program::launch(&[&deployment.env()[..], &[("INDELIBLE_ROLE", "worker")]].concat())
}

#[test]
fn a_server_that_loads_is_waited_for_also_when_it_is_killed_meanwhile() {
    // 50 ms for every key, so that it takes longer than the second in which the worker says how it is; and an ear for
    // clients in between.
    let slow = ["--key-load-delay", "50000", "--loading-process-events-interval-bytes", "1024"];
    let (mut deployment, rounds) = (Deployment::with_redis(2, &[], Redis::start_with(&slow)), Rounds::default());
    count_one(&deployment, &rounds);
    rounds.send(&deployment);
    deployment.redis.ask::<()>("SAVE", &[]);
    deployment.redis.restart_unready();
    let mut running = worker(&deployment);
    running.await_red("loading the dataset");
    deployment.redis.restart_unready();
    running.await_red("loading the dataset");
    running.await_green();
    rounds.send(&deployment);
    // While it counts, too.
    deployment.redis.ask::<()>("SAVE", &[]);
    deployment.redis.restart_unready();
    running.await_red("loading the dataset");
    running.await_green();
    ends(&mut running);
    rounds.check(&deployment.serve());
}

#[test]
fn a_replica_is_waited_for_until_it_is_a_master() {
    let master = Redis::start_with(&["--repl-diskless-sync-delay", "0"]);
    let (deployment, rounds) = (Deployment::new(2), Rounds::default());
    let redis = &deployment.redis;
    redis.ask::<()>("REPLICAOF", &["127.0.0.1", &master.port().to_string()]);
    let mut running = worker(&deployment);
    running.await_red("read only replica");
    redis.ask::<()>("REPLICAOF", &["NO", "ONE"]);
    running.await_green();
    ends(&mut running);

    // One that has lost its master and answers nothing.
    redis.ask::<()>("CONFIG", &["SET", "replica-serve-stale-data", "no"]);
    redis.ask::<()>("REPLICAOF", &["127.0.0.1", &free_port().to_string()]);
    let mut running = worker(&deployment);
    running.await_red("MASTER is down");
    redis.ask::<()>("REPLICAOF", &["NO", "ONE"]);
    running.await_green();
    ends(&mut running);
    count_one(&deployment, &rounds);
}

/// The file that grows with every write.
fn append_only_file(redis: &Redis) -> PathBuf {
    let dir = fs::read_dir(redis.dir().join("appendonlydir")).expect("it appends");
    let mut files = dir.map(|entry| entry.expect("an entry").path());
    files.find(|path| path.to_string_lossy().ends_with(".incr.aof")).expect("a file of increments")
}

#[test]
fn an_append_only_file_that_lost_its_end_is_counted_on_from() {
    let redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (mut deployment, rounds) = (Deployment::with_redis(2, &[], redis), Rounds::default());
    count_one(&deployment, &rounds);
    let kept = fs::metadata(append_only_file(&deployment.redis)).expect("a file").len();
    count_one(&deployment, &rounds);
    deployment.redis.kill();
    // In the middle of what the second round has written, most likely of a command.
    let file = append_only_file(&deployment.redis);
    let all = fs::metadata(&file).expect("a file").len();
    assert!(all > kept);
    let cut = OpenOptions::new().write(true).open(&file).expect("the file can be written");
    cut.set_len(kept + (all - kept) / 2).expect("the file can be cut");
    deployment.redis.restart();
    rounds.check(&deployment.serve());
}

#[test]
fn an_older_snapshot_is_counted_on_from() {
    let (mut deployment, rounds) = (Deployment::new(2), Rounds::default());
    count_one(&deployment, &rounds);
    deployment.redis.ask::<()>("SAVE", &[]);
    count_one(&deployment, &rounds);
    deployment.redis.restart();
    let keys: i64 = deployment.redis.ask("DBSIZE", &[]);
    assert!(keys > 64, "the snapshot was loaded");
    rounds.check(&deployment.serve());
}

#[test]
fn a_replica_that_was_promoted_before_it_had_all_is_counted_on_from() {
    let (deployment, rounds) = (Deployment::new(2), Rounds::default());
    count_one(&deployment, &rounds);
    let replica = Redis::start_with(&["--repl-diskless-sync-delay", "0"]);
    replica.ask::<()>("REPLICAOF", &["127.0.0.1", &deployment.redis.port().to_string()]);
    eventually(START, "the replica to have all", || {
        let states: RedisResult<Vec<String>> = cmd("KEYS").arg("indelible:*:state").query(&mut replica.connection());
        (states.ok()?.len() == 64).then_some(())
    });
    replica.ask::<()>("REPLICAOF", &["NO", "ONE"]);
    count_one(&deployment, &rounds);
    let deployment = deployment.set("INDELIBLE_REDIS_URL", &replica.url());
    rounds.check(&deployment.serve());
}
