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
fn models_beyond_the_first_hundred_share_one_series() {
    let metrics = Metrics::new(&[]).expect("metrics");
    for model in (0..250).chain(0..250) {
        metrics.mismatched(&format!("m{model}"));
    }
    let text = metrics.scrape().expect("text");
    let series: Vec<_> = text.lines().filter(|line| line.starts_with("indelible_price_mismatches_total{")).collect();
    assert_eq!(series.len(), 101);
    for line in ["{model=\"m0\"} 2", "{model=\"m99\"} 2", "{model=\"other\"} 300"] {
        assert!(series.iter().any(|found| found.ends_with(line)), "{line} in {series:?}");
    }
}
