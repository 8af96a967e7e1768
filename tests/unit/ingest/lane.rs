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
    let beat = lane.depart(Turns::ALL, clock::instant(), true);
    assert_eq!(beat.buckets.iter().map(|(bucket, _)| *bucket).collect::<Vec<_>>(), [behind]);
    lane.land(Turns::ALL, &[Landed { bucket: behind, at: beat.to }], clock::instant());
    for offset in 0..=4 {
        let taken = take(&mut lane, offset, if offset == 4 { "acme" } else { "globex" });
        assert_eq!(taken, if offset == 4 { Taken::Passed } else { Taken::Waiting });
    }
    let beat = lane.depart(Turns::ALL, clock::instant(), true);
    assert_eq!((beat.buckets.len(), beat.to.next()), (usize::from(BUCKETS), Offset(5)), "it has caught up");
}

#[test]
fn what_is_counted_again_is_of_the_log_time_that_it_was_and_no_id_is_of_an_earlier_one_than_its_bucket_knows() {
    let mut lane = lane(bucket("globex"));
    take(&mut lane, 0, "globex");
    (1..4).for_each(|offset| assert_eq!(take(&mut lane, offset, "acme"), Taken::Passed));
    take(&mut lane, 4, "acme");
    take(&mut lane, 5, "acme");
    let departure = lane.depart(Turns::ALL, clock::instant(), true);
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

#[test]
fn a_turn_takes_its_buckets_and_another_may_follow_before_it_lands() {
    let (first, second) = (bucket("globex"), bucket("acme"));
    let (turn, other) = (Turn::of(first), Turn::of(second));
    assert_ne!(turn, other);
    let (mut lane, start) = (lane(first), clock::instant());
    take(&mut lane, 4, "acme");
    take(&mut lane, 5, "globex");
    take(&mut lane, 6, "acme");
    let size = lane.waiting.bytes();

    let leaving = lane.depart(turn.into(), start, false);
    assert_eq!(leaving.buckets, [(first, Some(Position::START))]);
    assert_eq!(leaving.to.next(), Offset(7));
    assert_eq!(leaving.batch.bytes() + lane.waiting.bytes(), size);
    assert!(lane.waiting.waits_for(other) && !lane.waiting.waits_for(turn));
    // What comes meanwhile goes with the others.
    take(&mut lane, 7, "acme");
    take(&mut lane, 8, "globex");
    assert_eq!(
        (lane.may_depart(turn.into()), lane.may_depart(Turns::ALL)),
        (false, false),
        "one batch of a bucket at a time"
    );
    let second_leaving = lane.depart(other.into(), start, false);
    let offsets = second_leaving.batch.events[second.index()].iter().map(|accepted| accepted.offset().0);
    assert_eq!(offsets.collect::<Vec<_>>(), [6, 7]);
    lane.land(other.into(), &[Landed { bucket: second, at: second_leaving.to }], start);
    assert_eq!(lane.committable(), Some(Offset(0)), "the first has not landed");
    lane.land(turn.into(), &[Landed { bucket: first, at: leaving.to }], start);
    assert!(!lane.is_flying() && lane.may_depart(turn.into()));
    assert_eq!(lane.committable(), Some(Offset(5)), "where the buckets stand that have moved nowhere");
}

#[test]
fn a_dead_letter_leaves_when_nothing_else_is_on_its_way_and_nothing_else_leaves_before_it_lands() {
    let (first, second) = (bucket("globex"), bucket("acme"));
    let (turn, other) = (Turn::of(first), Turn::of(second));
    let (mut lane, start) = (lane(first), clock::instant());
    take(&mut lane, 4, "acme");
    take(&mut lane, 5, "globex");
    let leaving = lane.depart(turn.into(), start, false);
    take(&mut lane, 6, "acme");
    let mut chunk = Chunk::default();
    chunk.push(("t", 0), Offset(7), None, None, Some(b"no event"), std::iter::empty());
    let bad = Record::all(&Arc::new(chunk)).next().expect("a record");
    lane.take(bad, &BOUNDS, (start, TimeMs(START_MS))).expect("the log is the same");
    assert!(!lane.may_depart(other.into()), "its watermark would pass the letter");
    lane.land(turn.into(), &[Landed { bucket: first, at: leaving.to }], start);

    let leaving = lane.depart(other.into(), start, false);
    assert_eq!((leaving.batch.rejects.len(), leaving.to.next()), (1, Offset(8)));
    take(&mut lane, 8, "globex");
    assert!(!Turn::all().any(|turn| lane.may_depart(turn.into())), "the letter may not have arrived");
    lane.land(Turns::ALL, &[Landed { bucket: second, at: leaving.to }], start);
    assert!(lane.may_depart(turn.into()));
}

#[test]
fn every_turn_has_a_beat_of_its_own() {
    let (mut lane, start) = (lane(bucket("globex")), clock::instant());
    let (limits, turns) = (Limits::STANDARD, Turn::all().collect::<Vec<_>>());
    let due = |lane: &Lane, turn| lane.due_at(turn, start, &limits, limits.batch_age).map(|at| at - start);
    assert_eq!(due(&lane, turns[1]), Some(Duration::ZERO), "nothing was moved along yet");
    let leaving = lane.depart(turns[1].into(), start, true);
    assert!(leaving.buckets.iter().all(|(bucket, _)| Turn::of(*bucket) == turns[1]));
    assert_eq!(
        (due(&lane, turns[0]), due(&lane, turns[1])),
        (Some(Duration::ZERO), None),
        "a batch of one is on its way"
    );
    lane.land(turns[1].into(), &[], start);
    assert_eq!((due(&lane, turns[0]), due(&lane, turns[1])), (Some(Duration::ZERO), Some(limits.beat)));
    lane.depart(Turns::ALL, start, true);
    lane.land(Turns::ALL, &[], start);
    assert!(turns.iter().all(|turn| due(&lane, *turn) == Some(limits.beat)));
    // An event waits for others, and not for the beat.
    take(&mut lane, 4, "acme");
    take(&mut lane, 5, "globex");
    let with_event = due(&lane, Turn::of(bucket("globex"))).expect("nothing is on its way");
    assert!((limits.batch_age..limits.beat).contains(&with_event), "{with_event:?}");
}
