//! Where a record lies, in one word: `TOPIC:PARTITION:OFFSET`.

use std::fmt;
use std::str::FromStr;

use crate::domain::position::{Offset, TopicPartition};
use crate::ingest::record::Record;

/// A record's place. No topic's name has a colon in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub partition: TopicPartition,
    pub offset: Offset,
}

impl Place {
    pub fn of(record: &Record) -> Self {
        Self { partition: record.partition().clone(), offset: record.offset() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.partition.topic, self.partition.partition, self.offset.0)
    }
}

/// Why a text is not a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a place such as ai.usage.events.v1.dlq:0:12")]
pub struct PlaceFault;

impl FromStr for Place {
    type Err = PlaceFault;

    fn from_str(text: &str) -> Result<Self, PlaceFault> {
        let mut parts = text.split(':');
        let (Some(topic), Some(partition), Some(offset), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(PlaceFault);
        };
        let partition = partition.parse().ok().filter(|partition| *partition >= 0).ok_or(PlaceFault)?;
        let offset = offset.parse().ok().filter(|offset| *offset >= 0).ok_or(PlaceFault)?;
        if topic.is_empty() {
            return Err(PlaceFault);
        }
        Ok(Self { partition: TopicPartition::new(topic, partition), offset: Offset(offset) })
    }
}
