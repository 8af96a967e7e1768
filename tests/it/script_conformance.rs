//! `apply.lua` on a real Redis and its in-memory twin: the same answers, and the same content key by key.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::memory::{Content, Entry, MemoryLedger};
use indelible::domain::bucket::Bucket;
use indelible::domain::position::{Offset, TopicPartition};
use indelible::domain::seen::{Expired, Generation};
use indelible::store::keys::Keyspace;
use indelible::store::link::{Link, Patience, Target};
use indelible::store::redis_ledger::RedisLedger;
use indelible::store::{Caps, Flush, Ledger, Outcome, Priced, Retention, StoreError};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use crate::made::quotas::plans;
use crate::made::{DAY_MS, HOUR_MS, Log, Quotas, START_MS, Shape, dump, without};
use crate::support::redis::Redis;

const SEEDS: u64 = 300;
const STEPS: usize = 60;

pub(crate) fn link(redis: &Redis) -> Arc<Link> {
    let target = Target::parse(&format!("unix://{}", redis.socket().display())).expect("a target");
    let limit = Duration::from_secs(20);
    Arc::new(Link::new(target, Patience { connect: limit, response: limit }))
}

#[tokio::test]
async fn the_script_and_its_twin_agree() {
    let redis = Redis::start();
    let mut connection = redis.connection();
    let link = link(&redis);
    for seed in 0..SEEDS {
        redis::cmd("FLUSHDB").exec(&mut connection).expect("an empty database");
        let mut pair = Pair::new(seed, link.clone());
        for step in 0..STEPS {
            pair.step().await.unwrap_or_else(|why| panic!("seed {seed}, step {step}: {why}"));
        }
        let (script, twin) = (unstamped(dump(&mut connection, "")), pair.twin.content());
        assert!(script == twin, "seed {seed}: the contents differ\n{}", differences(&script, &twin).join("\n"));
    }
}

/// Without what tells two readings apart, which the twin, whose readings nobody interrupts, does not need.
fn unstamped(mut content: Content) -> Content {
    for (_, entry) in content.iter_mut().filter(|(key, _)| key.ends_with(":state")) {
        if let Entry::Hash(fields) = entry {
            fields.remove("stamp");
        }
    }
    content
}

/// Both ledgers, and a worker that knows little and makes every mistake.
struct Pair {
    rng: StdRng,
    script: RedisLedger,
    twin: MemoryLedger,
    logs: Vec<Log>,
    buckets: Vec<Bucket>,
    expired: Option<Expired>,
    sent: Vec<Flush>,
}

impl Pair {
    fn new(seed: u64, link: Arc<Link>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let retention = Retention {
            seen_ms: *[HOUR_MS, 5 * HOUR_MS, 24 * HOUR_MS, 60 * HOUR_MS].choose(&mut rng).expect("not empty"),
            tombstones_ms: *[HOUR_MS, 2 * DAY_MS].choose(&mut rng).expect("not empty"),
        };
        let shape = Shape {
            partitions: rng.random_range(1..=3),
            records: 80,
            tenants: rng.random_range(1..=4),
            pace_ms: *[HOUR_MS / 10, 3 * HOUR_MS].choose(&mut rng).expect("not empty"),
            repeat_within_ms: 4 * DAY_MS,
            conflicts: true,
            quotas: Quotas::Changing,
        };
        let logs = Log::made(&mut rng, shape);
        let records = logs.iter().flat_map(|log| &log.records);
        let mut buckets: Vec<_> = records.map(|record| Bucket::of(&record.event.tenant)).collect();
        buckets.sort();
        buckets.dedup();
        let keys = Keyspace::new("n");
        let few = Caps {
            user_groups: 2,
            user_tools: 1,
            tenant_cells: 6,
            tenant_users: 2,
            tenant_kinds: 1,
            mismatched_models: 2,
        };
        let caps = *[few, Caps::STANDARD].choose(&mut rng).expect("not empty");
        let plans = plans(&mut rng);
        let swapped = Arc::new(ArcSwap::from_pointee(plans.clone()));
        Self {
            rng,
            script: RedisLedger::new(link, keys.clone(), retention, "g").with_caps(caps).watching(swapped),
            twin: MemoryLedger::new(keys, retention).with_caps(caps).watching(plans),
            logs,
            buckets,
            expired: None,
            sent: Vec::new(),
        }
    }

    async fn step(&mut self) -> Result<(), String> {
        let log = self.logs.choose(&mut self.rng).expect("a log").clone();
        let bucket = *self.buckets.choose(&mut self.rng).expect("a bucket");
        if self.rng.random_bool(0.1)
            && let Some(again) = self.sent.choose(&mut self.rng)
        {
            return self.both(again).await.map(drop);
        }
        let stored = self.twin.standing(&log.partition).await.expect("an answer");
        if self.rng.random_bool(0.05) && stored != self.script.standing(&log.partition).await.expect("an answer") {
            return Err("other watermarks".to_owned());
        }
        let mut from = stored.watermarks[bucket.index()];
        let next = from.map_or(0, |from| from.next().0 as usize);
        let to = (next + self.rng.random_range(0..=8)).min(log.records.len());
        if self.rng.random_bool(0.1) {
            // Most likely not what is stored.
            let any = log.position(self.rng.random_range(0..=log.records.len()));
            from = Some(any).filter(|any| *any != log.position(to));
        }
        let mut offsets = log.offsets(bucket, next, to);
        loop {
            let mut flush = log.flush(bucket, from, to, &offsets);
            flush.tidies |= self.rng.random_bool(0.3);
            flush.delta.outputs.shuffle(&mut self.rng);
            if self.rng.random_bool(0.4) {
                let offsets = offsets.iter().map(|offset| Offset(*offset as i64)).collect();
                flush.stretches[0].prices = Some(Priced { version: "v".into(), offsets });
            }
            flush.expire = self.expired.take().or_else(|| {
                let generation = Generation(START_MS / DAY_MS + self.rng.random_range(0..5));
                Some(Expired { generation, chunks: 1, first: 0 }).filter(|_| self.rng.random_bool(0.05))
            });
            match self.both(&flush).await? {
                Outcome::Applied { expired, .. } => {
                    if flush.tidies {
                        self.expired = expired;
                    }
                    self.sent.push(flush);
                    return Ok(());
                }
                Outcome::Repeated(repeats) => offsets = without(&offsets, &repeats),
                _ => return Ok(()),
            }
        }
    }

    async fn both(&self, flush: &Flush) -> Result<Outcome, String> {
        let script = self.script.apply(flush).await;
        let twin = self.twin.apply(flush).await;
        if script != twin {
            return Err(format!("{script:?} and not {twin:?} for {flush:?}"));
        }
        script.map_err(|error| format!("{error} for {flush:?}"))
    }
}

fn differences(script: &Content, twin: &Content) -> Vec<String> {
    let keys = script.keys().chain(twin.keys());
    let differ = keys.filter(|key| script.get(*key) != twin.get(*key));
    differ.map(|key| format!("{key}: {:?}\n  and not {:?}", script.get(key), twin.get(key))).collect()
}

/// A comparison that sees nothing would pass everything.
#[tokio::test]
async fn the_comparison_sees_expiry_outputs_and_quotas() {
    let redis = Redis::start();
    let mut expired = 0;
    let mut tombstones = 0;
    let (mut notices, mut also, mut mismatches) = (0, 0, 0);
    for seed in 0..40 {
        redis.ask::<()>("FLUSHDB", &[]);
        let mut pair = Pair::new(seed, link(&redis));
        for _ in 0..STEPS {
            pair.step().await.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        }
        expired += usize::from(pair.sent.iter().any(|flush| flush.expire.is_some()));
        let content = pair.twin.content();
        let dead = |(key, entry): (&String, &Entry)| key.ends_with(":tombstones") && matches!(entry, Entry::Scored(_));
        tombstones += usize::from(content.iter().any(dead));
        mismatches += usize::from(content.keys().any(|key| key.contains(":mismatches:")));
        for (_, outbox) in content.iter().filter(|(key, _)| key.ends_with(":outbox")) {
            let Entry::Hash(entries) = outbox else { panic!("the outbox is no hash") };
            notices += entries.len();
            also += entries.values().filter(|notice| !notice.contains("\"alsoPassed\":[]")).count();
        }
    }
    assert!(expired > 10 && tombstones > 10, "{expired} {tombstones}");
    assert!(notices > 200 && also > 50 && mismatches > 10, "{notices} {also} {mismatches}");
}

#[tokio::test]
async fn a_damaged_watermark_is_never_taken_for_none() {
    let redis = Redis::start();
    let keys = Keyspace::new("n");
    let ledger = RedisLedger::new(link(&redis), keys.clone(), RETENTION, "g");
    let log = Log { partition: TopicPartition::new("usage", 0), partitions: 1, records: Vec::new() };
    let bucket = Bucket::all().next().expect("a bucket");
    for damage in [b"7".as_slice(), b"\xff\xfe", b"x - -"] {
        let mut set = redis::cmd("HSET");
        set.arg(keys.state(bucket)).arg("watermark:usage/0").arg(damage);
        set.exec(&mut redis.connection()).expect("a damaged watermark");
        let read = ledger.standing(&log.partition).await;
        assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
        let applied = ledger.apply(&log.flush(bucket, None, 0, &[])).await;
        assert!(matches!(applied, Err(StoreError::Corrupt { .. })), "{applied:?}");
    }
}

const RETENTION: Retention = Retention { seen_ms: DAY_MS, tombstones_ms: DAY_MS };
