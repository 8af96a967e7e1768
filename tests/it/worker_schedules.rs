//! Seeded schedules of the worker's own parts, from bytes to counters, over the in-memory twin: records in chunks
//! of any size, replies that get lost, crashes at any step, other prices after them, partitions that go from one worker
//! to the other, and a store that goes back in time, bucket by bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::future::{BoxFuture, try_join_all};
use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::ids::TenantId;
use indelible::domain::position::{Offset, Position, TopicPartition};
use indelible::domain::seen::SeenId;
use indelible::ingest::batch::Rejected;
use indelible::ingest::dead_letter::DeadLetters;
use indelible::ingest::decode::{Bounds, Incoming, Reason, decode};
use indelible::ingest::failure::Failure;
use indelible::ingest::job::{Departure, Landing, Tools};
use indelible::ingest::lane::Lane;
use indelible::ingest::limits::Limits;
use indelible::ingest::rated::message::Message;
use indelible::ingest::rated::{Audit, RatedTopic};
use indelible::ingest::record::{Chunk, Record};
use indelible::ingest::start::{LogFacts, start};
use indelible::ingest::trouble::Trouble;
use indelible::ingest::turn::{TURNS, Turn, Turns};
use indelible::ops::metrics::Metrics;
use indelible::pricing::Table;
use indelible::store::cells;
use indelible::store::keys::{Keyspace, watermark_field};
use indelible::store::seen_log::{Entry as Id, read_entries};
use indelible::store::{Checked, Flush, Ledger, Outcome, Prepared, Repeat, Retention, Standing, StoreError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::memory::{Content, Entry, MemoryLedger};

const SEEDS: u64 = 400;
const PARTITIONS: usize = 2;
const WORKERS: usize = 2;
const NOW_MS: i64 = 1_764_000_000_000;
const BOUNDS: Bounds = Bounds { max_future_ms: 300_000, max_age_ms: 35 * 86_400_000 };
const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

/// Price tables that differ in what is charged.
const PRICES: [&str; 3] = ["0", "25", "100"];

fn prices(markup: &str) -> Table {
    let text = format!(
        "markup = \"{markup}\"\n\n[[price]]\nprovider = \"p\"\nmodel = \"m\"\ninput = \"3\"\noutput = \"15\"\n"
    );
    Table::parse(&text).expect("a table")
}

/// Loses requests and replies, and ends the worker before or after one.
struct Flaky {
    store: Arc<MemoryLedger>,
    rng: Mutex<StdRng>,
    crash: Arc<Notify>,
}

/// The worker takes no further step.
async fn crash(crash: &Notify) -> ! {
    crash.notify_one();
    std::future::pending().await
}

impl Ledger for Flaky {
    async fn prepare(&self) -> Result<Prepared, StoreError> {
        Ok(Prepared::default())
    }

    async fn check(&self) -> Result<Checked, StoreError> {
        Ok(Checked::default())
    }

    async fn standing(&self, partition: &TopicPartition) -> Result<Standing, StoreError> {
        self.store.standing(partition).await
    }

    async fn keep_prices(&self, version: &str, text: &str) -> Result<(), StoreError> {
        self.store.keep_prices(version, text).await
    }

    async fn prices(&self, version: &str) -> Result<Option<String>, StoreError> {
        self.store.prices(version).await
    }

    async fn supposed(&self, bucket: Bucket, seen: &[SeenId]) -> Vec<Repeat> {
        let known = self.store.supposed(bucket, seen).await;
        let mut rng = self.rng.lock().expect("no panic");
        let supposed = |index: usize| {
            let known = known.iter().find(|repeat| repeat.index == index).copied();
            // A copy may lack ids, and may have some that the store has lost.
            if rng.random_bool(0.2) { known.is_none().then_some(Repeat { index, conflict: false }) } else { known }
        };
        (0..seen.len()).filter_map(supposed).collect()
    }

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        // Else its events were counted again, as soon as their ids are forgotten.
        for stretch in &flush.stretches {
            let goes_on = stretch.from.is_none_or(|from| from.next() <= stretch.to.next());
            assert!(goes_on, "a watermark goes back: {flush:?}");
        }
        let luck = self.rng.lock().expect("no panic").random_range(0..60);
        if luck < 6 {
            return Err(StoreError::Unavailable("the request is lost".to_owned()));
        }
        if luck == 6 {
            crash(&self.crash).await;
        }
        let outcome = self.store.apply(flush).await;
        if luck == 7 {
            crash(&self.crash).await;
        }
        if luck >= 54 { Err(StoreError::Unavailable("the reply is lost".to_owned())) } else { outcome }
    }
}

/// Partition, offset and reason.
type Letter = (i32, i64, &'static str);

/// The partition, offset and reason of every dead letter.
#[derive(Default, Clone)]
struct Letters(Arc<Mutex<BTreeSet<Letter>>>);

impl DeadLetters for Letters {
    async fn send(&self, rejected: &Rejected, _: TimeMs) -> Result<(), String> {
        let (record, reason) = (&rejected.record, rejected.reject.reason.as_str());
        self.0.lock().expect("no panic").insert((record.partition().partition, record.offset().0, reason));
        Ok(())
    }
}

/// The rated topic: takes all, some or none, and knows what was counted at that moment.
struct Rated {
    store: Arc<MemoryLedger>,
    rng: Mutex<StdRng>,
    crash: Arc<Notify>,
    /// By partition and offset: what the store must know of a request before it may come.
    requests: BTreeMap<(i64, i64), SeenId>,
    written: Mutex<Vec<Value>>,
}

impl Rated {
    fn take(&self, message: &Message) {
        let value: Value = serde_json::from_slice(&message.value).expect("JSON");
        let data = &value["data"];
        let number = |name: &str| data[name].as_i64().expect("a number");
        let seen = self.requests.get(&(number("partition"), number("offset"))).expect("a request of the log");
        let known = self.store.content().into_iter().any(|(key, entry)| match entry {
            Entry::Bytes(ids) if key.contains(":seen:") => read_entries(&ids).expect("ids").contains(&Id::of(seen)),
            _ => false,
        });
        assert!(known, "written and not counted: {value}");
        assert_eq!(value["id"], message.id.as_str());
        self.written.lock().expect("no panic").push(value);
    }
}

/// One that the worlds share with their tools.
struct Topic(Arc<Rated>);

impl RatedTopic for Topic {
    fn write<'a>(&'a self, messages: &'a mut Vec<Message>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let (luck, some) = {
                let mut rng = self.0.rng.lock().expect("no panic");
                (rng.random_range(0..10), rng.random_range(0..=messages.len()))
            };
            let taken = if luck < 3 { some } else { messages.len() };
            messages.drain(..taken).for_each(|message| self.0.take(&message));
            match luck {
                0 | 9 => crash(&self.0.crash).await,
                1 | 2 => Err("some were not acknowledged".to_owned()),
                _ => Ok(()),
            }
        })
    }
}

struct World {
    rng: StdRng,
    /// By worker.
    tools: [Tools<Flaky, Letters>; WORKERS],
    store: Arc<MemoryLedger>,
    topic: Arc<Rated>,
    crash: Arc<Notify>,
    /// Values by partition and offset.
    logs: Vec<Vec<String>>,
    letters: Letters,
    /// By worker and partition, with the offset that is read next. A worker that lost a partition does not know it.
    lanes: [BTreeMap<usize, (Lane, usize)>; WORKERS],
    snapshots: Vec<Snapshot>,
    /// Whether the store has gone to a state that is none of its own past. Requests may then be counted by other prices, and
    /// of two contents of an id another one, than the topic last said: it is written to and never goes back.
    forked: bool,
    /// Partitions of a departure that failed.
    forgotten: Vec<usize>,
}

/// What the store once held.
struct Snapshot {
    content: Content,
    /// Whether what is counted now has come of it.
    of_this_past: bool,
}

fn at(partition: usize) -> TopicPartition {
    TopicPartition::new("t", partition as i32)
}

fn logs(rng: &mut StdRng) -> Vec<Vec<String>> {
    let mut logs = vec![Vec::new(); PARTITIONS];
    for number in 0..rng.random_range(1..60) {
        // One in five repeats an earlier id in any partition, half of them at another cost.
        let repeats = rng.random_bool(0.2);
        let id = if repeats { rng.random_range(0..=number) } else { number };
        let cents = if repeats && rng.random_bool(0.5) { id + 1000 } else { id };
        let value = json!({
            "requestId": format!("r{id}"), "createdAt": TimeMs(NOW_MS).to_utc().to_rfc3339(),
            "tenantId": TENANTS[id % 3], "userId": format!("u{}", id % 2), "assistant": "a", "model": "m",
            "tokensIn": id * 7 + 1, "tokensOut": 1,
            "costCents": cents,
        });
        let value = if rng.random_bool(0.1) { "{".to_owned() } else { value.to_string() };
        logs[rng.random_range(0..PARTITIONS)].push(value);
    }
    logs
}

/// What the store knows of each request once it is counted.
fn requests(logs: &[Vec<String>]) -> BTreeMap<(i64, i64), SeenId> {
    let mut requests = BTreeMap::new();
    for (partition, log) in logs.iter().enumerate() {
        for (offset, value) in log.iter().enumerate() {
            let incoming = Incoming { value: Some(value.as_bytes()), headers: &[], timestamp: Some(TimeMs(NOW_MS)) };
            if let Ok(event) = decode(&incoming, &BOUNDS) {
                requests.insert((partition as i64, offset as i64), SeenId::of(&event, TimeMs(NOW_MS)));
            }
        }
    }
    requests
}

/// Of decimal dollars.
fn nanos(amount: &Value) -> i64 {
    let dollars = amount["amount"].as_str().expect("text");
    let (whole, fraction) = dollars.split_once('.').unwrap_or((dollars, ""));
    format!("{whole}{fraction:0<9}").parse().expect("a number")
}

/// The texts of a tenant's users, where it is these that a key holds.
fn users(key: String, entry: Entry) -> Option<(String, BTreeMap<String, String>)> {
    let tenant = key.split_once("}:users:")?.1.rsplit_once(':')?.0.to_owned();
    let Entry::Hash(users) = entry else { return None };
    Some((tenant, users))
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let retention = Retention { seen_ms: 86_400_000, tombstones_ms: 36 * 86_400_000 };
        let store = Arc::new(MemoryLedger::new(Keyspace::new("n"), retention));
        let limits = Limits {
            batch_events: rng.random_range(1..20),
            call_events: rng.random_range(1..5),
            retry: (Duration::ZERO, Duration::ZERO),
            ..Limits::STANDARD
        };
        let (logs, crash) = (logs(&mut rng), Arc::new(Notify::new()));
        let topic = Arc::new(Rated {
            store: Arc::clone(&store),
            rng: Mutex::new(StdRng::seed_from_u64(seed + 2)),
            crash: Arc::clone(&crash),
            requests: requests(&logs),
            written: Mutex::default(),
        });
        let letters = Letters::default();
        let tools = std::array::from_fn(|worker| {
            let rng = Mutex::new(StdRng::seed_from_u64(seed + 3 + worker as u64));
            Tools {
                ledger: Flaky { store: Arc::clone(&store), rng, crash: Arc::clone(&crash) },
                prices: Arc::new(ArcSwap::from_pointee(prices(PRICES[0]))),
                dead_letters: letters.clone(),
                audit: Some(Audit::new(Topic(Arc::clone(&topic)))),
                metrics: Arc::new(Metrics::new(&Reason::ALL.map(Reason::as_str)).expect("metrics")),
                limits,
                trouble: Trouble::default(),
                noted: Arc::default(),
            }
        });
        let lanes = std::array::from_fn(|_| BTreeMap::new());
        let (snapshots, forgotten) = (Vec::new(), Vec::new());
        Self { rng, tools, store, topic, crash, logs, lanes, snapshots, forked: false, forgotten, letters }
    }

    /// What a worker does first when it is given a partition. Whoever had it is not told.
    async fn open(&mut self, worker: usize, partition: usize) {
        let tools = &self.tools[worker];
        let standing = self.store.standing(&at(partition)).await.expect("an answer");
        let facts = LogFacts { first: Offset(0), end: Offset(self.logs[partition].len() as i64), committed: None };
        let offset = start(&at(partition), &standing, facts).expect("nothing was lost");
        let owed = tools.owed(&at(partition), &standing, facts.first).await.expect("an answer");
        // The next record after a chunk is the one to read next, so the position is where reading begins.
        let begin = owed.start(offset);
        let lane = Lane::new(at(partition), standing, begin, Instant::now()).owing(owed);
        self.lanes[worker].insert(partition, (lane, begin.0 as usize));
    }

    /// A process that starts: nothing is known but what is stored, and the prices may be other ones.
    async fn restart(&mut self, worker: usize) {
        let markup = PRICES[self.rng.random_range(0..PRICES.len())];
        self.tools[worker].prices.store(Arc::new(prices(markup)));
        self.tools[worker].audit.iter().for_each(Audit::forget_kept);
        let partitions: Vec<_> = std::mem::take(&mut self.lanes[worker]).into_keys().collect();
        for partition in partitions {
            self.open(worker, partition).await;
        }
    }

    /// Reads a chunk of a partition and, mostly, sees what waits to its end; false if the worker died meanwhile.
    async fn work(&mut self, worker: usize, partition: usize, flush: bool) -> Result<bool, Failure> {
        self.read(worker, partition)?;
        let beat = self.rng.random_bool(0.3);
        let leaves = if self.rng.random_bool(0.3) { Turns::ALL } else { self.turn().into() };
        if flush { self.depart(worker, partition, leaves, beat).await } else { Ok(true) }
    }

    fn read(&mut self, worker: usize, partition: usize) -> Result<(), Failure> {
        let Some((lane, next)) = self.lanes[worker].get_mut(&partition) else { return Ok(()) };
        let log = &self.logs[partition];
        let to = (*next + self.rng.random_range(0..12)).min(log.len());
        let mut chunk = Chunk::default();
        for (offset, value) in log.iter().enumerate().take(to).skip(*next) {
            let time = Some(TimeMs(NOW_MS + offset as i64));
            let none = std::iter::empty();
            chunk.push(("t", partition as i32), Offset(offset as i64), time, None, Some(value.as_bytes()), none);
        }
        *next = to;
        for record in Record::all(&Arc::new(chunk)) {
            lane.take(record, &BOUNDS, (Instant::now(), TimeMs(NOW_MS + 1_000)))?;
        }
        Ok(())
    }

    /// Mostly one that some events wait for.
    fn turn(&mut self) -> Turn {
        let tenant = TenantId::new(TENANTS[self.rng.random_range(0..3)]).expect("an id");
        let any = Turn::all().nth(self.rng.random_range(0..TURNS)).expect("a turn");
        if self.rng.random_bool(0.8) { Turn::of(Bucket::of(&tenant)) } else { any }
    }

    /// Sends off what waits of a partition, and now and then of the others with it; and now and then another turn, with
    /// what has come since, before the first has landed.
    async fn depart(&mut self, worker: usize, partition: usize, leaves: Turns, beat: bool) -> Result<bool, Failure> {
        let mut convoys = vec![self.leave(worker, partition, leaves, beat)];
        if self.rng.random_bool(0.5) {
            self.read(worker, partition)?;
            let (leaves, beat) = (self.turn().into(), self.rng.random_bool(0.3));
            convoys.push(self.leave(worker, partition, leaves, beat));
        }
        let (gone, convoys): (Vec<_>, Vec<_>) = convoys.into_iter().unzip();
        let tools = &self.tools[worker];
        let landed = tokio::select! {
            biased;
            () = self.crash.notified() => return Ok(false),
            landed = try_join_all(convoys.into_iter().map(|convoy| tools.run(convoy))) => landed,
        };
        let lanes = &mut self.lanes[worker];
        let landed = match landed {
            Ok(landed) => landed,
            Err(failure) => {
                // The session ends, and with it all that it knows.
                self.forgotten = lanes.iter().filter(|(_, (lane, _))| lane.is_flying()).map(|(at, _)| *at).collect();
                return Err(failure);
            }
        };
        for (gone, Landing { lanes: landed, .. }) in gone.into_iter().zip(landed) {
            for (partition, leaves) in gone {
                let (lane, _) = lanes.get_mut(&partition).expect("it departed");
                lane.land(leaves, landed.get(&at(partition)).map_or(&[], Vec::as_slice), Instant::now());
            }
        }
        Ok(true)
    }

    /// What goes of which partitions.
    fn leave(
        &mut self,
        worker: usize,
        partition: usize,
        leaves: Turns,
        beat: bool,
    ) -> (Vec<(usize, Turns)>, Departure) {
        let together = self.rng.random_bool(0.5);
        let (mut gone, mut leaving) = (Vec::new(), Vec::new());
        for (at, (lane, _)) in &mut self.lanes[worker] {
            if (together || *at == partition) && lane.may_depart(leaves) {
                gone.push((*at, if lane.waiting.may_be_held_up() { Turns::ALL } else { leaves }));
                leaving.push(lane.depart(leaves, Instant::now(), beat));
            }
        }
        (gone, Departure { lanes: leaving, partitions: PARTITIONS, tidies: beat, expire: BTreeMap::new() })
    }

    /// One bucket, or all of them, goes back to what it once was.
    fn roll_back(&mut self) {
        let back = self.rng.random_range(0..self.snapshots.len().max(1));
        let Some(Snapshot { content: snapshot, of_this_past }) = self.snapshots.get(back) else { return };
        self.forked |= !of_this_past;
        let tenant = TenantId::new(TENANTS[self.rng.random_range(0..3)]).expect("an id");
        let tag = Keyspace::new("n").state(Bucket::of(&tenant)).replace("state", "");
        let one = self.rng.random_bool(0.7);
        let goes_back = |key: &String| !one || key.starts_with(&tag);
        let mut content = self.store.content();
        content.retain(|key, _| !goes_back(key) || key.contains(":prices:"));
        content
            .extend(snapshot.iter().filter(|(key, _)| goes_back(key)).map(|(key, entry)| (key.clone(), entry.clone())));
        self.store.restore(content);
        self.snapshots.iter_mut().skip(back + 1).for_each(|later| later.of_this_past = false);
    }

    /// One bucket is lost with all its keys, and an operator has it counted again from the start of the log.
    fn lose(&mut self) {
        self.snapshots.iter_mut().for_each(|snapshot| snapshot.of_this_past = false);
        let tenant = TenantId::new(TENANTS[self.rng.random_range(0..3)]).expect("an id");
        let state = Keyspace::new("n").state(Bucket::of(&tenant));
        let mut content = self.store.content();
        content.retain(|key, _| !key.starts_with(state.trim_end_matches("state")));
        let start = |partition| (watermark_field(&at(partition)), Position::START.to_string());
        content.insert(state, Entry::Hash((0..PARTITIONS).map(start).collect()));
        self.store.restore(content);
    }

    async fn run(&mut self) {
        // The first beat makes the partitions known, as in the worker; before it there is nothing to go back to.
        for partition in 0..PARTITIONS {
            // It comes before any record does.
            while self.store.standing(&at(partition)).await.expect("an answer").watermarks.contains(&None) {
                self.open(0, partition).await;
                if !self.depart(0, partition, Turns::ALL, true).await.expect("nobody else") {
                    self.restart(0).await;
                }
            }
            self.open(0, partition).await;
        }
        for _ in 0..self.rng.random_range(5..30) {
            let (worker, partition) = (self.rng.random_range(0..WORKERS), self.rng.random_range(0..PARTITIONS));
            match self.rng.random_range(0..20) {
                0 => self.restart(worker).await,
                1 | 2 => self.snapshots.push(Snapshot { content: self.store.content(), of_this_past: true }),
                3 => self.roll_back(),
                4 => self.lose(),
                5 | 6 => self.open(worker, partition).await,
                luck => self.step_in(worker, partition, luck < 16).await,
            }
        }
        // In the end one worker sees all to its end.
        for partition in 0..PARTITIONS {
            self.open(0, partition).await;
        }
        // A beat at the end: whatever went back since is noticed, and counted again.
        for partition in 0..PARTITIONS {
            while self.is_to_be_done(partition).await {
                self.step_in(0, partition, true).await;
            }
        }
    }

    async fn is_to_be_done(&self, partition: usize) -> bool {
        let standing = self.store.standing(&at(partition)).await.expect("an answer");
        let end = Offset(self.logs[partition].len() as i64);
        let is_behind = standing.watermarks.iter().any(|mark| mark.is_none_or(|mark| mark.next() < end));
        is_behind || standing.unrated.iter().any(Option::is_some)
    }

    async fn step_in(&mut self, worker: usize, partition: usize, flush: bool) {
        match self.work(worker, partition, flush).await {
            Ok(true) => {}
            Ok(false) => self.restart(worker).await,
            Err(Failure::WatermarkMoved { .. }) => {
                for partition in std::mem::take(&mut self.forgotten) {
                    self.open(worker, partition).await;
                }
            }
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Requests, cost and charge by tenant and user: the store's, and those that the topic last said of each id.
    fn costs(&self) -> [BTreeMap<String, (i64, i64, i64)>; 2] {
        let counted = self.store.content().into_iter().filter_map(|(key, entry)| {
            let (tenant, users) = users(key, entry)?;
            Some(users.into_iter().map(move |(user, text)| {
                let sums = cells::from_text(&text).expect("a month").usage.total().expect("small sums");
                (format!("{tenant}:{user}"), (sums.requests, sums.cost.0, sums.charge.0))
            }))
        });
        let counted = counted.flatten();
        let written = self.topic.written.lock().expect("no panic");
        let last: BTreeMap<&str, &Value> =
            written.iter().map(|value| (value["id"].as_str().expect("an id"), value)).collect();
        let mut sums: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
        for data in last.into_values().map(|value| &value["data"]) {
            let text = |name: &str| data[name].as_str().expect("text");
            let sum = sums.entry(format!("{}:{}", text("tenantId"), text("userId"))).or_default();
            *sum = (sum.0 + 1, sum.1 + nanos(&data["cost"]), sum.2 + nanos(&data["charge"]));
        }
        [counted.collect(), sums]
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
            let (tenant, users) = users(key, entry)?;
            Some(users.into_iter().map(move |(user, text)| {
                let sums = cells::from_text(&text).expect("a month").usage.total().expect("small sums");
                (format!("{tenant}:{user}"), (sums.requests, sums.tokens_in))
            }))
        });
        let counted = counted.flatten();
        [counted.collect(), plain]
    }
}

#[test]
fn from_bytes_to_counters_nothing_is_lost_or_counted_twice() {
    let one = std::env::var("INDELIBLE_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = one.map_or(0..SEEDS, |seed| seed..seed + 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut forked = 0;
    for seed in seeds.clone() {
        let mut world = World::new(seed);
        runtime.block_on(world.run());
        let [counted, plain] = world.sums();
        assert_eq!(counted, plain, "INDELIBLE_SEED={seed}");
        let [counted, written] = world.costs();
        let requests = |sums: &BTreeMap<String, (i64, i64, i64)>| -> BTreeMap<_, _> {
            sums.iter().map(|(user, (requests, ..))| (user.clone(), *requests)).collect()
        };
        assert_eq!(requests(&written), requests(&counted), "the rated topic, INDELIBLE_SEED={seed}");
        assert!(world.forked || written == counted, "the rated topic, INDELIBLE_SEED={seed}: {written:?} {counted:?}");
        forked += u64::from(world.forked);
        let letters = world.letters.0.lock().expect("no panic").clone();
        let poison = world.logs.iter().enumerate().flat_map(|(partition, log)| {
            let broken = log.iter().enumerate().filter(|(_, value)| *value == "{");
            broken.map(move |(offset, _)| (partition as i32, offset as i64, "not_json"))
        });
        assert_eq!(letters, poison.collect(), "INDELIBLE_SEED={seed}");
    }
    assert!(one.is_some() || 4 * forked < SEEDS, "too few are compared with their costs: {forked} of {SEEDS} are not");
}
