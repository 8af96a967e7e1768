use std::sync::Arc;

use super::*;
use crate::ingest::record::Chunk;
use crate::ops::clock;

const NOW: TimeMs = TimeMs(5000);
const BOUNDS: Bounds = Bounds { max_future_ms: 0, max_age_ms: 1 };

/// Records at offset 0, 1, 2, … with these Kafka timestamps.
fn records(timestamps: &[i64]) -> Vec<Record> {
    let mut chunk = Chunk::default();
    for (offset, at) in (0..).zip(timestamps) {
        chunk.push(
            TopicPartition::new("t", 0),
            Offset(offset),
            Some(TimeMs(*at)),
            None,
            Some(b"{}"),
            std::iter::empty(),
        );
    }
    Record::all(&Arc::new(chunk)).collect()
}

fn departure(lane: &mut Lane) -> Departure {
    let departure = lane.depart(clock::instant(), &Limits::STANDARD, 1, true);
    lane.in_flight = false;
    departure
}

#[test]
fn a_bucket_that_lags_behind_others_does_not_promise_what_only_they_have_counted() {
    let records = records(&[1000, 2000, 3000]);
    let mut watermarks = vec![Some(Position::START); 64];
    // One bucket has counted all three, the others none: a worker died in between, or a part of Redis went back.
    watermarks[0] = Some(Position::after(records[2].offset(), records[2].fingerprint()));
    let standing = Standing { watermarks, log_time: TimeMs(4000) };
    let now = clock::instant();
    let mut lane = Lane::new(TopicPartition::new("t", 0), standing, Offset(0), now);
    assert_eq!(departure(&mut lane).log_time, TimeMs(0));
    for (record, then) in records.into_iter().zip([1000, 2000, 3000]) {
        lane.take(record, &BOUNDS, (now, NOW)).expect("the log is the same");
        assert_eq!(departure(&mut lane).log_time, TimeMs(then));
    }
    lane.note_end(Offset(3), NOW, now);
    assert_eq!(departure(&mut lane).log_time, NOW);
}
