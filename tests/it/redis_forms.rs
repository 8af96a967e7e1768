//! Every form of Redis that a deployment can have, by the running program: the sums are exact over each, and over
//! what happens to each.

use std::process::Command;

use redis::{Client, Connection, FromRedisValue, RedisResult, cmd};
use tempfile::TempDir;

use crate::support::authority::Authority;
use crate::support::child::Child;
use crate::support::deployment::Deployment;
use crate::support::oracle;
use crate::support::port::free_port;
use crate::support::program::Program;
use crate::support::redis::Redis;
use crate::support::rounds::Rounds;
use crate::support::wait::{START, eventually};

fn on(url: &str) -> Deployment {
    Deployment::new(3).set("INDELIBLE_REDIS_URL", url)
}

/// Counts a few rounds, over a restart of the program, too.
#[track_caller]
fn counts(deployment: &Deployment) {
    let rounds = Rounds::default();
    for _ in 0..2 {
        let running = deployment.serve();
        rounds.send(deployment);
        rounds.check(&running);
        oracle::assert_equal(&deployment.env(), None);
    }
}

/// The program ends by itself, not well, and says `what`.
#[track_caller]
fn refuses(deployment: &Deployment, what: &str) {
    let mut running = Program::launch(&deployment.env());
    assert!(!running.child.wait(START).success());
    assert!(running.child.output().contains(what), "{}", running.child.output());
}

#[test]
fn over_a_unix_socket() {
    let redis = Redis::start();
    counts(&on(&format!("unix://{}", redis.socket().display())));
}

#[test]
fn as_a_user_with_few_rights() {
    let redis = Redis::start();
    let rights = ["SETUSER", "meter", "on", ">p@ss:/word", "~indelible:*", "+@all", "-@dangerous", "+info"];
    redis.ask::<()>("ACL", &rights);
    redis.ask::<()>("ACL", &["SETUSER", "default", "-@all", "+ping"]);
    let port = redis.port();
    counts(&on(&format!("redis://meter:p%40ss%3A%2Fword@127.0.0.1:{port}")));

    let wrong = on(&format!("redis://meter:wrong@127.0.0.1:{port}"));
    Program::launch(&wrong.env()).await_red("Password authentication failed");
}

#[test]
fn over_tls_of_a_private_authority() {
    let authority = Authority::new();
    let ((certificate, key), ca) = (authority.issue("it"), authority.certificate());
    let port = free_port().to_string();
    let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let _redis = Redis::start_with(&[&["--tls-port", &port, "--tls-auth-clients", "no"], &files[..]].concat());
    let url = format!("rediss://127.0.0.1:{port}");
    counts(&on(&url).set("SSL_CERT_FILE", &ca));
    // An authority that nobody has told it of.
    Program::launch(&on(&url).env()).await_red("invalid peer certificate");
}

#[test]
fn over_a_cluster_that_loses_a_master() {
    let mut cluster = Redis::cluster();
    let deployment = on(&cluster.url());
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        cluster.nodes[0].kill();
        eventually(START, "the replica to be promoted", || cluster.is_master(3).then_some(()));
        rounds.await_progress(&running);
    });
    rounds.check(&running);
    running.await_green();
    // The dead one comes back as a replica.
    cluster.nodes[0].restart();
    rounds.flow(&deployment, || rounds.await_progress(&running));
    rounds.check(&running);
    oracle::assert_equal(&deployment.env(), None);
}

/// `redis-server --sentinel`
struct Sentinel {
    port: u16,
    _process: Child,
    _dir: TempDir,
}

impl Sentinel {
    fn start(master: &Redis) -> Self {
        let (dir, port) = (TempDir::new().expect("a temporary folder"), free_port());
        let config = dir.path().join("sentinel.conf");
        let watched = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor counts 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds counts 2000\nsentinel failover-timeout counts 10000\n",
            master.port()
        );
        std::fs::write(&config, watched).expect("the folder can be written");
        let mut command = Command::new("redis-server");
        let process = Child::spawn("sentinel", dir.path(), command.arg(&config).arg("--sentinel"));
        Self { port, _process: process, _dir: dir }
    }

    fn ask<T: FromRedisValue>(&self, args: &[&str]) -> RedisResult<T> {
        let mut connection: Connection = Client::open(format!("redis://127.0.0.1:{}", self.port))?.get_connection()?;
        cmd("SENTINEL").arg(args).query(&mut connection)
    }

    /// Whether it knows the master, one replica and both other sentinels.
    fn sees_all(&self) -> Option<()> {
        let replicas: Vec<Vec<String>> = self.ask(&["replicas", "counts"]).ok()?;
        let sentinels: Vec<Vec<String>> = self.ask(&["sentinels", "counts"]).ok()?;
        (replicas.len() == 1 && sentinels.len() == 2).then_some(())
    }
}

#[test]
fn over_sentinels_that_fail_over() {
    let quick = ["--repl-diskless-sync-delay", "0"];
    let (master, replica) = (Redis::start_with(&quick), Redis::start_with(&quick));
    replica.ask::<()>("REPLICAOF", &["127.0.0.1", &master.port().to_string()]);
    let state = |redis: &Redis| redis.ask::<String>("INFO", &["replication"]);
    eventually(START, "the replica", || state(&replica).contains("master_link_status:up").then_some(()));
    let sentinels = [(); 3].map(|()| Sentinel::start(&master));
    let hosts: Vec<_> = sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
    let deployment = on(&format!("redis+sentinel://{}/counts", hosts.join(",")));
    for sentinel in &sentinels {
        eventually(START, "the sentinels to see all", || sentinel.sees_all());
    }
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        // Refused until it has seen the replica's own report.
        eventually(START, "the fail-over to begin", || sentinels[0].ask::<()>(&["failover", "counts"]).ok());
        eventually(START, "the replica to be promoted", || state(&replica).contains("role:master").then_some(()));
        eventually(START, "the master to be a replica", || state(&master).contains("role:slave").then_some(()));
        rounds.await_progress(&running);
    });
    rounds.check(&running);
    running.await_green();
}

#[test]
fn a_namespace_of_another_group_is_refused_and_one_that_may_be_evicted() {
    let deployment = Deployment::new(1);
    counts(&deployment);
    let deployment = deployment.set("INDELIBLE_KAFKA_GROUP", "another");
    refuses(&deployment, "start once with `indelible serve --takeover`");
    let evicting = Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    refuses(&on(&evicting.url()), "redis has maxmemory-policy allkeys-lru");
}

#[test]
fn a_server_that_refuses_at_the_start_turns_readiness_red_and_is_named() {
    let deployment = Deployment::new(1);
    let full = |bytes| deployment.redis.ask::<()>("CONFIG", &["SET", "maxmemory", bytes]);
    full("1");
    let running = Program::launch(&deployment.env());
    running.await_red("OOM");
    full("0");
    running.await_green();
}
