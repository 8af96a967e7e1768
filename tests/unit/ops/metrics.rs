use std::collections::BTreeSet;

use super::*;

#[test]
fn closed_label_sets_start_at_zero() {
    let text = Metrics::new(&["not_json"]).and_then(|metrics| metrics.scrape()).expect("metrics");
    for line in [
        "indelible_rejects_total{reason=\"not_json\"} 0",
        "indelible_records_total{outcome=\"conflict\"} 0",
        "indelible_store_errors_total{kind=\"refused\"} 0",
        "indelible_rebalances_total{kind=\"revoked\"} 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(text.contains("indelible_build_info{version="));
}

#[test]
fn a_revoked_partition_leaves_no_series() {
    let metrics = Metrics::new(&[]).expect("metrics");
    metrics.lag("t", 3, 7);
    assert!(metrics.scrape().expect("text").contains("indelible_lag_records{partition=\"3\",topic=\"t\"} 7"));
    metrics.lag_gone("t", 3);
    assert!(!metrics.scrape().expect("text").contains("indelible_lag_records{"));
}

#[test]
fn models_beyond_the_first_fifty_share_one_series_the_same_in_every_metric() {
    let metrics = Metrics::new(&[]).expect("metrics");
    let one = ModelSums { requests: 1, tokens_in: 10, tokens_out: 5, nano_dollars: 2_500_000_000 };
    let names: Vec<_> = (0..250).chain(0..250).map(|model| format!("m{model}")).collect();
    // Of two requests of a model in one batch the sum is taken.
    metrics.models(names.iter().map(|name| (name.as_str(), one)));
    names.iter().rev().for_each(|name| metrics.mismatched(name, 1));
    let text = metrics.scrape().expect("text");
    for (family, label, named, other) in [
        ("indelible_model_requests_total", "", "2", "400"),
        ("indelible_model_tokens_total", "direction=\"in\",", "20", "4000"),
        ("indelible_model_tokens_total", "direction=\"out\",", "10", "2000"),
        ("indelible_model_cost_dollars_total", "", "5", "1000"),
        ("indelible_price_mismatches_total", "", "2", "400"),
    ] {
        let start = format!("{family}{{{label}model=");
        let series: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix(&start)).collect();
        assert_eq!(series.len(), 51, "{start}");
        assert!(series.contains(format!("\"other\"}} {other}").as_str()), "{start}: {series:?}");
        assert_eq!(series.iter().filter(|series| series.ends_with(&format!("}} {named}"))).count(), 50, "{series:?}");
    }
}

#[test]
fn an_event_of_the_future_is_told_and_has_no_age() {
    let metrics = Metrics::new(&[]).expect("metrics");
    metrics.events_counted([-1_001, -1_000, -1, 0, 40].into_iter());
    let text = metrics.scrape().expect("text");
    for line in [
        "indelible_events_ahead_total 1",
        "indelible_event_age_seconds_bucket{le=\"0.05\"} 5",
        "indelible_event_age_seconds_sum 0.04",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn a_route_that_does_not_take_a_method_is_counted_and_not_timed() {
    let metrics = Metrics::new(&[]).expect("metrics");
    let took = std::time::Duration::from_millis(3);
    for (method, status) in [("GET", 200), ("HEAD", 200), ("PUT", 405)] {
        metrics.api_request("/version", method, status, took);
    }
    let text = metrics.scrape().expect("text");
    for line in [
        "indelible_api_requests_total{method=\"HEAD\",route=\"/version\",status=\"200\"} 1",
        "indelible_api_requests_total{method=\"PUT\",route=\"/version\",status=\"405\"} 1",
        "indelible_api_request_seconds_count{method=\"GET\",route=\"/version\"} 2",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("indelible_api_request_seconds_count{method=\"PUT\""), "{text}");
}
