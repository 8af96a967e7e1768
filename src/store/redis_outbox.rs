//! The sender's side in Redis: notices that wait for the topic, and for the webhook.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use redis::{Value, cmd, pipe};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;

use super::keys::Keyspace;
use super::link::Link;
use super::notice::key_of;
use super::reply::{corrupt, damaged, read};
use super::{Backlog, Delivery, Outbox, Pending, Sink, StoreError};

const PUBLISHED: &str = include_str!("published.lua");

/// The outboxes of one namespace.
pub struct RedisOutbox {
    link: Arc<Link>,
    keyspace: Keyspace,
}

impl RedisOutbox {
    pub fn new(link: Arc<Link>, keyspace: Keyspace) -> Self {
        Self { link, keyspace }
    }

    fn lease_key(&self, bucket: Bucket, sink: Sink) -> String {
        match sink {
            Sink::Topic => self.keyspace.outbox_lease(bucket),
            Sink::Webhook => self.keyspace.webhook_lease(bucket),
        }
    }

    async fn backlog_of(&self, bucket: Bucket, now: TimeMs) -> Result<Backlog, StoreError> {
        let (outbox, due) = (self.keyspace.outbox(bucket), self.keyspace.webhook_due(bucket));
        let mut ask = pipe();
        ask.cmd("HLEN").arg(&outbox).cmd("ZCARD").arg(&due).cmd("ZCOUNT").arg(&due).arg("-inf").arg(now.0);
        let mut answers = self.link.pipeline(&ask).await?.into_iter();
        let mut next = |key| read::<u64>(answers.next().unwrap_or(Value::Nil), key);
        Ok(Backlog { topic: next(&outbox)?, webhook: next(&due)?, due: next(&due)? })
    }
}

impl Outbox for RedisOutbox {
    async fn backlog(&self, now: TimeMs) -> Result<Vec<Backlog>, StoreError> {
        try_join_all(Bucket::all().map(|bucket| self.backlog_of(bucket, now))).await
    }

    async fn lease(&self, bucket: Bucket, sink: Sink, owner: &str, term: Duration) -> Result<bool, StoreError> {
        let key = self.lease_key(bucket, sink);
        let mut ask = pipe();
        ask.cmd("SET").arg(&key).arg(owner).arg("NX").arg("PX").arg(term.as_millis() as u64);
        ask.cmd("GET").arg(&key);
        let answers = self.link.pipeline(&ask).await?;
        let holder: Option<String> = read(answers.into_iter().nth(1).unwrap_or(Value::Nil), &key)?;
        Ok(holder.as_deref() == Some(owner))
    }

    async fn release(&self, bucket: Bucket, sink: Sink) -> Result<(), StoreError> {
        self.link.query(cmd("DEL").arg(self.lease_key(bucket, sink))).await.map(drop)
    }

    async fn pending(&self, bucket: Bucket, most: usize) -> Result<Vec<Pending>, StoreError> {
        let key = self.keyspace.outbox(bucket);
        // Any will do, and a scan of a hash that was long once may go through much that is empty.
        let answer = self.link.query(cmd("HRANDFIELD").arg(&key).arg(most).arg("WITHVALUES")).await?;
        let entries: Vec<(String, String)> = read(answer, &key)?;
        entries.into_iter().map(|(id, event)| pending(&key, id, event)).collect()
    }

    async fn published(&self, bucket: Bucket, notices: &[Pending], webhook: Option<TimeMs>) -> Result<(), StoreError> {
        let keyspace = &self.keyspace;
        let keys = [keyspace.outbox(bucket), keyspace.webhook(bucket), keyspace.webhook_due(bucket)];
        let mut call = cmd("EVAL");
        call.arg(PUBLISHED).arg(keys.len()).arg(&keys);
        call.arg(webhook.map(|due| due.0.to_string()).unwrap_or_default());
        call.arg(notices.iter().map(|notice| &notice.id).collect::<Vec<_>>());
        self.link.query(&call).await.map(drop)
    }

    async fn due(&self, bucket: Bucket, now: TimeMs, most: usize) -> Result<Vec<Delivery>, StoreError> {
        let (key, due) = (self.keyspace.webhook(bucket), self.keyspace.webhook_due(bucket));
        let mut ask = cmd("ZRANGEBYSCORE");
        ask.arg(&due).arg("-inf").arg(now.0).arg("LIMIT").arg(0).arg(most);
        let ids: Vec<String> = read(self.link.query(&ask).await?, &due)?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let texts: Vec<Option<String>> = read(self.link.query(cmd("HMGET").arg(&key).arg(&ids)).await?, &key)?;
        // Gone meanwhile is settled by another.
        let there = ids.into_iter().zip(texts).filter_map(|(id, text)| Some((id, text?)));
        there.map(|(id, text)| delivery(&key, id, &text)).collect()
    }

    async fn put_off(&self, bucket: Bucket, delivery: &Delivery, next: TimeMs) -> Result<(), StoreError> {
        let (key, due) = (self.keyspace.webhook(bucket), self.keyspace.webhook_due(bucket));
        let id = &delivery.notice.id;
        let mut change = pipe();
        change.atomic().cmd("HSET").arg(key).arg(id).arg(text(delivery)).cmd("ZADD").arg(due).arg(next.0).arg(id);
        self.link.pipeline(&change).await.map(drop)
    }

    async fn settled(&self, bucket: Bucket, id: &str) -> Result<(), StoreError> {
        let (key, due) = (self.keyspace.webhook(bucket), self.keyspace.webhook_due(bucket));
        let mut change = pipe();
        change.atomic().cmd("ZREM").arg(due).arg(id).cmd("HDEL").arg(key).arg(id);
        self.link.pipeline(&change).await.map(drop)
    }
}

pub(super) fn pending(hash: &str, id: String, event: String) -> Result<Pending, StoreError> {
    let key = key_of(&id).ok_or_else(|| corrupt(hash, format!("{id:?} is not the id of a notice")))?;
    Ok(Pending { id, key, event })
}

/// `- 0 EVENT`, or `FIRST ATTEMPTS EVENT` once it was tried, FIRST in milliseconds.
fn text(Delivery { notice, first, attempts }: &Delivery) -> String {
    let first = first.map_or_else(|| "-".to_owned(), |first| first.0.to_string());
    format!("{first} {attempts} {}", notice.event)
}

pub(super) fn delivery(key: &str, id: String, text: &str) -> Result<Delivery, StoreError> {
    let damaged = || damaged(key, &id, text);
    let mut parts = text.splitn(3, ' ');
    let (Some(first), Some(attempts), Some(event)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(damaged());
    };
    let first = match first {
        "-" => None,
        first => Some(TimeMs(first.parse().map_err(|_| damaged())?)),
    };
    let attempts = attempts.parse().map_err(|_| damaged())?;
    Ok(Delivery { notice: pending(key, id, event.to_owned())?, first, attempts })
}
