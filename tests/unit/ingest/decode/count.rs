//! Counts in all the ways that JSON has to write them.

use proptest::prelude::*;

use super::super::count::{count, digits};
use crate::domain::event::MAX_COUNT;

#[track_caller]
fn check(text: &str, expected: Result<i64, &str>) {
    let expected = expected.map_err(|what| format!("is {what}; a count is a whole number from 0 to 9007199254740992"));
    assert_eq!(count(text), expected, "{text}");
}

#[test]
fn plain_digits_are_read() {
    check("0", Ok(0));
    check("7", Ok(7));
    check("1234567890", Ok(1_234_567_890));
    check("9007199254740992", Ok(MAX_COUNT));
    check("9007199254740993", Err("too large"));
    check("9999999999999999", Err("too large"));
    check("10000000000000000", Err("too large"));
    check("18446744073709551617", Err("too large"));
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
    check("0.9007199254740993e16", Err("too large"));
}

#[test]
fn a_fraction_is_refused() {
    check("1.5", Err("a fraction"));
    check("1e-1", Err("a fraction"));
    check("0.1", Err("a fraction"));
    check("1200e-3", Err("a fraction"));
    check("9007199254740992.0000000001", Err("a fraction"));
}

#[test]
fn zero_has_no_sign() {
    check("-0", Ok(0));
    check("-0.0", Ok(0));
    check("-0e5", Ok(0));
    check("-1", Err("negative"));
    check("-1e-9", Err("negative"));
}

#[test]
fn a_huge_exponent_costs_nothing() {
    check("1e99999999999999999999", Err("too large"));
    check("1e-99999999999999999999", Err("a fraction"));
    check("0e99999999999999999999", Ok(0));
    check("1e16", Err("too large"));
    check("1e15", Ok(1_000_000_000_000_000));
    check(&format!("1{}e-100000", "0".repeat(100_000)), Ok(1));
    check(&format!("0.{}1e100001", "0".repeat(100_000)), Ok(1));
}

#[test]
fn what_is_not_a_number_is_refused() {
    check("\"12\"", Err("a string"));
    check("[1]", Err("an array"));
    check("{}", Err("an object"));
    check("true", Err("a boolean"));
}

proptest! {
    #[test]
    fn digits_are_a_count(number: i64, length in 1..20_usize, other in "[ -~]{0,16}") {
        let text: String = number.unsigned_abs().to_string().chars().take(length).collect();
        prop_assert_eq!(digits(&text), count(&text).ok().filter(|_| text.len() <= 15));
        if let Some(read) = digits(&other) {
            prop_assert_eq!(count(&other), Ok(read));
        }
    }
}
