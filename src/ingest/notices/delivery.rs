//! The sender's turn with the webhook: tries, and what becomes of each.

use futures::future::join_all;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::ops::clock;
use crate::ops::metrics::Sent;
use crate::store::{Delivery, Outbox, Sink, StoreError};

use super::sender::Sender;
use super::tally::Tally;
use super::webhook::{Refusal, Webhook};

/// Requests to the receiver at once: all of one bucket, and one bucket after the other.
const POSTS_AT_ONCE: usize = 16;

impl<O: Outbox> Sender<O> {
    pub(super) async fn deliver(&self, bucket: Bucket) -> Tally {
        let Some(webhook) = &self.webhook else { return Tally::default() };
        let due = match self.outbox.due(bucket, TimeMs(clock::now_ms()), POSTS_AT_ONCE).await {
            Ok(due) => due,
            Err(error) => return self.failed(&error),
        };
        let tried = due.into_iter().map(|delivery| self.deliver_one(bucket, webhook, delivery));
        join_all(tried).await.into_iter().fold(Tally::default(), Tally::and)
    }

    async fn deliver_one(&self, bucket: Bucket, webhook: &Webhook, mut delivery: Delivery) -> Tally {
        let begun = TimeMs(clock::now_ms());
        let refusal = match webhook.post(&delivery.notice, begun).await {
            Ok(()) => {
                self.metrics.notice(Sink::Webhook.name(), Sent::Sent);
                return self.noted_as_done(self.outbox.settled(bucket, &delivery.notice.id).await, None);
            }
            Err(refusal) => refusal,
        };
        self.metrics.notice(Sink::Webhook.name(), Sent::Failed);
        let (first, now) = (*delivery.first.get_or_insert(begun), TimeMs(clock::now_ms()));
        delivery.attempts = delivery.attempts.saturating_add(1);
        let next = self.pace.schedule.next(first, now, delivery.attempts, refusal.retry_after);
        match next.filter(|_| !refusal.is_final) {
            Some(next) => {
                let put_off = self.outbox.put_off(bucket, &delivery, next).await;
                self.noted_as_done(put_off, Some(refusal.why))
            }
            None => self.give_up(bucket, &delivery, refusal, now).await,
        }
    }

    async fn give_up(&self, bucket: Bucket, delivery: &Delivery, refusal: Refusal, now: TimeMs) -> Tally {
        let Delivery { notice, attempts, .. } = delivery;
        if let Err(why) = self.publisher.dead_letter(notice, &refusal.why, *attempts, now).await {
            return Tally { stuck: Some(why), ..Tally::default() };
        }
        self.metrics.notice(Sink::Webhook.name(), Sent::DeadLettered);
        tracing::warn!(attempts, why = refusal.why, "the webhook has not taken a notice, which is a dead letter now");
        self.noted_as_done(self.outbox.settled(bucket, &notice.id).await, Some(refusal.why))
    }

    fn noted_as_done(&self, told: Result<(), StoreError>, refused: Option<String>) -> Tally {
        match told {
            Ok(()) => Tally { done: 1, refused, ..Tally::default() },
            Err(error) => self.failed(&error),
        }
    }
}
