use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(cents: &str, expected: Result<i64, MoneyFault>) {
    assert_eq!(NanoDollars::from_cents(cents), expected.map(NanoDollars), "{cents}");
}

#[test]
fn cents_are_read_exactly() {
    check("0", Ok(0));
    check("-0", Ok(0));
    check("1", Ok(10_000_000));
    check("0.0000001", Ok(1));
    check("1.5842", Ok(15_842_000));
    check("12e-1", Ok(12_000_000));
    check("1E+2", Ok(1_000_000_000));
    check("000.5", Ok(5_000_000));
    check("922337203685.4775807", Ok(i64::MAX));
    check("922337203685", Ok(9_223_372_036_850_000_000));
    check("0.1", Ok(1_000_000));
    check("0.30000000000000004", Ok(3_000_000));
}

#[test]
fn half_of_a_nano_dollar_rounds_to_even() {
    check("0.00000005", Ok(0));
    check("0.00000015", Ok(2));
    check("0.00000025", Ok(2));
    check("0.000000050000000000000000000000000000000001", Ok(1));
    check("0.00000035", Ok(4));
    check("0.000000049999999", Ok(0));
    check("0.000000009", Ok(0));
    check("9e-99", Ok(0));
    check("9e-99999999999999999999", Ok(0));
}

#[test]
fn what_is_not_an_amount_is_refused() {
    for text in
        ["", "-", ".5", "5.", "1e", "1e+", "abc", "1,5", "NaN", "Infinity", "0x1", " 1", "1 ", "--1", "+1", "1.2.3"]
    {
        check(text, Err(MoneyFault::NotDecimal));
    }
    check("-0.01", Err(MoneyFault::Negative));
    check("922337203685.4775808", Err(MoneyFault::TooLarge));
    check("922337203686", Err(MoneyFault::TooLarge));
    check("999999999999999999", Err(MoneyFault::TooLarge));
    check("1e99999999999999999999", Err(MoneyFault::TooLarge));
    check("0e99999999999999999999", Ok(0));
}

#[test]
fn amounts_are_written_exactly() {
    assert_eq!(NanoDollars(57_868_362_000).to_cents(), "5786.8362");
    assert_eq!(NanoDollars(57_868_362_000).to_dollars(), "57.868362");
    assert_eq!(NanoDollars(1).to_cents(), "0.0000001");
    assert_eq!(NanoDollars(i64::MAX).to_cents(), "922337203685.4775807");
    assert_eq!(NanoDollars(i64::MIN).to_dollars(), "-9223372036.854775808");
    assert_eq!(NanoDollars(0).to_cents(), "0");
}

proptest! {
    /// An exponent of 0 changes nothing, and is never read the short way.
    #[test]
    fn the_short_way_reads_the_same(text in "-?9{0,4}[0-9]{0,20}(\\.[0-9]{0,9})?", other in "[0-9.]{0,6}[ -~][0-9.]{0,6}") {
        for text in [text, other].iter().filter(|text| !text.contains(['e', 'E'])) {
            prop_assert_eq!(NanoDollars::from_cents(text), NanoDollars::from_cents(&format!("{text}e0")), "{}", text);
        }
    }
}
