//! `indelible inspect`: every kind of key that the script writes is explained, and nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::ids::TenantId;
use indelible::domain::seen::Generation;
use indelible::store::inspect::{Inspector, KeyName, Kind};
use indelible::store::keys::{Keyspace, encode};
use indelible::store::link::{Link, Patience, Target};
use indelible::store::redis_ledger::RedisLedger;
use indelible::store::redis_outbox::RedisOutbox;
use indelible::store::{Flush, Ledger, Outbox, Outcome, Priced, Retention, Sink};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::made::quotas::plans;
use crate::made::{DAY_MS, HOUR_MS, Log, Quotas, Shape, TENANTS, USERS, without};
use crate::script_conformance::link;
use crate::support::deployment::Deployment;
use crate::support::program::Program;
use crate::support::redis::Redis;
use crate::support::wait::START;

const RETENTION: Retention = Retention { seen_ms: 9 * DAY_MS, tombstones_ms: 60 * DAY_MS };
const SEED: u64 = 7;
/// What may be asked of Redis, and what a connection says to begin with.
const READING: [&str; 18] = [
    "type",
    "hlen",
    "scard",
    "zcard",
    "strlen",
    "memory|usage",
    "hget",
    "hmget",
    "hscan",
    "sscan",
    "zrange",
    "zrevrange",
    "getrange",
    "pttl",
    "hello",
    "client|setinfo",
    "client|setname",
    "select",
];

/// A namespace `n` in which the script has counted made-up logs, and what it counted.
struct Counted {
    redis: Redis,
    flushes: Vec<Flush>,
}

impl Counted {
    async fn made() -> Self {
        let redis = Redis::start();
        let mut rng = StdRng::seed_from_u64(SEED);
        let watched = Arc::new(ArcSwap::from_pointee(plans(&mut rng)));
        let ledger = RedisLedger::new(link(&redis), Keyspace::new("n"), RETENTION, "g").watching(watched);
        ledger.prepare().await.expect("an empty namespace becomes ours");
        let shape = Shape {
            partitions: 2,
            records: 150,
            tenants: TENANTS.len(),
            pace_ms: HOUR_MS / 10,
            repeat_within_ms: 12 * HOUR_MS,
            conflicts: false,
            quotas: Quotas::Changing,
        };
        let mut flushes = Vec::new();
        for log in Log::made(&mut rng, shape) {
            for bucket in log.records.iter().map(|record| Bucket::of(&record.event.tenant)).collect::<BTreeSet<_>>() {
                flushes.push(count(&ledger, &log, bucket).await);
            }
        }
        ledger.keep_prices("3f2a9c41d0b7e658", "version = 1\n\n[prices]\n").await.expect("prices are kept");
        let counted = Self { redis, flushes };
        counted.send_some_notices().await;
        counted
    }

    /// Some notices have reached the topic and wait for the webhook, and both senders hold a lease.
    async fn send_some_notices(&self) {
        let outbox = RedisOutbox::new(link(&self.redis), Keyspace::new("n"));
        for bucket in Bucket::all() {
            let some = outbox.pending(bucket, 2).await.expect("notices");
            if some.is_empty() {
                continue;
            }
            outbox.published(bucket, &some, Some(TimeMs(5))).await.expect("they are moved");
            for sink in [Sink::Topic, Sink::Webhook] {
                assert_eq!(outbox.lease(bucket, sink, "worker-1", Duration::from_secs(600)).await, Ok(true));
            }
        }
    }

    fn keys(&self) -> BTreeSet<String> {
        self.redis.ask::<Vec<String>>("KEYS", &["*"]).into_iter().collect()
    }

    /// The keys by kind, as the tests tell it.
    fn by_kind(&self) -> BTreeMap<String, Vec<String>> {
        let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for key in self.keys() {
            let kind = key.split(':').nth(2).expect("a kind").to_owned();
            kinds.entry(kind).or_default().push(key);
        }
        kinds
    }

    fn one(&self, kind: &str) -> String {
        self.by_kind().remove(kind).unwrap_or_else(|| panic!("no {kind}")).remove(0)
    }

    /// `indelible inspect` and its exit code, output and errors.
    fn inspect(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let url = self.redis.url();
        inspect(args, &[("INDELIBLE_REDIS_URL", &url), ("INDELIBLE_NAMESPACE", "n")])
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let (code, stdout, stderr) = self.inspect(&[args, &["--json", "--limit", "100000"]].concat());
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}: {stdout}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// All that is stored, byte for byte.
    fn content(&self) -> BTreeMap<String, Vec<u8>> {
        self.keys().into_iter().map(|key| (key.clone(), self.redis.ask("DUMP", &[&key]))).collect()
    }
}

async fn count(ledger: &RedisLedger, log: &Log, bucket: Bucket) -> Flush {
    let mut offsets = log.offsets(bucket, 0, log.records.len());
    loop {
        let mut flush = log.flush(bucket, None, log.records.len(), &offsets);
        flush.tidies = true;
        let priced = offsets.iter().map(|offset| indelible::domain::position::Offset(*offset as i64)).collect();
        flush.stretches[0].prices = Some(Priced { version: "3f2a9c41d0b7e658".into(), offsets: priced });
        match ledger.apply(&flush).await.expect("an answer") {
            Outcome::Repeated(repeats) => offsets = without(&offsets, &repeats),
            Outcome::Applied { .. } => return flush,
            other => panic!("{other:?}"),
        }
    }
}

fn inspect(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Program::run(&[&["inspect"], args].concat(), env, "");
    (status.code(), String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
}

/// The commands that were carried out since the last CONFIG RESETSTAT.
fn commands(redis: &Redis) -> BTreeSet<String> {
    let info: String = redis.ask("INFO", &["commandstats"]);
    let names = info.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
    names.map(str::to_owned).filter(|name| !matches!(name.as_str(), "info" | "config|resetstat")).collect()
}

#[tokio::test]
async fn every_kind_of_key_is_explained_and_nothing_is_written() {
    let counted = Counted::made().await;
    let kinds = counted.by_kind();
    let expected: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
    assert_eq!(kinds.keys().cloned().collect::<BTreeSet<_>>(), expected, "the script has written every kind");

    let before = counted.content();
    let users: Vec<String> = counted.redis.ask("HKEYS", &[&kinds["users"][0]]);
    counted.redis.ask::<()>("CONFIG", &["RESETSTAT"]);
    for (kind, keys) in &kinds {
        let key = &keys[0];
        let (code, text, stderr) = counted.inspect(&[key]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{key}: {text}");
        for line in ["key ".to_owned(), "bucket ".to_owned(), "memory ".to_owned()] {
            assert!(text.lines().any(|of| of.starts_with(&line)), "{line} in {text}");
        }
        let shown = counted.json(&[key]);
        assert_eq!((shown["key"].as_str(), shown["kind"].as_str()), (Some(key.as_str()), Some(kind.as_str())));
        assert!(shown["content"].as_object().is_some_and(|tables| !tables.is_empty()), "{shown}");
        assert_eq!(shown["more"], 0, "{shown}");
    }
    for args in [&["--tenant", "acme"][..], &["--tenant", "acme", "--user", "alice"], &[&kinds["users"][0], &users[0]]]
    {
        assert_eq!(counted.inspect(args).0, Some(0), "{args:?}");
    }
    let asked = commands(&counted.redis);
    let others: Vec<_> = asked.iter().filter(|name| !READING.contains(&name.as_str())).collect();
    assert!(asked.len() > 10 && others.is_empty(), "{others:?} of {asked:?}");
    assert!(counted.content() == before, "a key has changed");
}

/// Each key that the script writes, however odd its ids, by the store's side of the command.
#[tokio::test]
async fn every_entry_of_every_key_is_read() {
    let counted = Counted::made().await;
    let keyspace = Keyspace::new("n");
    let inspector = Inspector::new(link(&counted.redis), keyspace.clone());
    for key in counted.keys() {
        let name = KeyName::parse(&keyspace, &key).unwrap_or_else(|fault| panic!("{fault}"));
        let inspected = inspector.key(&name, None, 100_000).await.unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!((inspected.damaged.len(), inspected.more), (0, 0), "{inspected:?}");
        let length = |command: &str| counted.redis.ask::<u64>(command, &[&key]);
        let entries = match name.kind() {
            Kind::Seen => length("STRLEN") / 12,
            Kind::Prices => 3,
            Kind::OutboxLease | Kind::WebhookLease => 1,
            Kind::Months => length("SCARD"),
            Kind::Saved | Kind::Tombstones | Kind::WebhookDue => length("ZCARD"),
            _ => length("HLEN"),
        };
        assert_eq!(inspected.entries, entries, "{key}");
        let rows: u64 = inspected.tables.iter().map(|table| table.rows.len() as u64).sum();
        match name.kind() {
            // A user may have many assignments, and a state's field many logs of ids.
            Kind::Quota | Kind::State => assert!(rows > 0, "{key}"),
            // One cell says what the others are, another names many thresholds.
            Kind::Tenant => assert!(rows + 1 >= entries, "{key}"),
            _ => assert_eq!(rows, entries, "{inspected:?}"),
        }
        for table in &inspected.tables {
            assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{table:?}");
        }
    }
}

#[tokio::test]
async fn a_chunk_of_seen_ids_shows_exactly_the_ids_that_were_counted() {
    let counted = Counted::made().await;
    let mut expected: BTreeMap<(usize, i64), BTreeSet<(String, String)>> = BTreeMap::new();
    for flush in &counted.flushes {
        for seen in &flush.seen {
            let hashes = (format!("{:016x}", seen.id), format!("{:08x}", seen.content as u32));
            expected.entry((flush.bucket.index(), Generation::of(seen.at).0)).or_default().insert(hashes);
        }
    }
    assert!(expected.len() > 2, "more than one bucket and day");
    let keyspace = Keyspace::new("n");
    let mut chunks = 0;
    for ((bucket, day), ids) in expected {
        let bucket = Bucket::all().nth(bucket).expect("a bucket");
        let shown = counted.json(&[&keyspace.seen(bucket, Generation(day), 0)]);
        let text = |row: &Value, column: &str| row[column].as_str().expect("text").to_owned();
        let rows = shown["content"]["ids"].as_array().expect("rows");
        let found: BTreeSet<_> = rows.iter().map(|row| (text(row, "idHash"), text(row, "contentHash"))).collect();
        assert_eq!((&found, rows.len()), (&ids, ids.len()), "{shown}");
        let date = chrono::DateTime::from_timestamp_millis(day * DAY_MS).expect("a day").date_naive().to_string();
        assert_eq!((shown["day"].as_str(), &shown["chunk"]), (Some(date.as_str()), &Value::from("0")));
        chunks += 1;
    }
    assert_eq!(chunks, counted.by_kind()["seen"].len());
}

/// The numbers, read from the raw text by other means.
#[tokio::test]
async fn a_users_month_says_what_its_text_says() {
    let counted = Counted::made().await;
    let key = counted.one("users");
    let users: BTreeMap<String, String> = counted.redis.ask("HGETALL", &[&key]);
    let listed = counted.json(&[&key]);
    let rows = listed["content"]["users"].as_array().expect("rows");
    assert_eq!(rows.len(), users.len());
    for (row, (user, text)) in rows.iter().zip(&users) {
        let cells = || text.lines().map(|line| line.split_once(' ').expect("a name"));
        let numbers = |text: &str| text.split(' ').map(|n| n.parse::<i64>().expect("a number")).collect::<Vec<_>>();
        let groups: Vec<_> = cells().filter(|(name, _)| name.contains('|')).map(|(_, text)| numbers(text)).collect();
        let sum = |at: usize| groups.iter().map(|all| all.get(at).copied().unwrap_or(0)).sum::<i64>();
        assert_eq!((row["user"].as_str(), &row["requests"]), (Some(user.as_str()), &Value::from(sum(0))));
        assert_eq!((&row["tokensIn"], &row["tokensOut"]), (&Value::from(sum(1)), &Value::from(sum(2))));
        assert_eq!(nanos(&row["costDollars"]), sum(3), "{row}");
        assert_eq!(nanos(&row["chargeDollars"]), sum(3) + sum(8), "{row}");
        let one = counted.json(&[&key, user]);
        assert_eq!(one["field"].as_str(), Some(user.as_str()));
        let shown = one["content"]["groups"].as_array().map_or(0, Vec::len);
        assert_eq!(shown, groups.len(), "{one}");
        // The same user as an operator would see the id in a saved:… key.
        let encoded = encode(user).into_owned();
        assert_eq!(counted.json(&[&key, &encoded])["field"].as_str(), Some(user.as_str()));
    }
}

/// Exact decimal text of dollars, in nano-dollars.
fn nanos(dollars: &Value) -> i64 {
    let text = dollars.as_str().expect("an amount is text");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<9}").parse().expect("a decimal number")
}

#[tokio::test]
async fn the_keys_of_a_tenant_and_of_a_user_are_found_by_their_names() {
    let counted = Counted::made().await;
    let keyspace = Keyspace::new("n");
    let mut months_of_users = 0;
    for tenant in TENANTS {
        let id = TenantId::new(tenant).expect("an id");
        let shown = counted.json(&["--tenant", tenant]);
        let listed: BTreeSet<_> =
            shown["keys"].as_array().expect("keys").iter().filter_map(|row| row["key"].as_str()).collect();
        let start = keyspace.state(Bucket::of(&id)).replace("state", "");
        let months: Vec<String> = counted.redis.ask("SMEMBERS", &[&keyspace.months(&id)]);
        let is_listed = |key: &str| {
            let parts: Vec<_> = key.split(':').collect();
            match parts[2] {
                "saved" | "prices" => false,
                // Of a month in which the tenant used nothing, others of the bucket did.
                "mismatches" => months.iter().any(|month| month == parts[3]),
                "months" | "tenant" | "users" | "saved-counts" | "quota" => parts[3] == encode(tenant),
                _ => true,
            }
        };
        let all = counted.keys();
        let there: BTreeSet<_> = all.iter().map(String::as_str).collect();
        let there = there.into_iter().filter(|key| key.starts_with(&start) && is_listed(key)).collect();
        assert_eq!(listed, there);
        for user in USERS {
            let shown = counted.json(&["--tenant", tenant, "--user", user]);
            let rows = shown["keys"].as_array().expect("keys");
            let with_field =
                |kind: &str| rows.iter().filter(|row| row["kind"] == kind && !row["field"].is_null()).count();
            let saved = rows.iter().filter(|row| row["kind"] == "saved").count();
            let own = format!("{start}saved:{}:", encode(tenant));
            let of_user = format!("{own}{}:", encode(user));
            assert_eq!(saved, counted.keys().iter().filter(|key| key.starts_with(&of_user)).count());
            assert_eq!(with_field("users") + with_field("quota") + saved, rows.len(), "{shown}");
            for field in rows.iter().filter(|row| !row["field"].is_null()) {
                let args = [&field["key"], &field["field"]].map(|arg| arg.as_str().expect("text"));
                let text: String = counted.redis.ask("HGET", &args);
                assert_eq!((&field["bytes"], &field["entries"]), (&text.len().into(), &text.lines().count().into()));
                months_of_users += usize::from(field["kind"] == "users");
            }
        }
    }
    let stored = counted.by_kind()["users"].iter().map(|key| counted.redis.ask::<usize>("HLEN", &[key])).sum::<usize>();
    assert_eq!(months_of_users, stored, "each user's month is listed once");
    for (args, says) in [
        (&["--tenant", "nobody"][..], "redis holds nothing of the tenant \"nobody\""),
        (&["--tenant", "acme", "--user", "nobody"], "redis holds nothing of the user \"nobody\""),
    ] {
        let (code, stdout, stderr) = counted.inspect(args);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
}

#[tokio::test]
async fn a_limit_is_of_rows_and_the_last_line_says_how_many_more_there_are() {
    let counted = Counted::made().await;
    let seen = counted.one("seen");
    let ids: usize = counted.redis.ask::<usize>("STRLEN", &[&seen]) / 12;
    let (_, text, _) = counted.inspect(&[&seen, "--limit", "2"]);
    let last = text.lines().last().expect("a line");
    assert_eq!(last, format!("{} more rows: a greater --limit shows them", ids - 2));
    for key in [counted.one("tombstones"), counted.one("users"), counted.one("state"), counted.one("saved-counts")] {
        let (_, text, _) = counted.inspect(&[&key, "--limit", "1", "--json"]);
        let shown: Value = serde_json::from_str(&text).expect("JSON");
        let tables = shown["content"].as_object().expect("tables").values();
        assert_eq!(tables.map(|rows| rows.as_array().map_or(0, Vec::len)).sum::<usize>(), 1, "{shown}");
        assert!(shown["more"].as_u64() >= Some(1), "{shown}");
    }
    // As long as nothing is left out, nothing is said.
    let (_, text, _) = counted.inspect(&[&seen, "--limit", &ids.to_string()]);
    assert!(!text.contains(" more "), "{text}");
    let whole = counted.json(&["--tenant", "acme"])["keys"].as_array().map_or(0, Vec::len);
    let (_, text, _) = counted.inspect(&["--tenant", "acme", "--limit", "3"]);
    assert!(text.ends_with(&format!("\n{} more keys: a greater --limit shows them\n", whole - 3)), "{text}");
    assert_eq!(counted.inspect(&[&seen, "--limit", "0"]).0, Some(64));
}

/// Of a large hash so many fields are read as are shown, and not all.
#[tokio::test]
async fn a_large_hash_is_read_little_by_little() {
    let redis = Redis::start();
    let key = Keyspace::new("n").users(&TenantId::new("acme").expect("an id"), "2026-11".parse().expect("a month"));
    let mut put = redis::cmd("HSET");
    put.arg(&key);
    for user in 0..20_000 {
        put.arg(format!("user-{user}")).arg("chat|m 1 10 5 2500000\n24 1 15 2500000");
    }
    put.exec(&mut redis.connection()).expect("a large hash");
    redis.ask::<()>("CONFIG", &["RESETSTAT"]);
    let env = [("INDELIBLE_REDIS_URL", &*redis.url()), ("INDELIBLE_NAMESPACE", "n")];
    let (code, text, stderr) = inspect(&[&key, "--limit", "5"], &env);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(text.ends_with("\n19995 more rows: a greater --limit shows them\n"), "{text}");
    let info: String = redis.ask("INFO", &["commandstats"]);
    let scans = info.lines().find(|line| line.starts_with("cmdstat_hscan:calls=1,"));
    assert!(scans.is_some() && !info.contains("cmdstat_hgetall"), "{info}");
}

#[tokio::test]
async fn damage_is_named_beside_what_can_be_read() {
    let counted = Counted::made().await;
    let (users, state, saved) = (counted.one("users"), counted.one("state"), counted.one("saved"));
    let all: usize = counted.redis.ask("HLEN", &[&users]);
    counted.redis.ask::<()>("HSET", &[&users, "broken", "chat|m 1 x"]);
    let (code, text, stderr) = counted.inspect(&[&users]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("can't be read:\nbroken: the cell \"chat|m\" holds \"1 x\"\n"), "{text}");
    assert!(stderr.contains("one entry can't be read, named above with the reason"), "{stderr}");
    let (_, text, _) = counted.inspect(&[&users, "--json"]);
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(shown["content"]["users"].as_array().map(Vec::len), Some(all), "the others are shown");
    assert_eq!(shown["damaged"][0]["at"], "broken");
    // Of one user every other line.
    counted.redis.ask::<()>("HSET", &[&users, "broken", "chat|m 1 x\n24 3 15\nnonsense"]);
    let (code, text, _) = counted.inspect(&[&users, "broken", "--json"]);
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, shown["damaged"].as_array().map(Vec::len)), (Some(1), Some(2)), "{shown}");
    assert_eq!(shown["content"]["days"][0]["requests"], 3);

    for (field, value) in [("watermark:usage/0", "7"), ("seen", "x"), ("applied", "many"), ("hello", "1")] {
        counted.redis.ask::<()>("HSET", &[&state, field, value]);
    }
    counted.redis.ask::<()>("HSET", &[&state, "gap:usage/1", "1..2 lost 5"]);
    let (code, text, _) = counted.inspect(&[&state]);
    assert_eq!(code, Some(1));
    for line in [
        "watermark:usage/0: holds \"7\"",
        "seen: holds \"x\"",
        "applied: holds \"many\"",
        "gap:usage/1: holds \"1..2 lost 5\"",
        "hello: is no field that this program writes",
    ] {
        assert!(text.lines().any(|of| of == line), "{line} in {text}");
    }
    counted.redis.ask::<()>("ZADD", &[&saved, "1.5", "half"]);
    assert!(counted.inspect(&[&saved]).1.contains("half: has the score \"1.5\", which is no time in milliseconds"));
    let seen = counted.one("seen");
    counted.redis.ask::<()>("APPEND", &[&seen, "x"]);
    assert!(counted.inspect(&[&seen]).1.contains("not whole entries of 12 bytes"));
}

#[tokio::test]
async fn what_cant_be_looked_at_is_refused_with_what_to_do() {
    let counted = Counted::made().await;
    let (users, months, state) = (counted.one("users"), counted.one("months"), counted.one("state"));
    let another = users.replacen("n:", "billing:", 1);
    for (args, says) in [
        (
            &[another.as_str()][..],
            "of the namespace \"billing\", and INDELIBLE_NAMESPACE is \"n\": set it to \"billing\"",
        ),
        (&["celery"], "those of the namespace \"n\" begin with n:{TAG}: (INDELIBLE_NAMESPACE)"),
        (&[&users.replace("users", "user")], "of no kind that this program writes"),
        (&[&months, "2026-11"], "a key months:TENANT is a set, which has no fields"),
        (&["--tenant", ""], "the tenant is empty"),
    ] {
        let (code, stdout, stderr) = counted.inspect(args);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
        assert!(stderr.contains(says), "{says} in {stderr}");
    }
    for args in [&[][..], &["--user", "alice"], &[&users, "--tenant", "acme"]] {
        assert_eq!(counted.inspect(args).0, Some(64), "{args:?}");
    }
    let absent = Keyspace::new("n").users(&TenantId::new("acme").expect("an id"), "1999-12".parse().expect("a month"));
    counted.redis.ask::<()>("DEL", &[&months]);
    counted.redis.ask::<()>("SET", &[&months, "2026-11"]);
    for (args, says) in [
        (
            &[absent.as_str()][..],
            "redis holds no key n:{33h}:users:acme:1999-12: `indelible inspect --tenant 'acme'` lists",
        ),
        (&[&users, "nobody"], "has no field \"nobody\""),
        (&[&months], "is a string, and this program only ever writes a set there"),
    ] {
        let (code, stdout, stderr) = counted.inspect(args);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(says), "{says} in {stderr}");
    }
    // A layout of another version would be read wrong; its state says which it is.
    for state in &counted.by_kind()["state"] {
        counted.redis.ask::<()>("HSET", &[state, "layout", "3"]);
    }
    let (code, _, stderr) = counted.inspect(&[&users]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("has layout 3, and this version of indelible reads and writes layout 4"), "{stderr}");
    assert_eq!(counted.inspect(&[&state]).0, Some(0));
    let unreachable = [("INDELIBLE_REDIS_URL", "redis://127.0.0.1:1/"), ("INDELIBLE_NAMESPACE", "n")];
    let (code, _, stderr) = inspect(&[&users], &unreachable);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("redis is not reachable"), "{stderr}");
}

#[tokio::test]
async fn keys_of_a_cluster_are_looked_at_wherever_they_are() {
    let cluster = Redis::cluster();
    let hosts: Vec<_> = cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let url = format!("redis-cluster://{}", hosts.join(","));
    let patience = Patience { connect: START, response: START };
    let link = Link::new(Target::parse(&url).expect("a cluster's form"), patience);
    let keyspace = Keyspace::new("n");
    let env = [("INDELIBLE_REDIS_URL", url.as_str()), ("INDELIBLE_NAMESPACE", "n")];
    for tenant in TENANTS {
        let id = TenantId::new(tenant).expect("an id");
        let (months, month) = (keyspace.months(&id), "2026-11".parse().expect("a month"));
        link.query(redis::cmd("SADD").arg(&months).arg("2026-11")).await.expect("a set");
        let cell = ["chat|m", "1 10 5 2500000"];
        link.query(redis::cmd("HSET").arg(keyspace.month(&id, month)).arg(&cell)).await.expect("a hash");
        for (args, says) in [
            (&[months.as_str()][..], "2026-11\n"),
            (&[&keyspace.month(&id, month)], "chat       m             1         10"),
            (&["--tenant", tenant], "what a tenant as a whole used in a month\n"),
        ] {
            let (code, text, stderr) = inspect(args, &env);
            assert_eq!(code, Some(0), "{stderr}");
            assert!(text.contains(says), "{says} in {text}");
        }
    }
}

/// What a person sees of a user's month that the real worker has counted.
#[test]
fn a_month_of_the_worker_reads_well() {
    let deployment = Deployment::new(1);
    let _running = deployment.serve();
    let event = |id: &str, model: &str, cents: &str| {
        serde_json::json!({
            "requestId": id, "createdAt": chrono::Utc::now().to_rfc3339(), "tenantId": "acme", "userId": "alice: é",
            "assistant": "research", "model": model, "tokensIn": 1200, "tokensOut": 300, "costCents": cents,
            "latencyMs": 850, "toolInvocations": {"webSearch": 2},
        })
    };
    let lines = [event("1", "m", "1.05"), event("2", "m", "0.0000001"), event("3", "mini", "12")];
    deployment.emit(&lines.map(|line| format!("{line}\n")).concat());
    deployment.await_counted();
    let keys: Vec<String> = deployment.redis.ask("KEYS", &["indelible:*:users:acme:*"]);
    let [key] = keys.as_slice() else { panic!("two months: it is the first second of one, {keys:?}") };
    let (code, text, stderr) = inspect(&[key, "alice%3A%20%C3%A9"], &deployment.env());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let memory: u64 =
        redis::cmd("MEMORY").arg(&["USAGE", key]).query(&mut deployment.redis.connection()).expect("a size");
    let month = key.rsplit(':').next().expect("a month");
    let day = text.lines().next_back().and_then(|line| line.split(' ').next()).expect("a day").to_owned();
    assert!(day.starts_with(month), "{text}");
    let expected = format!(
        "\
key      {key}
what     what each of a tenant's users used in a month
bucket   33 (tag 33h)
tenant   acme
month    {month}
field    alice: é
type     hash
entries  1 (users)
memory   {memory} bytes

groups:
ASSISTANT  MODEL  REQUESTS  TOKENS IN  CACHED TOKENS  TOKENS OUT  REASONING TOKENS  COST DOLLARS  CHARGE DOLLARS  UNPRICED  LATENCY SUM MS  LATENCIES
research   m             2       2400              0         600                 0   0.010500001     0.010500001         0            1700          2
research   mini          1       1200              0         300                 0          0.12            0.12         0             850          1

tools:
TOOL       CALLS
webSearch      6

days:
DAY         REQUESTS  TOKENS  COST DOLLARS  CHARGE DOLLARS
{day}         3    4500   0.130500001     0.130500001
"
    );
    assert_eq!(text, expected);
}
