//! Whether the session is well, and what is wrong when it isn't. Readiness means progress.

use std::time::Instant;

use rdkafka::error::KafkaError;

use crate::ingest::dead_letter::DeadLetters;
use crate::ingest::failure::Failure;
use crate::ingest::lane::Lane;
use crate::ingest::probe;
use crate::store::Ledger;

use super::{RENEW, Session};

impl<L: Ledger, D: DeadLetters> Session<'_, L, D> {
    pub(super) fn say_how_it_is(&self, now: Instant) {
        let (latch, tools) = (&self.worker.latch, &self.worker.tools);
        let stalls = |lane: &&Lane| lane.stalled_for(now) > tools.limits.stall;
        tools.metrics.stalled(self.lanes.values().filter(stalls).count());
        let stalled = self.lanes.values().find(stalls);
        let unheard = self.lanes.values().find(|lane| lane.unheard_for(now) > tools.limits.stall);
        match (tools.trouble.get(), stalled, unheard) {
            (Some(trouble), ..) => latch.not_ready(format!("makes no progress: {trouble}")),
            (_, Some(lane), _) => latch.not_ready(format!(
                "makes no progress: {} is {} records behind and no watermark has moved for {} s",
                lane.partition,
                lane.lag(),
                lane.stalled_for(now).as_secs()
            )),
            (.., Some(lane)) => {
                let (partition, why) = (&lane.partition, self.trouble.as_deref().unwrap_or("no answer"));
                latch.not_ready(format!("has not heard from kafka of {partition} ({why}), and does not know its lag"));
            }
            _ if self.joined => latch.ready(now, RENEW),
            _ => {}
        }
    }

    /// The library may hang in a rebalance, or not find back to a partition that had no leader for a while (librdkafka
    /// 5430, 5593), and then gives no records and no error. Only a new client helps.
    pub(super) fn refuse_to_be_stuck(&self, now: Instant) -> Result<(), Failure> {
        let (tools, stuck) = (&self.worker.tools, self.worker.tools.limits.stuck);
        if let Some(lane) = self.lanes.values().find(|lane| lane.lost_for(now) > stuck) {
            return Err(Failure::Kafka(format!("its client does not know who leads {}", lane.partition)));
        }
        // One whose brokers have all been out of sight may not look for them again for minutes.
        if now.saturating_duration_since(self.heard) > tools.limits.deaf {
            return Err(Failure::Silent { silence: tools.limits.deaf });
        }
        let was_full = now.saturating_duration_since(self.was_full) <= stuck;
        if was_full || tools.trouble.get().is_some() {
            return Ok(());
        }
        match self.lanes.values().find(|lane| lane.starves_for(now) > stuck) {
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
