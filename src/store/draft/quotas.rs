//! The quotas of the tenants and users of a flush, with those that it assigns.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Pipeline, Value};

use crate::domain::delta::{Delta, Scope};
use crate::domain::ids::{TenantId, UserId};
use crate::domain::quota::{Assignment, Assignments};
use crate::quota::passing::Whose;
use crate::store::StoreError;
use crate::store::assigned;
use crate::store::cells::Damage;
use crate::store::kept::Kept;
use crate::store::keys::{Keyspace, quota_field};
use crate::store::reply::{corrupt, read, texts};

use super::Cells;

/// Whose quotas matter, by tenant.
pub(super) struct AskQuotas<'f> {
    tenants: BTreeMap<&'f TenantId, Wanted<'f>>,
    assigned: &'f [(Scope, Assignment)],
}

/// Of one tenant; none stands for the tenant as a whole, which is always asked for.
#[derive(Default)]
struct Wanted<'f> {
    asked: BTreeSet<Option<&'f UserId>>,
    /// Asked for only if any user has a quota of their own: mostly nobody has.
    perhaps: Vec<&'f UserId>,
    /// The tenant's own, where it is known without asking, and that no user has any.
    kept: Option<Assignments>,
}

/// What is assigned, the flush's own assignments included.
pub(super) struct Quotas<'f> {
    tenants: BTreeMap<&'f TenantId, BTreeMap<Option<UserId>, Assignments>>,
    nothing: Assignments,
    /// Users who may have quotas that were not asked for yet.
    pub(super) unknown: Vec<(&'f TenantId, Vec<&'f UserId>)>,
    /// Tenants none of whose users has a quota, and will have none once the flush is applied.
    plain: Vec<&'f TenantId>,
}

impl<'f> AskQuotas<'f> {
    /// Those whom the delta assigns a quota, and, where limits are `watched`, those whose usage it counts.
    pub(super) fn of(delta: &'f Delta, watched: bool, known: &mut Kept) -> Self {
        let mut tenants: BTreeMap<_, Wanted<'_>> = BTreeMap::new();
        for (scope, _) in &delta.assigned {
            tenants.entry(&scope.tenant).or_default().asked.extend([None, scope.user.as_ref()]);
        }
        for ((tenant, _), of_tenant) in delta.tenants.iter().filter(|_| watched) {
            let wanted = tenants.entry(tenant).or_default();
            wanted.asked.insert(None);
            wanted.perhaps.extend(of_tenant.users.keys());
        }
        // Where a user is assigned one, theirs is asked for, and the tenant's with it: some user has one then.
        for (tenant, wanted) in &mut tenants {
            wanted.kept = known.take_quota(tenant).filter(|_| wanted.asked.len() == 1);
        }
        Self { tenants, assigned: &delta.assigned }
    }

    pub(super) fn ask(&self, ask: &mut Pipeline, keyspace: &Keyspace) {
        for (tenant, wanted) in self.tenants.iter().filter(|(_, wanted)| wanted.kept.is_none()) {
            let key = keyspace.quota(tenant);
            let fields: Vec<_> = wanted.asked.iter().map(|user| quota_field(*user)).collect();
            ask.cmd("HLEN").arg(&key).cmd("HMGET").arg(&key).arg(fields);
        }
    }

    /// Reads the answers, and returns what is to be written as well.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]
    pub(super) fn read(
        self,
        next: &mut impl FnMut() -> Value,
        keyspace: &Keyspace,
    ) -> Result<(Quotas<'f>, Vec<Cells>), StoreError> {
        let (mut tenants, mut unknown) = (BTreeMap::<_, BTreeMap<_, Assignments>>::new(), Vec::new());
        let mut plain = Vec::new();
        for (tenant, Wanted { asked, perhaps, kept }) in self.tenants {
            let known = tenants.entry(tenant).or_default();
            if let Some(kept) = kept {
                known.insert(None, kept);
                plain.push(tenant);
                continue;
            }
            let (key, of_tenant_alone) = (keyspace.quota(tenant), asked.len() == 1);
            let size: usize = read(next(), &key)?;
            known.extend(assignments(next(), &key, asked)?);
            let is_all = size <= known.len();
            if is_all && of_tenant_alone {
                plain.push(tenant);
            }
            if !is_all && !perhaps.is_empty() {
                unknown.push((tenant, perhaps));
            }
        }
        let mut changed: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (Scope { tenant, user }, assignment) in self.assigned {
            let known = tenants.entry(tenant).or_default().entry(user.clone()).or_default();
            known.add(assignment.clone());
            changed.entry(tenant).or_default().insert(user.as_ref());
        }
        let quotas = Quotas { tenants, nothing: Assignments::default(), unknown, plain };
        let hashes = changed.into_iter().map(|(tenant, whose)| {
            let mut hash = Cells { key: keyspace.quota(tenant), ..Cells::default() };
            whose
                .into_iter()
                .for_each(|user| hash.put(&quota_field(user), &assigned::to_text(quotas.get(tenant, user))));
            hash
        });
        let hashes = hashes.collect();
        Ok((quotas, hashes))
    }
}

/// What HMGET answers to the fields of these.
fn assignments<'u>(
    answer: Value,
    key: &str,
    whose: impl IntoIterator<Item = Option<&'u UserId>>,
) -> Result<Vec<(Option<UserId>, Assignments)>, StoreError> {
    let one = |(user, text): (Option<&UserId>, Option<&str>)| {
        let read = text.map(|text| assigned::from_text(text).map_err(|Damage(what)| corrupt(key, what)));
        read.map(|read| Ok((user.cloned(), read?)))
    };
    whose.into_iter().zip(texts(&answer, key)?).filter_map(one).collect()
}

impl Quotas<'_> {
    /// Asks for the quotas of those who may have some.
    pub(super) fn ask_unknown(&self, ask: &mut Pipeline, keyspace: &Keyspace) {
        for (tenant, users) in &self.unknown {
            let fields: Vec<_> = users.iter().map(|user| quota_field(Some(*user))).collect();
            ask.cmd("HMGET").arg(keyspace.quota(tenant)).arg(fields);
        }
    }

    /// Reads the answers. What the flush itself assigns is known already, and stays.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]
    pub(super) fn read_unknown(
        &mut self,
        next: &mut impl FnMut() -> Value,
        keyspace: &Keyspace,
    ) -> Result<(), StoreError> {
        for (tenant, users) in std::mem::take(&mut self.unknown) {
            let known = self.tenants.entry(tenant).or_default();
            for (user, read) in assignments(next(), &keyspace.quota(tenant), users.into_iter().map(Some))? {
                known.entry(user).or_insert(read);
            }
        }
        Ok(())
    }
}

impl Quotas<'_> {
    /// What the next flush need not ask for.
    pub(super) fn kept(&self) -> Vec<(TenantId, Assignments)> {
        self.plain.iter().map(|tenant| ((*tenant).clone(), self.get(tenant, None).clone())).collect()
    }

    pub(super) fn whose(&self, tenant: &TenantId, user: Option<&UserId>) -> Whose<'_> {
        let of_tenant = self.get(tenant, None);
        match user {
            None => Whose::Tenant(of_tenant),
            Some(user) => Whose::User { tenant: of_tenant, user: self.get(tenant, Some(user)) },
        }
    }

    fn get(&self, tenant: &TenantId, user: Option<&UserId>) -> &Assignments {
        self.tenants.get(tenant).and_then(|known| known.get(&user.cloned())).unwrap_or(&self.nothing)
    }
}
