//! Many records, as fast as the broker takes them.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::kafka::Kafka;

/// Until the broker has acknowledged all of it, on a busy machine.
const DELIVERY: Duration = Duration::from_secs(120);

/// Produces `record(0)`, `record(1)`, …: each a partition, or none for the key's, a key and a value. All are
/// acknowledged at the end.
pub(crate) fn flood(topic: &str, count: u64, record: impl Fn(u64) -> (Option<i32>, String, String)) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", Kafka::shared().bootstrap())
        .set("enable.idempotence", "true")
        .set("compression.codec", "lz4")
        .set("linger.ms", "20")
        .set("partitioner", "murmur2_random")
        .create()
        .expect("a producer");
    for number in 0..count {
        let (partition, key, value) = record(number);
        let mut sent = BaseRecord::to(topic).key(&key).payload(&value);
        sent.partition = partition;
        while let Err((error, back)) = producer.send(sent) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            // Waits for acknowledgements, which make room.
            producer.poll(Duration::from_millis(100));
            sent = back;
        }
        if number.is_multiple_of(1000) {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(DELIVERY).expect("all is acknowledged");
}
