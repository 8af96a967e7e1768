//! Money as integers of nano-dollars: a ten-millionth of a cent. No float comes near it.

use super::counters::Overflow;

/// An amount in nano-dollars (10⁻⁹ US dollars), 0 to 9,223,372,036.854775807 dollars when read from an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoDollars(pub i64);

/// Decimal places of a cent that a nano-dollar resolves.
const PLACES: usize = 7;
/// More digits than this cannot be a sum of money; the bound keeps the arithmetic inside an i128.
const MAX_DIGITS: usize = 30;

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyFault {
    #[error("is not a decimal number such as 12 or 0.0375")]
    NotDecimal,
    #[error("is negative; a cost is 0 or more")]
    Negative,
    #[error("is above the largest amount, 922337203685.4775807 cents")]
    TooLarge,
}

impl NanoDollars {
    pub const ZERO: Self = Self(0);

    /// Reads an amount of cents in JSON's number syntax (`12`, `0.0375`, `1e-3`), rounding once, half to
    /// even, to a nano-dollar.
    ///
    /// # Errors
    /// [`MoneyFault`], when the text is not a decimal number, negative or too large.
    pub fn from_cents(text: &str) -> Result<Self, MoneyFault> {
        if let Some(nanos) = plain(text) {
            return Ok(Self(nanos));
        }
        let (negative, number) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match number.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (number, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return Err(MoneyFault::NotDecimal),
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return Err(MoneyFault::NotDecimal);
        }
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
        // The value in nano-dollars is digits × 10^shift.
        let shift = exponent - fraction.len() as i64 + PLACES as i64;
        let nanos = scale_half_even(&digits, shift)?;
        if negative && nanos != 0 {
            return Err(MoneyFault::Negative);
        }
        Ok(Self(nanos))
    }

    /// # Errors
    /// [`Overflow`], when the sum is not an i64.
    pub fn checked_add(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_add(other.0).map(Self).ok_or(Overflow)
    }

    /// The amount in cents as exact decimal text without trailing zeros, up to 7 places: `5786.8362`.
    pub fn to_cents(self) -> String {
        decimal(self.0, PLACES)
    }

    /// The amount in dollars as exact decimal text without trailing zeros, up to 9 places: `57.868362`.
    pub fn to_dollars(self) -> String {
        decimal(self.0, PLACES + 2)
    }
}

/// Nano-dollars from cents as they are mostly written: up to 18 digits, up to 7 of them after a point.
fn plain(text: &str) -> Option<i64> {
    let text = text.as_bytes();
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(point) if point + 1 < text.len() => (&text[..point], &text[point + 1..]),
        Some(_) => return None,
        None => (text, &[][..]),
    };
    if whole.is_empty() || fraction.len() > PLACES || text.len() > 18 {
        return None;
    }
    let digit = |value: i64, digit: &u8| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'));
    let value = fraction.iter().try_fold(whole.iter().try_fold(0, digit)?, digit)?;
    value.checked_mul(10_i64.pow((PLACES - fraction.len()) as u32))
}

fn parse_exponent(text: &str) -> Result<i64, MoneyFault> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(MoneyFault::NotDecimal);
    }
    // An exponent too long for an i64 is as good as the largest: zero or far too large.
    let size = digits.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000);
    Ok(if text.starts_with('-') { -size } else { size })
}

/// digits × 10^shift, rounded half to even.
fn scale_half_even(digits: &[u8], shift: i64) -> Result<i64, MoneyFault> {
    let start = digits.iter().position(|d| *d != 0).unwrap_or(digits.len());
    let digits = &digits[start..];
    if digits.is_empty() {
        return Ok(0);
    }
    if digits.len() as i64 + shift > MAX_DIGITS as i64 {
        return Err(MoneyFault::TooLarge);
    }
    let kept = (digits.len() as i64 + shift.min(0)).max(0) as usize;
    let mut value = digits[..kept].iter().fold(0_i128, |sum, d| sum * 10 + i128::from(*d));
    // When even the first digit lies beyond the place after the last kept one, nothing rounds up.
    let dropped = if digits.len() as i64 + shift < 0 { &[] } else { &digits[kept..] };
    if let Some((first, rest)) = dropped.split_first() {
        let tie = *first == 5 && rest.iter().all(|d| *d == 0);
        let up = if tie { value % 2 == 1 } else { *first >= 5 };
        value += i128::from(up);
    }
    let value = value * 10_i128.pow(shift.max(0) as u32);
    i64::try_from(value).map_err(|_| MoneyFault::TooLarge)
}

/// Written digit by digit: an answer has a hundred amounts and more.
fn decimal(nanos: i64, places: usize) -> String {
    let (mut rest, mut left) = (nanos.unsigned_abs(), places);
    while left > 0 && rest.is_multiple_of(10) {
        (rest, left) = (rest / 10, left - 1);
    }
    // From the last to the first: at most 20 digits, the zeros of a fraction, a point and a sign.
    let mut text = Vec::with_capacity(24);
    let mut written = 0;
    while rest > 0 || written <= left {
        if written == left && left > 0 {
            text.push('.');
        }
        text.push(char::from(b'0' + (rest % 10) as u8));
        (rest, written) = (rest / 10, written + 1);
    }
    text.extend((nanos < 0).then_some('-'));
    text.iter().rev().collect()
}

#[cfg(test)]
#[path = "../../tests/unit/domain/money.rs"]
mod tests;
