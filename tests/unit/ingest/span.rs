use super::*;
use crate::domain::calendar::TimeMs;
use crate::domain::position::Offset;
use crate::domain::rated::Rated;
use crate::ingest::decode::{Bounds, Incoming, Reason, decode};
use crate::ingest::record::{Chunk, Record};

const START_MS: i64 = 1_764_000_000_000;
const BOUNDS: Bounds = Bounds { max_future_ms: 300_000, max_age_ms: 86_400_000 };

fn accepted(partition: i32, offset: i64) -> Accepted {
    request(partition, offset, 1)
}

fn request(partition: i32, offset: i64, tokens_in: i64) -> Accepted {
    let timestamp = TimeMs(START_MS);
    let value = serde_json::json!({
        "requestId": format!("r{partition}-{offset}"), "createdAt": timestamp.to_utc().to_rfc3339(), "tenantId": "acme",
        "userId": "u", "assistant": "a", "model": "m", "tokensIn": tokens_in, "tokensOut": 1,
    });
    let mut chunk = Chunk::default();
    let value = value.to_string();
    chunk.push(("t", partition), Offset(offset), Some(timestamp), None, Some(value.as_bytes()), std::iter::empty());
    let record = Record::all(&Arc::new(chunk)).next().expect("a record");
    let incoming = Incoming { value: record.value(), headers: &[], timestamp: Some(timestamp) };
    let event = decode(&incoming, &BOUNDS).expect("an event");
    let seen = SeenId::of(&event, timestamp);
    Accepted { record, event, rated: Rated::default(), seen, repeats: None }
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

fn repeats(indexes: &[usize]) -> Vec<Repeat> {
    indexes.iter().map(|index| Repeat { index: *index, conflict: *index == 4 }).collect()
}

fn flush(span: &Span) -> (Flush, Known) {
    span.flush(Bucket::all().next().expect("one"), 2, None).expect("small sums")
}

#[test]
fn a_repeat_is_named_to_the_store_unless_the_store_has_named_it_and_is_not_counted() {
    let mut span = span([&[1, 3, 4], &[0, 2, 7]]);
    let all = span.note_repeats_within();
    span.note_repeats(&repeats(&[0, 4, 5]), false);
    // What is left of the six is counted anew.
    span.note_repeats(&repeats(&[1]), true);
    let (flushed, known) = flush(&span);
    assert_eq!((flushed.seen.as_slice(), known), (&[all[1], all[3]][..], Known { repeated: 3, conflicts: 1 }));
    assert_eq!(flushed.repeats, [all[0], all[4], all[5]]);
    let requests: i64 = flushed.delta.months().map(|(.., added)| added.sums.usage.total().expect("few").requests).sum();
    assert_eq!(requests, 2 * 2, "the user's and the tenant's");

    span.doubt_repeats();
    let (flushed, known) = flush(&span);
    assert_eq!(flushed.seen, [all[0], all[1], all[3], all[4], all[5]], "in the order of the log");
    assert_eq!((flushed.repeats.as_slice(), known), (&[][..], Known { repeated: 1, conflicts: 0 }));
}

#[test]
fn of_an_id_that_stands_twice_the_first_is_counted_and_the_others_are_held_against_it() {
    let mut span = span([&[1, 3], &[0, 2, 7]]);
    let all = flush(&span).0.seen;
    let twice = |accepted: &mut Accepted, content| (accepted.seen.id, accepted.seen.content) = (all[0].id, content);
    twice(&mut span.portions[0].events[1], all[0].content);
    twice(&mut span.portions[1].events[0], all[0].content + 1);
    twice(&mut span.portions[1].events[2], all[0].content);
    assert_eq!(span.note_repeats_within(), [all[0], all[3]]);
    let (flushed, known) = flush(&span);
    assert_eq!((flushed.seen.as_slice(), known), (&[all[0], all[3]][..], Known { repeated: 2, conflicts: 1 }));
    assert_eq!(flushed.repeats, [], "the store does not know of them yet");
}

#[test]
fn what_no_amount_can_hold_is_taken_out_before_another_is_held_to_be_its_repeat() {
    let dear = "[[price]]\nprovider = \"p\"\nmodel = \"m\"\ninput = \"1000000\"\noutput = \"1\"\n";
    let dear = Table::parse(dear).expect("a price table");
    let (mut span, other) = (span([&[1], &[0]]), accepted(0, 2));
    // With the id of what comes after it.
    span.portions[0].events[0] = Accepted { seen: other.seen, ..request(0, 1, 1 << 53) };
    span.portions[0].events.push(other);
    let rejects: Vec<_> =
        span.rate(&dear).into_iter().map(|rejected| (rejected.record.offset(), rejected.reject.reason)).collect();
    assert_eq!(rejects, [(Offset(1), Reason::CounterOverflow)]);
    assert_eq!(span.note_repeats_within().len(), 2, "both that are left");
    let costs: Vec<_> = span.events().map(|accepted| accepted.rated.cost.0).collect();
    assert_eq!(costs, [1_000_001_000; 2], "a token in for a dollar, and one out for a millionth");
}

#[test]
fn repeats_keep_their_place_when_a_span_is_cut() {
    let mut span = span([&[1, 3, 4], &[0, 2, 7]]);
    let all = span.note_repeats_within();
    span.note_repeats(&repeats(&[1, 3]), true);
    let (ends, halves) = (span.portions.iter().map(|portion| portion.to).collect::<Vec<_>>(), span.halve());
    assert_eq!(halves.iter().map(Span::size).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(halves.iter().flat_map(|half| flush(half).0.seen).collect::<Vec<_>>(), [all[0], all[2], all[4], all[5]]);
    let last: Vec<_> = halves.iter().flat_map(|half| &half.portions).map(|portion| portion.to).collect();
    assert_eq!(last, ends, "a repeat is passed as any other");
}
