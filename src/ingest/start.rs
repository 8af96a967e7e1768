//! Where to start reading a partition: from its watermarks, never from a committed offset.

use crate::domain::bucket::BUCKETS;
use crate::domain::position::{Offset, Position, TopicPartition};

use crate::store::Standing;

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
/// | all there | starts after the least | [`Failure::LogGap`] |
/// | all there | ends before the greatest | [`Failure::LogChanged`] |
/// | none, or some at the very start | starts at 0, nothing committed | 0: a new partition |
/// | any missing | starts later, or was committed | [`Failure::StateLost`] |
/// | some missing, others further on | | [`Failure::StateLost`] |
/// | being moved to another log | | [`Failure::Unfinished`] |
///
/// Records before it that the rated topic is owed are read as well, and never keep a partition from starting:
/// `rated/owed.rs`.
///
/// # Errors
/// [`Failure::StateLost`], [`Failure::LogGap`], [`Failure::LogChanged`], [`Failure::Unfinished`]
pub fn start(partition: &TopicPartition, standing: &Standing, facts: LogFacts) -> Result<Offset, Failure> {
    let stored = &standing.watermarks;
    debug_assert_eq!(stored.len(), usize::from(BUCKETS));
    if standing.unfinished {
        return Err(Failure::Unfinished { partition: partition.clone() });
    }
    let missing = stored.iter().filter(|position| position.is_none()).count();
    if missing > 0 {
        return start_of_new(partition, stored, missing, facts);
    }
    let nexts = || stored.iter().flatten().map(|position| position.next());
    let (least, greatest) = (nexts().min().unwrap_or(Offset(0)), nexts().max().unwrap_or(Offset(0)));
    if greatest > facts.end {
        return Err(Failure::log_ends(partition, facts.end, greatest));
    }
    if least < facts.first {
        return Err(Failure::LogGap { partition: partition.clone(), wanted: least, first: facts.first });
    }
    // Where an operator put a watermark, nothing is known of the record before.
    let before =
        stored.iter().flatten().filter(|position| position.next() == least).find_map(|position| position.last());
    // The record before may have been deleted by retention since it was counted.
    Ok(before.map_or(least, |(before, _)| before).max(facts.first))
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
