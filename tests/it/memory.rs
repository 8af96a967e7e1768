//! The in-memory twin of `apply.lua`: the same contract and the same keys, in plain maps.
//!
//! For tests and as the script's second author: a test holds both to the same content, key by key.

mod draft;
mod months;
mod outputs;
mod quotas;
mod seen;
pub(crate) mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::counters::Overflow;
use indelible::domain::delta::OfTenant;
use indelible::domain::position::{Position, TopicPartition};
use indelible::domain::seen::{Expired, SeenId};
use indelible::quota::plans::Plans;
use indelible::store::call::MOST_EVENTS;
use indelible::store::keys::{self, Keyspace};
use indelible::store::{
    Capped, Caps, Checked, Flush, Ledger, Outcome, Prepared, Repeat, Retention, Standing, StoreError, Stretch,
};

use draft::{Draft, keep};
use outputs::Moves;

/// A stored value. Numbers in hashes are kept as texts, as Redis does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Hash(BTreeMap<String, String>),
    Bytes(Vec<u8>),
    Scored(BTreeMap<String, i64>),
    Set(BTreeSet<String>),
}

/// All keys of a namespace.
pub(crate) type Content = BTreeMap<String, Entry>;

/// A ledger in maps.
#[derive(Debug)]
pub(crate) struct MemoryLedger {
    keyspace: Keyspace,
    retention: Retention,
    caps: Caps,
    /// Whose thresholds are watched.
    plans: Option<Plans>,
    content: Mutex<Content>,
}

impl MemoryLedger {
    pub(crate) fn new(keyspace: Keyspace, retention: Retention) -> Self {
        Self { keyspace, retention, caps: Caps::STANDARD, plans: None, content: Mutex::default() }
    }

    pub(crate) fn with_caps(mut self, caps: Caps) -> Self {
        self.caps = caps;
        self
    }

    pub(crate) fn watching(mut self, plans: Plans) -> Self {
        self.plans = Some(plans);
        self
    }

    /// A copy of all that is stored.
    pub(crate) fn content(&self) -> Content {
        self.lock().clone()
    }

    /// Puts another content in its place.
    pub(crate) fn restore(&self, content: Content) {
        *self.lock() = content;
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_now(&self, flush: &Flush) -> Outcome {
        if flush.seen.len() > MOST_EVENTS {
            return Outcome::TooLarge;
        }
        let mut stored = self.lock();
        let of = |stretch: &Stretch| self.watermark(&stored, flush.bucket, &keys::watermark_field(&stretch.partition));
        let watermarks: Vec<_> = flush.stretches.iter().map(of).collect();
        if flush.stretches.iter().map(|stretch| stretch.from).ne(watermarks.iter().copied()) {
            return Outcome::Moved(watermarks);
        }
        if self.repeats(&stored, flush.bucket, &flush.repeats).len() < flush.repeats.len() {
            return Outcome::NotRepeated;
        }
        let repeats = self.repeats(&stored, flush.bucket, &flush.seen);
        if !repeats.is_empty() {
            return Outcome::Repeated(repeats);
        }
        let mut draft = Draft::of(&stored);
        match self.add(&mut draft, flush) {
            Ok((expired, capped, notices)) => {
                let changed = draft.changed;
                keep(&mut stored, changed);
                Outcome::Applied { expired, capped, notices }
            }
            Err(Overflow) => Outcome::TooLarge,
        }
    }

    fn watermark(&self, stored: &Content, bucket: Bucket, field: &str) -> Option<Position> {
        match stored.get(&self.keyspace.state(bucket))? {
            Entry::Hash(fields) => fields.get(field)?.parse().ok(),
            _ => None,
        }
    }

    fn add(&self, draft: &mut Draft<'_>, flush: &Flush) -> Result<(Option<Expired>, Capped, usize), Overflow> {
        let state = self.keyspace.state(flush.bucket);
        self.remember(draft, flush)?;
        let (mut capped, mut notices) = (Capped::default(), 0);
        self.assign(draft, flush);
        self.add_mismatches(draft, flush)?;
        for ((tenant, month), OfTenant { added, users }) in &flush.delta.tenants {
            let mut users: Vec<_> = users.iter().collect();
            users.sort_by_key(|(user, _)| *user);
            notices += self.add_month(draft, (tenant, *month), added, users, &mut capped)?;
        }
        let mut moves = Moves::new();
        for change in &flush.delta.outputs {
            capped.outputs += i64::from(self.change_output(draft, &mut moves, change));
        }
        for ((key, field), amount) in moves {
            draft.increment_unless_0(&key, field, amount)?;
        }
        draft.increment(&state, "applied".to_owned(), flush.seen.len() as i64)?;
        for stretch in &flush.stretches {
            let log = keys::log_field(&stretch.partition);
            let passed = draft.hash(&state).get(&log).and_then(|text| text.parse().ok()).unwrap_or(i64::MIN);
            draft.hash(&state).insert(log, stretch.log_time.0.max(passed).to_string());
            draft.hash(&state).insert(keys::watermark_field(&stretch.partition), stretch.to.to_string());
            let unrated = keys::unrated_field(&stretch.partition);
            draft.hash(&state).remove(&unrated);
            if let Some(priced) = stretch.unrated() {
                draft.hash(&state).insert(unrated, priced.to_string());
            }
        }
        Ok((if flush.tidies { self.expire(draft, flush) } else { None }, capped, notices))
    }
}

impl Ledger for MemoryLedger {
    async fn prepare(&self) -> Result<Prepared, StoreError> {
        Ok(Prepared::default())
    }

    async fn check(&self) -> Result<Checked, StoreError> {
        Ok(Checked::default())
    }

    async fn standing(&self, partition: &TopicPartition) -> Result<Standing, StoreError> {
        let (stored, mark, log) = (self.lock(), keys::watermark_field(partition), keys::log_field(partition));
        let watermarks = Bucket::all().map(|bucket| self.watermark(&stored, bucket, &mark)).collect();
        let states = || Bucket::all().map(|bucket| stored.get(&self.keyspace.state(bucket)));
        let log_time = |state: Option<&Entry>| match state? {
            Entry::Hash(fields) => fields.get(&log)?.parse().ok(),
            _ => None,
        };
        let unrated = keys::unrated_field(partition);
        let unrated = |state: Option<&Entry>| match state? {
            Entry::Hash(fields) => Some(fields.get(&unrated)?.parse().expect("requests")),
            _ => None,
        };
        let unrated = states().map(unrated).collect();
        let log_times = states().map(|state| TimeMs(log_time(state).unwrap_or(0))).collect();
        Ok(Standing { watermarks, log_times, unrated, unfinished: false })
    }

    async fn supposed(&self, bucket: Bucket, seen: &[SeenId]) -> Vec<Repeat> {
        self.repeats(&self.lock(), bucket, seen)
    }

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        Ok(self.apply_now(flush))
    }

    async fn keep_prices(&self, version: &str, text: &str) -> Result<(), StoreError> {
        let text = Entry::Bytes(text.as_bytes().to_vec());
        self.lock().entry(self.keyspace.prices(version)).or_insert(text);
        Ok(())
    }

    async fn prices(&self, version: &str) -> Result<Option<String>, StoreError> {
        match self.lock().get(&self.keyspace.prices(version)) {
            Some(Entry::Bytes(text)) => Ok(Some(String::from_utf8(text.clone()).expect("text"))),
            _ => Ok(None),
        }
    }
}
