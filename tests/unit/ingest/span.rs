use super::*;
use crate::domain::calendar::TimeMs;
use crate::domain::position::Offset;
use crate::domain::rated::Rated;
use crate::ingest::decode::{Bounds, Incoming, decode};
use crate::ingest::record::{Chunk, Record};

const START_MS: i64 = 1_764_000_000_000;
const BOUNDS: Bounds = Bounds { max_future_ms: 300_000, max_age_ms: 86_400_000 };

fn accepted(partition: i32, offset: i64) -> Accepted {
    let timestamp = TimeMs(START_MS);
    let value = serde_json::json!({
        "requestId": format!("r{partition}-{offset}"), "createdAt": timestamp.to_utc().to_rfc3339(), "tenantId": "acme",
        "userId": "u", "assistant": "a", "model": "m", "tokensIn": 1, "tokensOut": 1,
    });
    let mut chunk = Chunk::default();
    let value = value.to_string();
    chunk.push(("t", partition), Offset(offset), Some(timestamp), None, Some(value.as_bytes()), std::iter::empty());
    let record = Record::all(&Arc::new(chunk)).next().expect("a record");
    let incoming = Incoming { value: record.value(), headers: &[], timestamp: Some(timestamp) };
    let event = decode(&incoming, &BOUNDS).expect("an event");
    let (fingerprint, seen) = (record.fingerprint(), SeenId::of(&event, timestamp));
    Accepted { record, fingerprint, event, rated: Rated::default(), seen }
}

/// Of two partitions, with the events at these offsets.
fn span(of_each: [&[i64]; 2]) -> Span {
    let portion = |(partition, offsets): (i32, &[i64])| {
        let events: Vec<_> = offsets.iter().map(|offset| accepted(partition, *offset)).collect();
        let to = events.last().map_or(Position::START, Accepted::position);
        Portion { partition: TopicPartition::new("t", partition), from: None, to, log_time: TimeMs(0), events }
    };
    Span { portions: (0..).zip(of_each).map(portion).collect() }
}

fn offsets(span: &Span) -> Vec<Vec<i64>> {
    span.portions.iter().map(|portion| portion.events.iter().map(|accepted| accepted.offset().0).collect()).collect()
}

fn repeats(indexes: &[usize]) -> Vec<Repeat> {
    indexes.iter().map(|index| Repeat { index: *index, conflict: *index == 4 }).collect()
}

#[test]
fn what_is_set_aside_is_named_to_the_store_and_not_counted() {
    let mut span = span([&[1, 3, 4], &[0, 2, 7]]);
    let all = span.seen();
    let aside = span.set_aside(&repeats(&[0, 4, 5]));
    assert_eq!(offsets(&span), [vec![3, 4], vec![0]]);
    assert_eq!(aside.known, Known { repeated: 2, conflicts: 1 });
    let flush = span.flush(&aside, Bucket::all().next().expect("one"), 2, None).expect("small sums");
    assert_eq!(flush.seen, [all[1], all[2], all[3]]);
    assert_eq!(flush.repeats, [all[0], all[4], all[5]]);
    let requests: i64 = flush.delta.months().map(|(.., added)| added.sums.usage.total().expect("few").requests).sum();
    assert_eq!(requests, 2 * 3, "the user's and the tenant's");
}

#[test]
fn what_is_put_back_stands_where_it_stood() {
    for indexes in [&[][..], &[0], &[2, 3], &[1, 4], &[0, 1, 2, 3, 4, 5]] {
        let mut span = span([&[1, 3, 4], &[0, 2, 7]]);
        let all = span.seen();
        let aside = span.set_aside(&repeats(indexes));
        span.put_back(aside);
        assert_eq!(span.seen(), all, "{indexes:?}");
        assert_eq!(offsets(&span), [vec![1, 3, 4], vec![0, 2, 7]]);
    }
}
