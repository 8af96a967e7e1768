//! Quotas that are assigned from here, into Kafka.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use crate::domain::calendar::TimeMs;
use crate::domain::delta::Scope;
use crate::domain::ids::{Source, UserId};

use super::cloudevent::CONTENT_TYPE;

/// One send, the producer's own retries included.
const SEND: Duration = Duration::from_secs(5);

/// Writes quota events, each acknowledged by all in-sync replicas.
pub struct KafkaAssigner {
    kafka: ClientConfig,
    topic: String,
    /// The source of its events.
    pub source: Source,
    /// Made when it is needed: who only reads needs no Kafka.
    producer: Mutex<Option<FutureProducer>>,
}

impl KafkaAssigner {
    /// `kafka` holds the connection's properties, `topic` is one of those that are counted.
    pub fn new(mut kafka: ClientConfig, topic: &str, source: Source) -> Self {
        kafka
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", SEND.as_millis().to_string())
            .set("linger.ms", "0");
        Self { kafka, topic: topic.to_owned(), source, producer: Mutex::default() }
    }

    /// Writes an event. After an error it may be in Kafka all the same.
    ///
    /// # Errors
    /// A sentence that says why the broker did not acknowledge it.
    pub async fn send(&self, scope: &Scope, event: &str, time: TimeMs) -> Result<(), String> {
        let failed = |error: KafkaError| format!("{}: {error}", self.topic);
        let producer = self.producer().map_err(failed)?;
        let key = format!("{}:{}", scope.tenant, scope.user.as_ref().map_or("", UserId::as_str));
        let content_type = Header { key: "content-type", value: Some(CONTENT_TYPE) };
        let record = FutureRecord::to(&self.topic)
            .key(&key)
            .payload(event)
            .timestamp(time.0)
            .headers(OwnedHeaders::new().insert(content_type));
        producer.send(record, SEND).await.map(drop).map_err(|(error, _)| failed(error))
    }

    /// The producer, made anew where it can't go on.
    fn producer(&self) -> Result<FutureProducer, KafkaError> {
        let mut kept = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(producer) if producer.client().fatal_error().is_none() => Ok(producer.clone()),
            _ => Ok(kept.insert(self.kafka.create()?).clone()),
        }
    }
}
