//! The worker's side in Redis: watermarks, and flushes by `call.lua` and `apply.lua`.

use std::sync::Arc;

use futures::future::try_join_all;
use redis::{Cmd, Value, cmd};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::position::TopicPartition;
use crate::domain::seen::Generation;

use super::call::Call;
use super::keys::{self, Keyspace};
use super::link::{Link, is_no_script};
use super::namespace::Namespace;
use super::reply::{parse_watermark, text, unreadable};
use super::{Flush, Ledger, Outcome, Prepared, Repeat, Retention, Standing, StoreError};

/// The script that applies a flush: what reads its arguments, and what it does with them.
pub const APPLY: &str = concat!(include_str!("call.lua"), include_str!("apply.lua"));

#[derive(Clone)]
pub struct RedisLedger {
    link: Arc<Link>,
    keyspace: Keyspace,
    retention: Retention,
    namespace: Namespace,
    script: Arc<str>,
    sha: Arc<str>,
}

impl RedisLedger {
    pub fn new(link: Arc<Link>, keyspace: Keyspace, retention: Retention, group: &str) -> Self {
        let namespace = Namespace::new(Arc::clone(&link), keyspace.clone(), group);
        Self { link, keyspace, retention, namespace, script: "".into(), sha: "".into() }.with_script(APPLY)
    }

    /// Has the first [`Ledger::prepare`] take the namespace from another group.
    pub fn taking_over(self, takeover: bool) -> Self {
        if takeover {
            self.namespace.take_over();
        }
        self
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
}

fn command(verb: &str, script: &str, call: &Call) -> Cmd {
    let mut command = cmd(verb);
    command.arg(script).arg(call.keys.len()).arg(&call.keys).arg(&call.args);
    command
}

impl Ledger for RedisLedger {
    async fn prepare(&self) -> Result<Prepared, StoreError> {
        self.namespace.prepare().await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.namespace.check().await
    }

    async fn standing(&self, partition: &TopicPartition) -> Result<Standing, StoreError> {
        let fields = [keys::watermark_field(partition), keys::log_field(partition), keys::resume_field(partition)];
        let stands = try_join_all(Bucket::all().map(|bucket| {
            let (state, fields) = (self.keyspace.state(bucket), &fields);
            async move {
                let stored = self.link.query(cmd("HMGET").arg(&state).arg(fields)).await?;
                let Value::Array(stored) = &stored else { return Err(unreadable(&stored)) };
                let [watermark, log_time, resume] = stored.as_slice() else { return Err(unreadable(&Value::Nil)) };
                let watermark = (*watermark != Value::Nil).then(|| parse_watermark(&state, watermark)).transpose()?;
                let log_time = text(log_time).and_then(|log_time| log_time.parse().ok()).unwrap_or(0);
                Ok((watermark, TimeMs(log_time), *resume != Value::Nil))
            }
        }))
        .await?;
        Ok(Standing {
            watermarks: stands.iter().map(|(watermark, ..)| *watermark).collect(),
            log_times: stands.iter().map(|(_, log_time, _)| *log_time).collect(),
            unfinished: stands.iter().any(|(.., unfinished)| *unfinished),
        })
    }

    async fn apply(&self, flush: &Flush) -> Result<Outcome, StoreError> {
        let Ok(call) = Call::of(flush, &self.keyspace, self.retention) else {
            return Ok(Outcome::TooLarge);
        };
        let answer = self.call(&call).await?;
        read_outcome(&answer, &self.keyspace.state(flush.bucket))
    }
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
