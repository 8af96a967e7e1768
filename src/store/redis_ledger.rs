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
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::{Expired, SeenId};

use super::call::{Call, Frame, MOST_EVENTS, MOST_STRETCHES};
use super::draft::{Ask, Draft, Halfway, Rules};
use super::kept::{After, Kept};
use super::keys::{self, Keyspace};
use super::link::{Link, is_no_script};
use super::mirror::Mirror;
use super::namespace::Namespace;
use super::reply::{self, parse_watermark, text, unreadable};
use super::seen_log;
use super::{Capped, Caps, Checked, Flush, Ledger, Outcome, Prepared, Repeat, Retention, Standing, StoreError};
use crate::quota::plans::Plans;

/// The script that applies a flush: what reads its arguments, and what it does with them.
pub const APPLY: &str = concat!(include_str!("call.lua"), include_str!("apply.lua"));

/// How often a flush is read and added anew because another worker came between. Each time that happens, the other
/// has got on; with so many in a row something is wrong.
const MOST_READINGS: usize = 100;

pub struct RedisLedger {
    pub(super) link: Arc<Link>,
    pub(super) frame: Frame,
    namespace: Namespace,
    script: Arc<str>,
    sha: Arc<str>,
    stamps: Stamps,
    /// Whose thresholds are watched; none where nobody is to be told.
    watched: Option<Arc<ArcSwap<Plans>>>,
    /// By bucket. Two flushes of this process would only get into each other's way, so whoever applies one holds it.
    known: Vec<Mutex<Known>>,
    /// How many ids each bucket's mirror had when it was last free to be asked.
    ids: Vec<AtomicU64>,
}

/// What this worker knows of a bucket.
#[derive(Debug, Default)]
struct Known {
    ids: Mirror,
    months: Kept,
}

impl RedisLedger {
    pub fn new(link: Arc<Link>, keyspace: Keyspace, retention: Retention, group: &str) -> Self {
        let namespace = Namespace::new(Arc::clone(&link), keyspace.clone(), group);
        let frame = Frame { keyspace, retention, caps: Caps::STANDARD };
        let known = Bucket::all().map(|_| Mutex::default()).collect();
        let ids = Bucket::all().map(|_| AtomicU64::default()).collect();
        let stamps = Stamps::default();
        Self { link, frame, namespace, script: "".into(), sha: "".into(), stamps, watched: None, known, ids }
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

    /// Waits for no flush: one that Redis does not answer holds its mirror for seconds.
    fn ids_held(&self) -> u64 {
        let ids = |(known, ids): (&Mutex<Known>, &AtomicU64)| {
            known.try_lock().into_iter().for_each(|known| ids.store(known.ids.ids(), Ordering::Relaxed));
            ids.load(Ordering::Relaxed)
        };
        self.known.iter().zip(&self.ids).map(ids).sum()
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
        read_outcome(&answer, flush, &self.frame.keyspace.state(flush.bucket))
    }

    /// Reads what the flush adds to, and adds: the call that writes it, unless the outcome is plain already.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn prepare_call(&self, flush: &Flush) -> Result<Result<(Call, Noted), Outcome>, StoreError> {
        let mut known = self.known[flush.bucket.index()].lock().await;
        let prepared = self.prepare(flush, &mut known).await?;
        Ok(prepared.map(|Ready { call, noted, .. }| (call, noted)))
    }

    async fn prepare(&self, flush: &Flush, known: &mut Known) -> Result<Result<Ready, Outcome>, StoreError> {
        if flush.seen.len() > MOST_EVENTS || flush.stretches.len() > MOST_STRETCHES {
            return Ok(Err(Outcome::TooLarge));
        }
        let next_stamp = self.stamps.next();
        if flush.seen.is_empty() && flush.repeats.is_empty() {
            // Nothing is added, so nothing that is stored matters.
            let call = Call::of(flush, &Draft::default(), &self.frame, &next_stamp);
            return Ok(Ok(Ready { call, noted: Noted::default(), stamp: String::new(), after: After::default() }));
        }
        let plans = self.watched.as_ref().map(|plans| plans.load());
        let watched = plans.as_ref().map(|plans| &***plans);
        let rules = Rules { keyspace: &self.frame.keyspace, caps: &self.frame.caps, watched };
        let found = self.ask(flush, rules, known).await?;
        if found.has_moved(flush) {
            return Ok(Err(Outcome::Moved(found.watermarks)));
        }
        let repeats_of = |seen: &[SeenId]| known.ids.repeats(seen, self.frame.retention.seen_ms);
        if repeats_of(&flush.repeats).len() < flush.repeats.len() {
            return Ok(Err(Outcome::NotRepeated));
        }
        let repeats = repeats_of(&flush.seen);
        if !repeats.is_empty() {
            return Ok(Err(Outcome::Repeated(repeats)));
        }
        let second = found.second();
        let answers = if second.is_empty() { Vec::new() } else { self.link.pipeline(&second).await? };
        let mut draft = found.add(answers)?;
        if draft.overflows {
            return Ok(Err(Outcome::TooLarge));
        }
        let noted = Noted { capped: draft.capped, notices: draft.notices };
        let (call, after) = (Call::of(flush, &draft, &self.frame, &next_stamp), std::mem::take(&mut draft.after));
        Ok(Ok(Ready { call, noted, stamp: next_stamp, after }))
    }

    /// What is stored of all that the flush adds to, with a copy of the bucket's ids that is one.
    async fn ask<'f>(&self, flush: &'f Flush, rules: Rules<'f>, known: &mut Known) -> Result<Halfway<'f>, StoreError> {
        let mut damaged: Option<(String, StoreError)> = None;
        for _ in 0..MOST_READINGS {
            let ask = Ask::of(flush, rules, &mut known.months);
            let answers = self.link.pipeline(&ask.pipeline()).await?;
            let found = ask.read(answers)?;
            if found.has_moved(flush) {
                // Nothing will be added, and the logs may be those of a time that this worker knows nothing of.
                return Ok(found);
            }
            let used = known.months.is_alone();
            if !known.months.is_of(&found.stamp) && used {
                continue;
            }
            match self.copy(flush, &found.logs, &mut known.ids).await? {
                Ok(()) => return Ok(found),
                // The same twice, and no copy of it can be made.
                Err(error) if damaged.as_ref().is_some_and(|(stamp, _)| *stamp == found.stamp) => return Err(error),
                // Another worker, or Redis itself, may have come between the two readings.
                Err(error) => damaged = Some((found.stamp.clone(), error)),
            }
        }
        Err(came_between())
    }
}

fn came_between() -> StoreError {
    StoreError::Refused(format!("other workers came between {MOST_READINGS} times in a row"))
}

fn command(verb: &str, script: &str, call: &Call) -> Cmd {
    let arguments = || call.keys.iter().chain(call.args.iter());
    // With room for all, and for verb, digest and number: to grow moves all of a large call several times.
    let size: usize = arguments().map(<[u8]>::len).sum();
    let mut command = Cmd::with_capacity(arguments().count() + 3, size + 64);
    command.arg(verb).arg(script).arg(call.keys.len());
    arguments().for_each(|argument| {
        command.arg(argument);
    });
    command
}

impl Ledger for RedisLedger {
    async fn prepare(&self) -> Result<Prepared, StoreError> {
        self.namespace.prepare().await
    }

    async fn check(&self) -> Result<Checked, StoreError> {
        Ok(Checked { seen_ids: self.ids_held(), ..self.namespace.check().await? })
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

    async fn supposed(&self, bucket: Bucket, seen: &[SeenId]) -> Vec<Repeat> {
        self.known[bucket.index()].lock().await.ids.repeats(seen, self.frame.retention.seen_ms)
    }

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        let mut known = self.known[flush.bucket.index()].lock().await;
        for _ in 0..MOST_READINGS {
            let Ready { call, noted, stamp, after } = match self.prepare(flush, &mut known).await? {
                Ok(ready) => ready,
                Err(outcome) => return Ok(outcome),
            };
            if let Some(outcome) = self.send(flush, &call).await? {
                if matches!(outcome, Outcome::Applied { .. }) {
                    known.ids.note(&flush.seen);
                    flush.expire.into_iter().for_each(|expired| known.ids.forget(expired.generation));
                    if !flush.seen.is_empty() {
                        known.months.note(stamp, after);
                    }
                }
                return Ok(with_noted(outcome, noted));
            }
        }
        Err(came_between())
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

/// A call that can be sent, and what is so once it is applied.
struct Ready {
    call: Call,
    noted: Noted,
    stamp: String,
    after: After,
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
fn read_outcome(answer: &Value, flush: &Flush, state: &str) -> Result<Option<Outcome>, StoreError> {
    let Value::Array(parts) = answer else { return Err(unreadable(answer)) };
    // What is no text has been stored by someone else, and is shown as it is.
    let texts: Vec<&str> = parts.iter().map(|part| text(part).unwrap_or("?")).collect();
    let outcome = match texts.as_slice() {
        ["stale"] => return Ok(None),
        ["applied", expired, others] => {
            let outputs = others.parse().map_err(|_| unreadable(answer))?;
            // The chunks of a log go in several parts.
            let oldest = seen_log::expired(expired);
            let rest = flush.expire.filter(|_| flush.tidies).and_then(Expired::next);
            let expired =
                rest.filter(|rest| oldest.is_some_and(|oldest| oldest.generation == rest.generation)).or(oldest);
            Outcome::Applied { expired, capped: Capped { outputs, ..Capped::default() }, notices: 0 }
        }
        ["moved", ..] => Outcome::Moved(read_watermarks(&parts[1..], state)?),
        ["corrupt", key, detail] => {
            return Err(StoreError::Corrupt { key: (*key).to_owned(), detail: (*detail).to_owned() });
        }
        _ => return Err(unreadable(answer)),
    };
    Ok(Some(outcome))
}

fn read_watermarks(stored: &[Value], state: &str) -> Result<Vec<Option<Position>>, StoreError> {
    let one = |value: &Value| if text(value) == Some("") { Ok(None) } else { parse_watermark(state, value).map(Some) };
    stored.iter().map(one).collect()
}
