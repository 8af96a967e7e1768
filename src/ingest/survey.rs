//! What a worker would find of every partition, asked without joining the group: for an operator's commands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use crate::domain::calendar::TimeMs;
use crate::domain::position::{Fingerprint, Offset, Position, TopicPartition};
use crate::store::{BucketState, PartitionState, Standing};

use super::failure::Failure;
use super::probe;
use super::record::{Chunk, Record};
use super::source::push;
use super::start::{LogFacts, start};

const PATIENCE: Duration = Duration::from_secs(10);
/// Partitions that Kafka is asked about at once.
const AT_ONCE: usize = 8;

/// What is known of one partition.
#[derive(Debug)]
pub struct Surveyed {
    pub partition: TopicPartition,
    pub facts: LogFacts,
    /// By bucket.
    pub states: Vec<PartitionState>,
    /// Where a worker would start, or why it would not.
    pub verdict: Result<Offset, Failure>,
}

impl Surveyed {
    pub fn watermarks(&self) -> impl Iterator<Item = Position> {
        self.states.iter().filter_map(|state| state.watermark)
    }
}

/// Surveys all partitions of the topics. `kafka` is a consumer's configuration.
///
/// # Errors
/// A sentence that says why Kafka did not answer.
pub async fn survey(kafka: &ClientConfig, topics: &[String], buckets: &[BucketState]) -> Result<Vec<Surveyed>, String> {
    let client: Arc<BaseConsumer> = Arc::new(quiet(kafka).create().map_err(|error| error.to_string())?);
    let partitions = probe::partitions(Arc::clone(&client), topics.to_vec(), PATIENCE).await?;
    let asked = stream::iter(partitions).map(|partition| look_at(kafka, Arc::clone(&client), partition, buckets));
    let surveyed = asked.buffered(AT_ONCE).try_collect().await;
    // Its end may block, and nothing depends on it.
    drop(tokio::task::spawn_blocking(move || drop(client)));
    surveyed
}

/// A client that only asks has no statistics to tell.
fn quiet(kafka: &ClientConfig) -> ClientConfig {
    let mut config = kafka.clone();
    config.set("statistics.interval.ms", "0");
    config
}

async fn look_at(
    kafka: &ClientConfig,
    client: Arc<BaseConsumer>,
    partition: TopicPartition,
    buckets: &[BucketState],
) -> Result<Surveyed, String> {
    let states = buckets.iter().map(|bucket| bucket.partitions.get(&partition).cloned().unwrap_or_default());
    let states: Vec<PartitionState> = states.collect();
    let facts = probe::facts(client, partition.clone(), true, PATIENCE).await;
    let facts = facts.map_err(|why| format!("{}: {why}", partition.argument()))?;
    let mut verdict = start(&partition, &standing(&states), facts);
    if verdict.is_ok() {
        let other = other_record(kafka, &partition, &states, facts.first).await;
        if let Some(offset) = other.map_err(|why| format!("{}: {why}", partition.argument()))? {
            verdict = Err(Failure::other_record(&partition, offset));
        }
    }
    Ok(Surveyed { partition, facts, states, verdict })
}

fn standing(states: &[PartitionState]) -> Standing {
    Standing {
        watermarks: states.iter().map(|state| state.watermark).collect(),
        log_times: states.iter().map(|state| state.log_time).collect::<Vec<TimeMs>>(),
        // Nothing is written to the rated topic here.
        unrated: vec![None; states.len()],
        unfinished: states.iter().any(|state| state.resume.is_some()),
    }
}

/// The first record that a watermark names and that is another one now.
async fn other_record(
    kafka: &ClientConfig,
    partition: &TopicPartition,
    states: &[PartitionState],
    first: Offset,
) -> Result<Option<Offset>, String> {
    let named = states.iter().filter_map(|state| state.watermark?.last());
    // Two buckets that name two records at one offset can't both be right; one of them is then found out.
    let mut named: Vec<_> = named.filter(|(offset, _)| *offset >= first).collect();
    named.sort_by_key(|(offset, expected)| (*offset, expected.timestamp, expected.hash));
    named.dedup();
    let offsets: Vec<Offset> = named.iter().map(|(offset, _)| *offset).collect();
    if offsets.is_empty() {
        return Ok(None);
    }
    let found = fingerprints(kafka, partition.clone(), offsets).await?;
    Ok(named.into_iter().find(|(offset, expected)| found.get(offset) != Some(expected)).map(|(offset, _)| offset))
}

/// The fingerprints of the records at these offsets; those that are no longer there are left out.
pub(super) async fn fingerprints(
    kafka: &ClientConfig,
    partition: TopicPartition,
    offsets: Vec<Offset>,
) -> Result<BTreeMap<Offset, Fingerprint>, String> {
    // Its own client: an assignment is the client's, and other partitions are being asked about.
    let mut config = quiet(kafka);
    config.set("enable.partition.eof", "true");
    let client: Arc<BaseConsumer> = Arc::new(config.create().map_err(|error| error.to_string())?);
    probe::ask(client, PATIENCE.saturating_mul(3), move |client| {
        let mut found = BTreeMap::new();
        for offset in offsets {
            if let Some(fingerprint) = fingerprint(client, &partition, offset)? {
                found.insert(offset, fingerprint);
            }
        }
        Ok(found)
    })
    .await
}

/// None when the next record from `offset` on is a later one, or there is none.
fn fingerprint(
    client: &BaseConsumer,
    partition: &TopicPartition,
    offset: Offset,
) -> Result<Option<Fingerprint>, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&partition.topic, partition.partition, KafkaOffset::Offset(offset.0))?;
    client.assign(&list)?;
    match client.poll(PATIENCE) {
        Some(Ok(message)) => {
            let mut chunk = Chunk::default();
            push(&mut chunk, &message);
            let record = Record::all(&Arc::new(chunk)).find(|record| record.offset() == offset);
            Ok(record.map(|record| record.fingerprint()))
        }
        Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
        Some(Err(error)) => Err(error),
        None => Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
    }
}
