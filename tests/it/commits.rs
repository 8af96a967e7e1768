//! Offsets that are committed to Kafka: for lag tools, which must never be told more than what is counted.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::support::deployment::Deployment;
use crate::support::event::bare;
use crate::support::kafka::{Kafka, Record};
use crate::support::program::Program;
use crate::support::wait::{START, eventually};

/// What the group has committed for partition 0.
fn committed(deployment: &Deployment) -> Option<i64> {
    let asker: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", Kafka::shared().bootstrap())
        .set("group.id", format!("{}.group", deployment.topic))
        .create()
        .expect("a consumer that only asks");
    let mut list = TopicPartitionList::new();
    list.add_partition(&deployment.topic, 0);
    let found = asker.committed_offsets(list, Duration::from_secs(30)).expect("the broker answers");
    match found.elements().first()?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

fn produce(deployment: &Deployment, ids: std::ops::Range<u32>) {
    let lines: Vec<String> = ids.map(|id| bare(&id.to_string(), "acme", "alice")).collect();
    let records = lines.iter().map(|line| Record { value: Some(line.as_bytes()), ..Record::default() });
    Kafka::shared().produce_all(&deployment.topic, records);
}

#[test]
fn what_was_read_is_not_committed_before_it_is_counted() {
    let mut deployment = Deployment::new(1).set("INDELIBLE_ROLE", "worker");
    let running = Program::serve(&deployment.env());
    produce(&deployment, 0..3);
    eventually(START, "what is counted to be committed", || (committed(&deployment) == Some(3)).then_some(()));

    deployment.redis.process().expect("redis runs").stop();
    produce(&deployment, 3..8);
    let consumed = || running.metric("indelible_records_consumed_total");
    eventually(START, "the records to be read", || (consumed() == Some(8.0)).then_some(()));
    // It says so when it commits, or would; by then it has done so several times since it read them.
    eventually(START, "readiness to turn red", || (!running.is_ready()).then_some(()));
    assert_eq!(committed(&deployment), Some(3), "nothing more is counted");

    deployment.redis.process().expect("redis runs").cont();
    eventually(START, "the rest to be counted and committed", || (committed(&deployment) == Some(8)).then_some(()));
}
