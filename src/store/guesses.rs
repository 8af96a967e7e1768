//! What tenants had when they were last asked about: a guess at what to ask for beside the index that will tell, so
//! that one round trip does where two would. A guess is never believed: what it lacks is asked for, and what of it is
//! not so any more is dropped.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::calendar::Month;
use crate::domain::ids::{OutputKind, TenantId};

/// Tenants of which something is kept; with more, all is forgotten and begins anew.
const MOST_TENANTS: usize = 4096;

/// What of a tenant has keys of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) months: Vec<Month>,
    pub(super) kinds: Vec<OutputKind>,
}

impl Parts {
    /// What is not among those of `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        Self {
            months: self.months.iter().filter(|month| !other.months.contains(month)).copied().collect(),
            kinds: self.kinds.iter().filter(|kind| !other.kinds.contains(kind)).cloned().collect(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<TenantId, Parts>>);

impl Guesses {
    /// Nothing of a tenant that is not known.
    pub(super) fn of(&self, tenant: &TenantId) -> Parts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned().unwrap_or_default()
    }

    pub(super) fn note(&self, tenant: &TenantId, parts: Parts) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_TENANTS && !known.contains_key(tenant) {
            known.clear();
        }
        known.insert(tenant.clone(), parts);
    }
}
