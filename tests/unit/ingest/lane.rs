use std::sync::Arc;

use super::*;
use crate::domain::bucket::BUCKETS;
use crate::domain::ids::TenantId;
use crate::ingest::record::Chunk;
use crate::ops::clock;

const DAY_MS: i64 = 86_400_000;
const START_MS: i64 = 1_764_000_000_000;
const BOUNDS: Bounds = Bounds { max_future_ms: 300_000, max_age_ms: 35 * DAY_MS };

fn bucket(tenant: &str) -> Bucket {
    Bucket::of(&TenantId::new(tenant).expect("an id"))
}

fn record(offset: i64, tenant: &str) -> Record {
    let timestamp = TimeMs(START_MS + offset * 1_000);
    let value = serde_json::json!({
        "requestId": format!("r{offset}"), "createdAt": timestamp.to_utc().to_rfc3339(), "tenantId": tenant,
        "userId": "u", "assistant": "a", "model": "m", "tokensIn": 1, "tokensOut": 1,
    });
    let mut chunk = Chunk::default();
    let (value, none) = (value.to_string(), std::iter::empty());
    chunk.push(("t", 0), Offset(offset), Some(timestamp), None, Some(value.as_bytes()), none);
    Record::all(&Arc::new(chunk)).next().expect("a record")
}

/// All buckets stand at offset 5, and have passed a log time two days after the start; but for `behind`, which is to
/// be counted again.
fn lane(behind: Bucket) -> Lane {
    let mut standing = Standing {
        watermarks: vec![Some(Position::after(Offset(4), record(4, "acme").fingerprint())); usize::from(BUCKETS)],
        log_times: vec![TimeMs(START_MS + 2 * DAY_MS); usize::from(BUCKETS)],
        unrated: Vec::new(),
        unfinished: false,
    };
    standing.watermarks[behind.index()] = Some(Position::START);
    standing.log_times[behind.index()] = TimeMs(0);
    Lane::new(TopicPartition::new("t", 0), standing, Offset(0), clock::instant())
}

fn take(lane: &mut Lane, offset: i64, tenant: &str) -> Taken {
    let now = (clock::instant(), TimeMs(START_MS + 9 * DAY_MS));
    lane.take(record(offset, tenant), &BOUNDS, now).expect("the log is the same")
}

#[test]
fn while_one_bucket_is_counted_again_the_others_stay_where_they_are() {
    let behind = bucket("globex");
    assert_ne!(behind, bucket("acme"));
    let mut lane = lane(behind);
    let beat = lane.depart(clock::instant(), true);
    assert_eq!(beat.buckets.iter().map(|(bucket, _)| *bucket).collect::<Vec<_>>(), [behind]);
    lane.land(&[Landed { bucket: behind, at: beat.to }], clock::instant());
    for offset in 0..=4 {
        let taken = take(&mut lane, offset, if offset == 4 { "acme" } else { "globex" });
        assert_eq!(taken, if offset == 4 { Taken::Passed } else { Taken::Waiting });
    }
    let beat = lane.depart(clock::instant(), true);
    assert_eq!((beat.buckets.len(), beat.to.next()), (usize::from(BUCKETS), Offset(5)), "it has caught up");
}

#[test]
fn what_is_counted_again_is_of_the_log_time_that_it_was_and_no_id_is_of_an_earlier_one_than_its_bucket_knows() {
    let mut lane = lane(bucket("globex"));
    take(&mut lane, 0, "globex");
    (1..4).for_each(|offset| assert_eq!(take(&mut lane, offset, "acme"), Taken::Passed));
    take(&mut lane, 4, "acme");
    take(&mut lane, 5, "acme");
    let departure = lane.depart(clock::instant(), true);
    let at = |tenant: &str| departure.batch.events[bucket(tenant).index()][0].counted().log_time;
    assert_eq!(at("globex"), TimeMs(START_MS));
    assert_eq!(at("acme"), TimeMs(START_MS + 2 * DAY_MS));
    // A reader of the bucket that is behind must not be told that it is as fresh as the others.
    assert_eq!(departure.log_time, TimeMs(START_MS + 5_000));
}

#[test]
fn a_lane_says_how_long_it_has_been_without_answer_leader_and_records() {
    let (mut lane, start) = (lane(bucket("acme")), clock::instant());
    let after = |seconds| start + Duration::from_secs(seconds);
    let of = |lane: &Lane, seconds| {
        let now = after(seconds);
        [lane.unheard_for(now), lane.lost_for(now), lane.starves_for(now)].map(|time| time.as_secs())
    };
    lane.note_end(Offset(0), TimeMs(START_MS), start);
    assert_eq!(of(&lane, 9), [9, 0, 0], "nothing is to come");
    lane.note_lost(after(3));
    lane.note_lost(after(5));
    assert_eq!(of(&lane, 9), [9, 6, 0]);
    lane.note_end(Offset(9), TimeMs(START_MS), after(10));
    assert_eq!(of(&lane, 14), [4, 0, 4], "it was not behind until then");
    take(&mut lane, 0, "acme");
    assert_eq!(of(&lane, 14), [4, 0, 0], "a record is waiting");
}
