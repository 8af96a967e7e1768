//! Word that a threshold was passed: which, how often, and where it goes, whatever is down or killed meanwhile.

mod outbox;
mod receiver;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike, TimeZone, Utc};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rdkafka::message::{Headers, OwnedMessage};
use rdkafka::{Message, Timestamp};
use serde_json::{Value, json};

use indelible::domain::bucket::BUCKETS;

use crate::support::deployment::Deployment;
use crate::support::kafka::{Kafka, Record};
use crate::support::program::{Program, Running};
use crate::support::wait::{START, eventually};

/// Until what was noted is sent on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// With a notice topic, and a soft limit of 1000 tokens for each user.
fn deployment(partitions: i32) -> Deployment {
    let deployment = Deployment::new(partitions).set("INDELIBLE_QUOTA_TOKENS", "1000");
    let topic = notice_topic(&deployment);
    Kafka::shared().create_topic(&topic, 3, &[]);
    deployment.set("INDELIBLE_NOTICE_TOPIC", &topic)
}

fn notice_topic(deployment: &Deployment) -> String {
    format!("{}.notices", deployment.topic)
}

/// The first instant of this month.
fn this_month() -> DateTime<Utc> {
    let now = Utc::now();
    Utc.with_ymd_and_hms(now.year(), now.month(), 1, 0, 0, 0).single().expect("an instant")
}

fn month() -> String {
    this_month().format("%Y-%m").to_string()
}

fn usage(id: &str, tenant: &str, user: &str, tokens: i64) -> String {
    let data = json!({
        "tenantId": tenant, "userId": user, "assistant": "research", "model": "m",
        "tokensIn": tokens, "tokensOut": 0, "costCents": "0.5",
    });
    event("ai.usage.recorded.v1", id, data)
}

fn assigned(id: &str, tenant: &str, limits: Value) -> String {
    event("ai.quota.assigned.v1", id, json!({"tenantId": tenant, "limits": limits}))
}

fn event(kind: &str, id: &str, data: Value) -> String {
    let time = this_month().to_rfc3339();
    let event = json!({"specversion": "1.0", "type": kind, "source": "test", "id": id, "time": time, "data": data});
    format!("{event}\n")
}

/// Everything in the notice topic, as JSON, in the order of each user.
fn notices(deployment: &Deployment) -> Vec<Value> {
    Kafka::shared().read_all(&notice_topic(deployment)).iter().map(read).collect()
}

/// A record is a CloudEvent in structured mode, under the key of its user.
#[track_caller]
fn read(record: &OwnedMessage) -> Value {
    let headers: Vec<_> = record.headers().into_iter().flat_map(Headers::iter).collect();
    assert_eq!(headers.len(), 1, "{headers:?}");
    assert_eq!((headers[0].key, headers[0].value), ("content-type", Some(b"application/cloudevents+json".as_slice())));
    let event: Value = serde_json::from_slice(record.payload().expect("a value")).expect("JSON");
    let data = &event["data"];
    let user = data["userId"].as_str().unwrap_or_default();
    let key = format!("{}:{user}", data["tenantId"].as_str().expect("a tenant"));
    assert_eq!(record.key(), Some(key.as_bytes()));
    assert!(matches!(record.timestamp(), Timestamp::CreateTime(_)));
    assert_eq!((&event["specversion"], &event["type"]), (&json!("1.0"), &json!("ai.quota.notice.v1")));
    event
}

fn ids(notices: &[Value]) -> Vec<&str> {
    let mut ids: Vec<_> = notices.iter().map(|notice| notice["id"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

/// How much waits in all buckets, for the topic and for the webhook.
fn waiting(deployment: &Deployment) -> [i64; 2] {
    ["outbox", "webhook"].map(|what| {
        let keys: Vec<String> = deployment.redis.ask("KEYS", &[&format!("indelible:*:{what}")]);
        keys.iter().map(|key| deployment.redis.ask::<i64>("HLEN", &[key])).sum()
    })
}

#[track_caller]
fn await_sent(deployment: &Deployment) {
    eventually(SOON, "the outbox to be empty", || (waiting(deployment) == [0, 0]).then_some(()));
}

/// All is counted, and what that noted is sent.
#[track_caller]
fn settle(deployment: &Deployment) {
    deployment.await_counted();
    await_sent(deployment);
}

/// Nobody sends what waits in the tenant's bucket until the lease is over, or released.
fn hold(deployment: &Deployment, tenant: &str) -> String {
    use indelible::domain::bucket::Bucket;
    use indelible::domain::ids::TenantId;
    use indelible::store::keys::Keyspace;
    let bucket = Bucket::of(&TenantId::new(tenant).expect("an id"));
    let key = Keyspace::new("indelible").outbox_lease(bucket);
    deployment.redis.ask::<()>("SET", &[&key, "a test", "PX", "600000"]);
    key
}

#[test]
fn thresholds_that_are_passed_one_by_one_or_together_are_told_of() {
    let deployment = deployment(1);
    let running = deployment.serve();
    // Of the tenant: 4000 tokens are soft, 5000 hard, and 2.5 cents.
    let limits = json!({"tokens": {"soft": 4000, "hard": 5000}, "costCents": {"hard": "2.5"}, "thresholds": [100]});
    deployment.emit(&assigned("a1", "acme", limits));
    let told = |id: &str, user: &str, tokens: i64| {
        let known: BTreeSet<String> = ids(&notices(&deployment)).into_iter().map(str::to_owned).collect();
        deployment.emit(&usage(id, "acme", user, tokens));
        settle(&deployment);
        let mut new = notices(&deployment);
        new.retain(|notice| !known.contains(notice["id"].as_str().expect("an id")));
        new
    };
    assert_eq!(told("u1", "alice", 499), [Value::Null; 0]);
    let month = month();
    let of_alice = |threshold: &str, also: Value, used: i64, percent: i64| {
        json!({
            "specversion": "1.0", "type": "ai.quota.notice.v1", "source": "/indelible/indelible",
            "id": format!("acme:alice:{month}:tokens:{threshold}"), "datacontenttype": "application/json",
            "time": this_month().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "data": {
                "tenantId": "acme", "userId": "alice", "month": month, "metric": "tokens", "threshold": threshold,
                "alsoPassed": also, "percent": percent, "limitTokens": 1000, "usedTokens": used,
            },
        })
    };
    assert_eq!(told("u2", "alice", 1), [of_alice("50", json!([]), 500, 50)]);
    assert_eq!(told("u3", "alice", 400), [of_alice("90", json!(["80"]), 900, 90)]);
    assert_eq!(told("u4", "alice", 200), [of_alice("100", json!([]), 1100, 110)]);
    // The same event passes all of a user's and two of the tenant's; the cost is passed as well.
    let found = told("u5", "bob", 3900);
    let thresholds: BTreeMap<_, _> = found
        .iter()
        .map(|notice| {
            let data = &notice["data"];
            (notice["id"].as_str().expect("an id"), (data["threshold"].clone(), data["alsoPassed"].clone()))
        })
        .collect();
    let (bob, tokens, cost) = (
        format!("acme:bob:{month}:tokens:100"),
        format!("acme::{month}:tokens:hard"),
        format!("acme::{month}:cost:hard"),
    );
    let expected = [
        (bob.as_str(), (json!("100"), json!(["50", "80", "90"]))),
        (tokens.as_str(), (json!("hard"), json!(["100"]))),
        (cost.as_str(), (json!("hard"), json!(["100"]))),
    ];
    assert_eq!(thresholds, BTreeMap::from(expected));
    let cost = found.iter().find(|notice| notice["data"]["metric"] == "cost").expect("one on cost");
    assert_eq!((&cost["data"]["limitCents"], &cost["data"]["usedCents"]), (&json!("2.5"), &json!("2.5")));
    assert_eq!(told("u6", "bob", 10_000), [Value::Null; 0], "nothing is passed twice");
    let metric = |series: &str| running.metric(series);
    assert_eq!(metric("indelible_notices_noted_total"), Some(6.0));
    assert_eq!(metric("indelible_notices_total{outcome=\"sent\",sink=\"topic\"}"), Some(6.0));
    assert_eq!(metric("indelible_notices_total{outcome=\"failed\",sink=\"topic\"}"), Some(0.0));
    eventually(SOON, "the gauge", || (metric("indelible_outbox_notices{sink=\"topic\"}") == Some(0.0)).then_some(()));
}

/// Every user of a few tenants uses 1 to 1.6 times the limit, in small events.
fn traffic(rng: &mut StdRng) -> (Vec<(String, String)>, BTreeSet<String>) {
    let (mut events, mut expected) = (Vec::new(), BTreeSet::new());
    for tenant in 0..8 {
        for user in 0..6 {
            let (tenant, user) = (format!("t{tenant}"), format!("u{user}"));
            let mut sum = 0;
            let enough = rng.random_range(400..1600);
            while sum < enough {
                let tokens = rng.random_range(1..60);
                sum += tokens;
                let id = format!("{tenant}-{user}-{}", events.len());
                events.push((format!("{tenant}:{user}"), usage(&id, &tenant, &user, tokens)));
            }
            let reached = [50, 80, 90, 100].into_iter().filter(|percent| sum >= percent * 10);
            expected.extend(reached.map(|percent| format!("{tenant}:{user}:{}:tokens:{percent}", month())));
        }
    }
    events.shuffle(rng);
    (events, expected)
}

fn produce(deployment: &Deployment, events: &[(String, String)]) {
    // No partition is a user's own: the order of a user's events is anybody's guess.
    let records = events.iter().enumerate().map(|(number, (key, value))| Record {
        partition: Some(number as i32 % deployment.partitions),
        key: Some(key),
        value: Some(value.as_bytes()),
        ..Record::default()
    });
    Kafka::shared().produce_all(&deployment.topic, records);
}

/// What an event says it passed, the highest and the others: each once in all.
#[track_caller]
fn thresholds_of(notices: &[Value]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for notice in notices {
        let data = &notice["data"];
        let (head, _) = notice["id"].as_str().and_then(|id| id.rsplit_once(':')).expect("an id");
        let also = data["alsoPassed"].as_array().expect("an array").iter();
        for threshold in also.chain([&data["threshold"]]).map(|threshold| threshold.as_str().expect("text")) {
            assert!(all.insert(format!("{head}:{threshold}")), "{head}:{threshold} is told of twice");
            let (used, percent) = (data["usedTokens"].as_i64().expect("a count"), threshold.parse::<i64>());
            assert!(used >= percent.expect("a percent") * 10, "too early: {notice}");
        }
    }
    all
}

fn worker(deployment: &Deployment) -> Running {
    Program::launch(&[&deployment.env()[..], &[("INDELIBLE_ROLE", "worker")]].concat())
}

/// In order: the group would wait for those that are killed.
#[track_caller]
fn stop(workers: Vec<Running>) {
    for mut worker in workers {
        worker.child.terminate();
        assert!(worker.child.wait(START).success(), "{}", worker.child.output());
    }
}

/// Any, and printed.
fn seed() -> u64 {
    let seed = std::env::var("INDELIBLE_SEED").ok().map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    println!("INDELIBLE_SEED={seed}");
    seed
}

#[test]
fn each_threshold_is_told_of_once_by_three_workers_and_never_again() {
    let (mut rng, deployment) = (StdRng::seed_from_u64(seed()), deployment(6));
    let (events, expected) = traffic(&mut rng);
    let workers: Vec<_> = (0..3).map(|_| worker(&deployment)).collect();
    for some in events.chunks(events.len() / 5 + 1) {
        produce(&deployment, some);
    }
    settle(&deployment);
    let found = notices(&deployment);
    assert_eq!(thresholds_of(&found), expected);
    // The whole log once more, in another order, for other workers.
    let (mut again, count) = (events.clone(), found.len());
    again.shuffle(&mut rng);
    stop(workers);
    let workers: Vec<_> = (0..2).map(|_| worker(&deployment)).collect();
    produce(&deployment, &again);
    settle(&deployment);
    assert_eq!(notices(&deployment).len(), count, "a repeat passes nothing");
    stop(workers);
}

#[test]
fn workers_that_are_killed_leave_no_threshold_out_and_tell_of_none_under_two_ids() {
    let mut rng = StdRng::seed_from_u64(seed());
    let deployment =
        deployment(6).set("INDELIBLE_KAFKA_PROPERTIES", "session.timeout.ms=3000,heartbeat.interval.ms=500");
    let (events, expected) = traffic(&mut rng);
    let mut workers: Vec<_> = (0..3).map(|_| worker(&deployment)).collect();
    // Few have passed anything by half of it.
    let (quiet, loud) = events.split_at(events.len() / 2);
    produce(&deployment, quiet);
    for some in loud.chunks(loud.len() / 4 + 1) {
        let before = notices(&deployment).len();
        produce(&deployment, some);
        // In the middle of sending what this part has passed, as likely as not.
        eventually(SOON, "the first of them", || (notices(&deployment).len() > before).then_some(()));
        let victim = rng.random_range(0..workers.len());
        workers[victim].child.kill();
        workers[victim] = worker(&deployment);
    }
    settle(&deployment);
    let found = notices(&deployment);
    let mut distinct: BTreeMap<&str, &Value> = BTreeMap::new();
    for notice in &found {
        let first = distinct.entry(notice["id"].as_str().expect("an id")).or_insert(notice);
        assert_eq!(*first, notice, "a repeat says the same");
    }
    println!("{} notices, {} of them repeats", found.len(), found.len() - distinct.len());
    let distinct: Vec<_> = distinct.into_values().cloned().collect();
    assert_eq!(thresholds_of(&distinct), expected);
    stop(workers);
}

#[test]
fn what_waits_is_sent_by_whoever_comes_next() {
    let deployment = deployment(1);
    let lease = hold(&deployment, "acme");
    let first = worker(&deployment);
    deployment.emit(&usage("u1", "acme", "alice", 800));
    deployment.await_counted();
    assert_eq!(waiting(&deployment), [1, 0]);
    stop(vec![first]);
    assert_eq!((waiting(&deployment), notices(&deployment).len()), ([1, 0], 0));
    deployment.redis.ask::<()>("DEL", &[&lease]);
    let _second = worker(&deployment);
    await_sent(&deployment);
    assert_eq!(ids(&notices(&deployment)), [format!("acme:alice:{}:tokens:80", month())]);
}

/// Each look asks all buckets: notices that come one soon after the other must not have it done for each of them.
#[test]
fn notices_that_come_steadily_are_looked_for_a_few_times_a_second() {
    let deployment = deployment(1);
    let running = worker(&deployment);
    deployment.emit(&usage("first", "acme", "first", 1));
    deployment.await_counted();
    let looks = || {
        let statistics: String = deployment.redis.ask("INFO", &["commandstats"]);
        let calls = statistics.split("cmdstat_zcount:calls=").nth(1).and_then(|rest| rest.split(',').next());
        calls.map_or(0.0, |calls| calls.parse::<f64>().expect("a number")) / f64::from(BUCKETS)
    };
    let (start, before) = (Instant::now(), looks());
    for number in 1..=40 {
        let user = format!("user-{number}");
        let line = usage(&user, "acme", &user, 900);
        let record = Record { key: Some(&user), value: Some(line.trim().as_bytes()), ..Record::default() };
        Kafka::shared().produce(&deployment.topic, record);
        let noted = || running.metric("indelible_notices_noted_total");
        eventually(SOON, "it to be noted", || (noted() == Some(f64::from(number))).then_some(()));
    }
    await_sent(&deployment);
    let (looks, took) = (looks() - before, start.elapsed().as_secs_f64());
    assert_eq!(notices(&deployment).len(), 40);
    println!("{looks} looks in {took} s");
    // At every one of them, and after what was sent, it would be 80.
    assert!(looks > 0.0 && looks <= took / 0.2 + 5.0, "{looks} looks in {took} s");
}

#[test]
fn without_a_notice_topic_nothing_is_noted() {
    let deployment = Deployment::new(1).set("INDELIBLE_QUOTA_TOKENS", "1000");
    let running = deployment.serve();
    deployment.emit(&usage("u1", "acme", "alice", 2000));
    deployment.await_counted();
    assert_eq!((waiting(&deployment), running.metric("indelible_notices_noted_total")), ([0, 0], Some(0.0)));
}

/// The least time that Kafka is down, in seconds; whatever it is, two tries to send must fail meanwhile.
fn down_time() -> Duration {
    let seconds = std::env::var("INDELIBLE_DOWN_SECONDS").ok().map_or(0, |text| text.parse().expect("seconds"));
    Duration::from_secs(seconds)
}

#[test]
fn the_outbox_empties_when_kafka_is_back() {
    let mut kafka = Kafka::start();
    let deployment = deployment(2).set("INDELIBLE_KAFKA_BROKERS", &kafka.bootstrap());
    let topic = notice_topic(&deployment);
    kafka.create_topic(&deployment.topic, 2, &[]);
    kafka.create_topic(&topic, 3, &[]);
    let running = deployment.serve();
    let leases: Vec<_> = (0..20).map(|tenant| hold(&deployment, &format!("t{tenant}"))).collect();
    let (count, mut lines, mut expected) = (20 * 5, String::new(), BTreeSet::new());
    for tenant in 0..20 {
        for user in 0..5 {
            lines += &usage(&format!("{tenant}-{user}"), &format!("t{tenant}"), &format!("u{user}"), 850);
            expected.insert(format!("t{tenant}:u{user}:{}:tokens:80", month()));
        }
    }
    deployment.emit(&lines);
    eventually(SOON, "all to wait", || (waiting(&deployment) == [count, 0]).then_some(()));
    kafka.kill();
    let down = Instant::now();
    leases.iter().for_each(|lease| deployment.redis.ask::<()>("DEL", &[lease]));
    let failed = || running.metric("indelible_notices_total{outcome=\"failed\",sink=\"topic\"}").unwrap_or(0.0);
    eventually(START, "a try of all to fail", || (failed() >= count as f64).then_some(()));
    eventually(START, "another", || (failed() > count as f64).then_some(()));
    if let Some(rest) = down_time().checked_sub(down.elapsed()) {
        std::thread::sleep(rest);
    }
    assert_eq!(waiting(&deployment), [count, 0], "all are still there");
    assert_eq!(running.child.output().matches("notices can't be sent").count(), 1, "{}", running.child.output());
    println!("kafka was down for {:?}, {} sends failed", down.elapsed(), failed());
    kafka.restart();
    let back = Instant::now();
    await_sent(&deployment);
    println!("the outbox was empty {:?} after it was back", back.elapsed());
    let found: Vec<_> = kafka.read_all(&topic).iter().map(read).collect();
    assert_eq!(ids(&found), expected.iter().map(String::as_str).collect::<Vec<_>>(), "each once");
    eventually(SOON, "that it is said", || running.child.output().contains("notices are sent again").then_some(()));
}

#[cfg(feature = "crash-points")]
#[test]
fn a_worker_that_dies_before_the_removal_has_it_sent_again_and_nothing_else() {
    let deployment = deployment(1);
    let mut victim = Program::launch(&[&deployment.env()[..], &[("INDELIBLE_CRASH", "after_notice_ack:2")]].concat());
    let month = month();
    let id = |threshold: &str| format!("acme:alice:{month}:tokens:{threshold}");
    deployment.emit(&usage("u1", "acme", "alice", 500));
    settle(&deployment);
    deployment.emit(&usage("u2", "acme", "alice", 300));
    victim.child.wait(SOON);
    assert!(
        victim.child.output().contains("crash point after_notice_ack reached, pass 2"),
        "{}",
        victim.child.output()
    );
    assert_eq!((ids(&notices(&deployment)), waiting(&deployment)), (vec![&*id("50"), &*id("80")], [1, 0]));
    // The victim's lease would end by itself.
    let leases: Vec<String> = deployment.redis.ask("KEYS", &["indelible:*:outbox-lease"]);
    let [lease] = leases.as_slice() else { panic!("{leases:?}") };
    let left: i64 = deployment.redis.ask("PTTL", &[lease]);
    assert!((1..=60_000).contains(&left), "{left} ms");
    deployment.redis.ask::<()>("DEL", &[lease]);
    let _heir = worker(&deployment);
    deployment.emit(&usage("u3", "acme", "alice", 100));
    settle(&deployment);
    let found = notices(&deployment);
    assert_eq!(ids(&found), [id("50"), id("80"), id("80"), id("90")]);
    let twice: Vec<_> = found.iter().filter(|notice| notice["id"] == id("80")).collect();
    assert_eq!(twice[0], twice[1], "to the last byte");
}
