//! A tenant that sends more than can be counted at once does not keep the others waiting.

use std::time::{Duration, Instant};

use crate::support::deployment::Deployment;
use crate::support::event::bare;
use crate::support::flood::flood;
use crate::support::kafka::{Kafka, Record};
use crate::support::wait::eventually;

const HOT: u64 = 400_000;
/// Bytes of a record of the hot tenant, like those of real ones.
const RECORD: usize = 450;
/// What the worker may hold (80 MiB), what its client may (30,000 records), and what was on its way from three partitions
/// when they were full.
const MOST_AHEAD: u64 = (80 << 20) / RECORD as u64 + 30_000 + 3 * 10_000;

#[test]
fn a_hot_tenant_does_not_starve_another() {
    let deployment = Deployment::new(4);
    let line =
        |number: u64| format!("{:RECORD$}", bare(&number.to_string(), "hot", &format!("user-{}", number % 5000)));
    flood(&deployment.topic, HOT, |number| (Some((number % 3) as i32), "hot".to_owned(), line(number)));
    let running = deployment.serve();
    let requests = |tenant: &str| {
        running.get(&format!("/v1/tenants/{tenant}/stats")).json()["allTime"]["requests"].as_u64().expect("a sum")
    };
    eventually(Duration::from_secs(30), "the hot tenant to be counted", || (requests("hot") > 0).then_some(()));
    let (start, before) = (Instant::now(), requests("hot"));
    let quiet = bare("1", "quiet", "alice");
    let record = Record { partition: Some(3), value: Some(quiet.as_bytes()), ..Record::default() };
    Kafka::shared().produce(&deployment.topic, record);
    eventually(Duration::from_secs(30), "the quiet tenant to be counted", || (requests("quiet") == 1).then_some(()));
    let (waited, ahead) = (start.elapsed(), requests("hot") - before);
    println!("the quiet tenant waited {waited:.1?}; {ahead} of {HOT} events of the hot one were counted meanwhile");
    // What the worker and its client hold, and no more: the rest of the backlog waits in Kafka.
    assert!(ahead < MOST_AHEAD, "{ahead}");
}
