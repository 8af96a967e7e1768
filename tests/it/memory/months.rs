//! The sums of a month.

use indelible::domain::calendar::Month;
use indelible::domain::counters::{Added, MonthSums, Others, Overflow, Room};
use indelible::domain::delta::Scope;
use indelible::domain::ids::{TenantId, UserId};
use indelible::store::args::Args;
use indelible::store::{Capped, cells};

use super::MemoryLedger;
use super::draft::Draft;
use super::watch::Watched;

impl MemoryLedger {
    pub(super) fn add_month(
        &self,
        draft: &mut Draft<'_>,
        (tenant, month): (&TenantId, Month),
        added: &Added,
        users: Vec<(&UserId, &Added)>,
        capped: &mut Capped,
    ) -> Result<usize, Overflow> {
        let index = self.keyspace.users(tenant, month);
        let scope_of = |user: Option<&UserId>| Scope { tenant: tenant.clone(), user: user.cloned() };
        let mut notices = 0;
        let (mut others, mut crowd) = (Others::default(), 0);
        let new = users.iter().filter(|(user, _)| draft.month(&index, user).is_none()).count();
        let mut count = draft.hash(&index).len();
        let crowded = new > 0 && count + new > self.caps.tenant_users;
        for (user, more) in users {
            let is_new = draft.month(&index, user).is_none();
            let own = !crowded || *user == UserId::other() || !is_new || count < self.caps.tenant_users;
            count += usize::from(own && is_new && (!crowded || *user != UserId::other()));
            let target = if own { user.clone() } else { UserId::other() };
            if !own {
                crowd += more.sums.usage.total()?.requests;
            }
            let mut sums = draft.month(&index, &target).unwrap_or_default();
            let is_shared = crowded && target == UserId::other();
            if !is_shared {
                let scope = &scope_of(Some(&target));
                let watched = Watched { scope, month, spent: sums.spent()? };
                notices += self.watch(draft, watched, &more.steps, &mut sums.noticed)?;
            }
            let room = |most: usize, now: usize| most.saturating_sub(now);
            let groups = room(self.caps.user_groups, sums.usage.groups.len());
            let tools = room(self.caps.user_tools, sums.usage.tools.len());
            let more = sums.add_within(&more.sums, Room { groups, tools })?;
            if !is_shared {
                others.requests += more.requests;
                others.tool_calls += more.tool_calls;
            }
            sums.usage.total()?;
            let mut text = Vec::new();
            cells::write_text(&sums, &mut text);
            draft.hash(&index).insert(target.to_string(), String::from_utf8(text).expect("text"));
        }
        let scope = scope_of(None);
        let key = self.keyspace.month(tenant, month);
        let mut all = MonthSums::default();
        for (name, numbers) in draft.hash(&key).iter() {
            cells::read_cell(&mut all, name, numbers).expect("a cell");
        }
        // By the days and not by the total beside them.
        let watched = Watched { scope: &scope, month, spent: all.spent()? };
        notices += self.watch(draft, watched, &added.steps, &mut all.noticed)?;
        let free = self.caps.tenant_cells.saturating_sub(draft.hash(&key).len());
        let more = all.add_within(&added.sums, Room { groups: free, tools: free })?;
        all.crowd += crowd;
        capped.users += crowd;
        if draft.hash(&key).is_empty() {
            draft.hash(&key).insert(cells::ABOUT.0.to_owned(), cells::ABOUT.1.to_owned());
        }
        let mut written = Args::default();
        cells::write_cells(&all, &mut written);
        let texts: Vec<_> = written.iter().map(|text| String::from_utf8(text.to_vec()).expect("text")).collect();
        draft.hash(&key).extend(texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())));
        capped.requests += others.requests.max(more.requests);
        capped.tool_calls += others.tool_calls.max(more.tool_calls);
        draft.set(&self.keyspace.months(tenant)).insert(month.to_string());
        Ok(notices)
    }
}
