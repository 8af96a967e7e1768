//! Ids that are known: where they are looked up, where they go, and when they are dropped.

use std::collections::BTreeMap;

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::counters::Overflow;
use indelible::domain::seen::{Expired, Generation, SeenId};
use indelible::store::seen_log::{self, CHUNK_IDS, Entry as Id, Logs, read_entries};
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

    fn logs(&self, stored: &Content, bucket: Bucket) -> (Vec<String>, Logs) {
        let Some(Entry::Hash(state)) = stored.get(&self.keyspace.state(bucket)) else { return Default::default() };
        let text = state.get("seen").cloned().unwrap_or_default();
        (text.split_whitespace().map(str::to_owned).collect(), text.parse().expect("logs"))
    }

    /// All ids of a generation, chunk by chunk.
    fn ids(&self, stored: &Content, bucket: Bucket, generation: Generation) -> Vec<Id> {
        let chunks = (0..).map_while(|chunk| match stored.get(&self.keyspace.seen(bucket, generation, chunk)) {
            Some(Entry::Bytes(bytes)) => Some(read_entries(bytes).expect("ids")),
            _ => None,
        });
        chunks.flatten().collect()
    }

    pub(super) fn repeats(&self, stored: &Content, bucket: Bucket, seen: &[SeenId]) -> Vec<Repeat> {
        let (_, logs) = self.logs(stored, bucket);
        let known = |index, seen: &SeenId| {
            let (own, id) = (Generation::of(seen.at), Id::of(seen));
            let within = logs.within(Generation::within(seen.at, self.retention.seen_ms)).map(|(of, _)| of);
            // Where it would go comes first: of an id that stands twice, that content is compared.
            let generations = [own].into_iter().chain(within.filter(|of| *of != own));
            let same = |of| self.ids(stored, bucket, of).into_iter().find(|known| known.is_of_the_same_name(id));
            generations.filter_map(same).next().map(|known| Repeat { index, conflict: known.is_conflict_with(id) })
        };
        seen.iter().enumerate().filter_map(|(index, seen)| known(index, seen)).collect()
    }

    /// Ids are appended to the log of their generation, chunk by chunk.
    pub(super) fn remember(&self, draft: &mut Draft<'_>, flush: &Flush) -> Result<(), Overflow> {
        let (mut texts, logs) = self.logs(draft.stored, flush.bucket);
        let mut new: BTreeMap<Generation, Vec<Id>> = BTreeMap::new();
        for seen in &flush.seen {
            new.entry(Generation::of(seen.at)).or_default().push(Id::of(seen));
        }
        for (generation, ids) in new {
            let mut extent = logs.extent(generation);
            for id in ids {
                let chunk = self.keyspace.seen(flush.bucket, generation, extent.ids / CHUNK_IDS);
                draft.bytes(&chunk).extend(id.bytes());
                extent.push(id);
            }
            let text = seen_log::text(generation, extent);
            let name = format!("{}:", generation.0);
            match texts.iter_mut().find(|known| known.starts_with(&name)) {
                Some(known) => *known = text,
                None => texts.push(text),
            }
        }
        if !flush.seen.is_empty() {
            draft.hash(&self.keyspace.state(flush.bucket)).insert("seen".to_owned(), texts.join(" "));
        }
        Ok(())
    }

    pub(super) fn expire(&self, draft: &mut Draft<'_>, flush: &Flush) -> Option<Expired> {
        let state = self.keyspace.state(flush.bucket);
        draft.hash(&state).insert("partitions".to_owned(), flush.partitions.to_string());
        let logs = draft.hash(&state).iter().filter(|(field, _)| field.starts_with("log:"));
        let times: Vec<i64> = logs.filter_map(|(_, time)| time.parse().ok()).collect();
        let passed = times.iter().copied().min().filter(|_| times.len() >= flush.partitions)?;
        let passed = TimeMs(passed);
        let old = passed.0 - self.retention.tombstones_ms;
        draft.scored(&self.keyspace.tombstones(flush.bucket)).retain(|_, log_time| *log_time >= old);
        let text = draft.hash(&state).get("seen").cloned().unwrap_or_default();
        let mut texts: Vec<&str> = text.split_whitespace().collect();
        if let Some(part) = flush.expire.filter(|part| passed >= self.expires(part.generation)) {
            for chunk in part.dropped() {
                draft.bytes(&self.keyspace.seen(flush.bucket, part.generation, chunk)).clear();
            }
            if part.next().is_none() {
                texts.retain(|log| !log.starts_with(&format!("{}:", part.generation.0)));
            }
        }
        if texts.join(" ") != text {
            draft.hash(&state).insert("seen".to_owned(), texts.join(" "));
        }
        let mut due = texts.iter().filter_map(|log| seen_log::expired(log));
        let oldest = due.find(|part| passed >= self.expires(part.generation))?;
        let rest = flush.expire.and_then(Expired::next).filter(|rest| rest.generation == oldest.generation);
        Some(rest.unwrap_or(oldest))
    }
}
