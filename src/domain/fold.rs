//! Adds up a run of events by names that are numbers: a text is hashed once an event, and compared hardly ever.

use std::hash::Hash;

use chrono::Datelike;
use hashbrown::HashMap;
use litemap::LiteMap;
use smallvec::SmallVec;

use super::calendar::{Month, TimeMs};
use super::counters::{Added, Counters, DayUsage, Group, MonthSums, MonthUsage, Overflow, Step, add};
use super::delta::OfTenant;
use super::event::{Event, Usage};
use super::ids::{Assistant, Model, TenantId, Tool, UserId};
use super::quota::Spent;
use super::rated::Rated;

/// The usage of a run of events that live as long as `'a`.
#[derive(Default)]
pub(super) struct Fold<'a> {
    tenants: HashMap<(&'a TenantId, Month), Tenant<'a>>,
    groups: Numbers<(&'a Assistant, &'a Model)>,
    tools: Numbers<&'a Tool>,
}

#[derive(Default)]
struct Tenant<'a> {
    sums: Sums,
    total: Spent,
    users: HashMap<&'a UserId, Sums>,
}

/// By the numbers of groups and tools.
#[derive(Default)]
struct Sums {
    groups: LiteMap<u32, Counters>,
    tools: LiteMap<u32, i64>,
    days: LiteMap<u32, DayUsage>,
    steps: Vec<Step>,
}

/// Names in the order in which they came, and where each stands.
struct Numbers<K> {
    places: HashMap<K, u32>,
    names: Vec<K>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self { places: HashMap::new(), names: Vec::new() }
    }
}

impl<K: Hash + Eq + Copy> Numbers<K> {
    fn of(&mut self, name: K) -> u32 {
        *self.places.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.names.len() as u32 - 1
        })
    }

    fn name(&self, number: u32) -> K {
        self.names[number as usize]
    }
}

/// One request as what it adds: to its user and to its tenant the same.
struct Request<'a> {
    group: u32,
    tools: &'a [(u32, i64)],
    counters: Counters,
    step: Step,
    day: (u32, DayUsage),
}

impl<'a> Fold<'a> {
    /// # Errors
    /// [`Overflow`]; `self` is then of no use.
    pub(super) fn add(&mut self, event: &'a Event, usage: &'a Usage, rated: &Rated) -> Result<(), Overflow> {
        let Some(user) = &event.user else { return Ok(()) };
        let counters = Counters::of(usage, rated);
        let Rated { cost, charge, .. } = *rated;
        let spent = Spent { tokens: counters.total_tokens()?, cost: cost.0 };
        let tools: SmallVec<[_; 4]> = usage.tools.iter().map(|(tool, calls)| (self.tools.of(tool), *calls)).collect();
        let request = Request {
            group: self.groups.of((&usage.assistant, &usage.model)),
            tools: &tools,
            counters,
            step: Step { spent, at: TimeMs::of(event.time) },
            day: (event.time.day(), DayUsage { requests: 1, tokens: spent.tokens, cost, charge }),
        };
        let tenant = self.tenants.entry((&event.tenant, Month::of(event.time))).or_default();
        tenant.sums.add(&request)?;
        tenant.total.add(spent)?;
        tenant.users.entry(user).or_default().add(&request)
    }

    /// Of each tenant and month.
    pub(super) fn end(self) -> HashMap<(TenantId, Month), OfTenant> {
        let Self { tenants, groups, tools } = self;
        let named = |sums: Sums| sums.named(&groups, &tools);
        let tenant = |((tenant, month), Tenant { sums, total, users }): ((&TenantId, Month), Tenant<'a>)| {
            let mut added = named(sums);
            added.sums.total = Some(total);
            let users = users.into_iter().map(|(user, sums)| (user.clone(), named(sums))).collect();
            ((tenant.clone(), month), OfTenant { added, users })
        };
        tenants.into_iter().map(tenant).collect()
    }
}

impl Sums {
    fn add(&mut self, request: &Request<'_>) -> Result<(), Overflow> {
        self.steps.push(request.step);
        self.groups.entry(request.group).or_default().add(&request.counters)?;
        for (tool, calls) in request.tools {
            add(self.tools.entry(*tool).or_default(), *calls)?;
        }
        self.days.entry(request.day.0).or_default().add(&request.day.1)
    }

    fn named(self, groups: &Numbers<(&Assistant, &Model)>, tools: &Numbers<&Tool>) -> Added {
        let group = |(number, sum)| {
            let (assistant, model) = groups.name(number);
            (Group { assistant: assistant.clone(), model: model.clone() }, sum)
        };
        let tool = |(number, calls)| (tools.name(number).clone(), calls);
        let usage = MonthUsage {
            groups: self.groups.into_iter().map(group).collect(),
            tools: self.tools.into_iter().map(tool).collect(),
        };
        Added { sums: MonthSums { usage, days: self.days, ..MonthSums::default() }, steps: self.steps }
    }
}
