//! The in-memory twin of `apply.lua`: the same contract and the same keys, in plain maps.
//!
//! For tests and as the script's second author: a test holds both to the same content, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::{Month, TimeMs};
use indelible::domain::counters::Overflow;
use indelible::domain::delta::{MonthDelta, OutputChange, OutputVerb, Scope};
use indelible::domain::position::{Position, TopicPartition};
use indelible::domain::seen::{Generation, SHARDS, SeenId};

use indelible::store::call::{COUNTER_FIELDS, Call, DAY_FIELDS, MOST_AMOUNT};
use indelible::store::keys::{self, Keyspace};
use indelible::store::{Flush, Ledger, Outcome, Prepared, Repeat, Retention, Standing, StoreError};

/// A stored value. Numbers in hashes are kept as texts, as Redis does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Hash(BTreeMap<String, String>),
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
    content: Mutex<Content>,
}

impl MemoryLedger {
    pub(crate) fn new(keyspace: Keyspace, retention: Retention) -> Self {
        Self { keyspace, retention, content: Mutex::default() }
    }

    /// A copy of all that is stored.
    pub(crate) fn content(&self) -> Content {
        self.lock().clone()
    }

    /// Puts another content in its place.
    pub(crate) fn restore(&self, content: Content) {
        *self.lock() = content;
    }

    /// The first log time at which no window reaches back into the generation.
    fn expires(&self, generation: Generation) -> TimeMs {
        let reached_by =
            |days: i64| Generation::within(TimeMs(days * 86_400_000 + self.retention.seen_ms), self.retention.seen_ms);
        debug_assert!(!reached_by(generation.0 + 1).contains(&generation.0));
        TimeMs((generation.0 + 1) * 86_400_000 + self.retention.seen_ms)
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
        let watermark = self.watermark(&stored, flush.bucket, &keys::watermark_field(&flush.partition));
        if watermark != flush.from {
            return Outcome::Moved(watermark);
        }
        let repeats = self.repeats(&stored, flush);
        if !repeats.is_empty() {
            return Outcome::Repeated(repeats);
        }
        let mut draft = Draft::of(&stored);
        match self.add(&mut draft, flush) {
            Ok(expired) => {
                let changed = draft.changed;
                keep(&mut stored, changed);
                Outcome::Applied { expired }
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

    fn repeats(&self, stored: &Content, flush: &Flush) -> Vec<Repeat> {
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

    fn add(&self, draft: &mut Draft<'_>, flush: &Flush) -> Result<Option<Generation>, Overflow> {
        let state = self.keyspace.state(flush.bucket);
        for seen in &flush.seen {
            let generation = Generation::of(seen.at);
            let shard = self.keyspace.seen(flush.bucket, generation, seen.shard);
            draft.set(&shard).extend([seen.id.to_string(), seen.content.to_string()]);
            draft.increment(&state, format!("generation:{}", generation.0), 1)?;
        }
        for ((scope, month), delta) in &flush.delta.months {
            self.add_month(draft, scope, *month, delta)?;
        }
        let mut moves = Moves::new();
        for change in &flush.delta.outputs {
            self.change_output(draft, &mut moves, change);
        }
        for ((key, field), amount) in moves {
            draft.increment_unless_0(&key, field, amount)?;
        }
        draft.increment(&state, "applied".to_owned(), flush.seen.len() as i64)?;
        let log = keys::log_field(&flush.partition);
        let passed = draft.hash(&state).get(&log).and_then(|text| text.parse().ok()).unwrap_or(i64::MIN);
        draft.hash(&state).insert(log, flush.log_time.0.max(passed).to_string());
        draft.hash(&state).insert(keys::watermark_field(&flush.partition), flush.to.to_string());
        Ok(if flush.seen.is_empty() { self.expire(draft, flush) } else { None })
    }

    fn add_month(
        &self,
        draft: &mut Draft<'_>,
        scope: &Scope,
        month: Month,
        delta: &MonthDelta,
    ) -> Result<(), Overflow> {
        let key = self.keyspace.month(scope, month);
        for (group, counters) in &delta.usage.groups {
            let number = draft.group_number(&key, &keys::group_name(group));
            for (field, of) in COUNTER_FIELDS {
                draft.increment_unless_0(&key, format!("{number}:{field}"), of(counters))?;
            }
        }
        for (tool, calls) in &delta.usage.tools {
            draft.increment_unless_0(&key, format!("tool:{}", keys::encode(tool.as_str())), *calls)?;
        }
        let days = self.keyspace.days(scope, month);
        for (day, usage) in &delta.days {
            for (field, of) in DAY_FIELDS {
                draft.increment_unless_0(&days, format!("{day:02}:{field}"), of(usage))?;
            }
        }
        match &scope.user {
            Some(user) => {
                let cost = delta.days.values().fold(0, |sum: i64, day| sum.saturating_add(day.cost.0));
                let users = draft.scored(&self.keyspace.users(&scope.tenant, month));
                let score = users.entry(user.to_string()).or_default();
                // Redis has a double here, which does not overflow either.
                *score = score.saturating_add(cost);
            }
            None => drop(draft.set(&self.keyspace.months(&scope.tenant)).insert(month.to_string())),
        }
        Ok(())
    }

    fn change_output(&self, draft: &mut Draft<'_>, moves: &mut Moves, change: &OutputChange) {
        let (kind, id) = (keys::encode(change.output.kind.as_str()), change.output.id.to_string());
        let saved_key = self.keyspace.saved(&change.tenant, &change.user, &change.output.kind);
        let counts = self.keyspace.saved_counts(&change.tenant);
        let [tenant, user, encoded_id] = [change.tenant.as_str(), change.user.as_str(), &id].map(keys::encode);
        let member = format!("{tenant}:{user}:{kind}:{encoded_id}");
        let (dead, early) = (format!("deleted:{member}"), format!("early:{member}"));
        let saved = draft.scored(&saved_key).get(&id).copied();
        let tombstones = draft.scored(&self.keyspace.tombstones(Bucket::of(&change.tenant)));
        let mut count =
            |what: &str, amount| *moves.entry((counts.clone(), format!("{kind}:{what}"))).or_default() += amount;
        let month = |time: i64| Month::of(TimeMs(time).to_utc()).to_string();
        match (change.verb, tombstones.get(&dead).copied(), saved) {
            (OutputVerb::Created, Some(_), _) => {
                if tombstones.remove(&early).is_some() {
                    count("created", 1);
                }
            }
            (OutputVerb::Created, None, None) => {
                draft.scored(&saved_key).insert(id, change.time.0);
                count("created", 1);
                count(&month(change.time.0), 1);
            }
            (OutputVerb::Created, None, Some(before)) if change.time.0 < before => {
                draft.scored(&saved_key).insert(id, change.time.0);
                count(&month(before), -1);
                count(&month(change.time.0), 1);
            }
            (OutputVerb::Created, None, Some(_)) => {}
            (OutputVerb::Deleted, Some(before), _) => {
                tombstones.insert(dead, before.max(change.log_time.0));
            }
            (OutputVerb::Deleted, None, saved) => {
                tombstones.insert(dead, change.log_time.0);
                count("deleted", 1);
                if let Some(created) = saved {
                    draft.scored(&saved_key).remove(&id);
                    count(&month(created), -1);
                } else {
                    tombstones.insert(early, change.log_time.0);
                }
            }
        }
    }

    fn expire(&self, draft: &mut Draft<'_>, flush: &Flush) -> Option<Generation> {
        let state = self.keyspace.state(flush.bucket);
        draft.hash(&state).insert("partitions".to_owned(), flush.partitions.to_string());
        let logs = draft.hash(&state).iter().filter(|(field, _)| field.starts_with("log:"));
        let times: Vec<i64> = logs.filter_map(|(_, time)| time.parse().ok()).collect();
        let passed = TimeMs(times.iter().copied().min().filter(|_| times.len() >= flush.partitions)?);
        let old = passed.0 - self.retention.tombstones_ms;
        draft.scored(&self.keyspace.tombstones(flush.bucket)).retain(|_, log_time| *log_time >= old);
        if let Some(generation) = flush.expire.filter(|one| passed >= self.expires(*one)) {
            draft.hash(&state).remove(&format!("generation:{}", generation.0));
            (0..SHARDS).for_each(|shard| draft.set(&self.keyspace.seen(flush.bucket, generation, shard)).clear());
        }
        let generations = draft.hash(&state).keys().filter_map(|field| field.strip_prefix("generation:")?.parse().ok());
        generations.map(Generation).filter(|one| passed >= self.expires(*one)).min()
    }
}

/// By key and field: what a flush does to counts of outputs in all.
type Moves = BTreeMap<(String, String), i64>;

/// The keys that a flush has touched, as they will be if it succeeds: a sum that overflows half-way must leave
/// nothing behind. A key of another type than asked for is a mistake of this file.
struct Draft<'a> {
    stored: &'a Content,
    changed: Content,
}

macro_rules! typed {
    ($self:ident, $key:ident, $variant:ident) => {{
        let stored = || $self.stored.get($key).cloned().unwrap_or_else(|| Entry::$variant(Default::default()));
        match $self.changed.entry($key.to_owned()).or_insert_with(stored) {
            Entry::$variant(found) => found,
            other => panic!("the key {} is used as another type: {other:?}", $key),
        }
    }};
}

impl<'a> Draft<'a> {
    fn of(stored: &'a Content) -> Self {
        Self { stored, changed: Content::new() }
    }

    fn hash(&mut self, key: &str) -> &mut BTreeMap<String, String> {
        typed!(self, key, Hash)
    }

    fn scored(&mut self, key: &str) -> &mut BTreeMap<String, i64> {
        typed!(self, key, Scored)
    }

    fn set(&mut self, key: &str) -> &mut BTreeSet<String> {
        typed!(self, key, Set)
    }

    fn increment(&mut self, key: &str, field: String, amount: i64) -> Result<(), Overflow> {
        let value = self.hash(key).entry(field).or_insert_with(|| "0".to_owned());
        let sum: i64 = value.parse().map_err(|_| Overflow)?;
        let sum = sum.checked_add(amount).filter(|sum| sum.unsigned_abs() <= MOST_AMOUNT.unsigned_abs());
        *value = sum.ok_or(Overflow)?.to_string();
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
}

/// Redis has no empty keys.
fn keep(stored: &mut Content, changed: Content) {
    for (key, entry) in changed {
        let is_empty = match &entry {
            Entry::Hash(fields) => fields.is_empty(),
            Entry::Scored(members) => members.is_empty(),
            Entry::Set(members) => members.is_empty(),
        };
        if is_empty {
            stored.remove(&key);
        } else {
            stored.insert(key, entry);
        }
    }
}

impl Ledger for MemoryLedger {
    async fn prepare(&self) -> Result<Prepared, StoreError> {
        Ok(Prepared::default())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn standing(&self, partition: &TopicPartition) -> Result<Standing, StoreError> {
        let (stored, mark, log) = (self.lock(), keys::watermark_field(partition), keys::log_field(partition));
        let watermarks = Bucket::all().map(|bucket| self.watermark(&stored, bucket, &mark)).collect();
        let states = Bucket::all().map(|bucket| stored.get(&self.keyspace.state(bucket)));
        let log_time = |state: Option<&Entry>| match state? {
            Entry::Hash(fields) => fields.get(&log)?.parse().ok(),
            _ => None,
        };
        let log_times = states.map(|state| TimeMs(log_time(state).unwrap_or(0))).collect();
        Ok(Standing { watermarks, log_times, unfinished: false })
    }

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        Ok(self.apply_now(flush))
    }
}
