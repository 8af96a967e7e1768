//! A flush as the keys and arguments of the script, in the order in which `call.lua` reads them.

use std::fmt::Write;

use crate::domain::bucket::Bucket;
use crate::domain::delta::{OutputChange, OutputVerb, Scope};
use crate::domain::ids::OutputKind;
use crate::domain::seen::{Generation, SeenId, Tier};

use super::draft::{Draft, TenantDraft};
use super::keys::{self, Keyspace};
use super::{Caps, Flush, Retention, tiers};

/// Keys and arguments of one call of the script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    pub keys: Vec<String>,
    pub args: Vec<String>,
    /// The call names ids by their place in it; this is where each stands in [`Flush::seen`].
    pub order: Vec<usize>,
}

/// What all calls of a ledger share.
#[derive(Debug, Clone)]
pub struct Frame {
    pub keyspace: Keyspace,
    pub retention: Retention,
    pub caps: Caps,
}

/// The script's own bound, which a call must keep.
pub const MOST_EVENTS: usize = 2000;

impl Call {
    /// `next_stamp` is what no other call ever bears. `first_tier` is where a generation begins that has no ids yet.
    pub fn of(flush: &Flush, draft: &Draft, frame: &Frame, next_stamp: &str, first_tier: Tier) -> Self {
        assert!(flush.seen.is_empty() || flush.from != Some(flush.to), "a flush with events moves the watermark");
        let mut call = Self::default();
        call.head(flush, draft, frame, next_stamp);
        call.expire(flush, &frame.keyspace);
        call.seen(flush, draft, frame, first_tier);
        call.arg(draft.users.len());
        for (key, text) in &draft.users {
            call.keys.push(key.clone());
            call.args.push(text.clone());
        }
        call.arg(draft.hashes.len());
        for (key, cells) in &draft.hashes {
            call.keys.push(key.clone());
            call.cells(cells);
        }
        call.arg(draft.tenants.len());
        for tenant in &draft.tenants {
            call.tenant(tenant, &frame.keyspace);
        }
        call.arg(flush.delta.outputs.len());
        for change in &flush.delta.outputs {
            call.change(change, flush.bucket, &frame.keyspace);
        }
        call
    }

    fn arg(&mut self, value: impl ToString) {
        self.args.push(value.to_string());
    }

    fn head(&mut self, flush: &Flush, draft: &Draft, frame: &Frame, next_stamp: &str) {
        self.keys.push(frame.keyspace.state(flush.bucket));
        self.keys.push(frame.keyspace.tombstones(flush.bucket));
        self.arg(keys::watermark_field(&flush.partition));
        self.arg(flush.from.map(|from| from.to_string()).unwrap_or_default());
        self.arg(flush.to);
        self.arg(keys::log_field(&flush.partition));
        self.arg(flush.log_time.0);
        self.arg(flush.seen.len());
        self.arg(frame.retention.seen_ms);
        self.arg(frame.retention.tombstones_ms);
        self.arg(flush.partitions);
        self.arg(frame.caps.tenant_kinds);
        self.arg(&draft.stamp);
        self.arg(next_stamp);
        // A repeat is a repeat, even if adding it once more would not fit.
        self.arg(if draft.overflows { "look" } else { "add" });
        self.arg(keys::unrated_field(&flush.partition));
        self.arg(flush.unrated().map(|unrated| unrated.to_string()).unwrap_or_default());
    }

    fn expire(&mut self, flush: &Flush, keyspace: &Keyspace) {
        let Some(expired) = flush.expire else {
            self.args.extend(["".to_owned(), "".to_owned(), "0".to_owned()]);
            return;
        };
        self.arg(tiers::name(expired.generation, expired.tier));
        self.arg(if expired.next().is_none() { "all" } else { "part" });
        self.arg(expired.shards().len());
        let shards = expired.shards();
        self.keys.extend(shards.map(|shard| keyspace.seen(flush.bucket, expired.generation, expired.tier, shard)));
    }

    /// Ids by generation and, within it, by shard: every id is looked up wherever the same id may stand already. That
    /// is its own window and no other, so that no id's fate depends on its neighbours in the flush.
    fn seen(&mut self, flush: &Flush, draft: &Draft, frame: &Frame, first_tier: Tier) {
        let place = |seen: &SeenId| {
            (Generation::of(seen.at), Generation::within(seen.at, frame.retention.seen_ms).into_inner())
        };
        let mut ids: Vec<_> = flush.seen.iter().enumerate().map(|(index, seen)| (place(seen), seen, index)).collect();
        ids.sort_by_key(|(place, seen, index)| (*place, seen.spread, *index));
        self.order = ids.iter().map(|(_, _, index)| *index).collect();
        let mut members = String::with_capacity(ids.len() * 42);
        for (_, seen, _) in &ids {
            // Writing to a String does not fail.
            let _ = write!(members, "{} {} ", seen.id, seen.content);
        }
        self.args.push(members);
        let blocks: Vec<_> = ids.chunk_by(|a, b| a.0 == b.0).collect();
        self.arg(blocks.len());
        for block in blocks {
            let (generation, (first, last)) = block[0].0;
            let tier = draft.tiers.open(generation).unwrap_or(first_tier);
            self.arg(generation.0);
            self.arg(tier.number());
            self.arg(tier.capacity().unwrap_or(0));
            let runs = |call: &mut Self, generation, tier: Tier| {
                let shards = block.chunk_by(|a, b| tier.shard(a.1.spread) == tier.shard(b.1.spread));
                let mut lengths = String::new();
                for run in shards {
                    call.keys.push(frame.keyspace.seen(flush.bucket, generation, tier, tier.shard(run[0].1.spread)));
                    let _ = write!(lengths, "{} ", run.len());
                }
                lengths
            };
            let own = runs(self, generation, tier);
            self.args.push(own);
            let others: Vec<_> =
                draft.tiers.within(first..=last).filter(|other| *other != (generation, tier)).collect();
            self.arg(others.len());
            for (near, other) in others {
                let lengths = runs(self, near, other);
                self.args.push(lengths);
            }
        }
    }

    fn tenant(&mut self, draft: &TenantDraft, keyspace: &Keyspace) {
        let scope = Scope { tenant: draft.tenant.clone(), user: None };
        self.keys.push(keyspace.month(&scope, draft.month));
        self.keys.push(keyspace.users(&draft.tenant, draft.month));
        self.keys.push(keyspace.months(&draft.tenant));
        self.arg(draft.month);
        self.cells(&draft.cells);
        self.arg(draft.users.len());
        for (cost, user) in &draft.users {
            self.arg(cost);
            self.arg(user);
        }
    }

    fn cells(&mut self, cells: &[(String, String)]) {
        self.arg(cells.len());
        for (name, numbers) in cells {
            self.args.extend([name.clone(), numbers.clone()]);
        }
    }

    fn change(&mut self, change: &OutputChange, bucket: Bucket, keyspace: &Keyspace) {
        let kind = keys::encode(change.output.kind.as_str());
        let (tenant, user) = (keys::encode(change.tenant.as_str()), keys::encode(change.user.as_str()));
        self.arg(match change.verb {
            OutputVerb::Created => "created",
            OutputVerb::Deleted => "deleted",
        });
        self.arg(&kind);
        self.arg(format!("{tenant}:{user}:{kind}:{}", keys::encode(change.output.id.as_str())));
        self.arg(&change.output.id);
        self.arg(change.time.0);
        self.arg(change.log_time.0);
        self.keys.push(keyspace.saved(&change.tenant, &change.user, &change.output.kind));
        self.keys.push(keyspace.saved(&change.tenant, &change.user, &OutputKind::other()));
        self.keys.push(keyspace.tombstones(bucket));
        self.keys.push(keyspace.saved_counts(&change.tenant));
    }
}
