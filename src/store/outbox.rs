//! What the sender of notices asks of the store. A notice is in a bucket's outbox until Kafka has it, and then, where
//! there is a webhook, among those that wait for it until it has taken them or they were given up.

use std::time::Duration;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;

use super::StoreError;

/// Where notices go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    Topic,
    Webhook,
}

/// What waits in a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// For the topic.
    pub topic: u64,
    /// For the webhook, at whatever time.
    pub webhook: u64,
    /// Of these, for a try now.
    pub due: u64,
}

/// A notice as it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The CloudEvent's id.
    pub id: String,
    /// The record's key, `tenant:user`.
    pub key: String,
    /// The CloudEvent as JSON.
    pub event: String,
}

/// A notice that waits for the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub notice: Pending,
    /// When it was tried first; none before that.
    pub first: Option<TimeMs>,
    /// How often it was tried in vain.
    pub attempts: u32,
}

/// The sender's side. Whatever is asked for twice is done once; a lease only saves double work.
pub trait Outbox: Send + Sync + 'static {
    /// How much waits, by [`Bucket::index`].
    fn backlog(&self, now: TimeMs) -> impl Future<Output = Result<Vec<Backlog>, StoreError>> + Send;

    /// Whether this `owner` sends what waits in the bucket for the `term` to come; false where another does.
    fn lease(
        &self,
        bucket: Bucket,
        sink: Sink,
        owner: &str,
        term: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Lets another have the bucket. Not to be asked once the term is over.
    fn release(&self, bucket: Bucket, sink: Sink) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Any that wait for the topic, `most` of them at most.
    fn pending(&self, bucket: Bucket, most: usize) -> impl Future<Output = Result<Vec<Pending>, StoreError>> + Send;

    /// Kafka has these. They wait for the webhook from then on, where there is one.
    fn published(
        &self,
        bucket: Bucket,
        notices: &[Pending],
        webhook: Option<TimeMs>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Those that the webhook is to be tried with by `now`, the longest due first, `most` of them at most.
    fn due(
        &self,
        bucket: Bucket,
        now: TimeMs,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// The webhook was tried with this one and is to be tried again at `next`.
    fn put_off(
        &self,
        bucket: Bucket,
        delivery: &Delivery,
        next: TimeMs,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The webhook, or the dead-letter topic, has this one.
    fn settled(&self, bucket: Bucket, id: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}
