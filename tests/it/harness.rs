//! The harness itself: what the other tests build on.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};

use crate::support::child::Child;
use crate::support::kafka::{Kafka, Record};
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Redis;
use crate::support::wait::{eventually, within};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_record_comes_back_from_kafka_as_it_was_sent() {
    let kafka = Kafka::shared();
    let topic = Kafka::unique("harness.records");
    kafka.create_topic(&topic, 3, &[("retention.ms", "-1")]);
    let full = Record {
        partition: Some(1),
        key: Some("acme:alice"),
        value: Some(b"{}"),
        headers: &[("ce_id", "1"), ("ce_type", "ai.usage.recorded.v1")],
        timestamp: Some(1_700_000_000_000),
    };
    assert_eq!(kafka.produce(&topic, full), (1, 0));
    let tombstone = Record { value: None, ..full };
    assert_eq!(kafka.produce_all(&topic, [tombstone, full]), [(1, 1), (1, 2)]);
    kafka.produce(&topic, Record { partition: Some(2), ..Record::default() });

    let records = kafka.read_all(&topic);
    let places: Vec<_> = records.iter().map(|r| (r.partition(), r.offset())).collect();
    assert_eq!(places.len(), 4, "{places:?}");
    let of = |place| records.iter().find(|r| (r.partition(), r.offset()) == place).expect("a record");
    let first = of((1, 0));
    assert_eq!(first.key(), Some(b"acme:alice".as_slice()));
    assert_eq!(first.payload(), Some(b"{}".as_slice()));
    assert_eq!(first.timestamp().to_millis(), Some(1_700_000_000_000));
    assert_eq!(headers(first), [("ce_id", "1"), ("ce_type", "ai.usage.recorded.v1")]);
    assert_eq!(of((1, 1)).payload(), None);
    assert_eq!((of((2, 0)).key(), of((2, 0)).payload()), (None, None));
}

fn headers(message: &OwnedMessage) -> Vec<(&str, &str)> {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    headers.map(|h| (h.key, str::from_utf8(h.value.unwrap_or_default()).expect("text"))).collect()
}

#[test]
fn a_broker_keeps_its_records_over_a_restart() {
    let mut kafka = Kafka::start();
    kafka.create_topic("harness.restart", 1, &[]);
    kafka.produce("harness.restart", Record { value: Some(b"before"), ..Record::default() });
    kafka.stop();
    kafka.restart();
    kafka.produce("harness.restart", Record { value: Some(b"after"), ..Record::default() });
    let values: Vec<_> = kafka.read_all("harness.restart").iter().map(|r| r.payload().map(<[u8]>::to_vec)).collect();
    assert_eq!(values, [Some(b"before".to_vec()), Some(b"after".to_vec())]);
}

#[test]
fn redis_comes_back_empty_on_the_same_port() {
    let mut redis = Redis::start();
    redis.ask::<()>("SET", &["key", "value"]);
    assert_eq!(redis.ask::<Vec<String>>("CONFIG", &["GET", "maxmemory-policy"])[1], "noeviction");
    let url = redis.url();
    redis.restart();
    assert_eq!(redis.url(), url);
    assert_eq!(redis.ask::<Option<String>>("GET", &["key"]), None);
}

#[test]
fn redis_takes_settings_and_keeps_its_data_if_told_to() {
    let mut redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    redis.ask::<()>("SET", &["key", "value"]);
    redis.kill();
    redis.restart();
    assert_eq!(redis.ask::<Option<String>>("GET", &["key"]).as_deref(), Some("value"));
}

#[test]
fn a_cluster_takes_writes_on_every_master_and_its_replicas_follow() {
    let cluster = Redis::cluster();
    for (i, (master, replica)) in cluster.nodes[..3].iter().zip(&cluster.nodes[3..]).enumerate() {
        // The master whose slot it is takes the key; the others point to it.
        let key = (0..).map(|n| format!("key-{n}")).find(|key| third(master.ask("CLUSTER", &["KEYSLOT", key])) == i);
        let key = key.expect("numbers go on for ever");
        let mut connection = master.connection();
        redis::cmd("SET").arg(&key).arg("value").exec(&mut connection).expect("its own slot");
        let copies: i64 = redis::cmd("WAIT").arg(1).arg(10_000).query(&mut connection).expect("an answer");
        assert_eq!(copies, 1);
        let mut reader = replica.connection();
        redis::cmd("READONLY").exec(&mut reader).expect("an answer");
        assert_eq!(redis::cmd("GET").arg(&key).query(&mut reader), Ok("value".to_owned()));
    }

    let client = redis::cluster::ClusterClient::new(cluster.urls()).expect("addresses");
    let mut connection = client.get_connection().expect("a connection");
    for n in 0..100 {
        redis::cmd("SET").arg(format!("key-{n}")).arg(n).exec(&mut connection).expect("one of the masters");
    }
}

fn third(slot: usize) -> usize {
    (0..3).rev().find(|i| slot >= i * 16_384 / 3).unwrap_or_default()
}

#[test]
fn a_proxy_loses_what_it_is_told_to_lose() {
    let (redis, proxy) = (Redis::start(), Proxy::start());
    proxy.lead_to(redis.port());
    let connect = || {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", proxy.port())).expect("an address");
        let connection = client.get_connection_with_timeout(SOON).expect("a connection");
        connection.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
        connection
    };
    let call = |connection: &mut redis::Connection| -> redis::RedisResult<i64> {
        redis::cmd("EVAL").arg("return redis.call('INCR', 'n')").arg(0).query(connection)
    };
    let is = |n: i64| {
        eventually(SOON, "the call to be carried out", || (redis.ask::<i64>("GET", &["n"]) == n).then_some(()))
    };
    let mut connection = connect();
    assert_eq!(call(&mut connection), Ok(1));

    proxy.set(Mode::Cut);
    call(&mut connection).expect_err("the reply is lost");
    is(2);
    eventually(SOON, "the cut to be noted", || (proxy.cut() == 1).then_some(()));

    proxy.set(Mode::Pass);
    let (mut before, mut later) = (connect(), connect());
    proxy.set(Mode::Mute);
    call(&mut before).expect_err("no reply");
    is(3);
    // Half-open for ever, also when the network is well again; who connects anew is served.
    proxy.set(Mode::Silent);
    proxy.set(Mode::Pass);
    call(&mut later).expect_err("neither arrives");
    assert_eq!(call(&mut connect()), Ok(4));
}

#[test]
fn a_child_dies_with_the_pipe_that_only_we_hold() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // With a child of its own, as a program that starts a server has.
    let mut child = Child::spawn("sleeper", dir.path(), Command::new("sh").args(["-c", "sleep 600 & echo $!; wait"]));
    let grandchild = eventually(SOON, "the sleeper's child", || child.output().trim().parse::<u32>().ok());
    child.lose_guard();
    assert_eq!(child.wait(SOON).signal(), Some(9));
    eventually(SOON, "its child to be gone", || (!is_alive(grandchild)).then_some(()));
    eventually(SOON, "its folder to be gone", || (!dir.path().exists()).then_some(()));
}

#[test]
fn a_child_is_killed_when_it_is_dropped() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let child = Child::spawn("sleeper", dir.path(), Command::new("sleep").arg("600"));
    let pid = child.pid();
    assert!(is_alive(pid));
    drop(child);
    assert!(!is_alive(pid));
    assert!(dir.path().exists());
}

#[test]
fn a_child_takes_signals() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut child = Child::spawn("sleeper", dir.path(), Command::new("sleep").arg("600"));
    child.stop();
    eventually(SOON, "it to stand still", || (state(child.pid()) == Some('T')).then_some(()));
    child.terminate();
    assert_eq!(within(Duration::from_millis(50), || child.exited()), None, "it stands still");
    child.cont();
    assert_eq!(child.wait(SOON).signal(), Some(15));
    // Of a pid that may be another's by now.
    child.terminate();
    child.kill();
}

fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// The letter that Linux gives a process's state; none if there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in brackets, which may hold anything.
    stat.rsplit_once(") ")?.1.chars().next()
}
