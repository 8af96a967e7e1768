//! What a run of events adds: the fold. A pure function of the events, in any order.

use std::collections::BTreeMap;

use chrono::Datelike;

use super::calendar::{Month, TimeMs};
use super::counters::{Counters, DayUsage, Group, MonthSums, Overflow, add};
use super::event::{Body, Event, Output, Usage};
use super::ids::{TenantId, UserId};

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
    pub months: BTreeMap<(Scope, Month), MonthSums>,
    pub outputs: Vec<OutputChange>,
}

impl Delta {
    /// Folds events, each with its record's Kafka timestamp.
    ///
    /// # Errors
    /// [`Overflow`], when a sum over the run is not an i64.
    pub fn fold<'a>(events: impl IntoIterator<Item = (&'a Event, TimeMs)>) -> Result<Self, Overflow> {
        let mut delta = Self::default();
        for (event, log_time) in events {
            match &event.body {
                Body::Usage(usage) => {
                    delta.add_usage(event, usage)?;
                    if let Some(output) = &usage.output {
                        delta.add_output(event, output, OutputVerb::Created, log_time);
                    }
                }
                Body::OutputCreated(output) => delta.add_output(event, output, OutputVerb::Created, log_time),
                Body::OutputDeleted(output) => delta.add_output(event, output, OutputVerb::Deleted, log_time),
            }
        }
        Ok(delta)
    }

    fn add_usage(&mut self, event: &Event, usage: &Usage) -> Result<(), Overflow> {
        let month = Month::of(event.time);
        let counters = Counters::of(usage);
        let day = DayUsage { requests: 1, tokens: counters.total_tokens()?, cost: counters.cost };
        for user in [Some(event.user.clone()), None] {
            let scope = Scope { tenant: event.tenant.clone(), user };
            let sums = self.months.entry((scope, month)).or_default();
            let group = Group { assistant: usage.assistant.clone(), model: usage.model.clone() };
            sums.usage.groups.entry(group).or_default().add(&counters)?;
            for (tool, calls) in &usage.tools {
                add(sums.usage.tools.entry(tool.clone()).or_default(), *calls)?;
            }
            sums.days.entry(event.time.day()).or_default().add(&day)?;
        }
        Ok(())
    }

    fn add_output(&mut self, event: &Event, output: &Output, verb: OutputVerb, log_time: TimeMs) {
        self.outputs.push(OutputChange {
            tenant: event.tenant.clone(),
            user: event.user.clone(),
            output: output.clone(),
            verb,
            time: TimeMs::of(event.time),
            log_time,
        });
    }
}
