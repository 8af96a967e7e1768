//! Empties the outboxes: one loop for the topic and one for the webhook, so that a slow receiver delays no record.
//!
//! Every wait is bounded, and none of them waits for the other. What can't be sent stays where it is.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::ops::clock;
use crate::ops::crash::{self, Point};
use crate::ops::metrics::{Metrics, Sent};
use crate::store::{Backlog, Outbox, Pending, Sink, StoreError};

use super::backoff::Schedule;
use super::publisher::Publisher;
use super::tally::Tally;
use super::webhook::Webhook;

/// How long the sender waits, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two looks where nothing was to be done or nothing could be: from the first to the last, doubling.
    pub look: (Duration, Duration),
    /// From a look at the outboxes that had something sent to Kafka until the next: it asks every bucket, and what is
    /// noted meanwhile goes together. The webhook has more to do only after that, and its answers set its pace.
    pub rest: Duration,
    /// A bucket is another worker's once its lease is over: longer than a turn takes, be it of time-outs alone.
    pub topic_lease: Duration,
    /// Likewise.
    pub webhook_lease: Duration,
    /// Tries of the webhook.
    pub schedule: Schedule,
}

impl Pace {
    /// What a deployment runs with.
    pub const STANDARD: Self = Self {
        look: (Duration::from_secs(1), Duration::from_secs(10)),
        rest: Duration::from_millis(200),
        topic_lease: Duration::from_secs(40),
        webhook_lease: Duration::from_secs(60),
        schedule: Schedule::STANDARD,
    };
}

/// Notices of one bucket that are published together, and buckets at once.
const PUBLISHED_AT_ONCE: usize = 100;
const BUCKETS_AT_ONCE: usize = 8;
/// Notices that Kafka has and Redis was not told of, of all buckets.
const MOST_UNTOLD: usize = 10_000;

/// Sends what waits in the outboxes of a namespace.
pub struct Sender<O> {
    pub(super) outbox: O,
    pub(super) publisher: Publisher,
    pub(super) webhook: Option<Webhook>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) pace: Pace,
    /// Something was put into an outbox.
    noted: Arc<Notify>,
    /// Something waits for the webhook.
    published: Notify,
    /// As no other process is called.
    name: String,
    /// Ids that Kafka has, and that stayed in the outbox since Redis did not answer.
    untold: Mutex<HashSet<String>>,
}

impl<O: Outbox> Sender<O> {
    pub fn new(
        outbox: O,
        publisher: Publisher,
        webhook: Option<Webhook>,
        metrics: Arc<Metrics>,
        noted: Arc<Notify>,
        pace: Pace,
    ) -> Self {
        // The standard library seeds every hasher from the system's randomness.
        let name = format!("{:016x}", RandomState::new().build_hasher().finish());
        let (published, untold) = (Notify::new(), Mutex::default());
        Self { outbox, publisher, webhook, metrics, pace, noted, published, name, untold }
    }

    /// Sends until `shutdown`, and sees what it has begun to its end, which takes no longer than a lease.
    pub async fn run(&self, shutdown: &CancellationToken) {
        tokio::join!(self.keep(Sink::Topic, shutdown), async {
            if self.webhook.is_some() {
                self.keep(Sink::Webhook, shutdown).await;
            }
        });
    }

    async fn keep(&self, sink: Sink, shutdown: &CancellationToken) {
        let (mut pause, mut said) = (self.pace.look.0, false);
        while !shutdown.is_cancelled() {
            let tally = self.round(sink, shutdown).await;
            tally.say(sink, &mut said);
            if tally.stuck.is_none() && (tally.done > 0 || tally.left) {
                pause = self.pace.look.0;
            }
            if tally.stuck.is_none() && tally.done > 0 {
                if sink == Sink::Topic {
                    shutdown.run_until_cancelled(tokio::time::sleep(self.pace.rest)).await;
                }
                continue;
            }
            let news = async {
                match sink {
                    // The next one would fare no better.
                    _ if tally.stuck.is_some() => std::future::pending().await,
                    Sink::Topic => self.noted.notified().await,
                    Sink::Webhook => self.published.notified().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = news => pause = self.pace.look.0,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(self.pace.look.1),
            }
        }
    }

    /// A turn of each bucket in which something waits; after `shutdown` none is begun.
    async fn round(&self, sink: Sink, shutdown: &CancellationToken) -> Tally {
        let backlog = match self.outbox.backlog(TimeMs(clock::now_ms())).await {
            Ok(backlog) => backlog,
            Err(error) => return self.failed(&error),
        };
        let sum = |of: fn(&Backlog) -> u64| backlog.iter().map(of).sum();
        self.metrics.outbox(sum(|backlog| backlog.topic), sum(|backlog| backlog.webhook));
        let (ready, at_once): (fn(&Backlog) -> u64, _) = match sink {
            Sink::Topic => (|backlog| backlog.topic, BUCKETS_AT_ONCE),
            Sink::Webhook => (|backlog| backlog.due, 1),
        };
        let buckets = Bucket::all().zip(&backlog).filter(|(_, backlog)| ready(backlog) > 0);
        let buckets: Vec<_> = buckets.map(|(bucket, _)| bucket).collect();
        let turns = stream::iter(buckets).take_until(shutdown.cancelled()).map(|bucket| self.turn(bucket, sink));
        turns.buffer_unordered(at_once).fold(Tally::default(), async |sum, tally| sum.and(tally)).await
    }

    async fn turn(&self, bucket: Bucket, sink: Sink) -> Tally {
        let lease = match sink {
            Sink::Topic => self.pace.topic_lease,
            Sink::Webhook => self.pace.webhook_lease,
        };
        let begun = clock::instant();
        match self.outbox.lease(bucket, sink, &self.name, lease).await {
            Ok(true) => {}
            Ok(false) => return Tally { left: true, ..Tally::default() },
            Err(error) => return self.failed(&error),
        }
        let tally = match sink {
            Sink::Topic => self.publish(bucket).await,
            Sink::Webhook => self.deliver(bucket).await,
        };
        // Later it may be another's, who would be disturbed. A lease that is not given back ends by itself.
        if clock::instant() - begun < lease
            && let Err(error) = self.outbox.release(bucket, sink).await
        {
            return tally.and(self.failed(&error));
        }
        tally
    }

    async fn publish(&self, bucket: Bucket) -> Tally {
        let waiting = match self.outbox.pending(bucket, PUBLISHED_AT_ONCE).await {
            Ok(waiting) => waiting,
            Err(error) => return self.failed(&error),
        };
        let sent = join_all(waiting.iter().map(|notice| self.publish_one(notice))).await;
        let mut tally = Tally::default();
        let mut acknowledged = Vec::new();
        for (notice, sent) in waiting.into_iter().zip(sent) {
            match sent {
                Ok(()) => acknowledged.push(notice),
                Err(why) => tally.stuck = Some(why),
            }
        }
        if acknowledged.is_empty() {
            return tally;
        }
        crash::point(Point::AfterNoticeAck);
        tally.and(self.take_out(bucket, acknowledged).await)
    }

    async fn publish_one(&self, notice: &Pending) -> Result<(), String> {
        if self.untold().contains(&notice.id) {
            return Ok(());
        }
        let sent = self.publisher.publish(notice).await;
        self.metrics.notice(Sink::Topic.name(), if sent.is_ok() { Sent::Sent } else { Sent::Failed });
        sent
    }

    /// Of the outbox, when Kafka has them. As long as Redis does not answer, it is remembered that Kafka has.
    async fn take_out(&self, bucket: Bucket, notices: Vec<Pending>) -> Tally {
        let webhook = self.webhook.as_ref().map(|_| TimeMs(clock::now_ms()));
        let told = self.outbox.published(bucket, &notices, webhook).await;
        let mut untold = self.untold();
        if let Err(error) = told {
            let room = MOST_UNTOLD.saturating_sub(untold.len());
            untold.extend(notices.into_iter().take(room).map(|notice| notice.id));
            return self.failed(&error);
        }
        untold.retain(|id| !notices.iter().any(|notice| notice.id == *id));
        self.published.notify_one();
        Tally { done: notices.len(), ..Tally::default() }
    }

    fn untold(&self) -> MutexGuard<'_, HashSet<String>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failed(&self, error: &StoreError) -> Tally {
        self.metrics.store_failed(error.kind());
        Tally { stuck: Some(error.to_string()), ..Tally::default() }
    }
}
