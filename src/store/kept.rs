//! What a worker last wrote of a bucket's months, so that the next flush need not read it again.
//!
//! Pure. It holds while the bucket bears the stamp of the flush that it was kept of: every flush leaves another one, and
//! the script refuses to add to a bucket that bears none of those it was read under.

use std::hash::Hash;

use hashbrown::{Equivalent, HashMap};

use crate::domain::calendar::Month;
use crate::domain::counters::MonthSums;
use crate::domain::ids::{TenantId, UserId};
use crate::domain::quota::Assignments;

/// Users, and tenants, that are kept of a bucket: twice as many at the most.
const MOST_USERS: usize = 256;
const MOST_TENANTS: usize = 256;

/// Of one bucket.
#[derive(Debug)]
pub struct Kept {
    stamp: String,
    /// Whether the last reading found the bucket as this worker had left it. If another one counts into it, too, asking
    /// for what is missing alone would be in vain each time.
    alone: bool,
    tenants: Lately<TenantMonth, KeptTenant>,
    users: Lately<UserMonth, MonthSums>,
    /// Of tenants none of whose users has a quota of their own.
    quotas: Lately<TenantId, Assignments>,
}

/// A tenant's month as far as it is known: the cells that were added to lately, and all that are none of groups, tools
/// and days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptTenant {
    pub sums: MonthSums,
    /// How many cells the month has, and how many users.
    pub cells: usize,
    pub users: usize,
}

/// The months of a flush as they are once it is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct After {
    pub tenants: Vec<(TenantId, Month, KeptTenant)>,
    pub users: Vec<(TenantId, Month, UserId, MonthSums)>,
    pub quotas: Vec<(TenantId, Assignments)>,
}

impl Default for Kept {
    fn default() -> Self {
        let (tenants, users) = (Lately::new(MOST_TENANTS), Lately::new(MOST_USERS));
        Self { stamp: String::new(), alone: true, tenants, users, quotas: Lately::new(MOST_TENANTS) }
    }
}

impl Kept {
    pub fn take_tenant(&mut self, tenant: &TenantId, month: Month) -> Option<KeptTenant> {
        self.alone.then(|| self.tenants.take(&(tenant, month)))?
    }

    pub fn take_user(&mut self, tenant: &TenantId, month: Month, user: &UserId) -> Option<MonthSums> {
        self.alone.then(|| self.users.take(&(tenant, month, user)))?
    }

    /// The tenant's own, if no user of it has any.
    pub fn take_quota(&mut self, tenant: &TenantId) -> Option<Assignments> {
        self.alone.then(|| self.quotas.take(tenant))?
    }

    /// Whether anything is taken from here.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether what was taken is of a bucket that bears this stamp. If not, all of it is forgotten.
    pub fn is_of(&mut self, stamp: &str) -> bool {
        self.alone = self.stamp == stamp;
        if !self.alone {
            self.forget();
        }
        self.alone
    }

    /// Keeps what a flush has left under its stamp.
    pub fn note(&mut self, stamp: String, after: After) {
        if !self.alone {
            self.forget();
        }
        self.stamp = stamp;
        let tenants = after.tenants.into_iter();
        tenants.for_each(|(tenant, month, kept)| self.tenants.put(TenantMonth { tenant, month }, kept));
        let users = after.users.into_iter();
        users.for_each(|(tenant, month, user, sums)| self.users.put(UserMonth { tenant, month, user }, sums));
        after.quotas.into_iter().for_each(|(tenant, quota)| self.quotas.put(tenant, quota));
    }

    fn forget(&mut self) {
        *self = Self { stamp: std::mem::take(&mut self.stamp), alone: self.alone, ..Self::default() };
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TenantMonth {
    tenant: TenantId,
    month: Month,
}

impl Equivalent<TenantMonth> for (&TenantId, Month) {
    fn equivalent(&self, key: &TenantMonth) -> bool {
        *self.0 == key.tenant && self.1 == key.month
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct UserMonth {
    tenant: TenantId,
    month: Month,
    user: UserId,
}

impl Equivalent<UserMonth> for (&TenantId, Month, &UserId) {
    fn equivalent(&self, key: &UserMonth) -> bool {
        *self.2 == key.user && *self.0 == key.tenant && self.1 == key.month
    }
}

/// A map that forgets what was not used for long: `most` entries, and those that were used last before them.
#[derive(Debug)]
struct Lately<K, V> {
    most: usize,
    now: HashMap<K, V>,
    before: HashMap<K, V>,
}

impl<K: Hash + Eq, V> Lately<K, V> {
    fn new(most: usize) -> Self {
        Self { most, now: HashMap::new(), before: HashMap::new() }
    }

    fn take<Q: Hash + Equivalent<K>>(&mut self, key: &Q) -> Option<V> {
        self.now.remove(key).or_else(|| self.before.remove(key))
    }

    fn put(&mut self, key: K, value: V) {
        if self.now.len() >= self.most {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(key, value);
    }
}

#[cfg(test)]
#[path = "../../tests/unit/store/kept.rs"]
mod tests;
