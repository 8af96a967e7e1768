use super::*;
use crate::domain::quota::Limit;

fn steps(tokens: &[i64]) -> Vec<Step> {
    let step = |tokens: &i64| Step { spent: Spent { tokens: *tokens, cost: 0 }, at: TimeMs(0) };
    tokens.iter().map(step).collect()
}

/// Of a user whose soft limit is 1,000 tokens.
fn of_run(before: i64, tokens: &[i64], noticed: &mut Noticed) -> Vec<(String, Vec<String>, i64)> {
    let (plans, none) = (Plans::of_tokens(1000), Assignments::default());
    let whose = Whose::User { tenant: &none, user: &none };
    let spent = Spent { tokens: before, cost: 0 };
    let passings = passed(&plans, whose, spent, &steps(tokens), noticed).expect("small sums");
    let text = |passing: Passing| {
        let also = passing.also.iter().map(ToString::to_string).collect();
        (passing.threshold.to_string(), also, passing.used)
    };
    passings.into_iter().map(text).collect()
}

#[test]
fn one_request_that_passes_three_thresholds_is_one_passing() {
    let mut noticed = Noticed::new();
    assert_eq!(of_run(0, &[499], &mut noticed), []);
    let passings = of_run(499, &[401], &mut noticed);
    assert_eq!(passings, [("90".to_owned(), vec!["50".to_owned(), "80".to_owned()], 900)]);
    assert_eq!(of_run(900, &[99], &mut noticed), [], "not a second time, and not early");
    assert_eq!(of_run(999, &[1], &mut noticed), [("100".to_owned(), Vec::new(), 1000)]);
}

#[test]
fn each_request_of_a_run_passes_its_own() {
    let mut noticed = Noticed::new();
    let passings = of_run(0, &[500, 300, 1, 1000], &mut noticed);
    let due = [("50", vec![], 500), ("80", vec![], 800), ("100", vec!["90"], 1801)];
    let due = due.map(|(at, also, used)| (at.to_owned(), also.into_iter().map(str::to_owned).collect(), used));
    assert_eq!(passings, due);
    assert_eq!(noticed.len(), 4);
}

#[test]
fn a_bound_is_rounded_up() {
    let limits = Limits { tokens: Limit { soft: Some(3), hard: Some(7) }, ..Limits::default() };
    let bounds: Vec<_> = bounds(&limits, Metric::Tokens).map(|(_, bound)| bound).collect();
    assert_eq!(bounds, [2, 3, 3, 3, 7]);
}
