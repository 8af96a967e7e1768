//! Word of passed thresholds, in the seeded schedules of `schedules.rs`: after every call whatever is new in an outbox
//! is held against what is stored, and in the end all of it against the plain sums of the log.
//!
//! Roll-backs aside, for then Redis has forgotten what was sent: each threshold is noticed exactly once a month, by a
//! notice of its own or in `alsoPassed`.

use std::collections::{BTreeMap, BTreeSet};

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::{Month, TimeMs};
use indelible::domain::delta::Scope;
use indelible::domain::event::{Assigned, Body, Event};
use indelible::domain::ids::{TenantId, UserId};
use indelible::domain::quota::{Assignments, Grant, Limits, Metric, Threshold};
use indelible::quota::plans::Plans;
use indelible::store::keys::{Keyspace, encode, quota_field};
use indelible::store::redis_ledger::APPLY;
use indelible::store::{assigned, cells};
use redis::{Connection, cmd};
use serde_json::Value;

use crate::made::rated;
use crate::memory::watch::{limits_at, reached};
use crate::memory::{Content, Entry};
use crate::schedules::{Rules, SEEDS, assert_caught_by, run, seeds};

/// One threshold of one month of a user or tenant.
type Passed = (Scope, Month, Metric, Threshold);

/// Looks on at the outboxes of one schedule, and sends what is in them.
pub(crate) struct Onlooker {
    keys: Keyspace,
    plans: Plans,
    buckets: Vec<Bucket>,
    /// Ids and texts that were held against what is stored.
    looked_at: BTreeSet<(String, String)>,
    sent: Vec<(String, String)>,
    /// A bucket may have forgotten what it had sent.
    has_rolled_back: bool,
    pub(crate) told: Told,
}

/// How much there was to see.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    pub(crate) notices: usize,
    pub(crate) of_several: usize,
    pub(crate) sent: usize,
}

impl std::ops::Add for Told {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            notices: self.notices + more.notices,
            of_several: self.of_several + more.of_several,
            sent: self.sent + more.sent,
        }
    }
}

/// What a notice says.
struct Notice {
    scope: Scope,
    month: Month,
    metric: Metric,
    threshold: Threshold,
    also: Vec<Threshold>,
    limit: i64,
    used: i64,
    at: TimeMs,
    plan: Option<String>,
}

impl Notice {
    fn read(text: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(text).ok()?;
        let data = &event["data"];
        let tenant = TenantId::new(data["tenantId"].as_str()?).ok()?;
        let user = data["userId"].as_str().map(|user| UserId::new(user).expect("an id"));
        let metric = Metric::ALL.into_iter().find(|metric| data["metric"] == metric.as_str())?;
        let amount = |names: [&str; 2]| match metric {
            Metric::Tokens => data[names[0]].as_i64(),
            Metric::Cost => nanos(data[names[1]].as_str()?),
        };
        Some(Self {
            scope: Scope { tenant, user },
            month: data["month"].as_str()?.parse().ok()?,
            metric,
            threshold: threshold(data["threshold"].as_str()?)?,
            also: data["alsoPassed"].as_array()?.iter().map(|also| threshold(also.as_str()?)).collect::<Option<_>>()?,
            limit: amount(["limitTokens", "limitCents"])?,
            used: amount(["usedTokens", "usedCents"])?,
            at: TimeMs::of(event["time"].as_str()?.parse().ok()?),
            plan: data["plan"].as_str().map(str::to_owned),
        })
    }

    fn passed(&self) -> impl Iterator<Item = Passed> + '_ {
        let all = self.also.iter().chain([&self.threshold]);
        all.map(|threshold| (self.scope.clone(), self.month, self.metric, *threshold))
    }
}

fn threshold(text: &str) -> Option<Threshold> {
    if text == "hard" { Some(Threshold::Hard) } else { text.parse().ok().map(Threshold::Percent) }
}

/// A cent is ten million of them.
fn nanos(cents: &str) -> Option<i64> {
    let (whole, fraction) = cents.split_once('.').unwrap_or((cents, ""));
    format!("{whole}{fraction:0<7}").parse().ok()
}

impl Onlooker {
    pub(crate) fn new(keys: Keyspace, plans: Plans, buckets: Vec<Bucket>) -> Self {
        let (looked_at, sent) = (BTreeSet::new(), Vec::new());
        Self { keys, plans, buckets, looked_at, sent, has_rolled_back: false, told: Told::default() }
    }

    /// What has come into the outboxes since: none of it is early.
    pub(crate) fn look(&mut self, connection: &mut Connection) -> Result<(), String> {
        for entry in self.waiting(connection)? {
            if self.looked_at.insert(entry.clone()) {
                let (id, text) = entry;
                let notice = Notice::read(&text).ok_or_else(|| format!("no notice: {text}"))?;
                self.told.notices += 1;
                self.told.of_several += usize::from(!notice.also.is_empty());
                self.check(connection, &id, &notice).map_err(|why| format!("{why}: {text}"))?;
            }
        }
        Ok(())
    }

    fn waiting(&self, connection: &mut Connection) -> Result<Vec<(String, String)>, String> {
        let mut ask = redis::pipe();
        for bucket in &self.buckets {
            ask.cmd("HGETALL").arg(self.keys.outbox(*bucket));
        }
        let outboxes: Vec<BTreeMap<String, String>> = ask.query(connection).map_err(|error| error.to_string())?;
        Ok(outboxes.into_iter().flatten().collect())
    }

    fn check(&self, connection: &mut Connection, id: &str, notice: &Notice) -> Result<(), String> {
        let Notice { scope, month, metric, threshold, also, limit, used, at, plan } = notice;
        let user = scope.user.as_ref().map_or_else(String::new, |user| encode(user.as_str()).into_owned());
        let tenant = encode(scope.tenant.as_str());
        if id != format!("{tenant}:{user}:{month}:{}:{threshold}", metric.as_str()) {
            return Err(format!("the id {id} says something else"));
        }
        if Month::of(at.to_utc()) != *month {
            return Err("a request of another month".to_owned());
        }
        let stored = self.stored(connection, scope, *month, *metric)?;
        if *used > stored {
            return Err(format!("early: {stored} are counted"));
        }
        let mut assigned = |user: Option<&UserId>| -> Result<Assignments, String> {
            let mut get = cmd("HGET");
            get.arg(self.keys.quota(&scope.tenant)).arg(quota_field(user));
            let text: Option<String> = get.query(connection).map_err(|error| error.to_string())?;
            assigned::from_text(&text.unwrap_or_default()).map_err(|damage| damage.0)
        };
        let (of_tenant, of_user) = (assigned(None)?, scope.user.as_ref().map(|user| assigned(Some(user))).transpose()?);
        let (limits, name) = limits_at(&self.plans, &of_tenant, of_user.as_ref(), *at).ok_or("no such plan")?;
        let reached = reached(limits, *metric, *used);
        let due: Vec<_> = reached.iter().filter(|due| also.contains(due) || *due == threshold).copied().collect();
        if due != [also.as_slice(), &[*threshold]].concat() {
            return Err(format!("early, or in another order: {reached:?} are reached"));
        }
        let base = limits.of(*metric).base();
        if base != Some(*limit) || name.map(|name| name.as_str()) != plan.as_deref() {
            return Err(format!("the limit is {base:?} by {name:?}"));
        }
        Ok(())
    }

    fn stored(&self, connection: &mut Connection, scope: &Scope, month: Month, metric: Metric) -> Result<i64, String> {
        let text: String = if let Some(user) = &scope.user {
            let key = self.keys.users(&scope.tenant, month);
            cmd("HGET").arg(&key).arg(user.as_str()).query(connection).map_err(|error| error.to_string())?
        } else {
            let key = self.keys.month(&scope.tenant, month);
            let cells: BTreeMap<String, String> =
                cmd("HGETALL").arg(&key).query(connection).map_err(|error| error.to_string())?;
            cells.iter().map(|(name, numbers)| format!("{name} {numbers}\n")).collect()
        };
        let sums = cells::from_text(&text).map_err(|damage| damage.0)?;
        Ok(sums.spent().map_err(|error| error.to_string())?.of(metric))
    }

    /// A bucket is as it was. What is in it by now was looked at when it came; what will come is new.
    pub(crate) fn rolled_back(&mut self, connection: &mut Connection) -> Result<(), String> {
        self.has_rolled_back = true;
        self.looked_at = self.waiting(connection)?.into_iter().collect();
        Ok(())
    }

    /// As a sender does: what was sent is taken out.
    pub(crate) fn send(&mut self, connection: &mut Connection, bucket: Bucket) -> Result<(), String> {
        let key = self.keys.outbox(bucket);
        let entries: BTreeMap<String, String> =
            cmd("HGETALL").arg(&key).query(connection).map_err(|error| error.to_string())?;
        for (id, text) in entries {
            cmd("HDEL").arg(&key).arg(&id).exec(connection).map_err(|error| error.to_string())?;
            self.sent.push((id, text));
            self.told.sent += 1;
        }
        Ok(())
    }

    /// All that was noticed is what the log reaches. `constant`: nobody's limits ever changed.
    pub(crate) fn compare(&self, content: &Content, events: &[&Event], constant: bool) -> Result<(), String> {
        let mut noticed: BTreeMap<Passed, usize> = BTreeMap::new();
        let waiting = content.iter().filter(|(key, _)| key.ends_with(":outbox")).flat_map(|(_, entry)| match entry {
            Entry::Hash(entries) => entries.values().collect::<Vec<_>>(),
            other => panic!("an outbox holds {other:?}"),
        });
        for text in waiting.chain(self.sent.iter().map(|(_, text)| text)) {
            let notice = Notice::read(text).ok_or_else(|| format!("no notice: {text}"))?;
            notice.passed().for_each(|passed| *noticed.entry(passed).or_default() += 1);
        }
        let log = Totals::of(events);
        let marks = log.months.keys().flat_map(|(scope, month)| self.marks(content, scope, *month)).collect();
        let told: BTreeSet<Passed> = noticed.keys().cloned().collect();
        let missing: Vec<_> = BTreeSet::difference(&marks, &told).collect();
        if !missing.is_empty() {
            return Err(format!("marked and never noticed: {missing:?}"));
        }
        if !self.has_rolled_back {
            let often: Vec<_> = noticed.iter().filter(|(_, times)| **times != 1).collect();
            let unmarked: Vec<_> = told.difference(&marks).collect();
            if !often.is_empty() || !unmarked.is_empty() {
                return Err(format!("noticed more than once: {often:?}; without a mark: {unmarked:?}"));
            }
        }
        // A worker may have been told that an assignment is known, and the bucket forgot it before the rest was counted.
        if constant && !self.has_rolled_back {
            let due = log.reached(&self.plans);
            let differ: Vec<_> = due.symmetric_difference(&marks).collect();
            return if differ.is_empty() {
                Ok(())
            } else {
                Err(format!("missed, or marked without usage: {differ:?}"))
            };
        }
        let never: Vec<_> = marks.iter().filter(|mark| !log.may_reach(&self.plans, mark)).collect();
        if never.is_empty() { Ok(()) } else { Err(format!("no limits that anybody had are reached: {never:?}")) }
    }

    fn marks(&self, content: &Content, scope: &Scope, month: Month) -> Vec<Passed> {
        let key = match scope.user {
            Some(_) => self.keys.users(&scope.tenant, month),
            None => self.keys.month(&scope.tenant, month),
        };
        let text = match content.get(&key) {
            Some(Entry::Hash(users)) if scope.user.is_some() => {
                let text = scope.user.as_ref().and_then(|user| users.get(user.as_str()));
                text.and_then(|text| text.lines().find_map(|line| line.strip_prefix("noticed "))).unwrap_or_default()
            }
            Some(Entry::Hash(cells)) => cells.get("noticed").map(String::as_str).unwrap_or_default(),
            _ => "",
        };
        let read = |mark: &str| {
            let (metric, of) = mark.split_once(':')?;
            let metric = Metric::ALL.into_iter().find(|known| known.as_str() == metric)?;
            Some((scope.clone(), month, metric, threshold(of)?))
        };
        text.split_whitespace().map(|mark| read(mark).unwrap_or_else(|| panic!("{mark} is no mark"))).collect()
    }
}

/// What the log comes to: each event once, no fold and no delta.
struct Totals<'a> {
    /// Tokens and nano-dollars.
    months: BTreeMap<(Scope, Month), [i64; 2]>,
    quotas: BTreeMap<Scope, Vec<(&'a Event, &'a Assigned)>>,
}

impl<'a> Totals<'a> {
    fn of(events: &[&'a Event]) -> Self {
        let (mut months, mut quotas): (BTreeMap<_, [i64; 2]>, BTreeMap<_, Vec<_>>) = Default::default();
        let mut names = BTreeSet::new();
        for event in events {
            if !names.insert((event.tenant.as_str(), event.source.as_str(), event.id.as_str())) {
                continue;
            }
            let scope = Scope { tenant: event.tenant.clone(), user: event.user.clone() };
            match &event.body {
                Body::Usage(usage) => {
                    for scope in [scope, Scope { tenant: event.tenant.clone(), user: None }] {
                        let [tokens, cost] = months.entry((scope, Month::of(event.time))).or_default();
                        *tokens += usage.tokens_in + usage.tokens_out;
                        *cost += rated(event).cost.0;
                    }
                }
                Body::QuotaAssigned(assigned) => quotas.entry(scope).or_default().push((*event, assigned)),
                Body::OutputCreated(_) | Body::OutputDeleted(_) => {}
            }
        }
        Self { months, quotas }
    }

    fn assignments(&self, tenant: &TenantId, user: Option<&UserId>) -> Assignments {
        let given = self.quotas.get(&Scope { tenant: tenant.clone(), user: user.cloned() });
        given.into_iter().flatten().map(|(event, assigned)| event.assignment(assigned)).collect()
    }

    /// With limits that were always the same.
    fn reached(&self, plans: &Plans) -> BTreeSet<Passed> {
        let mut all = BTreeSet::new();
        for ((scope, month), sums) in &self.months {
            let tenant = self.assignments(&scope.tenant, None);
            let user = scope.user.as_ref().map(|user| self.assignments(&scope.tenant, Some(user)));
            let Some((limits, _)) = limits_at(plans, &tenant, user.as_ref(), TimeMs(i64::MAX)) else { continue };
            for (metric, used) in Metric::ALL.into_iter().zip(sums) {
                let thresholds = reached(limits, metric, *used).into_iter();
                all.extend(thresholds.map(|threshold| (scope.clone(), *month, metric, threshold)));
            }
        }
        all
    }

    /// By some limits that were assigned to the tenant or the user at any time, or by any plan.
    fn may_reach(&self, plans: &Plans, (scope, month, metric, threshold): &Passed) -> bool {
        let used = self.months[&(scope.clone(), *month)][*metric as usize];
        let all_plans = plans.by_name.values().chain([&plans.default.1]);
        let plans = all_plans.map(|plan| if scope.user.is_some() { &plan.user } else { &plan.tenant });
        let own = self.quotas.get(scope).into_iter().flatten().filter_map(|(_, assigned)| match &assigned.grant {
            Grant::Limits(limits) => Some(limits),
            _ => None,
        });
        plans.chain(own).any(|limits: &Limits| reached(limits, *metric, used).contains(threshold))
    }
}

#[test]
fn each_threshold_is_noticed_once_none_missed_none_early() {
    let found = run(seeds(0..SEEDS / 2), Rules { roll_backs: false, ..Rules::RIGHT }, false);
    assert!(found.wrong.is_empty(), "{} wrong; the first:\n{}", found.wrong.len(), found.wrong[0].1);
    let Told { notices, of_several, sent } = found.told;
    println!("{notices} notices, {of_several} of several thresholds, {sent} sent before the end");
    // Else nothing was shown.
    assert!(std::env::var("INDELIBLE_SEED").is_ok() || (notices > 5_000 && of_several > 1_000 && sent > 1_000));
}

const HASHES: &str = "for _, hash in ipairs(call.hashes) do plan_hash(hash) end";

#[test]
fn an_outbox_that_is_not_written_is_caught() {
    let some = "for _, hash in ipairs(call.hashes) do if not hash.key:find(':outbox$') then plan_hash(hash) end end";
    assert_caught_by(HASHES, some, Rules::RIGHT);
}

/// The worker dies between the two, or nobody reads the first one's reply.
#[test]
fn notices_in_a_call_of_their_own_are_caught() {
    let later = "for _, hash in ipairs(call.hashes) do hash.key = hash.key:gsub(':outbox$', ':outbox-later') \
                 plan_hash(hash) end";
    assert_caught_by(HASHES, later, Rules { notices_apart: true, ..Rules::RIGHT });
}

#[test]
fn marks_that_are_not_kept_are_caught() {
    let right = "plan[#plan + 1] = {'HSET', hash.key, unpack(ARGV, from, to)}";
    let wrong = format!("{right} plan[#plan + 1] = {{'HDEL', hash.key, 'noticed'}}");
    assert!(APPLY.contains(right));
    assert_caught_by(right, &wrong, Rules::RIGHT);
}
