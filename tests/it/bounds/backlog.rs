//! The worker's memory under a backlog: what it holds is bounded, not what Kafka has.

use chrono::Utc;
use serde_json::json;

use super::{mib, peak_resident, size};
use crate::support::deployment::Deployment;
use crate::support::flood::flood;

const MOST: u64 = 512 << 20;

/// Counts a backlog of records of 1 KB over 12 partitions.
fn backlog(records: u64) {
    let deployment = Deployment::new(12);
    let note = "x".repeat(760);
    let time = Utc::now().to_rfc3339();
    flood(&deployment.topic, records, |number| {
        let (tenant, user) = (format!("tenant-{}", number % 1000), format!("user-{}", number % 50_000));
        let data = json!({"tenantId": tenant, "userId": user, "assistant": "chat", "model": "m", "tokensIn": 10,
            "tokensOut": 5, "costCents": 0.25, "note": note});
        let event = json!({"specversion": "1.0", "type": "ai.usage.recorded.v1", "source": "s", "id": number.to_string(),
            "time": time, "data": data});
        (None, format!("{tenant}:{user}"), event.to_string())
    });
    let start = std::time::Instant::now();
    let running = deployment.serve();
    deployment.await_counted_within(std::time::Duration::from_secs(1800));
    let (took, peak) = (start.elapsed(), peak_resident(running.child.pid()));
    assert_eq!(running.metric("indelible_records_total{outcome=\"counted\"}"), Some(records as f64));
    println!("{records} records of 1 KB counted in {took:.1?}, at most {} MiB resident", mib(peak));
    assert!(peak < MOST, "{} MiB resident", mib(peak));
}

#[test]
fn a_backlog_does_not_fill_the_worker() {
    backlog(size(150_000, 5_000_000));
}
