//! An event's time from its text.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};

/// An RFC 3339 time within the years 0000 to 9999 in UTC: `2026-11-24T18:32:00.123+01:00`.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = match common(text) {
        Some(time) => time,
        None => {
            let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
            // A leap second has nanoseconds of its own. As the second before it, month, day and milliseconds agree.
            time.with_nanosecond(time.nanosecond() % 1_000_000_000)?
        }
    };
    (0..=9999).contains(&time.year()).then_some(time)
}

/// The form in which nearly every time is written, several times as fast as chrono reads it; none for all others.
fn common(text: &str) -> Option<DateTime<Utc>> {
    let (clock, rest) = text.as_bytes().split_first_chunk()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2] = *clock else {
        return None;
    };
    let (nanos, offset) = match rest {
        [b'.', rest @ ..] => fraction(rest)?,
        offset => (0, offset),
    };
    let date = NaiveDate::from_ymd_opt(number(&[y1, y2, y3, y4])? as i32, number(&[m1, m2])?, number(&[d1, d2])?)?;
    // Refuses a leap second.
    let local = date.and_hms_nano_opt(number(&[h1, h2])?, number(&[i1, i2])?, number(&[s1, s2])?, nanos)?;
    let utc = match *offset {
        [b'Z'] | [b'+', b'0', b'0', b':', b'0', b'0'] => local,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let east = TimeDelta::minutes(i64::from(hours * 60 + minutes));
            if sign == b'+' { local - east } else { local + east }
        }
        _ => return None,
    };
    Some(utc.and_utc())
}

/// Nanoseconds from one to nine digits, and what comes after them.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let (digits, rest) = text.split_at(digits);
    Some((number(digits)? * 10_u32.pow(9 - digits.len() as u32), rest))
}

/// At most nine digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}
