//! A user's saved outputs: the API's side in Redis, beside `redis_reader.rs`.
//!
//! Of each kind the newest are asked for, and nothing more: whoever has no more than those has all of them counted by
//! that. Only a kind with more is asked for again.

use std::ops::Range;

use redis::{Pipeline, Value, pipe};

use crate::domain::calendar::{Month, TimeMs};
use crate::domain::event::Output;
use crate::domain::ids::{OutputId, OutputKind, TenantId, UserId};

use super::redis_reader::{RedisReader, parse};
use super::reply::damaged;
use super::{OutputCount, RECENT_OUTPUTS, SavedOutput, StoreError, Usage};

/// The newest outputs of a kind, as many as are shown at most.
pub(super) struct Newest {
    pub(super) kind: OutputKind,
    outputs: Vec<SavedOutput>,
}

/// Whose outputs.
type Owner<'a> = (&'a TenantId, &'a UserId);

impl RedisReader {
    /// Asks for the newest of each kind.
    pub(super) fn ask_newest(&self, ask: &mut Pipeline, (tenant, user): Owner<'_>, kinds: &[OutputKind]) {
        for kind in kinds {
            let key = self.keyspace.saved(tenant, user, kind);
            ask.cmd("ZREVRANGE").arg(key).arg(0).arg(RECENT_OUTPUTS - 1).arg("WITHSCORES");
        }
    }

    /// Reads what [`Self::ask_newest`] asked for.
    pub(super) fn read_newest(
        &self,
        next: &mut impl FnMut() -> Value,
        (tenant, user): Owner<'_>,
        kinds: Vec<OutputKind>,
    ) -> Result<Vec<Newest>, StoreError> {
        let newest = |kind: OutputKind| {
            let key = || self.keyspace.saved(tenant, user, &kind);
            let outputs = parse::<Vec<(String, String)>>(next(), key)?.into_iter().map(|(id, created)| {
                let id = OutputId::new(&id).map_err(|_| damaged(&key(), &id, "an id"))?;
                let created = created.parse().map(TimeMs).map_err(|_| damaged(&key(), "a score", &created))?;
                Ok(SavedOutput { output: Output { kind: kind.clone(), id }, created })
            });
            let outputs = outputs.collect::<Result<_, StoreError>>()?;
            Ok(Newest { kind, outputs })
        };
        kinds.into_iter().map(newest).collect()
    }

    /// Adds the outputs to what is known of their owner. How many there are of a kind is asked for where the newest may
    /// not be all.
    pub(super) async fn add_outputs(
        &self,
        usage: &mut Usage,
        (tenant, user): Owner<'_>,
        newest: Vec<Newest>,
        month: Month,
    ) -> Result<(), StoreError> {
        let Range { start, end } = times(month);
        let mut ask = pipe();
        for Newest { kind, .. } in newest.iter().filter(|newest| newest.may_be_more()) {
            let key = self.keyspace.saved(tenant, user, kind);
            ask.cmd("ZCARD").arg(&key).cmd("ZCOUNT").arg(&key).arg(start).arg(format!("({end}"));
        }
        let mut answers = self.pipeline(&ask).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        for newest in newest {
            let count = if newest.may_be_more() {
                let key = || self.keyspace.saved(tenant, user, &newest.kind);
                OutputCount { all_time: parse(next(), key)?, month: parse(next(), key)? }
            } else {
                newest.count(month)
            };
            if count.all_time > 0 {
                usage.outputs.insert(newest.kind, count);
            }
            usage.recent.extend(newest.outputs);
        }
        usage.recent.sort_by(|a, b| (b.created, &b.output).cmp(&(a.created, &a.output)));
        usage.recent.truncate(RECENT_OUTPUTS);
        Ok(())
    }
}

impl Newest {
    fn may_be_more(&self) -> bool {
        self.outputs.len() >= RECENT_OUTPUTS
    }

    /// Of those at hand.
    fn count(&self, month: Month) -> OutputCount {
        let times = times(month);
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let within = self.outputs.iter().filter(|output| times.contains(&output.created.0)).count();
        OutputCount { month: count(within), all_time: count(self.outputs.len()) }
    }
}

/// A month in milliseconds, without its end.
fn times(month: Month) -> Range<i64> {
    TimeMs::of(month.start()).0..TimeMs::of(month.next().start()).0
}
