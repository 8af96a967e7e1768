//! The in-memory twin of `apply.lua`: the same contract and the same keys, in plain maps.
//!
//! For tests and as the script's second author: a test holds both to the same content, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::{Month, TimeMs};
use crate::domain::counters::{Counters, Overflow};
use crate::domain::delta::{MonthDelta, OutputChange, OutputVerb, Scope};
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::{Generation, SHARDS, SeenId};

use super::call::{COUNTER_FIELDS, Call, DAY_FIELDS};
use super::keys::{self, Keyspace};
use super::{Flush, Ledger, Outcome, Repeat, Retention, StoreError};

/// A stored value. Numbers in hashes are kept as texts, as Redis does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Hash(BTreeMap<String, String>),
    Scored(BTreeMap<String, i64>),
    Set(BTreeSet<String>),
}

/// All keys of a namespace.
pub type Content = BTreeMap<String, Entry>;

/// A ledger in maps.
#[derive(Debug)]
pub struct MemoryLedger {
    keyspace: Keyspace,
    retention: Retention,
    content: Mutex<Content>,
}

impl MemoryLedger {
    #[must_use]
    pub fn new(keyspace: Keyspace, retention: Retention) -> Self {
        Self { keyspace, retention, content: Mutex::default() }
    }

    /// A copy of all that is stored.
    #[must_use]
    pub fn content(&self) -> Content {
        self.lock().clone()
    }

    /// Puts all that was stored back as it was.
    pub fn restore(&self, content: Content) {
        *self.lock() = content;
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_now(&self, flush: &Flush) -> Outcome {
        // The same bounds as the script's; what passes them is then added field by field.
        if Call::of(flush, &self.keyspace, self.retention).is_err() {
            return Outcome::TooLarge;
        }
        let mut stored = self.lock();
        let state = self.keyspace.state(flush.bucket);
        let watermark = stored.hash(&state).get(&keys::watermark_field(&flush.partition)).cloned();
        let watermark: Option<Position> = watermark.and_then(|text| text.parse().ok());
        if watermark != flush.from {
            return Outcome::Moved(watermark);
        }
        let repeats = self.repeats(&mut stored, flush);
        if !repeats.is_empty() {
            return Outcome::Repeated(repeats);
        }
        // All is added to a copy: a sum that overflows half-way must leave nothing behind.
        let mut next = stored.clone();
        match self.add(&mut next, flush) {
            Ok(expired) => {
                *stored = next;
                Outcome::Applied { expired }
            }
            Err(Overflow) => Outcome::TooLarge,
        }
    }

    fn repeats(&self, stored: &mut Content, flush: &Flush) -> Vec<Repeat> {
        let known = |index, seen: &SeenId| {
            Generation::within(seen.at, self.retention.seen_ms).find_map(|generation| {
                let key = self.keyspace.seen(flush.bucket, Generation(generation), seen.shard);
                let Some(Entry::Set(members)) = stored.get(&key) else { return None };
                let conflict = !members.contains(&seen.content.to_string());
                members.contains(&seen.id.to_string()).then_some(Repeat { index, conflict })
            })
        };
        flush.seen.iter().enumerate().filter_map(|(index, seen)| known(index, seen)).collect()
    }

    fn add(&self, next: &mut Content, flush: &Flush) -> Result<Option<Generation>, Overflow> {
        let state = self.keyspace.state(flush.bucket);
        for seen in &flush.seen {
            let generation = Generation::of(seen.at);
            let shard = self.keyspace.seen(flush.bucket, generation, seen.shard);
            next.set(&shard).extend([seen.id.to_string(), seen.content.to_string()]);
            next.increment(&state, format!("generation:{}", generation.0), 1)?;
        }
        for ((scope, month), delta) in &flush.delta.months {
            self.add_month(next, scope, *month, delta)?;
        }
        for change in &flush.delta.outputs {
            self.change_output(next, change)?;
        }
        next.increment(&state, "applied".to_owned(), flush.seen.len() as i64)?;
        let log = keys::log_field(&flush.partition);
        let passed = next.hash(&state).get(&log).and_then(|text| text.parse().ok()).unwrap_or(i64::MIN);
        next.hash(&state).insert(log, flush.log_time.0.max(passed).to_string());
        next.hash(&state).insert(keys::watermark_field(&flush.partition), flush.to.to_string());
        Ok(if flush.seen.is_empty() { self.expire(next, flush) } else { None })
    }

    fn add_month(&self, next: &mut Content, scope: &Scope, month: Month, delta: &MonthDelta) -> Result<(), Overflow> {
        let key = self.keyspace.month(scope, month);
        for (group, counters) in &delta.usage.groups {
            let number = next.group_number(&key, &keys::group_name(group));
            for (field, of) in COUNTER_FIELDS {
                next.increment_unless_0(&key, format!("{number}:{field}"), of(counters))?;
            }
        }
        for (tool, calls) in &delta.usage.tools {
            next.increment_unless_0(&key, format!("tool:{}", keys::encode(tool.as_str())), *calls)?;
        }
        let days = self.keyspace.days(scope, month);
        for (day, usage) in &delta.days {
            for (field, of) in DAY_FIELDS {
                next.increment_unless_0(&days, format!("{day:02}:{field}"), of(usage))?;
            }
        }
        match &scope.user {
            Some(user) => {
                let cost = delta.usage.groups.values().map(|counters: &Counters| counters.cost.0).sum::<i64>();
                *next.scored(&self.keyspace.users(&scope.tenant, month)).entry(user.to_string()).or_default() += cost;
            }
            None => drop(next.set(&self.keyspace.months(&scope.tenant)).insert(month.to_string())),
        }
        Ok(())
    }

    fn change_output(&self, next: &mut Content, change: &OutputChange) -> Result<(), Overflow> {
        let (kind, id) = (keys::encode(change.output.kind.as_str()), change.output.id.to_string());
        let saved_key = self.keyspace.saved(&change.tenant, &change.user, &change.output.kind);
        let tombstones = self.keyspace.tombstones(Bucket::of(&change.tenant));
        let counts = self.keyspace.saved_counts(&change.tenant);
        let [tenant, user, encoded_id] = [change.tenant.as_str(), change.user.as_str(), &id].map(keys::encode);
        let member = format!("{tenant}:{user}:{kind}:{encoded_id}");
        let (dead, early) = (format!("deleted:{member}"), format!("early:{member}"));
        let month = |time: TimeMs| format!("{kind}:{}", Month::of(time.to_utc()));
        let saved = next.scored_at(&saved_key, &id);
        match (change.verb, next.scored_at(&tombstones, &dead), saved) {
            (OutputVerb::Created, Some(_), _) => {
                if next.remove_scored(&tombstones, &early) {
                    next.increment(&counts, format!("{kind}:created"), 1)?;
                }
            }
            (OutputVerb::Created, None, None) => {
                next.scored(&saved_key).insert(id, change.time.0);
                next.increment(&counts, format!("{kind}:created"), 1)?;
                next.increment(&counts, month(change.time), 1)?;
            }
            (OutputVerb::Created, None, Some(before)) if change.time.0 < before => {
                next.scored(&saved_key).insert(id, change.time.0);
                if month(TimeMs(before)) != month(change.time) {
                    next.increment(&counts, month(TimeMs(before)), -1)?;
                    next.increment(&counts, month(change.time), 1)?;
                }
            }
            (OutputVerb::Created, None, Some(_)) => {}
            (OutputVerb::Deleted, Some(before), _) => {
                next.scored(&tombstones).insert(dead, before.max(change.log_time.0));
            }
            (OutputVerb::Deleted, None, saved) => {
                next.scored(&tombstones).insert(dead, change.log_time.0);
                next.increment(&counts, format!("{kind}:deleted"), 1)?;
                if let Some(created) = saved {
                    next.remove_scored(&saved_key, &id);
                    next.increment(&counts, month(TimeMs(created)), -1)?;
                } else {
                    next.scored(&tombstones).insert(early, change.log_time.0);
                }
            }
        }
        Ok(())
    }

    fn expire(&self, next: &mut Content, flush: &Flush) -> Option<Generation> {
        let state = self.keyspace.state(flush.bucket);
        let logs = next.hash(&state).iter().filter(|(field, _)| field.starts_with("log:"));
        let passed = TimeMs(logs.filter_map(|(_, time)| time.parse().ok()).min()?);
        let tombstones = self.keyspace.tombstones(flush.bucket);
        let old = passed.0 - self.retention.tombstones_ms;
        next.scored(&tombstones).retain(|_, log_time| *log_time >= old);
        next.remove_if_empty(&tombstones);
        if let Some(generation) = flush.expire.filter(|one| passed >= one.expires(self.retention.seen_ms)) {
            next.hash(&state).remove(&format!("generation:{}", generation.0));
            (0..SHARDS).for_each(|shard| drop(next.remove(&self.keyspace.seen(flush.bucket, generation, shard))));
        }
        let generations = next.hash(&state).keys().filter_map(|field| field.strip_prefix("generation:")?.parse().ok());
        generations.map(Generation).filter(|one| passed >= one.expires(self.retention.seen_ms)).min()
    }
}

/// The few commands that the script uses. A key of another type than asked for is a mistake of this file.
trait Commands {
    fn hash(&mut self, key: &str) -> &mut BTreeMap<String, String>;
    fn scored(&mut self, key: &str) -> &mut BTreeMap<String, i64>;
    fn set(&mut self, key: &str) -> &mut BTreeSet<String>;
    fn remove_if_empty(&mut self, key: &str);

    fn increment(&mut self, key: &str, field: String, amount: i64) -> Result<(), Overflow> {
        let value = self.hash(key).entry(field).or_insert_with(|| "0".to_owned());
        let sum: i64 = value.parse().map_err(|_| Overflow)?;
        *value = sum.checked_add(amount).ok_or(Overflow)?.to_string();
        Ok(())
    }

    fn increment_unless_0(&mut self, key: &str, field: String, amount: i64) -> Result<(), Overflow> {
        if amount == 0 { Ok(()) } else { self.increment(key, field, amount) }
    }

    fn group_number(&mut self, key: &str, name: &str) -> String {
        let hash = self.hash(key);
        let field = format!("group:{name}");
        if let Some(number) = hash.get(&field) {
            return number.clone();
        }
        let last = hash.get("groups").and_then(|number| number.parse::<i64>().ok()).unwrap_or(0);
        let number = (last + 1).to_string();
        hash.insert(field, number.clone());
        hash.insert("groups".to_owned(), number.clone());
        number
    }

    fn scored_at(&mut self, key: &str, member: &str) -> Option<i64> {
        let score = self.scored(key).get(member).copied();
        self.remove_if_empty(key);
        score
    }

    fn remove_scored(&mut self, key: &str, member: &str) -> bool {
        let removed = self.scored(key).remove(member).is_some();
        self.remove_if_empty(key);
        removed
    }
}

macro_rules! typed {
    ($self:ident, $key:ident, $variant:ident) => {
        match $self.entry($key.to_owned()).or_insert_with(|| Entry::$variant(Default::default())) {
            Entry::$variant(found) => found,
            other => panic!("the key {} is used as another type: {other:?}", $key),
        }
    };
}

impl Commands for Content {
    fn hash(&mut self, key: &str) -> &mut BTreeMap<String, String> {
        typed!(self, key, Hash)
    }

    fn scored(&mut self, key: &str) -> &mut BTreeMap<String, i64> {
        typed!(self, key, Scored)
    }

    fn set(&mut self, key: &str) -> &mut BTreeSet<String> {
        typed!(self, key, Set)
    }

    fn remove_if_empty(&mut self, key: &str) {
        if matches!(self.get(key), Some(Entry::Scored(members)) if members.is_empty()) {
            self.remove(key);
        }
    }
}

impl Ledger for MemoryLedger {
    async fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn watermarks(&self, partition: &TopicPartition) -> Result<Vec<Option<Position>>, StoreError> {
        let (mut stored, field) = (self.lock(), keys::watermark_field(partition));
        let watermark = |bucket| stored.hash(&self.keyspace.state(bucket)).get(&field)?.parse().ok();
        Ok(Bucket::all().map(watermark).collect())
    }

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        Ok(self.apply_now(flush))
    }
}
