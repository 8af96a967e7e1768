//! State that was lost, in Redis or in Kafka: the program ends, names what happened, and gives no wrong sum.

use std::time::Duration;

use futures::executor::block_on;
use rdkafka::Offset;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::support::deployment::Deployment;
use crate::support::kafka::Kafka;
use crate::support::program::{Program, Running};
use crate::support::rounds::Rounds;
use crate::support::wait::{START, eventually};

/// Counts one round, and ends in order.
fn counted(partitions: i32) -> (Deployment, Rounds) {
    let (deployment, rounds) = (Deployment::new(partitions), Rounds::default());
    let mut running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
    running.child.terminate();
    assert!(running.child.wait(START).success());
    (deployment, rounds)
}

/// It ends by itself, not well, and says both.
#[track_caller]
fn dies(running: &mut Running, name: &str, sentence: &str) {
    let status = running.child.wait(START);
    let output = running.child.output();
    assert!(!status.success(), "{output}");
    assert!(output.contains(&format!("failure=\"{name}\"")) && output.contains(sentence), "{output}");
}

#[track_caller]
fn dies_at_start(deployment: &Deployment, name: &str, sentence: &str) {
    dies(&mut Program::launch(&deployment.env()), name, sentence);
}

fn delete_before(deployment: &Deployment, offset: Offset) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&deployment.topic, 0, offset).expect("an offset");
    block_on(Kafka::shared().admin().delete_records(&list, &AdminOptions::new())).expect("the records are deleted");
}

fn create_again(deployment: &Deployment) {
    let kafka = Kafka::shared();
    let topic = deployment.topic.as_str();
    block_on(kafka.admin().delete_topics(&[topic], &AdminOptions::new())).expect("the topic is deleted");
    let asker: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .create()
        .expect("a consumer that only asks");
    eventually(START, "the topic to be gone", || {
        let found = asker.fetch_metadata(None, Duration::from_secs(10)).expect("the broker answers");
        (!found.topics().iter().any(|found| found.name() == topic)).then_some(())
    });
    kafka.create_topic(topic, deployment.partitions, &[]);
}

#[test]
fn a_redis_that_is_empty_after_a_stop() {
    let (deployment, _) = counted(1);
    deployment.redis.ask::<()>("FLUSHALL", &[]);
    let topic = &deployment.topic;
    let sentence = format!("redis holds no watermark for {topic}/0 in 64 of 64 buckets, yet the group has committed");
    dies_at_start(&deployment, "state_lost", &sentence);
}

/// Not lost: what came after the backup is in the log, and whatever the group has committed says nothing of Redis.
#[test]
fn a_redis_put_back_from_a_backup_catches_up() {
    let (mut deployment, rounds) = (Deployment::new(2), Rounds::default());
    let mut running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
    // Before the first start of a partition there is nothing to go back to.
    deployment.await_counted();
    deployment.redis.ask::<()>("SAVE", &[]);
    rounds.send(&deployment);
    rounds.check(&running);
    deployment.await_counted();
    running.child.terminate();
    assert!(running.child.wait(START).success());
    // Without a file of its own it starts with the backup.
    deployment.redis.restart();
    let running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
}

#[test]
fn a_redis_that_loses_all_while_running() {
    let (deployment, rounds) = (Deployment::new(2), Rounds::default());
    let mut running = deployment.serve();
    rounds.flow(&deployment, || {
        let assigned = || running.metric("indelible_assigned_partitions") == Some(2.0);
        eventually(START, "an assignment", || assigned().then_some(()));
        rounds.await_progress(&running);
        rounds.await_progress(&running);
        deployment.redis.ask::<()>("FLUSHALL", &[]);
        dies(&mut running, "state_lost", "state was lost");
    });
    // Nor does it take up again by itself.
    dies_at_start(&deployment, "state_lost", "state was lost");
}

#[test]
fn a_redis_that_loses_one_bucket() {
    let (deployment, _) = counted(2);
    let states: Vec<String> = deployment.redis.ask("KEYS", &["indelible:*:state"]);
    deployment.redis.ask::<()>("DEL", &[&states[0]]);
    dies_at_start(&deployment, "state_lost", "in 1 of 64 buckets");
}

#[test]
fn a_topic_made_again_with_fewer_records_or_with_others() {
    let (deployment, rounds) = counted(1);
    create_again(&deployment);
    dies_at_start(&deployment, "log_gap", "but the log holds 0..0");
    // As many, and then more, at the same offsets.
    rounds.send(&deployment);
    dies_at_start(&deployment, "log_changed", "differs from the one that the watermark names");
    rounds.send(&deployment);
    dies_at_start(&deployment, "log_changed", "differs from the one that the watermark names");
}

#[test]
fn a_topic_made_again_while_running() {
    let (deployment, rounds) = (Deployment::new(1), Rounds::default());
    let mut running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
    create_again(&deployment);
    rounds.send(&deployment);
    rounds.send(&deployment);
    let status = running.child.wait(START);
    let output = running.child.output();
    assert!(!status.success(), "{output}");
    assert!(output.contains("failure=\"log_changed\"") || output.contains("failure=\"log_gap\""), "{output}");
}

#[test]
fn retention_that_stops_at_the_watermark_and_one_that_goes_beyond() {
    let (deployment, rounds) = counted(1);
    delete_before(&deployment, Offset::End);
    let mut running = deployment.serve();
    rounds.send(&deployment);
    rounds.check(&running);
    running.child.terminate();
    assert!(running.child.wait(START).success());
    rounds.send(&deployment);
    delete_before(&deployment, Offset::End);
    dies_at_start(&deployment, "log_gap", "the next record to count is at offset");
}
