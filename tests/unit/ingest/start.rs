use super::*;
use crate::domain::calendar::TimeMs;
use crate::domain::position::Fingerprint;

fn at(offset: i64) -> Option<Position> {
    Some(Position::after(Offset(offset - 1), Fingerprint { timestamp: TimeMs(0), hash: 0 }))
}

/// `log` is first offset, end and committed offset.
#[track_caller]
fn check(some: &[Option<Position>], rest: Option<Position>, log: (i64, i64, Option<i64>), expected: Result<i64, &str>) {
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
