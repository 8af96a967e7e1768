use std::sync::Arc;

use super::*;
use crate::domain::calendar::TimeMs;
use crate::domain::position::Offset;
use crate::ingest::decode::{Bounds, Reason};
use crate::ingest::record::{Chunk, Record};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const BOUNDS: Bounds = Bounds { max_future_ms: 5 * 60 * 1000, max_age_ms: 35 * DAY_MS };
/// 2026-11-24T00:00:00Z
const NOW: TimeMs = TimeMs(1_795_478_400_000);

fn record(offset: i64, timestamp: TimeMs, value: Option<&str>, headers: &[(&str, &str)]) -> Record {
    let mut chunk = Chunk::default();
    let headers = headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
    let value = value.map(str::as_bytes);
    chunk.push(("t.dlq", 0), Offset(offset), Some(timestamp), Some(b"k"), value, headers);
    Record::all(&Arc::new(chunk)).next().expect("one record")
}

/// A letter at `offset`, of the record at offset 7.
fn letter(offset: i64, reason: &str, timestamp: TimeMs, value: Option<&str>) -> Letter {
    let headers = [
        ("content-type", "application/json"),
        // The producer's own, of the same name as one of ours.
        ("dlq.reason", "nonsense"),
        ("__connect.errors.topic", "t"),
        ("__connect.errors.partition", "3"),
        ("__connect.errors.offset", "7"),
        ("__connect.errors.exception.message", "why"),
        ("dlq.reason", reason),
        ("dlq.failed_at", "2026-11-24T00:00:00.000Z"),
        ("dlq.consumer_group", "g"),
    ];
    match Entry::of(&record(offset, timestamp, value, &headers)) {
        Entry::Letter(letter) => letter,
        other => panic!("{other:?}"),
    }
}

fn marker(offset: i64, of: &str) -> Entry {
    Entry::of(&record(offset, NOW, None, &[("dlq.replayed", of)]))
}

/// A bare record that happened so long before [`NOW`].
fn usage(ago_ms: i64, more: &str) -> String {
    let at = TimeMs(NOW.0 - ago_ms).to_utc().to_rfc3339();
    format!(
        r#"{{"requestId": "r", "createdAt": "{at}", "tenantId": "acme", "userId": "alice",
            "assistant": "chat", "model": "m", "tokensIn": 1, "tokensOut": 1{more}}}"#
    )
}

fn rules(stamp: Stamp) -> Rules {
    Rules { bounds: BOUNDS, stamp, topics: vec!["t".to_owned()], stamped_by_broker: Vec::new() }
}

#[test]
fn a_letter_is_what_was_written_and_the_last_header_of_a_name_is_ours() {
    let letter = letter(12, "too_late", NOW, Some("{}"));
    assert_eq!((letter.place().to_string(), letter.source.to_string()), ("t.dlq:0:12".to_owned(), "t:3:7".to_owned()));
    assert_eq!((&*letter.reason, &*letter.message, &*letter.group), ("too_late", "why", "g"));
    assert_eq!(letter.failed_at, Some(NOW));
    let own: Vec<_> = letter.own_headers().map(|(name, _)| name).collect();
    assert_eq!(own, ["content-type"]);
}

#[test]
fn what_this_program_did_not_write_is_no_letter() {
    let foreign = [("__connect.errors.topic", "t"), ("__connect.errors.partition", "0")];
    assert!(matches!(Entry::of(&record(0, NOW, Some("{}"), &foreign)), Entry::Other));
    assert!(matches!(Entry::of(&record(0, NOW, None, &[])), Entry::Other));
    assert!(matches!(marker(1, "no place"), Entry::Other));
    assert!(matches!(marker(1, "t.dlq:0:12"), Entry::Marker(place) if place.offset == Offset(12)));
}

#[test]
fn places_are_read_as_they_are_written() {
    for text in ["t.dlq:0:12", "a_b-c:31:0"] {
        assert_eq!(text.parse::<Place>().map(|place| place.to_string()), Ok(text.to_owned()));
    }
    for text in ["", "t.dlq", "0:12", "t.dlq:0", "t.dlq:0:", ":0:1", "t:-1:0", "t:0:-1", "t:0:1:2"] {
        assert_eq!(text.parse::<Place>(), Err(PlaceFault), "{text}");
    }
}

#[test]
fn all_conditions_of_a_filter_must_hold() {
    let letter = letter(12, "too_late", NOW, Some("{}"));
    let all = Filter {
        places: vec![letter.place()],
        reasons: vec![Reason::NotJson, Reason::TooLate],
        since: Some(NOW),
        until: Some(TimeMs(NOW.0 + 1)),
        from_topic: Some("t".to_owned()),
    };
    assert!(all.passes(&letter) && Filter::default().passes(&letter));
    let broken = [
        Filter { places: vec!["t.dlq:0:13".parse().expect("a place")], ..all.clone() },
        Filter { reasons: vec![Reason::NotJson], ..all.clone() },
        Filter { since: Some(TimeMs(NOW.0 + 1)), ..all.clone() },
        Filter { until: Some(NOW), ..all.clone() },
        Filter { from_topic: Some("u".to_owned()), ..all },
    ];
    for filter in broken {
        assert!(!filter.passes(&letter), "{filter:?}");
    }
}

#[test]
fn letters_of_one_record_are_one_and_a_marker_of_any_of_them_is_of_all() {
    let mut survey = Survey::default();
    let value = Some("{}");
    let asked = Filter { reasons: vec![Reason::TooLate], ..Filter::default() };
    // One record, written three times, once under another reason; another record at the same place of a topic that
    // was made anew.
    for letter in
        [letter(4, "not_json", NOW, value), letter(5, "too_late", NOW, value), letter(2, "too_late", NOW, value)]
    {
        survey.note(&Entry::Letter(letter), &asked);
    }
    survey.note(&Entry::Letter(letter(6, "too_late", NOW, Some("{ }"))), &asked);
    survey.note(&Entry::Letter(letter(7, "not_json", NOW, Some("[]"))), &asked);
    survey.note(&marker(8, "t.dlq:0:4"), &asked);
    survey.note(&Entry::Other, &asked);
    assert_eq!(survey.others, 1);
    let mut chosen: Vec<_> = survey.chosen().into_iter().map(|(place, standing)| (place.offset.0, standing)).collect();
    chosen.sort_by_key(|(offset, _)| *offset);
    let expected = [(2, Standing { letters: 3, replayed: true }), (6, Standing { letters: 1, replayed: false })];
    assert_eq!(chosen, expected);
}

#[track_caller]
fn judged(rules: &Rules, timestamp_ago_ms: i64, value: &str) -> Result<i64, String> {
    let letter = letter(0, "not_json", TimeMs(NOW.0 - timestamp_ago_ms), Some(value));
    let judged = rules.judge(&letter, NOW).map(|at| NOW.0 - at.0);
    judged.map_err(|refusal| match refusal {
        Refusal::Rejected(reject) => reject.reason.as_str().to_owned(),
        other => other.to_string(),
    })
}

#[test]
fn how_long_a_letter_lay_does_not_make_its_event_late() {
    let fitting = rules(Stamp::Fitting);
    let age = 100 * DAY_MS;
    assert_eq!(judged(&fitting, age, &usage(age, "")), Ok(age));
    assert_eq!(judged(&fitting, age, &usage(age + BOUNDS.max_age_ms, "")), Ok(age));
    assert_eq!(judged(&fitting, age, &usage(age + BOUNDS.max_age_ms + 1, "")), Err("too_late".to_owned()));
    assert_eq!(judged(&fitting, age, "{"), Err("not_json".to_owned()));
}

#[test]
fn an_event_of_the_future_is_held_against_now() {
    let (fitting, hour) = (rules(Stamp::Fitting), 60 * 60 * 1000);
    assert_eq!(judged(&fitting, hour, &usage(0, "")), Ok(0));
    assert_eq!(judged(&fitting, hour, &usage(-hour, "")), Err("time_in_future".to_owned()));
    assert_eq!(judged(&rules(Stamp::Original), hour, &usage(0, "")), Err("time_in_future".to_owned()));
}

#[test]
fn an_event_that_saves_an_output_is_held_against_now_because_its_deletion_may_be_forgotten() {
    let (fitting, age) = (rules(Stamp::Fitting), BOUNDS.max_age_ms);
    let output = r#", "output": {"id": "o", "kind": "website"}"#;
    assert_eq!(judged(&fitting, age, &usage(age, output)), Ok(0));
    assert_eq!(judged(&fitting, age + 1, &usage(age + 1, output)), Err("too_late".to_owned()));
    assert_eq!(judged(&rules(Stamp::Original), age + 1, &usage(age + 1, output)), Ok(age + 1));
    let event = |kind: &str| {
        let at = TimeMs(NOW.0 - age - 1).to_utc().to_rfc3339();
        format!(
            r#"{{"specversion": "1.0", "id": "e", "source": "s", "type": "ai.output.{kind}.v1", "time": "{at}",
                "data": {{"tenantId": "acme", "userId": "alice", "outputId": "o", "kind": "website"}}}}"#
        )
    };
    assert_eq!(judged(&fitting, age + 1, &event("created")), Err("too_late".to_owned()));
    assert_eq!(judged(&fitting, age + 1, &event("deleted")), Ok(age + 1));
}

#[test]
fn the_timestamp_is_now_where_asked_for_or_where_the_broker_sets_it() {
    let by_broker = |stamp| Rules { stamped_by_broker: vec!["t".to_owned()], ..rules(stamp) };
    for rules in [rules(Stamp::Now), by_broker(Stamp::Fitting), by_broker(Stamp::Original)] {
        assert_eq!(judged(&rules, DAY_MS, &usage(DAY_MS, "")), Ok(0));
        assert_eq!(judged(&rules, 36 * DAY_MS, &usage(36 * DAY_MS, "")), Err("too_late".to_owned()));
    }
}

#[test]
fn a_letter_cannot_send_its_record_to_just_any_topic() {
    let others = Rules { topics: vec!["u".to_owned()], ..rules(Stamp::Fitting) };
    let refused = judged(&others, 0, &usage(0, ""));
    assert_eq!(refused, Err("is left: t is not one of INDELIBLE_KAFKA_TOPICS".to_owned()));
}

#[test]
fn every_reason_has_advice_and_the_documentation_says_the_same() {
    let documentation = include_str!("../../../../docs/dead-letters.md");
    for reason in Reason::ALL {
        assert_eq!(Reason::named(reason.as_str()), Some(reason));
        let Advice { means, then } = advice(reason);
        let row = format!("| `{}` | {means} | {then} |", reason.as_str());
        assert!(documentation.contains(&row), "docs/dead-letters.md lacks: {row}");
    }
    assert_eq!(Reason::named("no_reason"), None);
}
