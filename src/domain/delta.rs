//! What a run of events adds: the fold. A pure function of the events, in any order.

use std::collections::BTreeMap;

use chrono::Datelike;

use super::calendar::{Month, TimeMs};
use super::counters::{Added, Counters, DayUsage, Group, Mismatch, Overflow, Step, add};
use super::event::{Body, Event, Output, Usage};
use super::ids::{Model, TenantId, UserId};
use super::quota::{Assignment, Spent};
use super::rated::Rated;

/// Whose counters: a user's, or those of the tenant as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    pub tenant: TenantId,
    /// None for the tenant's own counters.
    pub user: Option<UserId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputVerb {
    Created,
    Deleted,
}

/// A change to a user's saved outputs. What it does depends on what the store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputChange {
    pub tenant: TenantId,
    pub user: UserId,
    pub output: Output,
    pub verb: OutputVerb,
    /// The event's own time.
    pub time: TimeMs,
    /// The record's Kafka timestamp: by it a tombstone is dropped.
    pub log_time: TimeMs,
}

/// What a run of events of one bucket adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    pub months: BTreeMap<(Scope, Month), Added>,
    pub outputs: Vec<OutputChange>,
    pub assigned: Vec<(Scope, Assignment)>,
    /// By month and model, of all tenants of the bucket.
    pub mismatches: BTreeMap<(Month, Model), Mismatch>,
}

/// One event with what it is counted by.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    pub event: &'a Event,
    pub rated: &'a Rated,
    /// The record's Kafka timestamp.
    pub log_time: TimeMs,
}

impl Delta {
    /// Folds events in the order of the log.
    ///
    /// # Errors
    /// [`Overflow`], when a sum over the run is not an i64.
    pub fn fold<'a>(events: impl IntoIterator<Item = Counted<'a>>) -> Result<Self, Overflow> {
        let mut delta = Self::default();
        for Counted { event, rated, log_time } in events {
            match &event.body {
                Body::Usage(usage) => {
                    delta.add_usage(event, usage, rated)?;
                    if let Some(output) = &usage.output {
                        delta.add_output(event, output, OutputVerb::Created, log_time);
                    }
                }
                Body::OutputCreated(output) => delta.add_output(event, output, OutputVerb::Created, log_time),
                Body::OutputDeleted(output) => delta.add_output(event, output, OutputVerb::Deleted, log_time),
                Body::QuotaAssigned(assigned) => {
                    let scope = Scope { tenant: event.tenant.clone(), user: event.user.clone() };
                    delta.assigned.push((scope, event.assignment(assigned)));
                }
            }
        }
        Ok(delta)
    }

    fn add_usage(&mut self, event: &Event, usage: &Usage, rated: &Rated) -> Result<(), Overflow> {
        let month = Month::of(event.time);
        let counters = Counters::of(usage, rated);
        let Rated { cost, charge, .. } = *rated;
        let spent = Spent { tokens: counters.total_tokens()?, cost: cost.0 };
        let day = DayUsage { requests: 1, tokens: spent.tokens, cost, charge };
        for user in event.user.iter().cloned().map(Some).chain([None]) {
            let is_tenant = user.is_none();
            let scope = Scope { tenant: event.tenant.clone(), user };
            let added = self.months.entry((scope, month)).or_default();
            added.steps.push(Step { spent, at: TimeMs::of(event.time) });
            let sums = &mut added.sums;
            let group = Group { assistant: usage.assistant.clone(), model: usage.model.clone() };
            sums.usage.groups.entry(group).or_default().add(&counters)?;
            for (tool, calls) in &usage.tools {
                add(sums.usage.tools.entry(tool.clone()).or_default(), *calls)?;
            }
            sums.days.entry(event.time.day()).or_default().add(&day)?;
            if is_tenant {
                sums.total.get_or_insert_default().add(spent)?;
            }
        }
        if let Some(expected) = rated.mismatch {
            let more = Mismatch { requests: 1, given: cost, expected };
            self.mismatches.entry((month, usage.model.clone())).or_default().add(&more);
        }
        Ok(())
    }

    fn add_output(&mut self, event: &Event, output: &Output, verb: OutputVerb, log_time: TimeMs) {
        let Some(user) = event.user.clone() else { return };
        self.outputs.push(OutputChange {
            tenant: event.tenant.clone(),
            user,
            output: output.clone(),
            verb,
            time: TimeMs::of(event.time),
            log_time,
        });
    }
}
