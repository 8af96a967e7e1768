//! Whether the session is well, and what is wrong when it isn't. Readiness means progress.

use std::time::Instant;

use rdkafka::error::KafkaError;

use crate::ingest::dead_letter::DeadLetters;
use crate::ingest::failure::Failure;
use crate::ingest::probe;
use crate::store::Ledger;

use super::{RENEW, Session};

impl<L: Ledger, D: DeadLetters> Session<'_, L, D> {
    pub(super) fn say_how_it_is(&self, now: Instant) {
        let (latch, tools) = (&self.worker.latch, &self.worker.tools);
        let stalled = self.lanes.values().find(|lane| lane.stalled_for(now) > tools.limits.stall);
        match (tools.trouble.get(), stalled) {
            (Some(trouble), _) => latch.not_ready(format!("makes no progress: {trouble}")),
            (None, Some(lane)) => latch.not_ready(format!(
                "makes no progress: {} is {} records behind and no watermark has moved for {} s",
                lane.partition,
                lane.lag(),
                lane.stalled_for(now).as_secs()
            )),
            (None, None) if now.saturating_duration_since(self.heard) > tools.limits.stall => {
                let why = self.trouble.as_deref().unwrap_or("no answer");
                latch.not_ready(format!("has not heard from kafka for a while ({why}), and does not know its lag"));
            }
            (None, None) if self.joined => latch.ready(now, RENEW),
            (None, None) => {}
        }
    }

    /// The library may hang in a rebalance, and then gives no records and no error.
    pub(super) fn refuse_to_be_stuck(&self, now: Instant) -> Result<(), Failure> {
        let (tools, stuck) = (&self.worker.tools, self.worker.tools.limits.stuck);
        match self.lanes.values().find(|lane| lane.stalled_for(now) > stuck && tools.trouble.get().is_none()) {
            Some(lane) => Err(Failure::Kafka(format!("it has given no records of {} for {stuck:?}", lane.partition))),
            None => Ok(()),
        }
    }

    /// Finds out which partition an error of the whole consumer is about.
    pub(super) async fn diagnose(&self, error: KafkaError) -> Failure {
        for lane in self.lanes.values() {
            let patience = self.worker.tools.limits.ask_kafka;
            let Ok(facts) = probe::facts(self.source.client(), lane.partition.clone(), false, patience).await else {
                continue;
            };
            let (partition, wanted) = (lane.partition.clone(), lane.next());
            if wanted < facts.first {
                return Failure::LogGap { partition, wanted, first: facts.first };
            }
            if wanted > facts.end {
                return Failure::log_ends(&partition, facts.end, wanted);
            }
        }
        Failure::Kafka(error.to_string())
    }
}
