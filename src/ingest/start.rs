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
mod tests {
    use super::*;
    use crate::domain::calendar::TimeMs;
    use crate::domain::position::Fingerprint;

    fn at(offset: i64) -> Option<Position> {
        Some(Position::after(Offset(offset - 1), Fingerprint { timestamp: TimeMs(0), hash: 0 }))
    }

    /// `log` is first offset, end and committed offset.
    #[track_caller]
    fn check(
        some: &[Option<Position>],
        rest: Option<Position>,
        log: (i64, i64, Option<i64>),
        expected: Result<i64, &str>,
    ) {
        let mut stored = vec![rest; usize::from(BUCKETS)];
        stored[..some.len()].copy_from_slice(some);
        let facts = LogFacts { first: Offset(log.0), end: Offset(log.1), committed: log.2.map(Offset) };
        match (start(&TopicPartition::new("t", 0), &stored, facts), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, Offset(expected)),
            (Err(failure), Err(expected)) => assert!(failure.to_string().contains(expected), "{failure}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn reading_starts_one_record_before_the_least_watermark() {
        check(&[at(10), at(7)], at(12), (0, 20, None), Ok(6));
        check(&[at(10), at(7)], at(12), (0, 20, Some(12)), Ok(6));
        check(&[Some(Position::START)], at(12), (0, 20, None), Ok(0));
        check(&[at(10), at(7)], at(12), (7, 20, None), Ok(7));
    }

    #[test]
    fn a_log_without_the_next_record_has_a_gap() {
        check(&[at(7)], at(12), (8, 20, None), Err("next record to count is at offset 7, but the log holds 8..20"));
        check(&[at(7)], at(12), (0, 6, None), Err("next record to count is at offset 7, but the log holds 0..6"));
        check(&[at(7)], at(7), (0, 7, None), Ok(6));
    }

    #[test]
    fn a_new_partition_starts_at_0() {
        check(&[], None, (0, 20, None), Ok(0));
        check(&[Some(Position::START); 3], None, (0, 20, None), Ok(0));
    }

    #[test]
    fn a_missing_watermark_of_a_known_partition_is_lost_state() {
        check(&[], None, (0, 20, Some(5)), Err("committed offset 5"));
        check(&[], None, (3, 20, None), Err("starts at offset 3"));
        check(&[at(9)], None, (0, 20, None), Err("stands at offset 9"));
    }
}
