//! Networks that lose replies, or say nothing any more: each once and on purpose, where `soak` does it at random.

use std::time::Duration;

use crate::support::deployment::Deployment;
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Redis;
use crate::support::redis_cluster::RedisCluster;
use crate::support::rounds::Rounds;
use crate::support::wait::{START, eventually};

/// A deployment whose one Redis is behind a proxy.
fn behind_a_proxy() -> (Deployment, Proxy) {
    let (deployment, proxy) = (Deployment::new(3), Proxy::start());
    proxy.lead_to(deployment.redis.port());
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    (deployment.set("INDELIBLE_REDIS_URL", &url), proxy)
}

#[test]
fn a_call_whose_reply_is_lost_is_counted_once() {
    let (deployment, proxy) = behind_a_proxy();
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        for times in 1..=5 {
            proxy.set(Mode::Cut);
            eventually(START, "a connection to be cut", || (proxy.cut() >= times).then_some(()));
            proxy.set(Mode::Pass);
            rounds.await_progress(&running);
        }
    });
    rounds.check(&running);
    assert!(running.metric(r#"indelible_store_errors_total{kind="unavailable"}"#) >= Some(1.0));
}

/// The worker's connection never hears again, whatever becomes of the network; only giving it up helps.
#[track_caller]
fn recovers_from(mode: Mode) {
    let (deployment, proxy) = behind_a_proxy();
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        proxy.set(mode);
        proxy.set(Mode::Pass);
        rounds.await_progress(&running);
    });
    rounds.check(&running);
    assert!(running.metric(r#"indelible_store_errors_total{kind="unavailable"}"#) >= Some(1.0));
}

#[test]
fn a_connection_that_is_half_open_is_given_up_and_all_is_counted() {
    recovers_from(Mode::Silent);
}

#[test]
fn calls_that_arrive_on_a_connection_without_replies_are_counted_once() {
    recovers_from(Mode::Mute);
}

#[test]
fn a_slow_network_is_no_trouble() {
    let (deployment, proxy) = behind_a_proxy();
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        proxy.set(Mode::Slow(Duration::from_millis(300)));
        rounds.await_progress(&running);
        proxy.set(Mode::Pass);
    });
    rounds.check(&running);
}

/// As when a machine loses its power: it is replaced, and does not even refuse those who still come to it.
#[test]
fn a_master_of_a_cluster_that_falls_silent_is_replaced() {
    let mut cluster = Redis::cluster();
    let deployment = Deployment::new(3).set("INDELIBLE_REDIS_URL", &cluster.url());
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        cluster.nodes[0].process().expect("it runs").stop();
        eventually(START, "the replica to be promoted", || cluster.is_master(3).then_some(()));
        rounds.await_progress(&running);
        rounds.await_progress(&running);
        cluster.nodes[0].process().expect("it runs").cont();
        rounds.await_progress(&running);
    });
    rounds.check(&running);
}

/// How often the cluster has sent a client elsewhere, or told it to come again, in the middle of a migration.
fn redirected(cluster: &RedisCluster) -> u64 {
    let of = |node: &Redis| -> u64 {
        let stats: String = node.ask("INFO", &["errorstats"]);
        let counts = stats.lines().filter_map(|line| {
            let (code, count) = line.strip_prefix("errorstat_")?.split_once(":count=")?;
            if matches!(code, "ASK" | "TRYAGAIN") { count.trim().parse::<u64>().ok() } else { None }
        });
        counts.sum()
    };
    cluster.masters().map(of).sum()
}

#[test]
fn slots_that_move_while_events_flow_are_counted_exactly() {
    let cluster = RedisCluster::behind_proxies();
    let deployment = Deployment::new(3).set("INDELIBLE_REDIS_URL", &cluster.url());
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            let master = &cluster.nodes[from];
            let states: Vec<String> = master.ask("KEYS", &["indelible:*:state"]);
            let keys = |state: &&String| -> u64 {
                let slot: u64 = master.ask("CLUSTER", &["KEYSLOT", state]);
                master.ask("CLUSTER", &["COUNTKEYSINSLOT", &slot.to_string()])
            };
            let busiest = states.iter().max_by_key(keys).expect("a shard has some of the buckets");
            let before = redirected(&cluster);
            // Every bucket moves along every two seconds: the next call meets a slot of which a part has moved.
            cluster.migrate(busiest, from, to, || {
                eventually(START, "a call to be redirected", || (redirected(&cluster) > before).then_some(()));
            });
            rounds.await_progress(&running);
        }
    });
    rounds.check(&running);
    assert!(running.is_live());
}
