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
use crate::store::keys::{Keyspace, quota_field};
use crate::store::reply::{corrupt, read};

use super::Cells;

/// Whose quotas matter, by tenant; none stands for the tenant as a whole, which is always asked for.
pub(super) struct AskQuotas<'f> {
    tenants: BTreeMap<&'f TenantId, BTreeSet<Option<&'f UserId>>>,
    assigned: &'f [(Scope, Assignment)],
}

/// What is assigned, the flush's own assignments included.
pub(super) struct Quotas<'f> {
    tenants: BTreeMap<&'f TenantId, BTreeMap<Option<UserId>, Assignments>>,
    nothing: Assignments,
}

impl<'f> AskQuotas<'f> {
    /// Those whom the delta assigns a quota, and, where limits are `watched`, those whose usage it counts.
    pub(super) fn of(delta: &'f Delta, watched: bool) -> Self {
        let assigned = delta.assigned.iter().map(|(scope, _)| scope);
        let used = delta.tenants.iter().filter(|_| watched);
        let mut tenants: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for scope in assigned {
            tenants.entry(&scope.tenant).or_default().extend([None, scope.user.as_ref()]);
        }
        for ((tenant, _), of_tenant) in used {
            let users = of_tenant.users.keys().map(Some);
            tenants.entry(tenant).or_default().extend(users.chain([None]));
        }
        Self { tenants, assigned: &delta.assigned }
    }

    pub(super) fn ask(&self, ask: &mut Pipeline, keyspace: &Keyspace) {
        for (tenant, whose) in &self.tenants {
            let fields: Vec<_> = whose.iter().map(|user| quota_field(*user)).collect();
            ask.cmd("HMGET").arg(keyspace.quota(tenant)).arg(fields);
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
        let mut tenants: BTreeMap<_, BTreeMap<_, Assignments>> = BTreeMap::new();
        for (tenant, whose) in self.tenants {
            let key = keyspace.quota(tenant);
            let texts: Vec<Option<String>> = read(next(), &key)?;
            let known = tenants.entry(tenant).or_default();
            for (user, text) in whose.into_iter().zip(texts) {
                let Some(text) = text else { continue };
                let assignments = assigned::from_text(&text).map_err(|Damage(what)| corrupt(&key, what))?;
                known.insert(user.cloned(), assignments);
            }
        }
        let mut changed: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (Scope { tenant, user }, assignment) in self.assigned {
            let known = tenants.entry(tenant).or_default().entry(user.clone()).or_default();
            known.add(assignment.clone());
            changed.entry(tenant).or_default().insert(user.as_ref());
        }
        let quotas = Quotas { tenants, nothing: Assignments::default() };
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

impl Quotas<'_> {
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
