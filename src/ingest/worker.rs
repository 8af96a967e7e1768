//! The worker: sessions, one after the other, until it is told to stop.
//!
//! A session joins the consumer group, reads the watermarks of what it is assigned, and counts until it is told
//! to stop or can't go on. Whatever a session forgets, the next one finds in the watermarks.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use tokio_util::sync::CancellationToken;

use crate::ops::health::Latch;
use crate::store::Ledger;

use super::dead_letter::DeadLetters;
use super::decode::Bounds;
use super::failure::{Failure, Verdict};
use super::job::Tools;
use super::rated::Audit;
use super::session::Session;
use super::source::Source;

/// Leaving the group, when the process is to end.
const AT_THE_END: Duration = Duration::from_secs(5);

/// Counts events until it is told to stop.
#[derive(Debug)]
pub struct Worker<L, D> {
    pub tools: Arc<Tools<L, D>>,
    /// Of the consumer: brokers, group and every other property.
    pub kafka: ClientConfig,
    pub topics: Vec<String>,
    pub bounds: Bounds,
    pub latch: Latch,
    /// How long a session may take to see its batches to their end when it is told to stop.
    pub drain: Duration,
}

impl<L: Ledger, D: DeadLetters> Worker<L, D> {
    /// Runs sessions until `shutdown`.
    ///
    /// # Errors
    /// The [`Failure`] after which no other session would be any better.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), Failure> {
        loop {
            let Err(failure) = self.session(&shutdown).await else { return Ok(()) };
            self.latch.not_ready(format!("stopped counting: {failure}"));
            self.tools.metrics.session_failed(failure.name());
            match failure.verdict() {
                Verdict::Die => {
                    tracing::error!(failure = failure.name(), "{failure}");
                    return Err(failure);
                }
                Verdict::Restart { after } => {
                    tracing::warn!(failure = failure.name(), "{failure}");
                    if shutdown.run_until_cancelled(tokio::time::sleep(after)).await.is_none() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn session(&self, shutdown: &CancellationToken) -> Result<(), Failure> {
        let prepared = self.patiently(self.tools.insist("prepare", || self.tools.ledger.prepare()));
        let Some(prepared) = shutdown.run_until_cancelled(prepared).await else { return Ok(()) };
        for before in prepared?.taken_from {
            tracing::warn!(
                before,
                "took the namespace over from another consumer group, which can't count here any more"
            );
        }
        self.tools.audit.iter().for_each(Audit::forget_kept);
        let source = Source::open(&self.kafka, &self.topics).map_err(|error| Failure::Kafka(error.to_string()))?;
        self.tools.metrics.session_started();
        let mut session = Session::new(self, source);
        let ended = session.count(shutdown).await;
        if ended.is_ok() && tokio::time::timeout(self.drain, session.drain()).await.is_err() {
            tracing::warn!("not all batches ended in time; Kafka still holds them and the next start counts them");
        }
        if let Err(failure) = &ended {
            // Closing can take seconds in which nothing is counted.
            self.latch.not_ready(format!("stopped counting: {failure}"));
        }
        let closed = if shutdown.is_cancelled() {
            // The process ends, and with it whatever hangs.
            tokio::time::timeout(AT_THE_END, session.close()).await.unwrap_or(Ok(()))
        } else {
            session.close().await
        };
        // A client that hears nothing may not close either; nor does its group hear of it, and so takes its partitions.
        let forgets = shutdown.is_cancelled() || matches!(ended, Err(Failure::Silent { .. }));
        if forgets { ended } else { closed.and(ended) }
    }

    /// Awaits an answer of the store, and meanwhile says what is in its way: a server that loads, a replica, none.
    pub(super) async fn patiently<T>(&self, asked: impl Future<Output = T>) -> T {
        let mut asked = std::pin::pin!(asked);
        loop {
            if let Ok(answer) = tokio::time::timeout(self.tools.limits.probe, &mut asked).await {
                return answer;
            }
            if let Some(trouble) = self.tools.trouble.get() {
                self.latch.not_ready(format!("makes no progress: {trouble}"));
            }
        }
    }
}
