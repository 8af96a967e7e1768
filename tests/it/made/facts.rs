//! The facts that must be stored of a log, worked out plainly, and those that are.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Datelike;
use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::{Month, TimeMs};
use indelible::domain::delta::Scope;
use indelible::domain::event::{Assigned, Body, Event, Usage};
use indelible::domain::ids::{OutputId, OutputKind, TenantId, UserId};
use indelible::domain::rated::Rated;
use indelible::store::keys::{Keyspace, encode, quota_field};

use super::rated;
use crate::memory::{Content, Entry};

/// Everything that is stored about usage, outputs and quotas, one number a line.
pub(crate) type Facts = BTreeMap<String, i64>;

/// The facts of a log's events, each counted once: no fold, no delta, no script.
pub(crate) fn plain<'a>(events: impl IntoIterator<Item = &'a Event>, keys: &Keyspace) -> Facts {
    let mut facts = Facts::new();
    let mut add = |name: String, amount: i64| *facts.entry(name).or_default() += amount;
    let mut ids = BTreeSet::new();
    let mut created: BTreeMap<(&TenantId, &UserId, &OutputKind, &OutputId), TimeMs> = BTreeMap::new();
    let mut deleted = BTreeSet::new();
    let mut assignments: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in events {
        if !ids.insert((event.tenant.as_str(), event.source.as_str(), event.id.as_str())) {
            continue;
        }
        add(format!("{} applied", keys.state(Bucket::of(&event.tenant))), 1);
        if let Body::QuotaAssigned(assigned) = &event.body {
            assignments.entry((&event.tenant, event.user.as_ref())).or_default().push((event, assigned));
        }
        let Some(user) = &event.user else { continue };
        let (usage, saved) = match &event.body {
            Body::Usage(usage) => (Some(usage), usage.output.as_ref()),
            Body::OutputCreated(output) => (None, Some(output)),
            Body::OutputDeleted(output) => {
                deleted.insert((&event.tenant, user, &output.kind, &output.id));
                (None, None)
            }
            Body::QuotaAssigned(_) => (None, None),
        };
        if let Some(usage) = usage {
            add_usage(event, user, usage, keys, &mut add);
        }
        if let Some(output) = saved {
            let time = TimeMs::of(event.time);
            let first = created.entry((&event.tenant, user, &output.kind, &output.id)).or_insert(time);
            *first = time.min(*first);
        }
    }
    for (output @ (tenant, user, kind, id), time) in &created {
        let counts = keys.saved_counts(tenant);
        add(format!("{counts} {kind}:created"), 1);
        if !deleted.contains(output) {
            add(format!("{counts} {kind}:{}", Month::of(time.to_utc())), 1);
            add(format!("{} {id}", keys.saved(tenant, user, kind)), time.0);
        }
    }
    for ((tenant, user), given) in assignments {
        add_assignments(given, &format!("{} {}", keys.quota(tenant), quota_field(user)), &mut add);
    }
    for (tenant, _, kind, _) in deleted {
        add(format!("{} {kind}:deleted", keys.saved_counts(tenant)), 1);
    }
    facts.retain(|_, number| *number != 0);
    facts
}

fn add_usage(event: &Event, user: &UserId, usage: &Usage, keys: &Keyspace, add: &mut impl FnMut(String, i64)) {
    let (month, day) = (Month::of(event.time), event.time.day());
    let Rated { cost, charge, unpriced, mismatch } = rated(event);
    let (cost, markup) = (cost.0, charge.0 - cost.0);
    let tokens = usage.tokens_in + usage.tokens_out;
    for user in [Some(user.clone()), None] {
        let of_tenant = user.is_none();
        let key = month_of(keys, &Scope { tenant: event.tenant.clone(), user }, month);
        let group = format!("{}|{}", encode(usage.assistant.as_str()), encode(usage.model.as_str()));
        let latency = usage.latency_ms.unwrap_or(0);
        // In the order in which they are stored.
        let sums = [
            1,
            usage.tokens_in,
            usage.tokens_out,
            cost,
            latency,
            i64::from(usage.latency_ms.is_some()),
            usage.cached_tokens,
            usage.reasoning_tokens,
            markup,
            i64::from(unpriced),
        ];
        for (index, sum) in sums.into_iter().enumerate() {
            add(format!("{key} {group} {index}"), sum);
        }
        for (tool, calls) in &usage.tools {
            add(format!("{key} tool:{} 0", encode(tool.as_str())), *calls);
        }
        for (index, sum) in [1, tokens, cost, markup].into_iter().enumerate() {
            add(format!("{key} {day:02} {index}"), sum);
        }
        if of_tenant {
            add(format!("{key} total 0"), tokens);
            add(format!("{key} total 1"), cost);
        }
    }
    if let Some(expected) = mismatch {
        let key = keys.mismatches(Bucket::of(&event.tenant), month);
        for (index, sum) in [1, cost, expected.0].into_iter().enumerate() {
            add(format!("{key} {} {index}", encode(usage.model.as_str())), sum);
        }
    }
}

/// Where a scope's month stands: a key, and of a user the field in it.
pub(crate) fn month_of(keys: &Keyspace, Scope { tenant, user }: &Scope, month: Month) -> String {
    match user {
        Some(user) => format!("{} {user}", keys.users(tenant, month)),
        None => keys.month(tenant, month),
    }
}

/// What holds from each instant on, and the event that says so: of two, the one that was sent later.
fn add_assignments(given: Vec<(&Event, &Assigned)>, field: &str, add: &mut impl FnMut(String, i64)) {
    let mut by_instant: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for (event, assigned) in given {
        let sent = TimeMs::of(event.time).0;
        let effective = assigned.effective.map_or(sent, |effective| effective.0);
        by_instant.entry(effective).or_default().push((sent, event.source.as_str(), event.id.as_str()));
    }
    for (effective, mut all) in by_instant {
        all.sort_unstable();
        let (sent, source, id) = all[all.len() - 1];
        add(format!("{field} {effective} {sent} {source} {id}"), 1);
    }
}

/// The facts that a store holds. What only helps to keep them right is left out: watermarks, seen ids, tombstones; and
/// notices, which depend on the order.
pub(crate) fn facts(content: &Content) -> Facts {
    let mut facts = Facts::new();
    for (key, entry) in content {
        let what = key.split(':').nth(2).unwrap_or_default();
        let mut cell = |name: &str, numbers: &str| {
            for (index, sum) in numbers.split(' ').filter(|_| !name.ends_with("noticed") && name != "about").enumerate()
            {
                facts.insert(format!("{key} {name} {index}"), number(sum));
            }
        };
        match entry {
            Entry::Bytes(_) => {}
            Entry::Hash(users) if what == "users" => {
                for (user, text) in users {
                    let lines = text.lines().map(|line| line.split_once(' ').expect("a name and numbers"));
                    lines.for_each(|(name, numbers)| cell(&format!("{user} {name}"), numbers));
                }
            }
            Entry::Hash(fields) if matches!(what, "tenant" | "mismatches") => {
                fields.iter().for_each(|(name, numbers)| cell(name, numbers))
            }
            Entry::Hash(_) if what == "outbox" => {}
            Entry::Hash(fields) if what == "quota" => {
                let lines = |(field, text): (_, &String)| {
                    let name = |line: &str| line.split(' ').take(4).collect::<Vec<_>>().join(" ");
                    text.lines().map(|line| format!("{key} {field} {}", name(line))).collect::<Vec<_>>()
                };
                facts.extend(fields.iter().flat_map(lines).map(|line| (line, 1)));
            }
            Entry::Hash(fields) => {
                let counts = |field: &&String| if what == "state" { *field == "applied" } else { *field != "kinds" };
                let counts = fields.keys().filter(counts);
                facts.extend(counts.map(|field| (format!("{key} {field}"), number(&fields[field]))));
            }
            Entry::Scored(_) if what == "tombstones" => {}
            Entry::Scored(members) => {
                facts.extend(members.iter().map(|(member, score)| (format!("{key} {member}"), *score)));
            }
            Entry::Set(_) => {}
        }
    }
    facts.retain(|_, number| *number != 0);
    facts
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

/// The lines in which two sets of facts differ.
pub(crate) fn difference(expected: &Facts, found: &Facts) -> Vec<String> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differ = names.into_iter().filter(|name| expected.get(*name) != found.get(*name));
    differ.map(|name| format!("{name}: {:?} and not {:?}", found.get(name), expected.get(name))).collect()
}
