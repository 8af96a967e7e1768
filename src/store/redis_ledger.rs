//! The worker's side in Redis: watermarks, and flushes by `call.lua` and `apply.lua`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::try_join_all;
use redis::{Cmd, Value, cmd};
use tokio::sync::Mutex;

use crate::domain::bucket::{BUCKETS, Bucket};
use crate::domain::calendar::TimeMs;
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::{Expired, Generation, SeenId, Tier};

use super::call::{Call, Frame, MOST_EVENTS};
use super::draft::{self, Ask, Draft};
use super::keys::{self, Keyspace, LAYOUT_VERSION};
use super::link::{Link, is_no_script};
use super::{Capped, Caps, Flush, Ledger, Outcome, Repeat, Retention, Standing, StoreError, tiers};

/// The script that applies a flush: what reads its arguments, and what it does with them.
pub const APPLY: &str = concat!(include_str!("call.lua"), include_str!("apply.lua"));

/// How often a flush is read and added anew because another worker came between. Each time that happens, the other
/// has got on; with so many in a row something is wrong.
const MOST_READINGS: usize = 100;

pub struct RedisLedger {
    link: Arc<Link>,
    frame: Frame,
    /// The consumer group that counts into the namespace: two of them would count everything twice.
    group: Box<str>,
    script: Arc<str>,
    sha: Arc<str>,
    stamps: Stamps,
    /// By bucket: two flushes of this process would only get into each other's way.
    turns: Vec<Mutex<()>>,
}

impl RedisLedger {
    pub fn new(link: Arc<Link>, keyspace: Keyspace, retention: Retention, group: &str) -> Self {
        let frame = Frame { keyspace, retention, caps: Caps::STANDARD };
        let turns = Bucket::all().map(|_| Mutex::default()).collect();
        let stamps = Stamps::default();
        Self { link, frame, group: group.into(), script: "".into(), sha: "".into(), stamps, turns }.with_script(APPLY)
    }

    /// Other caps in the place of [`Caps::STANDARD`].
    pub fn with_caps(mut self, caps: Caps) -> Self {
        self.frame.caps = caps;
        self
    }

    /// Another script in the place of [`APPLY`]: a test of the tests has a wrong one.
    pub fn with_script(mut self, script: &str) -> Self {
        self.sha = redis::Script::new(script).get_hash().into();
        self.script = script.into();
        self
    }

    /// Sends a call, and says what became of it; none when the bucket was no longer as the call supposes.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn send(&self, flush: &Flush, call: &Call) -> Result<Option<Outcome>, StoreError> {
        let answer = match self.link.query(&command("EVALSHA", &self.sha, call)).await {
            // The script cache is volatile; EVAL fills it again on the node that the keys belong to.
            Err(error) if is_no_script(&error) => self.link.query(&command("EVAL", &self.script, call)).await?,
            answer => answer?,
        };
        read_outcome(&answer, flush, call, &self.frame.keyspace.state(flush.bucket))
    }

    /// Reads what the flush adds to, and adds: the call that writes it, unless the outcome is plain already.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn prepare_call(&self, flush: &Flush) -> Result<Result<(Call, Capped), Outcome>, StoreError> {
        if flush.seen.len() > MOST_EVENTS {
            return Ok(Err(Outcome::TooLarge));
        }
        let next_stamp = self.stamps.next();
        if flush.seen.is_empty() {
            // Nothing is added, so nothing that is stored matters.
            let call = Call::of(flush, &Draft::default(), &self.frame, &next_stamp, Tier::SMALLEST);
            return Ok(Ok((call, Capped::default())));
        }
        let keyspace = &self.frame.keyspace;
        let ask = Ask::of(flush, keyspace);
        let answers = self.link.pipeline(&ask.pipeline()).await?;
        let found = ask.read(answers, self.frame.caps)?;
        if found.watermark != flush.from {
            return Ok(Err(Outcome::Moved(found.watermark)));
        }
        let crowds = found.crowds(keyspace);
        let shared =
            if crowds.is_empty() { Vec::new() } else { self.texts(crowds.iter().map(|crowd| &crowd.key)).await? };
        let draft = found.add(keyspace, &crowds, shared)?;
        let first_tier = self.first_tier(flush, &draft).await?;
        Ok(Ok((Call::of(flush, &draft, &self.frame, &next_stamp, first_tier), draft.capped)))
    }

    async fn texts(&self, keys: impl Iterator<Item = &String>) -> Result<Vec<Option<String>>, StoreError> {
        let keys: Vec<_> = keys.collect();
        let values = self.link.query(cmd("MGET").arg(&keys)).await?;
        draft::read(values, keys[0])
    }

    /// Where a generation begins that has no ids yet: with the tier that would have held the latest one's.
    async fn first_tier(&self, flush: &Flush, draft: &Draft) -> Result<Tier, StoreError> {
        let begins = |seen: &SeenId| draft.tiers.open(Generation::of(seen.at)).is_none();
        let Some((latest, known)) = draft.tiers.latest().filter(|_| flush.seen.iter().any(begins)) else {
            return Ok(Tier::SMALLEST);
        };
        let state = self.frame.keyspace.state(flush.bucket);
        let fields: Vec<_> = known.iter().map(|tier| format!("seen:{}", tiers::name(latest, *tier))).collect();
        let sizes: Vec<Option<u64>> =
            draft::read(self.link.query(cmd("HMGET").arg(&state).arg(fields)).await?, &state)?;
        Ok(Tier::holding(sizes.into_iter().flatten().sum()))
    }

    async fn claim(&self, bucket: Bucket) -> Result<(), StoreError> {
        let buckets = BUCKETS.to_string();
        let ours = [("layout", LAYOUT_VERSION), ("buckets", &buckets), ("group", &self.group)];
        let state = self.frame.keyspace.state(bucket);
        for (field, value) in ours {
            // One by one: a crash in between leaves fields that the next start finds to be its own.
            self.link.query(cmd("HSETNX").arg(&state).arg(field).arg(value)).await?;
            let found = self.link.query(cmd("HGET").arg(&state).arg(field)).await?;
            let found = text(&found).unwrap_or_default();
            if found != value {
                return Err(StoreError::Unusable(format!(
                    "the redis key {state} says {field} {found:?}, and this process has {value:?}; \
                     use the same setting, or another INDELIBLE_NAMESPACE"
                )));
            }
        }
        Ok(())
    }

    async fn check_eviction(&self) -> Result<(), StoreError> {
        let info = self.link.query(cmd("INFO").arg("memory")).await?;
        let mut texts = Vec::new();
        collect_texts(&info, &mut texts);
        let policies =
            texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("maxmemory_policy:"));
        for policy in policies {
            if policy.trim() != "noeviction" {
                return Err(StoreError::Unusable(format!(
                    "redis has maxmemory-policy {}, which may throw counters away; set it to noeviction",
                    policy.trim()
                )));
            }
        }
        Ok(())
    }
}

fn command(verb: &str, script: &str, call: &Call) -> Cmd {
    let mut command = cmd(verb);
    command.arg(script).arg(call.keys.len()).arg(&call.keys).arg(&call.args);
    command
}

impl Ledger for RedisLedger {
    async fn prepare(&self) -> Result<(), StoreError> {
        self.check_eviction().await?;
        try_join_all(Bucket::all().map(|bucket| self.claim(bucket))).await.map(drop)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.check_eviction().await
    }

    async fn standing(&self, partition: &TopicPartition) -> Result<Standing, StoreError> {
        let fields = [keys::watermark_field(partition), keys::log_field(partition)];
        let stands = try_join_all(Bucket::all().map(|bucket| {
            let (state, fields) = (self.frame.keyspace.state(bucket), &fields);
            async move {
                let stored = self.link.query(cmd("HMGET").arg(&state).arg(fields)).await?;
                let Value::Array(stored) = &stored else { return Err(unreadable(&stored)) };
                let [watermark, log_time] = stored.as_slice() else { return Err(unreadable(&Value::Nil)) };
                let watermark = (*watermark != Value::Nil).then(|| parse_watermark(&state, watermark)).transpose()?;
                Ok((watermark, text(log_time).and_then(|log_time| log_time.parse().ok()).unwrap_or(0)))
            }
        }))
        .await?;
        let log_time = TimeMs(stands.iter().map(|(_, log_time)| *log_time).max().unwrap_or(0));
        Ok(Standing { watermarks: stands.into_iter().map(|(watermark, _)| watermark).collect(), log_time })
    }

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        let _turn = self.turns[flush.bucket.index()].lock().await;
        for _ in 0..MOST_READINGS {
            let (call, capped) = match self.prepare_call(flush).await? {
                Ok(prepared) => prepared,
                Err(outcome) => return Ok(outcome),
            };
            if let Some(outcome) = self.send(flush, &call).await? {
                return Ok(with_capped(outcome, capped));
            }
        }
        Err(StoreError::Refused(format!("other workers came between {MOST_READINGS} times in a row")))
    }
}

fn with_capped(outcome: Outcome, more: Capped) -> Outcome {
    match outcome {
        // Outputs are the script's to know.
        Outcome::Applied { expired, capped } => {
            Outcome::Applied { expired, capped: Capped { outputs: capped.outputs, ..more } }
        }
        other => other,
    }
}

/// Texts that no two flushes ever share, of whatever process.
#[derive(Debug)]
struct Stamps {
    process: u64,
    flushes: AtomicU64,
}

impl Default for Stamps {
    fn default() -> Self {
        // The standard library seeds every hasher from the system's randomness.
        Self { process: RandomState::new().build_hasher().finish(), flushes: AtomicU64::new(0) }
    }
}

impl Stamps {
    fn next(&self) -> String {
        format!("{:016x}-{:x}", self.process, self.flushes.fetch_add(1, Ordering::Relaxed))
    }
}

fn parse_watermark(state: &str, stored: &Value) -> Result<Position, StoreError> {
    let damaged = || StoreError::Corrupt { key: state.to_owned(), detail: format!("a watermark holds {stored:?}") };
    text(stored).and_then(|stored| stored.parse().ok()).ok_or_else(damaged)
}

/// The outcome that an answer of the script says; none when the bucket was not as the call supposes.
///
/// # Errors
/// [`StoreError::Corrupt`] as the script found it; [`StoreError::Unusable`] for an answer it never gives.
fn read_outcome(answer: &Value, flush: &Flush, call: &Call, state: &str) -> Result<Option<Outcome>, StoreError> {
    let Value::Array(parts) = answer else { return Err(unreadable(answer)) };
    // What is no text has been stored by someone else, and is shown as it is.
    let texts: Vec<&str> = parts.iter().map(|part| text(part).unwrap_or("?")).collect();
    let outcome = match texts.as_slice() {
        ["stale"] => return Ok(None),
        ["overflow"] => Outcome::TooLarge,
        ["applied", expired, others] => {
            let outputs = others.parse().map_err(|_| unreadable(answer))?;
            // The parts of a tier go one after the other.
            let rest = flush.expire.and_then(Expired::next);
            let expired = rest.or_else(|| tiers::expired(expired));
            Outcome::Applied { expired, capped: Capped { outputs, ..Capped::default() } }
        }
        ["repeated", pairs @ ..] => {
            let repeats: Option<Vec<_>> = pairs.chunks(2).map(|pair| read_repeat(pair, &call.order)).collect();
            let mut repeats = repeats.ok_or_else(|| unreadable(answer))?;
            repeats.sort_by_key(|repeat| repeat.index);
            Outcome::Repeated(repeats)
        }
        ["moved", ""] => Outcome::Moved(None),
        ["moved", _] => Outcome::Moved(Some(parse_watermark(state, &parts[1])?)),
        ["corrupt", key, detail] => {
            return Err(StoreError::Corrupt { key: (*key).to_owned(), detail: (*detail).to_owned() });
        }
        _ => return Err(unreadable(answer)),
    };
    Ok(Some(outcome))
}

fn read_repeat(pair: &[&str], order: &[usize]) -> Option<Repeat> {
    let [place, conflict] = pair else { return None };
    Some(Repeat { index: *order.get(place.parse::<usize>().ok()?)?, conflict: *conflict == "1" })
}

fn unreadable(answer: &Value) -> StoreError {
    StoreError::Unusable(format!("redis gave an answer that the script never gives: {answer:?}"))
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

/// All texts in an answer, however nested: a cluster answers INFO once a node.
fn collect_texts<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::Array(parts) => parts.iter().for_each(|part| collect_texts(part, texts)),
        Value::Map(pairs) => pairs.iter().for_each(|(_, part)| collect_texts(part, texts)),
        other => texts.extend(text(other)),
    }
}
