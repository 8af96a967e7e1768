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
    let standing = Standing { watermarks: stored, log_times: Vec::new(), unrated: Vec::new(), unfinished: false };
    match (start(&TopicPartition::new("t", 0), &standing, facts), expected) {
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
fn reading_starts_at_the_watermark_where_an_operator_has_put_it() {
    let put = |offset| Some(Position::accepted(Offset(offset)));
    check(&[put(7)], at(12), (7, 20, Some(3)), Ok(7));
    check(&[put(7)], at(12), (0, 20, None), Ok(7));
    check(&[put(7), at(7)], at(12), (0, 20, None), Ok(6));
}

#[test]
fn a_log_without_the_next_record_has_a_gap_or_is_another_one() {
    check(&[at(7)], at(12), (8, 20, None), Err("next record to count is at offset 7, but the log begins at 8"));
    check(&[at(7)], at(12), (0, 6, None), Err("it ends at offset 6, and 12 was to be counted next"));
    check(&[at(7)], at(12), (0, 11, None), Err("it ends at offset 11, and 12 was to be counted next"));
    check(&[at(7)], at(12), (8, 11, None), Err("it ends at offset 11, and 12 was to be counted next"));
    check(&[at(7)], at(7), (0, 7, None), Ok(6));
}

#[test]
fn a_partition_that_is_being_moved_to_another_log_is_not_started() {
    let mut standing =
        Standing { watermarks: vec![None; 64], log_times: Vec::new(), unrated: Vec::new(), unfinished: true };
    let facts = LogFacts { first: Offset(0), end: Offset(9), committed: None };
    let partition = TopicPartition::new("t", 0);
    assert_eq!(start(&partition, &standing, facts), Err(Failure::Unfinished { partition: partition.clone() }));
    standing.unfinished = false;
    assert_eq!(start(&partition, &standing, facts), Ok(Offset(0)));
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
