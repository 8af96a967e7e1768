//! The sums of a month.

use indelible::domain::calendar::Month;
use indelible::domain::counters::{MonthSums, Others, Overflow, Room};
use indelible::domain::delta::Scope;
use indelible::domain::ids::{TenantId, UserId};
use indelible::store::{Capped, cells};

use super::draft::Draft;
use super::{Entry, MemoryLedger};

impl MemoryLedger {
    pub(super) fn add_month(
        &self,
        draft: &mut Draft<'_>,
        tenant: &TenantId,
        month: Month,
        sums: &MonthSums,
        users: Vec<(&UserId, &MonthSums)>,
        capped: &mut Capped,
    ) -> Result<(), Overflow> {
        let index = self.keyspace.users(tenant, month);
        let key_of =
            |user: &UserId| self.keyspace.month(&Scope { tenant: tenant.clone(), user: Some(user.clone()) }, month);
        let (mut others, mut crowd) = (Others::default(), 0);
        let new = users.iter().filter(|(user, _)| draft.month(&key_of(user)).is_none()).count();
        let crowded = new > 0 && draft.scored(&index).len() + new > self.caps.tenant_users;
        let mut count = draft.scored(&index).len();
        for (user, more) in users {
            let is_new = draft.month(&key_of(user)).is_none();
            let own = !crowded || *user == UserId::other() || !is_new || count < self.caps.tenant_users;
            count += usize::from(own && is_new && (!crowded || *user != UserId::other()));
            let target = if own { user.clone() } else { UserId::other() };
            if !own {
                crowd += more.usage.total()?.requests;
            }
            let key = key_of(&target);
            let mut month = draft.month(&key).unwrap_or_default();
            let room = |most: usize, now: usize| most.saturating_sub(now);
            let groups = room(self.caps.user_groups, month.usage.groups.len());
            let tools = room(self.caps.user_tools, month.usage.tools.len());
            let more = month.add_within(more, Room { groups, tools })?;
            if own && (!crowded || target != UserId::other()) {
                others.requests += more.requests;
                others.tool_calls += more.tool_calls;
            }
            let cost = month.usage.total()?.cost.0;
            draft.changed.insert(key, Entry::Text(cells::to_text(&month)));
            draft.scored(&index).insert(target.to_string(), cost);
        }
        let key = self.keyspace.month(&Scope { tenant: tenant.clone(), user: None }, month);
        let mut all = MonthSums::default();
        for (name, numbers) in draft.hash(&key).iter() {
            cells::read_cell(&mut all, name, numbers).expect("a cell");
        }
        let free = self.caps.tenant_cells.saturating_sub(draft.hash(&key).len());
        let more = all.add_within(sums, Room { groups: free, tools: free })?;
        all.crowd += crowd;
        capped.users += crowd;
        draft.hash(&key).extend(cells::cells(&all));
        capped.requests += others.requests.max(more.requests);
        capped.tool_calls += others.tool_calls.max(more.tool_calls);
        draft.set(&self.keyspace.months(tenant)).insert(month.to_string());
        Ok(())
    }
}
