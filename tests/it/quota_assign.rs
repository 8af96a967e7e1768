//! Quotas are events: assigned by PUT or by a command, applied by a worker, and rebuilt from the log to the byte.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::kafka::Kafka;
use crate::support::program::{Program, Running, fetch};
use crate::support::wait::{START, eventually};

const TENANT: &str = "/v1/tenants/acme/quota";
const ALICE: &str = "/v1/tenants/acme/users/alice/quota";

/// All quotas that Redis holds, as they stand there.
fn stored(deployment: &Deployment) -> BTreeMap<String, BTreeMap<String, String>> {
    let keys: Vec<String> = deployment.redis.ask("KEYS", &["indelible:*:quota:*"]);
    keys.into_iter().map(|key| (key.clone(), deployment.redis.ask("HGETALL", &[&key]))).collect()
}

/// What is stored of acme's quotas under a field.
fn field(deployment: &Deployment, field: &str) -> String {
    let all = stored(deployment);
    let hash = all.iter().find(|(key, _)| key.ends_with(":quota:acme")).map(|(_, hash)| hash);
    hash.and_then(|hash| hash.get(field)).cloned().unwrap_or_default()
}

#[track_caller]
fn put(running: &Running, path: &str, quota: &Value) -> Value {
    let answer = running.put(path, &quota.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn tokens(soft: i64) -> Value {
    json!({"limits": {"tokens": {"soft": soft}, "costCents": {"hard": "12.5"}, "graceSeconds": 60}})
}

fn command(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Program::run(args, env, "");
    (status.code(), String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
}

#[test]
fn a_quota_is_applied_once_it_is_answered() {
    let deployment = Deployment::new(3);
    let running = deployment.serve();
    // At once: no wait between an answer and a look into Redis.
    let of_tenant = put(&running, TENANT, &tokens(1000));
    let (line, id) = (field(&deployment, "tenant"), of_tenant["assigned"]["id"].as_str().expect("an id").to_owned());
    assert!(
        line.contains(&id) && line.ends_with("limits tokens=1000/- cost=-/125000000 grace=60000 at=50,80,90,100"),
        "{line}"
    );
    assert_eq!((of_tenant["inForce"]["id"].as_str(), &of_tenant["superseded"]), (Some(id.as_str()), &json!(false)));
    assert_eq!(of_tenant["assigned"]["source"], "/indelible/indelible");

    put(&running, ALICE, &tokens(500));
    let second = put(&running, ALICE, &json!({"inherit": true}));
    let lines = field(&deployment, "user:alice");
    let (first_line, second_line) = lines.split_once('\n').expect("two lines, the latest first");
    assert!(first_line.ends_with(" inherit") && first_line.contains(second["assigned"]["id"].as_str().expect("an id")));
    assert!(second_line.contains("tokens=500/-"), "{second_line}");
    assert_eq!(field(&deployment, "tenant"), line, "the tenant's own is as it was");

    // Nobody is assigned a plan that no file has, nor anything that a worker would refuse.
    let before = stored(&deployment);
    for (quota, status) in [(json!({"plan": "none"}), 409), (json!({"limits": {"tokens": {"hard": 0}}}), 422)] {
        assert_eq!(running.put(ALICE, &quota.to_string()).status, status);
    }
    deployment.await_counted();
    assert_eq!(stored(&deployment), before);

    // Under its user's key, as a CloudEvent that says what it is.
    let records = Kafka::shared().read_all(&deployment.topic);
    let keys: Vec<_> = records.iter().map(|record| rdkafka::Message::key(record).map(<[u8]>::to_vec)).collect();
    for (key, times) in [(&b"acme:"[..], 1), (b"acme:alice", 2)] {
        assert_eq!(keys.iter().filter(|other| other.as_deref() == Some(key)).count(), times, "{keys:?}");
    }
    assert_eq!(running.metric("indelible_records_total{outcome=\"rejected\"}").unwrap_or(0.0), 0.0);
}

#[test]
fn without_a_worker_it_is_applied_as_soon_as_there_is_one() {
    let deployment = Deployment::new(1).set("INDELIBLE_ROLE", "api");
    let api = api(&deployment);
    let answer = api.put(ALICE, &tokens(77).to_string());
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(answer.json()["type"].as_str().is_some_and(|kind| kind.ends_with(":not-applied-yet")), "{answer:?}");
    let records = Kafka::shared().read_all(&deployment.topic);
    let event: Value = serde_json::from_slice(rdkafka::Message::payload(&records[0]).expect("a value")).expect("JSON");
    let id = event["id"].as_str().expect("an id");
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(id)), "{answer:?}");
    assert_eq!(stored(&deployment), BTreeMap::new());

    let deployment = deployment.set("INDELIBLE_ROLE", "all");
    let _running = deployment.serve();
    deployment.await_counted();
    let line = field(&deployment, "user:alice");
    assert!(line.contains(id) && line.contains("tokens=77/-"), "{line}");
}

/// A process that serves the API alone, which is not ready as long as nobody has counted.
fn api(deployment: &Deployment) -> Running {
    let api = Program::launch(&deployment.env());
    let url = format!("{}/version", api.api_url());
    eventually(START, "the API to answer", || fetch(&url, &[]).ok());
    api
}

#[test]
fn without_kafka_nothing_is_assigned() {
    let deployment = Deployment::new(1).set("INDELIBLE_ROLE", "api").set("INDELIBLE_KAFKA_BROKERS", "127.0.0.1:1");
    let answer = api(&deployment).put(ALICE, &tokens(77).to_string());
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{answer:?}");
    assert!(answer.json()["type"].as_str().is_some_and(|kind| kind.ends_with(":kafka-unavailable")), "{answer:?}");
    let (code, _, stderr) = command(&["quota", "assign", "acme", "--tokens-hard", "9"], &deployment.env());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("kafka did not acknowledge the event "), "{stderr}");
    assert_eq!(stored(&deployment), BTreeMap::new());
}

#[test]
fn quotas_are_rebuilt_from_the_log_to_the_byte() {
    let deployment = Deployment::new(3);
    let mut running = deployment.serve();
    for soft in [300, 100, 200] {
        put(&running, TENANT, &tokens(soft));
        put(&running, ALICE, &tokens(soft + 1));
        put(&running, "/v1/tenants/acme/users/b%3Ab%20/quota", &json!({"inherit": true}));
        put(&running, "/v1/tenants/other/quota", &tokens(soft));
    }
    // For one instant, in an order that is not that of their times, and each twice.
    let at = |id: &str, time: &str, soft: i64| {
        let mut data = tokens(soft);
        (data["tenantId"], data["userId"], data["effectiveFrom"]) =
            (json!("acme"), json!("carol"), json!("2026-01-01T00:00:00Z"));
        let event = json!({
            "specversion": "1.0", "type": "ai.quota.assigned.v1", "source": "test", "id": id, "time": time, "data": data,
        });
        format!("{event}\n")
    };
    let now = chrono::Utc::now();
    let ago = |seconds: i64| (now - chrono::Duration::seconds(seconds)).to_rfc3339();
    let lines = [at("1", &ago(30), 30), at("2", &ago(10), 10), at("3", &ago(20), 20)].concat();
    deployment.emit(&lines);
    deployment.emit(&lines);
    deployment.await_counted();
    let carol = field(&deployment, "user:carol");
    assert!(carol.lines().count() == 1 && carol.contains(" test 2 limits tokens=10/-"), "{carol}");
    let before = stored(&deployment);
    assert_eq!(before.len(), 2, "{before:?}");

    running.child.terminate();
    running.child.wait(START);
    deployment.redis.ask::<()>("FLUSHALL", &[]);
    let again = Program::run(&["offsets", "bootstrap"], &deployment.env(), "");
    assert!(again.status.success(), "{again:?}");
    let _running = deployment.serve();
    deployment.await_counted();
    assert_eq!(stored(&deployment), before);
}

#[test]
fn a_command_assigns_and_shows() {
    let deployment = Deployment::new(1);
    let env = deployment.env();
    let running = deployment.serve();
    let (code, stdout, stderr) = command(
        &[
            "quota",
            "assign",
            "acme",
            "--user",
            "alice",
            "--tokens-soft",
            "1000",
            "--tokens-hard",
            "2000",
            "--cost-hard",
            "25.50",
            "--grace",
            "72h",
            "--thresholds",
            "90,50",
        ],
        &env,
    );
    assert_eq!(code, Some(0), "{stderr}");
    let line = field(&deployment, "user:alice");
    assert!(line.ends_with(" limits tokens=1000/2000 cost=-/25500000000 grace=259200000 at=50,90"), "{line}");
    let id = line.split(' ').nth(3).expect("an id");
    for part in [
        format!("applied as event {id}, from "),
        "in force: no plan, since ".to_owned(),
        "tokens: used 0, soft 1000, hard 2000\n".to_owned(),
        "cost: used 0 USD, soft none, hard 25.5 USD\n".to_owned(),
        "grace: 3days; warned of: 50 %, 90 %\n".to_owned(),
    ] {
        assert!(stdout.contains(&part), "{part} in {stdout}");
    }

    let (code, stdout, stderr) = command(&["quota", "assign", "acme", "--inherit"], &env);
    assert_eq!((code, field(&deployment, "tenant").ends_with(" inherit")), (Some(0), true), "{stderr}");
    assert!(stdout.contains("in force: no plan, since "), "{stdout}");
    let (code, stdout, _) = command(&["quota", "show", "acme", "--user", "nobody"], &env);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("soft 1000000, hard none") && stdout.contains("nothing is assigned"), "{stdout}");

    let before = Kafka::shared().read_all(&deployment.topic).len();
    for (args, part) in [
        (&["quota", "assign", "acme"][..], "required"),
        (&["quota", "assign", "acme", "--inherit", "--plan", "a"], "cannot be used with"),
        (&["quota", "assign", "acme", "--inherit", "--tokens-hard", "5"], "cannot be used with"),
        (&["quota", "assign", "acme", "--plan", "none"], "the plan \"none\" is not in the plan file"),
        (
            &["quota", "assign", "acme", "--tokens-soft", "5", "--tokens-hard", "4"],
            "limits.tokens has a soft limit above",
        ),
        (&["quota", "assign", "acme", "--tokens-soft", "5", "--from", "tomorrow"], "effectiveFrom \"tomorrow\" is not"),
        (&["quota", "assign", "acme", "--cost-soft", "1e3"], "not a number of dollars"),
        (&["quota", "assign", "acme", "--tokens-soft", "5", "--grace", "1500ms"], "not a duration of whole seconds"),
        (&["quota", "show", " "], "the tenant is white space only"),
    ] {
        let (code, _, stderr) = command(args, &env);
        assert_eq!(code, Some(64), "{args:?}: {stderr}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
    assert_eq!(Kafka::shared().read_all(&deployment.topic).len(), before, "nothing was written");

    drop(running);
    let (code, _, stderr) = command(&["quota", "assign", "acme", "--user", "bob", "--tokens-hard", "9"], &env);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("is in Kafka and not applied after 10 s"), "{stderr}");
    let _running = deployment.serve();
    deployment.await_counted();
    assert!(field(&deployment, "user:bob").contains("tokens=-/9"));
}
