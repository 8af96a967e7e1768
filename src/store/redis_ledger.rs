//! The worker's side in Redis: watermarks, and flushes by `call.lua` and `apply.lua`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use futures::future::try_join_all;
use redis::{Cmd, Value, cmd};
use tokio::sync::Mutex;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::position::TopicPartition;
use crate::domain::seen::{Expired, Generation, SeenId, Tier};

use super::call::{Call, Frame, MOST_EVENTS};
use super::draft::{Ask, Draft, Rules};
use super::keys::{self, Keyspace};
use super::link::{Link, is_no_script};
use super::namespace::Namespace;
use super::reply::{self, parse_watermark, text, unreadable};
use super::{Capped, Caps, Flush, Ledger, Outcome, Prepared, Repeat, Retention, Standing, StoreError, tiers};
use crate::quota::plans::Plans;

/// The script that applies a flush: what reads its arguments, and what it does with them.
pub const APPLY: &str = concat!(include_str!("call.lua"), include_str!("apply.lua"));

/// How often a flush is read and added anew because another worker came between. Each time that happens, the other
/// has got on; with so many in a row something is wrong.
const MOST_READINGS: usize = 100;

pub struct RedisLedger {
    link: Arc<Link>,
    frame: Frame,
    namespace: Namespace,
    script: Arc<str>,
    sha: Arc<str>,
    stamps: Stamps,
    /// Whose thresholds are watched; none where nobody is to be told.
    watched: Option<Arc<ArcSwap<Plans>>>,
    /// By bucket: two flushes of this process would only get into each other's way.
    turns: Vec<Mutex<()>>,
}

impl RedisLedger {
    pub fn new(link: Arc<Link>, keyspace: Keyspace, retention: Retention, group: &str) -> Self {
        let namespace = Namespace::new(Arc::clone(&link), keyspace.clone(), group);
        let frame = Frame { keyspace, retention, caps: Caps::STANDARD };
        let turns = Bucket::all().map(|_| Mutex::default()).collect();
        let stamps = Stamps::default();
        Self { link, frame, namespace, script: "".into(), sha: "".into(), stamps, watched: None, turns }
            .with_script(APPLY)
    }

    /// Other caps in the place of [`Caps::STANDARD`].
    pub fn with_caps(mut self, caps: Caps) -> Self {
        self.frame.caps = caps;
        self
    }

    /// Has thresholds watched, and a notice put into the outbox for each that is passed.
    pub fn watching(mut self, plans: Arc<ArcSwap<Plans>>) -> Self {
        self.watched = Some(plans);
        self
    }

    /// Has the first [`Ledger::prepare`] take the namespace from another group.
    pub fn taking_over(self, takeover: bool) -> Self {
        if takeover {
            self.namespace.take_over();
        }
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
    pub async fn prepare_call(&self, flush: &Flush) -> Result<Result<(Call, Noted), Outcome>, StoreError> {
        if flush.seen.len() > MOST_EVENTS {
            return Ok(Err(Outcome::TooLarge));
        }
        let next_stamp = self.stamps.next();
        if flush.seen.is_empty() {
            // Nothing is added, so nothing that is stored matters.
            let call = Call::of(flush, &Draft::default(), &self.frame, &next_stamp, Tier::SMALLEST);
            return Ok(Ok((call, Noted::default())));
        }
        let keyspace = &self.frame.keyspace;
        let plans = self.watched.as_ref().map(|plans| plans.load());
        let rules = Rules { keyspace, caps: &self.frame.caps, watched: plans.as_ref().map(|plans| &***plans) };
        let ask = Ask::of(flush, rules);
        let answers = self.link.pipeline(&ask.pipeline()).await?;
        let found = ask.read(answers)?;
        if found.watermark != flush.from {
            return Ok(Err(Outcome::Moved(found.watermark)));
        }
        let crowds = found.crowds();
        let shared =
            if crowds.is_empty() { Vec::new() } else { self.texts(crowds.iter().map(|crowd| &crowd.key)).await? };
        let draft = found.add(&crowds, shared)?;
        let first_tier = self.first_tier(flush, &draft).await?;
        let noted = Noted { capped: draft.capped, notices: draft.notices };
        Ok(Ok((Call::of(flush, &draft, &self.frame, &next_stamp, first_tier), noted)))
    }

    async fn texts(&self, keys: impl Iterator<Item = &String>) -> Result<Vec<Option<String>>, StoreError> {
        let keys: Vec<_> = keys.collect();
        let values = self.link.query(cmd("MGET").arg(&keys)).await?;
        reply::read(values, keys[0])
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
            reply::read(self.link.query(cmd("HMGET").arg(&state).arg(fields)).await?, &state)?;
        Ok(Tier::holding(sizes.into_iter().flatten().sum()))
    }
}

fn command(verb: &str, script: &str, call: &Call) -> Cmd {
    let mut command = cmd(verb);
    command.arg(script).arg(call.keys.len()).arg(&call.keys).arg(&call.args);
    command
}

impl Ledger for RedisLedger {
    async fn prepare(&self) -> Result<Prepared, StoreError> {
        self.namespace.prepare().await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.namespace.check().await
    }

    async fn standing(&self, partition: &TopicPartition) -> Result<Standing, StoreError> {
        let fields = [
            keys::watermark_field(partition),
            keys::log_field(partition),
            keys::resume_field(partition),
            keys::unrated_field(partition),
        ];
        let stands = try_join_all(Bucket::all().map(|bucket| {
            let (state, fields) = (self.frame.keyspace.state(bucket), &fields);
            async move {
                let stored = self.link.query(cmd("HMGET").arg(&state).arg(fields)).await?;
                let Value::Array(stored) = &stored else { return Err(unreadable(&stored)) };
                let [watermark, log_time, resume, unrated] = stored.as_slice() else {
                    return Err(unreadable(&Value::Nil));
                };
                let watermark = (*watermark != Value::Nil).then(|| parse_watermark(&state, watermark)).transpose()?;
                let log_time = text(log_time).and_then(|log_time| log_time.parse().ok()).unwrap_or(0);
                let unrated =
                    text(unrated).map(|text| text.parse().map_err(|_| reply::damaged(&state, keys::UNRATED, text)));
                Ok((watermark, TimeMs(log_time), *resume != Value::Nil, unrated.transpose()?))
            }
        }))
        .await?;
        Ok(Standing {
            watermarks: stands.iter().map(|(watermark, ..)| *watermark).collect(),
            log_times: stands.iter().map(|(_, log_time, ..)| *log_time).collect(),
            unfinished: stands.iter().any(|(_, _, unfinished, _)| *unfinished),
            unrated: stands.into_iter().map(|(.., unrated)| unrated).collect(),
        })
    }

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        let _turn = self.turns[flush.bucket.index()].lock().await;
        for _ in 0..MOST_READINGS {
            let (call, noted) = match self.prepare_call(flush).await? {
                Ok(prepared) => prepared,
                Err(outcome) => return Ok(outcome),
            };
            if let Some(outcome) = self.send(flush, &call).await? {
                return Ok(with_noted(outcome, noted));
            }
        }
        Err(StoreError::Refused(format!("other workers came between {MOST_READINGS} times in a row")))
    }

    async fn keep_prices(&self, version: &str, prices: &str) -> Result<(), StoreError> {
        let key = self.frame.keyspace.prices(version);
        self.link.query(cmd("SET").arg(key).arg(prices).arg("NX")).await.map(drop)
    }

    async fn prices(&self, version: &str) -> Result<Option<String>, StoreError> {
        let key = self.frame.keyspace.prices(version);
        reply::read(self.link.query(cmd("GET").arg(&key)).await?, &key)
    }
}

/// What a call will have done, if it is applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Noted {
    pub capped: Capped,
    pub notices: usize,
}

fn with_noted(outcome: Outcome, noted: Noted) -> Outcome {
    match outcome {
        // Outputs are the script's to know.
        Outcome::Applied { expired, capped, .. } => {
            let capped = Capped { outputs: capped.outputs, ..noted.capped };
            Outcome::Applied { expired, capped, notices: noted.notices }
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
            Outcome::Applied { expired, capped: Capped { outputs, ..Capped::default() }, notices: 0 }
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
