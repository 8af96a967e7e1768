//! The main job against Apache Kafka and Redis: what is counted, and what a deletion takes away.

use chrono::{DateTime, Datelike, Duration, Utc};
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::program::Running;

/// An event of one user, in CloudEvents' structured mode.
fn event(kind: &str, id: &str, time: DateTime<Utc>, data: Value) -> String {
    let event = json!({
        "specversion": "1.0", "type": kind, "source": "test", "id": id, "time": time.to_rfc3339(), "data": data,
    });
    format!("{event}\n")
}

fn usage(id: &str, time: DateTime<Utc>, tokens_in: u64, output: Option<(&str, &str)>) -> String {
    let mut data = json!({
        "tenantId": "acme", "userId": "alice", "assistant": "research", "model": "claude-sonnet-4-5",
        "tokensIn": tokens_in, "tokensOut": 500, "costCents": "1.05", "latencyMs": 1200,
        "toolInvocations": {"webSearch": 2, "retrieval": 1},
    });
    if let Some((kind, id)) = output {
        data["output"] = json!({"kind": kind, "id": id});
    }
    event("ai.usage.recorded.v1", id, time, data)
}

fn output(verb: &str, id: &str, time: DateTime<Utc>, (kind, output): (&str, &str)) -> String {
    let data = json!({"tenantId": "acme", "userId": "alice", "outputId": output, "kind": kind});
    event(&format!("ai.output.{verb}.v1"), id, time, data)
}

fn stats(running: &Running) -> Value {
    let answer = running.get("/v1/tenants/acme/users/alice/stats");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Everything that a deletion must never change.
fn indelible_part(stats: &Value) -> Value {
    json!([stats["thisMonth"], stats["allTime"], stats["quota"]])
}

/// [this month, all time] of a kind.
fn saved(stats: &Value, kind: &str) -> [i64; 2] {
    ["thisMonth", "allTime"].map(|when| stats["outputs"][when][kind].as_i64().unwrap_or(0))
}

/// The middle of last month, always within the 35 days that an event may be old.
fn last_month(now: DateTime<Utc>) -> DateTime<Utc> {
    now - Duration::days(i64::from(now.day()))
}

#[test]
fn a_deletion_lowers_saved_outputs_and_nothing_else() {
    let (deployment, now) = (Deployment::new(3), Utc::now());
    let running = deployment.serve();
    deployment.emit(
        &[
            usage("u1", now, 1500, Some(("assistant_result", "r1"))),
            usage("u2", now, 2500, Some(("assistant_result", "r2"))),
            usage("u3", now, 3500, None),
            output("created", "c1", now, ("website", "w1")),
            output("created", "c2", now, ("website", "w2")),
        ]
        .concat(),
    );
    deployment.await_counted();
    let before = stats(&running);
    assert_eq!(before["thisMonth"]["tokensIn"], 7500);
    assert_eq!(before["thisMonth"]["totalTokens"], 9000);
    assert_eq!(before["thisMonth"]["costCents"].to_string(), "3.15");
    assert_eq!(before["thisMonth"]["toolInvocations"], json!({"retrieval": 3, "webSearch": 6}));
    assert_eq!(before["thisMonth"]["averageLatencyMs"], 1200);
    assert_eq!(before["quota"]["percent"], 0);
    assert_eq!((saved(&before, "assistant_result"), saved(&before, "website")), ([2, 2], [2, 2]));
    assert_eq!(before["recentActivity"].as_array().map(Vec::len), Some(4));

    deployment.emit(&output("deleted", "d1", now, ("assistant_result", "r1")));
    deployment.await_counted();
    let result_deleted = stats(&running);
    assert_eq!((saved(&result_deleted, "assistant_result"), saved(&result_deleted, "website")), ([1, 1], [2, 2]));
    assert_eq!(indelible_part(&result_deleted), indelible_part(&before));

    deployment.emit(&output("deleted", "d2", now, ("website", "w2")));
    deployment.await_counted();
    let website_deleted = stats(&running);
    assert_eq!((saved(&website_deleted, "assistant_result"), saved(&website_deleted, "website")), ([1, 1], [1, 1]));
    assert_eq!(indelible_part(&website_deleted), indelible_part(&before));

    deployment.emit(&usage("u4", now, 991_000, Some(("assistant_result", "r3"))));
    deployment.await_counted();
    let after = stats(&running);
    assert_eq!(saved(&after, "assistant_result"), [2, 2]);
    for when in ["thisMonth", "allTime"] {
        assert_eq!(after[when]["requests"], 4);
        assert_eq!(after[when]["totalTokens"], 1_000_500);
        assert_eq!(after[when]["costCents"].to_string(), "4.2");
    }
    let quota = json!({"limitTokens": 1_000_000, "usedTokens": 1_000_500, "percent": 100, "state": "soft_exceeded"});
    assert_eq!(after["quota"], quota);
    let tenant = running.get("/v1/tenants/acme/stats").json();
    assert_eq!(tenant["thisMonth"], after["thisMonth"]);
    assert_eq!(tenant["outputs"], after["outputs"]);
}

#[test]
fn deletions_are_idempotent_and_order_free_and_reach_into_earlier_months() {
    let (deployment, now) = (Deployment::new(3), Utc::now());
    let (running, earlier) = (deployment.serve(), last_month(now));
    let website = |id| ("website", id);
    deployment.emit(
        &[
            output("created", "c1", now, website("w1")),
            output("created", "c2", earlier, website("w2")),
            output("created", "c3", earlier, website("w3")),
            usage("u1", earlier, 100, None),
        ]
        .concat(),
    );
    deployment.await_counted();
    let before = stats(&running);
    assert_eq!(saved(&before, "website"), [1, 3]);
    assert_eq!((&before["thisMonth"]["requests"], &before["allTime"]["requests"]), (&json!(0), &json!(1)));

    // An output of an earlier month; twice, by two events.
    deployment
        .emit(&[output("deleted", "d1", now, website("w2")), output("deleted", "d2", now, website("w2"))].concat());
    deployment.await_counted();
    assert_eq!(saved(&stats(&running), "website"), [1, 2]);
    let month = earlier.format("%Y-%m").to_string();
    let then = running.get(&format!("/v1/tenants/acme/users/alice/stats?month={month}")).json();
    assert_eq!(saved(&then, "website"), [1, 2]);

    // Never created, and deleted before it is created.
    deployment
        .emit(&[output("deleted", "d3", now, website("never")), output("deleted", "d4", now, website("w4"))].concat());
    deployment.await_counted();
    deployment.emit(&output("created", "c4", now, website("w4")));
    deployment.await_counted();
    assert_eq!(saved(&stats(&running), "website"), [1, 2]);

    deployment
        .emit(&[output("deleted", "d5", now, website("w1")), output("deleted", "d6", now, website("w3"))].concat());
    deployment.await_counted();
    let after = stats(&running);
    assert_eq!(saved(&after, "website"), [0, 0]);
    assert_eq!(indelible_part(&after), indelible_part(&before));
    assert_eq!(running.get("/v1/tenants/acme/stats").json()["outputs"], json!({"thisMonth": {}, "allTime": {}}));
}

#[test]
fn the_same_id_is_counted_once_and_other_content_is_a_conflict() {
    let (deployment, now) = (Deployment::new(1), Utc::now());
    let running = deployment.serve();
    let outcome = |outcome: &str| running.metric(&format!("indelible_records_total{{outcome=\"{outcome}\"}}"));
    deployment.emit(&usage("u1", now, 100, None));
    deployment.await_counted();
    deployment.emit(&[usage("u1", now, 100, None), usage("u1", now, 999, None), usage("u2", now, 100, None)].concat());
    deployment.await_counted();
    assert_eq!(stats(&running)["thisMonth"]["tokensIn"], 200);
    assert_eq!([outcome("counted"), outcome("repeated"), outcome("conflict")], [Some(2.0), Some(1.0), Some(1.0)]);
}

#[test]
fn no_time_to_live_decides_what_is_counted() {
    let (deployment, now) = (Deployment::new(1), Utc::now());
    let running = deployment.serve();
    let lines = [
        usage("u1", now, 100, Some(("website", "w1"))),
        output("deleted", "d1", now, ("website", "w1")),
        output("deleted", "d2", now, ("website", "never created")),
    ];
    deployment.emit(&lines.concat());
    deployment.await_counted();
    assert_eq!(stats(&running)["thisMonth"]["requests"], 1);
    let keys: Vec<String> = deployment.redis.ask("KEYS", &["*"]);
    // Of a stop that outlasts a time-to-live, the log knows nothing: what came twice would be counted twice.
    let expiring: Vec<_> = keys.iter().filter(|key| deployment.redis.ask::<i64>("TTL", &[key]) >= 0).collect();
    assert!(expiring.is_empty(), "{expiring:?}");
    assert!(keys.iter().any(|key| key.contains(":seen:")), "{keys:?}");
}
