//! The names under which saved outputs are counted, and deleted ones remembered: what `apply.lua` writes of them.

use crate::domain::calendar::Month;
use crate::domain::ids::{OutputId, OutputKind, TenantId, UserId};

use super::keys::decode;

/// What a field of a tenant's `saved-counts` counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedCount {
    /// `kinds`: how many kinds there are.
    Kinds,
    /// `KIND:created`: outputs that were ever created.
    Created(OutputKind),
    /// `KIND:deleted`: outputs that were ever deleted.
    Deleted(OutputKind),
    /// `KIND:YYYY-MM`: outputs created in the month and not deleted.
    Net(OutputKind, Month),
}

impl SavedCount {
    /// None where it is no such field.
    pub fn read(field: &str) -> Option<Self> {
        if field == "kinds" {
            return Some(Self::Kinds);
        }
        let (kind, what) = field.split_once(':')?;
        let kind = OutputKind::new(&decode(kind)?).ok()?;
        match what {
            "created" => Some(Self::Created(kind)),
            "deleted" => Some(Self::Deleted(kind)),
            month => Some(Self::Net(kind, month.parse().ok()?)),
        }
    }
}

/// A member of a bucket's tombstones: `deleted:TENANT:USER:KIND:ID`, or `early:…` beside it until the creation comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Whether the creation has yet to come.
    pub early: bool,
    pub tenant: TenantId,
    pub user: UserId,
    pub kind: OutputKind,
    pub id: OutputId,
}

impl Tombstone {
    /// None where it is no such member.
    pub fn read(member: &str) -> Option<Self> {
        let mut parts = member.split(':');
        let early = match parts.next()? {
            "deleted" => false,
            "early" => true,
            _ => return None,
        };
        let mut next = || decode(parts.next()?);
        let (tenant, user) = (TenantId::new(&next()?).ok()?, UserId::new(&next()?).ok()?);
        let (kind, id) = (OutputKind::new(&next()?).ok()?, OutputId::new(&next()?).ok()?);
        parts.next().is_none().then_some(Self { early, tenant, user, kind, id })
    }
}

#[cfg(test)]
#[path = "../../tests/unit/store/saved_outputs.rs"]
mod tests;
