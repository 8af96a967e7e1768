//! Times as texts, and held against a record's own.

use std::borrow::Cow;

use chrono::{Datelike, Timelike};
use proptest::prelude::*;

use super::super::field::Text;
use super::super::time::time;
use super::super::*;

#[track_caller]
fn check(text: &str, expected: Option<&str>) {
    let read = Text { name: "time", text: Cow::Borrowed(text) }.time().ok();
    let read = read.map(|time| time.format("%Y-%m-%dT%H:%M:%S%.9f").to_string());
    assert_eq!(read.as_deref(), expected, "{text}");
}

#[test]
fn times_are_read_in_utc() {
    check("2026-11-24T18:32:00Z", Some("2026-11-24T18:32:00.000000000"));
    check("2026-11-24 18:32:00Z", Some("2026-11-24T18:32:00.000000000"));
    check("2026-11-24t18:32:00z", Some("2026-11-24T18:32:00.000000000"));
    check("2026-12-01T00:30:00+01:00", Some("2026-11-30T23:30:00.000000000"));
    check("2026-11-30T23:30:00-05:30", Some("2026-12-01T05:00:00.000000000"));
    check("2026-11-30T23:30:00\u{2212}05:30", Some("2026-12-01T05:00:00.000000000"));
    check("2026-11-24T18:32:00-00:00", Some("2026-11-24T18:32:00.000000000"));
    check("2026-11-24T18:32:00+23:59", Some("2026-11-23T18:33:00.000000000"));
    check("2028-02-29T00:00:00Z", Some("2028-02-29T00:00:00.000000000"));
}

#[test]
fn nine_digits_of_a_fraction_count() {
    check("2026-11-24T18:32:00.5Z", Some("2026-11-24T18:32:00.500000000"));
    check("2026-11-24T18:32:00.000000001Z", Some("2026-11-24T18:32:00.000000001"));
    check("2026-11-24T18:32:00.12345678999999Z", Some("2026-11-24T18:32:00.123456789"));
    check("2026-11-24T18:32:00.Z", None);
    check("2026-11-24T18:32:00,5Z", None);
}

#[test]
fn a_leap_second_is_the_second_before() {
    check("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59.000000000"));
    check("2016-12-31T23:59:60.25Z", Some("2016-12-31T23:59:59.250000000"));
    check("2016-12-31T23:59:61Z", None);
}

#[test]
fn a_time_needs_an_offset() {
    for text in ["2026-11-24T18:32:00", "2026-11-24T18:32:00.5", "2026-11-24T18:32:00+01", "2026-11-24T18:32:00+0100"] {
        check(text, None);
    }
}

#[test]
fn what_is_not_rfc_3339_is_refused() {
    let texts = [
        "",
        "2026-11-24",
        "2026-11-24T18:32Z",
        "2026-11-24T18:32:00ZZ",
        " 2026-11-24T18:32:00Z",
        "2026-11-24T18:32:00 Z",
        "2026-11-24T18:32:00+24:00",
        "2026-11-24T18:32:00+01:60",
        "2026-11-24T24:00:00Z",
        "2026-11-24T18:60:00Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "26-11-24T18:32:00Z",
        "+2026-11-24T18:32:00Z",
        "12026-11-24T18:32:00Z",
        "٢٠٢٦-11-24T18:32:00Z",
        "1764009120",
        "Tue, 24 Nov 2026 18:32:00 GMT",
    ];
    for text in texts {
        check(text, None);
    }
}

#[test]
fn a_time_stays_within_four_digits_of_a_year() {
    check("0000-01-01T00:00:00Z", Some("0000-01-01T00:00:00.000000000"));
    check("0000-01-01T00:00:00+00:01", None);
    check("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59.000000000"));
    check("9999-12-31T23:59:59-00:01", None);
}

#[track_caller]
fn check_at(event_ms: i64, logged_ms: Option<i64>, expected: Option<Reason>) {
    let time = TimeMs(event_ms).to_utc();
    let bounds = Bounds { max_future_ms: 100, max_age_ms: 1000 };
    let found = check_bounds(time, logged_ms.map(TimeMs), &bounds).err().map(|reject| reject.reason);
    assert_eq!(found, expected);
}

#[test]
fn bounds_are_inclusive() {
    check_at(5_000, Some(5_000), None);
    check_at(5_100, Some(5_000), None);
    check_at(5_101, Some(5_000), Some(Reason::TimeInFuture));
    check_at(4_000, Some(5_000), None);
    check_at(3_999, Some(5_000), Some(Reason::TooLate));
    check_at(5_000, None, Some(Reason::NoTimestamp));
    check_at(0, Some(i64::MIN), Some(Reason::TimeInFuture));
    check_at(0, Some(i64::MAX), Some(Reason::TooLate));
}

/// As chrono alone would read it.
fn by_chrono(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    time.with_nanosecond(time.nanosecond() % 1_000_000_000).filter(|time| (0..=9999).contains(&time.year()))
}

proptest! {
    #[test]
    fn the_common_form_is_read_as_chrono_reads_it(
        text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,11})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])",
        damage in prop::option::of((any::<prop::sample::Index>(), any::<char>())),
    ) {
        let mut text = text;
        if let Some((place, with)) = damage {
            let place = place.index(text.len());
            text.replace_range(place..=place, &with.to_string());
        }
        prop_assert_eq!(time(&text), by_chrono(&text), "{}", text);
    }
}
