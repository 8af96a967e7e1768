//! Every form of a consumer group, and what happens to a Kafka that runs on: the sums of the running program stay
//! exact.

use std::time::{Duration, Instant};

use futures::executor::block_on;
use rand::Rng;
use rdkafka::admin::{AdminOptions, NewPartitions};

use crate::support::deployment::Deployment;
use crate::support::kafka::Kafka;
use crate::support::program::{Program, Running};
use crate::support::rounds::Rounds;
use crate::support::wait::{START, eventually};

fn with_properties(deployment: Deployment, properties: &str) -> Deployment {
    deployment.set("INDELIBLE_KAFKA_PROPERTIES", properties)
}

fn assigned(running: &Running) -> Option<f64> {
    running.metric("indelible_assigned_partitions")
}

#[track_caller]
fn await_assigned(running: &Running, partitions: f64) {
    eventually(START, &format!("{partitions} partitions"), || (assigned(running) == Some(partitions)).then_some(()));
}

/// A second worker comes and leaves in order, and another comes and is killed, while events flow.
#[track_caller]
fn counts_while_workers_come_and_go(properties: &str) {
    let deployment = with_properties(Deployment::new(4), properties);
    let (running, rounds) = (deployment.serve(), Rounds::default());
    await_assigned(&running, 4.0);
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        let mut second = Program::launch(&deployment.env());
        eventually(START, "the second to start", || second.is_live().then_some(()));
        await_assigned(&second, 2.0);
        rounds.await_progress(&running);
        second.child.terminate();
        assert!(second.child.wait(Duration::from_secs(40)).success(), "{}", second.child.output());
        await_assigned(&running, 4.0);
        rounds.await_progress(&running);
    });
    rounds.check(&running);
    assert!(running.is_ready());
}

#[test]
fn by_the_eager_protocol() {
    counts_while_workers_come_and_go("partition.assignment.strategy=range");
}

#[test]
fn by_the_cooperative_protocol() {
    counts_while_workers_come_and_go("partition.assignment.strategy=cooperative-sticky");
}

#[test]
fn by_the_protocol_of_kip_848() {
    counts_while_workers_come_and_go("group.protocol=consumer");
}

/// With the session that is preferred, and not with the short one that tests have.
#[test]
fn the_partitions_of_a_killed_worker_are_soon_anothers() {
    let (deployment, rounds) = (with_properties(Deployment::new(2), "client.id=it"), Rounds::default());
    let running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
    let killed = Instant::now();
    drop(running);
    let heir = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&heir);
    let took = killed.elapsed();
    println!("counted again {took:.1?} after the kill");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

/// Records may lie in the new partitions before the group has heard of them.
#[track_caller]
fn counts_added_partitions(properties: &str) {
    let deployment = with_properties(Deployment::new(2), properties);
    let (running, rounds) = (deployment.serve(), Rounds::default());
    await_assigned(&running, 2.0);
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        let (more, options) = (NewPartitions::new(&deployment.topic, 4), AdminOptions::new());
        let made = block_on(Kafka::shared().admin().create_partitions([&more], &options)).expect("an answer");
        made.into_iter().for_each(|topic| drop(topic.expect("four partitions")));
        await_assigned(&running, 4.0);
        rounds.await_progress(&running);
    });
    rounds.check(&running);
    rounds.send(&deployment);
    rounds.check(&running);
}

#[test]
fn partitions_that_are_added_are_counted_from_their_start() {
    counts_added_partitions("topic.metadata.refresh.interval.ms=1000");
    counts_added_partitions("topic.metadata.refresh.interval.ms=1000,partition.assignment.strategy=range");
    counts_added_partitions("topic.metadata.refresh.interval.ms=1000,group.protocol=consumer");
}

/// The assignment is made once, with offsets in it: what a start reads again is the one record before the watermark of
/// each partition, and no session ends for it.
#[track_caller]
fn starts_where_its_watermarks_are(properties: &str) {
    let (deployment, rounds) = (with_properties(Deployment::new(2), properties), Rounds::default());
    let mut running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
    deployment.await_counted();
    assert_read_once(&running, 36.0);
    running.child.terminate();
    assert!(running.child.wait(START).success());
    rounds.send(&deployment);
    let running = deployment.serve();
    rounds.check(&running);
    // The second round, and a record of each partition.
    assert_read_once(&running, 38.0);
}

#[track_caller]
fn assert_read_once(running: &Running, records: f64) {
    let metrics = ["indelible_sessions_total", "indelible_records_consumed_total"].map(|name| running.metric(name));
    assert_eq!(metrics, [Some(1.0), Some(records)], "{}", running.child.output());
}

#[test]
fn a_start_reads_from_its_watermarks_by_the_eager_protocol() {
    starts_where_its_watermarks_are("partition.assignment.strategy=range");
}

#[test]
fn a_start_reads_from_its_watermarks_by_the_cooperative_protocol() {
    starts_where_its_watermarks_are("partition.assignment.strategy=cooperative-sticky");
}

#[test]
fn a_start_reads_from_its_watermarks_by_the_protocol_of_kip_848() {
    starts_where_its_watermarks_are("group.protocol=consumer");
}

#[test]
fn a_broker_that_is_killed_and_comes_back_is_read_on() {
    let (mut kafka, deployment) = (Kafka::start(), Deployment::new(3));
    kafka.create_topic(&deployment.topic, 3, &[]);
    let deployment = deployment.set("INDELIBLE_KAFKA_BROKERS", &kafka.bootstrap());
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        kafka.restart();
        rounds.await_progress(&running);
        kafka.stop();
        kafka.restart();
        rounds.await_progress(&running);
    });
    rounds.check(&running);
    eventually(START, "/readyz to be green", || running.is_ready().then_some(()));
}

/// As a static member of the group, which comes back before anyone has missed it.
#[test]
fn a_worker_killed_twenty_times_in_a_row_loses_and_doubles_nothing() {
    let named = "group.instance.id=worker,session.timeout.ms=6000,heartbeat.interval.ms=1500";
    let deployment = with_properties(Deployment::new(4), named);
    let mut rng = rand::rng();
    let rounds = Rounds::default();
    rounds.flow(&deployment, || {
        for _ in 0..20 {
            let mut running = Program::launch(&deployment.env());
            // Before it has joined, while it joins, and while it counts.
            std::thread::sleep(Duration::from_millis(rng.random_range(50..1500)));
            running.child.kill();
        }
    });
    rounds.check(&deployment.serve());
}
