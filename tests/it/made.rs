//! Made-up logs, the flushes that a worker makes of them, and the plain sums that must come of them.

mod dump;
mod facts;
pub(crate) mod quotas;

use std::collections::HashSet;

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::delta::{Counted, Delta};
use indelible::domain::event::{Body, Event, Output, Usage};
use indelible::domain::ids::{
    Assistant, EventId, Model, OutputId, OutputKind, Provider, Source, TenantId, Tool, UserId,
};
use indelible::domain::money::NanoDollars;
use indelible::domain::position::{Fingerprint, Offset, Position, TopicPartition};
use indelible::domain::rated::Rated;
use indelible::domain::seen::SeenId;
use indelible::store::{Flush, Repeat, Stretch};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

pub(crate) use dump::dump;
pub(crate) use facts::{Facts, difference, facts, month_of, plain};

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
/// The first record of every log: 2026-11-24T18:00:00Z.
pub(crate) const START_MS: i64 = 1_795_543_200_000;

/// The first two share a bucket; the last holds what keys and fields must encode.
pub(crate) const TENANTS: [&str; 4] = ["acme", "acme-125", "acme-1", "a:b{c} d"];
pub(crate) const USERS: [&str; 3] = ["alice", "bob", "x|y:*"];
/// Many amounts are multiples of these, and so are many limits.
pub(crate) const ROUND_TOKENS: i64 = 20_000;
pub(crate) const ROUND_COST: i64 = 2_000_000_000;
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
    pub(crate) quotas: Quotas,
}

/// When a log's quotas are assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotas {
    /// Before all else, for all time: every partition begins with the same assignments.
    Constant,
    /// At any time, from any time on.
    Changing,
}

impl Log {
    pub(crate) fn made(rng: &mut StdRng, shape: Shape) -> Vec<Self> {
        let mut firsts: Vec<Record> = Vec::new();
        let partition = |number| TopicPartition::new("usage", number as i32);
        let mut logs: Vec<_> = (0..shape.partitions)
            .map(|n| Self { partition: partition(n), partitions: shape.partitions, records: Vec::new() })
            .collect();
        let mut now = START_MS;
        if shape.quotas == Quotas::Constant {
            let first = quotas::constant(rng, &TENANTS[..shape.tenants]);
            let record = |event: &Event| Record { at: TimeMs(now), event: event.clone() };
            logs.iter_mut().for_each(|log| log.records.extend(first.iter().map(record)));
        }
        for number in 0..shape.records {
            now += rng.random_range(0..=2 * shape.pace_ms);
            let tenant = TENANTS[rng.random_range(0..shape.tenants)];
            let record = repeat(rng, &firsts, now, shape).unwrap_or_else(|| {
                firsts.push(Record { at: TimeMs(now), event: event(rng, number, now, tenant, shape.quotas) });
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
            let record = &self.records[*offset];
            ids.insert(SeenId::of(&record.event, record.at).id)
        };
        (from..to).filter(of_bucket).filter(is_new).collect()
    }

    pub(crate) fn flush(&self, bucket: Bucket, from: Option<Position>, to: usize, offsets: &[usize]) -> Flush {
        flush(bucket, &[Part { log: self, from, to, offsets }])
    }
}

/// Some of a log's records, as one bucket sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) log: &'a Log,
    pub(crate) from: Option<Position>,
    pub(crate) to: usize,
    pub(crate) offsets: &'a [usize],
}

/// A flush of one bucket; it tidies if it has no events, as a heartbeat does.
pub(crate) fn flush(bucket: Bucket, parts: &[Part<'_>]) -> Flush {
    let records = || parts.iter().flat_map(|part| part.offsets.iter().map(|offset| &part.log.records[*offset]));
    let rated: Vec<Rated> = records().map(|record| rated(&record.event)).collect();
    let counted =
        records().zip(&rated).map(|(record, rated)| Counted { event: &record.event, rated, log_time: record.at });
    let stretch = |part: &Part<'_>| Stretch {
        partition: part.log.partition.clone(),
        from: part.from,
        to: part.log.position(part.to),
        log_time: part.log.log_time(part.to),
        prices: None,
    };
    let seen: Vec<_> = records().map(|record| SeenId::of(&record.event, record.at)).collect();
    Flush {
        bucket,
        stretches: parts.iter().map(stretch).collect(),
        tidies: seen.is_empty(),
        seen,
        repeats: Vec::new(),
        delta: Delta::fold(counted).expect("small sums"),
        partitions: parts[0].log.partitions,
        expire: None,
    }
}

/// What a made-up price table says, by the event alone: with markup and discount, without a price, and other than the
/// event says.
pub(crate) fn rated(event: &Event) -> Rated {
    let Body::Usage(usage) = &event.body else { return Rated::default() };
    let table = usage.tokens_out.min(1_000_000) * 1_001;
    let cost = usage.cost.map_or(if usage.tokens_out % 2 == 0 { table } else { 0 }, |cost| cost.0);
    let charge = match usage.tokens_out % 3 {
        0 => cost,
        1 => cost.saturating_add(cost / 5),
        _ => cost - cost / 7,
    };
    Rated {
        cost: NanoDollars(cost),
        charge: NanoDollars(charge),
        unpriced: usage.cost.is_none() && usage.tokens_out % 2 != 0,
        mismatch: usage.cost.filter(|_| usage.tokens_out % 4 == 1).map(|_| NanoDollars(table)),
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

fn event(rng: &mut StdRng, number: usize, now: i64, tenant: &str, quotas: Quotas) -> Event {
    // Late by up to forty days: several months.
    let late = if rng.random_bool(0.5) { rng.random_range(0..40 * DAY_MS) } else { 0 };
    if quotas == Quotas::Changing && rng.random_bool(0.15) {
        return quotas::assigned(rng, &format!("e{number}"), TimeMs(now - late), tenant);
    }
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
    let (mut tokens_in, tokens_out) = (rng.random_range(0..100_000), rng.random_range(0..5_000));
    let mut cost = rng.random_bool(0.9).then(|| rng.random_range(0..9_000_000_000_i64));
    if rng.random() {
        // Sums that come to a limit exactly.
        tokens_in = (tokens_in / ROUND_TOKENS + 1) * ROUND_TOKENS - tokens_out;
        cost = cost.map(|cost| cost / ROUND_COST * ROUND_COST);
    }
    Usage {
        provider: rng.random_bool(0.5).then(|| Provider::new("prov").expect("an id")),
        assistant: Assistant::new(["chat", "writer"][rng.random_range(0..2)]).expect("an id"),
        model: Model::new(["small", "large:v2"][rng.random_range(0..2)]).expect("an id"),
        tokens_in,
        tokens_out,
        cache_write_tokens: 0,
        cached_tokens: rng.random_range(0..2) * 100,
        reasoning_tokens: rng.random_range(0..2) * 10,
        cost: cost.map(NanoDollars),
        latency_ms: rng.random_bool(0.8).then(|| rng.random_range(0..60_000)),
        tools: tools.into(),
        output: rng.random_bool(0.3).then(|| output(rng)),
    }
}
