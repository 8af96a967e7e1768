//! Questions to Kafka about partitions, asked off the polling thread and with a deadline of our own: the
//! library's calls block, and not all of them keep the time-out they are given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaErrorCode;

use crate::domain::position::{Offset, TopicPartition};

use super::source::Client;
use super::start::LogFacts;

pub(super) async fn ask<C: ConsumerContext + 'static, T: Send + 'static>(
    client: Arc<BaseConsumer<C>>,
    patience: Duration,
    question: impl FnOnce(&BaseConsumer<C>) -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, String> {
    let asked = tokio::task::spawn_blocking(move || question(&client));
    match tokio::time::timeout(patience + Duration::from_secs(1), asked).await {
        Ok(Ok(answer)) => answer.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {patience:?}")),
    }
}

/// The partitions of the topics; a topic that is not there has none.
///
/// # Errors
/// A sentence that says why Kafka did not answer.
pub async fn partitions<C: ConsumerContext + 'static>(
    client: Arc<BaseConsumer<C>>,
    topics: Vec<String>,
    patience: Duration,
) -> Result<Vec<TopicPartition>, String> {
    ask(client, patience, move |client| {
        let mut all = Vec::new();
        for topic in &topics {
            let metadata = client.fetch_metadata(Some(topic), patience)?;
            let found = metadata.topics().iter().flat_map(|topic| topic.partitions());
            all.extend(found.map(|partition| TopicPartition::new(topic, partition.id())));
        }
        Ok(all)
    })
    .await
}

/// What was found of some partitions.
#[derive(Debug, Default)]
pub struct Ends {
    pub known: Vec<(TopicPartition, Offset)>,
    /// The client finds nobody to ask about them, although they have a leader.
    pub lost: Vec<TopicPartition>,
}

/// The ends of many partitions, one request a broker.
///
/// # Errors
/// A sentence that says why Kafka did not answer.
pub async fn ends(client: Arc<Client>, partitions: Vec<TopicPartition>, patience: Duration) -> Result<Ends, String> {
    if partitions.is_empty() {
        return Ok(Ends::default());
    }
    ask(client, patience, move |client| {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for at in &partitions {
            list.add_partition_offset(&at.topic, at.partition, KafkaOffset::End)?;
        }
        let known: BTreeMap<_, _> = match client.offsets_for_times(list, patience) {
            Ok(found) => found.elements().iter().filter_map(end).collect(),
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition) => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let unknown: Vec<_> = partitions.into_iter().filter(|at| !known.contains_key(at)).collect();
        let lost = if unknown.is_empty() { unknown } else { led(client, unknown, patience)? };
        Ok(Ends { known: known.into_iter().collect(), lost })
    })
    .await
}

fn end(found: &TopicPartitionListElem<'_>) -> Option<(TopicPartition, Offset)> {
    match found.offset() {
        KafkaOffset::Offset(end) => Some((TopicPartition::new(found.topic(), found.partition()), Offset(end))),
        _ => None,
    }
}

/// Those of the partitions that have a leader, as the brokers say.
fn led(
    client: &Client,
    mut partitions: Vec<TopicPartition>,
    patience: Duration,
) -> Result<Vec<TopicPartition>, KafkaError> {
    let metadata = client.fetch_metadata(None, patience)?;
    let leader = |at: &TopicPartition| {
        let topic = metadata.topics().iter().find(|topic| topic.name() == &*at.topic)?;
        topic.partitions().iter().find(|partition| partition.id() == at.partition).map(MetadataPartition::leader)
    };
    partitions.retain(|at| leader(at).is_some_and(|leader| leader >= 0));
    Ok(partitions)
}

/// What the log holds, and what the group has committed where `with_commits` asks for it.
///
/// # Errors
/// A sentence that says why Kafka did not answer.
pub async fn facts<C: ConsumerContext + 'static>(
    client: Arc<BaseConsumer<C>>,
    at: TopicPartition,
    with_commits: bool,
    patience: Duration,
) -> Result<LogFacts, String> {
    ask(client, patience, move |client| {
        let (first, end) = client.fetch_watermarks(&at.topic, at.partition, patience)?;
        let committed = if with_commits { committed(client, &at, patience)? } else { None };
        Ok(LogFacts { first: Offset(first), end: Offset(end), committed })
    })
    .await
}

fn committed<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    at: &TopicPartition,
    patience: Duration,
) -> Result<Option<Offset>, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition(&at.topic, at.partition);
    let found = client.committed_offsets(list, patience)?;
    Ok(found.elements().first().and_then(|found| match found.offset() {
        KafkaOffset::Offset(offset) => Some(Offset(offset)),
        _ => None,
    }))
}
