//! The rated topic in Kafka, acknowledged by all in-sync replicas.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::{BoxFuture, join_all};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use super::RatedTopic;
use super::message::Message;
use crate::ingest::cloudevent::CONTENT_TYPE;

/// One send, the producer's own retries included.
const SEND: Duration = Duration::from_secs(30);

pub struct KafkaRated {
    config: ClientConfig,
    producer: ArcSwap<FutureProducer>,
    topic: String,
}

impl KafkaRated {
    /// `config` holds the connection's properties.
    ///
    /// # Errors
    /// When a property is not accepted.
    pub fn new(mut config: ClientConfig, topic: &str) -> Result<Self, KafkaError> {
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("message.timeout.ms", SEND.as_millis().to_string())
            // A topic that is not there is named before the send is over.
            .set("topic.metadata.propagation.max.ms", "5000")
            // By the key alone, as Java's clients do it, so that an id's records lie in one partition in their order.
            .set("partitioner", "murmur2_random")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", "65536")
            .set("linger.ms", "5");
        let producer = ArcSwap::from_pointee(config.create()?);
        Ok(Self { config, producer, topic: topic.to_owned() })
    }

    async fn send(&self, producer: &FutureProducer, message: &Message) -> Result<(), String> {
        let content_type = Header { key: "content-type", value: Some(CONTENT_TYPE) };
        let mut record = FutureRecord::to(&self.topic)
            .key(message.id.as_str())
            .payload(&message.value)
            .headers(OwnedHeaders::new().insert(content_type));
        record.timestamp = message.timestamp.map(|timestamp| timestamp.0);
        producer.send(record, SEND).await.map(drop).map_err(|(error, _)| format!("{}: {error}", self.topic))
    }
}

impl RatedTopic for KafkaRated {
    fn write<'a>(&'a self, messages: &'a mut Vec<Message>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let producer = self.producer.load_full();
            let sent = join_all(messages.iter().map(|message| self.send(&producer, message))).await;
            let mut left = sent.iter().map(Result::is_err);
            messages.retain(|_| left.next() == Some(true));
            let why = sent.into_iter().find_map(Result::err);
            // An idempotent producer that can't know any more what the broker has takes nothing ever after.
            if why.is_some()
                && producer.client().fatal_error().is_some()
                && let Ok(fresh) = self.config.create()
            {
                self.producer.store(Arc::new(fresh));
            }
            why.map_or(Ok(()), Err)
        })
    }
}
