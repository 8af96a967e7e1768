//! What a running program logs: one line of JSON for each event, with the trace that it belongs to and nobody's secret.

use serde_json::Value;

use crate::support::port::free_port;
use crate::support::program::Program;
use crate::support::wait::{START, eventually};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn logs_are_json_lines_with_settings_traces_and_what_librdkafka_says() {
    let (redis, kafka) = (format!("redis://u:hunter2@127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let running = Program::launch(&[
        ("INDELIBLE_REDIS_URL", redis.as_str()),
        ("INDELIBLE_KAFKA_BROKERS", kafka.as_str()),
        ("INDELIBLE_KAFKA_PROPERTIES", "sasl.password=hunter2"),
        ("INDELIBLE_LOG_FORMAT", "json"),
    ]);
    eventually(START, "the ops port", || running.is_live().then_some(()));
    let ask = |traceparent: &str| {
        let headers = [("traceparent", traceparent), ("x-request-id", "req-1")];
        assert_eq!(running.get_with("/v1/tenants/acme/users/alice/stats", &headers).status, 503);
    };
    eventually(START, "the API's port", || running.child.output().contains("serving the API").then_some(()));
    ask(&format!("00-{TRACE}-00f067aa0ba902b7-01"));
    for none in ["", "00-0-0-0", "ff-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-01", "00-not hex"] {
        ask(none);
    }
    let lines = || -> Vec<Value> {
        let output = running.child.output();
        let whole = output.lines().filter(|line| line.starts_with('{'));
        whole.filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let found = |what: &str, is_it: &dyn Fn(&Value) -> bool| {
        eventually(START, what, || lines().into_iter().find(|line| is_it(line)))
    };
    let started = found("the line of the start", &|line| line["message"] == "started");
    let settings = started["settings"].as_str().expect("a text");
    for part in
        ["INDELIBLE_LOG_FORMAT=json", "redis://u:***@127.0.0.1:", "INDELIBLE_KAFKA_PROPERTIES=sasl.password=***"]
    {
        assert!(settings.contains(part), "{part} in {settings}");
    }
    assert!(!settings.contains("INDELIBLE_NAMESPACE"), "what is as by default is not told: {settings}");
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));

    let failed = found("a failed request", &|line| line["message"] == "request failed");
    let span = &failed["spans"][0];
    assert_eq!((&span["trace_id"], &span["request_id"]), (&TRACE.into(), &"req-1".into()), "{failed}");
    assert_eq!(span["route"], "/v1/tenants/{tenant}/users/{user}/stats");
    eventually(START, "five failed requests", || {
        let failed: Vec<_> = lines().into_iter().filter(|line| line["message"] == "request failed").collect();
        (failed.len() == 5).then(|| assert!(failed[1..].iter().all(|line| line["spans"][0].get("trace_id").is_none())))
    });
    found("a line of librdkafka's", &|line| line["target"] == "librdkafka");

    let log = running.child.output();
    for private in ["hunter2", "acme", "alice"] {
        assert!(!log.contains(private), "{private} in {log}");
    }
}
