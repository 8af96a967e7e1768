//! Records to Kafka, as a service's producer sends them.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::event::Record;
use crate::support::kafka::Kafka;

/// Until the broker has acknowledged all of it, on a busy machine.
const DELIVERY: Duration = Duration::from_secs(120);

pub(crate) struct Producer {
    inner: BaseProducer,
    topic: String,
    headers: OwnedHeaders,
}

impl Producer {
    /// `linger` is how long a record waits for others to be sent with it.
    pub(crate) fn new(topic: &str, linger: Duration) -> Self {
        let inner = ClientConfig::new()
            .set("bootstrap.servers", Kafka::shared().bootstrap())
            .set("enable.idempotence", "true")
            .set("compression.codec", "lz4")
            .set("linger.ms", linger.as_millis().to_string())
            .set("partitioner", "murmur2_random")
            .create()
            .expect("a producer");
        let structured = Header { key: "content-type", value: Some("application/cloudevents+json") };
        Self { inner, topic: topic.to_owned(), headers: OwnedHeaders::new().insert(structured) }
    }

    pub(crate) fn send(&self, record: &Record) {
        let headers = self.headers.clone();
        let mut sent = BaseRecord::to(&self.topic).key(&record.key).payload(&record.value).headers(headers);
        while let Err((error, back)) = self.inner.send(sent) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            // Waits for acknowledgements, which make room.
            self.inner.poll(Duration::from_millis(100));
            sent = back;
        }
    }

    /// Takes all acknowledgements that are there. One poll takes those of one batch alone; what is left fills the queue
    /// until nothing more can be sent.
    pub(crate) fn poll(&self) {
        let mut before = i32::MAX;
        while self.inner.in_flight_count() < before {
            before = self.inner.in_flight_count();
            self.inner.poll(Duration::ZERO);
        }
    }

    /// Until all is acknowledged.
    pub(crate) fn flush(&self) {
        self.inner.flush(DELIVERY).expect("all is acknowledged");
    }
}
