//! The oracle sees: it finds a system that counted right to be equal, and every planted fault by its name.

use chrono::Utc;
use redis::{FromRedisValue, cmd};
use serde_json::json;

use crate::generator::{Generator, PLANS};
use crate::support::deployment::Deployment;
use crate::support::kafka::{Kafka, Record};
use crate::support::oracle;
use crate::support::program::{Program, Running};
use crate::support::wait::START;

const PARTITIONS: i32 = 4;

/// Mixed traffic, counted: usage, outputs, repeats and poison. The worker has ended, so that it does not heal.
fn counted() -> (Deployment, Running) {
    let deployment = Deployment::new(PARTITIONS).with_notices(PLANS);
    let mut worker = deployment.serve();
    Generator::new(7, PARTITIONS).with_poison(6).send(&deployment.topic, 1500);
    deployment.await_counted();
    worker.child.terminate();
    assert!(worker.child.wait(START).success());
    let mut env = deployment.env();
    env.push(("INDELIBLE_ROLE", "api"));
    let api = Program::serve(&env);
    (deployment, api)
}

/// A key of Redis that a fault is planted into, and taken out of again.
struct Patient<'a> {
    deployment: &'a Deployment,
    key: String,
    /// As the oracle says it.
    name: String,
}

impl<'a> Patient<'a> {
    /// The first key that the pattern matches, after `indelible:`.
    fn new(deployment: &'a Deployment, pattern: &str) -> Self {
        let mut keys: Vec<String> = deployment.redis.ask("KEYS", &[&format!("indelible:{pattern}")]);
        keys.sort();
        let key = keys.into_iter().next().unwrap_or_else(|| panic!("no key like {pattern}"));
        let name = key.replacen("indelible:", "redis ", 1);
        Self { deployment, key, name }
    }

    fn ask<T: FromRedisValue>(&self, command: &str, args: &[&str]) -> T {
        self.deployment.redis.ask(command, &[&[self.key.as_str()], args].concat())
    }

    /// Runs one command on the key, and asserts that the oracle speaks of the key and of `what` in one line.
    #[track_caller]
    fn suffers(&self, api: Option<&Running>, what: &str, command: &str, args: &[&str]) {
        let mut connection = self.deployment.redis.connection();
        let healthy: Vec<u8> = cmd("DUMP").arg(&self.key).query(&mut connection).expect("a key");
        self.ask::<redis::Value>(command, args);
        let said = oracle::differences(&self.deployment.env(), api.map(Running::api_url).as_deref(), &["--wait", "0"]);
        let said = said.expect_err(&format!("{command} {} {args:?} is seen", self.key));
        let named = said.lines().any(|line| line.starts_with(&self.name) && line.contains(what));
        assert!(named, "{command} {} {args:?} is not reported as {what:?}:\n{said}", self.key);
        let answered = said.lines().any(|line| line.starts_with("api /v1/tenants/"));
        assert_eq!(answered, api.is_some(), "{said}");
        let restored = cmd("RESTORE").arg(&self.key).arg(0).arg(healthy).arg("REPLACE").exec(&mut connection);
        restored.expect("the key as it was");
    }
}

#[test]
fn what_was_counted_right_is_equal_and_every_planted_fault_is_named() {
    let (deployment, api) = counted();
    let (env, url) = (deployment.env(), api.api_url());
    let summary = oracle::differences(&env, Some(&url), &["--dlq"]).unwrap_or_else(|said| panic!("{said}"));
    assert!(summary.contains(" notices sent") && !summary.contains(" 0 notices sent"), "{summary}");
    println!("{summary}");

    let on = |pattern: &str| Patient::new(&deployment, pattern);
    let users = on("{*}:users:*");
    let mut names: Vec<String> = users.ask("HKEYS", &[]);
    names.sort();
    let who = names.remove(0);
    let text: String = users.ask("HGET", &[&who]);
    // All of a user's month is a field of the hash.
    let mut user = on("{*}:users:*");
    user.name += &format!(" {who} ");
    let lines: Vec<&str> = text.lines().collect();
    let (first, others) = lines.split_first().expect("a group");
    let (group, numbers) = first.split_once(' ').expect("a name and sums");
    let mut numbers: Vec<i64> = numbers.split(' ').map(|number| number.parse().expect("a sum")).collect();
    // Zeros at the end are left out.
    numbers.resize(10, 0);
    let with = |index: usize| {
        let plus = |(at, number): (usize, &i64)| (number + i64::from(at == index)).to_string();
        let changed: Vec<String> = numbers.iter().enumerate().map(plus).collect();
        [&[&*format!("{group} {}", changed.join(" "))], others].concat().join("\n")
    };
    user.suffers(Some(&api), group, "HSET", &[&who, &with(1)]);
    user.suffers(None, group, "HSET", &[&who, &with(0)]);
    user.suffers(None, group, "HSET", &[&who, &with(3)]);
    // The charge alone, and a request more that nobody has priced.
    user.suffers(None, group, "HSET", &[&who, &with(8)]);
    user.suffers(None, group, "HSET", &[&who, &with(9)]);
    user.suffers(None, group, "HSET", &[&who, &others.join("\n")]);
    let is_day = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
    let day = lines.iter().copied().rfind(is_day).expect("a day");
    let rest: Vec<&str> = lines.iter().copied().filter(|line| *line != day).collect();
    user.suffers(None, &day[..2], "HSET", &[&who, &rest.join("\n")]);
    user.suffers(None, "00", "HSET", &[&who, &format!("{text}\n00 1")]);
    users.suffers(None, &who, "HDEL", &[&who]);
    users.suffers(None, "nobody", "HSET", &["nobody", &text]);
    users.suffers(None, "found nothing", "DEL", &[]);
    let tenant = on("{*}:tenant:*");
    tenant.suffers(None, "tool:search", "HINCRBY", &["tool:search", "1"]);
    tenant.suffers(None, group, "HDEL", &[group]);
    tenant.suffers(None, "total", "HDEL", &["total"]);
    tenant.suffers(None, "total", "HSET", &["total", "1 1"]);
    // Nobody's limits have a threshold of seven percent.
    tenant.suffers(None, "cost:7", "HSET", &["noticed", "cost:7"]);
    let quota = on("{*}:quota:*");
    let whose: String = quota.ask::<Vec<String>>("HKEYS", &[]).remove(0);
    let assigned: String = quota.ask("HGET", &[&whose]);
    quota.suffers(None, &whose, "HDEL", &[&whose]);
    quota.suffers(None, &whose, "HSET", &[&whose, &format!("{assigned}0")]);
    quota.suffers(None, "user:nobody", "HSET", &["user:nobody", "0 0 svc e1 inherit"]);

    on("{*}:months:*").suffers(None, "1999-01", "SADD", &["1999-01"]);
    let saved = on("{*}:saved:*:website");
    let output: String = saved.ask::<Vec<String>>("ZRANGE", &["0", "0"]).remove(0);
    saved.suffers(None, &output, "ZREM", &[&output]);
    saved.suffers(None, &output, "ZADD", &["1", &output]);
    on("{*}:saved-counts:*").suffers(None, "website:deleted", "HINCRBY", &["website:deleted", "1"]);

    let state = on("{*}:state");
    let watermark = format!("watermark:{}/0", deployment.topic);
    let stored: String = state.ask("HGET", &[&watermark]);
    let (next, last) = stored.split_once(' ').expect("an offset and the record before it");
    let next: i64 = next.parse().expect("an offset");
    state.suffers(None, &watermark, "HSET", &[&watermark, &format!("{} {last}", next - 1)]);
    state.suffers(None, &watermark, "HSET", &[&watermark, &format!("{next} 1 f")]);
    state.suffers(None, &watermark, "HDEL", &[&watermark]);
    state.suffers(None, "applied", "HINCRBY", &["applied", "1"]);
    let tombstones = on("{*}:tombstones");
    let deleted: String = tombstones.ask::<Vec<String>>("ZRANGE", &["0", "0"]).remove(0);
    tombstones.suffers(None, &deleted, "ZREM", &[&deleted]);
    let mut seen = on("{*}:seen:*");
    let bucket = seen.key.split_once(":seen:").expect("a chunk").0.replacen("indelible:", "", 1);
    // Some facts are about all chunks of a day.
    seen.name.truncate(seen.name.rfind(':').expect("a chunk"));
    seen.suffers(None, "bytes", "APPEND", &["12 bytes too"]);
    seen.suffers(None, "bytes", "SET", &["short"]);
    seen.suffers(None, "bytes: found nothing", "DEL", &[]);
    seen.suffers(None, "digest", "SETRANGE", &["0", "another id,"]);
    on(&format!("{bucket}:state")).suffers(None, "seen ids of all days", "HDEL", &["seen"]);

    oracle::assert_equal(&env, Some(&url));
}

#[test]
fn mismatches_and_notices_that_no_event_explains_are_named() {
    let (deployment, _api) = counted();
    let keys: Vec<String> = deployment.redis.ask("KEYS", &["indelible:*:users:*"]);
    let (bucket, rest) = keys[0].split_once(":users:").expect("the months of users");
    let (tenant, month) = rest.split_once(':').expect("a tenant and a month");
    let user: String = deployment.redis.ask::<Vec<String>>("HKEYS", &[&keys[0]]).remove(0);
    let notice = |used: i64, threshold: &str, id: &str| {
        let data = json!({"tenantId": tenant, "userId": user, "month": month, "metric": "tokens", "alsoPassed": [],
            "threshold": threshold, "limitTokens": 1_000_000, "usedTokens": used, "percent": used * 100 / 1_000_000});
        let at = format!("{month}-01T00:00:00.000Z");
        json!({"specversion": "1.0", "type": "ai.quota.notice.v1", "id": id, "time": at, "data": data}).to_string()
    };
    let id = format!("{tenant}:{user}:{month}:tokens:50");
    let mismatches = format!("mismatches:{month}");
    let planted = [
        (&*mismatches, "large", "1 5 7".to_owned(), "large"),
        ("outbox", id.as_str(), notice(500_000, "50", &id), "used: found 500000"),
        ("outbox", id.as_str(), notice(1, "50", &id), "no such limits in force, or not reached"),
        ("outbox", id.as_str(), notice(500_000, "80", &id), "tokens:80"),
        ("outbox", "other", notice(500_000, "50", &id), "field: found other"),
        ("outbox", id.as_str(), "{}".to_owned(), "a notice"),
    ];
    for (key, field, value, named) in planted {
        let key = format!("{bucket}:{key}");
        let mut connection = deployment.redis.connection();
        let healthy: Option<Vec<u8>> = cmd("DUMP").arg(&key).query(&mut connection).expect("a key, or none");
        deployment.redis.ask::<()>("HSET", &[&key, field, &value]);
        let said = oracle::differences(&deployment.env(), None, &["--wait", "0"]).expect_err("a field too many");
        let line = |line: &str| line.starts_with(&key.replacen("indelible:", "redis ", 1)) && line.contains(named);
        assert!(said.lines().any(line), "{key} {field} {value} is not named by {named:?}:\n{said}");
        deployment.redis.ask::<()>("DEL", &[&key]);
        if let Some(healthy) = healthy {
            cmd("RESTORE").arg(&key).arg(0).arg(healthy).exec(&mut connection).expect("the key as it was");
        }
    }
    oracle::assert_equal(&deployment.env(), None);
}

#[test]
fn a_key_that_no_event_explains_is_named() {
    let (deployment, _api) = counted();
    let tenant: Vec<String> = deployment.redis.ask("KEYS", &["indelible:*:months:*"]);
    let bucket = tenant[0].split_once("}:").expect("a tag").0.to_owned();
    for key in [format!("{bucket}}}:users:nobody:2026-11"), "indelible:other".to_owned()] {
        deployment.redis.ask::<()>("SET", &[&key, "a|m 1"]);
        let said = oracle::differences(&deployment.env(), None, &["--wait", "0"]).expect_err("a key too many");
        let name = key.strip_prefix("indelible:").expect("our namespace");
        assert!(said.contains(name) && said.contains("no such key"), "{said}");
        deployment.redis.ask::<()>("DEL", &[&key]);
    }
    oracle::assert_equal(&deployment.env(), None);
}

/// A bare record of one request.
fn bare(id: &str, tokens: usize) -> Vec<u8> {
    json!({"requestId": id, "createdAt": Utc::now().to_rfc3339(), "tenantId": "acme", "userId": "alice",
        "assistant": "a", "model": "m", "tokensIn": tokens, "tokensOut": 0})
    .to_string()
    .into_bytes()
}

#[test]
fn names_with_other_content_on_another_partition_may_be_counted_either_way() {
    let deployment = Deployment::new(2);
    let running = deployment.serve();
    // As different as powers of two: no two choices add up to the same.
    let values: Vec<_> = (0..10).map(|i| (i % 2, bare(&format!("r{}", i / 2), 1 << i))).collect();
    for (partition, value) in &values {
        let record = Record { partition: Some(*partition), value: Some(value), ..Record::default() };
        Kafka::shared().produce(&deployment.topic, record);
    }
    let summary = oracle::differences(&deployment.env(), Some(&running.api_url()), &["--dlq"]);
    let summary = summary.unwrap_or_else(|differences| panic!("{differences}"));
    assert!(summary.contains("(5 of open order)"), "{summary}");
}

#[test]
fn its_own_tests_pass() {
    let (code, output) = oracle::unit_tests();
    assert!(code == Some(0) && output.contains("OK"), "{output}");
}
