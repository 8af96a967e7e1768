//! Places in the log. The only "plus one" of the program stands here.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::calendar::TimeMs;

/// A record's place in its partition, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: &str, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }

    /// `TOPIC:PARTITION`, as the commands take it.
    pub fn argument(&self) -> String {
        format!("{}:{}", self.topic, self.partition)
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Why a text is not a partition's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not TOPIC:PARTITION, such as ai.usage.events.v1:0")]
pub struct PartitionFault;

impl FromStr for TopicPartition {
    type Err = PartitionFault;

    /// Reads `TOPIC:PARTITION` and `TOPIC/PARTITION`; neither separator can be in a topic's name.
    fn from_str(text: &str) -> Result<Self, PartitionFault> {
        let (topic, partition) = text.rsplit_once([':', '/']).ok_or(PartitionFault)?;
        let partition = partition.parse().ok().filter(|partition| *partition >= 0).ok_or(PartitionFault)?;
        if topic.is_empty() { Err(PartitionFault) } else { Ok(Self::new(topic, partition)) }
    }
}

/// Tells a record from another one at the same offset: a re-created topic, another cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The record's Kafka timestamp.
    pub timestamp: TimeMs,
    /// A hash of its key and value.
    pub hash: u64,
}

/// Where a reader of a partition stands: the next offset to read, and the record before it.
///
/// Its text, `next timestamp hash` (or `next - -` before the first record that was counted, at 0 or where an operator
/// put it), is what a watermark holds; two positions are the same exactly when their texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    next: Offset,
    last: Option<Fingerprint>,
}

impl Position {
    /// Before the first record of a log that starts at 0.
    pub const START: Self = Self { next: Offset(0), last: None };

    /// Where an operator has counting go on: nothing is known of the record before it.
    pub fn accepted(next: Offset) -> Self {
        Self { next, last: None }
    }

    pub fn after(offset: Offset, last: Fingerprint) -> Self {
        Self { next: Offset(offset.0 + 1), last: Some(last) }
    }

    /// The next offset to read.
    pub fn next(self) -> Offset {
        self.next
    }

    /// The record just before the position and its fingerprint; none before the first record counted.
    pub fn last(self) -> Option<(Offset, Fingerprint)> {
        self.last.map(|fingerprint| (Offset(self.next.0 - 1), fingerprint))
    }

    pub fn covers(self, offset: Offset) -> bool {
        offset < self.next
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) => write!(f, "{} {} {:016x}", self.next.0, last.timestamp.0, last.hash),
            None => write!(f, "{} - -", self.next.0),
        }
    }
}

/// Why a text is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a watermark such as \"42 1732471234567 9f86d081884c7d65\"")]
pub struct PositionFault;

impl FromStr for Position {
    type Err = PositionFault;

    fn from_str(text: &str) -> Result<Self, PositionFault> {
        let mut parts = text.split(' ');
        let (Some(next), Some(timestamp), Some(hash), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(PositionFault);
        };
        let next = Offset(next.parse().map_err(|_| PositionFault)?);
        let last = match (timestamp, hash) {
            ("-", "-") => None,
            _ => Some(Fingerprint {
                timestamp: TimeMs(timestamp.parse().map_err(|_| PositionFault)?),
                hash: u64::from_str_radix(hash, 16).map_err(|_| PositionFault)?,
            }),
        };
        let position = Self { next, last };
        // One position, one text: the store compares texts.
        if position.to_string() == text { Ok(position) } else { Err(PositionFault) }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/domain/position.rs"]
mod tests;
