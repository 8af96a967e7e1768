//! A tenant's month with those of its users: asked for, read, and a flush added to it.

use redis::{Pipeline, Value};

use crate::domain::calendar::Month;
use crate::domain::counters::{Added, Group, MonthSums, Others, Overflow, Room};
use crate::domain::delta::{Delta, Scope};
use crate::domain::ids::{TenantId, Tool, UserId};
use crate::domain::quota::Noticed;
use crate::quota::passing::passed;
use crate::store::cells::{self, Damage};
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
    /// The cells of the tenant's month that it adds to, and those that take what there is no room for.
    names: Vec<String>,
}

/// What is stored of one part.
pub(super) struct Found {
    sums: MonthSums,
    /// How many the tenant's month has.
    cells: usize,
    /// How many the tenant has in the month.
    users: usize,
    /// As the part's users; none for one that has no month yet.
    months: Vec<Option<MonthSums>>,
}

impl<'f> Part<'f> {
    pub(super) fn all(delta: &'f Delta, keyspace: &Keyspace) -> Vec<Self> {
        let part = |((tenant, month), of_tenant): (&'f (TenantId, Month), &'f crate::domain::delta::OfTenant)| Self {
            tenant,
            month: *month,
            key: keyspace.month(tenant, *month),
            users_key: keyspace.users(tenant, *month),
            added: &of_tenant.added,
            users: of_tenant.users.iter().collect(),
            names: names(&of_tenant.added.sums),
        };
        delta.tenants.iter().map(part).collect()
    }

    pub(super) fn ask(&self, ask: &mut Pipeline) {
        ask.cmd("HLEN").arg(&self.key).cmd("HMGET").arg(&self.key).arg(&self.names);
        ask.cmd("HLEN").arg(&self.users_key).cmd("HMGET").arg(&self.users_key);
        self.users.iter().for_each(|(user, _)| {
            ask.arg(user.as_str());
        });
    }
}

fn names(sums: &MonthSums) -> Vec<String> {
    let (others, other_tool) = (Group::other(), Tool::other());
    let groups = sums.usage.groups.keys().chain([&others]).map(cells::group_cell);
    let tools = sums.usage.tools.keys().chain([&other_tool]).map(cells::tool_cell);
    let days = sums.days.keys().map(|day| cells::day_cell(*day));
    groups.chain(tools).chain(days).chain([cells::CROWD, cells::TOTAL, cells::NOTICED].map(str::to_owned)).collect()
}

impl Found {
    /// # Errors
    /// [`StoreError::Corrupt`]
    pub(super) fn read(part: &Part<'_>, next: &mut impl FnMut() -> Value) -> Result<Self, StoreError> {
        let cells = read(next(), &part.key)?;
        let numbers = next();
        let mut sums = MonthSums::default();
        for (name, numbers) in part.names.iter().zip(texts(&numbers, &part.key)?) {
            if let Some(numbers) = numbers {
                cells::read_cell(&mut sums, name, numbers).map_err(|Damage(what)| corrupt(&part.key, what))?;
            }
        }
        let users = read(next(), &part.users_key)?;
        let found = next();
        let months = part.users.iter().zip(texts(&found, &part.users_key)?).map(|((user, _), text)| {
            let month = text.map(cells::from_text).transpose();
            month.map_err(|Damage(what)| corrupt(&part.users_key, format!("{user}: {what}")))
        });
        Ok(Self { sums, cells, users, months: months.collect::<Result<_, _>>()? })
    }

    /// Whether there is no room for all users who would get a month of their own.
    pub(super) fn is_crowded(&self, caps: &Caps) -> bool {
        let new = self.months.iter().filter(|month| month.is_none()).count();
        new > 0 && self.users + new > caps.tenant_users
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
        let mut watch = |user: Option<&UserId>, before: &MonthSums, added: &Added, noticed: &mut Noticed| {
            let Some(plans) = rules.watched else { return Ok(()) };
            let whose = quotas.whose(part.tenant, user);
            // A tenant keeps its total, of which only some days are at hand.
            let spent = before.total.map_or_else(|| before.spent(), Ok)?;
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
        let (mut others, mut crowd, mut count) = (Others::default(), 0, found.users);
        for ((user, more), month) in in_order(&part.users, found.months, common.is_some()) {
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
            watch(Some(user), &sums, more, &mut noticed)?;
            let capped = sums.add_within(&more.sums, room(caps, &sums))?;
            sums.noticed = noticed;
            others.requests += capped.requests;
            others.tool_calls += capped.tool_calls;
            keep(user, &sums)?;
        }
        if let Some(common) = common {
            keep(&UserId::other(), &common)?;
        }
        let (mut sums, more) = tenant_sums(part.added, &found.sums, caps.tenant_cells.saturating_sub(found.cells))?;
        watch(None, &found.sums, part.added, &mut sums.noticed)?;
        sums.crowd = sums.crowd.checked_add(crowd).ok_or(Overflow)?;
        self.capped.users += crowd;
        self.capped.requests += others.requests.max(more.requests);
        self.capped.tool_calls += others.tool_calls.max(more.tool_calls);
        let mut own = Cells { key: part.key, ..Cells::default() };
        if found.cells == 0 {
            self.begun.push((part.tenant.clone(), part.month));
            own.put(cells::ABOUT.0, cells::ABOUT.1);
        }
        cells::write_cells(&sums, &mut own.cells);
        self.hashes.extend([own, months]);
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

/// The tenant's cells that are added to, as they are then.
fn tenant_sums(added: &Added, found: &MonthSums, free: usize) -> Result<(MonthSums, Others), Overflow> {
    let mut sums = found.clone();
    let others = sums.add_within(&added.sums, Room { groups: free, tools: free })?;
    // They were read in case of need.
    if others.requests == 0 && !added.sums.usage.groups.contains_key(&Group::other()) {
        sums.usage.groups.remove(&Group::other());
    }
    if others.tool_calls == 0 && !added.sums.usage.tools.contains_key(&Tool::other()) {
        sums.usage.tools.remove(&Tool::other());
    }
    Ok((sums, others))
}
