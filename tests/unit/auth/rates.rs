use super::*;

fn seconds(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_second_s_worth_at_once_and_then_one_after_the_other() {
    let (rates, start) = (Rates::default(), crate::ops::clock::instant());
    for _ in 0..10 {
        assert_eq!(rates.take("a", 10, start), Ok(()));
    }
    assert_eq!(rates.take("a", 10, start), Err(seconds(100)));
    assert_eq!(rates.take("a", 10, start + seconds(99)), Err(seconds(1)));
    assert_eq!(rates.take("a", 10, start + seconds(100)), Ok(()));
    assert_eq!(rates.take("a", 10, start + seconds(100)), Err(seconds(100)), "a refusal costs nothing");
    assert_eq!(rates.take("b", 10, start), Ok(()), "another credential's bucket is another one");
    for _ in 0..10 {
        assert_eq!(rates.take("a", 10, start + seconds(5_000)), Ok(()), "a bucket is never more than full");
    }
    assert!(rates.take("a", 10, start + seconds(5_000)).is_err());
}

#[test]
fn the_table_does_not_grow_and_what_has_no_room_shares() {
    let (rates, start) = (Rates::default(), crate::ops::clock::instant());
    let len = || rates.full_at.lock().expect("a lock").len();
    for number in 0..MAX_BUCKETS {
        assert_eq!(rates.take(&format!("c{number}"), 1, start), Ok(()));
    }
    assert_eq!(rates.take("one too many", 1, start), Ok(()));
    assert!(rates.take("another", 1, start).is_err(), "they share a bucket, which is empty now");
    assert!(rates.take("c0", 1, start).is_err(), "who has a bucket keeps it");
    assert_eq!(len(), MAX_BUCKETS + 1);
    // A second later all are full again, and go.
    assert_eq!(rates.take("another", 1, start + seconds(1_000)), Ok(()));
    assert_eq!(len(), 1);
}
