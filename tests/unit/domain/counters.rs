use super::*;

#[test]
fn a_sum_beyond_an_i64_is_refused() {
    let mut sum = Counters { cost: NanoDollars(i64::MAX), ..Counters::default() };
    let one = Counters { cost: NanoDollars(1), ..Counters::default() };
    assert_eq!(sum.add(&one), Err(Overflow));
}

#[test]
fn the_average_counts_only_requests_with_a_latency() {
    let sum = Counters { requests: 5, latency_ms: 301, latency_count: 3, ..Counters::default() };
    assert_eq!(sum.average_latency_ms(), Some(100));
    assert_eq!(Counters::default().average_latency_ms(), None);
}
