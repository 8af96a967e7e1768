//! What a flush adds to, read from Redis, and the flush added to it: every sum as it is to be written.
//!
//! The reading and the writing are two commands, and another worker may come between. The bucket's stamp tells: the
//! script writes only if the stamp is still the one that was read.

mod mismatches;
mod quotas;

use std::collections::BTreeMap;

use redis::{Pipeline, Value, pipe};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::Month;
use crate::domain::counters::{Added, Group, MonthSums, Others, Overflow, Room};
use crate::domain::delta::{Delta, Scope};
use crate::domain::ids::{TenantId, Tool, UserId};
use crate::domain::position::Position;
use crate::domain::quota::Noticed;
use crate::quota::passing::passed;
use crate::quota::plans::Plans;

use super::cells::{self, Damage};
use super::keys::{Keyspace, watermark_field};
use super::notice::Notice;
use super::reply::{corrupt, read};
use super::tiers::Tiers;
use super::{Capped, Caps, Flush, StoreError};

use mismatches::AskMismatches;
use quotas::{AskQuotas, Quotas};

/// What one call writes of the months that a flush touches, and what it rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// The bucket's stamp as it was read.
    pub stamp: String,
    pub tiers: Tiers,
    /// A sum is not an i64: there is nothing to write.
    pub overflows: bool,
    /// Key and text of every user's month.
    pub users: Vec<(String, String)>,
    pub tenants: Vec<TenantDraft>,
    /// Key and cells of every other hash: quotas, mismatches, the outbox.
    pub hashes: Vec<(String, Vec<(String, String)>)>,
    pub capped: Capped,
    /// Those that were put into the outbox.
    pub notices: usize,
}

/// By what a draft is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'r> {
    pub(super) keyspace: &'r Keyspace,
    pub(super) caps: &'r Caps,
    /// Whose thresholds are watched; none where nobody is to be told.
    pub(super) watched: Option<&'r Plans>,
}

/// A tenant's month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantDraft {
    pub tenant: TenantId,
    pub month: Month,
    pub cells: Vec<(String, String)>,
    /// By cost, all they have used in the month, in nano-dollars.
    pub users: Vec<(i64, UserId)>,
}

/// One tenant's month of a flush, with all its users.
struct Part<'f> {
    tenant: &'f TenantId,
    month: Month,
    added: &'f Added,
    users: Vec<(&'f UserId, &'f Added)>,
}

/// The question about the parts of a flush, and how its answers are read.
pub(super) struct Ask<'f> {
    rules: Rules<'f>,
    bucket: Bucket,
    state: String,
    watermark: String,
    parts: Vec<Part<'f>>,
    quotas: AskQuotas<'f>,
    mismatches: AskMismatches<'f>,
}

/// What is stored of one part.
struct Found {
    sums: MonthSums,
    cells: usize,
    users: usize,
    /// As the part's users; none for one that has no month yet.
    months: Vec<Option<MonthSums>>,
}

/// Users that a tenant has no room for, and what they share.
pub(super) struct Crowd {
    pub(super) key: String,
    tenant: TenantId,
    month: Month,
}

/// What was found, until it is known what those share who have no month of their own.
pub(super) struct Halfway<'f> {
    /// As it is stored.
    pub(super) watermark: Option<Position>,
    stamp: String,
    tiers: Tiers,
    parts: Vec<(Part<'f>, Found)>,
    quotas: Quotas<'f>,
    hashes: Vec<(String, Vec<(String, String)>)>,
    rules: Rules<'f>,
    bucket: Bucket,
}

impl<'f> Ask<'f> {
    pub(super) fn of(flush: &'f Flush, rules: Rules<'f>) -> Self {
        Self {
            rules,
            bucket: flush.bucket,
            state: rules.keyspace.state(flush.bucket),
            watermark: watermark_field(&flush.partition),
            parts: parts(&flush.delta),
            quotas: AskQuotas::of(&flush.delta, rules.watched.is_some()),
            mismatches: AskMismatches::of(flush),
        }
    }

    pub(super) fn pipeline(&self) -> Pipeline {
        let (mut ask, keyspace) = (pipe(), self.rules.keyspace);
        ask.cmd("HMGET").arg(&self.state).arg(&[&self.watermark, "stamp", "tiers"]);
        for part in &self.parts {
            let key = keyspace.month(&scope(part.tenant, None), part.month);
            ask.cmd("HLEN").arg(&key).cmd("HMGET").arg(&key).arg(part.names());
            ask.cmd("ZCARD").arg(keyspace.users(part.tenant, part.month));
            if !part.users.is_empty() {
                ask.cmd("MGET")
                    .arg(part.users.iter().map(|(user, _)| part.user_key(keyspace, user)).collect::<Vec<_>>());
            }
        }
        self.quotas.ask(&mut ask, keyspace);
        self.mismatches.ask(&mut ask, keyspace);
        ask
    }

    /// # Errors
    /// [`StoreError::Corrupt`]
    pub(super) fn read(self, answers: Vec<Value>) -> Result<Halfway<'f>, StoreError> {
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let [watermark, stamp, tiers] = read::<[Option<String>; 3]>(next(), &self.state)?;
        let watermark =
            watermark.map(|text| text.parse().map_err(|_| corrupt(&self.state, format!("a watermark holds {text:?}"))));
        let (stamp, tiers) = (stamp.unwrap_or_default(), tiers.unwrap_or_default());
        let tiers = tiers.parse().map_err(|fault| corrupt(&self.state, format!("tiers {tiers:?} {fault}")))?;
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            let found = Found::read(&part, self.rules.keyspace, &mut next)?;
            parts.push((part, found));
        }
        let (keyspace, caps) = (self.rules.keyspace, self.rules.caps);
        let (quotas, mut hashes) = self.quotas.read(&mut next, keyspace)?;
        hashes.extend(self.mismatches.read(&mut next, keyspace, caps.mismatched_models)?);
        Ok(Halfway {
            watermark: watermark.transpose()?,
            stamp,
            tiers,
            parts,
            quotas,
            hashes,
            rules: self.rules,
            bucket: self.bucket,
        })
    }
}

fn parts(delta: &Delta) -> Vec<Part<'_>> {
    let mut parts: BTreeMap<(&TenantId, Month), Part<'_>> = BTreeMap::new();
    let tenants = delta.months.iter().filter(|((scope, _), _)| scope.user.is_none());
    for ((scope, month), added) in tenants {
        let part = Part { tenant: &scope.tenant, month: *month, added, users: Vec::new() };
        parts.insert((&scope.tenant, *month), part);
    }
    for ((scope, month), added) in &delta.months {
        if let (Some(user), Some(part)) = (&scope.user, parts.get_mut(&(&scope.tenant, *month))) {
            part.users.push((user, added));
        }
    }
    parts.into_values().collect()
}

fn scope(tenant: &TenantId, user: Option<&UserId>) -> Scope {
    Scope { tenant: tenant.clone(), user: user.cloned() }
}

impl Part<'_> {
    /// The cells that it adds to, and those that take what there is no room for.
    fn names(&self) -> Vec<String> {
        let (others, other_tool) = (Group::other(), Tool::other());
        let sums = &self.added.sums;
        let groups = sums.usage.groups.keys().chain([&others]).map(cells::group_cell);
        let tools = sums.usage.tools.keys().chain([&other_tool]).map(cells::tool_cell);
        let days = sums.days.keys().map(|day| cells::day_cell(*day));
        groups.chain(tools).chain(days).chain([cells::CROWD, cells::TOTAL, cells::NOTICED].map(str::to_owned)).collect()
    }

    fn user_key(&self, keyspace: &Keyspace, user: &UserId) -> String {
        keyspace.month(&scope(self.tenant, Some(user)), self.month)
    }
}

impl Found {
    fn read(part: &Part<'_>, keyspace: &Keyspace, next: &mut impl FnMut() -> Value) -> Result<Self, StoreError> {
        let key = keyspace.month(&scope(part.tenant, None), part.month);
        let cells = read(next(), &key)?;
        let numbers: Vec<Option<String>> = read(next(), &key)?;
        let mut sums = MonthSums::default();
        for (name, numbers) in part.names().iter().zip(&numbers) {
            if let Some(numbers) = numbers {
                cells::read_cell(&mut sums, name, numbers).map_err(|Damage(what)| corrupt(&key, what))?;
            }
        }
        let users = read(next(), &keyspace.users(part.tenant, part.month))?;
        let texts: Vec<Option<String>> = if part.users.is_empty() { Vec::new() } else { read(next(), &key)? };
        let months = part.users.iter().zip(texts).map(|((user, _), text)| {
            let month = text.map(|text| cells::from_text(&text)).transpose();
            month.map_err(|Damage(what)| corrupt(&part.user_key(keyspace, user), what))
        });
        Ok(Self { sums, cells, users, months: months.collect::<Result<_, _>>()? })
    }
}

impl Halfway<'_> {
    /// What must still be read: where users without a month of their own go when there is no room for them.
    pub(super) fn crowds(&self) -> Vec<Crowd> {
        let full = self.parts.iter().filter(|(_, found)| {
            let new = found.months.iter().filter(|month| month.is_none()).count();
            new > 0 && found.users + new > self.rules.caps.tenant_users
        });
        let crowd = |part: &Part<'_>| Crowd {
            key: part.user_key(self.rules.keyspace, &UserId::other()),
            tenant: part.tenant.clone(),
            month: part.month,
        };
        full.map(|(part, _)| crowd(part)).collect()
    }

    /// Adds the flush to what was found. `shared` are the texts at the keys of the crowds.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]
    pub(super) fn add(self, crowds: &[Crowd], shared: Vec<Option<String>>) -> Result<Draft, StoreError> {
        let mut common = BTreeMap::new();
        for (crowd, text) in crowds.iter().zip(shared) {
            let sums = text.map_or(Ok(MonthSums::default()), |text| cells::from_text(&text));
            let sums = sums.map_err(|Damage(what)| corrupt(&crowd.key, what))?;
            common.insert((crowd.tenant.clone(), crowd.month), sums);
        }
        let Self { rules, quotas, bucket, .. } = self;
        let mut draft = Draft { stamp: self.stamp, tiers: self.tiers, hashes: self.hashes, ..Draft::default() };
        let mut notices = Vec::new();
        for (part, found) in self.parts {
            let common = common.remove(&(part.tenant.clone(), part.month));
            let added = draft.add(&part, found, common, rules, &quotas, &mut notices);
            if added.is_err() {
                return Ok(Draft { stamp: draft.stamp, tiers: draft.tiers, overflows: true, ..Draft::default() });
            }
        }
        if !notices.is_empty() {
            draft.notices = notices.len();
            let source = format!("/indelible/{}", rules.keyspace.namespace());
            let entries = notices.iter().map(|notice| (notice.id(), notice.to_json(&source))).collect();
            draft.hashes.push((rules.keyspace.outbox(bucket), entries));
        }
        Ok(draft)
    }
}

impl Draft {
    fn add(
        &mut self,
        part: &Part<'_>,
        found: Found,
        mut common: Option<MonthSums>,
        rules: Rules<'_>,
        quotas: &Quotas<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Overflow> {
        let Rules { keyspace, caps, .. } = rules;
        let mut watch = |user: Option<&UserId>, before: &MonthSums, added: &Added, noticed: &mut Noticed| {
            let Some(plans) = rules.watched else { return Ok(()) };
            let whose = quotas.whose(part.tenant, user);
            // A tenant keeps its total, of which only some days are at hand.
            let spent = before.total.map_or_else(|| before.spent(), Ok)?;
            let passings = passed(plans, whose, spent, &added.steps, noticed)?;
            let scope = scope(part.tenant, user);
            notices.extend(passings.into_iter().map(|passing| Notice {
                scope: scope.clone(),
                month: part.month,
                passing,
            }));
            Ok(())
        };
        let (mut users, mut count) = (Vec::with_capacity(part.users.len()), found.users);
        let mut keep = |draft: &mut Self, user: &UserId, sums: &MonthSums| {
            users.push((sums.usage.total()?.cost.0, user.clone()));
            draft.users.push((part.user_key(keyspace, user), cells::to_text(sums)));
            Ok(())
        };
        let (mut others, mut crowd) = (Others::default(), 0);
        for ((user, more), month) in part.users.iter().zip(found.months) {
            let is_common = **user == UserId::other();
            if let Some(common) = &mut common
                && (is_common || (month.is_none() && count >= caps.tenant_users))
            {
                crowd += if is_common { 0 } else { more.sums.usage.total()?.requests };
                common.add_within(&more.sums, room(caps, common))?;
                continue;
            }
            count += usize::from(month.is_none());
            let mut sums = month.unwrap_or_default();
            let mut noticed = std::mem::take(&mut sums.noticed);
            watch(Some(user), &sums, more, &mut noticed)?;
            let capped = sums.add_within(&more.sums, room(caps, &sums))?;
            sums.noticed = noticed;
            others.requests += capped.requests;
            others.tool_calls += capped.tool_calls;
            keep(self, user, &sums)?;
        }
        if let Some(common) = common {
            keep(self, &UserId::other(), &common)?;
        }
        let (mut sums, more) = tenant_sums(part, &found.sums, caps.tenant_cells.saturating_sub(found.cells))?;
        watch(None, &found.sums, part.added, &mut sums.noticed)?;
        sums.crowd = sums.crowd.checked_add(crowd).ok_or(Overflow)?;
        self.capped.users += crowd;
        self.capped.requests += others.requests.max(more.requests);
        self.capped.tool_calls += others.tool_calls.max(more.tool_calls);
        self.tenants.push(TenantDraft {
            tenant: part.tenant.clone(),
            month: part.month,
            cells: cells::cells(&sums).collect(),
            users,
        });
        Ok(())
    }
}

fn room(caps: &Caps, sums: &MonthSums) -> Room {
    Room {
        groups: caps.user_groups.saturating_sub(sums.usage.groups.len()),
        tools: caps.user_tools.saturating_sub(sums.usage.tools.len()),
    }
}

/// The tenant's cells that the part adds to, as they are then.
fn tenant_sums(part: &Part<'_>, found: &MonthSums, free: usize) -> Result<(MonthSums, Others), Overflow> {
    let mut sums = found.clone();
    let others = sums.add_within(&part.added.sums, Room { groups: free, tools: free })?;
    // They were read in case of need.
    if others.requests == 0 && !part.added.sums.usage.groups.contains_key(&Group::other()) {
        sums.usage.groups.remove(&Group::other());
    }
    if others.tool_calls == 0 && !part.added.sums.usage.tools.contains_key(&Tool::other()) {
        sums.usage.tools.remove(&Tool::other());
    }
    Ok((sums, others))
}
