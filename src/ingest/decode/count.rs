//! Counts: whole numbers read exactly from a JSON number's text.
//!
//! JSON Schema calls a number an integer when its fraction is zero, however it is written, and some
//! producers write `1e3` or `12.0`. So the text is read as a decimal; never through a float, which would
//! round, and never by raising ten to a producer's exponent, which would burn the processor.

use super::field::sort;
use crate::domain::event::MAX_COUNT;

/// Digits of [`MAX_COUNT`]: a longer number is above it.
const MAX_DIGITS: i64 = 16;

/// A count as it is mostly written, in up to 15 digits; none for all others.
#[inline]
pub(super) fn digits(json: &str) -> Option<i64> {
    if json.is_empty() || json.len() > 15 {
        return None;
    }
    json.bytes().try_fold(0, |count, digit| digit.is_ascii_digit().then(|| count * 10 + i64::from(digit - b'0')))
}

/// Reads a JSON value as a count. An error reads on from the field's name.
pub(super) fn count(json: &str) -> Result<i64, String> {
    let read = match json.parse() {
        Ok(count @ 0..=MAX_COUNT) => return Ok(count),
        _ if sort(json) == "a number" => decimal(json),
        _ => Err(sort(json)),
    };
    read.map_err(|what| format!("is {what}; a count is a whole number from 0 to {MAX_COUNT}"))
}

fn decimal(number: &str) -> Result<i64, &'static str> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches(['-', '0']).trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0); // also -0, 0.000 and 0e999
    }
    if number.starts_with('-') {
        return Err("negative");
    }
    // An exponent too long for an i64 is as good as the largest.
    let exponent = exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX });
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    // The value is the significant digits × 10^shift, and the last of them is not 0.
    let shift = exponent.saturating_add(trailing as i64 - fraction.len() as i64);
    if shift < 0 {
        return Err("a fraction");
    }
    if shift.saturating_add(significant.len() as i64) > MAX_DIGITS {
        return Err("too large");
    }
    let digits = significant.bytes().map(|digit| i64::from(digit - b'0')).chain((0..shift).map(|_| 0));
    let value = digits.fold(0, |value, digit| value * 10 + digit);
    if value <= MAX_COUNT { Ok(value) } else { Err("too large") }
}
