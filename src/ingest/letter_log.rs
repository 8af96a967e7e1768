//! Reads a dead-letter topic from its beginning to where it ends now, outside of any consumer group.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use crate::domain::position::{Offset, TopicPartition};
use crate::ops::clock;

use super::letters::Place;
use super::record::{Chunk, Record};
use super::source::push;

/// One question to a broker.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two records, while the partition has more.
const SILENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(500);

/// Dead-letter topics, as a consumer of its own sees them.
pub struct LetterLog {
    client: BaseConsumer<Complaints>,
}

/// What a partition holds.
#[derive(Debug, Clone)]
pub struct Span {
    pub at: TopicPartition,
    pub first: Offset,
    /// The offset of the record that is written next.
    pub end: Offset,
}

/// The last thing that the library complained of: it says more than the error of a call that got no answer.
#[derive(Debug, Default)]
struct Complaints(Mutex<Option<String>>);

impl Complaints {
    fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Complaints {
    fn error(&self, _: KafkaError, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl ConsumerContext for Complaints {}

impl LetterLog {
    /// `config` holds the connection's properties. The library wants a group's name although nothing joins it:
    /// with the worker's, no further right is needed.
    ///
    /// # Errors
    /// When a property is not accepted.
    pub fn open(mut config: ClientConfig, group: &str) -> Result<Self, String> {
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false")
            .set("check.crcs", "true");
        let client = config.create_with_context(Complaints::default()).map_err(|error| error.to_string())?;
        Ok(Self { client })
    }

    /// What the topic's partitions hold now; none where there is no such topic.
    ///
    /// # Errors
    /// A sentence that says why Kafka did not answer.
    pub fn spans(&self, topic: &str) -> Result<Option<Vec<Span>>, String> {
        let metadata = self.client.fetch_metadata(Some(topic), ANSWER).map_err(|error| self.said(topic, &error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map(MetadataTopic::error) {
            None | Some(Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)) => return Ok(None),
            Some(Some(error)) => return Err(format!("{topic}: {}", RDKafkaErrorCode::from(error))),
            Some(None) => {}
        }
        let partitions = found.into_iter().flat_map(MetadataTopic::partitions);
        let spans: Result<Vec<_>, _> = partitions.map(|found| self.span(topic, found.id())).collect();
        let mut spans = spans?;
        spans.sort_by_key(|span| span.at.partition);
        Ok(Some(spans))
    }

    fn span(&self, topic: &str, partition: i32) -> Result<Span, String> {
        let asked = self.client.fetch_watermarks(topic, partition, ANSWER);
        let (first, end) = asked.map_err(|error| self.said(topic, &error))?;
        Ok(Span { at: TopicPartition::new(topic, partition), first: Offset(first), end: Offset(end) })
    }

    /// Shows every record of the span, in order, until `each` breaks off.
    ///
    /// # Errors
    /// A sentence that says why no more could be read; what `each` fails with.
    pub fn read(
        &self,
        span: &Span,
        mut each: impl FnMut(Record) -> Result<ControlFlow<()>, String>,
    ) -> Result<(), String> {
        if span.first >= span.end {
            return Ok(());
        }
        let from = KafkaOffset::Offset(span.first.0);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&span.at.topic, span.at.partition, from).map_err(|error| error.to_string())?;
        self.client.assign(&list).map_err(|error| error.to_string())?;
        let mut patient_until = clock::instant() + SILENCE;
        while clock::instant() < patient_until {
            let message = match self.client.poll(POLL) {
                Some(Ok(message)) => message,
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(error)) if heals(&error) => continue,
                Some(Err(error)) => return Err(self.said(&span.at.to_string(), &error)),
                None => continue,
            };
            let mut chunk = Chunk::default();
            push(&mut chunk, &message);
            for record in Record::all(&Arc::new(chunk)) {
                if record.offset() >= span.end || each(record)?.is_break() {
                    return Ok(());
                }
            }
            patient_until = clock::instant() + SILENCE;
        }
        Err(self.with_complaint(format!("{}: nothing came for {} s", span.at, SILENCE.as_secs())))
    }

    /// The record at a place; none where there is none.
    ///
    /// # Errors
    /// A sentence that says why it could not be read.
    pub fn at(&self, place: &Place) -> Result<Option<Record>, String> {
        let Place { partition: at, offset } = place;
        let spans = self.spans(&at.topic)?.unwrap_or_default();
        let Some(held) = spans.into_iter().find(|span| span.at == *at) else { return Ok(None) };
        let mut found = None;
        if held.first <= *offset {
            self.read(&Span { first: *offset, ..held }, |record| {
                found = (record.offset() == *offset).then_some(record);
                Ok(ControlFlow::Break(()))
            })?;
        }
        Ok(found)
    }

    fn said(&self, of: &str, error: &KafkaError) -> String {
        self.with_complaint(format!("{of}: {error}"))
    }

    fn with_complaint(&self, what: String) -> String {
        let (context, until) = (self.client.context(), clock::instant() + POLL);
        // Complaints wait among other events, which only polls look at.
        while context.last().is_none() && clock::instant() < until {
            let _ = self.client.poll(POLL / 10);
        }
        match context.last() {
            Some(complaint) => format!("{what} ({complaint})"),
            None => what,
        }
    }
}

/// Whether the client tries again by itself.
fn heals(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| [AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve].contains(&code))
}
