//! Two workers and everything that may go wrong between them and Redis, in seeded schedules over the real script.
//!
//! `INDELIBLE_SEED=n cargo test schedules` replays one of them and prints it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use arc_swap::ArcSwap;
use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::Month;
use indelible::domain::delta::Scope;
use indelible::domain::ids::TenantId;
use indelible::domain::position::Position;
use indelible::domain::seen::{Expired, SeenId};
use indelible::store::keys::{Keyspace, LAYOUT_VERSION};
use indelible::store::link::Link;
use indelible::store::redis_ledger::{APPLY, RedisLedger};
use indelible::store::redis_reader::RedisReader;
use indelible::store::{Flush, Ledger, Outcome, Reader, Retention};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use crate::made::quotas::plans;
use crate::made::{DAY_MS, HOUR_MS, Log, Part, Quotas, Shape, TENANTS, difference, dump, facts, flush, plain};
use crate::notice_properties::{Onlooker, Told};
use crate::script_conformance::link;
use crate::support::redis::Redis;

pub(crate) const SEEDS: u64 = 2_000;
const STEPS: usize = 60;
/// More than this and a schedule goes in circles.
const MOST_STEPS_TO_THE_END: usize = 2_000;

/// By what a run goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) script: &'a str,
    /// Whether buckets go back to what they were.
    pub(crate) roll_backs: bool,
    /// The wrong way: the script leaves notices at `…:outbox-later`, and who reads its reply puts them into the outbox.
    pub(crate) notices_apart: bool,
}

impl Rules<'_> {
    pub(crate) const RIGHT: Self = Self { script: APPLY, roll_backs: true, notices_apart: false };
}

/// What a run has shown.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The seeds whose schedule ended with other sums or notices than the log's, and what happened in it.
    pub(crate) wrong: Vec<(u64, String)>,
    pub(crate) told: Told,
}

/// All of them, or the one that is asked for.
pub(crate) fn seeds(all: Range<u64>) -> Range<u64> {
    let seed = std::env::var("INDELIBLE_SEED").ok().map(|seed| seed.parse::<u64>().expect("a number"));
    seed.map_or(all, |seed| seed..seed + 1)
}

#[test]
fn schedules_lose_nothing_and_count_nothing_twice() {
    let wrong = run(seeds(0..SEEDS), Rules::RIGHT, std::env::var("INDELIBLE_SEED").is_ok()).wrong;
    let seeds: Vec<u64> = wrong.iter().map(|(seed, _)| *seed).collect();
    assert!(wrong.is_empty(), "{} wrong, seeds {seeds:?}; the first:\n{}", wrong.len(), wrong[0].1);
}

const COMPARISON: &str = "same = same and moved[i + 1] == stretch.expected";

#[test]
fn a_comparison_that_takes_older_watermarks_is_caught() {
    let next = |text: &str| format!("tonumber({text}:match('^%d+') or -1)");
    let loose = format!("same = same and {} <= {}", next("moved[i + 1]"), next("stretch.expected"));
    assert_caught(COMPARISON, &loose);
}

#[test]
fn no_comparison_at_all_is_caught() {
    assert_caught(COMPARISON, "");
}

#[test]
fn sums_of_a_bucket_that_has_changed_since_are_caught() {
    assert_caught("if call.events > 0 and (state[1] or '') ~= call.stamp then return {'stale'} end", "");
}

#[test]
fn ids_that_are_not_kept_are_caught() {
    assert_caught("for _, append in ipairs(call.appends) do plan_append(append) end", "call.logs = {}");
}

#[test]
fn a_tombstone_that_is_not_kept_is_caught() {
    assert_caught("tombstone.now = change.log\n", "");
}

#[track_caller]
fn assert_caught(right: &str, wrong: &str) {
    assert_caught_by(right, wrong, Rules::RIGHT);
}

#[track_caller]
pub(crate) fn assert_caught_by(right: &str, wrong: &str, rules: Rules<'_>) {
    assert_eq!(APPLY.matches(right).count(), 1, "the script has changed: {right}");
    let script = APPLY.replace(right, wrong);
    let caught = run(0..250, Rules { script: &script, ..rules }, false).wrong;
    assert!(caught.len() >= 5, "only {} of 250 schedules went wrong", caught.len());
}

pub(crate) fn run(seeds: Range<u64>, rules: Rules<'_>, print: bool) -> Found {
    let half = seeds.start + (seeds.end - seeds.start) / 2;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run_some(seeds.start..half, rules, print));
        let second = run_some(half..seeds.end, rules, print);
        let first = first.join().expect("no panic");
        Found { wrong: [first.wrong, second.wrong].concat(), told: first.told + second.told }
    })
}

fn run_some(seeds: Range<u64>, rules: Rules<'_>, print: bool) -> Found {
    let redis = Redis::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let link = link(&redis);
    let mut connection = redis.connection();
    let mut found = Found::default();
    for seed in seeds {
        redis::cmd("FLUSHDB").exec(&mut connection).expect("an empty database");
        let keys = Keyspace::new("n");
        let reader = RedisReader::new(link.clone(), keys.clone(), &["usage".to_owned()]);
        let mut schedule = Schedule::new(seed, rules, link.clone(), redis.connection());
        let outcome = runtime.block_on(schedule.run(&reader));
        if print {
            println!("seed {seed}{}", schedule.story);
        }
        found.told = found.told + schedule.onlooker.told;
        if let Err(why) = outcome {
            found.wrong.push((seed, format!("seed {seed}{}\n{why}", schedule.story)));
        }
    }
    found
}

const RETENTION: Retention = Retention { seen_ms: DAY_MS, tombstones_ms: 60 * DAY_MS };

/// What one bucket's keys held at some time.
type Snapshot = Vec<(String, Vec<u8>)>;

struct Schedule<'a> {
    rng: StdRng,
    rules: Rules<'a>,
    ledger: RedisLedger,
    connection: redis::Connection,
    keys: Keyspace,
    logs: Vec<Log>,
    buckets: Vec<Bucket>,
    workers: [Worker; 2],
    /// Commands that the network has kept, as they were when they left.
    late: Vec<(Flush, Prepared)>,
    snapshots: Vec<(Bucket, Snapshot)>,
    quotas: Quotas,
    onlooker: Onlooker,
    story: String,
}

#[derive(Debug, Default)]
struct Worker {
    /// By partition; none where the watermarks have not been read.
    lanes: [Option<Lane>; PARTITIONS],
    expire: BTreeMap<Bucket, Expired>,
    waiting: Vec<Call>,
}

/// What one worker believes of one partition.
#[derive(Debug, Default)]
struct Lane {
    read: usize,
    stored: BTreeMap<Bucket, Option<Position>>,
    to: usize,
}

#[derive(Debug, Clone)]
struct Call {
    bucket: Bucket,
    flush: Flush,
    /// One or two partitions.
    parts: Vec<Leg>,
    /// None until what it adds to was read.
    prepared: Option<Prepared>,
}

/// One partition's part of a call.
#[derive(Debug, Clone)]
struct Leg {
    partition: usize,
    from: Option<Position>,
    to: usize,
    offsets: Vec<usize>,
}

const PARTITIONS: usize = 2;

impl Worker {
    fn is_waiting_for(&self, partition: usize) -> bool {
        self.waiting.iter().any(|call| call.is_about(partition))
    }
}

impl Call {
    fn is_about(&self, partition: usize) -> bool {
        self.parts.iter().any(|leg| leg.partition == partition)
    }
}

/// A flush as keys and arguments, which hold what was read for it.
type Prepared = indelible::store::call::Call;

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    /// Others may come between reading and writing.
    Slow,
    NotSent,
    ReplyLost,
    /// Carried out, and once more whenever the network likes.
    Doubled,
    /// Not carried out now but later, with nobody waiting.
    Late,
}

macro_rules! tell {
    ($self:ident, $($text:tt)*) => {{
        let _ = write!($self.story, "\n  ");
        let _ = write!($self.story, $($text)*);
    }};
}

impl<'a> Schedule<'a> {
    fn new(seed: u64, rules: Rules<'a>, link: Arc<Link>, connection: redis::Connection) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let quotas = *[Quotas::Constant, Quotas::Changing].choose(&mut rng).expect("not empty");
        let (keys, plans) = (Keyspace::new("n"), plans(&mut rng));
        let ledger = RedisLedger::new(link, keys.clone(), RETENTION, "g").with_script(rules.script);
        let ledger = ledger.watching(Arc::new(ArcSwap::from_pointee(plans.clone())));
        let shape = Shape {
            partitions: PARTITIONS,
            records: rng.random_range(20..50),
            tenants: rng.random_range(2..=TENANTS.len()),
            // Within one window, or over a week.
            pace_ms: *[HOUR_MS / 3, 4 * HOUR_MS].choose(&mut rng).expect("not empty"),
            repeat_within_ms: 20 * HOUR_MS,
            conflicts: false,
            quotas,
        };
        let logs = Log::made(&mut rng, shape);
        let tenants = TENANTS[..shape.tenants].iter();
        let mut buckets: Vec<_> = tenants.map(|tenant| Bucket::of(&TenantId::new(tenant).expect("an id"))).collect();
        buckets.sort();
        buckets.dedup();
        Self {
            rng,
            rules,
            ledger,
            connection,
            onlooker: Onlooker::new(keys.clone(), plans, buckets.clone()),
            keys,
            logs,
            buckets,
            quotas,
            workers: Default::default(),
            late: Vec::new(),
            snapshots: Vec::new(),
            story: String::new(),
        }
    }

    async fn run(&mut self, reader: &RedisReader) -> Result<(), String> {
        // Of what a worker's start writes, what a reader asks for.
        for bucket in &self.buckets {
            let mut set = redis::cmd("HSET");
            set.arg(self.keys.state(*bucket)).arg("layout").arg(LAYOUT_VERSION);
            set.exec(&mut self.connection).map_err(|error| error.to_string())?;
        }
        for _ in 0..STEPS {
            self.step().await?;
        }
        self.finish().await?;
        for late in std::mem::take(&mut self.late) {
            self.arrive(&late).await?;
        }
        self.finish().await?;
        self.compare(reader).await
    }

    async fn step(&mut self) -> Result<(), String> {
        let worker = self.rng.random_range(0..2);
        match self.rng.random_range(0..100) {
            0..80 => {
                let partition = self.rng.random_range(0..PARTITIONS);
                self.work(worker, partition, true).await
            }
            80..84 => {
                tell!(self, "worker {worker} crashes");
                self.workers[worker] = Worker::default();
                Ok(())
            }
            84..90 if !self.late.is_empty() => {
                let late = self.late.swap_remove(self.rng.random_range(0..self.late.len()));
                self.arrive(&late).await
            }
            90..94 => {
                let bucket = *self.buckets.choose(&mut self.rng).expect("a bucket");
                tell!(self, "snapshot of {bucket:?}");
                let snapshot = self.snapshot(bucket);
                self.snapshots.push((bucket, snapshot));
                Ok(())
            }
            94..98 if self.rules.roll_backs => {
                if let Some((bucket, snapshot)) = self.snapshots.choose(&mut self.rng) {
                    tell!(self, "{bucket:?} goes back to a snapshot");
                    restore(&mut self.connection, &self.keys.state(*bucket), snapshot);
                    return self.onlooker.rolled_back(&mut self.connection);
                }
                Ok(())
            }
            94..98 => {
                let bucket = *self.buckets.choose(&mut self.rng).expect("a bucket");
                tell!(self, "notices of {bucket:?} are sent");
                self.onlooker.send(&mut self.connection, bucket)
            }
            98 => redis::cmd("SCRIPT").arg("FLUSH").exec(&mut self.connection).map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }

    /// The next thing that a worker does for a partition.
    async fn work(&mut self, worker: usize, partition: usize, mishaps: bool) -> Result<(), String> {
        if self.workers[worker].lanes[partition].is_none() {
            self.workers[worker].lanes[partition] = Some(self.assign(partition).await);
            return Ok(());
        }
        if !self.workers[worker].is_waiting_for(partition) {
            let most = if mishaps { 12 } else { usize::MAX / 2 };
            let some = self.rng.random_range(0..=most);
            self.depart(worker, partition, some);
        }
        let luck = if mishaps { self.luck() } else { Luck::Good };
        let waiting = &mut self.workers[worker].waiting;
        let Some(index) = waiting.iter().position(|call| call.is_about(partition)) else { return Ok(()) };
        let call = waiting.swap_remove(index);
        let legs = call.parts.clone();
        let goes_on = self.fly(worker, call, luck).await?;
        let all = &mut self.workers[worker];
        if !goes_on {
            // It has to read the watermarks again.
            all.waiting.retain(|call| !legs.iter().any(|leg| call.is_about(leg.partition)));
            legs.iter().for_each(|leg| all.lanes[leg.partition] = None);
            return Ok(());
        }
        for leg in legs.iter().filter(|leg| !all.waiting.iter().any(|call| call.is_about(leg.partition))) {
            all.lanes[leg.partition].iter_mut().for_each(|lane| lane.read = lane.to);
        }
        Ok(())
    }

    async fn assign(&mut self, partition: usize) -> Lane {
        let stored = self.ledger.standing(&self.logs[partition].partition).await.expect("an answer").watermarks;
        let stored: BTreeMap<_, _> = self.buckets.iter().map(|bucket| (*bucket, stored[bucket.index()])).collect();
        let read = stored.values().map(|stored| next(*stored)).min().unwrap_or(0);
        Lane { read, stored, ..Lane::default() }
    }

    /// Every bucket's part of the next records, in any order; a heartbeat where there are none. Together with what the
    /// other partition has, or alone.
    fn depart(&mut self, worker: usize, partition: usize, some: usize) {
        let together = self.rng.random_bool(0.5);
        let all = &mut self.workers[worker];
        let free = |other: &usize| {
            *other == partition || (together && all.lanes[*other].is_some() && !all.is_waiting_for(*other))
        };
        let partitions: Vec<usize> = (0..PARTITIONS).filter(free).collect();
        for partition in &partitions {
            let lane = all.lanes[*partition].as_mut().expect("a lane that is free");
            lane.to = lane.read.saturating_add(some).min(self.logs[*partition].records.len());
        }
        let mut calls = Vec::new();
        for bucket in &self.buckets {
            let leg = |partition: &usize| {
                let lane = self.workers[worker].lanes[*partition].as_ref().expect("a lane that is free");
                let from = lane.stored[bucket];
                (next(from) <= lane.to).then(|| Leg {
                    partition: *partition,
                    from,
                    to: lane.to,
                    offsets: self.logs[*partition].offsets(*bucket, next(from), lane.to),
                })
            };
            let mut parts: Vec<Leg> = partitions.iter().filter_map(leg).collect();
            if parts.is_empty() {
                continue;
            }
            self.drop_repeats(&mut parts);
            let mut flush = self.flush(*bucket, &parts);
            flush.tidies |= self.rng.random_bool(0.2);
            flush.expire = if flush.tidies { self.workers[worker].expire.remove(bucket) } else { None };
            calls.push(Call { bucket: *bucket, flush, parts, prepared: None });
        }
        self.workers[worker].waiting.extend(calls);
        self.workers[worker].waiting.shuffle(&mut self.rng);
    }

    fn luck(&mut self) -> Luck {
        match self.rng.random_range(0..100) {
            0..8 => Luck::NotSent,
            8..20 => Luck::ReplyLost,
            20..28 => Luck::Doubled,
            28..34 => Luck::Late,
            34..54 => Luck::Slow,
            _ => Luck::Good,
        }
    }

    /// Sends one call; false if the worker has to read the watermarks again.
    async fn fly(&mut self, worker: usize, mut call: Call, luck: Luck) -> Result<bool, String> {
        tell!(self, "worker {worker}, {:?} {luck:?}: ", call.bucket);
        for leg in &call.parts {
            tell!(
                self,
                "  partition {} from {} to {}, offsets {:?}",
                leg.partition,
                next(leg.from),
                leg.to,
                leg.offsets
            );
        }
        if matches!(luck, Luck::Doubled | Luck::Late) {
            let sent = self.prepare(&call.flush).await?;
            self.late.extend(sent.map(|sent| (call.flush.clone(), sent)));
        }
        if matches!(luck, Luck::NotSent | Luck::Late) {
            self.workers[worker].waiting.push(call);
            return Ok(true);
        }
        if luck == Luck::Slow {
            call.prepared = self.prepare(&call.flush).await?;
            self.workers[worker].waiting.push(call);
            return Ok(true);
        }
        let Some(outcome) = self.send(&call.flush, call.prepared.take()).await? else {
            self.workers[worker].waiting.push(call);
            return Ok(true);
        };
        self.look(call.bucket, luck != Luck::ReplyLost)?;
        if luck == Luck::ReplyLost {
            self.workers[worker].waiting.push(call);
            return Ok(true);
        }
        let ends: Vec<_> = call.flush.stretches.iter().map(|stretch| Some(stretch.to)).collect();
        match outcome {
            Outcome::Applied { expired, .. } => {
                self.land(worker, &call, &ends);
                expired.and_then(|expired| self.workers[worker].expire.insert(call.bucket, expired));
            }
            Outcome::Moved(stored) if stored == ends => self.land(worker, &call, &ends),
            Outcome::Moved(_) => return Ok(false),
            Outcome::Repeated(repeats) => {
                let mut index = 0;
                for leg in &mut call.parts {
                    leg.offsets.retain(|_| {
                        index += 1;
                        !repeats.iter().any(|repeat| repeat.index + 1 == index)
                    });
                }
                let Flush { tidies, expire, .. } = call.flush;
                call.flush = Flush { tidies, expire, ..self.flush(call.bucket, &call.parts) };
                self.workers[worker].waiting.push(call);
            }
            Outcome::NotRepeated | Outcome::TooLarge => return Err(format!("{outcome:?}")),
        }
        Ok(true)
    }

    fn land(&mut self, worker: usize, call: &Call, ends: &[Option<Position>]) {
        for (leg, end) in call.parts.iter().zip(ends) {
            let lane = self.workers[worker].lanes[leg.partition].as_mut().expect("a lane that is waited for");
            lane.stored.insert(call.bucket, *end);
        }
    }

    /// Each id once in a call.
    fn drop_repeats(&self, parts: &mut [Leg]) {
        let mut ids = HashSet::new();
        for leg in parts {
            let id = |offset: usize| {
                let record = &self.logs[leg.partition].records[offset];
                SeenId::of(&record.event, record.at).id
            };
            leg.offsets.retain(|offset| ids.insert(id(*offset)));
        }
    }

    fn flush<'p>(&'p self, bucket: Bucket, parts: &'p [Leg]) -> Flush {
        let part = |leg: &'p Leg| {
            let Leg { partition, from, to, offsets } = leg;
            Part { log: &self.logs[*partition], from: *from, to: *to, offsets }
        };
        flush(bucket, &parts.iter().map(part).collect::<Vec<_>>())
    }

    async fn arrive(&mut self, (flush, call): &(Flush, Prepared)) -> Result<(), String> {
        tell!(self, "a late call arrives");
        self.send(flush, Some(call.clone())).await?;
        self.look(flush.bucket, false)
    }

    /// At what a call has done. `answered`: somebody has read its reply.
    fn look(&mut self, bucket: Bucket, answered: bool) -> Result<(), String> {
        if self.rules.notices_apart {
            let outbox = self.keys.outbox(bucket);
            let later = format!("{outbox}-later");
            let entries: BTreeMap<String, String> =
                redis::cmd("HGETALL").arg(&later).query(&mut self.connection).map_err(|error| error.to_string())?;
            let mut put = redis::pipe();
            put.cmd("DEL").arg(&later).ignore();
            for (id, text) in entries.iter().filter(|_| answered) {
                put.cmd("HSET").arg(&outbox).arg(id).arg(text).ignore();
            }
            put.exec(&mut self.connection).map_err(|error| error.to_string())?;
        }
        self.onlooker.look(&mut self.connection)
    }

    /// None when the outcome is plain without sending anything.
    async fn prepare(&mut self, flush: &Flush) -> Result<Option<Prepared>, String> {
        let prepared = self.ledger.prepare_call(flush).await.map_err(|error| error.to_string())?;
        Ok(prepared.ok().map(|(call, _)| call))
    }

    /// None when the bucket has changed since the call was prepared.
    async fn send(&mut self, flush: &Flush, prepared: Option<Prepared>) -> Result<Option<Outcome>, String> {
        let outcome = match prepared {
            Some(call) => self.ledger.send(flush, &call).await,
            None => self.ledger.apply(flush).await.map(Some),
        };
        let outcome = outcome.map_err(|error| error.to_string())?;
        tell!(self, "  -> {outcome:?}");
        Ok(outcome)
    }

    /// Both workers go on until every bucket has taken a flush that ends where the log does.
    async fn finish(&mut self) -> Result<(), String> {
        tell!(self, "to the end");
        for (worker, partition) in [(0, 0), (1, 1), (0, 1), (1, 0)] {
            let end = self.logs[partition].records.len();
            for step in 0.. {
                if step > MOST_STEPS_TO_THE_END {
                    return Err("never comes to the end".to_owned());
                }
                self.work(worker, partition, false).await?;
                let all = &self.workers[worker];
                let ended = all.lanes[partition].as_ref().is_some_and(|lane| lane.to == end);
                if ended && !all.is_waiting_for(partition) && step > 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn compare(&mut self, reader: &RedisReader) -> Result<(), String> {
        let events = || self.logs.iter().flat_map(|log| &log.records).map(|record| &record.event);
        let content = dump(&mut self.connection, "");
        let wrong = difference(&plain(events(), &self.keys), &facts(&content));
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        let all: Vec<_> = events().collect();
        self.onlooker.compare(&content, &all, self.quotas == Quotas::Constant)?;
        let Some(some) = events().find(|event| event.user.is_some()) else { return Ok(()) };
        let scope = Scope { tenant: some.tenant.clone(), user: some.user.clone() };
        let usage = reader.usage(&scope, Month::of(some.time)).await.map_err(|error| error.to_string())?;
        let mut requests: BTreeMap<&str, i64> = BTreeMap::new();
        for event in events().filter(|event| (&event.tenant, &event.user) == (&scope.tenant, &scope.user)) {
            requests
                .insert(event.id.as_str(), i64::from(matches!(event.body, indelible::domain::event::Body::Usage(_))));
        }
        let read: i64 = usage.months.values().flat_map(|month| month.groups.values()).map(|sums| sums.requests).sum();
        if read != requests.values().sum::<i64>() { Err(format!("the reader sees {read} requests")) } else { Ok(()) }
    }

    fn snapshot(&mut self, bucket: Bucket) -> Snapshot {
        let keys = keys_of(&mut self.connection, &self.keys.state(bucket));
        let mut ask = redis::pipe();
        for key in &keys {
            ask.cmd("DUMP").arg(key);
        }
        if keys.is_empty() {
            return Snapshot::new();
        }
        let values: Vec<Vec<u8>> = ask.query(&mut self.connection).expect("dumps");
        keys.into_iter().zip(values).collect()
    }
}

fn next(position: Option<Position>) -> usize {
    position.map_or(0, |position| position.next().0 as usize)
}

/// All keys of the bucket whose state this is.
fn keys_of(connection: &mut redis::Connection, state: &str) -> Vec<String> {
    let tag = state.strip_suffix("state").expect("a state's key");
    redis::cmd("KEYS").arg(format!("{tag}*")).query(connection).expect("keys")
}

fn restore(connection: &mut redis::Connection, state: &str, snapshot: &Snapshot) {
    let mut ask = redis::pipe();
    for key in keys_of(connection, state) {
        ask.cmd("DEL").arg(key).ignore();
    }
    for (key, value) in snapshot {
        ask.cmd("RESTORE").arg(key).arg(0).arg(value.as_slice()).ignore();
    }
    if !ask.is_empty() {
        ask.exec(connection).expect("a bucket as it was");
    }
}
