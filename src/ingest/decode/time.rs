//! An event's time: RFC 3339 with an offset, and not too far from the record's Kafka timestamp.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::Bounds;
use super::reason::{Reason, Reject};
use crate::domain::calendar::TimeMs;

/// Reads an RFC 3339 time: `2026-11-24T18:32:00.123+01:00`; `t` and `z` may be small, the fraction may have
/// any number of digits, of which nine count.
///
/// A leap second is read as the second before it, so that month, day and milliseconds agree with each other.
/// Stricter than chrono's reader: no space for the `T`, and no time that falls outside the years 0000 to
/// 9999 in UTC.
pub(super) fn rfc3339(text: &str) -> Option<DateTime<Utc>> {
    let (head, rest) = text.as_bytes().split_at_checked(19)?;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't', h1, h2, b':', n1, n2, b':', s1, s2] = head else {
        return None;
    };
    let year = number(&[y1, y2, y3, y4])?;
    let date = NaiveDate::from_ymd_opt(year.cast_signed(), number(&[m1, m2])?, number(&[d1, d2])?)?;
    let (nanos, rest) = fraction(rest)?;
    let second = match number(&[s1, s2])? {
        60 => 59,
        second => second,
    };
    let time = NaiveTime::from_hms_nano_opt(number(&[h1, h2])?, number(&[n1, n2])?, second, nanos)?;
    let utc = date.and_time(time).checked_sub_signed(offset(rest)?)?.and_utc();
    (0..=9999).contains(&utc.year()).then_some(utc)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
}

/// The fraction of a second in nanoseconds, and what follows it.
fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    let nanos = (0..9).fold(0, |sum, i| sum * 10 + digits.get(i).map_or(0, |d| u32::from(d - b'0')));
    (!digits.is_empty()).then_some((nanos, rest))
}

fn offset(text: &[u8]) -> Option<TimeDelta> {
    match *text {
        [b'Z' | b'z'] => Some(TimeDelta::zero()),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
            let size = i64::from(hours) * 60 + i64::from(minutes);
            let minutes = (hours < 24 && minutes < 60).then_some(if sign == b'-' { -size } else { size })?;
            Some(TimeDelta::minutes(minutes))
        }
        _ => None,
    }
}

/// Holds the event's time against the record's own timestamp, never against the clock: a replay must decide
/// as the first run did. A time just at a bound is within it.
pub(super) fn check_bounds(time: DateTime<Utc>, timestamp: Option<TimeMs>, bounds: &Bounds) -> Result<(), Reject> {
    let Some(logged) = timestamp else {
        let detail = "the record has no Kafka timestamp; set message.timestamp.type, or a timestamp when producing";
        return Err(Reject::new(Reason::NoTimestamp, detail));
    };
    let event = TimeMs::of(time);
    let Bounds { max_future_ms, max_age_ms } = *bounds;
    if event.0 > logged.0.saturating_add(max_future_ms) {
        return Err(out_of_bounds(Reason::TimeInFuture, event, logged, "after", max_future_ms));
    }
    if event.0 < logged.0.saturating_sub(max_age_ms) {
        return Err(out_of_bounds(Reason::TooLate, event, logged, "before", max_age_ms));
    }
    Ok(())
}

fn out_of_bounds(reason: Reason, event: TimeMs, logged: TimeMs, side: &str, limit_ms: i64) -> Reject {
    let (event, logged) = (event.to_utc().to_rfc3339(), logged.to_utc().to_rfc3339());
    let advice = "check the producer's clock and delay, or widen the bound and replay";
    let detail = format!(
        "the event's time {event} is more than {limit_ms} ms {side} the record's Kafka timestamp {logged}; {advice}"
    );
    Reject::new(reason, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let read = rfc3339(text).map(|time| time.format("%Y-%m-%dT%H:%M:%S%.9f").to_string());
        assert_eq!(read.as_deref(), expected, "{text}");
    }

    #[test]
    fn times_are_read_in_utc() {
        check("2026-11-24T18:32:00Z", Some("2026-11-24T18:32:00.000000000"));
        check("2026-11-24t18:32:00z", Some("2026-11-24T18:32:00.000000000"));
        check("2026-12-01T00:30:00+01:00", Some("2026-11-30T23:30:00.000000000"));
        check("2026-11-30T23:30:00-05:30", Some("2026-12-01T05:00:00.000000000"));
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
        for text in
            ["2026-11-24T18:32:00", "2026-11-24T18:32:00.5", "2026-11-24T18:32:00+01", "2026-11-24T18:32:00+0100"]
        {
            check(text, None);
        }
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        let texts = [
            "",
            "2026-11-24",
            "2026-11-24 18:32:00Z",
            "2026-11-24T18:32Z",
            "2026-11-24T18:32:00ZZ",
            " 2026-11-24T18:32:00Z",
            "2026-11-24T18:32:00 Z",
            "2026-11-24T18:32:00\u{2212}01:00",
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
}
