//! Ids that are known: where they are looked up, where they go, and when they are dropped.

use std::collections::BTreeMap;

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::counters::Overflow;
use indelible::domain::seen::{Expired, Generation, SeenId, Tier};
use indelible::store::tiers::{self, Tiers};
use indelible::store::{Flush, Repeat};

use super::draft::Draft;
use super::{Content, Entry, MemoryLedger};

impl MemoryLedger {
    /// The first log time at which no window reaches back into the generation.
    pub(super) fn expires(&self, generation: Generation) -> TimeMs {
        let reached_by =
            |days: i64| Generation::within(TimeMs(days * 86_400_000 + self.retention.seen_ms), self.retention.seen_ms);
        debug_assert!(!reached_by(generation.0 + 1).contains(&generation.0));
        TimeMs((generation.0 + 1) * 86_400_000 + self.retention.seen_ms)
    }

    pub(super) fn tiers(&self, stored: &Content, bucket: Bucket) -> Tiers {
        let Some(Entry::Hash(state)) = stored.get(&self.keyspace.state(bucket)) else { return Tiers::default() };
        state.get("tiers").map(|text| text.parse().expect("tiers")).unwrap_or_default()
    }

    pub(super) fn repeats(&self, stored: &Content, flush: &Flush) -> Vec<Repeat> {
        let tiers = self.tiers(stored, flush.bucket);
        let known = |index, seen: &SeenId| {
            let within = Generation::within(seen.at, self.retention.seen_ms);
            // Where it would go comes first: of an id that stands twice, that content is compared.
            let own = tiers.open(Generation::of(seen.at)).map(|tier| (Generation::of(seen.at), tier));
            own.into_iter().chain(tiers.within(within)).find_map(|(generation, tier)| {
                let key = self.keyspace.seen(flush.bucket, generation, tier, tier.shard(seen.spread));
                let Some(Entry::Set(members)) = stored.get(&key) else { return None };
                let conflict = !members.contains(&seen.content.to_string());
                members.contains(&seen.id.to_string()).then_some(Repeat { index, conflict })
            })
        };
        flush.seen.iter().enumerate().filter_map(|(index, seen)| known(index, seen)).collect()
    }

    /// Ids go to the tier of their generation that is open; one that is full is followed by the next.
    pub(super) fn remember(&self, draft: &mut Draft<'_>, flush: &Flush) -> Result<(), Overflow> {
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

    pub(super) fn expire(&self, draft: &mut Draft<'_>, flush: &Flush) -> Option<Expired> {
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
