//! The worker's side in Redis: watermarks, and flushes by `call.lua` and `apply.lua`.

use std::sync::Arc;

use futures::future::try_join_all;
use redis::{Cmd, Value, cmd};

use crate::domain::bucket::{BUCKETS, Bucket};
use crate::domain::calendar::TimeMs;
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::Generation;

use super::call::Call;
use super::keys::{self, Keyspace, LAYOUT_VERSION};
use super::link::{Link, is_no_script};
use super::{Flush, Ledger, Outcome, Repeat, Retention, Standing, StoreError};

/// The script that applies a flush: what reads its arguments, and what it does with them.
pub const APPLY: &str = concat!(include_str!("call.lua"), include_str!("apply.lua"));

#[derive(Clone)]
pub struct RedisLedger {
    link: Arc<Link>,
    keyspace: Keyspace,
    retention: Retention,
    /// The consumer group that counts into the namespace: two of them would count everything twice.
    group: Box<str>,
    script: Arc<str>,
    sha: Arc<str>,
}

impl RedisLedger {
    pub fn new(link: Arc<Link>, keyspace: Keyspace, retention: Retention, group: &str) -> Self {
        Self { link, keyspace, retention, group: group.into(), script: "".into(), sha: "".into() }.with_script(APPLY)
    }

    /// Another script in the place of [`APPLY`]: a test of the tests has a wrong one.
    pub fn with_script(mut self, script: &str) -> Self {
        self.sha = redis::Script::new(script).get_hash().into();
        self.script = script.into();
        self
    }

    async fn call(&self, call: &Call) -> Result<Value, StoreError> {
        match self.link.query(&command("EVALSHA", &self.sha, call)).await {
            // The script cache is volatile; EVAL fills it again on the node that the keys belong to.
            Err(error) if is_no_script(&error) => self.link.query(&command("EVAL", &self.script, call)).await,
            answer => answer,
        }
    }

    async fn claim(&self, bucket: Bucket) -> Result<(), StoreError> {
        let buckets = BUCKETS.to_string();
        let ours = [("layout", LAYOUT_VERSION), ("buckets", &buckets), ("group", &self.group)];
        let state = self.keyspace.state(bucket);
        for (field, value) in ours {
            // One by one: a crash in between leaves fields that the next start finds to be its own.
            self.link.query(cmd("HSETNX").arg(&state).arg(field).arg(value)).await?;
            let found = self.link.query(cmd("HGET").arg(&state).arg(field)).await?;
            let found = text(&found).unwrap_or_default();
            if found != value {
                return Err(StoreError::Unusable(format!(
                    "the redis key {state} says {field} {found:?}, and this process has {value:?}; \
                     use the same setting, or another INDELIBLE_NAMESPACE"
                )));
            }
        }
        Ok(())
    }

    async fn check_eviction(&self) -> Result<(), StoreError> {
        let info = self.link.query(cmd("INFO").arg("memory")).await?;
        let mut texts = Vec::new();
        collect_texts(&info, &mut texts);
        let policies =
            texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("maxmemory_policy:"));
        for policy in policies {
            if policy.trim() != "noeviction" {
                return Err(StoreError::Unusable(format!(
                    "redis has maxmemory-policy {}, which may throw counters away; set it to noeviction",
                    policy.trim()
                )));
            }
        }
        Ok(())
    }
}

fn command(verb: &str, script: &str, call: &Call) -> Cmd {
    let mut command = cmd(verb);
    command.arg(script).arg(call.keys.len()).arg(&call.keys).arg(&call.args);
    command
}

impl Ledger for RedisLedger {
    async fn prepare(&self) -> Result<(), StoreError> {
        self.check_eviction().await?;
        try_join_all(Bucket::all().map(|bucket| self.claim(bucket))).await.map(drop)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.check_eviction().await
    }

    async fn standing(&self, partition: &TopicPartition) -> Result<Standing, StoreError> {
        let fields = [keys::watermark_field(partition), keys::log_field(partition)];
        let stands = try_join_all(Bucket::all().map(|bucket| {
            let (state, fields) = (self.keyspace.state(bucket), &fields);
            async move {
                let stored = self.link.query(cmd("HMGET").arg(&state).arg(fields)).await?;
                let Value::Array(stored) = &stored else { return Err(unreadable(&stored)) };
                let [watermark, log_time] = stored.as_slice() else { return Err(unreadable(&Value::Nil)) };
                let watermark = (*watermark != Value::Nil).then(|| parse_watermark(&state, watermark)).transpose()?;
                Ok((watermark, text(log_time).and_then(|log_time| log_time.parse().ok()).unwrap_or(0)))
            }
        }))
        .await?;
        let log_time = TimeMs(stands.iter().map(|(_, log_time)| *log_time).max().unwrap_or(0));
        Ok(Standing { watermarks: stands.into_iter().map(|(watermark, _)| watermark).collect(), log_time })
    }

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        let Ok(call) = Call::of(flush, &self.keyspace, self.retention) else {
            return Ok(Outcome::TooLarge);
        };
        let answer = self.call(&call).await?;
        read_outcome(&answer, &self.keyspace.state(flush.bucket))
    }
}

fn parse_watermark(state: &str, stored: &Value) -> Result<Position, StoreError> {
    let damaged = || StoreError::Corrupt { key: state.to_owned(), detail: format!("a watermark holds {stored:?}") };
    text(stored).and_then(|stored| stored.parse().ok()).ok_or_else(damaged)
}

/// The outcome that an answer of the script says.
///
/// # Errors
/// [`StoreError::Corrupt`] as the script found it; [`StoreError::Unusable`] for an answer it never gives.
pub fn read_outcome(answer: &Value, state: &str) -> Result<Outcome, StoreError> {
    let Value::Array(parts) = answer else { return Err(unreadable(answer)) };
    // What is no text has been stored by someone else, and is shown as it is.
    let texts: Vec<&str> = parts.iter().map(|part| text(part).unwrap_or("?")).collect();
    match texts.as_slice() {
        ["applied", expired] => {
            let expired = (!expired.is_empty()).then(|| expired.parse().map(Generation)).transpose();
            Ok(Outcome::Applied { expired: expired.map_err(|_| unreadable(answer))? })
        }
        ["repeated", pairs @ ..] => {
            let repeats: Option<Vec<_>> = pairs.chunks(2).map(read_repeat).collect();
            let mut repeats = repeats.ok_or_else(|| unreadable(answer))?;
            // The script goes by shard.
            repeats.sort_by_key(|repeat| repeat.index);
            Ok(Outcome::Repeated(repeats))
        }
        ["moved", ""] => Ok(Outcome::Moved(None)),
        ["moved", _] => Ok(Outcome::Moved(Some(parse_watermark(state, &parts[1])?))),
        ["overflow", _] => Ok(Outcome::TooLarge),
        ["corrupt", key, detail] => Err(StoreError::Corrupt { key: (*key).to_owned(), detail: (*detail).to_owned() }),
        _ => Err(unreadable(answer)),
    }
}

fn read_repeat(pair: &[&str]) -> Option<Repeat> {
    let [index, conflict] = pair else { return None };
    Some(Repeat { index: index.parse().ok()?, conflict: *conflict == "1" })
}

fn unreadable(answer: &Value) -> StoreError {
    StoreError::Unusable(format!("redis gave an answer that the script never gives: {answer:?}"))
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

/// All texts in an answer, however nested: a cluster answers INFO once a node.
fn collect_texts<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::Array(parts) => parts.iter().for_each(|part| collect_texts(part, texts)),
        Value::Map(pairs) => pairs.iter().for_each(|(_, part)| collect_texts(part, texts)),
        other => texts.extend(text(other)),
    }
}
