use super::*;
use crate::ingest::start::LogFacts;
use crate::store::PartitionState;

const NOW: TimeMs = TimeMs(5);

fn of(partition: i32, first: i64, states: Vec<PartitionState>) -> Surveyed {
    let facts = LogFacts { first: Offset(first), end: Offset(20), committed: None };
    Surveyed { partition: TopicPartition::new("t", partition), facts, states, verdict: Ok(Offset(0)) }
}

fn marked() -> PartitionState {
    PartitionState { watermark: Some(Position::accepted(Offset(9))), ..PartitionState::default() }
}

/// Bucket, partition, position and gaps of every change.
fn told(changes: &[Change]) -> Vec<(usize, i32, String, String)> {
    let told = changes.iter().map(|change| {
        assert_eq!(change.from, None, "only what is missing is written");
        let Target::At(at) = change.to else { panic!("nothing is parked") };
        let gaps = change.gaps.as_ref().map(ToString::to_string).unwrap_or_default();
        (change.bucket.index(), change.partition.partition, at.to_string(), gaps)
    });
    told.collect()
}

#[test]
fn only_missing_watermarks_are_put_to_the_start_of_their_log() {
    let mut states = vec![marked(); 64];
    states[3] = PartitionState::default();
    let changes = bootstrap(&[of(0, 0, states.clone()), of(1, 7, states), of(2, 7, vec![marked(); 64])], NOW);
    let start = (3, 0, "0 - -".to_owned(), String::new());
    assert_eq!(told(&changes), [start, (3, 1, "7 - -".to_owned(), "0..7 before_start 5".to_owned())]);
}

#[test]
fn a_bucket_that_is_counted_again_lacks_what_came_of_an_earlier_log() {
    let mut states = vec![marked(); 64];
    states[9].gaps.accept(Gap { from: Offset(50), to: Offset(0), kind: GapKind::Replaced, accepted: TimeMs(1) });
    states[3] = PartitionState::default();
    let [change] = bootstrap(&[of(0, 0, states)], NOW).try_into().expect("one change");
    assert_eq!(change.gaps.expect("a gap").to_string(), "0..0 replaced 5");
}

#[test]
fn what_is_being_moved_to_another_log_is_left_alone() {
    let parked = PartitionState { resume: Some(Position::START), ..PartitionState::default() };
    assert_eq!(bootstrap(&[of(0, 0, vec![parked; 64])], NOW), []);
}

#[test]
fn a_bucket_with_any_watermark_has_its_state() {
    let bucket = |index: usize, partitions: &[(i32, PartitionState)]| BucketState {
        bucket: Bucket::all().nth(index).expect("one of 64"),
        tag: "tag",
        partitions: partitions.iter().map(|(at, state)| (TopicPartition::new("t", *at), state.clone())).collect(),
    };
    let none = PartitionState::default();
    let buckets = [
        bucket(0, &[]),
        bucket(1, &[(0, none.clone())]),
        bucket(2, &[(0, none), (1, marked())]),
        bucket(3, &[(0, marked())]),
    ];
    let lost: Vec<_> = without_state(&buckets).map(|bucket| bucket.bucket.index()).collect();
    assert_eq!(lost, [0, 1]);
}
