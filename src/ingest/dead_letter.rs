//! The dead-letter topic: where a record goes that can't be counted, with the reason, its bytes untouched.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::domain::calendar::TimeMs;

use super::batch::Rejected;
use super::letters::header;

/// Where rejected records go. A send has ended well only when the record can't be lost any more.
pub trait DeadLetters: Send + Sync + 'static {
    /// # Errors
    /// A sentence that says why the broker did not acknowledge it.
    fn send(&self, rejected: &Rejected, now: TimeMs) -> impl Future<Output = Result<(), String>> + Send;
}

/// Dead letters in Kafka, acknowledged by all in-sync replicas.
pub struct KafkaDeadLetters {
    producer: FutureProducer,
    /// None: each topic's own `<topic>.dlq`.
    topic: Option<String>,
    group: String,
}

/// One send, the producer's own retries included.
const SEND: Duration = Duration::from_secs(30);

impl KafkaDeadLetters {
    /// `config` holds the connection's properties.
    ///
    /// # Errors
    /// When a property is not accepted.
    pub fn new(
        mut config: ClientConfig,
        topic: Option<String>,
        group: &str,
    ) -> Result<Self, rdkafka::error::KafkaError> {
        config
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", SEND.as_millis().to_string())
            // What one topic took, another must be able to take with a few headers more.
            .set("message.max.bytes", "67108864")
            .set("linger.ms", "5");
        Ok(Self { producer: config.create()?, topic, group: group.to_owned() })
    }

    /// The dead-letter topic of a topic.
    pub fn topic_of(&self, topic: &str) -> String {
        self.topic.clone().unwrap_or_else(|| dead_letter_topic(topic))
    }
}

/// The dead-letter topic of a topic, where none is set.
pub fn dead_letter_topic(topic: &str) -> String {
    format!("{topic}.dlq")
}

impl DeadLetters for KafkaDeadLetters {
    async fn send(&self, rejected: &Rejected, now: TimeMs) -> Result<(), String> {
        let record = &rejected.record;
        let topic = self.topic_of(&record.partition().topic);
        let mut letter: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&topic).headers(headers(rejected, &self.group, now));
        letter.key = record.key();
        letter.payload = record.value();
        letter.timestamp = record.timestamp().map(|timestamp| timestamp.0);
        match self.producer.send(letter, SEND).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(format!("{topic}: {error}")),
        }
    }
}

/// The record's own headers, then where it came from (in Kafka Connect's names, as text) and why it is here.
fn headers(rejected: &Rejected, group: &str, now: TimeMs) -> OwnedHeaders {
    let record = &rejected.record;
    let own = record.headers().fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value }));
    let (partition, offset) = (record.partition(), record.offset());
    let ours = [
        (header::TOPIC, partition.topic.to_string()),
        (header::PARTITION, partition.partition.to_string()),
        (header::OFFSET, offset.0.to_string()),
        (header::MESSAGE, rejected.reject.detail.clone()),
        (header::REASON, rejected.reject.reason.as_str().to_owned()),
        (header::FAILED_AT, now.to_rfc3339()),
        (header::GROUP, group.to_owned()),
    ];
    ours.iter().fold(own, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
