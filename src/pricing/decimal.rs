//! Decimals as integers: read exactly or refused, shown exactly, rounded in one place.

/// How a decimal may look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// The integer counts units of 10^-places.
    pub(super) places: u32,
    /// Digits before the point.
    pub(super) whole: usize,
    pub(super) negative: bool,
}

/// Why a text is not a decimal of a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecimalFault {
    #[error("is not a decimal number such as \"3\" or \"0.075\"")]
    NotDecimal,
    #[error("is negative; it must be 0 or more")]
    Negative,
    #[error("has {0} digits after the point; at most {1} are read")]
    TooFine(usize, u32),
    #[error("has {0} digits before the point; at most {1} are read")]
    TooLarge(usize, usize),
}

/// Reads decimal text, without an exponent.
pub(super) fn read(text: &str, form: Form) -> Result<i128, DecimalFault> {
    let (negative, number) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return Err(DecimalFault::NotDecimal),
        Some(parts) => parts,
        None => (number, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(DecimalFault::NotDecimal);
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let places = form.places as usize;
    if fraction.len() > places {
        return Err(DecimalFault::TooFine(fraction.len(), form.places));
    }
    if whole.len() > form.whole {
        return Err(DecimalFault::TooLarge(whole.len(), form.whole));
    }
    // At most `whole` + `places` digits: every form in use stays far below an i128.
    let digits = whole.bytes().chain(fraction.bytes()).fold(0_i128, |sum, b| sum * 10 + i128::from(b - b'0'));
    let units = digits * 10_i128.pow((places - fraction.len()) as u32);
    match (negative && units != 0, form.negative) {
        (true, false) => Err(DecimalFault::Negative),
        (true, true) => Ok(-units),
        (false, _) => Ok(units),
    }
}

/// Units of 10^-places as exact decimal text without trailing zeros.
pub(super) fn show(units: i128, places: u32) -> String {
    let unit = 10_u128.pow(places);
    let (sign, size) = (if units < 0 { "-" } else { "" }, units.unsigned_abs());
    let (whole, fraction) = (size / unit, size % unit);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{fraction:0width$}", width = places as usize);
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

/// The quotient to the nearest integer, from the middle to the even one. Of 0 or more, by more than 0.
pub(super) fn divide_half_even(dividend: i128, divisor: i128) -> i128 {
    // Nearly all are small, and of 64 bits a division costs a tenth.
    let quotient = match (u64::try_from(dividend), u64::try_from(divisor)) {
        (Ok(dividend), Ok(divisor)) => i128::from(dividend / divisor),
        _ => dividend / divisor,
    };
    let twice = (dividend - quotient * divisor) * 2;
    let up = twice > divisor || (twice == divisor && quotient % 2 == 1);
    quotient + i128::from(up)
}
