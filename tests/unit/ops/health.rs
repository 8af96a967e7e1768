use super::*;
use crate::ops::clock;

#[test]
fn ready_lapses_unless_renewed() {
    let (health, start) = (Health::default(), clock::instant());
    let latch = health.part("worker");
    assert_eq!(health.complaints(start), BTreeMap::from([("worker", "is starting".to_owned())]));
    latch.ready(start, Duration::from_secs(5));
    assert!(health.complaints(start + Duration::from_secs(5)).is_empty());
    assert!(health.complaints(start + Duration::from_secs(9))["worker"].contains("4 s"));
    latch.ready(start + Duration::from_secs(9), Duration::from_secs(5));
    assert!(health.complaints(start + Duration::from_secs(9)).is_empty());
}

#[test]
fn one_part_that_is_not_well_is_enough() {
    let (health, now) = (Health::default(), clock::instant());
    health.part("api").ready(now, Duration::from_secs(5));
    health.part("worker").not_ready("is stuck");
    assert_eq!(health.complaints(now), BTreeMap::from([("worker", "is stuck".to_owned())]));
}
