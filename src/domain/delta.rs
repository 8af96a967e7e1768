//! What a run of events adds: the fold. A pure function of the events, in any order.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::calendar::{Month, TimeMs};
use super::counters::{Added, Mismatch, Overflow};
use super::event::{Body, Event, Output, Usage};
use super::fold::Fold;
use super::ids::{Model, TenantId, UserId};
use super::quota::Assignment;
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
    pub tenants: HashMap<(TenantId, Month), OfTenant>,
    pub outputs: Vec<OutputChange>,
    pub assigned: Vec<(Scope, Assignment)>,
    /// By month and model, of all tenants of the bucket.
    pub mismatches: BTreeMap<(Month, Model), Mismatch>,
}

/// What is added to a tenant's month, and to those of its users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfTenant {
    pub added: Added,
    pub users: HashMap<UserId, Added>,
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
    /// Every month that it adds to: of the tenants as a whole and of their users.
    pub fn months(&self) -> impl Iterator<Item = (Scope, Month, &Added)> {
        self.tenants.iter().flat_map(|((tenant, month), of_tenant)| {
            let scope = |user| Scope { tenant: tenant.clone(), user };
            let users = of_tenant.users.iter().map(move |(user, added)| (scope(Some(user.clone())), *month, added));
            let whole = (Scope { tenant: tenant.clone(), user: None }, *month, &of_tenant.added);
            std::iter::once(whole).chain(users)
        })
    }

    /// Folds events in the order of the log.
    ///
    /// # Errors
    /// [`Overflow`], when a sum over the run is not an i64.
    pub fn fold<'a>(events: impl IntoIterator<Item = Counted<'a>>) -> Result<Self, Overflow> {
        let (mut delta, mut usages) = (Self::default(), Fold::default());
        for Counted { event, rated, log_time } in events {
            match &event.body {
                Body::Usage(usage) => {
                    usages.add(event, usage, rated)?;
                    delta.add_mismatch(event, usage, rated);
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
        delta.tenants = usages.end();
        Ok(delta)
    }

    fn add_mismatch(&mut self, event: &Event, usage: &Usage, rated: &Rated) {
        if let Some(expected) = rated.mismatch {
            let more = Mismatch { requests: 1, given: rated.cost, expected };
            self.mismatches.entry((Month::of(event.time), usage.model.clone())).or_default().add(&more);
        }
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
