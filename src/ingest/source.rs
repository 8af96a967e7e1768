//! Kafka as a stream of events: one thread polls; its callbacks only send an event and wait for the answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Message, Statistics, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::domain::calendar::TimeMs;
use crate::domain::position::{Offset, TopicPartition};
use crate::ops::crash::{self, Point};

use super::limits::{CHUNK_BYTES, CHUNK_RECORDS, CHUNKS_WAITING};
use super::record::Chunk;

/// Everything that can come from Kafka.
#[derive(Debug)]
pub enum SourceEvent {
    Records(Chunk),
    /// Partitions were given to this consumer, which waits for their starts. Dropping `starts` leaves them unread.
    Assigned {
        partitions: Vec<TopicPartition>,
        starts: oneshot::Sender<Vec<(TopicPartition, Offset)>>,
    },
    /// Partitions are being taken away; the group waits until `done` is sent or dropped.
    Revoked {
        partitions: Vec<TopicPartition>,
        done: oneshot::Sender<()>,
    },
    /// Everything before these offsets was handed over: also what is no record, such as a transaction's end.
    Fetched(Vec<(TopicPartition, Offset)>),
    /// The client can't reach Kafka, or may not, and keeps trying: why, in its words.
    Troubled(String),
    /// A position is outside the log, or the consumer can't go on.
    Failed(KafkaError),
}

/// A consumer in its group, polled by a thread of its own until the source is closed.
pub struct Source {
    pub events: mpsc::Receiver<SourceEvent>,
    consumer: Arc<Client>,
    /// The last commit, which may not have been answered yet.
    commit: Mutex<Option<tokio::task::JoinHandle<()>>>,
    closing: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// The consumer, also for questions from other threads.
pub type Client = BaseConsumer<Callbacks>;

/// What librdkafka calls back, on the polling thread.
#[derive(Debug)]
pub struct Callbacks {
    events: mpsc::Sender<SourceEvent>,
    /// Waits for the records that were polled before it.
    fetched: Mutex<Vec<(TopicPartition, Offset)>>,
    /// The last complaint that was not told yet.
    trouble: Mutex<Option<String>>,
}

/// How long a poll waits; bounds the time until the thread sees that it must close.
const POLL: Duration = Duration::from_millis(100);

impl Source {
    /// Joins the group. `config` holds brokers, group and every other property.
    ///
    /// # Errors
    /// When a property is not accepted.
    pub fn open(config: &ClientConfig, topics: &[String]) -> Result<Self, KafkaError> {
        let (sender, events) = mpsc::channel(CHUNKS_WAITING);
        let consumer: Client = config.create_with_context(Callbacks::new(sender.clone()))?;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        let (consumer, closing) = (Arc::new(consumer), Arc::new(AtomicBool::new(false)));
        let poller = Poller { consumer: Arc::clone(&consumer), events: sender, closing: Arc::clone(&closing) };
        let thread = std::thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || poller.run())
            .map_err(|error| KafkaError::ClientCreation(format!("no thread for polling: {error}")))?;
        Ok(Self { events, consumer, commit: Mutex::default(), closing, thread })
    }

    pub fn client(&self) -> Arc<Client> {
        Arc::clone(&self.consumer)
    }

    /// Tells Kafka where the counters stand, for lag tools only: nothing ever starts from it. One at a time: while the
    /// coordinator is away, the library keeps commits and ends no rebalance before each of them has failed. It says
    /// what became of one only to a thread that waits.
    pub fn commit(&self, offsets: impl Iterator<Item = (TopicPartition, Offset)>) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            // Fails only for an offset below 0, which no position is.
            let _ = list.add_partition_offset(&partition.topic, partition.partition, KafkaOffset::Offset(offset.0));
        }
        let mut commit = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
        if list.count() == 0 || commit.as_ref().is_some_and(|last| !last.is_finished()) {
            return;
        }
        let consumer = Arc::clone(&self.consumer);
        *commit = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = consumer.commit(&list, CommitMode::Sync) {
                tracing::debug!(%error, "offsets were not committed; lag tools are a little behind");
            }
        }));
    }

    /// Leaves the group and ends the thread; false when it did not end in time. Closing may hang in the library;
    /// correctness does not need it to end well.
    pub async fn close(self, patience: Duration) -> bool {
        let Self { events, consumer, commit, closing, thread } = self;
        closing.store(true, Ordering::Relaxed);
        // Callbacks that wait for an answer get none.
        drop(events);
        let closed = async {
            // It holds the consumer, too.
            if let Some(commit) = commit.into_inner().unwrap_or_else(PoisonError::into_inner) {
                let _ = commit.await;
            }
            // Whoever drops the consumer last runs its callbacks, which block: never on a runtime's worker.
            let joined = tokio::task::spawn_blocking(move || {
                drop(consumer);
                thread.join().is_ok()
            });
            matches!(joined.await, Ok(true))
        };
        tokio::time::timeout(patience, closed).await.unwrap_or(false)
    }
}

struct Poller {
    consumer: Arc<Client>,
    events: mpsc::Sender<SourceEvent>,
    closing: Arc<AtomicBool>,
}

impl Poller {
    fn run(self) {
        let mut next = Chunk::default();
        while !self.closing.load(Ordering::Relaxed) {
            let mut chunk = next;
            let mut failed = None;
            let mut wait = POLL;
            // Everything that is there already makes one chunk.
            while let Some(polled) = self.consumer.poll(wait) {
                wait = Duration::ZERO;
                match polled {
                    Ok(message) => push(&mut chunk, &message),
                    Err(error) => failed = Some(error),
                }
                if failed.is_some() || chunk.len() >= CHUNK_RECORDS || chunk.size() >= CHUNK_BYTES {
                    break;
                }
            }
            if !chunk.is_empty() {
                crash::point(Point::AfterPoll);
            }
            next = chunk.successor();
            let records = (!chunk.is_empty()).then_some(SourceEvent::Records(chunk));
            let context = self.consumer.context();
            let (fetched, troubled) = (context.take_fetched(), context.take_trouble());
            for event in records.into_iter().chain(fetched).chain(troubled).chain(failed.and_then(worth_telling)) {
                if self.events.blocking_send(event).is_err() {
                    return;
                }
            }
        }
    }
}

/// Errors that librdkafka heals by itself are logged; the others end the session.
fn worth_telling(error: KafkaError) -> Option<SourceEvent> {
    let code = error.rdkafka_error_code();
    let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
    match code {
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
            Some(SourceEvent::Failed(error))
        }
        Some(RDKafkaErrorCode::PollExceeded) => {
            tracing::warn!("out of the group: nothing was polled for too long (redis did not answer?); joining again");
            None
        }
        _ if fatal => Some(SourceEvent::Failed(error)),
        _ => {
            tracing::warn!(%error, "kafka is in trouble; the client keeps trying");
            None
        }
    }
}

/// Copies a message into a chunk.
pub(super) fn push(chunk: &mut Chunk, message: &BorrowedMessage<'_>) {
    let timestamp = match message.timestamp() {
        Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) if ms >= 0 => Some(TimeMs(ms)),
        _ => None,
    };
    let headers = message.headers().into_iter().flat_map(Headers::iter).map(|header| (header.key, header.value));
    let partition = (message.topic(), message.partition());
    chunk.push(partition, Offset(message.offset()), timestamp, message.key(), message.payload(), headers);
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // The next commit says the same, and nothing rests on either.
            _ if facility == "COMMITFAIL" => tracing::debug!(target: "librdkafka", facility, message),
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, message),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", facility, message),
            // The library calls an error what it goes on to heal; what it can't, comes as an event.
            _ => tracing::warn!(target: "librdkafka", facility, message),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka is in trouble; the client keeps trying");
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    fn stats(&self, statistics: Statistics) {
        let topics = statistics.topics.into_values();
        let fetched = topics.flat_map(|topic| {
            let name: Arc<str> = topic.topic.into();
            let done = topic.partitions.into_values().filter(|found| found.fetchq_cnt == 0 && found.next_offset > 0);
            done.map(move |found| {
                let at = TopicPartition { topic: Arc::clone(&name), partition: found.partition };
                (at, Offset(found.next_offset))
            })
        });
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = fetched.collect();
    }
}

impl ConsumerContext for Callbacks {
    /// Assigns once, with offsets in the list: the default would assign first, and a later seek would race it.
    fn rebalance(&self, consumer: &Client, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let assigns = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        // A session that has ended takes nothing, and the group waits for its answer all the same.
        let nothing = TopicPartitionList::new();
        let taken = if assigns && self.set_starts(list) { &*list } else { &nothing };
        let done = match (assigns, cooperative) {
            (true, true) => consumer.incremental_assign(taken),
            (true, false) => consumer.assign(taken),
            (false, true) => {
                self.hand_over(list);
                consumer.incremental_unassign(list)
            }
            (false, false) => {
                self.hand_over(list);
                consumer.unassign()
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, assigns, "the assignment was not taken");
            // The other side may be gone already when closing.
            let _ = self.events.blocking_send(SourceEvent::Failed(error));
        }
    }
}

impl Callbacks {
    fn new(events: mpsc::Sender<SourceEvent>) -> Self {
        Self { events, fetched: Mutex::default(), trouble: Mutex::default() }
    }

    fn take_trouble(&self) -> Option<SourceEvent> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take().map(SourceEvent::Troubled)
    }

    fn take_fetched(&self) -> Option<SourceEvent> {
        let fetched = std::mem::take(&mut *self.fetched.lock().unwrap_or_else(PoisonError::into_inner));
        (!fetched.is_empty()).then_some(SourceEvent::Fetched(fetched))
    }

    /// Asks where to start and sets the offsets; false when nobody answers.
    fn set_starts(&self, list: &mut TopicPartitionList) -> bool {
        let (starts, answer) = oneshot::channel();
        let sent = self.events.blocking_send(SourceEvent::Assigned { partitions: partitions(list), starts });
        let Some(starts) = sent.ok().and_then(|()| answer.blocking_recv().ok()) else { return false };
        starts.iter().all(|(at, offset)| {
            list.set_partition_offset(&at.topic, at.partition, KafkaOffset::Offset(offset.0)).is_ok()
        })
    }

    fn hand_over(&self, list: &TopicPartitionList) {
        let (done, answer) = oneshot::channel();
        if self.events.blocking_send(SourceEvent::Revoked { partitions: partitions(list), done }).is_ok() {
            // Dropped instead of sent: the session has ended, and the watermarks say all.
            let _ = answer.blocking_recv();
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|element| TopicPartition::new(element.topic(), element.partition())).collect()
}
