//! What an operator is shown: against a running program under load, a real Prometheus, and the documents.

mod documents;
mod expressions;
mod scrape;
mod series;
mod traffic;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::deployment::Deployment;
use crate::support::kafka::Kafka;
use crate::support::program::Running;
use crate::support::prometheus::{Prometheus, promtool};
use crate::support::wait::{eventually, within};
use scrape::Scrape;
use traffic::{TENANTS, Traffic};

const DASHBOARD: &str = include_str!("../../../helm/indelible/dashboards/indelible.json");
const PLANS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/plans.toml");

/// Until a scrape shows what was counted, on a busy machine.
const SHOWN: Duration = Duration::from_secs(60);

#[test]
fn a_real_prometheus_knows_what_the_api_says_and_all_that_dashboard_alerts_and_documents_name() {
    let deployment = Deployment::new(3).with_notices(PLANS);
    let rated = Kafka::unique("rated");
    Kafka::shared().create_topic(&rated, 1, &[]);
    let deployment = deployment.set("INDELIBLE_RATED_TOPIC", &rated);
    let running = deployment.serve();
    let prometheus = Prometheus::scraping(running.ops_address());
    let traffic = under_load(&deployment, &prometheus);
    let quota = r#"{"limits": {"tokens": {"hard": 1000000000}}}"#;
    assert_eq!(running.put("/v1/tenants/t0/quota", quota).status, 200);
    deployment.await_counted();
    visit_all(&running);

    let sent = traffic.endings();
    for (outcome, quotas) in [("counted", 1), ("repeated", 0), ("conflict", 0), ("rejected", 0)] {
        let expression = format!("sum(indelible_records_total{{outcome=\"{outcome}\"}})");
        shows(&prometheus, &expression, sent[outcome] + quotas);
    }
    for reason in ["not_json", "too_late"] {
        shows(&prometheus, &format!("sum(indelible_rejects_total{{reason=\"{reason}\"}})"), sent["rejected"] / 2);
    }
    shows(&prometheus, "sum(indelible_unpriced_requests_total)", sent["unpriced"]);
    shows(&prometheus, "sum(indelible_price_mismatches_total)", sent["mismatched"]);
    shows(&prometheus, "sum(indelible_records_consumed_total)", traffic.records() + 1);
    shows(&prometheus, "sum(indelible_lag_records)", 0);
    shows(&prometheus, "count(indelible_lag_records)", 3);
    shows(&prometheus, "sum(indelible_rated_records_total{outcome=\"written\"})", sent["counted"]);
    shows(&prometheus, "indelible_seen_ids", sent["counted"] + 1);
    shows(&prometheus, "indelible_ready{part=\"worker\"} + on () indelible_ready{part=\"api\"}", 2);
    shows(&prometheus, "indelible_redis_memory_used_bytes > bool 500000", 1);
    shows(&prometheus, "indelible_redis_memory_limit_bytes", 0);
    as_the_api_says(&running, &prometheus);

    let text = running.ops("/metrics").body;
    let verdict = promtool(&["check", "metrics"], &text);
    assert!(verdict.status.success() && verdict.stderr.is_empty(), "{}", String::from_utf8_lossy(&verdict.stderr));
    let scrape = Scrape::read(&text);
    documents::lists_what_is_exported(&scrape);
    every_expression_holds(&prometheus, &scrape);
}

/// Sends until some scrapes have come while events were counted, and not only before and after.
fn under_load(deployment: &Deployment, prometheus: &Prometheus) -> Traffic {
    shows(prometheus, "sum(up)", 1);
    let mut traffic = Traffic::new();
    eventually(SHOWN, "scrapes while events are counted", || {
        traffic.send_wave(&deployment.topic);
        prometheus.value("sum(changes(indelible_records_total{outcome=\"counted\"}[10m]))").filter(|seen| *seen >= 3.0)
    });
    traffic
}

/// Every route that the program describes, once.
fn visit_all(running: &Running) {
    let description = running.get("/openapi.json").json();
    for path in description["paths"].as_object().expect("paths").keys() {
        let query = if path.ends_with("/allow") { "?tokens=1" } else { "" };
        let answer = running.get(&format!("{}{query}", path.replace("{tenant}", "t0").replace("{user}", "u0")));
        // Without authentication nobody is "me".
        let expected = if path.starts_with("/v1/me/") { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{path}: {answer:?}");
    }
}

/// Prometheus scrapes twice a second, and what it shows is exact.
#[track_caller]
fn shows(prometheus: &Prometheus, expression: &str, expected: u64) {
    let mut last = None;
    let is_there = || {
        last = prometheus.value(expression);
        (last == Some(expected as f64)).then_some(())
    };
    let found = within(SHOWN, is_there);
    assert!(found.is_some(), "{expression} is {last:?} and not {expected}");
}

fn as_the_api_says(running: &Running, prometheus: &Prometheus) {
    let tenants: Vec<_> =
        (0..TENANTS).map(|tenant| running.get(&format!("/v1/tenants/t{tenant}/stats")).json()).collect();
    let sum = |field: &str| tenants.iter().map(|stats| stats["allTime"][field].as_u64().expect("a count")).sum::<u64>();
    shows(prometheus, "sum(indelible_model_requests_total)", sum("requests"));
    shows(prometheus, "sum(indelible_model_tokens_total{direction=\"in\"})", sum("tokensIn"));
    shows(prometheus, "sum(indelible_model_tokens_total{direction=\"out\"})", sum("tokensOut"));
    let dollars = |stats: &Value| stats["allTime"]["cost"]["amount"].as_str()?.parse::<f64>().ok();
    let cost: f64 = tenants.iter().map(|stats| dollars(stats).expect("an amount")).sum();
    let shown = prometheus.value("sum(indelible_model_cost_dollars_total)").expect("a cost");
    // Floats differ in their last digits; the amounts are whole millionths of a dollar.
    assert_eq!(format!("{shown:.6}"), format!("{cost:.6}"));
    assert!(cost > 1.0, "{cost}");
}

/// Those of the dashboard and of the alerts: they name only what is exported, and Prometheus answers them.
fn every_expression_holds(prometheus: &Prometheus, scrape: &Scrape) {
    let alerts = prometheus.alerts();
    assert!(alerts.len() > 30, "{alerts:?}");
    let shown = panels();
    assert!(shown.len() > 50, "{shown:?}");
    let all = || alerts.iter().map(|(_, expression)| expression).chain(&shown);
    let faults: Vec<_> = all().flat_map(|expression| expressions::faults(expression, scrape)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    alerts.iter().for_each(|(_, expression)| drop(prometheus.query(expression)));
    // A panel that asks for what is above 0 is empty while all is well.
    let always = shown.iter().filter(|expression| !expression.contains("> 0"));
    let empty: Vec<_> = always.filter(|expression| prometheus.query(expression).is_empty()).collect();
    assert!(empty.is_empty(), "panels that show nothing: {empty:#?}");
    let named: BTreeSet<String> = all().flat_map(|expression| expressions::names(expression)).collect();
    let base =
        |name: &str| ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end).map(str::to_owned));
    let used = |name: &String| named.iter().any(|used| used == name || base(used).as_ref() == Some(name));
    let unused: Vec<_> = scrape.kinds.keys().filter(|name| name.starts_with("indelible_") && !used(name)).collect();
    assert!(unused.is_empty(), "neither a panel nor an alert shows {unused:?}");
}

/// The expressions of the dashboard, as Grafana would send them.
fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert_eq!(dashboard["uid"], "indelible");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let filled = |target: &Value| {
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{target}");
        let expression = target["expr"].as_str().expect("an expression");
        expression.replace("$job", ".*").replace("$__rate_interval", "5m").replace("$__range", "5m")
    };
    targets.map(filled).collect()
}

#[test]
fn alerts_and_runbook_name_each_other() {
    documents::runbook_has_a_section_for_each_alert();
}

#[test]
fn series_stay_below_two_thousand() {
    series::with_many_tenants_users_and_models();
}

#[test]
fn connections_that_break_are_counted_with_the_calls_that_failed() {
    let deployment = Deployment::new(1);
    let running = deployment.serve();
    let connections = "indelible_redis_connections_total{client=\"worker\"}";
    let before = running.metric(connections).expect("a connection");
    deployment.redis.ask::<u64>("CLIENT", &["KILL", "TYPE", "normal"]);
    let errors = "indelible_store_errors_total{kind=\"unavailable\"}";
    eventually(SHOWN, "a call that failed", || running.metric(errors).filter(|errors| *errors > 0.0));
    eventually(SHOWN, "another connection", || running.metric(connections).filter(|now| *now > before));
}
