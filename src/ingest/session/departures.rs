//! What leaves the lanes together, and what becomes of it when it has landed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinError;

use crate::domain::position::TopicPartition;
use crate::ingest::dead_letter::DeadLetters;
use crate::ingest::failure::Failure;
use crate::ingest::job::{Departure, Landing};
use crate::ingest::lane::{Lane, Leaving};
use crate::ops::clock;
use crate::store::Ledger;

use super::{Job, Session};

impl<L: Ledger, D: DeadLetters> Session<'_, L, D> {
    /// Sends off what is due, and with it whatever else waits: the more there is of a bucket, the less each costs.
    pub(super) fn depart_due(&mut self, now: Instant) {
        let limits = self.worker.tools.limits;
        let pressed = self.held_bytes() >= limits.held_bytes;
        let waits = |lane: &Lane| !lane.in_flight && !lane.waiting.is_empty();
        let age = self.batch_age();
        let due = |lane: &Lane| lane.due_in(now, &limits, age) == Some(Duration::ZERO) || (pressed && waits(lane));
        if self.lanes.values().any(|lane| self.may_depart(lane) && due(lane)) {
            let ready = self.lanes.values().filter(|lane| self.may_depart(lane) && (waits(lane) || due(lane)));
            let ready = ready.map(|lane| lane.partition.clone());
            let beat = self.lanes.values().any(|lane| due(lane) && lane.beats(now, &limits));
            self.depart(ready.collect(), now, beat);
        }
    }

    /// One convoy at a time: what comes meanwhile makes up the next, and the busier the store is, the larger that gets.
    /// A lane that is held up goes alone anyway.
    pub(super) fn may_depart(&self, lane: &Lane) -> bool {
        !lane.in_flight && (self.convoys == 0 || lane.waiting.may_be_held_up())
    }

    /// How long an event may wait for others.
    pub(super) fn batch_age(&self) -> Duration {
        let limits = &self.worker.tools.limits;
        let behind = self.lanes.values().any(|lane| lane.is_far_behind(limits));
        if behind { limits.backlog_age } else { limits.batch_age }
    }

    /// Sends off partitions together, but for those that something may hold up: each of them waits for itself alone.
    pub(super) fn depart(&mut self, partitions: Vec<TopicPartition>, now: Instant, beat: bool) {
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        for partition in partitions {
            let Some(lane) = self.lanes.get_mut(&partition) else { continue };
            self.in_flight_bytes.insert(partition, lane.waiting.bytes());
            let held_up = lane.waiting.may_be_held_up();
            if held_up { &mut alone } else { &mut together }.push(lane.depart(now, beat));
        }
        alone.into_iter().for_each(|lane| self.send_off(vec![lane], beat, false));
        if !together.is_empty() {
            self.convoys += 1;
            self.send_off(together, beat, true);
        }
    }

    fn send_off(&mut self, lanes: Vec<Leaving>, beat: bool, convoy: bool) {
        let expire = if beat { std::mem::take(&mut self.expire) } else { BTreeMap::new() };
        let departure = Departure { lanes, partitions: self.partitions, tidies: beat, expire };
        let partitions = departure.lanes.iter().map(|lane| lane.partition.clone()).collect();
        let tools = Arc::clone(&self.worker.tools);
        self.jobs.spawn(async move { Job { partitions, convoy, landed: tools.run(departure).await } });
    }

    pub(super) fn land(&mut self, landed: Result<Job, JoinError>) -> Result<(), Failure> {
        let landed = landed.map_err(|error| Failure::Defect(format!("a flush ({error})")))?;
        let Job { partitions, convoy, landed } = landed;
        self.convoys -= usize::from(convoy);
        self.in_flight_bytes.retain(|partition, _| !partitions.contains(partition));
        let Landing { lanes, expired } = landed?;
        self.expire.extend(expired);
        for partition in partitions {
            if let Some(lane) = self.lanes.get_mut(&partition) {
                lane.land(lanes.get(&partition).map_or(&[], Vec::as_slice), clock::instant());
            }
        }
        Ok(())
    }
}
