//! Notices into Kafka: the topic of all, and the dead-letter topic of those that the webhook has not taken.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::domain::calendar::TimeMs;
use crate::ingest::cloudevent::CONTENT_TYPE;
use crate::ingest::dead_letter::dead_letter_topic;
use crate::ingest::letters::header;
use crate::store::Pending;

/// One send, the producer's own retries included.
const SEND: Duration = Duration::from_secs(10);
/// A letter's `dlq.reason`.
const REASON: &str = "webhook_failed";

/// A producer of notices, each acknowledged by all in-sync replicas.
pub struct Publisher {
    producer: FutureProducer,
    topic: String,
    group: String,
}

impl Publisher {
    /// `kafka` holds the connection's properties.
    ///
    /// # Errors
    /// When a property is not accepted.
    pub fn new(mut kafka: ClientConfig, topic: &str, group: &str) -> Result<Self, rdkafka::error::KafkaError> {
        kafka
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", SEND.as_millis().to_string())
            // As Java's clients, so that a user's notices lie where they would put them.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5");
        Ok(Self { producer: kafka.create()?, topic: topic.to_owned(), group: group.to_owned() })
    }

    /// # Errors
    /// A sentence that says why the broker did not acknowledge it.
    pub async fn publish(&self, notice: &Pending) -> Result<(), String> {
        self.send(&self.topic, notice, OwnedHeaders::new()).await
    }

    /// Puts a notice beside the topic, with the reason why the webhook does not have it.
    ///
    /// # Errors
    /// A sentence that says why the broker did not acknowledge it.
    pub async fn dead_letter(&self, notice: &Pending, why: &str, attempts: u32, now: TimeMs) -> Result<(), String> {
        let failed_at = now.to_rfc3339();
        let attempts = attempts.to_string();
        let ours = [
            (header::TOPIC, self.topic.as_str()),
            (header::MESSAGE, why),
            (header::REASON, REASON),
            (header::FAILED_AT, &failed_at),
            (header::GROUP, &self.group),
            (header::ATTEMPTS, &attempts),
        ];
        let headers = ours
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        self.send(&dead_letter_topic(&self.topic), notice, headers).await
    }

    async fn send(&self, topic: &str, notice: &Pending, headers: OwnedHeaders) -> Result<(), String> {
        let headers = headers.insert(Header { key: "content-type", value: Some(CONTENT_TYPE) });
        let record = FutureRecord::to(topic).key(&notice.key).payload(&notice.event).headers(headers);
        match self.producer.send(record, SEND).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(format!("{topic}: {error}")),
        }
    }
}
