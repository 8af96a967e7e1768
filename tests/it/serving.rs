//! The API of a running program: what it refuses, what it does while Redis is away, how fast it reads.

use std::time::{Duration, Instant};

use crate::support::deployment::Deployment;
use crate::support::event::bare;
use crate::support::program::Program;
use crate::support::wait::eventually;

#[test]
fn redis_down_is_a_503_within_2_seconds_and_heals_without_a_restart() {
    let mut deployment = Deployment::new(1);
    let running = deployment.serve();
    deployment.emit(&bare("1", "acme", "alice"));
    deployment.await_counted();
    let path = "/v1/tenants/acme/users/alice/stats";
    assert_eq!(running.get(path).json()["thisMonth"]["requests"], 1);

    deployment.redis.process().expect("a running redis").stop();
    let start = Instant::now();
    let answer = running.get(path);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.header("content-type"), "application/problem+json");
    deployment.emit(&bare("2", "acme", "alice"));
    eventually(Duration::from_secs(30), "/readyz to turn red", || (!running.is_ready()).then_some(()));

    deployment.redis.process().expect("a running redis").cont();
    deployment.await_counted();
    eventually(Duration::from_secs(30), "/readyz to turn green", || running.is_ready().then_some(()));
    assert_eq!(running.get(path).json()["thisMonth"]["requests"], 2);
    assert_eq!(running.ops("/livez").status, 200);
}

#[test]
fn bad_requests_are_refused_and_unknown_users_have_zeros() {
    let deployment = Deployment::new(1);
    let running = deployment.serve();
    let status = |path: &str| running.get(path).status;
    assert_eq!(status("/v1/tenants/acme/users/alice/stats?mnth=2026-11"), 400);
    assert_eq!(status("/v1/tenants/acme/users/alice/stats?month=2026-13"), 400);
    assert_eq!(status("/v1/tenants/acme/stats?month=November"), 400);
    assert_eq!(status("/v1/tenants/acme/users?sort=name"), 400);
    assert_eq!(status("/v1/nothing"), 404);
    let unknown = running.get("/v1/tenants/acme/users/nobody/stats");
    assert_eq!(unknown.status, 200);
    assert_eq!(unknown.json()["allTime"]["totalTokens"], 0);
    assert_eq!(unknown.json()["quota"]["percent"], 0);
}

#[test]
fn a_read_is_fast_with_100_000_users_stored() {
    let deployment = Deployment::new(4);
    let running = deployment.serve();
    let user = |number: usize| (format!("tenant-{}", number % 100), format!("user-{number}"));
    let lines: String =
        (0..100_000).map(|number| bare(&number.to_string(), &user(number).0, &user(number).1) + "\n").collect();
    deployment.emit(&lines);
    deployment.await_counted();
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    let mut times: Vec<Duration> = (0..501)
        .map(|number| {
            let (tenant, user) = user(number * 199);
            let url = format!("{}/v1/tenants/{tenant}/users/{user}/stats", running.api_url());
            let start = Instant::now();
            let answer = agent.get(url).call().and_then(|mut answer| answer.body_mut().read_to_string());
            let took = start.elapsed();
            let answer: serde_json::Value = serde_json::from_str(&answer.expect("an answer")).expect("JSON");
            assert_eq!(answer["allTime"]["requests"], 1);
            took
        })
        .collect();
    times.sort_unstable();
    println!("stats reads with 100,000 users stored: median {:?}, p99 {:?}", times[250], times[495]);
    assert!(times[250] < Duration::from_millis(2), "median {:?}", times[250]);
    let page = running.get("/v1/tenants/tenant-7/users?limit=500").json();
    assert_eq!(page["users"].as_array().map(Vec::len), Some(500));
}

#[test]
fn sigterm_ends_it_well_and_the_next_start_goes_on() {
    let deployment = Deployment::new(3);
    for round in 1..=2 {
        let mut running = deployment.serve();
        deployment.emit(&bare(&format!("{round}"), "acme", "alice"));
        deployment.await_counted();
        running.child.terminate();
        let status = running.child.wait(Duration::from_secs(30));
        assert_eq!(status.code(), Some(0), "{}", running.child.output());
    }
    let running = deployment.serve();
    assert_eq!(running.get("/v1/tenants/acme/users/alice/stats").json()["allTime"]["requests"], 2);
    // Nothing was read again: a clean end leaves every watermark at the end.
    assert_eq!(running.metric("indelible_records_total{outcome=\"counted\"}"), Some(0.0));
}

#[test]
fn sigterm_in_the_middle_of_a_backlog_ends_it_well() {
    let deployment = Deployment::new(12);
    let lines: String =
        (0..60_000).map(|number| bare(&format!("{number}"), &format!("t{}", number % 50), "u") + "\n").collect();
    deployment.emit(&lines);
    // Ready is when all of it may be counted.
    let mut running = Program::launch(&deployment.env());
    eventually(Duration::from_secs(60), "the metrics", || running.is_live().then_some(()));
    let counted = || running.metric("indelible_records_total{outcome=\"counted\"}").filter(|counted| *counted > 0.0);
    let before = eventually(Duration::from_secs(60), "some to be counted", counted);
    assert!(before < 60_000.0, "the backlog is too small for this test");
    running.child.terminate();
    let status = running.child.wait(Duration::from_secs(60));
    let output = running.child.output();
    assert!(status.code() == Some(0) && !output.contains("panicked"), "{status}\n{output}");
    let running = deployment.serve();
    deployment.await_counted();
    let sum = (0..50).map(|number| running.get(&format!("/v1/tenants/t{number}/stats")).json());
    assert_eq!(sum.map(|stats| stats["allTime"]["requests"].as_u64().expect("a count")).sum::<u64>(), 60_000);
}
