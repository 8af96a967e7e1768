//! Seeded schedules of the worker's own parts, from bytes to counters, over the in-memory twin: records in chunks
//! of any size, replies that get lost, crashes, and a store that goes back in time, bucket by bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::ids::TenantId;
use indelible::domain::position::{Offset, Position, TopicPartition};
use indelible::ingest::batch::Rejected;
use indelible::ingest::dead_letter::DeadLetters;
use indelible::ingest::decode::{Bounds, Reason};
use indelible::ingest::failure::Failure;
use indelible::ingest::job::{Tools, Trouble};
use indelible::ingest::lane::Lane;
use indelible::ingest::limits::Limits;
use indelible::ingest::record::{Chunk, Record};
use indelible::ingest::start::{LogFacts, start};
use indelible::ops::metrics::Metrics;
use indelible::pricing::Table;
use indelible::store::cells;
use indelible::store::keys::{Keyspace, watermark_field};
use indelible::store::{Flush, Ledger, Outcome, Prepared, Retention, Standing, StoreError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::memory::{Content, Entry, MemoryLedger};

const SEEDS: u64 = 400;
const PARTITIONS: usize = 2;
const NOW_MS: i64 = 1_764_000_000_000;
const BOUNDS: Bounds = Bounds { max_future_ms: 300_000, max_age_ms: 35 * 86_400_000 };
const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

/// Loses requests and replies.
struct Flaky {
    store: Arc<MemoryLedger>,
    rng: Mutex<StdRng>,
}

impl Ledger for Flaky {
    async fn prepare(&self) -> Result<Prepared, StoreError> {
        Ok(Prepared::default())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn standing(&self, partition: &TopicPartition) -> Result<Standing, StoreError> {
        self.store.standing(partition).await
    }

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        // Else its events were counted again, as soon as their ids are forgotten.
        assert!(flush.from.is_none_or(|from| from.next() <= flush.to.next()), "a watermark goes back: {flush:?}");
        let luck = self.rng.lock().expect("no panic").random_range(0..10);
        if luck == 0 {
            return Err(StoreError::Unavailable("the request is lost".to_owned()));
        }
        let outcome = self.store.apply(flush).await;
        if luck == 1 { Err(StoreError::Unavailable("the reply is lost".to_owned())) } else { outcome }
    }
}

/// The partition, offset and reason of every dead letter.
#[derive(Default)]
struct Letters(Mutex<BTreeSet<(i32, i64, &'static str)>>);

impl DeadLetters for Letters {
    async fn send(&self, rejected: &Rejected, _: TimeMs) -> Result<(), String> {
        let (record, reason) = (&rejected.record, rejected.reject.reason.as_str());
        self.0.lock().expect("no panic").insert((record.partition().partition, record.offset().0, reason));
        Ok(())
    }
}

struct World {
    rng: StdRng,
    tools: Tools<Flaky, Letters>,
    store: Arc<MemoryLedger>,
    /// Values by partition and offset.
    logs: Vec<Vec<String>>,
    lanes: Vec<Lane>,
    snapshots: Vec<Content>,
}

fn at(partition: usize) -> TopicPartition {
    TopicPartition::new("t", partition as i32)
}

fn logs(rng: &mut StdRng) -> Vec<Vec<String>> {
    let mut logs = vec![Vec::new(); PARTITIONS];
    for number in 0..rng.random_range(1..60) {
        // One in five repeats an earlier id, with the same content, in any partition.
        let id = if rng.random_bool(0.2) { rng.random_range(0..=number) } else { number };
        let value = json!({
            "requestId": format!("r{id}"), "createdAt": TimeMs(NOW_MS).to_utc().to_rfc3339(),
            "tenantId": TENANTS[id % 3], "userId": format!("u{}", id % 2), "assistant": "a", "model": "m",
            "tokensIn": id * 7 + 1, "tokensOut": 1,
        });
        let value = if rng.random_bool(0.1) { "{".to_owned() } else { value.to_string() };
        logs[rng.random_range(0..PARTITIONS)].push(value);
    }
    logs
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let retention = Retention { seen_ms: 86_400_000, tombstones_ms: 36 * 86_400_000 };
        let store = Arc::new(MemoryLedger::new(Keyspace::new("n"), retention));
        let flaky = Flaky { store: Arc::clone(&store), rng: Mutex::new(StdRng::seed_from_u64(seed + 1)) };
        let limits = Limits {
            batch_events: rng.random_range(1..20),
            call_events: rng.random_range(1..5),
            retry: (Duration::ZERO, Duration::ZERO),
            ..Limits::STANDARD
        };
        let metrics = Arc::new(Metrics::new(&Reason::ALL.map(Reason::as_str)).expect("metrics"));
        let (dead_letters, trouble) = (Letters::default(), Trouble::default());
        let prices = Arc::new(ArcSwap::from_pointee(Table::builtin()));
        let noted = Arc::default();
        let tools = Tools { ledger: flaky, prices, dead_letters, metrics, limits, trouble, noted };
        let logs = logs(&mut rng);
        Self { rng, tools, store, logs, lanes: Vec::new(), snapshots: Vec::new() }
    }

    /// What every session does first.
    async fn open(&mut self) {
        self.lanes.clear();
        for (partition, log) in self.logs.iter().enumerate() {
            let standing = self.store.standing(&at(partition)).await.expect("an answer");
            let facts = LogFacts { first: Offset(0), end: Offset(log.len() as i64), committed: None };
            let offset = start(&at(partition), &standing, facts).expect("nothing was lost");
            self.lanes.push(Lane::new(at(partition), standing, offset, Instant::now()));
        }
    }

    /// Reads a chunk of a partition and, mostly, sees what waits to its end.
    async fn work(&mut self, partition: usize, flush: bool) -> Result<(), Failure> {
        let (log, lane) = (&self.logs[partition], &mut self.lanes[partition]);
        // One record before the next is what a start reads again.
        let from = (lane.next().0 as usize).saturating_sub(1);
        let to = (from + self.rng.random_range(0..12)).min(log.len());
        let mut chunk = Chunk::default();
        for (offset, value) in log.iter().enumerate().take(to).skip(from) {
            let time = Some(TimeMs(NOW_MS + offset as i64));
            let none = std::iter::empty();
            chunk.push(at(partition), Offset(offset as i64), time, None, Some(value.as_bytes()), none);
        }
        for record in Record::all(&Arc::new(chunk)) {
            lane.take(record, &BOUNDS, (Instant::now(), TimeMs(NOW_MS + 1_000)))?;
        }
        if flush {
            let departure = lane.depart(Instant::now(), &self.tools.limits, PARTITIONS, self.rng.random_bool(0.3));
            lane.land(&self.tools.run(departure).await?, Instant::now());
        }
        Ok(())
    }

    /// One bucket, or all of them, goes back to what it once was.
    fn roll_back(&mut self) {
        let Some(snapshot) = self.snapshots.get(self.rng.random_range(0..self.snapshots.len().max(1))) else { return };
        let tenant = TenantId::new(TENANTS[self.rng.random_range(0..3)]).expect("an id");
        let tag = Keyspace::new("n").state(Bucket::of(&tenant)).replace("state", "");
        let one = self.rng.random_bool(0.7);
        let goes_back = |key: &String| !one || key.starts_with(&tag);
        let mut content = self.store.content();
        content.retain(|key, _| !goes_back(key));
        content
            .extend(snapshot.iter().filter(|(key, _)| goes_back(key)).map(|(key, entry)| (key.clone(), entry.clone())));
        self.store.restore(content);
    }

    /// One bucket is lost with all its keys, and an operator has it counted again from the start of the log.
    fn lose(&mut self) {
        let tenant = TenantId::new(TENANTS[self.rng.random_range(0..3)]).expect("an id");
        let state = Keyspace::new("n").state(Bucket::of(&tenant));
        let mut content = self.store.content();
        content.retain(|key, _| !key.starts_with(state.trim_end_matches("state")));
        let start = |partition| (watermark_field(&at(partition)), Position::START.to_string());
        content.insert(state, Entry::Hash((0..PARTITIONS).map(start).collect()));
        self.store.restore(content);
    }

    async fn run(&mut self) {
        self.open().await;
        // The first beat makes the partitions known, as in the worker; before it there is nothing to go back to.
        for partition in 0..PARTITIONS {
            let departure = self.lanes[partition].depart(Instant::now(), &self.tools.limits, PARTITIONS, true);
            let landed = self.tools.run(departure).await.expect("nobody else");
            self.lanes[partition].land(&landed, Instant::now());
        }
        for _ in 0..self.rng.random_range(5..30) {
            match self.rng.random_range(0..20) {
                0 => self.open().await,
                1 | 2 => self.snapshots.push(self.store.content()),
                3 => self.roll_back(),
                4 => self.lose(),
                luck => self.step(luck < 15).await,
            }
        }
        while self.lanes.iter().zip(&self.logs).any(|(lane, log)| (lane.next().0 as usize) < log.len()) {
            self.step(true).await;
        }
        // A beat at the end: whatever went back since is noticed, and counted again.
        for partition in 0..PARTITIONS {
            while self.stands_behind(partition).await {
                self.step_in(partition, true).await;
            }
        }
    }

    async fn stands_behind(&self, partition: usize) -> bool {
        let standing = self.store.standing(&at(partition)).await.expect("an answer");
        let end = Offset(self.logs[partition].len() as i64);
        standing.watermarks.iter().any(|mark| mark.is_none_or(|mark| mark.next() < end))
    }

    async fn step(&mut self, flush: bool) {
        let partition = self.rng.random_range(0..PARTITIONS);
        self.step_in(partition, flush).await;
    }

    async fn step_in(&mut self, partition: usize, flush: bool) {
        match self.work(partition, flush).await {
            Ok(()) => {}
            Err(Failure::WatermarkMoved { .. }) => self.open().await,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Requests and tokens by tenant and user: the store's, and a plain sum's.
    fn sums(&self) -> [BTreeMap<String, (i64, i64)>; 2] {
        let (mut plain, mut ids) = (BTreeMap::new(), BTreeSet::new());
        for value in self.logs.iter().flatten().filter(|value| *value != "{") {
            let value: serde_json::Value = serde_json::from_str(value).expect("JSON");
            let text = |name: &str| value[name].as_str().expect("text").to_owned();
            if ids.insert(text("requestId")) {
                let sum: &mut (i64, i64) = plain.entry(format!("{}:{}", text("tenantId"), text("userId"))).or_default();
                *sum = (sum.0 + 1, sum.1 + value["tokensIn"].as_i64().expect("a count"));
            }
        }
        let counted = self.store.content().into_iter().filter_map(|(key, entry)| {
            let name = key.split_once("}:user:")?.1.rsplit_once(':')?.0.to_owned();
            let Entry::Text(text) = entry else { return None };
            let sums = cells::from_text(&text).expect("a month").usage.total().expect("small sums");
            Some((name, (sums.requests, sums.tokens_in)))
        });
        [counted.collect(), plain]
    }
}

#[test]
fn from_bytes_to_counters_nothing_is_lost_or_counted_twice() {
    let one = std::env::var("INDELIBLE_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = one.map_or(0..SEEDS, |seed| seed..seed + 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    for seed in seeds {
        let mut world = World::new(seed);
        runtime.block_on(world.run());
        let [counted, plain] = world.sums();
        assert_eq!(counted, plain, "INDELIBLE_SEED={seed}");
        let letters = world.tools.dead_letters.0.lock().expect("no panic").clone();
        let poison = world.logs.iter().enumerate().flat_map(|(partition, log)| {
            let broken = log.iter().enumerate().filter(|(_, value)| *value == "{");
            broken.map(move |(offset, _)| (partition as i32, offset as i64, "not_json"))
        });
        assert_eq!(letters, poison.collect(), "INDELIBLE_SEED={seed}");
    }
}
