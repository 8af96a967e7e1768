//! Files of prices and plans that change while the program runs, against Apache Kafka and Redis.

use std::fs;
use std::time::Duration;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::program::Running;
use crate::support::wait::eventually;

const SOON: Duration = Duration::from_secs(30);

/// A dollar a million input tokens is 0.0001 cents a token.
fn price(model: &str, from: Option<&str>, input: &str) -> String {
    let from = from.map_or_else(String::new, |from| format!("from = \"{from}\"\n"));
    format!("[[price]]\nprovider = \"acme\"\nmodel = \"{model}\"\n{from}input = \"{input}\"\noutput = \"0\"\n")
}

fn usage(id: &str, time: DateTime<Utc>, model: &str, more: Value) -> String {
    let mut event = json!({
        "requestId": id, "createdAt": time.to_rfc3339(), "tenantId": "acme", "userId": "alice", "assistant": "chat",
        "model": model, "tokensIn": 1_000_000, "tokensOut": 5,
    });
    event.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    format!("{event}\n")
}

/// What the user's requests of a month cost, what is charged for them, and how many are unpriced.
fn costs(running: &Running, month: DateTime<Utc>) -> (String, String, i64) {
    let month = month.format("%Y-%m");
    let stats = running.get(&format!("/v1/tenants/acme/users/alice/stats?month={month}")).json();
    let sum = &stats["thisMonth"];
    let text = |value: &Value| value["amount"].as_str().expect("an amount").to_owned();
    (text(&sum["cost"]), text(&sum["charge"]), sum["unpricedRequests"].as_i64().expect("a count"))
}

fn reloads(running: &Running, file: &str, outcome: &str) -> f64 {
    let series = format!("indelible_reloads_total{{file=\"{file}\",outcome=\"{outcome}\"}}");
    running.metric(&series).unwrap_or_else(|| panic!("no {series}"))
}

/// Reads the file again and waits until that has ended so.
#[track_caller]
fn reload(running: &mut Running, file: &str, outcome: &str) {
    let before = reloads(running, file, outcome);
    running.child.hang_up();
    eventually(SOON, outcome, || (reloads(running, file, outcome) > before).then_some(()));
}

#[test]
fn a_reload_changes_what_later_events_cost_and_nothing_that_was_counted() {
    let (dir, now) = (tempfile::tempdir().expect("a temporary folder"), Utc::now());
    let path = dir.path().join("prices.toml");
    let write = |text: &str| fs::write(&path, text).expect("a file");
    write(&price("m", None, "1"));
    let deployment = Deployment::new(1).set("INDELIBLE_PRICES", &path.display().to_string());
    let mut running = deployment.serve();
    let count = |lines: &str| {
        deployment.emit(lines);
        deployment.await_counted();
    };
    let dollars = |cost: &str, charge: &str, unpriced: i64| (cost.to_owned(), charge.to_owned(), unpriced);
    count(&usage("1", now, "m", json!({})));
    assert_eq!(costs(&running, now), dollars("1", "1", 0));

    // A file with faults leaves in place what was there, and every fault is told.
    write("[[price]]\nprovider = \"acme\"\nmodel = \"m\"\ninput = \"dear\"\noutptu = \"0\"\n");
    reload(&mut running, "prices", "failed");
    let log = running.child.output();
    for words in ["ERROR", "has faults", "line 1: [[price]] has no `output`", "line 4: `input`", "line 5: "] {
        assert!(log.contains(words), "{words} in {log}");
    }
    // Without a SIGHUP nobody looks at the file, good as it may be.
    write(&price("m", None, "9"));
    count(&usage("2", now, "m", json!({})));
    assert_eq!(costs(&running, now), dollars("2", "2", 0));
    let version = |running: &Running| running.get("/v1/prices").json()["version"].as_str().expect("a text").to_owned();
    let old = version(&running);

    // A good one applies to what comes later, in the worker and in the API.
    write(&format!("markup = \"50\"\n{}", price("m", None, "4")));
    reload(&mut running, "prices", "ok");
    assert_eq!(costs(&running, now), dollars("2", "2", 0));
    assert_ne!(version(&running), old);
    assert!(running.child.output().contains(&version(&running)));
    count(&usage("3", now, "m", json!({})));
    assert_eq!(costs(&running, now), dollars("6", "8", 0));
    assert_eq!((reloads(&running, "prices", "ok"), reloads(&running, "prices", "failed")), (1.0, 1.0));

    // What was counted is counted once, whatever it would cost now.
    count(&usage("1", now, "m", json!({})));
    assert_eq!(costs(&running, now), dollars("6", "8", 0));
}

#[test]
fn a_late_event_costs_what_it_did_at_its_own_time() {
    let (dir, now) = (tempfile::tempdir().expect("a temporary folder"), Utc::now());
    let (change, path) = (now - TimeDelta::days(3), dir.path().join("prices.toml"));
    let dated = price("m", None, "1") + &price("m", Some(&change.to_rfc3339()), "10");
    fs::write(&path, dated).expect("a file");
    let deployment = Deployment::new(1).set("INDELIBLE_PRICES", &path.display().to_string());
    let running = deployment.serve();
    let times = [now, change, change - TimeDelta::milliseconds(1), change - TimeDelta::days(20)];
    let lines = times.iter().zip(1..).map(|(time, id): (_, i32)| usage(&id.to_string(), *time, "m", json!({})));
    deployment.emit(&lines.collect::<String>());
    deployment.await_counted();
    let all = running.get("/v1/tenants/acme/users/alice/stats").json();
    assert_eq!(all["allTime"]["cost"]["amount"], "22");
    // Each in the month of its own time.
    let months: std::collections::BTreeMap<_, i64> =
        times.iter().zip([10, 10, 1, 1]).fold(Default::default(), |mut sums, (time, cost)| {
            *sums.entry((time.year(), time.month())).or_default() += cost;
            sums
        });
    for time in times {
        let (cost, ..) = costs(&running, time);
        assert_eq!(cost, months[&(time.year(), time.month())].to_string(), "{time}");
    }
}

#[test]
fn what_has_no_price_and_what_is_priced_otherwise_is_told() {
    let (dir, now) = (tempfile::tempdir().expect("a temporary folder"), Utc::now());
    let path = dir.path().join("prices.toml");
    fs::write(&path, price("m", None, "1") + &price("exact", None, "2")).expect("a file");
    let deployment = Deployment::new(1).set("INDELIBLE_PRICES", &path.display().to_string());
    let running = deployment.serve();
    let lines = [
        usage("1", now, "new-model", json!({})),
        usage("2", now, "new-model", json!({"costCents": 7})),
        usage("3", now, "exact", json!({"costCents": "200"})),
        // One per cent more, and a little more than that.
        usage("4", now, "exact", json!({"costCents": "202"})),
        usage("5", now, "exact", json!({"costCents": "202.0000001"})),
        usage("6", now, "m", json!({"costCents": 50, "provider": "acme"})),
        usage("7", now, "m", json!({"costCents": 50, "provider": "other"})),
        usage("8", now, "m", json!({"provider": "other"})),
        // Two of a sort are added up before they are told.
        usage("9", now, "new-model", json!({})),
        usage("10", now, "m", json!({"costCents": 50, "provider": "acme"})),
    ];
    deployment.emit(&lines.concat());
    // Repeats are not counted, so they are not told either.
    deployment.emit(&lines.concat());
    deployment.await_counted();
    assert_eq!(costs(&running, now).2, 3);
    assert_eq!(running.metric("indelible_unpriced_requests_total"), Some(3.0));
    for (model, count) in [("exact", Some(1.0)), ("m", Some(2.0)), ("new-model", None)] {
        assert_eq!(running.metric(&format!("indelible_price_mismatches_total{{model=\"{model}\"}}")), count, "{model}");
    }
    let answer = running.get(&format!("/v1/prices/mismatches?month={}", now.format("%Y-%m"))).json();
    let usd = |amount: &str| json!({"amount": amount, "currency": "USD"});
    assert_eq!(
        answer["models"],
        json!([
            // Most requests first.
            {"model": "m", "requests": 2, "given": usd("1"), "expected": usd("2"), "difference": usd("-1")},
            {"model": "exact", "requests": 1, "given": usd("2.020000001"), "expected": usd("2"),
             "difference": usd("0.020000001")},
        ])
    );
}

fn plan(hard: &str) -> String {
    format!("[plans.pro.user]\ntokens = {{ hard = {hard} }}\n")
}

#[test]
fn a_plan_that_changes_holds_at_once_and_one_with_faults_changes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("plans.toml");
    let write = |text: &str| fs::write(&path, text).expect("a file");
    write(&plan("2_000_000"));
    let deployment = Deployment::new(1).set("INDELIBLE_PLANS", &path.display().to_string());
    let mut running = deployment.serve();
    deployment.emit(&usage("1", Utc::now(), "m", json!({})));
    deployment.await_counted();
    let put = running.put("/v1/tenants/acme/users/alice/quota", r#"{"plan": "pro"}"#);
    assert_eq!((put.status, put.json()["inForce"]["plan"].as_str()), (200, Some("pro")), "{put:?}");
    let quota = |running: &Running| {
        let quota = running.get("/v1/tenants/acme/users/alice/quota").json();
        (quota["plan"].clone(), quota["tokens"]["hard"].clone(), quota["state"].clone())
    };
    assert_eq!(quota(&running), (json!("pro"), json!(2_000_000), json!("within")));

    write("[plans.pro.user]\ntokens = { hard = 0 }\n[plans.pro.usr]\n");
    reload(&mut running, "plans", "failed");
    let log = running.child.output();
    for words in ["ERROR", "has faults", "line 2", "line 3"] {
        assert!(log.contains(words), "{words} in {log}");
    }
    assert_eq!(quota(&running), (json!("pro"), json!(2_000_000), json!("within")));

    write(&plan("1_000_000"));
    reload(&mut running, "plans", "ok");
    assert_eq!(quota(&running), (json!("pro"), json!(1_000_000), json!("blocked")));
    let allowed = running.get("/v1/tenants/acme/users/alice/allow?tokens=1").json();
    assert_eq!((&allowed["allowed"], &allowed["remainingTokens"]), (&json!(false), &json!(0)), "{allowed}");
}
