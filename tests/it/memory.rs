//! The in-memory twin of `apply.lua`: the same contract and the same keys, in plain maps.
//!
//! For tests and as the script's second author: a test holds both to the same content, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::{Month, TimeMs};
use indelible::domain::counters::{MonthSums, Others, Overflow, Room};
use indelible::domain::delta::{OutputChange, OutputVerb, Scope};
use indelible::domain::ids::{Model, OutputKind, TenantId, UserId};
use indelible::domain::position::{Position, TopicPartition};
use indelible::domain::seen::{Expired, Generation, SeenId, Tier};

use indelible::store::call::MOST_EVENTS;
use indelible::store::keys::{self, Keyspace};
use indelible::store::tiers::{self, Tiers};
use indelible::store::{
    Capped, Caps, Flush, Ledger, Outcome, Prepared, Repeat, Retention, Standing, StoreError, assigned, cells,
};

/// A stored value. Numbers in hashes are kept as texts, as Redis does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Hash(BTreeMap<String, String>),
    Text(String),
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
    content: Mutex<Content>,
}

impl MemoryLedger {
    pub(crate) fn new(keyspace: Keyspace, retention: Retention) -> Self {
        Self { keyspace, retention, caps: Caps::STANDARD, content: Mutex::default() }
    }

    pub(crate) fn with_caps(mut self, caps: Caps) -> Self {
        self.caps = caps;
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
        if flush.seen.len() > MOST_EVENTS {
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
            Ok((expired, capped)) => {
                let changed = draft.changed;
                keep(&mut stored, changed);
                Outcome::Applied { expired, capped, notices: 0 }
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

    fn tiers(&self, stored: &Content, bucket: Bucket) -> Tiers {
        let Some(Entry::Hash(state)) = stored.get(&self.keyspace.state(bucket)) else { return Tiers::default() };
        state.get("tiers").map(|text| text.parse().expect("tiers")).unwrap_or_default()
    }

    fn repeats(&self, stored: &Content, flush: &Flush) -> Vec<Repeat> {
        let tiers = self.tiers(stored, flush.bucket);
        let known = |index, seen: &SeenId| {
            let within = Generation::within(seen.at, self.retention.seen_ms);
            tiers.within(within).find_map(|(generation, tier)| {
                let key = self.keyspace.seen(flush.bucket, generation, tier, tier.shard(seen.spread));
                let Some(Entry::Set(members)) = stored.get(&key) else { return None };
                let conflict = !members.contains(&seen.content.to_string());
                members.contains(&seen.id.to_string()).then_some(Repeat { index, conflict })
            })
        };
        flush.seen.iter().enumerate().filter_map(|(index, seen)| known(index, seen)).collect()
    }

    fn add(&self, draft: &mut Draft<'_>, flush: &Flush) -> Result<(Option<Expired>, Capped), Overflow> {
        let state = self.keyspace.state(flush.bucket);
        self.remember(draft, flush)?;
        let mut capped = Capped::default();
        self.assign(draft, flush);
        self.add_mismatches(draft, flush)?;
        for ((scope, month), added) in &flush.delta.months {
            if scope.user.is_none() {
                let users = flush.delta.months.iter().filter_map(|((of, in_month), added)| {
                    let same = of.tenant == scope.tenant && in_month == month;
                    same.then_some((of.user.as_ref()?, &added.sums))
                });
                self.add_month(draft, &scope.tenant, *month, &added.sums, users.collect(), &mut capped)?;
            }
        }
        let mut moves = Moves::new();
        for change in &flush.delta.outputs {
            capped.outputs += i64::from(self.change_output(draft, &mut moves, change));
        }
        for ((key, field), amount) in moves {
            draft.increment_unless_0(&key, field, amount)?;
        }
        draft.increment(&state, "applied".to_owned(), flush.seen.len() as i64)?;
        let log = keys::log_field(&flush.partition);
        let passed = draft.hash(&state).get(&log).and_then(|text| text.parse().ok()).unwrap_or(i64::MIN);
        draft.hash(&state).insert(log, flush.log_time.0.max(passed).to_string());
        draft.hash(&state).insert(keys::watermark_field(&flush.partition), flush.to.to_string());
        let unrated = keys::unrated_field(&flush.partition);
        draft.hash(&state).remove(&unrated);
        if let Some(priced) = flush.unrated() {
            draft.hash(&state).insert(unrated, priced.to_string());
        }
        Ok((if flush.seen.is_empty() { self.expire(draft, flush) } else { None }, capped))
    }

    fn assign(&self, draft: &mut Draft<'_>, flush: &Flush) {
        for (scope, assignment) in &flush.delta.assigned {
            let (key, field) = (self.keyspace.quota(&scope.tenant), keys::quota_field(scope.user.as_ref()));
            let known = draft.hash(&key).get(&field).map(|text| assigned::from_text(text).expect("assignments"));
            let mut known = known.unwrap_or_default();
            known.add(assignment.clone());
            draft.hash(&key).insert(field, assigned::to_text(&known));
        }
    }

    fn add_mismatches(&self, draft: &mut Draft<'_>, flush: &Flush) -> Result<(), Overflow> {
        for ((month, model), more) in &flush.delta.mismatches {
            let key = self.keyspace.mismatches(flush.bucket, *month);
            let hash = draft.hash(&key);
            let name = |model: &Model| keys::encode(model.as_str()).into_owned();
            let is_new = !hash.contains_key(&name(model)) && hash.len() >= self.caps.mismatched_models;
            let model = if is_new { Model::other() } else { model.clone() };
            let known =
                hash.get(&name(&model)).map(|text| cells::read_mismatch(&name(&model), text).expect("a cell").1);
            let mut sum = known.unwrap_or_default();
            sum.add(more)?;
            hash.extend([cells::mismatch_cell(&model, &sum)]);
        }
        Ok(())
    }

    /// Ids go to the tier of their generation that is open; one that is full is followed by the next.
    fn remember(&self, draft: &mut Draft<'_>, flush: &Flush) -> Result<(), Overflow> {
        let (state, before) = (self.keyspace.state(flush.bucket), self.tiers(draft.stored, flush.bucket));
        let mut listed: Vec<String> = before.to_string().split_whitespace().map(str::to_owned).collect();
        let mut list = |name: String| {
            if !listed.contains(&name) {
                listed.push(name);
            }
        };
        let mut blocks: BTreeMap<_, Vec<&SeenId>> = BTreeMap::new();
        for seen in &flush.seen {
            let window = Generation::within(seen.at, self.retention.seen_ms).into_inner();
            blocks.entry((Generation::of(seen.at), window)).or_default().push(seen);
        }
        for ((generation, _), ids) in blocks {
            let tier = before.open(generation).unwrap_or_else(|| {
                let size = |latest, tier| draft.number(&state, &format!("seen:{}", tiers::name(latest, tier)));
                let sizes = |(latest, known): (_, Vec<Tier>)| known.into_iter().map(|tier| size(latest, tier)).sum();
                Tier::holding(before.latest().map_or(0, sizes))
            });
            for seen in &ids {
                let shard = self.keyspace.seen(flush.bucket, generation, tier, tier.shard(seen.spread));
                draft.set(&shard).extend([seen.id.to_string(), seen.content.to_string()]);
            }
            let field = format!("seen:{}", tiers::name(generation, tier));
            draft.increment(&state, field.clone(), ids.len() as i64)?;
            list(tiers::name(generation, tier));
            let size: u64 = draft.hash(&state)[&field].parse().expect("a size");
            if tier.capacity().is_some_and(|most| size >= most) {
                list(tiers::name(generation, Tier::new(tier.number() + 1).expect("not the largest")));
            }
        }
        if !flush.seen.is_empty() {
            draft.hash(&state).insert("tiers".to_owned(), listed.join(" "));
        }
        Ok(())
    }

    fn add_month(
        &self,
        draft: &mut Draft<'_>,
        tenant: &TenantId,
        month: Month,
        sums: &MonthSums,
        users: Vec<(&UserId, &MonthSums)>,
        capped: &mut Capped,
    ) -> Result<(), Overflow> {
        let index = self.keyspace.users(tenant, month);
        let key_of =
            |user: &UserId| self.keyspace.month(&Scope { tenant: tenant.clone(), user: Some(user.clone()) }, month);
        let (mut others, mut crowd) = (Others::default(), 0);
        let new = users.iter().filter(|(user, _)| draft.month(&key_of(user)).is_none()).count();
        let crowded = new > 0 && draft.scored(&index).len() + new > self.caps.tenant_users;
        let mut count = draft.scored(&index).len();
        for (user, more) in users {
            let is_new = draft.month(&key_of(user)).is_none();
            let own = !crowded || *user == UserId::other() || !is_new || count < self.caps.tenant_users;
            count += usize::from(own && is_new && (!crowded || *user != UserId::other()));
            let target = if own { user.clone() } else { UserId::other() };
            if !own {
                crowd += more.usage.total()?.requests;
            }
            let key = key_of(&target);
            let mut month = draft.month(&key).unwrap_or_default();
            let room = |most: usize, now: usize| most.saturating_sub(now);
            let groups = room(self.caps.user_groups, month.usage.groups.len());
            let tools = room(self.caps.user_tools, month.usage.tools.len());
            let more = month.add_within(more, Room { groups, tools })?;
            if own && (!crowded || target != UserId::other()) {
                others.requests += more.requests;
                others.tool_calls += more.tool_calls;
            }
            let cost = month.usage.total()?.cost.0;
            draft.changed.insert(key, Entry::Text(cells::to_text(&month)));
            draft.scored(&index).insert(target.to_string(), cost);
        }
        let key = self.keyspace.month(&Scope { tenant: tenant.clone(), user: None }, month);
        let mut all = MonthSums::default();
        for (name, numbers) in draft.hash(&key).iter() {
            cells::read_cell(&mut all, name, numbers).expect("a cell");
        }
        let free = self.caps.tenant_cells.saturating_sub(draft.hash(&key).len());
        let more = all.add_within(sums, Room { groups: free, tools: free })?;
        all.crowd += crowd;
        capped.users += crowd;
        draft.hash(&key).extend(cells::cells(&all));
        capped.requests += others.requests.max(more.requests);
        capped.tool_calls += others.tool_calls.max(more.tool_calls);
        draft.set(&self.keyspace.months(tenant)).insert(month.to_string());
        Ok(())
    }

    /// Whether there is room for an output's kind; the first one of a kind takes it.
    fn has_room(&self, draft: &mut Draft<'_>, counts: &str, kind: &str) -> bool {
        let hash = draft.hash(counts);
        let known = ["created", "deleted", "new"].iter().any(|what| hash.contains_key(&format!("{kind}:{what}")));
        let size = hash.get("kinds").map_or(0, |size| size.parse().expect("a count"));
        if known || kind == "other" || size >= self.caps.tenant_kinds {
            return known || kind == "other";
        }
        hash.insert("kinds".to_owned(), (size + 1).to_string());
        // Until the flush is done; see `keep`.
        hash.insert(format!("{kind}:new"), String::new());
        true
    }

    /// True if it counts under another kind.
    fn change_output(&self, draft: &mut Draft<'_>, moves: &mut Moves, change: &OutputChange) -> bool {
        let (mut kind, mut id) = (keys::encode(change.output.kind.as_str()).into_owned(), change.output.id.to_string());
        let counts = self.keyspace.saved_counts(&change.tenant);
        let [tenant, user, encoded_id] = [change.tenant.as_str(), change.user.as_str(), &id].map(keys::encode);
        let member = format!("{tenant}:{user}:{kind}:{encoded_id}");
        let capped = !self.has_room(draft, &counts, &kind);
        let mut stored_kind = change.output.kind.clone();
        if capped {
            id = format!("{kind}:{id}");
            (kind, stored_kind) = ("other".to_owned(), OutputKind::other());
        }
        let saved_key = self.keyspace.saved(&change.tenant, &change.user, &stored_kind);
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
        capped
    }

    fn expire(&self, draft: &mut Draft<'_>, flush: &Flush) -> Option<Expired> {
        let rest = flush.expire.and_then(Expired::next);
        let state = self.keyspace.state(flush.bucket);
        draft.hash(&state).insert("partitions".to_owned(), flush.partitions.to_string());
        let logs = draft.hash(&state).iter().filter(|(field, _)| field.starts_with("log:"));
        let times: Vec<i64> = logs.filter_map(|(_, time)| time.parse().ok()).collect();
        let Some(passed) = times.iter().copied().min().filter(|_| times.len() >= flush.partitions) else { return rest };
        let passed = TimeMs(passed);
        let old = passed.0 - self.retention.tombstones_ms;
        draft.scored(&self.keyspace.tombstones(flush.bucket)).retain(|_, log_time| *log_time >= old);
        let mut names: Vec<String> =
            self.tiers(draft.stored, flush.bucket).to_string().split_whitespace().map(str::to_owned).collect();
        if let Some(part) = flush.expire.filter(|part| passed >= self.expires(part.generation)) {
            for shard in part.shards() {
                draft.set(&self.keyspace.seen(flush.bucket, part.generation, part.tier, shard)).clear();
            }
            if rest.is_none() {
                let name = tiers::name(part.generation, part.tier);
                draft.hash(&state).remove(&format!("seen:{name}"));
                if names.contains(&name) {
                    names.retain(|other| *other != name);
                    draft.hash(&state).insert("tiers".to_owned(), names.join(" "));
                }
            }
        }
        let mut due = names.iter().filter_map(|name| tiers::expired(name));
        rest.or_else(|| due.find(|part| passed >= self.expires(part.generation)))
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
        *value = sum.checked_add(amount).ok_or(Overflow)?.to_string();
        Ok(())
    }

    fn increment_unless_0(&mut self, key: &str, field: String, amount: i64) -> Result<(), Overflow> {
        if amount == 0 { Ok(()) } else { self.increment(key, field, amount) }
    }

    /// As it was before the flush.
    fn number(&self, key: &str, field: &str) -> u64 {
        match self.stored.get(key) {
            Some(Entry::Hash(fields)) => fields.get(field).map_or(0, |text| text.parse().expect("a number")),
            _ => 0,
        }
    }

    /// A user's month; none before the first.
    fn month(&self, key: &str) -> Option<MonthSums> {
        match self.changed.get(key).or_else(|| self.stored.get(key))? {
            Entry::Text(text) => Some(cells::from_text(text).expect("a month")),
            other => panic!("the key {key} is used as another type: {other:?}"),
        }
    }
}

/// Redis has no empty keys.
fn keep(stored: &mut Content, changed: Content) {
    for (key, mut entry) in changed {
        if let Entry::Hash(fields) = &mut entry {
            fields.retain(|field, _| !field.ends_with(":new"));
        }
        let is_empty = match &entry {
            Entry::Hash(fields) => fields.is_empty(),
            Entry::Text(text) => text.is_empty(),
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

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        Ok(self.apply_now(flush))
    }

    async fn keep_prices(&self, version: &str, text: &str) -> Result<(), StoreError> {
        let text = Entry::Text(text.to_owned());
        self.lock().entry(self.keyspace.prices(version)).or_insert(text);
        Ok(())
    }

    async fn prices(&self, version: &str) -> Result<Option<String>, StoreError> {
        match self.lock().get(&self.keyspace.prices(version)) {
            Some(Entry::Text(text)) => Ok(Some(text.clone())),
            _ => Ok(None),
        }
    }
}
