//! Whatever `apply.lua` is given and whatever it finds: it applies the whole call, or it changes nothing.

use std::sync::Arc;

use arc_swap::ArcSwap;
use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::delta::Delta;
use indelible::domain::event::{Body, Event, Output, ToolCalls, Usage};
use indelible::domain::ids::{Assistant, EventId, Model, OutputId, OutputKind, Source, TenantId, UserId};
use indelible::domain::money::NanoDollars;
use indelible::domain::position::TopicPartition;
use indelible::domain::seen::{Expired, Generation, SeenId};
use indelible::store::args::Args;
use indelible::store::call::{Call, MOST_EVENTS};
use indelible::store::keys::Keyspace;
use indelible::store::redis_ledger::{APPLY, RedisLedger};
use indelible::store::{Capped, Flush, Ledger, Outcome, Repeat, Retention, StoreError};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use redis::{Connection, RedisResult, Value, cmd};

use crate::made::quotas::plans;
use crate::made::{DAY_MS, HOUR_MS, Log, Quotas, Record, START_MS, Shape, dump};
use crate::memory::Entry;
use crate::script_conformance::link;
use crate::support::redis::Redis;
use crate::support::wait::{START, eventually};

const SEEDS: u64 = 30_000;
const RETENTION: Retention = Retention { seen_ms: DAY_MS, tombstones_ms: 2 * DAY_MS };

/// What is sent, as bytes.
#[derive(Debug, Clone)]
struct Sent {
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
    /// Added to the number of keys.
    off_by: i64,
}

impl Sent {
    fn of(call: Call) -> Self {
        let all = |texts: &Args| texts.iter().map(<[u8]>::to_vec).collect();
        Self { keys: all(&call.keys), args: all(&call.args), off_by: 0 }
    }

    fn send(&self, connection: &mut Connection) -> RedisResult<Value> {
        let mut command = cmd("EVAL");
        command.arg(APPLY).arg(self.keys.len() as i64 + self.off_by).arg(&self.keys).arg(&self.args);
        command.query(connection)
    }

    /// One that moves nothing is no call that a worker makes.
    fn has_stretches(&self) -> bool {
        let all: Vec<_> = self.keys.iter().chain(&self.args).collect();
        all.get((self.keys.len() as i64 + self.off_by) as usize).is_some_and(|count| *count != b"0")
    }

    /// KEYS[1], and the field and the target of the first stretch, as the script sees them.
    fn watermark(&self) -> Option<[Vec<u8>; 3]> {
        let all: Vec<_> = self.keys.iter().chain(&self.args).collect();
        let args = all.get((self.keys.len() as i64 + self.off_by) as usize..)?;
        Some([all.first()?.to_vec(), [b"watermark:", args.get(1)?.as_slice()].concat(), args.get(3)?.to_vec()])
    }
}

/// A server with some content, and calls that it would take.
struct Target {
    server: Redis,
    connection: Connection,
    before: Vec<Sent>,
    calls: Vec<Sent>,
    digest: String,
}

impl Target {
    fn new() -> Self {
        let server = Redis::start_with(&["--enable-debug-command", "local"]);
        // On a thread of its own: a runtime can't be made or dropped within another one's test.
        let (before, calls) = std::thread::scope(|scope| {
            let made = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(calls(&server))
            });
            made.join().expect("no panic")
        });
        let mut target = Self { connection: server.connection(), server, before, calls, digest: String::new() };
        target.reset();
        target
    }

    fn reset(&mut self) {
        cmd("FLUSHDB").exec(&mut self.connection).expect("an empty database");
        for call in &self.before {
            let answer = call.send(&mut self.connection).expect("an answer");
            assert_eq!(kind(&answer), "applied");
        }
        self.digest = self.digest();
    }

    fn digest(&mut self) -> String {
        cmd("DEBUG").arg("DIGEST").query(&mut self.connection).expect("a digest")
    }

    /// Sends a call to what is stored now. Either it was applied, or the digest is the same; returns which.
    fn all_or_nothing(&mut self, sent: &Sent, why: &str) -> bool {
        let answer = sent.send(&mut self.connection);
        if answer.as_ref().is_ok_and(|answer| kind(answer) == "applied") {
            let Some([state, field, target]) = sent.watermark().filter(|_| sent.has_stretches()) else { return true };
            let stored: Vec<u8> = cmd("HGET").arg(state).arg(field).query(&mut self.connection).expect("a watermark");
            assert_eq!(stored, target, "{why}: applied, and the watermark has not moved");
            return true;
        }
        if let Err(error) = &answer {
            let text = error.to_string();
            let known = ["bad call", "Number of keys", "WRONGTYPE"].iter().any(|known| text.contains(known));
            assert!(known, "{why}: the script itself fails: {text}\n{sent:?}");
        }
        assert_eq!(self.digest(), self.digest, "{why}: {answer:?}, and something has changed\n{sent:?}");
        false
    }
}

fn kind(answer: &Value) -> String {
    match answer {
        Value::Array(parts) => parts.first().map(text).unwrap_or_default(),
        _ => String::new(),
    }
}

fn text(value: &Value) -> String {
    redis::from_redis_value(value.clone()).unwrap_or_default()
}

/// Calls that fill a server, and calls that follow on them: usage, outputs, quotas, notices, another watermark, a heartbeat.
async fn calls(server: &Redis) -> (Vec<Sent>, Vec<Sent>) {
    let shape = Shape {
        partitions: 1,
        records: 60,
        tenants: 2,
        pace_ms: 3 * HOUR_MS,
        repeat_within_ms: 12 * HOUR_MS,
        conflicts: false,
        quotas: Quotas::Changing,
    };
    let log = Log::made(&mut StdRng::seed_from_u64(1), shape).remove(0);
    let bucket = Bucket::of(&log.records[0].event.tenant);
    let flush = |from: usize, to: usize| {
        let offsets = log.offsets(bucket, from, to);
        log.flush(bucket, Some(log.position(from)).filter(|_| from > 0), to, &offsets)
    };
    let plans = Arc::new(ArcSwap::from_pointee(plans(&mut StdRng::seed_from_u64(1))));
    let ledger = RedisLedger::new(link(server), Keyspace::new("n"), RETENTION, "g").watching(plans);
    let prepared = async |flush: &Flush| ledger.prepare_call(flush).await.expect("an answer").expect("a call").0;
    let before = Sent::of(prepared(&flush(0, 20)).await);
    before.send(&mut server.connection()).expect("an answer");
    // The script is never sent an id that is known.
    let new: Vec<usize> = {
        let known = log.offsets(bucket, 0, 20);
        let id = |offset: &usize| log.records[*offset].event.id.clone();
        let known: Vec<_> = known.iter().map(id).collect();
        log.offsets(bucket, 20, 60).into_iter().filter(|offset| !known.contains(&id(offset))).collect()
    };
    let from = Some(log.position(20));
    let mut heartbeat = log.flush(bucket, from, 60, &[]);
    heartbeat.expire = Some(Expired { generation: Generation(START_MS / DAY_MS), chunks: 1, first: 0 });
    let tidying = Flush { tidies: true, ..log.flush(bucket, from, 60, &new) };
    let flushes =
        [tidying, log.flush(bucket, from, 60, &new[..new.len().min(2)]), log.flush(bucket, from, 30, &[]), heartbeat];
    // The first one again finds another watermark.
    let mut calls = vec![before.clone()];
    for flush in &flushes {
        calls.push(Sent::of(prepared(flush).await));
    }
    calls.rotate_left(1);
    (vec![before], calls)
}

#[test]
fn mutated_calls_are_applied_whole_or_not_at_all() {
    let mut target = Target::new();
    let seeds = std::env::var("INDELIBLE_SEED").ok().map(|seed| seed.parse::<u64>().expect("a number"));
    let mut applied = 0;
    for seed in seeds.map_or(0..SEEDS, |seed| seed..seed + 1) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sent = target.calls.choose(&mut rng).expect("a call").clone();
        for _ in 0..*[1, 1, 1, 2, 5].choose(&mut rng).expect("not empty") {
            mutate(&mut rng, &mut sent);
        }
        if target.all_or_nothing(&sent, &format!("seed {seed}")) {
            applied += 1;
            target.reset();
        }
    }
    // Both ways have to be taken for this to say anything.
    assert!(seeds.is_some() || (500..SEEDS - 500).contains(&applied), "{applied} applied");
}

const ODD: [&[u8]; 34] = [
    b"",
    b"0",
    b"-0",
    b"00",
    b"01",
    b"+1",
    b" 1",
    b"1 ",
    b"-1",
    b"1",
    b"2",
    b"3",
    b"1.5",
    b"1e3",
    b"0x10",
    b"nan",
    b"inf",
    b"-inf",
    b"9007199254740992",
    b"9007199254740993",
    b"9200000000000000000",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"99999999999999999999999999999",
    b"\xff\xfe",
    b"a\0b",
    b"created",
    b"deleted",
    b"user",
    b"tenant",
    b"groups",
    b"log:usage/0",
];

fn mutate(rng: &mut StdRng, sent: &mut Sent) {
    if rng.random_bool(0.05) {
        sent.off_by = *[-1, 1].choose(rng).expect("not empty");
        return;
    }
    let list = if rng.random_bool(0.25) { &mut sent.keys } else { &mut sent.args };
    if list.is_empty() {
        return;
    }
    let (at, other) = (rng.random_range(0..list.len()), rng.random_range(0..list.len()));
    match rng.random_range(0..11) {
        0 => drop(list.remove(at)),
        1 => list.insert(at, odd(rng)),
        2 => list.insert(at, list[other].clone()),
        3 => list.swap(at, other),
        4 => list[at] = list[other].clone(),
        5 => list.truncate(at.max(1)),
        6..9 => list[at] = mutated_within(rng, &list[at]),
        _ => list[at] = odd(rng),
    }
}

/// One of the parts of a text that holds many: `in=5 out=7`, `0:12:34 1:56:78`.
fn mutated_within(rng: &mut StdRng, text: &[u8]) -> Vec<u8> {
    let separator = *b" =:".choose(rng).expect("not empty");
    let mut parts: Vec<Vec<u8>> = text.split(|byte| *byte == separator).map(<[u8]>::to_vec).collect();
    let at = rng.random_range(0..parts.len());
    match rng.random_range(0..4) {
        0 => drop(parts.remove(at)),
        1 => parts.insert(at, odd(rng)),
        2 => parts.push(parts[at].clone()),
        _ => parts[at] = odd(rng),
    }
    parts.join(&separator)
}

fn odd(rng: &mut StdRng) -> Vec<u8> {
    if rng.random_bool(0.02) {
        return vec![b'9'; 100_000];
    }
    ODD.choose(rng).expect("not empty").to_vec()
}

#[test]
fn wrong_types_at_every_key_change_nothing() {
    let mut target = Target::new();
    let mut refused = 0;
    for call in target.calls.clone() {
        let mut keys = call.keys.clone();
        keys.sort();
        keys.dedup();
        // A generation's shards are dropped whatever they are: a few stand for all.
        let is_seen = |key: &[u8]| key.windows(6).any(|part| part == b":seen:");
        let few = |(index, key): &(usize, Vec<u8>)| call.keys.len() < 500 || !is_seen(key) || *index % 100 == 0;
        for (_, key) in keys.into_iter().enumerate().filter(few) {
            for wrong in WRONG {
                let (verb, args) = wrong.split_first().expect("a command");
                cmd("DEL").arg(&key).exec(&mut target.connection).expect("room");
                cmd(verb).arg(&key).arg(args).exec(&mut target.connection).expect("a wrong value");
                target.digest = target.digest();
                let applied = target.all_or_nothing(&call, &format!("{} at {}", verb, String::from_utf8_lossy(&key)));
                refused += usize::from(!applied);
                target.reset();
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

const WRONG: [&[&str]; 6] = [
    &["SET", "x"],
    &["RPUSH", "x"],
    &["HSET", "x", "y"],
    &["SADD", "x"],
    &["ZADD", "1", "x"],
    &["XADD", "*", "x", "y"],
];

#[test]
fn damaged_values_change_nothing() {
    let mut target = Target::new();
    let content = dump(&mut target.connection, "");
    let call = target.calls[0].clone();
    let mut refused = 0;
    for (key, entry) in &content {
        let (verb, members): (&str, Vec<&String>) = match entry {
            Entry::Hash(fields) => ("HSET", fields.keys().collect()),
            Entry::Scored(members) => ("ZADD", members.keys().collect()),
            Entry::Set(_) | Entry::Bytes(_) => continue,
        };
        for member in members {
            for odd in ODD {
                let mut damage = cmd(verb);
                damage.arg(key);
                // A score that Redis does not take is no damage.
                match verb {
                    "HSET" => damage.arg(member).arg(odd),
                    _ => damage.arg(odd).arg(member),
                };
                if damage.exec(&mut target.connection).is_err() {
                    continue;
                }
                target.digest = target.digest();
                let why = format!("{key} {member} {}", String::from_utf8_lossy(odd));
                if target.all_or_nothing(&call, &why) {
                    target.reset();
                } else {
                    refused += 1;
                }
            }
            target.reset();
        }
    }
    assert!(refused > 100, "{refused}");
}

#[tokio::test]
async fn a_full_server_refuses_and_changes_nothing() {
    let mut target = Target::new();
    let ledger = RedisLedger::new(link(&target.server), Keyspace::new("n"), RETENTION, "g");
    for call in target.calls.clone() {
        target.server.ask::<()>("CONFIG", &["SET", "maxmemory", "1"]);
        let error = match call.send(&mut target.connection) {
            Ok(answer) if matches!(kind(&answer).as_str(), "moved" | "repeated") => continue,
            answer => answer.expect_err("no room").to_string(),
        };
        assert!(error.contains("OOM"), "{error}");
        assert_eq!(target.digest(), target.digest);
    }
    let outcome = ledger.apply(&one_event(0, usage(0, 1))).await;
    assert!(matches!(&outcome, Err(StoreError::Refused(what)) if what.contains("OOM")), "{outcome:?}");
    target.server.ask::<()>("CONFIG", &["SET", "maxmemory", "0"]);
    assert_eq!(target.digest(), target.digest);
    assert_eq!(
        ledger.apply(&one_event(0, usage(0, 1))).await,
        Ok(Outcome::Applied { expired: None, capped: Capped::default(), notices: 0 })
    );
}

#[tokio::test]
async fn a_replica_refuses_and_changes_nothing() {
    let mut target = Target::new();
    let replica = Redis::start_with(&[
        "--replicaof",
        "127.0.0.1",
        &target.server.port().to_string(),
        "--repl-diskless-sync-delay",
        "0",
    ]);
    eventually(START, "the replica to be in step", || {
        replica.ask::<String>("INFO", &["replication"]).contains("master_link_status:up").then_some(())
    });
    let ledger = RedisLedger::new(link(&replica), Keyspace::new("n"), RETENTION, "g");
    let outcome = ledger.apply(&one_event(0, usage(0, 1))).await;
    assert!(matches!(&outcome, Err(StoreError::Refused(what)) if what.contains("read only")), "{outcome:?}");
    let found = dump(&mut replica.connection(), "");
    assert!(found == dump(&mut target.connection, ""));
}

const TENANT: &str = "acme-7";

fn usage(cost: i64, tokens: i64) -> Body {
    Body::Usage(Usage {
        provider: None,
        assistant: Assistant::new("chat").expect("an id"),
        model: Model::new("large").expect("an id"),
        tokens_in: tokens,
        tokens_out: 0,
        cache_write_tokens: 0,
        cached_tokens: 0,
        reasoning_tokens: 0,
        cost: Some(NanoDollars(cost)),
        latency_ms: None,
        tools: ToolCalls::new(),
        output: None,
    })
}

/// The log `0..=number` of like events, and the flush of the last of them.
fn one_event(number: usize, body: Body) -> Flush {
    let log = log((0..=number).map(|_| body.clone()), |_| "alice".to_owned());
    log.flush(bucket(), Some(log.position(number)).filter(|_| number > 0), number + 1, &[number])
}

fn log(bodies: impl Iterator<Item = Body>, user: impl Fn(usize) -> String) -> Log {
    let records = bodies.enumerate().map(|(number, body)| {
        let event = Event {
            id: EventId::new(&format!("{number}")).expect("an id"),
            source: Source::new("svc").expect("an id"),
            time: TimeMs(START_MS).to_utc(),
            tenant: TenantId::new(TENANT).expect("an id"),
            user: Some(UserId::new(&user(number)).expect("an id")),
            body,
        };
        Record { at: TimeMs(START_MS), event }
    });
    Log { partition: TopicPartition::new("other", 0), partitions: 1, records: records.collect() }
}

fn bucket() -> Bucket {
    Bucket::of(&TenantId::new(TENANT).expect("an id"))
}

#[tokio::test]
async fn sums_are_exact_up_to_the_limit_and_refused_beyond_it() {
    let mut target = Target::new();
    let ledger = RedisLedger::new(link(&target.server), Keyspace::new("n"), RETENTION, "g");
    // 2^53 + 1 and its like are no doubles.
    let costs = [9_007_199_254_740_993, 9_007_199_254_740_995, 4_600_000_000_000_000_001, 4_581_985_601_490_518_009];
    let applied = Ok(Outcome::Applied { expired: None, capped: Capped::default(), notices: 0 });
    let mut sum = 0;
    for (number, cost) in costs.into_iter().enumerate() {
        assert_eq!(ledger.apply(&one_event(number, usage(cost, 1))).await, applied);
        sum += cost;
        let content = dump(&mut target.connection, "n:{");
        let cell = |what: &str| match content.iter().find(|(key, _)| key.contains(what)).map(|(_, entry)| entry) {
            Some(Entry::Hash(users)) if what.starts_with(":users:") => {
                users["alice"].lines().next().expect("a group").to_owned()
            }
            Some(Entry::Hash(cells)) => cells["24"].clone(),
            other => panic!("{what}: {other:?}"),
        };
        let requests = number + 1;
        assert_eq!(cell(":users:acme-7"), format!("chat|large {requests} {requests} 0 {sum}"));
        assert_eq!(cell(":tenant:acme-7"), format!("{requests} {requests} {sum}"));
    }
    let digest = target.digest();
    for cost in [23_400_000_000_000_000, 9_200_000_000_000_000_000, i64::MAX] {
        assert_eq!(ledger.apply(&one_event(4, usage(cost, 1))).await, Ok(Outcome::TooLarge), "{cost}");
        assert_eq!(target.digest(), digest);
    }
    assert_eq!(ledger.apply(&one_event(4, usage(0, 1))).await, applied);
}

/// As many workers on one namespace: each has its own copy of the ids.
#[tokio::test]
async fn what_is_left_out_as_a_repeat_must_be_one() {
    let mut target = Target::new();
    let of_worker = || RedisLedger::new(link(&target.server), Keyspace::new("n"), RETENTION, "g");
    let (one, other) = (of_worker(), of_worker());
    let applied = Ok(Outcome::Applied { expired: None, capped: Capped::default(), notices: 0 });
    let [first, second, third] = [0, 1, 2].map(|number| one_event(number, usage(1, 1)));
    assert_eq!(one.supposed(bucket(), &first.seen).await, []);
    assert_eq!(one.apply(&first).await, applied);
    assert_eq!(one.supposed(bucket(), &first.seen).await, [Repeat { index: 0, conflict: false }]);
    assert_eq!(other.supposed(bucket(), &first.seen).await, [], "nothing was read yet");

    let digest = target.digest();
    let without = |flush: &Flush, repeats: &[SeenId]| Flush { repeats: repeats.to_vec(), ..flush.clone() };
    for ledger in [&one, &other] {
        let wrong = without(&second, &[first.seen[0], third.seen[0]]);
        assert_eq!(ledger.apply(&wrong).await, Ok(Outcome::NotRepeated));
        // The same without any event: the watermark does not pass what was not counted.
        let alone = Flush { seen: Vec::new(), delta: Delta::default(), ..wrong };
        assert_eq!(ledger.apply(&alone).await, Ok(Outcome::NotRepeated));
    }
    assert_eq!(target.digest(), digest);

    assert_eq!(other.apply(&without(&second, &first.seen)).await, applied);
    let stretches = third.stretches.clone();
    let alone = Flush { stretches, seen: Vec::new(), delta: Delta::default(), ..without(&third, &second.seen) };
    assert_eq!(one.apply(&alone).await, applied, "the other worker has counted it");
    assert_eq!(one.apply(&third).await, Ok(Outcome::Moved(vec![Some(third.stretches[0].to)])));
}

#[tokio::test]
async fn any_hash_is_an_id() {
    let server = Redis::start();
    let ledger = RedisLedger::new(link(&server), Keyspace::new("n"), RETENTION, "g");
    let mut flush = one_event(0, usage(1, 1));
    let ids = [i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, 0, -1, 9_200_000_000_000_000_001];
    flush.seen =
        ids.iter().map(|id| indelible::domain::seen::SeenId { id: *id, content: !id, ..flush.seen[0] }).collect();
    assert_eq!(
        ledger.apply(&flush).await,
        Ok(Outcome::Applied { expired: None, capped: Capped::default(), notices: 0 })
    );
    flush.stretches[0].from = Some(flush.stretches[0].to);
    flush.stretches[0].to = one_event(1, usage(1, 1)).stretches[0].to;
    flush.seen.iter_mut().skip(1).step_by(2).for_each(|seen| seen.content = 7);
    let Ok(Outcome::Repeated(repeats)) = ledger.apply(&flush).await else { panic!("not known") };
    let found: Vec<_> = repeats.iter().map(|repeat| (repeat.index, repeat.conflict)).collect();
    assert_eq!(found, [(0, false), (1, true), (2, false), (3, true), (4, false), (5, true), (6, false)]);
}

#[tokio::test]
async fn the_largest_flush_is_taken_and_a_larger_one_is_not() {
    let server = Redis::start();
    let output = |number| {
        Body::OutputCreated(Output {
            kind: OutputKind::new("website").expect("an id"),
            id: OutputId::new(&format!("{number}")).expect("an id"),
        })
    };
    let shapes: [(&str, Log); 4] = [
        ("one user", log((0..MOST_EVENTS + 1).map(|_| usage(1, 1)), |_| "alice".to_owned())),
        ("a user each", log((0..MOST_EVENTS + 1).map(|_| usage(1, 1)), |number| format!("u{number}"))),
        ("outputs", log((0..MOST_EVENTS + 1).map(output), |_| "alice".to_owned())),
        ("a group each", log((0..MOST_EVENTS + 1).map(group), |_| "alice".to_owned())),
    ];
    for (what, log) in shapes {
        server.ask::<()>("FLUSHDB", &[]);
        let ledger = RedisLedger::new(link(&server), Keyspace::new("n"), RETENTION, "g");
        let of = |count: usize| log.flush(bucket(), None, count, &(0..count).collect::<Vec<_>>());
        assert_eq!(ledger.apply(&of(MOST_EVENTS + 1)).await, Ok(Outcome::TooLarge), "{what}");
        let outcome = ledger.apply(&of(MOST_EVENTS)).await;
        assert!(matches!(outcome, Ok(Outcome::Applied { .. })), "{what}: {outcome:?}");
    }
}

fn group(number: usize) -> Body {
    let Body::Usage(one) = usage(1, 1) else { unreachable!("it is usage") };
    Body::Usage(Usage { model: Model::new(&format!("m{number}")).expect("an id"), ..one })
}
