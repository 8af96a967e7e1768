//! Made-up logs, the flushes that a worker makes of them, and the plain sums that must come of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::memory::{Content, Entry};
use chrono::Datelike;
use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::{Month, TimeMs};
use indelible::domain::delta::{Counted, Delta, Scope};
use indelible::domain::event::{Body, Event, Output, Usage};
use indelible::domain::ids::{Assistant, EventId, Model, OutputId, OutputKind, Source, TenantId, Tool, UserId};
use indelible::domain::money::NanoDollars;
use indelible::domain::position::{Fingerprint, Offset, Position, TopicPartition};
use indelible::domain::rated::Rated;
use indelible::domain::seen::SeenId;
use indelible::store::keys::{Keyspace, encode};
use indelible::store::{Flush, Repeat};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
/// The first record of every log: 2026-11-24T18:00:00Z.
pub(crate) const START_MS: i64 = 1_795_543_200_000;

/// The first two share a bucket; the last holds what keys and fields must encode.
pub(crate) const TENANTS: [&str; 4] = ["acme", "acme-125", "acme-1", "a:b{c} d"];
pub(crate) const USERS: [&str; 3] = ["alice", "bob", "x|y:*"];
const KINDS: [&str; 2] = ["website", "assistant_result"];

#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The Kafka timestamp; it never falls within a partition.
    pub(crate) at: TimeMs,
    pub(crate) event: Event,
}

/// One partition's records, from offset 0.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) partition: TopicPartition,
    /// How many partitions there are.
    pub(crate) partitions: usize,
    pub(crate) records: Vec<Record>,
}

/// How a set of logs is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) partitions: usize,
    pub(crate) records: usize,
    /// How many of [`TENANTS`] take part.
    pub(crate) tenants: usize,
    /// Mean time between two records.
    pub(crate) pace_ms: i64,
    /// How long after its first record an event may come again.
    pub(crate) repeat_within_ms: i64,
    /// Whether it may come again with other content.
    pub(crate) conflicts: bool,
}

impl Log {
    pub(crate) fn made(rng: &mut StdRng, shape: Shape) -> Vec<Self> {
        let mut firsts: Vec<Record> = Vec::new();
        let partition = |number| TopicPartition::new("usage", number as i32);
        let mut logs: Vec<_> = (0..shape.partitions)
            .map(|n| Self { partition: partition(n), partitions: shape.partitions, records: Vec::new() })
            .collect();
        let mut now = START_MS;
        for number in 0..shape.records {
            now += rng.random_range(0..=2 * shape.pace_ms);
            let tenant = TENANTS[rng.random_range(0..shape.tenants)];
            let record = repeat(rng, &firsts, now, shape).unwrap_or_else(|| {
                firsts.push(Record { at: TimeMs(now), event: event(rng, number, now, tenant) });
                firsts[firsts.len() - 1].clone()
            });
            let log = rng.random_range(0..shape.partitions);
            logs[log].records.push(record);
        }
        logs
    }

    /// The watermark when the records before `next` are counted.
    pub(crate) fn position(&self, next: usize) -> Position {
        match self.records[..next].last() {
            None => Position::START,
            Some(record) => {
                Position::after(Offset(next as i64 - 1), Fingerprint { timestamp: record.at, hash: next as u64 })
            }
        }
    }

    pub(crate) fn log_time(&self, next: usize) -> TimeMs {
        self.records[..next].last().map_or(TimeMs(0), |record| record.at)
    }

    /// The offsets of a bucket's events in a span, each id once.
    pub(crate) fn offsets(&self, bucket: Bucket, from: usize, to: usize) -> Vec<usize> {
        let mut ids = HashSet::new();
        let of_bucket = |offset: &usize| Bucket::of(&self.records[*offset].event.tenant) == bucket;
        let is_new = |offset: &usize| {
            let seen = self.seen(*offset);
            ids.insert((seen.spread, seen.id))
        };
        (from..to).filter(of_bucket).filter(is_new).collect()
    }

    fn seen(&self, offset: usize) -> SeenId {
        let record = &self.records[offset];
        SeenId::of(&record.event, record.at)
    }

    pub(crate) fn flush(&self, bucket: Bucket, from: Option<Position>, to: usize, offsets: &[usize]) -> Flush {
        let records: Vec<_> = offsets.iter().map(|offset| &self.records[*offset]).collect();
        let rated: Vec<Rated> = records.iter().map(|record| rated(&record.event)).collect();
        let counted = records.iter().zip(&rated).map(|(record, rated)| Counted {
            event: &record.event,
            rated,
            log_time: record.at,
        });
        Flush {
            bucket,
            partition: self.partition.clone(),
            from,
            to: self.position(to),
            log_time: self.log_time(to),
            seen: offsets.iter().map(|offset| self.seen(*offset)).collect(),
            delta: Delta::fold(counted).expect("small sums"),
            partitions: self.partitions,
            prices: None,
            expire: None,
        }
    }
}

/// An event's own cost, with nothing on top.
pub(crate) fn rated(event: &Event) -> Rated {
    match &event.body {
        Body::Usage(usage) => Rated::given(usage.cost),
        _ => Rated::default(),
    }
}

/// What is left when the store knows some.
pub(crate) fn without(offsets: &[usize], repeats: &[Repeat]) -> Vec<usize> {
    let known: HashSet<usize> = repeats.iter().map(|repeat| repeat.index).collect();
    offsets.iter().enumerate().filter(|(index, _)| !known.contains(index)).map(|(_, offset)| *offset).collect()
}

fn repeat(rng: &mut StdRng, firsts: &[Record], now: i64, shape: Shape) -> Option<Record> {
    let recent: Vec<&Record> = firsts.iter().filter(|record| record.at.0 >= now - shape.repeat_within_ms).collect();
    if !rng.random_bool(0.2) {
        return None;
    }
    let mut event = recent.choose(rng)?.event.clone();
    if shape.conflicts
        && rng.random_bool(0.4)
        && let Body::Usage(usage) = &mut event.body
    {
        usage.tokens_in += 1;
    }
    Some(Record { at: TimeMs(now), event })
}

fn event(rng: &mut StdRng, number: usize, now: i64, tenant: &str) -> Event {
    // Late by up to forty days: several months.
    let late = if rng.random_bool(0.5) { rng.random_range(0..40 * DAY_MS) } else { 0 };
    Event {
        id: EventId::new(&format!("e{number}")).expect("an id"),
        source: Source::new("svc").expect("an id"),
        time: TimeMs(now - late).to_utc(),
        tenant: TenantId::new(tenant).expect("an id"),
        user: Some(UserId::new(USERS[rng.random_range(0..USERS.len())]).expect("an id")),
        body: body(rng),
    }
}

fn body(rng: &mut StdRng) -> Body {
    match rng.random_range(0..10) {
        0..5 => Body::Usage(usage(rng)),
        5..8 => Body::OutputCreated(output(rng)),
        _ => Body::OutputDeleted(output(rng)),
    }
}

fn output(rng: &mut StdRng) -> Output {
    Output {
        kind: OutputKind::new(KINDS[rng.random_range(0..KINDS.len())]).expect("an id"),
        id: OutputId::new(&format!("o{}", rng.random_range(0..4))).expect("an id"),
    }
}

fn usage(rng: &mut StdRng) -> Usage {
    let mut tools = vec![(Tool::new("retrieval").expect("an id"), 1), (Tool::new("web|search").expect("an id"), 2)];
    tools.retain(|_| rng.random_bool(0.3));
    Usage {
        provider: None,
        assistant: Assistant::new(["chat", "writer"][rng.random_range(0..2)]).expect("an id"),
        model: Model::new(["small", "large:v2"][rng.random_range(0..2)]).expect("an id"),
        tokens_in: rng.random_range(0..100_000),
        tokens_out: rng.random_range(0..5_000),
        cache_write_tokens: 0,
        cached_tokens: rng.random_range(0..2) * 100,
        reasoning_tokens: rng.random_range(0..2) * 10,
        cost: rng.random_bool(0.9).then(|| NanoDollars(rng.random_range(0..9_000_000_000))),
        latency_ms: rng.random_bool(0.8).then(|| rng.random_range(0..60_000)),
        tools,
        output: rng.random_bool(0.3).then(|| output(rng)),
    }
}

/// Everything that is stored about usage and outputs, one number a line.
pub(crate) type Facts = BTreeMap<String, i64>;

/// The facts of a log's events, each counted once: no fold, no delta, no script.
pub(crate) fn plain<'a>(events: impl IntoIterator<Item = &'a Event>, keys: &Keyspace) -> Facts {
    let mut facts = Facts::new();
    let mut add = |name: String, amount: i64| *facts.entry(name).or_default() += amount;
    let mut ids = BTreeSet::new();
    let mut created: BTreeMap<(&TenantId, &UserId, &OutputKind, &OutputId), TimeMs> = BTreeMap::new();
    let mut deleted = BTreeSet::new();
    for event in events {
        if !ids.insert((event.tenant.as_str(), event.source.as_str(), event.id.as_str())) {
            continue;
        }
        let Some(user) = &event.user else { panic!("an event of no user is made nowhere") };
        add(format!("{} applied", keys.state(Bucket::of(&event.tenant))), 1);
        let (usage, saved) = match &event.body {
            Body::Usage(usage) => (Some(usage), usage.output.as_ref()),
            Body::OutputCreated(output) => (None, Some(output)),
            Body::OutputDeleted(output) => {
                deleted.insert((&event.tenant, user, &output.kind, &output.id));
                (None, None)
            }
            Body::QuotaAssigned(_) => (None, None),
        };
        if let Some(usage) = usage {
            add_usage(event, user, usage, keys, &mut add);
        }
        if let Some(output) = saved {
            let time = TimeMs::of(event.time);
            let first = created.entry((&event.tenant, user, &output.kind, &output.id)).or_insert(time);
            *first = time.min(*first);
        }
    }
    for (output @ (tenant, user, kind, id), time) in &created {
        let counts = keys.saved_counts(tenant);
        add(format!("{counts} {kind}:created"), 1);
        if !deleted.contains(output) {
            add(format!("{counts} {kind}:{}", Month::of(time.to_utc())), 1);
            add(format!("{} {id}", keys.saved(tenant, user, kind)), time.0);
        }
    }
    for (tenant, _, kind, _) in deleted {
        add(format!("{} {kind}:deleted", keys.saved_counts(tenant)), 1);
    }
    facts.retain(|name, number| *number != 0 || name.contains(":users:"));
    facts
}

fn add_usage(event: &Event, user: &UserId, usage: &Usage, keys: &Keyspace, add: &mut impl FnMut(String, i64)) {
    let (month, day) = (Month::of(event.time), event.time.day());
    let cost = usage.cost.map_or(0, |cost| cost.0);
    let tokens = usage.tokens_in + usage.tokens_out;
    for user in [Some(user.clone()), None] {
        let of_tenant = user.is_none();
        let scope = Scope { tenant: event.tenant.clone(), user };
        let key = keys.month(&scope, month);
        let group = format!("{}|{}", encode(usage.assistant.as_str()), encode(usage.model.as_str()));
        let latency = usage.latency_ms.unwrap_or(0);
        // In the order in which they are stored.
        let sums = [
            1,
            usage.tokens_in,
            usage.tokens_out,
            cost,
            latency,
            i64::from(usage.latency_ms.is_some()),
            usage.cached_tokens,
            usage.reasoning_tokens,
            // The markup.
            0,
            i64::from(usage.cost.is_none()),
        ];
        for (index, sum) in sums.into_iter().enumerate() {
            add(format!("{key} {group} {index}"), sum);
        }
        for (tool, calls) in &usage.tools {
            add(format!("{key} tool:{} 0", encode(tool.as_str())), *calls);
        }
        for (index, sum) in [1, tokens, cost].into_iter().enumerate() {
            add(format!("{key} {day:02} {index}"), sum);
        }
        if of_tenant {
            add(format!("{key} total 0"), tokens);
            add(format!("{key} total 1"), cost);
        }
    }
    add(format!("{} {user}", keys.users(&event.tenant, month)), cost);
}

/// The facts that a store holds. What only helps to keep them right is left out: watermarks, seen ids, tombstones.
pub(crate) fn facts(content: &Content) -> Facts {
    let mut facts = Facts::new();
    for (key, entry) in content {
        let what = key.split(':').nth(2).unwrap_or_default();
        let mut cell = |name: &str, numbers: &str| {
            for (index, sum) in numbers.split(' ').enumerate() {
                facts.insert(format!("{key} {name} {index}"), number(sum));
            }
        };
        match entry {
            Entry::Text(text) => {
                let lines = text.lines().map(|line| line.split_once(' ').expect("a name and numbers"));
                lines.for_each(|(name, numbers)| cell(name, numbers));
            }
            Entry::Hash(fields) if what == "tenant" => fields.iter().for_each(|(name, numbers)| cell(name, numbers)),
            Entry::Hash(fields) => {
                let counts = |field: &&String| if what == "state" { *field == "applied" } else { *field != "kinds" };
                let counts = fields.keys().filter(counts);
                facts.extend(counts.map(|field| (format!("{key} {field}"), number(&fields[field]))));
            }
            Entry::Scored(_) if what == "tombstones" => {}
            Entry::Scored(members) => {
                facts.extend(members.iter().map(|(member, score)| (format!("{key} {member}"), *score)));
            }
            Entry::Set(_) => {}
        }
    }
    facts.retain(|name, number| *number != 0 || name.contains(":users:"));
    facts
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

/// A score; those above 2^53 are no more than near.
fn time(score: &str) -> i64 {
    score.parse().unwrap_or_else(|_| score.parse::<f64>().expect("a score") as i64)
}

/// The lines in which two sets of facts differ.
pub(crate) fn difference(expected: &Facts, found: &Facts) -> Vec<String> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differ = names.into_iter().filter(|name| expected.get(*name) != found.get(*name));
    differ.map(|name| format!("{name}: {:?} and not {:?}", found.get(name), expected.get(name))).collect()
}

/// All keys of a server's database that begin with `prefix`, as the in-memory twin has them.
pub(crate) fn dump(connection: &mut redis::Connection, prefix: &str) -> Content {
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{prefix}*")).query(connection).expect("keys");
    let mut ask = redis::pipe();
    for key in &keys {
        ask.cmd("TYPE").arg(key);
    }
    let types: Vec<String> = ask.query(connection).expect("types");
    let mut ask = redis::pipe();
    for (key, is) in keys.iter().zip(&types) {
        match is.as_str() {
            "hash" => ask.cmd("HGETALL").arg(key),
            "zset" => ask.cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES"),
            "set" => ask.cmd("SMEMBERS").arg(key),
            "string" => ask.cmd("MGET").arg(key),
            other => panic!("{key} is a {other}"),
        };
    }
    let values: Vec<Vec<String>> = ask.query(connection).expect("values");
    let entries = types.iter().zip(values).map(|(is, value)| match is.as_str() {
        "set" => Entry::Set(value.into_iter().collect()),
        "string" => Entry::Text(value.concat()),
        "hash" => Entry::Hash(pairs(value).collect()),
        _ => Entry::Scored(pairs(value).map(|(member, score)| (member, time(&score))).collect()),
    });
    keys.iter().cloned().zip(entries).collect()
}

fn pairs(flat: Vec<String>) -> impl Iterator<Item = (String, String)> {
    let mut flat = flat.into_iter();
    std::iter::from_fn(move || Some((flat.next()?, flat.next()?)))
}
