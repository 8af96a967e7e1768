//! Counts: whole numbers read exactly from a JSON number's text.
//!
//! JSON Schema calls a number an integer when its fraction is zero, however it is written, and some
//! producers write `1e3` or `12.0`. So the text is read as a decimal; never through a float, which would
//! round, and never by raising ten to a producer's exponent, which would burn the processor.

use crate::domain::event::MAX_COUNT;

/// Digits of [`MAX_COUNT`]: a longer number is above it.
const MAX_DIGITS: usize = 16;

/// Why a JSON number is not a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CountFault {
    #[error("is not a number; a count is a whole number from 0 to {MAX_COUNT}")]
    NotNumber,
    #[error("is negative; a count is a whole number from 0 to {MAX_COUNT}")]
    Negative,
    #[error("has a fraction; a count is a whole number from 0 to {MAX_COUNT}")]
    Fraction,
    #[error("is too large; a count is a whole number from 0 to {MAX_COUNT}")]
    TooLarge,
}

/// Reads a JSON number's text as a count.
///
/// # Errors
/// [`CountFault`], when the number is negative, has a fraction or is above [`MAX_COUNT`].
pub(super) fn count(text: &str) -> Result<i64, CountFault> {
    // Nearly every count is plain digits; this many cannot overflow.
    if text.len() <= MAX_DIGITS && !text.is_empty() && all_digits(text) {
        return in_range(text.bytes().fold(0, push));
    }
    decimal(text)
}

fn decimal(text: &str) -> Result<i64, CountFault> {
    let (negative, number) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(CountFault::NotNumber);
    }
    let digits = whole.bytes().chain(fraction.bytes());
    let Some(leading) = digits.clone().position(|d| d != b'0') else {
        return Ok(0); // also -0, 0.000 and 0e999
    };
    if negative {
        return Err(CountFault::Negative);
    }
    let trailing = digits.clone().rev().take_while(|d| *d == b'0').count();
    let significant = whole.len() + fraction.len() - leading - trailing;
    // The value is the significant digits × 10^shift, and the last of them is not 0.
    let shift = exponent - fraction.len() as i64 + trailing as i64;
    if shift < 0 {
        return Err(CountFault::Fraction);
    }
    if significant as i64 + shift > MAX_DIGITS as i64 {
        return Err(CountFault::TooLarge);
    }
    let value = digits.skip(leading).take(significant).fold(0, push);
    in_range((0..shift).fold(value, |value, _| value * 10))
}

/// The largest exponent told apart from a larger one: far beyond any record's number of digits, and far
/// inside an i64.
const MAX_EXPONENT: i64 = 1 << 40;

fn read_exponent(text: &str) -> Result<i64, CountFault> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !all_digits(digits) {
        return Err(CountFault::NotNumber);
    }
    let size = digits.parse().unwrap_or(MAX_EXPONENT).min(MAX_EXPONENT);
    Ok(if text.starts_with('-') { -size } else { size })
}

fn push(value: i64, digit: u8) -> i64 {
    value * 10 + i64::from(digit - b'0')
}

fn in_range(value: i64) -> Result<i64, CountFault> {
    if value <= MAX_COUNT { Ok(value) } else { Err(CountFault::TooLarge) }
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<i64, CountFault>) {
        assert_eq!(count(text), expected, "{text}");
    }

    #[test]
    fn plain_digits_are_read() {
        check("0", Ok(0));
        check("7", Ok(7));
        check("1234567890", Ok(1_234_567_890));
        check("9007199254740992", Ok(MAX_COUNT));
        check("9007199254740993", Err(CountFault::TooLarge));
        check("9999999999999999", Err(CountFault::TooLarge));
        check("10000000000000000", Err(CountFault::TooLarge));
        check("18446744073709551617", Err(CountFault::TooLarge));
    }

    #[test]
    fn a_zero_fraction_is_an_integer() {
        check("12.0", Ok(12));
        check("12.000000000000000000000000000000", Ok(12));
        check("1e3", Ok(1000));
        check("1E+3", Ok(1000));
        check("1.5e1", Ok(15));
        check("0.0012e4", Ok(12));
        check("1200e-2", Ok(12));
        check("9007199254740992.0", Ok(MAX_COUNT));
        check("0.9007199254740992e16", Ok(MAX_COUNT));
        check("0.9007199254740993e16", Err(CountFault::TooLarge));
    }

    #[test]
    fn a_fraction_is_refused() {
        check("1.5", Err(CountFault::Fraction));
        check("1e-1", Err(CountFault::Fraction));
        check("0.1", Err(CountFault::Fraction));
        check("1200e-3", Err(CountFault::Fraction));
        check("9007199254740992.0000000001", Err(CountFault::Fraction));
    }

    #[test]
    fn zero_has_no_sign() {
        check("-0", Ok(0));
        check("-0.0", Ok(0));
        check("-0e5", Ok(0));
        check("-1", Err(CountFault::Negative));
        check("-1e-9", Err(CountFault::Negative));
    }

    #[test]
    fn a_huge_exponent_costs_nothing() {
        check("1e99999999999999999999", Err(CountFault::TooLarge));
        check("1e-99999999999999999999", Err(CountFault::Fraction));
        check("0e99999999999999999999", Ok(0));
        check("1e16", Err(CountFault::TooLarge));
        check("1e15", Ok(1_000_000_000_000_000));
        check(&format!("1{}e-100000", "0".repeat(100_000)), Ok(1));
        check(&format!("0.{}1e100001", "0".repeat(100_000)), Ok(1));
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in
            ["", "-", "--1", "+1", "1e", "1e+", "1.2.3", "e5", "NaN", "Infinity", "null", "\"12\"", "1_000", "١"]
        {
            check(text, Err(CountFault::NotNumber));
        }
    }
}
