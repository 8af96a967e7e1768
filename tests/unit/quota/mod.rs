use super::*;
use crate::domain::quota::Limit;

#[track_caller]
fn check(used: i64, limit: i64, percent: u8) {
    let expected = Assessment { limit_tokens: Some(limit), used_tokens: used, percent };
    let tokens = Limit { soft: Some(limit), hard: None };
    assert_eq!(assess(used, &Limits { tokens, ..Limits::default() }), expected);
}

#[test]
fn percent_is_rounded_down_and_at_most_100() {
    check(0, 1_000_000, 0);
    check(9_999, 1_000_000, 0);
    check(10_000, 1_000_000, 1);
    check(999_999, 1_000_000, 99);
    check(1_000_000, 1_000_000, 100);
    check(5_000_000, 1_000_000, 100);
    check(1, 3, 33);
    check(i64::MAX, i64::MAX, 100);
    check(i64::MAX - 1, i64::MAX, 99);
    check(i64::MAX, 1, 100);
}
