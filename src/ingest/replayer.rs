//! Produces letters' records again, each together with a marker beside its letter, or neither.
//!
//! Both are in one transaction. So after a crash at any point, a letter without a marker was not replayed; and a
//! second replay of the same topic takes the first one's place, which can't commit any more.

use std::time::Duration;

use futures::executor::block_on;
use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};

use crate::domain::calendar::TimeMs;
use crate::domain::position::{Offset, TopicPartition};

use super::letters::{Letter, Place, header};

/// A transaction that is neither ended nor given up (a replay that was killed) keeps the worker from what follows it,
/// until the broker gives it up after this time.
const TRANSACTION: Duration = Duration::from_secs(15);
/// One send, the producer's own retries included.
const SEND: Duration = Duration::from_secs(10);
/// Beginning, ending and giving up a transaction.
const ANSWER: Duration = Duration::from_secs(30);

/// Replays the letters of one dead-letter topic.
pub struct Replayer {
    producer: FutureProducer,
    id: String,
}

/// A letter that is an event now, and the Kafka timestamp with which it is one.
#[derive(Debug, Clone)]
pub struct Replay {
    pub letter: Letter,
    pub timestamp: TimeMs,
}

impl Replayer {
    /// Ends any other replay of this dead-letter topic; what that had not committed is undone when this returns.
    ///
    /// # Errors
    /// A sentence that says why Kafka does not allow it.
    pub fn open(mut config: ClientConfig, dead_letters: &str) -> Result<Self, String> {
        let id = format!("{dead_letters}.replay");
        config
            .set("transactional.id", &id)
            .set("transaction.timeout.ms", TRANSACTION.as_millis().to_string())
            .set("message.timeout.ms", SEND.as_millis().to_string())
            // What a topic took once, it must be able to take again with one header more.
            .set("message.max.bytes", "67108864")
            .set("linger.ms", "5");
        let producer: FutureProducer = config.create().map_err(|error| error.to_string())?;
        let replayer = Self { producer, id };
        replayer.producer.init_transactions(ANSWER).map_err(|error| replayer.said(&error))?;
        Ok(replayer)
    }

    /// Replays all of them, or none; where each is now.
    ///
    /// # Errors
    /// A sentence that says why they were not replayed.
    pub fn replay(&self, replays: &[Replay], now: TimeMs) -> Result<Vec<Place>, String> {
        self.producer.begin_transaction().map_err(|error| self.said(&error))?;
        let replayed = self.produce(replays, now);
        if replayed.is_err() {
            // Where this fails, too, the broker gives the transaction up after its time-out.
            let _ = self.producer.abort_transaction(ANSWER);
            return replayed;
        }
        self.producer.commit_transaction(ANSWER).map_err(|error| self.said(&error))?;
        replayed
    }

    fn produce(&self, replays: &[Replay], now: TimeMs) -> Result<Vec<Place>, String> {
        let records = replays.iter().map(|replay| self.send(record(replay))).collect();
        let deliveries = self.await_all(records, replays)?;
        let replayed: Vec<_> = replays
            .iter()
            .zip(deliveries)
            .map(|(replay, delivery)| Place {
                partition: TopicPartition::new(&replay.letter.source.partition.topic, delivery.partition),
                offset: Offset(delivery.offset),
            })
            .collect();
        let markers = replays.iter().zip(&replayed).map(|(replay, to)| self.marker(replay, to, now)).collect();
        self.await_all(markers, replays)?;
        Ok(replayed)
    }

    fn marker(&self, replay: &Replay, to: &Place, now: TimeMs) -> Result<DeliveryFuture, KafkaError> {
        let place = replay.letter.place();
        let marks = [
            (header::REPLAYED, place.to_string()),
            (header::REPLAYED_TO, to.to_string()),
            (header::REPLAYED_AT, now.to_rfc3339()),
        ];
        let headers = marks
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let marker = FutureRecord::to(&place.partition.topic).partition(place.partition.partition).headers(headers);
        self.send(marker)
    }

    fn send(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<DeliveryFuture, KafkaError> {
        self.producer.send_result(record).map_err(|(error, _)| error)
    }

    /// Waits until all of it is acknowledged.
    fn await_all(
        &self,
        sent: Vec<Result<DeliveryFuture, KafkaError>>,
        replays: &[Replay],
    ) -> Result<Vec<Delivery>, String> {
        let sent: Result<Vec<_>, _> = sent.into_iter().collect();
        let acknowledged = block_on(join_all(sent.map_err(|error| self.said(&error))?));
        let (mut deliveries, mut purged) = (Vec::new(), None);
        for (acknowledged, replay) in acknowledged.into_iter().zip(replays) {
            let error = match acknowledged {
                Ok(Ok(delivery)) => {
                    deliveries.push(delivery);
                    continue;
                }
                Ok(Err((error, _))) => error,
                Err(_) => KafkaError::Canceled,
            };
            let why = format!("{}: {}", replay.letter.place(), self.said(&error));
            // Not sent because of another, which says more.
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => purged = Some(why),
                _ => return Err(why),
            }
        }
        purged.map_or(Ok(deliveries), Err)
    }

    fn said(&self, error: &KafkaError) -> String {
        use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced, TransactionalIdAuthorizationFailed};
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        match fatal.or(error.rdkafka_error_code()) {
            Some(TransactionalIdAuthorizationFailed) => {
                format!("the transactional id {} needs the rights WRITE and DESCRIBE", self.id)
            }
            Some(Fenced | ProducerFenced | InvalidProducerEpoch) => {
                "another replay of the same dead letters has begun; this one ends".to_owned()
            }
            _ => error.to_string(),
        }
    }
}

/// The record as it was, in the partition where it was.
fn record(replay: &Replay) -> FutureRecord<'_, [u8], [u8]> {
    let Replay { letter, timestamp } = replay;
    let own = letter.own_headers().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value }));
    let from = letter.place().to_string();
    let TopicPartition { topic, partition } = &letter.source.partition;
    FutureRecord {
        topic,
        partition: Some(*partition),
        key: letter.record.key(),
        payload: letter.record.value(),
        timestamp: Some(timestamp.0),
        headers: Some(own.insert(Header { key: header::REPLAYED_FROM, value: Some(&from) })),
    }
}
