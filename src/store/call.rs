//! A flush as the keys and arguments of the script, in the order in which `call.lua` reads them.

use std::fmt::{Display, Write};

use crate::domain::calendar::Month;
use crate::domain::counters::{Counters, DayUsage, Group};
use crate::domain::delta::{MonthDelta, OutputChange, OutputVerb, Scope};
use crate::domain::seen::{Generation, SHARDS, SeenId};

use super::keys::{self, Keyspace};
use super::{Flush, Retention};

/// Keys and arguments of one call of the script. Kept until its outcome is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    pub keys: Vec<String>,
    pub args: Vec<String>,
}

/// The script's own bounds, which a call must keep.
const MOST_EVENTS: usize = 2000;
/// Just below 2^63, at a distance that the script's doubles can tell.
pub const MOST_AMOUNT: i64 = 9_200_000_000_000_000_000;

/// A flush of more than one call takes; halving it helps, down to the one event that can't be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl Call {
    /// # Errors
    /// [`TooLarge`]
    pub fn of(flush: &Flush, keyspace: &Keyspace, retention: Retention) -> Result<Self, TooLarge> {
        assert!(flush.seen.is_empty() || flush.from != Some(flush.to), "a flush with events moves the watermark");
        if flush.seen.len() > MOST_EVENTS {
            return Err(TooLarge);
        }
        let mut call = Self::default();
        call.head(flush, keyspace, retention);
        call.seen(flush, keyspace, retention);
        call.arg(flush.delta.months.len());
        for ((scope, month), delta) in &flush.delta.months {
            call.month(scope, *month, delta, keyspace, retention)?;
        }
        call.arg(flush.delta.outputs.len());
        for change in &flush.delta.outputs {
            call.change(change, flush, keyspace);
        }
        Ok(call)
    }

    fn arg(&mut self, value: impl ToString) {
        self.args.push(value.to_string());
    }

    fn head(&mut self, flush: &Flush, keyspace: &Keyspace, retention: Retention) {
        self.keys.push(keyspace.state(flush.bucket));
        self.keys.push(keyspace.tombstones(flush.bucket));
        self.arg(keys::watermark_field(&flush.partition));
        self.arg(flush.from.map(|from| from.to_string()).unwrap_or_default());
        self.arg(flush.to);
        self.arg(keys::log_field(&flush.partition));
        self.arg(flush.log_time.0);
        self.arg(flush.seen.len());
        self.arg(retention.seen_ms);
        self.arg(retention.tombstones_ms);
        self.arg(flush.partitions);
        match flush.expire {
            Some(generation) => {
                self.arg(generation.0);
                self.arg(SHARDS);
                self.keys.extend((0..SHARDS).map(|shard| keyspace.seen(flush.bucket, generation, shard)));
            }
            None => {
                self.arg("");
                self.arg(0);
            }
        }
    }

    /// Ids by generation and shard, each with the keys in which the same id may stand already: those of the id's
    /// own window and no others, so that no id's fate depends on its neighbours in the flush.
    fn seen(&mut self, flush: &Flush, keyspace: &Keyspace, retention: Retention) {
        let place = |seen: &SeenId| {
            (Generation::of(seen.at), seen.shard, Generation::within(seen.at, retention.seen_ms).into_inner())
        };
        let mut ids: Vec<_> = flush.seen.iter().enumerate().map(|(index, seen)| (place(seen), index, seen)).collect();
        ids.sort_by_key(|(place, index, _)| (*place, *index));
        let groups: Vec<_> = ids.chunk_by(|a, b| a.0 == b.0).collect();
        self.arg(groups.len());
        for group in groups {
            let (generation, shard, (first, last)) = group[0].0;
            self.arg(generation.0);
            self.arg(last - first + 1);
            for near in first..=last {
                self.arg(near);
                self.keys.push(keyspace.seen(flush.bucket, Generation(near), shard));
            }
            let ids = group.iter().map(|(_, index, seen)| format!("{index}:{}:{}", seen.id, seen.content));
            self.arg(ids.collect::<Vec<_>>().join(" "));
        }
    }

    fn month(
        &mut self,
        scope: &Scope,
        month: Month,
        delta: &MonthDelta,
        keyspace: &Keyspace,
        retention: Retention,
    ) -> Result<(), TooLarge> {
        self.arg(if scope.user.is_some() { "user" } else { "tenant" });
        self.keys.push(keyspace.month(scope, month));
        self.arg(delta.usage.groups.len());
        for (group, counters) in &delta.usage.groups {
            self.group(group, counters)?;
        }
        self.fields(delta.usage.tools.iter().map(|(tool, calls)| (keys::encode(tool.as_str()), *calls)))?;
        self.days(scope, month, delta, keyspace, retention)?;
        if let Some(user) = &scope.user {
            let cost = delta.days.values().try_fold(0, |sum: i64, day| sum.checked_add(day.cost.0));
            let cost = cost.filter(|cost| *cost <= MOST_AMOUNT).ok_or(TooLarge)?;
            self.keys.push(keyspace.users(&scope.tenant, month));
            self.arg(user);
            self.arg(cost);
        } else {
            self.keys.push(keyspace.months(&scope.tenant));
            self.arg(month);
        }
        Ok(())
    }

    fn group(&mut self, group: &Group, counters: &Counters) -> Result<(), TooLarge> {
        self.arg(keys::group_name(group));
        self.fields(COUNTER_FIELDS.iter().map(|(field, of)| (*field, of(counters))))
    }

    fn days(
        &mut self,
        scope: &Scope,
        month: Month,
        delta: &MonthDelta,
        keyspace: &Keyspace,
        retention: Retention,
    ) -> Result<(), TooLarge> {
        self.keys.push(keyspace.days(scope, month));
        self.arg(month.plus(retention.detail_months + 1).start().timestamp());
        self.fields(delta.days.iter().flat_map(|(day, usage)| {
            DAY_FIELDS.iter().map(move |(field, of)| (format!("{day:02}:{field}"), of(usage)))
        }))
    }

    /// `field=amount` of what is not 0; no field holds a space.
    fn fields(&mut self, fields: impl Iterator<Item = (impl Display, i64)>) -> Result<(), TooLarge> {
        let mut packed = String::new();
        for (field, amount) in fields.filter(|(_, amount)| *amount != 0) {
            if amount > MOST_AMOUNT {
                return Err(TooLarge);
            }
            let space = if packed.is_empty() { "" } else { " " };
            // Writing to a String does not fail.
            let _ = write!(packed, "{space}{field}={amount}");
        }
        self.args.push(packed);
        Ok(())
    }

    fn change(&mut self, change: &OutputChange, flush: &Flush, keyspace: &Keyspace) {
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
        self.keys.push(keyspace.tombstones(flush.bucket));
        self.keys.push(keyspace.saved_counts(&change.tenant));
    }
}

type Field<T> = (&'static str, fn(&T) -> i64);

/// The fields of a group in a month's hash, after `number:`.
pub const COUNTER_FIELDS: [Field<Counters>; 8] = [
    ("requests", |c| c.requests),
    ("in", |c| c.tokens_in),
    ("out", |c| c.tokens_out),
    ("cached", |c| c.cached_tokens),
    ("reasoning", |c| c.reasoning_tokens),
    ("nanousd", |c| c.cost.0),
    ("latency_ms", |c| c.latency_ms),
    ("latency_n", |c| c.latency_count),
];

/// The fields of a day in a month's hash of days, after `day:`.
pub const DAY_FIELDS: [Field<DayUsage>; 3] =
    [("requests", |d| d.requests), ("tokens", |d| d.tokens), ("nanousd", |d| d.cost.0)];
