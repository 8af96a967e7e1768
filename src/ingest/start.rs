//! Where to start reading a partition: from its watermarks, never from a committed offset.

use crate::domain::bucket::BUCKETS;
use crate::domain::position::{Offset, Position, TopicPartition};

use super::failure::Failure;

/// What Kafka says of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFacts {
    /// The first offset that the log still holds.
    pub first: Offset,
    /// The offset that the next record will get.
    pub end: Offset,
    /// What the consumer group has committed; asked only where a watermark is missing.
    pub committed: Option<Offset>,
}

/// The first offset to read, given the watermarks of all buckets.
///
/// | watermarks | log | answer |
/// |---|---|---|
/// | all there | holds what they name | one record before the least, to see that it is still the same record |
/// | all there | starts after, or ends before, the least | [`Failure::LogGap`] |
/// | none, or some at the very start | starts at 0, nothing committed | 0: a new partition |
/// | any missing | starts later, or was committed | [`Failure::StateLost`] |
/// | some missing, others further on | | [`Failure::StateLost`] |
///
/// # Errors
/// [`Failure::StateLost`], [`Failure::LogGap`]
pub fn start(partition: &TopicPartition, stored: &[Option<Position>], facts: LogFacts) -> Result<Offset, Failure> {
    debug_assert_eq!(stored.len(), usize::from(BUCKETS));
    let missing = stored.iter().filter(|position| position.is_none()).count();
    if missing > 0 {
        return start_of_new(partition, stored, missing, facts);
    }
    let least = stored.iter().flatten().min_by_key(|position| position.next()).copied().unwrap_or(Position::START);
    if least.next() < facts.first || least.next() > facts.end {
        return Err(Failure::LogGap {
            partition: partition.clone(),
            wanted: least.next(),
            first: facts.first,
            end: facts.end,
        });
    }
    let before = least.last().map_or(least.next(), |(before, _)| before);
    // The record before may have been deleted by retention since it was counted.
    Ok(before.max(facts.first))
}

fn start_of_new(
    partition: &TopicPartition,
    stored: &[Option<Position>],
    missing: usize,
    facts: LogFacts,
) -> Result<Offset, Failure> {
    let lost = |evidence: String| Err(Failure::StateLost { partition: partition.clone(), missing, evidence });
    if let Some(further) = stored.iter().flatten().find(|position| **position != Position::START) {
        return lost(format!("another bucket stands at offset {}", further.next().0));
    }
    match facts {
        LogFacts { committed: Some(committed), .. } => lost(format!("the group has committed offset {}", committed.0)),
        LogFacts { first, .. } if first != Offset(0) => lost(format!("the log starts at offset {}, not at 0", first.0)),
        _ => Ok(Offset(0)),
    }
}

#[cfg(test)]
#[path = "../../tests/unit/ingest/start.rs"]
mod tests;
