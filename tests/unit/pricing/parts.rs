//! Decimals and patterns by themselves.

use super::super::decimal::{DecimalFault, Form, divide_half_even, read, show};
use super::super::pattern::Pattern;

const MILLIONTHS: Form = Form { places: 6, whole: 4, negative: false };

#[test]
fn decimals_are_read_exactly_or_refused() {
    for (text, expected) in [
        ("0", Ok(0)),
        ("-0", Ok(0)),
        ("3", Ok(3_000_000)),
        ("0.075", Ok(75_000)),
        ("0003.500000000", Ok(3_500_000)),
        ("9999.999999", Ok(9_999_999_999)),
        ("-1", Err(DecimalFault::Negative)),
        ("0.0000001", Err(DecimalFault::TooFine(7, 6))),
        ("10000", Err(DecimalFault::TooLarge(5, 4))),
    ] {
        assert_eq!(read(text, MILLIONTHS), expected, "{text}");
    }
    for text in ["", "-", ".", ".5", "5.", "1e3", "inf", "nan", "+1", " 1", "1 ", "1,5", "0x10", "٣", "1.2.3", "--1"] {
        assert_eq!(read(text, MILLIONTHS), Err(DecimalFault::NotDecimal), "{text}");
    }
    assert_eq!(read("-12.5", Form { negative: true, ..MILLIONTHS }), Ok(-12_500_000));
}

#[test]
fn decimals_are_shown_exactly() {
    for (units, expected) in [(0, "0"), (1, "0.000001"), (-1, "-0.000001"), (1_500_000, "1.5"), (-20_000_000, "-20")] {
        assert_eq!(show(units, 6), expected);
    }
}

#[test]
fn halves_go_to_the_even_neighbour() {
    for (dividend, expected) in [(0, 0), (4, 0), (5, 0), (6, 1), (14, 1), (15, 2), (16, 2), (24, 2), (25, 2), (26, 3)] {
        assert_eq!(divide_half_even(dividend, 10), expected, "{dividend}");
    }
}

#[test]
fn a_star_is_any_text() {
    for (pattern, name, expected) in [
        ("a*", "a", true),
        ("a*", "ab", true),
        ("a*", "b", false),
        ("*a", "ba", true),
        ("*a", "ab", false),
        ("*", "", true),
        ("a*a", "a", false),
        ("a*a", "aa", true),
        ("a*b*c", "a-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("a*bb*bc", "abbc", false),
        ("a*bb*bc", "abbbc", true),
        ("a**c", "abc", true),
        ("日*語", "日本語", true),
        ("a.c*", "abcd", false),
    ] {
        let found = Pattern::new(pattern).expect("it has a star");
        assert_eq!(found.matches(name), expected, "{pattern} {name}");
    }
    assert_eq!(Pattern::new("plain"), None);
}
