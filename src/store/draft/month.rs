//! A tenant's month with those of its users: asked for, read, and a flush added to it.

use redis::{Pipeline, Value};

use crate::domain::calendar::Month;
use crate::domain::counters::{Added, Group, MonthSums, Others, Overflow, Room};
use crate::domain::delta::{Delta, Scope};
use crate::domain::ids::{TenantId, Tool, UserId};
use crate::domain::quota::{Noticed, Spent};
use crate::quota::passing::passed;
use crate::store::cells::{self, Damage};
use crate::store::kept::{Kept, KeptTenant};
use crate::store::keys::Keyspace;
use crate::store::notice::Notice;
use crate::store::reply::{corrupt, read, texts};
use crate::store::{Caps, StoreError};

use super::quotas::Quotas;
use super::{Cells, Draft, Rules};

/// One tenant's month of a flush, with all its users.
pub(super) struct Part<'f> {
    pub(super) tenant: &'f TenantId,
    pub(super) month: Month,
    key: String,
    pub(super) users_key: String,
    added: &'f Added,
    users: Vec<(&'f UserId, &'f Added)>,
    /// What is known of the tenant's month without asking.
    kept: Option<KeptTenant>,
    /// As `users`: the months that are known.
    months: Vec<Option<MonthSums>>,
    /// The cells of the tenant's month that it adds to, and those that take what there is no room for; but for what is
    /// known.
    names: Vec<String>,
}

/// What is stored of one part.
pub(super) struct Found {
    tenant: KeptTenant,
    /// As the part's users; none for one that has no month yet.
    months: Vec<Option<MonthSums>>,
}

impl<'f> Part<'f> {
    pub(super) fn all(delta: &'f Delta, keyspace: &Keyspace, known: &mut Kept) -> Vec<Self> {
        let part = |((tenant, month), of_tenant): (&'f (TenantId, Month), &'f crate::domain::delta::OfTenant)| {
            let (month, added) = (*month, &of_tenant.added);
            let users: Vec<_> = of_tenant.users.iter().collect();
            let kept = known.take_tenant(tenant, month);
            Self {
                tenant,
                month,
                key: keyspace.month(tenant, month),
                users_key: keyspace.users(tenant, month),
                added,
                // Without a number of users that is known, all of them are asked for.
                months: users.iter().map(|(user, _)| known.take_user(tenant, month, user)).collect(),
                users,
                names: names(&added.sums, kept.as_ref().map(|kept| &kept.sums)),
                kept,
            }
        };
        delta.tenants.iter().map(part).collect()
    }

    pub(super) fn ask(&self, ask: &mut Pipeline) {
        if self.kept.is_none() {
            ask.cmd("HLEN").arg(&self.key).cmd("HLEN").arg(&self.users_key);
        }
        if !self.names.is_empty() {
            ask.cmd("HMGET").arg(&self.key).arg(&self.names);
        }
        if self.months.iter().any(Option::is_none) {
            ask.cmd("HMGET").arg(&self.users_key);
            let unknown = self.users.iter().zip(&self.months).filter(|(_, month)| month.is_none());
            unknown.for_each(|((user, _), _)| {
                ask.arg(user.as_str());
            });
        }
    }
}

fn names(added: &MonthSums, known: Option<&MonthSums>) -> Vec<String> {
    let (others, other_tool) = (Group::other(), Tool::other());
    let is_known = |of: &dyn Fn(&MonthSums) -> bool| known.is_some_and(of);
    let groups = added.usage.groups.keys().filter(|group| !is_known(&|known| known.usage.groups.contains_key(*group)));
    let tools = added.usage.tools.keys().filter(|tool| !is_known(&|known| known.usage.tools.contains_key(*tool)));
    let days = added.days.keys().filter(|day| !is_known(&|known| known.days.contains_key(*day)));
    // Of what is known of a month at all, these are.
    let always = known.is_none().then(|| {
        let single = [cells::CROWD, cells::TOTAL, cells::NOTICED].map(str::to_owned);
        single.into_iter().chain([cells::group_cell(&others), cells::tool_cell(&other_tool)])
    });
    let some =
        groups.map(cells::group_cell).chain(tools.map(cells::tool_cell)).chain(days.map(|day| cells::day_cell(*day)));
    some.chain(always.into_iter().flatten()).collect()
}

impl Found {
    /// # Errors
    /// [`StoreError::Corrupt`]
    pub(super) fn read(part: &mut Part<'_>, next: &mut impl FnMut() -> Value) -> Result<Self, StoreError> {
        let mut tenant = match part.kept.take() {
            Some(kept) => kept,
            None => {
                let cells = read(next(), &part.key)?;
                KeptTenant { cells, users: read(next(), &part.users_key)?, ..KeptTenant::default() }
            }
        };
        if !part.names.is_empty() {
            let numbers = next();
            for (name, numbers) in part.names.iter().zip(texts(&numbers, &part.key)?) {
                if let Some(numbers) = numbers {
                    cells::read_cell(&mut tenant.sums, name, numbers)
                        .map_err(|Damage(what)| corrupt(&part.key, what))?;
                }
            }
        }
        let mut months = std::mem::take(&mut part.months);
        let unknown = part.users.iter().zip(&mut months).filter(|(_, month)| month.is_none());
        let unknown: Vec<_> = unknown.collect();
        if !unknown.is_empty() {
            let found = next();
            for (((user, _), month), text) in unknown.into_iter().zip(texts(&found, &part.users_key)?) {
                let read = text.map(cells::from_text).transpose();
                *month = read.map_err(|Damage(what)| corrupt(&part.users_key, format!("{user}: {what}")))?;
            }
        }
        Ok(Self { tenant, months })
    }

    /// Whether there is no room for all users who would get a month of their own.
    pub(super) fn is_crowded(&self, caps: &Caps) -> bool {
        let new = self.months.iter().filter(|month| month.is_none()).count();
        new > 0 && self.tenant.users + new > caps.tenant_users
    }
}

impl Draft {
    /// `common` is what is stored of [`UserId::other`], where the tenant is crowded.
    pub(super) fn add(
        &mut self,
        part: Part<'_>,
        found: Found,
        mut common: Option<MonthSums>,
        rules: Rules<'_>,
        quotas: &Quotas<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Overflow> {
        let caps = rules.caps;
        // A tenant keeps its total, of which only some days are at hand.
        let spent = |sums: &MonthSums| match rules.watched {
            Some(_) => sums.total.map_or_else(|| sums.spent(), Ok),
            None => Ok(Spent::default()),
        };
        let mut watch = |user: Option<&UserId>, spent: Spent, added: &Added, noticed: &mut Noticed| {
            let Some(plans) = rules.watched else { return Ok(()) };
            let whose = quotas.whose(part.tenant, user);
            let passings = passed(plans, whose, spent, &added.steps, noticed)?;
            let scope = || Scope { tenant: part.tenant.clone(), user: user.cloned() };
            notices.extend(passings.into_iter().map(|passing| Notice { scope: scope(), month: part.month, passing }));
            Ok(())
        };
        let mut months = Cells { key: part.users_key.clone(), ..Cells::default() };
        let mut keep = |user: &UserId, sums: &MonthSums| {
            // That they add up is checked here, once and for all.
            sums.usage.total()?;
            months.cells.push(user.as_str());
            months.cells.push_with(|text| cells::write_text(sums, text));
            Ok(())
        };
        let is_crowded = common.is_some();
        let (mut others, mut crowd, mut count) = (Others::default(), 0, found.tenant.users);
        for ((user, more), month) in in_order(&part.users, found.months, is_crowded) {
            let is_common = *user == UserId::other();
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
            watch(Some(user), spent(&sums)?, more, &mut noticed)?;
            let capped = sums.add_within(&more.sums, room(caps, &sums))?;
            sums.noticed = noticed;
            others.requests += capped.requests;
            others.tool_calls += capped.tool_calls;
            keep(user, &sums)?;
            self.after.users.push((part.tenant.clone(), part.month, user.clone(), sums));
        }
        if let Some(common) = common {
            keep(&UserId::other(), &common)?;
        }
        let KeptTenant { mut sums, cells, .. } = found.tenant;
        let (spent, known) = (spent(&sums)?, count_cells(&sums));
        let free = caps.tenant_cells.saturating_sub(cells);
        let more = sums.add_within(&part.added.sums, Room { groups: free, tools: free })?;
        watch(None, spent, part.added, &mut sums.noticed)?;
        sums.crowd = sums.crowd.checked_add(crowd).ok_or(Overflow)?;
        self.capped.users += crowd;
        self.capped.requests += others.requests.max(more.requests);
        self.capped.tool_calls += others.tool_calls.max(more.tool_calls);
        let mut own = Cells { key: part.key, ..Cells::default() };
        if cells == 0 {
            self.begun.push((part.tenant.clone(), part.month));
            own.put(cells::ABOUT.0, cells::ABOUT.1);
        }
        cells::write_cells(&touched(&sums, &part.added.sums, more), &mut own.cells);
        self.hashes.extend([own, months]);
        // Who has a month in a crowd is not known without asking.
        if !is_crowded {
            let cells = cells + usize::from(cells == 0) + count_cells(&sums) - known;
            let kept = KeptTenant { sums, cells, users: count };
            self.after.tenants.push((part.tenant.clone(), part.month, kept));
        }
        Ok(())
    }
}

/// Users with what is added to each and what is stored; by name where there is no room for all, so that it is always
/// the same who have some.
fn in_order<'p>(
    users: &'p [(&'p UserId, &'p Added)],
    months: Vec<Option<MonthSums>>,
    by_name: bool,
) -> Vec<((&'p UserId, &'p Added), Option<MonthSums>)> {
    let mut all: Vec<_> = users.iter().copied().zip(months).collect();
    if by_name {
        all.sort_unstable_by_key(|((user, _), _)| *user);
    }
    all
}

fn room(caps: &Caps, sums: &MonthSums) -> Room {
    Room {
        groups: caps.user_groups.saturating_sub(sums.usage.groups.len()),
        tools: caps.user_tools.saturating_sub(sums.usage.tools.len()),
    }
}

/// The cells of a tenant that something was added to.
fn touched(sums: &MonthSums, added: &MonthSums, others: Others) -> MonthSums {
    let mut touched =
        MonthSums { crowd: sums.crowd, total: sums.total, noticed: sums.noticed.clone(), ..MonthSums::default() };
    let (other, other_tool) = (Group::other(), Tool::other());
    // One for which there was no room is not there.
    let groups = added.usage.groups.keys().chain((others.requests > 0).then_some(&other));
    touched.usage.groups = groups.filter_map(|group| Some((group.clone(), *sums.usage.groups.get(group)?))).collect();
    let tools = added.usage.tools.keys().chain((others.tool_calls > 0).then_some(&other_tool));
    touched.usage.tools = tools.filter_map(|tool| Some((tool.clone(), *sums.usage.tools.get(tool)?))).collect();
    touched.days.extend(added.days.keys().filter_map(|day| Some((*day, *sums.days.get(day)?))));
    touched
}

fn count_cells(sums: &MonthSums) -> usize {
    let MonthSums { usage, days, crowd, total, noticed } = sums;
    let single = usize::from(*crowd != 0) + usize::from(total.is_some()) + usize::from(!noticed.is_empty());
    usage.groups.len() + usage.tools.len() + days.len() + single
}
