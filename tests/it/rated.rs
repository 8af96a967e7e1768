//! The rated topic against Apache Kafka and Redis: what is in it is what was counted, whatever was killed in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rdkafka::Message;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::deployment::Deployment;
use crate::support::event::bare;
use crate::support::kafka::Kafka;
use crate::support::program::{Program, Running};
use crate::support::wait::{START, eventually};

const PARTITIONS: i32 = 3;
const TENANTS: usize = 7;

/// A system with a rated topic, which is yet to be made.
struct Bench {
    deployment: Deployment,
    topic: String,
    dir: TempDir,
    sent: usize,
}

impl Bench {
    fn new() -> Self {
        let (topic, dir) = (Kafka::unique("rated"), tempfile::tempdir().expect("a temporary folder"));
        let prices = dir.path().join("prices.toml");
        write_prices(&prices, 3);
        let deployment = Deployment::new(PARTITIONS)
            // The group waits no longer than that for a worker that was killed.
            .set("INDELIBLE_KAFKA_PROPERTIES", "session.timeout.ms=3000,heartbeat.interval.ms=500")
            .set("INDELIBLE_RATED_TOPIC", &topic)
            .set("INDELIBLE_PRICES", prices.to_str().expect("a path in UTF-8"));
        Self { deployment, topic, dir, sent: 0 }
    }

    fn make_topic(&self) {
        Kafka::shared().create_topic(&self.topic, 2, &[]);
    }

    fn set_price(&self, dollars: u32) {
        write_prices(&self.dir.path().join("prices.toml"), dollars);
    }

    /// Requests without a cost of their own; one of ten comes twice.
    fn emit(&mut self, count: usize) {
        let lines: String = (self.sent..self.sent + count)
            .flat_map(|number| {
                let line = request(number) + "\n";
                let again = if number % 10 == 0 { line.clone() } else { String::new() };
                [line, again]
            })
            .collect();
        self.sent += count;
        self.deployment.emit(&lines);
    }

    /// The last record of each id, and how many records there are in all.
    fn rated(&self) -> (BTreeMap<String, Value>, usize) {
        let records = Kafka::shared().read_all(&self.topic);
        let values = records.iter().map(|record| {
            let value: Value = serde_json::from_slice(record.payload().expect("a value")).expect("JSON");
            assert_eq!(record.key(), value["id"].as_str().map(str::as_bytes), "keyed by its id");
            (value["id"].as_str().expect("an id").to_owned(), value)
        });
        (values.collect(), records.len())
    }

    /// Requests, cost and charge in nano-dollars by tenant: the API's must be the topic's.
    #[track_caller]
    fn check(&self, running: &Running, requests: usize) {
        let mut sums: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
        let (rated, _) = self.rated();
        assert_eq!(rated.len(), requests, "every counted request once or more, and nothing else");
        for data in rated.into_values().map(|value| value["data"].clone()) {
            let sum = sums.entry(data["tenantId"].as_str().expect("text").to_owned()).or_default();
            *sum = (sum.0 + 1, sum.1 + nanos(&data["cost"]), sum.2 + nanos(&data["charge"]));
        }
        for (tenant, sum) in sums {
            let all = running.get(&format!("/v1/tenants/{tenant}/stats")).json()["allTime"].clone();
            assert_eq!(
                (all["requests"].as_i64(), nanos(&all["cost"]), nanos(&all["charge"])),
                (Some(sum.0), sum.1, sum.2)
            );
        }
    }
}

fn request(number: usize) -> String {
    let mut event: Value =
        serde_json::from_str(&bare(&format!("r{number}"), &format!("t{}", number % TENANTS), "u")).expect("JSON");
    event["model"] = json!("m");
    event.as_object_mut().expect("an object").remove("costCents");
    event.to_string()
}

fn write_prices(path: &Path, dollars: u32) {
    let text = format!(
        "markup = \"20\"\n\n[[price]]\nprovider = \"p\"\nmodel = \"m\"\ninput = \"{dollars}\"\noutput = \"15\"\n"
    );
    fs::write(path, text).expect("the folder can be written");
}

/// Of decimal dollars, `{"amount"}` or as they are.
fn nanos(amount: &Value) -> i64 {
    let dollars = amount["amount"].as_str().expect("text");
    let (whole, fraction) = dollars.split_once('.').unwrap_or((dollars, ""));
    format!("{whole}{fraction:0<9}").parse().expect("a number")
}

#[test]
fn after_kills_under_load_and_other_prices_the_topic_says_what_was_counted() {
    let mut bench = Bench::new();
    bench.make_topic();
    for dollars in [3, 5, 7] {
        bench.set_price(dollars);
        let mut running = Program::launch(&bench.deployment.env());
        bench.emit(300);
        eventually(START, "some of them to be counted", || {
            let counted = running.is_live().then(|| running.metric("indelible_records_total{outcome=\"counted\"}"));
            counted.flatten().filter(|counted| *counted > 0.0)
        });
        running.child.kill();
    }
    bench.set_price(11);
    let running = bench.deployment.serve();
    bench.deployment.await_counted();
    bench.check(&running, 900);
}

#[cfg(feature = "crash-points")]
#[test]
fn a_worker_that_dies_between_counting_and_writing_leaves_it_to_the_next_one() {
    for (point, rewrites) in [("before_rated", 1), ("after_rated_ack", 1)] {
        let mut bench = Bench::new();
        bench.make_topic();
        bench.emit(200);
        let plan = format!("{point}:3");
        let mut env = bench.deployment.env();
        env.push(("INDELIBLE_CRASH", &plan));
        let mut victim = Program::launch(&env);
        eventually(START, "a crash", || victim.child.exited());
        let (_, before) = bench.rated();
        bench.set_price(5);
        let running = bench.deployment.serve();
        bench.deployment.await_counted();
        bench.check(&running, 200);
        let again = running.metric("indelible_rated_records_total{outcome=\"rewritten\"}").expect("a metric");
        assert!(again >= f64::from(rewrites), "{point}: nothing was written again, {before} were there before");
        assert_eq!(running.metric("indelible_rated_records_total{outcome=\"skipped\"}"), Some(0.0));
    }
}

#[test]
fn without_its_topic_nothing_is_counted_and_readiness_names_it_and_nothing_is_lost() {
    let mut bench = Bench::new();
    let running = Program::launch(&bench.deployment.env());
    bench.emit(20);
    running.await_red(&format!("can't write rated requests: {}", bench.topic));
    bench.make_topic();
    running.await_green();
    bench.deployment.await_counted();
    bench.check(&running, 20);
}

#[test]
fn the_setting_can_be_taken_away_and_set_again() {
    let mut bench = Bench::new();
    bench.make_topic();
    let mut first = bench.deployment.serve();
    bench.emit(20);
    bench.deployment.await_counted();
    first.child.terminate();
    first.child.wait(START);
    let without: Vec<_> =
        bench.deployment.env().into_iter().filter(|(name, _)| *name != "INDELIBLE_RATED_TOPIC").collect();
    let mut second = Program::serve(&without);
    bench.emit(30);
    bench.deployment.await_counted();
    second.child.terminate();
    second.child.wait(START);
    let third = bench.deployment.serve();
    bench.emit(20);
    bench.deployment.await_counted();
    let (rated, _) = bench.rated();
    assert_eq!(rated.len(), 40, "what was counted without the setting is not there");
    assert_eq!(third.metric("indelible_rated_records_total{outcome=\"skipped\"}"), Some(0.0));
}
